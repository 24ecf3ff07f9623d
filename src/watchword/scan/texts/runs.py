"""Tell by its name what an entry holds that is worth reading as text, take printable runs out of binary data, and cut text into lines that patterns can be matched on."""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final

from watchword.scan.archive.interface import TEXT, Memory, inner_name


class Kind(StrEnum):
    """Name the form of an entry that is read as text; ``script`` and ``asset`` tell their own form by their bytes."""

    SCRIPT = "script"
    SNAPSHOT = "snapshot"
    UNITY = "unity"
    DOTNET = "dotnet"
    CORDOVA = "cordova"
    ASSET = "asset"


_SCRIPTS: Final = (".bundle", ".jsbundle", ".hbc")
_SNAPSHOT_NAMES: Final = frozenset(
    {"libapp.so", "kernel_blob.bin", "isolate_snapshot_data", "vm_snapshot_data"}
)
_METADATA: Final = "global-metadata.dat"
_ASSEMBLY: Final = (".dll", ".dll.lz4", ".exe")
_PACKED: Final = re.compile(r"assemblies\..*blob|lib_.+\.dll\.so|libassembl.*\.so")
_WEB: Final = re.compile(r"(?:^|/)(?:www|public)/")
_WEB_TEXT: Final = frozenset(
    {"js", "mjs", "cjs", "jsx", "ts", "tsx", "vue", "html", "htm", "json", "map", "txt", "xml"}
)
_TEXT: Final = _WEB_TEXT | {
    "properties",
    "pem",
    "key",
    "crt",
    "yaml",
    "yml",
    "toml",
    "ini",
    "conf",
    "config",
    "cfg",
    "env",
    "plist",
    "strings",
    "graphql",
    "sql",
    "csv",
    "md",
}
_SKIPPED: Final = re.compile(
    r"(?:^|/)(?:META-INF|BUNDLE-METADATA|_CodeSignature|SC_Info)/|^(?:[^/]+/)?res/(?!raw[-/]).*\.xml$|AndroidManifest\.xml$"
)


def kind_of(name: str) -> Kind | None:
    """Return what an entry is read as; None for what isn't read.

    Compiled XML of Android's ``res`` is left to the readers of manifest and resources, and so are signatures.
    """
    name = inner_name(name)
    last = name.rpartition("/")[2]
    ending = last.rpartition(".")[2].lower()
    found: Kind | None = None
    if last.endswith(_SCRIPTS):
        found = Kind.SCRIPT
    elif is_snapshot(name):
        found = Kind.SNAPSHOT
    elif last == _METADATA:
        found = Kind.UNITY
    elif _is_dotnet(last):
        found = Kind.DOTNET
    elif _SKIPPED.search(name) is None:
        if _WEB.search(name) is not None and ending in _WEB_TEXT:
            found = Kind.CORDOVA
        elif ending in _TEXT or last.startswith(".env"):
            found = Kind.ASSET
    return found


def is_snapshot(name: str) -> bool:
    """Tell whether an entry is what Flutter compiles an app's code into."""
    return name.rpartition("/")[2] in _SNAPSHOT_NAMES or name.endswith(
        "/Frameworks/App.framework/App"
    )


def _is_dotnet(last: str) -> bool:
    """Tell whether an entry holds assemblies of .NET: a loose one, a store, or a library of Android around either."""
    return last.lower().endswith(_ASSEMBLY) or _PACKED.fullmatch(last) is not None


LONGEST_LINE: Final = 4096
"""How long a line may be, in characters; minified scripts are one line of megabytes."""

MOST_RUNS: Final = 6_000_000
"""How many printable runs of an app are looked at: some seconds' worth of bytes that were made to hold many."""

WINDOW: Final = 1024 * 1024
"""How many bytes are searched before the time is looked at again."""

LINE: Final = 256
"""Bytes of memory that are reckoned for a line beside its characters: itself, its places in lists, and what rules make of it."""

_OVERLAP: Final = 256
# What is too short is skipped by the search itself: in machine code there are millions of such runs.
# Four first, which both forms begin with: a choice at every byte would take twice the time.
_RUN: Final = re.compile(
    rb"[\x20-\x7e]{4}(?:[\x20-\x7e]{2,}|(?<![^\0][\x20-\x7e]{4})[\x20-\x7e]?(?![^\0]))"
)
# The first pair by itself lets the search skip what can't be one, four times as fast as a group would be.
_WIDE_RUN: Final = re.compile(rb"[\x20-\x7e]\x00(?:[\x20-\x7e]\x00){5,}")
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_LINE_END: Final = re.compile(r"\r\n|\n|\r")


class Budget:
    """Hold how much may still be kept and looked at, so that no input fills the memory or takes for ever.

    :param spent: whether something was left out.
    """

    def __init__(
        self,
        strings: int,
        characters: int,
        runs: int = MOST_RUNS,
        over: Callable[[], bool] = lambda: False,
        memory: Memory | None = None,
    ) -> None:
        """Start with all of it.

        :param runs: how many printable runs may be looked at, those too that were met before.
        :param over: tells whether the time for the whole package is over.
        :param memory: what all readers of the package may keep together.
        """
        self._over = over
        self._memory = Memory() if memory is None else memory
        self._strings = strings
        self._characters = characters
        self._runs = runs
        self.spent = False

    def takes(self, text: str) -> bool:
        """Tell whether a string still fits, and count it; once one didn't, none does."""
        # Python keeps a text with one character beyond ASCII in up to four bytes each.
        size = len(text) if text.isascii() else 4 * len(text)
        fits = self._strings >= 1 and self._characters >= size
        if self.spent or not fits or not self._memory.keep(LINE + size):
            self.spent = True
            return False
        self._strings -= 1
        self._characters -= size
        return True

    def takes_of(self, texts: list[str]) -> int:
        """Return how many of these strings of ASCII still fit, from the first one on, and count them."""
        if self.spent:
            return 0
        size = sum(map(len, texts))
        fits = self._strings >= len(texts) and self._characters >= size
        if fits and self._memory.keep(TEXT * len(texts) + size):
            self._strings -= len(texts)
            self._characters -= size
            return len(texts)
        return next((at for at, text in enumerate(texts) if not self.takes(text)), len(texts))

    def goes_on(self) -> bool:
        """Tell whether more may be looked at: there is time, and something is left."""
        self.spent = self.spent or self._over()
        return not self.spent

    def looks(self, count: int) -> int:
        """Return how many of so many more runs may be looked at, and count them."""
        allowed = 0 if self.spent else min(count, self._runs)
        self._runs -= allowed
        self.spent = self.spent or allowed < count
        return allowed


