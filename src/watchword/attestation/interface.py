"""Define what goes into and comes out of the verification of evidence.

Evidence is what a device says; what was read out of it stands in :mod:`watchword.attestation.claims`.
Formats authenticate and extract; whether the claims suffice is for :mod:`watchword.policy`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from watchword.attestation.claims import UnverifiedClaims
from watchword.encoding import base64url
from watchword.ports import RevocationStatus, TrustAnchors
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import AppAttestEnvironment, ApplePlatform, Distribution, Platform

MAX_EVIDENCE_BYTES = 64 * 1024
"""Most bytes of one piece of evidence; the largest real one has 5.9 kB."""


SEALED_PLATFORMS: Final = frozenset(
    {ApplePlatform.IOS, ApplePlatform.IPADOS, ApplePlatform.VISIONOS}
)
"""Where an iOS app runs unless its owner says otherwise: systems whose protection no user can switch off."""

_DISTRIBUTED_BY: Final[Mapping[AppAttestEnvironment, Distribution]] = {
    AppAttestEnvironment.PRODUCTION: Distribution.APP_STORE,
    AppAttestEnvironment.DEVELOPMENT: Distribution.DEVELOPMENT,
}


@dataclass(frozen=True, slots=True)
class AppleApp:
    """Name an iOS app: the App ID is ``team_id.bundle_id``.

    :param platforms: the systems that instances may run on.
    :param distribution: the ways by which they may have come onto the device; empty is the one way of the
        environment, see :attr:`distributed_by`.
    """

    team_id: str
    bundle_id: str
    environment: AppAttestEnvironment = AppAttestEnvironment.PRODUCTION
    platforms: frozenset[ApplePlatform] = SEALED_PLATFORMS
    distribution: frozenset[Distribution] = frozenset()

    @property
    def app_id(self) -> str:
        """Return Apple's App ID."""
        return f"{self.team_id}.{self.bundle_id}"

    @property
    def distributed_by(self) -> frozenset[Distribution]:
        """Return the ways by which the app may have come onto a device.

        Where none are listed it is one alone: the App Store, or development in that environment.
        """
        return self.distribution or frozenset({_DISTRIBUTED_BY[self.environment]})


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


class Attestation:
    """Be evidence that enrols an instance; each format has a class of its own below this one."""

    __slots__ = ()


class Renewal:
    """Be evidence that renews an instance; each format has a class of its own below this one."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AppAttestAttestation(Attestation):
    """Hold what ``DCAppAttestService.attestKey`` returned, and the key id it was called with."""

    attestation: bytes
    key_id: bytes


@dataclass(frozen=True, slots=True)
class AppAttestAssertion(Renewal):
    """Hold what ``DCAppAttestService.generateAssertion`` returned."""

    assertion: bytes


@dataclass(frozen=True, slots=True)
class AndroidKeyChain(Attestation):
    """Hold what ``KeyStore.getCertificateChain`` returned: DER certificates, leaf first."""

    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AndroidKeySignature(Renewal):
    """Hold an ECDSA-SHA256 signature (DER) by the attested key over a renewal statement."""

    signature: bytes


@dataclass(frozen=True, slots=True)
class PlayIntegrityToken(Attestation):
    """Hold what ``IntegrityTokenResponse.token()`` returned: a JWE in compact form, as ASCII."""

    token: bytes


@dataclass(frozen=True, slots=True)
class PlayIntegrityPayload(Attestation):
    """Hold a verdict that Google decoded for us and sent over TLS: ``tokenPayloadExternal`` as JSON."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class ProofKeySignature(Renewal):
    """Hold an ECDSA-SHA256 signature (DER) by the instance's proof key over a renewal statement.

    For formats whose evidence attests no key: the proof key was vouched for by the statement.

    :param attestation: evidence made anew and bound to the renewal statement, by which the vendor
        vouches for the instance again; None where only its key does.
    """

    signature: bytes
    attestation: Attestation | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """Hold what evidence must be bound to.

    :param binding: the exact bytes: SHA-256 of the statement in the service (protocol,
        section 1); a recorded challenge or client data hash in the offline verifier.  None
        leaves the binding unchecked, which only the offline verifier may ask for.
    :param app: None leaves the app unchecked, which only the offline verifier may ask for.
    :param fresh: False leaves unchecked how long ago the vendor spoke, which only the offline verifier
        may ask for: recorded evidence is old.
    """

    binding: bytes | None
    app: AppRegistration | None
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class PlayKeys:
    """Hold the response encryption keys of one app, from the Play Console.

    :param decryption: the AES-256 key that unwraps a token's content key; a secret.
    :param verification: SPKI DER of the P-256 key under which Google signs.
    """

    decryption: bytes = field(repr=False)
    verification: bytes


