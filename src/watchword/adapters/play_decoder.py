"""Have Google decode Play Integrity tokens of apps whose response keys it keeps: ``decodeIntegrityToken`` says what one holds.

Source: developer.android.com, "Decrypt and verify the integrity verdict" (on Google's servers);
developers.google.com, "Using OAuth 2.0 for server to server applications".

Each call counts against the app's quota (10,000 a day by default).  Callers ask only for what has the
form of a token, once for each challenge of ours, and so often a minute.  Once Google says that a
quota is exhausted or that the account may not do this, nobody asks it again for a while.

Anybody can send what looks like a token, and each takes a connection to Google for up to half a minute.
What comes beyond a bound is turned away before any work, so that requests don't pile up in memory.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from watchword.encoding import base64url, strict_json
from watchword.ports import Clock, Fetcher, FetchRequest, FetchResponse, PlayDecoder
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError, WatchwordError

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address.
SCOPE: Final = "https://www.googleapis.com/auth/playintegrity"

MAX_FILE_BYTES: Final = 64 * 1024
"""Most bytes of a service account's file; Google's have 2.4 kB."""

ASSERTION_SECONDS: Final = 600
"""How long a signed request is good for; Google allows an hour."""

MAX_ACCESS_SECONDS: Final = 86400
"""How long an access token is used at most; Google's live for an hour."""

_MIN_RSA_BITS: Final = 2048


