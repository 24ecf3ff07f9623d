"""Read a request's body: capped before it is kept, and within a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from watchword.reasons import MalformedError, Reason, RefusedError

MAX_BODY_BYTES: Final = 64 * 1024
"""Most bytes of a body; the largest real one has 9 kB."""

BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive, as a whole: one byte a minute holds no memory."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGoneError(Exception):
    """Report that the client went away before its request was whole; there is nobody to answer."""


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, seconds: float = BODY_SECONDS
) -> bytes:
    """Return the body of a request whose framing was checked.

    :raises MalformedError: ``request.body_too_large``, on the declared length before a byte is read.
    :raises RefusedError: ``request.timeout``.
    """
    if int(headers.get(b"content-length", b"0")) > MAX_BODY_BYTES:
        raise _too_large()
    chunks = []
    total = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGoneError
                chunk: bytes = message.get("body", b"")
                total += len(chunk)
                if total > MAX_BODY_BYTES:
                    raise _too_large()
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise RefusedError.because(
            Reason.REQUEST_TIMEOUT, f"expected the whole body within {seconds:g} s"
        ) from None


def _too_large() -> MalformedError:
    return MalformedError.because(
        Reason.REQUEST_BODY_TOO_LARGE, f"expected at most {MAX_BODY_BYTES} bytes"
    )
