"""Read all DEX files of an app as one, and answer the questions of the protocol ``Code``."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

from watchword.scan.app import Code, Method, Part, StaticField, Use
from watchword.scan.dex.bounds import Budget, Damaged, Trouble
from watchword.scan.dex.classes import ClassDef, read_definitions, read_members
from watchword.scan.dex.code import code_item, instructions, uses
from watchword.scan.dex.constants import Call, Constant, Put, follow
from watchword.scan.dex.header import Header, read_headers
from watchword.scan.dex.opcodes import CONST_STRING, CONST_STRING_JUMBO, MNEMONICS
from watchword.scan.dex.tables import Tables
from watchword.scan.notes import Notes

_USE = 48
"""Bytes of memory that are reckoned for each string and method that a method uses."""

_MOST_PLACES = 256
"""Classes of which it is remembered where the code of their methods lies."""


def read_code(dexes: Sequence[tuple[str, bytes]], notes: Notes) -> Code:
    """Read DEX files, in the order in which the system loads them.

    Every class, member and instruction is read here, so that the notes are complete when this returns.

    :param dexes: name of the entry and its bytes.
    :param notes: what couldn't be read is told there, and how many classes were.
    """
    taken: set[str] = set()
    parts: list[_Part] = []
    for where, data in dexes:
        trouble = Trouble(where)
        budget = Budget(len(data), notes.memory)
        for header in read_headers(data, trouble):
            part = _Part(data, header, budget, trouble)
            part.read(taken, budget, trouble)
            notes.seen(Part.DEX, part.whole, header.classes.count, "classes")
            parts.append(part)
        trouble.tell(notes)
    return DexCode(parts)


class _Part:
    """Hold one DEX file: its tables, its classes, and who uses what by the indices of its tables."""

    def __init__(self, data: bytes, header: Header, budget: Budget, trouble: Trouble) -> None:
        self.tables = Tables(data, header, budget, trouble)
        self.classes: dict[str, ClassDef] = {}
        self.callers: defaultdict[int, list[int]] = defaultdict(list)
        self.loaders: defaultdict[int, list[int]] = defaultdict(list)
        self.whole = 0
        self._header = header

    def read(self, taken: set[str], budget: Budget, trouble: Trouble) -> None:
        """Read all classes but those that are defined before: the system never loads a second one of a name."""
        for found in read_definitions(self.tables, self._header, budget, trouble):
            if found.name in taken:
                trouble("a class that is defined twice: the second one isn't read")
                continue
            taken.add(found.name)
            self.classes[found.name] = found
            read_members(found, self.tables, budget, trouble)
            for place, (method, code_at) in enumerate(found.methods):
                if code_at and not self._walk(method, code_at, budget):
                    # Later questions leave it alone: only so is their work bounded by what was read here.
                    found.methods[place] = (method, 0)
                    found.whole = False
                    trouble("a method whose code couldn't be read")
            self.whole += found.whole

    def _walk(self, method: int, code_at: int, budget: Budget) -> bool:
        """Note what a method uses; False where its code can't be read."""
        data = self.tables.data
        try:
            used = uses(data, code_item(data, code_at), budget)
        except Damaged:
            return False
        callers, loaders = self.callers, self.loaders
        different = set(used)
        if not budget.keep(_USE * len(different)):
            return False
        for each in different:
            opcode = each[0]
            index = each[2] | each[3] << 8
            if opcode == CONST_STRING:
                loaders[index].append(method)
            elif opcode == CONST_STRING_JUMBO:
                loaders[index | each[4] << 16 | each[5] << 24].append(method)
            else:
                callers[index].append(method)
        return True

    @cached_property
    def called(self) -> dict[str, list[int]]:
        """Return the methods that are called, by their class."""
        found: dict[str, list[int]] = {}
        for index in sorted(self.callers):
            owner = self.tables.owner(index)
            if owner >= 0:
                found.setdefault(self.tables.type(owner), []).append(index)
        return found

    @cached_property
    def string_index(self) -> dict[str, list[int]]:
        """Return the indices of the strings that code loads."""
        found: dict[str, list[int]] = {}
        for index in sorted(self.loaders):
            found.setdefault(self.tables.string(index), []).append(index)
        return found