class AccountError(WatchwordError):
    """Report a file that isn't a service account's; its text holds nothing of the file."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Hold a Google service account; the key is in no repr."""

    email: str
    key_id: str
    key: RSAPrivateKey = field(repr=False)

    def assertion(self, now: int) -> str:
        """Return the signed request for an access token: a JWT under RS256 (RFC 7523).

        :param now: seconds since 1970.
        """
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        claims = {
            "iss": self.email,
            "scope": SCOPE,
            "aud": TOKEN_URL,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        parts = (base64url.encode(strict_json.dumps(part)) for part in (header, claims))
        signing_input = ".".join(parts)
        signature = self.key.sign(signing_input.encode("ascii"), PKCS1v15(), SHA256())
        return f"{signing_input}.{base64url.encode(signature)}"


def read_service_account(data: bytes, name: str) -> ServiceAccount:
    """Return the account in a JSON key file, as the Google Cloud console gives it out.

    The addresses in the file aren't used: ours are fixed, so that a file can't send the key's
    signatures elsewhere.

    :param name: the file's name, for the error.
    :raises AccountError: when it isn't one.
    """
    try:
        document = strict_json.loads(data, MAX_FILE_BYTES)
    except MalformedError:
        raise AccountError(f"{name}: expected the JSON key file of a service account") from None
    email, key_id, pem = (
        document.get(member) for member in ("client_email", "private_key_id", "private_key")
    )
    texts = isinstance(email, str) and isinstance(key_id, str) and isinstance(pem, str)
    if document.get("type") != "service_account" or not texts:
        raise AccountError(
            f"{name}: expected type service_account with client_email, private_key_id, private_key"
        )
    try:
        key = load_pem_private_key(str(pem).encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_RSA_BITS:
        raise AccountError(f"{name}: expected private_key as an RSA key in PEM")
    return ServiceAccount(str(email), str(key_id), key)


def parse_access_token(body: bytes) -> tuple[str, int] | None:
    """Return the access token of Google's answer and its life in seconds, None if it isn't one."""
    try:
        document = json.loads(body)
        token, seconds = document["access_token"], document["expires_in"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    good = isinstance(token, str) and token.isascii() and token.isprintable() and token != ""
    if not good or type(seconds) is not int or seconds <= 0:
        return None
    return token, min(seconds, MAX_ACCESS_SECONDS)


AT_ONCE: Final = 8
"""Most tokens that are decoded at the same time."""

WAITING: Final = 32
"""Most tokens that wait for their turn."""

RETRY_AFTER: Final = 5
"""Seconds after which a phone that was turned away tries again."""


class BoundedDecoder:
    """Implement :class:`watchword.ports.PlayDecoder` around another one; of one event loop."""

    def __init__(
        self, decoder: PlayDecoder, *, at_once: int = AT_ONCE, waiting: int = WAITING
    ) -> None:
        """Keep the decoder and the bounds."""
        self._decoder = decoder
        self._most = at_once + waiting
        self._turn = asyncio.Semaphore(at_once)
        self._inside = 0

    def __repr__(self) -> str:
        """Name the decoder, which tells no secret."""
        return f"BoundedDecoder({self._decoder!r})"

    async def decode(self, package: str, token: bytes) -> bytes:
        """See :meth:`watchword.ports.PlayDecoder.decode`.

        :raises UnavailableError: also ``service.overloaded``, at once, when too many wait already.
        """
        if self._inside >= self._most:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED,
                f"more than {self._most} Play Integrity tokens at once",
                RETRY_AFTER,
            )
        self._inside += 1
        try:
            async with self._turn:
                return await self._decoder.decode(package, token)
        finally:
            self._inside -= 1


DECODE_URL: Final = "https://playintegrity.googleapis.com/v1/{package}:decodeIntegrityToken"

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Most bytes of an answer; real ones have about 1 kB."""

RENEW_SECONDS: Final = 60
"""How long before its end an access token is replaced."""

QUOTA_PAUSE: Final = 300
"""Seconds without a question after Google said that the quota is exhausted, and not for how long."""

FORBIDDEN_PAUSE: Final = 60
"""Seconds without a question after Google refused the account: a person has to do something."""

MAX_PAUSE: Final = 3600

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class GooglePlayDecoder:
    """Implement :class:`watchword.ports.PlayDecoder` with one service account; of one event loop.

    Of many callers without an access token one asks for it and all get the same.
    """

    def __init__(self, account: ServiceAccount, fetcher: Fetcher, clock: Clock) -> None:
        """Keep the account; nothing is asked before the first token."""
        self._account = account
        self._fetcher = fetcher
        self._clock = clock
        self._access_token = ""
        self._access_until = 0.0
        self._asking = asyncio.Lock()
        self._paused: dict[str, tuple[float, str]] = {}

    def __repr__(self) -> str:
        """Name the account; keys and access tokens are in no repr."""
        return f"GooglePlayDecoder(account={self._account.email!r})"

    async def decode(self, package: str, token: bytes) -> bytes:
        """See :meth:`watchword.ports.PlayDecoder.decode`."""
        until, why = self._paused.get(package, (0.0, ""))
        left = until - self._clock.timestamp()
        # A pause that was noted by a clock that ran ahead is none.
        if 0 < left <= MAX_PAUSE:
            _unavailable(why, int(left) + 1)
        access_token = await self._token()
        answer = await self._ask(package, token, access_token)
        if answer.status == 401:
            # It was revoked before its time; a new one is tried once.
            self._forget(access_token)
            answer = await self._ask(package, token, await self._token())
        if answer.status != 200:
            self._refuse(package, answer)
        return _payload(answer.body)

    async def _ask(self, package: str, token: bytes, access_token: str) -> FetchResponse:
        return await self._fetcher.fetch(
            FetchRequest(
                "POST",
                DECODE_URL.format(package=quote(package, safe="")),
                {
                    "authorization": f"Bearer {access_token}",
                    "content-type": "application/json",
                },
                strict_json.dumps({"integrity_token": token.decode("ascii")}),
            )
        )

    async def _token(self) -> str:
        """Return an access token that is good for a while, made anew when it has to be."""
        async with self._asking:
            now = self._clock.timestamp()
            if self._access_token and now < self._access_until <= now + MAX_ACCESS_SECONDS:
                return self._access_token
            form = {"grant_type": _GRANT, "assertion": self._account.assertion(int(now))}
            answer = await self._fetcher.fetch(
                FetchRequest(
                    "POST",
                    TOKEN_URL,
                    {"content-type": "application/x-www-form-urlencoded"},
                    urlencode(form).encode("ascii"),
                )
            )
            if answer.status in {400, 401, 403}:
                _unavailable(
                    f"Google refused the service account {self._account.email} "
                    f"({answer.status}): its key was withdrawn, or this machine's clock is wrong",
                    FORBIDDEN_PAUSE,
                )
            got = parse_access_token(answer.body[:MAX_ANSWER_BYTES])
            if answer.status != 200 or got is None:
                _unavailable(
                    f"Google's token endpoint answered {answer.status}", _retry_after(answer)
                )
            self._access_token, seconds = got
            self._access_until = now + seconds - RENEW_SECONDS
            return self._access_token

    def _forget(self, access_token: str) -> None:
        """Drop an access token, unless another caller has replaced it already."""
        if self._access_token == access_token:
            self._access_token = ""

    def _refuse(self, package: str, answer: FetchResponse) -> NoReturn:
        """Turn an answer without a verdict into the error that tells who can act on it."""
        if answer.status == 400:
            raise RefusedError.because(
                Reason.PLAY_TOKEN, "Google says that this isn't a token of the package"
            )
        if answer.status in {401, 403, 404}:
            why = (
                f"Google lets the service account {self._account.email} decode no tokens of "
                f"{package} ({answer.status}): link its project to the app in the Play Console and "
                "enable the Play Integrity API"
            )
            self._pause(package, why, FORBIDDEN_PAUSE)
        if answer.status == 429:
            why = f"the quota of Play Integrity requests for {package} is exhausted (429)"
            self._pause(package, why, _retry_after(answer, QUOTA_PAUSE))
        _unavailable(f"Google's decoder answered {answer.status}", _retry_after(answer))

    def _pause(self, package: str, why: str, seconds: int) -> NoReturn:
        self._paused[package] = (self._clock.timestamp() + seconds, why)
        _unavailable(why, seconds)


def _payload(body: bytes) -> bytes:
    """Return ``tokenPayloadExternal`` as JSON of its own."""
    try:
        document: dict[str, Any] = strict_json.loads(body, MAX_ANSWER_BYTES)
    except MalformedError:
        _unavailable("Google's decoder sent an answer that can't be read", 5)
    payload = document.get("tokenPayloadExternal")
    if not isinstance(payload, dict):
        _unavailable("Google's decoder sent an answer without tokenPayloadExternal", 5)
    return strict_json.dumps(payload)


def _retry_after(answer: FetchResponse, default: int = 5) -> int:
    """Return how long Google wants us to wait, in seconds and within our bounds."""
    text = answer.headers.get("retry-after", "")
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default
    return max(1, min(seconds, MAX_PAUSE))


def _unavailable(why: str, retry_after: int) -> NoReturn:
    raise UnavailableError(Reason.VENDOR_UNAVAILABLE, why, retry_after)
