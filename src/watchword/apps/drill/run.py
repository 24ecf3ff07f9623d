"""Run attacks side by side, with the genuine app served in between; put the report together, and what it proves into observations."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from watchword import __version__
from watchword.apps.drill.harness import Harness, Standing
from watchword.apps.drill.run_plan import RunPlan
from watchword.apps.observations.document import MAX_FINDINGS, MAX_TITLE
from watchword.drill.consent import ConsentError
from watchword.drill.findings import findings_of
from watchword.drill.interface import (
    AbsentError,
    Attack,
    AttackContext,
    MissingError,
    Need,
    Sample,
    Variant,
)
from watchword.drill.judgements import (
    AttackResult,
    Control,
    Controls,
    Finding,
    Genuine,
    Report,
    VariantResult,
    Verdict,
    described,
    is_good,
    is_of_the_api,
    judged,
    over_routes,
    worst,
)
from watchword.drill.registry import ATTACKS
from watchword.drill.requests import genuine_call
from watchword.drill.wire import Answer, Part, TargetLostError
from watchword.gate.interface import Route
from watchword.observations import Observation, SeenRoute, State
from watchword.reasons import WatchwordError

AT_ONCE: Final = 4
"""Attacks that run side by side: enough to hide waiting, too few to be a load."""

_FAULTS_SHOWN: Final = 5
_REFUSED: Final = frozenset({401, 403})

_BY_NO_TEST_INSTANCE: Final = {
    "PR-B15": "the genuine side is a test instance, and its keys are in software",
}
"""Protections that aren't shown by what holds for a test instance."""
_LIMITED: Final = 429

OnResult = Callable[[AttackResult], None]
"""Is told of each attack as it ends, from the thread that started the run."""


@dataclass(slots=True)
class _Tally:
    """Count genuine requests; several threads add to it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    sent: int = 0
    served: int = 0
    broken: int = 0
    faults: list[str] = field(default_factory=list)
    missing: str = ""

    def add(self, sample: Sample, answer: Answer) -> None:
        with self.lock:
            self.sent += 1
            if is_good(sample, answer):
                self.served += 1
                return
            self.broken += answer.status != _LIMITED
            if len(self.faults) < _FAULTS_SHOWN:
                fault = f"{sample.name}: {_told(sample, answer)}"
                if fault not in self.faults:
                    self.faults.append(fault)

    def as_genuine(self) -> Genuine:
        return Genuine(self.sent, self.served, tuple(self.faults), self.missing)


def run_drill(
    harness: Harness,
    plan: RunPlan,
    target: str,
    *,
    loopback: bool,
    now: Callable[[], datetime],
    on_result: OnResult = lambda _: None,
) -> Report:
    """Run a plan and return its report; one that is interrupted holds what had ended by then.

    A consent that ends interrupts it too.  What the genuine app is served at the start it has to be served at the end: a gate
    that broke down on the way refuses everybody, and proves nothing.

    :raises ConsentError: when the consent ended before the first attack.
    :raises TargetLostError: when the deployment stops answering.
    """
    began, started, standing = harness.context.now(), now(), harness.standing()
    before = _counted(harness.context)
    results: list[AttackResult] = []
    tally = _Tally()
    controls = _controls(harness, tally)
    interrupted = False
    try:
        for result in _results(harness, plan, controls, tally):
            results.append(result)
            on_result(result)
        unserved = _unserved(harness, controls, tally)
    except (KeyboardInterrupt, ConsentError):
        harness.stop.set()
        interrupted = True
        unserved = ()
    changed = _changed(harness.routes, standing, harness.standing())
    order = {attack.id: index for index, attack in enumerate(plan.attacks)}
    results.sort(key=lambda each: order[each.attack.id])
    results = _with_counts(results, before, _counted(harness.context))
    return Report(
        facts=harness.context.facts,
        target=target,
        loopback=loopback,
        started=started,
        seconds=harness.context.now() - began,
        controls=_shown(harness, controls),
        results=results,
        findings=findings_of(
            results,
            ATTACKS.values(),
            complete=not interrupted,
            spoilt=_spoilt(unserved, changed),
            unprovable=_BY_NO_TEST_INSTANCE if harness.invited else {},
            samples=harness.context.samples,
        ),
        genuine=tally.as_genuine(),
        requests=harness.wire.total,
        interrupted=interrupted,
        changed=changed,
    )


def _shown(harness: Harness, controls: Controls) -> list[Control]:
    """Return how the genuine app fared with each sample that it has to be served."""
    return [
        Control(each.name, controls.serves(each), _told(each, controls.answers[each.name]))
        for each in harness.context.samples
        if each.name in controls.answers and each.asked
    ]


def _spoilt(unserved: Sequence[str], changed: str) -> list[str]:
    """Return why a run proves nothing, whatever it stopped."""
    served = f"the genuine app wasn't served throughout: {'; '.join(unserved[:2])}"
    return [*([served] if unserved else []), *([changed] if changed else [])]


def _changed(routes: Sequence[Route], before: Standing, after: Standing) -> str:
    """Say that the deployment isn't what the run went by, or not any more; empty where nothing speaks for that."""
    if before.generation != after.generation:
        was, now = (each.generation[:8] or "none" for each in (before, after))
        return (
            "the API's section, its apps or the policy changed in watchword.yaml while the drill ran "
            f"(generation {was}, then {now}): drill again"
        )
    if before.enforced is None or after.enforced is None:
        return ""
    if before.enforced.routes != tuple(routes):
        return "the gate goes by another route table than watchword.yaml has: start it anew, and drill again"
    if before.enforced != after.enforced:
        return "the gate got another policy while the drill ran: drill again"
    return ""


