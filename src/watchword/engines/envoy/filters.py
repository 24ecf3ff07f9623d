"""Write the filters that judge and count requests; each is one file that Envoy takes in by itself (ECDS).

Filters that came with the listener would change for new connections alone: an old one could be used
with a revoked key until it is drained.  A filter that is discovered changes for the next request of
every connection, and a new token check starts with an empty cache.

Limits of the API and quotas of injected keys are each a filter of its own, which counts an instance's requests.  Envoy's local rate limit knows one kind of bucket, which fills evenly.  That is a limit of kind ``rate``.  A quota is a
bucket that never fills: the control plane writes its filter anew when a window ends, and a filter that changed starts
with full buckets.  One that didn't change goes on counting, whatever else is written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from watchword.broker.interface import EdgeRule
from watchword.encoding import strict_json
from watchword.engines.envoy import options as names
from watchword.engines.envoy.options import EnvoyOptions, typed
from watchword.engines.interface import UnsupportedError
from watchword.engines.yaml_text import Block, Commented
from watchword.gate.interface import GatePolicy, Limit, LimitKind, Rate, Route
from watchword.ports import VerificationKey
from watchword.tokens import jose
from watchword.tokens.interface import MAX_LIFETIME_SECONDS, TOKEN_TYPE, TokenExpectation
from watchword.tokens.jose import published_jwk
from watchword.vocabulary import Environment, Level

MAX_RATED_INSTANCES = 100_000
"""Most instances whose rate is counted at once; the one that was idle longest is forgotten first."""


def token_filter(
    keys: Iterable[VerificationKey], expectation: TokenExpectation, options: EnvoyOptions
) -> dict[str, object]:
    """Return the token check: ES256, expiry required, keys inline, verified tokens remembered."""
    jwks = {"keys": [published_jwk(key.kid, key.key) for key in keys]}
    provider = _provider(strict_json.dumps(jwks).decode(), expectation, options)
    marked = {
        **provider,
        "header_in_metadata": Commented(
            names.METADATA, "The script that verifies device proofs asks for this mark."
        ),
    }
    return typed(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        {
            "providers": {"token": provider, "token_with_mark": marked},
            "requirement_map": {
                name: {"provider_name": name} for name in ("token", "token_with_mark")
            },
        },
    )


def _provider(jwks: str, expectation: TokenExpectation, options: EnvoyOptions) -> dict[str, object]:
    return {
        "issuer": expectation.issuer,
        "audiences": [expectation.audience],
        "local_jwks": Commented(
            {"inline_string": jwks},
            "Inline, so that a removed key takes its cached tokens with it: keys that Envoy fetches "
            "or reads from a file would leave them alive. These keys sign tokens and nothing else: "
            "Envoy doesn't look at typ.",
        ),
        "from_headers": [{"name": names.TOKEN_HEADER}],
        "forward": Commented(
            value=True, comment="Later filters need it; the routes remove it on the way to the API."
        ),
        "require_expiration": Commented(
            value=True, comment="Without this, a token without exp would pass."
        ),
        "max_lifetime": f"{MAX_LIFETIME_SECONDS + expectation.leeway}s",
        "clock_skew_seconds": expectation.leeway,
        "claim_to_headers": Commented(
            [
                {"header_name": names.INSTANCE_HEADER, "claim_name": "sub"},
                {"header_name": names.LEVEL_HEADER, "claim_name": "lvl"},
                {"header_name": names.APP_HEADER, "claim_name": "app.id"},
                {"header_name": names.ENVIRONMENT_HEADER, "claim_name": "env"},
                {"header_name": names.DEVICE_HEADER, "claim_name": "dev"},
                {"header_name": names.ISSUED_HEADER, "claim_name": "iat"},
            ],
            "Only these reach the API: what a client sent by such names is gone by now.",
        ),
        "jwt_cache_config": Commented(
            {"jwt_cache_size": options.cached_tokens, "jwt_max_token_size": 2048},
            "With fewer places than there are live tokens, each request costs a signature.",
        ),
    }


def fields_filter() -> dict[str, object]:
    """Return what refuses fields that are there twice, on routes without a filter of claims."""
    return _first_of([_doubled()], {"action": _action("clear", "ALLOW")})


def _doubled() -> dict[str, object]:
    """Return what refuses fields that are there twice.

    This matcher sees all values of a field with commas between them; the matchers of routes see one
    value at a time.
    """
    names_once = (names.TOKEN_HEADER, "signature-input", "signature", "dpop")
    doubled = [_reads(name, {"contains": ","}) for name in names_once]
    # A digest may be a list, which people write with a blank behind the comma; two fields are joined without one.
    doubled.append(
        _reads("content-digest", {"safe_regex": {"google_re2": {}, "regex": ".*,(?:[^ ].*)?"}})
    )
    return {
        "predicate": {"or_matcher": {"predicate": doubled}},
        "on_match": {"action": _action("ambiguous", "DENY")},
    }


def counts_filter(script: str) -> dict[str, object]:
    """Return what marks requests by whether their token still counts, in Lua."""
    return {
        **proof_filter(script),
        "clear_route_cache": Commented(
            value=False, comment="Its mark leads to no other route, and finding one again costs."
        ),
    }


def claims_filter(
    keys: Iterable[VerificationKey], environment: Environment, level: Level
) -> dict[str, object]:
    """Return what refuses odd spellings, tokens of the other environment, those that count no more, low levels.

    The token check reads base64 in several ways and looks at no header but ``alg`` and ``kid``.  The
    service writes each key's header in one way, so that a token is known by its first characters.

    All is in one filter, doubled fields too: Envoy writes down what each such filter decided, which costs
    more than to decide it.
    """
    headers = "|".join(jose.header_segment(key.kid, TOKEN_TYPE) for key in keys)
    # A signature of 64 bytes ends in two bits and four zeros.
    spelling = rf"(?:{headers})\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{{85}}[AQgw]"
    levels = [each.value for each in Level if each.satisfies(level)]
    allowed = {"action": _action("claims", "ALLOW")}
    counted = {
        "holds": _looked_up(names.LEVEL_HEADER, dict.fromkeys(levels, allowed), "level"),
        "revoked": {"action": _action("revoked", "DENY")},
        "cut": {"action": _action("cut", "DENY")},
    }
    here = {environment.value: _looked_up(names.COUNTS_HEADER, counted, "uncounted")}
    rest = _looked_up(names.ENVIRONMENT_HEADER, here, "environment")
    matches = {"safe_regex": {"google_re2": {}, "regex": spelling}}
    spelled = {"predicate": _reads(names.TOKEN_HEADER, matches), "on_match": rest}
    return _first_of([_doubled(), spelled], {"action": _action("spelling", "DENY")})


def _first_of(
    matchers: Sequence[Mapping[str, object]], otherwise: Mapping[str, object]
) -> dict[str, object]:
    """Return a filter in which the first matcher that matches decides."""
    return typed(
        "envoy.extensions.filters.http.rbac.v3.RBAC",
        {"matcher": {"matcher_list": {"matchers": matchers}, "on_no_match": otherwise}},
    )


def _reads(name: str, matches: Mapping[str, object]) -> dict[str, object]:
    """Return a predicate about a field."""
    return {"single_predicate": {"input": _header_input(name), "value_match": matches}}


def _looked_up(
    header: str, found: Mapping[str, Mapping[str, object]], otherwise: str
) -> Mapping[str, object]:
    """Return what goes on by the value of a header, by one look-up.

    :param otherwise: as what a request with none of these values is refused.
    """
    return {
        "matcher": {
            "matcher_tree": {
                "input": _header_input(header),
                "exact_match_map": {"map": found},
            },
            "on_no_match": {"action": _action(otherwise, "DENY")},
        }
    }


def _header_input(name: str) -> dict[str, object]:
    return {
        "name": "header",
        "typed_config": typed(
            "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", {"header_name": name}
        ),
    }


def _action(name: str, action: str) -> dict[str, object]:
    return {
        "name": name,
        "typed_config": typed("envoy.config.rbac.v3.Action", {"name": name, "action": action}),
    }


def rate_filter(rate: Rate) -> dict[str, object]:
    """Return the limit of one instance's requests: a bucket for each, refilled evenly."""
    bucket = {
        "max_tokens": rate.requests,
        "tokens_per_fill": rate.requests,
        "fill_interval": f"{rate.seconds}s",
    }
    return _limited("watchword_rate", counted_by_device(bucket))


