"""Simulate Android phones: key attestation by a TEE, a StrongBox, or an emulator's software.

Written from source.android.com "Key and ID attestation" (KeyDescription, versions 1 to 500, as devices write it) and
developer.android.com "Verify hardware-backed key pairs with key attestation".  Certificates are put together the ordinary
way, by a legal attest key, or forged: each scheme is one function, and one line in :data:`SCHEMES`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from watchword.encoding import base64url
from watchword.lab import der
from watchword.lab.android_authorities import Emulated, Factory, Remote, Supply, issue_leaf
from watchword.lab.android_authorities import sub_keybox as issue_sub_keybox
from watchword.lab.certificates import Authority, Usage
from watchword.lab.keys import derive_bytes
from watchword.lab.phones.interface import (
    ACCEPTED,
    Expectation,
    InstalledAndroidApp,
    InstalledApp,
    PhoneKeys,
    PhoneSetup,
)
from watchword.vocabulary import Platform

# The tags of an AuthorizationList.
_PURPOSE: Final = 1
_ALGORITHM: Final = 2
_KEY_SIZE: Final = 3
_DIGEST: Final = 5
_EC_CURVE: Final = 10
_NO_AUTH_REQUIRED: Final = 503
_CREATION_DATE_TIME: Final = 701
_ORIGIN: Final = 702
_ROOT_OF_TRUST: Final = 704
_OS_VERSION: Final = 705
_OS_PATCH_LEVEL: Final = 706
_ATTESTATION_APPLICATION_ID: Final = 709
_VENDOR_PATCH_LEVEL: Final = 718
_BOOT_PATCH_LEVEL: Final = 719
_MODULE_HASH: Final = 724

_ALGORITHM_EC: Final = 3
_SHA_256: Final = 4
_P_256: Final = 1

_RELEASES: Final = {
    1: (2, 70000),
    2: (3, 80000),
    3: (4, 90000),
    4: (41, 110000),
    100: (100, 120000),
    200: (200, 130000),
    300: (300, 160000),
    400: (400, 160000),
    500: (500, 170000),
}
"""By attestationVersion: keymasterVersion (keyMintVersion), and an Android version that has it."""

_HASHES_SYSTEM_FROM: Final = 3
"""First version with verifiedBootHash and the patch levels of vendor and boot."""

_HASHES_MODULES_FROM: Final = 400
"""First version with moduleHash."""

_SLOPPY_TRUE: Final = 0x01


class SecurityLevel(IntEnum):
    """Number where a key lives (SecurityLevel of the schema)."""

    SOFTWARE = 0
    TRUSTED_ENVIRONMENT = 1
    STRONG_BOX = 2


class BootState(IntEnum):
    """Number who vouches for the system (VerifiedBootState of the schema)."""

    VERIFIED = 0
    SELF_SIGNED = 1
    UNVERIFIED = 2
    FAILED = 3


class Purpose(IntEnum):
    """Number what a key may do (KeyPurpose)."""

    DECRYPT = 1
    SIGN = 2
    ATTEST_KEY = 7


class Origin(IntEnum):
    """Number where a key comes from (KeyOrigin)."""

    GENERATED = 0
    IMPORTED = 2


class Quirk(Enum):
    """Name a deviation of real devices.

    ``sloppy``: TRUE as 0x01, and tags that don't ascend (Xiaomi); ``unknown_app``: Keystore doesn't
    get to know which app asks, and says so (AOSP, ``keystore_attestation_id.cpp``).
    """

    SLOPPY = "sloppy"
    UNKNOWN_APP = "unknown_app"


@dataclass(frozen=True, slots=True)
class Boot:
    """Hold a RootOfTrust.

    :param key: verifiedBootKey; :param hash: verifiedBootHash; 32 bytes each.
    """

    locked: bool
    state: BootState
    key: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold what a phone states of a key and of itself.

    :param attester: where the attesting key lives; ``keeper``: where the attested key lives.
    :param boot: None where nobody knows how the system was started.
    :param patched: the month of the system's patch level.
    :param purposes: what the key may do.
    """

    attester: SecurityLevel
    keeper: SecurityLevel
    version: int
    boot: Boot | None
    patched: datetime
    purposes: tuple[Purpose, ...] = (Purpose.SIGN,)
    origin: Origin = Origin.GENERATED
    quirks: frozenset[Quirk] = frozenset()


