"""``watchword verify evidence``: verdicts, reasons and exit codes, for one piece and for folders."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.attestation import forge

from watchword.adapters.anchors import AnchorsError
from watchword.adapters.revocation import StatusListError
from watchword.apps.cli.main import cli
from watchword.apps.evidence.files import EvidenceFileError, parse_bytes
from watchword.apps.evidence.reports import LENIENCIES
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import fail, print_json
from watchword.attestation import (
    attestation_object,
    key_description,
    receipts,
)
from watchword.attestation.formats import android_key
from watchword.vocabulary import AppAttestEnvironment

AT = forge.NOW.isoformat()
FORMATS = Path(__file__).parents[3] / "docs" / "formats"
ANDROID_OPTIONS = ["--package", forge.PACKAGE, "--signing-digest", forge.SIGNER.hex()]
PACKAGE = ["--package", forge.PACKAGE]
ASSERTION = [
    *("--format", "app-attest", "--file", "{chain}"),
    *("--public-key", "{chain}", "--challenge", "00"),
]
PLAY_KEYS = ["--decryption-key", "{chain}", "--verification-key", "{chain}"]
APPLE_OPTIONS = ["--team-id", "TEAM123456", "--bundle-id", "org.example.clinic"]


def run(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(cli, ["verify", "evidence", *map(str, arguments)])


def pem(*ders: bytes) -> str:
    """Return certificates as PEM."""
    return "".join(
        f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(each).decode()}-----END CERTIFICATE-----\n"
        for each in ders
    )


class Files:
    """Write evidence and anchors of forged vendors into a folder."""

    def __init__(self, folder: Path) -> None:
        """Make the vendors."""
        self.folder = folder
        self.google = forge.google()
        self.apple = forge.apple()
        self.key = forge.p256()

    def write(self, name: str, content: bytes | str) -> Path:
        """Write one file."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def lab(self) -> Path:
        """Write the anchors as the lab does."""
        rows = [
            {
                "name": "forged root",
                "vendor": vendor,
                "spki": base64.b64encode(forge.spki(root.key)).decode(),
                "subject": base64.b64encode(root.certificate.subject.public_bytes()).decode(),
            }
            for vendor, root in (
                ("android-key", self.google.root),
                ("apple-app-attest", self.apple.root),
            )
        ]
        return self.write("anchors.json", json.dumps({"kind": "lab", "anchors": rows}))

    def android(self, **description: Any) -> list[object]:
        """Write a chain; return the options that verify it."""
        leaf = self.google.leaf(forge.key_description(**description))
        path = self.write("chain.pem", pem(*self.google.evidence(leaf).chain))
        return ["--format", "android-key", "--file", path, "--anchors", self.lab(), "--at", AT]

    def ios(self, **mutated: Any) -> list[object]:
        """Write an attestation; return the options that verify it."""
        evidence = self.apple.evidence(key=self.key, **mutated)
        path = self.write("attestation.cbor", evidence.attestation)
        # Nobody forged a receipt for it, which this policy doesn't insist on.
        return [
            *("--format", "app-attest", "--file", path, "--anchors", self.lab()),
            *("--policy", "inclusive", "--at", AT),
        ]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return a folder with forged vendors."""
    return Files(tmp_path)


def report(result: Result) -> dict[str, Any]:
    """Return the one JSON line of a run."""
    (line,) = result.stdout.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def test_android_chain_is_accepted(files: Files) -> None:
    """A genuine chain with everything expected: exit 0, and all claims in one line."""
    result = run(*files.android(), "--challenge", forge.BINDING.hex(), *ANDROID_OPTIONS, "--json")
    assert result.exit_code == 0, result.output
    found = report(result)
    assert found["verdict"] == "accept"
    assert found["level"] == "hardware"
    assert found["reasons"] == found["leniencies"] == []
    assert found["unchecked"] == [
        "revocation",
        "serial_fan_out",
        "device_velocity",
        "provisioning",
    ]
    assert found["id"] == "chain.pem"
    assert found["claims"]["anchor"] == "forged root"
    assert found["claims"]["fields"]["attestationVersion"] == 400


def test_refused_chain_says_every_reason(files: Files) -> None:
    """Verification and appraisal are told together: exit 1, level none."""
    hardware = forge.hardware_tags(tag_704=forge.root_of_trust(locked=b"\x00", state=2))
    options = files.android(challenge=b"other", hardware=hardware)
    status = files.write(
        "status.json",
        json.dumps({"entries": {files.google.attester.serial_hex: {"status": "REVOKED"}}}),
    )
    result = run(*options, "--challenge", "text:challenge", "--status", status, "--json")
    assert result.exit_code == 1
    found = report(result)
    assert (found["verdict"], found["level"]) == ("reject", "none")
    assert found["reasons"] == [
        "attestation.revoked",
        "attestation.binding",
        "policy.bootloader_unlocked",
        "policy.boot_unverified",
    ]
    assert found["unchecked"] == [
        "app",
        "app_version",
        "serial_fan_out",
        "device_velocity",
        "provisioning",
    ]


def test_people_see_the_same(files: Files) -> None:
    """Without --json there is a summary to read."""
    good = run(*files.android(), *ANDROID_OPTIONS)
    assert good.exit_code == 0
    assert "accept  level hardware" in good.output
    assert "not checked" in good.output
    bad = run(*files.android(levels=(0, 0)))
    assert bad.exit_code == 1
    assert "policy.security_level" in bad.output


def test_first_line_says_that_no_app_was_expected(files: Files) -> None:
    """Genuine evidence of somebody else's app isn't taken for one's own."""
    first = run(*files.android()).output.splitlines()[0]
    assert first == "accept (no app expected)  level hardware"
    first = run(*files.android(), *ANDROID_OPTIONS).output.splitlines()[0]
    assert first == "accept  level hardware"


