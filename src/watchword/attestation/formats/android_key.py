"""Verify Android key attestation: a chain under a Google root, and a KeyDescription in its leaf.

Sources: developer.android.com, "Verify hardware-backed key pairs with key attestation" (steps 1 to 7);
source.android.com, "Key and ID attestation" (the extension); the certificate rules of
github.com/android/keyattestation.  What is proven and what isn't: docs/formats/android_key.md.
"""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from watchword.attestation import chains
from watchword.attestation.certificates import Certificate, is_p256_signature, p256_point
from watchword.attestation.chains import Anchored
from watchword.attestation.interface import (
    AndroidKeyChain,
    AndroidKeySignature,
    AppClaims,
    AppRegistration,
    Attestation,
    BootClaims,
    BootState,
    Examination,
    Expected,
    KeySecurity,
    Renewal,
    RenewalExamination,
    Trust,
    UnverifiedClaims,
)
from watchword.attestation.key_description import (
    KEY_DESCRIPTION,
    ORIGIN_GENERATED,
    PURPOSE_SIGN,
    ApplicationId,
    KeyDescription,
    RootOfTrust,
    SecurityLevel,
    VerifiedBootState,
    describe,
    read_key_description,
    withhold_identifiers,
)
from watchword.attestation.members import expect_members, read_bytes
from watchword.attestation.platforms import platform_refusals
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import Platform, Vendor

NAME: Final = "android-key"

RENEWAL_PREFIX: Final = b"watchword/renew/v1\0"
"""What stands before the statement under a renewal's signature: the attested key signs nothing else
of that shape for anyone (protocol, section 1)."""

PROVISIONING_INFO: Final = "1.3.6.1.4.1.11129.2.1.30"
"""Extension that remote key provisioning puts into the attestation certificate."""

LENIENT_EXPIRED: Final = "factory_certificate_outside_validity"
"""In reports: a certificate of a factory-provisioned chain isn't valid now."""

LENIENT_NOT_CA: Final = "attestation_certificate_not_ca"
"""In reports: the factory's attestation certificate isn't marked as a CA."""

_MINIMUM_CERTIFICATES: Final = 2
"""A leaf that vouches for itself proves nothing; its issuer may be signed by an absent root."""

_FACTORY_DEPTH: Final = 3
"""Certificates below the root of a factory-provisioned chain: leaf, attestation key, batch."""

_SERIAL_NUMBER: Final = "2.5.4.5"
"""Subject attribute by which Google names each batch of factory-provisioned keys."""

_SECURITY: Final = {
    SecurityLevel.SOFTWARE: KeySecurity.SOFTWARE,
    SecurityLevel.TRUSTED_ENVIRONMENT: KeySecurity.TEE,
    SecurityLevel.STRONG_BOX: KeySecurity.STRONGBOX,
}
_BOOT_STATES: Final = {
    VerifiedBootState.VERIFIED: BootState.VERIFIED,
    VerifiedBootState.SELF_SIGNED: BootState.SELF_SIGNED,
    VerifiedBootState.UNVERIFIED: BootState.UNVERIFIED,
    VerifiedBootState.FAILED: BootState.FAILED,
}


