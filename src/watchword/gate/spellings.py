"""Find the rows that a path belongs to where its server ignores case, or normalises Unicode, and which of them is stricter.

``/SESS/x`` is no path of the row ``/sess/**``, but many a server takes it for one, and serves what that row guards.  So
for each row that a path belongs to as it is written, its *rivals* are known beforehand: rows that the path may belong to
by another spelling, and that ask for something that the row doesn't.  The strictest of all that match judges, and it must
be the strictest in every respect.  That is a partial order: of two rows that each ask for something that the other
doesn't, neither is the stricter one.

Text is folded by NFKC (UAX 15), upper case and case folding, which is coarser than any of the three alone: the long s and
the sharp s become what they are in upper case, and the Kelvin sign a ``k``.  What less thorough servers merge is merged here.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from watchword.gate.hygiene import ANY_SEGMENT, CompiledRoute, compile_routes
from watchword.gate.interface import GatePolicy, Limit, Route, is_at_least
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Mode, Proof

STRICTNESS: Final = {Mode.OFF: 0, Mode.MONITOR: 1, Mode.CANARY: 2, Mode.ENFORCE: 3}
"""Modes, by how much they refuse."""

_PROOFS: Final = {Proof.BEARER: 0, Proof.SESSION: 1, Proof.DEVICE: 2}
WATCHING: Final = frozenset({Mode.OFF, Mode.MONITOR})
"""Modes in which a row refuses nobody."""

_Versions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Demands:
    """Hold what a row asks of a request that belongs to it; rows that ask for the same are equal.

    Path and methods aren't in here: they say which requests belong to a row, not what is asked of them.  Rate, replay
    mode, ``binding_header``, issuer, audience and leeway are the API's, so that all of its rows share them.

    :param canary: share, ``from_versions`` and budget, None in other modes.
    :param secret: the key that is added, which sends the request to another server.
    :param limits: names of the limits that count this row, and not every row.
    """

    mode: Mode
    level: int
    proof: Proof
    dpop: bool
    max_body: int
    minimum_versions: _Versions
    canary: tuple[int, _Versions, float] | None
    secret: str | None
    limits: frozenset[str]


def demands_of(route: Route, limits: Sequence[Limit]) -> Demands:
    """Return what a row asks for.

    :param limits: those of its API.
    """
    canary = route.canary
    return Demands(
        mode=route.mode,
        level=route.level.rank,
        proof=route.proof,
        dpop=route.dpop,
        max_body=route.max_body,
        minimum_versions=tuple(sorted(route.minimum_versions.items())),
        canary=None
        if canary is None
        else (canary.share, tuple(sorted(canary.from_versions.items())), canary.budget),
        secret=route.secret,
        limits=frozenset(limit.name for limit in limits if route.name in limit.routes),
    )


def is_as_strict(one: Demands, other: Demands) -> bool:
    """Tell whether ``one`` is at least as strict as ``other`` in every respect.

    1. Both add the same key, or none: of two servers neither is the stricter one.
    2. Mode: ``off``, ``monitor``, ``canary``, ``enforce``, each stricter than those before it.  A row that is ``off``
       asks for nothing, and one in ``monitor`` refuses nothing, so that any row in a stricter mode is stricter than
       they are, whatever else is written in them.  Of two canaries only equal ones compare.
    3. Level, and the lowest version of each app that the other row names.
    4. Proof: ``bearer``, ``session``, ``device``, each stricter than those before it; one that takes DPoP, which covers
       neither query nor body, is stricter than ``bearer`` alone.  Of two proofs, the body that one covers is no larger.
    5. Each limit that counts the other counts this one too.
    """
    if one.secret != other.secret or STRICTNESS[one.mode] < STRICTNESS[other.mode]:
        return False
    if other.mode is Mode.OFF or (other.mode is Mode.MONITOR and one.mode is not Mode.MONITOR):
        return True
    if one.canary is not None and one.canary != other.canary:
        return False
    return (
        one.level >= other.level
        and _asks_for_versions(one, other)
        and _asks_for_proof(one, other)
        and one.limits >= other.limits
    )


def _asks_for_versions(one: Demands, other: Demands) -> bool:
    asked = dict(one.minimum_versions)
    return all(is_at_least(asked.get(app), least) for app, least in other.minimum_versions)


def _asks_for_proof(one: Demands, other: Demands) -> bool:
    if other.proof is Proof.BEARER:
        return True
    if one.dpop and not other.dpop:
        return False
    return _PROOFS[one.proof] >= _PROOFS[other.proof] and one.max_body <= other.max_body


SEPARATORS: Final = frozenset("/\\;#?%")
"""Signs that a segment may not have: some servers end, cut or decode it there."""


def fold(text: str) -> str:
    """Return what a text has in common with all of its spellings."""
    if text.isascii():
        return text.lower()
    upper = unicodedata.normalize("NFKC", text).upper()
    # Some take a capital I with a dot for an i, others for an i with a dot.
    return unicodedata.normalize("NFKC", upper.casefold()).replace("i\u0307", "i")


def fold_path(path: tuple[str, ...]) -> tuple[str, ...] | Refusal:
    """Return the decoded segments of a path folded, or why no server should see it.

    A server that normalises would find a separator in a full-width slash, and a parent directory in two such dots.
    """
    folded = tuple(fold(segment) for segment in path)
    for segment, plain in zip(path, folded, strict=True):
        if not segment.isascii() and (not SEPARATORS.isdisjoint(plain) or not plain.strip(".")):
            return Refusal(
                Reason.REQUEST_PATH_AMBIGUOUS,
                "got a sign that Unicode's normal form makes a separator or a dot",
            )
    return folded


@dataclass(frozen=True, slots=True)
class Rival:
    """Hold a row that a path of another row may belong to by another spelling, and that isn't less strict.

    :param position: in the table.
    :param folded: the row with its literal segments folded; to be matched with a folded path.
    :param kind: a number that rows share which ask for the same.
    :param judges: whether it is as strict as the other row in every respect, so that it may judge.
    :param disputed: kinds of the other row's rivals that it is not as strict as.
    """

    row: CompiledRoute
    position: int
    folded: CompiledRoute
    kind: int
    judges: bool
    disputed: frozenset[int]

    def claims(self, method: str, path: tuple[str, ...], folded: tuple[str, ...]) -> bool:
        """Tell whether a path that isn't this row's, as it is written, is so by another spelling."""
        return self.folded.matches(method, folded) and not self.row.matches(method, path)


class Rivals(NamedTuple):
    """Hold the rivals of one row, the strictest first.

    :param unfolded: those among them whose own pattern isn't folded: all that matter to a path that is folded.
    """

    all: tuple[Rival, ...]
    unfolded: tuple[Rival, ...]


class Judgement(NamedTuple):
    """Hold which row judges, and what is only reported: that none of them is the strictest."""

    row: CompiledRoute
    reported: tuple[Refusal, ...] = ()


def rivals_of(table: Sequence[CompiledRoute], policy: GatePolicy) -> tuple[Rivals, ...]:
    """Return by row of the table its rivals, none where case counts."""
    if policy.case_sensitive:
        return (Rivals((), ()),) * len(table)
    return _rivals_of(table, policy.limits)


def _rivals_of(table: Sequence[CompiledRoute], limits: Sequence[Limit]) -> tuple[Rivals, ...]:
    order = _Order(demands_of(row.route, limits) for row in table)
    folded = [
        replace(row, segments=tuple(fold(segment) for segment in row.segments)) for row in table
    ]
    near = _Neighbours(folded)
    return tuple(
        _rivals(position, table, folded, near.of(position), order) for position in range(len(table))
    )


def judge_spelling(
    row: CompiledRoute,
    rivals: Rivals,
    method: str,
    path: tuple[str, ...],
    folded: tuple[str, ...],
) -> Judgement | Refusal:
    """Return the strictest of the row that a path belongs to and of its rivals that claim it.

    Where none is the strictest in every respect, there is a refusal; it is only reported where none of them refuses
    anybody, since a table in ``monitor`` must refuse nothing that would be served without it.
    """
    rows = rivals.unfolded if folded == path else rivals.all
    claiming = [rival for rival in rows if rival.claims(method, path, folded)]
    if not claiming:
        return Judgement(row)
    first = claiming[0]
    if first.judges and not any(rival.kind in first.disputed for rival in claiming):
        return Judgement(first.row)
    names = [row.route.name, *(rival.row.route.name for rival in claiming)]
    refusal = Refusal(
        Reason.GATE_ROUTE_AMBIGUOUS,
        f"by other spellings it belongs to {', '.join(names)}, of which none is the strictest",
    )
    watching = all(each.route.mode in WATCHING for each in (row, *(one.row for one in claiming)))
    return Judgement(row, (refusal,)) if watching else refusal


class Outcome(StrEnum):
    """Say what becomes of a path of one row that is another's by another spelling."""

    JUDGED = "judged"
    REFUSED = "refused"
    REPORTED = "reported"


