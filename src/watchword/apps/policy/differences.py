"""Say which recorded verifications two policies judge differently."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from watchword.apps.evidence.record_sources import FoundRecord, find_records
from watchword.apps.evidence.records import VerificationRecord
from watchword.apps.policy.cases import codes
from watchword.policy.interface import Policy, Verdict
from watchword.policy.service import appraise_unverified
from watchword.vocabulary import Level

UNKNOWN_MODEL: Final = "(not stated)"

MAX_UNREADABLE: Final = 10
"""Most lines that are no records of which is kept where they stand; the others are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold a record that the policies judge differently.

    :param place: file and line of the record.
    :param because: the reasons that make the difference: what the stricter one of the two refuses for.
    """

    place: str
    record: VerificationRecord
    old: Verdict
    new: Verdict
    because: tuple[str, ...]

    @property
    def model(self) -> str:
        """Return the device's model as the evidence names it."""
        return (self.record.claims.model if self.record.claims else "") or UNKNOWN_MODEL

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is printed with ``--json``."""
        return {
            "place": self.place,
            "at": self.record.at.isoformat(),
            "instance": self.record.instance,
            "app": self.record.app.id,
            "format": self.record.format,
            "model": self.model,
            "old": {"level": self.old.level.value, "reasons": codes(self.old.refusals)},
            "new": {"level": self.new.level.value, "reasons": codes(self.new.refusals)},
            "because": list(self.because),
        }


@dataclass(slots=True)
class Tally:
    """Count over all records.

    :param judged: records that both policies judged.
    :param unverified: records whose evidence didn't verify, so that no policy was asked.
    :param unreadable: how many lines are no records; ``first_unreadable``: the first few of them.
    :param levels: by old and new level; ``reasons``, ``models`` and ``apps`` of differing records.
    """

    judged: int = 0
    differing: int = 0
    unverified: int = 0
    unreadable: int = 0
    first_unreadable: list[FoundRecord] = field(default_factory=list)
    levels: Counter[tuple[Level, Level]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    apps: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return the sums as they are printed with ``--json``."""
        return {
            "judged": self.judged,
            "differing": self.differing,
            "unverified": self.unverified,
            "unreadable": self.unreadable,
            "levels": {
                f"{old.value} -> {new.value}": count
                for (old, new), count in self.levels.most_common()
            },
            "reasons": dict(self.reasons.most_common()),
            "models": dict(self.models.most_common()),
            "apps": dict(self.apps.most_common()),
        }


def compare(places: Iterable[str], old: Policy, new: Policy, tally: Tally) -> Iterator[Difference]:
    """Yield each record that the policies judge differently; count all of them into ``tally``.

    :param places: files of records, directories of them, or ``-`` for standard input.
    :raises EvidenceFileError: when a directory holds no file of records.
    :raises OSError: when a file can't be read.
    """
    for place in places:
        for found in find_records(place):
            if found.record is None:
                tally.unreadable += 1
                if len(tally.first_unreadable) < MAX_UNREADABLE:
                    tally.first_unreadable.append(found)
                continue
            difference = _compare_one(found, found.record, old, new, tally)
            if difference is not None:
                yield difference


def _compare_one(
    found: FoundRecord, record: VerificationRecord, old: Policy, new: Policy, tally: Tally
) -> Difference | None:
    if record.claims is None or record.verification:
        tally.unverified += 1
        return None
    tally.judged += 1
    before, after = (
        appraise_unverified(record.claims, record.app, policy, record.circumstances)
        for policy in (old, new)
    )
    if before.level is after.level and set(codes(before.refusals)) == set(codes(after.refusals)):
        return None
    difference = Difference(found.place, record, before, after, _because(before, after))
    tally.differing += 1
    tally.levels[before.level, after.level] += 1
    tally.reasons.update(difference.because)
    tally.models[difference.model] += 1
    tally.apps[record.app.id] += 1
    return difference


def _because(before: Verdict, after: Verdict) -> tuple[str, ...]:
    """Return the reasons that stand between the two verdicts."""
    if before.level is after.level:
        return tuple(sorted(set(codes(before.refusals)) ^ set(codes(after.refusals))))
    stricter, level = (
        (after, before.level) if before.level.satisfies(after.level) else (before, after.level)
    )
    # A level that a policy doesn't grant to anybody has no reasons of its own.
    return tuple(codes(stricter.short_of.get(level, ()) or stricter.refusals)) or (
        f"{level.value} isn't granted",
    )
