"""Read the code of .NET methods: what each calls, which strings it loads, and what it answers if it always answers the same.

Source: ECMA-335, 6th edition, partition II, section 25.4 (bodies) and partition III (instructions); the widths of the operands
were held against dncil 1.0.2 on 2026-11-29.
"""

import re
import struct
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Op, Step
from watchword.scan.dotnet.metadata import MOST_CHARACTERS, DotnetError, Left, Metadata, MethodRow

MOST_STEPS: Final = 2_000_000
"""Steps of one assembly: bodies may lie over one another, so that a small file holds any number."""

MOST_OVERLAP: Final = 4
"""How often each byte of an assembly is read as code."""

_TOKENS: Final = {
    b"\x27": Op.CALL,
    b"\x28": Op.CALL,
    b"\x6f": Op.CALL,
    b"\x73": Op.NEW,
    b"\x72": Op.STRING,
    b"\x7d": Op.STORE,
    b"\x80": Op.STORE,
    b"\x7b": Op.LOAD,
    b"\x7e": Op.LOAD,
    b"\xfe\x06": Op.METHOD,
    b"\xfe\x07": Op.METHOD,
}
_STRING_TABLE: Final = 0x70
_SWITCH: Final = 0x45

# What isn't told is skipped by the search itself, as many instructions at once as there are: by operands of none, 1, 2, 4 and 8 bytes.
_SKIPPED: Final = re.compile(
    rb"(?:[\x00-\x0d\x14\x25\x26\x2a\x46-\x6e\x76\x7a\x82-\x8b\x8e\x90-\xa2\xb3-\xba\xc3\xd1-\xdc\xdf\xe0]"
    rb"|[\x0e-\x13\x2b-\x37\xde][\x00-\xff]"
    rb"|[\x22\x29\x38-\x44\x70\x71\x74\x75\x79\x7c\x7f\x81\x8c\x8d\x8f\xa3-\xa5\xc2\xc6\xd0\xdd][\x00-\xff]{4}"
    rb"|[\x21\x23][\x00-\xff]{8}"
    rb"|\xfe(?:[\x00-\x05\x0f\x11\x13\x14\x17\x18\x1a\x1d\x1e]|[\x12\x19][\x00-\xff]|[\x09-\x0e][\x00-\xff]{2}|[\x15\x16\x1c][\x00-\xff]{4})"
    rb")*+"
)
_SMALL: Final = tuple(Step(Op.NUMBER, "", number) for number in range(-1, 9))
_SAME: Final = re.compile(rb"\x00*([\x15-\x1e])(?:\x00*\x0a\x2b\x00\x06)?\x00*\x2a")
_EMPTY: Final = re.compile(rb"\x00*\x2a")


def answer_of(body: bytes) -> int | None:
    """Return the number that a method always answers, without doing anything else: 1 for true; None where it does more."""
    found = _SAME.fullmatch(body)
    return None if found is None else found[1][0] - 0x16


def does_nothing(body: bytes) -> bool:
    """Tell whether a method only returns."""
    return _EMPTY.fullmatch(body) is not None


class Steps:
    """Turn bodies of one assembly into steps, within one budget."""

    def __init__(self, metadata: Metadata) -> None:
        """Start with nothing read."""
        self._metadata = metadata
        # By opcode and token: a method says the same many times, and each is kept once.
        self._known: dict[int, Step] = {}
        self._names = Left(MOST_CHARACTERS)
        self._left = MOST_STEPS
        self._bytes = MOST_OVERLAP * len(metadata.data)

    def body(self, method: MethodRow) -> bytes:
        """Return the instructions of a method.

        :raises DotnetError: if they aren't in the file.
        """
        data = self._metadata.data
        at = self._metadata.offset(method.address)
        try:
            first = data[at]
            if first & 3 == 2:
                begin, size = at + 1, first >> 2
            elif first & 3 == 3:
                flags, _, size = struct.unpack_from("<HHI", data, at)
                begin = at + 4 * (flags >> 12)
            else:
                raise DotnetError("a method of .NET whose code isn't where it says")
        except (struct.error, IndexError) as error:
            raise DotnetError("a method of .NET that ends too early") from error
        self._bytes -= size
        if not size or begin + size > len(data) or self._bytes < 0:
            raise DotnetError("a method of .NET that ends too early")
        return data[begin : begin + size]

    def of(self, body: bytes) -> Iterator[Step]:
        """Yield the steps of a method.

        :raises DotnetError: at an instruction that isn't known, or that isn't whole.
        """
        at, end = 0, len(body)
        while True:
            skipped = _SKIPPED.match(body, at)
            assert skipped is not None
            at = skipped.end()
            if at >= end:
                return
            self._left -= 1
            if self._left < 0:
                raise DotnetError("an assembly of .NET with more code than is read")
            first = body[at]
            if first == _SWITCH:
                at += 5 + 4 * int.from_bytes(body[at + 1 : at + 5], "little")
            elif 0x15 <= first <= 0x20:
                step, at = _number(body, at)
                yield step
            else:
                step, at = self._token(body, at)
                yield step
            if at > end:
                raise DotnetError("a method of .NET that ends within an instruction")

    def _token(self, body: bytes, at: int) -> tuple[Step, int]:
        code = body[at : at + (2 if body[at] == 0xFE else 1)]
        op = _TOKENS.get(code)
        if op is None:
            raise DotnetError("a method of .NET with an instruction that isn't known")
        at += len(code)
        token = int.from_bytes(body[at : at + 4], "little")
        key = int.from_bytes(code, "little") << 32 | token
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._told(op, token)
        return known, at + 4

    def _told(self, op: Op, token: int) -> Step:
        if op is Op.STRING:
            if token >> 24 != _STRING_TABLE:
                raise DotnetError("a method of .NET that loads no string")
            return Step(op, self._metadata.user_string(token & 0xFFFFFF))
        self._names.take("")  # Once there is nothing left, nothing is looked up in vain.
        cls, name = self._metadata.member(token >> 24, token & 0xFFFFFF)
        return Step(op, self._names.take(f"{cls}.{name}" if cls else name))


def _number(body: bytes, at: int) -> tuple[Step, int]:
    """Read an instruction that loads a number of 32 bits: from -1 to 8 by itself, or with one byte or four."""
    first = body[at]
    if first <= 0x1E:
        return _SMALL[first - 0x15], at + 1
    size = 1 if first == 0x1F else 4
    value = int.from_bytes(body[at + 1 : at + 1 + size], "little", signed=True)
    return Step(Op.NUMBER, "", value), at + 1 + size
