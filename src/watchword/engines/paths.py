r"""Write the gate's reading of paths as regular expressions of RE2 or PCRE, to be matched as a whole.

They say about raw paths what :func:`watchword.gate.hygiene.read_path`,
:class:`watchword.gate.hygiene.CompiledRoute` and :mod:`watchword.gate.spellings` say about decoded segments.

What :func:`watchword.gate.spellings.judge_spelling` says becomes cases that an engine goes through in turn.  An engine has no tables of Unicode.  So of the signs that can stand for a letter of ASCII it knows those alone that matter
to its table, worked out here.  Where it judges by expressions alone, a path that has one where it could matter is
refused, though the gate may find the row that judges it.  The case of letters is looked at as the gate does.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final
from unicodedata import decomposition

from watchword.engines.interface import UnsupportedError
from watchword.gate.hygiene import ANY_SEGMENT, CompiledRoute
from watchword.gate.interface import GatePolicy
from watchword.gate.spellings import SEPARATORS, WATCHING, Rival, Rivals, fold, rivals_of

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
        last = "".join(seconds)
        parts.append(f"{head}{last}" if len(last) == 1 else f"{head}[{last}]")
    return f"%{parts[0]}" if len(parts) == 1 else f"%(?:{'|'.join(parts)})"


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


def _any_case(segment: str) -> str:
    """Return what matches a segment of ASCII in every way of encoding it, and in upper and lower case."""
    return "".join(
        f"(?:[{sign.upper()}{sign}]|{_any_encoded([ord(sign.upper()), ord(sign)])})"
        if sign.isalpha()
        else _literal(sign)
        for sign in segment
    )


def _escaped(byte: int) -> str:
    character = chr(byte)
    return character if character.isalnum() else f"\\{character}"


def row_expression(row: CompiledRoute) -> str:
    """Return what matches the readable raw paths of one row of the table."""
    return _whole(row, stem_expression(row))


def any_case_expression(folded: CompiledRoute) -> str:
    """Return what matches the readable raw paths of a row whose literal segments are ASCII, in any case.

    :param folded: the row with its literal segments in lower case.
    """
    return _whole(
        folded,
        "".join(
            "/[^/?]+" if segment == ANY_SEGMENT else f"/{_any_case(segment)}"
            for segment in folded.segments
        ),
    )


def _whole(row: CompiledRoute, stem: str) -> str:
    if row.open_ended:
        return f"{stem}(?:/[^?]*)?" if stem else "/[^?]*"
    return f"{stem}/?" if stem else "/"


def stem_expression(row: CompiledRoute) -> str:
    """Return what matches the fixed number of leading segments; empty where there are none."""
    return "".join(
        "/[^/?]+" if segment == ANY_SEGMENT else f"/{_literal(segment)}" for segment in row.segments
    )


@cache
def _folding() -> Sequence[tuple[str, str]]:
    """Return each sign outside of ASCII whose folded form has signs of ASCII, with that form.

    None stands beyond the second plane of Unicode (a test looks at all).  Control characters are in no readable path.
    """
    signs = (chr(point) for point in range(0xA0, 0x20000) if not 0xD800 <= point < 0xE000)
    pairs = [(sign, fold(sign)) for sign in signs if decomposition(sign) or sign.upper() != sign]
    return [(sign, plain) for sign, plain in pairs if any(each.isascii() for each in plain)]


@cache
def separators() -> Sequence[str]:
    """Return the signs outside of ASCII that a server which normalises takes for a separator."""
    return [sign for sign, plain in _folding() if not SEPARATORS.isdisjoint(plain)]


@cache
def dots() -> Sequence[str]:
    """Return the signs outside of ASCII that a server which normalises takes for dots."""
    return [sign for sign, plain in _folding() if not plain.strip(".")]


def doubles(literals: Collection[str]) -> Sequence[str]:
    """Return the signs outside of ASCII that can stand for a part of one of these segments.

    Without one of them, nothing is a spelling of a segment of ASCII but by the case of its letters.

    :param literals: folded.
    """
    # A dot above is nothing beside an i, since some servers make an i of the capital one with a dot.
    dotted = ["\u0307"] if any("i" in each for each in literals) else []
    found = {plain: any(plain in each for each in literals) for _, plain in _folding()}
    return [*dotted, *(sign for sign, plain in _folding() if found[plain])]


def signs_expression(signs: Collection[str]) -> str:
    """Return what matches the percent-encoding of any of these signs; there must be one."""
    return _bytes_expression({sign.encode("utf-8") for sign in signs})


def _bytes_expression(texts: Collection[bytes]) -> str:
    by_rest: dict[frozenset[bytes], list[int]] = {}
    for first in sorted({text[0] for text in texts}):
        rests = frozenset(text[1:] for text in texts if text[0] == first)
        by_rest.setdefault(rests, []).append(first)
    parts = []
    for rests, firsts in by_rest.items():
        behind = {rest for rest in rests if rest}
        parts.append(_any_encoded(firsts) + (_bytes_expression(behind) if behind else ""))
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


@cache
def normalised_expression() -> str:
    """Return what matches readable raw paths in which a server that normalises finds another separator, or dots."""
    dot = signs_expression(dots())
    of_dots = rf"{_DOT}*{dot}(?:{_DOT}|{dot})*"
    rest = "[^?]*"
    return rf"(?:{rest}{signs_expression(separators())}{rest}|(?:{rest}/)?{of_dots}(?:/{rest})?)"


def doubled_expression(signs: Collection[str], segments: int) -> str:
    """Return what matches raw paths with any of these signs in one of the first segments.

    :param segments: how many.
    """
    skipped = rf"(?:/[^/?]*){{0,{segments - 1}}}" if segments > 1 else ""
    return f"{skipped}/[^/?]*{signs_expression(signs)}[^?]*"


MAX_CASES: Final = 5000
"""Most cases of a table: each is a line of configuration."""


@dataclass(frozen=True, slots=True)
class SpellingCase:
    """Hold what becomes of some of the paths that belong to a row as they are written.

    :param rivals: rows that it must belong to by the case of letters alone, beside its own.
    :param depth: in how many of its first segments one of :attr:`Spellings.doubles` must stand, for engines that can't
        fold them; 0 for any path.
    :param judge: position of the row that judges; None where the request is refused.
    """

    rivals: tuple[Rival, ...]
    depth: int
    judge: int | None

    def methods(self, row: CompiledRoute) -> frozenset[str]:
        """Return the methods that the row has in common with its rivals; empty for all."""
        common = row.methods
        for rival in self.rivals:
            theirs = rival.row.methods
            common = common & theirs if common and theirs else common or theirs
        return common


@dataclass(frozen=True, slots=True)
class Spellings:
    """Hold by row of the table the cases to be looked at before the row itself; the first that fits decides.

    :param doubles: signs outside of ASCII that can stand for a part of a rival's segment.
    """

    cases: tuple[tuple[SpellingCase, ...], ...]
    doubles: Sequence[str]

    def expressions(self, case: SpellingCase) -> Sequence[str]:
        """Return what raw paths must match, each."""
        found = [any_case_expression(rival.folded) for rival in case.rivals]
        return [doubled_expression(self.doubles, case.depth), *found] if case.depth else found


def spellings_of(table: Sequence[CompiledRoute], policy: GatePolicy) -> Spellings:
    """Return what becomes of the other spellings of the paths of a table.

    :raises UnsupportedError: where there are too many, or signs outside of ASCII in a row that is another's rival.
    """
    everywhere = rivals_of(table, policy)
    literals: set[str] = set()
    known = {rival.position: rival for rivals in everywhere for rival in rivals.all}
    for rival in known.values():
        found = {segment for segment in rival.folded.segments if segment != ANY_SEGMENT}
        if not all(segment.isascii() for segment in found):
            _refuse(rival.row.route.name, "a path with signs outside of ASCII")
        literals |= found
    cases = tuple(tuple(_cases(at, table, rivals)) for at, rivals in enumerate(everywhere))
    if sum(map(len, cases)) > MAX_CASES:
        _refuse(policy.api, f"a table whose rows meet in more than {MAX_CASES} ways")
    return Spellings(cases, doubles(literals))


def _refuse(where: str, what: str) -> None:
    raise UnsupportedError(
        where,
        "case: insensitive",
        f"{what} can't be told in other spellings by an engine",
        "use the proxy or the middleware, or `case: sensitive` where the API tells paths apart by case",
    )


def _cases(position: int, table: Sequence[CompiledRoute], rivals: Rivals) -> Iterator[SpellingCase]:
    row = table[position]

    def outcome(*rows: Rival) -> int | None:
        """Return the row that judges where none is the strictest: none, but where nobody would be refused."""
        modes = {row.route.mode, *(each.row.route.mode for each in rows)}
        return position if modes <= WATCHING else None

    if rivals.all and outcome(*rivals.all) is None:
        depth = max(_depth(rival.folded) for rival in rivals.all)
        yield SpellingCase((), depth, None)
    for at, rival in enumerate(rivals.all):
        others = [
            other
            for other in rivals.all[at + 1 :]
            if other.kind in rival.disputed and _meet(rival.folded, other.folded)
        ]
        # What is refused comes first: a third row may claim the path too.
        others.sort(key=lambda other: outcome(rival, other) is not None)
        for other in others:
            yield SpellingCase((rival, other), 0, outcome(rival, other))
        yield SpellingCase((rival,), 0, rival.position if rival.judges else outcome(rival))


def _depth(row: CompiledRoute) -> int:
    """Return the number of segments up to the last literal one."""
    return max(at for at, segment in enumerate(row.segments, 1) if segment != ANY_SEGMENT)


def _meet(one: CompiledRoute, other: CompiledRoute) -> bool:
    """Tell whether a path can belong to both."""
    if one.methods and other.methods and not one.methods & other.methods:
        return False
    if len(one.segments) < len(other.segments) and not one.open_ended:
        return False
    if len(other.segments) < len(one.segments) and not other.open_ended:
        return False
    pairs = zip(one.segments, other.segments, strict=False)
    return all(mine == theirs or ANY_SEGMENT in (mine, theirs) for mine, theirs in pairs)
