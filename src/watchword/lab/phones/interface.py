"""Define what a simulated phone is, and what is installed on it.

A phone fits the reference client's ``Device`` protocol without importing it.  Its keys belong to
the lab's seed, the phone's name and a generation that each enrolment raises, so that a phone
can be put back as it was from those three and its counter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from watchword.lab.authorities import LabAuthorities
from watchword.lab.keys import open_sealed, public_jwk, sign_message
from watchword.ports import Clock
from watchword.reasons import Reason
from watchword.vocabulary import AppAttestEnvironment, Level, Platform


@dataclass(frozen=True, slots=True)
class InstalledIosApp:
    """Name the app on an iPhone; ``version`` is the CFBundleVersion."""

    team_id: str
    bundle_id: str
    version: str = "1"
    environment: AppAttestEnvironment = AppAttestEnvironment.PRODUCTION

    @property
    def app_id(self) -> str:
        """Return Apple's App ID."""
        return f"{self.team_id}.{self.bundle_id}"


@dataclass(frozen=True, slots=True)
class InstalledAndroidApp:
    """Name the app on an Android phone.

    :param signing_digests: SHA-256 of each signing certificate, 32 bytes each.
    :param version_code: the manifest's versionCode.
    """

    package: str
    signing_digests: tuple[bytes, ...]
    version_code: int = 1


InstalledApp = InstalledIosApp | InstalledAndroidApp


@dataclass(frozen=True, slots=True)
class PhoneSetup:
    """Hold what makes one phone of a kind that phone and no other.

    :param name: phones of two names have different keys.
    :param generation: how often it made new keys; a phone that was never enrolled has 0.
    :param counter: App Attest's counter of the present key.
    """

    authorities: LabAuthorities
    clock: Clock
    name: str
    generation: int = 0
    counter: int = 0


class Phone(Protocol):
    """Be a phone with one app on it."""

    @property
    def generation(self) -> int:
        """Return how often it made new keys."""

    @property
    def counter(self) -> int:
        """Return how many assertions the present key made; 0 where the platform has none."""

    @property
    def proof_jwk(self) -> Mapping[str, str] | None:
        """Return the public proof key; None on Android, where the attested key is the proof key."""

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """Return the public key to which secrets for this instance are sealed."""

    def create_keys(self) -> None:
        """Make new keys for a new enrolment; the old ones are gone."""

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return evidence that is bound to ``binding``, as the wire's ``evidence`` member.

        :param binding: SHA-256 of the statement, or any bytes for a verifier of one's own.
        """

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return renewal evidence over ``statement``, as the wire's ``evidence`` member."""

    def sign(self, message: bytes) -> bytes:
        """Return ECDSA-SHA256 over ``message`` by the proof key, DER."""

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Return what was sealed to the seal key with this info (HPKE).

        :raises ValueError: if it wasn't.
        """


class PhoneKeys:
    """Keep the keys of a phone: each belongs to its name, its generation and a purpose."""

    signs_with = "proof"
    """Purpose of the key that signs requests."""

    def __init__(self, setup: PhoneSetup) -> None:
        """Take the keys of the setup's generation."""
        self._setup = setup
        self.generation = setup.generation

    @property
    def seal_jwk(self) -> Mapping[str, str]:
        """Return the public key to which secrets for this instance are sealed."""
        return public_jwk(self._key("seal").public_key())

    def create_keys(self) -> None:
        """Make new keys for a new enrolment."""
        self.generation += 1

    def sign(self, message: bytes) -> bytes:
        """Return a signature of a request by the proof key."""
        return sign_message(self._key(self.signs_with), message)

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Return what was sealed to the seal key.

        :raises ValueError: if it wasn't.
        """
        return open_sealed(self._key("seal"), info, sealed)

    def _key(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        """Return the present generation's key for one purpose."""
        label = f"{self._setup.name}/{self.generation}/{purpose}"
        return self._setup.authorities.phone_key(label)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Say what a verifier must make of a kind of phone, under the policy ``balanced``.

    Written from what the phone is, not from what the verifier says: the tests hold the two together.

    :param level: the level that is granted; ``none`` for a phone that is refused.
    :param reasons: all that must be held against it, what gives it away first.
    :param leniencies: the deviations of real devices that must be let pass, and told.
    """

    level: Level = Level.HARDWARE
    reasons: tuple[Reason, ...] = ()
    leniencies: tuple[str, ...] = ()

    @classmethod
    def refused(cls, *reasons: Reason) -> "Expectation":
        """Return the expectation of a phone that gets nothing."""
        return cls(Level.NONE, reasons)


ACCEPTED: Final = Expectation()
"""What a genuine phone in its maker's state gets: level ``hardware``, and nothing against it."""


class PhoneModel(Protocol):
    """Be one kind of phone; its registry line is its name."""

    @property
    def expected(self) -> Expectation:
        """Say what a verifier must make of it."""

    @property
    def platform(self) -> Platform:
        """Return the operating system."""

    @property
    def summary(self) -> str:
        """Say in one line what it is."""

    def build(self, app: InstalledApp, setup: PhoneSetup) -> Phone:
        """Return a phone of this kind with ``app`` on it.

        :raises ValueError: if the app is one of another platform.
        """