@dataclass(frozen=True, slots=True)
class _Judgement:
    """Hold what one step found wrong, and what it let pass."""

    refusals: tuple[Refusal, ...] = ()
    leniencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AndroidKey:
    """Verify what ``KeyStore.getCertificateChain`` returns, and signatures by the attested key."""

    name: str = NAME
    platform: Platform = Platform.ANDROID
    evidence_types: tuple[type, ...] = (AndroidKeyChain, AndroidKeySignature)

    def read_attestation(self, members: Mapping[str, Any]) -> AndroidKeyChain:
        """Read ``{"chain": [base64url DER, leaf first]}``.

        :raises MalformedError: with ``evidence.malformed`` or ``attestation.chain_length``.
        """
        expect_members(members, {"chain"})
        chain = members["chain"]
        if not isinstance(chain, list) or not 0 < len(chain) <= chains.MAX_CERTIFICATES:
            raise MalformedError.because(
                Reason.ATTESTATION_CHAIN_LENGTH,
                f"expected an array of 1 to {chains.MAX_CERTIFICATES} certificates",
            )
        return AndroidKeyChain(tuple(read_bytes("chain", item) for item in chain))

    def read_renewal(self, members: Mapping[str, Any]) -> AndroidKeySignature:
        """Read ``{"signature": base64url DER}``.

        :raises MalformedError: with ``evidence.malformed``.
        """
        expect_members(members, {"signature"})
        return AndroidKeySignature(read_bytes("signature", members["signature"]))

    def examine(
        self, evidence: Attestation, expected: Expected, trust: Trust, now: datetime
    ) -> Examination:
        """Carry out every step and collect what is wrong.

        1. The certificates can be read; at least two, at most six.
        2. Names, signatures and CA flags hold from the leaf upwards, certificate by certificate.
        3. The chain ends at a key of Google's (root present or left out), which isn't the
           software root; nothing stands beyond that key.
        4. Remotely provisioned intermediates are valid now.  A leaf's dates come from a clock that
           the device's owner sets; factory keys can't be re-certified; a root is known by its key.
        5. No certificate is in the vendor's status list.
        6. The KeyDescription is in the leaf, and in no other certificate: the owner of an
           attested key can sign a further certificate with a forged one.
        7. The attestation challenge is the expected binding.
        8. The app that is expected is one for Android (which one is for policy).

        What the caller still must do: appraise the claims, use the challenge once.
        """
        if not isinstance(evidence, AndroidKeyChain):
            raise TypeError(f"got {type(evidence).__name__}, expected AndroidKeyChain")
        chain = chains.read_chain(evidence.chain)
        anchors = trust.anchors.for_vendor(Vendor.ANDROID_KEY)
        anchored = chains.find_anchor(chain, anchors)
        authorities = _judge_authorities(chain, anchored)
        dates = _judge_dates(chain, anchored, now)
        refusals = (
            *_length_refusals(chain),
            *chains.link_refusals(chain),
            *authorities.refusals,
            *chains.anchor_refusals(chain, anchored, anchors),
            *dates.refusals,
            *chains.revocation_refusals(chain, trust.revocation),
            *_placement_refusals(chain),
            *platform_refusals(self.platform, expected.app),
        )
        try:
            description = _read_description(chain[0])
        except MalformedError as error:
            return Examination(None, (*refusals, *error.refusals))
        leniencies = (*authorities.leniencies, *dates.leniencies, *description.leniencies)
        claims = _claims(chain[0], description, anchored, expected, trust, leniencies)
        return Examination(claims, (*refusals, *_binding_refusals(description, expected)))

    def examine_renewal(
        self, evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
    ) -> RenewalExamination:
        """Check ECDSA with SHA-256 by the attested key over the prefix and the statement.

        The evidence states no counter and no version.  What the caller still must do: use the
        challenge in the statement once.
        """
        if not isinstance(evidence, AndroidKeySignature):
            raise TypeError(f"got {type(evidence).__name__}, expected AndroidKeySignature")
        refusals = list(platform_refusals(self.platform, app))
        if p256_point(public_key) is None:
            refusals.append(Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, "expected a P-256 key"))
        elif not is_p256_signature(public_key, evidence.signature, RENEWAL_PREFIX + statement):
            refusals.append(
                Refusal(Reason.ANDROID_SIGNATURE, "not signed by the attested key over this")
            )
        return RenewalExamination(None, tuple(refusals))


def describe_leaf(leaf: bytes) -> dict[str, Any]:
    """Return the leaf's KeyDescription in full, identifiers of the device included.

    For comparing with recorded fields; reports use the claims, which withhold identifiers.

    :raises MalformedError: when there is none to be read.
    """
    (certificate,) = chains.read_chain((leaf,))
    return describe(_read_description(certificate))


def _read_description(leaf: Certificate) -> KeyDescription:
    content = leaf.extensions.get(KEY_DESCRIPTION)
    if content is None:
        raise MalformedError.because(
            Reason.ANDROID_KEY_DESCRIPTION_MISSING, "got a leaf without a KeyDescription"
        )
    try:
        return read_key_description(content)
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "KeyDescription") from None


def _length_refusals(chain: Sequence[Certificate]) -> Iterator[Refusal]:
    if len(chain) < _MINIMUM_CERTIFICATES:
        yield Refusal(Reason.ATTESTATION_CHAIN_LENGTH, "got a leaf without an issuer")


def _binding_refusals(description: KeyDescription, expected: Expected) -> Iterator[Refusal]:
    """Yield what is wrong with the attestation challenge (step 7), which itself isn't told."""
    challenge = description.challenge
    if expected.binding is not None and not hmac.compare_digest(challenge, expected.binding):
        yield Refusal(
            Reason.ATTESTATION_BINDING, f"got another challenge, of {len(challenge)} bytes"
        )


