"""Define the ways in which a connection to the API may be weaker than it should be, and the port that tries them."""

from enum import StrEnum
from typing import Protocol

from watchword.drill.wire import Answer, Call


class Weakness(StrEnum):
    """Name one thing that is wrong with a connection; all else of it is as the app makes it.

    ``cleartext``: no TLS, at the port of TLS.  ``tls-1.0`` and ``tls-1.1``: versions that RFC 8996 forbids.  ``no-encryption``,
    ``no-authentication``, ``no-forward-secrecy`` and ``short-blocks``: nothing else is offered than suites that lack it.
    """

    CLEARTEXT = "cleartext"
    TLS_1_0 = "tls-1.0"
    TLS_1_1 = "tls-1.1"
    NO_ENCRYPTION = "no-encryption"
    NO_AUTHENTICATION = "no-authentication"
    NO_FORWARD_SECRECY = "no-forward-secrecy"
    SHORT_BLOCKS = "short-blocks"


class Channel(Protocol):
    """Send requests over weakened connections, to where the wire sends them and nowhere else."""

    def send_weakly(self, call: Call, weakness: Weakness) -> Answer:
        """Send one request over a new connection; status 0 where the other side made none, or closed it.

        :raises MissingError: when the part isn't reached over TLS, or this machine's TLS can't be made so weak.
        :raises TargetLostError: when nobody answers there at all.
        """
