"""Read numbers of variable length (Dalvik executable format, "LEB128": at most five bytes)."""

from watchword.scan.dex.bounds import Damaged


def unsigned(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at ``at`` and where the next item begins.

    :raises Damaged: when it has more than five bytes or the file ends in it.
    """
    # Written out: most numbers have one byte, places of code have three or four, and a file has a hundred thousand.
    try:
        first = data[at]
        if first < 0x80:
            return first, at + 1
        value = first & 0x7F | data[at + 1] << 7
        if value < 0x4000:
            return value, at + 2
        value = value & 0x3FFF | data[at + 2] << 14
        if value < 0x20_0000:
            return value, at + 3
        value = value & 0x1F_FFFF | data[at + 3] << 21
        if value < 0x1000_0000:
            return value, at + 4
        last = data[at + 4]
    except IndexError:
        raise Damaged("a number of variable length has no end") from None
    if last > 0x7F:
        raise Damaged("a number of variable length has no end")
    return (value & 0xFFF_FFFF | last << 28) & 0xFFFF_FFFF, at + 5


def signed(data: bytes, at: int) -> tuple[int, int]:
    """Return the signed number at ``at`` and where the next item begins.

    :raises Damaged: as :func:`unsigned`.
    """
    value, after = unsigned(data, at)
    width = min(32, 7 * (after - at))
    return (value - (1 << width) if value >> (width - 1) & 1 else value), after
