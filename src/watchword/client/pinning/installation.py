"""Hold what an installation trusts, and judge connections by it."""

import contextlib
import fcntl
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx

from watchword.client.errors import ClientError
from watchword.encoding import strict_json
from watchword.pins.installed import accept_roots, accept_set, fresh, is_fresh, judge, restored
from watchword.pins.interface import (
    MAX_ROOTS_BYTES,
    MAX_SET_BYTES,
    Basis,
    Builtin,
    Installed,
    Judgement,
)
from watchword.pins.roots import read_unverified
from watchword.reasons import MalformedError, Reason, RefusedError, WatchwordError

MAX_REMEMBERED: Final = 256
"""Hosts whose last judgement is remembered; an app that crawls the web must not fill its memory."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold a connection that is worth a report.

    :param installed: what it was judged by.
    :param chain: SPKI hashes of the verified chain, leaf first.
    :param at: seconds since 1970.
    """

    host: str
    chain: tuple[bytes, ...]
    judgement: Judgement
    at: float
    installed: Installed


class PinKeeper:
    """Implement :class:`watchword.client.pinning.Judges` over what is installed; safe to use from many threads."""

    def __init__(
        self,
        installed: Installed,
        *,
        clock: Callable[[], float],
        notify: Callable[[Seen], None] = lambda _: None,
    ) -> None:
        """Begin with what is installed.

        :param clock: returns seconds since 1970, for example ``time.time``.
        :param notify: is told of each connection that is worth a report; must return at once and never raise, for example
            :meth:`watchword.client.pinning.Reporter.notify`.
        """
        self._installed = installed
        self._clock = clock
        self._notify = notify
        self._changes = 0
        self._lock = threading.Lock()
        self._last: OrderedDict[str, Judgement] = OrderedDict()

    def __repr__(self) -> str:
        """Name the app and the version of its set."""
        held = self._installed
        version = 0 if held.set is None else held.set.version
        return f"PinKeeper(app={held.builtin.app!r}, set={version}, roots={held.roots.version})"

    @property
    def installed(self) -> Installed:
        """Return what is installed."""
        return self._installed

    def replace(self, installed: Installed) -> None:
        """Go by this from now on; connections that are open are judged anew before they are written to."""
        with self._lock:
            if installed != self._installed:
                self._installed = installed
                self._changes += 1
                self._last.clear()

    @property
    def generation(self) -> int:
        """Return a number that changes with the pins, and when they expire."""
        held = self._installed.set
        expired = held is not None and self._clock() >= held.hard_expiry
        return 2 * self._changes + expired

    def judge(self, host: str, chain: Sequence[bytes]) -> Judgement:
        """Judge a connection and remember how that ended."""
        now = self._clock()
        installed = self._installed
        judgement = judge(installed, host, chain, now)
        name = _plain(host)
        with self._lock:
            self._last[name] = judgement
            self._last.move_to_end(name)
            if len(self._last) > MAX_REMEMBERED:
                self._last.popitem(last=False)
        if judgement.report:
            self._notify(Seen(host, tuple(chain), judgement, now, installed))
        return judgement

    def is_pinned(self, host: str) -> bool:
        """Tell whether there is anything to be checked at this host."""
        return judge(self._installed, host, (), self._clock()).basis is not Basis.UNPINNED

    def refuses_cleartext(self, host: str) -> bool:
        """Tell whether a request without TLS may not go to this host.

        In report mode it may: nothing is refused there, and it's told as a connection without any key.
        """
        now, installed = self._clock(), self._installed
        judgement = judge(installed, host, (), now)
        if judgement.basis is Basis.UNPINNED:
            return False
        if not judgement.passes or judgement.withhold:
            return True
        self._notify(Seen(host, (), judgement, now, installed))
        return False

    def last(self, host: str) -> Judgement | None:
        """Return how the last connection to a host was judged, None where there was none since the pins changed."""
        return self._last.get(_plain(host))

    def withholds(self, host: str) -> bool:
        """Tell whether secrets must not go to a host now: its pins expired, or its last connection rests on less than pins.

        It is for the app to ask before it makes a request; to be sure of the very connection, use a context with
        ``secrets=True``.
        """
        bare = judge(self._installed, host, (), self._clock())
        if bare.withhold and not (bare.basis is Basis.PINS and bare.mismatch):
            return True  # No chain could change that.
        last = self.last(host)
        return last is not None and last.withhold


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


MAX_LISTS: Final = 64
"""Most root lists that are kept; an app that is older than that many of them is updated as a whole."""

MAX_FILE_BYTES: Final = 2 * (MAX_LISTS * MAX_ROOTS_BYTES + MAX_SET_BYTES)
"""Most bytes of the file: signed bytes are text, and JSON makes two of some characters."""

