"""Keep verifications: write an appraisal down as one line of JSON, find and read such lines, and know the policies in them.

A record holds all that an appraisal depended on, so that it can be made again without the service, the
status list of that day or the network.  It never holds what identifies a device: evidence is signed, so
nothing can be cut out of it, and evidence with an identifier inside is withheld as a whole.

Claims and app registrations have one form in records, in ``watchword policy test`` and in ``--json``: member names are
those of :mod:`watchword.attestation.claims`, bytes are hex, instants are ISO 8601 with an offset, sets are sorted.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal, NoReturn

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from watchword import __version__
from watchword.adapters.records import record_files
from watchword.apps.evidence.files import EvidenceFileError
from watchword.apps.settings.policy import EXPRESSIONS, read_policy, write_policy
from watchword.attestation.certificates import read_certificate
from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import (
    SEALED_PLATFORMS,
    AndroidApp,
    AndroidKeyChain,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    PlayIntegrityPayload,
    PlayIntegrityToken,
)
from watchword.attestation.key_description import (
    KEY_DESCRIPTION,
    describe,
    read_key_description,
    withhold_identifiers,
)
from watchword.enrolment.interface import Appraisal, NotedStatus
from watchword.policy.interface import AllOf, AnyOf, Circumstances, Policy, Rule, Verdict
from watchword.policy.registry import name_of
from watchword.ports import Anchor, RecordLog, RevocationEntry
from watchword.reasons import MalformedError, Reason, Refusal, WatchwordError
from watchword.vocabulary import AppAttestEnvironment, ApplePlatform, Distribution, Level

_STRICT: Final = ConfigDict(
    strict=True, extra="forbid", ser_json_bytes="hex", val_json_bytes="hex", frozen=True
)

_SHOWN_FAULTS: Final = 5
"""How many faults of one document are told; the rest is mended by the same glance at it."""

_WORDED: Final = {
    "json_invalid": "expected an object of JSON values",
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "unexpected_keyword_argument": "is unknown",
}
"""Faults that the library words for programmers, in our words."""


class ClaimsDocumentError(EvidenceFileError):
    """Report a document that isn't one of claims or of an app, naming the members at fault."""


def claims_to_document(claims: UnverifiedClaims) -> dict[str, Any]:
    """Return claims as JSON values, every member included.

    :raises TypeError: when ``fields`` or ``provider`` hold what JSON has no form for.
    """
    document = plain(claims)
    assert isinstance(document, dict)
    return document


def claims_from_document(document: Mapping[str, Any]) -> UnverifiedClaims:
    """Return the claims of a document; members that have a default may be left out.

    What they say isn't verified by anybody: they are for reports, never for access.

    :raises ClaimsDocumentError: on an unknown, missing or badly written member, naming its path.
    """
    (claims,) = read_strictly(_claims_adapter(), [document], "claims")
    for path, instant in _instants(claims, ""):
        if instant.tzinfo is None:
            raise ClaimsDocumentError(f"claims: {path}: expected an instant with an offset, or Z")
    assert isinstance(claims, UnverifiedClaims)
    return claims


def app_to_document(app: AppRegistration) -> dict[str, Any]:
    """Return an app registration under the names that ``watchword.yaml`` uses."""
    identity = app.identity
    named: dict[str, Any]
    if isinstance(identity, AppleApp):
        named = {
            "platform": "ios",
            "team_id": identity.team_id,
            "bundle_id": identity.bundle_id,
            "app_attest": identity.environment.name.lower(),
            "platforms": plain(identity.platforms),
            "distribution": plain(identity.distribution),
        }
    else:
        named = {
            "platform": "android",
            "package": identity.package,
            "signing_digests": plain(identity.signing_digests),
        }
    return {"id": app.id, **named, "minimum_version": app.minimum_version}


def app_from_document(document: Mapping[str, Any]) -> AppRegistration:
    """Return the app registration of a document.

    :raises ClaimsDocumentError: on an unknown, missing or badly written member, naming its path.
    """
    (written,) = read_strictly(_app_adapter(), [document], "app")
    identity: AppleApp | AndroidApp
    if isinstance(written, _IosApp):
        environment = AppAttestEnvironment[written.app_attest.upper()]
        identity = AppleApp(
            written.team_id,
            written.bundle_id,
            environment,
            written.platforms,
            written.distribution,
        )
    else:
        identity = AndroidApp(written.package, written.signing_digests)
    return AppRegistration(written.id, identity, written.minimum_version)