def ascii_runs(
    data: bytes, budget: Budget, start: int = 0, end: int | None = None
) -> Iterator[str]:
    """Yield runs of printable ASCII characters, in pieces of :data:`LONGEST_LINE`, until the budget is spent."""
    for batch in ascii_batches(data, budget, start, end):
        yield from batch


def ascii_batches(
    data: bytes, budget: Budget, start: int = 0, end: int | None = None
) -> Iterator[list[str]]:
    """Yield the same runs, those of a window at a time."""
    for found in _found(_RUN, _PRINTABLE, data, budget, (start, _end(data, end))):
        # There are hundreds of thousands: decoded at once, they take a third of the time.
        runs = b"\n".join(found).decode("ascii").split("\n")
        if len(max(found, key=len)) > LONGEST_LINE:
            runs = [piece for run in runs for piece in pieces(run)]
        yield runs


def _end(data: bytes, end: int | None) -> int:
    return len(data) if end is None else min(end, len(data))


def _found(
    pattern: re.Pattern[bytes],
    inside: bytes,
    data: bytes,
    budget: Budget,
    bounds: tuple[int, int],
) -> Iterator[list[bytes]]:
    """Yield what a pattern finds, window by window where there is something, as long as the budget goes on.

    :param inside: bytes that a run may hold: a window ends behind another byte, where there is one near its end.
    """
    at, end = bounds
    while at < end and budget.goes_on():
        stop = min(at + WINDOW, end)
        after = stop
        if stop < end:
            tail = data[stop - LONGEST_LINE : stop]
            cut = len(tail.rstrip(inside))
            stop = after = stop - LONGEST_LINE + cut if cut else stop
            # A run without end is cut as long lines are: pieces overlap.
            after -= 0 if cut else 2 * _OVERLAP
        found = pattern.findall(data, at, stop)
        del found[budget.looks(len(found)) :]
        if found:
            yield found
        at = after


def wide_runs(data: bytes, budget: Budget, end: int | None = None) -> Iterator[str]:
    """Yield runs of printable ASCII characters in UTF-16, as .NET keeps them, until the budget is spent."""
    for found in _found(_WIDE_RUN, _PRINTABLE + b"\0", data, budget, (0, _end(data, end))):
        for run in found:
            yield from pieces(run[::2].decode("ascii"))


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines of a text, long ones in pieces.  Up to the first long one, they're numbered as in the file."""
    at = 0
    for found in _LINE_END.finditer(text):
        yield from pieces(text[at : found.start()])
        at = found.end()
    yield from pieces(text[at:])


def pieces(line: str) -> Iterator[str]:
    """Yield a line in pieces of at most :data:`LONGEST_LINE` characters.

    It's cut after a separator where there is one in the last quarter.  Where there is none, pieces overlap, so that
    nothing of up to 256 characters is seen only in halves.
    """
    at = 0
    while len(line) - at > LONGEST_LINE:
        end = at + LONGEST_LINE
        cut = max(line.rfind(mark, end - LONGEST_LINE // 4, end) for mark in ";,} ")
        if cut >= 0:
            yield line[at : cut + 1]
            at = cut + 1
        else:
            yield line[at:end]
            at = end - _OVERLAP
    yield line[at:]


def text_lines(data: bytes, most: int, window: int = WINDOW) -> Iterator[str] | None:
    """Yield the lines of a text as :func:`lines_of` does, decoded a window at a time; None for what looks binary.

    UTF-8, or UTF-16 where its mark stands in front.  A text of 48 MiB with one character beyond the others would be four times as
    much in memory as a whole.

    :param most: bytes that are read.
    :param window: bytes that are decoded at once.
    """
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return _decoded_lines(data, min(most, len(data)), "utf-16", window)
    if b"\0" in data[:1024]:
        return None
    return _decoded_lines(data, min(most, len(data)), "utf-8-sig", window)


def _decoded_lines(data: bytes, end: int, encoding: str, window: int) -> Iterator[str]:
    decoder = getincrementaldecoder(encoding)("replace")
    rest = ""
    for at in range(0, max(end, 1), window):
        last = at + window >= end
        text = rest + decoder.decode(data[at : min(at + window, end)], last)
        start = 0
        # The other half of a line's end may come with the next window.
        open_end = not last and text.endswith("\r")
        for found in _LINE_END.finditer(text, 0, len(text) - open_end):
            yield from pieces(text[start : found.start()])
            start = found.end()
        rest = text[start:]
        if last:
            yield from pieces(rest)
            return
        if not open_end and len(rest) > LONGEST_LINE:
            *ready, rest = pieces(rest)
            yield from ready