_MEMBERS: Final = {"roots_version", "roots", "set", "seen"}


class StoreError(WatchwordError):
    """Report that what was kept can't be read or written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Hold what is kept.

    :param roots_version: of the last list, or of the one that shipped.
    :param lists: root lists accepted since the one that shipped, in order.
    :param signed: the set, None for none.
    :param seen: the highest version of a set that was accepted under the present pin keys; it only tells which of two is newer.
    """

    roots_version: int
    lists: tuple[bytes, ...] = ()
    signed: bytes | None = None
    seen: int = 0

    @property
    def age(self) -> tuple[int, int]:
        """Return what grows with every change: a new root list may let the versions of sets begin anew."""
        return self.roots_version, self.seen


class PinStore(Protocol):
    """Keep what was accepted, in one place of an installation."""

    def load(self) -> Kept | None:
        """Return what is kept, None where nothing is; raises StoreError when it can't be read."""

    def save(self, kept: Kept, *, mend: bool = False) -> None:
        """Keep this in place of what is kept, unless that is newer.

        :param mend: what is kept didn't verify, and is replaced whatever it says.
        :raises StoreError: when it can't be written.
        """


class FilePinStore:
    """Implement :class:`PinStore` in a file; safe between processes.

    A file is replaced as a whole or not at all.  It holds no secret, but whoever may write to it may roll pins back as far as the
    package: it belongs where only the app writes.
    """

    def __init__(self, path: Path) -> None:
        """Use this file; its folder must exist."""
        self._path = path

    def load(self) -> Kept | None:
        """See :meth:`PinStore.load`."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from None
        try:
            return _read(strict_json.loads(data, MAX_FILE_BYTES))
        except (MalformedError, ValueError) as error:
            raise StoreError(f"{self._path}: {error}") from None

    def save(self, kept: Kept, *, mend: bool = False) -> None:
        """See :meth:`PinStore.save`."""
        if len(kept.lists) > MAX_LISTS:
            raise StoreError(f"got {len(kept.lists)} root lists, expected at most {MAX_LISTS}")
        members = {
            "roots_version": kept.roots_version,
            "roots": [each.decode("utf-8") for each in kept.lists],
            "set": None if kept.signed is None else kept.signed.decode("utf-8"),
            "seen": kept.seen,
        }
        try:
            # A file of its own: the one that is replaced would carry its lock away.
            with self._path.with_name(f"{self._path.name}.lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                held = None
                # What can't be read is replaced.
                with contextlib.suppress(StoreError):
                    held = self.load()
                if mend or held is None or held.age <= kept.age:
                    self._replace(strict_json.dumps(members))
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from None

    def _replace(self, data: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _read(members: dict[str, Any]) -> Kept:
    lists, signed = members.get("roots"), members.get("set")
    if members.keys() != _MEMBERS or not isinstance(lists, list) or len(lists) > MAX_LISTS:
        raise ValueError(f"expected exactly {', '.join(sorted(_MEMBERS))}")
    for value in (members["roots_version"], members["seen"]):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError("expected versions to be whole numbers")
    if not all(isinstance(each, str) for each in lists) or not isinstance(signed, str | None):
        raise ValueError("expected root lists and a set as text")
    return Kept(
        roots_version=members["roots_version"],
        lists=tuple(each.encode() for each in lists),
        signed=None if signed is None else signed.encode(),
        seen=members["seen"],
    )


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
        """Return the root list of a version, None where there is none yet; raises SourceError when nobody knows."""

    def newest(self, etag: str | None) -> Fetched | None:
        """Return the newest set, None where it is the one of this ETag, or there is none; raises SourceError when nobody knows."""


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
        answer: Future[Fetched | None] = Future()

        def fetch() -> None:
            try:
                answer.set_result(self._fetched(path, etag, limit))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for.
                answer.set_exception(error)

        self._fetching = threading.Thread(target=fetch, name="pin-fetch", daemon=True)
        self._fetching.start()
        self._fetching.join(self._seconds)
        if not answer.done():
            raise SourceError(f"got no whole answer in {self._seconds:g} s")
        return answer.result()

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


INTERVAL: Final = 6 * 3600.0
"""Seconds after a fetch that went well."""

STALE_INTERVAL: Final = 900.0
"""The same once the set is past its soft expiry: the service had nothing newer, and should have soon."""

FIRST_PAUSE: Final = 60.0
"""Upper bound of the pause after a first failure, in seconds; it doubles with each."""

MAX_PAUSE: Final = 6 * 3600.0
"""Longest pause after failures, in seconds."""

MAX_WALK: Final = 32
"""Most root lists that one update walks through; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Update:
    """Hold what came of an update.

    :param changed: whether anything newer is trusted now.
    :param fault: why it didn't go to its end, for people; empty where it did.
    :param reason: of what was refused; None where nothing was.
    """

    changed: bool
    fault: str = ""
    reason: Reason | None = None


