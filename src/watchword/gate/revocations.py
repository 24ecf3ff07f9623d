"""Hold who is revoked, however many they are.

A revoked instance takes 8 bytes: a digest of its pairwise subject under a key that only this API's gates know.  Another
snapshot has another key, so that an instance which is taken for a revoked one by chance isn't so for long.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from heapq import merge
from itertools import islice
from operator import lt
from typing import Final, Protocol, Self

from watchword.encoding import base64url

DIGEST_KEY_BYTES: Final = 12
"""Bytes of the key: with a subject of 43 characters they fill one block of SHA-256."""

DIGEST_BYTES: Final = 8

_RUN: Final = 4096
"""From so many on digests are kept sorted, in 8 bytes each; a set takes nine times as much."""

_MOST_RUNS: Final = 8

MOST_APART: Final = 4096
"""So many digests stand apart from a file that is written anew each time when more do."""

_MOST_PASSED: Final = 16_384
"""So many subjects are remembered that a snapshot doesn't list: what it lists never changes."""


_PARTS: Final = 1024
"""Into so many parts digests fall by their first bits, each of which is put in order by itself."""

_PART: Final = 2**64 // _PARTS
_PARTS_A_STEP: Final = 4


def digest_of(key: bytes, subject: str) -> int:
    """Return what stands for a pairwise subject: the first 8 bytes of SHA-256 over key and subject."""
    return int.from_bytes(sha256(key + subject.encode()).digest()[:DIGEST_BYTES])


def pack(digests: Iterable[int]) -> bytes:
    """Return digests as gates are sent them: ascending, none twice, 8 bytes each with the highest first."""
    return _as_bytes(array("Q", sorted(set(digests))))