class Meeting(NamedTuple):
    """Hold two rows that have a path in common by another spelling.

    :param row: the path's, as it is written.
    :param rival: the other one; it judges, or none does.
    """

    row: Route
    rival: Route
    outcome: Outcome


def meetings(routes: Sequence[Route], limits: Sequence[Limit]) -> Iterator[Meeting]:
    """Yield which rows meet, for a person; where three do, all but the strictest may be two that don't compare.

    :raises ValueError: as :func:`watchword.gate.hygiene.compile_route`.
    """
    table = compile_routes(routes)
    for row, rivals in zip(table, _rivals_of(table, limits), strict=True):
        for rival in sorted(rivals.all, key=lambda each: each.position):
            outcome = Outcome.JUDGED
            if not rival.judges:
                watching = {row.route.mode, rival.row.route.mode} <= WATCHING
                outcome = Outcome.REPORTED if watching else Outcome.REFUSED
            yield Meeting(row.route, rival.row.route, outcome)


class _Order:
    """Compare rows by what they ask for; of a thousand rows there are few kinds."""

    def __init__(self, demands: Iterable[Demands]) -> None:
        numbers: dict[Demands, int] = {}
        self.kinds = [numbers.setdefault(each, len(numbers)) for each in demands]
        self._demands = list(numbers)
        self._known: dict[tuple[int, int], bool] = {}

    def is_as_strict(self, one: int, other: int) -> bool:
        """Compare two kinds."""
        known = self._known.get((one, other))
        if known is None:
            known = is_as_strict(self._demands[one], self._demands[other])
            self._known[one, other] = known
        return known


