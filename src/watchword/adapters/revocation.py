"""Know which attestation certificates the vendors withdrew: Google's status list, from snapshots or off the network.

The list is served at https://android.googleapis.com/attestation/status as ``{"entries": {serial: {"status", "reason"}}}``.
Its keys are serials in hex, also where all their digits look decimal: a third of them do, and reading those as decimal
forgets a third of the list.

It is kept up to date in the background, as often as its server's caching headers say; verification never waits for it.  A
list is taken over whole or not at all, in one assignment.  The last good one is kept on the disk, so that a start without
network knows it.  While the server fails, the old list answers and ages; :meth:`LiveStatusList.is_known` tells when it is
too old, and policy decides what follows.
"""

import asyncio
import hashlib
import json
import math
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import structlog

from watchword.adapters.keyring.private_file import PrivateFileError, read_private, write_private
from watchword.encoding import strict_json
from watchword.ports import Fetcher, FetchRequest, FetchResponse, RevocationEntry
from watchword.reasons import ExitCode, MalformedError, Reason, UnavailableError, WatchwordError
from watchword.vocabulary import Withdrawal

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of a list; in 2025 one had about 50 kB."""

_SERIAL: Final = re.compile(r"[0-9a-fA-F]{1,64}")


class StatusListError(WatchwordError):
    """Report a file that isn't a status list."""

    exit_code = ExitCode.USAGE


class StatusList:
    """Know which certificates the vendor withdrew, as of the snapshots that were loaded."""

    def __init__(self, entries: Mapping[str, RevocationEntry]) -> None:
        """Keep the entries under serials in lower-case hex without leading zeros."""
        self._entries = {_normalise(serial): entry for serial, entry in entries.items()}
        self._digest = _digest(self._entries)

    @property
    def digest(self) -> str:
        """Return SHA-256 in hex over the entries in order."""
        return self._digest

    def is_known(self, now: datetime) -> bool:  # noqa: ARG002 - the port asks for a time.
        """Return True: whoever loads a snapshot decides on its age."""
        return True

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial, None if there is none."""
        return self._entries.get(_normalise(serial_hex))

    @property
    def entries(self) -> Mapping[str, RevocationEntry]:
        """Return all entries by serial."""
        return self._entries

    def revoked(self) -> Sequence[str]:
        """Return the serials whose status is REVOKED."""
        return revoked_in(self._entries)

    def __len__(self) -> int:
        """Return how many serials are known."""
        return len(self._entries)


def revoked_in(entries: Mapping[str, RevocationEntry]) -> Sequence[str]:
    """Return the serials whose status is REVOKED."""
    return [serial for serial, entry in entries.items() if entry.status == Withdrawal.REVOKED]


def load_status_lists(paths: Sequence[Path]) -> StatusList:
    """Return what the snapshots say together; of two entries for a serial the later file's holds.

    :raises StatusListError: on a file that isn't a status list; half a list is none.
    :raises OSError: when a file can't be read.
    """
    entries: dict[str, RevocationEntry] = {}
    for path in paths:
        entries.update(read_status_list(read_file(path)[0], str(path)))
    return StatusList(entries)


def read_file(path: Path) -> tuple[bytes, os.stat_result]:
    """Return what a file holds, one byte more than a list may have at most, and what the system says of it.

    :raises StatusListError: for anything but a regular file; a pipe would be waited for until somebody writes to it.
    :raises OSError: when it can't be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise StatusListError(f"{path}: expected a regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES + 1), found
    finally:
        os.close(handle)


def read_status_list(data: bytes, name: str) -> Mapping[str, RevocationEntry]:
    """Return the entries of one snapshot by serial in lower-case hex without leading zeros.

    :param name: the file's name, for the error.
    :raises StatusListError: when it isn't a status list.
    """
    try:
        document = strict_json.loads(data, MAX_FILE_BYTES)
    except MalformedError as error:
        raise StatusListError(f"{name}: {error.detail}") from None
    return entries_of(document, name)


def entries_of(document: Mapping[str, Any], name: str) -> Mapping[str, RevocationEntry]:
    """Return the entries of a document that was read, as :func:`read_status_list` does."""
    rows = document.get("entries")
    if not isinstance(rows, dict):
        raise StatusListError(f'{name}: expected an object "entries"')
    entries: dict[str, RevocationEntry] = {}
    for serial, entry in _entries(rows.items(), name):
        # A serial that stands there in two spellings is withdrawn if one of them says so.
        if serial not in entries or entries[serial].status != Withdrawal.REVOKED:
            entries[serial] = entry
    return entries


