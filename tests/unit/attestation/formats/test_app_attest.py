"""App Attest: what genuine attestations and assertions look like, and each way of bending one."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.unit.attestation import forge

from watchword.attestation.attestation_object import LENIENT_EXTENSIONS, read_credential_id
from watchword.attestation.certificates import BoundedIssuerCache
from watchword.attestation.claims import KeySecurity
from watchword.attestation.formats.app_attest import AppAttest, examine_assertion
from watchword.attestation.interface import (
    AndroidKeyChain,
    AndroidKeySignature,
    AppAttestAssertion,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Examination,
    Expected,
    Trust,
)
from watchword.attestation.registry import examine, verify_renewal
from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.vocabulary import AppAttestEnvironment

FORMAT = AppAttest()
EXPECTED = Expected(forge.BINDING, forge.APPLE_APP)
DEVELOPMENT = AppAttestEnvironment.DEVELOPMENT.value
APP_ID = "TEAM123456.org.example.clinic"
TRAILING = cbor2.dumps(
    {"apple_bundle_version_01": "1.42", "apple_validation_category_01": b"\x01\x00\x00\x00"}
)
STATEMENT = b"statement"


def judge(
    apple: forge.Apple, evidence: AppAttestAttestation, expected: Expected = EXPECTED
) -> Examination:
    """Examine an attestation under an Apple that is trusted."""
    return examine(evidence, expected, forge.trust(apple.anchor), forge.NOW)


def judged(apple: forge.Apple, expected: Expected = EXPECTED, **mutated: Any) -> list[Reason]:
    """Return the reasons against an attestation that is mutated."""
    found = judge(apple, apple.evidence(**mutated), expected)
    return [refusal.reason for refusal in found.refusals]


def test_genuine_attestation_holds_and_says_what_it_is(apple: forge.Apple) -> None:
    """A genuine phone passes, and every claim is read."""
    key = forge.p256()
    found = judge(apple, apple.evidence(key=key))
    assert found.refusals == ()
    claims = found.claims
    assert claims is not None
    assert claims.public_key == forge.spki(key)
    assert claims.key_security is KeySecurity.SECURE_ENCLAVE
    assert claims.counter == 0
    assert claims.app is not None
    assert claims.app.ids == (APP_ID,)
    assert claims.app.versions == {}
    assert claims.fields["environment"] == "production"
    assert claims.unchecked == ()
    assert claims.leniencies == ()


def test_without_an_app_either_environment_passes_and_is_stated(apple: forge.Apple) -> None:
    """The offline verifier may leave binding and app out; both are listed."""
    evidence = apple.evidence(aaguid=DEVELOPMENT)
    found = judge(apple, evidence, Expected(None, None))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.fields["environment"] == "development"
    assert found.claims.unchecked == ("binding", "app")
    assert found.claims.app is None


@pytest.mark.parametrize("flags", [0x40, 0xC0])
def test_trailing_data_of_ios_27(apple: forge.Apple, flags: int) -> None:
    """The map behind the key is read with the flag ED and without; without is a named leniency."""
    found = judge(apple, apple.evidence(trailing=TRAILING, flags=flags))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.app is not None
    assert found.claims.app.versions == {APP_ID: "1.42"}
    assert found.claims.leniencies == (() if flags & 0x80 else (LENIENT_EXTENSIONS,))
    assert found.claims.fields["trailing_decoded"]["apple_validation_category_01"] == "01000000"
    assert found.claims.fields["validation_category"] == 1
    assert found.claims.fields["bundle_version"] == "1.42"


@pytest.mark.parametrize(
    ("trailing", "flags"),
    [
        (TRAILING[:-1], 0x40),
        (TRAILING + b"\x00", 0x40),
        (b"\x80", 0x40),
        (b"\x00", 0x40),
        (b"", 0xC0),
        (b"\xff", 0xC0),
    ],
)
def test_trailing_data_that_is_not_one_map(apple: forge.Apple, trailing: bytes, flags: int) -> None:
    """Anything but exactly one map behind the key is malformed, and so is a flag without one."""
    mutated = judged(apple, trailing=trailing, flags=flags)
    assert mutated == [Reason.EVIDENCE_MALFORMED]


# Step 0: the object


@pytest.mark.parametrize(
    "members",
    [
        {"fmt": "packed"},
        {"fmt": None},
        {"authData": b"\x00" * 36},
        {"authData": b"\x00" * 60},
        {"authData": b"\x00" * 5000},
        {"authData": "text"},
        {"attStmt": {}},
        {"attStmt": []},
        {"attStmt": {"x5c": [1, 2], "receipt": b"r"}},
    ],
)
def test_malformed_objects(apple: forge.Apple, members: Mapping[str, Any]) -> None:
    """Another format, and members that are missing or of another type."""
    assert judged(apple, members=members) == [Reason.EVIDENCE_MALFORMED]


def test_garbage_is_malformed(apple: forge.Apple) -> None:
    """Bytes that aren't CBOR, or cut off anywhere, end in a reason."""
    good = apple.evidence()
    for data in (b"", b"\xa0", b"garbage", b"\x81" * 3000, b"x" * 70_000):
        found = judge(apple, AppAttestAttestation(data, good.key_id))
        assert [refusal.reason for refusal in found.refusals] == [Reason.EVIDENCE_MALFORMED]
        assert read_credential_id(data) == b""
    for size in range(0, len(good.attestation), 61):
        found = judge(apple, AppAttestAttestation(good.attestation[:size], good.key_id))
        assert found.refusals[0].reason is Reason.EVIDENCE_MALFORMED


