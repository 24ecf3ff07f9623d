"""Subjects of anonymous classes: the same from build to build, and still told apart."""

from hypothesis import given
from hypothesis import strategies as st

from watchword.scan.interface import Confidence, Finding, Severity, Verdict
from watchword.scan.outcome import fingerprint, renumbered, unnumbered


def finding(subject: str, rule: str = "trust-manager") -> Finding:
    """Return a finding."""
    return Finding(
        rule, Verdict.EXPOSED, Severity.HIGH, Confidence.CERTAIN, subject, f"{subject} trusts all."
    )


def subjects(*given_: str) -> list[str]:
    """Return what the subjects become, in their order."""
    return [each.subject for each in renumbered([finding(each) for each in given_])]


def test_numbers_are_those_among_the_rules_findings() -> None:
    """A listener that was added before them changes nothing."""
    assert subjects("a.Api$1", "a.Api$2") == ["a.Api$1", "a.Api$2"]
    assert subjects("a.Api$7", "a.Api$12") == ["a.Api$1", "a.Api$2"]
    assert subjects("a.Api$12", "a.Api$7") == ["a.Api$2", "a.Api$1"]
    assert subjects("a.Api$3", "b.Api$9", "a.Api$3") == ["a.Api$1", "b.Api$1", "a.Api$1"]


def test_numbers_may_stand_anywhere_in_a_subject() -> None:
    """Within others, behind a prefix, before a member."""
    assert subjects("MD5:a.Api$4", "a.Api$2$5.run", "a.Api$load$3") == [
        "MD5:a.Api$1",
        "a.Api$$1.run",
        "a.Api$load$1",
    ]


def test_what_is_no_number_of_a_class_stays() -> None:
    """Names that a developer chose, addresses, prices."""
    for subject in ("a.Api$Inner", "a.Api$1st", "a.Api", "$", "", "a$b1"):
        assert subjects(subject) == [subject]


def test_rules_count_for_themselves() -> None:
    """So that another rule's finding in the class changes nothing."""
    alone = renumbered([finding("a.Api$2")])
    beside = renumbered([finding("a.Api$1", "weak-crypto"), finding("a.Api$2")])
    assert fingerprint(alone[0]) == fingerprint(beside[1])


@given(
    st.lists(st.sampled_from([f"{n}${i}{t}" for n in "ab" for i in range(9) for t in ("", "$1")]))
)
def test_two_subjects_never_become_one(given_: list[str]) -> None:
    """Else one finding would hide the other."""
    found = subjects(*given_)
    assert len(set(found)) == len(set(given_))
    assert [unnumbered(each) for each in found] == [unnumbered(each) for each in given_]
    assert subjects(*found) == found
