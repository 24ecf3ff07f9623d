"""Keep the drill's private key: PEM (PKCS #8) in a file for this user alone."""

from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.adapters.observer_keys import ObserverKeyError, write_observer_key
from watchword.encoding import strict_json
from watchword.reasons import ExitCode, MalformedError
from watchword.tokens.jose import SigningKey, public_key_from_jwk

_MAX_BYTES: Final = 4096
_MADE_BY: Final = "`watchword drill keygen`"


class DrillKeyError(PrivateFileError):
    """Report a drill's key that can't be used or written, and what to do about it."""

    exit_code = ExitCode.USAGE


def write_drill_key(path: Path) -> SigningKey:
    """Make a new key and write it to a file that isn't there yet (mode 0600).

    :raises DrillKeyError: when something is there already, or the disk refuses.
    """
    try:
        return write_observer_key(path)
    except ObserverKeyError as error:
        raise DrillKeyError(str(error)) from error


def read_drill_key(path: Path) -> SigningKey:
    """Return the private key in a file.

    :raises DrillKeyError: when it isn't there, others may read it, or it holds no such key; the text quotes nothing of it.
    """
    try:
        data = read_private(path, _MAX_BYTES)
    except PrivateFileError as error:
        raise DrillKeyError(str(error)) from error
    if data is None:
        raise DrillKeyError(f"{path}: isn't there; make one with {_MADE_BY}")
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise DrillKeyError(
            f"{path}: got something else, expected a private key on P-256 as PEM without a "
            f"password, such as {_MADE_BY} makes (drill.pem, not drill.jwk)"
        )
    return SigningKey(key)


def read_drill_jwk(path: Path) -> dict[str, str]:
    """Return the public key in a file, as JWK: what an owner is given.

    :raises DrillKeyError: when it can't be read, or holds anything else, a private key among it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise DrillKeyError(f"{path}: isn't there; make one with {_MADE_BY}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise DrillKeyError(f"{path}: can't be read: {why}") from error
    try:
        jwk = strict_json.loads(data, _MAX_BYTES)
        public_key_from_jwk(jwk)
    except MalformedError:
        raise DrillKeyError(
            f"{path}: got something else, expected the public key on P-256 as JWK that "
            f"{_MADE_BY} wrote (drill.jwk, not drill.pem)"
        ) from None
    return jwk
