"""Ask Google's ``decodeIntegrityToken`` what a token says.

Source: developer.android.com, "Decrypt and verify the integrity verdict" (on Google's servers);
developers.google.com, "Using OAuth 2.0 for server to server applications".

Each call counts against the app's quota (10,000 a day by default).  Callers ask only for what has the
form of a token, once for each challenge of ours, and so often a minute.  Once Google says that a
quota is exhausted or that the account may not do this, nobody asks it again for a while.
"""

import asyncio
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlencode

from watchword.adapters.play_decoder.account import (
    MAX_ACCESS_SECONDS,
    TOKEN_URL,
    ServiceAccount,
    parse_access_token,
)
from watchword.encoding import strict_json
from watchword.ports import Clock, Fetcher, FetchRequest, FetchResponse
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

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
