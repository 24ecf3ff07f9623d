"""Show what records hold and never hold, that they can be read again, and that floods are sampled."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.apps import recording_lab as lab
from tests.unit.attestation import forge
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.anchors import AnchorSet
from watchword.apps.evidence.records import (
    MAX_RECORD_BYTES,
    REFUSED_PER_MINUTE,
    ClaimsDocumentError,
    Recorder,
    find_records,
    record_from_line,
    record_of,
    record_to_document,
    record_to_line,
    recorded_evidence,
)
from watchword.attestation.interface import Attestation, Trust
from watchword.encoding import base64url
from watchword.enrolment.evidence import FormatEvidenceVerifier
from watchword.enrolment.interface import Appraisal
from watchword.lab import PHONES
from watchword.lab.google_play import GooglePlay
from watchword.policy.interface import Verdict
from watchword.policy.registry import BALANCED
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.vocabulary import Level

IMEI = "356938035643809"
SERIAL = "R58N90ABCDE"
UNIQUE = b"0123456789abcdef"
IDENTIFIERS: dict[str, dict[str, Any]] = {
    "serial": {"hardware": {713: forge.tlv(0x04, SERIAL.encode())}},
    "imei": {"hardware": {714: forge.tlv(0x04, IMEI.encode())}},
    "meid": {"hardware": {715: forge.tlv(0x04, IMEI.encode())}},
    "second imei": {"hardware": {723: forge.tlv(0x04, IMEI.encode())}},
    "imei in software": {"software": {714: forge.tlv(0x04, IMEI.encode())}},
    "imei as another type": {"hardware": {714: forge.tlv(0x0C, IMEI.encode())}},
    "unique id": {"unique_id": UNIQUE},
}


def is_told(line: bytes, secret: bytes) -> bool:
    """Tell whether a record holds bytes in any form that it writes bytes in."""
    forms = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    found = any(form in line for form in forms)
    document = json.loads(line)
    chain = document["evidence"].get("members", {}).get("chain", [])
    return found or any(secret in base64url.decode(der, limit=2**16) for der in chain)


def description(**mutated: Any) -> bytes:
    """Return a KeyDescription for our statement, with more tags in one of its lists."""
    hardware = {**forge.hardware_tags(), **mutated.pop("hardware", {})}
    software = {
        701: forge.integer(1_790_000_000_000),
        709: forge.application_id(),
        **mutated.pop("software", {}),
    }
    return forge.key_description(
        challenge=lab.BINDING, hardware=hardware, software=software, **mutated
    )


def forged_line(chain: tuple[bytes, ...], google: forge.Google) -> bytes:
    """Return the record of a chain under a forged root."""
    evidence = {"format": "android-key", "chain": [base64url.encode(der) for der in chain]}
    return lab.appraised_line(evidence, forge.ANDROID_APP, anchors=(google.anchor,), at=forge.NOW)


@pytest.mark.parametrize("kind", PHONES)
def test_a_record_survives_being_written_down(kind: str) -> None:
    """Each line reads as the record that it was made of."""
    line = lab.appraised_line(lab.evidence_of(kind), lab.app_of(kind))
    record = record_from_line(line)
    assert record_to_line(record) == line
    assert line.count(b"\n") == 1
    assert line.isascii()


def test_an_ordinary_record_says_all_that_it_hung_on() -> None:
    """Nothing of it needs the service, the network or the list of that day."""
    document = json.loads(lab.appraised_line(lab.evidence_of("genuine-android"), lab.ANDROID))
    assert document["at"] == NOW.isoformat()
    assert document["instance"] == "instance-id"
    assert document["binding"] == lab.BINDING.hex()
    assert document["app"]["package"] == "com.example.clinic"
    assert document["evidence"]["form"] == "wire"
    assert {anchor["vendor"] for anchor in document["anchors"]} >= {"android-key"}
    assert document["status"]["known"] is True
    assert document["policy"]["name"] == "balanced"
    assert document["policy"]["document"]["levels"]["hardware"]
    assert document["verdict"]["level"] == "hardware"


@pytest.mark.parametrize("what", IDENTIFIERS)
def test_no_identifier_of_a_device_is_ever_recorded(what: str) -> None:
    """Signed bytes can't be censored: the chain is withheld, and the claims say that something was."""
    google = forge.google()
    leaf = google.leaf(description(**IDENTIFIERS[what]))
    line = forged_line(google.evidence(leaf).chain, google)
    for secret in (IMEI.encode(), SERIAL.encode(), UNIQUE):
        assert not is_told(line, secret)
    document = json.loads(line)
    assert document["evidence"]["form"] == "withheld"
    assert "withheld" in json.dumps(document["claims"]["fields"])


