"""Seal the audit trail as it grows; the heads go to the gates, where nobody at the service can change them."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    require_format,
    write_private,
)
from watchword.encoding import base64url, strict_json
from watchword.gate.bundle import GateBundleError, a_number, an_object, some_bytes
from watchword.gate.trail import HASH_BYTES, NOTHING_YET, AuditHead, extended, leaf_of
from watchword.ports import AuditEntry, InstanceStore
from watchword.reasons import MalformedError, UnavailableError

MOST_SEALED: Final = 100
"""Entries that one turn seals at most, in about two milliseconds; where there are more, the seal catches up between the turns."""

MOST_READ: Final = 500
"""Entries that are read at a time where nobody waits for it."""

CATCH_UP_SECONDS: Final = 0.1
"""How often as many are sealed while the seal is behind: it takes a tenth of a processor, and keeps up with 5,000 a second."""

CHECKPOINT_SECONDS: Final = 60.0
"""How often it is noted how far the seal is, so that the next process needn't begin with the first entry."""

_FORMAT: Final = 1
_MOST_BYTES: Final = 512
_log = structlog.get_logger()


async def heads_at(
    store: InstanceStore, key: bytes, sizes: Collection[int]
) -> tuple[AuditHead, Mapping[int, str]]:
    """Return the head of the whole trail, and by size the hash of each part of it that is asked for.

    Every entry is read.  A size at which no entry stands, any more or yet, is left out.

    :param key: as :func:`watchword.gate.trail.trail_key` returns it.
    :raises UnavailableError: when the store can't be read.
    """
    head, found = NOTHING_YET, {0: NOTHING_YET.head}
    while entries := await store.audit_from(head.size + 1, MOST_READ):
        for entry in entries:
            head = extended(head, (entry,), key)
            if head.size in sizes:
                found[head.size] = head.head
    return head, found


class AuditSeal:
    """Compute the head of the audit trail; what was sealed is read no second time."""

    def __init__(self, store: InstanceStore, key: bytes, checkpoint: Path) -> None:
        """Have sealed nothing yet.

        :param key: as :func:`watchword.gate.trail.trail_key` returns it.
        :param checkpoint: the file that says how far an earlier process was.  ``watchword audit verify`` doesn't look at it.
        """
        self._store = store
        self._key = key
        self._checkpoint = checkpoint
        self._sealed: AuditHead | None = None
        self._leaf = b""
        self._whole: AuditHead | None = None
        self._noted = float("-inf")
        self._trouble = ""
        self._is_behind = False
        self._turn = asyncio.Lock()

    async def advance(self, extent: int, at: float) -> AuditHead | None:
        """Seal what is new; return the newest head of all that was there, None before there was one.

        :param extent: the number of the last entry.
        :param at: the time, in seconds.
        """
        async with self._turn:
            return await self._advance(extent, at, MOST_SEALED)

    async def catch_up(self, at: float) -> None:
        """Seal more where :meth:`advance` left some.

        :param at: the time, in seconds.
        """
        async with self._turn:
            if self._is_behind:
                await self._advance(None, at, MOST_READ)

    async def _advance(self, extent: int | None, at: float, most: int) -> AuditHead | None:
        if (sealed := self._sealed) is None:
            before = await asyncio.to_thread(self._read)
            self._sealed, self._leaf = before
            sealed = before[0]
        if self._whole is not None and self._whole.size == extent:
            return self._whole
        if extent is not None and extent - sealed.size > MOST_SEALED:
            # Nobody waits for it between the turns.
            self._is_behind = True
            return self._whole
        try:
            # With the last one that was sealed: another database may be here since then.
            entries = await self._store.audit_from(max(sealed.size, 1), most)
        except UnavailableError as error:
            self._tell(str(error))
            return self._whole
        self._tell("")
        self._is_behind = len(entries) == most
        await asyncio.to_thread(self._take_in, sealed, entries, at)
        return self._whole

    def _take_in(self, sealed: AuditHead, entries: Sequence[AuditEntry], at: float) -> None:
        whole = not self._is_behind
        if sealed.size:
            last = entries[0] if entries else None
            if last is None or last.number != sealed.size or self._hash(last) != self._leaf:
                _log.warning(
                    "the audit trail isn't the one that was sealed: it is sealed anew",
                    entries=sealed.size,
                )
                self._sealed, self._leaf, self._whole = NOTHING_YET, b"", None
                return
            entries = entries[1:]
        if entries:
            self._sealed = sealed = extended(sealed, entries, self._key)
            self._leaf = self._hash(entries[-1])
        # A head of a part of it would say less than gates may have been told before this process began.
        if whole or self._whole is not None:
            self._whole = sealed
            if not 0 <= at - self._noted < CHECKPOINT_SECONDS:
                self._noted = at
                self._write(sealed)

    def _hash(self, entry: AuditEntry) -> bytes:
        return leaf_of(entry, self._key)

    def _read(self) -> tuple[AuditHead, bytes]:
        """Return how far an earlier process was; nothing where that can't be read, which only costs time."""
        try:
            data = read_private(self._checkpoint, _MOST_BYTES)
            if data is None:
                return NOTHING_YET, b""
            members = an_object(
                strict_json.loads(data, _MOST_BYTES), {"v", "size", "head", "leaf"}, "a checkpoint"
            )
            require_format(self._checkpoint, members["v"], _FORMAT)
            some_bytes(members["head"], HASH_BYTES, "head")
            leaf = some_bytes(members["leaf"], HASH_BYTES, "leaf")
            return AuditHead(a_number(members["size"], "size", 1), members["head"]), leaf
        except (PrivateFileError, GateBundleError, MalformedError, ValueError) as error:
            _log.warning("the audit trail is sealed from its beginning", detail=str(error))
            return NOTHING_YET, b""

    def _write(self, head: AuditHead) -> None:
        if not head.size:
            return
        members = {
            "v": _FORMAT,
            "size": head.size,
            "head": head.head,
            "leaf": base64url.encode(self._leaf),
        }
        try:
            write_private(self._checkpoint, strict_json.dumps(members) + b"\n")
        except PrivateFileError as error:
            self._tell(str(error))

    def _tell(self, trouble: str) -> None:
        """Tell what is wrong once, until it changes; revocations go on all the same."""
        if trouble != self._trouble:
            self._trouble = trouble
            event = "the audit trail can't be sealed" if trouble else "the audit trail is sealed"
            _log.warning(event, detail=trouble)
