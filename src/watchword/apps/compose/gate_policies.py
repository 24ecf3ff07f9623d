"""Tell what the gate of an API is to keep, from the settings: what goes into its bundle."""

import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from watchword.apps.settings import ApiSettings, Settings
from watchword.apps.settings.schema import EdgeSettings
from watchword.broker.interface import EdgeRule
from watchword.gate.interface import GatePolicy
from watchword.reasons import WatchwordError
from watchword.tokens.interface import LEEWAY_SECONDS, TokenExpectation

MAX_AUTHORITIES_BYTES: Final = 64 * 1024
"""Most bytes of a file of authorities: some 30 certificates.  It travels to gates in the bundle."""


class EdgeAuthoritiesError(WatchwordError):
    """Report a file of authorities that a secret's origin can't be known by."""


def gate_policy(settings: Settings, api: ApiSettings) -> GatePolicy:
    """Return the policy of one API.

    :raises EdgeAuthoritiesError: when a file of authorities can't be used.
    """
    return GatePolicy(
        api=api.name,
        expectation=TokenExpectation(
            issuer=settings.service.issuer,
            audience=api.audience,
            environment=settings.environment,
            leeway=LEEWAY_SECONDS,
        ),
        routes=api.routes,
        replay=api.replay.mode,
        rate=api.rate,
        binding_header=None
        if api.binding_header is None
        else api.binding_header.lower().encode("ascii"),
        limits=api.limits,
        edges=_edges(settings, api),
        case_sensitive=api.case_sensitive,
    )


def gate_policies(settings: Settings) -> tuple[GatePolicy, ...]:
    """Return the policy of each API; raises as :func:`gate_policy` does."""
    return tuple(gate_policy(settings, api) for api in settings.apis.values())


def edge_rule(edge: EdgeSettings) -> EdgeRule:
    """Return to what a secret is lent, with the authorities out of their file.

    :raises EdgeAuthoritiesError: when that can't be read or holds anything else than certificates.
    """
    return edge.rule if edge.ca is None else replace(edge.rule, ca=_authorities(edge.ca))


def _edges(settings: Settings, api: ApiSettings) -> Mapping[str, EdgeRule]:
    """Return by secret, for those that the API's routes add: its gate is told no others."""
    if settings.secrets is None:
        return {}
    named = dict.fromkeys(route.secret for route in api.routes if route.secret is not None)
    return {name: edge_rule(settings.secrets.edges[name]) for name in named}


def _authorities(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_AUTHORITIES_BYTES + 1)
        if len(data) > MAX_AUTHORITIES_BYTES:
            raise EdgeAuthoritiesError(f"{file}: got more than {MAX_AUTHORITIES_BYTES} bytes")
        text = data.decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise EdgeAuthoritiesError(f"{file}: expected certificates in PEM") from None
    except OSError as error:
        raise EdgeAuthoritiesError(f"{file}: {error.strerror}") from None
    if "PRIVATE KEY" in text:
        # It would be on its way to every gate.
        raise EdgeAuthoritiesError(f"{file}: got a private key, expected certificates alone")
    return text
