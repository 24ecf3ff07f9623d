"""Name the fields by which gateways tell an API who a client is and where it comes from, and that no client may state.

Whoever chooses them chooses the address that the API limits, logs or trusts, whether it takes the connection for one over
TLS, and with some servers who is there and what is asked.  An engine removes a client's and writes ``X-Forwarded-For``
from the connection.  This is the one list: what an engine can't remove, /authz refuses in its place.
"""

from typing import Final

from watchword.gate.hygiene import REWRITING_FIELDS

FORWARDED_FOR: Final = "X-Forwarded-For"
"""The one that an engine writes itself."""

FORWARDED_PREFIX: Final = "X-Forwarded-"

CLIENT_SIDE: Final = (
    # RFC 7239.
    "Forwarded",
    FORWARDED_FOR,
    "X-Forwarded-By",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    # Other words for https, which servers take as well: Rack, and gunicorn by
    # https://docs.gunicorn.org/en/stable/settings.html#secure-scheme-headers.
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Real-IP",
    # Who is there, as proxies that authenticate say it: Envoy, Traefik and oauth2-proxy.
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Forwarded-User",
    *sorted(name.decode().title() for name in REWRITING_FIELDS),
)
"""Those that an engine names one by one; one that knows expressions removes whatever begins with
:data:`FORWARDED_PREFIX`."""

_NAMES: Final = frozenset(name.lower().encode("ascii") for name in CLIENT_SIDE)
_PREFIX: Final = FORWARDED_PREFIX.lower().encode("ascii")


def is_unlisted(canonical: bytes) -> bool:
    """Tell whether a field is one of these by its beginning alone: an engine without expressions can't remove it."""
    return canonical.startswith(_PREFIX) and canonical not in _NAMES


def is_client_side(canonical: bytes) -> bool:
    """Tell whether a field is one of these, by its name in lower case with hyphens (as of ``gate.hygiene.canonical_name``)."""
    return canonical in _NAMES or canonical.startswith(_PREFIX)
