"""Google's decoder: what is asked, how seldom, and what each answer becomes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import MovableClock

from watchword.adapters.play_decoder import (
    FORBIDDEN_PAUSE,
    MAX_ACCESS_SECONDS,
    MAX_PAUSE,
    QUOTA_PAUSE,
    RENEW_SECONDS,
    TOKEN_URL,
    AccountError,
    GooglePlayDecoder,
    ServiceAccount,
    parse_access_token,
    read_service_account,
)
from watchword.lab.google_play import GooglePlay, GoogleServers
from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import Reason, RefusedError, UnavailableError

PACKAGE = "com.example.clinic"
EMAIL = "decoder@clinic.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
GOOGLE = GooglePlay(bytes(range(32)))
PAYLOAD = {"requestDetails": {"requestPackageName": PACKAGE, "nonce": "AAAA"}, "x": {"y": [1]}}
TOKEN = GOOGLE.issue(PAYLOAD).encode()


def key_file(**changes: object) -> bytes:
    """Return a service account's file as the Cloud console gives it out."""
    document = {
        "type": "service_account",
        "project_id": "clinic",
        "private_key_id": "0123abc",
        "private_key": PEM,
        "client_email": EMAIL,
        "token_uri": "https://attacker.example/token",
    }
    return json.dumps({**document, **changes}).encode()


ACCOUNT = read_service_account(key_file(), "account.json")


@dataclass
class Internet:
    """Implement the fetcher over the lab's Google; ``mutate`` changes an answer on its way."""

    clock: MovableClock
    servers: GoogleServers = field(
        default_factory=lambda: GoogleServers(
            GOOGLE, {EMAIL: KEY.public_key()}, frozenset({PACKAGE})
        )
    )
    mutate: Callable[[FetchRequest, FetchResponse], FetchResponse] = lambda _, answer: answer
    asked: list[FetchRequest] = field(default_factory=list)

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """See the port."""
        self.asked.append(request)
        answer = self.servers.answer(request, self.clock.now())
        await asyncio.sleep(0)
        return self.mutate(request, answer)

    def count(self, part: str) -> int:
        """Return how many requests went to URLs with this part."""
        return sum(part in request.url for request in self.asked)


def always(
    status: int, body: bytes = b"{}", part: str = "playintegrity", **headers: str
) -> Callable[[FetchRequest, FetchResponse], FetchResponse]:
    """Return a mutation by which one of the servers gives this answer always."""

    def mutate(request: FetchRequest, answer: FetchResponse) -> FetchResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return FetchResponse(status, named, body) if part in request.url else answer

    return mutate


def world() -> tuple[Internet, GooglePlayDecoder]:
    """Return an Internet and a decoder in it."""
    clock = MovableClock()
    internet = Internet(clock)
    return internet, GooglePlayDecoder(ACCOUNT, internet, clock)


def test_token_is_decoded() -> None:
    """The payload comes back as JSON of its own; the request is the one that Google's pages show."""
    internet, decoder = world()
    assert json.loads(asyncio.run(decoder.decode(PACKAGE, TOKEN))) == PAYLOAD
    asked = internet.asked[-1]
    assert asked.url == (f"https://playintegrity.googleapis.com/v1/{PACKAGE}:decodeIntegrityToken")
    assert json.loads(asked.body) == {"integrity_token": TOKEN.decode()}


def test_access_token_is_kept_until_shortly_before_its_end() -> None:
    """Of many calls one asks for an access token, also when they come at once."""
    internet, decoder = world()

    async def calls() -> None:
        await asyncio.gather(*(decoder.decode(PACKAGE, TOKEN) for _ in range(5)))
        internet.clock.advance(3600 - RENEW_SECONDS - 1)
        await decoder.decode(PACKAGE, TOKEN)
        assert internet.count("oauth2") == 1
        internet.clock.advance(1)
        await decoder.decode(PACKAGE, TOKEN)

    asyncio.run(calls())
    assert (internet.count("oauth2"), internet.count("playintegrity")) == (2, 7)