def _told(sample: Sample, answer: Answer) -> str:
    """Return the answer to the genuine app, and what to write where it isn't the one that the sample calls good."""
    text = described(answer)
    if answer.status in _REFUSED and answer.public_class is None:
        return f"{text} by the API itself: is what stands under `drill: headers` still good?"
    if is_of_the_api(answer) and not is_good(sample, answer):
        return (
            f"{text} by the API itself: name a request that it serves under `drill: requests`, "
            f"or write `status: [{answer.status}]` there if that is its good answer"
        )
    return text


def _controls(harness: Harness, tally: _Tally) -> Controls:
    """Ask for every sample as the genuine app does; without a service, as a script does."""
    context = harness.context
    answers: dict[str, Answer] = {}
    for sample in context.samples:
        if sample.login:
            continue
        try:
            call = genuine_call(context, sample, context.genuine())
        except MissingError as error:
            tally.missing = str(error)
            call = sample.call()
        answers[sample.name] = context.wire.send(call)
    return Controls(answers)


def _unserved(harness: Harness, controls: Controls, tally: _Tally) -> Sequence[str]:
    """Return what the genuine app isn't served any more, or wasn't beside the attacks; empty where all is well."""
    if tally.missing:
        return ()  # There is nobody to be served, and no refusal counted in the first place.
    found = list(tally.faults) if tally.broken else []
    at_the_end = _controls(harness, _Tally())
    found += [
        f"{each.name}: {described(at_the_end.answers[each.name])}"
        for each in harness.context.samples
        if each.name in at_the_end.answers
        and each.asked
        and controls.serves(each)
        and not at_the_end.serves(each)
        # A limit that the drill itself met is no breakdown.
        and at_the_end.answers[each.name].status != _LIMITED
    ]
    return found


def _results(
    harness: Harness, plan: RunPlan, controls: Controls, tally: _Tally
) -> Iterator[AttackResult]:
    """Yield results as attacks end: side by side first, then one by one those that need quiet."""
    together = [each for each in plan.attacks if not each.alone]
    alone = [each for each in plan.attacks if each.alone]
    # Leaving the pool waits for what runs; the stop event, once set, ends that at its next request.
    with ThreadPoolExecutor(AT_ONCE) as pool, _stopping(harness):
        genuine = pool.submit(_serve_genuine, harness, plan.genuine, tally)
        running: list[Future[AttackResult]] = [
            pool.submit(_attacked, harness, each, controls) for each in together
        ]
        for done in as_completed(running):
            yield done.result()
        genuine.result()
        for attack in alone:
            yield pool.submit(_attacked, harness, attack, controls).result()


@contextmanager
def _stopping(harness: Harness) -> Iterator[None]:
    """Stop what runs when anything goes wrong, an interruption among it."""
    try:
        yield
    except BaseException:
        harness.stop.set()
        raise


def _serve_genuine(harness: Harness, count: int, tally: _Tally) -> None:
    """Send genuine requests, over all samples in turn."""
    context = harness.context
    samples = [each for each in context.samples if each.asked and not each.login]
    if harness.population is None or not samples:
        return
    for number in range(count):
        sample = samples[number % len(samples)]
        try:
            held = harness.population()
        except MissingError:
            return
        tally.add(sample, context.wire.send(genuine_call(context, sample, held)))


def _attacked(harness: Harness, attack: Attack, controls: Controls) -> AttackResult:
    began = harness.context.now()
    missing = _missing(harness.context, attack)
    variants = tuple(
        _not_run(variant, missing) if missing is not None else _varied(harness, variant, controls)
        for variant in attack.variants
    )
    verdict = worst([each.verdict for each in variants])
    return AttackResult(attack, verdict, variants, harness.context.now() - began)


def _varied(harness: Harness, variant: Variant, controls: Controls) -> VariantResult:
    if not variant.each_route:
        return _carried_out(harness, harness.context, variant, controls)
    found = [
        _carried_out(harness, each, variant, controls) for each in harness.context.on_each_route
    ]
    # What doesn't fit a route says nothing of those that it fits.
    return over_routes([each for each in found if each.verdict is not Verdict.NOT_RUN] or found)