def stricter(
    one: Mapping[str, RevocationEntry], other: Mapping[str, RevocationEntry]
) -> dict[str, RevocationEntry]:
    """Return the entries of both; for a serial in both, the one that revokes, else the other's."""
    merged = {**one, **other}
    for serial in one.keys() & other.keys():
        if one[serial].status == Withdrawal.REVOKED:
            merged[serial] = one[serial]
    return merged


def _entries(
    rows: Iterable[tuple[str, object]], name: str
) -> Iterable[tuple[str, RevocationEntry]]:
    for serial, row in rows:
        if not _SERIAL.fullmatch(serial):
            raise StatusListError(f"{name}: expected serials in hex")
        if not isinstance(row, dict) or not isinstance(row.get("status"), str):
            raise StatusListError(f"{name}: expected a status for serial {serial}")
        yield _normalise(serial), RevocationEntry(row["status"], str(row.get("reason", "")))


def _digest(entries: Mapping[str, RevocationEntry]) -> str:
    rows = sorted((serial, entry.status, entry.reason) for serial, entry in entries.items())
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _normalise(serial: str) -> str:
    """Return lower-case hex without leading zeros; the serial zero stays ``0``."""
    return serial.lower().lstrip("0") or "0"


DEFAULT_SECONDS: Final = 300.0
"""How long a list is fresh whose server says nothing."""

LEAST_SECONDS: Final = 60.0
"""A server that wants to be asked at each turn isn't asked more often than this."""

MOST_SECONDS: Final = 24 * 3600.0
"""A server that says "for ever" is asked again after this: a revocation can't wait longer."""

FIRST_PAUSE: Final = 30.0
"""Pause after the first failure, in seconds; it doubles with each one that follows."""

LONGEST_PAUSE: Final = 3600.0
"""Longest pause between two attempts while a server fails, in seconds."""

_DIRECTIVE: Final = re.compile(r'([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|([^\s,;"]*)))?')
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_MAX_HEADER: Final = 1000


def fresh_seconds(headers: Mapping[str, str]) -> float:
    """Return how long an answer is fresh (RFC 9111 section 4.2), within our bounds.

    :param headers: names in lower case.
    """
    given = headers.get("cache-control", "")[:_MAX_HEADER]
    directives = {
        match[1].lower(): match[2] or match[3] or "" for match in _DIRECTIVE.finditer(given)
    }
    if "no-store" in directives or "no-cache" in directives:
        return LEAST_SECONDS
    max_age = _seconds(directives.get("max-age"))
    if max_age is None:
        return DEFAULT_SECONDS
    # What a cache on the way has used up of the time is gone (section 4.2.3).
    used = _seconds(headers.get("age")) or 0.0
    return min(max(max_age - used, LEAST_SECONDS), MOST_SECONDS)


def pause_seconds(failures: int, headers: Mapping[str, str] | None = None) -> float:
    """Return how long to wait after so many failures in a row (at least one), at most an hour.

    :param headers: of an answer that refused; its ``Retry-After`` is honoured where it is longer.
    """
    pause = FIRST_PAUSE * 2.0 ** min(failures - 1, 20)
    asked = _seconds((headers or {}).get("retry-after")) or 0.0
    return min(max(pause, asked), LONGEST_PAUSE)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and _SECONDS.fullmatch(text.strip()) else None


MAX_SAVED_BYTES: Final = 2 * MAX_FILE_BYTES
"""Most bytes of the file: a list is written with a reason for each entry, also an empty one."""

_VERSION: Final = 1
_MAX_ETAG: Final = 500


@dataclass(frozen=True, slots=True)
class SavedList:
    """Hold a list as it was fetched.

    :param url: where from; another vendor's list is another one.
    :param fetched_at: when its server last said that this is the list.
    :param etag: the server's name of this version, empty without one.
    :param whole: the serials that the last list that was taken whole revoked, where ``entries`` are more than that
        list: those of a later one, which had lost most of them, stand beside them.
    """

    url: str
    fetched_at: datetime
    etag: str
    entries: Mapping[str, RevocationEntry]
    whole: tuple[str, ...] | None = None

    @property
    def revoked(self) -> Sequence[str]:
        """Return the serials of which a new list must revoke at least half."""
        return revoked_in(self.entries) if self.whole is None else self.whole


