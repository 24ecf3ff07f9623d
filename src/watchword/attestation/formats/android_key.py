"""Verify Android key attestation: a chain under a Google root, and a KeyDescription in its leaf.

Sources: developer.android.com, "Verify hardware-backed key pairs with key attestation" (steps 1 to 7); source.android.com,
"Key and ID attestation" (the extension); the certificate rules of github.com/android/keyattestation; KeyMint's
KeyPurpose.aidl and IKeyMintDevice.aidl for ATTEST_KEY.  Who may issue, whose dates count and who vouches for whom is one
function for each step of docs/formats/android_key.md, which also says what is proven and what isn't.

The certificate of a remotely provisioned attestation key has the extension 1.3.6.1.4.1.11129.2.1.30, a CBOR map
(provisioning information extension schema of the first source).  Its key 1 counts the certificates that were issued to the
phone within the last 30 days.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from watchword.attestation import certificates
from watchword.attestation.certificates import (
    Anchored,
    Certificate,
    LinkedChain,
    is_p256_signature,
    p256_point,
)
from watchword.attestation.claims import (
    KeySecurity,
    Provisioning,
    RevocationClaims,
    UnverifiedClaims,
)
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
    ORIGIN_GENERATED,
    PURPOSE_ATTEST_KEY,
    PURPOSE_SIGN,
    KeyDescription,
    SecurityLevel,
    describe,
    describe_publicly,
    read_key_description,
)
from watchword.encoding import cbor
from watchword.encoding.cache import BoundedCache
from watchword.ports import RevocationStatus
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import AnchorKind, Platform, Vendor, Withdrawal

PROVISIONING_INFO: Final = "1.3.6.1.4.1.11129.2.1.30"
"""Object identifier of the extension."""

MAX_BYTES: Final = 256
"""Most bytes that are read; real ones have up to 17."""

_NAMES: Final = {1: "certificatesIssued", 3: "manufacturer"}


def describe_provisioning(content: bytes) -> Mapping[str, Any]:
    """Return the map under names for people; keys without a name stand under ``otherKeys``.

    Nothing hangs on it, so that one that can't be read is shown as hex and refuses nobody.
    """
    return _DESCRIBED.read(content)


def _describe(content: bytes) -> Mapping[str, Any]:
    try:
        value = cbor.decode(content, MAX_BYTES)
    except MalformedError:
        value = None
    if not isinstance(value, dict):
        return {"unreadable": content[:MAX_BYTES].hex()}
    described: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, item in value.items():
        plain = item if item is None or isinstance(item, int | str) else _in_words(item)
        if isinstance(key, int) and key in _NAMES:
            described[_NAMES[key]] = plain
        else:
            others[str(key)] = plain
    if others:
        described["otherKeys"] = others
    return described


def _in_words(item: cbor.Value) -> str:
    """Return a value that isn't plain as text: bytes as hex, lists and maps by what they are."""
    return item.hex() if isinstance(item, bytes) else type(item).__name__


_DESCRIBED: Final = BoundedCache(_describe, entries=256, size=32)


LENIENT_EXPIRED: Final = "factory_certificate_outside_validity"
"""In reports: a certificate of a factory-provisioned chain isn't valid now."""

LENIENT_NOT_CA: Final = "attestation_certificate_not_ca"
"""In reports: the factory's attestation certificate isn't marked as a CA."""

LENIENT_ATTEST_KEY: Final = "attest_key_not_ca"
"""In reports: a key of the app for attesting others (ATTEST_KEY) isn't marked as a CA; none is."""

LENIENT_ISSUER_TITLE: Final = "issuer_without_title"
"""In reports: the leaf names the factory's attestation key without the title that is in its certificate."""

MINIMUM_CERTIFICATES: Final = 2
"""A leaf that vouches for itself proves nothing; its issuer may be signed by an absent root."""

_FACTORY_DEPTH: Final = 3
"""Certificates below the root of a factory-provisioned chain: leaf, attestation key, batch."""

_REMOTE_DEPTH: Final = 4
"""Certificates below the root of a remotely provisioned chain: leaf, attestation key, two authorities."""

_SERIAL_NUMBER: Final = "2.5.4.5"
"""Subject attribute by which Google names each batch of factory-provisioned keys."""

