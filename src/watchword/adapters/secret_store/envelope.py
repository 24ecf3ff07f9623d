"""Encrypt each version's value under a data key of its own, bound to where it stands."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.broker.interface import KeyWrapper
from watchword.encoding import length_prefixed
from watchword.ports import Entropy
from watchword.reasons import Reason, UnavailableError

DATA_KEY_BYTES: Final = 32
"""Bytes of a data key: AES-256."""

_NONCE_BYTES: Final = 12
_VALUE: Final = b"watchword/secret-value/v1"
_KEY: Final = b"watchword/secret-key/v1"
_FILE: Final = b"watchword/secret-file/v1"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """Hold a data key as the master key wrapped it.

    :param key_id: of that master key.
    """

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """Hold an encrypted value: the wrapped data key, and nonce and ciphertext under it."""

    wrapped: Wrapped
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stand:
    """Name where a value stands; it opens nowhere else.

    :param deployment: the issuer: what is copied from another deployment opens nothing here.
    """

    deployment: str
    name: str
    version: int

    def context(self, label: bytes) -> bytes:
        """Return it as bytes, under a label for each use."""
        return length_prefixed.join(
            label, self.deployment.encode(), self.name.encode(), str(self.version).encode()
        )


def key_context(stand: Stand) -> bytes:
    """Return what the data key of a value is bound to."""
    return stand.context(_KEY)


def file_context(deployment: str) -> bytes:
    """Return what the key is bound to that vouches for the file as a whole."""
    return length_prefixed.join(_FILE, deployment.encode())


async def wrap(key: bytes, context: bytes, wrapper: KeyWrapper) -> Wrapped:
    """Return a data key under the master key.

    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    wrapped = await wrapper.wrap(key, context)
    # Asked afterwards: a KMS may have rotated its key in between, and names the version that it used.
    return Wrapped(wrapper.key_id, wrapped)


async def seal(value: bytes, stand: Stand, wrapper: KeyWrapper, entropy: Entropy) -> Sealed:
    """Return a value, encrypted by AES-256-GCM under a fresh data key.

    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    key = entropy.token_bytes(DATA_KEY_BYTES)
    nonce = entropy.token_bytes(_NONCE_BYTES)
    data = nonce + AESGCM(key).encrypt(nonce, value, stand.context(_VALUE))
    return Sealed(await wrap(key, key_context(stand), wrapper), data)


def unseal(sealed: Sealed, key: bytes, stand: Stand) -> bytes:
    """Return the value again.

    :param key: the data key, unwrapped.
    :raises UnavailableError: ``secret.store_unavailable`` when it was changed or moved.
    """
    nonce, data = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, data, stand.context(_VALUE))
    except (InvalidTag, ValueError):
        raise UnavailableError(
            Reason.SECRET_STORE_UNAVAILABLE,
            f"the value of {stand.name} version {stand.version} was changed or moved",
        ) from None
