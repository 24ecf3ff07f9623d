"""Forge vendors, devices and evidence, right and wrong, with keys made for this run.

Independent of what it tests: certificates by ``cryptography``, CBOR by ``cbor2``, DER by the few lines
here.  Everything can be mutated by an argument, so that each test shows one deviation.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from watchword.attestation.interface import (
    AndroidApp,
    AndroidKeyChain,
    AppAttestAttestation,
    AppleApp,
    AppRegistration,
    IssuerCache,
    Trust,
)
from watchword.ports import Anchor, RevocationEntry
from watchword.vocabulary import AppAttestEnvironment

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
BINDING = hashlib.sha256(b"statement").digest()
PACKAGE = "org.example.clinic"
SIGNER = hashlib.sha256(b"signing certificate").digest()
ANDROID_APP = AppRegistration("clinic-android", AndroidApp(PACKAGE, frozenset({SIGNER})), "42")
APPLE_APP = AppRegistration("clinic-ios", AppleApp("TEAM123456", "org.example.clinic"))

KEY_DESCRIPTION = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.17")
PROVISIONING_INFO = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.30")
APPLE_NONCE = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
APPLE_KEY_ACCESS = x509.ObjectIdentifier("1.2.840.113635.100.8.6")
APPLE_SYSTEM = x509.ObjectIdentifier("1.2.840.113635.100.8.7")

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extension = tuple[x509.ObjectIdentifier, bytes]


def tlv(tag: int | bytes, *contents: bytes) -> bytes:
    """Return one DER element; ``tag`` is the identifier octet or octets."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        length = bytes([size])
    else:
        raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(raw)]) + raw
    return (bytes([tag]) if isinstance(tag, int) else tag) + length + content


def integer(value: int, tag: int = 0x02) -> bytes:
    """Return an INTEGER, or an ENUMERATED with tag 0x0A."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def tagged(number: int, content: bytes) -> bytes:
    """Return an explicit context tag, with the long form above 30."""
    if number < 31:
        return tlv(0xA0 | number, content)
    low = [number & 0x7F]
    while number := number >> 7:
        low.append(0x80 | number & 0x7F)
    return tlv(bytes([0xBF, *reversed(low)]), content)


def p256() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(_owner: str = "") -> rsa.RSAPrivateKey:
    """Return an owner's RSA key of this run; making one is slow."""
    return rsa.generate_private_key(65537, 2048)


def spki(key: Any) -> bytes:
    """Return the SubjectPublicKeyInfo of a private key's public half."""
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the X9.62 point of a key."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def name(**attributes: str) -> x509.Name:
    """Return a Name; keys are members of NameOID in lower case."""
    return x509.Name(
        [
            x509.NameAttribute(getattr(NameOID, key.upper()), text)
            for key, text in attributes.items()
        ]
    )


@dataclass(frozen=True)
class Party:
    """Hold a certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        """Return the certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def serial_hex(self) -> str:
        """Return the serial as the status list spells it."""
        return format(self.certificate.serial_number, "x")

    def anchor(self, vendor: str, kind: str = "production") -> Anchor:
        """Return this party as a trust anchor."""
        subject = self.certificate.subject.public_bytes()
        return Anchor(f"forged {vendor}", vendor, kind, spki(self.key), subject)


def certify(
    subject: x509.Name,
    issuer: Party | None,
    *,
    key: Any = None,
    ca: bool | None = True,
    path_length: int | None = None,
    signs: bool | None = True,
    days: tuple[int, int] = (-30, 30),
    extensions: Iterable[Extension] = (),
    serial: int | None = None,
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = None,
    names: x509.Name | None = None,
) -> Party:
    """Return a certificate of ``subject`` by ``issuer`` (None: by itself).

    :param ca: basicConstraints; None leaves the extension out.  ``signs``: keyCertSign, likewise.
    :param days: notBefore and notAfter from :data:`NOW`.
    :param names: the issuer as the certificate names it; None as its own certificate does.
    """
    key = key or p256()
    signer = issuer or Party(None, key)  # type: ignore[arg-type]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_own(subject, issuer) if names is None else names)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if signs is not None:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    for oid, content in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, content), critical=False)
    return Party(builder.sign(signer.key, digest or hashes.SHA256()), key)


def _own(subject: x509.Name, issuer: Party | None) -> x509.Name:
    return issuer.certificate.subject if issuer else subject


