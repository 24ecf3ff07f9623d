"""Write what injects a key into the calls of a route: its filter, its private file, and the servers that it goes to.

Envoy's credential injector overwrites one header with a text that it follows in a file (SDS).  The value stands in that
file alone, mode 0600: the admin endpoint shows the text redacted, and of the filter its header and the file's path.

Each server is a cluster of addresses that were checked, over TLS to one name.  Envoy would connect to whatever a name resolves to.  So it is given no names, but addresses, by those who checked them.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from watchword.broker.interface import EdgeRule, InjectedValue, PlaceKind
from watchword.engines.envoy import options as names
from watchword.engines.envoy.listener import (
    SYSTEM_ROOTS,
    discovered,
    http_1,
    is_address,
    validation,
)
from watchword.engines.envoy.options import EnvoyOptions, typed
from watchword.engines.interface import EngineFile, EngineFileKind, UnsupportedError
from watchword.engines.paths import row_expression, stem_expression
from watchword.engines.yaml_text import Commented, render
from watchword.gate.hygiene import CompiledRoute, canonical_name
from watchword.gate.injection import (
    FIELDS_OF_THE_HOST,
    FORWARDED_FIELDS,
    PREFIXES_OF_THE_HOST,
    InjectionRoute,
    compile_injections,
)
from watchword.gate.interface import GatePolicy

INJECTED_PREFIX: Final = "lent-"
"""Private files of this name hold a key each."""

_NOTHING: Final = "nothing-is-lent"
"""Stands in the file of a key without a value, in place of one that was revoked; its routes answer 503."""

_ID_HEADER: Final = "x-request-id"
"""Goes along: random, new for each request, and what a refusal's reference is read from at its end."""

_STATED: Final = (
    # Compressed, a key in an answer couldn't be recognised by whoever reads it.
    ("accept-encoding", "identity"),
    # The app's own would tell a third party what phone it is.
    ("user-agent", "watchword"),
    ("via", "1.1 watchword"),
)
"""What is said in the gate's own name, as by the built-in proxy."""

_OF_THE_HOST: Final = "|".join(
    [
        *(f"{each.decode()}.*" for each in PREFIXES_OF_THE_HOST),
        *(each.decode() for each in sorted(FIELDS_OF_THE_HOST)),
    ]
)
"""Fields of an answer that hold for a whole host: a client takes them for the API's."""

READABLE_QUERY: Final = r"[^?]*(?:\?[!-\x22$-~]*)?"
"""Matches a target whose query every server reads alike: visible ASCII without ``#``."""

_HTTPS: Final = 443
_STREAM_IDLE_SECONDS: Final = 60.0


def injections(policy: GatePolicy) -> Mapping[str, InjectionRoute]:
    """Return by name the routes that inject a key, with their rules.

    :raises UnsupportedError: for one that Envoy can't carry out exactly.
    """
    try:
        found = compile_injections(policy)
    except ValueError as error:
        raise UnsupportedError(policy.api, "secret", str(error), "mend the rule") from None
    for name, each in found.items():
        _require_exact(name, each.rule)
    return found


def injected_rules(policy: GatePolicy) -> tuple[EdgeRule, ...]:
    """Return the rules of the keys that routes inject, each once, by name; raises as :func:`injections`."""
    rules = {each.rule.secret: each.rule for each in injections(policy).values()}
    return tuple(rules[name] for name in sorted(rules))


def _require_exact(route: str, rule: EdgeRule) -> None:
    here = f"secret {rule.secret}"
    by_proxy = "serve this API by the built-in proxy"
    if rule.place.placeholder is not None:
        why = "Envoy adds a key, and can't put it in the place of a text"
        raise UnsupportedError(route, f"{here}: replace", why, f"{by_proxy}, or let it be added")
    if rule.reflects:
        why = "Envoy searches no answer for the key, so that a server which shows its request gives it away"
        unless = f"{by_proxy}, or write reflects: never where no answer of {rule.host} shows text of a request"
        raise UnsupportedError(route, f"{here}: reflects", why, unless)
    if rule.place.kind is not PlaceKind.HEADER:
        why = "Envoy's admin endpoint would show a key that it adds to a query"
        raise UnsupportedError(route, f"{here}: query", why, f"{by_proxy}, or name a header")
    if not names.is_plain(rule.secret):
        why = "its name can't be one of a file"
        raise UnsupportedError(route, here, why, "choose another of A-Z a-z 0-9 _ -")


