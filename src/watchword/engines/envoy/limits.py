"""Write what counts an instance's requests: limits of the API, and quotas of lent keys, each a filter of its own.

Envoy's local rate limit knows one kind of bucket, which fills evenly.  That is a limit of kind ``rate``.  A quota is a
bucket that never fills: the control plane writes its filter anew when a window ends, and a filter that changed starts
with full buckets.  One that didn't change goes on counting, whatever else is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from watchword.broker.interface import EdgeRule
from watchword.engines.envoy import names
from watchword.engines.envoy.filters import MAX_RATED_INSTANCES, counted_by_device
from watchword.engines.envoy.names import typed
from watchword.engines.envoy.yaml_text import Commented
from watchword.engines.interface import UnsupportedError
from watchword.gate.interface import GatePolicy, Limit, LimitKind, Route

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
    :param of_key: whether it is what may be used of a lent key.
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
    whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    by_window = {"descriptor_key": "window", "descriptor_value": window}
    return typed(
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        {
            "stat_prefix": counter.filter.replace(".", "_"),
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
            **answer,
            **counted_by_device(
                bucket, [{"generic_key": by_window}], [{"key": "window", "value": window}]
            ),
        },
    )
