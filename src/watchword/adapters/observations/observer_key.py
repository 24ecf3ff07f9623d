"""Keep an observer's private key: PEM (PKCS #8) in a file for this user alone."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.tokens.signing_key import SigningKey

_MAX_BYTES: Final = 4096


def write_observer_key(path: Path) -> SigningKey:
    """Make a new key and write it to a file that isn't there yet (mode 0600).

    :raises PrivateFileError: when something is there already, or the disk refuses.
    """
    key = SigningKey(generate_private_key(SECP256R1()))
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise PrivateFileError(
            f"{path}: is there already; a key is never overwritten, name another file"
        ) from None
    except OSError as error:
        raise PrivateFileError(f"{path}: can't be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(handle)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise PrivateFileError(f"{path}: can't be written: {error.strerror}") from None
    return key


def read_observer_key(path: Path) -> SigningKey:
    """Return the private key in a file.

    :raises PrivateFileError: when it isn't there, others may read it, or it holds no such key; the
        text quotes nothing of it.
    """
    data = read_private(path, _MAX_BYTES)
    if data is None:
        raise PrivateFileError(f"{path}: isn't there; make one with `watchword observe keygen`")
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise PrivateFileError(
            f"{path}: got something else, expected a private key on P-256 as PEM without a password"
        )
    return SigningKey(key)
