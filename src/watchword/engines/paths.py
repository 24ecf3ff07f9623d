r"""Write the gate's reading of paths as regular expressions of RE2 or PCRE, to be matched as a whole.

They say about raw paths what :func:`watchword.gate.paths.read_path` and
:class:`watchword.gate.routes.CompiledRoute` say about decoded segments.
"""

from typing import Final

from watchword.gate.routes import ANY_SEGMENT, CompiledRoute

_HEX: Final = "[0-9A-Fa-f]"
_NEVER: Final = frozenset(b"/\\;#?%")
"""Signs that may stand neither raw nor encoded inside of a segment; ``%`` only as itself encoded."""


def _encoded(byte: int) -> str:
    """Return what matches one byte's percent-encoding, in either case."""
    digits = "".join(
        f"[{digit}{digit.lower()}]" if digit.isalpha() else digit for digit in f"{byte:02X}"
    )
    return f"%{digits}"


def _any_encoded(wanted: "list[int]") -> str:
    """Return what matches the percent-encoding of any of these bytes, by their first digit."""
    by_first: dict[int, list[str]] = {}
    for byte in wanted:
        digit = f"{byte & 15:X}"
        by_first.setdefault(byte >> 4, []).append(
            digit + (digit.lower() if digit.isalpha() else "")
        )
    parts = []
    for first, seconds in sorted(by_first.items()):
        head = f"{first:X}"
        head = f"[{head}{head.lower()}]" if head.isalpha() else head
        parts.append(f"{head}[{''.join(seconds)}]")
    return f"%(?:{'|'.join(parts)})"


def _span(low: int, high: int) -> str:
    return _any_encoded(list(range(low, high + 1)))


_HEX_BYTES: Final = [byte for byte in range(0x80) if chr(byte) in "0123456789ABCDEFabcdef"]
_OTHER_BYTES: Final = [
    byte
    for byte in range(0x20, 0x7F)
    if byte not in _NEVER and byte not in _HEX_BYTES and byte != ord(".")
]
_RAW_OTHER: Final = "".join(
    f"\\{chr(byte)}" if not chr(byte).isalnum() else chr(byte)
    for byte in _OTHER_BYTES
    if byte != 0x20
)

_CONTINUED: Final = _span(0x80, 0xBF)
_MULTIBYTE: Final = "|".join(
    (
        # UTF-8 (RFC 3629 section 4) without the control characters U+0080 to U+009F.
        f"{_encoded(0xC2)}{_span(0xA0, 0xBF)}",
        f"{_span(0xC3, 0xDF)}{_CONTINUED}",
        f"{_encoded(0xE0)}{_span(0xA0, 0xBF)}{_CONTINUED}",
        f"(?:{_span(0xE1, 0xEC)}|{_span(0xEE, 0xEF)}){_CONTINUED}{_CONTINUED}",
        f"{_encoded(0xED)}{_span(0x80, 0x9F)}{_CONTINUED}",
        f"{_encoded(0xF0)}{_span(0x90, 0xBF)}{_CONTINUED}{_CONTINUED}",
        f"{_span(0xF1, 0xF3)}{_CONTINUED}{_CONTINUED}{_CONTINUED}",
        f"{_encoded(0xF4)}{_span(0x80, 0x8F)}{_CONTINUED}{_CONTINUED}",
    )
)
_DOT: Final = rf"(?:\.|{_encoded(0x2E)})"
_DIGIT: Final = rf"(?:[0-9A-Fa-f]|{_any_encoded(_HEX_BYTES)})"
_OTHER: Final = rf"(?:[{_RAW_OTHER}]|{_any_encoded(_OTHER_BYTES)}|{_MULTIBYTE})"
_PERCENT: Final = rf"(?:(?:{_encoded(0x25)})+{_DIGIT}?)+"
"""Encoded percent signs, each followed by one hexadecimal digit at most: with two, a server that
decodes twice would read another encoding."""

_UNIT: Final = rf"(?:{_DOT}|{_DIGIT}|{_OTHER}|{_PERCENT}(?:{_DOT}|{_OTHER}))"
_SEGMENT: Final = (
    rf"(?:{_DOT}{{0,2}}(?:{_DIGIT}|{_OTHER}|{_PERCENT}(?:{_DOT}|{_OTHER}))|{_DOT}{_DOT}{_DOT})"
    rf"{_UNIT}*(?:{_PERCENT})?|{_DOT}{{0,2}}{_PERCENT}"
)

READABLE: Final = rf"(?:/(?:{_SEGMENT}))*/?"
"""Matches exactly the raw paths that the gate can read in one way only, and the empty one."""

READABLE_TARGET: Final = rf"/(?:{READABLE[:0]}(?:{_SEGMENT})(?:/(?:{_SEGMENT}))*/?)?(?:\?.*)?"
"""Matches a request target of such a path and any query."""


def _literal(segment: str) -> str:
    """Return what matches a segment in every way of encoding it."""
    return "".join(
        f"(?:{_escaped(byte)}|{_encoded(byte)})" if 0x21 <= byte <= 0x7E else _encoded(byte)
        for byte in segment.encode("utf-8")
    )


def _escaped(byte: int) -> str:
    character = chr(byte)
    return character if character.isalnum() else f"\\{character}"


def row_expression(row: CompiledRoute) -> str:
    """Return what matches the readable raw paths of one row of the table."""
    stem = stem_expression(row)
    if row.open_ended:
        return f"{stem}(?:/.*)?" if stem else "/.*"
    return f"{stem}/?" if stem else "/"


def stem_expression(row: CompiledRoute) -> str:
    """Return what matches the fixed number of leading segments; empty where there are none."""
    return "".join(
        "/[^/]+" if segment == ANY_SEGMENT else f"/{_literal(segment)}" for segment in row.segments
    )
