"""Simulate Android phones: key attestation by a TEE, a StrongBox, or an emulator's software.

Written from source.android.com "Key and ID attestation" (KeyDescription) and
developer.android.com "Verify hardware-backed key pairs with key attestation".
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from watchword.encoding import base64url
from watchword.lab.android_authorities import Factory, Remote, Supply
from watchword.lab.keys import derive_bytes, open_sealed, public_jwk, sign_message
from watchword.lab.phones.android_chains import SCHEMES, Bench, Scheme
from watchword.lab.phones.interface import (
    ACCEPTED,
    Expectation,
    InstalledAndroidApp,
    InstalledApp,
    PhoneSetup,
)
from watchword.lab.phones.key_description import (
    Boot,
    BootState,
    Origin,
    Purpose,
    Quirk,
    SecurityLevel,
    Statement,
)
from watchword.vocabulary import Platform

RENEWAL_PREFIX: Final = b"watchword/renew/v1\x00"
"""What stands before a renewal statement under the attested key's signature."""

OTHER_SYSTEM_BOOT_KEY: Final = hashlib.sha256(
    b"Watchword Lab GrapheneOS boot key - not for production"
).digest()
"""verifiedBootKey of the lab's GrapheneOS, in every lab the same: a policy can list it."""

_COMMON_BATCH: Final = Factory()
_MONTH: Final = timedelta(days=30.44)


class System(StrEnum):
    """Name what was started on a phone, as its root of trust states it."""

    MAKERS = "makers"
    GRAPHENEOS = "grapheneos"
    UNLOCKED = "unlocked"
    FAILED = "failed"
    UNSTATED = "unstated"


class AppOnIt(StrEnum):
    """Name what stands on the phone in place of the app as it is shipped."""

    GENUINE = "genuine"
    REPACKAGED = "repackaged"
    COPYCAT = "copycat"
    DOWNGRADED = "downgraded"


class AndroidPhone:
    """Hold an app's attested key and seal key, as the system's Keystore would."""

    counter = 0  # Android keys don't count.

    def __init__(self, app: InstalledAndroidApp, setup: PhoneSetup, model: "AndroidModel") -> None:
        """Switch the phone on."""
        self._app = app
        self._setup = setup
        self._model = model
        self.generation = setup.generation

    def __repr__(self) -> str:
        """Name the phone, without its keys."""
        return f"AndroidPhone(name={self._setup.name!r}, app={self._app.package!r})"

    @property
    def proof_jwk(self) -> None:
        """Return None: the attested key is the proof key, and is made after the statement."""
        return

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return the public key to which secrets for this instance are sealed."""
        return public_jwk(self._key("seal").public_key())

    def create_keys(self) -> None:
        """Make new keys: a challenge goes into an Android key when it is made, and only then."""
        self.generation += 1

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return a certificate chain with ``attestationChallenge = binding``."""
        chain = self.certificate_chain(binding)
        return {"format": "android-key", "chain": [base64url.encode(der) for der in chain]}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return a signature by the attested key over the prefixed statement."""
        signature = self.sign(RENEWAL_PREFIX + statement)
        return {"format": "android-key", "signature": base64url.encode(signature)}

    def sign(self, message: bytes) -> bytes:
        """Return a signature of a request by the attested key, which is the proof key."""
        return sign_message(self._key("attested"), message)

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Return what was sealed to the seal key.

        :raises ValueError: if it wasn't.
        """
        return open_sealed(self._key("seal"), info, sealed)

    def certificate_chain(self, challenge: bytes) -> tuple[bytes, ...]:
        """Return what ``KeyStore.getCertificateChain`` gives an app: DER, leaf first."""
        model, now = self._model, self._setup.clock.now()
        issuer, above = self._setup.authorities.android.issuers(model.supply, self._setup.name, now)
        bench = Bench(
            issuer=issuer,
            above=above,
            key=self._key("attested"),
            further=self._key("further"),
            statement=self._statement(now),
            locked=self._maker_boot(),
            unlocked=self._unlocked_boot(),
            app=self._app,
            challenge=challenge,
            now=now,
        )
        return (*SCHEMES[model.scheme](bench), *above)

    @property
    def attestation_serial(self) -> str:
        """Return the serial, in hex, of the certificate by which the phone attests at present."""
        issuer, _ = self._setup.authorities.android.issuers(
            self._model.supply, self._setup.name, self._setup.clock.now()
        )
        return issuer.serial_hex

    def _statement(self, now: datetime) -> Statement:
        """Return what the phone states of the app's key and of itself."""
        model = self._model
        return Statement(
            attester=model.security if model.attester is None else model.attester,
            keeper=model.security,
            version=model.version,
            boot=self._boot(model.system),
            patched=now + model.months_ahead * _MONTH,
            purposes=model.purposes,
            origin=model.origin,
            quirks=model.quirks,
        )

    def _boot(self, system: System) -> Boot | None:
        if system is System.UNSTATED:
            return None
        if system is System.UNLOCKED:
            return self._unlocked_boot()
        maker = self._maker_boot()
        if system is System.GRAPHENEOS:
            return replace(maker, state=BootState.SELF_SIGNED, key=OTHER_SYSTEM_BOOT_KEY)
        return replace(maker, state=BootState.FAILED) if system is System.FAILED else maker

    def _maker_boot(self) -> Boot:
        """Return the root of trust of a locked phone with its maker's boot key."""
        seed = self._setup.authorities.seed
        return Boot(
            locked=True,
            state=BootState.VERIFIED,
            key=derive_bytes(seed, "boot-key", 32),
            hash=derive_bytes(seed, "boot-hash", 32),
        )

    def _unlocked_boot(self) -> Boot:
        """Return what an unlocked phone states: zeros for a key."""
        maker = self._maker_boot()
        return replace(maker, locked=False, state=BootState.UNVERIFIED, key=bytes(32))

    def _key(self, purpose: str) -> ec.EllipticCurvePrivateKey:
        """Return the present generation's key for one purpose."""
        label = f"{self._setup.name}/{self.generation}/{purpose}"
        return self._setup.authorities.phone_key(label)