_COMMON_NAME: Final = "2.5.4.3"
"""Subject attribute by which Google names the authorities of remote provisioning."""

_TITLE: Final = "2.5.4.12"
"""Subject attribute by which Google says where a factory's attestation key lives."""

_ORGANIZATION: Final = "2.5.4.10"
"""Subject attribute by which Google says the same of a remotely provisioned one."""

_CERTIFIED: Final = {"TEE": KeySecurity.TEE, "StrongBox": KeySecurity.STRONGBOX}
"""Google's words for it; keyattestation's ``MATCHES_CERTIFICATE`` looks for the same."""

_WORTHLESS_SERIALS: Final = frozenset({"0", "1"})
"""What phones write into nearly all leaves: it names no certificate."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Hold what one step found wrong, and what it let pass."""

    refusals: tuple[Refusal, ...] = ()
    leniencies: tuple[str, ...] = ()


_FINE: Final = Judgement()


@dataclass(frozen=True, slots=True)
class Shape:
    """Hold how a chain is built.

    :param factory: plainly provisioned at the factory: whatever isn't is held to the stricter rules.
    :param attest_key: the leaf was vouched for by a key of the app, at index 1.
    """

    chain: tuple[Certificate, ...]
    anchored: Anchored | None
    factory: bool
    attest_key: bool

    @property
    def attester(self) -> int:
        """Return the index of the certificate whose key is the device's own for attesting."""
        return 2 if self.attest_key else 1


# Shape


def is_factory_provisioned(chain: Sequence[Certificate], anchored: Anchored | None) -> bool:
    """Tell whether the keys were put in at the factory, and so can't be certified again.

    The certificate that the root issued is named by serialNumber for a factory batch and by CN for
    remote provisioning.  Whatever isn't plainly the former is held to the stricter rules.
    """
    below = below_root(chain, anchored)
    if any(PROVISIONING_INFO in certificate.extensions for certificate in below):
        return False
    return _is_batch(below)


def _is_batch(below: Sequence[Certificate]) -> bool:
    """Tell whether the root issued a batch of a factory's; only Google's own signature says so.

    Whoever owns a factory's key can write the provisioning extension into what that key signs.
    """
    return len(below) > 1 and _names(below[-1], _SERIAL_NUMBER)


def provisioning(shape: Shape) -> Provisioning | None:
    """Return how the phone came by its attestation key, None where the chain doesn't show it.

    A chain that ends nowhere, or at a root for software, shows nothing; nor does one of a factory's batch
    that has the extension of remote provisioning.
    """
    if shape.anchored is None or shape.anchored.anchor.kind == AnchorKind.SOFTWARE:
        return None
    if shape.factory:
        return Provisioning.FACTORY
    below = below_root(shape.chain, shape.anchored)
    if _is_batch(below):
        return None
    if any(PROVISIONING_INFO in certificate.extensions for certificate in below):
        return Provisioning.REMOTE
    remote = len(below) > 1 and _names(below[-1], _COMMON_NAME)
    return Provisioning.REMOTE if remote else None


def certified_security(shape: Shape) -> KeySecurity | None:
    """Return where the vendor's certificate of the attestation key says that it lives, None where it says nothing.

    At the depth that genuine chains have, the vendor signed it, not whoever owns a phone or its key.  Of 150
    recorded chains under Google's roots all ten of a StrongBox say so; 27 of a TEE say nothing.
    """
    chain, attester = shape.chain, shape.attester
    if shape.anchored is None or len(below_root(chain, shape.anchored)) <= attester:
        return None
    try:
        named = chain[attester].subject_attributes()
    except MalformedError:
        return None
    return _CERTIFIED.get(named.get(_TITLE, "")) or _CERTIFIED.get(named.get(_ORGANIZATION, ""))


def _names(certificate: Certificate, attribute: str) -> bool:
    try:
        return attribute in certificate.subject_attributes()
    except MalformedError:
        return False


def below_root(chain: Sequence[Certificate], anchored: Anchored | None) -> Sequence[Certificate]:
    """Return the chain without its root, which may have been left out.

    Nobody whom we believe signed the root's own certificate: only its key means anything.
    """
    root_left_out = anchored is not None and not anchored.included
    return chain if root_left_out else chain[:-1]


