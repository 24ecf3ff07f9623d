"""Hold what a drill found, from one attempt up to the whole run.

Attempts are judged: whether one was served, and if not, whether it was refused for what it was made for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from watchword.drill.interface import Attack, Attempt, Attempts, Facts, Need, Sample, Variant
from watchword.drill.wire import Answer
from watchword.observations import SeenRoute, State
from watchword.reasons import Reason


class Verdict(StrEnum):
    """Say how an attack ended.

    ``stopped``: every variant that ran was refused, for the reason that it was made for.
    ``open``: at least one was served.  ``absent``: the deployment hasn't got what would have to stop it, such as pins
    or a decoy.  ``unsure``: none was served, but one at least was refused for another reason, or the genuine app isn't
    served either.  ``not-run``: the drill lacks something.
    """

    STOPPED = "stopped"
    OPEN = "open"
    ABSENT = "absent"
    UNSURE = "unsure"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class VariantResult:
    """Hold how one variant ended.

    :param got: what came back, for people, such as ``401 token-refused (token.signature)``.
    :param expected: what it had to be, in the same words; empty where any refusal will do.
    :param reasons: codes, the public class where no reason is told; what decided first.
    :param need: what it lacked, None where it ran.
    :param sent: requests that it took.
    :param routes: how it ended on each route that it was tried on; None stands for what falls under no known one.
    """

    name: str
    verdict: Verdict
    got: str
    expected: str = ""
    reasons: tuple[str, ...] = ()
    need: Need | None = None
    sent: int = 0
    routes: Mapping[SeenRoute | None, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttackResult:
    """Hold how one attack ended.

    :param counted: how often the gate counted the reasons of this attack in the run; None where nobody can see.
    """

    attack: Attack
    verdict: Verdict
    variants: tuple[VariantResult, ...]
    seconds: float
    counted: int | None = None

    @property
    def stopped(self) -> int:
        """Return how many variants were stopped."""
        return sum(each.verdict is Verdict.STOPPED for each in self.variants)

    @property
    def ran(self) -> int:
        """Return how many variants came to an end that says something: stopped or served."""
        return self.stopped + sum(each.verdict is Verdict.OPEN for each in self.variants)


@dataclass(frozen=True, slots=True)
class Control:
    """Hold whether the genuine app is served a sample; where it isn't, a refusal says nothing."""

    sample: str
    served: bool
    got: str


