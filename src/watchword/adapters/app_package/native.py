"""Read native libraries and executables: ELF of Android, Mach-O of iOS.

Source: System V ABI, chapters 4 and 5, and the GNU hash section.  What counts at run time is read: segments and the dynamic table;
sections only tell whether names were left, since packers remove or forge them.

The headers are read here with bounds of our own.  A library for it was looked at: it wants a file as a list of numbers, eight bytes
for each one, and is native code itself, which strangers' files shouldn't reach.
"""

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from watchword.reasons import WatchwordError
from watchword.scan.app import Native, Part
from watchword.scan.archive.interface import TEXT, Archive, MissingEntryError
from watchword.scan.ios.macho import MachOError, Slice, is_macho, slices, symbols
from watchword.scan.ios.reader import may_be_image
from watchword.scan.notes import Notes
from watchword.scan.texts.runs import Budget, Kind, ascii_batches, kind_of

MOST_SYMBOLS: Final = 200_000
_MOST_TABLE: Final = 4096
_MOST_NAME: Final = 1024
_MOST_NAMES: Final = 24 * 1024 * 1024
"""Characters of all names of one file: each may begin a byte further in one and the same text."""
_MOST_BUCKETS: Final = 1_000_000
_MOST_CHAIN: Final = 10_000

_MACHINES: Final = {3: "x86", 8: "mips", 40: "arm", 62: "x86_64", 183: "arm64", 243: "riscv64"}
_LOAD, _DYNAMIC, _STACK, _RELRO = 1, 2, 0x6474E551, 0x6474E552
_SYMTAB_SECTION: Final = 2
_HASH, _STRTAB, _SYMTAB, _STRSZ, _BIND_NOW, _FLAGS = 4, 5, 6, 10, 24, 30
_GNU_HASH, _FLAGS_1 = 0x6FFFFEF5, 0x6FFFFFFB


class ElfError(WatchwordError):
    """Report that a file is no ELF file, or one that is damaged."""


@dataclass(frozen=True, slots=True)
class Elf:
    """Hold what an ELF file says.

    :param pie: whether it can be loaded anywhere, as a library always can.
    :param relro: ``full``, ``partial`` or ``none``.
    :param executable_stack: None where it says nothing.
    :param cut: whether it has more symbols than were read.
    """

    architecture: str
    pie: bool
    relro: str
    executable_stack: bool | None
    stripped: bool
    symbols: frozenset[str] = field(repr=False)
    cut: bool


@dataclass(frozen=True, slots=True)
class _Form:
    """Hold how numbers and tables of this file are written."""

    order: str
    wide: bool

    def numbers(self, form: str) -> struct.Struct:
        """Return a form with ``P`` for a number as wide as an address."""
        return struct.Struct(self.order + form.replace("P", "Q" if self.wide else "I"))


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    flags: int
    offset: int
    address: int
    size: int


def is_elf(head: bytes) -> bool:
    """Tell by its first bytes whether a file is ELF."""
    return head.startswith(b"\x7fELF")


def read_elf(data: bytes) -> Elf:
    """Return what an ELF file says.

    :raises ElfError: if it's damaged in what the loader of a phone would read.
    """
    if not is_elf(data[:4]):
        raise ElfError("not an ELF file")
    try:
        return _read(data)
    except (struct.error, OverflowError) as error:
        # Offsets of 64 bits may be larger than any that Python takes.
        raise ElfError("an ELF file that ends too early") from error