def write_saved(path: Path, saved: SavedList) -> None:
    """Write the file as a whole, for our user alone; it survives a loss of power afterwards.

    :raises PrivateFileError: when the disk refuses; the file is then as it was.
    """
    document = {
        "version": _VERSION,
        "url": saved.url,
        "fetched_at": saved.fetched_at.timestamp(),
        "etag": saved.etag,
        "whole": saved.whole,
        "entries": {
            serial: {"status": entry.status, "reason": entry.reason}
            for serial, entry in saved.entries.items()
        },
    }
    write_private(path, strict_json.dumps(document))


def read_saved(path: Path) -> SavedList | None:
    """Return the list in the file, None if there is none.

    :raises StatusListError: when the file can't be read, trusted or understood.
    """
    try:
        data = read_private(path, MAX_SAVED_BYTES)
        if data is None:
            return None
        document = strict_json.loads(data, MAX_SAVED_BYTES)
    except PrivateFileError as error:
        raise StatusListError(str(error)) from None
    except MalformedError as error:
        raise StatusListError(f"{path.name}: {error.detail}") from None
    version = document.get("version")
    if type(version) is int and version > _VERSION:
        raise StatusListError(
            f"{path}: got format {version}, expected {_VERSION}: a newer Watchword wrote it; it is fetched anew"
        )
    url, etag, at, whole = (document.get(n) for n in ("url", "etag", "fetched_at", "whole"))
    if (
        document.get("version") != _VERSION
        or not isinstance(url, str)
        or not isinstance(etag, str)
        or not isinstance(at, int | float)
        or not math.isfinite(at)
        or not 0 <= at < 2**37
        or not (whole is None or _are_texts(whole))
    ):
        raise StatusListError(f"{path.name}: expected a saved list of version {_VERSION}")
    return SavedList(
        url,
        datetime.fromtimestamp(at, UTC),
        usable_etag(etag),
        entries_of(document, path.name),
        None if whole is None else tuple(whole),
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def usable_etag(text: str) -> str:
    """Return an entity tag that can be sent back (RFC 9110 section 8.8.3), else nothing."""
    printable = all(0x21 <= ord(character) <= 0x7E for character in text)
    return text if printable and len(text) <= _MAX_ETAG else ""


class WatchedFile:
    """Implement :class:`watchword.ports.Fetcher` with one file, whatever the URL."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file is looked for at each request."""
        self._path = path

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """Return the file, or 304 where it is the one that ``If-None-Match`` names.

        :raises UnavailableError: ``vendor.unavailable`` when it can't be read.
        """
        return await asyncio.to_thread(self.read, request.headers.get("if-none-match"))

    def read(self, known: str | None = None) -> FetchResponse:
        """Return the file, or 304 where it is the one that was known; see :meth:`fetch`."""
        try:
            data, found = read_file(self._path)
        except StatusListError as error:
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, str(error)) from None
        except OSError as error:
            why = error.strerror or "can't be read"
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, f"{self._path.name}: {why}") from None
        # The time of the change too: that of the content can be set.
        parts = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        etag = f'"{"-".join(map(str, parts))}"'
        if etag == known:
            return FetchResponse(304, {"etag": etag}, b"")
        return FetchResponse(200, {"etag": etag}, data)


CLOCK_LEEWAY: Final = timedelta(minutes=5)
"""By how much a list may come from the future before its age counts as unknown."""

GONE_TOLD: Final = 10
"""Most serials that are named of those whose revocation was taken back."""

SHRINK_FLOOR: Final = 20
"""Lists of fewer revocations may shrink as they like."""

_log = structlog.get_logger()


class FetchOutcome(StrEnum):
    """Say what came of an attempt.

    ``taken``: the list that was sent is in place.  ``unchanged``: the server says it is the one that we have.
    ``failed``: no answer, or one that is no list.  ``shrunk``: more than half of the revocations were gone.
    """

    TAKEN = "taken"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SHRUNK = "shrunk"


@dataclass(frozen=True, slots=True)
class _Current:
    """Hold everything that belongs together, so that one assignment replaces it.

    :param fetched: as the server sent it; ``merged``: with the snapshots.
    :param at: when the server last said so, by the clock on the wall; ``at_monotonic`` likewise.
    """

    fetched: SavedList | None
    merged: StatusList
    at_monotonic: float