def test_flag_of_a_credential_must_be_set(apple: forge.Apple) -> None:
    """Authenticator data that doesn't say so has no credential, whatever bytes follow."""
    assert judged(apple, flags=0x01) == [Reason.EVIDENCE_MALFORMED]


def test_version_of_another_type_is_none(apple: forge.Apple) -> None:
    """Only text states a version, and only four bytes a category."""
    trailing = cbor2.dumps(
        {"apple_bundle_version_01": [1], "apple_validation_category_01": b"\x01\x00\x00"}
    )
    found = judge(apple, apple.evidence(trailing=trailing))
    assert found.refusals == ()
    assert found.claims is not None
    assert found.claims.app is not None
    assert found.claims.app.versions == {}
    assert found.claims.fields["validation_category"] is None


def test_everything_is_capped_before_it_is_read(apple: forge.Apple) -> None:
    """Right evidence that is too large is refused for its size, in each of its layers."""
    assert judged(apple, receipt=b"r" * 60_000) == []
    assert judged(apple, receipt=b"r" * 66_000) == [Reason.EVIDENCE_MALFORMED]
    key = forge.p256()
    spare = 4096 - len(forge.authenticator_data(key)) - len(cbor2.dumps({"a": b"x" * 1000})) + 1000
    for size, refused in ((spare, []), (spare + 1, [Reason.EVIDENCE_MALFORMED])):
        trailing = cbor2.dumps({"a": b"x" * size})
        assert judged(apple, key=key, trailing=trailing) == refused
    small = cbor2.loads(forge.assertion(key, STATEMENT))
    for size, reasons in ((3000, []), (4096, [Reason.EVIDENCE_MALFORMED])):
        assert renewed(key, cbor2.dumps({**small, "more": b"x" * size})) == reasons


def test_exactly_two_certificates(apple: forge.Apple) -> None:
    """Apple sends leaf and intermediate; one or three are another chain."""
    leaf = forge.certify(forge.name(common_name="x"), apple.intermediate).der
    for x5c in ([leaf], [leaf, apple.intermediate.der, apple.root.der], b"x"):
        assert judged(apple, x5c=x5c) == [Reason.ATTESTATION_CHAIN_LENGTH]


# Step 1: the chain


def test_unknown_root(apple: forge.Apple) -> None:
    """A vendor of somebody else's making, under Apple's names."""
    found = judge(apple, forge.apple().evidence())
    assert [refusal.reason for refusal in found.refusals] == [Reason.ATTESTATION_ANCHOR_UNKNOWN]


def test_leaf_by_another_key_under_the_intermediates_name(apple: forge.Apple) -> None:
    """A leaf that names Apple's intermediate, and isn't signed by it."""
    impostor = forge.Party(apple.intermediate.certificate, forge.p256())
    found = judge(apple, replace(apple, intermediate=impostor).evidence())
    assert [r.reason for r in found.refusals] == [Reason.ATTESTATION_CHAIN_SIGNATURE]


def test_another_leaf_as_the_intermediate(apple: forge.Apple) -> None:
    """The owner of an attested key can't issue leaves of his own."""
    for leaf_ca in (True, False):
        attested = forge.certify(
            forge.name(common_name="credential"), apple.intermediate, ca=leaf_ca, signs=leaf_ca
        )
        below = forge.Apple(apple.root, attested)
        found = judge(apple, below.evidence())
        assert Reason.ATTESTATION_ANCHOR_UNKNOWN in [r.reason for r in found.refusals]
        assert leaf_ca or Reason.ATTESTATION_CHAIN_NOT_CA in [r.reason for r in found.refusals]