def plain(value: object) -> Any:
    """Return a value of the core as JSON values, as :func:`claims_to_document` writes them.

    :raises TypeError: when JSON has no form for it.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    raise TypeError(f"got {type(value).__name__}, which JSON has no form for")


def read_strictly(adapter: TypeAdapter[Any], value: object, what: str) -> Any:
    """Return what an adapter reads from JSON values, in JSON's strict mode.

    :param value: a list of one document; its index isn't told in errors.
    :param what: what the document is, for the error.
    :raises ClaimsDocumentError: naming the path of each fault.
    """
    try:
        # By way of JSON: only there does strict reading still take hex for bytes and text for enums.
        return adapter.validate_json(json.dumps(value, allow_nan=False))
    except ValidationError as error:
        raise ClaimsDocumentError(f"{what}: {_told(error)}") from None
    except (TypeError, ValueError, RecursionError):
        raise ClaimsDocumentError(f"{what}: expected an object of JSON values") from None


def _told(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False)
    told = [
        f"{_path(fault['loc'])}: {_WORDED.get(fault['type'], fault['msg'])}"
        for fault in faults[:_SHOWN_FAULTS]
    ]
    more = len(faults) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _path(location: tuple[int | str, ...]) -> str:
    """Return where a fault is, without the list that documents are read in."""
    return ".".join(str(part) for part in location[1:]) or "the whole"


def _instants(value: object, path: str) -> Iterator[tuple[str, datetime]]:
    """Yield every instant in a claim with its path; free-form members hold none."""
    if isinstance(value, datetime):
        yield path, value
    elif is_dataclass(value):
        for item in fields(value):
            inner = f"{path}.{item.name}" if path else item.name
            yield from _instants(getattr(value, item.name), inner)


class _IosApp(BaseModel):
    """Describe an iOS app as a record holds it."""

    model_config = _STRICT

    id: str
    platform: Literal["ios"]
    team_id: str
    bundle_id: str
    app_attest: Literal["production", "development"] = "production"
    platforms: frozenset[ApplePlatform] = SEALED_PLATFORMS
    distribution: frozenset[Distribution] = frozenset()
    minimum_version: str | None = None


class _AndroidApp(BaseModel):
    """Describe an Android app as a record holds it."""

    model_config = _STRICT

    id: str
    platform: Literal["android"]
    package: str
    signing_digests: frozenset[bytes]
    minimum_version: str | None = None


@cache
def _claims_adapter() -> TypeAdapter[Any]:
    """Return the reader of claims; within a tuple, since a dataclass takes no outer settings."""
    return TypeAdapter(tuple[UnverifiedClaims], config=_STRICT)


@cache
def _app_adapter() -> TypeAdapter[Any]:
    app = Annotated[_IosApp | _AndroidApp, Field(discriminator="platform")]
    return TypeAdapter(tuple[app])


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


STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """Hold one line of records and where it stands.

    :param record: None where the line isn't a record; ``why`` says why then.
    """

    file: str
    line: int
    record: VerificationRecord | None
    why: str = ""

    @property
    def place(self) -> str:
        """Return file and line as editors understand them."""
        return f"{self.file}:{self.line}"


def find_records(where: str) -> Iterator[FoundRecord]:
    """Yield each record of a file, of standard input (``-``) or of every day's file in a directory.

    Reads on after a line that can't be read: a process that was killed leaves half a line, and other
    processes go on behind it.

    :raises EvidenceFileError: when a directory holds no file of records.
    :raises OSError: when a file can't be read.
    """
    if where == STDIN:
        yield from _records_in(sys.stdin.buffer, "standard input")
        return
    path = Path(where)
    files = [path]
    if path.is_dir():
        files = list(record_files(path))
        if not files:
            raise EvidenceFileError(f"{path}: got no file of records, expected YYYY-MM-DD.jsonl")
    for file in files:
        with file.open("rb") as stream:
            yield from _records_in(stream, str(file))


def _records_in(stream: BinaryIO, name: str) -> Iterator[FoundRecord]:
    for number, line in enumerate(_lines(stream), start=1):
        if not line.strip():
            continue
        try:
            yield FoundRecord(name, number, record_from_line(line))
        except ClaimsDocumentError as error:
            yield FoundRecord(name, number, None, str(error))


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines; of one that is too long no more than shows that it is."""
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_RECORD_BYTES)


_REMEMBERED: Final = 64
"""How many policies are kept as they were read; the records of a deployment name one or two."""


def recorded_policy(policy: Policy) -> RecordedPolicy:
    """Return a policy's name, document and digest.

    A policy with a rule of somebody's own can't be written down; only its name is kept then.
    """
    try:
        levels = {
            level.value: _in_full(rule if isinstance(rule, AllOf | AnyOf) else AllOf((rule,)))
            for level, rule in policy.levels.items()
        }
        document = {**write_policy(policy), "levels": levels}
    except KeyError:
        return RecordedPolicy(policy.name, "")
    return RecordedPolicy(policy.name, digest_of(document), document)


def policy_of(recorded: RecordedPolicy) -> Policy | None:
    """Return the policy that judged, None where it can't be made again."""
    if recorded.document is None:
        return None
    return _policy_in(json.dumps(recorded.document))


def is_whole(recorded: RecordedPolicy) -> bool:
    """Tell whether the document is still the one that the digest names."""
    return recorded.document is None or digest_of(recorded.document) == recorded.digest


def digest_of(document: Mapping[str, Any]) -> str:
    """Return SHA-256 in hex over a policy's document, whatever the order of its members."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _in_full(rule: Rule) -> dict[str, Any]:
    """Return a rule with every parameter: a later version may have other defaults.

    :raises KeyError: for a rule that isn't one of Watchword's.
    """
    for name, kind in EXPRESSIONS.items():
        if isinstance(rule, kind):
            return {name: [_in_full(inner) for inner in rule.rules]}
    return {name_of(rule): plain(rule)}


@lru_cache(_REMEMBERED)
def _policy_in(text: str) -> Policy | None:
    policy, _ = read_policy(json.loads(text))
    return policy


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