# Steps


def length_refusals(chain: Sequence[Certificate]) -> tuple[Refusal, ...]:
    """Refuse a leaf without an issuer."""
    if len(chain) < MINIMUM_CERTIFICATES:
        return (Refusal(Reason.ATTESTATION_CHAIN_LENGTH, "got a leaf without an issuer"),)
    return ()


def depth_refusals(shape: Shape) -> tuple[Refusal, ...]:
    """Refuse more or fewer certificates below the root than the vendor's chains have.

    Most attestation keys are marked as CAs: whoever owns one, by a leak, could issue further ones of their
    own, under serials that are in no status list.  Genuine chains have three certificates below the root where
    the root issued a factory's batch, and four elsewhere; an attest key of the app is one more.
    """
    anchored = shape.anchored
    if anchored is None or anchored.anchor.kind == AnchorKind.SOFTWARE:
        return ()
    if length_refusals(shape.chain):
        return ()  # Told already, in other words.
    below = below_root(shape.chain, anchored)
    expected = (_FACTORY_DEPTH if _is_batch(below) else _REMOTE_DEPTH) + shape.attester - 1
    if len(below) == expected:
        return ()
    detail = f"got {len(below)} certificates below the root, expected {expected}"
    return (Refusal(Reason.ATTESTATION_CHAIN_LENGTH, detail),)


def forgive_missing_title(linked: LinkedChain, shape: Shape) -> tuple[LinkedChain, tuple[str, ...]]:
    """Let a leaf of a factory's key name its issuer without ``title``; its signature decides.

    Keymaster 3 of some phones (AUM-L29, POCOPHONE F1 of the GrapheneOS samples) writes the name of its attestation key
    without the title that Google put into the certificate.  Only there: between leaf and attestation key of a
    factory-provisioned chain, with the same serialNumber, and nothing else left out.

    :return: the chain without that refusal, and the leniency; both as they were where it doesn't apply.
    """
    if not linked.refusals or not shape.factory or shape.attest_key:
        return linked, ()
    misnamed = certificates.name_refusal(0)
    leaf, issuer = linked.certificates[:2]
    if misnamed not in linked.refusals or not _is_named_without_title(leaf, issuer):
        return linked, ()
    others = tuple(refusal for refusal in linked.refusals if refusal != misnamed)
    return replace(linked, refusals=others), (LENIENT_ISSUER_TITLE,)


def _is_named_without_title(leaf: Certificate, issuer: Certificate) -> bool:
    """Tell whether a leaf's issuer is the subject of ``issuer`` but for its title, member by member."""
    try:
        named, subject = leaf.issuer_names(), issuer.subject_names()
    except MalformedError:
        return False
    titled = [name for name in subject if name[0] == _TITLE]
    rest = [name for name in subject if name[0] != _TITLE]
    numbered = any(kind == _SERIAL_NUMBER for kind, _ in rest)
    return len(titled) == 1 and numbered and list(named) == rest


def judge_authorities(shape: Shape) -> Judgement:
    """Require issuers to be CAs, and as many as the vendor's chains have, but for the one that factories make otherwise, and for attest keys.

    Many attestation certificates from the factory (27 of 179 recorded chains) are marked neither as
    a CA nor for signing certificates.  Only there, right above the leaf and right below the batch
    that the root issued, is that let pass: whoever signs a further certificate with the key of a
    leaf, be it one without a KeyDescription, makes the chain longer than that.

    An attest key is no CA either (KeyMint marks it for signing certificates only).  It ends the path of CAs, so
    that lengths are counted from it.
    """
    chain, attester = shape.chain, shape.attester
    leniencies = (LENIENT_ATTEST_KEY,) if shape.attest_key else ()
    too_many = depth_refusals(shape)
    try:
        refusals = tuple(certificates.authority_refusals(chain, attester + 1, attester - 1))
        direct = tuple(
            certificates.authority_refusals(chain[: attester + 1], attester, attester - 1)
        )
        if (
            direct
            and shape.factory
            and not too_many
            and _SERIAL_NUMBER in chain[attester].subject_attributes()
        ):
            return Judgement(refusals, (*leniencies, LENIENT_NOT_CA))
    except MalformedError as error:
        what = "extension or name of an issuer"
        return Judgement(error.as_reason(Reason.EVIDENCE_MALFORMED, what).refusals)
    return Judgement((*refusals, *direct, *too_many), leniencies)


