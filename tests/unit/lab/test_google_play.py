"""The lab's Google: tokens that another implementation opens, servers that answer as Google's do."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.unit.attestation.forge_play import open_elsewhere

from watchword.attestation.interface import PlayKeys
from watchword.encoding import base64url
from watchword.lab.google_play import SCOPE, TOKEN_URL, GooglePlay, GoogleServers
from watchword.ports import FetchRequest, FetchResponse

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GOOGLE = GooglePlay(bytes(range(32)))
KEYS = PlayKeys(GOOGLE.decryption_key, GOOGLE.verification_key)
PACKAGE = "com.example.clinic"
PAYLOAD: dict[str, Any] = {"requestDetails": {"requestPackageName": PACKAGE}, "text": "\u00e9"}
EMAIL = "decoder@clinic.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(65537, 2048)
SERVERS = GoogleServers(GOOGLE, {EMAIL: KEY.public_key()}, frozenset({PACKAGE}))
DECODE = f"https://playintegrity.googleapis.com/v1/{PACKAGE}:decodeIntegrityToken"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_another_implementation_opens_the_tokens() -> None:
    """Joserfc decrypts and verifies what the lab's Google issued."""
    token = GOOGLE.issue(PAYLOAD).encode()
    opened = open_elsewhere(token, KEYS)
    assert opened is not None
    assert json.loads(opened) == PAYLOAD == GOOGLE.open(token.decode())


def test_header_is_the_one_that_real_tokens_have() -> None:
    """The protected header is, to the byte, the one that is published."""
    assert GOOGLE.issue(PAYLOAD).split(".")[0] == "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIn0"


def test_a_lab_repeats_itself_and_no_other() -> None:
    """The same seed gives the same token; another one's doesn't open it; no vector is met twice."""
    token, other = GOOGLE.issue(PAYLOAD), GooglePlay(bytes(32))
    assert token == GooglePlay(bytes(range(32))).issue(PAYLOAD)
    assert other.open(token) is None
    assert open_elsewhere(token.encode(), PlayKeys(other.decryption_key, KEYS.verification)) is None
    assert GOOGLE.issue({**PAYLOAD, "more": 1}).split(".")[1:3] != token.split(".")[1:3]
    assert GOOGLE.seed.hex() not in repr(GOOGLE)


@pytest.mark.parametrize("text", ["", "a.b.c.d.e", "a.b", "." * 4, "\u00e9.b.c.d.e"])
def test_what_is_no_token_opens_to_nothing(text: str) -> None:
    """The servers answer 400 to it."""
    assert GOOGLE.open(text) is None


def assertion(**changes: Any) -> str:
    """Return a signed request for an access token."""
    now = int(NOW.timestamp())
    claims = {"iss": EMAIL, "scope": SCOPE, "aud": TOKEN_URL, "iat": now, "exp": now + 3600}
    header = {"alg": changes.pop("alg", "RS256"), "typ": "JWT"}
    parts = [json.dumps(part).encode() for part in (header, {**claims, **changes})]
    signing_input = ".".join(base64url.encode(part) for part in parts)
    signature = KEY.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signing_input}.{base64url.encode(signature)}"


def asked(url: str, body: bytes, now: datetime = NOW, method: str = "POST", **headers: str) -> Any:
    """Return the servers' answer."""
    return SERVERS.answer(FetchRequest(method, url, headers, body), now)


def access_token(**changes: Any) -> FetchResponse:
    """Ask for an access token."""
    form = urlencode({"grant_type": GRANT, "assertion": assertion(**changes)})
    answer: FetchResponse = asked(TOKEN_URL, form.encode())
    return answer


def test_account_gets_an_access_token_for_an_hour() -> None:
    """It opens the decoder, until it ends."""
    token = json.loads(access_token().body)["access_token"]
    body = json.dumps({"integrity_token": GOOGLE.issue(PAYLOAD)}).encode()
    good = asked(DECODE, body, authorization=f"Bearer {token}")
    assert json.loads(good.body) == {"tokenPayloadExternal": PAYLOAD}
    late = NOW + timedelta(hours=1)
    assert asked(DECODE, body, late, authorization=f"Bearer {token}").status == 401
    other = DECODE.replace("clinic", "other")
    assert asked(other, body, authorization=f"Bearer {token}").status == 403
    assert asked(DECODE, b"[]", authorization=f"Bearer {token}").status == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "stranger@example.com"},
        {"aud": "https://example.com"},
        {"scope": "https://www.googleapis.com/auth/drive"},
        {"iat": 0},
        {"exp": 0},
        {"exp": 2**40},
        {"alg": "none"},
    ],
)
def test_account_is_checked(changes: dict[str, Any]) -> None:
    """A request that Google wouldn't take isn't taken."""
    answer = access_token(**changes)
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer 9999999999.", "Basic x", "Bearer a.b"])
def test_decoder_is_closed_to_strangers(header: str) -> None:
    """Without an access token of this lab there is no verdict."""
    assert asked(DECODE, b"{}", authorization=header).status == 401


def test_other_addresses_and_methods() -> None:
    """There are two addresses, and POST alone."""
    assert asked("https://playintegrity.googleapis.com/", b"").status == 404
    assert asked(DECODE, b"", method="GET").status == 405
    assert asked(TOKEN_URL, b"\xff&&=").status == 400
