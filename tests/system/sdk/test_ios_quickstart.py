"""Show that what the pages of the iOS SDK tell an app to write compiles, and serves on a simulated phone."""

import base64
import json
import re
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from scripts.sdk import ROOT, ios
from tests.machine import patience
from tests.ports import free_port
from tests.system.lab.attested_devices import attester_process
from tests.system.sdk.hosts import Relay, Seen, Upstream, served, unchallenged
from tests.unit.apps.service_process import WATCHWORD, running

PAGE: Final = ROOT / "docs" / "sdk-ios.md"
ERRORS: Final = ROOT / "docs" / "sdk-ios-errors.md"
SELF_TEST: Final = ROOT / "docs" / "sdk-ios-self-test.md"
PINS: Final = ROOT / "docs" / "pinning-ios.md"
PIPELINE: Final = ROOT / "docs" / "sdk-ci.md"
OURS: Final = {"watchword-token", "signature", "signature-input"}

_MODULES: Final = (
    "CryptoKit",
    "DeviceCheck",
    "LabAttester",
    "WatchwordKit",
    "WatchwordTestInstance",
)

_CONFIG: Final = """\
version: 1
environment: lab
service: {{issuer: "{service}", listen: "{service_port}", state: state}}
trust: {{anchors: [lab]}}
apps:
  clinic-ios: {{platform: ios, team_id: KQ7M2ZT9RA, bundle_id: com.example.clinic}}
apis:
  clinic:
    audience: {api}
    apps: [clinic-ios]
    listen: {api_port}
    upstream: {upstream}
    routes:
      - {{path: /patients/1, proof: bearer}}
      - {{path: /payments/**, proof: device}}
      - {{path: /**, proof: session}}
"""


