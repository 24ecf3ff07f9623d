"""Read binary XML of an APK (``ResXMLTree`` in Android's sources), as leniently as the system does, and within bounds.

The system knows an attribute by the resource id that belongs to its name, so that a document whose names are rubbish is installed
as well; kinds of chunks that it doesn't know it passes over, and the kind of the document itself it doesn't look at.
"""

from struct import Struct
from typing import Final

from watchword.scan.android.chunks import (
    NO_STRING,
    STRING_POOL,
    Buffer,
    Chunk,
    StringPool,
    chunk_at,
    chunks,
    value_at,
)
from watchword.scan.android.elements import (
    MOST_BYTES,
    AndroidFormatError,
    Element,
    Growth,
    attribute_key,
)

_FIRST_NODE: Final = 0x0100
_LAST_NODE: Final = 0x017F
_START: Final = 0x0102
_END: Final = 0x0103
_TEXT: Final = 0x0104
_RESOURCE_MAP: Final = 0x0180

_ELEMENT: Final = Struct("<IIHHH")
_ATTRIBUTE: Final = Struct("<III")
_ATTRIBUTE_SIZE: Final = 20


def read_axml(data: bytes) -> Element:
    """Return the outermost element of a document.

    :raises AndroidFormatError: if it is damaged, too large, too deep, or has no element.
    """
    if len(data) > MOST_BYTES:
        raise AndroidFormatError(f"binary XML of {len(data)} bytes; at most {MOST_BYTES} are read")
    return _Document(Buffer(data)).root()


class _Document:
    """Hold the state of reading one document."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._pool: StringPool | None = None
        self._resources = range(0)
        self._growth = Growth()
        self._root: Element | None = None
        self._open: list[Element] = []

    def root(self) -> Element:
        """Read the document."""
        whole = chunk_at(self._buffer, 0, len(self._buffer.data))
        nodes = False
        for chunk in chunks(self._buffer, whole.body, whole.end):
            nodes = nodes or _FIRST_NODE <= chunk.kind <= _LAST_NODE
            if nodes:
                self._node(chunk)
            elif chunk.kind == STRING_POOL:
                self._pool = StringPool(self._buffer, chunk)
            elif chunk.kind == _RESOURCE_MAP:
                self._resources = range(chunk.body, chunk.end - 3, 4)
        if self._root is None:
            raise AndroidFormatError("binary XML without an element")
        return self._root

    def _node(self, chunk: Chunk) -> None:
        if chunk.kind == _START:
            self._start(chunk)
        elif chunk.kind == _END and self._open:
            self._open.pop()
        elif chunk.kind == _TEXT and self._open:
            self._growth.text(self._open[-1], self._string(self._within(chunk, 4)))

    def _within(self, chunk: Chunk, size: int) -> int:
        """Return the number at the start of a chunk's body, which has to have this size."""
        if chunk.body + size > chunk.end:
            raise AndroidFormatError("a node is shorter than its form")
        return self._buffer.u32(chunk.body)

    def _string(self, index: int) -> str:
        if self._pool is None:
            raise AndroidFormatError("binary XML without a string pool")
        return self._pool.get(index)

    def _start(self, chunk: Chunk) -> None:
        self._within(chunk, _ELEMENT.size)
        _, name, start, size, count = self._buffer.unpack(_ELEMENT, chunk.body)
        first = chunk.body + start
        if count and (size < _ATTRIBUTE_SIZE or first + size * count > chunk.end):
            raise AndroidFormatError("attributes that reach beyond their element")
        element = self._growth.element(self._string(name), len(self._open))
        self._growth.attributes(count)
        for at in range(first, first + size * count, size or 1):
            self._attribute(element, at)
        if self._open:
            self._open[-1].children.append(element)
        elif self._root is None:
            self._root = element
        self._open.append(element)

    def _attribute(self, element: Element, at: int) -> None:
        space, name, _ = self._buffer.unpack(_ATTRIBUTE, at)
        resource = 0
        if name < len(self._resources):
            resource = self._buffer.u32(self._resources[name])
        namespace = "" if space == NO_STRING else self._string(space)
        key = attribute_key(resource, namespace, "" if resource else self._string(name))
        if key is not None and key not in element.attributes:
            assert self._pool is not None  # The element's name came out of it.
            element.attributes[key] = value_at(self._buffer, self._pool, at + _ATTRIBUTE.size)
