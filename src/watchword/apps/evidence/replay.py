"""Make an appraisal again from its record, offline, and say what comes out differently."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from watchword.apps.evidence.records import (
    PLAY_PAYLOAD,
    WIRE,
    VerificationRecord,
    claims_to_document,
    is_whole,
    plain,
    policy_of,
)
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.formats.play_integrity import NAME as _PLAY_FORMAT
from watchword.attestation.interface import Attestation, Expected, PlayIntegrityPayload, Trust
from watchword.attestation.registry import examine, find_format, require_verified
from watchword.encoding.phrases import moment as utc
from watchword.policy.interface import Policy, Verdict
from watchword.policy.service import appraise_unverified
from watchword.ports import Anchor
from watchword.reasons import MalformedError, Refusal, RefusedError, codes
from watchword.vocabulary import Level

MAX_SHOWN: Final = 5
"""How many differing claims are told one by one."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Hold what a replay takes from here and not from the record.

    :param anchors: all that are known here; of them those that the record names are believed.
    :param policy: judges in place of the recorded one; None takes that.
    :param at: judges as of this instant instead of the recorded one.
    """

    anchors: Sequence[Anchor]
    policy: Policy | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """Hold what came of a replay.

    :param verdict: of the replay; None where there is no policy to judge by.
    :param is_whole: the evidence was verified again; else only policy was asked again.
    :param differences: what came out differently, each in a sentence; empty is the same result.
    :param notes: what to know about how it was replayed.
    """

    record: VerificationRecord
    verdict: Verdict | None
    is_whole: bool
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Tell whether the replay gave what was recorded."""
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """Return the replay as it is printed with ``--json``."""
        record, verdict = self.record, self.verdict
        return {
            "at": utc(record.at),
            "format": record.format,
            "app": record.app.id,
            "instance": record.instance,
            "same": self.is_same,
            "replayed": "evidence and policy" if self.is_whole else "policy only",
            "recorded": _verdict_to_document(record.verdict),
            "now": None if verdict is None else _verdict_to_document(verdict),
            "differences": list(self.differences),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class RecordedAnchors:
    """Hold those of the recorded anchors that are known here, under their recorded names."""

    anchors: tuple[Anchor, ...]

    def for_vendor(self, vendor: str) -> Sequence[Anchor]:
        """Return the anchors of one vendor."""
        return tuple(anchor for anchor in self.anchors if anchor.vendor == vendor)


def replay(record: VerificationRecord, conditions: Conditions) -> Replayed:
    """Verify and appraise again what a record holds, under the recorded conditions but those given.

    A record isn't signed: whoever can write the file can write a record that replays as he likes.  What
    is told are changes of one part that no longer fit the rest, and changes of Watchword itself.
    """
    at = conditions.at or record.at
    differences: list[str] = []
    notes: list[str] = []
    claims, verification = record.claims, record.verification
    evidence = _evidence(record, differences, notes)
    if evidence is not None:
        trust = Trust(_anchors(record, conditions.anchors, notes), record.status)
        examination = examine(evidence, Expected(record.binding, record.app), trust, at)
        claims, verification = examination.claims, ()
        try:
            require_verified(examination)
        except RefusedError as error:
            verification = error.refusals
        differences += _claim_differences(record.claims, claims)
        differences += _refusal_differences("verification", record.verification, verification)
    if not is_whole(record.policy):
        differences.append("policy: its document was changed since it judged")
    circumstances = replace(record.circumstances, now=at)
    policy = conditions.policy or policy_of(record.policy)
    verdict: Verdict | None = None
    if verification or claims is None:
        verdict = Verdict(Level.NONE, verification)
    elif policy is None:
        differences.append(f"policy: {record.policy.name} isn't known here, so nothing was judged")
    else:
        verdict = appraise_unverified(claims, record.app, policy, circumstances)
    if verdict is not None:
        differences += _verdict_differences(record.verdict, verdict)
        if conditions.policy is None:
            differences += _short_of_differences(record.verdict, verdict)
            differences += _unchecked_differences(record.verdict, verdict)
    return Replayed(record, verdict, evidence is not None, tuple(differences), tuple(notes))


def _evidence(
    record: VerificationRecord, differences: list[str], notes: list[str]
) -> Attestation | None:
    """Return the recorded evidence, None where it isn't kept or can't be read."""
    kept = record.evidence
    if kept.form == PLAY_PAYLOAD and record.format != _PLAY_FORMAT:
        differences.append("evidence: it is of another format than the record")
        return None
    if kept.form == PLAY_PAYLOAD:
        notes.append(f"the token itself isn't kept; it was opened then, by {kept.decoded_by}")
        return PlayIntegrityPayload(kept.payload.encode())
    if kept.form != WIRE:
        notes.append(f"policy only: the evidence isn't kept, {kept.because}")
        return None
    try:
        if kept.members.get("format") != record.format:
            differences.append("evidence: it is of another format than the record")
            return None
        return find_format(record.format).read_attestation(kept.members)
    except MalformedError as error:
        differences.append(f"evidence: it can't be read ({error.reason.code})")
        return None


def _anchors(
    record: VerificationRecord, known: Sequence[Anchor], notes: list[str]
) -> RecordedAnchors:
    """Return the recorded anchors with their keys; what isn't known here is noted.

    What an anchor vouches for (``kind``) is taken from here: a record can't make a root of the lab, or
    one of software, into a vendor's.
    """
    by_digest = {
        (anchor.vendor, hashlib.sha256(anchor.spki).hexdigest()): anchor for anchor in known
    }
    found = []
    missing = []
    for recorded in record.anchors:
        anchor = by_digest.get((recorded.vendor, recorded.spki_sha256))
        if anchor is None:
            missing.append(recorded.name)
        else:
            found.append(
                Anchor(recorded.name, anchor.vendor, anchor.kind, anchor.spki, anchor.subject)
            )
    if missing:
        notes.append(f"not known here any more, --anchors brings them back: {', '.join(missing)}")
    return RecordedAnchors(tuple(found))


def _claim_differences(
    recorded: UnverifiedClaims | None, now: UnverifiedClaims | None
) -> Iterator[str]:
    before, after = (None if c is None else claims_to_document(c) for c in (recorded, now))
    found = list(_value_differences("claims", before, after))
    yield from found[:MAX_SHOWN]
    if len(found) > MAX_SHOWN:
        yield f"claims: {len(found) - MAX_SHOWN} more differ"


def _value_differences(path: str, recorded: Any, now: Any) -> Iterator[str]:
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys((*recorded, *now)):
            yield from _value_differences(f"{path}.{name}", recorded.get(name), now.get(name))
    elif plain(recorded) != plain(now):
        yield f"{path}: recorded {_shown(recorded)}, now {_shown(now)}"


def _shown(value: Any) -> str:
    """Return a value for a sentence; a group isn't shown, and a long text only in its beginning."""
    if isinstance(value, Mapping):
        return "members"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _verdict_differences(recorded: Verdict, now: Verdict) -> Iterator[str]:
    if recorded.level is not now.level:
        yield f"level: recorded {recorded.level.value}, now {now.level.value}"
    yield from _refusal_differences("verdict", recorded.refusals, now.refusals)
    yield from _refusal_differences("signals", recorded.signals, now.signals)


def _short_of_differences(recorded: Verdict, now: Verdict) -> Iterator[str]:
    """Compare why no higher level was granted; another policy has other levels to fall short of."""
    for level in Level:
        before, after = recorded.short_of.get(level, ()), now.short_of.get(level, ())
        if (before, after) != (recorded.refusals, now.refusals):
            yield from _refusal_differences(f"short of {level.value}", before, after)


def _unchecked_differences(recorded: Verdict, now: Verdict) -> Iterator[str]:
    """Compare what the evidence couldn't answer: without it, a record would claim more than was checked."""
    before, after = (sorted(set(each.unchecked)) for each in (recorded, now))
    if before != after:
        yield (
            f"unchecked: recorded {', '.join(before) or 'nothing'}, "
            f"now {', '.join(after) or 'nothing'}"
        )


def _refusal_differences(
    what: str, recorded: Sequence[Refusal], now: Sequence[Refusal]
) -> Iterator[str]:
    """Compare reasons; the details are for people, and may be worded better tomorrow."""
    before, after = codes(recorded), codes(now)
    if before != after:
        yield (
            f"{what}: recorded {', '.join(before) or 'nothing wrong'}, "
            f"now {', '.join(after) or 'nothing wrong'}"
        )


def _verdict_to_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "level": verdict.level.value,
        "reasons": codes(verdict.refusals),
        "short_of": {level.value: codes(each) for level, each in verdict.short_of.items()},
    }
