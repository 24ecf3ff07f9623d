"""Read attestation objects, assertions and authenticator data as App Attest writes them (WebAuthn, sections 6.1 and 6.5).

The leaf's extensions say of the device which system it has, and when its key may sign.  Apple documents the access control
list of a Mac's key alone ("Validating apps that connect to your server"); the system's extension is documented nowhere and
read as recorded leaves of 2020 to 2026 have it.  What is recorded and what is inferred: docs/formats/app_attest.md.
Whatever can't be read is ``unknown`` or ``other``, never an error: a change of Apple's must be a decision of policy, not
the end of all attestations.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from watchword.attestation.certificates import Certificate
from watchword.attestation.claims import AppleClaims, KeyAccess
from watchword.attestation.interface import MAX_EVIDENCE_BYTES
from watchword.encoding import cbor, der
from watchword.encoding.cache import BoundedCache
from watchword.encoding.der import Tlv
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import ApplePlatform, Distribution

MAX_AUTHENTICATOR_DATA_BYTES: Final = 4096
"""Most bytes of authenticator data; real ones have 37 to about 230."""

BUNDLE_VERSION: Final = "apple_bundle_version_01"
"""Member of the trailing map that holds CFBundleVersion (since iOS 27)."""

VALIDATION_CATEGORY: Final = "apple_validation_category_01"
"""Member of the trailing map that holds how the system validated the app's code (since iOS 27)."""

_CATEGORY_BYTES: Final = 4

_CATEGORIES: Final[Mapping[int, Distribution]] = {
    1: Distribution.OPERATING_SYSTEM,
    2: Distribution.TESTFLIGHT,
    3: Distribution.DEVELOPMENT,
    4: Distribution.APP_STORE,
    5: Distribution.ENTERPRISE,
    6: Distribution.DEVELOPER_ID,
    10: Distribution.OTHER,
}
"""Apple, "Validating apps that connect to your server", and WWDC26 session 201."""

FLAG_ATTESTED: Final = 0x40
FLAG_EXTENSIONS: Final = 0x80

LENIENT_EXTENSIONS: Final = "extension_data_without_flag"
"""In reports: since iOS 27 a CBOR map follows while the flag ED stays clear, against WebAuthn section 6.1."""

_FIXED: Final = 37
_CREDENTIAL_ID_AT: Final = _FIXED + 16 + 2


@dataclass(frozen=True, slots=True)
class AuthenticatorData:
    """Hold authenticator data that was read.

    :param trailing: the CBOR map behind it, ``trailing_raw`` its bytes; empty where there is none.
    """

    rp_id_hash: bytes
    flags: int
    counter: int
    trailing: Mapping[int | str, Any]
    trailing_raw: bytes

    @property
    def app_version(self) -> str | None:
        """Return CFBundleVersion as the system states it, None where it states none."""
        version = self.trailing.get(BUNDLE_VERSION)
        return version if isinstance(version, str) else None

    @property
    def validation_category(self) -> int | None:
        """Return the category: a whole number of 32 bits, or four bytes with the lowest first.

        Apple's article says UInt32 and its example has four bytes.  None for anything else, and where the
        system states none.
        """
        category = self.trailing.get(VALIDATION_CATEGORY)
        if isinstance(category, bytes) and len(category) == _CATEGORY_BYTES:
            return int.from_bytes(category, "little")
        # True is an int to Python, and no number in CBOR.
        if not isinstance(category, int) or isinstance(category, bool):
            return None
        return category if 0 <= category < 1 << 8 * _CATEGORY_BYTES else None

    @property
    def distribution(self) -> Distribution | None:
        """Return the way that the category names, None where the system states none."""
        if VALIDATION_CATEGORY not in self.trailing:
            return None
        category = self.validation_category
        unknown = Distribution.UNKNOWN
        return unknown if category is None else _CATEGORIES.get(category, unknown)

    @property
    def leniencies(self) -> tuple[str, ...]:
        """Return the deviations that were let pass."""
        unflagged = self.trailing_raw and not self.flags & FLAG_EXTENSIONS
        return (LENIENT_EXTENSIONS,) if unflagged else ()


@dataclass(frozen=True, slots=True)
class AttestedCredential:
    """Hold attested credential data: which key was attested, and in which environment."""

    aaguid: bytes
    credential_id: bytes
    cose_key: Mapping[int | str, Any]


def read_with_credential(data: bytes) -> tuple[AuthenticatorData, AttestedCredential]:
    """Read the authenticator data of an attestation.

    :raises MalformedError: with ``encoding.cbor`` or ``evidence.malformed``.
    """
    _require_size(data, _CREDENTIAL_ID_AT)
    if not data[32] & FLAG_ATTESTED:
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, "got authenticator data without a credential"
        )
    key_at = _CREDENTIAL_ID_AT + int.from_bytes(data[_FIXED + 16 : _CREDENTIAL_ID_AT], "big")
    key, rest = cbor.decode_prefix(data[key_at:], MAX_AUTHENTICATOR_DATA_BYTES)
    if not isinstance(key, dict):
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, "got no COSE key")
    credential = AttestedCredential(
        aaguid=data[_FIXED : _FIXED + 16],
        credential_id=data[_CREDENTIAL_ID_AT:key_at],
        cose_key=key,
    )
    return _read_fixed(data, rest), credential