def _judge_authorities(chain: Sequence[Certificate], anchored: Anchored | None) -> _Judgement:
    """Require issuers to be CAs, but for the one that factories make otherwise.

    Many attestation certificates from the factory (27 of 179 recorded chains) are marked neither as
    a CA nor for signing certificates.  Only there, right above the leaf and right below the batch
    that the root issued, is that let pass: whoever signs a further certificate with the key of a
    leaf, be it one without a KeyDescription, makes the chain longer than that.
    """
    try:
        refusals = tuple(chains.authority_refusals(chain, first=2))
        direct = tuple(chains.authority_refusals(chain[:2], first=1))
        if (
            direct
            and _is_factory_provisioned(chain, anchored)
            and len(_below_root(chain, anchored)) == _FACTORY_DEPTH
            and _SERIAL_NUMBER in chain[1].subject_attributes()
        ):
            return _Judgement(refusals, (LENIENT_NOT_CA,))
    except MalformedError as error:
        what = "extension or name of an issuer"
        return _Judgement(error.as_reason(Reason.EVIDENCE_MALFORMED, what).refusals)
    return _Judgement((*refusals, *direct))


def _is_factory_provisioned(chain: Sequence[Certificate], anchored: Anchored | None) -> bool:
    """Tell whether the keys were put in at the factory, and so can't be certified again.

    The certificate that the root issued is named by serialNumber for a factory batch and by CN for
    remote provisioning.  Whatever isn't plainly the former is held to the stricter rules.
    """
    if any(PROVISIONING_INFO in certificate.extensions for certificate in chain):
        return False
    below_root = _below_root(chain, anchored)
    return len(below_root) > 1 and _SERIAL_NUMBER in below_root[-1].subject_attributes()


def _below_root(chain: Sequence[Certificate], anchored: Anchored | None) -> Sequence[Certificate]:
    """Return the chain without its root, which may have been left out."""
    root_left_out = anchored is not None and not anchored.included
    return chain if root_left_out else chain[:-1]


def _judge_dates(
    chain: Sequence[Certificate], anchored: Anchored | None, now: datetime
) -> _Judgement:
    if anchored is None or len(chain) < _MINIMUM_CERTIFICATES:
        return _Judgement()  # Dates under an unknown key say nothing.
    indexes = range(1, len(chain) - 1 if anchored.included else len(chain))
    try:
        refusals = tuple(chains.validity_refusals(chain, indexes, now))
        if refusals and _is_factory_provisioned(chain, anchored):
            return _Judgement(leniencies=(LENIENT_EXPIRED,))
    except MalformedError as error:
        what = "date or name of an issuer"
        return _Judgement(error.as_reason(Reason.EVIDENCE_MALFORMED, what).refusals)
    return _Judgement(refusals)


def _placement_refusals(chain: Sequence[Certificate]) -> list[Refusal]:
    return [
        Refusal(
            Reason.ANDROID_KEY_DESCRIPTION_MISPLACED,
            f"certificate {index} has a KeyDescription, expected in the leaf only",
        )
        for index, certificate in enumerate(chain[1:], start=1)
        if KEY_DESCRIPTION in certificate.extensions
    ]


def _claims(
    leaf: Certificate,
    description: KeyDescription,
    anchored: Anchored | None,
    expected: Expected,
    trust: Trust,
    leniencies: tuple[str, ...],
) -> UnverifiedClaims:
    unchecked = {
        "binding": expected.binding is None,
        "app": expected.app is None,
        "revocation": trust.revocation is None,
    }
    return UnverifiedClaims(
        format=NAME,
        platform=Platform.ANDROID,
        public_key=leaf.spki,
        attestation_security=_SECURITY[description.attestation_security],
        key_security=_SECURITY[description.keymaster_security],
        anchor=None if anchored is None else anchored.anchor.name,
        app=_app(description.software.application_id),
        boot=_boot(description.hardware.root_of_trust),
        key_generated=description.hardware.origin == ORIGIN_GENERATED,
        key_signs=PURPOSE_SIGN in description.hardware.purposes,
        fields=withhold_identifiers(describe(description)),
        leniencies=leniencies,
        unchecked=tuple(name for name, left_out in unchecked.items() if left_out),
    )


def _app(application: ApplicationId | None) -> AppClaims | None:
    """Return the app as Android itself, not the secure hardware, names it."""
    if application is None:
        return None
    return AppClaims(
        ids=tuple(name for name, _ in application.packages),
        versions={name: str(version) for name, version in application.packages},
        signing_digests=frozenset(application.digests),
    )


def _boot(root: RootOfTrust | None) -> BootClaims | None:
    """Return the root of trust of the hardware list; one in the software list is only a word."""
    if root is None:
        return None
    return BootClaims(
        device_locked=root.device_locked,
        state=_BOOT_STATES[root.state],
        verified_boot_key=root.verified_boot_key,
        verified_boot_hash=root.verified_boot_hash,
    )
