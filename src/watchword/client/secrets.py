"""Keep the secrets that the service hands to this instance: in memory alone, for as long as their leases.

A phone's owner can read whatever is on the phone.  What is here limits for how long, and who else: nothing is written
anywhere, and what ended is overwritten.  A copy that the app was given is the app's to forget.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, NamedTuple, Self

from watchword.client.client import POSTPONED_SHARE, WatchwordClient
from watchword.client.delivery import Delivery
from watchword.client.errors import (
    ClientError,
    EvidenceRefusedError,
    InstanceRefusedError,
    SecretRefusedError,
    SecretsClosedError,
    ServiceUnavailableError,
    UnreadableAnswerError,
)
from watchword.client.exchange import MAX_ATTEMPTS

Cancel = Callable[[], None]
"""Call off what was scheduled; after it ran, do nothing."""

Schedule = Callable[[float, Callable[[], None]], Cancel]
"""Call a function after so many seconds, on any thread."""

_FINAL: Final = (SecretRefusedError, InstanceRefusedError, EvidenceRefusedError)
"""After these the service means what it says, and nothing of the secret stays here."""


def by_timer(seconds: float, work: Callable[[], None]) -> Cancel:
    """Implement :data:`Schedule` by a thread that doesn't keep the process alive."""
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), work)
    timer.daemon = True
    timer.start()
    return timer.cancel


class _Held(NamedTuple):
    """Hold a secret, and who will overwrite it."""

    delivery: Delivery
    cancel: Cancel


class _Turn(NamedTuple):
    """Hold what one caller has to do.

    :param text: what is held and may be used, None if there is nothing.
    :param fetch: whose answer it takes, None where it takes ``text``.
    :param leads: whether it is this caller who carries the fetch out.
    """

    text: str | None
    fetch: "Future[str] | None" = None
    leads: bool = False


class DeliveredSecrets:
    """Hold the secrets of one client; safe to use from many threads and from asyncio.

    ::

        with DeliveredSecrets(client) as secrets:
            push = PushLibrary(key=secrets.value("push"))

    No secret is in a repr, an error or a log of its own.
    """

    def __init__(self, client: WatchwordClient, *, schedule: Schedule = by_timer) -> None:
        """Keep secrets that ``client`` fetches; nothing is asked yet."""
        self._client = client
        self._schedule = schedule
        self._guard = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._fetches: dict[str, Future[str]] = {}
        self._closed = False

    def __repr__(self) -> str:
        """Name what is held, without what it is."""
        return f"DeliveredSecrets(held={sorted(self._held)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def value(self, name: str) -> str:
        """Return a secret that may be used now.

        Fetched where none is held; and again from a random point between 60 % and 80 % of its lease on, by
        one caller while all others use what is held.  One fetch at a time: callers that wait for the same secret
        get the same answer, also where that is an error.  Meanwhile a service that can't be reached
        isn't noticed until the lease ends.

        :raises ClientError: if there is none to be had; see :mod:`watchword.client.errors`.
        """
        text, fetch, leads = self._turn(name)
        if fetch is None:
            assert text is not None  # Else there were something to wait for.
            return text
        if leads:
            self._carry_out(name, fetch, early=text is not None)
        return fetch.result()

    async def value_async(self, name: str) -> str:
        """Do the same for asyncio; service and device are asked in a thread.

        A caller that is cancelled takes nobody else's answer away.
        """
        text, fetch, leads = self._turn(name)
        if fetch is None:
            assert text is not None
            return text
        if leads:
            work = partial(self._carry_out, name, fetch, early=text is not None)
            # A thread of its own: those of the event loop's pool may all be waiting for something.
            threading.Thread(target=work, daemon=True, name="watchword-secret").start()
        return await asyncio.wrap_future(fetch)

    def forget(self, name: str) -> None:
        """Overwrite a secret now; who needs it again fetches it."""
        with self._guard:
            self._drop(name)

    def close(self) -> None:
        """Overwrite all secrets; nothing is handed out from now on.  The client stays open."""
        with self._guard:
            self._closed = True
            for name in list(self._held):
                self._drop(name)

    def _turn(self, name: str) -> _Turn:
        """Sort a caller: at most one fetch of each secret goes on."""
        with self._guard:
            if self._closed:
                raise SecretsClosedError
            now, text = self._client.uptime(), None
            held, fetch = self._held.get(name), self._fetches.get(name)
            if held is not None and now >= held.delivery.expires_at:
                # A device that slept has timers that are late.
                self._drop(name)
                held = None
            if held is not None:
                text = held.delivery.value.decode()
                if fetch is not None or now < held.delivery.refetch_at:
                    return _Turn(text)
            if fetch is not None:
                return _Turn(None, fetch)
            fetch = Future()
            # Running from the start: no caller that gives up cancels it for the others.
            fetch.set_running_or_notify_cancel()
            self._fetches[name] = fetch
            return _Turn(text, fetch, leads=True)

    def _carry_out(self, name: str, fetch: "Future[str]", *, early: bool) -> None:
        """Fetch, and tell everybody who waits; also of a failure, after which the next caller tries anew."""
        try:
            text = self._fetch(name, early=early)
        except Exception as error:  # noqa: BLE001 - whatever a device raises is for who asked.
            self._clear(name)
            fetch.set_exception(error)
        except BaseException:
            self._clear(name)
            fetch.set_exception(ServiceUnavailableError("the fetch was interrupted", 1))
            raise
        else:
            self._clear(name)
            fetch.set_result(text)

    def _clear(self, name: str) -> None:
        with self._guard:
            del self._fetches[name]

    def _fetch(self, name: str, *, early: bool) -> str:
        try:
            delivery = self._client.fetch_secret(name, 1 if early else MAX_ATTEMPTS)
        except _FINAL:
            self.forget(name)
            raise
        except ClientError:
            text = self._postpone(name) if early else None
            if text is None:
                raise
            return text
        return self._keep(name, delivery)

    def _keep(self, name: str, delivery: Delivery) -> str:
        """Hold a secret until its lease ends, and return it."""
        text = _decoded(delivery.value)
        with self._guard:
            self._drop(name)
            if self._closed or text is None:
                _wipe(delivery.value)
            if self._closed:
                raise SecretsClosedError
            if text is None:
                raise UnreadableAnswerError("got a secret that isn't text in UTF-8")
            left = max(0.0, delivery.expires_at - self._client.uptime())
            cancel = self._schedule(left, partial(self._end, name, delivery))
            self._held[name] = _Held(delivery, cancel)
        return text

    def _postpone(self, name: str) -> str | None:
        """Put the next fetch off, and return what is held; None if that ended meanwhile."""
        with self._guard:
            held, now = self._held.get(name), self._client.uptime()
            if held is None or now >= held.delivery.expires_at:
                return None
            later = now + (held.delivery.expires_at - now) * POSTPONED_SHARE
            self._held[name] = held._replace(delivery=replace(held.delivery, refetch_at=later))
            return held.delivery.value.decode()

    def _end(self, name: str, delivery: Delivery) -> None:
        """Overwrite a secret whose lease ended, unless another took its place."""
        with self._guard:
            held = self._held.get(name)
            if held is not None and held.delivery.value is delivery.value:
                self._drop(name)

    def _drop(self, name: str) -> None:
        """Overwrite what is held under a name; the caller has the guard."""
        held = self._held.pop(name, None)
        if held is not None:
            held.cancel()
            _wipe(held.delivery.value)


def _decoded(value: bytearray) -> str | None:
    """Return the text, None if it is none: an error of the codec would carry the bytes along."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _wipe(value: bytearray) -> None:
    value[:] = bytes(len(value))
