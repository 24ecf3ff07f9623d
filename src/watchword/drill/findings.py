"""Say what a run proves, protection by protection."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from watchword.drill.interface import Attack
from watchword.drill.needs import NEEDED
from watchword.drill.outcome import AttackResult, Finding, Verdict
from watchword.observations import State


def findings_of(
    results: Sequence[AttackResult],
    attacks: Iterable[Attack],
    *,
    complete: bool,
    unserved: Sequence[str] = (),
    unprovable: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """Return what the results say of each protection that an attack tests.

    Proven: every attack on it that could be run here was stopped, and at least one ran.  Bad news needs one attack that
    was served, or a deployment that hasn't got it: ``broken`` where other attacks were stopped, ``absent`` where none was.

    :param attacks: all that there are; a run of a choice of them proves nothing.
    :param complete: whether the run came to its end.
    :param unprovable: by protection, why this run can't prove it, whatever it stopped.
    :param unserved: what the genuine app wasn't served beside the attacks or after them: who refuses everybody protects nobody.
    """
    by_protection: dict[tuple[str, str], list[AttackResult]] = defaultdict(list)
    for result in results:
        for protection, key in result.attack.protections.items():
            by_protection[protection, key].append(result)
    wanted: dict[str, set[str]] = defaultdict(set)
    for attack in attacks:
        for protection in attack.protections:
            wanted[protection].add(attack.id)
    found = (
        _finding(protection, key, some, wanted[protection], _strengths(some, results), complete)
        for (protection, key), some in sorted(by_protection.items())
    )
    found = (
        replace(each, state=None, why=unprovable[each.protection])
        if each.state is State.PROVEN and each.protection in unprovable
        else each
        for each in found
    )
    if not unserved:
        return tuple(found)
    why = f"the genuine app wasn't served throughout: {'; '.join(unserved[:2])}"
    return tuple(
        replace(each, state=None, why=why) if each.state is State.PROVEN else each for each in found
    )


def _finding(
    protection: str,
    key: str,
    results: Sequence[AttackResult],
    wanted: set[str],
    strengths: Mapping[str, tuple[int, int]],
    complete: bool,
) -> Finding:
    def ids(verdict: Verdict) -> list[str]:
        return [each.attack.id for each in results if each.verdict is verdict]

    served, stopped, unsure, absent = (
        ids(each) for each in (Verdict.OPEN, Verdict.STOPPED, Verdict.UNSURE, Verdict.ABSENT)
    )
    if served:
        state = State.BROKEN if stopped or any(each.stopped for each in results) else State.ABSENT
        return Finding(protection, key, state, f"served: {_listed(served)}", strengths)
    if absent and not stopped:
        return Finding(protection, key, State.ABSENT, f"not there: {_absent(results)}", strengths)
    if unsure or absent:
        unsure += absent
        return Finding(protection, key, None, f"not sure of: {_listed(unsure)}", strengths)
    left_out = sorted(wanted - {each.attack.id for each in results})
    if left_out or not complete:
        why = f"not tried: {_listed(left_out)}" if left_out else "the run was interrupted"
        return Finding(protection, key, None, why, strengths)
    if not stopped:
        return Finding(protection, key, None, f"not run here: {_listed(sorted(wanted))}", strengths)
    missing = ids(Verdict.NOT_RUN)
    also = f"; not run here: {_listed(missing)}" if missing else ""
    variants = sum(each.stopped for each in results)
    why = f"{_counted(variants, 'variant')} of {_counted(len(stopped), 'attack')} stopped{also}"
    return Finding(protection, key, State.PROVEN, why, strengths)


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
