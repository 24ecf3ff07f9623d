"""The way to Apple's receipt server: what is sent, and what each answer means."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from watchword.adapters.anchors import AnchorSet
from watchword.adapters.apple_receipts import (
    AppleReceiptServer,
    AppleTeamApp,
    TeamKey,
    TeamKeyError,
    read_team_key,
    server_of,
)
from watchword.attestation.interface import Trust
from watchword.attestation.receipts import examine_refreshed
from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledIosApp, LabAuthorities, PhoneSetup
from watchword.lab.apple import AppleServer, ReceiptAuthorities, ReceiptContent, device_token
from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import AppAttestEnvironment

SEED = bytes(range(32))
AUTHORITIES = ReceiptAuthorities(SEED)
TEAM, KEY_ID, APP = "ABCDE12345", "KEYID67890", "clinic"
KEY = ec.generate_private_key(ec.SECP256R1())
PRODUCTION = "https://data.appattest.apple.com"


@dataclass
class SettableClock:
    """Tell the time that a test sets."""

    at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def timestamp(self) -> float:
        """Return the time in seconds since 1970."""
        return self.at.timestamp()


@dataclass
class SimulatedNetwork:
    """Implement the port of fetching with the lab's Apple; ``instead`` is an answer that comes in its place."""

    clock: SettableClock
    apple: AppleServer
    instead: FetchResponse | None = None
    sent: list[FetchRequest] = field(default_factory=list)

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """Return the answer."""
        self.sent.append(request)
        return self.instead or self.apple.answer(request, self.clock.now())


@dataclass
class Bench:
    """Hold the adapter with everything around it."""

    clock: SettableClock
    network: SimulatedNetwork
    server: AppleReceiptServer

    def refresh(self, receipt: bytes, app: str = APP) -> bytes | None:
        """Refresh a receipt."""
        return asyncio.run(self.server.refresh(app, receipt))

    def unavailable(self, receipt: bytes, app: str = APP) -> UnavailableError:
        """Return the error of a refresh."""
        with pytest.raises(UnavailableError) as caught:
            self.refresh(receipt, app)
        assert caught.value.reason is Reason.VENDOR_UNAVAILABLE
        return caught.value

    def answer(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        """Have something else than Apple answer."""
        self.network.instead = FetchResponse(status, headers or {}, body)


@pytest.fixture
def bench() -> Bench:
    """Return an adapter for one app, before the lab's Apple."""
    clock = SettableClock()
    apple = AppleServer(AUTHORITIES, {(TEAM, KEY_ID): KEY.public_key()})
    network = SimulatedNetwork(clock, apple)
    apps = {APP: AppleTeamApp(TeamKey(TEAM, KEY_ID, KEY), PRODUCTION)}
    return Bench(clock, network, AppleReceiptServer(network, clock, apps))


@pytest.fixture
def receipt() -> bytes:
    """Return the receipt of an attestation."""
    return AUTHORITIES.issue(
        ReceiptContent(
            app_id=f"{TEAM}.com.example.clinic",
            certificate=AUTHORITIES.root.der,
            client_hash=bytes(32),
            token=device_token(SEED, "device", b"key"),
            environment="production",
            created_at=SettableClock().at - timedelta(minutes=1),
        )
    )


def test_newer_receipt_comes_back_and_verifies(bench: Bench, receipt: bytes) -> None:
    """Base64 there, base64 back; the successor is Apple's and states the risk metric."""
    newer = bench.refresh(receipt)
    assert newer is not None
    trust = Trust(AnchorSet([AUTHORITIES.anchor()]))
    assert examine_refreshed(receipt, newer, trust, bench.clock.at).risk_metric == 1
    (request,) = bench.network.sent
    assert (request.method, request.url) == ("POST", f"{PRODUCTION}/v1/attestationData")
    assert base64.b64decode(request.body) == receipt


def test_nothing_newer_yet(bench: Bench, receipt: bytes) -> None:
    """304 before its time is no fault."""
    newer = bench.refresh(receipt)
    assert newer is not None
    assert bench.refresh(newer) is None


def test_one_token_serves_for_a_quarter_of_an_hour(bench: Bench, receipt: bytes) -> None:
    """The token is used again while it is young; after that, and after a clock set back, there is another."""

    def token(later: timedelta) -> str:
        bench.clock.at = SettableClock().at + later
        bench.refresh(receipt)
        return bench.network.sent[-1].headers["authorization"]

    first = token(timedelta(0))
    assert token(timedelta(seconds=899)) == first
    second = token(timedelta(seconds=900))
    assert second != first
    assert token(timedelta(seconds=899)) != second


def test_secrets_stay_out_of_sight(bench: Bench, receipt: bytes) -> None:
    """Neither the token nor the receipt nor the key is in a representation."""
    bench.refresh(receipt)
    (request,) = bench.network.sent
    shown = repr((request, TeamKey(TEAM, KEY_ID, KEY)))
    assert request.headers["authorization"] not in shown
    assert "private" not in shown.lower()
    assert request.body.decode() not in shown


def test_receipts_that_apple_refuses_for_good(bench: Bench, receipt: bytes) -> None:
    """A changed receipt (400) and one that Apple doesn't know (404): asking again won't help."""
    with pytest.raises(RefusedError) as caught:
        bench.refresh(receipt.replace(b"com.example", b"com.exemple"))
    assert caught.value.reason is Reason.APP_ATTEST_RECEIPT
    bench.answer(404)
    with pytest.raises(RefusedError) as caught:
        bench.refresh(receipt)
    assert caught.value.reason is Reason.APP_ATTEST_RECEIPT


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_apple_does_not_take(bench: Bench, receipt: bytes, status: int) -> None:
    """A matter of the configuration: it names team and key id, waits an hour, and signs anew next time."""
    bench.refresh(receipt)
    bench.answer(status)
    error = bench.unavailable(receipt)
    assert TEAM in error.detail
    assert KEY_ID in error.detail
    assert error.retry_after == 3600
    bench.network.instead = None
    bench.refresh(receipt)
    tokens = [request.headers["authorization"] for request in bench.network.sent]
    assert tokens[0] == tokens[1] != tokens[2]


def test_a_stranger_is_answered_401(bench: Bench, receipt: bytes) -> None:
    """The lab's Apple checks the signature: a key that it doesn't know is refused."""
    bench.network.apple.teams = {}
    assert "401" in bench.unavailable(receipt).detail


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (429, "120", 120),
        (503, "0", 1),
        (500, None, 60),
        (429, "Tue, 24 Nov 2026 12:00:00 GMT", 60),
        (429, "-5", 60),
        (429, "²", 60),
        (429, "9" * 400, 60),
        (429, "99999999", 86400),
        (302, None, 60),
        (204, None, 60),
    ],
)
def test_everything_else_is_tried_again(
    bench: Bench, receipt: bytes, status: int, header: str | None, wait: int
) -> None:
    """Limits, outages and surprises: what the server asks to wait counts, within bounds."""
    bench.answer(status, {} if header is None else {"retry-after": header})
    error = bench.unavailable(receipt)
    assert error.retry_after == wait
    assert str(status) in error.detail