def _carried_out(
    harness: Harness, context: AttackContext, variant: Variant, controls: Controls
) -> VariantResult:
    """Carry a variant out in an attack context, which may have fewer samples than the harness's."""
    before = harness.wire.sent
    routes = [each.seen for each in context.samples] if variant.each_route else []
    try:
        attempts = variant.run(context)
    except AbsentError as error:
        sent = harness.wire.sent - before
        return VariantResult(
            variant.name,
            Verdict.ABSENT,
            str(error),
            need=error.need,
            sent=sent,
            routes=dict.fromkeys(routes, Verdict.ABSENT),
        )
    except MissingError as error:
        return _not_run(variant, error)
    except (ConsentError, TargetLostError):
        raise
    except WatchwordError as error:
        # An answer that nobody could read, such as one of a captive portal: it proves nothing.
        sent = harness.wire.sent - before
        return VariantResult(
            variant.name,
            Verdict.UNSURE,
            str(error),
            sent=sent,
            routes=dict.fromkeys(routes, Verdict.UNSURE),
        )
    if not attempts:
        return _not_run(variant, MissingError(Need.SAMPLE, "none of those given fits this attack"))
    return judged(variant, attempts, controls, harness.wire.sent - before)


def _missing(context: AttackContext, attack: Attack) -> MissingError | None:
    """Return the first thing that an attack needs and isn't there, as far as that can be told before."""
    here = {
        Need.SERVICE: _has(context, Part.SERVICE),
        Need.UPSTREAM: _has(context, Part.UPSTREAM),
        Need.GENUINE: context.shared is not None,
        Need.KEYS: context.keys is not None,
        Need.OPERATOR: context.operator is not None,
        Need.ECHO: any(each.echo for each in context.samples),
        Need.LOGIN: any(each.login for each in context.samples),
        Need.OFF_ROUTE: bool(context.facts.off),
        Need.TLS: context.channel is not None and context.wire.scheme(Part.GATE) == "https",
    }
    return next((MissingError(need) for need in attack.needs if not here.get(need, True)), None)


def _has(context: AttackContext, part: Part) -> bool:
    try:
        context.wire.scheme(part)
    except MissingError:
        return False
    return True


def _not_run(variant: Variant, error: MissingError) -> VariantResult:
    return VariantResult(variant.name, Verdict.NOT_RUN, str(error), need=error.need)


def _with_counts(
    results: Sequence[AttackResult],
    before: Mapping[str, int] | None,
    after: Mapping[str, int] | None,
) -> list[AttackResult]:
    """Say of each attack how often its reasons were counted in the run, whoever caused them."""
    if before is None or after is None:
        return list(results)
    grown = {code: count - before.get(code, 0) for code, count in after.items()}

    def counted(attack: Attack) -> int:
        expected = {reason.code for variant in attack.variants for reason in variant.expected}
        return sum(grown.get(code, 0) for code in expected)

    return [replace(each, counted=counted(each.attack)) for each in results]


def _counted(context: AttackContext) -> Mapping[str, int] | None:
    return None if context.operator is None else context.operator.counted()


_MAX_DETAIL = 1000
_MAX_ID = 64


def observations_of(
    report: Report, at: datetime, *, build: str | None, generation: str | None
) -> tuple[Observation, ...]:
    """Return an observation for each protection that the run says something of, on each route where a route decides it.

    :param at: when it was seen: the end of the run.
    :param build: SHA-256 in hex of the app's build that the genuine instance runs, None if that isn't known.
    :param generation: of the policy that was in force at the API.
    """
    return tuple(
        _observation(report, finding, finding.state, at, build, generation, route)
        for finding in report.findings
        if finding.state is not None
        for route in finding.routes or (None,)
    )


def _observation(
    report: Report,
    finding: Finding,
    state: State,
    at: datetime,
    build: str | None,
    generation: str | None,
    route: SeenRoute | None,
) -> Observation:
    return Observation(
        protection=finding.protection,
        key=finding.key,
        state=state,
        at=at,
        target=f"api:{report.facts.api}",
        source=f"watchword drill {__version__}",
        environment=report.facts.environment,
        loopback=report.loopback,
        build=build,
        generation=generation,
        detail=f"{report.target}: {finding.why}"[:_MAX_DETAIL],
        measured=finding.strengths,
        route=route,
        findings=_served(report, finding, route) if state is State.BROKEN else {},
    )


def _served(
    report: Report, finding: Finding, route: SeenRoute | None
) -> dict[str, tuple[str, str]]:
    """Return by id which variants were served that the protection has to stop, so that the next plan can tell which are new."""
    found = {}
    for result in report.results:
        if finding.protection not in result.attack.protections:
            continue
        for each in result.variants:
            ended = each.verdict if route is None else each.routes.get(route, each.verdict)
            if ended is Verdict.OPEN:
                title = f"{result.attack.title} ({each.name}): it was served"
                found[f"{result.attack.id}.{each.name}"[:_MAX_ID]] = ("high", title[:MAX_TITLE])
    return dict(list(found.items())[:MAX_FINDINGS])
