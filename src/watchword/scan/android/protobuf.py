"""Walk protocol buffers of strangers, one message at a time: bounds-checked, and without any schema."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.android.elements import AndroidFormatError

_VARINT: Final = 0
_FIXED_64: Final = 1
_DELIMITED: Final = 2
_FIXED_32: Final = 5
_FIXED: Final = {_FIXED_64: 8, _FIXED_32: 4}
_MOST_VARINT_BYTES: Final = 10


class Message:
    """Hold where a message lies in a file, and give its fields."""

    __slots__ = ("_data", "_end", "_start")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        """Take the bytes from ``start`` to ``end``; nothing is read yet."""
        self._data = data
        self._start = start
        self._end = len(data) if end is None else end

    def fields(self) -> Iterator[tuple[int, "int | Message"]]:
        """Yield the number and the value of each field: a number, or bytes, which may be a message.

        :raises AndroidFormatError: where it is cut off, or isn't a message.
        """
        data, at, end = self._data, self._start, self._end
        while at < end:
            key, at = _varint(data, at, end)
            wire = key & 7
            if wire == _VARINT:
                number, at = _varint(data, at, end)
                yield key >> 3, number
                continue
            if wire == _DELIMITED:
                size, at = _varint(data, at, end)
            elif wire in _FIXED:
                size = _FIXED[wire]
            else:
                raise AndroidFormatError("it isn't a protocol buffer")
            if size > end - at:
                raise AndroidFormatError("a field ends outside of its message")
            yield key >> 3, Message(data, at, at + size)
            at += size

    def messages(self, number: int) -> Iterator["Message"]:
        """Yield the messages in the fields of this number."""
        for each, value in self.fields():
            if each == number and isinstance(value, Message):
                yield value

    def message(self, number: int) -> "Message | None":
        """Return the last message in a field of this number, which is the one that counts; None if there is none."""
        found = None
        for found in self.messages(number):  # noqa: B007 - the last one is wanted.
            pass
        return found

    def number(self, number: int) -> int:
        """Return the last number in a field of this number; 0, the default, if there is none."""
        found = 0
        for each, value in self.fields():
            if each == number and isinstance(value, int):
                found = value
        return found

    def string(self, number: int) -> str:
        """Return the text in a field of this number; empty, the default, if there is none."""
        found = self.message(number)
        return "" if found is None else found.text()

    def text(self) -> str:
        """Return the bytes as text."""
        return self._data[self._start : self._end].decode("utf-8", "replace")


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits to the byte, lowest first, and where it ends."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    number = 0
    for shift in range(_MOST_VARINT_BYTES):
        if at >= end:
            raise AndroidFormatError("cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
    raise AndroidFormatError("a number that doesn't end")