@pytest.mark.parametrize("mutated", [{"ca": False}, {"ca": None}, {"signs": False}])
def test_intermediate_must_be_a_ca(mutated: Mapping[str, Any]) -> None:
    """An issuer that may not sign certificates has signed nothing."""
    assert judged(forge.apple(intermediate=mutated)) == [Reason.ATTESTATION_CHAIN_NOT_CA]


def test_leaf_must_not_be_a_ca(apple: forge.Apple) -> None:
    """An attested key that may sign certificates isn't one of App Attest."""
    assert judged(apple, leaf={"ca": True}) == [Reason.ATTESTATION_CHAIN_NOT_CA]


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        ((-9, -1), Reason.ATTESTATION_CERTIFICATE_EXPIRED),
        ((1, 9), Reason.ATTESTATION_CERTIFICATE_EARLY),
    ],
)
def test_both_certificates_are_held_to_their_dates(
    apple: forge.Apple, days: tuple[int, int], reason: Reason
) -> None:
    """A leaf lives for three days and is fresh when it enrols; the intermediate is current."""
    assert judged(apple, leaf={"days": days}) == [reason]
    assert judged(forge.apple(intermediate={"days": days})) == [reason]


def test_yesterdays_evidence_is_refused_for_its_age(apple: forge.Apple) -> None:
    """The clock is an argument: the same evidence is refused later."""
    evidence = apple.evidence()
    later = forge.NOW + timedelta(days=3)
    found = examine(evidence, EXPECTED, forge.trust(apple.anchor), later)
    assert [r.reason for r in found.refusals] == [Reason.ATTESTATION_CERTIFICATE_EXPIRED]


def test_intermediate_is_verified_once_and_judged_each_time(apple: forge.Apple) -> None:
    """Signatures above the leaf are remembered; the leaf's, dates, anchors and CA flags are judged anew."""
    issuers = BoundedIssuerCache()
    trust = Trust(forge.Anchors([apple.anchor]), issuers=issuers)

    def reasons(
        evidence: AppAttestAttestation, under: Trust = trust, days: int = 0
    ) -> list[Reason]:
        now = forge.NOW + timedelta(days=days)
        return [each.reason for each in examine(evidence, EXPECTED, under, now).refusals]

    assert reasons(apple.evidence(counter=1)) == [Reason.APP_ATTEST_COUNTER]
    assert len(issuers) == 0, "an attestation that is refused leaves nothing behind"
    assert reasons(apple.evidence()) == []
    assert len(issuers) == 1
    assert reasons(apple.evidence()) == []
    impostor = forge.Party(apple.intermediate.certificate, forge.p256())
    forged = replace(apple, intermediate=impostor).evidence()
    assert reasons(forged) == [Reason.ATTESTATION_CHAIN_SIGNATURE]
    expired = Reason.ATTESTATION_CERTIFICATE_EXPIRED
    assert reasons(apple.evidence(), days=99) == [expired, expired]
    distrusted = Trust(forge.Anchors([forge.apple().anchor]), issuers=issuers)
    assert reasons(apple.evidence(), distrusted) == [Reason.ATTESTATION_ANCHOR_UNKNOWN]
    assert len(issuers) == 1


# Steps 2 to 4: the nonce


def test_wrong_client_data_hash(apple: forge.Apple) -> None:
    """Evidence for another statement."""
    assert judged(apple, binding=hashlib.sha256(b"other").digest()) == [Reason.ATTESTATION_BINDING]


def test_changed_authenticator_data(apple: forge.Apple) -> None:
    """What Apple signed for is the hash of the authenticator data: a changed copy is noticed."""
    key = forge.p256()
    mutated = forge.authenticator_data(key, counter=0, flags=0x41)
    assert judged(apple, key=key, members={"authData": mutated}) == [Reason.ATTESTATION_BINDING]


def nonce_extension(nonce: bytes) -> dict[str, bytes]:
    """Return extensions that hold this nonce in ways that aren't Apple's."""
    inner = forge.tlv(0x04, nonce)
    return {
        "another tag": forge.tlv(0x30, forge.tlv(0xA2, inner)),
        "two members": forge.tlv(0x30, forge.tlv(0xA1, inner), forge.tlv(0xA1, inner)),
        "bytes behind": forge.tlv(0x30, forge.tlv(0xA1, inner)) + b"\x00",
        "no octets": forge.tlv(0x30, forge.tlv(0xA1, forge.integer(1))),
        "raw": b"\x00" * 6 + nonce,
        "nothing": b"",
    }