def read_without_credential(data: bytes) -> AuthenticatorData:
    """Read the authenticator data of an assertion.

    Apple sets the flag AT in assertions too, with no credential data behind it.

    :raises MalformedError: with ``encoding.cbor`` or ``evidence.malformed``.
    """
    _require_size(data, _FIXED)
    return _read_fixed(data, data[_FIXED:])


def _read_fixed(data: bytes, rest: bytes) -> AuthenticatorData:
    flags = data[32]
    trailing: cbor.Value = {}
    if rest or (flags & FLAG_EXTENSIONS):
        trailing = cbor.decode(rest, MAX_AUTHENTICATOR_DATA_BYTES)
    if not isinstance(trailing, dict):
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, "got something else than a map behind authenticator data"
        )
    return AuthenticatorData(
        rp_id_hash=data[:32],
        flags=flags,
        counter=int.from_bytes(data[33:_FIXED], "big"),
        trailing=trailing,
        trailing_raw=rest,
    )


def _require_size(data: bytes, least: int) -> None:
    if not least <= len(data) <= MAX_AUTHENTICATOR_DATA_BYTES:
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, f"got authenticator data of {len(data)} bytes"
        )


FMT: Final = "apple-appattest"

MAX_ASSERTION_BYTES: Final = 4096
"""Most bytes of an assertion; real ones have about 150."""

CERTIFICATES: Final = 2
"""A leaf and its intermediate; the root is never sent."""


@dataclass(frozen=True, slots=True)
class AttestationObject:
    """Hold an attestation object that was read, not yet believed.

    :param chain: leaf and intermediate in DER, not read yet.
    :param receipt: empty where there is none.
    :param raw: the authenticator data as bytes, which the nonce is over.
    """

    chain: tuple[bytes, ...]
    receipt: bytes
    raw: bytes
    data: AuthenticatorData
    credential: AttestedCredential


def read_credential_id(attestation: bytes) -> bytes:
    """Return the credential id of an attestation, empty if it can't be read; nothing is verified.

    For reports on an attestation whose key id nobody kept: the id is then only compared with the
    key, not with what the app says.
    """
    try:
        return read_attestation_object(attestation).credential.credential_id
    except MalformedError:
        return b""


def read_assertion(assertion: bytes) -> tuple[AuthenticatorData, bytes, bytes]:
    """Return authenticator data as read and as bytes, and the signature; nothing is verified.

    :raises MalformedError: with ``evidence.malformed``.
    """
    try:
        members = cbor.decode(assertion, MAX_ASSERTION_BYTES)
        raw = _bytes(members, "authenticatorData")
        return read_without_credential(raw), raw, _bytes(members, "signature")
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "assertion") from None


def read_attestation_object(attestation: bytes) -> AttestationObject:
    """Return the object with its format, its receipt and its authenticator data read.

    :raises MalformedError: with ``evidence.malformed`` or ``attestation.chain_length``.
    """
    try:
        members = cbor.decode(attestation, MAX_EVIDENCE_BYTES)
        fmt = _member(members, "fmt")
        if fmt != FMT:
            raise MalformedError.because(Reason.EVIDENCE_MALFORMED, f"expected the format {FMT}")
        statement = _member(members, "attStmt")
        x5c = _member(statement, "x5c")
        raw = _bytes(members, "authData")
        data, credential = read_with_credential(raw)
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "attestation object") from None
    if not isinstance(x5c, list) or len(x5c) != CERTIFICATES:
        raise MalformedError.because(
            Reason.ATTESTATION_CHAIN_LENGTH, f"expected exactly {CERTIFICATES} certificates"
        )
    if not all(isinstance(item, bytes) for item in x5c):
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, "got a certificate not in bytes")
    receipt = statement.get("receipt") if isinstance(statement, dict) else None
    return AttestationObject(
        chain=tuple(item for item in x5c if isinstance(item, bytes)),
        receipt=receipt if isinstance(receipt, bytes) else b"",
        raw=raw,
        data=data,
        credential=credential,
    )


def _member(value: cbor.Value, name: str) -> cbor.Value:
    if not isinstance(value, dict) or name not in value:
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, f"expected a map with {name}")
    return value[name]


def _bytes(value: cbor.Value, name: str) -> bytes:
    member = _member(value, name)
    if not isinstance(member, bytes):
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, f"expected {name} as bytes")
    return member


KEY_ACCESS: Final = "1.2.840.113635.100.8.6"
"""Extension of the leaf that holds the key's access control list (since OS 27)."""

SYSTEM: Final = "1.2.840.113635.100.8.7"
"""Extension of the leaf that names the system, its version and its build."""

MAX_EXTENSION_BYTES: Final = 1024
"""Most bytes of either extension that are read; recorded ones have up to 210."""

