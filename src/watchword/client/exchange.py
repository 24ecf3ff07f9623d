"""Talk to the service: one JSON request, one JSON answer, and patience in between.

What may be repeated is repeated with exponential back-off and full jitter, so that many phones
that lost the service at one moment don't return at one moment.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import httpx

from watchword.client.channel_refusals import refusal_of
from watchword.client.errors import (
    Problem,
    ServiceUnavailableError,
    UnreadableAnswerError,
    refusal,
)
from watchword.encoding import strict_json
from watchword.reasons import MalformedError

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Most bytes of an answer; the service's own are below 20 kB with eight audiences."""

MAX_ATTEMPTS: Final = 4
"""How often a request is sent before the client gives up."""

FIRST_PAUSE: Final = 0.5
"""Upper bound of the first pause, in seconds; it doubles with each attempt."""

MAX_PAUSE: Final = 8.0
"""Longest pause, in seconds; a service that asks for more is reported as unavailable at once."""

_PROBLEM_TYPE: Final = "urn:watchword:problem:"
_PLACE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class _LaterError(Exception):
    """Carry the cause of a failed attempt that may be repeated."""

    def __init__(
        self, cause: str, retry_after: float | None = None, place: str | None = None
    ) -> None:
        super().__init__(cause)
        self.retry_after = retry_after
        self.place = place


@dataclass(frozen=True, slots=True)
class Backoff:
    """Hold how the client waits.

    :param jitter: returns a number from 0 to below 1, another each time.
    :param sleep: waits for so many seconds.
    """

    jitter: Callable[[], float]
    sleep: Callable[[float], None]

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after a failed attempt (0 is the first).

        Full jitter over an exponentially growing span, on top of what the service asked for.
        """
        span: float = min(MAX_PAUSE, FIRST_PAUSE * 2**attempt)
        return (retry_after or 0.0) + self.jitter() * span

    def spread(self, span: float) -> None:
        """Wait for a random part of so many seconds, so that many clients don't do the same at once."""
        self.sleep(self.jitter() * span)

    def rest(self, attempt: int, retry_after: float | None = None) -> None:
        """Wait after a failed attempt."""
        self.sleep(self.pause(attempt, retry_after))


class Exchange:
    """Send JSON to the service and read what it answers."""

    def __init__(
        self, http: httpx.Client, backoff: Backoff, hear_time: Callable[[Any], None]
    ) -> None:
        """Use ``http``, whose base URL is the service's.

        :param hear_time: is told the ``now`` of each answer of the service's as soon as it is read, whatever it is.
        """
        self._http = http
        self._backoff = backoff
        self._hear_time = hear_time

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        attempts: int,
        hear_place: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """Return the answer to a POST.

        :param attempts: how often it may be sent, 1 or more.
        :param hear_place: is told each place in the line that the service gives; the next attempt brings it.
        :raises ServiceUnavailableError: after the last attempt, or if the service asks for a longer
            pause than :data:`MAX_PAUSE`.
        :raises ServiceRefusedError: with the service's problem document.
        :raises UnreadableAnswerError: on an answer that isn't the service's.
        :raises ChannelRefusedError: when its host is pinned and the connection isn't used; trying again is of no use.
        """
        attempt = 0
        while True:
            try:
                return self._once("POST", path, strict_json.dumps(body))
            except _LaterError as later:
                attempt += 1
                if later.place is not None and hear_place is not None:
                    hear_place(later.place)
                    body = {**body, "place": later.place}
                retry_after = later.retry_after
                if attempt >= attempts or (retry_after or 0.0) > MAX_PAUSE:
                    raise ServiceUnavailableError(str(later), attempt, retry_after) from later
            self._backoff.rest(attempt - 1, retry_after)

    def get(self, path: str) -> dict[str, Any]:
        """Return the answer to a GET that is sent once.

        :raises ClientError: see :meth:`post`.
        """
        try:
            return self._once("GET", path, None)
        except _LaterError as later:
            raise ServiceUnavailableError(str(later), 1, later.retry_after) from later

    def _once(self, method: str, path: str, content: bytes | None) -> dict[str, Any]:
        """Send one request and sort its answer."""
        try:
            with self._http.stream(method, path, content=content) as response:
                return self._sort(response, _read_capped(response))
        except httpx.HTTPError as error:
            refused = refusal_of(error)
            if refused is not None:
                raise refused from None
            # The error's text may hold the URL, never what was sent.
            raise _LaterError(f"{type(error).__name__}: {error}") from None

    def _sort(self, response: httpx.Response, body: bytes) -> dict[str, Any]:
        """Return a success's object, or raise what the answer means.

        A refusal counts only as a problem document of Watchword's: whatever else stands in the way
        (a captive portal, a proxy's error page) must not make an app give up its instance.
        """
        status = response.status_code
        if status in {200, 201}:
            try:
                answer = strict_json.loads(body, MAX_ANSWER_BYTES)
            except MalformedError as error:
                raise UnreadableAnswerError(
                    f"HTTP {status} without a JSON object: {error}"
                ) from None
            self._hear_time(answer.get("now"))
            return answer
        problem = read_problem(response, body)
        if problem is not None:
            self._hear_time(problem.now)
        if status in _LATER:
            # A lab's service says why, such as `enrolment.limit`; nothing hangs on it.
            told = problem is not None and problem.reasons
            why = f" ({', '.join(told)})" if told else ""
            place = None if problem is None else problem.place
            raise _LaterError(f"HTTP {status}{why}", _retry_after(response), place)
        if problem is None:
            raise UnreadableAnswerError(f"HTTP {status} without a problem document of the service")
        raise refusal(problem)


def read_problem(response: httpx.Response, body: bytes) -> Problem | None:
    """Return the problem document in a response, None if it isn't one of Watchword's."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/problem+json":
        return None
    try:
        document = strict_json.loads(body, MAX_ANSWER_BYTES)
    except MalformedError:
        return None
    kind, ref, reasons = document.get("type"), document.get("ref"), document.get("reasons")
    now, signed = document.get("now"), document.get("signed")
    place = document.get("place")
    if not isinstance(kind, str) or not kind.startswith(_PROBLEM_TYPE):
        return None
    return Problem(
        status=response.status_code,
        slug=kind.removeprefix(_PROBLEM_TYPE),
        title=str(document.get("title", "")),
        ref=ref if isinstance(ref, str) else None,
        reasons=tuple(str(reason) for reason in reasons) if isinstance(reasons, list) else (),
        now=now if isinstance(now, int) and not isinstance(now, bool) else None,
        signed=signed if isinstance(signed, str) else None,
        place=place if is_place(place) else None,
    )


def is_place(value: Any) -> TypeGuard[str]:
    """Tell whether a value can be a place in the line of those who enrol."""
    return isinstance(value, str) and _PLACE.fullmatch(value) is not None


def _read_capped(response: httpx.Response) -> bytes:
    """Return the body; a compressed one is refused, since few bytes could become very many."""
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnreadableAnswerError("got a compressed answer, which wasn't asked for")
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise UnreadableAnswerError(f"got an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds in Retry-After; its other form, a date, is taken as not given."""
    text = response.headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def is_safe(url: httpx.URL) -> bool:
    """Tell whether evidence and tokens may go to this URL: TLS, or not over any network."""
    if url.scheme == "https":
        return bool(url.host)
    if url.scheme != "http":
        return False
    if url.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        return False