def test_a_throttled_apple(bench: Bench, receipt: bytes) -> None:
    """The lab's Apple limits the rate when told to."""
    bench.network.apple.throttled = 30
    assert bench.unavailable(receipt).retry_after == 30


@pytest.mark.parametrize("body", [b"<html>", b"AAA", "é".encode(), b"A" * 70_000])
def test_answers_that_hold_no_receipt(bench: Bench, receipt: bytes, body: bytes) -> None:
    """Something else than base64, or too much of it, isn't a receipt."""
    bench.answer(200, body=body)
    assert "answered with" in bench.unavailable(receipt).detail


def test_an_app_without_a_way(bench: Bench, receipt: bytes) -> None:
    """Nothing is sent for an app that isn't configured."""
    assert "other" in bench.unavailable(receipt, "other").detail
    assert bench.network.sent == []


def test_a_brokers_instances_show_in_the_risk_metric(bench: Bench) -> None:
    """Five instances of one phone, each with receipts that verify: Apple counts what we can't see."""
    authorities = LabAuthorities.from_seed(SEED)
    app = InstalledIosApp(TEAM, "com.example.clinic")
    trust = Trust(AnchorSet(authorities.anchors()))
    metrics = {}
    for kind in ("broker-iphone", "genuine-iphone"):
        attested = []
        for number in range(5):
            setup = PhoneSetup(authorities, bench.clock, f"phone {number}")
            evidence = PHONES[kind].build(app, setup).attest(bytes(32))
            read = cbor2.loads(base64url.decode(evidence["attestation"]))
            attested.append(read["attStmt"]["receipt"])
        for receipt in attested:
            bench.network.apple.count(receipt)
        bench.clock.at += timedelta(minutes=1)
        newer = [bench.refresh(receipt) for receipt in attested]
        metrics[kind] = [
            examine_refreshed(old, new, trust, bench.clock.at).risk_metric
            for old, new in zip(attested, newer, strict=True)
            if new is not None
        ]
    # The genuine phones share names, not devices, with the broker's instances.
    assert metrics == {"broker-iphone": [5] * 5, "genuine-iphone": [1] * 5}


def test_each_environment_has_its_server() -> None:
    """Apple's default becomes the development server for development apps; another one stays."""
    production, development = AppAttestEnvironment.PRODUCTION, AppAttestEnvironment.DEVELOPMENT
    assert server_of(PRODUCTION, production) == PRODUCTION
    assert server_of(PRODUCTION, development) == "https://data-development.appattest.apple.com"
    assert server_of("http://127.0.0.1:8099", development) == "http://127.0.0.1:8099"


def test_reads_the_file_from_apple() -> None:
    """A .p8 file is PKCS#8 in PEM, of a P-256 key; anything else is named."""

    def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
        encryption = BestAvailableEncryption(password) if password else NoEncryption()
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    key = read_team_key(pem(KEY), TEAM, KEY_ID, "AuthKey.p8")
    assert key.key.private_numbers() == KEY.private_numbers()
    for data in (
        b"",
        b"garbage",
        pem(KEY, b"password"),
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(rsa.generate_private_key(65537, 2048)),
    ):
        with pytest.raises(TeamKeyError, match=r"^AuthKey\.p8: "):
            read_team_key(data, TEAM, KEY_ID, "AuthKey.p8")
