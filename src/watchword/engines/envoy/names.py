"""Name what several files of the configuration speak of."""

from typing import Final

from watchword.vocabulary import Level

FIELDS: Final = "watchword.fields"
TOKEN: Final = "watchword.token"  # noqa: S105 - a filter.
RATE: Final = "watchword.rate"
PROOF: Final = "watchword.proof"
AUTHZ: Final = "watchword.authz"
"""The filters, in the order in which a request meets them, but for :func:`standing` behind ``token``."""

ROUTES: Final = "watchword"
UPSTREAM: Final = "upstream"
AUTHZ_CLUSTER: Final = "authz"

METADATA: Final = "watchword"
"""Under which Envoy's token check leaves its mark for the script that verifies device proofs."""

TOKEN_HEADER: Final = "watchword-token"  # noqa: S105 - a header.
INSTANCE_HEADER: Final = "watchword-instance"
LEVEL_HEADER: Final = "watchword-level"
APP_HEADER: Final = "watchword-app"
ENVIRONMENT_HEADER: Final = "watchword-environment"
"""Says inside of Envoy in which environment the token was issued; the API never sees it."""

FRAMED_HEADER: Final = "watchword-framed"
"""Carries inside of Envoy what ``Transfer-Encoding`` said."""


def standing(level: Level) -> str:
    """Return the filter that looks at what a valid token isn't enough for, on routes of a level."""
    return f"watchword.standing-{level.value}"


def typed(name: str, fields: dict[str, object]) -> dict[str, object]:
    """Return a typed configuration: the message's full name first, then its fields."""
    return {"@type": f"type.googleapis.com/{name}", **fields}
