"""Set up a deployment with this version, use it, and keep what it left behind: ``python -m tests.system.upgrade.record``.

What stands in ``tests/system/upgrade/VERSION`` is read by every later version.  It is recorded once, from the commit that
is released, and never again: a file that was recorded by later code would prove nothing.
"""

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.machine import patience
from tests.ports import free_port
from tests.system.apps.test_audit_ingest import line
from tests.unit.apps.service_process import WATCHWORD, running, upstream
from tests.unit.scan.app_builders import apk

from watchword import __version__
from watchword.adapters.openbao.documents import to_document
from watchword.adapters.pin_workspace import PinWorkspace
from watchword.adapters.rollout_states import RolloutStateFile
from watchword.adapters.system import SystemClock
from watchword.apps.lab.phones import kept_client
from watchword.apps.settings.load import load_settings
from watchword.broker.interface import SecretRecord, SecretValue, SecretVersion
from watchword.client import DeliveredSecrets
from watchword.client.pinning.installation import FilePinStore, Kept
from watchword.gate.decisions import RolloutState

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
LISTENS: Final = {"8440": "service", "8080": "proxy", "9000": "upstream", "9001": "list"}
"""The ports that the recorded ``watchword.yaml`` names, and what each is for; whoever runs it names free ones."""

CONFIGURATION: Final = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:18440
  listen: 127.0.0.1:8440
  state: .watchword
trust:
  anchors: [lab, vendors]
  revocation: {fetch: true, url: "http://127.0.0.1:9001/status", max_age: 30d}