class DexCode:
    """Answer questions about the bytecode of an app; see ``Code`` for each."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        """Take what was read, of each DEX file in order."""
        self._parts = tuple(parts)
        self._home = {name: part for part in reversed(self._parts) for name in part.classes}
        self._places: dict[str, dict[Method, int]] = {}
        self._from_initializers: dict[str, dict[str, Constant]] = {}

    @cached_property
    def classes(self) -> Sequence[str]:
        """Return the classes that are defined, sorted."""
        return tuple(sorted(self._home))

    @cached_property
    def strings(self) -> Sequence[str]:
        """Return all strings, each once, sorted."""
        return tuple(sorted(set().union(*(part.tables.strings for part in self._parts))))

    @cached_property
    def static_fields(self) -> Sequence[StaticField]:
        """Return the static fields whose initial value is a string."""
        return tuple(
            StaticField(*part.tables.field(index), value)
            for part in self._parts
            for found in part.classes.values()
            for index, value in found.initial.items()
            if isinstance(value, str)
        )

    @cached_property
    def _initial(self) -> dict[tuple[str, str], str | int]:
        return {
            part.tables.field(index): value
            for part in self._parts
            for found in part.classes.values()
            for index, value in found.initial.items()
        }

    @cached_property
    def _implementers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.classes:
            defined = self._home[name].classes[name]
            for above in dict.fromkeys((defined.superclass, *defined.interfaces)):
                if above is not None:
                    found.setdefault(above, []).append(name)
        return found

    @cached_property
    def _named(self) -> frozenset[str]:
        """Return all classes that any DEX file names, also as the element of an array."""
        return frozenset(
            name[name.rfind("[") + 2 : -1].replace("/", ".") if name.startswith("[") else name
            for part in self._parts
            for name in part.tables.types
        )

    def _defined(self, cls: str) -> ClassDef | None:
        part = self._home.get(cls)
        return part.classes[cls] if part else None

    def superclass(self, cls: str) -> str | None:
        """Return the superclass of a defined class."""
        found = self._defined(cls)
        return found.superclass if found else None

    def interfaces(self, cls: str) -> Sequence[str]:
        """Return the interfaces that a defined class implements itself."""
        found = self._defined(cls)
        return found.interfaces if found else ()

    def implementers(self, interface: str) -> Sequence[str]:
        """Return the defined classes directly below an interface or a class, sorted."""
        return tuple(self._implementers.get(interface, ()))

    def methods(self, cls: str) -> Sequence[Method]:
        """Return the methods that a class defines, in the order of the file."""
        part = self._home.get(cls)
        if part is None:
            return ()
        return tuple(part.tables.method(index) for index, _ in part.classes[cls].methods)

    def without_code(self, cls: str) -> Sequence[Method]:
        """Return the methods of a class that have no code here."""
        part = self._home.get(cls)
        if part is None:
            return ()
        return tuple(part.tables.method(index) for index, at in part.classes[cls].methods if not at)

    def refers_to(self, cls: str) -> bool:
        """Tell whether the code names a class."""
        return cls in self._named

    def calls(self, cls: str, name: str | None = None) -> Sequence[Use]:
        """Return who calls a method; each caller once for each method that it calls."""
        found: dict[Use, None] = {}
        for part in self._parts:
            for index in part.called.get(cls, ()):
                if name is not None and part.tables.method_name(index) != name:
                    continue
                what = str(part.tables.method(index))
                for caller in part.callers[index]:
                    found[Use(what, part.tables.method(caller))] = None
        return tuple(found)

    def users(self, string: str) -> Sequence[Method]:
        """Return the methods that load this string, each once."""
        found: dict[Method, None] = {}
        for part in self._parts:
            for index in part.string_index.get(string, ()):
                for loader in part.loaders[index]:
                    found[part.tables.method(loader)] = None
        return tuple(found)

    def _code(self, by: Method) -> Iterator[tuple[_Part, int]]:
        """Yield where the code of a method lies, nothing for one that isn't defined or has none."""
        part = self._home.get(by.cls)
        if part is None:
            return
        if by.cls not in self._places:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            methods = part.classes[by.cls].methods
            self._places[by.cls] = {part.tables.method(index): at for index, at in methods}
        code_at = self._places[by.cls].get(by, 0)
        if code_at:
            yield part, code_at

    def _uses(self, by: Method) -> Iterator[tuple[_Part, bytes]]:
        for part, code_at in self._code(by):
            data = part.tables.data
            try:
                found = uses(data, code_item(data, code_at), Budget(len(data)))
            except Damaged:
                return
            for each in found:
                yield part, each

    def calls_of(self, by: Method) -> Sequence[Method]:
        """Return what a method calls, in the order of its code."""
        return tuple(
            part.tables.method(each[2] | each[3] << 8)
            for part, each in self._uses(by)
            if each[0] not in (CONST_STRING, CONST_STRING_JUMBO)
        )

    def strings_of(self, by: Method) -> Sequence[str]:
        """Return the strings that a method loads, in the order of its code."""
        return tuple(
            part.tables.string(int.from_bytes(each[2:], "little"))
            for part, each in self._uses(by)
            if each[0] in (CONST_STRING, CONST_STRING_JUMBO)
        )

    def arguments(self, by: Method) -> Sequence[tuple[Method, tuple[Constant, ...]]]:
        """Return the calls of a method with their constant arguments, one for each parameter; the receiver is none of them.

        An array of bytes stands as text, each byte the character of that number.
        """
        found: list[tuple[Method, tuple[Constant, ...]]] = []
        try:
            for part, code_at in self._code(by):
                found.extend(
                    (part.tables.method(step.method), step.arguments)
                    for step in follow(part.tables, code_at, self._static)
                    if isinstance(step, Call)
                )
        except Damaged:
            pass
        return tuple(found)

    def body(self, method: Method) -> Sequence[str]:
        """Return the mnemonics of a method's code, as far as it can be read."""
        found: list[str] = []
        try:
            for part, code_at in self._code(method):
                data = part.tables.data
                for _, opcode in instructions(data, code_item(data, code_at)):
                    found.append(MNEMONICS[opcode])
        except Damaged:
            pass
        return tuple(found)

    def _static(self, cls: str, name: str) -> Constant:
        """Return what a static field of the app starts with: stated, or written once by its class's initializer."""
        stated = self._initial.get((cls, name))
        return stated if stated is not None else self._initialized(cls).get(name)

    def _initialized(self, cls: str) -> dict[str, Constant]:
        """Return the constants that the initializer of a class writes to fields of that class."""
        if cls not in self._from_initializers:
            found: dict[str, Constant] = {}
            try:
                for part, code_at in self._code(Method(cls, "<clinit>", "()V")):
                    # Other classes' initializers aren't followed from here: they could go round in a circle.
                    for step in follow(part.tables, code_at, self._stated):
                        owner, name = (
                            part.tables.field(step.field) if isinstance(step, Put) else ("", "")
                        )
                        if isinstance(step, Put) and owner == cls:
                            found[name] = None if name in found else step.value
            except Damaged:
                pass
            self._from_initializers[cls] = found
        return self._from_initializers[cls]

    def _stated(self, cls: str, name: str) -> Constant:
        return self._initial.get((cls, name))
