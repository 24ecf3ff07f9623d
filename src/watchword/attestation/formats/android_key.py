"""Verify Android key attestation: a chain under a Google root, and a KeyDescription in its leaf.

Sources: developer.android.com, "Verify hardware-backed key pairs with key attestation" (steps 1 to 7);
source.android.com, "Key and ID attestation" (the extension); the certificate rules of
github.com/android/keyattestation.  What is proven and what isn't: docs/formats/android_key.md.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from watchword.attestation import android_chain, chains
from watchword.attestation.android_chain import (
    FORMAT,
    LENIENT_ATTEST_KEY,
    LENIENT_EXPIRED,
    LENIENT_ISSUER_TITLE,
    LENIENT_NOT_CA,
    Judgement,
    Shape,
    read_claims,
)
from watchword.attestation.certificates import Certificate, is_p256_signature, p256_point
from watchword.attestation.chains import Anchored, LinkedChain
from watchword.attestation.claims import Provisioning, RevocationClaims
from watchword.attestation.interface import (
    AndroidKeyChain,
    AndroidKeySignature,
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
from watchword.attestation.key_description import (
    KEY_DESCRIPTION,
    KeyDescription,
    SecurityLevel,
    describe,
    read_key_description,
)
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import Platform, Vendor

__all__ = [
    "LENIENT_ATTEST_KEY",
    "LENIENT_EXPIRED",
    "LENIENT_ISSUER_TITLE",
    "LENIENT_NOT_CA",
    "NAME",
    "RENEWAL_PREFIX",
    "STEPS",
    "AndroidKey",
    "describe_leaf",
]

NAME: Final = FORMAT

RENEWAL_PREFIX: Final = b"watchword/renew/v1\0"
"""What stands before the statement under a renewal's signature: the attested key signs nothing else
of that shape for anyone (protocol, section 1)."""

STEPS: Final = {
    "1": ("certificates", "2 to 6 that can be read, of 32 KiB at most"),
    "2": ("links", "each names the next one as its issuer and is signed by it"),
    "3": ("authorities", "every issuer is a CA, and there are as many as Google's chains have"),
    "4": (
        "anchor",
        "the last one bears or was signed by the key of one of Google's roots",
    ),
    "5": ("dates", "remotely provisioned issuers are valid now"),
    "6": ("revocation", "none is in Google's status list"),
    "7": ("placement", "a KeyDescription in the leaf only, or above it in an attest key too"),
    "8": ("key description", "one that can be read, of a key that is its app's alone"),
    "9": ("binding", "the challenge is what was expected"),
    "10": ("platform", "the expected app is one for Android"),
}
"""Title and what is wanted of each step of docs/formats/android_key.md, by number."""


@dataclass(frozen=True, slots=True)
class AndroidKey:
    """Verify what ``KeyStore.getCertificateChain`` returns, and signatures by the attested key."""

    name: str = NAME
    platform: Platform = Platform.ANDROID
    evidence_types: tuple[type, ...] = (AndroidKeyChain, AndroidKeySignature)
    attested_key_proves: bool = True

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

        The steps are those of :data:`STEPS`; why each is there stands in docs/formats/android_key.md.

        What the caller still must do: appraise the claims, use the challenge once.
        """
        if not isinstance(evidence, AndroidKeyChain):
            raise TypeError(f"got {type(evidence).__name__}, expected AndroidKeyChain")
        anchors = trust.anchors.for_vendor(Vendor.ANDROID_KEY)
        try:
            linked = chains.link(evidence.chain, anchors, trust.issuers)
        except MalformedError as error:
            return Examination(None, (_step("1", "what can't be read", error.refusals),))
        chain, anchored = linked.certificates, linked.anchored
        description, unreadable = _read_description(chain[0])
        attest_key, misplaced = android_chain.judge_placement(chain, description)
        factory = android_chain.is_factory_provisioned(chain, anchored)
        shape = Shape(chain, anchored, factory, attest_key)
        linked, untitled = android_chain.forgive_missing_title(linked, shape)
        authorities = android_chain.judge_authorities(shape)
        dates = android_chain.judge_dates(shape, now)
        withdrawn, revocation = android_chain.judge_revocation(chain, trust.revocation, now)
        steps = (
            *_chain_steps(linked, untitled, authorities, dates, shape),
            _revocation_step(withdrawn, revocation, len(chain)),
            _placement_step(attest_key, misplaced),
            _description_step(description, unreadable),
            _binding_step(description, expected.binding),
            _platform_step(expected.app),
        )
        if description is None:
            return Examination(None, steps)
        claims = read_claims(
            shape,
            description,
            expected,
            revocation,
            (*untitled, *authorities.leniencies, *dates.leniencies, *description.leniencies),
        )
        examination = Examination(claims, steps)
        first = _shared_from(shape, claims.provisioning)
        if trust.issuers is not None and first < linked.known_from and not examination.refusals:
            chains.remember(linked, first, trust.issuers)
        return examination

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
    description, refusals = _read_description(certificate)
    if description is None:
        raise MalformedError(refusals)
    return describe(description)


