"""Refuse what nginx's Lua can't do exactly as the gate does: nothing is written then."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.engines.interface import UnsupportedError
from watchword.engines.places import Endpoint, EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import GatePolicy, Route
from watchword.vocabulary import Mode, Proof, ReplayMode

_ELSEWHERE: Final = (
    "use --engine nginx-authz, which asks /authz about every request, the proxy or the middleware"
)
_LENDING: Final = "use the built-in proxy or Envoy, which lend keys"
_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]{1,255}")
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def require_supported(bundle: GateBundle, options: EngineOptions) -> None:
    """Hold a policy and its places to what the configuration can say.

    :raises UnsupportedError: with the first thing that it can't.
    """
    policy = bundle.policy
    for route in policy.routes:
        if route.secret is not None:
            raise UnsupportedError(route.name, "secret", "the script lends no keys", _LENDING)
    for setting, why in _of_api(bundle, options):
        raise UnsupportedError(policy.api, setting, why, _ELSEWHERE)
    for route in policy.routes:
        for setting, why in _of_route(route, policy):
            raise UnsupportedError(route.name, setting, why, _ELSEWHERE)
    _require_places(policy.api, options)


def _of_api(bundle: GateBundle, options: EngineOptions) -> Iterator[tuple[str, str]]:
    policy = bundle.policy
    if policy.limits:
        yield "limits", "the script counts the API's rate alone"
    if policy.edges:
        yield "secrets at the edge", "the script lends no keys"
    if options.signed_verdict:
        yield "signed_verdict", "nginx has no key to sign verdicts with"
    if bundle.canaries is not None:
        yield "canary keys", "the script doesn't look for planted keys"


def _of_route(route: Route, policy: GatePolicy) -> Iterator[tuple[str, str]]:
    if route.mode is Mode.CANARY:
        yield "mode canary", "the script doesn't count whom a route would turn away"
    if (
        route.mode is not Mode.OFF
        and route.proof is not Proof.BEARER
        and policy.replay is not ReplayMode.LOCAL
    ):
        yield (
            f"replay {policy.replay.value}",
            "used proofs are remembered for the workers of one machine (replay local)",
        )


def _require_places(api: str, options: EngineOptions) -> None:
    """Refuse what would mean something to nginx or Lua in a name of a file or host."""
    if not _NAME.fullmatch(api):
        raise UnsupportedError(
            api, "name", "expected 1 to 64 of A-Z a-z 0-9 _ -", "choose another name"
        )
    paths = [options.directory, options.access_log, options.replay_directory]
    paths += [each.socket for each in (options.listen, options.upstream) if each.socket]
    for path in paths:
        if not _PATH.fullmatch(path):
            raise UnsupportedError(
                api,
                "path",
                f"got {path!r}, expected an absolute path of A-Z a-z 0-9 . _ / -",
                "choose another directory or file",
            )
    if not _NAME.fullmatch(options.user):
        why = f"got {options.user!r}, expected 1 to 64 of A-Z a-z 0-9 _ -"
        raise UnsupportedError(api, "user", why, "run Watchword as another user")
    for each in (options.listen, options.upstream):
        _require_host(api, each)


def _require_host(api: str, endpoint: Endpoint) -> None:
    if not endpoint.socket and not _HOST.fullmatch(endpoint.host):
        raise UnsupportedError(
            api, "host", f"got {endpoint.host!r}, expected a name or address", "choose another one"
        )