def judge_dates(shape: Shape, now: datetime) -> Judgement:
    """Require remotely provisioned intermediates to be valid now, and nothing else.

    A leaf's dates, and those of an attest key, come from a clock that the device's owner sets; factory
    keys can't be certified again; a root is known by its key.  Dates under an unknown key say nothing.
    """
    chain, anchored = shape.chain, shape.anchored
    if anchored is None or len(chain) < MINIMUM_CERTIFICATES:
        return _FINE
    end = len(chain) - 1 if anchored.included else len(chain)
    try:
        refusals = tuple(certificates.validity_refusals(chain, range(shape.attester, end), now))
    except MalformedError as error:
        return Judgement(error.as_reason(Reason.EVIDENCE_MALFORMED, "date of an issuer").refusals)
    if refusals and shape.factory:
        return Judgement(leniencies=(LENIENT_EXPIRED,))
    return Judgement(refusals)


def judge_revocation(
    chain: Sequence[Certificate], revocation: RevocationStatus | None, now: datetime
) -> tuple[tuple[Refusal, ...], RevocationClaims | None]:
    """Refuse what the vendor withdrew for good; claim what is suspended, and whether the list can answer.

    What a list that is too old withdrew is still withdrawn.  A word that isn't known is taken as REVOKED.

    :param revocation: None asks nobody; the claims are None then.
    """
    if revocation is None:
        return (), None
    refusals = []
    suspended = []
    for index, entry in certificates.withdrawn(chain, revocation):
        if entry.status == Withdrawal.SUSPENDED:
            suspended.append(chain[index].serial_hex)
        else:
            detail = f"certificate {index}: {entry.status} ({entry.reason})"
            refusals.append(Refusal(Reason.ATTESTATION_REVOKED, detail))
    known = revocation.is_known(now)
    return tuple(refusals), RevocationClaims(known, revocation.digest, tuple(suspended))


def judge_placement(
    chain: Sequence[Certificate], leaf: KeyDescription | None
) -> tuple[bool, tuple[Refusal, ...]]:
    """Require the KeyDescription in the leaf only, or in the leaf and in an attest key right above it.

    The owner of an attested key can sign a further certificate with a forged KeyDescription.  A key whose one
    purpose is ATTEST_KEY signs what KeyMint itself wrote about another key of the same app, and nothing else.

    :return: whether the chain is one with an attest key, and what is wrong.
    """
    at = [
        index
        for index, certificate in enumerate(chain)
        if index > 0 and KEY_DESCRIPTION in certificate.extensions
    ]
    if not at:
        return False, ()
    if at == [1] and leaf is not None:
        try:
            above = read_key_description(chain[1].extensions[KEY_DESCRIPTION])
            if above.hardware.purposes == {PURPOSE_ATTEST_KEY}:
                faults = tuple(_attest_key_faults(chain[1], above, leaf))
                return not faults, tuple(
                    Refusal(Reason.ANDROID_ATTEST_KEY, f"got an attest key {fault}")
                    for fault in faults
                )
        except MalformedError as error:
            return False, error.as_reason(Reason.EVIDENCE_MALFORMED, "certificate 1").refusals
    return False, tuple(
        Refusal(
            Reason.ANDROID_KEY_DESCRIPTION_MISPLACED,
            f"certificate {index} has a KeyDescription, expected in the leaf only",
        )
        for index in at
    )


def _attest_key_faults(
    certificate: Certificate, above: KeyDescription, leaf: KeyDescription
) -> Iterator[str]:
    """Yield in what an attest key isn't one that KeyMint made for the leaf's app on the leaf's device.

    :raises MalformedError: when the certificate's keyUsage can't be read.
    """
    if certificate.may_sign_certificates() is not True:
        yield "that may not sign certificates"
    if above.hardware.origin != ORIGIN_GENERATED:
        yield "that wasn't made in the secure hardware"
    if above.open_to_all:
        yield "that is open to all apps"
    levels = (above.attestation_security, above.keymaster_security)
    if SecurityLevel.SOFTWARE in levels:
        yield "of software"
    # It lives in the same KeyMint as what it vouches for, and can't vouch for a better one.
    if max(leaf.attestation_security, leaf.keymaster_security) > min(levels):
        yield "that is less secure than the key it vouches for"
    root = above.hardware.root_of_trust
    if root is None or root != leaf.hardware.root_of_trust:
        yield "of another root of trust"
    if not _is_same_app(above, leaf):
        yield "of another app"


