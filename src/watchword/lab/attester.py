"""Answer as a phone's hardware and vendor do, for keys and challenges that an app brings along.

The kinds of phones are those of :data:`watchword.lab.PHONES`, whose evidence this is.  An Android key stays with whoever made
it: the attester sees its public part, as a Keystore that certifies it.  An App Attest key is made and held here, as the
Secure Enclave holds it: in memory, so that all are gone with the process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from watchword.encoding import base64url
from watchword.lab.authorities import LabAuthorities
from watchword.lab.device_faults import (
    INVALID_INPUT,
    INVALID_KEY,
    NONCE_IS_NOT_BASE64,
    NONCE_TOO_SHORT,
    REQUEST_HASH_TOO_LONG,
    STRONGBOX_UNAVAILABLE,
    DeviceFaultError,
)
from watchword.lab.phones.android import AndroidModel, SecurityLevel
from watchword.lab.phones.interface import InstalledAndroidApp, InstalledIosApp, PhoneSetup
from watchword.lab.phones.iphone import IPhone, IPhoneModel
from watchword.lab.phones.kinds import PHONES
from watchword.lab.phones.play import PlayModel
from watchword.ports import Clock, Entropy
from watchword.reasons import MalformedError

MAX_KEYS: Final = 10_000
"""Most App Attest keys of one process, some 2 kB each."""

MIN_NONCE_BYTES: Final = 16
"""Fewest bytes of a nonce, before base64."""

MAX_REQUEST_HASH_CHARACTERS: Final = 499
"""Most characters of a request hash: Google wants fewer than 500."""

_CLIENT_DATA_HASH_BYTES: Final = 32
_NAME_BYTES: Final = 8

SECURITY_LEVELS: Final[Mapping[SecurityLevel, str]] = MappingProxyType(
    {
        SecurityLevel.SOFTWARE: "software",
        SecurityLevel.TRUSTED_ENVIRONMENT: "tee",
        SecurityLevel.STRONG_BOX: "strongbox",
    }
)
"""Where a key lives, in the words of this program."""


@dataclass(frozen=True, slots=True)
class AndroidAttestation:
    """Hold what a Keystore gives for a key.

    :param chain: DER, leaf first.
    :param security_level: where the key is said to live.
    :param serial: of the certificate that attests, in hex, as it stands in the status list.
    """

    chain: tuple[bytes, ...]
    security_level: SecurityLevel
    serial: str


@dataclass(slots=True)
class _HeldKey:
    device: str
    phone: IPhone
    attested: bool = False


class Attester:
    """Vouch for keys as the phones of one lab would."""

    def __init__(
        self,
        authorities: LabAuthorities,
        clock: Clock,
        entropy: Entropy,
        *,
        most_keys: int = MAX_KEYS,
    ) -> None:
        """Take the vendors; there are no App Attest keys yet.

        :param most_keys: most App Attest keys at a time; the oldest one goes when another is made.
        """
        self._authorities = authorities
        self._clock = clock
        self._entropy = entropy
        self._most_keys = most_keys
        self._keys: dict[bytes, _HeldKey] = {}

    def android_chain(
        self,
        kind: str,
        device: str,
        app: InstalledAndroidApp,
        key: ec.EllipticCurvePublicKey,
        challenge: bytes,
        *,
        strongbox: bool | None = None,
    ) -> AndroidAttestation:
        """Return what the Keystore of such a phone gives for a key that was made for a challenge.

        :param device: phones of two names are two phones.
        :param strongbox: whether the app asked for a StrongBox; None takes what this kind of phone is known for.
        :raises ValueError: if this kind of phone has no key attestation.
        :raises DeviceFaultError: if there is no StrongBox.
        """
        model = _model(kind, AndroidModel, "attests keys")
        if strongbox is False:
            model = model.in_tee()
        if strongbox and model.security is not SecurityLevel.STRONG_BOX:
            raise DeviceFaultError(STRONGBOX_UNAVAILABLE)
        phone = model.build(app, self._setup(device))
        chain = phone.certificate_chain(challenge, key)
        return AndroidAttestation(chain, model.security, phone.attestation_serial)

    def play_token(
        self, kind: str, device: str, app: InstalledAndroidApp, text: str, *, standard: bool
    ) -> str:
        """Return the token that the Play library of such a phone gives.

        :param text: the request hash of a standard request, the nonce of a classic one, as the app gave it.
        :raises ValueError: if this kind of phone has no Play Integrity.
        :raises DeviceFaultError: if Google wouldn't take the text.
        """
        model = _model(kind, PlayModel, "sends Play Integrity tokens")
        if standard:
            if len(text) > MAX_REQUEST_HASH_CHARACTERS:
                raise DeviceFaultError(REQUEST_HASH_TOO_LONG)
        else:
            _require_nonce(text)
        return model.build(app, self._setup(device)).token_of(text, standard=standard)

    def app_attest_key(self, kind: str, device: str, app: InstalledIosApp) -> bytes:
        """Make a key in the Secure Enclave of such a phone, and return its id, 32 bytes.

        :raises ValueError: if this kind of phone has no App Attest.
        """
        model = _model(kind, IPhoneModel, "has App Attest")
        # Apple counts the attestations of a device, whatever key they are for.
        habits = replace(model.habits, device=model.habits.device or device)
        # Nobody can name a key twice: after a start there are others.
        name = f"{device}/{self._entropy.token_bytes(_NAME_BYTES).hex()}"
        phone = replace(model, habits=habits).build(app, self._setup(name))
        if len(self._keys) >= self._most_keys:
            del self._keys[next(iter(self._keys))]
        self._keys[phone.key_id] = _HeldKey(device, phone)
        return phone.key_id

    def device_of(self, key_id: bytes) -> str | None:
        """Return the name of the phone that holds a key, None for one that no phone holds."""
        held = self._keys.get(key_id)
        return None if held is None else held.device

    def app_attest_attestation(self, key_id: bytes, client_data_hash: bytes) -> bytes:
        """Return the attestation object of a key, as ``attestKey`` does: once for each.

        :raises DeviceFaultError: for a hash of another length, a key that isn't held, or one that was attested.
        """
        held = self._held(key_id, client_data_hash)
        if held.attested:
            raise DeviceFaultError(INVALID_KEY)
        held.attested = True
        return held.phone.attestation_object(client_data_hash)

    def app_attest_assertion(self, key_id: bytes, client_data_hash: bytes) -> bytes:
        """Return an assertion by a key, as ``generateAssertion`` does; each has the next counter.

        :raises DeviceFaultError: for a hash of another length, a key that isn't held, or one that wasn't attested.
        """
        held = self._held(key_id, client_data_hash)
        if not held.attested:
            raise DeviceFaultError(INVALID_KEY)
        return held.phone.assertion(client_data_hash)

    def _held(self, key_id: bytes, client_data_hash: bytes) -> _HeldKey:
        if len(client_data_hash) != _CLIENT_DATA_HASH_BYTES:
            raise DeviceFaultError(INVALID_INPUT)
        held = self._keys.get(key_id)
        if held is None:
            raise DeviceFaultError(INVALID_KEY)
        return held

    def _setup(self, name: str) -> PhoneSetup:
        return PhoneSetup(self._authorities, self._clock, name)


_Model = TypeVar("_Model")


def _model(kind: str, wanted: type[_Model], able: str) -> _Model:
    """Return a kind of phone.

    :raises ValueError: if there is none of this name that is ``able``.
    """
    model = PHONES.get(kind)
    if not isinstance(model, wanted):
        raise ValueError(f"got kind {kind!r}, expected one that {able}")  # noqa: TRY004
    return model


def _require_nonce(nonce: str) -> None:
    """Refuse what isn't base64url without line breaks, or too short.

    :raises DeviceFaultError: as Google's library does.
    """
    try:
        data = base64url.decode(nonce.rstrip("="))
    except MalformedError:
        raise DeviceFaultError(NONCE_IS_NOT_BASE64) from None
    if len(data) < MIN_NONCE_BYTES:
        raise DeviceFaultError(NONCE_TOO_SHORT)
