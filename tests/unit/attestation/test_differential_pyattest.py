"""App Attest beside pyattest 1.0.5: the same evidence, and each difference expected, with its reason.

What each difference means stands in docs/divergences.md.
"""

import hashlib
import warnings
from dataclasses import dataclass, replace
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.attestation import forge, peers, recorded
from tests.unit.attestation.apple_mutants import object_mutants
from tests.unit.attestation.mutants import Case, Meaning, every

from watchword.attestation.interface import (
    AppAttestAssertion,
    AppAttestAttestation,
    AppleApp,
    Expected,
    Trust,
)
from watchword.attestation.registry import examine, verify_renewal
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import AppAttestEnvironment

pytestmark = [
    pytest.mark.skipif(not peers.are_installed(), reason="the peers aren't installed"),
    # What the peer's libraries warn of in their own code isn't about ours.
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning:(asn1crypto|oscrypto|pyhanko_certvalidator)"
    ),
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]

ACCEPTS = "accepts"
CHALLENGE = b"challenge"
BINDING = hashlib.sha256(CHALLENGE).digest()
IDENTITY = AppleApp("TEAM123456", "org.example.clinic")
DEVELOPMENT = replace(IDENTITY, environment=AppAttestEnvironment.DEVELOPMENT)


@dataclass(frozen=True)
class Row:
    """Hold one piece of evidence and what both say of it; ``ours`` None accepts."""

    what: str
    mutated: dict[str, Any]
    ours: Reason | None
    peer: str
    identity: AppleApp = IDENTITY
    production: bool = True
    why: str = ""


def _nonce_in_tag_2(vendor: forge.Apple) -> AppAttestAttestation:
    """Return an attestation whose nonce stands under another tag than Apple's."""
    key = forge.p256()
    nonce = hashlib.sha256(forge.authenticator_data(key) + BINDING).digest()
    content = forge.tlv(0x30, forge.tagged(2, forge.tlv(0x04, nonce)))
    return vendor.evidence(binding=BINDING, key=key, nonce_extension=content)


SAME = [
    Row("as it should be", {}, None, ACCEPTS),
    Row(
        "another challenge",
        {"binding": b"x" * 32},
        Reason.ATTESTATION_BINDING,
        "InvalidNonceException",
    ),
    Row("another key id", {"key_id": b"x" * 32}, Reason.APP_ATTEST_KEY_ID, "InvalidKeyIdException"),
    Row(
        "another app",
        {"app_id": "TEAM123456.org.example.x"},
        Reason.POLICY_APP_ID,
        "InvalidAppIdException",
    ),
    Row("counter 1", {"counter": 1}, Reason.APP_ATTEST_COUNTER, "InvalidCounterException"),
    Row(
        "development for production",
        {"aaguid": AppAttestEnvironment.DEVELOPMENT.value},
        Reason.APP_ATTEST_ENVIRONMENT,
        "InvalidAaguidException",
    ),
    Row(
        "another credential id",
        {"credential_id": b"x" * 32},
        Reason.APP_ATTEST_KEY_ID,
        "InvalidCredentialIdException",
    ),
    Row(
        "an expired leaf",
        {"leaf": {"days": (-9, -6)}},
        Reason.ATTESTATION_CERTIFICATE_EXPIRED,
        "InvalidCertificateChainException",
    ),
    Row(
        "without a nonce",
        {"with_nonce": False},
        Reason.EVIDENCE_MALFORMED,
        "ExtensionNotFoundException",
    ),
    Row("iOS 27's map without the flag", {"trailing": bytes.fromhex("a16161f5")}, None, ACCEPTS),
]
DIFFERENT = [
    Row(
        "production where development is expected",
        {},
        Reason.APP_ATTEST_ENVIRONMENT,
        ACCEPTS,
        identity=DEVELOPMENT,
        production=False,
        why="pyattest lets production evidence pass for development",
    ),
    Row("no receipt", {"receipt": None}, Reason.APP_ATTEST_RECEIPT, ACCEPTS, why="never looked at"),
    Row(
        "another format",
        {"members": {"fmt": "packed"}},
        Reason.EVIDENCE_MALFORMED,
        ACCEPTS,
        why="never looked at",
    ),
    Row(
        "another key in the credential than in the leaf",
        {"cose_key": {1: 2, 3: -7, -1: 1, -2: b"x" * 32, -3: b"y" * 32}},
        Reason.APP_ATTEST_KEY_ID,
        ACCEPTS,
        why="pyattest never decodes the COSE key",
    ),
    Row(
        "a leaf that is a CA",
        {"leaf": {"ca": True, "signs": True}},
        Reason.ATTESTATION_CHAIN_NOT_CA,
        ACCEPTS,
        why="pyattest asks for the usage digital_signature alone",
    ),
]


