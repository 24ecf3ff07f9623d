"""Keep the keys that sign root lists and pin sets: PEM (PKCS #8) in a file for this user alone, encrypted if asked for."""

from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from watchword.adapters.keyring.private_file import PrivateFileError, read_private, write_new
from watchword.adapters.pin_workspace.faults import WorkspaceError
from watchword.encoding import strict_json
from watchword.ports import VerificationKey
from watchword.reasons import MalformedError
from watchword.tokens.jwk import jwk_from_public_key, public_key_from_jwk, thumbprint
from watchword.tokens.signing_key import SigningKey

_MAX_BYTES: Final = 8192
_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_PRIVATE: Final = b"PRIVATE KEY-----"


def new_key() -> SigningKey:
    """Return a fresh key on P-256."""
    return SigningKey(generate_private_key(SECP256R1()))


def write_key(path: Path, key: SigningKey, passphrase: str | None = None) -> None:
    """Write a private key to a file that isn't there yet (mode 0600).

    :param passphrase: encrypts it; None leaves it as it is.
    :raises WorkspaceError: when something is there already, or the disk refuses.
    """
    if passphrase is None:
        pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    else:
        encryption = BestAvailableEncryption(passphrase.encode())
        pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    write_new(path, pem, fault=WorkspaceError)


def write_public_key(path: Path, key: SigningKey) -> None:
    """Write a public key as JWK to a file that isn't there yet.

    :raises WorkspaceError: as above.
    """
    data = strict_json.dumps(jwk_from_public_key(key.public)) + b"\n"
    write_new(path, data, 0o644, WorkspaceError)


def read_key(path: Path, passphrase: str | None = None) -> SigningKey | None:
    """Return the private key in a file; None where it is encrypted and no passphrase was given.

    :raises WorkspaceError: when it isn't there, others may read it, it holds no such key, or the passphrase is wrong; the text
        quotes nothing of it.
    """
    if path.suffix == ".jwk":
        # Others may read a public key, and to tell of its mode would lead astray.
        raise WorkspaceError(f"{path}: this is a public key; name the private one (.pem)")
    try:
        data = read_private(path, _MAX_BYTES)
    except PrivateFileError as error:
        raise WorkspaceError(str(error)) from error
    if data is None:
        raise WorkspaceError(f"{path}: isn't there, expected a private key")
    encrypted = _ENCRYPTED in data
    if encrypted and passphrase is None:
        return None
    try:
        key = load_pem_private_key(data, passphrase.encode() if encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        expected = "a private key on P-256 as PEM" + (" and its passphrase" if encrypted else "")
        raise WorkspaceError(f"{path}: got something else, expected {expected}")
    return SigningKey(key)


def read_public_key(path: Path) -> VerificationKey:
    """Return the public key in a JWK file, under its thumbprint.

    :raises WorkspaceError: when it isn't one; a private key is told apart, since it mustn't be handed around.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WorkspaceError(f"{path}: can't be read: {error.strerror}") from None
    if _PRIVATE in data:
        raise WorkspaceError(
            f"{path}: got a private key, expected the public one (.jwk beside it); it mustn't leave its holder"
        )
    try:
        key = public_key_from_jwk(strict_json.loads(data, _MAX_BYTES))
    except MalformedError as error:
        raise WorkspaceError(
            f"{path}: {error.detail}; expected a public key on P-256 as JWK"
        ) from None
    return VerificationKey(thumbprint(jwk_from_public_key(key)), key)
