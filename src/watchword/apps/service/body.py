"""Read a request's body: capped before it is kept, and within a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

MAX_BODY_BYTES: Final = 64 * 1024
"""Most bytes of a body; the largest real one has 9 kB."""

MOST_SIGNS: Final = {b",": 256, b"\\": 2048}
"""Most signs of a stranger's JSON of which each costs time: real ones have 20 commas, and a backslash where a
library writes ``/`` in base64 with one.  64 KiB of numbers take four times as long to read as an enrolment takes."""

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive, as a whole: one byte a minute holds no memory."""

MAX_ARRIVING: Final = 256
"""Most bodies that arrive at the same time: at most 16 MiB are held for them."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def require_cheap(body: bytes) -> None:
    """Return if a stranger's JSON is read in less time than it takes to turn him away a few times.

    :raises MalformedError: ``request.malformed``.
    """
    for sign, most in MOST_SIGNS.items():
        if body.count(sign) > most:
            text = sign.decode("ascii")
            raise MalformedError.because(
                Reason.REQUEST_MALFORMED, f"expected at most {most} of {text} in a body"
            )


class BodyReader:
    """Read bodies; of too many at a time the one that takes longest makes room.

    An honest body is whole within a moment, so that whoever sends hundreds of slow ones only
    pushes out his own, and nobody else waits for them.
    """

    def __init__(self) -> None:
        """Start with no body on its way."""
        self._arriving: dict[asyncio.Timeout, None] = {}

    async def read(
        self, headers: Mapping[bytes, bytes], receive: Receive, seconds: float = BODY_SECONDS
    ) -> bytes:
        """Return the body of a request whose head was checked.

        :raises MalformedError: ``request.body_too_large``, on the declared length before a byte is
            read; ``request.framing``.
        :raises RefusedError: ``request.timeout``.
        :raises UnavailableError: ``service.overloaded``, when it made room for others.
        """
        if int(headers.get(b"content-length", b"0")) > MAX_BODY_BYTES:
            raise _too_large()
        if len(self._arriving) >= MAX_ARRIVING:
            oldest = next(iter(self._arriving))
            del self._arriving[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                self._arriving[limit] = None
                return await _whole(receive)
        except TimeoutError:
            if limit not in self._arriving:
                raise UnavailableError(
                    Reason.SERVICE_OVERLOADED, f"more than {MAX_ARRIVING} bodies", retry_after=2
                ) from None
            raise RefusedError.because(
                Reason.REQUEST_TIMEOUT, f"expected the whole body within {seconds:g} s"
            ) from None
        finally:
            self._arriving.pop(limit, None)


async def _whole(receive: Receive) -> bytes:
    chunks = []
    total = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            # The client left, or it is there and broke its own framing: a server can't say which.
            raise MalformedError.because(
                Reason.REQUEST_FRAMING, "got the end before the body was whole"
            )
        chunk: bytes = message.get("body", b"")
        total += len(chunk)
        if total > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large() -> MalformedError:
    return MalformedError.because(
        Reason.REQUEST_BODY_TOO_LARGE, f"expected at most {MAX_BODY_BYTES} bytes"
    )
