"""Write the page that lies beside the files: what each is for, and who judges which route."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from watchword.broker.interface import EdgeRule
from watchword.engines.envoy import options as names
from watchword.engines.envoy.filters import (
    authz_filter,
    claims_filter,
    counters,
    counting_filter,
    counts_filter,
    fields_filter,
    named_filter,
    proof_filter,
    rate_filter,
    token_filter,
    window_end,
)
from watchword.engines.envoy.injection import (
    endpoints_file_name,
    injected_rules,
    injector_filter,
    origin_cluster,
    origin_endpoints,
    secret_file,
    strip_filter,
)
from watchword.engines.envoy.listener import (
    FILTER_TYPES,
    bootstrap,
    clusters,
    filter_file,
    listener,
)
from watchword.engines.envoy.options import START_OPTIONS, EnvoyOptions, typed
from watchword.engines.envoy.routes import PlannedRow, Way, plan, route_configuration
from watchword.engines.envoy.script import (
    ScriptOptions,
    counts_script,
    render_revocations,
    render_secrets,
    script,
)
from watchword.engines.interface import (
    EngineFile,
    EngineFileKind,
    Files,
    UnsupportedError,
    bulk_file,
    living_keys,
    next_retirement,
)
from watchword.engines.yaml_text import render
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import DEFAULT_MAX_BODY, GatePolicy
from watchword.gate.revocations import digested
from watchword.vocabulary import Level

_BY = {
    Way.OPEN: "nobody (mode off); cleaned",
    Way.TOKEN: "Envoy's token check",
    Way.PROOF: "Envoy's token check and the proof in Lua",
    Way.ASK: "Python, over /authz",
}


def page(
    policy: GatePolicy, options: EnvoyOptions, rows: Sequence[PlannedRow], used: Sequence[str]
) -> str:
    """Return the page, in Markdown."""
    lines = [
        f"# Envoy in front of {policy.api}",
        "",
        "Written by Watchword. `watchword gate envoy` keeps the files up to date; changes made by hand",
        "are overwritten. Start Envoy with:",
        "",
        f"    envoy -c {options.path('bootstrap.yaml')} {' '.join(START_OPTIONS)}",
        "",
        "| file | what it is |",
        "| --- | --- |",
        "| `bootstrap.yaml` | read once at the start: admin endpoint, limits, where the rest is |",
        "| `listeners.yaml` | where clients come in; how heads are read; the order of the filters |",
        "| `clusters.yaml` | the API, and Python where it is asked |",
        "| `routes.yaml` | what is ambiguous, then the route table in its order |",
        "| `filter-*.yaml` | one filter each; a change counts for the next request |",
        "| `endpoints-*.yaml` | where keys are sent: addresses that were checked |",
        "| `lent-*.yaml` | mode 0600: an injected key each, overwritten when it is rotated or revoked |",
        "| `secrets-*` | mode 0600: gate secrets for the script in Lua that verifies proofs |",
        "| `revocations` | mode 0600: revoked instances and cuts, for the script that every token meets |",
        "| `revoked-*` | mode 0600: most of the digests of revoked instances, where there are many |",
        "",
        f"Filters, in the order in which a request meets them: {', '.join(used) or 'none'}.",
        "",
        "| route | methods | mode | level | proof | judged by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        route = row.route
        methods = ", ".join(sorted(row.row.methods)) or "any"
        judged = _BY[row.way]
        if route.secret is not None:
            judged += f"; then {route.secret} is sent to {policy.edges[route.secret].host}"
        if row.with_body is None:
            judged += "; bodies are refused"
        elif row.with_body is not row.way:
            judged += f"; with a body: {_BY[row.with_body]}"
        if row.because:
            judged += f" ({row.because})"
        lines.append(
            f"| `{route.pattern}` | {methods} | {route.mode.value} | {route.level.value} "
            f"| {route.proof.value} | {judged} |"
        )
    return "\n".join(lines) + "\n"


BOOTSTRAP: Final = "bootstrap.yaml"
"""The one file that Envoy is started with."""

ROUTES: Final = "routes.yaml"
"""The file with the route table."""

PRIVATE_PREFIX: Final = "secrets-"
"""Files of this name hold secrets, and are named by what they hold, so that a script that is being loaded finds the file
that it was made with."""

REVOCATIONS: Final = "revocations"
"""The private file that says who is revoked and what is cut."""

_TABLE: Final = re.compile(r'name: "(watchword-[0-9a-f]{12})"')

_ABOUT: Final = {
    names.FIELDS: "Fields that decide and are there twice: refused on every route.",
    names.TOKEN: "The token check: signature, issuer, audience, expiry.",
    names.COUNTS: "Marks requests by whether their token still counts, in Lua. Who is revoked is in a file of its own.",
    **{
        names.claims(level): "What a valid token isn't enough for: its spelling, its environment, "
        f"whether it still counts, level {level.value}; and doubled fields."
        for level in Level
    },
    names.RATE: "The rate of each instance.",
    names.PROOF: "Proofs of possession, verified in Lua. The secrets are in a file of their own.",
    names.AUTHZ: "What is asked of Python.",
    names.NAMED: "Whoever let a request pass is the gate of this API, and nobody else at its socket.",
}


def generate(
    bundle: GateBundle,
    options: EnvoyOptions,
    now: float,
    addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Sequence[EngineFile]:
    """Return all files, in the order in which they are to be written.

    :param now: seconds since 1970; keys that are retired by then are left out, and quotas count in the windows
        of this instant.
    :param addresses: by secret, the checked addresses of its origin, best first.
    :raises UnsupportedError: on what this Envoy can't do exactly as the gate does.
    """
    policy = bundle.policy
    rows = plan(policy, options)
    rules = injected_rules(policy)
    used = (*_filters_used(rows, rated=policy.rate is not None), *_filters_behind(policy, rules))
    files: list[EngineFile] = []
    if names.COUNTS in used:
        files += revocations(bundle)
    if names.PROOF in used:
        files.append(_private(bundle))
    for rule in rules:
        files += _origin_files(rule, bundle, addresses)
    for name in used:
        body = _filter(name, bundle, options, rows, now)
        resource = typed(
            "envoy.config.core.v3.TypedExtensionConfig", {"name": name, "typed_config": body}
        )
        files.append(_resources(filter_file(name), _about(name, policy), [resource]))
    servers = [*clusters(options), *(origin_cluster(rule, options) for rule in rules)]
    files += [
        _resources(
            ROUTES,
            "The route table: the first row that matches decides.",
            [route_configuration(policy, rows, used, bundle.injected)],
        ),
        _resources("clusters.yaml", "The servers that Envoy talks to.", servers),
        _resources(
            "listeners.yaml",
            "Where clients come in, and what every request meets.",
            [listener(options, used, policy.rate)],
            EngineFileKind.ROOT,
        ),
        EngineFile(
            BOOTSTRAP,
            EngineFileKind.START,
            render(
                bootstrap(options, policy.api),
                f"Envoy in front of {policy.api}, written by Watchword. Start it with:\n"
                f"envoy -c {options.path(BOOTSTRAP)} {' '.join(START_OPTIONS)}",
            ),
        ),
        EngineFile("README.md", EngineFileKind.PAGE, page(policy, options, rows, used)),
    ]
    return files


def table_of(files: Iterable[EngineFile]) -> str:
    """Return the name of the route table in files, empty where there is none."""
    for file in files:
        if file.name == ROUTES:
            found = _TABLE.search(file.content)
            return "" if found is None else found[1]
    return ""


def revocations(bundle: GateBundle) -> Files:
    """Return the files that say who is revoked and what is cut; nothing else changes with either.

    :raises UnsupportedError: on what they can't say.
    """
    revoked = digested(bundle).parts()
    try:
        content = render_revocations(bundle.generation, bundle.cuts, revoked)
    except ValueError as error:
        api = bundle.policy.api
        raise UnsupportedError(api, "cuts", str(error), "cut off all apps") from None
    bulk = bulk_file(revoked)
    own = EngineFile(REVOCATIONS, EngineFileKind.PRIVATE, content)
    return (own,) if bulk is None else (bulk, own)


def next_change(bundle: GateBundle, now: float) -> float | None:
    """Return when the configuration has to be written anew though the bundle stays the same.

    That is when a key retires, since Envoy knows no end of a key, and when the window of a quota ends.
    """
    windows = (window_end(each, now) for each in counters(bundle.policy).values())
    ends = [end for end in windows if end is not None and end > now]
    retirement = next_retirement(bundle.keys, now)
    return min([*ends, *([] if retirement is None else [retirement])], default=None)


def _filters_used(rows: Sequence[PlannedRow], *, rated: bool) -> tuple[str, ...]:
    ways = {way for row in rows for way in row.ways}
    native = bool(ways & {Way.TOKEN, Way.PROOF})
    levels = {row.route.level for row in rows if row.ways & {Way.TOKEN, Way.PROOF}}
    if rated:
        # Routes that ask Python are counted here too, whatever level they want.
        levels.add(Level.NONE)
    used: Mapping[str, bool] = {
        names.FIELDS: True,
        names.TOKEN: native or rated,
        names.COUNTS: native or rated,
        **{names.claims(level): level in levels for level in Level},
        names.RATE: rated,
        names.PROOF: Way.PROOF in ways,
        names.AUTHZ: Way.ASK in ways,
        names.NAMED: Way.ASK in ways,
    }
    return tuple(name for name in FILTER_TYPES if used[name])


def _filters_behind(policy: GatePolicy, rules: Sequence[EdgeRule]) -> tuple[str, ...]:
    """Return the filters behind those that judge: what counts, then what injects keys."""
    injection = (names.STRIP, *(names.inject(rule.secret) for rule in rules)) if rules else ()
    return (*counters(policy), *injection)


def _about(name: str, policy: GatePolicy) -> str:
    """Return what the file of a filter says of itself."""
    if name in _ABOUT:
        return _ABOUT[name]
    if name == names.STRIP:
        return "What isn't for a third party; each route that injects a key says what that is."
    counter = counters(policy).get(name)
    if counter is not None:
        return f"{counter.about} A quota begins anew when this file is written for another window."
    return "A key that is injected. Its value is in a file of its own."


def _origin_files(
    rule: EdgeRule, bundle: GateBundle, addresses: Mapping[str, Sequence[str]]
) -> tuple[EngineFile, ...]:
    endpoints = origin_endpoints(rule, addresses.get(rule.secret, ()))
    about = f"Where {rule.host} is: addresses that were checked."
    return (
        secret_file(rule, bundle.injected.get(rule.secret)),
        _resources(endpoints_file_name(rule.secret), about, [endpoints]),
    )


def _filter(
    name: str, bundle: GateBundle, options: EnvoyOptions, rows: Sequence[PlannedRow], now: float
) -> dict[str, object]:
    policy = bundle.policy
    if name == names.FIELDS:
        return fields_filter()
    if name == names.TOKEN:
        return token_filter(living_keys(bundle.keys, now), policy.expectation, options)
    if name == names.RATE:
        assert policy.rate is not None  # The filter is used for nothing else.
        return rate_filter(policy.rate)
    if name in {names.COUNTS, names.PROOF}:
        return _lua_filter(name, bundle, options)
    if name == names.AUTHZ:
        largest = max((row.route.max_body for row in rows), default=DEFAULT_MAX_BODY)
        return authz_filter(largest)
    if name == names.NAMED:
        return named_filter(policy.api)
    for level in Level:
        if names.claims(level) == name:
            environment = policy.expectation.environment
            return claims_filter(living_keys(bundle.keys, now), environment, level)
    return _filter_behind(name, policy, options, now)


def _filter_behind(
    name: str, policy: GatePolicy, options: EnvoyOptions, now: float
) -> dict[str, object]:
    """Return one of :func:`_filters_behind`."""
    if name == names.STRIP:
        return strip_filter()
    counter = counters(policy).get(name)
    if counter is not None:
        return counting_filter(counter, now)
    (rule,) = (rule for rule in injected_rules(policy) if names.inject(rule.secret) == name)
    return injector_filter(rule, options)


def stands_still(bundle: GateBundle) -> Sequence[str]:
    """Return what stays as it is until the files are written again, in words."""
    found = ["keys, revoked instances and routes are those of now"]
    if injected_rules(bundle.policy):
        found.append("keys are sent to the addresses of now")
    if any(each.windowed for each in counters(bundle.policy).values()):
        found.append("a quota that is spent stays spent")
    return found


def _lua_filter(name: str, bundle: GateBundle, options: EnvoyOptions) -> dict[str, object]:
    try:
        if name == names.COUNTS:
            return counts_filter(counts_script(options.path(REVOCATIONS)))
        return proof_filter(
            script(
                ScriptOptions(
                    api=bundle.policy.api,
                    private_file=options.path(_private(bundle).name),
                    leeway=bundle.policy.expectation.leeway,
                    replay_directory=options.replay_directory,
                )
            )
        )
    except ValueError as error:
        setting = name.removeprefix("watchword.")
        raise UnsupportedError(
            bundle.policy.api, setting, str(error), "choose another directory or name"
        ) from None


def _private(bundle: GateBundle) -> EngineFile:
    expectation = bundle.policy.expectation
    try:
        content = render_secrets(
            issuer=expectation.issuer,
            audience=expectation.audience,
            keys=bundle.keys,
            secrets=bundle.secrets,
        )
    except ValueError as error:
        raise UnsupportedError(
            bundle.policy.api, "proof", str(error), "use proof: bearer behind Envoy"
        ) from None
    name = f"{PRIVATE_PREFIX}{hashlib.sha256(content.encode()).hexdigest()[:32]}"
    return EngineFile(name, EngineFileKind.PRIVATE, content)


def _resources(
    name: str,
    about: str,
    resources: Sequence[Mapping[str, object]],
    kind: EngineFileKind = EngineFileKind.PART,
) -> EngineFile:
    heading = f"{about}\nWritten by Watchword from the gate bundle; changes here are overwritten."
    return EngineFile(name, kind, render({"resources": list(resources)}, heading))
