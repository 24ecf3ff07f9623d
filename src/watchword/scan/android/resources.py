"""Follow references over all resource tables of a package, and list its strings."""

from collections.abc import Sequence
from itertools import chain
from typing import Final

from watchword.scan.android.elements import Element, Kind, Value
from watchword.scan.android.table import Table
from watchword.scan.app import Part, Resource
from watchword.scan.notes import Notes

MOST_STEPS: Final = 16
"""How many references are followed one after the other; some lead back to themselves."""

MOST_ATTRIBUTE: Final = 1024
"""How many characters of an attribute are taken; names of classes, hosts and permissions are far shorter."""

MOST_STRINGS: Final = 300_000
MOST_CHARACTERS: Final = 32 * 1024 * 1024
"""How many strings are kept of one app, and of how many characters."""

MOST_TEXTS: Final = 1_000_000
"""How many texts are looked at for them, those that occur twice counted twice."""

_PAIR: Final = 320
"""Bytes of memory that are reckoned for a string with its name beside their characters."""

_MOST_KNOWN: Final = 100_000
_TRUE: Final = frozenset({"1", "true", "TRUE"})
_SYSTEM: Final = 0x01
"""The package of the system's own resources, which lie on the phone."""


class Resources:
    """Resolve values; what leads nowhere is a gap of the part that asked."""

    def __init__(self, tables: Sequence[Table], notes: Notes) -> None:
        """Take the tables, that of the base first."""
        self._tables = tables
        self._notes = notes
        self._known: dict[tuple[int, str], Value | None] = {}

    def resolve(self, value: Value) -> Value | None:
        """Return what a value stands for: itself if it isn't a reference, None for a reference that leads nowhere."""
        for _ in range(MOST_STEPS):
            if value.kind is not Kind.REFERENCE:
                return value
            found = self._look_up(value)
            if found is None:
                return None
            value = found
        return None

    def _look_up(self, value: Value) -> Value | None:
        key = value.number, value.text
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            # A document may ask for one and the same large entry half a million times.
            self._known[key] = self._ask(value)
        return self._known[key]

    def _ask(self, value: Value) -> Value | None:
        for table in self._tables:
            found = table.value(value.number, value.text)
            if found is not None:
                return found
        return None

    def strings(self, most: int = MOST_STRINGS) -> tuple[Resource, ...]:
        """Return the strings with their names in the order of the tables, each pair once; also the texts of lists.

        :param most: strings that are kept.
        """
        found: dict[tuple[str, str], None] = {}
        left = MOST_CHARACTERS
        texts = chain.from_iterable(table.texts() for table in self._tables)
        for looked_at, (name, value) in enumerate(texts):
            resolved = self.resolve(value)
            text = "" if resolved is None or resolved.kind is not Kind.STRING else resolved.text
            new = bool(text) and (name, text) not in found
            if new:
                size = len(name) + len(text)
                left -= size
                if not self._notes.memory.keep(_PAIR + 4 * size * (not text.isascii()) + size):
                    left = -1
            if left < 0 or looked_at >= MOST_TEXTS or (new and len(found) >= most):
                self._notes.gap(Part.RESOURCES, "", "more strings than are read of one app")
                break
            if new:
                found[name, text] = None
        return tuple(Resource(*pair) for pair in found)


class Reader:
    """Read the attributes of one document's elements as the system does."""

    def __init__(self, part: Part, file: str, resources: Resources, notes: Notes) -> None:
        """Read for this part; gaps name this file."""
        self._part = part
        self._file = file
        self._resources = resources
        self._notes = notes

    def gap(self, why: str) -> None:
        """Note what wasn't seen of this document."""
        self._notes.gap(self._part, self._file, why)

    def value(self, element: Element, *keys: int | str) -> Value | None:
        """Return the value of the first of these attributes that is stated, resolved; None if none is, or it leads nowhere."""
        for key in keys:
            stated = element.attributes.get(key)
            if stated is None:
                continue
            found = self._resources.resolve(stated)
            if found is None:
                what = (
                    "one of the system's own values"
                    if stated.number >> 24 == _SYSTEM
                    else "nothing"
                )
                self.gap(f"an attribute of <{_shown(element.name)}> refers to {what}")
                return None
            return None if found.kind is Kind.NULL else found
        return None

    def text(self, element: Element, *keys: int | str) -> str | None:
        """Return an attribute as text, cut beyond :data:`MOST_ATTRIBUTE`; None if it isn't stated."""
        found = self.value(element, *keys)
        if found is None:
            return None
        shown = found.shown
        if len(shown) > MOST_ATTRIBUTE:
            self.gap(f"an attribute of more than {MOST_ATTRIBUTE} characters; the rest is left out")
        return shown[:MOST_ATTRIBUTE]

    def number(self, element: Element, key: int | str) -> int | None:
        """Return an attribute as a number; None if it isn't stated or isn't one."""
        found = self.value(element, key)
        if found is None:
            return None
        if found.kind in (Kind.INTEGER, Kind.BOOLEAN):
            return found.number
        text = found.text
        return int(text) if len(text) < 10 and text.isascii() and text.isdigit() else None

    def flag(self, element: Element, key: int | str) -> bool | None:
        """Return an attribute as the system takes it for a flag (``TypedArray.getBoolean``); None if it isn't stated."""
        found = self.value(element, key)
        if found is None:
            return None
        if found.kind in (Kind.INTEGER, Kind.BOOLEAN):
            return found.number != 0
        return found.text in _TRUE


def _shown(name: str) -> str:
    """Return an element's name for people, whatever stands there."""
    return name if name.isprintable() and len(name) <= 40 else "an element of an odd name"