def test_without_an_identifier_the_chain_is_kept() -> None:
    """The test above would pass with a recorder that keeps nothing."""
    google = forge.google()
    line = forged_line(google.evidence(google.leaf(description())).chain, google)
    assert json.loads(line)["evidence"]["form"] == "wire"
    assert json.loads(line)["verification"] == []


def test_an_identifier_above_the_leaf_is_found_too() -> None:
    """The key of an app that attests others has a description of its own."""
    google = forge.google()
    hardware = {**forge.hardware_tags(), 714: forge.tlv(0x04, IMEI.encode())}
    above = google.attest_key(forge.attest_key_description(hardware=hardware))
    line = forged_line(google.attested(above).chain, google)
    assert not is_told(line, IMEI.encode())
    assert json.loads(line)["evidence"]["form"] == "withheld"


def test_what_cannot_be_read_is_withheld() -> None:
    """A description that breaks the parser may hold an identifier all the same."""
    google = forge.google()
    broken = forge.tlv(0x30, forge.integer(400), forge.tlv(0x04, IMEI.encode()))
    line = forged_line(google.evidence(google.leaf(broken)).chain, google)
    assert not is_told(line, IMEI.encode())
    assert json.loads(line)["claims"] is None


@pytest.mark.parametrize("own_play_keys", [True, False])
def test_neither_play_tokens_nor_keys_are_recorded(own_play_keys: bool) -> None:
    """What was inside is kept, which opens nothing; and who opened it."""
    evidence = lab.evidence_of("play-phone")
    line = lab.appraised_line(evidence, lab.ANDROID, own_play_keys=own_play_keys)
    google = GooglePlay(lab.AUTHORITIES.seed)
    assert evidence["token"].encode() not in line
    assert evidence["token"].split(".")[3].encode() not in line
    for key in (google.decryption_key, google.verification_key):
        assert not is_told(line, key)
        assert base64url.encode(key).encode() not in line
    kept = json.loads(line)["evidence"]
    assert kept["decoded_by"] == ("own keys" if own_play_keys else "google")
    assert json.loads(kept["payload"])["requestDetails"]


@dataclass(frozen=True, slots=True)
class VendorsVerdict(Attestation):
    """Be evidence of a format that isn't one of Watchword's."""

    text: str


def appraisal(**changes: Any) -> Appraisal:
    """Return an appraisal that refused a phone for its bootloader."""
    log = _Appraisals()
    trust = Trust(AnchorSet(lab.AUTHORITIES.anchors()))
    verifier = FormatEvidenceVerifier(trust, BALANCED, lab.NoHistory(), appraisals=log)
    evidence = lab.evidence_of("unlocked-android")
    with pytest.raises(RefusedError):
        asyncio.run(verifier.appraise(evidence, lab.STATEMENT, lab.ANDROID, NOW))
    (found,) = log.appraisals
    return replace(found, **changes)


class _Appraisals:
    """Keep appraisals as they are."""

    def __init__(self) -> None:
        self.appraisals: list[Appraisal] = []

    def record(self, appraisal: Appraisal, instance_id: str | None) -> None:
        """Keep one."""
        assert instance_id is None
        self.appraisals.append(appraisal)


def test_evidence_of_foreign_formats_is_withheld() -> None:
    """Only its own format knows what it holds."""
    kept = recorded_evidence(appraisal(evidence=VendorsVerdict(IMEI)))
    assert kept.form == "withheld"
    assert IMEI not in str(kept)


def test_a_flood_of_refusals_is_sampled() -> None:
    """A few a minute of each reason, and how many were left out since."""
    log = lab.MemoryLog()
    recorder = Recorder(log)
    refused = appraisal()
    for second in range(1000):
        recorder.record(replace(refused, at=NOW + timedelta(milliseconds=second)), None)
    assert len(log.lines) == REFUSED_PER_MINUTE
    other = Verdict(Level.NONE, (Refusal(Reason.ATTESTATION_REVOKED),))
    recorder.record(replace(refused, verdict=other), None)
    assert len(log.lines) == REFUSED_PER_MINUTE + 1
    assert record_from_line(log.lines[-1]).left_out == 1000 - REFUSED_PER_MINUTE
    recorder.record(replace(refused, at=NOW + timedelta(minutes=1)), None)
    assert record_from_line(log.lines[-1]).left_out == 0