@pytest.mark.parametrize("what", nonce_extension(b""))
def test_nonce_is_read_as_der(apple: forge.Apple, what: str) -> None:
    """The extension is parsed, not cut at an offset."""
    key = forge.p256()
    nonce = hashlib.sha256(forge.authenticator_data(key) + forge.BINDING).digest()
    mutated = nonce_extension(nonce)[what]
    assert judged(apple, key=key, nonce_extension=mutated) == [Reason.EVIDENCE_MALFORMED]
    right = forge.tlv(0x30, forge.tlv(0xA1, forge.tlv(0x04, nonce)))
    assert judged(apple, key=key, nonce_extension=right) == []


def test_leaf_without_a_nonce(apple: forge.Apple) -> None:
    """A certificate of Apple's that binds nothing proves nothing."""
    assert judged(apple, with_nonce=False) == [Reason.EVIDENCE_MALFORMED]


# Steps 5 to 9


def test_key_id_of_another_key(apple: forge.Apple) -> None:
    """The key id is the hash of the leaf's key, and the credential id."""
    other = hashlib.sha256(forge.point(forge.p256())).digest()
    assert set(judged(apple, key_id=other)) == {Reason.APP_ATTEST_KEY_ID}
    assert judged(apple, credential_id=other) == [Reason.APP_ATTEST_KEY_ID]
    assert judged(apple, key_id=other, credential_id=other) == [Reason.APP_ATTEST_KEY_ID]
    assert judged(apple, credential_id=b"") == [Reason.APP_ATTEST_KEY_ID]


def test_credential_key_of_another_key(apple: forge.Apple) -> None:
    """The COSE key is the leaf's key: the same point, curve and algorithm."""
    key = forge.p256()
    for mutated in ({-2: b"\x00" * 32}, {3: -8}, {-1: 2}, {99: 1}):
        cose = {**forge.cose(key), **mutated}
        assert judged(apple, key=key, cose_key=cose) == [Reason.APP_ATTEST_KEY_ID]
    assert judged(apple, cose_key=[]) == [Reason.EVIDENCE_MALFORMED]


def test_key_on_another_curve(apple: forge.Apple) -> None:
    """App Attest keys are on P-256."""
    key = ec.generate_private_key(ec.SECP384R1())
    found = judged(apple, key=key, data_key=forge.p256())
    assert found == [Reason.ATTESTATION_KEY_UNSUPPORTED]


def test_another_app(apple: forge.Apple) -> None:
    """The hash of another App ID is refused, and which app it is can't be known."""
    found = judge(apple, apple.evidence(app_id="TEAM123456.org.example.other"))
    assert [r.reason for r in found.refusals] == [Reason.POLICY_APP_ID]
    assert found.claims is not None
    assert found.claims.app is None


def test_counter_must_be_zero(apple: forge.Apple) -> None:
    """A key that has signed before isn't fresh."""
    assert judged(apple, counter=1) == [Reason.APP_ATTEST_COUNTER]


def test_environments_never_pass_for_each_other(apple: forge.Apple) -> None:
    """Development evidence doesn't enrol in production, nor the other way round."""
    app = AppleApp("TEAM123456", "org.example.clinic", AppAttestEnvironment.DEVELOPMENT)
    development = Expected(forge.BINDING, AppRegistration("dev", app))
    assert judged(apple, aaguid=DEVELOPMENT) == [Reason.APP_ATTEST_ENVIRONMENT]
    assert judged(apple, development) == [Reason.APP_ATTEST_ENVIRONMENT]
    assert judged(apple, development, aaguid=DEVELOPMENT) == []
    neither = b"appattest\x00\x00\x00\x00\x00\x00\x01"
    assert judged(apple, Expected(None, None), aaguid=neither) == [Reason.APP_ATTEST_ENVIRONMENT]


def test_evidence_of_the_other_platform(apple: forge.Apple) -> None:
    """An iPhone can't enrol an Android app."""
    expected = Expected(forge.BINDING, forge.ANDROID_APP)
    assert judged(apple, expected) == [Reason.EVIDENCE_PLATFORM]


# Requests


def test_reads_the_members_of_a_request() -> None:
    """The members of a request become evidence."""
    members = {
        "format": "app-attest",
        "attestation": base64url.encode(b"attestation"),
        "key_id": base64url.encode(b"key"),
    }
    assert FORMAT.read_attestation(members) == AppAttestAttestation(b"attestation", b"key")
    read = FORMAT.read_renewal({"assertion": base64url.encode(b"assertion")})
    assert read == AppAttestAssertion(b"assertion")


