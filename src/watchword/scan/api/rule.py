"""Share what every rule over a description needs: what it saw, how sure it is, and how to say so.

A description is what somebody wrote.  No rule takes one for proof that the API does so: nothing here is ever ``protected``,
and what a description doesn't show is told, not called absent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.api.description import Aspect, Description, Field, Kind, Operation
from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict

MAX_LOCATIONS: Final = 20
"""How many operations one finding names; its title says how many there are."""

_MAX_GAPS: Final = 3
_MAX_FIELDS: Final = 6
_SAID: Final = frozenset({Verdict.EXPOSED, Verdict.NOT_SEEN})


@dataclass(frozen=True, slots=True)
class ApiRuleContext:
    """Hold one look of a rule at a description, and make its findings.

    :param aspects: that the rule asks; a gap in one of them turns "nothing of the kind" into "not seen".
    :param app_hosts: that the app names, lower case and without ports; None if no app is given.
    :param app_paths: likewise.
    """

    rule: str
    description: Description
    aspects: tuple[Aspect, ...]
    app_hosts: frozenset[str] | None = None
    app_paths: frozenset[str] | None = None

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Return the operations that were read."""
        return self.description.operations

    @property
    def whole(self) -> bool:
        """Tell whether nothing that the rule asks was missed."""
        return not self.description.missed_of(*self.aspects)

    @property
    def seen(self) -> str:
        """Return what a verdict rests on: ``37 of 37 operations``, and what wasn't seen."""
        count = counted(self.description.total, "operation")
        whole = f"{len(self.operations):,} of {count}"
        gaps = [
            f"{gap.where} ({gap.why})" if gap.where else gap.why
            for gap in self.description.missed_of(*self.aspects)
        ]
        if not gaps:
            return whole
        more = f" and {len(gaps) - _MAX_GAPS} more" if len(gaps) > _MAX_GAPS else ""
        return f"{whole}; not seen: {', '.join(gaps[:_MAX_GAPS])}{more}"

    def exposed(
        self,
        subject: str,
        title: str,
        severity: Severity,
        *,
        at: Iterable[Operation] = (),
        confidence: Confidence = Confidence.CERTAIN,
    ) -> Finding:
        """Say that an attacker gets something."""
        return self._finding(Verdict.EXPOSED, severity, confidence, subject, title, at)

    def info(
        self,
        subject: str,
        title: str,
        severity: Severity = Severity.INFO,
        *,
        at: Iterable[Operation] = (),
        confidence: Confidence = Confidence.CERTAIN,
    ) -> Finding:
        """State a fact that is neither good nor bad."""
        return self._finding(Verdict.INFO, severity, confidence, subject, title, at)

    def not_seen(self, subject: str, title: str) -> Finding:
        """Say that it couldn't be looked for."""
        sure = Confidence.CERTAIN
        return self._finding(Verdict.NOT_SEEN, Severity.INFO, sure, subject, title, ())

    def _finding(
        self,
        verdict: Verdict,
        severity: Severity,
        confidence: Confidence,
        subject: str,
        title: str,
        at: Iterable[Operation],
    ) -> Finding:
        name = self.description.name
        members = sorted({each.name for each in at})[:MAX_LOCATIONS]
        places = tuple(Location(file=name, member=each) for each in members)
        places = places or (Location(file=name),)
        return Finding(self.rule, verdict, severity, confidence, subject, title, places, self.seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRule:
    """Hold a rule over descriptions.

    :param aspects: that it asks.
    :param check: yields the findings; called only for a description that could be read.
    :param nothing: what it says of a description that was read whole, where nothing was exposed.
    """

    id: str
    title: str
    techniques: tuple[str, ...]
    protections: Mapping[str, str]
    todo: str
    blind: str
    aspects: tuple[Aspect, ...]
    check: Callable[[ApiRuleContext], Iterable[Finding]]
    nothing: str

    def run(
        self,
        description: Description,
        app_hosts: frozenset[str] | None = None,
        app_paths: frozenset[str] | None = None,
    ) -> Iterator[Finding]:
        """Yield what it sees; ``not-seen`` where the description couldn't be read."""
        aspects = (Aspect.OPERATIONS, *self.aspects)
        context = ApiRuleContext(self.id, description, aspects, app_hosts, app_paths)
        if description.fault or not description.operations:
            why = description.fault or "no operation could be read"
            yield context.not_seen(self.id, f"The description couldn't be read: {why}.")
            return
        found = list(self.check(context))
        yield from found
        if not context.whole:
            yield context.not_seen(self.id, "Not all that it asks could be read.")
        elif not any(each.verdict in _SAID for each in found):
            yield context.info(self.id, self.nothing, confidence=Confidence.LIKELY)


def of_kind(fields: Iterable[Field], kind: Kind) -> tuple[Field, ...]:
    """Return the fields of a kind."""
    return tuple(each for each in fields if kind in each.kinds)


def named(fields: Iterable[Field]) -> str:
    """Return the paths of fields for a title, the first few of many."""
    paths = list(dict.fromkeys(each.path for each in fields))
    more = f" and {len(paths) - _MAX_FIELDS} more" if len(paths) > _MAX_FIELDS else ""
    return ", ".join(paths[:_MAX_FIELDS]) + more