def _is_same_app(above: KeyDescription, leaf: KeyDescription) -> bool:
    """Tell whether packages and signers are the same; an update of the app may lie in between."""
    one, other = above.software.application_id, leaf.software.application_id
    return (
        one is not None
        and other is not None
        and {name for name, _ in one.packages} == {name for name, _ in other.packages}
        and set(one.digests) == set(other.digests)
    )


def serials(shape: Shape) -> tuple[str, ...]:
    """Return the serials by which a later revocation can be found; most leaves have none of their own.

    A root is known by its key, and is withdrawn by taking its anchor away.
    """
    found = [each.serial_hex for each in below_root(shape.chain, shape.anchored)]
    if not found:
        return ()
    return tuple(found[1:] if found[0] in _WORTHLESS_SERIALS else found)


FORMAT: Final = "android-key"
"""The format's name on the wire."""

SECURITY_NAME: Final = "security_name"
"""The vendor's certificate names another level than the description, or no StrongBox where that says one."""

VERSIONS: Final = "versions"
"""No Keymaster or KeyMint of that version writes descriptions of that version."""

OS_VERSION: Final = "os_version"
"""A system older than the first with descriptions of that version."""

PATCHES: Final = "patches"
"""The patch level of vendor or boot is no month, or later than the system's."""

_KEYMASTERS: Final = frozenset({(1, 2), (2, 3), (3, 4), (3, 41), (4, 41)})
"""Versions of description and Keymaster that occur together in the recorded chains."""

_KEYMINT: Final = 100
"""From KeyMint 1 on both versions are the same number (source.android.com, "Key and ID attestation")."""

_FIRST_SYSTEMS: Final = {
    1: 70000,
    2: 80000,
    3: 90000,
    4: 110000,
    100: 120000,
    200: 130000,
    300: 140000,
    400: 160000,
    500: 170000,
}
"""By version of the description the oldest system that writes it.

1 and 2: source.android.com, "Key and ID attestation", read on 2026-11-29; the others: the oldest of the recorded chains.
"""

_SECURITY: Final = {
    SecurityLevel.SOFTWARE: KeySecurity.SOFTWARE,
    SecurityLevel.TRUSTED_ENVIRONMENT: KeySecurity.TEE,
    SecurityLevel.STRONG_BOX: KeySecurity.STRONGBOX,
}


def read_claims(
    shape: Shape,
    description: KeyDescription,
    expected: Expected,
    revocation: RevocationClaims | None,
    leniencies: tuple[str, ...],
) -> UnverifiedClaims:
    """Return what the chain and its KeyDescription say, whether or not they hold."""
    chain, anchored, hardware = shape.chain, shape.anchored, description.hardware
    application = description.software.application_id
    unchecked: tuple[str, ...] = ()
    if expected.binding is None or expected.app is None or revocation is None:
        wanted = {"binding": expected.binding, "app": expected.app, "revocation": revocation}
        unchecked = tuple(name for name, needed in wanted.items() if needed is None)
    provisioned = provisioning(shape)
    certified = certified_security(shape)
    return UnverifiedClaims(
        format=FORMAT,
        platform=Platform.ANDROID,
        public_key=chain[0].spki,
        attestation_security=_SECURITY[description.attestation_security],
        key_security=_SECURITY[description.keymaster_security],
        certified_security=certified,
        anchor=None if anchored is None else anchored.anchor.name,
        app=None if application is None else application.claims,
        boot=hardware.boot,
        key_generated=hardware.origin == ORIGIN_GENERATED,
        key_signs=PURPOSE_SIGN in hardware.purposes,
        patches=hardware.patches,
        provisioning=provisioned,
        attest_key=shape.attest_key,
        incoherent=tuple(_incoherences(certified, description)),
        device_key=_device_key(shape, provisioned),
        attester_serial=_attester_serial(shape),
        serials=serials(shape),
        model=hardware.model,
        revocation=revocation,
        fields=_fields(shape, description),
        leniencies=leniencies,
        unchecked=unchecked,
    )


