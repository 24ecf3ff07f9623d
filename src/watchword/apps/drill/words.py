"""Say what a drill found in words that every view shares, and make strangers' text safe to show."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from watchword.apps.reports.text import listed, shown
from watchword.drill.interface import Attack
from watchword.drill.judging import worst
from watchword.drill.needs import NEEDED, Need
from watchword.drill.outcome import AttackResult, Finding, Report, VariantResult, Verdict
from watchword.encoding.wording import counted

NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
"""Stands for the names of protections where nobody knows them."""

FEW: Final = 2
"""Most variants of one attack that a summary names: each attack's own place has them all."""

VERDICTS: Final[Mapping[Verdict, str]] = {
    Verdict.STOPPED: "STOPPED",
    Verdict.OPEN: "OPEN",
    Verdict.ABSENT: "ABSENT",
    Verdict.UNSURE: "UNSURE",
    Verdict.NOT_RUN: "not run",
}

WORST_FIRST: Final = (
    Verdict.OPEN,
    Verdict.ABSENT,
    Verdict.UNSURE,
    Verdict.STOPPED,
    Verdict.NOT_RUN,
)

UNTRIED: Final = frozenset({Verdict.ABSENT, Verdict.NOT_RUN})
"""Verdicts under which nothing was tried."""


def api_of(report: Report) -> str:
    """Return what was attacked by its name in the file, else by its URL."""
    return shown(report.target) if report.facts.api is None else f"api:{shown(report.facts.api)}"


def tally(result: AttackResult) -> str:
    """Return how many variants were stopped, of how many that were run: ``3/4 stopped``."""
    if result.verdict in UNTRIED:
        return ""
    tried = sum(each.verdict not in UNTRIED for each in result.variants)
    return f"{result.stopped}/{tried} stopped"


def worst_variant(result: AttackResult) -> VariantResult | None:
    """Return the first variant that ended as its attack did; None for an attack without any."""
    wanted = worst([each.verdict for each in result.variants])
    return next((each for each in result.variants if each.verdict is wanted), None)


def outcome(variant: VariantResult) -> str:
    """Return what came back, and what had to: ``served 200, expected token.missing``."""
    got = shown(variant.got)
    return f"{got}, expected {shown(variant.expected)}" if variant.expected else got


def verdict_counts(report: Report) -> list[tuple[Verdict, int]]:
    """Return how many attacks ended how, the worst first."""
    return [(verdict, report.count(verdict)) for verdict in WORST_FIRST]


def genuine(report: Report) -> str:
    """Return how the genuine app fared."""
    found = report.genuine
    if not found.sent:
        why = f": {shown(found.missing)}" if found.missing else ""
        return f"no request was sent for it{why}"
    return f"served {found.served:,} of {found.sent:,}"


def state_of(finding: Finding) -> str:
    """Return what a run says of a protection, in a word."""
    return "says nothing" if finding.state is None else finding.state.value


def routes(finding: Finding) -> str:
    """Return on which routes a finding holds; empty where it holds for the whole API."""
    return f"on {listed([shown(str(each)) for each in finding.routes])}" if finding.routes else ""


def needed(need: Need | None) -> str:
    """Return what was missing."""
    return "needs something else" if need is None else f"needs {NEEDED[need]}"


def missing(results: Iterable[AttackResult], most: int = FEW) -> dict[str, list[str]]:
    """Return by what was missing what wasn't run: an attack by its id, some of its variants as ``id (variant)``.

    :param most: of an attack's variants that are named; of more it is only said how many they are.
    """
    order = list(Need)
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    for result in results:
        needs: dict[tuple[int, str], list[str]] = defaultdict(list)
        for each in result.variants:
            if each.verdict is Verdict.NOT_RUN:
                place = len(order) if each.need is None else order.index(each.need)
                needs[place, _lacked(each)].append(each.name)
        for need, names in needs.items():
            whole = len(names) == len(result.variants)
            some = listed(names) if len(names) <= most else counted(len(names), "variant")
            found[need].append(result.attack.id if whole else f"{result.attack.id} ({some})")
    return {what: names for (_, what), names in sorted(found.items())}


def _lacked(variant: VariantResult) -> str:
    """Return what a variant lacked: of a sample its kind too, since there are samples of others."""
    said = shown(variant.got)
    return said if variant.need is Need.SAMPLE and said else needed(variant.need)


def ids(attacks: Iterable[Attack]) -> list[str]:
    """Return the ids of attacks, in order."""
    return [each.id for each in attacks]


def seen_by_counters(results: Iterable[AttackResult]) -> tuple[list[str], list[str]]:
    """Return of the open attacks those whose reasons were counted in the run, and those whose weren't.

    In mode ``monitor`` a gate serves and counts: an attack is open there, and yet seen.  Where nobody can see the
    counters, both are empty.
    """
    served = [
        (each.attack.id, each.counted)
        for each in results
        if each.verdict is Verdict.OPEN and each.counted is not None
    ]
    return (
        [f"{name} ({count:,})" for name, count in served if count],
        [name for name, count in served if not count],
    )