@dataclass(frozen=True, slots=True)
class AndroidModel:
    """Describe one kind of Android phone.

    :param supply: how it came by its attestation key, and under which root.
    :param scheme: how the certificates below that key come about.
    :param security: where the app's key lives; ``attester``: where the attesting key lives, None for
        the same place.
    :param version: attestationVersion.
    :param months_ahead: age of the patch levels: 0 for this month's, negative for older ones.
    """

    summary: str
    expected: Expectation = ACCEPTED
    supply: Supply = _COMMON_BATCH
    scheme: Scheme = Scheme.PLAIN
    security: SecurityLevel = SecurityLevel.TRUSTED_ENVIRONMENT
    attester: SecurityLevel | None = None
    version: int = 300
    system: System = System.MAKERS
    months_ahead: int = 0
    purposes: tuple[Purpose, ...] = (Purpose.SIGN,)
    origin: Origin = Origin.GENERATED
    quirks: frozenset[Quirk] = frozenset()
    app: AppOnIt = AppOnIt.GENUINE

    @property
    def platform(self) -> Platform:
        """Return the operating system."""
        return Platform.ANDROID

    @property
    def own_key(self) -> bool:
        """Tell whether each phone of this kind has an attestation key that no other one has."""
        return isinstance(self.supply, Remote) and self.supply.device is None

    def build(self, app: InstalledApp, setup: PhoneSetup) -> AndroidPhone:
        """Return an Android phone of this kind with ``app``, or what goes for it, on it.

        :raises ValueError: if the app is one for iOS.
        """
        if not isinstance(app, InstalledAndroidApp):
            raise ValueError("got an app for iOS, expected one for Android")  # noqa: TRY004
        return AndroidPhone(_installed(app, self.app), setup, self)


def _installed(app: InstalledAndroidApp, instead: AppOnIt) -> InstalledAndroidApp:
    """Return what is really on the phone."""
    someone_elses = hashlib.sha256(b"the repackager's certificate").digest()
    if instead is AppOnIt.REPACKAGED:
        return replace(app, signing_digests=(someone_elses,))
    if instead is AppOnIt.COPYCAT:
        return replace(app, package=f"{app.package}.copycat", signing_digests=(someone_elses,))
    if instead is AppOnIt.DOWNGRADED:
        return replace(app, version_code=max(app.version_code - 1, 0))
    return app
