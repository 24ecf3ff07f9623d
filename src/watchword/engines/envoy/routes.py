"""Choose who makes the decision on each row of the route table: Envoy itself, or Python.

Envoy's own filters can only refuse, know no order of versions and hash no body; its Lua filter can't
hold a body back and shares what it remembers with the workers of one machine only.  Whatever needs
more goes over ``/authz``; where there is none, the configuration is refused, never weakened.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from watchword.engines.envoy import options as names
from watchword.engines.envoy.filters import holds_for, limits_on, needs_python
from watchword.engines.envoy.injection import (
    READABLE_QUERY,
    allowed_expression,
    allowed_methods,
    authority,
    forwarding,
    injections,
    stripped,
)
from watchword.engines.envoy.options import EnvoyOptions, typed
from watchword.engines.interface import UnsupportedError
from watchword.engines.paths import (
    READABLE_TARGET,
    SpellingCase,
    Spellings,
    normalised_expression,
    row_expression,
    spellings_of,
)
from watchword.engines.yaml_text import Commented
from watchword.gate.hygiene import CompiledRoute, compile_routes
from watchword.gate.injection import InjectionRoute
from watchword.gate.interface import GatePolicy, Route
from watchword.vocabulary import Level, Mode, Proof, ReplayMode


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
            route.proof is Proof.SESSION and policy.device_for_session and policy.rate is None,
            "device_for_session without a rate",
            "a flood of signatures is limited by the API's rate alone",
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


_HOST: Final = r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_SECOND_CREDENTIALS: Final = (
    r"(?i)(?:bearer|basic|dpop)[^,]*,.*|.*,\s*[!#$%&'*+.^_\x60|~0-9A-Za-z-]+(?:\s.*)?"
)
_NONEMPTY: Final = "0*[1-9][0-9]*"
_ROUTE_TIMEOUT: Final = "60s"
_LARGEST: Final = 2**63 - 1

Matchers = Sequence[Mapping[str, object]]


def route_configuration(
    policy: GatePolicy,
    rows: Sequence[PlannedRow],
    filters: Sequence[str],
    injected: Collection[str] = (),
) -> dict[str, object]:
    """Return the whole table.

    :param filters: those of the listener.
    :param injected: the secrets that have a value now.
    """
    injections_of = injections(policy)
    routes: list[object] = [*_ambiguous()]
    if not policy.case_sensitive:
        routes.append(_normalised())
    spellings = spellings_of([row.row for row in rows], policy)
    for position, row in enumerate(rows):
        for case in spellings.cases[position]:
            routes += _spelled(position, case, spellings, rows, policy)
        injection = injections_of.get(row.route.name)
        if injection is None:
            routes += _row(row, policy)
        else:
            routes += _injection_row(
                row, policy, injection, valued=injection.rule.secret in injected
            )
    routes += _unknown()
    return typed(
        "envoy.config.route.v3.RouteConfiguration",
        {
            "name": names.table(filters),
            "request_headers_to_remove": Commented(
                [
                    names.TOKEN_HEADER,
                    names.ENVIRONMENT_HEADER,
                    names.DEVICE_HEADER,
                    names.ISSUED_HEADER,
                    names.COUNTS_HEADER,
                    names.FRAMED_HEADER,
                    names.API_HEADER,
                    names.STATUS_HEADER,
                    "x-envoy-external-address",
                ],
                "What is between client and gate alone never reaches the API.",
            ),
            "virtual_hosts": [{"name": policy.api, "domains": ["*"], "routes": routes}],
        },
    )


def _ambiguous() -> Iterator[object]:
    """Yield what refuses requests that two servers could read in two ways."""
    yield Commented(
        {
            "name": "tunnel",
            "match": {"connect_matcher": {}},
            "direct_response": {"status": 403},
        },
        "Requests that can be read in two ways are refused, before any route. Nothing else runs for "
        "them.",
    )
    refusals: list[tuple[str, int, str, Matchers]] = [
        (
            "target",
            400,
            (
                "The target is a path that every server reads alike: no dot segments, no empty ones, no "
                "encoded separators, nothing encoded twice, UTF-8."
            ),
            [_matches(":path", READABLE_TARGET, invert=True)],
        ),
        ("host", 400, "", [_matches(":authority", _HOST, invert=True)]),
        ("method", 400, "", [_matches(":method", "[A-Z][A-Z-]{0,31}", invert=True)]),
        ("trace", 403, "", [{"name": ":method", "string_match": {"exact": "TRACE"}}]),
        (
            "length",
            400,
            "Who counts in 64 bits, signed or not, takes such a length for another number.",
            [_matches("content-length", "[0-9]{19,}")],
        ),
        (
            "two-credentials",
            400,
            (
                "Envoy joins these fields by a comma. Credentials may hold commas between parameters; a second "
                "scheme is another field."
            ),
            [_contains("authorization", ","), _matches("authorization", _SECOND_CREDENTIALS)],
        ),
    ]
    refusals += [
        (f"named-{header}", 400, "", [{"name": header, "present_match": True}])
        for header in (
            "watchword_token",
            "signature_input",
            "content_length",
            "transfer_encoding",
            "content_digest",
        )
    ]
    for name, status, comment, headers in refusals:
        route = {
            "name": name,
            "match": {"prefix": "", "headers": list(headers)},
            "direct_response": {"status": status},
        }
        yield Commented(route, comment) if comment else route


def _normalised() -> object:
    return Commented(
        {
            "name": "normalised",
            "match": {"safe_regex": {"regex": normalised_expression()}},
            "direct_response": {"status": 400},
        },
        "A server that normalises Unicode would find another separator in such a path, or dots.",
    )


def _spelled(
    position: int,
    case: SpellingCase,
    spellings: Spellings,
    rows: Sequence[PlannedRow],
    policy: GatePolicy,
) -> Iterator[object]:
    """Yield the routes of those paths of a row that may be another row's in another case."""
    row = rows[position]
    first, *more = spellings.expressions(case)
    conditions = [_is_path(row_expression(row.row)), *(_is_path(each) for each in more)]
    # A row further up has taken its own paths already.
    conditions += [
        _is_path(row_expression(rival.row), invert=True)
        for rival in case.rivals
        if rival.position > position
    ]
    narrow = {
        "safe_regex": {"regex": first},
        "headers": [*conditions, *_conditions(case.methods(row.row))],
    }
    heading = f"Other spellings of {row.route.name}."
    if case.judge is None:
        refused = {"name": "ambiguous", "match": narrow, "direct_response": {"status": 403}}
        yield Commented(refused, f"{heading} None of their rows is the strictest.")
        return
    judging = rows[case.judge]
    for entry in _cases(judging, policy):
        yield Commented(
            {**entry, "match": _both(narrow, entry["match"])},
            f"{heading} {judging.route.name} judges.",
        )