@dataclass(frozen=True, slots=True)
class Genuine:
    """Hold how genuine requests fared beside the attacks.

    :param missing: why there is no genuine instance, empty where there is one.
    """

    sent: int = 0
    served: int = 0
    faults: tuple[str, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what a run says of one protection.

    :param state: ``proven``, ``broken``, ``absent``; None where it says nothing, and ``why`` tells what is missing.
    :param key: the key of evidence.
    :param strengths: by technique, how many variants this protection stopped, and how many these and those that were
        served are together.
    :param routes: that it holds for; empty where it holds for the whole API.
    """

    protection: str
    key: str
    state: State | None
    why: str
    strengths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    routes: tuple[SeenRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Hold a whole run.

    :param target: what was attacked, by its URL.
    :param seconds: how long it took.
    :param interrupted: it was stopped before its end: what didn't run isn't in it.
    :param changed: what of the deployment changed while it ran, so that nothing is proven; empty where nothing did.
    """

    facts: Facts
    target: str
    loopback: bool
    started: datetime
    seconds: float
    controls: Sequence[Control]
    results: Sequence[AttackResult]
    findings: Sequence[Finding]
    genuine: Genuine
    requests: int
    interrupted: bool = False
    changed: str = ""

    def count(self, verdict: Verdict) -> int:
        """Return how many attacks ended so."""
        return sum(each.verdict is verdict for each in self.results)


_FIRST_ERROR: Final = 400
_TOO_MANY: Final = 429
_ALWAYS_OURS: Final = frozenset({401, 403})
_BUSY: Final = frozenset({0, 429, 500, 502, 503, 504})
_WORST_FIRST: Final = (
    Verdict.OPEN,
    Verdict.ABSENT,
    Verdict.UNSURE,
    Verdict.NOT_RUN,
    Verdict.STOPPED,
)


@dataclass(frozen=True, slots=True)
class Controls:
    """Know how the API answers the genuine app, by sample.

    :param answers: to the genuine app's own requests; a sample that isn't there wasn't asked for.
    """

    answers: Mapping[str, Answer]

    def serves(self, sample: Sample) -> bool:
        """Tell whether the genuine app is served: by an answer of the API's own that the sample calls good."""
        answer = self.answers.get(sample.name)
        return answer is not None and is_good(sample, answer)

    def is_served(self, sample: Sample, answer: Answer) -> bool:
        """Tell whether an answer is the API's own, and so the request got through.

        An error of the API (a record that isn't there) is an answer of its own; one of a gate without Watchword's
        problem documents is told by the genuine app's answer to the same request.
        """
        if not is_of_the_api(answer):
            return False
        if answer.status < _FIRST_ERROR:
            return True
        control = self.answers.get(sample.name)
        return control is not None and control.status == answer.status


def is_of_the_api(answer: Answer) -> bool:
    """Tell whether an answer can be the API's: none of Watchword's refusals, and none of a server that can't answer."""
    if answer.public_class is not None or answer.status in _BUSY:
        return False
    return answer.status not in _ALWAYS_OURS


def is_good(sample: Sample, answer: Answer) -> bool:
    """Tell whether an answer serves the genuine app: an API that answers 404 may never have got the request."""
    return is_of_the_api(answer) and answer.status in sample.good


def judged(variant: Variant, attempts: Attempts, controls: Controls, sent: int) -> VariantResult:
    """Return how a variant ended: as badly as its worst attempt."""
    each = [_one(variant, attempt, controls) for attempt in attempts]
    verdict, got, reasons = min(each, key=lambda one: _WORST_FIRST.index(one[0]))
    routes: dict[SeenRoute | None, Verdict] = {}
    for attempt, (ended, _, _) in zip(attempts, each, strict=True):
        seen = attempt.sample.seen
        routes[seen] = worst([ended, routes.get(seen, ended)])
    return VariantResult(
        name=variant.name,
        verdict=verdict,
        got=got,
        expected="" if verdict is Verdict.STOPPED else _wanted(variant.expected),
        reasons=reasons,
        sent=sent,
        routes=routes,
    )


def over_routes(results: Sequence[VariantResult]) -> VariantResult:
    """Return how a variant ended that was carried out on several routes: as badly as on the worst of them.

    :param results: at least one.
    """
    wanted = worst([each.verdict for each in results])
    found = next(each for each in results if each.verdict is wanted)
    routes = {route: verdict for each in results for route, verdict in each.routes.items()}
    return replace(found, sent=sum(each.sent for each in results), routes=routes)


def worst(verdicts: Collection[Verdict]) -> Verdict:
    """Return the verdict of an attack: what didn't run takes nothing from what did."""
    ran = [each for each in verdicts if each is not Verdict.NOT_RUN]
    if not ran:
        return Verdict.NOT_RUN
    return min(ran, key=_WORST_FIRST.index)


def described(answer: Answer) -> str:
    """Return an answer for people."""
    if answer.status == 0:
        return "closed without an answer"
    told = [each.code for each in answer.reasons[:1]] or [answer.public_class or ""]
    return f"{answer.status} {told[0]}".rstrip()


def _one(
    variant: Variant, attempt: Attempt, controls: Controls
) -> tuple[Verdict, str, tuple[str, ...]]:
    reasons = tuple(
        dict.fromkeys(
            code for answer in (*attempt.stops, attempt.answer) for code in _codes(answer)
        )
    )
    if attempt.leaked:
        return Verdict.OPEN, attempt.leaked, reasons
    if attempt.unsure:
        return Verdict.UNSURE, attempt.unsure, reasons
    if attempt.served is not None:
        served, of = attempt.served
        got = f"served {served} of {of}"
        if served:
            return Verdict.OPEN, got, reasons
        return _refused(variant, attempt, controls, f"{got}: {described(attempt.answer)}", reasons)
    if controls.is_served(attempt.sample, attempt.answer):
        return Verdict.OPEN, f"served {attempt.answer.status}", reasons
    got = ", then ".join(described(each) for each in (*attempt.stops, attempt.answer))
    return _refused(variant, attempt, controls, got, reasons)


def _refused(
    variant: Variant, attempt: Attempt, controls: Controls, got: str, reasons: tuple[str, ...]
) -> tuple[Verdict, str, tuple[str, ...]]:
    if not controls.serves(attempt.sample):
        return Verdict.UNSURE, f"{got}; the genuine app isn't served either", reasons
    answers = (*attempt.stops, attempt.answer)
    if not variant.expected and attempt.answer.status in _BUSY - {0}:
        # Any refusal will do, but a breakdown is none: whoever answers 500 had the request.
        return Verdict.UNSURE, got, reasons
    if variant.expected and not any(_fits(answer, variant.expected) for answer in answers):
        return Verdict.UNSURE, got, reasons
    return Verdict.STOPPED, got, reasons


def _fits(answer: Answer, expected: frozenset[Reason]) -> bool:
    """Tell whether a refusal is one for these reasons, as far as the answer tells.

    That no route knows the request is a reason for all of them: such a gate is stricter, and the genuine app is served beside it.
    """
    stricter = expected | {Reason.GATE_ROUTE_UNKNOWN}
    if answer.reasons:
        return bool(stricter.intersection(answer.reasons))
    told = answer.public_class
    if told is not None:
        return told in {reason.public.slug for reason in stricter}
    # A server in front that words its own refusals tells the status alone.  That of a limit is anybody's: of a firewall, for one.
    return answer.status != _TOO_MANY and answer.status in {
        reason.public.status for reason in expected
    }


def _codes(answer: Answer) -> tuple[str, ...]:
    told = answer.public_class
    return tuple(each.code for each in answer.reasons) or (() if told is None else (told,))


def _wanted(expected: frozenset[Reason]) -> str:
    return " or ".join(sorted(reason.code for reason in expected))
