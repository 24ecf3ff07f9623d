"""Verify Apple App Attest: attestations, which enrol, and assertions, which renew.

Source: Apple, "Validating apps that connect to your server" (the numbered steps); WebAuthn sections
6.1 and 6.5 for the encoding.  What is proven and what isn't: docs/formats/app_attest.md.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from watchword.attestation import chains
from watchword.attestation.attestation_object import (
    CERTIFICATES,
    AttestationObject,
    read_assertion,
    read_attestation_object,
)
from watchword.attestation.authenticator_data import AttestedCredential, AuthenticatorData
from watchword.attestation.certificates import Certificate, is_p256_signature, p256_point
from watchword.attestation.chains import Anchored
from watchword.attestation.interface import (
    AppAttestAssertion,
    AppAttestAttestation,
    AppClaims,
    AppleApp,
    AppRegistration,
    Attestation,
    Examination,
    Expected,
    KeySecurity,
    Renewal,
    RenewalExamination,
    Trust,
    UnverifiedClaims,
)
from watchword.attestation.members import expect_members, read_bytes
from watchword.attestation.platforms import platform_refusals
from watchword.encoding import der
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import AppAttestEnvironment, Platform, Vendor

NAME: Final = "app-attest"

NONCE: Final = "1.2.840.113635.100.8.2"
"""Extension of the leaf that holds the nonce."""


@dataclass(frozen=True, slots=True)
class AppAttest:
    """Verify what ``DCAppAttestService`` returns."""

    name: str = NAME
    platform: Platform = Platform.IOS
    evidence_types: tuple[type, ...] = (AppAttestAttestation, AppAttestAssertion)

    def read_attestation(self, members: Mapping[str, Any]) -> AppAttestAttestation:
        """Read ``{"attestation": base64url CBOR, "key_id": base64url}``.

        :raises MalformedError: with ``evidence.malformed``.
        """
        expect_members(members, {"attestation", "key_id"})
        return AppAttestAttestation(
            attestation=read_bytes("attestation", members["attestation"]),
            key_id=read_bytes("key_id", members["key_id"]),
        )

    def read_renewal(self, members: Mapping[str, Any]) -> AppAttestAssertion:
        """Read ``{"assertion": base64url CBOR}``.

        :raises MalformedError: with ``evidence.malformed``.
        """
        expect_members(members, {"assertion"})
        return AppAttestAssertion(read_bytes("assertion", members["assertion"]))

    def examine(
        self, evidence: Attestation, expected: Expected, trust: Trust, now: datetime
    ) -> Examination:
        """Carry out Apple's steps on an attestation and collect what is wrong.

        0. The object has the format ``apple-appattest``, exactly two certificates, a receipt.
        1. The certificates hold up to Apple's App Attestation root, which is known by its key;
           both are valid now.  (Apple's step 1)
        2. to 4. SHA-256(authenticator data, client data hash) is the nonce in the leaf's
           extension 1.2.840.113635.100.8.2, read as DER.  (steps 2 to 4)
        5. The key id is SHA-256 of the leaf's public key as an X9.62 point.  (step 5)
        6. The RP ID hash is SHA-256 of the App ID.  (step 6)
        7. The counter is 0.  (step 7)
        8. The AAGUID is that of the app's environment, and only that.  (step 8)
        9. The credential id is the key id, and the credential's COSE key is the leaf's.  (step 9)

        What the caller still must do: appraise the claims, use the challenge once, and verify
        the receipt if it wants Apple's risk metric.
        """
        if not isinstance(evidence, AppAttestAttestation):
            raise TypeError(f"got {type(evidence).__name__}, expected AppAttestAttestation")
        read = read_attestation_object(evidence.attestation)
        leaf = read.chain[0]
        anchors = trust.anchors.for_vendor(Vendor.APPLE_APP_ATTEST)
        anchored = chains.find_anchor(read.chain, anchors)
        nonce = _nonce(leaf)
        refusals = (
            *_receipt_refusals(read.receipt),
            *chains.anchor_refusals(read.chain, anchored, anchors),
            *_chain_refusals(read.chain, now),
            *_binding_refusals(read, nonce, expected.binding),
            *_key_refusals(leaf, read.credential, evidence.key_id),
            *_app_refusals(read.data, expected.app),
            *_counter_refusals(read.data.counter),
            *_environment_refusals(read.credential.aaguid, expected.app),
        )
        return Examination(_claims(read, anchored, nonce, expected), refusals)

    def examine_renewal(
        self, evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
    ) -> RenewalExamination:
        """Carry out Apple's steps on an assertion over a statement.

        See :func:`examine_assertion`; the client data hash is SHA-256 of the statement.
        """
        if not isinstance(evidence, AppAttestAssertion):
            raise TypeError(f"got {type(evidence).__name__}, expected AppAttestAssertion")
        binding = hashlib.sha256(statement).digest()
        return examine_assertion(evidence.assertion, binding, public_key, app)


def examine_assertion(
    assertion: bytes, client_data_hash: bytes, public_key: bytes, app: AppRegistration | None
) -> RenewalExamination:
    """Carry out Apple's steps on an assertion and collect what is wrong.

    1. to 3. The signature is ECDSA with SHA-256 by the attested key over
       nonce = SHA-256(authenticator data, client data hash); it hashes the nonce once more.
    4. The RP ID hash is SHA-256 of the App ID; ``app`` None leaves this out.
    5. The counter is returned: the store must compare and set it atomically.
    6. The challenge in the client data is for the caller.

    :raises MalformedError: when the assertion can't be read.
    """
    data, raw, signature = read_assertion(assertion)
    refusals: list[Refusal] = []
    if p256_point(public_key) is None:
        refusals.append(Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, "expected a P-256 key"))
    elif not is_p256_signature(
        public_key, signature, hashlib.sha256(raw + client_data_hash).digest()
    ):
        refusals.append(
            Refusal(Reason.APP_ATTEST_SIGNATURE, "not signed by the attested key over this")
        )
    refusals += _app_refusals(data, app)
    return RenewalExamination(data.counter, tuple(refusals), data.app_version)


def _chain_refusals(chain: Sequence[Certificate], now: datetime) -> Iterator[Refusal]:
    """Yield what is wrong with leaf and intermediate, the anchor apart (step 1)."""
    yield from chains.link_refusals(chain)
    try:
        yield from chains.authority_refusals(chain, first=1)
        if chain[0].basic_constraints()[0]:
            yield Refusal(Reason.ATTESTATION_CHAIN_NOT_CA, "the leaf is a CA")
        yield from chains.validity_refusals(chain, range(CERTIFICATES), now)
    except MalformedError as error:
        yield from error.as_reason(
            Reason.EVIDENCE_MALFORMED, "extension or date of a certificate"
        ).refusals


def _nonce(leaf: Certificate) -> bytes:
    """Return the nonce in the leaf: SEQUENCE { [1] EXPLICIT OCTET STRING (32) } (step 4)."""
    content = leaf.extensions.get(NONCE)
    if content is None:
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, "got a leaf without a nonce")
    try:
        members = der.sequence(der.read(content))
        if len(members) != 1 or not members[0].is_context(1):
            raise MalformedError.because(Reason.ENCODING_DER, "expected one member with tag 1")
        nonce = der.octets(der.explicit(members[0]))
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "nonce extension") from None
    return nonce


def _receipt_refusals(receipt: bytes) -> Iterator[Refusal]:
    if not receipt:
        yield Refusal(Reason.APP_ATTEST_RECEIPT, "got no receipt")


def _binding_refusals(
    read: AttestationObject, nonce: bytes, binding: bytes | None
) -> Iterator[Refusal]:
    """Yield what is wrong with the nonce (steps 2 to 4)."""
    if binding is None:
        return
    if not hmac.compare_digest(nonce, hashlib.sha256(read.raw + binding).digest()):
        yield Refusal(Reason.ATTESTATION_BINDING, "got a nonce over another client data hash")


def _counter_refusals(counter: int) -> Iterator[Refusal]:
    """Yield what is wrong with the counter of a key that never signed (step 7)."""
    if counter != 0:
        yield Refusal(Reason.APP_ATTEST_COUNTER, f"got {counter}, expected 0")


def _key_refusals(
    leaf: Certificate, credential: AttestedCredential, key_id: bytes
) -> Iterator[Refusal]:
    """Yield what is wrong with the key and its two names (steps 5 and 9)."""
    point = p256_point(leaf.spki)
    if point is None:
        yield Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, "expected a P-256 key in the leaf")
        return
    if not hmac.compare_digest(hashlib.sha256(point).digest(), key_id):
        yield Refusal(Reason.APP_ATTEST_KEY_ID, "the key id isn't the hash of the leaf's key")
    if not hmac.compare_digest(credential.credential_id, key_id):
        yield Refusal(Reason.APP_ATTEST_KEY_ID, "the credential id isn't the key id")
    # COSE_Key of an ES256 key (RFC 9053 section 7.1.1): kty EC2, crv P-256, x and y.
    cose = {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
    if credential.cose_key != cose:
        yield Refusal(Reason.APP_ATTEST_KEY_ID, "the credential's key isn't the leaf's")


def _app_refusals(data: AuthenticatorData, app: AppRegistration | None) -> Iterator[Refusal]:
    """Yield what is wrong with the RP ID hash (step 6)."""
    yield from platform_refusals(Platform.IOS, app)
    if app is not None and isinstance(app.identity, AppleApp) and not _is_app(data, app):
        yield Refusal(
            Reason.POLICY_APP_ID, f"got the hash of another App ID than {app.identity.app_id}"
        )


def _is_app(data: AuthenticatorData, app: AppRegistration | None) -> bool:
    """Tell whether the RP ID hash is that of the app."""
    return (
        app is not None
        and isinstance(app.identity, AppleApp)
        and hmac.compare_digest(
            data.rp_id_hash, hashlib.sha256(app.identity.app_id.encode()).digest()
        )
    )


def _environment_refusals(aaguid: bytes, app: AppRegistration | None) -> Iterator[Refusal]:
    """Yield what is wrong with the AAGUID (step 8); without an app either environment will do."""
    wanted = (
        [app.identity.environment]
        if app is not None and isinstance(app.identity, AppleApp)
        else list(AppAttestEnvironment)
    )
    if aaguid not in [environment.value for environment in wanted]:
        yield Refusal(
            Reason.APP_ATTEST_ENVIRONMENT,
            f"got {_environment(aaguid)}, expected {' or '.join(e.name.lower() for e in wanted)}",
        )


def _environment(aaguid: bytes) -> str:
    try:
        return AppAttestEnvironment(aaguid).name.lower()
    except ValueError:
        return "an unknown environment"


def _claims(
    read: AttestationObject, anchored: Anchored | None, nonce: bytes, expected: Expected
) -> UnverifiedClaims:
    leaf = read.chain[0]
    unchecked = {
        "binding": expected.binding is None,
        "app": expected.app is None,
        "receipt": True,
    }
    return UnverifiedClaims(
        format=NAME,
        platform=Platform.IOS,
        public_key=leaf.spki,
        attestation_security=KeySecurity.SECURE_ENCLAVE,
        key_security=KeySecurity.SECURE_ENCLAVE,
        anchor=None if anchored is None else anchored.anchor.name,
        app=_app_claims(read.data, expected.app),
        key_generated=True,
        key_signs=True,
        counter=read.data.counter,
        fields=_fields(read, nonce),
        leniencies=read.data.leniencies,
        unchecked=tuple(name for name, left_out in unchecked.items() if left_out),
    )


def _app_claims(data: AuthenticatorData, app: AppRegistration | None) -> AppClaims | None:
    """Return the expected App ID if its hash is signed; another can't be read out of a hash."""
    if app is None or not isinstance(app.identity, AppleApp) or not _is_app(data, app):
        return None
    app_id = app.identity.app_id
    version = data.app_version
    return AppClaims(ids=(app_id,), versions={} if version is None else {app_id: version})


def _fields(read: AttestationObject, nonce: bytes) -> dict[str, Any]:
    leaf, data, credential = read.chain[0], read.data, read.credential
    point = p256_point(leaf.spki) or b""
    fields: dict[str, Any] = {
        "rp_id_hash": data.rp_id_hash.hex(),
        "flags": data.flags,
        "counter": data.counter,
        "aaguid": credential.aaguid.hex(),
        "environment": _environment(credential.aaguid),
        "credential_id": credential.credential_id.hex(),
        "cose_alg": credential.cose_key.get(3),
        "nonce": nonce.hex(),
        "public_key_x962": point.hex(),
        "leaf_extensions": list(leaf.extensions),
    }
    if data.trailing_raw:
        fields["trailing_after_cose"] = data.trailing_raw.hex()
        fields["trailing_decoded"] = {
            str(name): value.hex() if isinstance(value, bytes) else value
            for name, value in data.trailing.items()
        }
    return fields