def test_unlocked_phone_is_shown_as_unlocked(files: Files) -> None:
    """The vendor's own member says so, and the refusal says what was expected."""
    hardware = forge.hardware_tags(tag_704=forge.root_of_trust(locked=b"\x00"))
    result = run(*files.android(hardware=hardware), *ANDROID_OPTIONS)
    assert "policy.bootloader_unlocked: got unlocked, expected locked" in result.output
    assert "deviceLocked: false, verifiedBootState: VERIFIED" in result.output
    assert "deviceLocked: true" in run(*files.android(), *ANDROID_OPTIONS).output


def test_another_challenge_is_shown_beside_the_expected_one(files: Files) -> None:
    """Got, expected, and how the option was read: whoever mistook hex for base64 sees it."""
    options = files.android(challenge=b"other challenge!.")
    result = run(*options, "--challenge", "abcd")
    got = f"got the challenge {b'other challenge!'.hex()}... (17 bytes)"
    assert f"attestation.binding: {got}, expected abcd (2 bytes)" in result.output
    assert "2 bytes, read as hex" in result.output
    assert "3 bytes, read as base64" in run(*options, "--challenge", "base64:abcd").output
    ios = run(*files.ios(), "--client-data-hash", "00" * 32)
    assert f"not one over client data hash {'00' * 16}... (32 bytes)" in ios.output


def test_mistyped_bytes_say_how_they_were_read(files: Files) -> None:
    """Two letters that aren't hex are no byte in base64 either."""
    result = run(*files.android(), "--challenge", "zz")
    assert result.exit_code == 2
    assert "--challenge: got text that isn't base64, expected hex, base64, or text:" in " ".join(
        result.output.split()
    )


def test_wrong_app_of_ios_is_told_once(files: Files) -> None:
    """Verification and appraisal both see it; people and counters want it once."""
    options = ["--team-id", "TEAM123456", "--bundle-id", "org.example.other"]
    assert run(*files.ios(), *options).output.count("policy.app_id") == 1