def _is_path(expression: str, *, invert: bool = False) -> dict[str, object]:
    """Return a condition on the path alone, which Envoy holds together with the query."""
    return _matches(":path", rf"(?:{expression})(?:\?.*)?", invert=invert)


def _matches(name: str, expression: str, *, invert: bool = False) -> dict[str, object]:
    matcher: dict[str, object] = {
        "name": name,
        "string_match": {"safe_regex": {"regex": expression}},
    }
    return {**matcher, "invert_match": True} if invert else matcher


def _contains(name: str, text: str) -> dict[str, object]:
    return {"name": name, "string_match": {"contains": text}}


def _unknown() -> Iterator[object]:
    yield Commented(
        {"name": "unknown", "match": {"prefix": ""}, "direct_response": {"status": 403}},
        "An API serves nothing that its table doesn't name.",
    )


def _row(row: PlannedRow, policy: GatePolicy) -> Iterator[object]:
    """Yield the routes of one row: those that need Python by their head first."""
    for position, entry in enumerate(_cases(row, policy)):
        yield Commented(entry, _heading(row)) if position == 0 else entry


def _heading(row: PlannedRow) -> str:
    route = row.route
    heading = (
        f"{route.name}: {', '.join(sorted(row.row.methods)) or 'every method'}; "
        f"{route.mode.value}, level {route.level.value}, proof {route.proof.value}."
    )
    if row.because:
        heading += f" Asks Python: {row.because}."
    return heading


