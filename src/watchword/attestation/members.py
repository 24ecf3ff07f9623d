"""Read the members of an evidence object in a request (protocol, section 1)."""

from collections.abc import Collection, Mapping
from typing import Any

from watchword.attestation.interface import MAX_EVIDENCE_BYTES
from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason

FORMAT = "format"
"""The member that names the format; it was read to find the format, and may stay in."""


def expect_members(members: Mapping[str, Any], names: Collection[str]) -> None:
    """Require exactly these members, and ``format`` at will.

    :raises MalformedError: with ``evidence.malformed``.
    """
    got = set(members) - {FORMAT}
    if got != set(names):
        # Names of unknown members are the sender's own text and stay out of the detail.
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED,
            f"got {len(got)} members, expected exactly: {', '.join(sorted(names))}",
        )


def read_bytes(name: str, value: Any) -> bytes:
    """Return the bytes of a member in base64url.

    :raises MalformedError: with ``evidence.malformed``.
    """
    if not isinstance(value, str):
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, f"{name}: got {type(value).__name__}, expected base64url"
        )
    try:
        return base64url.decode(value, limit=MAX_EVIDENCE_BYTES)
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, name) from None
