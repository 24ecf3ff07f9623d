"""Define what evidence says: claims, before and after they were verified.

:class:`UnverifiedClaims` is what was read out of evidence; :class:`VerifiedClaims` is the same after every
step of the verification held.  Rules of :mod:`watchword.policy` judge them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from watchword.vocabulary import ApplePlatform, Distribution, Platform


class KeySecurity(StrEnum):
    """Say where an attested key lives; ``unattested``: the evidence vouches for no key of its own."""

    SECURE_ENCLAVE = "secure_enclave"
    STRONGBOX = "strongbox"
    TEE = "tee"
    SOFTWARE = "software"
    UNATTESTED = "unattested"


class BootState(StrEnum):
    """Name Android's verified boot states (RootOfTrust.verifiedBootState)."""

    VERIFIED = "verified"
    SELF_SIGNED = "self_signed"
    UNVERIFIED = "unverified"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BootClaims:
    """Hold Android's root of trust as the secure hardware states it."""

    device_locked: bool
    state: BootState
    verified_boot_key: bytes
    verified_boot_hash: bytes | None


@dataclass(frozen=True, slots=True)
class AppClaims:
    """Hold which app the evidence names.

    On iOS only a hash of the App ID is signed, so that ``ids`` holds the expected App ID when
    the hash matched.  On Android one uid may hold several packages.

    :param versions: by id: ``versionCode`` or ``CFBundleVersion``; absent where not stated.
    """

    ids: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    signing_digests: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class PatchLevels:
    """Hold the ages of an Android system as the secure hardware states them; None where unstated.

    :param os_version: for example 160000 for Android 16.0.0.
    :param system: ``osPatchLevel``, YYYYMM; ``vendor`` and ``boot`` are YYYYMMDD, or YYYYMM on some phones.
    """

    os_version: int | None = None
    system: int | None = None
    vendor: int | None = None
    boot: int | None = None


class Provisioning(StrEnum):
    """Say how a phone came by its attestation key: for good at the factory, or for weeks, remotely."""

    FACTORY = "factory"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class RevocationClaims:
    """Hold what the vendor's status list said when the evidence was verified.

    A REVOKED certificate is a refusal of the verification itself; whether SUSPENDED ones and a list that is too
    old to answer are let pass is for policy.

    :param known: the list was there and recent enough.
    :param list_digest: names the list that was asked, empty without one.
    :param suspended: serials in hex of the chain's certificates that are suspended.
    """

    known: bool
    list_digest: str = ""
    suspended: tuple[str, ...] = ()


class ReceiptKind(StrEnum):
    """Name Apple's kinds of receipt: with the attestation, or refreshed and with a risk metric."""

    ATTEST = "ATTEST"
    RECEIPT = "RECEIPT"


@dataclass(frozen=True, slots=True)
class ReceiptClaims:
    """Hold an App Attest receipt that verified up to Apple's root.

    :param risk_metric: attestations of this device in the last 30 days; None in ATTEST receipts.
    :param refresh_after: before it Apple gives no newer receipt (field 19); ``expires_at`` is field 21.
    """

    kind: ReceiptKind
    app_id: str
    created_at: datetime
    risk_metric: int | None = None
    refresh_after: datetime | None = None
    expires_at: datetime | None = None


class KeyAccess(StrEnum):
    """Say under which conditions a Secure Enclave lets an App Attest key sign.

    ``full_security``: only on a Mac in Full Security with System Integrity Protection, in the exact words that
    Apple gives for it.  ``other``: any other conditions, those of an iPhone among them.
    """

    FULL_SECURITY = "full_security"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class AppleClaims:
    """Hold what Apple says of the device and of how the app came onto it; None where it says nothing.

    :param platform: None before OS 27, where certificates needn't name one and no Mac attests.
    :param key_access: stated since OS 27.
    :param distribution: stated since OS 27, by the system, under the nonce.
    :param os_version: for example ``27.0``, and ``os_build`` ``24A5355q``; Apple documents neither.
    """

    platform: ApplePlatform | None = None
    key_access: KeyAccess | None = None
    distribution: Distribution | None = None
    os_version: str | None = None
    os_build: str | None = None


