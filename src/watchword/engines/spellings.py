"""Say for an engine what :func:`watchword.gate.spellings.judge_spelling` says, as cases to be looked at in turn.

An engine has no tables of Unicode.  So of the signs that can stand for a letter of ASCII it knows those alone that matter
to its table, worked out here.  Where it judges by expressions alone, a path that has one where it could matter is
refused, though the gate may find the row that judges it.  The case of letters is looked at as the gate does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.engines.interface import Difference, Divergence, UnsupportedError
from watchword.engines.paths import any_case_expression, doubled_expression, doubles
from watchword.gate.interface import GatePolicy
from watchword.gate.routes import ANY_SEGMENT, CompiledRoute
from watchword.gate.spellings import Rival, Rivals, rivals_of
from watchword.gate.strictness import WATCHING

MAX_CASES: Final = 5000
"""Most cases of a table: each is a line of configuration."""

UNICODE_SPELLINGS: Final = Difference(
    "unicode-spellings",
    Divergence.STRICTER,
    "lets the strictest row judge a path that is another row's by Unicode's normal form (`%EF%BD%93` for s)",
    "refuses it, where a row that such a sign could lead to asks for something that the path's own row doesn't",
    "it has no tables of Unicode, and knows only which signs could matter to its route table",
)


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
