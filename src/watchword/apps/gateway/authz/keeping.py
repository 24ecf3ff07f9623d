"""Say for how long an engine may keep a verdict, so that it needn't ask about the next request of a token."""

import math
from typing import Final

from watchword.encoding import base64url, strict_json
from watchword.gate.interface import Decision, GatePolicy, GateState, Route
from watchword.vocabulary import Mode, Proof

MAX_KEPT_SECONDS: Final = 30
"""The longest that any engine keeps a verdict, whatever the token's life."""

_ROUNDED_UP: Final = 1
"""Seconds by which nginx may serve an entry longer than it was told, since it counts whole ones."""

_MAX_JOSE_HEADER_BYTES: Final = 2048


def kept_seconds(
    decision: Decision, state: GateState, policy: GatePolicy, token: bytes, now: float
) -> int:
    """Return for how many seconds the next request of this token to the same target would pass too; 0 for not at all.

    Only where nothing but the token decides: whatever counts requests, looks at other fields or spends a proof
    has to see each of them.

    :param decision: one that lets the request pass.
    :param token: as the request carried it, verified.
    :param now: seconds since 1970.
    """
    claims = decision.claims
    route = _route(policy, decision.route)
    if claims is None or route is None or decision.refusals or not _rests_on_the_token(route):
        return 0
    if policy.rate is not None or policy.limits or policy.binding_header is not None:
        return 0
    if state.canaries is not None:
        # A planted key can stand in any field; each request is searched for them.
        return 0
    until = min(claims.expires_at, _end_of_key(state, token))
    return max(0, math.floor(min(MAX_KEPT_SECONDS, until - now)) - _ROUNDED_UP)


def _route(policy: GatePolicy, name: str) -> Route | None:
    return next((route for route in policy.routes if route.name == name), None)


def _rests_on_the_token(route: Route) -> bool:
    return route.mode is Mode.ENFORCE and route.proof is Proof.BEARER and route.secret is None


def _end_of_key(state: GateState, token: bytes) -> float:
    """Return when the key of a verified token retires."""
    head = base64url.decode(token.partition(b".")[0].decode("ascii"), _MAX_JOSE_HEADER_BYTES)
    key = state.find(str(strict_json.loads(head, _MAX_JOSE_HEADER_BYTES).get("kid")))
    if key is None:
        # Withdrawn since it was verified.
        return -math.inf
    return math.inf if key.verify_until is None else key.verify_until
