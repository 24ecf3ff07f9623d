"""Fetch root lists and pin sets from the service, in bounded time and memory.

The connection isn't pinned, and need not be: what comes over it is signed.  A host that delivered its own pins could never
be moved to a key that they don't hold.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Protocol
from urllib.parse import quote

import httpx

from watchword.client.errors import ClientError
from watchword.pins.interface import MAX_ROOTS_BYTES, MAX_SET_BYTES

MAX_SECONDS: Final = 15.0
"""How long one fetch may take, from connecting to the last byte; a server that never answers costs no more."""

_TIMEOUT: Final = httpx.Timeout(5.0)
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_NOT_FOUND: Final = 404


class SourceError(ClientError):
    """Report that pins couldn't be fetched; what is installed holds on."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Hold a signed set, and the ETag that it came with."""

    data: bytes
    etag: str | None


class PinSource(Protocol):
    """Hand out what is published for an app."""

    def roots(self, version: int) -> bytes | None:
        """Return the root list of a version, None where there is none yet.

        :raises SourceError: when nobody knows.
        """

    def newest(self, etag: str | None) -> Fetched | None:
        """Return the newest set, None where it is the one of this ETag, or there is none.

        :raises SourceError: when nobody knows.
        """


class HttpPinSource:
    """Implement :class:`PinSource` over the service's HTTP interface."""

    def __init__(
        self,
        service_url: str,
        app: str,
        *,
        monotonic: Callable[[], float],
        transport: httpx.BaseTransport | None = None,
        seconds: float = MAX_SECONDS,
    ) -> None:
        """Prepare; nothing is sent yet.

        :param service_url: where the service listens.
        :param monotonic: returns seconds that only grow, for example ``time.monotonic``.
        :param transport: an httpx transport, for tests.
        :param seconds: how long one fetch may take.
        """
        self._seconds = seconds
        self._fetching: threading.Thread | None = None
        self._path = f"/v1/pins/{quote(app, safe='')}"
        self._monotonic = monotonic
        # Nothing is compressed: few bytes could become very many.
        self._http = httpx.Client(
            base_url=service_url,
            headers={"accept-encoding": "identity"},
            timeout=_TIMEOUT,
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections to the service."""
        self._http.close()

    def roots(self, version: int) -> bytes | None:
        """See :meth:`PinSource.roots`."""
        fetched = self._get(f"{self._path}/roots/{version}", None, MAX_ROOTS_BYTES)
        return None if fetched is None else fetched.data

    def newest(self, etag: str | None) -> Fetched | None:
        """See :meth:`PinSource.newest`."""
        return self._get(self._path, etag, MAX_SET_BYTES)

    def _get(self, path: str, etag: str | None, limit: int) -> Fetched | None:
        """Fetch in a thread that is left behind when it takes too long.

        A timeout of httpx is one between two bytes, and for headers it has no other: a byte at a time, they could come for days.
        There is one such thread at most; it ends once its server is silent.
        """
        if self._fetching is not None and self._fetching.is_alive():
            raise SourceError("an earlier fetch hasn't come to an end yet")
        answers: SimpleQueue[Fetched | Exception | None] = SimpleQueue()

        def fetch() -> None:
            try:
                answers.put(self._fetched(path, etag, limit))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for.
                answers.put(error)

        self._fetching = threading.Thread(target=fetch, name="pin-fetch", daemon=True)
        self._fetching.start()
        try:
            answer = answers.get(timeout=self._seconds)
        except Empty:
            raise SourceError(f"got no whole answer in {self._seconds:g} s") from None
        self._fetching.join()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _fetched(self, path: str, etag: str | None, limit: int) -> Fetched | None:
        until = self._monotonic() + self._seconds
        headers = {} if etag is None else {"if-none-match": etag}
        try:
            with self._http.stream("GET", path, headers=headers) as response:
                if response.status_code in {_NOT_MODIFIED, _NOT_FOUND}:
                    return None
                if response.status_code != _OK:
                    raise SourceError(f"got HTTP {response.status_code} for {path}, expected 200")
                return Fetched(self._body(response, limit, until), response.headers.get("etag"))
        except httpx.HTTPError as error:
            raise SourceError(f"{path}: {type(error).__name__}: {error}") from error

    def _body(self, response: httpx.Response, limit: int, until: float) -> bytes:
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise SourceError("got a compressed answer, which wasn't asked for")
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > limit:
                raise SourceError(f"got more than {limit} bytes")
            # Nobody waits for it any more; a body could come for ever.
            if self._monotonic() > until:
                raise SourceError(f"got no whole answer in {self._seconds:g} s")
        return bytes(body)
