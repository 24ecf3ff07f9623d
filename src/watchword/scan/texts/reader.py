"""Read the bundles of cross-platform frameworks, and assets, as text."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from watchword.scan.app import Depth, Part, TextPart
from watchword.scan.archive.interface import Archive, MissingEntryError
from watchword.scan.ios.macho import MachOError, is_macho, slices
from watchword.scan.ios.plists import PlistError, read_plist
from watchword.scan.notes import Notes
from watchword.scan.texts import hermes
from watchword.scan.texts.places import Kind, kind_of
from watchword.scan.texts.runs import Budget, ascii_runs, lines_of, pieces, text_lines, wide_runs

MOST_LINES: Final = 2_000_000
MOST_CHARACTERS: Final = 64 * 1024 * 1024
"""How much text is kept of one app, in lines and characters."""

MOST_OF_ASSET: Final = 8 * 1024 * 1024
MOST_OF_BUNDLE: Final = 48 * 1024 * 1024
"""How many bytes of one asset and of one script are read; of an asset that is no text, as many as of a script."""

_COMPRESSED: Final = (b"XALZ", b"XALS")


class _Text(NamedTuple):
    """Hold the lines of an entry, and what of it can't be seen; empty for nothing.

    :param whole: whether these are its strings as they stand in it, and no runs of characters.
    """

    kind: str
    lines: Iterable[str]
    unseen: str = ""
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
    """Return what can be read as text, by name: scripts, snapshots, assemblies, assets.

    A snapshot is in a package once for each architecture: of the later ones only what the first didn't have is kept.

    :param over: tells whether the time is over; what isn't read by then is a gap.
    """
    reader = _Reader(archive, notes, over, bounds)
    found = []
    for entry in sorted(archive.entries, key=lambda entry: entry.name):
        kind = kind_of(entry.name)
        if kind is not None:
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
            if text.unseen:
                self._notes.gap(part, name, text.unseen)
            if self._budget.spent:
                self._notes.gap(
                    part, name, "more text in this app than is read of one, or the time was over"
                )
            if text.whole:
                self._notes.code(name, Depth.STRINGS)
        self._notes.seen(part, lines is not None, 1, unit)
        return TextPart(name, form, tuple(lines)) if lines else None

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
    """Read a script of React Native: bytecode by its table, or text."""
    if not hermes.is_hermes(data):
        return _web(data, budget, bounds, "react-native")
    try:
        strings = hermes.strings(data)
        first = next(strings, "")
    except hermes.HermesError as error:
        unseen = f"{error}: only runs of printable characters were read, which run into each other"
        return _Text("hermes", ascii_runs(data, budget), unseen)
    every = chain([first], strings)
    found = chain.from_iterable(pieces(line) for one in every for line in lines_of(one))
    return _Text("hermes", found, whole=True)


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
    ends = [0, *(at for one in sorted(hidden, key=_start) for at in (one.start, one.stop))]
    plain = zip(ends[::2], [*ends[1::2], len(data)], strict=True)
    runs = chain.from_iterable(ascii_runs(data, budget, start, end) for start, end in plain)
    return _Text("flutter", runs, "the store encrypted it")


def _start(where: range) -> int:
    return where.start


def _unity(data: bytes, budget: Budget, _: Bounds) -> _Text:
    """Read the metadata of IL2CPP: its strings lie in it, unless it's encrypted."""
    plain = data.startswith(b"\xaf\x1b\xb1\xfa")
    return _Text(
        "unity", ascii_runs(data, budget), "" if plain else "metadata of Unity that is encrypted"
    )


def _dotnet(data: bytes, budget: Budget, _: Bounds) -> _Text:
    """Read assemblies of .NET: strings of the code are UTF-16, names are ASCII."""
    packed = any(mark in data for mark in _COMPRESSED)
    return _Text(
        "xamarin",
        chain(ascii_runs(data, budget), wide_runs(data, budget)),
        "compressed assemblies of .NET, which nobody reads here" if packed else "",
    )


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
    Kind.DOTNET: _dotnet,
    Kind.CORDOVA: _web,
    Kind.ASSET: _asset,
}
