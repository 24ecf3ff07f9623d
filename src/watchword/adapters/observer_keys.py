"""Keep observers' private keys, each in a file of its own."""

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

from watchword.adapters.keyring.private_file import PrivateFileError, read_private, write_new
from watchword.encoding import strict_json
from watchword.reasons import ExitCode, MalformedError
from watchword.tokens.jose import SigningKey

_MAX_BYTES: Final = 4096

_PUBLIC_PEM: Final = b"-----BEGIN PUBLIC KEY-----"


class ObserverKeyError(PrivateFileError):
    """Report an observer's key that can't be used or written, and what to do about it."""

    exit_code = ExitCode.USAGE


def write_observer_key(path: Path) -> SigningKey:
    """Make a new key and write it to a file that isn't there yet (mode 0600).

    :raises ObserverKeyError: when something is there already, or the disk refuses.
    """
    key = SigningKey(generate_private_key(SECP256R1()))
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(path, pem, fault=ObserverKeyError)
    return key


def read_observer_key(path: Path) -> SigningKey:
    """Return the private key in a file.

    :raises ObserverKeyError: when it isn't there, others may read it, or it holds no such key; the
        text quotes nothing of it.
    """
    # Asked first: that others may read a public key is as it should be.
    if _holds_a_public_key(path):
        raise ObserverKeyError(
            f"{path}: this is the public key; name the private one, that "
            "`watchword observe keygen` wrote beside it (such as ci.pem)"
        )
    try:
        data = read_private(path, _MAX_BYTES)
    except PrivateFileError as error:
        raise ObserverKeyError(str(error)) from error
    if data is None:
        raise ObserverKeyError(f"{path}: isn't there; make one with `watchword observe keygen`")
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ObserverKeyError(
            f"{path}: got something else, expected a private key on P-256 as PEM without a password"
        )
    return SigningKey(key)


def _holds_a_public_key(path: Path) -> bool:
    """Tell whether a file is there with a public key in it, as JWK or PEM."""
    try:
        if not path.is_file():
            # To open a pipe would wait for whoever writes to it.
            return False
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError):
        return False
    if data.lstrip().startswith(_PUBLIC_PEM):
        return True
    try:
        jwk = strict_json.loads(data, _MAX_BYTES)
    except MalformedError:
        return False
    return "kty" in jwk and "d" not in jwk
