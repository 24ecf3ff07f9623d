"""Read numbers of variable length (Dalvik executable format, "LEB128": at most five bytes)."""

from watchword.scan.dex.bounds import Damaged

_LONGEST = 5


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at`` and where the next item begins.

    :raises Damaged: when it has more than five bytes or the file ends in it.
    """
    try:
        # Nearly all numbers of a file have one or two bytes.
        first = data[at]
        if first < 0x80:
            return first, at + 1
        second = data[at + 1]
        if second < 0x80:
            return first & 0x7F | second << 7, at + 2
    except IndexError:
        raise Damaged("a number of variable length has no end") from None
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & 0xFFFFFFFF, at + place + 1
    raise Damaged("a number of variable length has no end")


def signed(data: bytes, at: int) -> tuple[int, int]:
    """Return the signed number at ``at`` and where the next item begins.

    :raises Damaged: as :func:`unsigned`.
    """
    value, after = unsigned(data, at)
    width = min(32, 7 * (after - at))
    return (value - (1 << width) if value >> (width - 1) & 1 else value), after
