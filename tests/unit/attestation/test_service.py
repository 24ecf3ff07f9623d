"""The face of verification: claims or a refusal with everything that is wrong, and nothing else."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.attestation import forge

from watchword.attestation.claims import VerifiedClaims
from watchword.attestation.interface import (
    AndroidKeyChain,
    AndroidKeySignature,
    AppAttestAssertion,
    AppAttestAttestation,
    Expected,
)
from watchword.attestation.registry import (
    FORMATS,
    examine,
    find_format,
    format_of,
    verify,
    verify_renewal,
)
from watchword.reasons import MalformedError, Reason, RefusedError

ANDROID = Expected(forge.BINDING, forge.ANDROID_APP)
APPLE = Expected(forge.BINDING, forge.APPLE_APP)


def test_genuine_evidence_gives_verified_claims(google: forge.Google, apple: forge.Apple) -> None:
    """Both formats go through the one face."""
    trust = forge.trust(google.anchor, apple.anchor)
    for evidence, expected, name in (
        (google.evidence(), ANDROID, "android-key"),
        (apple.evidence(), APPLE, "app-attest"),
    ):
        found = verify(evidence, expected, trust, forge.NOW)
        assert isinstance(found, VerifiedClaims)
        assert found.claims.format == name


def test_all_refusals_are_raised(google: forge.Google) -> None:
    """The error carries everything that was found."""
    leaf = google.leaf(forge.key_description(challenge=b"other"))
    with pytest.raises(RefusedError) as caught:
        verify(google.evidence(leaf), ANDROID, forge.trust(), forge.NOW)
    assert [refusal.reason for refusal in caught.value.refusals] == [
        Reason.ATTESTATION_ANCHOR_UNKNOWN,
        Reason.ATTESTATION_BINDING,
    ]


def test_malformed_evidence_is_refused_and_examined_without_claims() -> None:
    """What can't be read is a refusal in both faces."""
    garbage = AndroidKeyChain((b"x", b"y"))
    with pytest.raises(RefusedError) as caught:
        verify(garbage, ANDROID, forge.trust(), forge.NOW)
    assert caught.value.reason is Reason.EVIDENCE_MALFORMED
    assert examine(garbage, ANDROID, forge.trust(), forge.NOW).claims is None


@pytest.mark.parametrize(
    "expected",
    [
        replace(ANDROID, binding=None),
        replace(ANDROID, app=None),
        replace(ANDROID, fresh=False),
        Expected(None, None),
    ],
)
def test_the_service_cannot_leave_expectations_out(
    google: forge.Google, expected: Expected
) -> None:
    """Evidence bound to nothing, or of any app, is for reports only."""
    trust = forge.trust(google.anchor)
    with pytest.raises(ValueError, match="needs a binding and an app"):
        verify(google.evidence(), expected, trust, forge.NOW)
    assert examine(google.evidence(), expected, trust, forge.NOW).refusals == ()


def test_instances_need_a_p256_key(google: forge.Google, apple: forge.Apple) -> None:
    """A genuine key of another kind can't be a proof key; it is told once."""
    trust = forge.trust(google.anchor, apple.anchor)
    p384 = ec.generate_private_key(ec.SECP384R1())
    for evidence, expected in (
        (google.evidence(google.leaf(key=p384)), ANDROID),
        (google.evidence(google.leaf(key=forge.mldsa_key())), ANDROID),
        (apple.evidence(key=p384, data_key=forge.p256()), APPLE),
    ):
        with pytest.raises(RefusedError) as caught:
            verify(evidence, expected, trust, forge.NOW)
        reasons = [refusal.reason for refusal in caught.value.refusals]
        assert reasons == [Reason.ATTESTATION_KEY_UNSUPPORTED]


def test_renewal_raises_what_is_wrong() -> None:
    """A renewal is refused with its reason."""
    with pytest.raises(RefusedError) as caught:
        verify_renewal(
            AndroidKeySignature(b""), b"statement", forge.spki(forge.p256()), forge.ANDROID_APP
        )
    assert caught.value.reason is Reason.ANDROID_SIGNATURE


def test_formats_are_found_by_name_and_by_evidence() -> None:
    """The registry knows each format once; other names are refused."""
    assert set(FORMATS) == {"app-attest", "android-key", "play-integrity"}
    assert format_of(AppAttestAttestation(b"", b"")) is find_format("app-attest")
    assert format_of(AppAttestAssertion(b"")) is find_format("app-attest")
    assert format_of(AndroidKeyChain(())) is find_format("android-key")
    names: list[object] = ["webauthn", None, 1, [], {}]
    for name in names:
        with pytest.raises(MalformedError) as caught:
            find_format(name)
        assert caught.value.reason is Reason.EVIDENCE_FORMAT_UNKNOWN
    with pytest.raises(TypeError):
        format_of("evidence")  # type: ignore[arg-type]


def mutate(data: st.DataObject, good: bytes) -> bytes:
    """Return evidence with a few bytes changed, cut out or put in."""
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    return bytes(mutated)


@pytest.fixture(scope="session")
def android_chain(google: forge.Google) -> tuple[bytes, ...]:
    """Return one chain for all mutations, so that a failure can be repeated."""
    return google.evidence().chain


@pytest.fixture(scope="session")
def apple_evidence(apple: forge.Apple) -> AppAttestAttestation:
    """Return one attestation for all mutations."""
    return apple.evidence()


@settings(max_examples=150)
@given(data=st.data())
def test_mutated_android_evidence_never_passes_as_something_else(
    google: forge.Google, android_chain: tuple[bytes, ...], data: st.DataObject
) -> None:
    """Mutated chains raise nothing foreign, and pass only saying what was signed."""
    trust = forge.trust(google.anchor)
    genuine = examine(AndroidKeyChain(android_chain), ANDROID, trust, forge.NOW).claims
    chain = list(android_chain)
    at = data.draw(st.integers(0, len(chain) - 1))
    chain[at] = mutate(data, chain[at])
    found = examine(AndroidKeyChain(tuple(chain)), ANDROID, trust, forge.NOW)
    assert found.refusals or found.claims == genuine


@settings(max_examples=150)
@given(data=st.data())
def test_mutated_apple_evidence_never_passes_as_something_else(
    apple: forge.Apple, apple_evidence: AppAttestAttestation, data: st.DataObject
) -> None:
    """Mutated attestations raise nothing foreign, and pass only saying what was signed."""
    trust = forge.trust(apple.anchor)
    genuine = examine(apple_evidence, APPLE, trust, forge.NOW).claims
    mutated = mutate(data, apple_evidence.attestation)
    evidence = AppAttestAttestation(mutated, apple_evidence.key_id)
    found = examine(evidence, APPLE, trust, forge.NOW)
    assert found.refusals or found.claims == genuine


@given(st.binary(max_size=300))
def test_garbage_in_any_format_is_refused(data: bytes) -> None:
    """Whatever the bytes, what comes out is our own refusal."""
    for evidence in (
        AndroidKeyChain((data,)),
        AndroidKeyChain((data, data)),
        AppAttestAttestation(data, data),
    ):
        assert examine(evidence, Expected(None, None), forge.trust(), forge.NOW).refusals
    key = forge.spki(ISSUED)
    for renewal in (AppAttestAssertion(data), AndroidKeySignature(data)):
        with pytest.raises(RefusedError):
            verify_renewal(renewal, data, key, forge.APPLE_APP)
        with pytest.raises(RefusedError):
            verify_renewal(renewal, data, data, forge.ANDROID_APP)


ISSUED = forge.p256()
