"""Show that a recorded appraisal replays to the same result, and that a changed record doesn't."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.apps import recording_lab as lab
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.revocation import StatusList
from watchword.apps.evidence.records import record_from_document
from watchword.apps.evidence.replay import Conditions, Replayed, replay
from watchword.lab import PHONES
from watchword.policy.registry import PRESETS
from watchword.ports import RevocationEntry
from watchword.reasons import Reason
from watchword.vocabulary import Level

CONDITIONS = Conditions(tuple(lab.AUTHORITIES.anchors()))


def document_of(kind: str, **mutated: Any) -> dict[str, Any]:
    """Return the record of a phone of the lab as JSON."""
    line = lab.appraised_line(lab.evidence_of(kind), lab.app_of(kind), **mutated)
    document: dict[str, Any] = json.loads(line)
    return document


def replayed(document: dict[str, Any], conditions: Conditions = CONDITIONS) -> Replayed:
    """Return what a replay of a document gives."""
    return replay(record_from_document(document), conditions)


@pytest.mark.parametrize("policy", PRESETS)
@pytest.mark.parametrize("kind", PHONES)
def test_every_phone_of_the_lab_replays_to_the_same(kind: str, policy: str) -> None:
    """Evidence, policy, level and every reason, whatever the phone is and whoever judges it."""
    record = lab.appraised_record(kind, policy=PRESETS[policy])
    found = replay(record, CONDITIONS)
    assert found.differences == ()
    assert found.verdict is not None
    assert found.verdict.level is record.verdict.level
    assert found.is_whole
    assert record.policy.name == policy


def test_the_phones_are_told_apart_by_their_records() -> None:
    """The property above isn't an empty one: levels and reasons do differ."""
    for kind in PHONES:
        verdict, expected = lab.appraised_record(kind).verdict, PHONES[kind].expected
        assert verdict.level is expected.level, kind
        assert {each.reason for each in verdict.refusals} >= set(expected.reasons[:1]), kind
    assert len({model.expected.level for model in PHONES.values()}) > 2


def test_a_revocation_of_that_day_is_replayed() -> None:
    """The list of today isn't asked; what it said then stands in the record."""
    genuine = lab.appraised_record("genuine-android")
    assert genuine.claims is not None
    serial = genuine.claims.serials[1]
    revoked = StatusList({serial: RevocationEntry("REVOKED", "KEY_COMPROMISE")})
    document = document_of("genuine-android", revocation=revoked)
    assert document["status"]["entries"] == {
        serial: {"status": "REVOKED", "reason": "KEY_COMPROMISE"}
    }
    found = replayed(document)
    assert found.is_same
    assert found.record.verdict.level is Level.NONE
    document["status"]["entries"] = {}
    assert not replayed(document).is_same


def mutate(document: dict[str, Any], path: str, value: Any) -> None:
    """Set one member of a document, named by its path."""
    *parents, last = path.split(".")
    inner = document
    for name in parents:
        inner = inner[name]
    assert inner[last] != value, "the change changes nothing"
    inner[last] = value


@pytest.mark.parametrize(
    ("kind", "path", "value", "told"),
    [
        ("genuine-android", "claims.model", "Pixel 99", "claims.model: "),
        ("genuine-android", "claims.boot.device_locked", False, "claims.boot.device_locked: "),
        ("genuine-iphone", "claims.counter", 7, "claims.counter: "),
        ("genuine-android", "claims.fields.attestationVersion", 1, "claims.fields.attestation"),
        ("genuine-android", "binding", "00" * 32, "attestation.binding"),
        ("genuine-android", "verdict.level", "software", "level: recorded software"),
        ("unlocked-android", "verdict.level", "hardware", "level: recorded hardware"),
        ("unlocked-android", "verdict.refusals", [], "policy.bootloader_unlocked"),
        ("emulator", "verification", [], "attestation.anchor_software"),
        ("genuine-android", "anchors", [], "attestation.anchor_unknown"),
        ("genuine-android", "app.package", "com.example.other", "policy.app_id"),
        ("genuine-android", "claims", None, "claims: "),
        ("genuine-android", "format", "app-attest", "another format"),
        ("genuine-android", "evidence.members.chain", [], "can't be read"),
        ("genuine-android", "policy.document", {"levels": {}}, "policy: "),
        ("genuine-iphone", "evidence.members.key_id", "AA" * 20, "app_attest.key_id"),
    ],
)
def test_a_changed_record_is_told(kind: str, path: str, value: Any, told: str) -> None:
    """A part that no longer fits the rest is named."""
    document = document_of(kind)
    assert replayed(document).is_same
    mutate(document, path, value)
    found = replayed(document)
    assert not found.is_same
    assert told in "\n".join(found.differences)


