"""Hold a token to the header that its binding names, such as the session of a user who signed in."""

import hashlib
import hmac
from collections.abc import Sequence

from watchword.encoding import base64url
from watchword.gate.hygiene import canonical_name
from watchword.reasons import Reason, RefusedError


def binding_of(value: bytes) -> str:
    """Return the ``bnd`` of a header's value: its SHA-256, base64url."""
    return base64url.encode(hashlib.sha256(value).digest())


def check_binding(
    binding: str | None, header: bytes, fields: Sequence[tuple[bytes, bytes]]
) -> None:
    """Hold a request to the value that its token was issued for.

    The header must occur once, in no second spelling: the API might read the other one.

    :param binding: ``bnd`` of the token.
    :param header: lower-case name.
    :param fields: of the request, cleaned.
    :raises RefusedError: ``token.binding``.
    """
    if binding is None:
        raise RefusedError.because(Reason.TOKEN_BINDING, "got a token without bnd")
    name = canonical_name(header)
    found = [field for field in fields if canonical_name(field[0]) == name]
    if len(found) != 1 or found[0][0] != header:
        raise RefusedError.because(
            Reason.TOKEN_BINDING,
            f"got {len(found)} fields {header.decode('ascii', 'replace')}, expected the bound one",
        )
    if not hmac.compare_digest(binding_of(found[0][1]).encode(), binding.encode("utf-8")):
        raise RefusedError.because(Reason.TOKEN_BINDING, "got another value than the bound one")
