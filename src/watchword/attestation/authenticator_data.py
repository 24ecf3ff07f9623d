"""Read authenticator data as App Attest writes it (WebAuthn section 6.1, Apple's use of it)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from watchword.encoding import cbor
from watchword.reasons import MalformedError, Reason
from watchword.vocabulary import Distribution

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
