"""Read the bundles of cross-platform frameworks, and assets, as text.

Source: https://github.com/Perfare/Il2CppDumper, ``MetadataClass.cs`` (at 03ea178, read on 2026-11-29): the header begins with the same three
pairs of offset and size in all versions that are read here.  A literal is a length and an offset; in later versions the offset alone, since
one begins where the one before ends.  Which of both, the table tells itself: no table fits both.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final, NamedTuple

from watchword.reasons import WatchwordError
from watchword.scan.app import Depth, Part, StaticField, TextPart
from watchword.scan.archive.interface import Archive, MissingEntryError
from watchword.scan.ios.macho import MachOError, is_macho, slices
from watchword.scan.ios.plists import PlistError, read_plist
from watchword.scan.notes import Notes
from watchword.scan.texts import hermes
from watchword.scan.texts.runs import (
    LONGEST_LINE,
    Budget,
    Kind,
    ascii_runs,
    kind_of,
    lines_of,
    text_lines,
    wide_runs,
)

MAGIC: Final = (0xFAB11BAF).to_bytes(4, "little")
VERSIONS: Final = (*range(16, 32), 35)
"""The versions whose strings are read; from 38 on the header is another one."""

_HEADER: Final = struct.Struct("<4xI6I")
_MOST: Final = 2_000_000


class UnityError(WatchwordError):
    """Report that metadata is encrypted, damaged, or of a version that isn't known."""


def unity_strings(data: bytes) -> Iterator[str]:
    """Yield the string literals of the code, then all names.

    :raises UnityError: before the first one, if they aren't where this version of the format is known to have them.
    """
    if not data.startswith(MAGIC):
        raise UnityError("metadata of Unity that is encrypted")
    try:
        version, table, size, texts, length, names, extent = _HEADER.unpack_from(data)
    except struct.error as error:
        raise UnityError("metadata of Unity that ends in its header") from error
    if version not in VERSIONS:
        raise UnityError(f"metadata of Unity of version {version}, which isn't known")
    ends = (table + size, texts + length, names + extent)
    if max(ends) > len(data) or size > 8 * _MOST or min(table, texts, names) < _HEADER.size:
        raise UnityError("metadata of Unity whose strings lie beyond its end")
    places = _literals(data[table : table + size], length)
    for start, end in places:
        yield data[texts + start : texts + end].decode("utf-8", "replace")
    for name in data[names : names + extent].split(b"\0"):
        yield name.decode("utf-8", "replace")


def unity_rest(data: bytes) -> int:
    """Return where names end: behind them lie constants and attributes, whose texts only show as runs of characters."""
    names, extent = _HEADER.unpack_from(data)[5:]
    return int(names + extent)


def _literals(table: bytes, length: int) -> list[tuple[int, int]]:
    """Return begin and end of each literal.

    :param length: of all literals.
    """
    if len(table) % 8 == 0:
        with_lengths = [(start, start + size) for size, start in struct.iter_unpack("<II", table)]
        if _holds(with_lengths, length):
            return with_lengths
    starts = [start for (start,) in struct.iter_unpack("<I", table[: len(table) & ~3])]
    found = list(pairwise([*starts, length]))
    if not _holds(found, length):
        raise UnityError("metadata of Unity whose table of strings doesn't hold together")
    return found


def _holds(places: list[tuple[int, int]], length: int) -> bool:
    """Tell whether literals lie one behind the other, from the first byte on, within their stretch."""
    last = 0
    for start, end in places:
        if start != last or not start <= end <= length:
            return False
        last = end
    return True


MOST_LINES: Final = 2_000_000
MOST_CHARACTERS: Final = 64 * 1024 * 1024
"""How much text is kept of one app, in lines and characters."""

MOST_OF_ASSET: Final = 8 * 1024 * 1024
MOST_OF_BUNDLE: Final = 48 * 1024 * 1024
"""How many bytes of one asset and of one script are read; of an asset that is no text, as many as of a script."""

