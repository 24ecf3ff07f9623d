"""Check a server's keys inside of TLS, where every library of Python comes by.

The check stands at the end of the handshake, so that it has been made before the first byte of a request is written; a check on
the answer comes when the key in the request is gone.  It looks at the chain that was *verified*, up to the anchor, and never
at the one that was sent: whoever sits in between can send a genuine authority's certificate along with his own.
"""

import ssl
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Protocol, Self, cast

from watchword.client.channel_refusals import (
    ChannelRefusedError,
    PinMismatchError,
    PinsExpiredError,
    SecretsWithheldError,
)
from watchword.pins.interface import MAX_CHAIN, Judgement, pin_of_certificate
from watchword.reasons import MalformedError

_DER: Final = 2
"""What CPython's own module calls ENCODING_DER."""


class Judges(Protocol):
    """Decide over connections.  :class:`watchword.client.pinning.PinKeeper` is one."""

    @property
    def generation(self) -> int:
        """Return a number that changes whenever the decision on an open connection may."""

    def judge(self, host: str, chain: Sequence[bytes]) -> Judgement:
        """Judge a connection by the SPKI hashes of its verified chain, leaf first; an empty one matches nothing."""

    def refuses_cleartext(self, host: str) -> bool:
        """Tell whether a request without TLS may not go to this host."""


class _Checked:
    """Judge a connection after its handshake, and again before a write when what it was judged by has changed.

    OpenSSL makes the handshake by itself when something is written before it, so that each write asks first.
    """

    _chain: tuple[bytes, ...] | None = None
    _generation = -1
    _refusal: ChannelRefusedError | None = None
    judgement: Judgement | None = None

    def _judge(self) -> None:
        """Judge by what is known of the chain; raises ChannelRefusedError when it may not be used; nothing goes over it from then on."""
        sock = cast("Any", self)
        context: PinnedContext = sock.context
        if self._chain is None:
            self._chain = _verified_pins(sock)
        host: str = sock.server_hostname
        # Read before the judgement: a change in between is seen at the next write.
        generation = context.judges.generation
        judgement = context.judges.judge(host, self._chain)
        self.judgement = judgement
        if not judgement.passes:
            kind = PinMismatchError if judgement.mismatch else PinsExpiredError
            self._refusal = kind(host, judgement)
        elif judgement.withhold and context.secrets:
            self._refusal = SecretsWithheldError(host, judgement)
        if self._refusal is not None:
            raise self._refusal
        self._generation = generation

    def _stand(self) -> None:
        """See that the connection may be written to at this moment; raises as :meth:`_judge` does."""
        if self._refusal is not None:
            raise type(self._refusal)(self._refusal.host, self._refusal.judgement)
        sock = cast("Any", self)
        if sock._sslobj is None:  # noqa: SLF001 - our own base's.
            raise ssl.SSLError(1, "a pinned connection has no TLS (any more): nothing was sent")
        if self._chain is None:
            sock.do_handshake()
        elif self._generation != sock.context.judges.generation:
            self._judge()

    def do_handshake(self, *arguments: Any, **named: Any) -> None:
        """Do the handshake, then check; raises :class:`ChannelRefusedError`."""
        cast("Any", super()).do_handshake(*arguments, **named)
        self._judge()

    def write(self, data: Any) -> int:
        """Write, if the connection still stands."""
        self._stand()
        written: int = cast("Any", super()).write(data)
        return written

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002 - the base's.
        """Read, unless the connection was refused: an answer that is on its way when pins change is read to its end."""
        if self._refusal is not None or self._chain is None:
            self._stand()
        return cast("Any", super()).read(len, buffer)

    @property
    def session(self) -> ssl.SSLSession | None:
        """Return the session; setting one is without effect: a resumed one has no chain to be checked."""
        found: ssl.SSLSession | None = cast("Any", super()).session
        return found

    @session.setter
    def session(self, value: ssl.SSLSession | None) -> None:
        """Leave it out."""