def test_enrolments_are_all_recorded() -> None:
    """None is left out by sampling; evidence that enrolled nothing counts as refused."""
    log = lab.MemoryLog()
    recorder = Recorder(log)
    accepted = appraisal(verdict=Verdict(Level.HARDWARE))
    for number in range(50):
        recorder.record(accepted, f"instance-{number}")
    assert log.refused == [False] * 50
    for _ in range(50):
        recorder.record(accepted, None)
    assert log.refused == [False] * 50 + [True] * REFUSED_PER_MINUTE


def test_a_full_disk_fails_no_enrolment() -> None:
    """Trouble is logged when it begins and when it ends, with what was lost; that isn't "left out"."""
    log = lab.MemoryLog(is_full=True)
    recorder = Recorder(log)
    accepted = appraisal(verdict=Verdict(Level.HARDWARE))
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            recorder.record(accepted, "instance")
        log.is_full = False
        recorder.record(accepted, "instance")
    assert [each["log_level"] for each in told] == ["warning", "info"]
    assert told[1]["lost"] == 3
    # Replays say of what was left out that too many came at once.
    assert record_from_line(log.lines[0]).left_out == 0


def test_full_space_of_refusals_is_told_once() -> None:
    """Enrolments that are recorded in between don't make the log tell it again and again."""
    log = lab.MemoryLog()
    recorder = Recorder(log)
    accepted = appraisal(verdict=Verdict(Level.HARDWARE))
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            log.is_full = True
            recorder.record(accepted, None)
            log.is_full = False
            recorder.record(accepted, "instance")
    assert [each["log_level"] for each in told] == ["warning"]
    assert len(log.lines) == 3


def test_claims_that_cannot_be_written_fail_no_enrolment() -> None:
    """A format of one's own may claim what JSON has no form for."""
    log = lab.MemoryLog()
    refused = appraisal()
    assert refused.claims is not None
    strange = replace(refused, claims=replace(refused.claims, provider={"verdict": object()}))
    with structlog.testing.capture_logs() as told:
        Recorder(log).record(strange, None)
    assert log.lines == []
    assert told[0]["detail"] == "TypeError"


def test_a_record_that_nobody_could_read_is_not_written() -> None:
    """Writer and reader have the same cap."""
    found = appraisal()
    assert found.claims is not None
    large = replace(found.claims, fields={"x": "y" * MAX_RECORD_BYTES})
    with pytest.raises(ValueError, match="too large"):
        record_to_line(record_of(replace(found, claims=large), None, 0))


LINE = lab.appraised_line(lab.evidence_of("genuine-iphone"), lab.IOS)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_other_line_is_refused_or_read(data: st.DataObject) -> None:
    """Whatever bytes stand there, only one error comes out."""
    start = data.draw(st.integers(0, len(LINE)))
    end = data.draw(st.integers(start, min(len(LINE), start + 40)))
    line = LINE[:start] + data.draw(st.binary(max_size=20)) + LINE[end:]
    try:
        record = record_from_line(line)
    except ClaimsDocumentError:
        return
    assert record_to_document(record)


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'{"version":1}\n',
        b"[" * 100_000 + b"\n",
        LINE.replace(b'"version":1', b'"version":2'),
        LINE.replace(b'"version":1', b'"version":1,"version":1'),
        LINE.replace(b'"left_out":0', b'"left_out":NaN'),
        LINE.replace(b'"left_out":0', b'"left_out":-1'),
        LINE.replace(b'"left_out":0', b'"left_out":0,"more":1'),
        LINE.replace(b'"form":"wire"', b'"form":"other"'),
        LINE[: len(LINE) // 2],
    ],
)
def test_what_is_no_record_is_refused(line: bytes) -> None:
    """Cut, doubled, of a later version, with a member that isn't known."""
    assert line != LINE
    with pytest.raises(ClaimsDocumentError):
        record_from_line(line)


def test_half_a_line_is_told_and_read_over(tmp_path: Path) -> None:
    """What a killed process left behind spoils only itself."""
    file = tmp_path / "2026-11-24.jsonl"
    long = b"x" * (3 * MAX_RECORD_BYTES) + b"\n"
    file.write_bytes(LINE + LINE[:900] + b"\n\n" + long + LINE + LINE[:-50])
    found = list(find_records(str(file)))
    assert [each.record is not None for each in found] == [True, False, False, True, False]
    assert [each.line for each in found] == [1, 2, 4, 5, 6]
    assert "cut off" in found[-1].why
    assert [each.why for each in find_records(str(tmp_path))] == [each.why for each in found]
