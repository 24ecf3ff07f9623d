"""Have phones of the lab appraised as the service does it, and keep the records in memory."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.unit.enrolment.simulators import NOW, MovableClock, public_jwk

from watchword.adapters.anchors import AnchorSet
from watchword.adapters.revocation import StatusList, read_status_list
from watchword.apps.evidence.records import Recorder, VerificationRecord, record_from_line
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    PlayKeys,
    Trust,
)
from watchword.enrolment.evidence import FormatEvidenceVerifier
from watchword.enrolment.interface import Statement
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.lab.google_play import GooglePlay
from watchword.lab.status_list import LabStatusList
from watchword.policy.interface import Policy
from watchword.policy.registry import BALANCED
from watchword.ports import Anchor, EnrolledCounts, RevocationStatus
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Platform, Purpose

AUTHORITIES = LabAuthorities.from_seed(bytes(range(32)))
STATUS_DOCUMENT = json.dumps(LabStatusList.first_of(AUTHORITIES).document())
STATUS = StatusList(read_status_list(STATUS_DOCUMENT.encode(), "lab"))
DIGEST = bytes(range(32))
IOS = AppRegistration("clinic-ios", AppleApp("ABCDE12345", "com.example.clinic"))
ANDROID = AppRegistration(
    "clinic-android", AndroidApp("com.example.clinic", frozenset({DIGEST})), "120"
)
RAW = b'{"purpose":"enrol"}'
BINDING = hashlib.sha256(RAW).digest()
STATEMENT = Statement(
    purpose=Purpose.ENROL,
    issuer="http://localhost",
    audiences=("api",),
    app="clinic",
    challenge=b"challenge",
    proof_jwk=public_jwk(),
    seal_jwk=public_jwk(),
    bnd=None,
    raw=RAW,
    binding=BINDING,
)


@dataclass
class MemoryLog:
    """Implement :class:`watchword.ports.RecordLog` in a list; can be told to be full."""

    lines: list[bytes] = field(default_factory=list)
    refused: list[bool] = field(default_factory=list)
    is_full: bool = False

    def append(self, line: bytes, at: datetime, *, refused: bool) -> None:
        """Keep a line."""
        if self.is_full:
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "the simulated disk is full")
        self.lines.append(line)
        self.refused.append(refused)

    def forget_expired(self, now: datetime) -> None:
        """Keep everything."""


@dataclass
class Decoder:
    """Decode tokens in Google's place."""

    google: GooglePlay

    async def decode(self, package: str, token: bytes) -> bytes:
        """Return the payload as JSON."""
        payload = self.google.open(token.decode())
        assert payload is not None
        return json.dumps(payload).encode()


class NoHistory:
    """Know three earlier instances of each device, so that a record has something to hold."""

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """Return three, and five under their certificate."""
        return EnrolledCounts(3, 5)


def evidence_of(kind: str) -> dict[str, Any]:
    """Return the evidence of a phone with fresh keys, bound to the statement."""
    installed: InstalledApp = InstalledIosApp("ABCDE12345", "com.example.clinic", "7.2")
    if PHONES[kind].platform is Platform.ANDROID:
        installed = InstalledAndroidApp("com.example.clinic", (DIGEST,), 120)
    phone = PHONES[kind].build(installed, PhoneSetup(AUTHORITIES, MovableClock(), "phone"))
    phone.create_keys()
    return phone.attest(BINDING)


def app_of(kind: str) -> AppRegistration:
    """Return the registration that a kind of phone claims to run."""
    return ANDROID if PHONES[kind].platform is Platform.ANDROID else IOS


def appraised_line(
    evidence: Mapping[str, Any],
    app: AppRegistration,
    *,
    anchors: tuple[Anchor, ...] = tuple(AUTHORITIES.anchors()),
    revocation: RevocationStatus | None = None,
    policy: Policy = BALANCED,
    at: datetime = NOW,
    own_play_keys: bool = True,
) -> bytes:
    """Return the line that a service with a recorder writes about this evidence."""
    log = MemoryLog()
    recorder = Recorder(log)
    google = GooglePlay(AUTHORITIES.seed)
    keys = PlayKeys(google.decryption_key, google.verification_key)
    trust = Trust(
        AnchorSet(anchors),
        STATUS if revocation is None else revocation,
        play_keys={"com.example.clinic": keys} if own_play_keys else {},
    )
    verifier = FormatEvidenceVerifier(
        trust,
        policy,
        NoHistory(),
        play_decoders={"com.example.clinic": Decoder(google)},
        appraisals=recorder,
    )
    with suppress(RefusedError):
        appraised = asyncio.run(verifier.appraise(evidence, STATEMENT, app, at))
        assert appraised.appraisal is not None
        recorder.record(appraised.appraisal, "instance-id")
    (line,) = log.lines
    return line


def appraised_record(kind: str, **mutated: Any) -> VerificationRecord:
    """Return the record of a phone of the lab."""
    return record_from_line(appraised_line(evidence_of(kind), app_of(kind), **mutated))