def _incoherences(certified: KeySecurity | None, description: KeyDescription) -> Iterator[str]:
    """Yield in what a description contradicts the vendor's certificate, or itself.

    None of the 135 recorded chains that are accepted does.  Software that signs descriptions with a leaked key has to
    get all of it right.
    """
    stated = _SECURITY[description.attestation_security]
    if certified not in {stated, None} or (stated is KeySecurity.STRONGBOX and certified is None):
        yield SECURITY_NAME
    versions = (description.attestation_version, description.keymaster_version)
    if versions not in _KEYMASTERS and (versions[0] < _KEYMINT or versions[0] != versions[1]):
        yield VERSIONS
    patches = description.hardware.patches
    first = _FIRST_SYSTEMS.get(versions[0])
    if patches.os_version and first is not None and patches.os_version < first:
        yield OS_VERSION
    if any(_is_ahead(part, patches.system) for part in (patches.vendor, patches.boot) if part):
        yield PATCHES


def _is_ahead(part: int, system: int | None) -> bool:
    """Tell whether a part's patch level is no month, or more than a month later than the system's."""
    month = _month(part)
    if month is None:
        return True
    newest = _month(system or 0)
    return newest is not None and month > newest + 1


def _month(level: int) -> int | None:
    """Return YYYYMM or YYYYMMDD as a count of months, None for neither."""
    digits = str(level) if 0 < level < 10**8 else ""
    if len(digits) not in {6, 8} or not 1 <= int(digits[4:6]) <= 12:
        return None
    return int(digits[:4]) * 12 + int(digits[4:6])


def _device_key(shape: Shape, provisioned: Provisioning | None) -> bytes | None:
    """Return what only this device's chains have: its attestation key, if that is its own.

    A factory's is shared by 100,000 phones.  A remotely provisioned one lives for weeks, and a device has one
    for each app: enough to count the instances of an app, and no more.
    """
    if provisioned is not Provisioning.REMOTE or len(shape.chain) <= shape.attester:
        return None
    return hashlib.sha256(shape.chain[shape.attester].spki).digest()


def _attester_serial(shape: Shape) -> str | None:
    """Return the serial under which the vendor certified the attesting key: all that it attests stands under it."""
    if len(below_root(shape.chain, shape.anchored)) <= shape.attester:
        return None
    return shape.chain[shape.attester].serial_hex


def _fields(shape: Shape, description: KeyDescription) -> dict[str, Any]:
    fields = describe_publicly(description)
    for certificate in below_root(shape.chain, shape.anchored):
        content = certificate.extensions.get(PROVISIONING_INFO)
        if content is not None:
            fields["provisioningInfo"] = describe_provisioning(content)
    return fields


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
        if not isinstance(chain, list) or not 0 < len(chain) <= certificates.MAX_CERTIFICATES:
            raise MalformedError.because(
                Reason.ATTESTATION_CHAIN_LENGTH,
                f"expected an array of 1 to {certificates.MAX_CERTIFICATES} certificates",
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
            linked = certificates.link(evidence.chain, anchors, trust.issuers)
        except MalformedError as error:
            return Examination(None, (_step("1", "what can't be read", error.refusals),))
        chain, anchored = linked.certificates, linked.anchored
        description, unreadable = _read_description(chain[0])
        attest_key, misplaced = judge_placement(chain, description)
        factory = is_factory_provisioned(chain, anchored)
        shape = Shape(chain, anchored, factory, attest_key)
        linked, untitled = forgive_missing_title(linked, shape)
        authorities = judge_authorities(shape)
        dates = judge_dates(shape, now)
        withdrawn, revocation = judge_revocation(chain, trust.revocation, now)
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
            certificates.remember(linked, first, trust.issuers)
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
    (certificate,) = certificates.read_chain((leaf,))
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
        _step("1", f"a chain of {len(chain)}", length_refusals(chain)),
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
            tuple(certificates.anchor_refusals(chain, anchored, linked.anchors)),
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
