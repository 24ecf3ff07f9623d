"""Ask OpenBao: off the event loop, within a time, and not at all while it is known to be down."""

import asyncio
import concurrent.futures
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from watchword.adapters.breaker import Breaker
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.openbao.faults import (
    AnswerError,
    DecryptError,
    Fault,
    TooLargeError,
    UnsignedError,
    fault_of,
    no_answer,
    unavailable,
)
from watchword.adapters.openbao.token_file import TokenFile
from watchword.adapters.openbao.wire import Call, connect
from watchword.extras import needs
from watchword.reasons import MalformedError, RefusedError, UnavailableError

with needs("openbao"):
    import requests
    import urllib3
    from hvac.exceptions import VaultError  # type: ignore[import-untyped]

WORKERS: Final = 4
"""Threads that ask; a backend that hangs takes these and no others."""

MAX_WAITING: Final = 64
"""Most questions that are under way or wait for a worker; the next one is refused at once."""

Client: TypeAlias = Any
"""An ``hvac.Client``; the library has no types."""

_T = TypeVar("_T")

_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_-]*")
_FAULTS: Final = (
    AnswerError,
    TooLargeError,
    DecryptError,
    UnsignedError,
    MalformedError,
    VaultError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class OpenBaoPlace:
    """Hold where OpenBao is, and as whom it is asked.

    :param url: ``https://host:port``; plain ``http`` only where the settings allow it.
    :param token: private file with the token, read anew when an agent renewed it.
    :param mount: of the KV engine (version 2).
    :param path: in it, under which everything of ours stands, and nothing else.
    :param transit: mount of the transit engine.
    :param ca: PEM file of the authorities that are believed; None for the public ones.
    :param timeout: seconds for one question, the wait for its turn included.
    :raises ValueError: when the URL has more than host and port, or a mount isn't a plain path.
    """

    url: str
    token: Path
    mount: str = "secret"
    path: str = "watchword"
    transit: str = "transit"
    ca: Path | None = None
    timeout: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what would be asked elsewhere than it reads."""
        parts = urlsplit(self.url)
        is_plain = parts.path in {"", "/"} and not parts.query and not parts.fragment
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise ValueError("expected https://host:port as the URL of OpenBao, without a user")
        if not is_plain:
            raise ValueError("expected https://host:port as the URL of OpenBao, without a path")
        for name in (self.mount, self.path, self.transit):
            if not _PATH.fullmatch(name):
                raise ValueError("expected a path of letters, digits, _, - and /")
        if not self.timeout > 0:
            raise ValueError("expected a timeout above 0 s")


class OpenBao:
    """Carry questions to OpenBao; belongs to one event loop, and to any number of threads.

    Whatever goes wrong is an :class:`UnavailableError` with ``secret.store_unavailable`` whose text says which it
    is: not reachable, no answer in time, sealed, a standby, permission denied.
    """

    def __init__(
        self, place: OpenBaoPlace, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep the place; nothing is asked, and no thread started, before the first question."""
        self._place = place
        self._where = f"OpenBao {urlsplit(place.url).netloc}"
        self._token = TokenFile(place.token)
        self._breaker = Breaker(monotonic)
        self._executor = ThreadPoolExecutor(WORKERS, thread_name_prefix="openbao")
        self._local = threading.local()
        self._lock = threading.Lock()
        self._calls: set[Call] = set()
        self._clients: list[Client] = []

    def __repr__(self) -> str:
        """Name the server, and nothing by which it is asked."""
        return f"OpenBao({self._place.url!r})"

    @property
    def place(self) -> OpenBaoPlace:
        """Return where it is."""
        return self._place

    @property
    def busy(self) -> int:
        """Return how many questions are under way or wait for a worker."""
        with self._lock:
            return len(self._calls)

    def unavailable(self, text: str) -> UnavailableError:
        """Return an error of this backend, for what an answer lacks."""
        return unavailable(self._where, text)

    async def ask(self, question: Callable[[Client], _T]) -> _T:
        """Return what a question gives, asked by a thread of ours.

        :param question: gets the client; it may raise :class:`RefusedError`, and ``AnswerError`` for an answer
            that it makes nothing of.
        :raises UnavailableError: ``secret.store_unavailable``; a change may have been made when no answer came
            in time or the connection broke.
        """
        call, future = self._begin(question)
        try:
            async with asyncio.timeout(self._place.timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise self._late() from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not we were cancelled, but the question: it had no worker yet when all ended.
            raise self._closing() from None
        finally:
            if not future.done() or future.cancelled():
                call.abandon()

    def ask_here(self, question: Callable[[Client], _T]) -> _T:
        """Return what a question gives, and block the calling thread so long; see :meth:`ask`."""
        call, future = self._begin(question)
        try:
            return future.result(self._place.timeout)
        except concurrent.futures.TimeoutError:
            future.cancel()
            call.abandon()
            raise self._late() from None
        except concurrent.futures.CancelledError:
            raise self._closing() from None

    async def aclose(self) -> None:
        """End what is under way, and let go of connections and threads."""
        self.close()

    def close(self) -> None:
        """See :meth:`aclose`."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            calls, clients = list(self._calls), list(self._clients)
        for call in calls:
            call.abandon()
        for client in clients:
            client.adapter.close()

    def _begin(self, question: Callable[[Client], _T]) -> tuple[Call, Future[_T]]:
        why = self._breaker.resting()
        if why is not None:
            raise self.unavailable(f"failed a moment ago: {why}")
        call = Call()
        with self._lock:
            if len(self._calls) >= MAX_WAITING:
                raise self.unavailable(f"{MAX_WAITING} questions wait for it already")
            self._calls.add(call)
        try:
            future = self._executor.submit(self._carry_out, call, question)
        except RuntimeError:
            self._forget(call)
            raise self._closing() from None
        future.add_done_callback(lambda _: self._forget(call))
        return call, future

    def _forget(self, call: Call) -> None:
        with self._lock:
            self._calls.discard(call)

    def _closing(self) -> UnavailableError:
        return self.unavailable("is being closed")

    def _late(self) -> UnavailableError:
        fault = no_answer(self._place.timeout)
        self._breaker.failed(fault.text)
        return self.unavailable(fault.text)

    def _carry_out(self, call: Call, question: Callable[[Client], _T]) -> _T:
        """Ask, in a thread of ours."""
        try:
            with call:
                client = self._client()
                client.token = self._token.read()
                answer = question(client)
        except PrivateFileError as error:
            # Says nothing of the backend, and costs nothing: the next question may find the file.
            raise self.unavailable(str(error)) from None
        except _FAULTS as error:
            fault = fault_of(error, self._place.timeout)
            self._note(call, fault)
            raise self.unavailable(fault.text) from None
        except RefusedError:
            self._breaker.worked()
            raise
        self._breaker.worked()
        return answer

    def _note(self, call: Call, fault: Fault) -> None:
        if not fault.is_down:
            self._breaker.worked()
        elif not call.abandoned:
            # Who abandoned it noted the failure already.
            self._breaker.failed(fault.text)

    def _client(self) -> Client:
        """Return the client of this thread: none is shared, and so none carries another's token."""
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            place = self._place
            ca = None if place.ca is None else str(place.ca)
            client = connect(place.url, ca, place.timeout)
            self._local.client = client
            with self._lock:
                self._clients.append(client)
        return client
