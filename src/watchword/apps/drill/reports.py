"""Say what a drill came to: in words that every view shares, as JSON, JUnit, SARIF and HTML, and whether it failed."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

from watchword import __version__
from watchword.apps.reports import junit as junit_kit
from watchword.apps.reports import sarif as sarif_kit
from watchword.apps.reports.html import render
from watchword.apps.reports.junit import Case, Suite
from watchword.apps.reports.sarif import message
from watchword.apps.reports.text import listed, shown
from watchword.drill.interface import NEEDED, Attack, Facts, Need
from watchword.drill.judgements import AttackResult, Finding, Report, VariantResult, Verdict, worst
from watchword.encoding.phrases import counted, moment
from watchword.observations import SeenRoute

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


def attacked_api(report: Report) -> str:
    """Return what was attacked by its name in the file, else by its URL."""
    return shown(report.target) if report.facts.api is None else f"api:{shown(report.facts.api)}"


def tally_of(result: AttackResult) -> str:
    """Return how many variants were stopped, of how many that were run: ``3/4 stopped``."""
    if result.verdict in UNTRIED:
        return ""
    tried = sum(each.verdict not in UNTRIED for each in result.variants)
    return f"{result.stopped}/{tried} stopped"


def worst_variant(result: AttackResult) -> VariantResult | None:
    """Return the first variant that ended as its attack did; None for an attack without any."""
    wanted = worst([each.verdict for each in result.variants])
    return next((each for each in result.variants if each.verdict is wanted), None)


def outcome_of(variant: VariantResult) -> str:
    """Return what came back, and what had to: ``served 200, expected token.missing``."""
    got = shown(variant.got)
    return f"{got}, expected {shown(variant.expected)}" if variant.expected else got


def verdict_counts(report: Report) -> list[tuple[Verdict, int]]:
    """Return how many attacks ended how, the worst first."""
    return [(verdict, report.count(verdict)) for verdict in WORST_FIRST]


def genuine_fared(report: Report) -> str:
    """Return how the genuine app fared."""
    found = report.genuine
    if not found.sent:
        why = f": {shown(found.missing)}" if found.missing else ""
        return f"no request was sent for it{why}"
    return f"served {found.served:,} of {found.sent:,}"


def state_of(finding: Finding) -> str:
    """Return what a run says of a protection, in a word."""
    return "says nothing" if finding.state is None else finding.state.value


def routes_of(finding: Finding) -> str:
    """Return on which routes a finding holds; empty where it holds for the whole API."""
    return f"on {listed([shown(str(each)) for each in finding.routes])}" if finding.routes else ""


def needed(need: Need | None) -> str:
    """Return what was missing."""
    return "needs something else" if need is None else f"needs {NEEDED[need]}"


def missing_by_need(results: Iterable[AttackResult], most: int = FEW) -> dict[str, list[str]]:
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


_NAMED: Final = 5


def failed(report: Report, conditions: Collection[str]) -> list[str]:
    """Return why a drill failed, a sentence each for people; empty where no condition holds.

    An interrupted run fails as soon as anything was asked of it: what it didn't come to may have been open.

    :param conditions: names of :data:`CONDITIONS`; without any a drill never fails.
    :raises ValueError: for a name that isn't one, which is a fault of ours.
    """
    unknown = sorted(set(conditions) - CONDITIONS.keys())
    if unknown:
        raise ValueError(f"got {unknown}, expected some of {list(CONDITIONS)}")
    reasons = [
        reason
        for name, reasons_of in CONDITIONS.items()
        if name in conditions
        for reason in reasons_of(report)
    ]
    if conditions and report.interrupted:
        reasons.append("The run was interrupted: what didn't run may be open.")
    return reasons


def _open(report: Report) -> Iterator[str]:
    yield from _that_ended(report, Verdict.OPEN, "open: the API served it")


def _absent(report: Report) -> Iterator[str]:
    yield from _that_ended(report, Verdict.ABSENT, "absent: there is nothing that could stop it")


def _unsure(report: Report) -> Iterator[str]:
    yield from _that_ended(
        report, Verdict.UNSURE, "unsure: refused, but not for what it was made for"
    )
    if report.changed:
        yield f"unsure: {report.changed}."


def _not_run(report: Report) -> Iterator[str]:
    """Yield attacks of which nothing ran, and variants that were left out of others."""
    yield from _that_ended(report, Verdict.NOT_RUN, "not run: something is missing")
    left_out = [
        f"{result.attack.id}/{each.name}"
        for result in report.results
        if result.verdict is not Verdict.NOT_RUN
        for each in result.variants
        if each.verdict is Verdict.NOT_RUN
    ]
    if left_out:
        yield f"{counted(len(left_out), 'variant')} not run: {listed(left_out, _NAMED)}."
    if report.facts.unasked:
        routes = listed([shown(each) for each in report.facts.unasked], _NAMED)
        yield f"No request falls on {routes}: nothing is proven there."


def _genuine_failed(report: Report) -> Iterator[str]:
    """Yield where the genuine app wasn't served; that it is must be shown, so that no request is a fault too."""
    found = report.genuine
    if not found.sent or found.served < found.sent:
        faults = f" ({'; '.join(map(shown, found.faults[:_NAMED]))})" if found.faults else ""
        yield f"The genuine app wasn't always served: {genuine_fared(report)}{faults}."
    for each in report.controls:
        if not each.served:
            yield f"The genuine app isn't served {shown(each.sample)}: {shown(each.got)}."