def test_changed_evidence_is_told() -> None:
    """One bit anywhere in the leaf's signed part, and nothing verifies any more."""
    document = document_of("genuine-android")
    leaf = document["evidence"]["members"]["chain"][0]
    middle = len(leaf) // 2
    swapped = "A" if leaf[middle] != "A" else "B"
    document["evidence"]["members"]["chain"][0] = leaf[:middle] + swapped + leaf[middle + 1 :]
    assert not replayed(document).is_same


def test_other_times_and_policies_are_tried_on_records() -> None:
    """A replay answers what another policy would have said of this phone, or what a later day would."""
    document = document_of("grapheneos-android" if "grapheneos-android" in PHONES else "emulator")
    strict = replayed(document, Conditions(CONDITIONS.anchors, policy=PRESETS["strict"]))
    assert strict.verdict is not None
    assert strict.verdict.level is Level.NONE
    genuine = document_of("genuine-android")
    later = Conditions(CONDITIONS.anchors, at=NOW + timedelta(days=36500))
    assert replayed(genuine).is_same
    assert replayed(genuine, later).record.at == NOW


def test_an_anchor_that_is_gone_is_told() -> None:
    """Without the lab's anchors its phones are strangers, and the replay says why."""
    found = replayed(document_of("genuine-android"), Conditions(()))
    assert not found.is_same
    assert "attestation.anchor_unknown" in "\n".join(found.differences)
    assert any("--anchors" in note for note in found.notes)


def test_a_record_makes_no_vendor_of_a_root() -> None:
    """The kind of an anchor comes from here: an emulator's root stays one of software."""
    document = document_of("emulator")
    for anchor in document["anchors"]:
        anchor["kind"] = "production"
    found = replayed(document)
    assert found.is_same
    assert found.verdict is not None
    assert Reason.ATTESTATION_ANCHOR_SOFTWARE in {each.reason for each in found.verdict.refusals}


def test_a_record_says_which_it_is() -> None:
    """The JSON of a replay names the instance, and both results."""
    shown = replayed(document_of("genuine-iphone")).as_dict()
    assert shown["instance"] == "instance-id"
    assert shown["replayed"] == "evidence and policy"
    assert shown["recorded"] == shown["now"]
    assert shown["same"] is True


def test_withheld_evidence_is_judged_by_its_claims() -> None:
    """Policy alone is asked again, and the replay says so."""
    document = document_of("genuine-android")
    document["evidence"] = {"form": "withheld", "because": "it identifies the device"}
    found = replayed(document)
    assert found.is_same
    assert not found.is_whole
    assert any(note.startswith("policy only") for note in found.notes)
    document["claims"]["boot"]["device_locked"] = False
    assert "policy.bootloader_unlocked" in "\n".join(replayed(document).differences)


@pytest.mark.parametrize("own_play_keys", [True, False])
def test_a_play_payload_is_verified_again(own_play_keys: bool) -> None:
    """A decoded verdict is compared, aged and appraised anew; who opened it is told."""
    document = document_of("play-phone", own_play_keys=own_play_keys)
    found = replayed(document)
    assert found.is_same
    assert found.is_whole
    assert ("google" if own_play_keys is False else "own keys") in found.notes[0]
    payload = document["evidence"]["payload"]
    document["evidence"]["payload"] = payload.replace("MEETS_DEVICE_INTEGRITY", "MEETS_NOTHING")
    changed = replayed(document)
    assert "policy.device_integrity" in "\n".join(changed.differences)
    later = Conditions(CONDITIONS.anchors, at=NOW + timedelta(hours=1))
    assert "play.age" in "\n".join(replayed(document_of("play-phone"), later).differences)