@dataclass(frozen=True, slots=True)
class PackedDigests:
    """Hold digests as a snapshot carries them.

    :ivar sha256: of their bytes, as :func:`pack` returns them.
    :ivar text: those bytes in base64url, in pieces.
    """

    count: int
    sha256: bytes
    text: tuple[bytes, ...]

    @classmethod
    def of(cls, packed: bytes) -> Self:
        """Return what :func:`pack` returned in this form."""
        text = base64url.encode(packed).encode("ascii")
        return cls(len(packed) // DIGEST_BYTES, sha256(packed).digest(), (text,))


def packed_in_pieces(
    digests: Iterable[Sequence[int]], pause: Callable[[], None]
) -> "tuple[array[int], PackedDigests]":
    """Return digests that come in any order in ascending order, none twice, and as a snapshot carries them.

    Millions of them take seconds.  No step of it takes much longer than a millisecond.

    :param pause: is called between the steps, so that other threads get their turn.
    """
    parts = [array("Q") for _ in range(_PARTS)]
    for some in digests:
        for digest in some:
            parts[digest // _PART].append(digest)
    base, hashed, text, rest = array("Q"), sha256(), [], b""
    for at, part in enumerate(parts):
        ascending = array("Q", sorted(set(part)))
        base.extend(ascending)
        data = _as_bytes(ascending)
        hashed.update(data)
        # Three bytes are four characters: pieces of as many stand behind one another without padding.
        data = rest + data
        whole = len(data) - len(data) % 3
        text.append(base64url.encode(data[:whole]).encode("ascii"))
        rest = data[whole:]
        if at % _PARTS_A_STEP == 0 and base:
            pause()
    text.append(base64url.encode(rest).encode("ascii"))
    return base, PackedDigests(len(base), hashed.digest(), tuple(text))


def unpack(data: bytes) -> "array[int]":
    """Return the digests in ``data``.

    :raises ValueError: unless they are ascending, none twice, 8 bytes each.
    """
    if len(data) % DIGEST_BYTES:
        raise ValueError(f"got {len(data)} bytes of digests, expected a multiple of {DIGEST_BYTES}")
    found = array("Q", data)
    if sys.byteorder == "little":
        found.byteswap()
    if not all(map(lt, found, islice(found, 1, None))):
        raise ValueError("expected digests in ascending order, none twice")
    return found


def _as_bytes(digests: "array[int]") -> bytes:
    if sys.byteorder == "big":
        return digests.tobytes()
    turned = array("Q", digests)
    turned.byteswap()
    return turned.tobytes()


@dataclass(frozen=True, slots=True)
class DigestParts:
    """Hold digests in two parts, so that those who read them from files are sent little by one more revocation.

    :param base: what changes seldom, as :func:`pack` writes it; empty where there are few digests.
    :param name: tells this base from every other, in 16 hexadecimal digits; empty where there is none.
    :param added: what isn't in the base, in order.
    """

    key: bytes = field(repr=False)
    base: bytes = field(repr=False)
    name: str
    added: tuple[int, ...]


class Digests:
    """Hold who is revoked, in 8 bytes an instance: an array as it came, and what was added since.

    One may add while others look; what is added stays.
    """

    def __init__(self, key: bytes, base: "array[int]") -> None:
        """Begin with what a snapshot lists.

        :param base: ascending, as :func:`unpack` returns it.
        """
        self.key = key
        self._base = base
        self._step = len(base) / 2.0**64
        self._reach = 2 * int(len(base) ** 0.5) + 8
        self._runs: tuple[array[int], ...] = ()
        self._recent: set[int] = set()
        self._additions = array("Q")
        self._passed: dict[str, int] = {}
        self._settled: tuple[int, bytes, str] | None = None

    def __contains__(self, subject: object) -> bool:
        """Tell whether the instance behind a pairwise subject is revoked."""
        if not isinstance(subject, str):
            return False
        digest = self._passed.get(subject)
        if digest is not None:
            return self._is_added(digest)
        digest = digest_of(self.key, subject)
        if self.has(digest):
            return True
        if len(self._passed) >= _MOST_PASSED:
            self._passed = {}
        self._passed[subject] = digest
        return False

    def has(self, digest: int) -> bool:
        """Tell whether a digest is listed."""
        return self._is_added(digest) or self._is_in_base(digest)

    def _is_added(self, digest: int) -> bool:
        # Read in this order: a digest that wanders from the set into a run is in both for a moment.
        if digest in self._recent:
            return True
        runs = self._runs
        return bool(runs) and any(_holds(each, digest) for each in runs)

    def _is_in_base(self, digest: int) -> bool:
        base = self._base
        if not base:
            return False
        # Digests are spread evenly, so that where one would stand is known but for a little.
        guess, reach, most = int(digest * self._step), self._reach, len(base)
        low, high = max(0, guess - reach), min(most, guess + reach)
        at = bisect_left(base, digest, low, high)
        if at < most and base[at] == digest:
            return True
        # Beside the window it is looked for where chance, or somebody, spread them otherwise.
        return at in {low, high} and _holds(base, digest)

    def __len__(self) -> int:
        """Return how many are listed."""
        return len(self._base) + len(self._additions)

    def add(self, digests: Sequence[int]) -> None:
        """List more; what is listed already is passed over."""
        fresh = [each for each in dict.fromkeys(digests) if not self.has(each)]
        if len(fresh) < _RUN:
            self._recent.update(fresh)
        else:
            self._runs = (*self._runs, array("Q", sorted(fresh)))
        self._additions.extend(fresh)
        if len(self._recent) >= _RUN:
            self._runs = (*self._runs, array("Q", sorted(self._recent)))
            self._recent = set()
        if len(self._runs) > _MOST_RUNS:
            self._runs = (array("Q", merge(*self._runs)),)

    def packed(self) -> bytes:
        """Return all that is listed, as :func:`pack` writes it."""
        return _as_bytes(_with(self._base, sorted(self._additions)))

    def parts(self) -> DigestParts:
        """Return all that is listed in two parts; the base changes with each :data:`MOST_APART` that were added.

        One thread at a time may ask.
        """
        count = len(self._additions)
        if len(self._base) + count <= MOST_APART:
            return DigestParts(self.key, b"", "", tuple(sorted([*self._base, *self._additions])))
        whole = count - count % MOST_APART
        settled = self._settled
        if settled is None or settled[0] != whole:
            packed = _as_bytes(_with(self._base, sorted(self._additions[:whole])))
            settled = whole, packed, sha256(packed).hexdigest()[:16]
            self._settled = settled
        added = tuple(sorted(self._additions[whole:count]))
        return DigestParts(self.key, settled[1], settled[2], added)

    def __repr__(self) -> str:
        """Show how many are listed, and not the key."""
        return f"Digests({len(self)})"


def _with(base: "array[int]", more: Sequence[int]) -> "array[int]":
    """Return both in order; the base is copied in stretches, not by its millions of numbers."""
    found, start = array("Q"), 0
    for each in more:
        at = bisect_left(base, each, start)
        found.extend(base[start:at])
        found.append(each)
        start = at
    found.extend(base[start:])
    return found


def _holds(digests: "array[int]", digest: int) -> bool:
    at = bisect_left(digests, digest)
    return at < len(digests) and digests[at] == digest


_V1_LABEL: Final = b"watchword v1 digests"


class Listing(Protocol):
    """Say who is revoked, as a bundle of either version does: by digests, or by names where it has none."""

    @property
    def digests(self) -> Digests | None:
        """Return the digests, None where names are listed."""

    @property
    def revoked(self) -> frozenset[str]:
        """Return the names."""

    @property
    def reference_key(self) -> bytes:
        """Return a secret that stays the same as long as the API's does."""


def digested(bundle: Listing) -> Digests:
    """Return who is revoked, from a bundle of either version, as digests; nobody may add to them.

    Those of a bundle that lists names are made here, under a key that stays the same as long as the API's does.
    """
    if bundle.digests is not None:
        return bundle.digests
    key = sha256(_V1_LABEL + bundle.reference_key).digest()[:DIGEST_KEY_BYTES]
    return _of_names(key, bundle.revoked)


@lru_cache(maxsize=2)
def _of_names(key: bytes, names: frozenset[str]) -> Digests:
    """Return digests of names; whoever asks for the same ones again needs not wait for a third of a million hashes."""
    return Digests(key, array("Q", sorted({digest_of(key, each) for each in names})))
