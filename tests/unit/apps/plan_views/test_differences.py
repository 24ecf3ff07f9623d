"""Two plans compared: what came, went and moved, how exposure changed, and why where that is known."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.plan_views.compared import compare
from tests.unit.apps.plan_views.seed import crowded_plan, seed_plan, troubled_plan

from watchword.apps.plan.cli import diff_command as command
from watchword.apps.plan.differences import Subject
from watchword.apps.plan.document import MAX_BYTES, PlanDocumentError, document, parse, read

SEED = document(seed_plan())
TROUBLED = document(troubled_plan())


MEASURE = {
    "protection": "PR-B01",
    "technique": "MT-B03",
    "stopped": 2,
    "tried": 6,
    "estimate": 3,
    "strength": 1,
    "target": "api:clinic",
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the seed's document with a change."""
    found = deepcopy(SEED)
    change(found)
    return found


def run(*arguments: str | Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(command, [str(each) for each in arguments])


def written(path: Path, value: Any) -> Path:
    """Write a JSON file."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize("plan", [SEED, TROUBLED, document(crowded_plan(90))])
def test_a_plan_doesnt_differ_from_itself(plan: dict[str, Any]) -> None:
    """Nothing is reported, also when it was made at another time with older evidence."""
    assert not compare(plan, plan).any
    later = deepcopy(plan)
    later["made_at"] = "2027-01-01T00:00:00+00:00"
    for each in later["claims"]:
        each["age"] += 86400
    assert not compare(plan, later).any


@given(st.permutations(range(9)), st.sets(st.integers(0, 8)), st.sets(st.integers(0, 8)))
def test_coming_and_going_turn_around(order: list[int], left: set[int], right: set[int]) -> None:
    """What is new one way is gone the other way, and places are swapped."""

    def shuffle(found: dict[str, Any]) -> None:
        found["items"] = [found["items"][each] for each in order if each not in right]
        for place, each in enumerate(found["items"], 1):
            each["place"] = place

    def drop(found: dict[str, Any]) -> None:
        found["items"] = [each for each in found["items"] if each["place"] - 1 not in left]

    one, two = changed(drop), changed(shuffle)
    there, back = compare(one, two), compare(two, one)
    assert {each.protection for each in there.added} == {each.protection for each in back.gone}
    assert {each.protection for each in there.gone} == {each.protection for each in back.added}
    moves = {
        (each.protection, each.before, each.after)
        for each in there.moved
        if each.before != each.after
    }
    assert moves == {
        (each.protection, each.after, each.before)
        for each in back.moved
        if each.before != each.after
    }


def test_an_item_that_overtakes_is_told_from_one_that_shifts() -> None:
    """Taking the first away shifts all others; lifting the last up moves it alone."""
    without = changed(lambda found: found["items"].pop(0))
    for place, each in enumerate(without["items"], 1):
        each["place"] = place
    shifted = compare(SEED, without)
    assert [each.protection for each in shifted.gone] == ["PR-B01"]
    assert not any(each.overtakes for each in shifted.moved)

    lifted = changed(lambda found: found["items"].insert(0, found["items"].pop()))
    for place, each in enumerate(lifted["items"], 1):
        each["place"] = place
    moved = compare(SEED, lifted).moved
    assert [each.protection for each in moved if each.overtakes] == ["PR-A12"]
    assert len(moved) == 9


def test_evidence_that_fails_is_the_reason_of_the_item_that_comes_back() -> None:
    """A shield in report-only mode is no proof any more: the diff says so beside the item."""
    proven = {**SEED["proven"][0], "protection": "PR-B01", "key": "live:shield.enforced_ratio"}
    before = changed(lambda found: found["items"].pop(0))
    before["proven"].append(proven)
    after = changed(
        lambda found: found["items"][0]["evidence"].append({**proven, "state": "broken"})
    )
    found = compare(before, after)
    (added,) = found.added
    (cause,) = [each for each in found.causes if each.subject is Subject.EVIDENCE]
    assert (cause.id, cause.before, cause.after) == ("PR-B01", "proven", "broken")
    assert len(added.because) == 1
    assert "broken" in added.because[0]
    # It is the same observation: what it is worth now is said, in the words of its standing.
    assert proven["why"] in cause.why


def test_changed_impact_effort_and_budget_are_causes() -> None:
    """What a plan is made from is told apart from what follows."""

    def change(found: dict[str, Any]) -> None:
        found["exposure"][1]["impact"] = 4
        found["items"][1]["effort"] = 6
        found["budget"] = 10

    found = compare(SEED, changed(change))
    assert {(each.subject, each.before, each.after) for each in found.causes} == {
        (Subject.ASSET, 2, 4),
        (Subject.ITEM, 3, 6),
        (Subject.BUDGET, None, 10),
    }


def test_a_measured_strength_is_a_cause_with_its_numbers() -> None:
    """What was measured anew, otherwise, or no more is told; as much as was estimated is no change."""
    lower = changed(lambda found: found["measured"].append(MEASURE))
    for pair, numbers in (((SEED, lower), (3, 1)), ((lower, SEED), (1, 3))):
        (cause,) = compare(*pair).causes
        assert (cause.subject, cause.id) == (Subject.STRENGTH, "PR-B01")
        assert (cause.before, cause.after) == numbers
    elsewhere = {**MEASURE, "technique": "MT-B12"}
    assert not compare(SEED, changed(lambda found: found["measured"].append(elsewhere))).any
    same = {**MEASURE, "stopped": 6, "strength": 3}
    assert not compare(SEED, changed(lambda found: found["measured"].append(same))).any


def test_exposure_phase_and_closed_paths_are_compared() -> None:
    """An asset that stands differently, a phase and what an item closes: each is one change."""

    def change(found: dict[str, Any]) -> None:
        found["exposure"][0]["after"] = "delayed"
        found["paths"][0]["now"] = "closed"
        found["items"][1]["phase"] = "hardening"
        found["items"][0]["closes"].pop()
        found["paths"].pop()

    found = compare(SEED, changed(change))
    assert [(each.subject, each.field, each.after) for each in found.exposure] == [
        (Subject.ASSET, "after", "delayed"),
        (Subject.PATH, "now", "closed"),
    ]
    assert {each.field for each in found.items} == {"phase", "closes"}
    assert found.paths_gone == (SEED["paths"][-1]["id"],)
    assert json.loads(json.dumps(found.as_dict()))["different"] is True
    assert any("PR-A05" in line and "hardening" in line for line in found.lines())


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("schema", lambda found: found.update(schema="watchword-plan/9")),
        ("schema", lambda found: found.clear()),
        ("items", lambda found: found.update(items={})),
        ("items[2]", lambda found: found["items"].__setitem__(2, 7)),
        ("items[0].place", lambda found: found["items"][0].update(place=True)),
        ("items[0].phase", lambda found: found["items"][0].update(phase="soon")),
        ("items[0].closes", lambda found: found["items"][0].update(closes=[1])),
        ("items[0].interim", lambda found: found["items"][0].pop("interim")),
        ("items[1]", lambda found: found["items"][1].update(protection="PR-B01")),
        ("paths[0].impact", lambda found: found["paths"][0].update(impact=6)),
        ("exposure[1].now", lambda found: found["exposure"][1].update(now=None)),
        ("claims[0].state", lambda found: found["claims"][0].update(state="sure")),
        ("items[3].evidence[0].key", lambda found: found["items"][3]["evidence"][0].pop("key")),
        ("budget", lambda found: found.update(budget="much")),
        ("made_at", lambda found: found.update(made_at="2026-11-25T12:00:00")),
        ("made_at", lambda found: found.update(made_at="0001-01-01T00:00:00+12:00")),
        ("claims[0].at", lambda found: found["claims"][0].update(at=7)),
        ("measured[0].tried", lambda found: found["measured"].append(MEASURE | {"tried": 0})),
    ],
)
def test_a_malformed_document_is_a_fault_with_its_place(
    where: str, change: Callable[[dict[str, Any]], object]
) -> None:
    """Where it is wrong, what was got and what was expected are said."""
    with pytest.raises(PlanDocumentError) as raised:
        read(changed(change))
    assert str(raised.value).startswith(f"{where}: ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(SEED)), json_values)
def test_nothing_but_a_fault_comes_of_any_json(name: str, value: Any) -> None:
    """Whatever stands in a member, it is read or refused; nothing else is raised."""
    found = changed(lambda document: document.update({name: value}))
    try:
        read(found)
    except PlanDocumentError as error:
        assert "expected" in str(error)  # noqa: PT017 - most values are taken, and raise nothing.


def test_the_command_says_same_or_different(tmp_path: Path) -> None:
    """Exit code 0 for the same, 1 for different; people and scripts get the same facts."""
    old = written(tmp_path / "old.json", SEED)
    new = written(tmp_path / "new.json", TROUBLED)
    same = run(old, old)
    assert same.exit_code == 0
    different = run(old, new)
    assert different.exit_code == 1
    assert "PR-B01" in different.output
    found = json.loads(run(old, new, "--json").output)
    assert {each["protection"] for each in found["gone"]} >= {"PR-B01", "PR-A05"}
    assert json.loads(run(old, old, "--json").output)["different"] is False


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b'{"schema": "x"}', b"[" * 99999])
def test_a_file_that_is_no_plan_is_named_without_a_trace(data: bytes, tmp_path: Path) -> None:
    """Exit code 2, one line with the file's name."""
    old = written(tmp_path / "old.json", SEED)
    bad = tmp_path / "bad.json"
    bad.write_bytes(data)
    for pair in ((old, bad), (bad, old)):
        done = run(*pair)
        assert done.exit_code == 2
        assert "bad.json" in done.output
        assert done.output.count("\n") == 1


def test_a_file_beyond_the_limit_isnt_parsed(tmp_path: Path) -> None:
    """Its size alone refuses it."""
    with pytest.raises(PlanDocumentError):
        parse(b" " * (MAX_BYTES + 1))


def test_names_in_a_stored_plan_are_made_printable(tmp_path: Path) -> None:
    """A file may come from anywhere; its names don't steer the terminal."""
    old = written(tmp_path / "old.json", SEED)
    mutated = changed(
        lambda found: found["items"][0].update(protection="\x1b[31mPR", name="a\nb\x07")
    )
    done = run(old, written(tmp_path / "new.json", mutated))
    assert done.exit_code == 1
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
