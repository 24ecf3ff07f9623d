"""Hold what a drill found, from one attempt up to the whole run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from watchword.drill.interface import Attack, Facts
from watchword.drill.needs import Need
from watchword.observations import SeenRoute, State


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
