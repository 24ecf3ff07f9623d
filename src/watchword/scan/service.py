"""Run the rules over an app, each for itself: one that fails or comes too late is told, and ends nothing."""

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from watchword.extras import needs
from watchword.scan.app import App, Coverage, Disagreement
from watchword.scan.frameworks import unread_line
from watchword.scan.interface import Confidence, Finding, Location, Rule, Secret, Severity, Verdict
from watchword.scan.outcome import (
    Report,
    RuleFacts,
    facts_of,
    ordered,
    package_of,
    renumbered,
    standings_of,
)

with needs("scan"):
    import ahocorasick_rs

SHORTEST: Final = 8
"""Characters from which on a secret is looked for; shorter ones stand in many a word."""

WORDS: Final = 16
"""Characters up to which a secret of small letters alone is taken for a word, which our own sentences may hold."""

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""What stands for itself in an address (RFC 3986, 2.3)."""

MAX_FINDINGS: Final = 2_000
"""Findings of one rule that are kept; nobody reads more, and an app could be made to give any number."""

MAX_SECRETS: Final = 2_000
"""Secrets that are looked for, the longest first."""


class Redaction:
    """Know the secrets of a report in the forms in which texts hold them: as they are, in base64, in hex, in an address."""

    def __init__(self, secrets: Iterable[Secret], ours: Iterable[str] = ()) -> None:
        """Make the one automaton that finds them all in one pass.

        :param ours: texts that rules write by themselves; a value that stands in them is a word of ours wherever it's met.
        """
        found = {each.value: each for each in secrets}
        words = "\n".join((*ours, *(each.kind for each in found.values()))).lower()
        kept = sorted(
            (
                each
                for value, each in found.items()
                if _worth_looking_for(value) and value.lower() not in words
            ),
            key=lambda one: (-len(one.value), one.value),
        )[:MAX_SECRETS]
        self._forms = {form.lower(): (form, each) for each in kept[::-1] for form in _forms(each)}
        self._patterns = sorted(self._forms)
        self._found = ahocorasick_rs.AhoCorasick(
            self._patterns, matchkind=ahocorasick_rs.MatchKind.LeftmostLongest
        )

    @classmethod
    def of(cls, findings: Iterable[Finding], ours: Iterable[str] = ()) -> "Redaction":
        """Return that of the secrets which findings hold."""
        return cls((each.secret for each in findings if each.secret is not None), ours)

    def text(self, text: str, *, by_kind: bool = False) -> str:
        """Return a text with what may be shown of each secret in its place.

        :param by_kind: whether the kind stands there instead, which stays when a secret is changed.
        """
        if not self._patterns:
            return text
        text = _writable(text)
        low = text.lower()
        if len(low) != len(text):
            low = "".join(each if len(each.lower()) != 1 else each.lower() for each in text)
        parts: list[str] = []
        end = 0
        for number, start, stop in self._found.find_matches_as_indexes(low):
            form, secret = self._forms[self._patterns[number]]
            # A secret of letters alone may be a word in another case.
            if form.isalpha() and text[start:stop] != form:
                continue
            parts += [
                text[end:start],
                _writable(secret.kind if by_kind else secret.redacted),
            ]
            end = stop
        return "".join([*parts, text[end:]]) if parts else text

    def finding(self, finding: Finding) -> Finding:
        """Return a finding whose texts hold none."""
        return replace(
            finding,
            subject=self.text(finding.subject, by_kind=True),
            title=self.text(finding.title),
            seen=self.text(finding.seen),
            locations=tuple(dict.fromkeys(map(self._location, finding.locations))),
        )

    def _location(self, place: Location) -> Location:
        return Location(
            self.text(place.file), self.text(place.cls), self.text(place.member), place.line
        )

    def coverage(self, coverage: Coverage) -> Coverage:
        """Return coverage whose gaps hold none."""
        gaps = [
            replace(each, where=self.text(each.where), why=self.text(each.why))
            for each in coverage.gaps
        ]
        frameworks = [
            replace(each, by=self.text(each.by), entries=tuple(map(self.text, each.entries)))
            for each in coverage.frameworks
        ]
        return Coverage(coverage.seen, tuple(gaps), tuple(frameworks))

    def disagreements(self, odd: Iterable[Disagreement]) -> tuple[Disagreement, ...]:
        """Return disagreements that hold none."""
        return tuple(Disagreement(self.text(each.entry), self.text(each.what)) for each in odd)


def without_value(text: str, secret: Secret, instead: str) -> str:
    """Return a text of ours with something else in the place of a secret's value.

    A value that is a part of its kind's name stays: whoever reads ``password-in-url`` learns no password, and without the name the
    sentence says nothing.
    """
    ours = secret.value.lower() in secret.kind.lower()
    return text if ours else text.replace(secret.value, instead)


def _worth_looking_for(value: str) -> bool:
    word = value.isalpha() and value.islower() and len(value) < WORDS
    return len(value) >= SHORTEST and not word


def _forms(secret: Secret) -> Iterator[str]:
    """Yield the forms of a secret; of base64 those for each place that it may have in a longer text."""
    value = secret.value
    data = value.encode("utf-8", "surrogatepass")
    yield data.hex()
    yield "".join(chr(each) if each in _PLAIN else f"%{each:02X}" for each in data)
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        # The first characters depend on what stands before, the last one on what follows.
        core = encoded[(0, 2, 3)[shift] : -1]
        if len(core) >= SHORTEST:
            yield core
            yield core.replace("+", "-").replace("/", "_")
    # Last, so that it wins where a form is the same.
    yield _writable(value)


def _writable(text: str) -> str:
    """Return text without halves of pairs, which strings of DEX may hold and nobody can search."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


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
    for number, each in enumerate(rule.run(app)):
        if number >= MAX_FINDINGS:
            yield _not_seen(
                rule,
                "more",
                f"More than {MAX_FINDINGS:,} findings of this rule; the rest isn't listed.",
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
