"""The lab's Apple: receipts like Apple's, and a server that exchanges them, looked at without the verifier."""

import base64
import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from watchword.encoding import base64url
from watchword.lab.apple import (
    HOSTS,
    PATH,
    AppleServer,
    ReceiptAuthorities,
    ReceiptContent,
    device_token,
    read_own,
    write_time,
)
from watchword.ports import FetchRequest, FetchResponse

SEED = bytes(range(32))
AUTHORITIES = ReceiptAuthorities(SEED)
NOW = datetime(2026, 11, 24, 12, 0, 0, 120_000, tzinfo=UTC)
TEAM, KEY_ID = "ABCDE12345", "KEYID67890"
KEY = ec.generate_private_key(ec.SECP256R1())
URL = next(iter(HOSTS)) + PATH
DAY = timedelta(days=1)


def content(key: str = "key", device: str = "device", **mutated: object) -> ReceiptContent:
    """Return what the receipt of one attested key says."""
    certificate = AUTHORITIES.signer(NOW).der + key.encode()
    made = ReceiptContent(
        app_id=f"{TEAM}.com.example.clinic",
        certificate=certificate,
        client_hash=bytes(32),
        token=device_token(SEED, device, key.encode()),
        environment="production",
        created_at=NOW,
    )
    return replace(made, **mutated)  # type: ignore[arg-type]


def token(at: datetime = NOW, *, by: ec.EllipticCurvePrivateKey = KEY, **mutated: str) -> str:
    """Return an ES256 token of the team."""
    header = {"alg": "ES256", "kid": KEY_ID} | mutated
    parts = (header, {"iss": TEAM, "iat": int(at.timestamp())})
    signing_input = ".".join(base64url.encode(json.dumps(part).encode()) for part in parts)
    r, s = decode_dss_signature(by.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signing_input}.{base64url.encode(raw)}"


@pytest.fixture
def server() -> AppleServer:
    """Return a server that knows one team."""
    return AppleServer(AUTHORITIES, {(TEAM, KEY_ID): KEY.public_key()})


def ask(
    server: AppleServer,
    receipt: bytes,
    at: datetime = NOW,
    *,
    url: str = URL,
    authorization: str | None = None,
) -> FetchResponse:
    """Send a receipt."""
    headers = {"authorization": token(at) if authorization is None else authorization}
    return server.answer(FetchRequest("POST", url, headers, base64.b64encode(receipt)), at)


def refreshed(server: AppleServer, receipt: bytes, at: datetime = NOW) -> ReceiptContent:
    """Return what the newer receipt says."""
    answer = ask(server, receipt, at)
    assert answer.status == 200
    return read_own(base64.b64decode(answer.body), AUTHORITIES)


@pytest.mark.skipif(not Path("/usr/bin/openssl").exists(), reason="openssl isn't installed")
@pytest.mark.parametrize("metric", [None, 3])
def test_openssl_verifies_receipts_of_the_lab(tmp_path: Path, metric: int | None) -> None:
    """Another implementation takes them for signed data under the lab's root, and reads the content."""
    said = content(risk_metric=metric, not_before=None if metric is None else NOW + DAY)
    (tmp_path / "receipt").write_bytes(AUTHORITIES.issue(said))
    pem = AUTHORITIES.root.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "root.pem").write_bytes(pem)
    options = "-inform DER -in receipt -CAfile root.pem -purpose any -no_check_time -out content"
    command = ["/usr/bin/openssl", "cms", "-verify", *options.split()]
    run = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "content").read_bytes() == said.encode()


def test_receipts_look_like_apples() -> None:
    """BER of indefinite length, pieces of 1,000 bytes, three certificates, marker, times without zeros."""
    receipt = AUTHORITIES.issue(content(certificate=bytes(1200)))
    assert receipt.startswith(
        b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80"
    )
    assert b"\x24\x80\x04\x82\x03\xe8" in receipt
    for authority in (AUTHORITIES.signer(NOW), AUTHORITIES.intermediate, AUTHORITIES.root):
        assert authority.der in receipt
    signer = AUTHORITIES.signer(NOW).certificate
    marker = x509.ObjectIdentifier("1.2.840.113635.100.12.15")
    assert signer.extensions.get_extension_for_oid(marker).value is not None
    assert signer.not_valid_before_utc < NOW < signer.not_valid_after_utc
    assert (signer.not_valid_after_utc - signer.not_valid_before_utc).days == 395
    signer.verify_directly_issued_by(AUTHORITIES.intermediate.certificate)
    AUTHORITIES.intermediate.certificate.verify_directly_issued_by(AUTHORITIES.root.certificate)
    assert write_time(NOW) == b"2026-11-24T12:00:00.12Z"
    assert write_time(NOW.replace(microsecond=0)) == b"2026-11-24T12:00:00Z"


