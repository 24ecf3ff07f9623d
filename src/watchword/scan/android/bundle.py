"""Read XML and resource tables of an App Bundle: protocol buffers of ``Resources.proto`` (aapt2 in Android's sources)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.scan.android.elements import (
    MOST_BYTES,
    AndroidFormatError,
    Element,
    Growth,
    Kind,
    Value,
    attribute_key,
)
from watchword.scan.android.protobuf import Message
from watchword.scan.android.table import TEXT_TYPES

MOST_ENTRIES: Final = 300_000
"""How many packages, types and entries of one table are read; those of the largest apps have some ten thousand."""

_ITEM_REFERENCE: Final = 1
_ITEM_TEXTS: Final = frozenset({2, 3, 4, 5})
"""String, raw string, styled string and file: each holds its text or path in field 1."""
_ITEM_PRIMITIVE: Final = 7
_CONFIG_VERSION: Final = 24


def read_bundle_xml(data: bytes) -> Element:
    """Return the outermost element of an ``XmlNode``.

    :raises AndroidFormatError: if it is damaged, too large, too deep, or has no element.
    """
    if len(data) > MOST_BYTES:
        raise AndroidFormatError(f"XML of {len(data)} bytes; at most {MOST_BYTES} are read")
    top = Message(data).message(1)
    if top is None:
        raise AndroidFormatError("XML without an element")
    growth = Growth()
    root = growth.element("", 0)
    waiting: list[tuple[Message, Element, int]] = [(top, root, 0)]
    while waiting:
        message, element, depth = waiting.pop()
        for node in _fill(message, element, growth):
            inner = node.message(1)
            if inner is None:
                growth.text(element, node.string(2))
                continue
            child = growth.element("", depth + 1)
            element.children.append(child)
            waiting.append((inner, child, depth + 1))
    return root


def _fill(message: Message, element: Element, growth: Growth) -> Iterator[Message]:
    """Read an element's name and attributes, and yield its nodes."""
    for number, value in message.fields():
        if not isinstance(value, Message):
            continue
        if number == 3:
            element.name = value.text()
        elif number == 4:
            growth.attributes(1)
            _attribute(value, element)
        elif number == 5:
            yield value


def _attribute(message: Message, element: Element) -> None:
    resource = message.number(5) & 0xFFFFFFFF
    key = attribute_key(resource, message.string(1), message.string(2))
    if key is None or key in element.attributes:
        return
    item = message.message(6)
    value = None if item is None else _item(item)
    element.attributes[key] = value or Value(Kind.STRING, message.string(3))


def _item(item: Message) -> Value | None:
    """Return the value of an ``Item``; None if it has none."""
    found: Value | None = None
    for number, value in item.fields():
        if not isinstance(value, Message):
            continue
        if number == _ITEM_REFERENCE:
            # The other type of reference asks the theme.
            plain = value.number(1) == 0
            identity = value.number(2) & 0xFFFFFFFF
            name = value.string(3)
            found = Value(Kind.REFERENCE, name, identity) if plain else Value(Kind.OTHER)
            if plain and not identity and not name:
                found = Value(Kind.NULL)
        elif number in _ITEM_TEXTS:
            found = Value(Kind.STRING, value.string(1))
        elif number == _ITEM_PRIMITIVE:
            found = _primitive(value)
        else:
            found = Value(Kind.OTHER)
    return found


def _primitive(message: Message) -> Value:
    found = Value(Kind.NULL)
    for number, value in message.fields():
        if isinstance(value, Message):
            found = Value(Kind.NULL if number in (1, 2) else Kind.OTHER)
        elif number == 8:
            found = Value(Kind.BOOLEAN, number=int(value != 0))
        else:
            low = value & 0xFFFFFFFF
            found = Value(Kind.INTEGER, number=low - (1 << 32) if low >= 1 << 31 else low)
    return found


@dataclass(frozen=True, slots=True)
class _Entries:
    """Hold the entries of one type, unread."""

    kind: str
    entries: Sequence[Message]