@dataclass
class Anchors:
    """Implement the port with a list."""

    anchors: Sequence[Anchor]

    def for_vendor(self, vendor: str) -> Sequence[Anchor]:
        """Return the anchors of one vendor."""
        return [anchor for anchor in self.anchors if anchor.vendor == vendor]


@dataclass
class Revoked:
    """Implement the port with serials in hex; ``known`` False plays a list that is too old."""

    serials: Mapping[str, str] = field(default_factory=dict)
    known: bool = True

    @property
    def digest(self) -> str:
        """Return a name of the entries."""
        return hashlib.sha256(repr(sorted(self.serials.items())).encode()).hexdigest()

    def is_known(self, now: datetime) -> bool:
        """Tell whether the list can answer."""
        return self.known

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """Return the entry of a serial."""
        status = self.serials.get(serial_hex)
        return None if status is None else RevocationEntry(status, "KEY_COMPROMISE")


def trust(
    *anchors: Anchor,
    revoked: Mapping[str, str] | None = None,
    known: bool = True,
    issuers: IssuerCache | None = None,
) -> Trust:
    """Return a Trust in these anchors; revocation is unchecked without ``revoked``."""
    status = None if revoked is None else Revoked(revoked, known)
    return Trust(Anchors(anchors), status, issuers)


# Android


def root_of_trust(*, locked: bytes = b"\xff", state: int = 0, with_hash: bool = True) -> bytes:
    """Return a RootOfTrust."""
    members = [tlv(0x04, b"K" * 32), tlv(0x01, locked), integer(state, 0x0A)]
    return tlv(0x30, *members, *([tlv(0x04, b"H" * 32)] if with_hash else []))


def application_id(
    packages: Mapping[str, int] | None = None, digests: Sequence[bytes] = (SIGNER,)
) -> bytes:
    """Return an AttestationApplicationId within its OCTET STRING."""
    named = {PACKAGE: 42} if packages is None else packages
    rows = [tlv(0x30, tlv(0x04, key.encode()), integer(value)) for key, value in named.items()]
    inner = tlv(0x30, tlv(0x31, *rows), tlv(0x31, *(tlv(0x04, item) for item in digests)))
    return tlv(0x04, inner)


def authorization_list(tags: Mapping[int, bytes]) -> bytes:
    """Return an AuthorizationList with the tags in the order given."""
    return tlv(0x30, *(tagged(number, content) for number, content in tags.items()))


def hardware_tags(**mutated: bytes | None) -> dict[int, bytes]:
    """Return the hardware list of a genuine phone; ``tag_704=None`` leaves one out."""
    tags: dict[int, bytes] = {
        1: tlv(0x31, integer(2), integer(3)),
        2: integer(3),
        3: integer(256),
        10: integer(1),
        503: tlv(0x05),
        702: integer(0),
        704: root_of_trust(),
        705: integer(160000),
        706: integer(202610),
        4711: tlv(0x04, b"from the future"),
    }
    for key, content in mutated.items():
        number = int(key.removeprefix("tag_"))
        if content is None:
            tags.pop(number)
        else:
            tags[number] = content
    return tags


def key_description(
    *,
    version: int = 400,
    levels: tuple[int, int] = (1, 1),
    challenge: bytes = BINDING,
    unique_id: bytes = b"",
    software: Mapping[int, bytes] | None = None,
    hardware: Mapping[int, bytes] | None = None,
) -> bytes:
    """Return a KeyDescription."""
    if software is None:
        software = {701: integer(1_790_000_000_000), 709: application_id()}
    return tlv(
        0x30,
        integer(version),
        integer(levels[0], 0x0A),
        integer(version),
        integer(levels[1], 0x0A),
        tlv(0x04, challenge),
        tlv(0x04, unique_id),
        authorization_list(software),
        authorization_list(hardware_tags() if hardware is None else hardware),
    )


def attest_key_description(**mutated: Any) -> bytes:
    """Return the KeyDescription of a key of the app for attesting others; see :func:`key_description`."""
    tags = {"tag_1": tlv(0x31, integer(7)), **mutated.pop("tags", {})}
    options = {"challenge": b"attest key", "hardware": hardware_tags(**tags), **mutated}
    return key_description(**options)


