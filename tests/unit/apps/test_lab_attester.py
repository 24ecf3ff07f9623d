"""Ask the attester over HTTP, in this process: what it answers, what it refuses, and how it fails when it is told to."""

import asyncio
import base64
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cbor2
import httpx
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.lab.attester import ROUTES, AttesterContext, attester_app
from watchword.apps.lab.cli import command
from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledAndroidApp, InstalledIosApp, LabAuthorities
from watchword.lab.attester import Attester
from watchword.lab.device_faults import FAULTS, Operation
from watchword.lab.google_play import GooglePlay
from watchword.lab.keys import public_jwk

KEY = ec.generate_private_key(ec.SECP256R1())
ANDROID_APP = InstalledAndroidApp("com.example.clinic", (bytes(32),), 100)
IOS_APP = InstalledIosApp("ABCDE12345", "com.example.clinic", "7.2")
AUTHORITIES = LabAuthorities.from_seed(bytes(range(32)))
CHAIN, TOKEN = "/v1/android/chain", "/v1/play/token"
KEYS, ATTESTATIONS, ASSERTIONS = (
    f"/v1/app-attest/{name}" for name in ("keys", "attestations", "assertions")
)
HASH = base64url.encode(bytes(32))


def spki(key: Any) -> str:
    """Return a public key as callers send it."""
    return base64url.encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def wanted(**others: Any) -> dict[str, Any]:
    """Return what asks for a chain; None leaves a member out."""
    asked = {"kind": "genuine-android", "key": spki(KEY.public_key()), "challenge": HASH, **others}
    return {name: value for name, value in asked.items() if value is not None}


