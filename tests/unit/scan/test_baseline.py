"""What is set aside: by a baseline, by somebody until a day, and what never is."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.test_differences import finding, report

from watchword.scan.app import Coverage, Gap, Part
from watchword.scan.baseline import (
    BaselineError,
    Sorted,
    Suppression,
    failed,
    from_baseline,
    from_suppressions,
    sort,
    to_baseline,
)
from watchword.scan.interface import Confidence, Severity, Verdict
from watchword.scan.outcome import fingerprint

TODAY = date(2026, 11, 25)
ENTRY = {
    "rule": "webview",
    "subject": "a",
    "owner": "Ada",
    "reason": "It shows one page of ours.",
    "expires": "2026-11-25",
}


def suppression(**more: Any) -> Suppression:
    """Return one for the finding ``a``, that ends today."""
    return from_suppressions([{**ENTRY, **more}])[0]


def test_what_the_baseline_knows_is_set_aside() -> None:
    """And nothing else."""
    known = from_baseline(to_baseline([report(finding("a"))]))
    found = sort(report(finding("a"), finding("b")), known, (), TODAY)
    assert [each.subject for each in found.known] == ["a"]
    assert [each.subject for each in found.counting] == ["b"]


def test_a_finding_that_gets_worse_counts_again() -> None:
    """A baseline knows how severe it was."""
    known = from_baseline(to_baseline([report(finding("a", severity=Severity.LOW))]))
    assert sort(report(finding("a")), known, (), TODAY).known == ()
    milder = report(finding("a", severity=Severity.LOW))
    assert len(sort(milder, known, (), TODAY).known) == 1


def test_what_a_rule_cant_decide_is_known_as_that_alone() -> None:
    """Once it's exposed it counts; and where it was exposed before, that nobody can tell any more counts too."""
    unseen = report(finding("a", Verdict.NOT_SEEN, Severity.INFO))
    known = from_baseline(to_baseline([unseen]))
    assert sort(unseen, known, (), TODAY).known == unseen.findings
    exposed = report(finding("a", severity=Severity.LOW))
    assert sort(exposed, known, (), TODAY).counting == exposed.findings
    before = {fingerprint(unseen.findings[0]): Severity.CRITICAL}
    assert sort(unseen, before, (), TODAY).counting == unseen.findings


def test_somebody_can_answer_for_what_a_rule_cant_decide() -> None:
    """Until his day is over."""
    unseen = report(finding("a", Verdict.NOT_SEEN, Severity.INFO))
    found = sort(unseen, None, [suppression()], TODAY)
    assert not failed(unseen, found, ["not-seen"])
    late = sort(unseen, None, [suppression(expires="2026-11-24")], TODAY)
    assert failed(unseen, late, ["not-seen"])


def test_a_suppression_counts_until_the_end_of_its_day() -> None:
    """The day after, its finding counts again, and that is told."""
    one = report(finding("a"))
    found = sort(one, None, [suppression()], TODAY)
    assert found.suppressed == ((one.findings[0], suppression()),)
    assert found.counting == ()
    late = sort(one, None, [suppression(expires="2026-11-24")], TODAY)
    assert late.counting == one.findings
    assert [each.owner for each in late.expired] == ["Ada"]
    assert late.unknown == ()


@pytest.mark.parametrize("change", [{"rule": "pinning"}, {"subject": "A"}, {"subject": "*"}])
def test_a_suppression_that_suits_nothing_is_told(change: dict[str, str]) -> None:
    """It is for one rule and one subject, as the report writes it: no patterns."""
    found = sort(report(finding("a")), None, [suppression(**change)], TODAY)
    assert len(found.unknown) == 1
    assert len(found.counting) == 1


@pytest.mark.parametrize(
    ("entries", "where"),
    [
        ({}, "the file"),
        ([1], "[0]"),
        ([{**ENTRY, "more": 1}], "[0]"),
        ([{**ENTRY, "owner": " "}], "[0].owner"),
        ([{**ENTRY, "reason": None}], "[0].reason"),
        ([{**ENTRY, "expires": "never"}], "[0].expires"),
        ([{**ENTRY, "subject": "a" * 2000}], "[0].subject"),
        ([ENTRY, ENTRY], "[1]"),
    ],
)
def test_what_isnt_a_list_of_suppressions_is_refused(entries: object, where: str) -> None:
    """The entry is named: what can't be read would suppress nothing, or too much."""
    with pytest.raises(BaselineError) as caught:
        from_suppressions(entries)
    assert caught.value.where == where


