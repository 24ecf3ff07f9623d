"""Read what a lab phone's evidence is to be bound to, and write the evidence as a file."""

import hashlib
import ssl
from typing import Any

import click

from watchword.encoding import base64url
from watchword.vocabulary import Platform


def bound_bytes(platform: Platform, challenge: str | None, binding: str | None) -> bytes:
    """Return what the evidence carries: a challenge the way apps use it, or the bytes given.

    :raises click.UsageError: unless it is one of both, 1 to 128 bytes in hex.
    """
    given = binding if challenge is None else challenge
    if given is None or (challenge is not None and binding is not None):
        raise click.UsageError("expected one of --challenge HEX and --binding HEX")
    try:
        raw = bytes.fromhex(given)
    except ValueError:
        raise click.UsageError(f"got {given!r}, expected hex digits in pairs") from None
    if not 1 <= len(raw) <= 128:
        raise click.UsageError(f"got {len(raw)} bytes, expected 1 to 128 (Android's limit)")
    return hashlib.sha256(raw).digest() if challenge and platform is Platform.IOS else raw


def evidence_file(found: dict[str, Any]) -> bytes:
    """Return evidence as verifiers take it from a file."""
    if "attestation" in found:
        return base64url.decode(found["attestation"])
    if "token" in found:
        token: str = found["token"]
        return token.encode("ascii")
    chain = (ssl.DER_cert_to_PEM_cert(base64url.decode(der)) for der in found["chain"])
    return "".join(chain).encode()
