"""Use `watchword lab` against a simulated service and API on this machine."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cbor2
import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from watchword.apps.lab.cli import command
from watchword.encoding import base64url
from watchword.lab import PHONES

CONFIG = """\
version: 1
environment: {environment}
service:
  issuer: {issuer}
  listen: 127.0.0.1:{service}
  state: state
apps:
  clinic-ios:
    platform: ios
    team_id: ZYXWV98765
    bundle_id: com.example.clinic
  clinic-android:
    platform: android
    package: com.example.clinic
    signing_digests: ["{digest}"]
    minimum_version: 100
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [clinic-ios, clinic-android]
    listen: 127.0.0.1:{api}
    upstream: http://127.0.0.1:1
    routes:
      - path: /**
"""


@dataclass
class World:
    """Hold what the simulated service and API did, and what they shall do."""

    calls: list[str] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)
    refusal: dict[str, Any] | None = None
    revoked: bool = False
    api_status: int = 200

    def serve(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer for the service."""
        self.calls.append(path)
        if path == "/v1/challenges":
            return 200, {"challenge": "Y2hhbGxlbmdl", "expires_in": 300}
        if self.refusal is not None:
            return int(self.refusal["status"]), self.refusal
        self.statements.append(json.loads(base64url.decode(body["statement"])))
        number = len(self.statements)
        tokens = [
            {"aud": audience, "token": f"token-{number}", "expires_in": 300}
            for audience in self.statements[-1]["aud"]
        ]
        return 200, {"instance": "the-instance", "level": "hardware", "tokens": tokens}


class Handler(BaseHTTPRequestHandler):
    """Speak for the service on one port and for the API on the other."""

    world: World
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        """Answer as the API."""
        self.answer()

    def do_POST(self) -> None:
        """Answer as service or API."""
        self.answer()

    def answer(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        kind = "application/json"
        if self.path.startswith("/v1/"):
            status, document = self.world.serve(self.path, json.loads(body))
        else:
            token = self.headers["watchword-token"]
            self.world.requests.append((self.command, self.path, token, body))
            status, document = self.world.api_status, {"patients": ["Ada"]}
            if self.world.revoked:
                status = 401
                document = {"type": "urn:watchword:problem:token-refused", "status": 401}
        if "type" in document:
            kind = "application/problem+json"
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def world() -> World:
    """Return a world in which everything works."""
    return World()


@pytest.fixture
def config(world: World, tmp_path: Path) -> Iterator[Path]:
    """Return a configuration whose service and API are being simulated."""
    handler = type("BoundHandler", (Handler,), {"world": world})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda s=server: s.serve_forever(poll_interval=0.02))
        for server in servers
    ]
    for thread in threads:
        thread.start()
    yield write_config(tmp_path, "lab", servers[0].server_port, servers[1].server_port)
    for server in servers:
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


def write_config(directory: Path, environment: str, service: int, api: int) -> Path:
    """Write a watchword.yaml."""
    path = directory / "watchword.yaml"
    issuer = "https://attest.example"
    digest = bytes(range(32)).hex()
    text = CONFIG.format(
        environment=environment, issuer=issuer, service=service, api=api, digest=digest
    )
    path.write_text(text, encoding="utf-8")
    return path


def lab(config: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command, arguments, obj=config)


def test_phones_lists_every_kind() -> None:
    """People get a line for each kind, scripts get JSON."""
    shown = lab(Path("none"), "phones")
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) == 1 + len(PHONES)
    rows = json.loads(lab(Path("none"), "phones", "--json").stdout)
    assert [row["kind"] for row in rows] == list(PHONES)


def test_anchors_are_the_same_each_time(config: Path, tmp_path: Path) -> None:
    """The first use makes the seed (0600), later ones find it."""
    assert lab(config, "anchors", "-o", str(tmp_path / "anchors.json")).exit_code == 0
    first = json.loads((tmp_path / "anchors.json").read_text(encoding="utf-8"))
    assert first["kind"] == "lab"
    assert json.loads(lab(config, "anchors", "--json").stdout) == first
    seed = tmp_path / "state" / "lab" / "seed"
    assert seed.stat().st_mode & 0o777 == 0o600


def test_android_evidence_is_a_pem_chain(config: Path, tmp_path: Path) -> None:
    """A challenge stands in it as it was given."""
    path = tmp_path / "chain.pem"
    shown = lab(config, "evidence", "genuine-android", "--challenge", "00c0ffee", "-o", str(path))
    assert shown.exit_code == 0, shown.output
    chain = x509.load_pem_x509_certificates(path.read_bytes())
    assert len(chain) == 4
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")
    extension = chain[0].extensions.get_extension_for_oid(oid).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    assert b"\x04\x04\x00\xc0\xff\xee" in extension.value


@pytest.mark.parametrize(
    ("option", "bound"),
    [
        ("--challenge", hashlib.sha256(b"\x00\xc0\xff\xee").digest()),
        ("--binding", b"\x00\xc0\xff\xee"),
    ],
)
def test_ios_evidence_is_cbor(config: Path, tmp_path: Path, option: str, bound: bytes) -> None:
    """A challenge is hashed as an app does; a binding is used as it is."""
    path = tmp_path / "attestation.cbor"
    shown = lab(config, "evidence", "genuine-iphone", option, "00c0ffee", "-o", str(path), "--json")
    assert shown.exit_code == 0, shown.output
    summary = json.loads(shown.stdout)
    document = cbor2.loads(path.read_bytes())
    leaf = x509.load_der_x509_certificate(document["attStmt"]["x5c"][0])
    oid = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
    extension = leaf.extensions.get_extension_for_oid(oid).value
    assert isinstance(extension, x509.UnrecognizedExtension)
    assert extension.value.endswith(hashlib.sha256(document["authData"] + bound).digest())
    assert base64url.decode(summary["key_id"]) == document["authData"][55:87]
    assert summary["binding"] == bound.hex()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evidence", "genuine-iphone", "-o", "-"], "one of"),
        (["evidence", "genuine-iphone", "--challenge", "xy", "-o", "-"], "hex"),
        (["evidence", "genuine-iphone", "--binding", "", "-o", "-"], "1 to 128"),
        (["evidence", "genuine-iphone", "--binding", "00" * 129, "-o", "-"], "1 to 128"),
        (["evidence", "nokia-3310", "--binding", "00", "-o", "-"], "watchword lab phones"),
        (["request", "emulator", "/", "--app", "clinic-ios"], "clinic-android"),
        (["request", "emulator", "GET", "/", "more"], "METHOD"),
        (["request", "emulator", "http://[::1/"], "URL"),
        (["request", "emulator", "G ET", "/"], "method"),
        (["request", "emulator", "/", "--data", "\udcff"], "UTF-8"),
        (["request", "emulator", "/", "--proof", "hmac"], "session"),
    ],
)
def test_wrong_usage_exits_with_2(config: Path, arguments: list[str], said: str) -> None:
    """A mistake is explained with what was expected, and nothing is sent."""
    shown = lab(config, *arguments)
    assert shown.exit_code == 2
    assert said in shown.output


def test_a_phone_is_enrolled_and_its_request_sent(config: Path, world: World) -> None:
    """The statement goes out under the configured names, the request with the token."""
    shown = lab(config, "request", "genuine-android", "/patients?all=1")
    assert shown.exit_code == 0, shown.output
    head, body = shown.stdout.split("\n\n", 1)
    assert head.splitlines()[0] == "HTTP/1.1 200 OK"
    assert json.loads(body) == {"patients": ["Ada"]}
    assert world.requests == [("GET", "/patients?all=1", "token-1", b"")]
    statement = world.statements[0]
    assert statement["iss"] == "https://attest.example"
    assert statement["aud"] == ["https://api.clinic.example"]
    assert statement["app"] == "clinic-android"


def test_the_phone_of_last_time_is_used_again(config: Path, world: World, tmp_path: Path) -> None:
    """One enrolment serves several calls; --new takes another phone."""
    for options in ([], [], ["--new"]):
        shown = lab(config, "request", "genuine-iphone", "/patients", *options)
        assert shown.exit_code == 0, shown.output
    assert world.calls == ["/v1/challenges", "/v1/attestations"] * 2
    assert [token for _, _, token, _ in world.requests] == ["token-1", "token-1", "token-2"]
    assert world.statements[0]["proof_jwk"] != world.statements[1]["proof_jwk"]
    kept = tmp_path / "state" / "lab" / "phones" / "genuine-iphone.clinic-ios.clinic"
    assert (kept / "phone.json").stat().st_mode & 0o777 == 0o600


def test_a_body_makes_it_a_post(config: Path, world: World) -> None:
    """--data is sent as it is; a method can be named all the same."""
    lab(config, "request", "emulator", "/patients", "--data", '{"name":"Ada"}')
    lab(config, "request", "emulator", "get", "/patients")
    assert [(method, body) for method, _, _, body in world.requests] == [
        ("POST", b'{"name":"Ada"}'),
        ("GET", b""),
    ]


def test_a_refused_phone_shows_reason_and_reference(config: Path, world: World) -> None:
    """Exit 1, nothing sent to the API, and how to learn more."""
    world.refusal = {
        "type": "urn:watchword:problem:evidence-refused",
        "title": "The evidence was refused",
        "status": 403,
        "ref": "the-ref",
        "reasons": ["policy.bootloader_unlocked"],
    }
    shown = lab(config, "request", "unlocked-android", "/patients")
    assert shown.exit_code == 1
    assert "policy.bootloader_unlocked" in shown.stderr
    assert "watchword explain the-ref" in shown.stderr
    assert world.requests == []
    row = json.loads(lab(config, "request", "unlocked-android", "/patients", "--json").stdout)
    assert (row["answered_by"], row["status"], row["ref"]) == ("service", 403, "the-ref")
    assert row["reasons"] == ["policy.bootloader_unlocked"]


def test_a_revoked_phone_says_how_to_take_another(config: Path, world: World) -> None:
    """A revocation stands; the next try needs a phone that isn't revoked."""
    world.refusal = {
        "type": "urn:watchword:problem:instance-refused",
        "title": "The instance was refused",
        "status": 403,
        "ref": "the-ref",
        "reasons": ["instance.revoked"],
    }
    assert "--new takes another one" in lab(config, "request", "genuine-iphone", "/x").stderr
    world.refusal["reasons"] = ["instance.counter"]
    assert "--new" not in lab(config, "request", "genuine-iphone", "/x").stderr


def test_an_answer_outside_2xx_exits_with_1(config: Path, world: World) -> None:
    """The API's own no is shown as it came."""
    world.api_status = 404
    shown = lab(config, "request", "genuine-android", "/nothing", "--json")
    assert shown.exit_code == 1
    row = json.loads(shown.stdout)
    assert (row["answered_by"], row["status"], row["level"]) == ("api", 404, "hardware")
    assert json.loads(row["body"]) == {"patients": ["Ada"]}


def test_a_refused_token_is_renewed_once(config: Path, world: World) -> None:
    """The counter of the kept phone goes on in the next call."""
    world.revoked = True
    assert lab(config, "request", "genuine-iphone", "/patients").exit_code == 1
    assert world.calls == ["/v1/challenges", "/v1/attestations", "/v1/challenges", "/v1/tokens"]
    assert [token for _, _, token, _ in world.requests] == ["token-1", "token-2"]


def test_nobody_there_exits_with_3(tmp_path: Path) -> None:
    """A service that isn't running is named as the cause, after the client's patience."""
    config = write_config(tmp_path, "lab", service=1, api=2)
    shown = lab(config, "request", "genuine-iphone", "/patients")
    assert shown.exit_code == 3
    assert "no answer of the service at http://127.0.0.1:1: " in shown.stderr
    assert "watchword up" in shown.stderr


def test_an_api_that_does_not_answer_is_named(config: Path, world: World) -> None:
    """With its address; the service has answered."""
    shown = lab(config, "request", "genuine-iphone", "http://127.0.0.1:1/patients?of=secret")
    assert (shown.exit_code, world.calls[-1]) == (3, "/v1/attestations")
    assert "no answer of the API at http://127.0.0.1:1/: " in shown.stderr
    assert "secret" not in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["anchors"],
        ["evidence", "emulator", "--binding", "00", "-o", "-"],
        ["request", "emulator", "/"],
    ],
)
def test_production_has_no_lab(tmp_path: Path, arguments: list[str]) -> None:
    """Outside of a lab no simulated vendor comes into being."""
    config = write_config(tmp_path, "prod", service=1, api=2)
    shown = lab(config, *arguments)
    assert shown.exit_code != 0
    assert "only with environment: lab" in shown.output
    assert not (tmp_path / "state").exists()
