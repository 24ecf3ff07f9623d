"""Judge the certificates of an Android key attestation: who may issue, whose dates count, who vouches for whom.

Each function is one step of docs/formats/android_key.md.  Sources: the certificate rules of
github.com/android/keyattestation; source.android.com, "Key and ID attestation"; KeyMint's KeyPurpose.aidl and
IKeyMintDevice.aidl for ATTEST_KEY.

Read the claims out of an Android key attestation.

Read the extension by which remote key provisioning tells how busy a phone is.

The certificate of a remotely provisioned attestation key has the extension 1.3.6.1.4.1.11129.2.1.30, a CBOR map
(developer.android.com, "Verify hardware-backed key pairs with key attestation", provisioning information
extension schema).  Key 1 counts the certificates that were issued to the phone within the last 30 days.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from watchword.attestation import chains
from watchword.attestation.certificates import Certificate
from watchword.attestation.chains import Anchored, LinkedChain
from watchword.attestation.claims import (
    KeySecurity,
    Provisioning,
    RevocationClaims,
    UnverifiedClaims,
)
from watchword.attestation.interface import Expected
from watchword.attestation.key_description import (
    KEY_DESCRIPTION,
    ORIGIN_GENERATED,
    PURPOSE_ATTEST_KEY,
    PURPOSE_SIGN,
    KeyDescription,
    SecurityLevel,
    describe_publicly,
    read_key_description,
)
from watchword.encoding import cbor
from watchword.encoding.cache import BoundedCache
from watchword.ports import RevocationStatus
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import AnchorKind, Platform, Withdrawal

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
    misnamed = chains.name_refusal(0)
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
        refusals = tuple(chains.authority_refusals(chain, attester + 1, attester - 1))
        direct = tuple(chains.authority_refusals(chain[: attester + 1], attester, attester - 1))
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
        refusals = tuple(chains.validity_refusals(chain, range(shape.attester, end), now))
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
    for index, entry in chains.withdrawn(chain, revocation):
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