@dataclass
class Google:
    """Play Google: a root, an intermediate, attestation certificates, and the leaves of phones.

    :param between: stands between attester and intermediate: one more authority where keys come remotely.
    """

    root: Party
    intermediate: Party
    attester: Party
    between: tuple[Party, ...] = ()

    def leaf(
        self, description: bytes | None = None, *, key: Any = None, **certificate: Any
    ) -> Party:
        """Return the leaf of a phone's key; ``description`` b"" leaves the extension out."""
        if description is None:
            description = key_description()
        extensions = [(KEY_DESCRIPTION, description)] if description else []
        options: dict[str, Any] = {"ca": None, "signs": False, "days": (-20000, 8000)}
        options.update(certificate)
        subject = name(common_name="Android Keystore Key")
        return certify(subject, self.attester, key=key, serial=1, extensions=extensions, **options)

    def attest_key(self, description: bytes | None = None, **certificate: Any) -> Party:
        """Return a key of the app that vouches for others, as KeyMint makes it: no CA, but it may sign."""
        if description is None:
            description = attest_key_description()
        return self.leaf(description, **{"signs": True, **certificate})

    def attested(
        self, above: Party | None = None, leaf: Party | None = None, *, root: bool = True
    ) -> AndroidKeyChain:
        """Return the chain of a leaf that an attest key vouches for."""
        above = above or self.attest_key()
        leaf = leaf or self.vouched(above)
        rest = self.evidence(above, root=root).chain
        return AndroidKeyChain((leaf.der, *rest))

    def vouched(self, above: Party, description: bytes | None = None) -> Party:
        """Return a leaf that a key of the app signed."""
        below = Google(self.root, self.intermediate, above)
        return below.leaf(description)

    def evidence(self, leaf: Party | None = None, *, root: bool = True) -> AndroidKeyChain:
        """Return the chain of a leaf, with or without its root."""
        chain = [leaf or self.leaf(), self.attester, *self.between, self.intermediate]
        return AndroidKeyChain(tuple(one.der for one in [*chain, *([self.root] if root else [])]))

    @property
    def anchor(self) -> Anchor:
        """Return the root as an anchor."""
        return self.root.anchor("android-key")


def google(*, root_key: Any = None, **mutated: Mapping[str, Any]) -> Google:
    """Return a Google with factory-provisioned keys; ``attester`` etc. mutate a certificate."""
    root = certify(
        name(serial_number="f92009e853b6b045"),
        None,
        key=root_key,
        **{"days": (-4000, -1), **mutated.get("root", {})},
    )
    intermediate = certify(
        name(title="TEE", serial_number="batch"), root, **mutated.get("intermediate", {})
    )
    attester = certify(
        name(title="TEE", serial_number="unit"), intermediate, **mutated.get("attester", {})
    )
    return Google(root, intermediate, attester)


def remote_google(*, info: bool = True, **mutated: Mapping[str, Any]) -> Google:
    """Return a Google that provisions keys remotely; ``info`` puts the extension in."""
    root = certify(name(common_name="Key Attestation CA1"), None)
    intermediate = certify(name(common_name="Droid CA2"), root, **mutated.get("intermediate", {}))
    between = certify(name(common_name="Droid CA3"), intermediate)
    extensions = [(PROVISIONING_INFO, b"\xa1\x01\x08")] if info else []
    attester = certify(
        name(common_name="4f47dffa", organization_name="TEE"),
        between,
        extensions=extensions,
        **mutated.get("attester", {}),
    )
    return Google(root, intermediate, attester, (between,))


# Apple


@dataclass
class Apple:
    """Play Apple: the App Attest root and its intermediate."""

    root: Party
    intermediate: Party

    @property
    def anchor(self) -> Anchor:
        """Return the root as an anchor."""
        return self.root.anchor("apple-app-attest")

    def evidence(self, **mutated: Any) -> AppAttestAttestation:
        """Return an attestation; see :func:`attestation_object`."""
        return attestation_object(self, **mutated)


def apple(**mutated: Mapping[str, Any]) -> Apple:
    """Return an Apple; ``intermediate`` mutates that certificate."""
    root = certify(name(common_name="Apple App Attestation Root CA"), None)
    intermediate = certify(
        name(common_name="Apple App Attestation CA 1"), root, **mutated.get("intermediate", {})
    )
    return Apple(root, intermediate)


