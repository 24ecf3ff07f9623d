"""Turn what a gate bundle says of limits, lent keys and canaries into JSON and back, each member strictly."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchword.broker.interface import (
    Allowance,
    CanaryWatch,
    EdgeRule,
    LentValue,
    Place,
    PlaceKind,
    check_value,
)
from watchword.encoding import base64url
from watchword.gate.bundle_values import a_list, a_number, a_text, an_object, refuse, some_bytes
from watchword.gate.interface import Limit, LimitKind

_LIMIT: Final = {"name", "kind", "requests", "seconds", "routes", "below", "enforced"}
_EDGE: Final = {"host", "port", "patterns", "methods", "place", "allowances", "cost", "ca"} | {
    "private",
    "seconds",
    "max_answer",
    "headers",
    "reflects",
}
_CANARIES: Final = {"key", "digests", "headers", "parameters"}
_DIGEST_BYTES: Final = 32
_MOST_PORT: Final = 65535


def limits_to_json(limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Return the limits of an API."""
    return [
        {
            "name": each.name,
            "kind": each.kind.value,
            "requests": each.requests,
            "seconds": each.seconds,
            "routes": sorted(each.routes),
            "below": dict(each.below),
            "enforced": each.enforced,
        }
        for each in limits
    ]


def limits_from_json(value: Any) -> tuple[Limit, ...]:
    """Return the limits again; raise ValueError with what is wrong."""
    return tuple(_limit(each) for each in a_list(value, "limits"))


def _limit(value: Any) -> Limit:
    members = an_object(value, _LIMIT, "each limit")
    return Limit(
        name=a_text(members["name"], "name"),
        kind=LimitKind(members["kind"]),
        requests=a_number(members["requests"], "requests", 1),
        seconds=a_number(members["seconds"], "seconds", 1),
        routes=frozenset(_texts(members["routes"], "routes")),
        below=_by_app(members["below"]),
        enforced=_flag(members["enforced"], "enforced"),
    )


def edges_to_json(edges: Mapping[str, EdgeRule]) -> dict[str, Any]:
    """Return by secret to what it is lent."""
    return {name: _edge_to_json(edge) for name, edge in edges.items()}


def _edge_to_json(edge: EdgeRule) -> dict[str, Any]:
    place = edge.place
    return {
        "host": edge.host,
        "port": edge.port,
        "patterns": list(edge.patterns),
        "methods": sorted(edge.methods),
        "place": {
            "kind": place.kind.value,
            "name": place.name,
            "prefix": place.prefix,
            "placeholder": place.placeholder,
        },
        "allowances": [
            {"seconds": each.seconds, "calls": each.calls, "spend": each.spend}
            for each in edge.allowances
        ],
        "cost": edge.cost,
        "ca": edge.ca,
        "private": edge.private,
        "seconds": edge.seconds,
        "max_answer": edge.max_answer,
        "headers": sorted(edge.headers),
        "reflects": edge.reflects,
    }


def edges_from_json(value: Any) -> Mapping[str, EdgeRule]:
    """Return the rules again; raise ValueError with what is wrong."""
    if not isinstance(value, dict):
        refuse("expected edges by secret")
    return {name: _edge(name, each) for name, each in value.items()}


def _edge(name: str, value: Any) -> EdgeRule:
    members = an_object(value, _EDGE, "each edge")
    port = a_number(members["port"], "port", 1)
    if port > _MOST_PORT:
        refuse("expected a port")
    if type(members["seconds"]) not in {int, float} or not members["seconds"] > 0:
        refuse("expected seconds above 0")
    return EdgeRule(
        secret=name,
        host=a_text(members["host"], "host"),
        port=port,
        patterns=tuple(_texts(members["patterns"], "patterns")),
        methods=frozenset(_texts(members["methods"], "methods")),
        place=_place(members["place"]),
        allowances=tuple(_allowance(each) for each in a_list(members["allowances"], "allowances")),
        cost=a_number(members["cost"], "cost", 0),
        ca=None if members["ca"] is None else a_text(members["ca"], "ca"),
        private=_flag(members["private"], "private"),
        seconds=float(members["seconds"]),
        max_answer=a_number(members["max_answer"], "max_answer", 1),
        headers=frozenset(_texts(members["headers"], "headers")),
        reflects=_flag(members["reflects"], "reflects"),
    )


def _place(value: Any) -> Place:
    members = an_object(value, {"kind", "name", "prefix", "placeholder"}, "place")
    if not isinstance(members["prefix"], str):
        refuse("expected prefix as text")
    holder = members["placeholder"]
    return Place(
        PlaceKind(members["kind"]),
        a_text(members["name"], "name"),
        members["prefix"],
        None if holder is None else a_text(holder, "placeholder"),
    )


def _allowance(value: Any) -> Allowance:
    members = an_object(value, {"seconds", "calls", "spend"}, "each allowance")
    calls, spend = members["calls"], members["spend"]
    return Allowance(
        a_number(members["seconds"], "seconds", 1),
        None if calls is None else a_number(calls, "calls", 0),
        None if spend is None else a_number(spend, "spend", 0),
    )


def lent_to_json(lent: Mapping[str, LentValue]) -> dict[str, Any]:
    """Return by secret what is added now: the values themselves."""
    return {
        name: {"version": each.version, "value": each.value.text} for name, each in lent.items()
    }


def lent_from_json(value: Any) -> Mapping[str, LentValue]:
    """Return the values again; raise ValueError with what is wrong."""
    if not isinstance(value, dict):
        refuse("expected lent values by secret")
    found = {}
    for name, each in value.items():
        members = an_object(each, {"version", "value"}, "each lent value")
        text = a_text(members["value"], "value")
        found[name] = LentValue(
            a_number(members["version"], "version", 1), check_value(text, one_line=True)
        )
    return found


def canaries_to_json(watch: CanaryWatch | None) -> dict[str, Any] | None:
    """Return by what canary keys are recognised."""
    if watch is None:
        return None
    return {
        "key": base64url.encode(watch.key),
        "digests": {base64url.encode(each): name for each, name in watch.digests.items()},
        "headers": list(watch.headers),
        "parameters": list(watch.parameters),
    }


def canaries_from_json(value: Any) -> CanaryWatch | None:
    """Return it again; raise ValueError with what is wrong."""
    if value is None:
        return None
    members = an_object(value, _CANARIES, "canaries")
    if not isinstance(members["digests"], dict):
        refuse("expected digests with names")
    return CanaryWatch(
        some_bytes(members["key"], _DIGEST_BYTES, "key"),
        {
            some_bytes(each, _DIGEST_BYTES, "digest"): a_text(name, "name")
            for each, name in members["digests"].items()
        },
        tuple(_texts(members["headers"], "headers")),
        tuple(_texts(members["parameters"], "parameters")),
    )


def _texts(value: Any, what: str) -> list[str]:
    return [a_text(each, f"each of {what}") for each in a_list(value, what)]


def _by_app(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        refuse("expected versions by app")
    return {app: a_text(version, "each version") for app, version in value.items()}


def _flag(value: Any, what: str) -> bool:
    if type(value) is not bool:
        refuse(f"expected {what} as true or false")
    return bool(value)
