"""Keep a gate's files up to date from a service on another machine: a chain, and the first version of the bundle beside it.

Engines, and gates of an earlier Watchword, read the first version alone; a service of before has no other.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.gate_bundle.chain_file import (
    ChainTail,
    append_lines,
    chain_path,
    write_chain,
)
from watchword.adapters.gate_bundle.file import FLOOR_SECONDS
from watchword.adapters.gate_bundle.floor import (
    Floor,
    SpoiledFloorError,
    raise_floor,
    read_floor,
)
from watchword.adapters.gate_bundle.freshness import note_fresh
from watchword.adapters.gate_bundle.heads import keep_heads, newest_head
from watchword.adapters.gate_bundle.remote import BundleSource, Fetched, Known
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    Stamp,
    read_private,
    remove_leftovers,
    stamp_of,
    write_private,
)
from watchword.gate.bundle import MAX_BUNDLE_BYTES, GateBundle, GateBundleError, from_jws
from watchword.gate.chain import VERSION, ChainError, ChainReader, is_snapshot, lines_of, tip_of
from watchword.gate.trail import what_contradicts
from watchword.ports import VerificationKey

_log = logging.getLogger("watchword.gate")

_NO_LINE: Final = tip_of(b"")
"""The tip of a chain that nobody has."""


class BundleFollower:
    """Replace or extend the files when something newer came that the service signed, and never else."""

    def __init__(
        self,
        source: BundleSource,
        api: str,
        path: Path,
        key: VerificationKey,
        *,
        chain_only: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep what is followed.

        :param path: of the bundle; the chain stands beside it.
        :param key: by which both must be signed.
        :param chain_only: leave the bundle's first version as it is once there is a chain: nobody here reads it.
        """
        self._source = source
        self._api = api
        self._path = path
        self._chain = chain_path(path)
        self._key = key
        self._chain_only = chain_only
        self._monotonic = monotonic
        self._known: GateBundle | None = None
        self._stamp: Stamp | None = None
        self._reader: ChainReader | None = None
        self._chain_stamp: Stamp | None = None
        self._floor_due = 0.0
        self._floor_trouble = ""
        self._reached = 0
        self._swept = False

    def turn(self, *, wait: bool) -> GateBundle | None:
        """Ask once, write what came, and note for the gate that the service was heard of.

        :param wait: let the service wait for something newer than ours.
        :returns: the bundle that was written, None when ours is the newest.
        :raises FetchError, DeniedError: see :meth:`BundleSource.fetch`.
        :raises GateBundleError: when what came isn't signed by the service, is another API's, older than ours, or of an
            earlier version than was taken before; the files are as they were.
        :raises PrivateFileError: when a file can't be written.
        """
        if not self._swept:
            for each in (self._path, self._chain):
                remove_leftovers(each)
            self._swept = True
        # Asked each time: whoever removed, spoiled or put back a file finds ours again.
        stamp = stamp_of(self._chain)
        if stamp is None or stamp != self._chain_stamp:
            self._reader, self._chain_stamp = self._in_chain(), stamp
        if self._reader is None:
            written = self._turn_from_bundle(wait=wait)
        else:
            written = self._turn_from_chain(self._reader, wait=wait and not self._lags())
        if self._reader is None:
            note_fresh(self._path)
            return written
        note_fresh(self._chain)
        self._note_floor(self._reader)
        if not self._chain_only:
            written = self._keep_bundle(self._reader) or written
        return written

    def _lags(self) -> bool:
        """Tell whether somebody removed or replaced the bundle's first version."""
        return not self._chain_only and stamp_of(self._path) != self._stamp

    def _keep_bundle(self, reader: ChainReader) -> GateBundle | None:
        """Bring the first version as far as the service has it; return it where it was written."""
        assert reader.bundle is not None
        reached = reader.bundle.generation
        if self._known is None or stamp_of(self._path) != self._stamp:
            # In this order: what is put there while we read is read the next time.
            self._stamp = stamp_of(self._path)
            self._known = self._in_file()
        known, written = self._known, None
        if known is None or known.generation < reached:
            data = self._source.fetch_first(None if known is None else known.generation)
            if data is not None:
                written = self._take_bundle(known, self._stamp, data)
        if self._known is not None and self._known.generation >= reached:
            note_fresh(self._path)
        return written

    def _turn_from_bundle(self, *, wait: bool) -> GateBundle | None:
        """Ask while no chain is here that could be extended; a service that has one answers at once."""
        try:
            floor = read_floor(self._path)
        except SpoiledFloorError:
            # It said at least this; what comes from the service itself is the newest.
            floor = Floor(VERSION)
        stamp = stamp_of(self._path)
        known = self._known if stamp is not None and stamp == self._stamp else self._in_file()
        generation = None if known is None else known.generation
        least = max(floor.generation, generation or 0, self._reached)
        # A service that is behind all that we ever had was set back: it goes above when it hears of that.  One that is as
        # far gives what it has.
        lost = Known(generation if wait else None, _NO_LINE, least - 1) if least else Known()
        answer = self._source.fetch(lost)
        if answer is None:
            self._known, self._stamp = known, stamp
            return None
        if answer.chain:
            reader = ChainReader(self._key, self._api, least, newest_head(self._path))
            return self._begin(reader, answer)
        if floor.version >= VERSION:
            raise GateBundleError(
                "got a bundle of version 1, expected a chain, which this gate took before; "
                "was the service set back to an earlier version?"
            )
        return self._take_bundle(known, stamp, answer.data)

    def _take_bundle(
        self, known: GateBundle | None, stamp: Stamp | None, data: bytes
    ) -> GateBundle | None:
        bundle = from_jws(data, self._key)
        if bundle.policy.api != self._api:
            raise GateBundleError(
                f"got the bundle of {bundle.policy.api}, expected that of {self._api}"
            )
        if known is not None and bundle == known:
            self._known, self._stamp = known, stamp
            return None
        if known is not None and bundle.generation <= known.generation:
            raise GateBundleError(
                f"got generation {bundle.generation}, expected more than {known.generation}; "
                "was the service set back to an old backup?"
            )
        self._known, self._stamp = bundle, write_private(self._path, data)
        return bundle

    def _turn_from_chain(self, reader: ChainReader, *, wait: bool) -> GateBundle | None:
        bundle = reader.bundle
        assert bundle is not None
        answer = self._source.fetch(
            Known(bundle.generation if wait else None, reader.tip, bundle.generation)
        )
        if answer is None:
            return None
        if not answer.chain:
            raise GateBundleError(
                "got a bundle of version 1, expected what follows our chain; "
                "was the service set back to an earlier version?"
            )
        lines = _lines(answer)
        if is_snapshot(lines[0]):
            return self._begin(reader, answer)
        stamp = self._chain_stamp
        if stamp is None or stamp_of(self._chain) != stamp:
            # Somebody changed the file while the service let us wait: what follows ours mustn't stand behind that.  The
            # next turn reads it, and asks for what it lacks.
            return None
        # Whatever happens from here on, what is in memory is right only if the file is, too.
        self._chain_stamp = None
        try:
            changed = reader.take(lines)
        except ChainError:
            # What follows isn't what the service says it is: the next turn asks for all of it.  The file stays as it is.
            self._reader, self._chain_stamp = None, stamp
            raise
        finally:
            self._reached = (reader.bundle or bundle).generation
        self._chain_stamp = append_lines(self._chain, lines, stamp) if changed else stamp
        return reader.bundle if changed else None

    def _begin(self, reader: ChainReader, answer: Fetched) -> GateBundle | None:
        """Take a whole chain in place of whatever is here."""
        lines = _lines(answer)
        self._chain_stamp = None
        changed = reader.take(lines)
        bundle = reader.bundle
        assert bundle is not None
        self._reached = bundle.generation
        # Before the chain itself: from then on no bundle of version 1 is taken, whatever comes in between.
        self._floor_due = 0.0
        self._note_floor(reader)
        self._reader, self._chain_stamp = reader, write_chain(self._chain, lines)
        return bundle if changed else None

    def _note_floor(self, reader: ChainReader) -> None:
        """Note how far the gate is, and how far the service's audit trail was."""
        bundle, now = reader.bundle, self._monotonic()
        assert bundle is not None
        doubts, reader.doubts = reader.doubts, []
        for before, after in doubts:
            _log.error("%s: %s", self._api, what_contradicts(before, after))
        if reader.told is not None and (doubts or now >= self._floor_due):
            with suppress(PrivateFileError, GateBundleError):
                keep_heads(self._path, reader.told, doubts)
        if now < self._floor_due:
            return
        self._floor_due = now + FLOOR_SECONDS
        trouble = ""
        try:
            raise_floor(self._path, Floor(VERSION, bundle.generation))
        except (PrivateFileError, GateBundleError) as error:
            trouble = str(error)
        if trouble and trouble != self._floor_trouble:
            _log.warning("an older bundle may be taken after a restart: %s", trouble)
        self._floor_trouble = trouble

    def _in_chain(self) -> ChainReader | None:
        """Return what the chain's file says, None if no gate would believe all of it."""
        tail = ChainTail(self._chain)
        try:
            least = read_floor(self._path).generation
            reader = ChainReader(self._key, self._api, least, newest_head(self._path))
            reader.take(tail.read())
        except (PrivateFileError, GateBundleError):
            return None
        # Behind half a line, which a process left that died, nothing may be appended.
        return reader if reader.bundle is not None and tail.is_whole else None

    def _in_file(self) -> GateBundle | None:
        """Return what the bundle's file says, None if no gate would believe it."""
        try:
            data = read_private(self._path, MAX_BUNDLE_BYTES)
            return None if data is None else from_jws(data, self._key)
        except (PrivateFileError, GateBundleError):
            return None


def _lines(answer: Fetched) -> list[bytes]:
    """Return the lines of a chain that came."""
    whole, end, rest = answer.data.rpartition(b"\n")
    if not end or rest:
        raise ChainError("got a chain whose last line has no end")
    return lines_of(whole)