class PinUpdater:
    """Hold one installation's pins, over restarts; safe to use from many threads."""

    def __init__(
        self,
        builtin: Builtin,
        source: PinSource,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        store: PinStore | None = None,
        notify: Callable[[Seen], None] = lambda _: None,
    ) -> None:
        """Begin with what was kept; nothing is fetched yet.

        What can't be read or doesn't verify isn't used: the app begins as it was built then, and :attr:`fault` says why.

        :param clock: returns seconds since 1970.
        :param jitter: returns a number from 0 to below 1, so that phones which failed together don't return together.
        :param notify: see :class:`PinKeeper`.
        """
        self.fault = ""
        self._source = source
        self._clock = clock
        self._jitter = jitter
        self._store = store
        self._lists: tuple[bytes, ...] = ()
        self._signed: bytes | None = None
        self._etag: str | None = None
        self._unkept = False
        self._failures = 0
        self._next = 0.0
        self._lock = threading.Lock()
        self.keeper = PinKeeper(self._restored(builtin), clock=clock, notify=notify)

    def is_due(self) -> bool:
        """Tell whether it's time to ask the service.  A clock that was set back doesn't put it off."""
        now = self._clock()
        return now >= self._next or self._next - now > max(INTERVAL, MAX_PAUSE)

    def hear(self, version: int) -> None:
        """Hear of a version, for example beside a token; a newer one makes an update due, unless the last one failed."""
        if version > self.keeper.installed.seen and self._failures == 0:
            self._next = 0.0

    def update_if_due(self) -> Update | None:
        """Update if it's time; None if it isn't, or another thread is at it."""
        return self.update() if self.is_due() else None

    def update(self) -> Update | None:
        """Fetch and take what is newer; never raises what a service or a store can cause.

        Root lists first, one after the other: a list may withdraw the set that is installed, and counts even where the set
        that follows doesn't come.

        :returns: None where another thread is at it.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._update()
        finally:
            self._lock.release()

    def _update(self) -> Update:
        before = installed = self.keeper.installed
        fault, reason = "", None
        try:
            for _ in range(MAX_WALK):
                data = self._source.roots(installed.roots.version + 1)
                if data is None:
                    break
                installed = accept_roots(installed, data, self._clock())
                self._lists = (*self._lists, data)
                self._etag = None  # The same set may have to be signed by another key now.
            fetched = self._source.newest(self._etag)
            if fetched is not None:
                installed = accept_set(installed, fetched.data, self._clock())
                self._signed, self._etag = fetched.data, fetched.etag
        except SourceError as error:
            fault = str(error)
        except RefusedError as error:
            fault, reason = str(error), error.reason
        self.keeper.replace(installed)
        # By what the service did alone: a disk that is full for good must not keep the app from hearing of new pins.
        self._plan(failed=bool(fault))
        self._unkept = self._unkept or installed != before
        if self._unkept:
            # Also where the rest was refused or didn't come: what a list has withdrawn must not come back with a restart.
            unkept = self._keep(installed)
            fault = fault or unkept
        return Update(installed != before, fault, reason)

    def _plan(self, *, failed: bool) -> None:
        """Set when the next update is due."""
        self._failures = self._failures + 1 if failed else 0
        now = self._clock()
        span = INTERVAL if is_fresh(self.keeper.installed, now) else STALE_INTERVAL
        if failed:
            span = min(MAX_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures - 1, 16))
        self._next = now + span * (0.5 + self._jitter() / 2)

    def _keep(self, installed: Installed) -> str:
        """Keep what is trusted now; return what went wrong."""
        if self._store is None:
            self._unkept = False
            return ""
        kept = Kept(installed.roots.version, self._lists, self._signed, installed.seen)
        try:
            self._store.save(kept, mend=bool(self.fault))
        except StoreError as error:
            return str(error)
        self.fault, self._unkept = "", False
        return ""

    def _restored(self, builtin: Builtin) -> Installed:
        try:
            kept = None if self._store is None else self._store.load()
            if kept is None:
                return fresh(builtin)
            installed = restored(builtin, kept.lists, kept.signed)
        except (StoreError, RefusedError) as error:
            self.fault = str(error)
            return fresh(builtin)
        # Those that the package is past are of no use any more, and would fill the store over the years.
        first = builtin.roots.version
        self._lists = tuple(each for each in kept.lists if read_unverified(each).version > first)
        self._signed = kept.signed
        return installed