def _limited(prefix: str, counted: Mapping[str, object]) -> dict[str, object]:
    """Return a filter that counts requests by what they are; for all of them together there is no limit."""
    whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        {
            "stat_prefix": prefix,
            "token_bucket": Commented(
                {
                    "max_tokens": _MOST_TOKENS,
                    "tokens_per_fill": _MOST_TOKENS,
                    "fill_interval": "1s",
                },
                "For all instances together there is no limit.",
            ),
            "filter_enabled": Commented(whole, "Both of these, or nothing is limited."),
            "filter_enforced": whole,
            "always_consume_default_token_bucket": False,
            "max_dynamic_descriptors": MAX_RATED_INSTANCES,
            **counted,
        },
    )


def counted_by_device(
    bucket: Mapping[str, object],
    actions: Sequence[Mapping[str, object]] = (),
    entries: Sequence[Mapping[str, object]] = (),
) -> dict[str, object]:
    """Return what gives each device a bucket, and each instance whose token names none.

    :param actions: what else a request is counted by, with their ``entries``.
    """
    device = {"header_name": names.DEVICE_HEADER, "descriptor_key": "device"}
    unnamed = {
        "descriptor_value": "unnamed",
        "expect_match": False,
        "headers": [{"name": names.DEVICE_HEADER, "present_match": True}],
    }
    instance = {"header_name": names.INSTANCE_HEADER, "descriptor_key": "instance"}
    none = {"key": "header_match", "value": "unnamed"}
    return {
        "rate_limits": [
            {"actions": [*actions, {"request_headers": device}]},
            {
                "actions": [
                    *actions,
                    {"header_value_match": unnamed},
                    {"request_headers": instance},
                ]
            },
        ],
        "descriptors": Commented(
            [
                {"entries": [*entries, {"key": "device"}], "token_bucket": bucket},
                {"entries": [*entries, none, {"key": "instance"}], "token_bucket": bucket},
            ],
            "No value: a bucket of its own for each device, and for each instance of a device that isn't known.",
        ),
    }


