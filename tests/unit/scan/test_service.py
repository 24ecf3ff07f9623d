"""A scan: every rule for itself, within the time, and no secret where none belongs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.simulated import PACKAGE, simulated, without

from watchword.observations import State
from watchword.scan.app import App, Part
from watchword.scan.interface import Confidence, Finding, Secret, Severity, Verdict
from watchword.scan.outcome import Report, RuleFacts, unnumbered
from watchword.scan.registry import RULES
from watchword.scan.secrets.patterns import packaged
from watchword.scan.service import MAX_FINDINGS, scan

SECRET = "s3cr3t-value-of-somebody"


@dataclass(frozen=True)
class Scripted:
    """Stand for a rule that does as it is told."""

    sees: Callable[[App], Iterable[Finding]]
    id: str = "scripted"
    title: str = "Scripted"
    techniques: tuple[str, ...] = ()
    protections: dict[str, str] = field(default_factory=lambda: {"PR-A01": "scan:static.x"})
    todo: str = "Nothing."
    blind: str = "All."
    parts: tuple[Part, ...] = (Part.DEX,)

    def run(self, app: App) -> Iterable[Finding]:
        """Do it."""
        return self.sees(app)


def finding(
    verdict: Verdict = Verdict.PROTECTED, subject: str = "x", title: str = "A title."
) -> Finding:
    """Return a finding of the scripted rule."""
    severity = Severity.INFO if verdict is Verdict.PROTECTED else Severity.HIGH
    return Finding("scripted", verdict, severity, Confidence.LIKELY, subject, title)


def failing(*before: Finding) -> Callable[[App], Iterator[Finding]]:
    """Return what yields these and then fails, with a secret in its error."""

    def sees(_: App) -> Iterator[Finding]:
        yield from before
        raise RecursionError(SECRET)

    return sees


def test_a_rule_that_fails_is_told_and_ends_nothing() -> None:
    """The next rule looks all the same, and the error's text is nowhere."""
    other = Scripted(lambda _: [finding()], id="other")
    report = scan(simulated(), [Scripted(failing()), other])
    (unseen,) = report.not_seen
    assert unseen.rule == "scripted"
    assert "scripted" in unseen.title
    assert report.partial
    assert any(each.verdict is Verdict.PROTECTED for each in report.findings)
    assert SECRET not in repr(report)


def test_what_a_rule_said_before_it_failed_counts_only_where_it_is_bad() -> None:
    """What is good may have lacked the rest."""
    report = scan(simulated(), [Scripted(failing(finding(), finding(Verdict.EXPOSED, "bad")))])
    verdicts = {each.verdict for each in report.findings}
    assert verdicts == {Verdict.EXPOSED, Verdict.NOT_SEEN}
    good = scan(simulated(), [Scripted(failing(finding()))])
    assert [each.state for each in good.standings] == [None]


def test_rules_that_come_too_late_are_told() -> None:
    """The time is asked before each."""
    left = iter([1.0, 0.0])
    rules = [Scripted(lambda _: [finding()]), Scripted(lambda _: [finding()], id="late")]
    report = scan(simulated(), rules, left=lambda: next(left))
    assert [each.rule for each in report.not_seen] == ["late"]


def test_a_rule_without_an_end_is_cut() -> None:
    """It says so, and proves nothing."""

    def sees(_: App) -> Iterator[Finding]:
        number = 0
        while True:
            number += 1
            yield finding(subject=str(number))

    report = scan(simulated(), [Scripted(sees)])
    assert len(report.findings) == MAX_FINDINGS + 1
    assert len(report.not_seen) == 1
    assert report.standings[0].state is None


def test_a_secret_leaves_title_and_subject() -> None:
    """Whatever a rule does: a title goes to CI logs, a subject into the repository."""
    one = Finding(
        "scripted",
        Verdict.EXPOSED,
        Severity.HIGH,
        Confidence.CERTAIN,
        f"key:{SECRET}",
        f"{SECRET} is there.",
        secret=Secret("token", SECRET),
    )
    (found,) = scan(simulated(), [Scripted(lambda _: [one])]).findings
    assert SECRET not in found.title + found.subject
    assert found.secret is not None
    assert found.secret.value == SECRET


