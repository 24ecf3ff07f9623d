"""Rows of an index of recorded evidence that aren't what they should be: a fault each, by row and member."""

import base64
import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.attestation import forge

from watchword.apps.cli.main import cli
from watchword.apps.evidence.vectors import Compared, Faulty, Skipped, verify_folder

AT = forge.NOW.isoformat()
KEY = forge.p256()

ANDROID = {
    "id": "android",
    "kind": "android-key-attestation",
    "file": "android.pem",
    "valid_at": AT,
    "recorded": {"challenge": base64.b64encode(forge.BINDING).decode()},
    "expected": {"attestationVersion": 400},
    "computed_verdict": {"accept": True},
}
ATTESTATION = {
    "id": "attestation",
    "kind": "app-attest-attestation",
    "file": "attestation.cbor",
    "valid_at": AT,
    "app_id": "TEAM123456.org.example.clinic",
    "challenge": {"value": "statement", "encoding": "utf8", "client_data_hash": "sha256"},
    "expected": {"key_id": base64.b64encode(b"k" * 32).decode(), "environment": "production"},
    "computed_verdict": {"accept": False},
}
ASSERTION = {
    "id": "assertion",
    "kind": "app-attest-assertion",
    "file": "assertion.cbor",
    "app_id": "TEAM123456.org.example.clinic",
    "verified_with": {
        "client_data": b"statement".hex(),
        "encoding": "hex",
        "client_data_hash": "sha256",
        "public_key_spki": base64.b64encode(forge.spki(KEY)).decode(),
    },
    "expected": {"counter": 7},
    "computed_verdict": {"accept": True},
}
RECEIPT = {
    "id": "receipt",
    "kind": "app-attest-receipt",
    "file": "receipt.der",
    "expected": {},
    "signature_ok": True,
    "signer_validity": ["2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z"],
    "computed_verdict": {"accept": False},
}
ROWS: tuple[Mapping[str, Any], ...] = (ANDROID, ATTESTATION, ASSERTION, RECEIPT)
ABSENT = object()

# What a row may do without, or leave null: optional by the form of the recordings.
OPTIONAL: dict[tuple[str, str], set[Any]] = {
    ("android", "recorded"): {ABSENT, None},
    ("android", "recorded.challenge"): {ABSENT, None},
    ("android", "expected"): {None},
    ("attestation", "expected.environment"): {ABSENT},
    # Without a challenge it is the hash that is missing, and named.
    ("attestation", "challenge"): set(),
    ("assertion", "verified_with"): {ABSENT, None},
    **{(row["id"], "computed_verdict"): {ABSENT, None} for row in ROWS},
    **{(row["id"], "computed_verdict.accept"): {ABSENT} for row in ROWS},
}
INSTEAD = {("attestation", "challenge"): "client_data_hash"}