def _trust(vendor: forge.Apple) -> Trust:
    return forge.trust(vendor.anchor)


def _reasons(evidence: AppAttestAttestation, row: Row, vendor: forge.Apple) -> set[Reason]:
    app = replace(forge.APPLE_APP, identity=row.identity)
    examination = examine(evidence, Expected(BINDING, app), _trust(vendor), forge.NOW)
    return {refusal.reason for refusal in examination.refusals}


def _peer(evidence: AppAttestAttestation, row: Row, vendor: forge.Apple) -> str:
    root = vendor.root.certificate.public_bytes(Encoding.DER)
    peer = peers.Pyattest(evidence.key_id, row.identity.app_id, row.production, root)
    with peers.pyattest_at(forge.NOW):
        return peers.outcome(peer.attest, evidence.attestation, CHALLENGE)


@pytest.mark.parametrize("row", [*SAME, *DIFFERENT], ids=lambda row: row.what)
def test_attestations(apple: forge.Apple, row: Row) -> None:
    """Both refuse, or both accept, but where the table has a reason."""
    evidence = apple.evidence(**{"binding": BINDING, **row.mutated})
    reasons = _reasons(evidence, row, apple)
    assert _peer(evidence, row, apple) == row.peer
    assert (row.ours in reasons) if row.ours else not reasons
    assert bool(row.why) == ((row.ours is None) != (row.peer == ACCEPTS))


def test_nonce_is_cut_out_by_pyattest_and_parsed_by_us(apple: forge.Apple) -> None:
    """It takes what stands behind six bytes, whatever those are."""
    evidence, row = _nonce_in_tag_2(apple), SAME[0]
    assert _peer(evidence, row, apple) == ACCEPTS
    assert _reasons(evidence, row, apple) == {Reason.EVIDENCE_MALFORMED}


def test_certificates_that_nobody_asked_for(apple: forge.Apple) -> None:
    """Apple sends exactly two; pyattest builds a path out of any number."""
    key = forge.p256()
    plain = apple.evidence(binding=BINDING, key=key)
    leaf = cbor2.loads(plain.attestation)["attStmt"]["x5c"][0]
    x5c = [leaf, apple.intermediate.der, apple.root.der]
    document = cbor2.loads(plain.attestation)
    document["attStmt"]["x5c"] = x5c
    evidence = replace(plain, attestation=cbor2.dumps(document))
    assert _peer(evidence, SAME[0], apple) == ACCEPTS
    assert _reasons(evidence, SAME[0], apple) == {Reason.ATTESTATION_CHAIN_LENGTH}


def test_bytes_behind_the_object(apple: forge.Apple) -> None:
    """cbor2 reads the first value and passes over the rest."""
    plain = apple.evidence(binding=BINDING)
    evidence = replace(plain, attestation=plain.attestation + b"\x00")
    assert _peer(evidence, SAME[0], apple) == ACCEPTS
    assert _reasons(evidence, SAME[0], apple) == {Reason.EVIDENCE_MALFORMED}


def test_roots_of_the_system_are_trusted_by_pyattest(apple: forge.Apple) -> None:
    """It adds Apple's root to those of the system, so that any TLS authority vouches for iPhones."""
    build = peers.module("pyhanko_certvalidator.registry").SimpleTrustManager.build
    root = peers.module("pyattest.configs.apple").AppleConfig(b"", "", production=True).root_ca
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asked = list(build(extra_trust_roots=[root]).iter_certs())
    if len(asked) == 1:
        pytest.skip("this system has no roots")
    assert root in asked
    assert len(asked) > 10


def test_root_that_has_expired() -> None:
    """An anchor has no dates for either of the two."""
    root = forge.certify(
        forge.name(common_name="Apple App Attestation Root CA"), None, days=(-90, -1)
    )
    issuer = forge.certify(forge.name(common_name="Apple App Attestation CA 1"), root)
    vendor = forge.Apple(root, issuer)
    evidence = vendor.evidence(binding=BINDING)
    assert _peer(evidence, SAME[0], vendor) == ACCEPTS
    assert _reasons(evidence, SAME[0], vendor) == set()