def _injection_row(
    row: PlannedRow, policy: GatePolicy, injection: InjectionRoute, *, valued: bool
) -> Iterator[object]:
    """Yield the routes of a row that injects a key: what the key is injected for, then the refusal of the rest.

    :param valued: whether the key has a value; while it has none, whoever would be let through gets 503.
    """
    rule = injection.rule
    heading = (
        f"{_heading(row)} Injects {rule.secret} for {authority(rule)}"
        f"{'' if valued else ', which has no value now'}."
    )
    whole = _match(row)
    unlisted = {"name": row.route.name, "match": whole, "direct_response": {"status": 403}}
    methods = allowed_methods(row.row, injection)
    if not methods:
        yield Commented(unlisted, heading)
        return
    odd = _matches(":path", READABLE_QUERY, invert=True)
    yield Commented(
        {
            "name": row.route.name,
            "match": {**whole, "headers": [odd, *_conditions(row.row.methods)]},
            "direct_response": {"status": 400},
        },
        heading,
    )
    match = {
        "safe_regex": {"regex": allowed_expression(row.row, injection)},
        "headers": _conditions(methods),
    }
    for entry in _cases(row, policy):
        listed: dict[str, object] = {**entry, "match": _both(match, entry["match"])}
        if "route" in entry:
            _inject(listed, row, policy, injection, valued=valued)
        yield listed
    yield Commented(unlisted, "Nothing else of this origin is open.")


def _both(narrow: Mapping[str, object], whole: object) -> dict[str, object]:
    """Return the match of the calls that a key is injected into, with the conditions of one case of its row."""
    assert isinstance(whole, dict)
    of_case = [each for each in whole.get("headers", ()) if each["name"] != ":method"]
    headers = narrow["headers"]
    assert isinstance(headers, list)
    return {**narrow, "headers": [*of_case, *headers]}


def _inject(
    entry: dict[str, object],
    row: PlannedRow,
    policy: GatePolicy,
    injection: InjectionRoute,
    *,
    valued: bool,
) -> None:
    """Make an entry that forwards to the API one that forwards to the key's origin, or answers 503."""
    del entry["route"]
    filters = entry["typed_per_filter_config"]
    assert isinstance(filters, dict)
    if not valued:
        # The token is asked for all the same: a stranger learns nothing.
        entry["direct_response"] = {"status": 503}
        # What was never sent spends nothing of the quota.
        spent = {each.filter for each in limits_on(policy, row.route) if each.of_key}
        entry["typed_per_filter_config"] = {
            name: each for name, each in filters.items() if name not in spent
        }
        return
    entry.pop("request_headers_to_remove", None)
    entry["route"] = forwarding(row.row, injection.rule)
    entry["typed_per_filter_config"] = {
        **filters,
        names.STRIP: stripped(injection.rule),
        names.inject(injection.rule.secret): _on(),
    }


def _cases(row: PlannedRow, policy: GatePolicy) -> Iterator[dict[str, object]]:
    """Yield an entry for each way that requests of a row go."""
    route = row.route
    cases: list[tuple[Matchers, Way | None]] = []
    if route.mode is Mode.ENFORCE and Way.ASK in (row.way, row.with_body):
        yield from _too_large(row)
    if row.way is Way.PROOF:
        if route.dpop:
            cases.append(([{"name": "dpop", "present_match": True}], Way.ASK))
        cases.append(([_matches("content-length", _NONEMPTY)], row.with_body))
        cases.append(([{"name": names.FRAMED_HEADER, "present_match": True}], row.with_body))
    cases.append(((), row.way))
    for headers, way in cases:
        yield _route(row, headers, way, policy)


