"""Write the bundle of each API in its first version, which gates of an earlier Watchword read: the whole list, in one signature."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    Stamp,
    read_private,
    stamp_of,
)
from watchword.apps.service.chains import RevokedSubjects
from watchword.gate.bundle import (
    MAX_BUNDLE_BYTES,
    PIECE,
    GateBundle,
    GateBundleError,
    from_jws,
    piece_of,
    to_parts,
)
from watchword.ports import Signer, VerificationKey

_UNREAD: Final = (-1, -1)


@dataclass(frozen=True, slots=True)
class Published:
    """Hold one published bundle as it is signed.

    :ivar parts: what stands in it, one part behind the other.
    """

    generation: int
    parts: tuple[bytes, ...]

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Published(generation={self.generation})"


class FirstVersionWriter:
    """Write one API's bundle in its first version; the only one who does.

    Names stand in it in the order in which they came, and pieces of it are encoded once: one more revocation costs its own
    encoding, a hash over the whole and the writing of the file.  Of those who can have no token any more fewer than
    :data:`PIECE` are still named.

    A state's own ``revoked`` is named beside all others: a few who come and go.

    :ivar bundle: what it says, but for the others; None while there is none that gates would believe.
    :ivar published: the same as it is signed.
    """

    def __init__(self, path: Path, key: VerificationKey, pause: Callable[[], None]) -> None:
        """Keep where it stands; nothing is read yet.

        :param key: by which it must be signed.
        :param pause: lets requests have their turn; it is called after each millisecond of work or so.
        """
        self.bundle: GateBundle | None = None
        self.published: Published | None = None
        self._path = path
        self._key = key
        self._pause = pause
        self._stamp: Stamp | None = None
        self._names: frozenset[str] | None = None
        self._everyone: RevokedSubjects | None = None
        self._pieces: list[bytes] = []
        self._first = 0
        self._said = _UNREAD

    @property
    def generation(self) -> int:
        """Return the generation of what it says, 0 while there is none."""
        return 0 if self.bundle is None else self.bundle.generation

    def read(self) -> bool:
        """Read the file where it isn't as we know it; tell whether gates would believe it.

        It outlives this process, and somebody may have removed or replaced it meanwhile.
        """
        stamp = stamp_of(self._path)
        if self.bundle is not None and stamp == self._stamp:
            return True
        try:
            data = read_private(self._path, MAX_BUNDLE_BYTES)
            bundle = None if data is None else from_jws(data, self._key)
        except (PrivateFileError, GateBundleError):
            return False
        if data is None or bundle is None or bundle.generation < self.generation:
            # Behind what gates have had: somebody put an old file back.
            return False
        self._adopt(replace(bundle, revoked=frozenset()), (data,), stamp)
        self._names, self._said = bundle.revoked, _UNREAD
        return True

    def says(self, state: GateBundle, everyone: RevokedSubjects) -> bool:
        """Tell whether the file says all of a state."""
        wanted = self._encode(everyone)
        if not self.read() or self.bundle is None:
            return False
        if self._names is not None:
            if _are(self._names, everyone, state.revoked):
                self.bundle, self._said = replace(self.bundle, revoked=state.revoked), wanted
            self._names = None
        said = self.bundle
        return self._said == wanted and said == replace(
            state, generation=said.generation, made_at=said.made_at
        )

    def write(self, state: GateBundle, everyone: RevokedSubjects, signer: Signer) -> None:
        """Bring the file to a state.

        :param everyone: all who are to be named.
        :raises PrivateFileError: when the disk refuses.
        :raises GateBundleError: when it would be more than gates take; they keep what they have.
        """
        first, end = self._encode(everyone)
        encoded = first + len(self._pieces) * PIECE
        rest = state.revoked.union(_listed(everyone, encoded, end))
        parts = to_parts(replace(state, revoked=rest), signer, self._pieces)
        stamp = publish_bundle(self._path, *parts)
        self._adopt(state, parts, stamp)
        self._said = first, end

    def rest(self) -> None:
        """Keep nothing that only the next writing needs."""
        self._everyone, self._pieces, self._names, self._said = None, [], None, _UNREAD

    def _adopt(self, bundle: GateBundle, parts: tuple[bytes, ...], stamp: Stamp | None) -> None:
        self.bundle, self.published = bundle, Published(bundle.generation, parts)
        self._stamp, self._names = stamp, None

    def _encode(self, everyone: RevokedSubjects) -> tuple[int, int]:
        """Encode the pieces that are full by now; return the number of the first who is named, and the one behind the last."""
        if everyone is not self._everyone:
            # They are numbered anew.
            if self._everyone is not None:
                self._stamp = None
            self._everyone, self._pieces, self._first = everyone, [], everyone.first
        gone = max(0, everyone.first - self._first) // PIECE
        del self._pieces[:gone]
        self._first += gone * PIECE
        end = everyone.end
        if not self._pieces or end - everyone.first <= PIECE:
            self._pieces, self._first = [], everyone.first
        # At least one name is left for the last piece, which grows.
        while end - (start := self._first + len(self._pieces) * PIECE) > PIECE:
            self._pieces.append(piece_of(_listed(everyone, start, start + PIECE)))
            self._pause()
        return self._first, end


def _listed(everyone: RevokedSubjects, start: int, end: int) -> list[str]:
    return [name for names in everyone.slices(start, end) for name in names]


def _are(names: frozenset[str], everyone: RevokedSubjects, others: frozenset[str]) -> bool:
    """Tell whether these are the names of all who are revoked, and the others, and nobody else's."""
    both = 0
    for each in everyone:
        if each not in names:
            return False
        both += each in others
    return others <= names and len(names) == len(everyone) + len(others) - both
