"""Choose who makes the decision on each row of the route table: Envoy itself, or Python.

Envoy's own filters can only refuse, know no order of versions and hash no body; its Lua filter can't
hold a body back and shares what it remembers with the workers of one machine only.  Whatever needs
more goes over ``/authz``; where there is none, the configuration is refused, never weakened.
"""

from dataclasses import dataclass
from enum import StrEnum

from watchword.engines.envoy.limits import holds_for, needs_python
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.interface import UnsupportedError
from watchword.gate.interface import GatePolicy, Route
from watchword.gate.routes import CompiledRoute, compile_routes
from watchword.vocabulary import Mode, Proof, ReplayMode


class Way(StrEnum):
    """Say by whom a request is judged.

    ``open``: nobody, it is only cleaned.  ``token``: Envoy's token check.  ``proof``: the same, and
    the proof in Lua.  ``ask``: Python, over ``/authz``.
    """

    OPEN = "open"
    TOKEN = "token"  # noqa: S105 - a way, no secret.
    PROOF = "proof"
    ASK = "ask"


_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """Hold a row with who judges it.

    :param way: for requests without a body.
    :param with_body: for requests that announce one; None where they are refused.
    :param because: what needs Python, for the comment; empty where nothing does.
    """

    row: CompiledRoute
    way: Way
    with_body: Way | None
    because: str = ""

    @property
    def route(self) -> Route:
        """Return the row as it was written."""
        return self.row.route

    @property
    def ways(self) -> frozenset[Way]:
        """Return every way that requests of this row may go."""
        ways = {self.way} if self.with_body is None else {self.way, self.with_body}
        return frozenset(ways | {Way.ASK} if self.route.dpop else ways)


def plan(policy: GatePolicy, options: EnvoyOptions) -> tuple[PlannedRow, ...]:
    """Return the rows of the table with who judges each.

    :raises UnsupportedError: where a row needs ``/authz`` and there is none.
    """
    return tuple(_plan_row(row, policy, options) for row in compile_routes(policy.routes))


def _plan_row(row: CompiledRoute, policy: GatePolicy, options: EnvoyOptions) -> PlannedRow:
    route = row.route
    if route.mode is Mode.OFF:
        return PlannedRow(row, Way.OPEN, Way.OPEN)
    setting, why = _needs_python(route, policy, options)
    if why:
        _require_authz(route, setting, why, options)
        return PlannedRow(row, Way.ASK, Way.ASK, why)
    if route.proof is Proof.BEARER:
        return PlannedRow(row, Way.TOKEN, Way.TOKEN)
    if options.authz is None:
        if not row.methods or not row.methods <= _BODILESS:
            why = "Envoy's Lua can't compare a body with its digest before the API sees it"
            _require_authz(route, f"proof {route.proof.value} on methods with a body", why, options)
        return PlannedRow(row, Way.PROOF, None)
    return PlannedRow(row, Way.PROOF, Way.ASK, "bodies are compared with their digest")


def _needs_python(route: Route, policy: GatePolicy, options: EnvoyOptions) -> tuple[str, str]:
    """Return the setting that Envoy can't carry out itself and why, or two empty texts."""
    found = [
        (
            route.mode is not Mode.ENFORCE,
            f"mode {route.mode.value}",
            "Envoy's token check can only refuse, not count and let pass",
        ),
        (
            bool(route.minimum_versions),
            "minimum_versions",
            "Envoy compares texts and knows no order of versions",
        ),
        (
            policy.binding_header is not None,
            "binding_header",
            "Envoy's token check can't hash a header",
        ),
        (
            options.signed_verdict,
            "signed verdict",
            "Envoy can't sign what it found",
        ),
        (
            route.proof is not Proof.BEARER and policy.replay is not ReplayMode.LOCAL,
            f"replay {policy.replay.value}",
            "Envoy's Lua shares what it remembers with this machine's workers alone",
        ),
        (
            route.dpop and options.authz is None,
            "dpop",
            "Envoy's Lua reads no JWT by itself",
        ),
        *(
            (bool(setting), setting, why)
            for limit in policy.limits
            if holds_for(limit, route)
            for setting, why in (needs_python(limit),)
        ),
    ]
    for needed, setting, why in found:
        if needed:
            return setting, why
    return "", ""


def _require_authz(route: Route, setting: str, why: str, options: EnvoyOptions) -> None:
    if options.authz is None:
        raise UnsupportedError(
            route.name,
            setting,
            why,
            "run `watchword gate authz` beside Envoy and name its socket with --authz",
        )