def _too_large(row: PlannedRow) -> Iterator[dict[str, object]]:
    """Yield what refuses a body by its length where it would be held; it may never come."""
    if row.route.proof is Proof.BEARER:
        return
    most = {"start": row.route.max_body + 1, "end": _LARGEST}
    entry = _route(row, [{"name": "content-length", "range_match": most}], None)
    yield {**entry, "direct_response": {"status": 413}}


def _route(
    row: PlannedRow, headers: Matchers, way: Way | None, policy: GatePolicy | None = None
) -> dict[str, object]:
    route = row.route
    entry: dict[str, object] = {"name": route.name, "match": _match(row, headers)}
    if way is None or policy is None:
        return {**entry, "direct_response": {"status": 401}}
    entry["route"] = {"cluster": names.UPSTREAM, "timeout": _ROUTE_TIMEOUT}
    if way is not Way.OPEN and route.proof is not Proof.BEARER:
        entry["request_headers_to_remove"] = ["signature", "signature-input", "dpop"]
    filters = _filters(row, way, policy)
    if filters:
        entry["typed_per_filter_config"] = filters
    return entry


def _match(row: PlannedRow, headers: Matchers = ()) -> dict[str, object]:
    match: dict[str, object] = (
        {"prefix": "/"}
        if row.route.pattern == "/**"
        else {"safe_regex": {"regex": row_expression(row.row)}}
    )
    conditions = [*headers, *_conditions(row.row.methods)]
    return {**match, "headers": conditions} if conditions else match


def _conditions(methods: Collection[str]) -> list[Mapping[str, object]]:
    return [_matches(":method", "|".join(sorted(methods)))] if methods else []


def _filters(row: PlannedRow, way: Way, policy: GatePolicy) -> dict[str, object]:
    """Return the filters that are switched on for a route; all are off where nothing is said."""
    route = row.route
    if way is Way.OPEN:
        return {}
    filters: dict[str, object] = {}
    if way is Way.ASK:
        # Python counts what it is asked about alone, so that the one bucket is counted here too.
        if policy.rate is not None and route.mode.value == "enforce":
            filters |= _token_filters(Level.NONE)
            filters[names.RATE] = _on()
        if route.mode is Mode.ENFORCE:
            filters |= {counter.filter: _on() for counter in limits_on(policy, route)}
        settings: dict[str, object] = (
            {"disable_request_body_buffering": True}
            if route.proof is Proof.BEARER
            else {
                "with_request_body": {
                    "max_request_bytes": route.max_body,
                    "allow_partial_message": False,
                    "pack_as_bytes": True,
                }
            }
        )
        filters[names.AUTHZ] = typed(
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
            {"check_settings": settings},
        )
        filters[names.NAMED] = _on()
        return filters
    either = route.proof is Proof.SESSION and policy.device_for_session
    marked = way is Way.PROOF and (either or route.proof is Proof.DEVICE)
    filters |= _token_filters(route.level, "token_with_mark" if marked else "token")
    if policy.rate is not None:
        filters[names.RATE] = _on()
    filters |= {counter.filter: _on() for counter in limits_on(policy, route)}
    if way is Way.PROOF:
        filters[names.PROOF] = typed(
            "envoy.extensions.filters.http.lua.v3.LuaPerRoute",
            {"filter_context": {"proof": "either" if either else route.proof.value}},
        )
    return filters


def _token_filters(level: Level, requirement: str = "token") -> dict[str, object]:
    return {
        # The filter of claims looks at doubled fields too.
        names.FIELDS: typed("envoy.config.route.v3.FilterConfig", {"disabled": True}),
        names.TOKEN: typed(
            "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
            {"requirement_name": requirement},
        ),
        names.COUNTS: _on(),
        names.claims(level): _on(),
    }


def _on() -> dict[str, object]:
    return typed("envoy.config.route.v3.FilterConfig", {"config": {}})
