"""Show that the service reproduces the protocol's vectors, and that the vectors are up to date."""

import asyncio
import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scripts.protocol_vectors import vectors

from watchword.adapters.anchors import AnchorSet
from watchword.attestation.interface import (
    AndroidApp,
    AppleApp,
    AppRegistration,
    Trust,
)
from watchword.encoding import base64url, strict_json
from watchword.enrolment import challenge
from watchword.enrolment.evidence import RegisteredFormats
from watchword.enrolment.statement import read_statement
from watchword.enrolment.subjects import pairwise_subject
from watchword.gate.references import open_reference
from watchword.policy.service import BALANCED
from watchword.ports import Anchor
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level, Purpose

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "docs" / "protocol-vectors.json").read_text(encoding="utf-8")
)
NOW = datetime.fromisoformat(VECTORS["now"])
ENROLMENTS = {row["kind"]: row for row in VECTORS["enrolments"]}


def registration(platform: str) -> AppRegistration:
    """Return the app of the vectors."""
    name = f"clinic-{platform}"
    app = VECTORS["apps"][name]
    if platform == "ios":
        return AppRegistration(name, AppleApp(app["team_id"], app["bundle_id"]))
    digests = frozenset(bytes.fromhex(text) for text in app["signing_digests"])
    return AppRegistration(name, AndroidApp(app["package"], digests))


class NobodyEnrolled:
    """Know of no instance of any device."""

    async def count_enrolled(self, device_key: bytes, since: datetime) -> int:
        """See :class:`watchword.enrolment.interface.DeviceHistory`."""
        return 0


def verifier() -> RegisteredFormats:
    """Return a verifier that trusts the vectors' anchors."""
    rows: list[Mapping[str, str]] = VECTORS["anchors"]
    return RegisteredFormats(
        Trust(
            AnchorSet(
                Anchor(
                    row["name"],
                    row["vendor"],
                    "lab",
                    b64decode(row["spki"]),
                    b64decode(row["subject"]),
                )
                for row in rows
            )
        ),
        BALANCED,
        NobodyEnrolled(),
    )


@pytest.mark.parametrize("kind", ENROLMENTS)
@pytest.mark.parametrize("purpose", Purpose)
def test_statement_binding_and_challenge(kind: str, purpose: Purpose) -> None:
    """The statement reads, its hash is the binding, its challenge is one of the vectors' key."""
    row = ENROLMENTS[kind][purpose.value]
    raw = base64url.decode(row["statement"])
    statement = read_statement(raw)
    assert statement.binding.hex() == row["binding"] == hashlib.sha256(raw).hexdigest()
    assert statement.purpose is purpose
    assert base64url.encode(statement.challenge) == row["challenge"]
    made = {
        "app": statement.app,
        "purpose": purpose,
        "issuer": VECTORS["issuer"],
        "key": bytes.fromhex(VECTORS["keys"]["challenge"]),
    }
    use = challenge.check(statement.challenge, now=NOW, **made)
    assert use.expires_at == NOW + timedelta(seconds=300)
    with pytest.raises(RefusedError) as caught:
        challenge.check(statement.challenge, now=NOW + timedelta(seconds=300), **made)
    assert caught.value.reason is Reason.CHALLENGE_EXPIRED


@pytest.mark.parametrize("kind", ENROLMENTS)
def test_evidence_of_the_vectors_enrols(kind: str) -> None:
    """The evidence verifies at level hardware under the binding, and under no other one."""
    row = ENROLMENTS[kind]
    app, evidence = registration(row["platform"]), row["enrol"]["evidence"]
    statement = read_statement(base64url.decode(row["enrol"]["statement"]))
    appraised = asyncio.run(verifier().appraise(evidence, statement, app, NOW))
    assert appraised.level is Level.HARDWARE
    other = replace(statement, binding=bytes(32))
    with pytest.raises(RefusedError) as caught:
        asyncio.run(verifier().appraise(evidence, other, app, NOW))
    assert Reason.ATTESTATION_BINDING in {refusal.reason for refusal in caught.value.refusals}


def test_only_android_leaves_the_proof_key_out() -> None:
    """On Android the attested key is the proof key and can't be named before it exists."""
    for row in ENROLMENTS.values():
        members = strict_json.loads(base64url.decode(row["enrol"]["statement"]), 4096)
        assert ("proof_jwk" in members) == (row["platform"] == "ios")


def test_subject_and_reference() -> None:
    """Subjects and references come out as written."""
    row = VECTORS["subject"]
    key = bytes.fromhex(VECTORS["keys"]["pairwise"])
    assert pairwise_subject(row["instance"], row["audience"], key) == row["subject"]
    sealed = open_reference(
        VECTORS["reference"]["ref"], bytes.fromhex(VECTORS["keys"]["reference"])
    )
    assert [reason.code for reason in sealed.reasons] == VECTORS["reference"]["reasons"]
    assert (sealed.route, sealed.at) == (VECTORS["reference"]["route"], int(NOW.timestamp()))


def test_the_file_is_what_the_script_writes() -> None:
    """Whoever changes the protocol sees the vectors change, and writes them anew on purpose."""
    assert json.loads(json.dumps(vectors())) == VECTORS
