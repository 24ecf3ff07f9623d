"""Tell what stands worse than in an earlier plan: assets, protections, findings, and what the file asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from watchword.apps.plan.causes import is_same
from watchword.apps.plan.stored import StoredEvidence, StoredPlan
from watchword.apps.plan.words import listed
from watchword.gate.interface import Route
from watchword.gate.routes import ANY_SEGMENT, CompiledRoute, compile_route, find_row
from watchword.observations import SEVERITIES
from watchword.plan.enforcement import LimitRule
from watchword.plan.interface import RouteRow
from watchword.plan.outcome import Exposure
from watchword.plan.reliance import NEGATIVE
from watchword.vocabulary import Level, Mode, Proof

_RANK: Final = {
    Exposure.CLOSED: 0,
    Exposure.UNREACHED: 1,
    Exposure.DELAYED: 2,
    Exposure.OPEN: 3,
}
"""How bad an exposure is.  What nobody is taken to reach is worse than what is closed: nothing protects it."""

_MODES: Final = (Mode.OFF, Mode.MONITOR, Mode.CANARY, Mode.ENFORCE)
_PROOFS: Final = (Proof.BEARER, Proof.SESSION, Proof.DEVICE)
_LEVELS: Final = (Level.NONE, Level.SOFTWARE, Level.VERIFIED, Level.HARDWARE)
_EVERYTHING: Final = "/**"
_MANY: Final = 3
_DIGITS: Final = 8
_MAX_REQUESTS: Final = 50_000
"""Most requests that two tables are compared by; tables that need more are told, and count as weaker."""

_OTHER: Final = "\0other"
"""Stands for a method, and for a segment of a path, that no table names."""


def worse(old: StoredPlan, new: StoredPlan) -> tuple[str, ...]:
    """Return the assets that stand worse than before, the highest impact first; new ones have no before."""
    found = [
        each
        for name, each in new.assets.items()
        if name in old.assets and _RANK[each.now] > _RANK[old.assets[name].now]
    ]
    return tuple(each.id for each in sorted(found, key=lambda each: (-each.impact, each.id)))


@dataclass(frozen=True, slots=True)
class Setback:
    """Hold a protection that stands worse at one place than before, whatever that does to an asset.

    :param what: ``lost``: it counted then.  ``fails``: it wasn't known to fail.  ``finding``: it failed before, and there is more
        against it now.
    :param seen: the statement that decides now, None where nothing is known any more.
    :param titles: what speaks against it now and didn't then.
    :param by: what saw it, or that nobody saw anything new.
    """

    protection: str
    target: str
    what: str
    seen: StoredEvidence | None
    titles: tuple[str, ...] = ()
    by: str = ""

    @property
    def why(self) -> str:
        """Return what was seen, and by whom."""
        if self.seen is None:
            return "Nothing speaks for it any more."
        titles = listed([each.rstrip(".") for each in self.titles], _MANY)
        return f"{titles or self.seen.why.rstrip('.')} ({self.by})."

    def named(self, name: str) -> str:
        """Return it as a sentence that begins with what happened.

        :param name: of the protection.
        """
        kind, _, place = self.target.partition(":")
        at = f"at {self.target}"
        if kind == "app" and self.seen is not None and self.seen.build:
            at = f"in build {self.seen.build[:_DIGITS]} of {place}"
        begins = {"lost": "Lost", "fails": "Fails", "finding": "New against"}[self.what]
        return f"{begins}: {self.protection} {name}, {at}. {self.why}"


def setbacks(old: StoredPlan, new: StoredPlan) -> tuple[Setback, ...]:
    """Return which protections were lost, which came out to fail, and which fail by more, in the order of ids and places.

    Assets that were open before hide all of it: that the last pin or the first leaked key changes nothing in them is no
    reason to say that nothing happened.
    """
    before, now = _standing(old), _standing(new)
    found = (
        _setback(place, before.get(place), now.get(place))
        for place in sorted(before.keys() | now.keys())
    )
    return tuple(each for each in found if each is not None)


def _setback(
    place: tuple[str, str],
    was: tuple[str, StoredEvidence] | None,
    is_: tuple[str, StoredEvidence] | None,
) -> Setback | None:
    before, now = (None if each is None else each[1] for each in (was, is_))
    counted = before is not None and before.state.counts
    counts = now is not None and now.state.counts
    fails = now is not None and now.state in NEGATIVE
    failed = before is not None and before.state in NEGATIVE
    by = _by(before, now)
    if counted and not counts:
        return Setback(*place, "lost", now, _more(None, now), by)
    if fails and not failed:
        return Setback(*place, "fails", now, _more(None, now), by)
    # Which of two keys decides goes by which was seen last: only the findings of one are compared.
    if fails and was is not None and is_ is not None and was[0] == is_[0]:
        more = _more(before, now)
        return Setback(*place, "finding", now, more, by) if more else None
    return None


def _standing(plan: StoredPlan) -> dict[tuple[str, str], tuple[str, StoredEvidence]]:
    """Return by protection and place which key decides there, and what it says; a plan holds one statement for each."""
    rows = sorted(plan.evidence.items(), key=lambda one: one[0])
    return {key[:2]: (key[2], each) for key, each in rows}


def _more(before: StoredEvidence | None, now: StoredEvidence | None) -> tuple[str, ...]:
    """Return the titles of findings that are new, or more severe than they were; of a plan that names none, nothing is known."""
    if now is None or not now.findings or (before is not None and before.findings is None):
        return ()
    known = (before.findings if before is not None else None) or {}
    rank = SEVERITIES.index
    return tuple(
        title if name not in known else f"now {severity}: {title}"
        for name, (severity, title) in now.findings.items()
        if name not in known or rank(severity) > rank(known[name][0])
    )


def _by(before: StoredEvidence | None, now: StoredEvidence | None) -> str:
    """Say who saw what decides now; where the same tool was another version before, a new rule may be all that is new."""
    if now is None:
        return ""
    seen = now.source
    if before is None or before.source == now.source:
        same = before is not None and is_same(before, now)
        return "its proof doesn't count any more" if same else seen
    if before.source.rpartition(" ")[0] == now.source.rpartition(" ")[0]:
        return f"{seen}; before it was {before.source}, which may look for less"
    return seen


@dataclass(frozen=True, slots=True)
class Weakening:
    """Hold what the file asks for less than before.

    :param place: ``api:NAME``, or the host that is pinned.
    """

    place: str
    what: str


def weakened(old: StoredPlan, new: StoredPlan) -> tuple[Weakening, ...]:
    """Return which routes, limits and pins ask for less, each once; of a plan that doesn't say, nothing is known."""
    tables = _tables(new)
    gone = set()
    found: list[Weakening] = []
    for api, rows in _tables(old).items():
        if api not in tables:
            gone.add(api)
            if any(_rank(_MODES, each.mode) for each in rows):
                what = "it is gone from the file, and nothing guards it"
                found.append(Weakening(f"api:{api}", what))
        else:
            found += (Weakening(f"api:{api}", each) for each in _weaker_routes(rows, tables[api]))
    for limit in old.limits or ():
        less = "" if limit.api in gone else _weaker_limit(limit, new.limits or ())
        found += [Weakening(f"api:{limit.api}", less)] if less else []
    pinned = {(each.host, each.app): each.enforced for each in new.pins or ()}
    for pin in old.pins or ():
        if (pin.host, pin.app) not in pinned:
            found.append(Weakening(pin.host, f"{pin.app} doesn't pin it any more"))
        elif pin.enforced and not pinned[pin.host, pin.app]:
            found.append(Weakening(pin.host, f"its pins in {pin.app}: enforce -> report"))
    return tuple(dict.fromkeys(found))


