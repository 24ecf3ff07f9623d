"""Keep the chain of each API: a change is signed and appended by itself, and a snapshot is made now and then."""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from watchword.adapters.gate_bundle.chain_file import (
    ChainTail,
    append_lines,
    chain_path,
)
from watchword.adapters.gate_bundle.floor import read_floor
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    Stamp,
    stamp_of,
    write_private,
)
from watchword.encoding import base64url
from watchword.gate.bundle import GateBundle, GateBundleError
from watchword.gate.chain import (
    MOST_ADDED,
    ChainReader,
    delta_to_line,
    snapshot_to_parts,
    tip_of,
)
from watchword.gate.openings import RESTATED_SECONDS
from watchword.gate.revocations import (
    DIGEST_KEY_BYTES,
    Digests,
    PackedDigests,
    digest_of,
    packed_in_pieces,
)
from watchword.ports import Signer, VerificationKey

MOST_DELTAS: Final = 1000
"""After so many changes a snapshot takes their place; who has the chain by then must fetch all of it once."""

SLICE: Final = 1000
"""So many names are hashed at a time, in about a millisecond, before requests get their turn."""

_SMALL_BYTES: Final = 256 * 1024
_SPARE: Final = 10_000
"""So many instances may be listed in vain before a snapshot is made for it."""

_NAME_BYTES: Final = 32

_END: Final = b"\n"
_Line: TypeAlias = tuple[bytes, ...]
"""A line in parts, its end the last of them; a change has one beside that."""

HEAD_SECONDS: Final = 3600
"""A new head of the audit trail goes with the next change, and by itself where none comes for so long."""


