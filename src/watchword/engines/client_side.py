"""Name the fields by which gateways tell an API where a client comes from, and that no client may state.

Whoever chooses them chooses the address that the API limits, logs or trusts, and whether it takes the connection for
one over TLS.  An engine removes a client's and writes ``X-Forwarded-For`` from the connection.
"""

from typing import Final

FORWARDED_FOR: Final = "X-Forwarded-For"
"""The one that an engine writes itself."""

FORWARDED_PREFIX: Final = "X-Forwarded-"

CLIENT_SIDE: Final = (
    # RFC 7239.
    "Forwarded",
    FORWARDED_FOR,
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    # Other words for https, which servers take as well: Rack, and gunicorn by
    # https://docs.gunicorn.org/en/stable/settings.html#secure-scheme-headers.
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Real-IP",
)
"""Those that an engine names one by one; one that knows expressions removes whatever begins with
:data:`FORWARDED_PREFIX`."""

_NAMES: Final = frozenset(name.lower().encode("ascii") for name in CLIENT_SIDE)
_PREFIX: Final = FORWARDED_PREFIX.lower().encode("ascii")


def is_client_side(canonical: bytes) -> bool:
    """Tell whether a field is one of these, by its name in lower case with hyphens (as of ``gate.hygiene.canonical_name``)."""
    return canonical in _NAMES or canonical.startswith(_PREFIX)