def _read(data: bytes) -> Elf:
    wide, order = data[4:5], data[5:6]
    if wide not in {b"\1", b"\2"} or order not in {b"\1", b"\2"}:
        raise ElfError("an ELF file of neither 32 nor 64 bits")
    form = _Form("<" if order == b"\1" else ">", wide == b"\2")
    kind, machine, _, _, segments_at, sections_at, _, _, length, count, extent, number, _ = (
        form.numbers("HHIPPPIHHHHHH").unpack_from(data, 16)
    )
    if not count:
        raise ElfError("an ELF file that has nothing to load")
    segments = _segments(data, form, segments_at, count, length)
    tags = _dynamic(data, form, segments)
    names, cut = _symbols(data, form, segments, tags)
    stack = next((one for one in segments if one.kind == _STACK), None)
    return Elf(
        architecture=_MACHINES.get(machine, f"machine-{machine}"),
        pie=kind == 3,
        relro=_relro(segments, tags),
        executable_stack=None if stack is None else bool(stack.flags & 1),
        stripped=not _has_names(data, form, sections_at, number, extent),
        symbols=names,
        cut=cut,
    )


def _segments(data: bytes, form: _Form, at: int, count: int, length: int) -> list[_Segment]:
    layout = form.numbers("IIQQQQQQ" if form.wide else "8I")
    if length < layout.size or count > _MOST_TABLE:
        raise ElfError("an ELF file whose table of segments is damaged")
    found = []
    for index in range(count):
        entry = layout.unpack_from(data, at + index * length)
        if form.wide:
            kind, flags, offset, address, _, size, _, _ = entry
        else:
            kind, offset, address, _, size, _, flags, _ = entry
        found.append(_Segment(kind, flags, offset, address, size))
    return found