def test_withdrawn_access_token_is_replaced_once() -> None:
    """A 401 costs one new access token, and isn't repeated for ever."""
    internet, decoder = world()
    refused: list[str] = []

    def mutate(request: FetchRequest, answer: FetchResponse) -> FetchResponse:
        if "playintegrity" in request.url and not refused:
            refused.append(request.headers["authorization"])
            return FetchResponse(401, {}, b"{}")
        return answer

    internet.mutate = mutate
    asyncio.run(decoder.decode(PACKAGE, TOKEN))
    assert (internet.count("oauth2"), internet.count("playintegrity")) == (2, 2)
    internet.mutate = always(401)
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(decoder.decode(PACKAGE, TOKEN))
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE
    assert internet.count("playintegrity") == 4


@pytest.mark.parametrize("token", [b"a.b.c.d.e", GooglePlay(bytes(32)).issue(PAYLOAD).encode()])
def test_what_google_cannot_decode_is_refused(token: bytes) -> None:
    """A 400 is the sender's fault."""
    _, decoder = world()
    with pytest.raises(RefusedError) as caught:
        asyncio.run(decoder.decode(PACKAGE, token))
    assert caught.value.reason is Reason.PLAY_TOKEN


def test_token_of_another_package_is_refused() -> None:
    """Google decodes a token under the package that asked for it alone."""
    internet, decoder = world()
    other = GOOGLE.issue({"requestDetails": {"requestPackageName": "org.other"}}).encode()
    with pytest.raises(RefusedError) as caught:
        asyncio.run(decoder.decode(PACKAGE, other))
    assert caught.value.reason is Reason.PLAY_TOKEN
    assert internet.count("playintegrity") == 1


@pytest.mark.parametrize("status", [403, 404])
def test_account_that_may_not_is_told_to_the_operator(status: int) -> None:
    """The text says what a person has to do; until the pause is over nobody asks again."""
    internet, decoder = world()
    internet.mutate = always(status)
    for _ in range(3):
        with pytest.raises(UnavailableError) as caught:
            asyncio.run(decoder.decode(PACKAGE, TOKEN))
        assert caught.value.reason is Reason.VENDOR_UNAVAILABLE
        assert EMAIL in caught.value.detail
        assert "Play Console" in caught.value.detail
    assert internet.count("playintegrity") == 1
    internet.clock.advance(FORBIDDEN_PAUSE + 1)
    internet.mutate = always(200, json.dumps({"tokenPayloadExternal": {"a": 1}}).encode())
    assert asyncio.run(decoder.decode(PACKAGE, TOKEN)) == b'{"a":1}'


@pytest.mark.parametrize(
    ("header", "pause"),
    [("120", 120), ("", QUOTA_PAUSE), ("soon", QUOTA_PAUSE), ("999999", MAX_PAUSE), ("0", 1)],
)
def test_exhausted_quota_is_waited_for(header: str, pause: int) -> None:
    """A flood after the quota's end costs Google nothing; other packages go on."""
    internet, decoder = world()
    internet.mutate = always(429, retry_after=header)
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(decoder.decode(PACKAGE, TOKEN))
    assert caught.value.retry_after == pause
    with pytest.raises(UnavailableError) as again:
        asyncio.run(decoder.decode(PACKAGE, TOKEN))
    assert again.value.reason is Reason.VENDOR_UNAVAILABLE
    assert again.value.retry_after <= pause + 1
    assert internet.count("playintegrity") == 1
    with pytest.raises(UnavailableError):
        asyncio.run(decoder.decode("org.other", TOKEN))
    assert internet.count("playintegrity") == 2