def _tables(plan: StoredPlan) -> dict[str, list[RouteRow]]:
    found: dict[str, list[RouteRow]] = {}
    for each in plan.routes or ():
        found.setdefault(each.api, []).append(each)
    return found


def untold(old: StoredPlan) -> tuple[str, ...]:
    """Return what can't be told, since the earlier plan was stored by a version that didn't keep it."""
    found = []
    if None in (old.routes, old.limits, old.pins):
        found.append("whether a route, a limit or a pin asks for less")
    if any(each.findings is None for each in old.evidence.values()):
        found.append("whether there is a new finding against what failed before")
    return tuple(found)


def is_worse(old: StoredPlan, new: StoredPlan) -> bool:
    """Tell whether anything stands worse than before, or can't be told to stand no worse."""
    return bool(worse(old, new) or setbacks(old, new) or weakened(old, new) or untold(old))


def _weaker_routes(old: Sequence[RouteRow], new: Sequence[RouteRow]) -> Iterator[str]:
    """Yield where requests that a row decided meet one that asks for less, a line for each two rows.

    Both tables are asked about one request for each two rows that can meet: of all that they share the most ordinary one, which
    matches nothing that the others wouldn't match too.
    """
    if old == new:
        return
    tables = [_compiled(each) for each in old], [_compiled(each) for each in new]
    depth = 1 + max(len(each.segments) for table in tables for each in table)
    asked = 0
    for (one, row), (two, other) in product(enumerate(tables[0]), enumerate(tables[1])):
        less = _less(old[one], new[two])
        for method, path in _requests(row, other, depth) if less else ():
            asked += 1
            if (find_row(tables[0], method, path), find_row(tables[1], method, path)) == (one, two):
                was, is_ = str(old[one]), str(new[two]) or "a row that can't be read"
                yield (
                    f"route {is_}: {less}" if was == is_ else f"route {was} falls to {is_}: {less}"
                )
                break
        if asked > _MAX_REQUESTS:
            yield "its tables are too large to be compared: look through the routes"
            return