def test_unknown_root_points_at_the_option(files: Files) -> None:
    """Whoever forgot the lab's anchors is told how to name them."""
    options = files.android()
    del options[4:6]
    assert "known keys; --anchors names others" in run(*options).output


def test_every_leniency_is_explained_and_documented(files: Files) -> None:
    """What was let pass is told in a clause; each name stands in docs/formats."""
    files.google = forge.google(attester={"ca": False, "signs": None})
    result = run(*files.android())
    told = " ".join(result.output.split())
    assert "attestation_certificate_not_ca: the factory's attestation certificate" in told
    named = {
        value
        for module in (android_key, key_description, attestation_object, receipts)
        for name, value in vars(module).items()
        if name.startswith("LENIENT_")
    }
    assert set(LENIENCIES) == named
    pages = "".join(page.read_text() for page in sorted(FORMATS.glob("*.md")))
    assert [name for name in named if f"`{name}`" not in pages] == []


def test_json_is_ascii_without_python(capsys: pytest.CaptureFixture[str]) -> None:
    """A stranger's text can't drive the terminal, and bytes are hex."""
    print_json({"text": "\x9b31m\u202e\x1b", "bytes": b"\x00\xff", "path": Path("a")})
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"text": "\x9b31m\u202e\x1b", "bytes": "00ff", "path": "a"}


def test_folder_without_an_index_is_wrong_usage(tmp_path: Path) -> None:
    """--vectors of another folder says which folder: exit 2."""
    result = run("--vectors", tmp_path)
    assert result.exit_code == 2
    assert str(tmp_path) in "".join(result.output.split())


def test_help_shows_an_example() -> None:
    """The first thing a newcomer tries answers with a line to copy."""
    assert "watchword verify evidence --format android-key --file" in run("--help").output


def test_roots_as_pem_and_as_a_json_list(files: Files) -> None:
    """Roots come as the vendor publishes them; without them the forged chain ends nowhere."""
    options = files.android()
    del options[4:6]
    assert report(run(*options, "--json"))["reasons"] == ["attestation.anchor_unknown"]
    root = files.google.root.certificate.public_bytes(Encoding.PEM).decode()
    for name, text in (("root.pem", root), ("roots.json", json.dumps([root]))):
        result = run(*options, "--anchors", files.write(name, text))
        assert result.exit_code == 0, result.output


def test_attestation_and_assertion_of_ios(files: Files) -> None:
    """An attestation gives the key under which an assertion verifies later."""
    digest = hashlib.sha256(b"client data").digest()
    options = files.ios(binding=digest)
    hashed = run(*options, "--client-data-hash", digest.hex(), *APPLE_OPTIONS, "--json")
    result = run(*options, "--challenge", "text:client data", *APPLE_OPTIONS, "--json")
    assert (hashed.exit_code, result.exit_code) == (0, 0), result.output
    assert report(hashed) == report(result)
    assert report(result)["unchecked"] == [
        "distribution",
        "receipt",
        "risk_metric",
        "device_velocity",
        "key_id",
    ]
    key = files.write("key.der", bytes.fromhex(report(result)["claims"]["public_key"]))
    assertion = files.write("assertion", forge.assertion(files.key, b"client data", counter=3))
    arguments = ["--format", "app-attest", "--file", assertion, "--public-key", key]
    good = run(*arguments, "--challenge", "text:client data", *APPLE_OPTIONS, "--json")
    assert good.exit_code == 0
    assert report(good)["claims"]["counter"] == 3
    assert report(good)["unchecked"] == ["counter"]
    bad = run(*arguments, "--challenge", "text:other", "--json")
    assert bad.exit_code == 1
    assert report(bad)["reasons"] == ["app_attest.signature"]