def test_a_rule_that_nobody_knows_is_refused() -> None:
    """A misspelt one would be told as unknown in each run, for ever."""
    with pytest.raises(BaselineError) as caught:
        from_suppressions([ENTRY], ["pinning"])
    assert caught.value.where == "[0].rule"


def test_a_day_as_yaml_reads_it_is_one() -> None:
    """Without quotes it comes as a date."""
    assert suppression(expires=TODAY) == suppression()


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "x"},
        {"v": 2},
        {"findings": {}},
        {"findings": [{}]},
        {"findings": [{"fingerprint": "0" * 31, "severity": "low"}]},
        {"findings": [{"fingerprint": "0" * 32, "severity": "bad"}]},
        {"findings": [{"fingerprint": "0" * 32, "severity": []}]},
    ],
)
def test_what_isnt_a_baseline_is_refused(change: dict[str, Any]) -> None:
    """One that is read as empty would let a build fail for what is known."""
    with pytest.raises(BaselineError):
        from_baseline({**to_baseline([report()]), **change})


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["v", "kind", "findings", "rule"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_a_file_sets_aside_what_it_names_or_is_refused(value: object) -> None:
    """Whatever a file holds: no other error comes out, and nothing is set aside that doesn't stand in it."""
    whole = {**to_baseline([report()]), "findings": value}
    for read, document in (
        (from_baseline, value),
        (from_baseline, whole),
        (from_suppressions, value),
    ):
        try:
            named = read(document)
        except BaselineError:
            continue
        # What is drawn has no whole entry in it: an empty list is all that can be read.
        assert (value, len(named)) == ([], 0)


@pytest.mark.parametrize(
    ("condition", "fails"),
    [("critical", False), ("high", False), ("medium", True), ("low", True), ("new", True)],
)
def test_a_severity_holds_for_it_and_for_worse_ones(condition: str, fails: bool) -> None:
    """A finding of severity medium."""
    one = report(finding("a"))
    assert bool(failed(one, Sorted(one.all_findings), [condition])) is fails
    assert not failed(one, Sorted(()), [condition])


@pytest.mark.parametrize("condition", ["critical", "high", "medium", "low"])
def test_what_is_only_possible_fails_no_severity(condition: str) -> None:
    """A guess by looks is shown, and is new where it's new; a build doesn't break on it."""
    guess = replace(finding("a", severity=Severity.CRITICAL), confidence=Confidence.POSSIBLE)
    one = report(guess)
    assert not failed(one, Sorted(one.all_findings), [condition])
    assert failed(one, Sorted(one.all_findings), ["new"])


def test_not_seen_holds_wherever_anything_wasnt_seen() -> None:
    """By a rule, or by a reader; setting findings aside changes nothing about a part that nobody read."""
    whole = report(finding("a"))
    assert not failed(whole, Sorted(whole.findings), ["not-seen"])
    gap = replace(whole, coverage=Coverage(gaps=(Gap(Part.DEX, "x", "y"),)))
    unseen = report(finding("a", Verdict.NOT_SEEN, Severity.INFO))
    assert failed(gap, Sorted(()), ["not-seen"])
    assert failed(unseen, Sorted(unseen.findings), ["not-seen"])
    assert not failed(unseen, Sorted(()), ["not-seen"])
    assert not failed(gap, Sorted(()), ["critical"])


def test_what_is_info_never_fails() -> None:
    """Absent, but nothing by itself."""
    one = report(finding("a", Verdict.ABSENT, Severity.INFO))
    assert not failed(one, Sorted(one.findings), ["critical", "high", "medium", "low", "new"])


def test_a_condition_that_is_none_is_a_fault_of_ours() -> None:
    """It would never hold."""
    with pytest.raises(ValueError, match="hgih"):
        failed(report(), Sorted(()), ["hgih"])