_KINDS = sorted({each.kind for each in packaged().patterns})


@given(st.sampled_from(_KINDS), st.data())
def test_a_title_keeps_the_name_of_the_kind(kind: str, data: st.DataObject) -> None:
    """A password that is a part of ``password-in-url`` is shown nowhere, and damages neither title nor subject."""
    start = data.draw(st.integers(0, len(kind) - 1))
    value = kind[start : data.draw(st.integers(start + 1, len(kind)))]
    one = Finding(
        "scripted",
        Verdict.EXPOSED,
        Severity.HIGH,
        Confidence.LIKELY,
        f"{kind}:0123",
        f"A secret of the kind {kind} is in the package.",
        secret=Secret(kind, value),
    )
    (found,) = scan(simulated(), [Scripted(lambda _: [one])]).findings
    assert found.title == one.title
    assert found.subject == f"{kind}:0123"


def test_a_value_that_a_rule_speaks_of_damages_no_other_finding() -> None:
    """What stands in a rule's own texts tells nobody what the secret is."""
    held = replace(finding(Verdict.EXPOSED), secret=Secret("token", "Scripted-Words"))
    speaking = Scripted(
        lambda _: [held, finding(subject="y", title="It has Scripted-Words.")],
        blind="It knows Scripted-Words.",
    )
    report = scan(simulated(), [speaking])
    assert "It has Scripted-Words." in {each.title for each in report.findings}


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=20))
def test_every_subject_can_be_written(text: str) -> None:
    """Strings of DEX may hold halves of pairs."""
    (found,) = scan(simulated(), [Scripted(lambda _: [finding(subject=text)])]).findings
    halves = {sign: f"\\u{ord(sign):04x}" for sign in text if "\ud800" <= sign <= "\udfff"}
    written = "".join(halves.get(sign, sign) for sign in text)
    # A number as of an anonymous class is its rank among the findings, which tests/unit/scan/test_numbering.py shows.
    subject = found.subject.encode("utf-8").decode("utf-8")
    assert unnumbered(subject) == unnumbered(written)


def test_the_facts_of_app_and_rules_stand_in_the_report() -> None:
    """The rules by id, those of the API's description too."""
    facts = RuleFacts("api-x", "X", (), {}, "", "")
    more = [Finding("api-x", Verdict.EXPOSED, Severity.LOW, Confidence.LIKELY, "GET /", "T.")] * 2
    report = scan(simulated(), [Scripted(lambda _: ())], api=(more, [facts]))
    assert report.package.id == PACKAGE
    assert [each.id for each in report.rules] == ["api-x", "scripted"]
    assert report.api == (more[0],)
    assert not report.partial


def test_a_gap_makes_the_report_partial() -> None:
    """Whatever the rules say."""
    assert scan(without(simulated(), Part.ASSETS), []).partial


def test_all_rules_together_give_the_same_report_twice() -> None:
    """No rule remembers the app before, nor does any fail on a small one."""

    def scanned() -> Report:
        return scan(simulated(), RULES)

    assert scanned() == scanned()
    faults = [each for each in scanned().not_seen if each.subject == "scan:fault"]
    assert faults == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.id))
def test_no_rule_proves_anything_by_a_package_that_wasnt_read(rule: Scripted) -> None:
    """An app of which nothing could be read gets no clean bill by any rule."""
    parts = [*Part]
    app = simulated(manifest=None, code=None)
    for part in parts:
        app = without(app, part)
    report = scan(app, [rule])
    assert all(each.state is not State.PROVEN for each in report.standings)


def test_the_registry_is_in_order_and_without_doubles() -> None:
    """Ids as their files, each once."""
    ids = [each.id for each in RULES]
    assert ids == sorted(set(ids), key=lambda name: name.replace("-", "_"))
