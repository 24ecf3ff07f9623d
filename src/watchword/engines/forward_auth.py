"""Hold what the configurations share whose engines ask ``/authz`` about every request."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from watchword.encoding import strict_json
from watchword.engines.interface import (
    Endpoint,
    EngineOptions,
    UnsupportedError,
)
from watchword.gate.interface import GatePolicy, Route
from watchword.public_classes import PROBLEM_TYPE, PublicClass
from watchword.vocabulary import Mode, Proof

_PLAIN: Final = re.compile(r"""[^\x00-\x1f\x7f"'\\$;{}#]+""")
"""Paths that mean themselves in every configuration language here, inside of quotes."""


def require_authz(policy: GatePolicy, options: EngineOptions, engine: str, style: str) -> Endpoint:
    """Return where ``/authz`` is asked.

    :param engine: its name, for people.
    :param style: in which it asks.

    :raises UnsupportedError: without one, for routes that inject a key, and for paths that can't be written.
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


def page(
    policy: GatePolicy, engine: str, files: Mapping[str, str], start: str, notes: Sequence[str]
) -> str:
    """Return the page, in Markdown.

    :param files: what each file is.
    :param start: the command that starts the engine.
    :param notes: sentences on what holds for this configuration.
    """
    lines = [
        f"# {engine} in front of {policy.api}",
        "",
        "Written by Watchword; changes made by hand are overwritten. Every request is judged by /authz, which",
        "follows the gate bundle itself. Start the engine as the user who runs Watchword:",
        "",
        f"    {start}",
        "",
        "| file | what it is |",
        "| --- | --- |",
        *(f"| `{name}` | {what} |" for name, what in files.items()),
        "",
        *(f"- {note}" for note in notes),
        "",
        "| route | methods | mode | level | proof | bodies |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for route in policy.routes:
        methods = ", ".join(sorted(route.methods)) or "any"
        refused = asks_for_proof(route) and route.mode is not Mode.MONITOR
        bodies = "refused: nobody compares them with their digest" if refused else "pass"
        lines.append(
            f"| `{route.pattern}` | {methods} | {route.mode.value} | {route.level.value} "
            f"| {route.proof.value} | {bodies} |"
        )
    return "\n".join(lines) + "\n"


RETRY_AFTER_SECONDS = 5
"""After which a client may try again where something doesn't answer, as everywhere."""


def problem(public: PublicClass, ref: str) -> str:
    """Return the body of a refusal (RFC 9457).

    :param ref: the engine's own expression for the id of a request.
    """
    members = {
        "type": PROBLEM_TYPE + public.slug,
        "title": public.title,
        "status": public.status,
        "ref": ref,
    }
    return strict_json.dumps(members).decode()