def proof_filter(script: str) -> dict[str, object]:
    """Return what verifies proofs of possession, in Lua."""
    return typed(
        "envoy.extensions.filters.http.lua.v3.Lua",
        {"default_source_code": {"inline_string": Block(script)}},
    )


def named_filter(api: str) -> dict[str, object]:
    """Return what refuses a request that somebody let pass who isn't the gate of this API: any 200 is a yes to Envoy."""
    named = {
        "predicate": _reads(names.API_HEADER, {"exact": api}),
        "on_match": {"action": _action("named", "ALLOW")},
    }
    return _first_of([named], {"action": _action("unnamed", "DENY")})


def authz_filter(max_body: int) -> dict[str, object]:
    """Return who asks Python: the whole head and body, and nothing passes without its 200."""
    results = [
        names.INSTANCE_HEADER,
        names.LEVEL_HEADER,
        names.APP_HEADER,
        names.API_HEADER,
        "watchword-verdict",
    ]
    return typed(
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        {
            "transport_api_version": "V3",
            "failure_mode_allow": Commented(
                value=False, comment="Nobody passes while Python doesn't answer."
            ),
            "status_on_error": {"code": "ServiceUnavailable"},
            "clear_route_cache": False,
            "allowed_headers": Commented(
                {"patterns": [{"safe_regex": {"regex": ".*"}}]},
                "The gate refuses what is ambiguous, so that it has to see every header.",
            ),
            "with_request_body": {
                "max_request_bytes": max_body,
                "allow_partial_message": False,
                "pack_as_bytes": True,
            },
            "http_service": {
                "server_uri": {
                    "uri": "http://watchword.invalid",
                    "cluster": names.AUTHZ_CLUSTER,
                    "timeout": "5s",
                },
                "path_prefix": "/authz",
                "authorization_response": {
                    "allowed_upstream_headers": {
                        "patterns": [{"exact": header} for header in results]
                    },
                    "allowed_client_headers": {
                        "patterns": [
                            {"exact": header}
                            for header in (
                                "content-type",
                                "cache-control",
                                "www-authenticate",
                                "retry-after",
                                "watchword-nonce",
                            )
                        ]
                    },
                    "allowed_client_headers_on_success": {
                        "patterns": [{"exact": "watchword-nonce"}]
                    },
                },
            },
        },
    )


MIN_WINDOW_SECONDS: Final = 10
"""Shortest window of a quota: at each one's end the control plane writes a file, and looks five times a second."""

_NEVER_FILLS: Final = "315360000s"
"""Seconds for one token; the longest window has 366 days, and so brings back a tenth of one."""