_MODULES: Final = (0xFB0BD1E5).to_bytes(4, "little")
"""What an indexed RAM bundle of Metro begins with: facebook.github.io/metro/docs/bundling, read on 2026-11-29."""


class _Text(NamedTuple):
    """Hold the lines of an entry, and what of it can't be seen; empty for nothing.

    :param whole: whether these are its strings as they stand in it, and no runs of characters.
    """

    kind: str
    lines: Iterable[str]
    unseen: str = ""
    named: Iterable[tuple[str, str]] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """Hold how much is read and kept of one app.

    :param asset: bytes of one asset; ``bundle`` of one script.
    """

    lines: int = MOST_LINES
    characters: int = MOST_CHARACTERS
    asset: int = MOST_OF_ASSET
    bundle: int = MOST_OF_BUNDLE


def read_texts(
    archive: Archive,
    notes: Notes,
    over: Callable[[], bool] = lambda: False,
    bounds: Bounds = Bounds(),
) -> tuple[TextPart, ...]:
    """Return what can be read as text, by name: scripts, snapshots, assets.

    A snapshot is in a package once for each architecture: of the later ones only what the first didn't have is kept.

    :param over: tells whether the time is over; what isn't read by then is a gap.
    """
    reader = _Reader(archive, notes, over, bounds)
    found = []
    for entry in sorted(archive.entries, key=lambda entry: entry.name):
        kind = kind_of(entry.name)
        # Assemblies of .NET have a reader of their own.
        if kind is not None and kind is not Kind.DOTNET:
            found.append(reader.read(entry.name, kind))
    return tuple(part for part in found if part is not None)


class _Reader:
    """Read one entry after another under one budget."""

    def __init__(
        self, archive: Archive, notes: Notes, over: Callable[[], bool], bounds: Bounds
    ) -> None:
        self._archive = archive
        self._notes = notes
        self._bounds = bounds
        self._budget = Budget(bounds.lines, bounds.characters, over=over, memory=notes.memory)
        self._snapshots: dict[str, None] = {}

    def read(self, name: str, kind: Kind) -> TextPart | None:
        part = Part.ASSETS if kind is Kind.ASSET else Part.BUNDLE
        unit = "files" if kind is Kind.ASSET else "bundles"
        lines: list[str] | None = None
        named: tuple[StaticField, ...] = ()
        form = ""
        try:
            data = self._archive.read(name)
        except MissingEntryError as error:
            self._notes.gap(part, name, error.why)
        else:
            text = _READERS[kind](data, self._budget, self._bounds)
            # What needs more than its text holds it itself.
            del data
            form = text.kind
            lines = self._kept(text.lines, kind)
            named = tuple(self._named(text.named))
            if text.unseen:
                self._notes.gap(part, name, text.unseen)
            if self._budget.spent:
                self._notes.gap(
                    part, name, "more text in this app than is read of one, or the time was over"
                )
            if text.whole:
                self._notes.code(name, Depth.STRINGS)
        self._notes.seen(part, lines is not None, 1, unit)
        return TextPart(name, form, tuple(lines), named) if lines else None

    def _named(self, pairs: Iterable[tuple[str, str]]) -> Iterator[StaticField]:
        for name, value in pairs:
            if len(name) > LONGEST_LINE:
                continue
            if not (self._budget.takes(name) and self._budget.takes(value)):
                return
            yield StaticField("", name, value)

    def _kept(self, lines: Iterable[str], kind: Kind) -> list[str]:
        kept = []
        for line in lines:
            if kind is Kind.SNAPSHOT:
                if line in self._snapshots:
                    continue
                self._snapshots[line] = None
            if not self._budget.takes(line):
                break
            kept.append(line)
        return kept


