"""What a report makes of findings: order, fingerprints, and what a build says of each protection."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.observations import State
from watchword.scan.app import (
    App,
    Coverage,
    Depth,
    Disagreement,
    Framework,
    FrameworkCode,
    Gap,
    Part,
)
from watchword.scan.interface import Confidence, Finding, Location, Secret, Severity, Verdict
from watchword.scan.outcome import fingerprint, order, ordered, standings_of

KEY = "scan:static.pinning"


@dataclass(frozen=True)
class Stated:
    """Stand for a rule that is known by what it states; what it found is handed over beside it."""

    id: str = "pinning"
    title: str = "Pins"
    techniques: tuple[str, ...] = ("MT-C01",)
    protections: dict[str, str] = field(default_factory=lambda: {"PR-C03": KEY})
    todo: str = "Pin."
    blind: str = "All else."
    parts: tuple[Part, ...] = (Part.DEX,)

    def run(self, app: App) -> tuple[Finding, ...]:
        """See nothing."""
        del app
        return ()


def finding(
    verdict: Verdict,
    severity: Severity = Severity.MEDIUM,
    confidence: Confidence = Confidence.LIKELY,
    *,
    rule: str = "pinning",
    subject: str = "api.example",
) -> Finding:
    """Return a finding."""
    return Finding(rule, verdict, severity, confidence, subject, f"{verdict.value} {subject}.")


def state(
    *findings: Finding, coverage: Coverage | None = None, odd: bool = False, named: bool = True
) -> State | None:
    """Return the one standing that these findings of one rule give."""
    disagreements = (Disagreement("a", "b"),) if odd else ()
    found = standings_of([Stated()], findings, coverage or Coverage(), disagreements, named=named)
    assert [(each.protection, each.key) for each in found] == [("PR-C03", KEY)]
    assert found[0].why
    return found[0].state


GOOD = finding(Verdict.PROTECTED, Severity.INFO)
ABSENT = finding(Verdict.ABSENT, subject="pinning")
EXPOSED = finding(Verdict.EXPOSED, subject="user")
UNSEEN = finding(Verdict.NOT_SEEN, Severity.INFO, subject="time")


def test_a_protection_that_was_seen_in_all_of_the_app_is_proven() -> None:
    """Good news, nothing missed."""
    assert state(GOOD) is State.PROVEN


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ((ABSENT,), State.ABSENT),
        ((EXPOSED,), State.ABSENT),
        ((GOOD, EXPOSED), State.BROKEN),
        ((GOOD, replace(EXPOSED, severity=Severity.LOW)), State.PROVEN),
        ((GOOD, replace(EXPOSED, confidence=Confidence.POSSIBLE)), None),
        ((replace(GOOD, confidence=Confidence.POSSIBLE),), None),
        ((replace(EXPOSED, confidence=Confidence.POSSIBLE),), None),
        ((GOOD, ABSENT), None),
        ((GOOD, UNSEEN), None),
        ((UNSEEN,), None),
        ((EXPOSED, UNSEEN), State.ABSENT),
        ((finding(Verdict.INFO, Severity.INFO),), None),
    ],
    ids=str,
)
def test_each_mix_of_findings_gives_its_state(
    findings: tuple[Finding, ...], expected: State | None
) -> None:
    """Bad news counts at once, good news only without a doubt beside it."""
    assert state(*findings) is expected


@pytest.mark.parametrize("part", [Part.DEX, Part.ARCHIVE])
def test_what_was_missed_keeps_good_news_from_proving(part: Part) -> None:
    """A gap in a part that the rule asks, or in the archive."""
    assert state(GOOD, coverage=Coverage(gaps=(Gap(part, "classes2.dex", "damaged"),))) is None
    assert state(ABSENT, coverage=Coverage(gaps=(Gap(part, "x", "damaged"),))) is State.ABSENT


@pytest.mark.parametrize("depth", Depth)
def test_code_that_a_rule_says_nothing_of_keeps_it_from_proving(depth: Depth) -> None:
    """The default is closed: what the rule doesn't name it didn't see, nor is anything absent there; what is exposed is."""
    code = FrameworkCode(Framework.DOTNET, ".NET", "a.dll", ("a.dll",), depth)
    unread = Coverage(frameworks=(code,))
    assert state(GOOD, coverage=unread) is None
    assert state(ABSENT, coverage=unread) is None
    assert state(EXPOSED, coverage=unread) is State.ABSENT


def test_a_gap_elsewhere_changes_nothing() -> None:
    """A damaged picture doesn't take pins away."""
    assert state(GOOD, coverage=Coverage(gaps=(Gap(Part.NATIVE, "x", "y"),))) is State.PROVEN


def test_a_package_that_two_readers_see_differently_proves_nothing() -> None:
    """The phone may install what wasn't looked at."""
    assert state(GOOD, odd=True) is None
    assert state(EXPOSED, odd=True) is State.ABSENT


def test_without_the_packages_name_only_what_is_exposed_counts() -> None:
    """Its own code can't be told from that of libraries."""
    assert state(GOOD, named=False) is None
    assert state(ABSENT, named=False) is None
    assert state(EXPOSED, named=False) is State.ABSENT


def test_without_the_packages_name_nothing_is_proven() -> None:
    """Something slight that is exposed doesn't make it so."""
    slight = replace(EXPOSED, severity=Severity.LOW)
    assert state(GOOD, slight) is State.PROVEN
    assert state(GOOD, slight, named=False) is None