def blocks(page: Path) -> list[str]:
    """Return the files that a page shows: those that import the SDK."""
    found = re.findall(
        r"^ *```swift\n(.*?)^ *```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [text for each in found if "import WatchwordKit\n" in (text := textwrap.dedent(each))]


def program(
    library: Path, sources: Mapping[str, str], addresses: Mapping[str, str], place: Path
) -> Path:
    """Compile an app of these files, with its addresses set to those of a deployment."""
    place.mkdir()
    for name, shown in sources.items():
        # Outside of Apple's systems URLSession stands in a module of its own.
        text = shown.replace(
            "import Foundation\n", "import Foundation\nimport FoundationNetworking\n"
        )
        text = re.sub("|".join(map(re.escape, addresses)), lambda at: addresses[at[0]], text)
        (place / name).write_text(text, encoding="utf-8")
    objects = [str(each) for name in _MODULES for each in (library / f"{name}.build").rglob("*.o")]
    done = subprocess.run(
        [
            "swiftc",
            *("-I", str(library / "Modules"), "-I", str(ios.SOURCES / "Shims" / "COpenSSL")),
            *(str(place / name) for name in sources),
            *(*objects, "-lcrypto", "-o", str(place / "app")),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
        env=ios.environment(),
    )
    assert done.returncode == 0, done.stderr
    return place / "app"


class Deployment:
    """Hold a running lab: addresses, the attester's, and what the API got."""

    def __init__(self, file: Path, addresses: Mapping[str, str], attester: str, seen: Seen) -> None:
        """Keep where everything is."""
        self.file = file
        self.addresses = addresses
        self.attester = attester
        self._seen = seen

    def run(self, app: Path, phone: Path) -> str:
        """Run an app on a phone, and return what it printed."""
        done = subprocess.run(
            [str(app)],
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(60),
            env={
                **ios.environment(),
                "WATCHWORD_LAB_ATTESTER": self.attester,
                "WATCHWORD_LAB_DIRECTORY": str(phone),
            },
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self) -> list[dict[str, Any]]:
        """Return the requests that reached the API."""
        return [each for each in self._seen.rows() if each["host"] == "api"]


@contextmanager
def deployment(place: Path) -> Iterator[Deployment]:
    """Run a service, a proxy, an API and an attester."""
    service, gate = free_port(), free_port()
    relay = Relay("127.0.0.1", gate, unchallenged)
    addresses = {
        "https://attest.clinic.example": f"http://127.0.0.1:{service}",
        "https://api.clinic.example": relay.url,
    }
    seen = Seen()
    with served(Upstream, name="api", seen=seen, elsewhere="http://127.0.0.1:9") as upstream:
        file = place / "watchword.yaml"
        text = _CONFIG.format(
            service=f"http://127.0.0.1:{service}",
            service_port=f"127.0.0.1:{service}",
            api=relay.url,
            api_port=f"127.0.0.1:{gate}",
            upstream=upstream,
        )
        file.write_text(text, encoding="utf-8")
        with closing(relay), running(file), attester_process(file) as (attester, _):
            yield Deployment(file, addresses, attester, seen)


def test_the_quickstart_compiles_and_serves(swift_modules: Path, tmp_path: Path) -> None:
    """The app is answered, by a phone of the lab and by one of a simulator, and the API sees nothing of Watchword's proofs."""
    shown = [*blocks(PAGE), *blocks(ERRORS)]
    sources = {f"Block{number}.swift": text for number, text in enumerate(shown)}
    assert len(sources) >= 7
    sources["main.swift"] = textwrap.dedent("""\
        import Foundation
        import WatchwordKit

        print(try await Clinic().patients())
        """)
    with deployment(tmp_path) as lab:
        app = program(swift_modules, sources, lab.addresses, tmp_path / "app")
        printed = lab.run(app, tmp_path / "phone")
        (row,) = lab.rows()
        assert row["target"] == "/patients", printed
        assert not OURS & row["headers"].keys()
        # The next start goes on with what was kept.
        lab.run(app, tmp_path / "phone")
        listed = subprocess.run(
            [*WATCHWORD, "--config", str(lab.file), "instances", "list", "--json"],
            capture_output=True,
            text=True,
            check=True,
            timeout=patience(60),
        )
    assert [json.loads(line)["level"] for line in listed.stdout.splitlines()] == ["hardware"]


def test_what_the_page_on_pipelines_shows_compiles(swift_modules: Path, tmp_path: Path) -> None:
    """A test build of an app can write what it says."""
    (block,) = blocks(PIPELINE)
    sources = {"Block.swift": block, "main.swift": "print(0)\n"}
    api = "https://api.clinic.example"
    assert program(swift_modules, sources, {api: api}, tmp_path / "app").is_file()


def test_what_the_page_on_pins_shows_compiles(swift_modules: Path, tmp_path: Path) -> None:
    """An app can write what it says; whom it refuses needs Apple's systems."""
    sources = {f"Block{number}.swift": text for number, text in enumerate(blocks(PINS))}
    assert len(sources) == 2
    sources["main.swift"] = "import WatchwordKit\n\nprint(try pinnedWatchword())\n"
    api = "https://api.clinic.example"
    assert program(swift_modules, sources, {api: api}, tmp_path / "app").is_file()


def test_a_simulator_is_a_phone_of_the_lab(swift_modules: Path, tmp_path: Path) -> None:
    """`Watchword.lab` enrols without DeviceCheck, by the attester that the app names, and each of two phones is one."""
    main = textwrap.dedent("""\
        import Foundation
        import WatchwordKit
        import WatchwordTestInstance

        let api = "https://api.clinic.example"
        let configuration = Watchword.Configuration(service: "https://attest.clinic.example", app: "clinic-ios", audiences: [api])
        for name in ["ada", "bob"] {
            let attester = URL(string: CommandLine.arguments.last ?? "")
            let watchword = try Watchword.lab(configuration, attester: attester ?? URL(fileURLWithPath: "/"), device: name)
            let session = URLSession.watchword(watchword, audience: api)
            let url = URL(string: api + "/payments/1")
            let (_, response) = try await session.data(from: url ?? URL(fileURLWithPath: "/"))
            print((response as? HTTPURLResponse)?.statusCode ?? 0, watchword.level ?? "none")
        }
        """)
    with deployment(tmp_path) as lab:
        text = main.replace('CommandLine.arguments.last ?? ""', json.dumps(lab.attester))
        app = program(swift_modules, {"main.swift": text}, lab.addresses, tmp_path / "app")
        assert lab.run(app, tmp_path / "phone") == "200 hardware\n200 hardware\n"
        assert [row["target"] for row in lab.rows()] == ["/payments/1", "/payments/1"]


def test_a_release_refuses_test_instances(swift_modules: Path) -> None:
    """`WatchwordTestInstance` compiles where `DEBUG` is set, as SwiftPM and Xcode do for debug builds, and nowhere else."""
    sources = sorted((ios.SOURCES / "Sources" / "WatchwordTestInstance").glob("*.swift"))
    command = [
        *("swiftc", "-typecheck", "-module-name", "WatchwordTestInstance"),
        *("-I", str(swift_modules / "Modules"), "-I", str(ios.SOURCES / "Shims" / "COpenSSL")),
    ]

    def compiled(*options: str) -> str:
        done = subprocess.run(
            [*command, *options, *map(str, sources)],
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(120),
            env=ios.environment(),
        )
        return done.stderr if done.returncode else ""

    assert compiled("-D", "DEBUG") == ""
    assert "error: WatchwordTestInstance is for debug builds" in compiled()


def test_the_self_tests_report_is_what_the_command_line_verifies(
    swift_modules: Path, tmp_path: Path
) -> None:
    """Every step passes on a lab's phone, each proof is seen, and the evidence verifies as the page says."""
    (block,) = blocks(SELF_TEST)
    main = textwrap.dedent("""\
        import Foundation
        import WatchwordKit

        let api = "https://api.clinic.example"
        try await selfTest(.init(service: "https://attest.clinic.example", app: "clinic-ios", audiences: [api]))
        """)
    with deployment(tmp_path) as lab:
        # Where an app's documents lie is Apple's to say.
        documents = "FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)[0]"
        assert documents in block
        own = {documents: f'URL(fileURLWithPath: "{tmp_path}")', **lab.addresses}
        sources = {"Block.swift": block, "main.swift": main}
        lab.run(program(swift_modules, sources, own, tmp_path / "app"), tmp_path / "phone")
        file = tmp_path / "self-test.json"
        report = json.loads(file.read_text("utf-8"))
        assert [step for step in report["steps"] if not step["passed"]] == []
        assert report["passed"]
        assert [row["target"] for row in lab.rows()] == ["/patients/1", "/records/1", "/payments/1"]
        evidence = report["evidence"]
        attestation = tmp_path / "attestation.cbor"
        attestation.write_bytes(base64.b64decode(evidence["attestation"]))
        # A lab has roots of its own.
        anchors = tmp_path / "lab.json"
        told = [*WATCHWORD, "--config", str(lab.file), "lab", "anchors", "-o", str(anchors)]
        subprocess.run(told, check=True, capture_output=True, timeout=patience(60))
        done = subprocess.run(
            [
                *(
                    *WATCHWORD,
                    "--config",
                    str(lab.file),
                    "verify",
                    "evidence",
                    "--format",
                    "app-attest",
                ),
                *("--file", str(attestation), "--app", "clinic-ios", "--explain"),
                *("--anchors", str(anchors)),
                *(
                    "--client-data-hash",
                    evidence["client_data_hash"],
                    "--key-id",
                    f"hex:{evidence['key_id']}",
                ),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(60),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    # Nothing of the instance is left on the phone.
    assert list((tmp_path / "phone" / "keychain").glob("*")) == []
