"""Record the uses of the challenges that come with tokens: many in one row, and each once over all nodes.

A row is a *page* of the log: the uses that came to one node within at most a second.  Pages are numbered without a gap, and one
transaction at a time adds one: it reads the pages of other nodes that it doesn't know, leaves out what is used by then, and
takes the next number.  So of two nodes that are shown one challenge, exactly one finds it unused, though no use has a row
or an index entry of its own.  Each node knows by heart which challenges were used that live still.

A node that doesn't find the page that it knows last has another database before it, or an older copy that went on: it reads
all pages again, and keeps what it knows.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, Final

from watchword.ports import ChallengeUse
from watchword.reasons import Reason, RefusedError, UnavailableError

MOST_PAUSE: Final = 1.0
"""Longest time in seconds for which uses are gathered; renewals by such challenges are ahead of time, and can wait."""

WANTED_IN_PAGE: Final = 200
"""So many uses are wanted in a page, where they come quickly enough."""

FEW: Final = 20
"""Up to so many uses a second none waits for another."""

MOST_IN_PAGE: Final = 1000
"""Most uses of a page, which then has 12 kB."""

MOST_WAITING: Final = 4000
"""Most uses that wait to be written: more would find no reader of their answers."""

MOST_KNOWN: Final = 2_000_000
"""Most uses that are known by heart, with about 90 bytes each; beyond that, clients have to ask for challenges."""

FORGET_SECONDS: Final = 60
"""For so long after its end a challenge is known; a clock that is set back further makes it a used one."""

PAGES_AT_ONCE: Final = 500
"""Most pages that one transaction reads, with up to 6 MB."""

_SLOT_SECONDS: Final = 60
_EXPIRY_BYTES: Final = 4
_DIGEST_BYTES: Final = 8
_USE_BYTES: Final = _EXPIRY_BYTES + _DIGEST_BYTES

_Page = tuple[int, bytes]
"""The number of a page, and its uses."""

_NO_PAGE: Final[_Page] = (0, b"")

_Uses = dict[int, set[int]]
"""Digests of nonces, by the minute in which their challenges end."""


def _packed(use: ChallengeUse) -> bytes:
    """Return what a page has of a use: when the challenge ends, and a digest of its nonce, which is random."""
    expiry = max(0, int(use.expires_at.timestamp()))
    digest = blake2b(use.nonce, digest_size=_DIGEST_BYTES).digest()
    return expiry.to_bytes(_EXPIRY_BYTES, "big") + digest


def _slot_of(packed: bytes) -> int:
    return int.from_bytes(packed[:_EXPIRY_BYTES], "big") // _SLOT_SECONDS


def _digest_of(packed: bytes) -> int:
    return int.from_bytes(packed[_EXPIRY_BYTES:], "big")


def _each(page: bytes) -> Iterator[bytes]:
    return (page[at : at + _USE_BYTES] for at in range(0, len(page), _USE_BYTES))


@dataclass(slots=True)
class _Known:
    """Hold the uses of challenges that live still.

    :param slots: what :data:`_Uses` says.
    :param first: the first slot that wasn't forgotten.
    """

    slots: _Uses = field(default_factory=dict)
    first: int = 0
    count: int = 0

    def has(self, packed: bytes) -> bool:
        slot = _slot_of(packed)
        return slot < self.first or _digest_of(packed) in self.slots.get(slot, ())

    def take(self, uses: _Uses) -> None:
        for slot, digests in uses.items():
            if slot >= self.first:
                known = self.slots.setdefault(slot, set())
                before = len(known)
                known |= digests
                self.count += len(known) - before

    def forget(self, now: datetime) -> None:
        """Forget what ended; what is forgotten counts as used."""
        first = int(now.timestamp() - FORGET_SECONDS) // _SLOT_SECONDS
        if first > self.first:
            self.first = first
            for slot in [each for each in self.slots if each < first]:
                self.count -= len(self.slots.pop(slot))


@dataclass(frozen=True, slots=True)
class _Written:
    """Hold what a transaction came to.

    :param last: the last page that is known with it.
    :param others: the uses in pages that weren't known.
    :param first: of each use whether it was the first; None where pages were left to be read before.
    """

    last: _Page
    others: _Uses
    first: Sequence[bool] | None


class ChallengeLog:
    """Implement :meth:`watchword.ports.InstanceStore.use_challenge` on a database; for one event loop."""

    def __init__(
        self,
        database: Any,
        *,
        pages_at_once: int = PAGES_AT_ONCE,
        most_known: int = MOST_KNOWN,
    ) -> None:
        """Know nothing yet.

        :param database: the :class:`watchword.adapters.store.Database`.
        :param pages_at_once: most pages that one transaction reads, two at least.
        :param most_known: most uses that are known by heart.
        """
        self._database = database
        self._pages_at_once, self._most_known = pages_at_once, most_known
        self._known = _Known()
        self._last = _NO_PAGE
        self._waiting: list[tuple[bytes, asyncio.Future[bool]]] = []
        self._running: asyncio.Task[None] | None = None
        self._counted_since = self._written_at = -1.0
        self._count = 0
        self._rate = 0.0

    @property
    def known(self) -> int:
        """Return how many uses are known by heart."""
        return self._known.count

    async def add(self, use: ChallengeUse, now: datetime) -> bool:
        """Return whether it was the first use, once that is durable.

        :raises RefusedError: ``challenge.superseded`` where more are known than memory is meant for.
        :raises UnavailableError: where it can't be recorded, or too many wait for that.
        """
        self._known.forget(now)
        packed = _packed(use)
        if self._known.has(packed):
            return False
        if self._known.count >= self._most_known:
            raise RefusedError.because(
                Reason.CHALLENGE_SUPERSEDED,
                f"{self._most_known:,} renewals are remembered: expected a challenge that was asked for",
            )
        if len(self._waiting) >= MOST_WAITING:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED, "the store is behind with renewals", retry_after=2
            )
        loop = asyncio.get_running_loop()
        self._note(loop.time())
        done: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((packed, done))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._write_all())
        return await done

    def _note(self, time: float) -> None:
        """Count a use, for how many come a second."""
        passed = time - self._counted_since
        if not 0 <= passed < 1:
            self._rate = self._count / passed if 0 < passed < 2 else 0.0
            self._counted_since, self._count = time, 0
        self._count += 1

    def _rest(self, time: float) -> float:
        """Return for how many seconds to gather what else comes."""
        rate = max(self._rate, self._count)
        if rate <= FEW:
            return 0.0
        pause = min(MOST_PAUSE, WANTED_IN_PAGE / rate)
        return min(max(self._written_at + pause - time, 0.0), pause)

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(self._rest(loop.time()))
            self._written_at = loop.time()
            taken, self._waiting = self._waiting[:MOST_IN_PAGE], self._waiting[MOST_IN_PAGE:]
            try:
                await self._write([packed for packed, _ in taken], [done for _, done in taken])
            except UnavailableError as error:
                for _, done in taken:
                    if not done.done():
                        done.set_exception(error)
            except BaseException:
                for _, done in (*taken, *self._waiting):
                    done.cancel()
                self._waiting = []
                raise

    async def _write(
        self, uses: Sequence[bytes], answers: Sequence["asyncio.Future[bool]"]
    ) -> None:
        first: Sequence[bool] | None = None
        while first is None:
            # What is known doesn't change meanwhile: one of these runs at a time.
            written = await self._database.write(partial(self._add_page, uses, self._last))
            self._last, first = written.last, written.first
            self._known.take(written.others)
        for done, is_first in zip(answers, first, strict=True):
            if not done.done():
                done.set_result(is_first)

    def _add_page(self, uses: Sequence[bytes], last: _Page, connection: Any) -> _Written:
        """Read what others wrote and add a page, in a transaction; it may run more than once."""
        self._database.take_turns(connection, "challenge log")
        newest = newest_page(connection)
        pages = self._pages_from(connection, last[0])
        if last != _NO_PAGE and pages[:1] != [last]:
            pages = self._pages_from(connection, 0)
        others: _Uses = {}
        for _, page in pages:
            for packed in _each(page):
                others.setdefault(_slot_of(packed), set()).add(_digest_of(packed))
        if len(pages) == self._pages_at_once:
            return _Written(pages[-1], others, None)
        last = pages[-1] if pages else _NO_PAGE
        first, added = [], bytearray()
        for packed in uses:
            slot, digest = _slot_of(packed), _digest_of(packed)
            is_first = not self._known.has(packed) and digest not in others.get(slot, ())
            first.append(is_first)
            if is_first:
                others.setdefault(slot, set()).add(digest)
                added += packed
        if added:
            newest += 1
            expiry = max(
                int.from_bytes(each[:_EXPIRY_BYTES], "big") for each in _each(bytes(added))
            )
            last = (newest, bytes(added))
            connection.execute(
                "INSERT INTO challenge_pages (number, expires_at, uses) VALUES (?, ?, ?)",
                (newest, expiry * 1_000_000, last[1]),
            )
        return _Written(last, others, first)

    def _pages_from(self, connection: Any, number: int) -> list[_Page]:
        """Return the next pages whose challenges live still, from one on."""
        earliest = self._known.first * _SLOT_SECONDS * 1_000_000
        found = connection.execute(
            "SELECT number, uses FROM challenge_pages WHERE number >= ? AND expires_at >= ? "
            "ORDER BY number LIMIT ?",
            (number, earliest, self._pages_at_once),
        )
        return [(int(row[0]), bytes(row[1])) for row in found]


def newest_page(connection: Any) -> int:
    """Return the number of the last page, which is kept for it, 0 where there was none."""
    return int(
        connection.execute("SELECT coalesce(max(number), 0) FROM challenge_pages").fetchone()[0]
    )


DROP_PAGES: Final = (
    "DELETE FROM challenge_pages WHERE number IN (SELECT number FROM challenge_pages WHERE expires_at < ? "
    "AND number < (SELECT max(number) FROM challenge_pages) LIMIT ?)"
)
"""Drop pages whose challenges have ended; the last one's number is needed."""