def secret_file(rule: EdgeRule, value: InjectedValue | None) -> EngineFile:
    """Return the private file of a key: what stands in its header from the moment on in which it is written."""
    if value is None:
        return empty_secret_file(secret_file_name(rule.secret))
    return _secret_file(rule.secret, f"{rule.place.prefix}{value.value.text}", value.version)


def empty_secret_file(name: str) -> EngineFile:
    """Return what takes the place of a key's private file when the key is gone.

    :param name: of the file.
    """
    return _secret_file(name.removeprefix(INJECTED_PREFIX).removesuffix(".yaml"), _NOTHING, 0)


def _secret_file(secret: str, text: str, version: int) -> EngineFile:
    resource = typed(
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        {"name": names.inject(secret), "generic_secret": {"secret": {"inline_string": text}}},
    )
    document = {"version_info": str(version), "resources": [resource]}
    about = "A key that is injected. Written by Watchword; nobody else may read it."
    return EngineFile(secret_file_name(secret), EngineFileKind.PRIVATE, render(document, about))


def secret_file_name(secret: str) -> str:
    """Return the name of a key's private file."""
    return f"{INJECTED_PREFIX}{secret}.yaml"


def injector_filter(rule: EdgeRule, options: EnvoyOptions) -> dict[str, object]:
    """Return what adds a key to a request."""
    return typed(
        "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        {
            "overwrite": Commented(
                value=True, comment="Without this, a key of the client's own would go through."
            ),
            "allow_request_without_credential": False,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": typed(
                    "envoy.extensions.http.injected_credentials.generic.v3.Generic",
                    {
                        "header": rule.place.name,
                        "credential": {
                            "name": names.inject(rule.secret),
                            "sds_config": discovered(options.path(secret_file_name(rule.secret))),
                        },
                    },
                ),
            },
        },
    )


def strip_filter() -> dict[str, object]:
    """Return what takes out of a request what isn't for a third party; each route says what that is."""
    return typed("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", {})


def stripped(rule: EdgeRule) -> dict[str, object]:
    """Return that of a request only what may go to a third party stays, and of an answer only what is its to say.

    In the place of the key nothing of the client's stays.
    """
    place = canonical_name(rule.place.name.encode("ascii"))
    named = FORWARDED_FIELDS | {name.encode("ascii") for name in rule.headers}
    kept = {name.decode("ascii") for name in named if canonical_name(name) != place}
    others = expression_of_others({*kept, _ID_HEADER})
    return typed(
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
        {
            "mutations": {
                "request_mutations": [
                    _removed(others),
                    *(_stated(name, value) for name, value in _STATED if name not in kept),
                ],
                "response_mutations": [
                    _removed(_OF_THE_HOST),
                    # A cache in front knows nothing of tokens, and would hand answers to whoever asks.
                    _stated("cache-control", "private", "APPEND_IF_EXISTS_OR_ADD"),
                ],
            }
        },
    )