def test_names_cannot_drive_the_terminal(files: Files) -> None:
    """A package's name may hold escape sequences; people see them spelled out."""
    app = forge.application_id({"\x1b[2Jevil\u202e\x9b31m": 1})
    result = run(*files.android(software={709: app}))
    assert not set("\x1b\x9b\u202e") & set(result.output)
    assert r"\x1b[2Jevil\u202e\x9b31m" in result.output


@pytest.mark.parametrize("option", ["--anchors", "--status"])
def test_files_to_believe_in_that_are_none(files: Files, option: str) -> None:
    """What is wrong with the person's own files isn't told as a verdict on the evidence."""
    for content in ("", "{}", "[]", "garbage", "-----BEGIN CERTIFICATE-----" + " " * 100_000):
        result = run(*files.android(), option, files.write("odd", content))
        assert isinstance(result.exception, AnchorsError | EvidenceFileError | StatusListError)
        assert "odd: " in str(result.exception)
        assert result.output == ""


def test_key_id_and_environment_of_ios(files: Files) -> None:
    """The key id that the app knows is compared, and so is the environment."""
    options = files.ios(aaguid=AppAttestEnvironment.DEVELOPMENT.value)
    wrong = run(*options, "--key-id", "AAAA", *APPLE_OPTIONS, "--development", "--json")
    assert report(wrong)["reasons"] == ["app_attest.key_id"]
    key_id = hashlib.sha256(forge.point(files.key)).hexdigest()
    right = run(*options, "--key-id", key_id, *APPLE_OPTIONS, "--development", "--json")
    assert right.exit_code == 0, right.output
    production = run(*options, *APPLE_OPTIONS, "--json")
    assert report(production)["reasons"] == ["app_attest.environment"]


def test_app_from_the_configuration(files: Files) -> None:
    """--app expects an app of watchword.yaml, and says which there are."""
    config = files.folder / "watchword.yaml"
    assert CliRunner().invoke(cli, ["-c", str(config), "init"]).exit_code == 0
    command = ["-c", str(config), "verify", "evidence", *map(str, files.android()), "--json"]
    name = next(iter(load_settings(config).apps))
    result = CliRunner().invoke(cli, [*command, "--app", name])
    assert result.exit_code == 1
    assert {"policy.app_id", "evidence.platform"} & set(report(result)["reasons"])
    unknown = CliRunner().invoke(cli, [*command, "--app", "nobody"])
    assert unknown.exit_code == 2
    assert name in unknown.output


def test_clock_is_an_option(files: Files) -> None:
    """Evidence is verified as of --at; a time without an offset is UTC."""
    options = files.ios()
    options[-1] = "2026-11-01T12:00:00"
    assert run(*options).exit_code == 0
    options[-1] = "2036-11-01"
    assert report(run(*options, "--json"))["reasons"] == ["attestation.certificate_expired"]