def test_a_clock_that_is_set_right_ends_the_pause() -> None:
    """What a clock two days ahead noted doesn't keep anybody out for two days, nor does its access token."""
    internet, decoder = world()
    internet.clock.advance(2 * 86400)
    internet.mutate = always(429)
    with pytest.raises(UnavailableError):
        asyncio.run(decoder.decode(PACKAGE, TOKEN))
    internet.clock.advance(-2 * 86400)
    internet.mutate = lambda _, answer: answer
    assert json.loads(asyncio.run(decoder.decode(PACKAGE, TOKEN))) == PAYLOAD
    assert internet.count("oauth2") == 2


@pytest.mark.parametrize(
    "mutate",
    [
        always(500),
        always(503, retry_after="30"),
        always(302),
        always(200, b"<html>"),
        always(200, b"{}"),
        always(200, b'{"tokenPayloadExternal": []}'),
        always(200, b'{"tokenPayloadExternal": {"a": 1, "a": 2}}'),
        always(200, b'{"tokenPayloadExternal": {}}' + b" " * (64 * 1024)),
        always(400, b'{"error": "invalid_grant"}', part="oauth2"),
        always(403, part="oauth2"),
        always(500, part="oauth2"),
        always(200, b"[]", part="oauth2"),
        always(200, b'{"access_token": "a\\r\\nb", "expires_in": 3600}', part="oauth2"),
    ],
)
def test_everything_else_is_googles_trouble(
    mutate: Callable[[FetchRequest, FetchResponse], FetchResponse],
) -> None:
    """Outages and nonsense make nobody's evidence bad."""
    internet, decoder = world()
    internet.mutate = mutate
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(decoder.decode(PACKAGE, TOKEN))
    assert caught.value.reason is Reason.VENDOR_UNAVAILABLE
    assert 1 <= caught.value.retry_after <= MAX_PAUSE


def test_secrets_are_in_no_text() -> None:
    """Key, assertion, access token and integrity token are in no repr and in no error."""
    internet, decoder = world()
    internet.mutate = always(403)
    with pytest.raises(UnavailableError) as caught:
        asyncio.run(decoder.decode(PACKAGE, TOKEN))
    access_token = internet.asked[-1].headers["authorization"].removeprefix("Bearer ")
    assertion = internet.asked[0].body.decode()[-40:]
    shown = f"{decoder!r} {ACCOUNT!r} {caught.value} {internet.asked!r}"
    for secret in (access_token, assertion, PEM[40:80], TOKEN.decode()[:60], repr(KEY)):
        assert secret not in shown


def test_account_is_read_strictly() -> None:
    """Another kind of file, or of key, is told by what was expected, never by its content."""
    assert (ACCOUNT.email, ACCOUNT.key_id) == (EMAIL, "0123abc")
    elliptic = ec.generate_private_key(ec.SECP256R1())
    pem = elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    weak = rsa.generate_private_key(65537, 1024)
    short = weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    bad = [b"", b"[]", b"{}", key_file(type="authorized_user"), key_file(private_key=pem)]
    bad += [key_file(private_key=short), key_file(private_key="x"), key_file(client_email=7)]
    for data in bad:
        with pytest.raises(AccountError) as caught:
            read_service_account(data, "account.json")
        assert "account.json" in str(caught.value)
        assert "PRIVATE" not in str(caught.value)


def test_the_addresses_are_ours() -> None:
    """A file that names another token endpoint sends it nothing."""
    internet, decoder = world()
    asyncio.run(decoder.decode(PACKAGE, TOKEN))
    assert {request.url for request in internet.asked if "oauth2" in request.url} == {TOKEN_URL}
    assert internet.count("attacker") == 0
    assert isinstance(ACCOUNT, ServiceAccount)


@given(st.binary(max_size=200) | st.just(b"[" * 5000))
def test_any_answer_of_the_token_endpoint(data: bytes) -> None:
    """An answer is an access token, or nothing."""
    got = parse_access_token(data)
    assert got is None or 0 < got[1] <= MAX_ACCESS_SECONDS
