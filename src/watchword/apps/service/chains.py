"""Keep the chain of each API: a change is signed and appended by itself, and a snapshot is made now and then."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from watchword.adapters.gate_bundle.chain_file import (
    ChainTail,
    append_lines,
    chain_path,
    write_chain,
)
from watchword.adapters.keyring.private_file import PrivateFileError, Stamp, stamp_of
from watchword.encoding import base64url
from watchword.gate.bundle import GateBundle, GateBundleError
from watchword.gate.chain import (
    MOST_ADDED,
    ChainReader,
    delta_to_line,
    snapshot_to_line,
    tip_of,
)
from watchword.gate.revocations import DIGEST_KEY_BYTES, Digests, digest_of, pack, unpack
from watchword.ports import Signer, VerificationKey

MOST_DELTAS: Final = 1000
"""After so many changes a snapshot takes their place; who has the chain by then must fetch all of it once."""

_SMALL_BYTES: Final = 256 * 1024
_SPARE: Final = 10_000
"""So many instances may be listed in vain before a snapshot is made for it."""

_NAME_BYTES: Final = 32

HEAD_SECONDS: Final = 3600
"""A new head of the audit trail goes with the next change, and by itself where none comes for so long."""


class RevokedSubjects:
    """Hold by which names revoked instances are known at one audience, in about 56 bytes each.

    :ivar version: grows with each change.
    """

    def __init__(self, key: bytes) -> None:
        """Begin with nobody.

        :param key: :data:`DIGEST_KEY_BYTES` of any value, by which a name that comes twice is recognised.
        """
        self.version = 0
        self._key = key
        self._names = bytearray()
        self._times = array("d")
        self._seen = Digests(key, array("Q"))

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self._times)

    def __iter__(self) -> Iterator[str]:
        """Yield each name."""
        for start in range(0, len(self._names), _NAME_BYTES):
            yield base64url.encode(bytes(self._names[start : start + _NAME_BYTES]))

    def add(self, subjects: Iterable[tuple[str, float]]) -> list[str]:
        """Take in names with the time at which each was revoked; return those that are new."""
        fresh = []
        for subject, at in subjects:
            digest = digest_of(self._key, subject)
            if not self._seen.has(digest):
                self._seen.add((digest,))
                self._names += base64url.decode(subject)
                self._times.append(at)
                fresh.append(subject)
        self.version += bool(fresh)
        return fresh

    def forget(self, before: float) -> None:
        """Forget who was revoked before an instant; nobody of them can have a token any more."""
        old = 0
        while old < len(self._times) and self._times[old] < before:
            old += 1
        if old:
            del self._names[: old * _NAME_BYTES], self._times[:old]
            self._seen = Digests(
                self._key, array("Q", sorted(digest_of(self._key, s) for s in self))
            )
            self.version += 1


class ChainWriter:
    """Write one API's chain; the only one who does.

    :ivar bundle: what the chain says, None while there is none that gates would believe.
    :ivar tip: the hash of its last line.
    """

    def __init__(self, bundle: Path, key: VerificationKey, random: Callable[[int], bytes]) -> None:
        """Read the chain that is there, and go on with it.

        :param bundle: the API's bundle; the chain stands beside it.
        :param key: by which it must be signed.
        """
        self.bundle: GateBundle | None = None
        self.tip: str | None = None
        self._path = chain_path(bundle)
        self._random = random
        self._lines: list[bytes] = []
        self._tips: dict[str, int] = {}
        self._stamp: Stamp | None = None
        self._broken = False
        self._read(key)

    @property
    def generation(self) -> int:
        """Return the generation of the last line, 0 while there is none."""
        return 0 if self.bundle is None else self.bundle.generation

    def says(self, state: GateBundle) -> bool:
        """Tell whether the file is as it was written, and says all of a state but who is revoked."""
        said = self.bundle
        if said is None or self._broken or stamp_of(self._path) != self._stamp:
            return False
        return (
            replace(state, generation=said.generation, made_at=said.made_at, revoked=said.revoked)
            == said
        )

    def lags(self, state: GateBundle) -> bool:
        """Tell whether gates weren't told for long how far the audit trail is, though it grew."""
        said = self.bundle
        if said is None or state.audit is None or state.audit == said.audit:
            return False
        return said.audit is None or not 0 <= state.made_at - said.made_at < HEAD_SECONDS

    def renew(self) -> None:
        """Make a snapshot at the next change: a gate has a chain that reaches further than ours."""
        self._broken = True

    def missing(self, subjects: Iterable[str]) -> list[str]:
        """Return who isn't listed yet."""
        digests = None if self.bundle is None else self.bundle.digests
        return [each for each in subjects if digests is None or each not in digests]

    def write(
        self, state: GateBundle, fresh: Sequence[str], everyone: RevokedSubjects, signer: Signer
    ) -> None:
        """Bring the chain to a state of a higher generation.

        :param fresh: who is revoked and may not be listed yet.
        :param everyone: all who are to be listed in a snapshot.
        :raises WatchwordError: when the disk refuses, or it would be more than gates take; gates keep what they have.
        """
        if self._is_snapshot_due(len(fresh), len(everyone)):
            self._begin(replace(state, revoked=frozenset()), everyone, signer)
        else:
            self._extend(replace(state, revoked=frozenset()), fresh, signer)

    def after(self, tip: str | None) -> bytes | None:
        """Return what follows a line: nothing after the last one, and all of it where the line isn't ours."""
        if not self._lines or tip == self.tip:
            return None
        start = 0 if tip is None else self._tips.get(tip, -1) + 1
        return b"".join(line + b"\n" for line in self._lines[start:])

    def _is_snapshot_due(self, fresh: int, wanted: int) -> bool:
        if self.bundle is None or self._broken or stamp_of(self._path) != self._stamp:
            return True
        deltas = sum(len(line) for line in self._lines[1:])
        return (
            fresh > MOST_ADDED
            or len(self._lines) > MOST_DELTAS
            or deltas > max(_SMALL_BYTES, len(self._lines[0]) // 4)
            or self.bundle.revoked_count > 2 * wanted + _SPARE
        )

    def _begin(self, state: GateBundle, everyone: RevokedSubjects, signer: Signer) -> None:
        key = self._random(DIGEST_KEY_BYTES)
        packed = pack(digest_of(key, each) for each in everyone)
        line = snapshot_to_line(state, key, packed, signer)
        write_chain(self._path, [line])
        digests = Digests(key, unpack(packed))
        self._adopt(replace(state, digests=digests), [line])

    def _extend(self, state: GateBundle, fresh: Sequence[str], signer: Signer) -> None:
        before = self.bundle
        assert before is not None
        assert before.digests is not None
        assert self.tip is not None
        key = before.digests.key
        added = sorted({digest_of(key, each) for each in self.missing(fresh)})
        line = delta_to_line(before, state, self.tip, added, signer)
        append_lines(self._path, [line])
        before.digests.add(added)
        audit = state.audit or before.audit
        self.bundle, self.tip = replace(state, digests=before.digests, audit=audit), tip_of(line)
        self._tips[self.tip] = len(self._lines)
        self._lines.append(line)
        self._stamp = stamp_of(self._path)

    def _read(self, key: VerificationKey) -> None:
        try:
            lines = ChainTail(self._path).read()
            reader = ChainReader(key)
            reader.take(lines)
        except (PrivateFileError, GateBundleError):
            return
        if reader.bundle is not None:
            self._adopt(reader.bundle, lines)

    def _adopt(self, bundle: GateBundle, lines: Sequence[bytes]) -> None:
        self.bundle, self.tip = bundle, tip_of(lines[-1])
        self._lines = list(lines)
        self._tips = {tip_of(line): index for index, line in enumerate(lines)}
        self._stamp, self._broken = stamp_of(self._path), False