class _Neighbours:
    """Find rows whose first segment allows for a path in common."""

    def __init__(self, folded: Sequence[CompiledRoute]) -> None:
        self._folded = folded
        self._by_first: dict[str, list[int]] = {}
        for position, row in enumerate(folded):
            self._by_first.setdefault(_first(row), []).append(position)

    def of(self, position: int) -> Sequence[int]:
        """Return the positions of rows that may be met on the paths of one."""
        first = _first(self._folded[position])
        if first == ANY_SEGMENT:
            return range(len(self._folded))
        return self._by_first[first] + self._by_first.get(ANY_SEGMENT, [])


def _first(row: CompiledRoute) -> str:
    return row.segments[0] if row.segments else ANY_SEGMENT


def _rivals(
    position: int,
    table: Sequence[CompiledRoute],
    folded: Sequence[CompiledRoute],
    near: Iterable[int],
    order: _Order,
) -> Rivals:
    own = order.kinds[position]
    found = [
        other
        for other in near
        if not order.is_as_strict(own, order.kinds[other])
        and _collide(table[position], folded[position], table[other], folded[other])
    ]
    kinds = {order.kinds[other] for other in found}
    # Whoever is stricter than another is as strict as more of them.
    strict = {kind: sum(order.is_as_strict(kind, each) for each in kinds) for kind in kinds}
    found.sort(key=lambda other: (-strict[order.kinds[other]], other))
    disputed = {
        kind: frozenset(each for each in kinds if not order.is_as_strict(kind, each))
        for kind in kinds
    }
    rivals = tuple(
        Rival(
            table[other],
            other,
            folded[other],
            order.kinds[other],
            order.is_as_strict(order.kinds[other], own),
            disputed[order.kinds[other]],
        )
        for other in found
    )
    return Rivals(
        rivals, tuple(each for each in rivals if each.row.segments != each.folded.segments)
    )


def _collide(
    row: CompiledRoute, folded: CompiledRoute, other: CompiledRoute, other_folded: CompiledRoute
) -> bool:
    """Tell whether a path can be a row's as it is written, and another's by another spelling alone."""
    if row.methods and other.methods and not row.methods & other.methods:
        return False
    if len(row.segments) < len(other.segments) and not row.open_ended:
        return False
    if len(other.segments) < len(row.segments) and not other.open_ended:
        return False
    pairs = zip(folded.segments, other_folded.segments, strict=False)
    if any(mine != theirs and ANY_SEGMENT not in (mine, theirs) for mine, theirs in pairs):
        return False
    # Where the row has the same literal, a path of the row has it as the other row writes it.
    return any(
        theirs != ANY_SEGMENT and (at >= len(row.segments) or row.segments[at] != theirs)
        for at, theirs in enumerate(other.segments)
    )
