"""Show that the drill notices when a check is missing: all of them in its page, some of them here."""

import re

import pytest
from scripts.drill_mutations.__main__ import SOURCE, TARGET, drill, run_mutation
from scripts.drill_mutations.mutation import Mutation, Place
from scripts.drill_mutations.table import MUTATIONS

from watchword.drill.registry import ATTACKS

RUN_HERE = (
    "token: signature",
    "result headers of the client removed",
    "session proof: the MAC",
    "challenge use",
    "pins: the signature of a set",
    "injected keys: the path is listed",
)
"""One of each kind; `python -m scripts.drill_mutations` runs all of them, in some minutes."""


def test_every_check_is_still_where_it_is_taken_out() -> None:
    """A mutation that changes nothing would say that its check isn't needed."""
    for each in MUTATIONS:
        text = (SOURCE / "watchword" / each.file).read_text(encoding="utf-8")
        assert text.count(each.before) == 1, each.check
        assert each.after != each.before
        assert set(each.red) <= set(ATTACKS)
        assert each.red
    assert len({each.check for each in MUTATIONS}) == len(MUTATIONS) >= 20


def test_the_page_has_a_line_for_each_and_none_without_an_attack() -> None:
    """Run `python -m scripts.drill_mutations` after a change of the table."""
    page = TARGET.read_text(encoding="utf-8")
    lines = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+) \|$", page, re.MULTILINE)
    assert [(check, file) for check, file, _ in lines] == [
        (each.check, each.file) for each in MUTATIONS
    ]
    assert [check for check, _, red in lines if "none" in red] == []


@pytest.mark.parametrize("place", Place)
def test_with_every_check_in_place_nothing_is_red(place: Place) -> None:
    """Else a red attack would say nothing of the check that was taken out."""
    run = drill(SOURCE, place)
    assert run.red == []
    assert run.genuine[0] == run.genuine[1] > 0


@pytest.mark.parametrize(
    "mutation", [each for each in MUTATIONS if each.check in RUN_HERE], ids=lambda each: each.check
)
def test_a_missing_check_turns_an_attack_red(mutation: Mutation) -> None:
    """And the genuine app is served all the same, so that nothing else is broken."""
    run = run_mutation(mutation, mutation.red)
    assert run.red
    assert set(run.red) <= set(mutation.red)
    assert run.genuine[0] == run.genuine[1] > 0
