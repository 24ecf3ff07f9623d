"""Define what goes into and comes out of the verification of evidence.

Evidence is what a device says; :class:`UnverifiedClaims` is what was read out of it;
:class:`VerifiedClaims` is the same after every step held.  Formats authenticate and extract;
whether the claims suffice is for :mod:`watchword.policy`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from watchword.ports import RevocationStatus, TrustAnchors
from watchword.reasons import Refusal
from watchword.vocabulary import AppAttestEnvironment, Platform

MAX_EVIDENCE_BYTES = 64 * 1024
"""Most bytes of one piece of evidence; the largest real one has 5.9 kB."""


class KeySecurity(StrEnum):
    """Say where an attested key lives."""

    SECURE_ENCLAVE = "secure_enclave"
    STRONGBOX = "strongbox"
    TEE = "tee"
    SOFTWARE = "software"


@dataclass(frozen=True, slots=True)
class AppleApp:
    """Name an iOS app: the App ID is ``team_id.bundle_id``."""

    team_id: str
    bundle_id: str
    environment: AppAttestEnvironment = AppAttestEnvironment.PRODUCTION

    @property
    def app_id(self) -> str:
        """Return Apple's App ID."""
        return f"{self.team_id}.{self.bundle_id}"


@dataclass(frozen=True, slots=True)
class AndroidApp:
    """Name an Android app: package, and SHA-256 digests of its signing certificates."""

    package: str
    signing_digests: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class AppRegistration:
    """Hold one app as the deployment knows it.

    :param id: the name under ``apps`` in ``watchword.yaml``.
    :param minimum_version: lowest accepted build: ``versionCode`` on Android,
        ``CFBundleVersion`` on iOS (dotted numbers); None accepts all.
    """

    id: str
    identity: AppleApp | AndroidApp
    minimum_version: str | None = None

    @property
    def platform(self) -> Platform:
        """Return the platform that the identity belongs to."""
        return Platform.IOS if isinstance(self.identity, AppleApp) else Platform.ANDROID

    @property
    def app_id(self) -> str:
        """Return the vendor's name of the app, under which evidence names it: App ID or package."""
        identity = self.identity
        return identity.app_id if isinstance(identity, AppleApp) else identity.package


@dataclass(frozen=True, slots=True)
class AppAttestAttestation:
    """Hold what ``DCAppAttestService.attestKey`` returned, and the key id it was called with."""

    attestation: bytes
    key_id: bytes


@dataclass(frozen=True, slots=True)
class AppAttestAssertion:
    """Hold what ``DCAppAttestService.generateAssertion`` returned."""

    assertion: bytes


@dataclass(frozen=True, slots=True)
class AndroidKeyChain:
    """Hold what ``KeyStore.getCertificateChain`` returned: DER certificates, leaf first."""

    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AndroidKeySignature:
    """Hold an ECDSA-SHA256 signature (DER) by the attested key over a renewal statement."""

    signature: bytes


Attestation = AppAttestAttestation | AndroidKeyChain
"""Evidence that enrols an instance."""

Renewal = AppAttestAssertion | AndroidKeySignature
"""Evidence that renews an instance whose key is known."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Hold what evidence must be bound to.

    :param binding: the exact bytes: SHA-256 of the statement in the service (protocol,
        section 1); a recorded challenge or client data hash in the offline verifier.  None
        leaves the binding unchecked, which only the offline verifier may ask for.
    :param app: None leaves the app unchecked, which only the offline verifier may ask for.
    """

    binding: bytes | None
    app: AppRegistration | None


@dataclass(frozen=True, slots=True)
class Trust:
    """Hold whom the verifier believes.

    :param revocation: None leaves revocation unchecked (it is listed as such).
    """

    anchors: TrustAnchors
    revocation: RevocationStatus | None = None


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
class UnverifiedClaims:
    """Hold what was read out of evidence, before or without proof that it is true.

    :param public_key: SPKI DER of the attested key.
    :param attestation_security: where the attesting key lives; ``key_security``: where the
        attested key lives; both must be hardware for level ``hardware``.
    :param anchor: name of the anchor at the end of the chain, None if none was recognised.
    :param counter: App Attest's counter; None elsewhere.
    :param key_generated: Android: origin GENERATED in the hardware list; Apple: always True.
    :param key_signs: Android: purpose SIGN in the hardware list; Apple: always True.
    :param fields: the vendor's own fields under the vendor's own names, for people.
    :param leniencies: deviations from the encoding rules that were let pass, each by name.
    :param unchecked: checks that were left out, each by name, because nothing was expected.
    """

    format: str
    platform: Platform
    public_key: bytes
    attestation_security: KeySecurity
    key_security: KeySecurity
    anchor: str | None
    app: AppClaims | None = None
    boot: BootClaims | None = None
    key_generated: bool = False
    key_signs: bool = False
    counter: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    leniencies: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifiedClaims:
    """Hold claims after every step of the verification held; only ``attestation.service`` makes it."""

    claims: UnverifiedClaims


@dataclass(frozen=True, slots=True)
class Examination:
    """Hold a verification with everything that was found, for reports; an empty tuple is success.

    :param claims: None when the evidence couldn't be read far enough.
    """

    claims: UnverifiedClaims | None
    refusals: tuple[Refusal, ...]


class EvidenceFormat(Protocol):
    """Verify one vendor's evidence; one file under ``formats/``, one line in ``registry.py``."""

    @property
    def name(self) -> str:
        """Return the name on the wire, for example ``app-attest``."""

    @property
    def platform(self) -> Platform:
        """Return the platform that produces it."""

    @property
    def evidence_types(self) -> tuple[type, ...]:
        """Return the classes of evidence, of attestations and renewals, that it verifies."""

    def read_attestation(self, members: Mapping[str, Any]) -> Attestation:
        """Read evidence from its members in the request body (protocol, section 1).

        :raises MalformedError: on a missing, unknown or badly encoded member.
        """

    def read_renewal(self, members: Mapping[str, Any]) -> Renewal:
        """Read renewal evidence from its members in the request body.

        :raises MalformedError: on a missing, unknown or badly encoded member.
        """

    def examine(
        self, evidence: Attestation, expected: Expected, trust: Trust, now: datetime
    ) -> Examination:
        """Carry out every step on evidence that enrols; collect what is wrong."""

    def examine_renewal(
        self, evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
    ) -> "RenewalExamination":
        """Carry out every step on evidence that renews the instance with this attested key."""


@dataclass(frozen=True, slots=True)
class RenewalExamination:
    """Hold the result of a renewal.

    :param counter: to be compared and set by the store; None where the format has none.
    :param app_version: as stated by the evidence, None if it states none.
    """

    counter: int | None
    refusals: tuple[Refusal, ...]
    app_version: str | None = None