MAC_KEY_ACCESS: Final = base64.b64decode(
    "MEAMAjExMDowCQwCb2uhAwEB/zAJDAJvYaEDAQH/MAsMBG9kZWyhAwEB/zAVDARvc2duoAYMBHJzZWMwBaYDAgEB"
)
"""The access control list of a Mac in Full Security with System Integrity Protection, as Apple gives it."""

FIRST_WITH_MACS: Final = 27
"""The first version of macOS that has App Attest; from it on a leaf must name its system."""

_VERSION, _BUILD, _NAME, _CLASS = 1400, 1403, 1026, 1104
"""Explicit tags within :data:`SYSTEM`."""

_PAD_CLASS: Final = 0
"""An iPad's device class; an iPhone's is 2, and older systems wrote -1 or -2."""

_NAMES: Final[Mapping[bytes, ApplePlatform]] = {
    b"iphoneos": ApplePlatform.IOS,
    b"macosx": ApplePlatform.MACOS,
    b"maccatalyst": ApplePlatform.MAC_CATALYST,
    b"xros": ApplePlatform.VISIONOS,
    b"appletvos": ApplePlatform.TVOS,
    b"watchos": ApplePlatform.WATCHOS,
}
_MACS: Final = frozenset({ApplePlatform.MACOS, ApplePlatform.MAC_CATALYST})
_IS_VERSION: Final = re.compile(rb"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
_IS_BUILD: Final = re.compile(rb"[0-9A-Za-z]{1,16}")


class System(NamedTuple):
    """Hold what a leaf says of the system; None where it doesn't say it, or not in its form."""

    platform: ApplePlatform | None = None
    version: str | None = None
    build: str | None = None


def apple_claims(leaf: Certificate, distribution: Distribution | None) -> AppleClaims:
    """Return what a leaf says of the device, beside the way by which the system says the app came onto it."""
    system = read_system(leaf.extensions.get(SYSTEM))
    access = read_key_access(leaf.extensions.get(KEY_ACCESS))
    return AppleClaims(
        platform=_platform(system, access),
        key_access=access,
        distribution=distribution,
        os_version=system.version,
        os_build=system.build,
    )


def read_system(content: bytes | None) -> System:
    """Return what the extension :data:`SYSTEM` says: SEQUENCE { [tag] EXPLICIT OCTET STRING or INTEGER }."""
    if content is None or len(content) > MAX_EXTENSION_BYTES:
        return System()
    return _SYSTEMS.read(content)


def _read_system(content: bytes) -> System:
    try:
        members = der.tagged(der.read(content))
        name = _text(members, _NAME)
        version, build = _text(members, _VERSION), _text(members, _BUILD)
        is_pad = _CLASS in members and der.integer(members[_CLASS]) == _PAD_CLASS
    except MalformedError:
        return System()
    platform = None if name is None else _NAMES.get(name, ApplePlatform.UNKNOWN)
    return System(
        platform=ApplePlatform.IPADOS if platform is ApplePlatform.IOS and is_pad else platform,
        version=_matching(_IS_VERSION, version),
        build=_matching(_IS_BUILD, build),
    )


def read_key_access(content: bytes | None) -> KeyAccess | None:
    """Return what the extension :data:`KEY_ACCESS` says: SEQUENCE { [tag] EXPLICIT OCTET STRING }.

    The list is compared as a whole with the only one that Apple gives: one that was read piece by piece
    could be weaker in a piece that nobody knows.
    """
    if content is None:
        return None
    return KeyAccess.OTHER if len(content) > MAX_EXTENSION_BYTES else _LISTS.read(content)


def _read_list(content: bytes) -> KeyAccess:
    try:
        members = der.tagged(der.read(content)).values()
        lists = [der.octets(member) for member in members]
    except MalformedError:
        return KeyAccess.OTHER
    return KeyAccess.FULL_SECURITY if lists == [MAC_KEY_ACCESS] else KeyAccess.OTHER


def _platform(system: System, access: KeyAccess | None) -> ApplePlatform | None:
    """Return the system that a leaf names; unknown where it should name one, or contradicts itself.

    Only what is surely older than the first Mac that attests may keep silent.
    """
    platform = system.platform
    if access is KeyAccess.FULL_SECURITY and platform not in _MACS:
        return ApplePlatform.UNKNOWN
    if platform is not None:
        return platform
    version = system.version
    is_older = version is not None and int(version.split(".")[0]) < FIRST_WITH_MACS
    return None if is_older and access is None else ApplePlatform.UNKNOWN


def _text(members: Mapping[int, Tlv], tag: int) -> bytes | None:
    return der.octets(members[tag]) if tag in members else None


def _matching(form: re.Pattern[bytes], text: bytes | None) -> str | None:
    """Return a text in its form; any other is whoever's own and stays out of claims."""
    return text.decode("ascii") if text is not None and form.fullmatch(text) else None


# All devices of one kind with one build of a system say the same.
_SYSTEMS: Final = BoundedCache(_read_system, entries=512, size=256)
_LISTS: Final = BoundedCache(_read_list, entries=64, size=128)