def key_description(
    statement: Statement, *, challenge: bytes, app: InstalledAndroidApp, now: datetime
) -> bytes:
    """Return the extension's DER.

    Hardware states the key's properties and the root of trust in the hardware list. Without
    hardware all that is stated stands in the software list, without a root of trust.
    """
    named_by_system = {
        _CREATION_DATE_TIME: der.integer(int(now.timestamp() * 1000)),
        _ATTESTATION_APPLICATION_ID: der.octet_string(_application_id(app, statement.quirks)),
    }
    if statement.version >= _HASHES_MODULES_FROM:
        modules = derive_bytes(b"the modules of a system", "lab", 32)
        named_by_system[_MODULE_HASH] = der.octet_string(modules)
    properties = _key_properties(statement)
    if statement.keeper is SecurityLevel.SOFTWARE:
        software, hardware = properties | named_by_system, {}
    else:
        software, hardware = named_by_system, properties
        if statement.boot is not None:
            hardware = hardware | {_ROOT_OF_TRUST: _root_of_trust(statement, statement.boot)}
    return der.sequence(
        der.integer(statement.version),
        der.enumerated(statement.attester),
        der.integer(_RELEASES[statement.version][0]),
        der.enumerated(statement.keeper),
        der.octet_string(challenge),
        der.octet_string(b""),
        _authorization_list(software, statement.quirks),
        _authorization_list(hardware, statement.quirks),
    )


def _key_properties(statement: Statement) -> dict[int, bytes]:
    """Return what is said of a P-256 key and of the system around it."""
    at = statement.patched
    properties = {
        _PURPOSE: der.set_of(der.integer(purpose) for purpose in statement.purposes),
        _ALGORITHM: der.integer(_ALGORITHM_EC),
        _KEY_SIZE: der.integer(256),
        _DIGEST: der.set_of([der.integer(_SHA_256)]),
        _EC_CURVE: der.integer(_P_256),
        _NO_AUTH_REQUIRED: der.NULL,
        _ORIGIN: der.integer(statement.origin),
        _OS_VERSION: der.integer(_RELEASES[statement.version][1]),
        _OS_PATCH_LEVEL: der.integer(at.year * 100 + at.month),
    }
    if statement.version >= _HASHES_SYSTEM_FROM:
        day = der.integer(at.year * 10_000 + at.month * 100 + 1)
        properties |= {_VENDOR_PATCH_LEVEL: day, _BOOT_PATCH_LEVEL: day}
    return properties


def _root_of_trust(statement: Statement, boot: Boot) -> bytes:
    """Encode RootOfTrust."""
    true = _SLOPPY_TRUE if Quirk.SLOPPY in statement.quirks else 0xFF
    members = [
        der.octet_string(boot.key),
        der.boolean(boot.locked, true=true),
        der.enumerated(boot.state),
    ]
    if statement.version >= _HASHES_SYSTEM_FROM:
        members.append(der.octet_string(boot.hash))
    return der.sequence(*members)


def _application_id(app: InstalledAndroidApp, quirks: frozenset[Quirk]) -> bytes:
    """Encode AttestationApplicationId: packages of the uid, and their signing certificates."""
    if Quirk.UNKNOWN_APP in quirks:
        unknown = der.sequence(der.octet_string(b"UnknownPackage"), der.integer(1))
        return der.sequence(der.set_of([unknown]), der.set_of([]))
    package = der.sequence(der.octet_string(app.package.encode()), der.integer(app.version_code))
    return der.sequence(
        der.set_of([package]), der.set_of(der.octet_string(d) for d in app.signing_digests)
    )


def _authorization_list(entries: dict[int, bytes], quirks: frozenset[Quirk]) -> bytes:
    """Encode an AuthorizationList, tags ascending unless the device doesn't care."""
    tags = sorted(entries)
    if Quirk.SLOPPY in quirks:
        tags.reverse()
    return der.sequence(*(der.explicit(tag, entries[tag]) for tag in tags))