@pytest.mark.parametrize(
    ("content", "format_"), [(b"garbage", "app-attest"), (b"\x30\x03abc", "android-key")]
)
def test_garbage_is_rejected_as_malformed(files: Files, content: bytes, format_: str) -> None:
    """What can't be read is a rejection with its reason, not a crash."""
    result = run("--format", format_, "--file", files.write("x", content), "--json")
    assert result.exit_code == 1
    assert report(result)["reasons"] == ["evidence.malformed"]
    assert report(result)["claims"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--format", "android-key"],
        ["--format", "tpm", "--file", "{chain}"],
        ["--format", "android-key", "--file", "/missing"],
        ["--vectors", "{folder}", "--challenge", "00"],
        ["--format", "android-key", "--file", "{chain}", "--client-data-hash", "00"],
        ["--format", "android-key", "--file", "{chain}", "--team-id", "T"],
        ["--format", "android-key", "--file", "{chain}", "--package", "p"],
        ["--format", "android-key", "--file", "{chain}", "--challenge", "no bytes!"],
        ["--format", "android-key", "--file", "{chain}", *PACKAGE, "--signing-digest", "00ff"],
        ["--format", "app-attest", "--file", "{chain}", "--client-data-hash", "00ff"],
        ["--format", "android-key", "--file", "{chain}", "--at", "yesterday"],
        ["--format", "app-attest", "--file", "{chain}", "--public-key", "{chain}"],
        ["--format", "android-key", "--file", "{chain}", "--public-key", "{chain}"],
        ["--format", "android-key", "--file", "{chain}", "--key-id", "AAAA"],
        ["--format", "android-key", "--file", "{chain}", "--development"],
        ["--format", "android-key", "--file", "{chain}", *ANDROID_OPTIONS, *APPLE_OPTIONS],
        ["--format", "android-key", "--file", "{chain}", *ANDROID_OPTIONS, "--app", "x"],
        ["--format", "app-attest", "--file", "{chain}", *APPLE_OPTIONS, "--app", "x"],
        ["--format", "app-attest", "--file", "{chain}", "--status", "{chain}"],
        [*ASSERTION, "--at", "2026-01-01"],
        [*ASSERTION, "--anchors", "{chain}"],
        [*ASSERTION, "--key-id", "AAAA"],
        [*ASSERTION, "--client-data-hash", "00" * 32],
        [*ASSERTION, "--policy", "strict"],
        ["--format", "play-integrity", "--file", "{chain}", "--status", "{chain}"],
        ["--format", "play-integrity", "--file", "{chain}", "--decryption-key", "{chain}"],
        ["--format", "android-key", "--file", "{chain}", *PLAY_KEYS],
        ["--vectors", "{folder}", "--explain"],
    ],
)
def test_wrong_usage(files: Files, arguments: list[str]) -> None:
    """Options that don't go together, or that nothing would come of, are explained: exit 2."""
    files.android()
    places = {"chain": files.folder / "chain.pem", "folder": files.folder}
    result = run(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize("option", ["--file", "--anchors", "--status"])
def test_file_of_another_kind_is_wrong_usage(
    files: Files, option: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A file that isn't what it is named as says so: exit 2, the file, what was expected."""
    files.android()
    wrong = files.folder / "wrong.txt"
    wrong.write_text("{]")
    given = {"--file": str(files.folder / "chain.pem"), option: str(wrong)}
    arguments = [part for pair in given.items() for part in pair]
    result = run("--format", "android-key", *arguments)
    assert isinstance(result.exception, Exception)
    assert fail(result.exception) == 2
    assert str(wrong) in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("00ff", b"\x00\xff"),
        ("00FF", b"\x00\xff"),
        ("hex:00ff", b"\x00\xff"),
        ("AP8=", b"\x00\xff"),
        ("AP8", b"\x00\xff"),
        ("-_8", b"\xfb\xff"),
        ("+/8=", b"\xfb\xff"),
        ("base64:abcd", b"\x69\xb7\x1d"),
        ("text:00ff", b"00ff"),
        ("text:a:b", b"a:b"),
        ("text:", b""),
        ("", b""),
    ],
)
def test_bytes_as_people_write_them(text: str, data: bytes) -> None:
    """Hex before base64, and a word in front that settles it."""
    assert parse_bytes(text).data == data


@pytest.mark.parametrize("text", ["hex:0", "hex:xy", "base64:!", "a", "zz", "other:00", "00 ff!"])
def test_text_that_is_no_bytes(text: str) -> None:
    """Anything else is refused, not guessed; ``zz`` is a slip of hex that base64 nearly takes."""
    with pytest.raises(EvidenceFileError):
        parse_bytes(text)