def _compiled(row: RouteRow) -> CompiledRoute:
    """Return a row as it matches; one that can't be read may match anything."""
    path = row.path or _EVERYTHING
    methods = frozenset(row.methods)
    return compile_route(Route("", path, methods, Level.NONE, Proof.BEARER, Mode.OFF))


def _less(old: RouteRow, new: RouteRow) -> str:
    """Return in what a row asks for less than another, empty where it doesn't."""
    pairs = [
        (name, ranks, *(getattr(each, name) for each in (old, new)))
        for name, ranks in (("mode", _MODES), ("proof", _PROOFS), ("level", _LEVELS))
    ]
    if not _rank(_MODES, old.mode):
        return ""
    if not _rank(_MODES, new.mode):
        pairs = pairs[:1]
    return ", ".join(
        f"{name} {was} -> {is_ or 'unknown'}"
        for name, ranks, was, is_ in pairs
        if _rank(ranks, is_) < _rank(ranks, was)
    )


def _rank(ranks: Sequence[str], word: str) -> int:
    """Return how much a word asks for; one that nobody knows asks for nothing."""
    return ranks.index(word) if word in ranks else 0


def _requests(
    one: CompiledRoute, other: CompiledRoute, depth: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield requests that match both, as ordinary as they can be; none where nothing does.

    :param depth: more segments than any row names.
    """
    short, long = sorted((one, other), key=lambda each: len(each.segments))
    if len(short.segments) < len(long.segments) and not short.open_ended:
        return
    path = []
    for number, mine in enumerate(long.segments):
        theirs = short.segments[number] if number < len(short.segments) else ANY_SEGMENT
        if mine != theirs and ANY_SEGMENT not in {mine, theirs}:
            return
        found = mine if theirs == ANY_SEGMENT else theirs
        path.append(_OTHER if found == ANY_SEGMENT else found)
    methods: Sequence[str] = sorted(one.methods & other.methods)
    if not one.methods or not other.methods:
        methods = sorted(one.methods | other.methods) or [_OTHER]
    rests = range(depth - len(path) + 1) if one.open_ended and other.open_ended else (0,)
    for method, rest in product(methods, rests):
        yield method, (*path, *[_OTHER] * rest)


def _weaker_limit(old: LimitRule, limits: Sequence[LimitRule]) -> str:
    """Say how a limit is gone or allows more; empty where it doesn't, or another name holds as strictly."""
    new = [each for each in limits if each.api == old.api]
    if not old.enforced or any(_as_strict(each, old) for each in new):
        return ""
    now = next((each for each in new if each.name == old.name), None)
    if now is None:
        return f"limit {old.name} ({_amount(old)}) is gone"
    if not now.enforced:
        return f"limit {old.name}: mode enforce -> monitor"
    if _amount(now) != _amount(old):
        return f"limit {old.name}: {_amount(old)} -> {_amount(now)}"
    return f"limit {old.name} holds for fewer requests than before"


def _as_strict(new: LimitRule, old: LimitRule) -> bool:
    everywhere = not new.routes or (old.routes and set(old.routes) <= set(new.routes))
    return bool(
        new.enforced
        and everywhere
        and (old.narrowed or not new.narrowed)
        and new.requests <= old.requests
        and new.requests * old.seconds <= old.requests * new.seconds
    )


def _amount(limit: LimitRule) -> str:
    return f"{limit.requests:,} in {limit.seconds:,} s"