class Asked:
    """Be an attester that is asked in this process; it remembers how long it was told to wait."""

    def __init__(self, *apps: InstalledAndroidApp | InstalledIosApp) -> None:
        """Start with phones that work."""
        clock = SystemClock()
        self.waits: list[float] = []
        context = AttesterContext(
            attester=Attester(AUTHORITIES, clock, SystemEntropy()),
            apps=apps or (ANDROID_APP, IOS_APP),
            clock=clock,
            sleep=self._sleep,
            refusal_log=MemoryRefusalLog(clock),
        )
        self.app = attester_app(context)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def send(self, method: str, path: str, **what: Any) -> httpx.Response:
        """Send one request."""

        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8450"
            ) as client:
                return await client.request(method, path, **what)

        return asyncio.run(sent())

    def post(self, path: str, members: Mapping[str, Any]) -> httpx.Response:
        """Send an object."""
        return self.send("POST", path, json=members)

    def ok(self, path: str, members: Mapping[str, Any]) -> Any:
        """Send an object that must be taken, and return the answer."""
        answer = self.post(path, members)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, members: Mapping[str, Any]) -> str:
        """Send an object that must be refused as the caller's mistake, and return why."""
        answer = self.post(path, members)
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["reasons"] == ["request.malformed"]
        [detail] = answer.json()["details"]
        return str(detail)

    def fault(self, path: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Send an object at which the phone must fail, and return how."""
        answer = self.post(path, members)
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert list(answer.json()) == ["fault"]
        found: dict[str, Any] = answer.json()["fault"]
        return found


@pytest.fixture
def asked() -> Asked:
    """Return an attester."""
    return Asked()


def test_a_chain_is_over_the_key_as_der_or_jwk(asked: Asked) -> None:
    """The leaf has the caller's key, the challenge and the app that was named."""
    app = {"package": "org.other", "signing_digests": ["Ab" * 32], "version_code": 7}
    for key in (spki(KEY.public_key()), public_jwk(KEY.public_key())):
        made = asked.ok(CHAIN, wanted(key=key, app=app, device="ada"))
        assert made["security_level"] == "tee"
        chain = [x509.load_der_x509_certificate(base64url.decode(each)) for each in made["chain"]]
        assert chain[0].public_key() == KEY.public_key()
        assert format(chain[1].serial_number, "x") == made["attestation_serial"]
        description = chain[0].extensions.get_extension_for_oid(
            x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")
        )
        content = description.value.public_bytes()
        for part in (b"org.other", bytes([0xAB] * 32), bytes(32)):
            assert part in content


def test_the_app_is_the_files_only_one_where_none_is_named(asked: Asked) -> None:
    """Of two there is no telling; null is like none."""
    made = asked.ok(CHAIN, {**wanted(), "app": None})
    assert b"com.example.clinic" in base64url.decode(made["chain"][0])
    two = Asked(ANDROID_APP, ANDROID_APP)
    assert two.refused(CHAIN, wanted()) == (
        "app: got nothing, and the file has 2 apps for android; name it"
    )
    assert "0 apps for ios" in two.refused(KEYS, {"kind": "genuine-iphone"})


@pytest.mark.parametrize(
    ("members", "detail"),
    [
        ({"kind": None}, "kind: got nothing, expected one of genuine-android, "),
        ({"kind": 7}, "kind: got int, expected text"),
        ({"kind": "genuine-androd"}, "expected perhaps 'genuine-android'"),
        ({"kind": "genuine-iphone"}, "kind: got 'genuine-iphone', which has no android.chain"),
        ({"kind": "zzz"}, "expected one of GET /v1/kinds"),
        ({"device": "../x"}, "device: got '../x', expected 1 to 64 of"),
        ({"device": "a" * 65}, "expected 1 to 64 of"),
        ({"device": ""}, "device: got 0 characters"),
        ({"key": None}, "key: got nothing, expected SPKI DER in base64url, or a JWK"),
        ({"key": ["x"]}, "key: got list"),
        ({"key": "AAEC"}, "key: got bytes that are no public key"),
        ({"key": "a+b/"}, "key: got text outside of base64url"),
        ({"key": "A" * 4096}, "key: got 3072 bytes, expected at most 1024"),
        ({"key": spki(rsa.generate_private_key(65537, 2048).public_key())}, "RSA"),
        ({"key": spki(ed25519.Ed25519PrivateKey.generate().public_key())}, "Ed25519"),
        (
            {"key": spki(ec.generate_private_key(ec.SECP384R1()).public_key())},
            "key: got secp384r1, expected a P-256 public key",
        ),
        ({"key": {"kty": "RSA"}}, "key.kty: got 'RSA'"),
        ({"key": {**public_jwk(KEY.public_key()), "crv": "P-384"}}, "key.crv: got 'P-384'"),
        (
            {"key": {**public_jwk(KEY.public_key()), "d": HASH}},
            "key.d: isn't known here; expected kty, crv, x, y",
        ),
        ({"key": {**public_jwk(KEY.public_key()), "x": "AA"}}, "coordinates of 1 and 32 bytes"),
        ({"key": {**public_jwk(KEY.public_key()), "x": HASH}}, "a point that isn't on P-256"),
        ({"challenge": None}, "challenge: got nothing"),
        ({"challenge": "AA=="}, "challenge: got text outside of base64url"),
        ({"challenge": base64url.encode(bytes(129))}, "challenge: got 129 bytes, expected at most"),
        ({"strongbox": 1}, "strongbox: got int, expected true or false"),
        ({"strongbx": True}, "strongbx: isn't known here; expected kind, device, app, key"),
        ({"app": "android"}, "app: got str, expected an object"),
        ({"app": {"package": "x"}}, "app.signing_digests: got nothing"),
        (
            {"app": {"package": "x", "signing_digests": [], "version_code": 1}},
            "app.signing_digests: expected 1 to 16 SHA-256",
        ),
        (
            {"app": {"package": "x", "signing_digests": ["ab"], "version_code": 1}},
            "app.signing_digests: expected 1 to 16 SHA-256",
        ),
        (
            {"app": {"package": "x", "signing_digests": ["ab" * 32], "version_code": True}},
            "app.version_code: got bool, expected a whole number",
        ),
        (
            {"app": {"package": "x", "signing_digests": ["ab" * 32], "version_code": -1}},
            "app.version_code: got -1, expected 0 to",
        ),
        ({"delay": 31}, "delay: got 31, expected 0 to 30"),
        ({"delay": "1"}, "delay: got str, expected a number"),
        (
            {"fault": "network-error"},
            "fault: got 'network-error', which is a fault of play-integrity; android.chain has those of",
        ),
        ({"fault": "strongbox-unavailabel"}, "expected perhaps 'strongbox-unavailable'"),
    ],
)
def test_mistakes_of_the_caller_are_named(
    asked: Asked, members: dict[str, Any], detail: str
) -> None:
    """Each says which member, what was got and what was expected; nothing is done."""
    assert detail in asked.refused(CHAIN, wanted(**members))
    assert asked.waits == []


def test_who_is_at_the_wrong_place_is_told_the_right_one(asked: Asked) -> None:
    """Whose fault it is, before what else is missing; which phones there are; which paths."""
    wrong = asked.refused(TOKEN, {"kind": "play-phone", "fault": "strongbox-unavailable"})
    assert wrong.startswith(
        "fault: got 'strongbox-unavailable', which is a fault of android-keystore"
    )
    assert "genuine-iphone" in asked.refused(KEYS, {})
    assert "genuine-android" not in asked.refused(KEYS, {})
    [detail] = asked.send("POST", "/v1/app-attest/key", json={}).json()["details"]
    assert "expected /v1/android/chain, " in detail
    assert "GET /v1/kinds" in detail


def test_a_token_is_over_a_hash_or_a_nonce(asked: Asked) -> None:
    """One of the two, as text; it goes in as it is."""
    play = GooglePlay(AUTHORITIES.seed)
    hashed = asked.ok(TOKEN, {"kind": "play-phone", "request_hash": "a hash"})
    opened = play.open(hashed["token"])
    assert opened is not None
    assert opened["requestDetails"]["requestHash"] == "a hash"
    nonced = asked.ok(TOKEN, {"kind": "play-phone", "nonce": HASH, "request_hash": None})
    opened = play.open(nonced["token"])
    assert opened is not None
    assert opened["requestDetails"]["nonce"] == HASH + "="
    both = {"kind": "play-phone", "nonce": HASH, "request_hash": "h"}
    for members in (both, {"kind": "play-phone"}):
        assert asked.refused(TOKEN, members).startswith("expected request_hash (standard")
    short = asked.fault(TOKEN, {"kind": "play-phone", "nonce": "AAAA"})
    assert (short["name"], short["code"]) == ("nonce-too-short", -10)
    assert short["exception"].endswith(".IntegrityServiceException")


def test_play_faults_have_the_code_of_the_request(asked: Asked) -> None:
    """Standard and classic requests number some differently, and don't have all of them."""

    def told(text: str, fault: str) -> tuple[str, int]:
        found = asked.fault(TOKEN, {"kind": "play-phone", text: HASH, "fault": fault})
        return found["exception"].rpartition(".")[2], found["code"]

    transient = "client-transient-error"
    assert told("request_hash", transient) == ("StandardIntegrityException", -18)
    assert told("nonce", transient) == ("IntegrityServiceException", -17)
    assert "a standard request of Play Integrity has no such error" in asked.refused(
        TOKEN, {"kind": "play-phone", "request_hash": HASH, "fault": "nonce-too-short"}
    )


def test_an_app_attest_key_goes_its_way(asked: Asked) -> None:
    """Made, attested once, then it asserts; its id is in Apple's base64."""
    app = {"team_id": "ABCDE12345", "bundle_id": "org.other", "version": "1"}
    key_id = asked.ok(KEYS, {"kind": "genuine-iphone", "app": app})["key_id"]
    assert len(base64.b64decode(key_id, validate=True)) == 32
    call = {"key_id": key_id, "client_data_hash": HASH}
    assert asked.fault(ASSERTIONS, call)["code"] == 3
    attestation = cbor2.loads(base64url.decode(asked.ok(ATTESTATIONS, call)["attestation"]))
    assert base64.b64decode(key_id) in attestation["authData"]
    assert asked.fault(ATTESTATIONS, call)["name"] == "invalid-key"
    counters = []
    for _ in range(3):
        assertion = cbor2.loads(base64url.decode(asked.ok(ASSERTIONS, call)["assertion"]))
        counters.append(int.from_bytes(assertion["authenticatorData"][33:37], "big"))
    assert counters == [1, 2, 3]
    assert asked.fault(ASSERTIONS, {**call, "key_id": "no base64"})["name"] == "invalid-key"
    assert asked.fault(ASSERTIONS, {**call, "client_data_hash": "AA"})["name"] == "invalid-input"
    environment = {**app, "environment": "prod"}
    assert "app.environment: got 'prod', expected one of development, production" in asked.refused(
        KEYS, {"kind": "genuine-iphone", "app": environment}
    )


def test_a_development_build_attests_in_its_environment(asked: Asked) -> None:
    """The AAGUID says which; production is what is meant where nothing is said."""
    app = {"team_id": "ABCDE12345", "bundle_id": "org.other", "version": "1"}
    for environment, told in (
        ("development", b"appattestdevelop"),
        (None, b"appattest\0\0\0\0\0\0\0"),
    ):
        members = {**app, "environment": environment}
        key_id = asked.ok(KEYS, {"kind": "genuine-iphone", "app": members})["key_id"]
        call = {"key_id": key_id, "client_data_hash": HASH}
        attestation = base64url.decode(asked.ok(ATTESTATIONS, call)["attestation"])
        assert told in attestation


def test_a_call_fails_as_it_says_itself(asked: Asked) -> None:
    """By each name, with the values of the table; slowly, where it says so."""
    calls = {
        Operation.ANDROID_CHAIN: (CHAIN, wanted()),
        Operation.APP_ATTEST_KEY: (KEYS, {"kind": "genuine-iphone"}),
        Operation.PLAY_TOKEN: (TOKEN, {"kind": "play-phone", "request_hash": HASH}),
    }
    for path, members in calls.values():
        assert asked.ok(path, {**members, "delay": 0.25})
    assert asked.waits == [0.25] * 3
    for name, fault in FAULTS.items():
        [(path, members)] = [
            call for operation, call in calls.items() if operation.platform == fault.platform
        ]
        if getattr(fault, "standard", 0) is None:
            continue
        found = asked.fault(path, {**members, "fault": name})
        told = fault.members(standard=True)
        assert found == {"name": name, "platform": fault.platform, **told}


def test_a_phone_fails_as_its_script_says(asked: Asked) -> None:
    """In order, for its own calls alone; a call's own word goes before it and leaves it as it is."""
    busy = {"on": "android.chain", "fault": "secure-hardware-busy", "times": 2, "delay": 0.5}
    token = {"on": "play.token", "fault": "network-error", "times": None, "delay": 0.0}
    script = "/v1/devices/ada/faults"
    answer = asked.send("PUT", script, json={"faults": [busy, token]})
    assert answer.json() == {"faults": [busy, token]}
    ada = wanted(device="ada")
    assert asked.fault(CHAIN, {**ada, "fault": "device-locked"})["name"] == "device-locked"
    assert asked.fault(CHAIN, ada)["name"] == "secure-hardware-busy"
    asked.ok(CHAIN, {**ada, "delay": 0})
    asked.ok(CHAIN, wanted(device="bob"))
    assert asked.send("GET", script).json()["faults"] == [{**busy, "times": 1}, token]
    asked.refused(CHAIN, {**ada, "challenge": "!"})
    assert asked.fault(CHAIN, ada)["name"] == "secure-hardware-busy"
    asked.ok(CHAIN, ada)
    assert asked.waits == [0.5, 0.5]
    call = {"kind": "play-phone", "device": "ada", "request_hash": HASH}
    for _ in range(3):
        assert asked.fault(TOKEN, call)["code"] == -3
    assert asked.send("PUT", script, json={"faults": []}).json() == {"faults": []}
    asked.ok(TOKEN, call)


def test_an_iphones_script_goes_by_who_made_the_key(asked: Asked) -> None:
    """A key that failed to be attested for the vendor's sake can be attested later: nothing is used up."""
    asked.send(
        "PUT",
        "/v1/devices/ada/faults",
        json={"faults": [{"on": "app-attest.attestation", "fault": "server-unavailable"}]},
    )
    key_id = asked.ok(KEYS, {"kind": "genuine-iphone", "device": "ada"})["key_id"]
    other = asked.ok(KEYS, {"kind": "genuine-iphone", "device": "bob"})["key_id"]
    asked.ok(ATTESTATIONS, {"key_id": other, "client_data_hash": HASH})
    call = {"key_id": key_id, "client_data_hash": HASH}
    assert asked.fault(ATTESTATIONS, call)["code"] == 4
    asked.ok(ATTESTATIONS, call)


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("x", "faults[0]: got str, expected an object"),
        ({}, "faults[0].on: got nothing"),
        ({"on": "android.chian"}, "expected perhaps 'android.chain'"),
        ({"on": "android.chain", "fault": "network-error"}, "faults[0].fault: got 'network-error'"),
        ({"on": "android.chain", "times": 0}, "faults[0].times: got 0, expected 1 to 1000000"),
        ({"on": "android.chain", "times": 1.5}, "faults[0].times: got float"),
        ({"on": "android.chain", "delay": -1}, "faults[0].delay: got -1, expected 0 to 30"),
        ({"on": "android.chain", "dealy": 1}, "faults[0].dealy: isn't known here"),
    ],
)
def test_mistakes_in_scripts_are_named(asked: Asked, line: object, detail: str) -> None:
    """The script of before stays."""
    script = "/v1/devices/ada/faults"
    kept = {"on": "android.chain", "fault": None, "delay": 1.0, "times": 1}
    asked.send("PUT", script, json={"faults": [kept]})
    answer = asked.send("PUT", script, json={"faults": [line]})
    assert answer.status_code == 400
    assert detail in answer.json()["details"][0]
    assert asked.send("GET", script).json()["faults"] == [kept]