@pytest.mark.parametrize(
    ("severity", "confidence", "expected"),
    [
        (Severity.LOW, Confidence.POSSIBLE, None),
        (Severity.MEDIUM, Confidence.POSSIBLE, State.ABSENT),
        (Severity.LOW, Confidence.CERTAIN, State.ABSENT),
    ],
)
def test_what_is_slight_isnt_worse_where_less_was_seen(
    severity: Severity, confidence: Confidence, expected: State | None
) -> None:
    """All of it might be clean but for that, as ``RuleContext.clean`` marks it; what was missed for other reasons hides nothing good."""
    unseen = replace(UNSEEN, confidence=confidence)
    assert state(replace(EXPOSED, severity=severity), unseen) is expected


def test_it_is_said_why_a_build_says_nothing() -> None:
    """By what keeps it from being proven, never by the good half of it."""

    def why(*findings: Finding) -> str:
        (found,) = standings_of([Stated()], findings, Coverage())
        assert found.state is None
        return found.why

    weak = replace(GOOD, confidence=Confidence.POSSIBLE)
    slight = replace(EXPOSED, severity=Severity.LOW)
    assert why(weak, slight) == slight.title
    assert why(weak) == f"{weak.title} By its looks alone, which proves nothing."
    unsure = replace(EXPOSED, confidence=Confidence.POSSIBLE)
    assert why(GOOD, unsure) == f"{unsure.title} That is possible, not certain."
    assert why(GOOD, UNSEEN) == UNSEEN.title


def test_of_several_rules_on_one_key_each_must_hold() -> None:
    """Not debuggable, but no check for debuggers: not proven."""
    rules = [Stated(), Stated(id="other"), Stated(id="for-ios")]
    other = finding(Verdict.ABSENT, rule="other")
    (both,) = standings_of(rules, [GOOD, other], Coverage())
    assert (both.state, both.rules) == (State.ABSENT, ("other", "pinning"))
    (one,) = standings_of(rules, [GOOD, replace(GOOD, rule="other")], Coverage())
    assert one.state is State.PROVEN
    (none,) = standings_of(rules, [GOOD, replace(UNSEEN, rule="other")], Coverage())
    assert none.state is None


def test_a_rule_that_yields_nothing_says_nothing() -> None:
    """It is for another platform: there isn't even a standing."""
    assert standings_of([Stated()], [], Coverage()) == ()


def test_a_rule_that_doesnt_name_its_parts_needs_all_of_them() -> None:
    """It may have asked anything."""

    class Bare:
        """Stand for a rule without parts."""

        id, title, techniques, todo, blind = "pinning", "Pins", (), "", ""
        protections = {"PR-C03": KEY}  # noqa: RUF012 - as any rule has it.

        def run(self, app: App) -> tuple[Finding, ...]:
            """See nothing."""
            del app
            return ()

    gaps = Coverage(gaps=(Gap(Part.PRIVACY, "x", "y"),))
    (found,) = standings_of([Bare()], [GOOD], gaps)
    assert found.state is None
    (whole,) = standings_of([Bare()], [GOOD], Coverage())
    assert whole.state is State.PROVEN


def test_a_fingerprint_is_of_rule_and_subject_alone() -> None:
    """Title, places, severity and the secret may change from build to build."""
    first = replace(EXPOSED, secret=Secret("token", "s3cr3t-value"))
    later = replace(
        first,
        title="Another title",
        severity=Severity.LOW,
        locations=(Location(cls="a.b"),),
        secret=Secret("token", "other"),
    )
    assert fingerprint(first) == fingerprint(later)
    assert fingerprint(first) != fingerprint(replace(first, subject="other"))
    assert fingerprint(first) != fingerprint(replace(first, rule="other"))


def test_a_rule_and_a_subject_dont_run_into_each_other() -> None:
    """``ab`` and ``c`` isn't ``a`` and ``bc``."""
    assert fingerprint(finding(Verdict.INFO, rule="ab", subject="c")) != fingerprint(
        finding(Verdict.INFO, rule="a", subject="bc")
    )


FINDINGS = st.builds(
    finding,
    st.sampled_from(Verdict),
    st.sampled_from(Severity),
    st.sampled_from(Confidence),
    rule=st.sampled_from(["a", "b"]),
    subject=st.sampled_from(["x", "y", "z"]),
)


@given(
    st.lists(FINDINGS, max_size=20).flatmap(
        lambda one: st.tuples(st.just(one), st.permutations(one))
    )
)
def test_the_order_depends_on_nothing_but_the_findings(
    given_twice: tuple[list[Finding], list[Finding]],
) -> None:
    """However they come, they leave alike: each rule and subject once, the worst first."""
    findings, shuffled = given_twice
    found = ordered(findings)
    assert found == ordered(shuffled)
    assert [order(each) for each in found] == sorted(order(each) for each in found)
    assert len({fingerprint(each) for each in found}) == len(found)
    for each in findings:
        kept = next(one for one in found if fingerprint(one) == fingerprint(each))
        assert order(kept) <= order(each)


def test_places_of_what_is_said_twice_go_along() -> None:
    """One finding with both places."""
    one, two = (replace(EXPOSED, locations=(Location(cls=name),)) for name in ("a", "b"))
    (found,) = ordered([two, one])
    assert found.locations == (Location(cls="a"), Location(cls="b"))


def test_what_is_there_never_stands_above_what_is_to_act_on() -> None:
    """A protection isn't worse for what it keeps shut."""
    there = finding(Verdict.PROTECTED, Severity.CRITICAL)
    low = finding(Verdict.EXPOSED, Severity.LOW, subject="b")
    assert ordered([there, low]) == (low, there)