class BundleTable:
    """Give the resources of a module's ``resources.pb``; what is damaged in it is left out and told."""

    def __init__(self, data: bytes, most: int = MOST_ENTRIES) -> None:
        """Find its types; entries are read when they're asked for.

        :param most: packages, types and entries that are read.
        """
        self._damage: dict[str, None] = {}
        self._types: dict[tuple[int, int], _Entries] = {}
        self._indexes: dict[tuple[int, int], dict[int, Message]] = {}
        self._names: dict[str, dict[str, Message]] = {}
        self._most = self._left = most
        try:
            for package in self._counted(Message(data).messages(2)):
                identity = package.message(1)
                for kind in self._counted(package.messages(3)):
                    self._type(0 if identity is None else identity.number(1), kind)
        except AndroidFormatError as error:
            self._damage[str(error)] = None

    @property
    def damage(self) -> Sequence[str]:
        """Return what of it couldn't be read."""
        return tuple(self._damage)

    def value(self, resource: int, name: str) -> Value | None:
        """Return the value of a resource, by its id, or by its name where that is 0; None if it isn't here or is a list."""
        try:
            entry = self._by_id(resource) if resource else self._by_name(name)
            values = [] if entry is None else self._values(entry)
        except AndroidFormatError as error:
            self._damage[str(error)] = None
            return None
        return values[0] if len(values) == 1 else None

    def texts(self) -> Iterator[tuple[str, Value]]:
        """Yield names and values of what holds text."""
        for found in self._types.values():
            if found.kind not in TEXT_TYPES:
                continue
            for entry in found.entries:
                try:
                    name, values = entry.string(2), self._values(entry)
                except AndroidFormatError as error:
                    self._damage[str(error)] = None
                    continue
                for value in values:
                    yield name, value

    def _type(self, package: int, message: Message) -> None:
        identity = message.message(1)
        number = 0 if identity is None else identity.number(1)
        found = _Entries(message.string(2), tuple(self._counted(message.messages(3))))
        self._types.setdefault((package, number), found)

    def _counted(self, messages: Iterator[Message]) -> Iterator[Message]:
        for message in messages:
            self._left -= 1
            if self._left < 0:
                raise AndroidFormatError(f"more than {self._most} resources")
            yield message

    def _by_id(self, resource: int) -> Message | None:
        key = resource >> 24, resource >> 16 & 0xFF
        index = self._indexes.get(key)
        if index is None:
            found = self._types.get(key)
            index = self._indexes[key] = {}
            for entry in found.entries if found is not None else ():
                identity = entry.message(1)
                index.setdefault(0 if identity is None else identity.number(1), entry)
        return index.get(resource & 0xFFFF)

    def _by_name(self, name: str) -> Message | None:
        kind, _, wanted = name.rpartition(":")[2].partition("/")
        # Each name is looked for in an index: a document may ask for a hundred thousand.
        index = self._names.get(kind)
        if index is None:
            index = self._names[kind] = {}
            for found in self._types.values():
                if found.kind == kind:
                    for entry in found.entries:
                        index.setdefault(entry.string(2), entry)
        return index.get(wanted)

    def _values(self, entry: Message) -> list[Value]:
        """Return the values of that configuration which a phone takes: one, or those of a list."""
        best: tuple[tuple[bool, int], Message] | None = None
        for each in entry.messages(6):
            rank = _rank(each.message(1))
            if best is None or rank < best[0]:
                best = rank, each
        value = None if best is None else best[1].message(2)
        if value is None:
            return []
        item = value.message(4)
        items = [item] if item is not None else list(_listed(value.message(5)))
        return [found for each in items if (found := _item(each)) is not None]


def _listed(compound: Message | None) -> Iterator[Message]:
    """Yield the items of an array or of plurals."""
    for number, item in ((4, 3), (5, 4)):
        found = None if compound is None else compound.message(number)
        for each in found.messages(1) if found is not None else ():
            inner = each.message(item)
            if inner is not None:
                yield inner


def _rank(config: Message | None) -> tuple[bool, int]:
    """Return what configurations are ordered by, as those of a resource table are."""
    qualified, version = False, 0
    for number, value in config.fields() if config is not None else ():
        if number == _CONFIG_VERSION and isinstance(value, int):
            version = value
        else:
            qualified = qualified or value != 0
    return qualified, -version
