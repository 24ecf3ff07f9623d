"""Write an appraisal down as one line of JSON, and read such lines back.

A record holds all that an appraisal depended on, so that it can be made again without the service, the
status list of that day or the network.  It never holds what identifies a device: evidence is signed, so
nothing can be cut out of it, and evidence with an identifier inside is withheld as a whole.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, NoReturn

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from watchword.apps.evidence.claims_document import (
    ClaimsDocumentError,
    app_from_document,
    app_to_document,
    claims_from_document,
    claims_to_document,
    read_strictly,
)
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.enrolment.interface import NotedStatus
from watchword.policy.interface import Circumstances, Verdict
from watchword.ports import RevocationEntry
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Level

VERSION: Final = 1

MAX_RECORD_BYTES: Final = 1024 * 1024
"""Most bytes of one record: evidence of 64 KiB as text, the same again as fields, and a policy."""

WIRE: Final = "wire"
"""Evidence as it was sent, under the names of the protocol."""

PLAY_PAYLOAD: Final = "play-payload"
"""A Play Integrity verdict after it was decoded; whether its signature holds was checked then."""

WITHHELD: Final = "withheld"
"""Evidence that isn't kept, since it identifies a device or may do so."""


@dataclass(frozen=True, slots=True)
class RecordedEvidence:
    """Hold the evidence of a record in one of three forms.

    :param members: of :data:`WIRE`; empty in the other forms.
    :param payload: of :data:`PLAY_PAYLOAD`: the JSON that was judged, byte by byte.
    :param decoded_by: of :data:`PLAY_PAYLOAD`: ``google`` or ``own keys``.
    :param because: of :data:`WITHHELD`: why it isn't kept.
    """

    form: str
    members: Mapping[str, Any] = field(default_factory=dict, repr=False)
    payload: str = field(default="", repr=False)
    decoded_by: str = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class RecordedAnchor:
    """Name an anchor that could have been believed; its key is known by SHA-256 in hex."""

    vendor: str
    name: str
    kind: str
    spki_sha256: str


@dataclass(frozen=True, slots=True)
class RecordedPolicy:
    """Hold the policy that judged: its document in the words of ``watchword.yaml``, and its digest.

    :param document: None where a policy can't be written down, for example one with rules of one's own.
    """

    name: str
    digest: str
    document: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class VerificationRecord:
    """Hold one appraisal, complete enough to be made again.

    :param at: the instant that it judged as now.
    :param binding: what the evidence had to be bound to: the hash of the client's statement.
    :param claims: None where the evidence couldn't be read far enough.
    :param verification: what the format refused; policy wasn't asked then.
    :param status: None where no status list was asked.
    :param instance: id of the instance that was enrolled; None where none was.
    :param left_out: refused appraisals since the record before that aren't recorded (too many a minute).
    :param watchword: the version that judged.
    """

    at: datetime
    format: str
    app: AppRegistration
    binding: bytes
    evidence: RecordedEvidence
    claims: UnverifiedClaims | None
    verification: tuple[Refusal, ...]
    anchors: tuple[RecordedAnchor, ...]
    status: NotedStatus | None
    policy: RecordedPolicy
    circumstances: Circumstances
    verdict: Verdict
    instance: str | None
    left_out: int
    watchword: str


def record_to_line(record: VerificationRecord) -> bytes:
    """Return a record as one line of JSON in ASCII, newline included.

    :raises TypeError: when the claims of a format of one's own hold what JSON has no form for.
    :raises ValueError: likewise, for numbers; or when it would be too large to be read again.
    """
    text = json.dumps(record_to_document(record), allow_nan=False, separators=(",", ":"))
    if len(text) >= MAX_RECORD_BYTES:
        raise ValueError("the record is too large")
    return text.encode("ascii") + b"\n"


def record_to_document(record: VerificationRecord) -> dict[str, Any]:
    """Return a record as JSON values."""
    status = record.status
    return {
        "version": VERSION,
        "watchword": record.watchword,
        "at": record.at.isoformat(),
        "instance": record.instance,
        "format": record.format,
        "app": app_to_document(record.app),
        "binding": record.binding.hex(),
        "evidence": _evidence_to_document(record.evidence),
        "claims": None if record.claims is None else claims_to_document(record.claims),
        "verification": _refusals_to_document(record.verification),
        "anchors": [
            {
                "vendor": anchor.vendor,
                "name": anchor.name,
                "kind": anchor.kind,
                "spki_sha256": anchor.spki_sha256,
            }
            for anchor in record.anchors
        ],
        "status": None
        if status is None
        else {
            "digest": status.digest,
            "known": status.known,
            "entries": {
                serial: {"status": entry.status, "reason": entry.reason}
                for serial, entry in sorted(status.entries.items())
            },
        },
        "policy": {
            "name": record.policy.name,
            "digest": record.policy.digest,
            "document": record.policy.document,
        },
        "circumstances": {
            "enrolled_today": record.circumstances.enrolled_today,
            "fan_out_today": record.circumstances.fan_out_today,
        },
        "verdict": {
            "level": record.verdict.level.value,
            "refusals": _refusals_to_document(record.verdict.refusals),
            "unchecked": list(record.verdict.unchecked),
            "short_of": {
                level.value: _refusals_to_document(refusals)
                for level, refusals in record.verdict.short_of.items()
            },
            "signals": _refusals_to_document(record.verdict.signals),
        },
        "left_out": record.left_out,
    }