@dataclass(frozen=True, slots=True)
class Bench:
    """Hold what a phone has at hand when an app asks for a chain.

    :param issuer: the phone's attestation key; ``above``: its certificate and those above, as DER.
    :param key: the app's key, whoever holds its private part; ``further``: another key of the same app.
    :param locked: the root of trust of a phone in its maker's state.
    """

    issuer: Authority
    above: tuple[bytes, ...]
    key: ec.EllipticCurvePublicKey
    further: ec.EllipticCurvePrivateKey
    statement: Statement
    locked: Boot
    unlocked: Boot
    app: InstalledAndroidApp
    challenge: bytes
    now: datetime

    def describe(
        self, statement: Statement | None = None, app: InstalledAndroidApp | None = None
    ) -> bytes:
        """Return a KeyDescription over the challenge; None stands for what is true."""
        return key_description(
            statement or self.statement,
            challenge=self.challenge,
            app=app or self.app,
            now=self.now,
        )


class Scheme(StrEnum):
    """Name how the certificates below the attestation key come about."""

    PLAIN = "plain"
    STRAY_NULL = "stray-null"
    ZERO_BYTE = "zero-byte"
    ATTEST_KEY = "attest-key"
    FOREIGN_ATTEST_KEY = "foreign-attest-key"
    FORGED = "forged"
    FORGED_BY_BOTH = "forged-by-both"
    MOVED = "moved"
    UNTITLED = "untitled"
    SUB_KEYBOX = "sub-keybox"


def plain(bench: Bench) -> tuple[bytes, ...]:
    """Have the attestation key certify the app's key: what nearly every phone does."""
    return (issue_leaf(bench.issuer, bench.key, bench.describe()),)