def members(row: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of each member that is read; what was recorded of fields is only compared."""
    for name, value in row.items():
        yield path + name
        if isinstance(value, dict) and name != "expected":
            yield from members(value, f"{path}{name}.")
    if row.get("kind") == "app-attest-attestation":
        yield from ("expected.key_id", "expected.environment")


def wrong(path: str, value: Any) -> list[Any]:
    """Return what doesn't belong there: nothing, null, other types, and absurd sizes."""
    name = path.rpartition(".")[2]
    if isinstance(value, dict):
        return [ABSENT, None, [], "text", 7, True]
    if isinstance(value, list):
        return [ABSENT, None, {}, 7]
    if name == "signature_ok":
        return [ABSENT, None, [], {}, 7]
    if isinstance(value, bool):
        return [ABSENT, None, [], {}, "yes", 7, 2**80]
    absurd = "x" * 1_100_000
    return [ABSENT, None, [], {}, 7, True, 1.5, "", absurd, 2**63, 10**39, float("nan")]


def put(row: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a row with one member replaced or taken out."""
    mutated = copy.deepcopy(dict(row))
    *above, name = path.split(".")
    within = mutated
    for each in above:
        within = within[each]
    if value is ABSENT:
        del within[name]
    else:
        within[name] = value
    return mutated


@dataclass
class Folder:
    """Hold a folder of forged evidence."""

    path: Path

    def verify(self, *rows: Any) -> list[Compared | Skipped | Faulty]:
        """Write an index and verify it; numbers that Python won't print are written by hand."""
        text = json.dumps(list(rows), default=str)
        (self.path / "index.json").write_text(text)
        return list(verify_folder(self.path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a folder with a file for each row."""
    path = tmp_path_factory.mktemp("vectors")
    google = forge.google()
    chain = google.evidence().chain
    pem = [x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in chain]
    (path / "android.pem").write_bytes(b"".join(pem))
    root = google.root.certificate.public_bytes(Encoding.PEM).decode()
    (path / "roots.json").write_text(json.dumps([root]))
    (path / "attestation.cbor").write_bytes(forge.apple().evidence().attestation)
    (path / "assertion.cbor").write_bytes(forge.assertion(KEY, b"statement", counter=7))
    (path / "receipt.der").write_bytes(b"no receipt")
    return Folder(path)


def test_rows_as_they_should_be(folder: Folder) -> None:
    """Each is compared; so a fault below comes from what was mutated."""
    assert [type(found) for found in folder.verify(*ROWS)] == [Compared] * 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_each_member_null_missing_mistyped_and_absurd(
    folder: Folder, row: Mapping[str, Any]
) -> None:
    """A fault that names the row and the member, short enough to read; the rows around it go on."""
    for path in members(row):
        value = row
        for name in path.split("."):
            value = value[name]
        for bad in wrong(path, value):
            before, found, after = folder.verify(ANDROID, put(row, path, bad), ASSERTION)
            assert isinstance(before, Compared)
            assert isinstance(after, Compared)
            told = repr(bad)[:40]
            if any(bad is each for each in OPTIONAL.get((row["id"], path), ())):
                assert not isinstance(found, Faulty), (path, told)
                continue
            if path == "kind" and isinstance(bad, str) and 0 < len(bad) < 256:
                assert isinstance(found, Skipped)
                continue
            assert isinstance(found, Faulty), (path, told)
            assert found.id == ("row 1" if path == "id" else row["id"])
            named = INSTEAD.get((row["id"], path), path) if bad in (ABSENT, None) else path
            assert found.why.startswith(f"{named}: got "), (path, told, found.why)
            assert len(found.why) < 1000


@pytest.mark.parametrize(
    "name",
    ["/dev/zero", "../outside", "nothing-there", ".", "index.json\x00", "x" * 255, "a/../../b"],
)
def test_files_that_are_none_of_the_folder(folder: Folder, name: str) -> None:
    """A name of nothing, or of something elsewhere, is a fault of its member."""
    for row in ROWS:
        _, found = folder.verify(ANDROID, {**row, "file": name})
        assert isinstance(found, Faulty)
        assert found.why.startswith("file: got ")


@pytest.mark.parametrize(
    ("row", "member", "value"),
    [
        (ANDROID, "valid_at", "2026-11-01T12:00:00"),
        (ANDROID, "valid_at", "yesterday"),
        (ATTESTATION, "app_id", "noteam"),
        (ATTESTATION, "app_id", ".bundle"),
        (ATTESTATION, "app_id", "TEAM123456."),
    ],
)
def test_texts_that_say_nothing(
    folder: Folder, row: Mapping[str, Any], member: str, value: str
) -> None:
    """The right type isn't enough."""
    (found,) = folder.verify({**row, member: value})
    assert isinstance(found, Faulty)
    assert found.why.startswith(f"{member}: got ")


def test_rows_that_are_no_objects_and_long_numbers(folder: Folder) -> None:
    """They are named by where they stand; a number that Python refuses to read is a text."""
    index = f'[7, null, "x", [], {json.dumps(ANDROID)}, {{"id": {"9" * 5000}}}]'
    (folder.path / "index.json").write_text(index)
    found = list(verify_folder(folder.path))
    assert [type(each) for each in found] == [Faulty] * 4 + [Compared, Faulty]
    assert [each.id for each in found if isinstance(each, Faulty)] == [
        "row 0", "row 1", "row 2", "row 3", "row 5",
    ]  # fmt: skip
    assert found[1] == Faulty("row 1", "got null, expected an object")


def test_the_command_tells_faults_and_exits_with_one(folder: Folder) -> None:
    """The other rows are shown; the exit code says that not all agree."""
    folder.verify({**ANDROID, "id": "good"}, {**ATTESTATION, "app_id": None})
    command = ["verify", "evidence", "--vectors", str(folder.path)]
    shown = CliRunner().invoke(cli, command)
    assert shown.exit_code == 1, shown.output
    assert "attestation: app_id: got null, expected a text" in shown.output
    assert "1 of 1 agree with the record" in shown.output
    assert "faulty          1" in shown.output
    lines = [
        json.loads(line)
        for line in CliRunner().invoke(cli, [*command, "--json"]).stdout.splitlines()
    ]
    assert [line["id"] for line in lines] == ["good", "attestation"]
    assert lines[1]["fault"].startswith("app_id: got null")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_nothing_else_comes_out_whatever_is_written(folder: Folder, data: st.DataObject) -> None:
    """Any JSON in place of any member ends in a comparison, a row left out, or a fault."""
    row = data.draw(st.sampled_from(ROWS))
    path = data.draw(st.sampled_from(list(members(row))))
    found = folder.verify(put(row, path, data.draw(JSON)), ASSERTION)
    assert len(found) == 2
    assert isinstance(found[1], Compared)
