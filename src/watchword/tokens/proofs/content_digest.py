"""Read and write ``Content-Digest`` with one SHA-256 in its one canonical form (RFC 9530 section 2)."""

import binascii
import re
from typing import Final

from watchword.reasons import MalformedError, Reason

MAX_BYTES: Final = 128
"""Most bytes of the header; ours has 53."""

DIGEST_BYTES: Final = 32
"""Bytes of a SHA-256."""

# The last of 43 characters has two spare bits, which are zero: one digest has one text.
_FORM: Final = re.compile(rb"sha-256=:([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):").fullmatch


def read(header: bytes) -> bytes:
    """Return the SHA-256 out of the header.

    A second member is refused, also one of another algorithm: an intermediary could answer for one
    of them and the API for the other.  So are parameters and white space.

    :raises MalformedError: with ``proof.digest``.
    """
    if len(header) > MAX_BYTES:
        raise MalformedError.because(
            Reason.PROOF_DIGEST, f"got {len(header)} bytes, expected at most {MAX_BYTES}"
        )
    found = _FORM(header)
    if found is None:
        raise MalformedError.because(
            Reason.PROOF_DIGEST, "expected Content-Digest with exactly one canonical sha-256"
        )
    return binascii.a2b_base64(found[1], strict_mode=True)


def write(digest: bytes) -> str:
    """Return the header's value for a SHA-256; raise ValueError for other lengths."""
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"got a digest of {len(digest)} bytes, expected {DIGEST_BYTES}")
    return f"sha-256=:{binascii.b2a_base64(digest, newline=False).decode('ascii')}:"
