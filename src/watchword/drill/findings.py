"""Say what a run proves, protection by protection."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from watchword.drill.interface import NEEDED, Attack, Sample, Variant
from watchword.drill.judgements import AttackResult, Finding, VariantResult, Verdict, worst
from watchword.observations import BY_A_PROOF, OF_A_ROUTE, SeenRoute, State
from watchword.vocabulary import Mode, Proof

_BAD: Final = frozenset({State.ABSENT, State.BROKEN})


def findings_of(
    results: Sequence[AttackResult],
    attacks: Iterable[Attack],
    *,
    complete: bool,
    spoilt: Sequence[str] = (),
    unprovable: Mapping[str, str] = MappingProxyType({}),
    samples: Sequence[Sample] = (),
) -> tuple[Finding, ...]:
    """Return what the results say of each protection that an attack tests, by route where a route decides it.

    Proven: every attack on it that could be run here was stopped, and at least one ran.  Bad news needs one attack that
    was served, or a deployment that hasn't got it: ``broken`` where other attacks were stopped, ``absent`` where none was.

    :param attacks: all that there are; a run of a choice of them proves nothing.
    :param complete: whether the run came to its end.
    :param unprovable: by protection, why this run can't prove it, whatever it stopped.
    :param samples: that attacks were carried out with; where they name their routes, so do the findings.
    :param spoilt: why the run proves nothing, such as that the genuine app wasn't served throughout: who refuses everybody
        protects nobody.
    """
    by_protection: dict[tuple[str, str], list[AttackResult]] = defaultdict(list)
    for result in results:
        for protection, key in result.attack.protections.items():
            by_protection[protection, key].append(result)
    wanted: dict[str, set[str]] = defaultdict(set)
    for attack in attacks:
        for protection in attack.protections:
            wanted[protection].add(attack.id)
    table = _Table.of(samples)
    found: Iterable[Finding] = [
        each
        for (protection, key), some in sorted(by_protection.items())
        for each in _by_route(
            _Judge(protection, key, wanted[protection], complete), some, results, table
        )
    ]
    found = (
        replace(each, state=None, why=unprovable[each.protection])
        if each.state is State.PROVEN and each.protection in unprovable
        else each
        for each in found
    )
    if not spoilt:
        return tuple(found)
    why = "; ".join(spoilt[:2])
    return tuple(
        replace(each, state=None, why=why) if each.state is State.PROVEN else each for each in found
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """Hold the routes that samples fall under.

    :param tried: those that a gate stands before.
    :param lax: those that the file doesn't have enforced: what is served there says nothing of others.
    """

    tried: tuple[SeenRoute, ...]
    lax: frozenset[SeenRoute]

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "_Table":
        known = [(each, each.seen) for each in samples]
        modes = {seen: each.mode for each, seen in known if seen is not None}
        tried = [
            seen
            for each, seen in known
            if seen is not None and not each.login and (each.mode is not Mode.OFF or each.assets)
        ]
        lax = frozenset(seen for seen, mode in modes.items() if mode is not Mode.ENFORCE)
        return cls(tuple(dict.fromkeys(tried)), lax)


def _by_route(
    judge: "_Judge",
    own: Sequence[AttackResult],
    results: Sequence[AttackResult],
    table: _Table,
) -> Iterator[Finding]:
    """Yield what results on one protection say of it on each route, routes of which they say the same together.

    :param own: of all ``results`` those of attacks that it has to stop.
    """
    if not (table.tried and judge.key.startswith(OF_A_ROUTE)):
        yield judge.of(own, results)
        return
    alike: list[tuple[Finding, list[SeenRoute]]] = []
    for route in table.tried:
        there, of_all = ([_at(route, each, table.lax) for each in some] for some in (own, results))
        found = _on_its_own(judge.of(there, of_all), route, own)
        routes = next((routes for other, routes in alike if other == found), None)
        if routes is None:
            alike.append((found, [route]))
        else:
            routes.append(route)
    for found, routes in alike:
        yield replace(found, routes=tuple(routes))


def _on_its_own(found: Finding, route: SeenRoute, results: Sequence[AttackResult]) -> Finding:
    """Return what is found on a route where what holds elsewhere is no proof: something has to have been stopped on it."""
    ends = [variant.routes.get(route) for each in results for variant in each.variants]
    if found.key in BY_A_PROOF and route.proof is Proof.BEARER and found.state not in _BAD:
        # A token alone is what a thief has, and what is sent once may be sent again.
        why = "the route takes the token alone (proof: bearer)"
        return replace(found, state=State.ABSENT if Verdict.ABSENT in ends else None, why=why)
    if found.state is State.PROVEN and Verdict.STOPPED not in ends:
        return replace(found, state=None, why="not tried on this route")
    return found


def _at(route: SeenRoute, result: AttackResult, lax: frozenset[SeenRoute]) -> AttackResult:
    """Return how an attack ended as far as that says something of one route."""
    ways = {each.name: each for each in result.attack.variants}
    variants = tuple(_variant_at(route, each, ways.get(each.name), lax) for each in result.variants)
    return replace(result, variants=variants, verdict=worst([each.verdict for each in variants]))


def _variant_at(
    route: SeenRoute, found: VariantResult, way: Variant | None, lax: frozenset[SeenRoute]
) -> VariantResult:
    """Return how a variant ended on a route: there, or on any that is enforced where it is tried on one for all."""
    if not found.routes:
        return found
    apart = way is not None and way.each_route
    ends = [
        verdict
        for each, verdict in found.routes.items()
        if each in {route, None} or not (apart or each in lax)
    ]
    return replace(found, verdict=worst(ends) if ends else Verdict.NOT_RUN)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Say what results come to, each of which holds for one place.

    :param wanted: ids of all attacks on the protection.
    """

    protection: str
    key: str
    wanted: set[str]
    complete: bool

    def of(self, own: Sequence[AttackResult], results: Sequence[AttackResult]) -> Finding:
        """Return what they say, those that this protection has to stop and all."""
        state, why = self._state(own)
        return Finding(self.protection, self.key, state, why, _strengths(own, results))

    def _state(self, results: Sequence[AttackResult]) -> tuple[State | None, str]:
        def ids(verdict: Verdict) -> list[str]:
            return [each.attack.id for each in results if each.verdict is verdict]

        served, stopped, unsure, absent = (
            ids(each) for each in (Verdict.OPEN, Verdict.STOPPED, Verdict.UNSURE, Verdict.ABSENT)
        )
        if served:
            holds = stopped or any(each.stopped for each in results)
            return State.BROKEN if holds else State.ABSENT, f"served: {_listed(served)}"
        if absent and not stopped:
            return State.ABSENT, f"not there: {_absent(results)}"
        if unsure or absent:
            return None, f"not sure of: {_listed(unsure + absent)}"
        left_out = sorted(self.wanted - {each.attack.id for each in results})
        if left_out or not self.complete:
            why = f"not tried: {_listed(left_out)}" if left_out else "the run was interrupted"
            return None, why
        if not stopped:
            return None, f"not run here: {_listed(sorted(self.wanted))}"
        missing = ids(Verdict.NOT_RUN)
        also = f"; not run here: {_listed(missing)}" if missing else ""
        variants = sum(each.stopped for each in results)
        why = f"{_counted(variants, 'variant')} of {_counted(len(stopped), 'attack')} stopped{also}"
        return State.PROVEN, why


def _absent(results: Sequence[AttackResult]) -> str:
    """Return what the deployment lacks."""
    needs = dict.fromkeys(
        NEEDED[variant.need]
        for result in results
        for variant in result.variants
        if variant.verdict is Verdict.ABSENT and variant.need is not None
    )
    return "; ".join(needs)


def _strengths(
    own: Sequence[AttackResult], results: Sequence[AttackResult]
) -> Mapping[str, tuple[int, int]]:
    """Return by technique how many variants this protection stopped, of those that it had to and those that got past all.

    What another protection had to stop counts against this one only where it was served: it got past this one too.
    """
    mine = {each.attack.id for each in own}
    found: dict[str, tuple[int, int]] = {}
    for technique in sorted({name for each in own for name in each.attack.techniques}):
        some = [each for each in results if technique in each.attack.techniques]
        stopped = sum(each.stopped for each in some if each.attack.id in mine)
        served = sum(each.ran - each.stopped for each in some)
        if stopped + served:
            found[technique] = (stopped, stopped + served)
    return found


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
