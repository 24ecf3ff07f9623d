"""Refuse, before anything is written, what an engine can't do that only asks about each request."""

import re
from typing import Final

from watchword.engines.interface import UnsupportedError
from watchword.engines.places import Endpoint, EngineOptions
from watchword.gate.interface import GatePolicy, Route
from watchword.vocabulary import Mode, Proof

_PLAIN: Final = re.compile(r"""[^\x00-\x1f\x7f"'\\$;{}#]+""")
"""Paths that mean themselves in every configuration language here, inside of quotes."""


def require_authz(policy: GatePolicy, options: EngineOptions, engine: str, style: str) -> Endpoint:
    """Return where ``/authz`` is asked.

    :param engine: its name, for people.
    :param style: in which it asks.

    :raises UnsupportedError: without one, for routes that lend a key, and for paths that can't be written.
    """
    if options.authz is None:
        raise UnsupportedError(
            policy.api,
            "/authz",
            f"{engine} judges nothing by itself and asks about every request",
            f"name where it is asked: `authz: {{style: {style}}}` in the API's section of the file, or --authz",
        )
    for route in policy.routes:
        if route.secret is not None:
            raise UnsupportedError(
                route.name,
                f"secret {route.secret}",
                "a key is added by whoever sends the request on, and forward auth only answers",
                "serve the route by the built-in proxy or by Envoy",
            )
    for place in (options.directory, options.authz.socket, options.access_log, options.user):
        require_plain(place, engine)
    return options.authz


def require_plain(place: str, engine: str) -> None:
    """Hold a path to signs that mean themselves.

    :raises UnsupportedError: for one with quotes, variables or control characters.
    """
    if place and not _PLAIN.fullmatch(place):
        raise UnsupportedError(
            repr(place),
            "path",
            f"it holds a sign that means something else in a configuration of {engine}",
            "use a path of letters, digits and . _ - /",
        )


def asks_for_proof(route: Route) -> bool:
    """Tell whether requests of a route are judged by a proof, in any mode that judges."""
    return route.mode is not Mode.OFF and route.proof is not Proof.BEARER
