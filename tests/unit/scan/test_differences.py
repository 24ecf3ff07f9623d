"""Two builds compared: what came, went and changed, and which protections were lost."""

from dataclasses import replace

from watchword.observations import State
from watchword.scan.app import Coverage, Disagreement, Gap, Part
from watchword.scan.differences import compare
from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict
from watchword.scan.outcome import Package, Report, RuleFacts, Standing

PACKAGE = Package("shop.apk", "apk", "android", "00" * 32, 1, "com.example.shop", "1.0")
RULE = RuleFacts("webview", "Views", (), {}, "", "")


def finding(
    subject: str, verdict: Verdict = Verdict.EXPOSED, severity: Severity = Severity.MEDIUM
) -> Finding:
    """Return a finding."""
    return Finding("webview", verdict, severity, Confidence.LIKELY, subject, "A title.")


def report(*findings: Finding, state: State | None = State.PROVEN) -> Report:
    """Return a report of these findings, with one protection."""
    standing = Standing("PR-C03", "scan:static.pinning", state, "Why.", ("pinning",))
    return Report(PACKAGE, findings, (RULE,), Coverage(), (standing,))


def test_a_build_is_no_different_from_itself() -> None:
    """Nor is it worse."""
    one = report(finding("a"))
    found = compare(one, replace(one, seconds=9.0))
    assert not found.any
    assert not found.worse


def test_what_came_and_went_is_told() -> None:
    """A finding more makes a build worse, one less doesn't."""
    found = compare(report(finding("a")), report(finding("b")))
    assert [each.subject for each in found.new] == ["b"]
    assert [each.subject for each in found.gone] == ["a"]
    assert found.worse
    assert not compare(report(finding("a")), report()).worse


def test_what_isnt_seen_any_more_isnt_gone() -> None:
    """The rule saw less than before: nobody knows."""
    unseen = finding("time", Verdict.NOT_SEEN, Severity.INFO)
    found = compare(report(finding("a")), report(unseen))
    assert found.gone == ()
    assert [each.subject for each in found.unseen] == ["a"]
    assert found.worse


def test_what_is_gone_where_less_was_read_than_before_isnt() -> None:
    """A part of the package that couldn't be read, or two readers that disagree; what was missed before too excuses nothing."""
    gap = Coverage((), (Gap(Part.DEX, "classes2.dex", "damaged"),))
    for missed in (
        replace(report(), coverage=gap),
        replace(report(), disagreements=(Disagreement("classes.dex", "two sizes"),)),
    ):
        found = compare(report(finding("a")), missed)
        assert [each.subject for each in found.unseen] == ["a"]
        assert found.worse
        assert compare(replace(missed, findings=(finding("a"),)), missed).gone


def test_another_number_of_an_anonymous_class_is_no_change() -> None:
    """Compilers number them anew in each build."""
    old, new = (replace(finding("a"), title=f"com.Api${number} trusts all.") for number in (1, 2))
    assert not compare(report(old), report(new)).any


def test_what_no_rule_looked_for_isnt_gone() -> None:
    """Another version of the tool may have lost the rule."""
    found = compare(report(finding("a")), replace(report(), rules=()))
    assert [each.subject for each in found.unseen] == ["a"]


def test_a_change_for_the_worse_is_one() -> None:
    """By severity, or from protected to exposed; not by where the code stands."""
    low, high = finding("a", severity=Severity.LOW), finding("a", severity=Severity.HIGH)
    assert compare(report(low), report(high)).worse
    assert not compare(report(high), report(low)).worse
    there = finding("a", Verdict.PROTECTED, Severity.INFO)
    (change,) = compare(report(there), report(low)).changed
    assert change.worse
    moved = replace(low, locations=(Location(cls="a.b.C"),))
    assert not compare(report(low), report(moved)).any


def test_a_protection_that_isnt_proven_any_more_is_lost() -> None:
    """Also where the new build only wasn't seen."""
    for state in (State.ABSENT, State.BROKEN, None):
        found = compare(report(), report(state=state))
        assert [(each.protection, each.new) for each in found.lost] == [("PR-C03", state)]
        assert found.worse
    assert compare(report(), replace(report(), standings=())).worse
    (gained,) = compare(report(state=None), report()).gained
    assert gained.new is State.PROVEN
    assert not compare(report(state=None), report(state=State.ABSENT)).any


def test_what_only_a_newer_rule_looks_for_is_told_as_such() -> None:
    """A finding more is worse, and the old build may have had it: its scan had no such rule, or has it under another name."""
    old = replace(report(), rules=(replace(RULE, id="another"),))
    found = compare(old, report(finding("a")))
    assert found.worse
    assert found.first == ("webview",)
    assert compare(report(), report(finding("a"))).first == ()
