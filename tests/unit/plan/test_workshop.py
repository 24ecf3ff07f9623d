"""Hold edits of a plan section to their promises: nothing lost, nothing overwritten in silence, each with a way back."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.plan.workshop import (
    ConflictError,
    Edit,
    SetEntry,
    SetValue,
    apply,
    difference,
    inverse,
    merge,
    renamed,
    value_at,
)

NAMES = st.sampled_from(["records", "booking", "bonus"])
ASSETS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["data", "service"]), "impact": st.integers(1, 5)},
    optional={"because": st.sampled_from(["a", "b"]), "lives_in": st.just(["backend"])},
)
ENTRIES = st.lists(
    st.fixed_dictionaries({"asset": NAMES, "because": st.sampled_from(["x", "y", "z"])}),
    min_size=1,
    max_size=3,
    unique_by=lambda each: (each["asset"], each["because"]),
)
SECTIONS = st.fixed_dictionaries(
    {"assets": st.dictionaries(NAMES, ASSETS, min_size=1)},
    optional={
        "budget": st.integers(1, 9),
        "scenarios": st.fixed_dictionaries(
            {"add": ENTRIES}, optional={"derive": st.just(False), "strike": ENTRIES}
        ),
    },
)
PLAN: dict[str, Any] = {
    "assets": {
        "records": {"kind": "data", "impact": 5},
        "booking": {"kind": "service", "impact": 3},
    },
    "scenarios": {
        "add": [
            {"asset": "records", "steps": ["MT-B03"], "because": "seen"},
            {"asset": "booking", "steps": ["MT-B11"], "because": "heard"},
        ]
    },
}


def unordered(section: Any) -> Any:
    """Return a section whose lists of scenarios are in a fixed order: entries are told apart by what they say."""
    section = deepcopy(section)
    for kind in ("add", "strike", "pin"):
        if entries := value_at(section, ("scenarios", kind)):
            section["scenarios"][kind] = sorted(entries, key=lambda each: sorted(each.items()))
    return section


@given(before=SECTIONS, after=SECTIONS)
def test_differences_lead_there_and_back(before: dict[str, Any], after: dict[str, Any]) -> None:
    """The edits between two sections make one of the other, and their inverse undoes them exactly."""
    kept = deepcopy(before)
    edits = difference(before, after)
    there = apply(before, edits)
    assert unordered(there) == unordered(after)
    assert before == kept
    assert apply(there, inverse(before, edits)) == before


@given(base=SECTIONS, mine=SECTIONS, theirs=SECTIONS)
def test_a_merge_loses_neither_side(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    """Each change of theirs is in the merged section or told as a conflict, and nothing of mine is changed by one."""
    merged = merge(base, mine, theirs)
    told = {edit.key for edit in merged.conflicts}
    for edit in difference(base, theirs):
        if isinstance(edit, SetValue) and edit.key not in told:
            assert value_at(merged.section, edit.key) == edit.value
    for edit in difference(base, mine):
        if isinstance(edit, SetValue):
            assert value_at(merged.section, edit.key) == edit.value


def test_another_answer_meanwhile_is_a_conflict_that_shows_both() -> None:
    """Of two answers to one question the second is refused, with both values."""
    edit = SetValue(("assets", "records", "impact"), 5, 4)
    meanwhile = apply(PLAN, [SetValue(("assets", "records", "impact"), 5, 3)])
    with pytest.raises(ConflictError, match=r"assets\.records\.impact meanwhile") as caught:
        apply(meanwhile, [edit])
    assert (caught.value.mine, caught.value.theirs) == (4, 3)


def test_the_same_answer_twice_is_one_answer() -> None:
    """A form that is sent twice changes nothing the second time."""
    edits: list[Edit] = [
        SetValue(("budget",), None, 7),
        SetEntry(("scenarios", "strike"), None, {"technique": "MT-A22", "because": "old"}),
    ]
    once = apply(PLAN, edits)
    assert apply(once, edits) == once


def test_what_is_taken_out_leaves_no_empty_mapping() -> None:
    """The last entry goes with what held it: a file with `scenarios: {}` says nothing."""
    section = apply(
        PLAN, [SetEntry(("scenarios", "add"), each, None) for each in PLAN["scenarios"]["add"]]
    )
    assert section == {"assets": PLAN["assets"]}


def test_an_entry_that_comes_back_stands_where_it_stood() -> None:
    """Undoing the removal of the first of two entries puts it first again."""
    edits = [SetEntry(("scenarios", "add"), PLAN["scenarios"]["add"][0], None)]
    assert apply(apply(PLAN, edits), inverse(PLAN, edits)) == PLAN


def test_an_entry_that_somebody_else_changed_is_a_conflict() -> None:
    """Replacing an entry that isn't there any more overwrites nothing."""
    gone = {"asset": "records", "steps": ["MT-B04"], "because": "other"}
    with pytest.raises(ConflictError):
        apply(PLAN, [SetEntry(("scenarios", "add"), gone, {**gone, "because": "new"})])


def test_entries_stand_in_the_lists_of_scenarios_alone() -> None:
    """An entry for another place is refused, whatever stands there."""
    with pytest.raises(ConflictError):
        apply(PLAN, [SetEntry(("assets",), None, {"because": "x"})])


def test_a_value_below_something_else_is_a_conflict() -> None:
    """What isn't a mapping isn't replaced by one."""
    with pytest.raises(ConflictError):
        apply({"assets": "none"}, [SetValue(("assets", "records"), None, {})])


def test_a_new_name_goes_everywhere() -> None:
    """An asset's scenarios follow its name; another one's stay."""
    section = apply(PLAN, renamed(PLAN, "records", "histories"))
    assert list(section["assets"]) == ["booking", "histories"]
    assert [each["asset"] for each in section["scenarios"]["add"]] == ["histories", "booking"]


@pytest.mark.parametrize(("old", "new"), [("gone", "other"), ("records", "booking")])
def test_a_name_that_is_taken_or_gone_is_a_conflict(old: str, new: str) -> None:
    """No asset takes the place of another."""
    with pytest.raises(ConflictError):
        renamed(PLAN, old, new)