def _weak_route(report: Report) -> Iterator[str]:
    yield from report.facts.weak


def _nothing(report: Report) -> Iterator[str]:
    if all(each.verdict in UNTRIED for each in report.results):
        yield "No attack ran, so that the run says nothing."


def _that_ended(report: Report, verdict: Verdict, what: str) -> Iterator[str]:
    names = [each.attack.id for each in report.results if each.verdict is verdict]
    if names:
        yield f"{counted(len(names), 'attack')} {what}: {listed(names, _NAMED)}."


CONDITIONS: Final[Mapping[str, Callable[[Report], Iterator[str]]]] = MappingProxyType(
    {
        "open": _open,
        "absent": _absent,
        "unsure": _unsure,
        "not-run": _not_run,
        "genuine": _genuine_failed,
        "nothing": _nothing,
        "weak-route": _weak_route,
    }
)
"""What ``--fail-on`` may name, and what says why it holds.

``open``: an attack was served.  ``absent``: what would have to stop one isn't there.  ``unsure``: one was refused for another reason.  ``not-run``: one, or a variant of one,
lacked something.  ``genuine``: the genuine app wasn't always served.  ``nothing``: no attack ran at all.
``weak-route``: a route lets pass what would harm an asset of the plan.
"""


VERSION: Final = 1
"""Form of the document; another number is another form, a new member isn't."""

DOCUMENT_MARK: Final = '"kind": "watchword-drill"'
"""Stands in every document as it is written to a file, by which an earlier one is known."""


def document(report: Report) -> dict[str, Any]:
    """Return the report as JSON.

    Text that the deployment under attack may have had a hand in is made printable, and cut where it is very long.
    """
    return {
        "v": VERSION,
        "kind": "watchword-drill",
        "tool": {"name": "watchword", "version": __version__},
        "target": shown(report.target),
        "loopback": report.loopback,
        "facts": _facts(report.facts),
        "started": moment(report.started),
        "seconds": round(report.seconds, 3),
        "requests": report.requests,
        "interrupted": report.interrupted,
        "changed": report.changed,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        "controls": [
            {"sample": shown(each.sample), "served": each.served, "got": shown(each.got)}
            for each in report.controls
        ],
        "genuine": {
            "sent": report.genuine.sent,
            "served": report.genuine.served,
            "faults": [shown(each) for each in report.genuine.faults],
            "missing": shown(report.genuine.missing),
        },
        "attacks": [_attack(each) for each in report.results],
        "findings": [_finding(each) for each in report.findings],
    }