def _read_description(leaf: Certificate) -> tuple[KeyDescription | None, tuple[Refusal, ...]]:
    """Return the leaf's KeyDescription, or why there is none to be read."""
    content = leaf.extensions.get(KEY_DESCRIPTION)
    if content is None:
        detail = "got a leaf without a KeyDescription"
        return None, (Refusal(Reason.ANDROID_KEY_DESCRIPTION_MISSING, detail),)
    try:
        return read_key_description(content), ()
    except MalformedError as error:
        return None, error.as_reason(Reason.EVIDENCE_MALFORMED, "KeyDescription").refusals


def _shared_from(shape: Shape, provisioned: Provisioning | None) -> int:
    """Return the index of the lowest issuer that many phones share, which is worth remembering.

    A factory's attestation key is in 100,000 phones; a remotely provisioned one is in a single phone, for
    some weeks, and so is an attest key.
    """
    return shape.attester + (0 if provisioned is Provisioning.FACTORY else 1)


# Steps


def _step(
    number: str, found: str, refusals: tuple[Refusal, ...] = (), *, checked: bool = True
) -> Step:
    if refusals:
        title, wanted = STEPS[number]
        return Step(number, title, wanted, found, refusals, checked)
    return _passed(number, found, checked)


@lru_cache(maxsize=256)
def _passed(number: str, found: str, checked: bool) -> Step:
    """Return a step that found nothing wrong; most chains find the same."""
    title, wanted = STEPS[number]
    return Step(number, title, wanted, found, (), checked)


def _chain_steps(
    linked: LinkedChain,
    untitled: tuple[str, ...],
    authorities: Judgement,
    dates: Judgement,
    shape: Shape,
) -> tuple[Step, ...]:
    chain, anchored = linked.certificates, linked.anchored
    return (
        _step("1", f"a chain of {len(chain)}", android_chain.length_refusals(chain)),
        _step(
            "2", _links_in_words(linked, untitled), linked.refusals, checked=anchored is not None
        ),
        _step(
            "3",
            _authorities_in_words(authorities),
            authorities.refusals,
        ),
        _step(
            "4",
            _end_in_words(anchored),
            tuple(chains.anchor_refusals(chain, anchored, linked.anchors)),
        ),
        _step(
            "5",
            "factory-provisioned, not held to dates" if shape.factory else "held to dates",
            dates.refusals,
        ),
    )


def _authorities_in_words(authorities: Judgement) -> str:
    if authorities.refusals:
        return "issuers that may not issue"
    let_pass = ", ".join(authorities.leniencies)
    return f"let pass: {let_pass}" if let_pass else "every issuer is a CA at its depth"


def _links_in_words(linked: LinkedChain, untitled: tuple[str, ...]) -> str:
    links = ", let pass: ".join((f"{len(linked.certificates) - 1} links", *untitled))
    return links if linked.anchored is not None else f"{links}, names only below an unknown end"


def _end_in_words(anchored: Anchored | None) -> str:
    if anchored is None:
        return "an unknown end"
    return f"{anchored.anchor.name}, {'included' if anchored.included else 'left out'}"


def _revocation_step(
    withdrawn: tuple[Refusal, ...], revocation: RevocationClaims | None, size: int
) -> Step:
    """Tell what the list says; one that is too old was asked, and its silence proves nothing."""
    if revocation is None:
        return _step("6", "no list", checked=False)
    found = f"{len(withdrawn)} of {size} revoked, {len(revocation.suspended)} suspended"
    if not revocation.known:
        found += ", by a list that is missing or too old"
    return _step("6", found, withdrawn, checked=revocation.known)


def _placement_step(attest_key: bool, misplaced: tuple[Refusal, ...]) -> Step:
    if misplaced:
        return _step("7", "elsewhere too", misplaced)
    return _step("7", "in the leaf and the attest key" if attest_key else "in the leaf")


def _description_step(description: KeyDescription | None, unreadable: tuple[Refusal, ...]) -> Step:
    """Tell version and levels; a key that every app may use is nobody's (WebAuthn section 8.4)."""
    if description is None:
        return _step("8", "none that can be read", unreadable)
    found = _levels_in_words(
        description.attestation_version,
        description.attestation_security,
        description.keymaster_security,
    )
    if description.software.application_unknown:
        # A fault of Android's keystore that passes: policy refuses, the app tries again with a new key.
        found += ", Android didn't know the app"
    if description.open_to_all:
        detail = "got a key that all apps of the device may use (allApplications)"
        return _step("8", found, (Refusal(Reason.ATTESTATION_KEY_UNSUPPORTED, detail),))
    return _step("8", found)


@lru_cache(maxsize=64)
def _levels_in_words(version: int, attester: SecurityLevel, keeper: SecurityLevel) -> str:
    return f"version {version}, attested in {attester.name}, kept in {keeper.name}"


def _binding_step(description: KeyDescription | None, binding: bytes | None) -> Step:
    """Compare the attestation challenge, which itself isn't told, in constant time."""
    if description is None:
        return _step("9", "nothing to compare", checked=False)
    challenge = description.challenge
    found = f"a challenge of {len(challenge)} bytes"
    if binding is None:
        return _step("9", found, checked=False)
    if hmac.compare_digest(challenge, binding):
        return _step("9", "the expected challenge")
    detail = f"got another challenge, of {len(challenge)} bytes"
    return _step("9", found, (Refusal(Reason.ATTESTATION_BINDING, detail),))


def _platform_step(app: AppRegistration | None) -> Step:
    if app is None:
        return _step("10", "no app expected", checked=False)
    return _step("10", f"an app for {app.platform}", platform_refusals(Platform.ANDROID, app))