@dataclass(frozen=True, slots=True)
class PlayVerdicts:
    """Hold Google's verdicts under Google's own words; empty or None where a verdict is absent.

    Source: developer.android.com, "Integrity verdicts".

    :param request: ``classic`` (nonce) or ``standard`` (request hash).
    :param requested_at: ``timestampMillis``.
    :param recalled: the device recall bits that are set, of ``bitFirst``, ``bitSecond``, ``bitThird``.
    :param testing: a response that the app's owner wrote for a tester in the Play Console; nothing of it is
        Google's judgement.
    """

    request: str
    requested_at: datetime
    app_recognition: str
    device_labels: frozenset[str] = frozenset()
    licensing: str | None = None
    sdk_version: int | None = None
    recent_activity: str | None = None
    app_access_risk: frozenset[str] | None = None
    play_protect: str | None = None
    recalled: frozenset[str] | None = None
    testing: bool = False


@dataclass(frozen=True, slots=True)
class UnverifiedClaims:
    """Hold what was read out of evidence, before or without proof that it is true.

    :param public_key: SPKI DER of the attested key; None where the evidence attests none and vouches
        for the statement's own proof key instead.
    :param attestation_security: where the attesting key lives; ``key_security``: where the
        attested key lives; both must be hardware for level ``hardware``.
    :param certified_security: where the vendor's own certificate says that the attesting key lives, beside what the
        evidence says of itself; None where it says nothing.
    :param anchor: name of the anchor at the end of the chain, None if none was recognised.
    :param counter: App Attest's counter; None elsewhere.
    :param key_generated: Android: origin GENERATED in the hardware list; Apple: always True.
    :param key_signs: Android: purpose SIGN in the hardware list; Apple: always True.
    :param attest_key: the attestation was made by a key of the app (Android's ATTEST_KEY).
    :param incoherent: in what the evidence contradicts itself or its certificates, each by name; no step of the
        verification refuses it, since genuine devices err too.
    :param device_key: SHA-256 that all instances of one device share and no other device has; None
        where the evidence tells devices apart no further than by model.
    :param attester_serial: serial in hex of the certificate that the vendor signed for the attesting key; None
        where the format knows no such key.
    :param serials: serials in hex of the chain's certificates, for later revocations.
    :param model: the device as the evidence names it, empty where it doesn't.
    :param receipt: None where there is none or where it doesn't verify (``receipt_fault`` says why).
    :param provider: what an own format's evidence says, for rules of its own.
    :param fields: the vendor's own fields under the vendor's own names, for people.
    :param leniencies: deviations from the encoding rules that were let pass, each by name.
    :param unchecked: checks that were left out, each by name, because nothing was expected.
    """

    format: str
    platform: Platform
    public_key: bytes | None
    attestation_security: KeySecurity
    key_security: KeySecurity
    anchor: str | None
    certified_security: KeySecurity | None = None
    app: AppClaims | None = None
    boot: BootClaims | None = None
    key_generated: bool = False
    key_signs: bool = False
    counter: int | None = None
    patches: PatchLevels | None = None
    provisioning: Provisioning | None = None
    attest_key: bool = False
    incoherent: tuple[str, ...] = ()
    device_key: bytes | None = None
    attester_serial: str | None = None
    serials: tuple[str, ...] = ()
    model: str = ""
    revocation: RevocationClaims | None = None
    receipt: ReceiptClaims | None = None
    receipt_fault: str | None = None
    apple: AppleClaims | None = None
    play: PlayVerdicts | None = None
    provider: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    leniencies: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifiedClaims:
    """Hold claims after every step of the verification held; only ``attestation.service`` makes it."""

    claims: UnverifiedClaims