def _facts(facts: Facts) -> dict[str, Any]:
    return {
        "api": facts.api,
        "issuer": facts.issuer,
        "audience": facts.audience,
        "audiences": {app: sorted(facts.audiences[app]) for app in sorted(facts.audiences)},
        "environment": facts.environment.value,
        "token_lifetime": facts.token_lifetime,
        "leeway": facts.leeway,
        "off": list(facts.off),
        "unasked": [shown(each) for each in facts.unasked],
        "weak_routes": [shown(each) for each in facts.weak],
        "rate": None
        if facts.rate is None
        else {"requests": facts.rate[0], "seconds": facts.rate[1]},
        "binding_header": facts.binding_header,
    }


def _attack(result: AttackResult) -> dict[str, Any]:
    attack = result.attack
    return {
        "id": attack.id,
        "title": attack.title,
        "verdict": result.verdict.value,
        "techniques": list(attack.techniques),
        "protections": dict(sorted(attack.protections.items())),
        "needs": [each.value for each in attack.needs],
        "exploits": attack.exploits,
        "stopped": result.stopped,
        "ran": result.ran,
        "seconds": round(result.seconds, 3),
        "counted": result.counted,
        "variants": [_variant(each) for each in result.variants],
    }


def _variant(variant: VariantResult) -> dict[str, Any]:
    return {
        "name": variant.name,
        "verdict": variant.verdict.value,
        "got": shown(variant.got),
        "expected": shown(variant.expected),
        "reasons": [shown(each) for each in variant.reasons],
        "need": None if variant.need is None else variant.need.value,
        "sent": variant.sent,
        "routes": [
            {**_route(route), "verdict": verdict.value}
            for route, verdict in variant.routes.items()
            if route is not None
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "protection": finding.protection,
        "key": finding.key,
        "state": None if finding.state is None else finding.state.value,
        "why": finding.why,
        "routes": [_route(each) for each in finding.routes],
        "strengths": {
            technique: f"{stopped}/{ran}"
            for technique, (stopped, ran) in sorted(finding.strengths.items())
        },
    }


def _route(route: SeenRoute) -> dict[str, str]:
    return {"path": route.path, "method": route.method, "proof": route.proof.value}


JUNIT_MARK: Final = "<!-- watchword drill -->"
"""Stands in the second line of every file, by which an earlier one is known."""


def junit(report: Report) -> str:
    """Return the XML document.

    An attack that was served or that nothing could stop is a failure, one that nobody can be sure of an error, one that isn't run is skipped.  A run
    that was interrupted gets a suite of its own with an error, so that what is left doesn't pass for the whole.
    """
    api, properties = attacked_api(report), {"target": shown(report.target)}
    suites = [
        Suite(
            each.attack.id,
            api,
            [_case(each, one) for one in each.variants],
            each.seconds,
            properties,
        )
        for each in report.results
    ]
    suites.append(Suite("genuine-app", api, list(_genuine_cases(report)), 0.0, properties))
    if report.interrupted:
        why = "The run was interrupted: what didn't run isn't in this file."
        cases = [_bad_case("to-its-end", "error", "interrupted", why)]
        suites.append(Suite("run", api, cases, report.seconds, properties))
    return junit_kit.junit("watchword.drill", JUNIT_MARK, suites, report.started)


def _bad_case(name: str, element: str, kind: str, said: str) -> Case:
    return Case(name, element, kind, said, [said])


def _case(result: AttackResult, variant: VariantResult) -> Case:
    name = variant.name
    if variant.verdict is Verdict.OPEN:
        return _bad_case(name, "failure", "open", outcome_of(variant))
    if variant.verdict is Verdict.ABSENT:
        return _bad_case(name, "failure", "absent", shown(variant.got))
    if variant.verdict is Verdict.UNSURE:
        return _bad_case(name, "error", "unsure", outcome_of(variant))
    if variant.verdict is Verdict.NOT_RUN:
        return _bad_case(name, "skipped", "not-run", shown(variant.got) or needed(variant.need))
    return Case(name, lines=[f"{result.attack.id}/{name}: {shown(variant.got)}"])


def _genuine_cases(report: Report) -> Iterator[Case]:
    """Yield a case for each sample that the genuine app asks for, and one for what it sent beside the attacks."""
    for control in report.controls:
        got = shown(control.got)
        if control.served:
            yield Case(f"served {shown(control.sample)}", lines=[got])
        else:
            yield _bad_case(f"served {shown(control.sample)}", "failure", "not-served", got)
    found = report.genuine
    said = f"served {found.served} of {found.sent}"
    if not found.sent:
        yield _bad_case("beside-the-attacks", "skipped", "not-run", "no genuine request was sent")
    elif found.served < found.sent:
        faults = "; ".join(map(shown, found.faults))
        yield _bad_case(
            "beside-the-attacks", "failure", "not-served", f"{said}: {faults}".rstrip(": ")
        )
    else:
        yield Case("beside-the-attacks", lines=[said])


SARIF_MARK: Final = '"name": "watchword drill"'
"""Stands near the start of every log as it is written to a file, by which an earlier one is known."""

PAGE: Final = "docs/attacks.md"
"""Where each attack has a section by its id."""

_LEVELS: Final[Mapping[Verdict, str]] = {
    Verdict.OPEN: "error",
    Verdict.ABSENT: "warning",
    Verdict.UNSURE: "warning",
}
_FINGERPRINT: Final = "watchwordDrill/v1"


def sarif(
    report: Report, *, file: PurePath | None = None, docs: str | None = None
) -> dict[str, Any]:
    """Return the report as a SARIF log with one run.

    :param file: the ``watchword.yaml`` that the deployment runs by, as a path relative to the repository; a viewer of
        code shows results beside it, and some show none without a file.
    :param docs: absolute URL of the page of attacks, if it is published: a help URI must be absolute (3.49.12).
    """
    run = {
        "tool": sarif_kit.driver(
            "watchword drill", [_rule(each.attack, docs) for each in report.results]
        ),
        "automationDetails": {"id": f"watchword-drill/{attacked_api(report)}/"},
        "invocations": [_invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": list(_results(report, file)),
        "properties": {
            "target": shown(report.target),
            "loopback": report.loopback,
            "environment": report.facts.environment.value,
            "requests": report.requests,
            "genuine": {"sent": report.genuine.sent, "served": report.genuine.served},
        },
    }
    return sarif_kit.log([run])


def _rule(attack: Attack, docs: str | None) -> dict[str, Any]:
    parts = (("Sends", attack.sends), ("Must", attack.must), ("Can't tell", attack.blind))
    page = f"{PAGE if docs is None else docs}#{attack.id}"
    rule = sarif_kit.rule(
        attack.id,
        (attack.title, attack.must),
        parts,
        page,
        techniques=attack.techniques,
        protections=attack.protections,
    )
    rule["defaultConfiguration"] = {"level": _LEVELS[Verdict.OPEN]}
    return rule if docs is None else {**rule, "helpUri": page}


def _results(report: Report, file: PurePath | None) -> Iterator[dict[str, Any]]:
    for index, result in enumerate(report.results):
        for variant in result.variants:
            if variant.verdict in _LEVELS:
                yield _result(report, index, result.attack, variant, file)


def _result(
    report: Report, index: int, attack: Attack, variant: VariantResult, file: PurePath | None
) -> dict[str, Any]:
    where = attacked_api(report)
    finger = hashlib.sha256(f"{attack.id}\n{variant.name}\n{where}".encode()).hexdigest()
    location: dict[str, Any] = {
        "logicalLocations": [
            {"name": where, "fullyQualifiedName": f"{where} {variant.name}", "kind": "resource"}
        ]
    }
    if file is not None:
        # The file as a whole is meant; viewers of code ask for a line all the same.
        location["physicalLocation"] = {
            "artifactLocation": {"uri": sarif_kit.uri(file)},
            "region": {"startLine": 1},
        }
    return {
        "ruleId": attack.id,
        "ruleIndex": index,
        "level": _LEVELS[variant.verdict],
        "message": {"text": message(f"{attack.title} ({variant.name}): {outcome_of(variant)}")},
        "locations": [location],
        **sarif_kit.fingerprints(_FINGERPRINT, finger),
        "properties": {
            "verdict": variant.verdict.value,
            "variant": variant.name,
            "got": shown(variant.got),
            "expected": shown(variant.expected),
            "reasons": [shown(each) for each in variant.reasons],
            "sent": variant.sent,
        },
    }


def _invocation(report: Report) -> dict[str, Any]:
    notes = [
        _note(index, each)
        for index, each in enumerate(report.results)
        if any(variant.verdict is Verdict.NOT_RUN for variant in each.variants)
    ]
    ended = report.started + timedelta(seconds=report.seconds)
    found: dict[str, Any] = {
        "executionSuccessful": not report.interrupted,
        "startTimeUtc": moment(report.started, "milliseconds"),
        "endTimeUtc": moment(ended, "milliseconds"),
    }
    if report.interrupted:
        why = "The run was interrupted: what didn't run isn't in this log."
        found["exitSignalName"] = "SIGINT"
        notes.append({"level": "error", "message": {"text": why}})
    if notes:
        found["toolExecutionNotifications"] = notes
    return found


def _note(index: int, result: AttackResult) -> dict[str, Any]:
    """Return that an attack, or some of its variants, wasn't run, and for want of what."""
    missing = [each for each in result.variants if each.verdict is Verdict.NOT_RUN]
    whys = dict.fromkeys(shown(each.got) or needed(each.need) for each in missing)
    names = ", ".join(each.name for each in missing)
    return {
        "level": "note",
        "message": {"text": message(f"Not run: {result.attack.id} ({names}): {'; '.join(whys)}")},
        "associatedRule": {"id": result.attack.id, "index": index},
    }


HTML_MARK: Final = '<meta name="generator" content="Watchword drill">'
"""Stands in the head of every page, by which an earlier one is known when it is to be written over."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Hold the attacks on one protection; without a finding, those that are on none."""

    finding: Finding | None
    name: str
    results: tuple[AttackResult, ...]


def html_page(report: Report, names: Mapping[str, str] = NO_NAMES) -> str:
    """Return the page: how the run ended on top, then the attacks by the protection that must stop them.

    :param names: of protections, by id, where they are known.
    """
    return render(
        "watchword.apps.drill",
        mark=HTML_MARK,
        report=report,
        heading=_heading(report),
        groups=list(_groups(report, names)),
        missing=missing_by_need(report.results),
        counters=seen_by_counters(report.results),
        VERDICTS=VERDICTS,
        counted=counted,
        genuine_fared=genuine_fared,
        listed=listed,
        outcome_of=outcome_of,
        routes_of=routes_of,
        state_of=state_of,
        tally_of=tally_of,
        verdict_counts=verdict_counts,
        worst_variant=worst_variant,
    )


def _heading(report: Report) -> str:
    ran = sum(each.verdict not in UNTRIED for each in report.results)
    served, unsure = report.count(Verdict.OPEN), report.count(Verdict.UNSURE)
    absent = report.count(Verdict.ABSENT)
    if not ran:
        return "No attack ran"
    if served:
        return f"{served} of {counted(ran, 'attack')} got through"
    if unsure:
        return f"No attack got through, but {unsure} of {ran} prove nothing"
    if absent:
        return f"Nothing got through, but {counted(absent, 'attack')} would meet nothing that could stop it"
    return f"{counted(ran, 'attack')} ran, and nothing got through"


def _groups(report: Report, names: Mapping[str, str]) -> Iterator[_Group]:
    """Yield the attacks of each finding in the order of the report, the worst first, and then those of none."""
    grouped: set[str] = set()
    told: set[tuple[str, str]] = set()
    for finding in report.findings:
        results = [
            each
            for each in report.results
            if each.attack.protections.get(finding.protection) == finding.key
        ]
        grouped |= {each.attack.id for each in results}
        # What routes say apart of one protection rests on the same attacks: they stand under the first.
        if (finding.protection, finding.key) in told:
            results = []
        told.add((finding.protection, finding.key))
        yield _Group(finding, names.get(finding.protection, ""), _worst_first(results))
    rest = [each for each in report.results if each.attack.id not in grouped]
    if rest:
        yield _Group(None, "", _worst_first(rest))


def _worst_first(results: list[AttackResult]) -> tuple[AttackResult, ...]:
    return tuple(sorted(results, key=lambda each: WORST_FIRST.index(each.verdict)))