def _removed(expression: str) -> dict[str, object]:
    return {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": expression}}}}


def _stated(name: str, value: str, action: str = "OVERWRITE_IF_EXISTS_OR_ADD") -> dict[str, object]:
    return {"append": {"header": {"key": name, "value": value}, "append_action": action}}


def expression_of_others(kept: Collection[str]) -> str:
    """Return what matches every name of a field but these; Envoy's own fields (``:path``) it never matches."""
    return _others(kept, first=True)


def _others(rests: Collection[str], *, first: bool = False) -> str:
    by_character: dict[str, list[str]] = {}
    for rest in rests:
        if rest:
            by_character.setdefault(rest[0], []).append(rest[1:])
    known = "".join(_code(each) for each in sorted(by_character)) + (":" if first else "")
    parts = [f"[^{known}].*" if known else ".+"]
    parts += [f"{_code(each)}{_others(more)}" for each, more in sorted(by_character.items())]
    either = f"(?:{'|'.join(parts)})"
    return either if first or "" in rests else f"{either}?"


def _code(character: str) -> str:
    return character if character.isalnum() else f"\\x{ord(character):02x}"


def allowed_methods(row: CompiledRoute, injection: InjectionRoute) -> frozenset[str]:
    """Return the methods with which a row injects its key."""
    injected = injection.table[0].methods  # The rule's, which all of the table have.
    return injected & row.methods if row.methods else injected


def allowed_expression(row: CompiledRoute, injection: InjectionRoute) -> str:
    """Return what matches the paths of a row whose rest, behind the row's segments, the rule names."""
    rests = [row_expression(pattern) for pattern in injection.table]
    if any(not pattern.segments for pattern in injection.table):
        rests.append("")  # Nothing behind the row's segments is the root there.
    return f"{stem_expression(row)}(?:{'|'.join(rests)})"


def forwarding(row: CompiledRoute, rule: EdgeRule) -> dict[str, object]:
    """Return how a request goes on to the origin: once, under its name, by the rest of the path."""
    stem = stem_expression(row)
    # The whole answer may take its time; each wait for a piece of it may not.
    longest = max(_STREAM_IDLE_SECONDS, rule.seconds + 5)
    action: dict[str, object] = {
        "cluster": names.origin(rule.secret),
        "host_rewrite_literal": authority(rule),
        "timeout": "0s",
        "idle_timeout": _duration(longest),
        "retry_policy": Commented(
            {"num_retries": 0, "per_try_idle_timeout": _duration(rule.seconds)},
            "Sent once: a retry would be a second call, and paid for.",
        ),
    }
    if stem:
        action["regex_rewrite"] = {"pattern": {"regex": f"^{stem}/?"}, "substitution": "/"}
    return action


def authority(rule: EdgeRule) -> str:
    """Return the origin's Host."""
    host = f"[{rule.host}]" if ":" in rule.host else rule.host
    return host if rule.port == _HTTPS else f"{host}:{rule.port}"


def _duration(seconds: float) -> str:
    return f"{seconds:.3f}s"


def endpoints_file_name(secret: str) -> str:
    """Return the name of the file with the addresses of a key's origin."""
    return f"endpoints-{secret}.yaml"


def origin_cluster(rule: EdgeRule, options: EnvoyOptions) -> dict[str, object]:
    """Return the cluster of a key's origin."""
    name = names.origin(rule.secret)
    return typed(
        "envoy.config.cluster.v3.Cluster",
        {
            "name": name,
            "type": "EDS",
            "eds_cluster_config": {
                "eds_config": discovered(options.path(endpoints_file_name(rule.secret)))
            },
            "connect_timeout": "5s",
            **http_1(),
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": _tls(rule),
            },
        },
    )


def origin_endpoints(rule: EdgeRule, addresses: Sequence[str]) -> dict[str, object]:
    """Return where the origin is.

    :param addresses: checked ones, best first; without any, requests are answered by 502.
    """
    places = [{"socket_address": {"address": each, "port_value": rule.port}} for each in addresses]
    found: list[object] = []
    if places:
        endpoint: dict[str, object] = {"address": places[0]}
        if places[1:]:
            more = [{"address": place} for place in places[1:]]
            endpoint["additional_addresses"] = Commented(
                more, "Tried one after another where the first doesn't answer (RFC 8305)."
            )
        found = [{"lb_endpoints": [{"endpoint": endpoint}]}]
    return typed(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        {"cluster_name": names.origin(rule.secret), "endpoints": found},
    )


def _tls(rule: EdgeRule) -> dict[str, object]:
    authorities = {"filename": SYSTEM_ROOTS} if rule.ca is None else {"inline_string": rule.ca}
    # An address is no name of a server (RFC 6066 section 3).
    stated: dict[str, object] = {} if is_address(rule.host) else {"sni": rule.host}
    return typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        {
            **stated,
            "common_tls_context": {
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "validation_context": validation(rule.host, authorities),
            },
        },
    )
