"""Read native libraries and executables: ELF of Android, Mach-O of iOS.

The headers are read here with bounds of our own.  A library for it was looked at: it wants a file as a list of numbers, eight bytes
for each one, and is native code itself, which strangers' files shouldn't reach.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from watchword.adapters.app_package.native_elf import ElfError, is_elf, read_elf
from watchword.scan.app import Native, Part
from watchword.scan.archive.interface import Archive, MissingEntryError
from watchword.scan.archive.pace import TEXT
from watchword.scan.ios.macho import MachOError, Slice, is_macho, slices, symbols
from watchword.scan.ios.places import may_be_image
from watchword.scan.notes import Notes
from watchword.scan.texts.places import Kind, kind_of
from watchword.scan.texts.runs import Budget, ascii_batches

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
