"""Say how the scan of one build differs from that of another."""

from collections.abc import Mapping
from dataclasses import dataclass

from watchword.observations import State
from watchword.scan.interface import Finding, Verdict
from watchword.scan.outcome import Report, Standing, bad, fingerprint, order, unnumbered

_OPEN = frozenset({Verdict.EXPOSED, Verdict.ABSENT, Verdict.NOT_SEEN})


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one finding of both builds that says something else now."""

    old: Finding
    new: Finding

    @property
    def worse(self) -> bool:
        """Tell whether the new build is worse off."""
        return order(self.new)[:2] < order(self.old)[:2]

    @property
    def better(self) -> bool:
        """Tell whether the new build is better off."""
        return order(self.new)[:2] > order(self.old)[:2]


@dataclass(frozen=True, slots=True)
class Turn:
    """Hold how a protection stood in the old build and stands in the new one; None where a build says nothing of it."""

    protection: str
    key: str
    old: State | None
    new: State | None
    why: str


@dataclass(frozen=True, slots=True)
class Differences:
    """Hold what differs; each the worst first.

    :param unseen: findings of the old build that are gone where the new one wasn't seen: nobody knows whether they are.
    :param lost: protections that were proven and aren't now.
    :param gained: protections that are proven only now.
    :param first: rules of new findings that the old scan didn't have: the build before may have had them all the same.
    """

    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]
    unseen: tuple[Finding, ...]
    changed: tuple[Change, ...]
    lost: tuple[Turn, ...]
    gained: tuple[Turn, ...]
    first: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Tell whether anything differs."""
        return bool(
            self.new or self.gone or self.unseen or self.changed or self.lost or self.gained
        )

    @property
    def worse(self) -> bool:
        """Tell whether the new build is worse in anything: a finding more, a protection less, something not seen."""
        return bool(
            any(bad(each) or each.verdict is Verdict.NOT_SEEN for each in self.new)
            or any(each.worse for each in self.changed)
            or self.lost
            or self.unseen
        )


def compare(old: Report, new: Report) -> Differences:
    """Return how NEW differs from OLD; when they were made and how long that took doesn't count.

    What is gone counts as gone only where its rule saw all that it looks at, and nothing of the package was missed that was read before.
    """
    before, now = _by_fingerprint(old), _by_fingerprint(new)
    blind = {each.rule for each in new.not_seen}
    looked = {each.id for each in new.rules}
    missed = bool(
        set(new.coverage.gaps) - set(old.coverage.gaps)
        or set(new.disagreements) - set(old.disagreements)
    )
    gone = [before[key] for key in before.keys() - now.keys()]
    unseen = {
        fingerprint(each)
        for each in gone
        if each.verdict in _OPEN and (missed or each.rule in blind or each.rule not in looked)
    }
    changed = [
        Change(before[key], now[key])
        for key in before.keys() & now.keys()
        if _said(before[key]) != _said(now[key])
    ]
    lost, gained = _turns(_by_key(old), _by_key(new))
    added = sorted((now[key] for key in now.keys() - before.keys()), key=order)
    looked_before = {each.id for each in old.rules}
    return Differences(
        new=tuple(added),
        gone=tuple(sorted((one for one in gone if fingerprint(one) not in unseen), key=order)),
        unseen=tuple(sorted((one for one in gone if fingerprint(one) in unseen), key=order)),
        changed=tuple(sorted(changed, key=lambda one: order(one.new))),
        lost=lost,
        gained=gained,
        first=tuple(
            dict.fromkeys(
                each.rule for each in added if bad(each) and each.rule not in looked_before
            )
        ),
    )


def _by_fingerprint(report: Report) -> dict[str, Finding]:
    return {fingerprint(each): each for each in report.all_findings}


def _said(finding: Finding) -> tuple[str, str, str, str]:
    """Return what of a finding counts when it is compared; code moves from build to build without meaning anything."""
    return (
        finding.verdict.value,
        finding.severity.value,
        finding.confidence.value,
        unnumbered(finding.title),
    )


def _by_key(report: Report) -> dict[tuple[str, str], Standing]:
    return {(each.protection, each.key): each for each in report.standings}


def _turns(
    before: Mapping[tuple[str, str], Standing], now: Mapping[tuple[str, str], Standing]
) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    lost: list[Turn] = []
    gained: list[Turn] = []
    for pair in sorted(before.keys() | now.keys()):
        old, new = before.get(pair), now.get(pair)
        was = None if old is None else old.state
        states = None if new is None else new.state
        why = "No rule looked for it." if new is None else new.why
        turn = Turn(*pair, old=was, new=states, why=why)
        if was is State.PROVEN and states is not State.PROVEN:
            lost.append(turn)
        elif states is State.PROVEN and was is not State.PROVEN:
            gained.append(turn)
    return tuple(lost), tuple(gained)