def _dynamic(data: bytes, form: _Form, segments: list[_Segment]) -> dict[int, int]:
    """Return the dynamic table, the first value of each tag; empty for a file without one."""
    segment = next((one for one in segments if one.kind == _DYNAMIC), None)
    found: dict[int, int] = {}
    if segment is None:
        return found
    layout = form.numbers("PP")
    for index in range(min(segment.size // layout.size, _MOST_TABLE)):
        tag, value = layout.unpack_from(data, segment.offset + index * layout.size)
        if not tag:
            break
        found.setdefault(tag, value)
    return found


def _relro(segments: list[_Segment], tags: dict[int, int]) -> str:
    """Tell what is read-only after loading: nothing, some, or the table of imported functions too."""
    if not any(one.kind == _RELRO for one in segments):
        return "none"
    now = _BIND_NOW in tags or tags.get(_FLAGS, 0) & 8 or tags.get(_FLAGS_1, 0) & 1
    return "full" if now else "partial"


def _offset(segments: list[_Segment], address: int) -> int:
    """Return where in the file an address lies."""
    for one in segments:
        if one.kind == _LOAD and one.address <= address < one.address + one.size:
            return address - one.address + one.offset
    raise ElfError("an ELF file with a table at an address that isn't loaded")


def _symbols(
    data: bytes, form: _Form, segments: list[_Segment], tags: dict[int, int]
) -> tuple[frozenset[str], bool]:
    """Return the names that are imported and exported, and whether there were more than are read."""
    if _SYMTAB not in tags or _STRTAB not in tags:
        return frozenset(), False
    count = _count(data, form, segments, tags)
    layout = form.numbers("IBBHQQ" if form.wide else "IIIBBH")
    at = _offset(segments, tags[_SYMTAB])
    names_at = _offset(segments, tags[_STRTAB])
    table = data[names_at : names_at + tags.get(_STRSZ, 0)]
    read = min(count, MOST_SYMBOLS)
    if at + read * layout.size > len(data):
        raise ElfError("an ELF file whose symbols lie beyond its end")
    found = set()
    left = _MOST_NAMES
    for entry in layout.iter_unpack(data[at : at + read * layout.size]):
        name = entry[0]
        end = table.find(b"\0", name, name + _MOST_NAME)
        text = table[name : end if end >= 0 else name + _MOST_NAME].decode("ascii", "replace")
        left -= len(text)
        if left < 0:
            break
        found.add(text)
    found.discard("")
    return frozenset(found), read < count or left < 0


def _count(data: bytes, form: _Form, segments: list[_Segment], tags: dict[int, int]) -> int:
    """Return how many dynamic symbols there are: only the tables for looking them up say it."""
    if _HASH in tags:
        chain: int = form.numbers("II").unpack_from(data, _offset(segments, tags[_HASH]))[1]
        return chain
    if _GNU_HASH in tags:
        return _count_by_gnu(data, form, _offset(segments, tags[_GNU_HASH]))
    # Linkers put the names right behind the symbols.
    size = 24 if form.wide else 16
    return max(0, tags[_STRTAB] - tags[_SYMTAB]) // size


def _count_by_gnu(data: bytes, form: _Form, at: int) -> int:
    """Walk the last chain of a GNU hash table to its end: that is the last symbol."""
    buckets, first, bloom, _ = form.numbers("4I").unpack_from(data, at)
    heads_at = at + 16 + bloom * (8 if form.wide else 4)
    if buckets > _MOST_BUCKETS or heads_at + 4 * buckets > len(data):
        raise ElfError("an ELF file whose hash table is too large or lies beyond its end")
    last: int = max(form.numbers(f"{buckets}I").unpack_from(data, heads_at), default=0)
    if last < first:
        return int(first)
    chains_at = heads_at + 4 * buckets
    one = form.numbers("I")
    for after in range(last, last + _MOST_CHAIN):
        if one.unpack_from(data, chains_at + 4 * (after - first))[0] & 1:
            return after + 1
    raise ElfError("an ELF file whose hash table has a chain without end")


def _has_names(data: bytes, form: _Form, at: int, count: int, length: int) -> bool:
    """Tell whether a table of all names is left; damaged sections hold none, since no phone reads them."""
    kind = form.numbers("I")
    for index in range(min(count, _MOST_TABLE) if at else 0):
        start = at + index * length + 4
        if start + 4 > len(data):
            return False
        if kind.unpack_from(data, start)[0] == _SYMTAB_SECTION:
            return True
    return False


MOST_FILES: Final = 1000
"""How many libraries of an app are read."""

MOST_STRINGS: Final = 600_000
MOST_CHARACTERS: Final = 48 * 1024 * 1024
"""How many strings are kept of one app, and of how many characters; each is counted once for the whole app."""

_LIBRARY: Final = re.compile(r"\.so(?:\.\d+)*$")
_CANARY: Final = frozenset({"__stack_chk_fail", "___stack_chk_fail", "__stack_chk_guard"})


def read_natives(
    archive: Archive, notes: Notes, over: Callable[[], bool] = lambda: False
) -> tuple[Native, ...]:
    """Return the app's libraries and executables by name, one for each architecture that a file holds.

    Strings of what Flutter compiled, and of assemblies of .NET, are left to their readers: they're the app's code, not a library's.

    :param over: tells whether the time is over; what isn't read by then is a gap.
    """
    reader = _Reader(archive, notes, over)
    names = sorted(
        entry.name
        for entry in archive.entries
        if _LIBRARY.search(entry.name) is not None or may_be_image(entry.name)
    )
    for name in names[MOST_FILES:]:
        notes.gap(Part.NATIVE, name, f"more than {MOST_FILES} libraries")
        notes.seen(Part.NATIVE, 0, 1, "libraries")
    return tuple(native for name in names[:MOST_FILES] for native in reader.read(name))


class _Reader:
    """Read one file after another; strings that several hold are kept once."""

    def __init__(self, archive: Archive, notes: Notes, over: Callable[[], bool]) -> None:
        self._archive = archive
        self._notes = notes
        self._budget = Budget(MOST_STRINGS, MOST_CHARACTERS, over=over, memory=notes.memory)
        self._shared: dict[str, str] = {}

    def read(self, name: str) -> list[Native]:
        try:
            data = self._archive.read(name)
        except MissingEntryError as error:
            self._notes.gap(Part.NATIVE, name, error.why)
            self._notes.seen(Part.NATIVE, 0, 1, "libraries")
            return []
        if _LIBRARY.search(name) is None and not is_macho(data[:8]):
            return []  # A file without an ending in an app's folder, such as a licence.
        try:
            found = self._elf(name, data) if is_elf(data[:4]) else self._macho(name, data)
        except (ElfError, MachOError) as error:
            form = "elf" if is_elf(data[:4]) else "mach-o" if is_macho(data[:8]) else "unknown"
            why = "neither ELF nor Mach-O" if form == "unknown" else str(error)
            self._notes.gap(Part.NATIVE, name, why)
            self._notes.seen(Part.NATIVE, 0, 1, "libraries")
            strings = self._strings(name, data, [range(len(data))])
            return [Native(file=name, form=form, architecture="unknown", strings=strings)]
        whole = not any(native.encrypted for native in found)
        self._notes.seen(Part.NATIVE, whole, 1, "libraries")
        return found

    def _elf(self, name: str, data: bytes) -> list[Native]:
        elf = read_elf(data)
        if elf.cut:
            self._notes.gap(Part.NATIVE, name, "more symbols than are read of one library")
        return [
            Native(
                file=name,
                form="elf",
                architecture=elf.architecture,
                strings=self._strings(name, data, [range(len(data))]),
                symbols=self._symbols(name, elf.symbols),
                pie=elf.pie,
                canary=not _CANARY.isdisjoint(elf.symbols),
                relro=elf.relro,
                executable_stack=elf.executable_stack,
                stripped=elf.stripped,
            )
        ]

    def _macho(self, name: str, data: bytes) -> list[Native]:
        return [self._slice(name, data, image) for image in slices(data)]

    def _slice(self, name: str, data: bytes, image: Slice) -> Native:
        hidden = image.encrypted or range(0)
        if hidden:
            self._notes.gap(
                Part.NATIVE, name, f"the store encrypted its code ({image.architecture})"
            )
            plain = [range(image.start, hidden.start), range(hidden.stop, image.end)]
        else:
            plain = [range(image.start, image.end)]
        found = symbols(data, image)
        if found.cut:
            self._notes.gap(Part.NATIVE, name, "more symbols than are read of one library")
        return Native(
            file=name,
            form="mach-o",
            architecture=image.architecture,
            strings=self._strings(name, data, plain),
            symbols=self._symbols(name, found.names),
            pie=image.pie,
            canary=not _CANARY.isdisjoint(found.names),
            executable_stack=image.executable_stack,
            stripped=not found.local,
            encrypted=None if image.encrypted is None else bool(image.encrypted),
        )

    def _symbols(self, name: str, symbols: frozenset[str]) -> frozenset[str]:
        """Return a file's symbols; none, with a gap, where the scan has no memory for them."""
        if self._notes.memory.keep(TEXT * len(symbols) + sum(map(len, symbols))):
            return symbols
        self._notes.gap(Part.NATIVE, name, "more symbols in this app than are read")
        return frozenset()

    def _strings(self, name: str, data: bytes, where: Iterable[range]) -> tuple[str, ...]:
        """Return the printable runs in these ranges, each once, in the order of the file."""
        if kind_of(name) in {Kind.SNAPSHOT, Kind.DOTNET}:
            return ()
        found: dict[str, None] = {}
        shared = self._shared
        for one in where:
            for batch in ascii_batches(data, self._budget, one.start, one.stop):
                # Libraries for several processors hold the same strings: each is kept once.
                fresh = [run for run in dict.fromkeys(batch) if run not in shared]
                del fresh[self._budget.takes_of(fresh) :]
                shared.update(zip(fresh, fresh, strict=True))
                found.update((shared[run], None) for run in batch if run in shared)
        if self._budget.spent:
            self._notes.gap(
                Part.NATIVE, name, "more strings in this app than are read, or the time was over"
            )
        return tuple(found)
