"""Read and write base64url without padding, in its one canonical form (RFC 4648 section 5, RFC 7515)."""

import base64
import binascii
from typing import Final

from watchword.reasons import MalformedError, Reason

_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
"""Turns the alphabet into the standard one, whose own characters and padding become invalid."""

_PADDING: Final = (b"", b"", b"==", b"=")
_LAST: Final = (None, "", "AQgw", "AEIMQUYcgkosw048")
"""By the length modulo 4: the last characters whose spare bits are zero; none for a length that can't be."""


def encode(data: bytes) -> str:
    """Return ``data`` as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str, limit: int = 64 * 1024) -> bytes:
    """Return the bytes behind canonical, unpadded base64url.

    Anything else is refused: padding, the standard alphabet, white space, and the spare bits
    of the last character set (two texts for the same bytes let a replayed token look new).

    :param limit: most characters that are accepted.
    :raises MalformedError: with ``encoding.base64url``.
    """
    if len(text) > limit:
        raise MalformedError.because(
            Reason.ENCODING_BASE64URL, f"got {len(text)} characters, expected at most {limit}"
        )
    rest = len(text) % 4
    try:
        raw = text.encode("ascii").translate(_TO_STANDARD) + _PADDING[rest]
        data = binascii.a2b_base64(raw, strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise MalformedError.because(
            Reason.ENCODING_BASE64URL, "got text outside of base64url without padding"
        ) from None
    last = _LAST[rest]
    if last is not None and text[-1] not in last:
        raise MalformedError.because(
            Reason.ENCODING_BASE64URL, "got base64url that isn't in canonical form"
        )
    return data
