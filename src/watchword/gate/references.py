"""Seal why a request was refused into a reference that only the operator can open.

The reference goes out with the refusal and needs no row in a store: ``watchword explain REF``
opens it.  A stranger learns nothing from it, not even from its length, and can't make one.
"""

import hmac
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, Reason, Refusal, RefusedError

KEY_BYTES = 32
"""Bytes of the reference key."""

NONCE_BYTES = 24
"""Random bytes of each reference."""

MAX_REFERENCE_CHARACTERS = 2048
"""Most characters that are accepted for opening."""

_LABEL = b"watchword/ref/v1"
_BLOCK_BYTES = 128
_TAG_BYTES = 16

LEAST_CHARACTERS = (NONCE_BYTES + _BLOCK_BYTES + _TAG_BYTES) * 4 // 3
"""How long a reference of one block is; of a long route's name it has more blocks."""
_HALF = NONCE_BYTES // 2


@dataclass(frozen=True, slots=True)
class SealedRefusal:
    """Hold what a reference says.

    :param route: name of the route, empty where none was found.
    :param at: seconds since 1970.
    """

    reasons: tuple[Reason, ...]
    route: str
    at: int


def seal(refusals: Sequence[Refusal], route: str, now: float, key: bytes, nonce: bytes) -> str:
    """Return the reference of a refusal.

    The text is padded to whole blocks, since reasons differ in length.  Each reference has a key
    of its own, derived from half of the nonce: 24 random bytes never repeat, whereas the 12 of
    AES-GCM alone would under a flood of refusals (2**32 of them, NIST SP 800-38D section 8.3).

    :param key: :data:`KEY_BYTES` secret bytes.
    :param nonce: :data:`NONCE_BYTES` fresh random bytes.
    """
    codes = [refusal.reason.code for refusal in refusals]
    text = json.dumps({"t": int(now), "p": route, "r": codes}, separators=(",", ":")).encode()
    padded = text + b" " * (-len(text) % _BLOCK_BYTES)
    sealed = AESGCM(_derive(key, nonce[:_HALF])).encrypt(nonce[_HALF:], padded, _LABEL)
    return base64url.encode(nonce + sealed)


def is_whole(reference: str) -> bool:
    """Tell whether a reference can have been made here by its length alone: it holds whole blocks."""
    size = len(reference) * 3 // 4 - NONCE_BYTES - _TAG_BYTES
    return len(reference) > MAX_REFERENCE_CHARACTERS or (
        # Base64 has no text of 4n + 1 characters.
        len(reference) % 4 != 1 and size >= _BLOCK_BYTES and not size % _BLOCK_BYTES
    )


def open_reference(reference: str, key: bytes) -> SealedRefusal:
    """Return what a reference says.

    :raises RefusedError: ``encoding.base64url`` for text that can't be one, ``request.malformed``
        for one that wasn't made under this key.
    """
    if not is_whole(reference):
        # Longer than most can be a part of one of a long route, or a whole one with something beside it.
        fault = "cut short" if len(reference) < LEAST_CHARACTERS else "too long or cut short"
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"got a reference of {len(reference)} characters, which is {fault}: most have {LEAST_CHARACTERS}; "
            "copy the whole of `ref`, and nothing else",
        )
    raw = base64url.decode(reference, MAX_REFERENCE_CHARACTERS)
    nonce, sealed = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
    try:
        text = AESGCM(_derive(key, nonce[:_HALF])).decrypt(nonce[_HALF:], sealed, _LABEL)
    except InvalidTag:
        raise RefusedError.because(
            Reason.REQUEST_MALFORMED,
            "expected a reference that was made by this deployment: a character of this one is mistyped, "
            "or another deployment made it, or this one before its key ring was replaced",
        ) from None
    members = strict_json.loads(text, MAX_REFERENCE_CHARACTERS)
    reasons = tuple(Reason.from_code(code) for code in members["r"])
    return SealedRefusal(reasons, members["p"], members["t"])


def open_any(reference: str, keys: Iterable[bytes]) -> SealedRefusal:
    """Return what a reference says that one of these keys sealed.

    :param keys: at least one.
    :raises RefusedError: as :func:`open_reference` does, when none of them did.
    """
    refused = RefusedError.because(Reason.REQUEST_MALFORMED, "got no key to open references with")
    for key in keys:
        try:
            return open_reference(reference, key)
        except MalformedError:
            raise
        except RefusedError as error:
            refused = error
    raise refused


def _derive(key: bytes, salt: bytes) -> bytes:
    return hmac.digest(key, _LABEL + salt, "sha256")