class IssuerCache(Protocol):
    """Remember issuers that were verified up to an anchor, so that they aren't verified again.

    What is remembered is true of the bytes, whoever sends them: signatures, names and CA flags. Dates,
    anchors and revocation are judged anew each time.
    """

    def find(self, digest: bytes) -> object | None:
        """Return what was remembered under this digest of the issuers' DER, None if nothing."""

    def remember(self, digest: bytes, value: object) -> None:
        """Remember a value; of too many, the one that was unused for the longest is forgotten."""

    def clear(self) -> None:
        """Forget everything, for example since the vendor's status list changed."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Hold whom the verifier believes.

    :param revocation: None leaves revocation unchecked (it is listed as such).
    :param issuers: None verifies every issuer each time.
    :param play_keys: by package; a package without keys has its tokens decoded by Google, or not at all.
    """

    anchors: TrustAnchors
    revocation: RevocationStatus | None = None
    issuers: IssuerCache | None = None
    play_keys: Mapping[str, PlayKeys] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one numbered step of a verification, for people who want to see each of them.

    :param number: as the format's page numbers it (``docs/formats``), for example ``4``.
    :param title: what is checked, in a few words; ``wanted``: what holds where it is in order.
    :param found: what was found; never a device's identifier.
    :param checked: False where the step was left out, because nothing was expected.
    """

    number: str
    title: str
    wanted: str
    found: str
    refusals: tuple[Refusal, ...] = ()
    checked: bool = True


@dataclass(frozen=True, slots=True)
class Examination:
    """Hold a verification with everything that was found, for reports; no refusal is success.

    :param claims: None when the evidence couldn't be read far enough.
    :param steps: in the order of the format's page; the refusals are those of the steps.
    """

    claims: UnverifiedClaims | None
    steps: tuple[Step, ...]

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Return everything that is wrong, in the order of the steps."""
        return tuple(refusal for step in self.steps for refusal in step.refusals)


class EvidenceFormat(Protocol):
    """Verify one vendor's evidence; one file under ``formats/``, one line in ``registry.py``.

    Public: an operator adds a format of a provider of their own by an entry point
    (docs/formats/own.md).  An implementation is pure: no I/O, no clock, no randomness; whatever the
    bytes, nothing but :class:`MalformedError` comes out of it.
    """

    @property
    def name(self) -> str:
        """Return the name on the wire, for example ``app-attest``."""

    @property
    def platform(self) -> Platform:
        """Return the platform that produces it."""

    @property
    def evidence_types(self) -> tuple[type, ...]:
        """Return the classes of evidence, of attestations and renewals, that it verifies."""

    @property
    def attested_key_proves(self) -> bool:
        """Tell whether the attested key itself signs requests; else the statement brings a proof key."""

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
    :param app_version: as stated by the evidence, None if it states none; ``distribution`` likewise.
    """

    counter: int | None
    refusals: tuple[Refusal, ...]
    app_version: str | None = None
    distribution: Distribution | None = None


MAX_AGE: Final = timedelta(minutes=10)
"""How old a verdict may be: twice the life of a challenge, which the verdict is bound to."""

CLOCK_LEEWAY: Final = timedelta(seconds=60)
"""How far in the future a statement may lie, since clocks differ."""


def age_refusals(
    stated_at: datetime,
    now: datetime,
    max_age: timedelta = MAX_AGE,
    reason: Reason = Reason.EVIDENCE_AGE,
) -> tuple[Refusal, ...]:
    """Return what is wrong with a statement of that time: too old, or made in the future.

    :param reason: the reason of a vendor's own; providers that an operator adds leave it.
    """
    age = now - stated_at
    if -CLOCK_LEEWAY <= age <= max_age:
        return ()
    got = f"made {describe_age(age)}"
    most = int(max_age.total_seconds())
    return (Refusal(reason, f"got one {got}, expected one of the last {most} s"),)


def describe_age(age: timedelta) -> str:
    """Return an age for people, in seconds: ``3 s ago``, or ``70 s ahead``."""
    seconds = int(age.total_seconds())
    return f"{seconds} s ago" if seconds >= 0 else f"{-seconds} s ahead"


FORMAT = "format"
"""The member that names the format; it was read to find the format, and may stay in."""


def expect_members(members: Mapping[str, Any], names: Collection[str]) -> None:
    """Require exactly these members, and ``format`` at will.

    :raises MalformedError: with ``evidence.malformed``.
    """
    got = set(members) - {FORMAT}
    if got != set(names):
        # Names of unknown members are the sender's own text and stay out of the detail.
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED,
            f"got {len(got)} members, expected exactly: {', '.join(sorted(names))}",
        )


def read_bytes(name: str, value: Any) -> bytes:
    """Return the bytes of a member in base64url.

    :raises MalformedError: with ``evidence.malformed``.
    """
    if not isinstance(value, str):
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, f"{name}: got {type(value).__name__}, expected base64url"
        )
    try:
        return base64url.decode(value, limit=MAX_EVIDENCE_BYTES)
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, name) from None


def platform_refusals(got: Platform, app: AppRegistration | None) -> tuple[Refusal, ...]:
    """Return what is wrong with evidence of this platform for the app; without an app, nothing is."""
    if app is None or app.platform is got:
        return ()
    return (Refusal(Reason.EVIDENCE_PLATFORM, f"got evidence of {got}, expected {app.platform}"),)
