"""Tell which register an instruction writes (Dalvik bytecode, "Instruction formats"), so that what stood in it is forgotten."""

_NIBBLE = frozenset(
    (*(0x01, 0x04, 0x07, 0x12, 0x20, 0x21, 0x23), *range(0x52, 0x59), *range(0x7B, 0x90))
) | frozenset(range(0xB0, 0xD8))
_BYTE = frozenset(
    (*(0x02, 0x05, 0x08, 0x22, 0xFE, 0xFF), *range(0x0A, 0x0E), *range(0x13, 0x1D))
) | frozenset(
    (
        *range(0x2D, 0x32),
        *range(0x44, 0x4B),
        *range(0x60, 0x67),
        *range(0x90, 0xB0),
        *range(0xD8, 0xE3),
    )
)
_WORD = frozenset((0x03, 0x06, 0x09))
_WIDE = frozenset(
    (*(0x04, 0x05, 0x06, 0x0B), *range(0x16, 0x1A), 0x45, 0x53, 0x61, 0x7D, 0x7E, 0x80, 0x81)
) | frozenset(
    (
        *(0x83, 0x86, 0x88, 0x89, 0x8B),
        *range(0x9B, 0xA6),
        *range(0xAB, 0xB0),
        *range(0xBB, 0xC6),
        *range(0xCB, 0xD0),
    )
)


def written(data: bytes, at: int, opcode: int) -> tuple[int, ...]:
    """Return the registers that the instruction at ``at`` writes: none, one, or both of a pair."""
    if opcode in _NIBBLE:
        first = data[at + 1] & 0xF
    elif opcode in _BYTE:
        first = data[at + 1]
    elif opcode in _WORD:
        first = data[at + 2] | data[at + 3] << 8
    else:
        return ()
    return (first, first + 1) if opcode in _WIDE else (first,)


def handed_over(data: bytes, at: int, opcode: int) -> list[int]:
    """Return the registers that the call at ``at`` hands over, in order."""
    if opcode in (0x25, 0xFB) or 0x74 <= opcode <= 0x78:
        first = data[at + 4] | data[at + 5] << 8
        return list(range(first, first + data[at + 1]))
    high, low = data[at + 1] >> 4, data[at + 1] & 0xF
    four = data[at + 4] | data[at + 5] << 8
    return [*((four >> shift) & 0xF for shift in (0, 4, 8, 12)), low][: min(high, 5)]