def stray_null(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with Titan M's two surplus bytes, at which strict parsers stop."""
    return (bench.issuer.sign_with_stray_null(*plain(bench)),)


def zero_byte(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with Huawei's extension of CRL addresses, whose content is a single zero byte."""
    addresses = x509.UnrecognizedExtension(x509.CRLDistributionPoints.oid, b"\x00")
    leaf = issue_leaf(bench.issuer, bench.key, bench.describe(), further=((addresses, False),))
    return (leaf,)


def untitled(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with an issuer that is named by its number alone, without its title (Keymaster 3)."""
    subject = bench.issuer.certificate.subject
    numbered = x509.Name([each for each in subject if each.oid != NameOID.TITLE])
    leaf = issue_leaf(bench.issuer, bench.key, bench.describe(), issuer_name=numbered)
    return (leaf,)


def attest_key(bench: Bench) -> tuple[bytes, ...]:
    """Have a key of the app with purpose ATTEST_KEY, and no other, certify the app's key (KeyMint).

    Legal and stated by the hardware; whether such an app key is enough is for a policy.
    """
    return _below_attest_key(bench, bench.statement)


def foreign_attest_key(bench: Bench) -> tuple[bytes, ...]:
    """Have it certified by an attest key whose hardware states another root of trust."""
    return _below_attest_key(bench, replace(bench.statement, boot=bench.unlocked))


def _below_attest_key(bench: Bench, attester: Statement) -> tuple[bytes, ...]:
    attester = replace(attester, purposes=(Purpose.ATTEST_KEY,))
    above = issue_leaf(
        bench.issuer,
        bench.further.public_key(),
        bench.describe(attester),
        usage=Usage.CERTIFICATES,
    )
    leaf = issue_leaf(_as_issuer(above, bench), bench.key, bench.describe())
    return leaf, above


def forged(bench: Bench) -> tuple[bytes, ...]:
    """Sign a further certificate with an attested signing key, and state whatever is wanted in it.

    The attack on verifiers that take the description from the first certificate without a look at the
    others: the phone is unlocked and the attested key belongs to the attacker's own app.
    """
    return _forged_by(bench, (Purpose.SIGN,))


def forged_by_both(bench: Bench) -> tuple[bytes, ...]:
    """Do the same with a key that may sign and attest; KeyMint refuses to make one.

    The attack on verifiers that only look for ATTEST_KEY among the purposes.
    """
    return _forged_by(bench, (Purpose.SIGN, Purpose.ATTEST_KEY))


def _forged_by(bench: Bench, purposes: tuple[Purpose, ...]) -> tuple[bytes, ...]:
    own_app = InstalledAndroidApp("com.example.attacker", (bytes(32),))
    true = bench.describe(replace(bench.statement, purposes=purposes), own_app)
    usage = Usage.CERTIFICATES if Purpose.ATTEST_KEY in purposes else Usage.DATA
    honest = issue_leaf(bench.issuer, bench.further.public_key(), true, usage=usage)
    wanted = bench.describe(replace(bench.statement, boot=bench.locked))
    return issue_leaf(_as_issuer(honest, bench), bench.key, wanted), honest


def moved(bench: Bench) -> tuple[bytes, ...]:
    """Sign a further certificate without any description.

    The attack on verifiers that take the description nearest to the root: it is true, and says nothing of
    the leaf's key, which lives in software.
    """
    honest = issue_leaf(bench.issuer, bench.further.public_key(), bench.describe())
    return issue_leaf(_as_issuer(honest, bench), bench.key, None), honest


def sub_keybox(bench: Bench) -> tuple[bytes, ...]:
    """Have a key that leaked certify an attestation key of the thief's own, and that one the app's.

    The attack on verifiers that don't count: its serial is in no status list, and there can be one for each
    buyer.
    """
    own = issue_sub_keybox(bench.issuer, "StrongBox")
    return issue_leaf(own, bench.key, bench.describe()), own.der


def _as_issuer(certificate: bytes, bench: Bench) -> Authority:
    """Let the app's further key sign certificates, whether or not it may."""
    return Authority(x509.load_der_x509_certificate(certificate), bench.further)


SCHEMES: Final[Mapping[Scheme, Callable[[Bench], tuple[bytes, ...]]]] = MappingProxyType(
    {
        Scheme.PLAIN: plain,
        Scheme.STRAY_NULL: stray_null,
        Scheme.ZERO_BYTE: zero_byte,
        Scheme.ATTEST_KEY: attest_key,
        Scheme.FOREIGN_ATTEST_KEY: foreign_attest_key,
        Scheme.FORGED: forged,
        Scheme.FORGED_BY_BOTH: forged_by_both,
        Scheme.MOVED: moved,
        Scheme.UNTITLED: untitled,
        Scheme.SUB_KEYBOX: sub_keybox,
    }
)
"""Name of each scheme, and what makes the certificates below the attestation key's own."""


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


class AndroidPhone(PhoneKeys):
    """Hold an app's attested key and seal key, as the system's Keystore would."""

    counter = 0  # Android keys don't count.
    signs_with = "attested"  # A challenge goes into an Android key when it is made, and only then.

    def __init__(self, app: InstalledAndroidApp, setup: PhoneSetup, model: "AndroidModel") -> None:
        """Switch the phone on."""
        super().__init__(setup)
        self._app = app
        self._model = model

    def __repr__(self) -> str:
        """Name the phone, without its keys."""
        return f"AndroidPhone(name={self._setup.name!r}, app={self._app.package!r})"

    @property
    def proof_jwk(self) -> None:
        """Return None: the attested key is the proof key, and is made after the statement."""
        return

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return a certificate chain with ``attestationChallenge = binding``."""
        chain = self.certificate_chain(binding)
        return {"format": "android-key", "chain": [base64url.encode(der) for der in chain]}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return a signature by the attested key over the prefixed statement."""
        signature = self.sign(RENEWAL_PREFIX + statement)
        return {"format": "android-key", "signature": base64url.encode(signature)}

    def certificate_chain(
        self, challenge: bytes, key: ec.EllipticCurvePublicKey | None = None
    ) -> tuple[bytes, ...]:
        """Return what ``KeyStore.getCertificateChain`` gives an app: DER, leaf first.

        :param key: a key that is held elsewhere; None for the phone's own.
        """
        model, now = self._model, self._setup.clock.now()
        issuer, above = self._setup.authorities.android.issuers(model.supply, self._setup.name, now)
        bench = Bench(
            issuer=issuer,
            above=above,
            key=key or self._key("attested").public_key(),
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

    def in_tee(self) -> "AndroidModel":
        """Return the same phone as it keeps a key for which no StrongBox was asked: every one with a chip has a TEE too."""
        if self.security is not SecurityLevel.STRONG_BOX or isinstance(self.supply, Emulated):
            return self
        supply = replace(self.supply, title="TEE")
        return replace(self, security=SecurityLevel.TRUSTED_ENVIRONMENT, supply=supply)

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
