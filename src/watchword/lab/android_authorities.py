"""Play Google and the makers of Android phones: roots, factories, remote provisioning, emulators.

Names, lengths, extensions and dates follow what real phones send (github.com/android/keyattestation,
its test data of 2016 to 2026); the marker of the lab is in every name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from watchword.lab.certificates import (
    LONG,
    MARKER,
    Authority,
    Extension,
    Issuer,
    Usage,
    Validity,
    marked_name,
    rsa_root,
)
from watchword.lab.keys import derive_bytes, derive_decimal_serial, derive_serial

_KEY_DESCRIPTION: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")
_PROVISIONING_INFO: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.30")

LEAF_VALIDITY: Final[Validity] = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2048, 1, 1, tzinfo=UTC),
)
"""What leaves of Android devices carry: the secure world has no clock."""

FIRST_ROOT: Final[Validity] = (
    datetime(2016, 5, 26, 16, 28, 52, tzinfo=UTC),
    datetime(2026, 5, 24, 16, 28, 52, tzinfo=UTC),
)
"""Dates of the first copy of Google's RSA root, which most phones in the field send to this day."""

_ENDED: Final[Validity] = (
    datetime(2016, 5, 26, 16, 41, 29, tzinfo=UTC),
    datetime(2026, 5, 24, 16, 41, 29, tzinfo=UTC),
)

_PERIOD: Final = timedelta(days=14)
_MARGIN: Final = timedelta(days=7)


class Root(StrEnum):
    """Name a root of the simulated Google: two keys, one of them also in a copy that ended."""

    P384 = "p384"
    RSA = "rsa"
    RSA_ENDED = "rsa-ended"


@dataclass(frozen=True, slots=True)
class Factory:
    """Say that keys were put in at the factory: one attestation key for a batch of phones.

    :param batch: phones of one batch share their attestation key, and its certificate's serial.
    :param title: ``TEE`` or ``StrongBox``.
    :param ended: the certificates' dates have passed; such keys can't be certified again.
    :param marked_ca: False for makers that forgot to mark the attestation key as a CA.
    """

    batch: str = "batch"
    title: str = "TEE"
    root: Root = Root.P384
    ended: bool = False
    marked_ca: bool = True


@dataclass(frozen=True, slots=True)
class Remote:
    """Say that a phone gets a fresh attestation key of its own every two weeks.

    :param device: whose attestation key it is; None for the phone's own.
    :param issued: how many certificates Google issued to the device in 30 days, as its own
        extension tells.
    :param with_root: False for phones that leave the root out.
    :param ended: the phone kept its keys beyond their time.
    """

    title: str = "TEE"
    root: Root = Root.P384
    device: str | None = None
    issued: int = 32
    with_root: bool = True
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Emulated:
    """Say that the chain ends at the root that is known to vouch for nothing but software."""


Supply = Factory | Remote | Emulated
"""How a phone came by its attestation key."""


