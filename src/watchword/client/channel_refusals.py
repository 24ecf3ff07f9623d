"""Say why a connection wasn't used; every library hands these on in a wrapping of its own.

::

    ClientError
    +-- ChannelRefusedError          a connection to a pinned host that isn't used; nothing was sent over it
        +-- PinMismatchError             no pinned key in the server's chain: somebody sits in between, or the pins are wrong
        +-- PinsExpiredError             the pins are past their hard expiry, and the host is ``closed`` then
        +-- SecretsWithheldError         the connection would do, but not for secrets
        +-- CleartextRefusedError        ``http`` to a pinned host
"""

import ssl
from collections import deque
from typing import Final

from watchword.client.errors import ClientError
from watchword.pins.interface import Judgement

MAX_LINKS: Final = 64
"""Most errors that are looked at to find the one that a library wrapped."""

_WRAPPERS: Final = ("__cause__", "__context__", "reason", "certificate_error", "os_error")
"""Where Python, urllib3 and aiohttp keep what they wrap."""


class ChannelRefusedError(ClientError, ssl.SSLCertVerificationError):
    """Report a connection that isn't used.

    It is an :class:`ssl.SSLError` too, since libraries and asyncio end a handshake in good order for nothing else.

    :ivar host: that was to be reached.
    :ivar judgement: of the connection; None where there was none to be judged.
    """

    why = "isn't used"
    library = "watchword"

    def __init__(self, host: str, judgement: Judgement | None = None) -> None:
        self.host = host
        self.judgement = judgement
        version = "" if judgement is None else f" (pin set {judgement.version})"
        text = f"the connection to {host} {self.why}{version}; nothing was sent"
        ssl.SSLCertVerificationError.__init__(self, 1, text)
        # What Python's own errors of this kind carry, and some libraries read.
        self.reason = type(self).__name__
        self.verify_code, self.verify_message = 0, text


class PinMismatchError(ChannelRefusedError):
    """Report that no pinned key is in the server's chain, though the platform trusts its certificate."""

    why = "isn't used: the server's certificate is trusted, but its key isn't a pinned one"


class PinsExpiredError(ChannelRefusedError):
    """Report that the pins of a host have expired, and that it isn't to be reached without."""

    why = "isn't used: its pins have expired, and it is closed until newer ones come"


class SecretsWithheldError(ChannelRefusedError):
    """Report that a connection rests on less than living pins, and was asked for to send secrets."""

    why = "isn't used for secrets: what it rests on isn't a living pin"


class CleartextRefusedError(ChannelRefusedError):
    """Report a request over ``http`` to a host that is pinned."""

    why = "isn't made: the host is pinned, and this would be cleartext"


def refusal_of(error: BaseException) -> ChannelRefusedError | None:
    """Return the refusal that an error of httpx, urllib3, requests, aiohttp or asyncio wraps; None if there is none."""
    waiting: deque[BaseException] = deque([error])
    seen: set[int] = set()
    while waiting and len(seen) < MAX_LINKS:
        each = waiting.popleft()
        if isinstance(each, ChannelRefusedError):
            return each
        if id(each) in seen:
            continue
        seen.add(id(each))
        inside = [getattr(each, name, None) for name in _WRAPPERS]
        inside += list(each.args)
        inside += list(each.exceptions) if isinstance(each, BaseExceptionGroup) else []
        waiting.extend(one for one in inside if isinstance(one, BaseException))
    return None


def mismatch_of(error: BaseException) -> PinMismatchError | None:
    """Return the mismatch that an error of a library wraps; None if it is about anything else."""
    found = refusal_of(error)
    return found if isinstance(found, PinMismatchError) else None