@pytest.mark.parametrize(
    "members", [{}, {"attestation": "AAAA"}, {"attestation": "AAAA", "key_id": 1}]
)
def test_refuses_other_members(members: Mapping[str, Any]) -> None:
    """Missing and badly typed members are malformed."""
    with pytest.raises(MalformedError) as caught:
        FORMAT.read_attestation(members)
    assert caught.value.reason is Reason.EVIDENCE_MALFORMED
    with pytest.raises(MalformedError):
        FORMAT.read_renewal(members)


# Assertions


def renewed(key: ec.EllipticCurvePrivateKey, assertion: bytes, **other: Any) -> list[Reason]:
    """Return the reasons against an assertion over the statement."""
    arguments = {"statement": STATEMENT, "public_key": forge.spki(key), "app": forge.APPLE_APP}
    try:
        verify_renewal(AppAttestAssertion(assertion), **{**arguments, **other})
    except RefusedError as error:
        return [refusal.reason for refusal in error.refusals]
    return []


@pytest.mark.parametrize(("trailing", "version"), [(b"", None), (TRAILING, "1.42")])
def test_genuine_assertion_gives_counter_and_version(trailing: bytes, version: str | None) -> None:
    """The counter goes to the store; the version is stated since iOS 27."""
    key = forge.p256()
    assertion = forge.assertion(key, STATEMENT, counter=7, trailing=trailing)
    found = verify_renewal(
        AppAttestAssertion(assertion), STATEMENT, forge.spki(key), forge.APPLE_APP
    )
    assert (found.counter, found.app_version) == (7, version)


def test_mutated_assertions() -> None:
    """Another key, statement, app, platform or kind of key: each its reason."""
    key = forge.p256()
    good = forge.assertion(key, STATEMENT)
    assert renewed(key, good) == []
    assert renewed(forge.p256(), good) == [Reason.APP_ATTEST_SIGNATURE]
    assert renewed(key, good, statement=b"other") == [Reason.APP_ATTEST_SIGNATURE]
    another = forge.assertion(key, STATEMENT, app_id="TEAM123456.org.example.other")
    assert renewed(key, another) == [Reason.POLICY_APP_ID]
    assert renewed(key, good, app=forge.ANDROID_APP) == [Reason.EVIDENCE_PLATFORM]
    rsa = forge.spki(forge.rsa_key())
    assert renewed(key, good, public_key=rsa) == [Reason.ATTESTATION_KEY_UNSUPPORTED]


def test_raised_counter_breaks_the_signature() -> None:
    """A replayed assertion can't be given a fresh counter."""
    key = forge.p256()
    document = cbor2.loads(forge.assertion(key, STATEMENT, counter=7))
    mutated = bytearray(document["authenticatorData"])
    mutated[36] += 1
    document["authenticatorData"] = bytes(mutated)
    assert renewed(key, cbor2.dumps(document)) == [Reason.APP_ATTEST_SIGNATURE]


@pytest.mark.parametrize(
    "assertion",
    [
        b"",
        b"\xa0",
        cbor2.dumps({"signature": b"x"}),
        cbor2.dumps({"signature": b"x", "authenticatorData": b"\x00" * 36}),
        cbor2.dumps({"signature": "x", "authenticatorData": b"\x00" * 37}),
        cbor2.dumps({"signature": b"x", "authenticatorData": b"\x00" * 5000}),
    ],
)
def test_malformed_assertions(assertion: bytes) -> None:
    """Garbage and missing members end in a reason."""
    assert renewed(forge.p256(), assertion) == [Reason.EVIDENCE_MALFORMED]


def test_assertion_without_an_app_leaves_the_app_out() -> None:
    """The offline verifier may not know the app."""
    key = forge.p256()
    data = forge.assertion(key, STATEMENT, app_id="whatever")
    digest = hashlib.sha256(STATEMENT).digest()
    assert examine_assertion(data, digest, forge.spki(key), None).refusals == ()


def test_evidence_of_another_format_is_a_mistake_of_the_caller() -> None:
    """A format takes its own evidence only."""
    with pytest.raises(TypeError):
        FORMAT.examine(AndroidKeyChain(()), EXPECTED, forge.trust(), forge.NOW)
    with pytest.raises(TypeError):
        FORMAT.examine_renewal(AndroidKeySignature(b""), b"", b"", forge.APPLE_APP)