class PinnedSocket(_Checked, ssl.SSLSocket):
    """Be an SSL socket that is checked; :class:`PinnedContext` makes them."""

    def send(self, data: Any, flags: int = 0) -> int:
        """Send, if the connection still stands."""
        self._stand()
        return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all, if the connection still stands: once its TLS has ended, the base would send in the clear."""
        self._stand()
        super().sendall(data, flags)

    def sendto(self, *_arguments: Any, **_named: Any) -> int:
        """Refuse, as the base does while there is TLS."""
        raise ValueError("got sendto, expected send: this socket pins")


class PinnedObject(_Checked, ssl.SSLObject):
    """Be the same without a socket: for asyncio, and for TLS inside of a proxy's TLS."""


class PinnedContext(ssl.SSLContext):
    """Be what httpx takes as ``verify``, urllib3 and requests as ``ssl_context``, aiohttp as ``ssl``.

    Certificate and host name are checked as ever, and the pins on top of that; neither can be switched off.  No session is
    resumed: each connection is judged, by the pins of its day.
    """

    judges: Judges
    secrets: bool

    def __new__(cls, *_arguments: Any, **_named: Any) -> Self:
        """Make it for clients."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(
        self,
        judges: Judges,
        *,
        cafile: str | None = None,
        cadata: str | bytes | None = None,
        secrets: bool = False,
    ) -> None:
        """Prepare a context.

        :param judges: who decides; a change of pins reaches connections that are open already.
        :param cafile: authorities that are trusted in place of the platform's, as PEM.
        :param cadata: the same, as PEM or DER.
        :param secrets: refuse what the judge says secrets are withheld from, such as a host whose pins have expired.
        """
        super().__init__()
        self.judges = judges
        self.secrets = secrets
        self.sslsocket_class = PinnedSocket
        self.sslobject_class = PinnedObject
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        if cafile is None and cadata is None:
            self.load_default_certs()
        else:
            self.load_verify_locations(cafile=cafile, cadata=cadata)

    @property
    def check_hostname(self) -> bool:
        """Return True."""
        return True

    @check_hostname.setter
    def check_hostname(self, value: bool) -> None:
        """Refuse to switch it off."""
        if not value:
            raise ValueError("got check_hostname=False, expected True: this context pins")

    @property
    def verify_mode(self) -> Any:
        """Return CERT_REQUIRED."""
        return ssl.CERT_REQUIRED

    @verify_mode.setter
    def verify_mode(self, value: Any) -> None:
        """Refuse to switch it off."""
        if value != ssl.CERT_REQUIRED:
            raise ValueError(
                f"got verify_mode={value!r}, expected CERT_REQUIRED: this context pins"
            )

    def wrap_socket(self, sock: Any, *arguments: Any, **named: Any) -> PinnedSocket:
        """Wrap a socket as the base does; a session is left out."""
        named.pop("session", None)
        return cast("PinnedSocket", super().wrap_socket(sock, *arguments[:4], **named))

    def wrap_bio(self, incoming: Any, outgoing: Any, *arguments: Any, **named: Any) -> PinnedObject:
        """Wrap a pair of buffers as the base does; a session is left out."""
        named.pop("session", None)
        return cast("PinnedObject", super().wrap_bio(incoming, outgoing, *arguments[:2], **named))


_pin_of: Final = lru_cache(maxsize=32)(pin_of_certificate)
"""Returns the pin of a certificate; an app sees the same few again and again."""


def _verified_pins(sock: Any) -> tuple[bytes, ...]:
    """Return the pins of the certificates that the verification went by, leaf first.

    A resumed session has none, and neither has a chain that holds what can't be read: it matches nothing.
    """
    if sock.session_reused:
        return ()
    # Python 3.13 made it public, under the same name.
    chain = sock._sslobj.get_verified_chain() or ()  # noqa: SLF001 - our own base's.
    try:
        return tuple(_pin_of(each.public_bytes(_DER)) for each in chain[:MAX_CHAIN])
    except MalformedError:
        return ()