records: {keep: 3650d, max_megabytes: 16}
plan:
  observers:
    ci: {key: observer.jwk}
  assets:
    payments:
      kind: service
      impact: 5
      because: money would be gone
      routes: [{api: clinic, path: /payments/**}]
drill:
  clinic:
    requests:
      - {path: /patients.json}
      - {path: /records/1}
      - {path: /payments/1}
apps:
  clinic-ios: {platform: ios, team_id: ABCDE12345, bundle_id: com.example.clinic}
  clinic-android:
    platform: android
    package: com.example.clinic
    signing_digests: [4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718]
    minimum_version: 100
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [clinic-ios, clinic-android]
    listen: 127.0.0.1:8080
    upstream: http://127.0.0.1:9000
    replay: {mode: shared}
    rate: {requests: 300, per: 1m}
    limits:
      - {name: few, kind: quota, requests: 200, per: 1d, routes: [/**]}
    routes:
      - {path: /health, methods: [GET], mode: off}
      - {path: /maps/**, secret: maps, proof: session}
      - {path: /records/**, proof: session}
      - {path: /payments/**, proof: device}
      - {path: /new/**, mode: canary, canary: {share: 50, budget: 2}}
      - {path: /**}
secrets:
  master_key: {file: master.key}
  keys:
    maps:
      edge:
        origin: https://127.0.0.1:9
        paths: [/geocode/**]
        private: true
        add: {header: Authorization, prefix: "Bearer "}
        quota: {calls: 100, per: 1d}
    push:
      deliver: {apps: [clinic-ios], level: hardware, lease: 30d}
pins:
  directory: pins
  hosts:
    api.clinic.example: {apps: [clinic-android], mode: report}
"""
OLD_VALUES: Final = {"maps": "lab-maps-key-0001", "push": "lab-push-key-0001"}
NEW_VALUE: Final = "lab-maps-key-0002"
NARROWED: Final = 25.0
"""Percent of the instances that the recorded canary was narrowed to."""

SERIAL: Final = "c0ffee"
"""The serial that the status list revokes."""


class StatusList(BaseHTTPRequestHandler):
    """Hand out a status list as Google's server does."""

    def do_GET(self) -> None:
        """Answer with one revoked serial."""
        body = json.dumps({"entries": {SERIAL: {"status": "REVOKED", "reason": "KEY_COMPROMISE"}}})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: Any) -> None:
        """Stay quiet."""


def with_ports(text: str, **ports: int) -> str:
    """Return a recorded ``watchword.yaml`` with other ports than the recorded ones; the issuer keeps its own."""
    for port, name in LISTENS.items():
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ports[name]}")
    return text


class Deployment:
    """Hold a directory in which this version's commands are run as a user would."""

    def __init__(self, directory: Path) -> None:
        """Take an empty directory."""
        self.directory = directory
        self.config = directory / "run.yaml"

    def run(self, *arguments: str, given: str = "", codes: tuple[int, ...] = (0,)) -> str:
        """Run a command, and return what it printed on stdout; raise RuntimeError where it ended otherwise than expected."""
        done = subprocess.run(
            [*WATCHWORD, "-c", self.config.name, *arguments],
            cwd=self.directory,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience(120),
        )
        if done.returncode not in codes:
            raise RuntimeError(
                f"{arguments} ended with {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done.stdout

    def json(self, *arguments: str, **more: Any) -> Any:
        """Run a command that prints one JSON document."""
        return json.loads(self.run(*arguments, "--json", **more))

    def rows(self, *arguments: str) -> list[Any]:
        """Run a command that prints a JSON object a line."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]


def use(deployment: Deployment) -> dict[str, Any]:
    """Use each thing that is kept, at a running service, and return what a later version must still know."""
    facts: dict[str, Any] = {}
    for kind in ("genuine-iphone", "genuine-android", "rkp-strongbox-android", "ios-26-iphone"):
        deployment.run("lab", "request", kind, "/patients.json")
    deployment.run("lab", "request", "genuine-iphone", "/records/1")
    deployment.run("lab", "request", "genuine-iphone", "/payments/1")
    deployment.run("lab", "request", "genuine-iphone", "/maps/geocode/x", codes=(1,))
    deployment.run("lab", "request", "unlocked-android", "/patients.json", codes=(1,))
    rows = {row["instance"]: row for row in deployment.rows("instances", "list")}
    facts["instances"] = rows
    android = next(each for each, row in rows.items() if row["app"] == "clinic-android")
    deployment.run("instances", "revoke", android, "--because", "phone stolen")
    facts["revoked"] = android
    deployment.run("lab", "revoke", "rkp-strongbox-android")
    _secrets(deployment, facts)
    _test_instances(deployment, facts)
    deployment.run("keys", "rotate")
    deployment.run("keys", "rotate", "--purpose", "gates")
    deployment.run("lab", "request", "genuine-iphone", "/patients.json")
    facts["keys"] = deployment.rows("keys", "list")
    log = deployment.directory / "envoy.log"
    log.write_bytes(line(route="/records/**") + b"\n")
    deployment.run("audit", "ingest", "--engine", "envoy", log.name)
    return facts


def _secrets(deployment: Deployment, facts: dict[str, Any]) -> None:
    for name, value in OLD_VALUES.items():
        deployment.run("secrets", "add", name, given=value)
    deployment.run("secrets", "rotate", "maps", given=NEW_VALUE)
    made = deployment.json("secrets", "canary", "add", "old-api-key", "--like", "generic")
    facts["canary"] = made["key"]
    settings = load_settings(deployment.config)
    api = settings.apis["clinic"]
    headers = {"Authorization": f"Bearer {made['key']}"}
    httpx.get(f"http://{api.listen}/patients.json", headers=headers)
    with (
        kept_client(
            settings, "genuine-iphone", settings.apps["clinic-ios"], api, new=False
        ) as client,
        DeliveredSecrets(client) as secrets,
    ):
        facts["delivered"] = secrets.value("push")
    deployment.run("lab", "request", "ios-26-iphone", "/patients.json")


def _test_instances(deployment: Deployment, facts: dict[str, Any]) -> None:
    for name in ("spent", "waiting", "cancelled"):
        code = deployment.json(
            *("instances", "invite", "--app", "clinic-ios", "--because", name),
            *("--for", "30d", "--expires", "24h"),
        )
        facts[f"invitation_{name}"] = code
    spent, cancelled = facts["invitation_spent"], facts["invitation_cancelled"]
    deployment.run(
        "drill", "enrol", "--app", "clinic-ios", "-o", "instance.json", given=spent["code"]
    )
    deployment.run("instances", "cancel", cancelled["id"])


def pins(deployment: Deployment) -> None:
    """Make a workspace, root lists, a pinned host, a published set, a release, and what an app keeps of them."""
    directory = deployment.directory
    deployment.run("pins", "init")
    deployment.run(
        *("pins", "root", "init", "-d", "roots", "--keys", "3", "--threshold", "2"),
        *("--pin-key", "pins/pin-key.jwk"),
    )
    deployment.run("pins", "root", "accept", "roots/roots-1.json")
    for role in ("current", "backup"):
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        data = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (directory / f"{role}.pub").write_bytes(data)
        deployment.run(
            *("pins", "add", "api.clinic.example", "--key", f"{role}.pub", "--role", role)
        )
    deployment.run(
        *("pins", "publish", "--force", "--reason", "there is no such server"),
        *("--resolve", "api.clinic.example=127.0.0.1:9"),
    )
    deployment.run("pins", "release", "clinic-android", "4.2.0", "-o", "watchword_pins.json")
    workspace = PinWorkspace(directory / "pins")
    (version,) = workspace.set_versions("clinic-android")
    signed = workspace.read_set("clinic-android", version)
    FilePinStore(directory / "app-pins.json").save(Kept(1, (), signed, version))


def evidence_files(deployment: Deployment, facts: dict[str, Any]) -> None:
    """Make each document that a later version is given: of plan, scan, drill and the lab."""
    directory = deployment.directory
    (directory / "app.apk").write_bytes(apk(strings=[f"ghp_{'x' * 36}"]))
    deployment.run("drill", "keygen", "-o", "drill.pem")
    drilled = deployment.run("drill", "--sign", "observer.pem", "--genuine", "5", "--json")
    _write(directory / "drill.json", drilled)
    deployment.run(
        *("observe", "record", "PR-B07", "--target", "api:clinic", "--key", "scan:api.bola_test"),
        *("--source", "review of 2026", "--sign", "observer.pem"),
    )
    _write(directory / "observations.json", deployment.run("observe", "export"))
    _write(directory / "plan.json", deployment.run("plan", "--json"))
    _write(directory / "scan.json", deployment.run("scan", "app.apk", "--json"))
    deployment.run(
        *("scan", "app.apk", "--sign", "observer.pem", "--app", "clinic-android", "--json")
    )
    deployment.run("scan", "baseline", "scan.json", "-o", "baseline.json")
    deployment.run("lab", "anchors", "-o", "lab-anchors.json")
    record = SecretRecord("maps", (SecretVersion(1, SecretValue("lab-key"), 1_800_000_000),))
    _write(directory / "openbao-secret.json", json.dumps(to_document(record)))
    facts["exposure"] = deployment.json("plan")["exposure"]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def rollout(deployment: Deployment) -> None:
    """Keep a canary that was narrowed, as a gate does once fifty instances were refused."""
    settings = load_settings(deployment.config)
    route = next(each for each in settings.apis["clinic"].routes if each.canary is not None)
    assert route.canary is not None
    state = RolloutState(share=NARROWED, tripped_at=1_800_000_000.0, canary=route.canary)
    RolloutStateFile(settings.service.gates / "clinic.canary").keep({route.name: state})


def deploy(directory: Path) -> dict[str, Any]:
    """Set up a deployment in an empty directory, use it, stop it, and return what must still be known of it."""
    directory.chmod(0o700)
    deployment = Deployment(directory)
    (directory / "template").mkdir()
    subprocess.run(
        [*WATCHWORD, "init"], cwd=directory / "template", check=True, capture_output=True
    )
    text = CONFIGURATION
    (directory / "watchword.yaml").write_text(text, encoding="utf-8")
    with upstream(StatusList) as listed, upstream() as api:
        ports = {"service": free_port(), "proxy": free_port(), "upstream": api, "list": listed}
        deployment.config.write_text(with_ports(text, **ports), encoding="utf-8")
        deployment.run("observe", "keygen", "-o", "observer.pem")
        deployment.run("check")
        pins(deployment)
        with running(deployment.config) as (_, process):
            facts = use(deployment)
            evidence_files(deployment, facts)
            process.send_signal(signal.SIGTERM)
            process.wait(patience(30))
        rollout(deployment)
    edge = directory / "edge"
    edge.mkdir(0o700)
    for name in ("clinic.jws", "signer.jwk", "clinic.heard"):
        if (found := directory / ".watchword" / "gates" / name).exists():
            shutil.copy2(found, edge)
    for name in ("run.yaml", "app.apk", "envoy.log"):
        (directory / name).unlink()
    return facts


def packed(directory: Path) -> bytes:
    """Return a directory as one archive: modes and bytes are kept, owners aren't."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz", preset=9) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_dir() or path.is_file():
                entry = archive.gettarinfo(path, str(path.relative_to(directory)))
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                with path.open("rb") if path.is_file() else io.BytesIO() as file:
                    archive.addfile(entry, file)
    return data.getvalue()


def unpacked(version: str, directory: Path) -> dict[str, Any]:
    """Put back what a version left behind, modes included, and return what is written down of it."""
    with tarfile.open(HERE / version / "state.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    # The filter leaves directories to the umask; those with keys in them are private.
    for path in (directory, *directory.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    found: dict[str, Any] = json.loads((HERE / version / "recorded.json").read_text("utf-8"))
    return found


def commit() -> str:
    """Return the commit whose code this is; raise RuntimeError where the code differs from it."""
    git = shutil.which("git") or "git"
    changed = subprocess.run(
        [git, "status", "--porcelain", "--", "src"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    if changed.stdout:
        raise RuntimeError(f"src isn't as it was committed:\n{changed.stdout}")
    head = subprocess.run(
        [git, "log", "-1", "--format=%H", "--", "src"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return head.stdout.strip()


def main() -> int:
    """Record this version, unless it was recorded before."""
    place = HERE / __version__
    if place.exists():
        sys.stderr.write(f"{place.relative_to(ROOT)} is there: a version is recorded once.\n")
        return 1
    known = {
        "version": __version__,
        "commit": commit(),
        "at": f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ}",
    }
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch).resolve() / "deployment"
        directory.mkdir()
        facts = deploy(directory)
        files = {
            str(path.relative_to(directory)): path.stat().st_size
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
        data = packed(directory)
    place.mkdir()
    (place / "state.tar.xz").write_bytes(data)
    text = json.dumps({**known, "files": files, "facts": facts}, indent=1, sort_keys=True)
    (place / "recorded.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{place.relative_to(ROOT)}: {len(files)} files in {len(data):,} bytes.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