def test_the_same_seed_gives_the_same_bytes() -> None:
    """A run can be repeated; each year has its own signer."""
    assert ReceiptAuthorities(SEED).issue(content()) == AUTHORITIES.issue(content())
    assert AUTHORITIES.signer(NOW).der != AUTHORITIES.signer(NOW + 365 * DAY).der
    assert ReceiptAuthorities(bytes(16)).anchor().spki != AUTHORITIES.anchor().spki
    assert "seed" not in repr(AUTHORITIES)


def test_tokens_name_a_device_to_apple_alone() -> None:
    """Two keys of a device share half a token, and nobody else can tell of which device it is."""
    one, two, other = (
        base64.b64decode(device_token(SEED, device, key))
        for device, key in (("a", b"1"), ("a", b"2"), ("b", b"1"))
    )
    assert one[:32] == two[:32] != other[:32]
    assert one[32:] != two[32:]
    assert len(one) == 64


def test_first_exchange_gives_a_metric(server: AppleServer) -> None:
    """An ATTEST receipt is exchanged at once, for a RECEIPT of the same app and key."""
    newer = refreshed(server, AUTHORITIES.issue(content()), NOW + timedelta(minutes=1))
    assert newer.risk_metric == 1
    assert newer.not_before == newer.created_at + DAY
    assert (newer.app_id, newer.certificate) == (content().app_id, content().certificate)


def test_metric_counts_a_devices_keys_within_30_days(server: AppleServer) -> None:
    """One device with five keys stands out; another's keys, repetitions and old ones don't count."""
    for number in range(5):
        server.count(AUTHORITIES.issue(content(f"key{number}", "broker")))
    server.count(AUTHORITIES.issue(content("key0", "broker")))
    server.count(AUTHORITIES.issue(content("old", "broker", created_at=NOW - 31 * DAY)))
    server.count(AUTHORITIES.issue(content("key9", "other")))
    assert refreshed(server, AUTHORITIES.issue(content("key0", "broker"))).risk_metric == 5
    assert refreshed(server, AUTHORITIES.issue(content("key9", "other"))).risk_metric == 1


def test_nothing_newer_before_its_time(server: AppleServer) -> None:
    """304 until field 19, then a newer one."""
    first = AUTHORITIES.issue(refreshed(server, AUTHORITIES.issue(content())))
    assert ask(server, first, NOW + DAY - timedelta(seconds=1)).status == 304
    assert refreshed(server, first, NOW + DAY).created_at == NOW + DAY


def test_tokens_that_are_not_the_teams(server: AppleServer) -> None:
    """Another key, algorithm, key id, an old or future token, none, and garbage: 401."""
    receipt = AUTHORITIES.issue(content())
    for authorization in (
        token(by=ec.generate_private_key(ec.SECP256R1())),
        token(alg="none"),
        token(kid="OTHER"),
        token(NOW - timedelta(minutes=21)),
        token(NOW + timedelta(minutes=2)),
        "",
        "a.b.c",
        "W10.W10.AAAA",
        "Bearer x",
        token()[:-4],
    ):
        assert ask(server, receipt, authorization=authorization).status == 401
    assert ask(server, receipt, authorization=token(NOW - timedelta(minutes=19))).status == 200


def test_receipts_that_the_server_will_not_have(server: AppleServer) -> None:
    """Changed, another lab's, another environment's, another team's, expired, not one at all."""
    good = AUTHORITIES.issue(content())
    mutated = good.replace(b"com.example", b"com.exemple")
    other = ReceiptAuthorities(bytes(16)).issue(content())
    for receipt in (mutated, other, good[:-1], good + b"\x00", b"", b"\x24\x80\x04\x05ab"):
        assert ask(server, receipt).status == 400
    sandbox = AUTHORITIES.issue(content(environment="sandbox"))
    development = "https://data-development.appattest.apple.com" + PATH
    assert ask(server, sandbox).status == 400
    assert ask(server, sandbox, url=development).status == 200
    assert ask(server, good, url=development).status == 400
    foreign = AUTHORITIES.issue(content(app_id="OTHERTEAM0.com.example.clinic"))
    assert ask(server, foreign).status == 404
    assert ask(server, good, NOW + 91 * DAY).status == 404
    bad = FetchRequest("POST", URL, {"authorization": token()}, b"not base64!")
    assert server.answer(bad, NOW).status == 400


def test_other_paths_methods_and_a_throttled_server(server: AppleServer) -> None:
    """Only one address is there; on a loopback address either environment is served."""
    good = AUTHORITIES.issue(content())
    assert ask(server, good, url="https://data.appattest.apple.com/v1/other").status == 404
    assert server.answer(FetchRequest("GET", URL), NOW).status == 404
    assert ask(server, good, url=f"http://127.0.0.1:8099{PATH}").status == 200
    server.throttled = 30
    answer = ask(server, good)
    assert (answer.status, answer.headers["retry-after"]) == (429, "30")
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(b"").digest()