def record_from_line(line: bytes) -> VerificationRecord:
    """Return the record of one line.

    :raises ClaimsDocumentError: when it isn't one, naming what is wrong.
    """
    if len(line) > MAX_RECORD_BYTES:
        raise ClaimsDocumentError(f"record: expected at most {MAX_RECORD_BYTES} bytes")
    try:
        document = json.loads(line, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        is_whole = line.endswith(b"\n")
        why = "expected one object of JSON" if is_whole else "it was cut off while it was written"
        raise ClaimsDocumentError(f"record: {why}") from None
    return record_from_document(document)


def record_from_document(document: Mapping[str, Any]) -> VerificationRecord:
    """Return the record of a document.

    :raises ClaimsDocumentError: when it isn't one, naming what is wrong.
    """
    (written,) = read_strictly(_adapter(), [document], "record")
    assert isinstance(written, _Record)
    status = written.status
    return VerificationRecord(
        at=written.at,
        format=written.format,
        app=app_from_document(written.app),
        binding=written.binding,
        evidence=_evidence_from_document(written.evidence),
        claims=None if written.claims is None else claims_from_document(written.claims),
        verification=_refusals_from(written.verification),
        anchors=tuple(RecordedAnchor(**anchor.model_dump()) for anchor in written.anchors),
        status=None
        if status is None
        else NotedStatus(
            status.digest,
            status.known,
            {
                serial: RevocationEntry(entry.status, entry.reason)
                for serial, entry in status.entries.items()
            },
        ),
        policy=RecordedPolicy(written.policy.name, written.policy.digest, written.policy.document),
        circumstances=Circumstances(
            written.at,
            written.circumstances.enrolled_today,
            written.circumstances.fan_out_today,
        ),
        verdict=Verdict(
            level=written.verdict.level,
            refusals=_refusals_from(written.verdict.refusals),
            unchecked=tuple(written.verdict.unchecked),
            short_of={
                level: _refusals_from(refusals)
                for level, refusals in written.verdict.short_of.items()
            },
            signals=_refusals_from(written.verdict.signals),
        ),
        instance=written.instance,
        left_out=written.left_out,
        watchword=written.watchword,
    )


def _evidence_to_document(evidence: RecordedEvidence) -> dict[str, Any]:
    if evidence.form == WIRE:
        return {"form": WIRE, "members": dict(evidence.members)}
    if evidence.form == PLAY_PAYLOAD:
        return {
            "form": PLAY_PAYLOAD,
            "payload": evidence.payload,
            "decoded_by": evidence.decoded_by,
        }
    return {"form": WITHHELD, "because": evidence.because}


def _evidence_from_document(written: "_Wire | _PlayPayload | _Withheld") -> RecordedEvidence:
    if isinstance(written, _Wire):
        return RecordedEvidence(WIRE, members=written.members)
    if isinstance(written, _PlayPayload):
        return RecordedEvidence(
            PLAY_PAYLOAD, payload=written.payload, decoded_by=written.decoded_by
        )
    return RecordedEvidence(WITHHELD, because=written.because)


def _refusals_to_document(refusals: Iterable[Refusal]) -> list[dict[str, str]]:
    return [{"reason": each.reason.code, "detail": each.detail} for each in refusals]


def _refusals_from(written: "Iterable[_Refusal]") -> tuple[Refusal, ...]:
    try:
        return tuple(Refusal(Reason.from_code(each.reason), each.detail) for each in written)
    except KeyError as error:
        raise ClaimsDocumentError(f"record: {error.args[0]} is no reason of this version") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a member that stands twice: two readers could each take another one for true."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} isn't JSON")


class _Written(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", ser_json_bytes="hex", val_json_bytes="hex", frozen=True
    )


class _Refusal(_Written):
    reason: str
    detail: str


class _Anchor(_Written):
    vendor: str
    name: str
    kind: str
    spki_sha256: str


class _Entry(_Written):
    status: str
    reason: str


class _Status(_Written):
    digest: str
    known: bool
    entries: dict[str, _Entry]


class _Policy(_Written):
    name: str
    digest: str
    document: dict[str, Any] | None


class _Circumstances(_Written):
    enrolled_today: int | None
    fan_out_today: int | None


class _Verdict(_Written):
    level: Level
    refusals: list[_Refusal]
    unchecked: list[str]
    short_of: dict[Level, list[_Refusal]]
    signals: list[_Refusal] = Field(default_factory=list)


class _Wire(_Written):
    form: Literal["wire"]
    members: dict[str, Any]


class _PlayPayload(_Written):
    form: Literal["play-payload"]
    payload: str
    decoded_by: Literal["google", "own keys"]


class _Withheld(_Written):
    form: Literal["withheld"]
    because: str


class _Record(_Written):
    version: Literal[1]
    watchword: str
    at: AwareDatetime
    instance: str | None
    format: str
    app: dict[str, Any]
    binding: bytes
    evidence: _Wire | _PlayPayload | _Withheld = Field(discriminator="form")
    claims: dict[str, Any] | None
    verification: list[_Refusal]
    anchors: list[_Anchor]
    status: _Status | None
    policy: _Policy
    circumstances: _Circumstances
    verdict: _Verdict
    left_out: int = Field(ge=0)


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(tuple[_Record])
