"""Define XML and its values as both of Android's binary forms hold them, in APKs and in App Bundles."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from watchword.reasons import WatchwordError

ANDROID: Final = "http://schemas.android.com/apk/res/android"
"""The name space of the system's attributes."""

MOST_DEPTH: Final = 128
"""How deep elements may be nested; a manifest has about five."""

MOST_ELEMENTS: Final = 200_000
MOST_ATTRIBUTES: Final = 500_000
"""How many elements and attributes a document may have; manifests of the largest apps have some thousands."""

MOST_TEXT: Final = 16 * 1024 * 1024
"""How many characters of text its elements may hold together: in binary XML all may share one long string."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""How large a document may be."""


class AndroidFormatError(WatchwordError):
    """Report that a part of a package can't be read; the text says why and holds nothing of its content."""


class Kind(Enum):
    """Name the kinds of values that are told apart here."""

    NULL = auto()
    STRING = auto()
    REFERENCE = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Value:
    """Hold a value of an attribute or a resource; a file is the string of its path.

    :param text: of a string; of a reference its name, such as ``xml/network``, where it has one.
    :param number: of a boolean or an integer; of a reference the resource's id, 0 for none.
    """

    kind: Kind
    text: str = field(default="", repr=False)
    number: int = 0

    @property
    def shown(self) -> str:
        """Return the value as the system turns it into text; empty for what it can't."""
        if self.kind is Kind.BOOLEAN:
            return "true" if self.number else "false"
        if self.kind is Kind.INTEGER:
            return str(self.number)
        return self.text if self.kind is Kind.STRING else ""


@dataclass(slots=True)
class Element:
    """Hold an element.

    :param attributes: by resource id where they have one, as the system looks for them whatever they're called;
        others by name, those of the system's name space as ``android:NAME``, those of foreign ones not at all.
    :param texts: the pieces of text directly within it.
    """

    name: str
    attributes: dict[int | str, Value] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list, repr=False)
    texts: list[str] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """Return all text directly within it."""
        return "".join(self.texts)

    def named(self, *names: str) -> Iterator["Element"]:
        """Yield the children of these names, in order."""
        return (child for child in self.children if child.name in names)


def attribute_key(resource: int, space: str, name: str) -> int | str | None:
    """Return the key of an attribute (see :class:`Element`); None for one of a foreign name space."""
    if resource:
        return resource
    if not space:
        return name
    return f"android:{name}" if space == ANDROID else None


class Growth:
    """Build a tree of elements, within the bounds on depth, elements and attributes."""

    def __init__(self) -> None:
        """Start without a root."""
        self._elements = MOST_ELEMENTS
        self._attributes = MOST_ATTRIBUTES
        self._text = MOST_TEXT

    def element(self, name: str, depth: int) -> Element:
        """Return a new element, ``depth`` others being around it.

        :raises AndroidFormatError: if there are too many, or too many within each other.
        """
        self._elements -= 1
        if self._elements < 0:
            raise AndroidFormatError(f"more than {MOST_ELEMENTS} elements")
        if depth >= MOST_DEPTH:
            raise AndroidFormatError(f"elements nested deeper than {MOST_DEPTH}")
        return Element(name)

    def text(self, element: Element, text: str) -> None:
        """Add text to an element.

        :raises AndroidFormatError: if there is too much in all.
        """
        self._text -= len(text)
        if self._text < 0:
            raise AndroidFormatError(f"more than {MOST_TEXT} characters of text")
        element.texts.append(text)

    def attributes(self, count: int) -> None:
        """Count attributes before they're read.

        :raises AndroidFormatError: if there are too many.
        """
        self._attributes -= count
        if self._attributes < 0:
            raise AndroidFormatError(f"more than {MOST_ATTRIBUTES} attributes")
