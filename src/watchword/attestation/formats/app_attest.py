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

from watchword.attestation import certificates
from watchword.attestation.attestation_object import (
    CERTIFICATES,
    KEY_ACCESS,
    MAX_EXTENSION_BYTES,
    AttestationObject,
    AttestedCredential,
    AuthenticatorData,
    apple_claims,
    read_assertion,
    read_attestation_object,
)
from watchword.attestation.certificates import (
    Certificate,
    LinkedChain,
    is_p256_signature,
    p256_point,
)
from watchword.attestation.claims import AppClaims, KeySecurity, UnverifiedClaims
from watchword.attestation.interface import (
    AppAttestAssertion,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    Attestation,
    Examination,
    Expected,
    Renewal,
    RenewalExamination,
    Step,
    Trust,
    expect_members,
    platform_refusals,
    read_bytes,
)
from watchword.attestation.receipts import RECEIPT_AGE, AttestedReceipt, judge_receipt
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
    attested_key_proves: bool = False

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
        """Carry out Apple's steps on an attestation; each is numbered as on the format's page.

        0. The object has the format ``apple-appattest``, exactly two certificates, and can be read.
        1. The certificates hold up to Apple's App Attestation root, which is known by its key;
           both are valid now.  (Apple's step 1)
        2. to 4. SHA-256(authenticator data, client data hash) is the nonce in the leaf's
           extension 1.2.840.113635.100.8.2, read as DER.  (steps 2 to 4)
        5. The key id is SHA-256 of the leaf's public key as an X9.62 point.  (step 5)
        6. The RP ID hash is SHA-256 of the App ID.  (step 6)
        7. The counter is 0.  (step 7)
        8. The AAGUID is that of the app's environment, and only that.  (step 8)
        9. The credential id is the key id, and the credential's COSE key is the leaf's.  (step 9)
        10. to 12. The receipt is Apple's, this attestation's, and new: :func:`judge_receipt`.

        What the caller still must do: appraise the claims, and use the challenge once.

        :raises MalformedError: in step 0.
        """
        if not isinstance(evidence, AppAttestAttestation):
            raise TypeError(f"got {type(evidence).__name__}, expected AppAttestAttestation")
        read = read_attestation_object(evidence.attestation)
        anchors = trust.anchors.for_vendor(Vendor.APPLE_APP_ATTEST)
        linked = certificates.link(read.chain, anchors, trust.issuers)
        leaf = linked.certificates[0]
        nonce = _nonce(leaf)
        key_step, credential_step = _key_steps(leaf, read.credential, evidence.key_id)
        receipt = judge_receipt(read, leaf, trust, now, fresh=expected.fresh)
        steps = (
            Step("0", "the object", "fmt apple-appattest, two certificates", "the same"),
            _chain_step(linked, now),
            _binding_step(read, nonce, expected.binding),
            key_step,
            _app_step(read.data, expected.app),
            _counter_step(read.data.counter),
            _environment_step(read.credential.aaguid, expected.app),
            credential_step,
            *receipt.steps,
        )
        examination = Examination(_claims(read, linked, nonce, expected, receipt), steps)
        if trust.issuers is not None and not examination.refusals:
            certificates.remember(linked, 1, trust.issuers)
        return examination

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
    return RenewalExamination(data.counter, tuple(refusals), data.app_version, data.distribution)


def _chain_step(linked: LinkedChain, now: datetime) -> Step:
    """Hold leaf and intermediate to Apple's root (step 1)."""
    anchored = linked.anchored
    refusals = (
        *certificates.anchor_refusals(linked.certificates, anchored, linked.anchors),
        *linked.refusals,
        *_chain_refusals(linked.certificates, now),
    )
    found = "no known root" if anchored is None else f"up to {anchored.anchor.name}"
    wanted = "signed up to Apple's App Attestation root, both valid now"
    return Step("1", "the certificates", wanted, found, refusals)


def _chain_refusals(chain: Sequence[Certificate], now: datetime) -> Iterator[Refusal]:
    """Yield what is wrong with leaf and intermediate, links and anchor apart."""
    try:
        yield from certificates.authority_refusals(chain, first=1)
        if chain[0].basic_constraints()[0]:
            yield Refusal(Reason.ATTESTATION_CHAIN_NOT_CA, "the leaf is a CA")
        yield from certificates.validity_refusals(chain, range(CERTIFICATES), now)
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


def _binding_step(read: AttestationObject, nonce: bytes, binding: bytes | None) -> Step:
    """Compare the nonce (steps 2 to 4)."""
    title = "the nonce"
    wanted = "SHA-256(authenticator data, client data hash) in the leaf's extension"
    if binding is None:
        return Step("2-4", title, wanted, "no binding expected", checked=False)
    if hmac.compare_digest(nonce, hashlib.sha256(read.raw + binding).digest()):
        return Step("2-4", title, wanted, "the same")
    refusal = Refusal(Reason.ATTESTATION_BINDING, "got a nonce over another client data hash")
    return Step("2-4", title, wanted, "another nonce", (refusal,))