class LiveStatusList:
    """Implement :class:`watchword.ports.RevocationStatus` with a list that is fetched."""

    def __init__(
        self,
        fetcher: Fetcher,
        url: str,
        *,
        max_age: int,
        saved: Path | None = None,
        snapshots: StatusList | None = None,
        fresh: Callable[[Mapping[str, str]], float] = fresh_seconds,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load what was saved; nothing is fetched before :meth:`refresh`.

        A saved file that can't be used is logged and replaced by the next list: it is a copy.

        :param max_age: seconds after which a list that couldn't be renewed doesn't count as known.
        :param saved: a file in the state directory; None keeps no copy.
        :param snapshots: entries that hold whatever the fetched list says.
        :param fresh: how many seconds an answer with these headers is fresh.
        """
        self.outcomes: Counter[FetchOutcome] = Counter()
        self._fetcher = fetcher
        self._url = url
        self._max_age = timedelta(seconds=max_age)
        self._path = saved
        self._snapshots: Mapping[str, RevocationEntry] = snapshots.entries if snapshots else {}
        self._fresh = fresh
        self._monotonic = monotonic
        self._failures = 0
        self._last: FetchOutcome | None = None
        self._wait = 0.0
        self._attempt: tuple[datetime, float] | None = None
        self._turn = asyncio.Lock()
        self._current = self._made(self._load())

    @property
    def digest(self) -> str:
        """Return SHA-256 in hex over the entries in order; empty before there is a list."""
        current = self._current
        if current.fetched is None and not len(current.merged):
            return ""
        return current.merged.digest

    @property
    def last_outcome(self) -> FetchOutcome | None:
        """Return what came of the last attempt of this process, None before the first."""
        return self._last

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry for a serial, None if there is none; also of a list that is too old."""
        return self._current.merged.find(serial_hex)

    def revoked(self) -> Sequence[str]:
        """Return the serials whose status is REVOKED."""
        return self._current.merged.revoked()

    def count_by_status(self) -> Mapping[str, int]:
        """Return how many entries there are of each status."""
        return Counter(entry.status for entry in self._current.merged.entries.values())

    def age(self, now: datetime) -> timedelta | None:
        """Return how long ago the server last vouched for the list; None if never, or unknowable.

        Two clocks are asked and the older age holds: one that was set back doesn't make a list
        young again, and one that stood still while the machine slept doesn't either.
        """
        current = self._current
        if current.fetched is None:
            return None
        by_the_wall = now - current.fetched.fetched_at
        if by_the_wall < -CLOCK_LEEWAY:
            return None
        running = timedelta(seconds=max(0.0, self._monotonic() - current.at_monotonic))
        return max(by_the_wall, running, timedelta(0))

    def is_known(self, now: datetime) -> bool:
        """Tell whether a list was fetched, and is no older than it may be."""
        age = self.age(now)
        return age is not None and age <= self._max_age

    async def refresh(self, now: datetime) -> FetchOutcome | None:
        """Fetch the list if it is time to; return what came of it, None where nothing was to do.

        One attempt is under way at a time; a call that comes meanwhile returns at once.  Raises
        nothing that a server could cause.
        """
        if self._turn.locked() or not self._is_due(now):
            return None
        async with self._turn:
            headers: Mapping[str, str] | None = None
            # Set before anything can fail, so that no failure leads to an attempt at each turn.
            self._attempt = (now, self._monotonic())
            self._wait = pause_seconds(self._failures + 1)
            try:
                response = await self._fetcher.fetch(self._request())
                headers = response.headers
                outcome = await self._take(response, now)
            except (UnavailableError, StatusListError) as error:
                outcome = FetchOutcome.FAILED
                if self._last is not outcome:
                    # Told when it begins: one line for each attempt would hide all others.
                    _log.warning("status list not fetched", detail=str(error))
            self._note(outcome, headers)
        return outcome

    def _request(self) -> FetchRequest:
        fetched = self._current.fetched
        etag = fetched.etag if fetched is not None else ""
        return FetchRequest("GET", self._url, {"if-none-match": etag} if etag else {})

    async def _take(self, response: FetchResponse, now: datetime) -> FetchOutcome:
        """Put the list of an answer in place.

        :raises StatusListError: when the answer is no list.
        """
        old = self._current.fetched
        if response.status == 304 and old is not None and old.etag:
            new = SavedList(self._url, now, old.etag, old.entries)
            self._current = _Current(new, self._current.merged, self._monotonic())
            await asyncio.to_thread(self._save, new)
            return FetchOutcome.UNCHANGED
        if response.status != 200:
            raise StatusListError(f"{self._url}: got status {response.status}, expected 200")
        entries = await asyncio.to_thread(read_status_list, response.body, self._url)
        etag = usable_etag(response.headers.get("etag", ""))
        if old is not None and _is_absurd(old.revoked, entries):
            # Withdrawals that vanish by the hundred are likelier a fault than an amnesty.  What is
            # new in it acts; what is gone stays; the age isn't renewed, since half of it is unread.  The next one is
            # held to the same list: to all that acts by then, this one would have lost less than half.
            both = stricter(old.entries, entries)
            kept = SavedList(self._url, old.fetched_at, "", both, tuple(old.revoked))
            made = await asyncio.to_thread(self._made, kept)
            self._current = _Current(kept, made.merged, self._current.at_monotonic)
            await asyncio.to_thread(self._save, kept)
            if self._last is not FetchOutcome.SHRUNK:
                _log.error(
                    "status list shrank",
                    entries=len(entries),
                    before=len(old.entries),
                    detail="old entries stay; if the new list is right: stop, remove the copy, start",
                )
            return FetchOutcome.SHRUNK
        new = SavedList(self._url, now, etag, entries)
        made = await asyncio.to_thread(self._made, new)
        if made.merged.digest != self._current.merged.digest:
            _log.info("status list changed", entries=len(entries))
        _tell_of_gone(self._current.merged, made.merged)
        self._current = made
        await asyncio.to_thread(self._save, new)
        return FetchOutcome.TAKEN

    def _note(self, outcome: FetchOutcome, headers: Mapping[str, str] | None) -> None:
        """Count an attempt and say when the next one is due."""
        if outcome in {FetchOutcome.TAKEN, FetchOutcome.UNCHANGED}:
            if self._failures:
                _log.info("status list fetched again", failures=self._failures)
            self._failures = 0
            fresh = self._fresh(headers or {})
            # A list must not become too old before it is asked for again; nobody is asked all the time.
            self._wait = min(fresh, max(self._max_age.total_seconds() / 2, LEAST_SECONDS))
        else:
            self._failures += 1
            self._wait = pause_seconds(self._failures, headers)
        self._last = outcome
        self.outcomes[outcome] += 1

    def _is_due(self, now: datetime) -> bool:
        """Tell whether to ask now: one clock can be set, the other one stands still in sleep."""
        if self._attempt is None:
            return True
        at, at_monotonic = self._attempt
        elapsed = max(self._monotonic() - at_monotonic, (now - at).total_seconds())
        is_unknowable = self._current.fetched is not None and self.age(now) is None
        return elapsed >= (min(self._wait, FIRST_PAUSE) if is_unknowable else self._wait)

    def _made(self, fetched: SavedList | None) -> _Current:
        entries = fetched.entries if fetched is not None else {}
        merged = StatusList(stricter(self._snapshots, entries))
        return _Current(fetched, merged, self._monotonic())

    def _load(self) -> SavedList | None:
        if self._path is None:
            return None
        try:
            saved = read_saved(self._path)
        except StatusListError as error:
            _log.warning("saved status list is of no use", detail=str(error))
            return None
        return saved if saved is not None and saved.url == self._url else None

    def _save(self, fetched: SavedList) -> None:
        """Write the copy; a disk that refuses it takes nothing from the list in memory."""
        if self._path is None:
            return
        try:
            write_saved(self._path, fetched)
        except PrivateFileError as error:
            _log.warning("status list not saved", detail=str(error))


def _tell_of_gone(before: StatusList, after: StatusList) -> None:
    """Warn of certificates that may be used again: an amnesty, or an older list that a cache on the way served."""
    gone = sorted(set(before.revoked()).difference(after.revoked()))
    if gone:
        told = gone[:GONE_TOLD]
        _log.warning("status list took revocations back", count=len(gone), serials=told)


def _is_absurd(old: Sequence[str], new: Mapping[str, RevocationEntry]) -> bool:
    """Tell whether more than half of the revocations are gone at once.

    They are also gone where their statuses are spelled in another way than we know.
    """
    before = set(old)
    return len(before) >= SHRINK_FLOOR and 2 * len(before.intersection(revoked_in(new))) < len(
        before
    )