class RevokedSubjects:
    """Hold by which names revoked instances are known at one audience, in 40 bytes each and in the order in which they came.

    A name has a number, which it keeps while those before it are forgotten.

    :ivar version: grows with each change.
    :ivar first: the number of the first name that is held.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self.version = 0
        self.first = 0
        self._names = bytearray()
        self._times = array("d")
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self._times)

    @property
    def end(self) -> int:
        """Return the number that the next name gets."""
        with self._lock:
            return self.first + len(self._times)

    def slices(self, start: int, end: int) -> Iterator[Sequence[str]]:
        """Yield the names of these numbers, as far as they are held, at most :data:`SLICE` at a time."""
        while start < end:
            with self._lock:
                start = max(start, self.first)
                at = (start - self.first) * _NAME_BYTES
                most = min(end - start, SLICE) * _NAME_BYTES
                raw = bytes(self._names[at : at + most])
            if not raw:
                return
            yield [
                base64url.encode(raw[each : each + _NAME_BYTES])
                for each in range(0, len(raw), _NAME_BYTES)
            ]
            start += len(raw) // _NAME_BYTES

    def __iter__(self) -> Iterator[str]:
        """Yield each name."""
        for names in self.slices(0, self.end):
            yield from names

    def add(self, subjects: Iterable[tuple[str, float]]) -> None:
        """Take in names with the time at which each was revoked."""
        for subject, at in subjects:
            raw = base64url.decode(subject)
            with self._lock:
                # Never before the one in front of it, which would keep that from being found by its time.
                self._times.append(max(at, self._times[-1]) if self._times else at)
                self._names += raw
            self.version += 1

    def missing_in(self, other: "RevokedSubjects") -> Sequence[tuple[str, float]]:
        """Return whom another one doesn't hold, each with the time at which it was revoked."""
        held = set(other)
        # A name and its time have the same place.
        with self._lock:
            times = list(self._times)
        return [each for each in zip(self, times, strict=False) if each[0] not in held]

    def forget(self, before: float) -> None:
        """Forget who was revoked before an instant; nobody of them can have a token any more."""
        with self._lock:
            old = bisect_left(self._times, before)
            del self._names[: old * _NAME_BYTES], self._times[:old]
            self.first += old
        self.version += bool(old)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Hold the digests of a snapshot to come: of the names up to a number."""

    key: bytes
    base: "array[int]"
    packed: PackedDigests
    end: int


class ChainWriter:
    """Write one API's chain; the only one who does.

    What gates are told over the network is kept in memory: it goes on where the disk refuses.

    :ivar bundle: what the chain says, None while there is none that gates would believe.
    :ivar tip: the hash of its last line.
    """

    def __init__(
        self,
        bundle: Path,
        key: VerificationKey,
        random: Callable[[int], bytes],
        pause: Callable[[], None],
        record: Callable[[Sequence[bytes], bool], None] | None = None,
    ) -> None:
        """Read the chain that is there, and go on with it.

        :param bundle: the API's bundle; the chain stands beside it.
        :param key: by which it must be signed.
        :param pause: lets requests have their turn; it is called after each millisecond of work or so.
        :param record: is given new lines before any gate can have them, and whether they take the place of all others;
            what it raises leaves this writer in doubt, and another one must be made.
        """
        self.bundle: GateBundle | None = None
        self.tip: str | None = None
        self._path = chain_path(bundle)
        self._key = key
        self._random = random
        self._pause = pause
        self._record = record
        self._lines: list[_Line] = []
        self._tips: dict[str, int] = {}
        self._delta_bytes = 0
        self._stamp: Stamp | None = None
        self._is_written = True
        self._is_behind = False
        self._listed = 0
        self._prepared: _Prepared | None = None
        self._is_keeping = False
        self._read(key)
        if self.generation < (least := _floor(bundle)):
            # The files were put back: a gate beside us has had more than they say.
            self.lifted_to = least
            self._is_behind = True
        else:
            self.lifted_to = 0

    @property
    def generation(self) -> int:
        """Return the generation of the last line, 0 while there is none."""
        return 0 if self.bundle is None else self.bundle.generation

    @property
    def is_written(self) -> bool:
        """Tell whether the disk has taken all lines."""
        return self._is_written

    def has(self, tip: str | None) -> bool:
        """Tell whether a line is one of ours."""
        return tip in self._tips

    def says(self, state: GateBundle, everyone: RevokedSubjects) -> bool:
        """Tell whether the chain says all of a state, and its file is as it was written as far as it could be."""
        said = self.bundle
        if said is None or self._is_behind or self._prepared is not None:
            return False
        self._pass_over(everyone)
        if self._listed < everyone.end or (self._is_written and self._is_replaced()):
            return False
        same = (
            replace(state, generation=said.generation, made_at=said.made_at, revoked=said.revoked)
            == said
        )
        if same and said.policy is not state.policy:
            # One that was read from a file: from now on a look shows that nothing differs.
            self.bundle = replace(said, policy=state.policy)
        return same

    def lags(self, state: GateBundle) -> bool:
        """Tell whether gates must be told again what didn't change: that something is open, or how far the audit trail is."""
        said = self.bundle
        if said is None:
            return False
        age = state.made_at - said.made_at
        if state.openings and not 0 <= age < RESTATED_SECONDS:
            return True
        if state.audit is None or state.audit == said.audit:
            return False
        return said.audit is None or not 0 <= age < HEAD_SECONDS

    def renew(self) -> None:
        """Say it all again under a higher generation: a gate has a chain that reaches further than ours."""
        self._is_behind = True

    def lists(self, subject: str) -> bool:
        """Tell whether an instance is listed by now."""
        digests = None if self.bundle is None else self.bundle.digests
        return digests is not None and digests.has(digest_of(digests.key, subject))

    def forget_numbers(self) -> None:
        """Compare all names with what is listed at the next change: they are numbered anew."""
        self._listed = 0
        self._prepared = None

    def steps(self, everyone: RevokedSubjects) -> int:
        """Return how many generations the next change takes."""
        prepared = self._prepared
        if prepared is not None:
            return 1 + _deltas(prepared.end, everyone.end)
        return max(1, _deltas(self._listed, everyone.end))

    def write(self, state: GateBundle, everyone: RevokedSubjects, signer: Signer) -> None:
        """Bring the chain to a state, whose generation is higher by :meth:`steps` at least.

        :param everyone: all who are to be listed.
        :raises PrivateFileError: when the disk refuses.  Gates are told over the network all the same, and
            :meth:`mend` brings the file after.
        :raises GateBundleError: when it would be more than gates take; gates keep what they have.
        """
        state = replace(state, revoked=frozenset())
        if self.bundle is None:
            self.prepare(everyone)
        known, prepared = len(self._lines), self._prepared
        if prepared is not None:
            known = 0
            behind = _deltas(prepared.end, everyone.end)
            first = replace(state, generation=state.generation - behind)
            self._begin(first, prepared, signer)
        if prepared is None or self._listed < everyone.end:
            self._extend(state, everyone, signer)
        self._is_behind = False
        if self._record is not None:
            self._record([b"".join(line[:-1]) for line in self._lines[known:]], known == 0)
        self._save(known)

    def take(self, lines: Sequence[bytes], *, anew: bool) -> bool:
        """Go on with lines that another node signed; tell whether they reach as far as what is here.

        :param anew: whether they begin with a snapshot.
        :raises GateBundleError: when one can't be believed, or doesn't follow ours; nothing has changed then.
        :raises PrivateFileError: when the disk refuses; :meth:`mend` brings the file after.
        """
        reader = ChainReader(self._key)
        if not anew:
            reader.bundle, reader.tip, reader.seen = self.bundle, self.tip, set(self._tips)
        reader.take(lines)
        if reader.bundle is None or reader.bundle.generation < self.generation:
            return False
        self._is_behind = False
        if reader.tip == self.tip:
            return True
        known = 0 if anew else len(self._lines)
        if anew:
            self._adopt(reader.bundle, [(line, _END) for line in lines])
            self._listed, self._prepared = 0, None
        else:
            self.bundle, self.tip = reader.bundle, reader.tip
            for line in lines:
                if (hashed := tip_of(line)) not in self._tips:
                    self._tips[hashed] = len(self._lines)
                    self._lines.append((line, _END))
                    self._delta_bytes += len(line)
        self._save(known)
        return True

    def mend(self) -> None:
        """Write the file where the disk refused before.

        :raises PrivateFileError: when it still does.
        """
        if not self._is_written:
            self._save(0)

    def after(self, tip: str | None) -> Sequence[bytes] | None:
        """Return what follows a line, in parts: nothing after the last one, and all of it where the line isn't ours."""
        if not self._lines or tip == self.tip:
            return None
        start = 0 if tip is None else self._tips.get(tip, -1) + 1
        return _parts(self._lines[start:])

    def is_snapshot_due(self, everyone: RevokedSubjects) -> bool:
        """Tell whether :meth:`prepare` is of use: the changes are many, many are listed in vain, or a secret of before stays."""
        if self.bundle is None or self._prepared is not None:
            return False
        return (
            self._is_keeping
            or len(self._lines) > MOST_DELTAS
            or self._delta_bytes > max(_SMALL_BYTES, _size(self._lines[:1]) // 4)
            or self.bundle.revoked_count > 2 * len(everyone) + _SPARE
        )

    def prepare(self, everyone: RevokedSubjects) -> None:
        """Make the digests of a new snapshot, which the next change brings; one thread does at a time.

        Changes go on meanwhile: who is revoked from here on follows the snapshot.
        """
        key, end = self._random(DIGEST_KEY_BYTES), everyone.end
        base, packed = packed_in_pieces(self._digests(key, everyone, end), self._pause)
        self._prepared = _Prepared(key, base, packed, end)

    def _digests(
        self, key: bytes, everyone: RevokedSubjects, end: int, start: int = 0
    ) -> Iterator[Sequence[int]]:
        for names in everyone.slices(start, end):
            yield [digest_of(key, each) for each in names]
            if len(names) == SLICE:
                self._pause()

    def _pass_over(self, everyone: RevokedSubjects) -> None:
        """Count the names as done that are listed already: after a start those are all."""
        end = everyone.end
        digests = None if self.bundle is None else self.bundle.digests
        if digests is None or self._listed == end:
            return
        self._listed = max(self._listed, everyone.first)
        for part in self._digests(digests.key, everyone, end, self._listed):
            if not all(map(digests.has, part)):
                return
            self._listed += len(part)

    def _begin(self, state: GateBundle, prepared: _Prepared, signer: Signer) -> None:
        # Never as one text: to copy ten megabytes holds up all other threads for some milliseconds.
        line = (*snapshot_to_parts(state, prepared.key, prepared.packed, signer), _END)
        digests = Digests(prepared.key, prepared.base)
        self._adopt(replace(state, digests=digests), [line])
        self._listed, self._prepared = prepared.end, None
        self._is_written = self._is_keeping = False

    def _extend(self, state: GateBundle, everyone: RevokedSubjects, signer: Signer) -> None:
        """Add deltas: one where nobody is to be added, too."""
        digests = None if self.bundle is None else self.bundle.digests
        assert digests is not None
        end = everyone.end
        added: dict[int, None] = {}
        for part in self._digests(digests.key, everyone, end, self._listed):
            added |= dict.fromkeys(each for each in part if not digests.has(each))
        fresh = list(added)
        parts = [fresh[at : at + MOST_ADDED] for at in range(0, len(fresh), MOST_ADDED)] or [[]]
        for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
            self._append(replace(state, generation=state.generation - left), part, signer)
        self._listed = end

    def _append(self, state: GateBundle, added: Sequence[int], signer: Signer) -> None:
        before = self.bundle
        assert before is not None
        assert before.digests is not None
        assert self.tip is not None
        line = delta_to_line(before, state, self.tip, added, signer)
        # A line of before has what was rotated out or withdrawn: nobody should find it there for long.
        self._is_keeping = self._is_keeping or not _secrets(before) <= _secrets(state)
        before.digests.add(added)
        audit = state.audit or before.audit
        self.bundle, self.tip = replace(state, digests=before.digests, audit=audit), tip_of(line)
        self._tips[self.tip] = len(self._lines)
        self._lines.append((line, _END))
        self._delta_bytes += len(line)

    def _save(self, known: int) -> None:
        """Write the lines from this one on; all of them where the file isn't as we wrote it."""
        whole = known == 0 or not self._is_written or self._is_replaced()
        # Whatever happens: what is half written is written as a whole the next time.
        self._is_written = False
        if whole or self._stamp is None:
            self._stamp = write_private(self._path, *_parts(self._lines))
        else:
            added = [line for line, _ in self._lines[known:]]
            self._stamp = append_lines(self._path, added, self._stamp)
        self._is_written = True

    def _is_replaced(self) -> bool:
        return stamp_of(self._path) != self._stamp

    def _read(self, key: VerificationKey) -> None:
        stamp = stamp_of(self._path)
        reader, held = ChainReader(key), frozenset[tuple[str, int]]()
        try:
            lines = ChainTail(self._path).read()
            for line in lines:
                reader.take([line])
                held |= frozenset() if reader.bundle is None else _secrets(reader.bundle)
        except (PrivateFileError, GateBundleError):
            return
        if reader.bundle is not None:
            self._is_keeping = not held <= _secrets(reader.bundle)
            self._adopt(reader.bundle, [(line, _END) for line in lines])
            self._stamp = stamp
            # Half a line at its end, of a process that died, would spoil the one that is appended.
            self._is_written = stamp is not None and stamp.size == _size(self._lines)

    def _adopt(self, bundle: GateBundle, lines: Sequence[_Line]) -> None:
        self.bundle, self.tip = bundle, tip_of(lines[-1][0])
        self._lines = list(lines)
        self._tips = {tip_of(line[0]): index for index, line in enumerate(lines)}
        self._delta_bytes = _size(lines[1:])


def _secrets(bundle: GateBundle) -> frozenset[tuple[str, int]]:
    """Return which secrets a bundle tells: keys by name and version, the gate's own by epoch."""
    keys = {(name, each.version) for name, each in bundle.injected.items()}
    return frozenset(keys | {("", each.epoch) for each in bundle.secrets})


def _parts(lines: Sequence[_Line]) -> tuple[bytes, ...]:
    return tuple(part for line in lines for part in line)


def _size(lines: Sequence[_Line]) -> int:
    return sum(map(len, _parts(lines)))


def _deltas(start: int, end: int) -> int:
    """Return how many deltas the names of these numbers take."""
    return -((start - end) // MOST_ADDED)


def _floor(bundle: Path) -> int:
    """Return how far a gate beside us was."""
    try:
        return read_floor(bundle).generation
    except GateBundleError:
        return 0
