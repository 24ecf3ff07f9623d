"""Hold the format to its vectors, and show it to the service: what every format's tests do."""

import asyncio
import hashlib
import json
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from examples.rasp_verdict.rasp_verdict import FORMAT, NAME, RaspVerdict
from hypothesis import given
from hypothesis import strategies as st

from watchword.adapters.anchors import AnchorSet
from watchword.attestation.interface import AndroidApp, AppRegistration, Expected, Trust
from watchword.attestation.registry import examine
from watchword.enrolment.evidence import FormatEvidenceVerifier
from watchword.enrolment.interface import AppraisedEvidence, Statement
from watchword.policy.interface import AnyOf, Policy
from watchword.policy.registry import BALANCED
from watchword.policy.rules.provider_verdict import ProviderVerdict
from watchword.ports import EnrolledCounts
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.vocabulary import Level, Purpose

FOLDER = Path(__file__).parent
DOCUMENT: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
VECTORS = DOCUMENT["vectors"]
RAW = DOCUMENT["statement"].encode()
NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=DOCUMENT["now"])
APP = AppRegistration("clinic", AndroidApp("com.example.clinic", frozenset({bytes(32)})))
EXPECTED = Expected(hashlib.sha256(RAW).digest(), APP)
TRUST = Trust(AnchorSet(()))

# The clean vector's: any P-256 key does, since the verdict vouches for whatever the statement holds.
PROOF_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
    "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
}
# As the page on own formats has it in watchword.yaml: beside Play Integrity.
BY_EITHER = AnyOf((BALANCED.levels[Level.VERIFIED], ProviderVerdict(member="clean", equals=True)))
POLICY: Policy = replace(BALANCED, levels={**BALANCED.levels, Level.VERIFIED: BY_EITHER})
CLEAN = VECTORS[0]["verdict"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vectors(vector: dict[str, Any]) -> None:
    """Each verdict is refused for its reasons, or says what it says."""
    evidence = FORMAT.read_attestation({"verdict": vector["verdict"]})
    found = examine(evidence, EXPECTED, TRUST, NOW, FORMAT)
    assert [refusal.reason.code for refusal in found.refusals] == vector["reasons"]
    clean = found.claims.provider["clean"] if found.claims and found.claims.provider else None
    assert clean == vector["clean"]


def enrolled(verdict: str) -> AppraisedEvidence:
    """Return what the service makes of a verdict."""
    statement = Statement(
        purpose=Purpose.ENROL,
        issuer="https://watchword.example",
        audiences=("a",),
        app="clinic",
        challenge=b"",
        proof_jwk=PROOF_JWK,
        seal_jwk=PROOF_JWK,
        bnd=None,
        raw=RAW,
        binding=hashlib.sha256(RAW).digest(),
    )
    verifier = FormatEvidenceVerifier(TRUST, POLICY, NoHistory(), formats=[FORMAT])
    evidence = {"format": NAME, "verdict": verdict}
    return asyncio.run(verifier.appraise(evidence, statement, APP, NOW))


class NoHistory:
    """Know nothing of devices: these verdicts name none."""

    async def count_enrolled(
        self, app: str, device_key: bytes | None, attester_serial: str | None, since: datetime
    ) -> EnrolledCounts:
        """See the port."""
        raise AssertionError(
            f"nobody asks for {app}, {device_key!r}, {attester_serial} since {since}"
        )


def test_clean_verdict_enrols_and_another_does_not() -> None:
    """The operator's policy grants level `verified` where Example Shield found nothing."""
    proven = enrolled(CLEAN)
    assert (proven.level, proven.attested_jwk) == (Level.VERIFIED, PROOF_JWK)
    with pytest.raises(RefusedError) as caught:
        enrolled(VECTORS[1]["verdict"])
    assert Reason.POLICY_PROVIDER_VERDICT in {each.reason for each in caught.value.refusals}


def test_members_are_exactly_these() -> None:
    """Anything else in the request is malformed."""
    bad: list[dict[str, Any]] = [{}, {"verdict": 7}, {"verdict": "\u0410"}, {"verdict": "", "x": 1}]
    for members in bad:
        with pytest.raises(MalformedError):
            FORMAT.read_attestation(members)
    assert FORMAT.read_renewal({"signature": "AAAA"}).signature == bytes(3)


@given(st.integers(0, len(CLEAN) - 1), st.binary(max_size=3))
def test_mutated_verdicts(at: int, instead: bytes) -> None:
    """A mutated verdict is refused; nothing but our own errors comes out."""
    mutated = CLEAN.encode()[:at] + instead + CLEAN.encode()[at + 1 :]
    found = examine(RaspVerdict(mutated), EXPECTED, TRUST, NOW, FORMAT)
    assert found.refusals or mutated == CLEAN.encode()


def test_entry_point_names_the_format() -> None:
    """What `trust.formats` asks for is what the object is called."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))
    points = project["project"]["entry-points"]["watchword.evidence_formats"]
    assert points == {FORMAT.name: "rasp_verdict:FORMAT"}