class Folder:
    """Write a folder of recorded evidence."""

    def __init__(self, files: Files) -> None:
        """Record one genuine chain, one unlocked, and one of a kind that isn't ours."""
        self.files = files
        root = files.google.root.certificate.public_bytes(Encoding.PEM).decode()
        files.write("roots.json", json.dumps([root]))
        entries = {"entries": {"abc": {"status": "REVOKED"}}}
        files.write("status-2026.json", json.dumps(entries))
        self.rows = [
            self.row("genuine", accept=True),
            self.row(
                "unlocked",
                accept=False,
                hardware=forge.hardware_tags(tag_704=forge.root_of_trust(locked=b"\x00")),
            ),
            {"id": "other", "kind": "webauthn-apple", "file": "none"},
        ]

    def row(self, name: str, *, accept: bool, **description: Any) -> dict[str, Any]:
        """Write a chain and return its row."""
        leaf = self.files.google.leaf(forge.key_description(**description))
        chain = self.files.google.evidence(leaf).chain
        self.files.write(f"{name}.pem", pem(*chain))
        return {
            "id": name,
            "kind": "android-key-attestation",
            "file": f"{name}.pem",
            "valid_at": AT,
            "recorded": {"challenge": base64.b64encode(forge.BINDING).decode()},
            "expected": {"attestationVersion": 400, "hardwareEnforced": {"purpose": [2, 3]}},
            "computed_verdict": {"accept": accept},
        }

    def run(self, *arguments: str) -> Result:
        """Write the index and verify the folder."""
        self.files.write("index.json", json.dumps(self.rows))
        return run("--vectors", self.files.folder, *arguments)


def test_folder_that_agrees(files: Files) -> None:
    """Every verdict and field as recorded: exit 0; what was skipped is told, on stderr with --json."""
    folder = Folder(files)
    result = folder.run("--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["id"] for line in lines] == ["genuine", "unlocked"]
    assert [line["verdict"] for line in lines] == ["accept", "reject"]
    assert all(line["agrees"] for line in lines)
    assert "webauthn-apple isn't a format of Watchword" in result.stderr
    assert "2 of 2 agree" in folder.run().stdout


@pytest.mark.parametrize(
    "mutate",
    [
        {"computed_verdict": {"accept": False}},
        {"expected": {"attestationVersion": 300}},
        {"expected": {"hardwareEnforced": {"purpose": [2]}}},
        {"expected": {"hardwareEnforced": {"missing": 1}}},
        {"expected": {"softwareEnforced": {"attestationId": {"imei": "1"}}}},
        {"recorded": {"challenge": "b3RoZXI="}},
    ],
)
def test_folder_that_differs(files: Files, mutate: dict[str, Any]) -> None:
    """One verdict or one field that differs is shown, and the exit code is 1."""
    folder = Folder(files)
    folder.rows[0].update(mutate)
    result = folder.run("--json")
    assert result.exit_code == 1
    first = json.loads(result.stdout.splitlines()[0])
    assert not first["agrees"]
    assert len(first["differences"]) == 1
    assert "genuine: " in folder.run().stdout


def test_recorded_identifiers_are_not_shown(files: Files) -> None:
    """A chain that can't be read differs in everything; what was recorded of it stays in the record."""
    folder = Folder(files)
    lists = {"attestationId": {"imei": "SECRET"}}
    folder.rows[0]["expected"] = {"uniqueId": "SECRET", "hardwareEnforced": lists}
    files.write("genuine.pem", pem(b"\x30\x00", b"\x30\x00"))
    for result in (folder.run(), folder.run("--json")):
        assert result.exit_code == 1
        assert "SECRET" not in result.output


def test_folder_without_anything_of_ours_proves_nothing(files: Files) -> None:
    """An empty comparison isn't a success."""
    folder = Folder(files)
    folder.rows = folder.rows[2:]
    assert folder.run().exit_code == 1


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "{}",
        "",
        "[" * 100_000,
        f"[{' ' * (16 * 1024 * 1024)}]",
    ],
)
def test_folder_with_a_broken_index(files: Files, index: str) -> None:
    """An index that isn't one is an error, not an empty success."""
    files.write("index.json", index)
    result = run("--vectors", files.folder)
    assert result.exit_code != 0
    assert isinstance(result.exception, EvidenceFileError)
