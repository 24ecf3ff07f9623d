"""Hold what a configuration needs beside the gate bundle: places, addresses and sizes."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from watchword.engines.interface import Endpoint, EngineOptions
from watchword.vocabulary import Level

DEFAULT_CACHED_TOKENS: Final = 20_000
"""Verified tokens that each worker remembers: with fewer than there are live ones, each request
costs a signature (2.7 times as much as one that is remembered)."""

DRAIN_SECONDS: Final = 5
"""How long connections of a listener that was replaced may go on, under its filters and its route table."""

START_OPTIONS: Final = (
    # With hot restart, Envoy asks the kernel to end it with its parent (PR_SET_PDEATHSIG), so that a control plane that
    # is killed would take it along; and Envoys of one host would need base ids of their own.
    "--disable-hot-restart",
    # By default connections of a replaced listener go on for ten minutes.  So each is told to end with its next answer.
    *("--drain-strategy", "immediate"),
    *("--drain-time-s", str(DRAIN_SECONDS)),
)
"""With what Envoy is started, beside its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyOptions(EngineOptions):
    """Hold what an Envoy needs beside what every engine does.

    :param admin: Envoy's own endpoint, which shows and changes everything.
    :param cached_tokens: verified tokens that each worker remembers.
    :param max_connections: most connections of clients at once.
    :param max_header_kib: most KiB of a request's head.
    """

    admin: Endpoint
    cached_tokens: int = DEFAULT_CACHED_TOKENS
    max_connections: int = 10_000
    max_header_kib: int = 8


FIELDS: Final = "watchword.fields"
TOKEN: Final = "watchword.token"  # noqa: S105 - a filter.
RATE: Final = "watchword.rate"
COUNTS: Final = "watchword.counts"
PROOF: Final = "watchword.proof"
AUTHZ: Final = "watchword.authz"
NAMED: Final = "watchword.named"
STRIP: Final = "watchword.strip"
"""The filters, in the order in which a request meets them, but for ``counts`` and :func:`claims` behind ``token``, and
:func:`limit` and :func:`quota` in front of ``strip``, :func:`inject` behind it."""

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

API_HEADER: Final = "watchword-api"
"""Says inside of Envoy whose gate let a request pass (:data:`watchword.gate.interface.API_HEADER`)."""

STATUS_HEADER: Final = "watchword-status"
"""Says why an app sends no token; /authz and the log of refusals count it, and the API never sees it."""

DEVICE_HEADER: Final = "watchword-device"
"""Says inside of Envoy by which device requests are counted, where the token names one; the API never sees it."""

ISSUED_HEADER: Final = "watchword-issued"
"""Says inside of Envoy when the token was issued; the API never sees it."""

COUNTS_HEADER: Final = "watchword-counts"
"""Says inside of Envoy whether the token still counts: ``holds``, ``revoked`` or ``cut``; the API never sees it."""

FRAMED_HEADER: Final = "watchword-framed"
"""Carries inside of Envoy what ``Transfer-Encoding`` said."""


def claims(level: Level) -> str:
    """Return the filter that looks at what a valid token isn't enough for, on routes of a level.

    In version 0.2.0 it was called ``standing``, and asked for no mark of ``counts``.  Under that name it would change on
    connections whose listener has no such filter yet, and refuse all of their requests.
    """
    return f"watchword.claims-{level.value}"


def table(filters: Sequence[str]) -> str:
    """Return the name of the route table that goes with these filters.

    Connections of a listener that was replaced keep its filters.  Under one name they would get routes that switch
    on filters which they don't have, and a request would pass without them; so they keep their table too.
    """
    return f"watchword-{hashlib.sha256(' '.join(filters).encode()).hexdigest()[:12]}"


def limit(name: str) -> str:
    """Return the filter that carries out a limit of the API."""
    return f"watchword.limit-{name}"


def quota(secret: str, at: int) -> str:
    """Return the filter that counts what an instance uses of an injected key, by the rule's allowance."""
    return f"watchword.quota-{secret}-{at}"


def inject(secret: str) -> str:
    """Return the filter that adds a key to a request."""
    return f"watchword.lend-{secret}"


def origin(secret: str) -> str:
    """Return the cluster of the one origin that a key is sent to."""
    return f"lend-{secret}"


_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_plain(name: str) -> bool:
    """Tell whether a name of the policy can be part of a file's name."""
    return _PLAIN.fullmatch(name) is not None


def typed(name: str, fields: dict[str, object]) -> dict[str, object]:
    """Return a typed configuration: the message's full name first, then its fields."""
    return {"@type": f"type.googleapis.com/{name}", **fields}