def test_a_script_has_at_most_64_lines(asked: Asked) -> None:
    """More is a mistake, not a scenario."""
    line = {"on": "android.chain"}
    script = "/v1/devices/ada/faults"
    assert asked.send("PUT", script, json={"faults": [line] * 64}).status_code == 200
    answer = asked.send("PUT", script, json={"faults": [line] * 65})
    assert answer.json()["details"] == ["faults: got 65 lines, expected at most 64"]


def test_the_tables_are_there_to_be_read(asked: Asked) -> None:
    """Each kind with what it has, and each fault with its values."""
    kinds = {row["kind"]: row for row in asked.send("GET", "/v1/kinds").json()["kinds"]}
    assert list(kinds) == list(PHONES)
    assert kinds["strongbox-android"]["strongbox"]
    assert not kinds["genuine-android"]["strongbox"]
    assert kinds["play-phone"]["operations"] == ["play.token"]
    assert kinds["genuine-ipad"]["operations"][0] == "app-attest.key"
    rows = asked.send("GET", "/v1/faults").json()["faults"]
    assert {row["name"] for row in rows} == set(FAULTS)
    codes = [row["code"] for row in rows if row["name"] == "client-transient-error"]
    assert codes == [-18, -17]


def test_what_is_no_request_is_refused(asked: Asked) -> None:
    """Method, path, media type, size and JSON, each in the words of the service; a web page gets nothing."""

    def refused(method: str, path: str, **what: Any) -> tuple[int, list[str]]:
        answer = asked.send(method, path, **what)
        return answer.status_code, answer.json()["reasons"]

    json_type = {"content-type": "application/json"}
    assert refused("GET", CHAIN) == (405, ["request.method"])
    assert refused("POST", "/v2/android/chain", json={}) == (404, ["request.not_found"])
    assert refused("PUT", "/v1/devices/a%2Fb/faults", json={})[0] in {400, 404}
    form = {"content-type": "text/plain"}
    assert refused("POST", CHAIN, content="{}", headers=form) == (415, ["request.media_type"])
    huge = b" " * (64 * 1024 + 1)
    assert refused("POST", CHAIN, content=huge, headers=json_type) == (
        413,
        ["request.body_too_large"],
    )
    for body in (b"", b"[]", b"{", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b"[" * 5000):
        assert refused("POST", CHAIN, content=body, headers=json_type) == (400, ["encoding.json"])
    for host in ("evil.example", "evil.example:8450", "127.0.0.1.evil.example", "192.0.2.1", ""):
        answer = refused("GET", "/v1/kinds", headers={"host": host})
        assert answer == (400, ["request.host"])
    for host in ("localhost:8450", "127.0.0.1", "[::1]:8450", "127.0.0.2:1"):
        assert asked.send("GET", "/v1/kinds", headers={"host": host}).status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "kind",
        "device",
        "key",
        "challenge",
        "app",
        "strongbox",
        "fault",
        "delay",
        "faults",
        "nonce",
        "request_hash",
        "key_id",
        "client_data_hash",
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    route=st.sampled_from([route for route in ROUTES if route.takes_json]),
    members=st.dictionaries(NAMES, JSON | st.sampled_from([*PHONES, HASH]), max_size=8),
)
def test_no_object_breaks_it(route: Any, members: dict[str, Any]) -> None:
    """Whatever is sent, the caller is told what is wrong with it, or gets what a phone answers."""
    answer = Asked().send(route.method, route.path.replace("{device}", "ada"), json=members)
    assert answer.status_code in {200, 400, 503}
    assert answer.status_code != 503 or "fault" in answer.json()


