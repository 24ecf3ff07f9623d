"""Turn appraisals into records as they happen, and leave out what identifies a device."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from watchword import __version__
from watchword.apps.evidence.recorded_policies import recorded_policy
from watchword.apps.evidence.records import (
    PLAY_PAYLOAD,
    WIRE,
    WITHHELD,
    RecordedAnchor,
    RecordedEvidence,
    VerificationRecord,
    record_to_line,
)
from watchword.attestation.certificates import read_certificate
from watchword.attestation.interface import (
    AndroidKeyChain,
    AppAttestAttestation,
    PlayIntegrityPayload,
    PlayIntegrityToken,
)
from watchword.attestation.key_description import (
    KEY_DESCRIPTION,
    describe,
    read_key_description,
    withhold_identifiers,
)
from watchword.enrolment.interface import Appraisal
from watchword.ports import Anchor, RecordLog
from watchword.reasons import MalformedError, Reason, WatchwordError

REFUSED_PER_MINUTE: Final = 10
"""Most refused appraisals of one reason that are recorded each minute; the rest is counted."""

BY_OWN_KEYS: Final = "own keys"
BY_GOOGLE: Final = "google"

_KEY_DESCRIPTION: Final = bytes.fromhex("2b06010401d679020111")
"""Content of the object identifier :data:`KEY_DESCRIPTION`."""

_MINUTE: Final = timedelta(minutes=1)

_log = structlog.get_logger()


@dataclass(slots=True)
class _Trouble:
    """Hold why records can't be kept, and how many weren't for that."""

    why: str = ""
    lost: int = 0


@dataclass(slots=True)
class Recorder:
    """Implement :class:`watchword.enrolment.interface.AppraisalLog`.

    Challenges are free, so anybody can have evidence refused all day.  Of each reason a few a minute are
    recorded, so that a flood of one kind hides no other; the log bounds what all of them together take.

    To be used from one event loop.
    """

    log: RecordLog
    _minute: datetime | None = None
    _refused: Counter[Reason] = field(default_factory=Counter)
    _left_out: int = 0
    _troubles: dict[bool, _Trouble] = field(
        default_factory=lambda: {True: _Trouble(), False: _Trouble()}
    )
    """By whether it concerns refused evidence, whose space may be full while enrolments have room."""

    def record(self, appraisal: Appraisal, instance_id: str | None) -> None:
        """See :meth:`watchword.enrolment.interface.AppraisalLog.record`."""
        if instance_id is None and not self._is_sampled(appraisal):
            self._left_out += 1
            return
        trouble = self._troubles[instance_id is None]
        try:
            line = record_to_line(record_of(appraisal, instance_id, self._left_out))
            self.log.append(line, appraisal.at, refused=instance_id is None)
        except WatchwordError as error:
            _failed(trouble, str(error))
        except Exception as error:  # noqa: BLE001 - a format of one's own may claim anything.
            _failed(trouble, type(error).__name__)
        else:
            self._left_out = 0
            if trouble.why:
                _log.info("verifications are recorded again", lost=trouble.lost)
                trouble.why, trouble.lost = "", 0

    def _is_sampled(self, appraisal: Appraisal) -> bool:
        if self._minute is None or not timedelta(0) <= appraisal.at - self._minute < _MINUTE:
            self._minute = appraisal.at
            self._refused.clear()
        refusals = appraisal.verdict.refusals
        # Accepted and yet not enrolled: the challenge was used, or the level is too low.
        reason = refusals[0].reason if refusals else Reason.POLICY_LEVEL
        self._refused[reason] += 1
        return self._refused[reason] <= REFUSED_PER_MINUTE


def _failed(trouble: _Trouble, why: str) -> None:
    """Tell of trouble when it changes: the same line for each enrolment would hide all others.

    What is lost so isn't counted as left out: that means that too many came at once.
    """
    trouble.lost += 1
    if why != trouble.why:
        trouble.why = why
        _log.warning("verifications aren't recorded", detail=why)


def record_of(appraisal: Appraisal, instance_id: str | None, left_out: int) -> VerificationRecord:
    """Return the record of an appraisal.

    :raises TypeError: when the policy holds what JSON has no form for.
    """
    return VerificationRecord(
        at=appraisal.at,
        format=str(appraisal.members["format"]),
        app=appraisal.app,
        binding=appraisal.binding,
        evidence=recorded_evidence(appraisal),
        claims=appraisal.claims,
        verification=appraisal.verification,
        anchors=tuple(recorded_anchor(anchor) for anchor in appraisal.anchors),
        status=appraisal.status,
        policy=recorded_policy(appraisal.policy),
        circumstances=appraisal.circumstances,
        verdict=appraisal.verdict,
        instance=instance_id,
        left_out=left_out,
        watchword=__version__,
    )


def recorded_anchor(anchor: Anchor) -> RecordedAnchor:
    """Return what a record holds of an anchor."""
    digest = hashlib.sha256(anchor.spki).hexdigest()
    return RecordedAnchor(anchor.vendor, anchor.name, anchor.kind, digest)


def recorded_evidence(appraisal: Appraisal) -> RecordedEvidence:
    """Return the evidence in the form in which it may be kept.

    Signed bytes can't be censored, so what identifies a device is withheld as a whole; so is a token that
    could be opened again, and whatever a format of one's own sends.
    """
    evidence, claims = appraisal.evidence, appraisal.claims
    if isinstance(evidence, AppAttestAttestation):
        # Apple puts nothing into it that outlives the key, which dies with the installation.
        return RecordedEvidence(WIRE, members=appraisal.members)
    if isinstance(evidence, AndroidKeyChain):
        because = identifying(evidence)
        if because:
            return RecordedEvidence(WITHHELD, because=because)
        return RecordedEvidence(WIRE, members=appraisal.members)
    if isinstance(evidence, PlayIntegrityPayload):
        payload = evidence.payload.decode("utf-8", "replace")
        return RecordedEvidence(PLAY_PAYLOAD, payload=payload, decoded_by=BY_GOOGLE)
    if isinstance(evidence, PlayIntegrityToken):
        if claims is None:
            return RecordedEvidence(WITHHELD, because="the token couldn't be opened")
        payload = json.dumps(claims.fields)
        return RecordedEvidence(PLAY_PAYLOAD, payload=payload, decoded_by=BY_OWN_KEYS)
    because = "only its own format knows whether it identifies a device"
    return RecordedEvidence(WITHHELD, because=because)


def identifying(evidence: AndroidKeyChain) -> str:
    """Return why a chain may identify its device, empty where it doesn't.

    Any certificate may hold a KeyDescription, and with it a serial number, IMEI, MEID or unique id; one that
    can't be read may hold them too.
    """
    # Certificates without these bytes aren't read again: there can be no such extension in them.
    suspects = [der for der in evidence.chain if _KEY_DESCRIPTION in der]
    try:
        for certificate in map(read_certificate, suspects):
            content = certificate.extensions.get(KEY_DESCRIPTION)
            if content is not None:
                described = describe(read_key_description(content))
                if withhold_identifiers(described) != described:
                    return "it identifies the device"
    except MalformedError:
        return "it can't be told whether it identifies the device"
    return ""
