"""Hold the scan to findings that people judged: nothing unjudged, no true one lost, and few that aren't true."""

import json
import re

import pytest
from tests.unit.scan.fixtures.case_sets import NOISY
from tests.unit.scan.real_apps.known import report_of
from tests.unit.scan.real_apps.labelled import (
    DIGITS,
    LABELS,
    Judgement,
    Label,
    counts,
    is_found,
    judged_by_rule,
    judgement,
    labelled_apps,
    labels,
    place,
    places,
    tally,
)

from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict
from watchword.scan.registry import RULES

PRECISION = 0.95
beside_the_clone = pytest.mark.skipif(
    not labelled_apps(), reason="the labelled apps aren't beside the clone"
)
_REASON = re.compile(r"[A-Za-z0-9' ,;:.-]{10,90}")


def _finding(*files: str, verdict: Verdict = Verdict.EXPOSED, subject: str = "host") -> Finding:
    locations = tuple(Location(each, line=number) for number, each in enumerate(files, 1))
    return Finding(
        "cleartext-urls",
        verdict,
        Severity.LOW,
        Confidence.LIKELY,
        subject,
        "A title.",
        locations,
    )


def _label(judged: Judgement, *files: str, subject: str = "host") -> Label:
    at = frozenset(place(Location(each), subject) for each in files)
    return Label("cleartext-urls", Verdict.EXPOSED, judged, "for a reason", at)


def test_labels_hold_nothing_but_hashes_and_words() -> None:
    """A rule, a verdict, a reason in plain words, and hashes of places: no path, address, name or secret."""
    rules = {each.id for each in RULES}
    assert len(labels()) >= 30
    for digest, rows in labels().items():
        assert re.fullmatch("[0-9a-f]{64}", digest)
        assert len({(row.rule, row.says, hashed) for row in rows for hashed in row.at}) == sum(
            len(row.at) for row in rows
        ), f"a place of {digest} is labelled twice"
        for row in rows:
            # What was missed may be found by a rule to come.
            assert row.rule in rules or row.judgement is not Judgement.TRUE
            assert row.says in {Verdict.EXPOSED, Verdict.ABSENT}
            assert _REASON.fullmatch(row.reason), row.reason
            assert row.at
            assert all(re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", each) for each in row.at | row.beside)
    assert "http" not in LABELS.read_text("utf-8")


def test_a_finding_is_judged_by_its_places_and_its_subject() -> None:
    """Lines and titles don't matter; another subject in the same file is another finding."""
    known = (_label(Judgement.FALSE, "a.js", "b.js"),)
    assert judgement(_finding("b.js"), known) is Judgement.FALSE
    assert judgement(_finding("b.js", subject="other"), known) is None
    assert judgement(_finding("c.js"), known) is None


def test_a_false_finding_with_a_new_place_is_judged_again() -> None:
    """A true one isn't: it stays true wherever else it's found."""
    known = (_label(Judgement.FALSE, "a.js"), _label(Judgement.TRUE, "t.js"))
    assert judgement(_finding("a.js", "new.js"), known) is None
    assert judgement(_finding("t.js", "new.js"), known) is Judgement.TRUE


def test_a_missed_weakness_that_is_found_counts_as_true() -> None:
    """By its place alone, where nobody knows the subject that it would have."""
    known = (_label(Judgement.MISSED, "m.js", subject=""),)
    assert judgement(_finding("m.js"), known) is Judgement.TRUE
    assert is_found(known[0], [_finding("m.js")])
    assert not is_found(known[0], [_finding("n.js")])


@pytest.mark.parametrize(
    ("verdict", "found"),
    [(Verdict.ABSENT, True), (Verdict.NOT_SEEN, True), (Verdict.PROTECTED, False)],
)
def test_an_absent_protection_may_turn_into_one_not_seen(verdict: Verdict, found: bool) -> None:
    """It may not turn into one that is there."""
    known = Label(
        "cleartext-urls",
        Verdict.ABSENT,
        Judgement.TRUE,
        "for a reason",
        places(_finding(verdict=Verdict.ABSENT)),
    )
    assert is_found(known, [_finding(verdict=verdict)]) is found


@beside_the_clone
@pytest.mark.parametrize("file", labelled_apps())
def test_every_finding_is_judged(file: str) -> None:
    """A finding that is new has to be judged by the app alone, and gets a label; a false one tells what to mend first."""
    known = labels()[labelled_apps()[file]]
    new = [
        f"{each.title} {[str(place) for place in each.locations]}\n   {json.dumps(row)}"
        for each in filter(counts, report_of(file).findings)
        if judgement(each, known) is None
        for row in [
            {
                "rule": each.rule,
                "says": each.verdict,
                "verdict": "true|false|unsure",
                "reason": "...",
                "at": sorted(places(each)),
            }
        ]
    ]
    assert not new, f"{file}: judge by the app, then add to {LABELS.name}:\n" + "\n".join(new)


@beside_the_clone
@pytest.mark.parametrize("file", labelled_apps())
def test_no_true_finding_is_lost(file: str) -> None:
    """What was found and is so stays found."""
    report = report_of(file)
    lost = [
        f"{each.rule}: {each.reason} {sorted(each.at)}"
        for each in labels()[labelled_apps()[file]]
        if each.judgement is Judgement.TRUE and not is_found(each, report.findings)
    ]
    assert not lost, f"{file} no longer tells:\n" + "\n".join(lost)
    assert not sum(each.lost for each in tally(report, labels()[labelled_apps()[file]]).values())


@beside_the_clone
@pytest.mark.parametrize("rule", [*NOISY, "all"])
def test_few_findings_are_false(rule: str) -> None:
    """Of each rule that was noisy, and of all rules together; those that nobody can decide don't count."""
    told = judged_by_rule()[rule]
    assert told.precision >= PRECISION, (
        f"{rule}: {told.true} of {told.judged} findings are true ({told.precision:.0%})"
    )