def test_the_command_wants_a_lab_and_a_loopback_address(tmp_path: Path) -> None:
    """Nothing listens anywhere else; both are told before anything is made."""
    text = """\
version: 1
environment: {environment}
service:
  issuer: {issuer}
  listen: 127.0.0.1:8440
  state: state
apps:
  ios:
    platform: ios
    team_id: ZYXWV98765
    bundle_id: com.example.clinic
apis:
  clinic:
    audience: https://api.clinic.example
    apps: [ios]
    routes:
      - path: /**
"""

    def told(environment: str, *options: str) -> tuple[int, str]:
        file = tmp_path / f"{environment}.yaml"
        file.write_text(
            text.format(environment=environment, issuer="https://attest.clinic.example")
        )
        shown = CliRunner().invoke(command, ["attester", *options], obj=file)
        return shown.exit_code, shown.output

    # A port that is taken: what went on to listen would fail rather than wait for its end here.
    with socket.create_server(("", 0)) as taken:
        port = ("--port", str(taken.getsockname()[1]))
        code, output = told("prod", *port)
        assert code == 1
        assert "lab phones exist only with environment: lab" in output
        for host in ("0.0.0.0", "192.0.2.1", "::", "attester.example", ""):
            code, output = told("lab", "--host", host, *port)
            assert code == 2, output
            assert "expected a loopback address such as 127.0.0.1" in output.replace("\n", " ")
    assert told("lab", "--port", "65536")[0] == 2
    assert not (tmp_path / "state").exists()


def test_the_document_is_json_of_known_words(asked: Asked) -> None:
    """What is answered can be read by any reader of JSON."""
    assert json.loads(asked.send("GET", "/v1/faults").content)["faults"][0]["retry_policy"] == 1
