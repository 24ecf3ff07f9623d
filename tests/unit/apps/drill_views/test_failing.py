"""When a drill fails: what ``--fail-on`` may name."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from tests.unit.apps.drill_views import seed
from tests.unit.apps.drill_views.strange import texts

from watchword.apps.drill.reports import CONDITIONS, failed
from watchword.drill.judgements import Control, Genuine, Report, Verdict


def _ended(verdict: Verdict) -> Report:
    """Return a run of one attack that ended so."""
    return seed.report(seed.result(seed.FIRST, verdict))


CASES: dict[str, tuple[Callable[[], Report], set[str]]] = {
    "clean": (seed.clean, set()),
    "open": (lambda: _ended(Verdict.OPEN), {"open"}),
    "absent": (lambda: _ended(Verdict.ABSENT), {"absent", "nothing"}),
    "unsure": (lambda: _ended(Verdict.UNSURE), {"unsure"}),
    "not-run": (lambda: _ended(Verdict.NOT_RUN), {"not-run", "nothing"}),
    "no-attack": (seed.report, {"nothing"}),
    "refused": (lambda: replace(seed.clean(), genuine=Genuine(60, 59)), {"genuine"}),
    "unasked": (lambda: replace(seed.clean(), genuine=Genuine()), {"genuine"}),
    "control": (
        lambda: replace(seed.clean(), controls=[Control("GET /x", served=False, got="502")]),
        {"genuine"},
    ),
    "changed": (lambda: replace(seed.clean(), changed="the file changed"), {"unsure"}),
    "weak": (
        lambda: replace(seed.clean(), facts=replace(seed.FACTS, weak=("Route /x is off.",))),
        {"weak-route"},
    ),
    "route-unasked": (
        lambda: replace(seed.clean(), facts=replace(seed.FACTS, unasked=("GET /x",))),
        {"not-run"},
    ),
    "mixed": (seed.mixed, {"open", "unsure", "not-run", "genuine"}),
}


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_condition_holds_for_what_it_names_and_for_nothing_else(
    case: str, condition: str
) -> None:
    """Each by itself, over runs that ended in each way."""
    made, holds = CASES[case]
    assert bool(failed(made(), [condition])) is (condition in holds)


def test_a_variant_that_was_left_out_counts_as_not_run() -> None:
    """Also where its attack is stopped: a part isn't the whole."""
    names = [each.name for each in seed.FIRST.variants]
    part = seed.result(
        seed.FIRST,
        Verdict.STOPPED,
        *(seed.variant(each, Verdict.STOPPED) for each in names[:-1]),
        seed.variant(names[-1], Verdict.NOT_RUN),
    )
    assert failed(seed.report(part), ["not-run"])
    assert not failed(seed.report(part), ["nothing", "open"])


def test_without_conditions_nothing_fails() -> None:
    """Whoever asks for nothing gets exit code 0."""
    assert failed(seed.mixed(), []) == []
    assert failed(seed.interrupted(), []) == []


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_interrupted_run_fails_whatever_was_asked(condition: str) -> None:
    """What didn't run may be open."""
    assert failed(seed.interrupted(), [condition])


def test_reasons_of_all_conditions_are_told() -> None:
    """One sentence for each attack's end, and one for each fault of the genuine app's."""
    assert len(failed(seed.mixed(), set(CONDITIONS))) == 6


def test_an_unknown_condition_is_a_fault_of_ours() -> None:
    """A slip doesn't make a run pass."""
    with pytest.raises(ValueError, match="oepn"):
        failed(seed.clean(), ["oepn"])


@given(text=texts)
def test_reasons_are_printable(text: str) -> None:
    """They go to a terminal, whatever the server sent."""
    assert all(each.isprintable() for each in failed(seed.hostile(text), list(CONDITIONS)))
