"""Decide what to protect first, as a team does before it protects anything."""

from collections.abc import Sequence
from pathlib import Path

from watchword.adapters.clock import TimeLimit
from watchword.adapters.observations import ObservationsFile, read_observer_key
from watchword.apps.demo.acts import Outcome
from watchword.apps.demo.stage import API, OBSERVER_KEY
from watchword.apps.drill.recording import observations_of
from watchword.apps.observations import sign, unsigned
from watchword.apps.plan.planning import plan_of
from watchword.apps.settings import ConfigurationError
from watchword.apps.settings.plan import load_plan
from watchword.drill.outcome import Report
from watchword.observations import Observation, State
from watchword.plan.outcome import Action, Plan
from watchword.plan.service import Question
from watchword.ports import Clock

_SECONDS = 2.0


class Decisions:
    """Ask for the plan of one file, again and again."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Plan by ``file``, at the time of ``clock``."""
        self._file = file
        self._clock = clock

    def first(self) -> Outcome:
        """Return what the plan puts first."""
        return Outcome("first", self._plan().items[0].protection.id)

    def after_it(self, wanted: Sequence[str]) -> Outcome:
        """Return which of some protections are in the plan, behind the first."""
        names = [item.protection.id for item in self._plan().items[1:]]
        return Outcome("after it", ", ".join(each for each in wanted if each in names))

    def claim(self, protection: str, key: str) -> Outcome:
        """Record that a protection is there, without a signature; return what becomes of its place."""
        settings = load_plan(self._file)
        seen = Observation(
            protection=protection,
            key=key,
            state=State.PROVEN,
            at=self._clock.now(),
            target=f"api:{API}",
            source="somebody",
            environment=settings.environment,
            generation=settings.generations[API],
        )
        ObservationsFile(settings.observations).append(unsigned(seen))
        item = self._plan().items[0]
        if item.protection.id != protection:
            return Outcome("not first any more", item.protection.id)
        return Outcome("to verify" if item.action is Action.VERIFY else "ignored", protection)

    def record(self, report: Report) -> None:
        """Record what a drill found, signed by the observer that the file names."""
        settings = load_plan(self._file)
        key = read_observer_key(self._file.with_name(OBSERVER_KEY))
        found = observations_of(
            report, self._clock.now(), build=None, generation=settings.generations[API]
        )
        for each in found:
            ObservationsFile(settings.observations).append(sign(each, key))

    def state_of(self, asset: str) -> Outcome:
        """Return how an asset stands now."""
        plan = self._plan()
        (found,) = [each for each in plan.assets if each.asset.id == asset]
        return Outcome("is", found.now.value)

    def with_likelihood(self) -> Outcome:
        """Write how likely an attack is into the file; return what the plan says, and take it out again."""
        text = self._file.read_text(encoding="utf-8")
        changed = text.replace("      impact: 2\n", "      impact: 2\n      likelihood: 5\n")
        try:
            self._file.write_text(changed, encoding="utf-8")
            load_plan(self._file)
        except ConfigurationError as error:
            return Outcome("refused", error.faults[0].path.rsplit(".", 1)[-1])
        finally:
            self._file.write_text(text, encoding="utf-8")
        return Outcome("taken")

    def _plan(self) -> Plan:
        settings = load_plan(self._file)
        return plan_of(settings, Question(), self._clock.now(), TimeLimit(_SECONDS))[0]