def cose(key: ec.EllipticCurvePrivateKey) -> dict[int, Any]:
    """Return a COSE key."""
    raw = point(key)
    return {1: 2, 3: -7, -1: 1, -2: raw[1:33], -3: raw[33:]}


def apple_system(
    name: bytes | None = b"iphoneos",
    version: bytes | None = b"27.0",
    build: bytes | None = b"24A5355q",
    device_class: int | None = 2,
) -> bytes:
    """Return the extension that names the system."""
    parts = {1400: version, 1403: build, 1026: name}
    members = [tagged(tag, tlv(0x04, text)) for tag, text in parts.items() if text is not None]
    if device_class is not None:
        members.append(tagged(1104, integer(device_class)))
    return tlv(0x30, *members)


IPHONE_SYSTEM = apple_system()


def apple_key_access(content: bytes) -> bytes:
    """Return the extension that holds a key's access control list."""
    return tlv(0x30, tlv(0xA3, tlv(0x04, content)))


def authenticator_data(
    key: ec.EllipticCurvePrivateKey | None,
    *,
    app_id: str = APPLE_APP.identity.app_id,  # type: ignore[union-attr]
    counter: int = 0,
    flags: int = 0x40,
    aaguid: bytes = AppAttestEnvironment.PRODUCTION.value,
    credential_id: bytes | None = None,
    cose_key: Any = None,
    trailing: bytes = b"",
) -> bytes:
    """Return authenticator data; without a key that of an assertion."""
    data = hashlib.sha256(app_id.encode()).digest() + struct.pack(">BI", flags, counter)
    if key is not None:
        identifier = hashlib.sha256(point(key)).digest() if credential_id is None else credential_id
        data += aaguid + struct.pack(">H", len(identifier)) + identifier
        data += cbor2.dumps(cose(key) if cose_key is None else cose_key)
    return data + trailing


def attestation_object(
    vendor: Apple,
    *,
    binding: bytes = BINDING,
    key: Any = None,
    key_id: bytes | None = None,
    leaf: Mapping[str, Any] | None = None,
    nonce_extension: bytes | None = None,
    with_nonce: bool = True,
    system: bytes | None = IPHONE_SYSTEM,
    key_access: bytes | None = None,
    more_extensions: Sequence[tuple[x509.ObjectIdentifier, bytes]] = (),
    x5c: Any = None,
    members: Mapping[str, Any] | None = None,
    receipt: Any = b"receipt",
    **data: Any,
) -> AppAttestAttestation:
    """Return an attestation, with everything bendable."""
    key = key or p256()
    auth_data = authenticator_data(data.pop("data_key", key), **data)
    nonce = hashlib.sha256(auth_data + binding).digest()
    content = tlv(0x30, tlv(0xA1, tlv(0x04, nonce))) if nonce_extension is None else nonce_extension
    options: dict[str, Any] = {"ca": False, "signs": False, "days": (-1, 2), **(leaf or {})}
    written = {
        APPLE_NONCE: content if with_nonce else None,
        APPLE_SYSTEM: system,
        APPLE_KEY_ACCESS: key_access,
    }
    extensions = [(name, content) for name, content in written.items() if content is not None]
    party = certify(
        name(common_name="credential"),
        vendor.intermediate,
        key=key,
        extensions=[*extensions, *more_extensions],
        **options,
    )
    statement: dict[str, Any] = {"x5c": x5c or [party.der, vendor.intermediate.der]}
    if receipt is not None:
        statement["receipt"] = receipt
    document: dict[str, Any] = {"fmt": "apple-appattest", "attStmt": statement}
    document = {**document, "authData": auth_data, **(members or {})}
    identifier = hashlib.sha256(spki(key)[-65:]).digest() if key_id is None else key_id
    return AppAttestAttestation(cbor2.dumps(document), identifier)


def assertion(
    key: ec.EllipticCurvePrivateKey, statement: bytes, *, counter: int = 1, **data: Any
) -> bytes:
    """Return an assertion over a statement."""
    raw = authenticator_data(None, counter=counter, **data)
    nonce = hashlib.sha256(raw + hashlib.sha256(statement).digest()).digest()
    signature = key.sign(nonce, ec.ECDSA(hashes.SHA256()))
    return cbor2.dumps({"signature": signature, "authenticatorData": raw})


def mldsa_key() -> Any:
    """Return an ML-DSA key, as KeyMint makes them since version 500."""
    return mldsa.MLDSA65PrivateKey.generate()
