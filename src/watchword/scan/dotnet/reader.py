"""Read the assemblies of .NET of a package: their classes, strings, constants, and what the app's own methods do."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, pairwise
from typing import Final

from watchword.scan.app import (
    Assembly,
    Depth,
    ManagedMethod,
    Method,
    Op,
    Part,
    StaticField,
    TextPart,
    Use,
)
from watchword.scan.archive.interface import SPLIT_END, Archive, MissingEntryError
from watchword.scan.archive.pace import TEXT
from watchword.scan.dotnet.code import Steps, answer_of, does_nothing
from watchword.scan.dotnet.metadata import DotnetError, Metadata, is_pe
from watchword.scan.dotnet.stores import assemblies_of, unpacked
from watchword.scan.libraries import is_own_assembly
from watchword.scan.notes import Notes
from watchword.scan.texts.places import Kind, kind_of
from watchword.scan.texts.runs import (
    WINDOW,
    Budget,
    ascii_runs,
    lines_of,
    text_lines,
    wide_runs,
)

MOST_LINES: Final = 1_000_000
MOST_CHARACTERS: Final = 48 * 1024 * 1024
"""How much text is kept of all assemblies of an app."""

MOST_BYTES: Final = 512 * 1024 * 1024
"""Bytes of all assemblies of an app, unpacked: those of a store may lie over one another."""

STEP: Final = 16
"""Bytes of memory that are reckoned for a step of a method: those that say the same are kept once."""

_MOST_BUILT_IN: Final = 8 * WINDOW
"""Bytes of a text that is built into an assembly."""

_CODE: Final = re.compile(r"(?i)\.(?:dll|exe|so|js|lua)(?:\.|$)")
"""Names of built-in files with code, packed ones too."""

_FEW: Final = 20
_MOSTLY: Final = 0.9
"""Beyond how many methods, and what share of all, code that only returns is none."""

_BACKING: Final = re.compile(r"<(\w+)>k__BackingField")
_NOWHERE: Final = Method("", "", "")


@dataclass(frozen=True, slots=True)
class Assemblies:
    """Hold what was read.

    :param texts: of the files that are built into assemblies, and what can be read of assemblies that are damaged.
    """

    assemblies: tuple[Assembly, ...]
    texts: tuple[TextPart, ...]


def read_assemblies(
    archive: Archive,
    notes: Notes,
    over: Callable[[], bool] = lambda: False,
    most: int = MOST_BYTES,
) -> Assemblies:
    """Return the assemblies of a package, by entry; one that lies there twice, for another processor, counts once.

    :param over: tells whether the time is over; what isn't read by then is a gap.
    :param most: bytes of all of them, unpacked.
    """
    reader = _Reader(archive, notes, over, most)
    for entry in sorted(archive.entries, key=lambda entry: entry.name):
        if kind_of(entry.name) is Kind.DOTNET:
            reader.read(entry.name)
    return Assemblies(tuple(reader.assemblies), tuple(reader.texts))


class _Reader:
    """Read one entry after another under one budget."""

    def __init__(self, archive: Archive, notes: Notes, over: Callable[[], bool], most: int) -> None:
        self.assemblies: list[Assembly] = []
        self.texts: list[TextPart] = []
        self._archive = archive
        self._notes = notes
        self._budget = Budget(MOST_LINES, MOST_CHARACTERS, over=over, memory=notes.memory)
        self._known: dict[bytes, Depth] = {}
        self._left = most

    def read(self, entry: str) -> None:
        """Read an entry; what it holds beside what was read is a gap."""
        notes = self._notes
        try:
            data = self._archive.read(entry)
        except MissingEntryError as error:
            notes.gap(Part.BUNDLE, entry, error.why)
            notes.seen(Part.BUNDLE, 0, 1, "assemblies")
            return
        depths: list[Depth] = []
        try:
            depths.extend(
                self._one(entry, each, alone=len(each) == len(data)) for each in assemblies_of(data)
            )
        except DotnetError as error:
            depths.append(self._unread(entry, data, str(error)))
        del data
        if self._budget.spent:
            why = "more text in this app's assemblies than is read, or the time was over"
            notes.gap(Part.BUNDLE, entry, why)
        if depths:
            notes.code(entry, min(depths, key=lambda depth: depth.rank))

    def _one(self, entry: str, packed: memoryview, *, alone: bool) -> Depth:
        """Read an assembly; one that can't be read leaves the others of its store."""
        self._left -= len(packed)
        try:
            data = self._image(packed)
            digest = sha256(data).digest()
            if digest in self._known:
                self._notes.seen(Part.BUNDLE, 1, 1, "assemblies")
                return self._known[digest]
            metadata = Metadata(data)
            file = entry if alone else f"{entry}{SPLIT_END}{metadata.assembly or 'module'}.dll"
            found, depth = self._assembly(entry, file, metadata)
        except DotnetError as error:
            return self._unread(entry, bytes(packed), str(error))
        self._known[digest] = depth
        self.assemblies.append(found)
        self._notes.seen(Part.BUNDLE, 1, 1, "assemblies")
        return depth

    def _image(self, packed: memoryview) -> bytes:
        if self._left < 0 or not self._budget.goes_on():
            raise DotnetError("more assemblies than are read, or the time was over")
        data = unpacked(packed)
        self._left -= len(data)
        return data

    def _unread(self, entry: str, data: bytes, why: str) -> Depth:
        """Note an assembly that isn't read, and keep the runs of characters in it."""
        self._notes.gap(Part.BUNDLE, entry, f"{why}: only runs of printable characters were read")
        self._notes.seen(Part.BUNDLE, 0, 1, "assemblies")
        runs = chain(ascii_runs(data, self._budget), wide_runs(data, self._budget))
        lines = tuple(self._kept(runs))
        if lines:
            self.texts.append(TextPart(entry, "xamarin", lines))
        return Depth.UNREAD

    def _assembly(self, entry: str, file: str, metadata: Metadata) -> tuple[Assembly, Depth]:
        own = is_own_assembly(metadata.assembly)
        names = metadata.types
        count = len(names) + len(metadata.methods) + len(metadata.fields)
        if not self._notes.memory.keep(sum(map(len, names)) + TEXT * count):
            raise DotnetError("more names in this app than are read")
        methods: list[ManagedMethod] = []
        whole = self._methods(metadata, methods) if own else False
        constants = [StaticField(*each) for each in metadata.constants()] if own else []
        constants += chain.from_iterable(named_in(each) for each in methods)
        strings = self._strings(metadata, methods)
        if own:
            # Strings of attributes lie in the heap of blobs, those of UTF-8 among initial values.
            places = [*metadata.region("#Blob"), *metadata.initial_values()]
            runs = (ascii_runs(metadata.data, self._budget, one.start, one.stop) for one in places)
            strings += [Use(run, _NOWHERE) for run in self._kept(chain.from_iterable(runs))]
            for name, data in metadata.resources():
                self._built_in(entry, f"{file}{SPLIT_END}{name}", data)
        lines = chain((use.what for use in strings), metadata.types)
        self.texts.append(
            TextPart(file, "xamarin", tuple(chain.from_iterable(map(lines_of, lines))))
        )
        found = Assembly(
            file=file,
            name=metadata.assembly,
            own=own,
            classes=tuple(metadata.types),
            implements=tuple(metadata.interfaces()),
            methods=tuple(methods),
            constants=tuple(dict.fromkeys(constants)),
            strings=tuple(strings),
        )
        return found, Depth.CALLS if whole else Depth.STRINGS

    def _methods(self, metadata: Metadata, found: list[ManagedMethod]) -> bool:
        """Read the code of methods; False where that of any wasn't there or couldn't be read, as after it was compiled ahead of time."""
        steps = Steps(metadata)
        read = idle = defined = 0
        for row in metadata.methods:
            if not row.has_code:
                continue
            defined += 1
            try:
                body = steps.body(row)
                taken = tuple(steps.of(body))
            except DotnetError:
                continue
            if not self._notes.memory.keep(STEP * len(taken) + TEXT):
                break
            read += 1
            idle += does_nothing(body)
            method = Method(row.cls, row.name, "")
            found.append(ManagedMethod(method, taken, answer_of(body), does_nothing(body)))
        # Code that was compiled ahead of time may be taken out: what is left of each method only returns.
        taken_out = idle > _FEW and idle > read * _MOSTLY
        self._notes.seen(Part.BUNDLE, 0 if taken_out else read, defined, "methods of .NET")
        return read == defined and not taken_out

    def _strings(self, metadata: Metadata, methods: Iterable[ManagedMethod]) -> list[Use]:
        loaded: dict[str, Method] = {}
        for each in methods:
            for step in each.steps:
                if step.op is Op.STRING:
                    loaded.setdefault(step.what, each.method)
        for text in metadata.user_strings():
            loaded.setdefault(text, _NOWHERE)
        kept = self._kept(text for text in loaded if text)
        return [Use(text, loaded[text]) for text in kept]

    def _built_in(self, entry: str, file: str, data: bytes) -> None:
        """Read a file that is built into an assembly: settings, pages, tables of texts; code in it is a gap."""
        if is_pe(data) or _CODE.search(file.rpartition(SPLIT_END)[2]):
            why = f"{file} may hold code, and isn't read as such"
            self._notes.gap(Part.BUNDLE, entry, why)
        found = text_lines(data, _MOST_BUILT_IN)
        if found is not None and len(data) > _MOST_BUILT_IN:
            why = f"of {file} the first {_MOST_BUILT_IN} bytes were read"
            self._notes.gap(Part.BUNDLE, entry, why)
        if found is None:
            found = chain(ascii_runs(data, self._budget), wide_runs(data, self._budget))
        lines = tuple(self._kept(found))
        if lines:
            self.texts.append(TextPart(file, "asset", lines))

    def _kept(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            if not self._budget.takes(line):
                return
            yield line


def named_in(method: ManagedMethod) -> Iterator[StaticField]:
    """Yield strings with the names that a method gives them: of a field, a property, or of an argument beside them."""
    cls = method.method.cls
    given: list[str] = []
    for step in method.steps:
        if step.op is Op.STRING:
            given.append(step.what)
        elif step.op is Op.STORE and given:
            name = step.what.rpartition(".")[2]
            kept = _BACKING.fullmatch(name)
            yield StaticField(cls, kept[1] if kept else name, given[-1])
            given.clear()
        elif step.op in {Op.CALL, Op.NEW} and given:
            yield from (StaticField(cls, name, value) for name, value in pairwise(given))
            member = step.what.rpartition(".")[2]
            if len(given) == 1 and member.startswith("set_"):
                yield StaticField(cls, member.removeprefix("set_"), given[0])
            given.clear()