@dataclass(frozen=True)
class AndroidAuthorities:
    """Hold what vouches for simulated Android phones, each part made when it is first needed."""

    seed: bytes = field(repr=False)

    @cached_property
    def root(self) -> Authority:
        """Return the P-384 root, Google's second."""
        name = marked_name("Lab Key Attestation CA1")
        return Authority.self_signed(self.seed, "android-root", name, ec.SECP384R1())

    @cached_property
    def rsa_root(self) -> Issuer:
        """Return the RSA-4096 root in a copy that is valid; Google's first is named by number."""
        serial = derive_bytes(self.seed, "name/android-rsa-root", 8).hex()
        return rsa_root(self.seed, "android-rsa-root", _numbered_name(serial))

    @cached_property
    def ended_rsa_root(self) -> Issuer:
        """Return the copy of the RSA root whose dates have passed."""
        return self.rsa_root.reissued(
            derive_serial(self.seed, "android-rsa-root-ended"), FIRST_ROOT
        )

    @cached_property
    def software_root(self) -> Authority:
        """Return what emulators end at."""
        name = marked_name("Lab Software Attestation Root")
        return Authority.self_signed(self.seed, "software-root", name, ec.SECP256R1())

    @cached_property
    def software_intermediate(self) -> Authority:
        """Return what signs the leaves of emulators."""
        name = marked_name("Lab Software Intermediate")
        return self.software_root.subordinate(
            self.seed, "software-intermediate", name, ec.SECP256R1()
        )

    def issuers(
        self, supply: Supply, device: str, now: datetime
    ) -> tuple[Authority, tuple[bytes, ...]]:
        """Return what signs a phone's leaves, and the chain above them as DER.

        :param device: names the phone, for keys that no other phone shares.
        """
        if isinstance(supply, Emulated):
            software = self.software_intermediate
            return software, (software.der, self.software_root.der)
        if isinstance(supply, Remote):
            return self._remote(supply, device, now)
        if supply not in self._batches:
            self._batches[supply] = self._factory(supply)
        return self._batches[supply]

    @cached_property
    def _batches(self) -> dict[Factory, tuple[Authority, tuple[bytes, ...]]]:
        """Return the batches that were made so far: a lab knows a handful."""
        return {}

    def batch_serial(self, factory: Factory) -> str:
        """Return the serial, in hex, of the certificate that all phones of a batch share."""
        return self.issuers(factory, "", datetime.fromtimestamp(0, UTC))[0].serial_hex

    def _root(self, root: Root) -> Issuer:
        if root is Root.P384:
            return self.root
        return self.rsa_root if root is Root.RSA else self.ended_rsa_root

    def _factory(self, factory: Factory) -> tuple[Authority, tuple[bytes, ...]]:
        """Make a batch: a P-384 key under the root, and the P-256 key that phones attest with."""
        root = self._root(factory.root)
        label = f"android/{factory.title}/{factory.root}/{factory.batch}"
        validity = _ENDED if factory.ended else LONG
        maker = root.subordinate(
            self.seed,
            f"{label}/maker",
            self._batch_name(f"{label}/maker", factory.title),
            ec.SECP384R1(),
            validity=validity,
        )
        batch = maker.subordinate(
            self.seed,
            label,
            self._batch_name(label, factory.title),
            ec.SECP256R1(),
            validity=validity,
            serial=derive_decimal_serial(self.seed, label),
            marked_ca=factory.marked_ca,
        )
        return batch, (batch.der, maker.der, root.der)

    def _remote(
        self, remote: Remote, device: str, now: datetime
    ) -> tuple[Authority, tuple[bytes, ...]]:
        """Certify a device's key of this fortnight, under authorities of weeks and of years."""
        root = self._root(remote.root)
        if remote.ended:
            now -= timedelta(days=365)
        seconds = (
            int(now.timestamp()) // int(_PERIOD.total_seconds()) * int(_PERIOD.total_seconds())
        )
        start = datetime.fromtimestamp(seconds, UTC)
        fortnight = (start - _MARGIN, start + _PERIOD + _MARGIN)
        above = root.subordinate(
            self.seed,
            f"android/droid-ca2/{remote.root}",
            marked_name("Lab Droid CA2"),
            ec.SECP384R1(),
        )
        below = above.subordinate(
            self.seed,
            f"android/droid-ca3/{remote.root}/{seconds}",
            marked_name("Lab Droid CA3"),
            ec.SECP256R1(),
            validity=(start - 2 * _MARGIN, start + 4 * _MARGIN),
        )
        label = f"android/rkp/{remote.title}/{remote.root}/{remote.device or device}/{seconds}"
        serial = derive_serial(self.seed, label)
        own = below.subordinate(
            self.seed,
            label,
            _provisioned_name(format(serial, "032x"), remote.title),
            ec.SECP256R1(),
            validity=fortnight,
            serial=serial,
            extensions=((_provisioning_info(remote.issued), False),),
        )
        chain = (own.der, below.der, above.der)
        return own, (*chain, root.der) if remote.with_root else chain

    def _batch_name(self, label: str, title: str) -> x509.Name:
        return _numbered_name(derive_bytes(self.seed, f"name/{label}", 16).hex(), title)


def issue_leaf(
    issuer: Authority,
    key: ec.EllipticCurvePublicKey,
    key_description: bytes | None,
    *,
    usage: Usage = Usage.DATA,
    further: Sequence[Extension] = (),
    issuer_name: x509.Name | None = None,
) -> bytes:
    """Issue the certificate of a key in a Keystore, named, numbered and dated as devices do it.

    :param key_description: DER of the KeyDescription extension, None for none.
    :param further: extensions before it.
    :param issuer_name: how the leaf names its issuer; None as the issuer's certificate does.
    """
    extensions = list(further)
    if key_description is not None:
        extensions.append((x509.UnrecognizedExtension(_KEY_DESCRIPTION, key_description), False))
    return issuer.issue_leaf(
        subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Android Keystore Key")]),
        key=key,
        serial=1,
        validity=LEAF_VALIDITY,
        extensions=extensions,
        usage=usage,
        issuer_name=issuer_name,
    )


def sub_keybox(issuer: Authority, title: str) -> Authority:
    """Issue a further attestation key below one that leaked, as its thief may, since it is marked as a CA."""
    serial = derive_bytes(b"a thief's", f"sub-keybox/{title}", 16).hex()
    name = _numbered_name(serial, title)
    return issuer.subordinate(b"a thief's", f"sub-keybox/{title}", name, ec.SECP256R1())


def _provisioning_info(issued: int) -> x509.UnrecognizedExtension:
    """Tell how many certificates the device got, and its maker (CBOR; KeyMint's ``ProvisioningInfo``)."""
    content = cbor2.dumps({1: issued, 3: "Watchword Lab"})
    return x509.UnrecognizedExtension(_PROVISIONING_INFO, content)


def _numbered_name(serial: str, title: str | None = None) -> x509.Name:
    """Name a root or a factory's key by serialNumber, and title."""
    attributes = [x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)]
    if title is not None:
        attributes.append(x509.NameAttribute(NameOID.TITLE, title))
    return x509.Name([*attributes, x509.NameAttribute(NameOID.ORGANIZATION_NAME, MARKER)])


def _provisioned_name(serial: str, title: str) -> x509.Name:
    """Name a remotely provisioned key by its serial number as CN; the organisation is the title."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, serial),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, title),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, MARKER),
        ]
    )
