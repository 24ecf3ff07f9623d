"""Run the rules over an app, each for itself: one that fails or comes too late is told, and ends nothing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from watchword.scan.app import App
from watchword.scan.frameworks import unread_line
from watchword.scan.interface import Confidence, Finding, Rule, Severity, Verdict
from watchword.scan.numbering import renumbered
from watchword.scan.outcome import (
    Report,
    RuleFacts,
    facts_of,
    ordered,
    package_of,
    standings_of,
)
from watchword.scan.redaction import Redaction, without_value

MOST: Final = 2_000
"""Findings of one rule that are kept; nobody reads more, and an app could be made to give any number."""

_SHORTEST: Final = 4
"""Characters from which on a secret is looked for in a title: shorter ones stand in any."""


def _without_end() -> float:
    return float("inf")


def scan(
    app: App,
    rules: Sequence[Rule],
    *,
    left: Callable[[], float] = _without_end,
    told: Callable[[str], None] = lambda _: None,
    api: tuple[Iterable[Finding], Sequence[RuleFacts]] = ((), ()),
) -> Report:
    """Return what the rules see in an app.

    :param left: returns the seconds that are left; a rule that would begin later is told as ``not-seen``.
    :param told: is called with each rule's id before it looks.
    :param api: findings on the API's description in the order in which they are told, and the facts of their rules.
    """
    found: list[Finding] = []
    for rule in rules:
        told(rule.id)
        found += [*_told_unread(rule, app, _looked(rule, app, left))]
    findings, more = api
    of_api = [_guarded(each) for each in findings]
    facts = {each.id: each for each in (*map(facts_of, rules), *more)}
    package = package_of(app)
    # What one rule takes for a secret, others may have met in a path, a host or a name.
    hidden = Redaction.of((*found, *of_api), _texts_of(facts.values()))
    found = renumbered([hidden.finding(each) for each in found])
    coverage, odd = hidden.coverage(app.coverage), hidden.disagreements(app.disagreements)
    return Report(
        package=package,
        findings=ordered(found),
        rules=tuple(facts[name] for name in sorted(facts)),
        coverage=coverage,
        standings=standings_of(rules, found, coverage, odd, named=bool(package.id)),
        disagreements=odd,
        api=_once(map(hidden.finding, of_api)),
    )


def _texts_of(facts: Iterable[RuleFacts]) -> Iterator[str]:
    """Yield what rules say of themselves."""
    for each in facts:
        yield from (each.id, each.title, each.todo, each.blind)


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in their order, of each rule and subject the first."""
    found: dict[tuple[str, str], Finding] = {}
    for each in findings:
        found.setdefault((each.rule, each.subject), each)
    return tuple(found.values())


def _looked(rule: Rule, app: App, left: Callable[[], float]) -> list[Finding]:
    if left() <= 0:
        return [_not_seen(rule, "time", "The time was over before this rule looked.")]
    found: list[Finding] = []
    try:
        for each in _capped(rule, app):
            found.append(_guarded(each))  # noqa: PERF401 - what came before a fault is kept.
    except Exception as error:  # noqa: BLE001 - whatever a strange app does to one rule must not cost the others.
        # The text of the error may hold anything of the app's, a secret too: its kind is enough.
        title = f"The rule {rule.id} failed ({type(error).__name__}), so that it saw nothing."
        if left() <= 0:
            title = "The time was over while this rule looked."
        # What it gave before stays: bad news is news.  What is good may have lacked the rest.
        kept = [each for each in found if each.verdict is Verdict.EXPOSED]
        return [*kept, _not_seen(rule, "fault", title)]
    return found


def _told_unread(rule: Rule, app: App, found: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what a rule found, and which code it didn't see, unless it said so itself.

    What isn't there is only known where all was seen: what a rule says of it without asking its look isn't taken over.
    """
    reads = getattr(rule, "reads", {})
    unread = unread_line(app.coverage, reads)
    said = False
    for each in found:
        one = each
        if unread and each.verdict is Verdict.ABSENT:
            title = f"It wasn't found in what was seen, but {unread}."
            one = replace(each, verdict=Verdict.NOT_SEEN, severity=Severity.INFO, title=title)
        said = said or (one.verdict is Verdict.NOT_SEEN and unread in one.title)
        yield one
    if found and unread and not said:
        # By what it's called, so that a baseline which knows of one framework knows of no other.
        names = sorted({each.framework.value for each in app.coverage.unread(reads)})
        yield _not_seen(rule, f"unread:{','.join(names)}", f"{unread[0].upper()}{unread[1:]}.")


def _capped(rule: Rule, app: App) -> Iterator[Finding]:
    for number, each in enumerate(rule.look(app)):
        if number >= MOST:
            yield _not_seen(
                rule, "more", f"More than {MOST:,} findings of this rule; the rest isn't listed."
            )
            return
        yield each


def _not_seen(rule: Rule, subject: str, title: str) -> Finding:
    return Finding(
        rule.id, Verdict.NOT_SEEN, Severity.INFO, Confidence.CERTAIN, f"scan:{subject}", title
    )


def _guarded(finding: Finding) -> Finding:
    """Return a finding whose title and subject don't hold its secret, whatever the rule did, and can be written."""
    title, subject = finding.title, finding.subject
    secret = finding.secret
    if secret is not None and len(secret.value) >= _SHORTEST:
        title = without_value(title, secret, secret.redacted)
        subject = without_value(subject, secret, secret.kind)
    # Strings of DEX may hold halves of pairs, which nobody can name in a suppression nor read back.
    title, subject = _writable(title), _writable(subject)
    if (title, subject) == (finding.title, finding.subject):
        return finding
    return replace(finding, title=title, subject=subject)


def _writable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