def _key_steps(
    leaf: Certificate, credential: AttestedCredential, key_id: bytes
) -> tuple[Step, Step]:
    """Hold the key to its two names (steps 5 and 9)."""
    own: list[Refusal] = []
    named: list[Refusal] = []
    point = p256_point(leaf.spki)
    if point is None:
        own.append(Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, "expected a P-256 key in the leaf"))
    else:
        if not hmac.compare_digest(hashlib.sha256(point).digest(), key_id):
            own.append(
                Refusal(Reason.APP_ATTEST_KEY_ID, "the key id isn't the hash of the leaf's key")
            )
        if not hmac.compare_digest(credential.credential_id, key_id):
            named.append(Refusal(Reason.APP_ATTEST_KEY_ID, "the credential id isn't the key id"))
        # COSE_Key of an ES256 key (RFC 9053 section 7.1.1): kty EC2, crv P-256, x and y.
        cose = {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
        if credential.cose_key != cose:
            named.append(Refusal(Reason.APP_ATTEST_KEY_ID, "the credential's key isn't the leaf's"))
    return (
        Step("5", "the key id", "SHA-256 of the leaf's key", _same(own), tuple(own)),
        Step("9", "the credential", "key id and key of the leaf", _same(named), tuple(named)),
    )


def _app_step(data: AuthenticatorData, app: AppRegistration | None) -> Step:
    """Compare the RP ID hash (step 6)."""
    title = "the app"
    if app is None:
        return Step("6", title, "SHA-256 of the App ID", "no app expected", checked=False)
    refusals = _app_refusals(data, app)
    return Step("6", title, f"SHA-256 of {app.app_id}", _same(refusals), refusals)


def _counter_step(counter: int) -> Step:
    """Hold the counter of a key that never signed to 0 (step 7)."""
    refusals = (
        (Refusal(Reason.APP_ATTEST_COUNTER, f"got {counter}, expected 0"),) if counter else ()
    )
    return Step("7", "the counter", "0", str(counter), refusals)


def _environment_step(aaguid: bytes, app: AppRegistration | None) -> Step:
    """Hold the AAGUID to the environment (step 8); without an app either environment will do."""
    environments = (
        [app.identity.environment]
        if app is not None and isinstance(app.identity, AppleApp)
        else list(AppAttestEnvironment)
    )
    wanted = " or ".join(environment.name.lower() for environment in environments)
    got = _environment(aaguid)
    refusals = (
        ()
        if aaguid in [environment.value for environment in environments]
        else (Refusal(Reason.APP_ATTEST_ENVIRONMENT, f"got {got}, expected {wanted}"),)
    )
    return Step("8", "the environment", wanted, got, refusals)


def _same(refusals: Sequence[Refusal]) -> str:
    return "another" if refusals else "the same"


def _app_refusals(data: AuthenticatorData, app: AppRegistration | None) -> tuple[Refusal, ...]:
    """Return what is wrong with the RP ID hash."""
    if app is None or not isinstance(app.identity, AppleApp):
        return platform_refusals(Platform.IOS, app)
    if _is_app(data, app):
        return ()
    detail = f"got the hash of another App ID than {app.identity.app_id}"
    return (Refusal(Reason.POLICY_APP_ID, detail),)


def _is_app(data: AuthenticatorData, app: AppRegistration | None) -> bool:
    """Tell whether the RP ID hash is that of the app."""
    return (
        app is not None
        and isinstance(app.identity, AppleApp)
        and hmac.compare_digest(
            data.rp_id_hash, hashlib.sha256(app.identity.app_id.encode()).digest()
        )
    )


def _environment(aaguid: bytes) -> str:
    try:
        return AppAttestEnvironment(aaguid).name.lower()
    except ValueError:
        return "an unknown environment"


def _claims(
    read: AttestationObject,
    linked: LinkedChain,
    nonce: bytes,
    expected: Expected,
    receipt: AttestedReceipt,
) -> UnverifiedClaims:
    leaf, anchored = linked.certificates[0], linked.anchored
    unchecked = {
        "binding": expected.binding is None,
        "app": expected.app is None,
        RECEIPT_AGE: not expected.fresh,
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
        receipt=receipt.claims,
        receipt_fault=receipt.fault,
        apple=apple_claims(leaf, read.data.distribution),
        fields={**_fields(read, leaf, nonce), "receipt": receipt.fields},
        leniencies=(*read.data.leniencies, *receipt.leniencies),
        unchecked=tuple(name for name, left_out in unchecked.items() if left_out),
    )


def _app_claims(data: AuthenticatorData, app: AppRegistration | None) -> AppClaims | None:
    """Return the expected App ID if its hash is signed; another can't be read out of a hash."""
    if app is None or not isinstance(app.identity, AppleApp) or not _is_app(data, app):
        return None
    app_id = app.identity.app_id
    version = data.app_version
    return AppClaims(ids=(app_id,), versions={} if version is None else {app_id: version})


def _fields(read: AttestationObject, leaf: Certificate, nonce: bytes) -> dict[str, Any]:
    data, credential = read.data, read.credential
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
    access = leaf.extensions.get(KEY_ACCESS)
    if access is not None and len(access) <= MAX_EXTENSION_BYTES:
        fields["key_access"] = access.hex()
    if data.trailing_raw:
        fields["bundle_version"] = data.app_version
        fields["validation_category"] = data.validation_category
        fields["trailing_after_cose"] = data.trailing_raw.hex()
        fields["trailing_decoded"] = {
            str(name): value.hex() if isinstance(value, bytes) else value
            for name, value in data.trailing.items()
        }
    return fields