def _script(data: bytes, budget: Budget, bounds: Bounds) -> _Text:
    """Read a script of React Native: bytecode by its table, or text, be it one file or a file of modules."""
    if data.startswith(_MODULES):
        (count,) = struct.unpack_from("<4xI", data.ljust(8, b"\0"))
        # Behind the table, each module ends in a zero.
        plain = data[12 + 8 * count :].replace(b"\0", b"\n")
        return _web(plain, budget, bounds, "react-native")
    if not hermes.is_hermes(data):
        return _web(data, budget, bounds, "react-native")
    try:
        strings = hermes.strings(data)
        first = next(strings, "")
    except hermes.HermesError as error:
        unseen = f"{error}: only runs of printable characters were read, which run into each other"
        return _Text("hermes", ascii_runs(data, budget), unseen)
    every = chain([first], strings)
    lines = chain.from_iterable(lines_of(one) for one in every)
    return _Text("hermes", lines, whole=True, named=hermes.named(data, budget.goes_on))


def _web(data: bytes, budget: Budget, bounds: Bounds, kind: str = "cordova") -> _Text:
    lines = text_lines(data, bounds.bundle)
    if lines is None:
        return _Text(
            kind, ascii_runs(data, budget), "binary: only runs of printable characters were read"
        )
    return _Text(kind, lines, _cut(data, bounds.bundle), whole=True)


def _cut(data: bytes, most: int) -> str:
    """Say what of an entry wasn't read, empty for nothing."""
    return f"of {len(data)} bytes the first {most} were read" if len(data) > most else ""


def _snapshot(data: bytes, budget: Budget, _: Bounds) -> _Text:
    """Read what Flutter compiled; on iOS the store encrypts it as any code."""
    try:
        images = slices(data) if is_macho(data[:8]) else ()
    except MachOError as error:
        return _Text("flutter", ascii_runs(data, budget), str(error))
    hidden = [image.encrypted for image in images if image.encrypted]
    if not hidden:
        return _Text("flutter", ascii_runs(data, budget))
    ends = [
        0,
        *(at for one in sorted(hidden, key=lambda one: one.start) for at in (one.start, one.stop)),
    ]
    plain = zip(ends[::2], [*ends[1::2], len(data)], strict=True)
    runs = chain.from_iterable(ascii_runs(data, budget, start, end) for start, end in plain)
    return _Text("flutter", runs, "the store encrypted it")


def _unity(data: bytes, budget: Budget, _: Bounds) -> _Text:
    """Read the metadata of IL2CPP: its strings lie in it, unless it's encrypted."""
    try:
        strings = unity_strings(data)
        first = next(strings, "")
    except UnityError as error:
        unseen = f"{error}: only runs of printable characters were read, which run into each other"
        return _Text("unity", ascii_runs(data, budget), unseen)
    lines = chain.from_iterable(lines_of(one) for one in chain([first], strings))
    more = ascii_runs(data, budget, unity_rest(data))
    return _Text("unity", chain(lines, more), whole=True)


def _asset(data: bytes, budget: Budget, bounds: Bounds) -> _Text:
    binary = data.startswith(b"bplist")
    if binary or b"<plist" in data[:1024]:
        try:
            return _Text("asset", _flat(read_plist(data)))
        except PlistError as error:
            if binary:
                return _Text("asset", ascii_runs(data, budget), str(error))
    lines = text_lines(data, bounds.asset)
    if lines is None:
        # Android compiles XML to a form of its own, and names of binary files end in anything: no text was promised.
        most = bounds.bundle
        runs = chain(ascii_runs(data, budget, 0, most), wide_runs(data, budget, most))
        return _Text("asset", runs, _cut(data, most))
    return _Text("asset", lines, _cut(data, bounds.asset), whole=True)


def _flat(info: Mapping[str, object]) -> Iterator[str]:
    """Yield a property list as ``key = value``, since its own lines tear the two apart; it's bounded in depth and size by its parser."""
    waiting: list[tuple[str, object]] = [("", info)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend((str(key), below) for key, below in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend((name, below) for below in reversed(value))
        elif isinstance(value, str | int | float):
            yield from lines_of(f"{name} = {value}")


_READERS: Final[Mapping[Kind, Callable[[bytes, Budget, Bounds], _Text]]] = {
    Kind.SCRIPT: _script,
    Kind.SNAPSHOT: _snapshot,
    Kind.UNITY: _unity,
    Kind.CORDOVA: _web,
    Kind.ASSET: _asset,
}
