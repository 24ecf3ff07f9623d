"""Wrap data keys under a master key that lies in a file or came by an environment variable."""

import hmac
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    read_private,
    sync_directory,
)
from watchword.encoding import base64url
from watchword.ports import Entropy
from watchword.reasons import MalformedError, Reason, UnavailableError

KEY_BYTES: Final = 32
"""Bytes of a master key: AES-256."""

_NONCE_BYTES: Final = 12
_MAX_FILE_BYTES: Final = 1024
_ID_LABEL: Final = b"watchword/master-key-id/v1"
_ID_BYTES: Final = 8


class LocalMasterKey:
    """Implement :class:`watchword.broker.interface.KeyWrapper` with AES-256-GCM (NIST SP 800-38D)."""

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        """Keep the key; raise ValueError if it hasn't 32 bytes.

        :param entropy: gives nonces of 96 bits: random ones are good for 2**32 data keys under one master key.
        """
        if len(key) != KEY_BYTES:
            raise ValueError(f"got {len(key)} bytes, expected {KEY_BYTES}")
        self._aead = AESGCM(key)
        self._entropy = entropy
        self._key_id = f"local-{hmac.digest(key, _ID_LABEL, 'sha256')[:_ID_BYTES].hex()}"

    @property
    def key_id(self) -> str:
        """Return ``local-`` and 16 hex digits of a MAC under the key, from which nobody learns the key."""
        return self._key_id

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return nonce and ciphertext."""
        nonce = self._entropy.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """Return the key again."""
        if key_id != self._key_id:
            raise UnavailableError(
                Reason.SECRET_STORE_UNAVAILABLE,
                f"got what the master key {key_id} encrypted, expected {self._key_id}: "
                "another key file, or another variable?",
            )
        try:
            return self._aead.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise UnavailableError(
                Reason.SECRET_STORE_UNAVAILABLE,
                f"got a data key that was changed since the master key {key_id} encrypted it",
            ) from None


def master_key_from_file(path: Path, entropy: Entropy, *, make: bool = False) -> LocalMasterKey:
    """Return the master key in a file: 32 bytes as base64url, and perhaps a line break.

    :param make: whether to make the file (0600) with a new key where there is none.  Of two processes that
        do so at the same time, one makes it and both have that key.
    :raises PrivateFileError: when it is missing, readable by others, not ours, or holds something else.
    """
    data = read_private(path, _MAX_FILE_BYTES)
    if data is None and make:
        _make(path, entropy)
        data = read_private(path, _MAX_FILE_BYTES)
    if data is None:
        raise PrivateFileError(
            f"{path}: there is no master key; restore it, since without it no secret can be read"
        )
    return LocalMasterKey(_read(data, str(path)), entropy)


def master_key_from_text(text: str | None, name: str, entropy: Entropy) -> LocalMasterKey:
    """Return the master key that came by an environment variable.

    :param text: 32 bytes as base64url; None where the variable isn't set.
    :param name: of the variable, for the error's text.
    :raises PrivateFileError: when it isn't set or holds something else.
    """
    if text is None:
        raise PrivateFileError(f"{name}: the environment variable with the master key isn't set")
    return LocalMasterKey(_read(os.fsencode(text), f"environment variable {name}"), entropy)


def _make(path: Path, entropy: Entropy) -> None:
    """Put a whole file with a new key there, or leave what somebody else has put there meanwhile.

    The directory needn't be private, as one with settings isn't: the file is, and its owner is looked at.
    """
    new = path.with_name(f".{path.name}.{entropy.token_bytes(8).hex()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(base64url.encode(entropy.token_bytes(KEY_BYTES)).encode() + b"\n")
                file.flush()
                os.fsync(handle)
            with suppress(FileExistsError):
                os.link(new, path)
        finally:
            new.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise PrivateFileError(f"{path}: can't be made: {error.strerror}") from None


def _read(data: bytes, where: str) -> bytes:
    try:
        key = base64url.decode(data.rstrip(b"\r\n").decode("ascii"))
    except (MalformedError, UnicodeDecodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise PrivateFileError(
            f"{where}: expected {KEY_BYTES} bytes as base64url without padding (43 characters)"
        )
    return key
