"""Speak HTTP with OpenBao within bounds: answers capped, strictly read, and ended when nobody waits for them."""

import io
import json
import socket
import threading
from contextlib import suppress
from typing import Any, Final

from watchword.adapters.openbao.faults import (
    AbandonedError,
    AnswerError,
    TooLargeError,
    UnexpectedResponseError,
)
from watchword.encoding import strict_json
from watchword.extras import needs
from watchword.reasons import MalformedError

with needs("openbao"):
    import hvac  # type: ignore[import-untyped]
    import requests
    import urllib3
    from hvac.adapters import RawAdapter  # type: ignore[import-untyped]
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of an answer: a key of the transit engine with 10,000 versions, or ten of the largest documents."""

_PIECE_BYTES: Final = 64 * 1024
_MAX_ERRORS: Final = 8

_running: Final = threading.local()
"""In each worker's thread the call that it carries out: how a connection knows whose it is."""


class Call:
    """Stand for one question that is under way, so that whoever stops waiting for it can end it.

    A read timeout alone bounds no time: a server that sends one byte each second never meets it.
    """

    def __init__(self) -> None:
        """Begin without a connection."""
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._abandoned = False

    @property
    def abandoned(self) -> bool:
        """Tell whether nobody waits for it."""
        return self._abandoned

    def __enter__(self) -> None:
        """Let the connections of this thread be this call's."""
        _running.call = self

    def __exit__(self, *_: object) -> None:
        """Let go of the connection: what is abandoned from now on is another's."""
        _running.call = None
        with self._lock:
            self._connection = None

    def uses(self, connection: HTTPConnection) -> None:
        """Note on which connection it runs.

        :raises AbandonedError: when nobody waits any more.
        """
        with self._lock:
            self._connection = connection
            if self._abandoned:
                raise AbandonedError("nobody waits for it")

    def abandon(self) -> None:
        """End it: whatever its thread waits for on the network fails at once."""
        with self._lock:
            self._abandoned = True
            wire = None if self._connection is None else self._connection.sock
            if wire is not None:
                with suppress(OSError):
                    # Of the base class: that of a TLS socket would take the session away under its reader.
                    socket.socket.shutdown(wire, socket.SHUT_RDWR)


def _note(connection: HTTPConnection) -> None:
    call = getattr(_running, "call", None)
    if call is not None:
        call.uses(connection)


class _PlainConnection(HTTPConnection):
    """Tell the call on which connection it runs."""

    def connect(self) -> None:
        """Connect, unless nobody waits any more by then."""
        super().connect()
        _note(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request on a connection that may be a kept one."""
        _note(self)
        super().request(*args, **kwargs)


class _TlsConnection(HTTPSConnection):
    """Tell the call on which connection it runs."""

    def connect(self) -> None:
        """Connect, unless nobody waits any more by then."""
        super().connect()
        _note(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request on a connection that may be a kept one."""
        _note(self)
        super().request(*args, **kwargs)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _BoundedAdapter(HTTPAdapter):
    """Read answers up to :data:`MAX_ANSWER_BYTES`, as they came: nothing is unpacked."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool of connections, of our kinds."""
        super().init_poolmanager(*args, **kwargs)
        pools: dict[str, Any] = {"http": _PlainPool, "https": _TlsPool}
        self.poolmanager.pool_classes_by_scheme = pools

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Return an answer that was read whole.

        :raises TooLargeError: when it is longer; the connection is closed.
        """
        kwargs["stream"] = True
        response = super().send(request, *args, **kwargs)
        try:
            data = _read(response.raw)
        except BaseException:
            response.raw.close()
            raise
        response.raw.release_conn()
        response.raw = io.BytesIO(data)
        return response


def _read(raw: Any) -> bytes:
    data = bytearray()
    while piece := raw.read(_PIECE_BYTES, decode_content=False):
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            raise TooLargeError(f"got an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(data)


class _StrictAdapter(RawAdapter):  # type: ignore[misc]  # hvac has no types.
    """Return the members of an answer; read it by our own rules, not by whatever the library takes."""

    def request(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Ask, and return the members of a success, none for one without a body.

        :raises AnswerError: for any other status.
        :raises UnexpectedResponseError: when a success is OpenBao's, and not as we take JSON: nested too deep.
        :raises MalformedError: when a success isn't the JSON of an object.
        """
        response: requests.Response = super().request(*args, raise_exception=False, **kwargs)
        if response.status_code == 204:
            return {}
        if response.status_code == 200:
            return _success(response.content)
        try:
            body = strict_json.loads(response.content, MAX_ANSWER_BYTES)
        except MalformedError:
            body = {}
        errors = body.get("errors")
        told = errors[:_MAX_ERRORS] if isinstance(errors, list) else []
        raise AnswerError(response.status_code, [str(each) for each in told], body)


def _success(content: bytes) -> dict[str, Any]:
    try:
        return strict_json.loads(content, MAX_ANSWER_BYTES)
    except MalformedError as error:
        if _is_openbaos(content):
            raise UnexpectedResponseError(error.refusals) from None
        raise


def _is_openbaos(content: bytes) -> bool:
    """Tell whether the standard library reads it as an answer, or gives up for its depth alone."""
    try:
        answer = json.loads(content)
    except RecursionError:
        return True
    except ValueError:
        return False
    return isinstance(answer, dict) and "request_id" in answer


def connect(url: str, ca: str | None, seconds: float) -> hvac.Client:
    """Return a client for one thread; nothing is sent yet.

    What the environment says of proxies, certificates, tokens and ``.netrc`` counts for nothing: it would send
    the token, and with it every secret, by ways that the configuration doesn't show.

    :param ca: file of the authorities that are believed; None for the public ones.
    :param seconds: longest wait for the connection, and for each piece of an answer.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = True if ca is None else ca
    session.headers["Accept-Encoding"] = "identity"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _BoundedAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
    return hvac.Client(
        url=url,
        token="",  # Set before each request, from its file.
        cert=(),  # None would be taken from the environment.
        verify=session.verify,
        timeout=seconds,
        allow_redirects=False,
        session=session,
        adapter=_StrictAdapter,
        strict_http=True,
    )