@pytest.mark.parametrize(
    ("mutated", "ours"),
    [
        ({}, None),
        ({"app_id": "TEAM123456.org.example.x"}, Reason.POLICY_APP_ID),
    ],
)
def test_assertions(mutated: dict[str, Any], ours: Reason | None) -> None:
    """Pyattest verifies the signature alone: an assertion for any other app passes."""
    key = forge.p256()
    data = forge.assertion(key, CHALLENGE, counter=7, **mutated)
    peer = peers.Pyattest(b"", IDENTITY.app_id, production=True)
    assert peers.outcome(peer.renew, data, BINDING, forge.spki(key)) == ACCEPTS
    reasons: set[Reason] = set()
    try:
        found = verify_renewal(
            AppAttestAssertion(data), CHALLENGE, forge.spki(key), forge.APPLE_APP
        )
        assert (
            found.counter == 7
        )  # Which the store compares and sets; pyattest leaves it to nobody.
    except RefusedError as error:
        reasons = {refusal.reason for refusal in error.refusals}
    assert reasons == ({ours} if ours else set())


def test_assertions_that_both_refuse() -> None:
    """Another key, another statement, a mutated signature."""
    key, other = forge.p256(), forge.p256()
    data = forge.assertion(key, CHALLENGE)
    peer = peers.Pyattest(b"", IDENTITY.app_id, production=True)
    for public_key, statement in ((other, CHALLENGE), (key, b"another")):
        digest = hashlib.sha256(statement).digest()
        said = peers.outcome(peer.renew, data, digest, forge.spki(public_key))
        assert said == "InvalidSignature"
        with pytest.raises(RefusedError) as caught:
            verify_renewal(
                AppAttestAssertion(data), statement, forge.spki(public_key), forge.APPLE_APP
            )
        assert [refusal.reason for refusal in caught.value.refusals] == [
            Reason.APP_ATTEST_SIGNATURE
        ]


needs_recorded = pytest.mark.skipif(
    not recorded.are_here(), reason="the recorded evidence isn't here"
)


def _recorded_peer(row: recorded.Recorded, attestation: bytes, key_id: bytes) -> str:
    app = row.expected.app
    assert app is not None
    assert isinstance(app.identity, AppleApp)
    production = app.identity.environment is AppAttestEnvironment.PRODUCTION
    peer = peers.Pyattest(key_id, app.identity.app_id, production)
    challenge = recorded.challenge(row.row) if row.row["challenge"] else b"not known"
    with peers.pyattest_at(row.now):
        return peers.outcome(peer.attest, attestation, challenge)


@needs_recorded
def test_recorded_attestations() -> None:
    """Both accept all but two, whose client data hash isn't SHA-256 of a challenge that we have."""
    said = {}
    for row in recorded.app_attest_attestations():
        assert isinstance(row.evidence, AppAttestAttestation)
        examination = examine(row.evidence, row.expected, recorded.trust(), row.now)
        assert examination.refusals == (), row.id
        said[row.id] = _recorded_peer(row, row.evidence.attestation, row.evidence.key_id)
    assert {name: word for name, word in said.items() if word != ACCEPTS} == {
        # The challenge itself wasn't recorded, only its hash; pyattest wants the challenge.
        "apple-appattest-4949301dc9d2": "InvalidNonceException",
        # Apple's sample of 2026 takes the raw challenge as client data hash; pyattest always hashes.
        "apple-appattest-e4ca508153f6": "InvalidNonceException",
    }


@needs_recorded
def test_recorded_assertions() -> None:
    """Both accept all seven."""
    said = []
    for row in recorded.assertions():
        peer = peers.Pyattest(b"", row.app.app_id, production=True)
        said.append(peers.outcome(peer.renew, row.assertion, row.client_data_hash, row.public_key))
    assert said == [ACCEPTS] * 7


@needs_recorded
def test_mutants_of_a_recorded_attestation() -> None:
    """Of what we refuse, pyattest lets pass what the table of forged evidence has, and nothing else."""
    rows = {row.id: row for row in recorded.app_attest_attestations()}
    row = rows["apple-appattest-abe77309af8f"]
    case = Case(row.evidence, row.expected, row.now)
    mutants = (
        mutant
        for mutant in object_mutants(case, 8)
        if mutant.meaning is Meaning.SIGNED and mutant.expected == case.expected
    )
    passed, made = set(), 0
    for mutant in every(mutants, 2):
        assert isinstance(mutant.evidence, AppAttestAttestation)
        made += 1
        said = _recorded_peer(row, mutant.evidence.attestation, mutant.evidence.key_id)
        if said == ACCEPTS:
            passed.add(mutant.kind)
    assert made > 100
    assert passed == {"receipt absent", "repeated", "bytes behind"}
