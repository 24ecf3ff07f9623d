"""Read and write base64url without padding, in its one canonical form (RFC 4648 section 5, RFC 7515)."""

import base64
import binascii

from watchword.reasons import MalformedError, Reason


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
    try:
        raw = text.encode("ascii")
        data = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise MalformedError.because(
            Reason.ENCODING_BASE64URL, "got text outside of base64url without padding"
        ) from None
    if encode(data) != text:
        raise MalformedError.because(
            Reason.ENCODING_BASE64URL, "got base64url that isn't in canonical form"
        )
    return data