_MOST_TOKENS: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Counter:
    """Hold one thing that is counted by instance.

    :param filter: its filter's name.
    :param seconds: of its window; of a rate, in which ``requests`` flow in.
    :param windowed: whether it counts in windows, aligned to 1970 in UTC.
    :param of_key: whether it is what may be used of an injected key.
    :param about: what it counts, for the comment.
    """

    filter: str
    requests: int
    seconds: int
    windowed: bool
    of_key: bool
    about: str


def needs_python(limit: Limit) -> tuple[str, str]:
    """Return what of a limit Envoy can't carry out itself and why, or two empty texts."""
    here = f"limit {limit.name}"
    if not limit.enforced:
        return f"{here} in monitor", "Envoy's limits by instance can only refuse"
    if limit.below:
        return f"{here} below a version", "Envoy compares texts and knows no order of versions"
    if limit.kind is LimitKind.QUOTA and limit.seconds < MIN_WINDOW_SECONDS:
        return (
            f"{here} per {limit.seconds} s",
            f"windows are ended from outside of Envoy, none is shorter than {MIN_WINDOW_SECONDS} s",
        )
    if not names.is_plain(limit.name):
        return here, "its name can't be one of a file"
    return "", ""


def holds_for(limit: Limit, route: Route) -> bool:
    """Tell whether a limit counts the requests of a route."""
    return not limit.routes or route.name in limit.routes


def limits_on(policy: GatePolicy, route: Route) -> Iterator[Counter]:
    """Yield what Envoy counts on a route beside the API's rate: its limits, then what it may use of a key."""
    for limit in policy.limits:
        if holds_for(limit, route) and not needs_python(limit)[0]:
            yield Counter(
                names.limit(limit.name),
                limit.requests,
                limit.seconds,
                windowed=limit.kind is LimitKind.QUOTA,
                of_key=False,
                about=f"The limit {limit.name}.",
            )
    if route.secret is not None and route.secret in policy.edges:
        yield from _allowances(policy.edges[route.secret])


def _allowances(rule: EdgeRule) -> Iterator[Counter]:
    for at, allowance in enumerate(rule.allowances):
        most = _MOST_TOKENS
        if allowance.calls is not None:
            most = min(most, allowance.calls)
        if allowance.spend is not None and rule.cost:
            most = min(most, allowance.spend // rule.cost)
        if most == 0:
            raise UnsupportedError(
                rule.secret, "quota", "not one call fits into it", "raise it, or take the route out"
            )
        if allowance.seconds < MIN_WINDOW_SECONDS:
            raise UnsupportedError(
                rule.secret,
                f"a quota per {allowance.seconds} s",
                "windows are ended from outside of Envoy",
                f"count in {MIN_WINDOW_SECONDS} s or more, or serve this route by the built-in proxy",
            )
        yield Counter(
            names.quota(rule.secret, at),
            most,
            allowance.seconds,
            windowed=True,
            of_key=True,
            about=f"What one instance may use of {rule.secret}.",
        )


def counters(policy: GatePolicy) -> Mapping[str, Counter]:
    """Return by the name of its filter all that Envoy counts beside the rate, in the order of the filters."""
    found = [counter for route in policy.routes for counter in limits_on(policy, route)]
    # Limits first: what they refuse spends nothing of a key.
    ordered = sorted(found, key=lambda counter: counter.of_key)
    return {counter.filter: counter for counter in ordered}


def window_end(counter: Counter, now: float) -> float | None:
    """Return when the window ends in which an instant is; None where there are none."""
    if not counter.windowed:
        return None
    return float((int(now) // counter.seconds + 1) * counter.seconds)


def counting_filter(counter: Counter, now: float) -> dict[str, object]:
    """Return the filter: a bucket for each instance, shared by all workers.

    :param now: seconds since 1970.
    """
    bucket: dict[str, object] = {
        "max_tokens": counter.requests,
        "tokens_per_fill": counter.requests,
        "fill_interval": f"{counter.seconds}s",
    }
    window, answer = "always", {}
    end = window_end(counter, now)
    if end is not None:
        bucket |= {"tokens_per_fill": 1, "fill_interval": _NEVER_FILLS}
        window = f"until {int(end)}"
        answer = {
            "response_headers_to_add": [
                {
                    "header": {"key": "retry-after", "value": formatdate(end, usegmt=True)},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ]
        }
    by_window = {"descriptor_key": "window", "descriptor_value": window}
    counted = counted_by_device(
        bucket, [{"generic_key": by_window}], [{"key": "window", "value": window}]
    )
    return _limited(counter.filter.replace(".", "_"), {**answer, **counted})
