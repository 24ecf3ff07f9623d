"""Say what the file has its gates enforce, and which APIs don't refuse what the plan counts on being refused."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from watchword.apps.settings.faults import MAX_SHOWN, shown
from watchword.apps.settings.written_apis import WrittenLimit, WrittenRate, WrittenRoute
from watchword.apps.settings.written_pins import WrittenPinnedHost
from watchword.apps.settings.written_plan import WrittenAsset
from watchword.apps.settings.written_types import Written, seconds
from watchword.gate.interface import Route
from watchword.gate.limits import RATE
from watchword.gate.routes import ANY_SEGMENT, CompiledRoute, compile_route
from watchword.plan.enforcement import ApiRules, Enforcement, LimitRule, PinRule, RouteRule
from watchword.vocabulary import Level, Mode, Proof

_Entry = TypeVar("_Entry", bound=Written)

_EVERYTHING: Final = "/**"
_SOME: Final = frozenset({"SOME"})
"""Stands for methods that are named: such a route leaves some requests to the routes behind it."""


def unenforced(data: Mapping[str, Any], assets: Iterable[WrittenAsset]) -> dict[str, str]:
    """Return why an API doesn't enforce what the plan counts on, by its name; those that do are left out.

    Where assets name routes at an API, every route there counts that can match something of theirs, up to the
    first that covers it whole: all of these must be in mode ``enforce``.  Where none does, or some asset
    names no route at all and may hang on any, no route may be in ``monitor`` or ``canary``, and one must be in ``enforce``.

    What can't be read is taken for unenforced: nobody can say that it refuses anything.

    :param data: the plain values of the whole file; faults in ``apis`` are told elsewhere.
    """
    apis = data.get("apis")
    if not isinstance(apis, dict):
        return {}
    named: dict[str, dict[str, None]] = {}
    anywhere = False
    for asset in assets:
        anywhere |= not asset.routes
        for route in asset.routes:
            named.setdefault(route.api, {})[route.path] = None
    found = {}
    for name, api in apis.items():
        if not isinstance(api, dict):
            continue
        why = _why(api.get("routes"), named.get(name, {}), anywhere=anywhere)
        if why:
            found[name] = why
    return found


def _why(routes: Any, patterns: Iterable[str], *, anywhere: bool) -> str:
    """Say why an API with these routes doesn't enforce these patterns; empty where it does.

    :param anywhere: what is counted on may lie behind any route.
    """
    if not isinstance(routes, list):
        return "its routes can't be read"
    wanted = [_compiled(pattern) or _everything(frozenset()) for pattern in patterns]
    as_a_whole = _why_as_a_whole(routes)
    if not wanted or (anywhere and as_a_whole):
        return as_a_whole
    table: list[CompiledRoute] = []
    lax: list[tuple[int, str]] = []
    for index, route in enumerate(routes):
        compiled, why = _read(route, index)
        table.append(compiled)
        if why:
            lax.append((index, why))
    return next(_uncovered(table, lax, wanted), "")


def _uncovered(
    table: list[CompiledRoute], lax: list[tuple[int, str]], wanted: list[CompiledRoute]
) -> Iterator[str]:
    """Yield why, for each lax route that some request comes to which is counted on being refused."""
    for asset in wanted:
        for index, why in lax:
            # What an earlier route covers whole never comes to this one.
            if _overlap(table[index], asset) and not any(
                earlier.covers(asset) for earlier in table[:index]
            ):
                yield why


def _why_as_a_whole(routes: list[Any]) -> str:
    """Say why an API that no asset names a route of enforces nothing for sure; empty where it does."""
    modes = [_mode(route) for route in routes]
    for index, (route, mode) in enumerate(zip(routes, modes, strict=True)):
        if mode not in {Mode.ENFORCE, Mode.OFF}:
            return _told(route, index, mode)
    return "" if Mode.ENFORCE in modes else "it has no route in mode enforce"


def _read(route: Any, index: int) -> tuple[CompiledRoute, str]:
    """Return a route as it matches, and why it doesn't enforce; empty where it does."""
    path = route.get("path") if isinstance(route, dict) else None
    limited = isinstance(route, dict) and route.get("methods") is not None
    compiled = _compiled(path, _SOME if limited else frozenset())
    if compiled is None:
        # It may match anything, and covers nothing.
        return _everything(_SOME), f"routes[{index}] can't be read"
    mode = _mode(route)
    return compiled, "" if mode == Mode.ENFORCE else _told(route, index, mode)


def _mode(route: Any) -> str | None:
    """Return the mode as written, None where there is nothing that could be one."""
    mode = route.get("mode", Mode.ENFORCE.value) if isinstance(route, dict) else None
    return mode if isinstance(mode, str) else None


def _told(route: Any, index: int, mode: str | None) -> str:
    path = route.get("path") if isinstance(route, dict) else None
    if mode is None or not isinstance(path, str):
        return f"routes[{index}] can't be read"
    return f"route {_short(path)} is in mode {_short(mode)}"


def _short(text: str) -> str:
    """Return text as it is where that is one short line, else as a fault shows it."""
    return text if text.isprintable() and len(text) <= MAX_SHOWN else shown(text)


def _compiled(pattern: Any, methods: frozenset[str] = frozenset()) -> CompiledRoute | None:
    """Take a pattern apart; None where it is none."""
    if not isinstance(pattern, str):
        return None
    try:
        return compile_route(
            Route("", pattern, methods, Level.HARDWARE, Proof.BEARER, Mode.ENFORCE)
        )
    except ValueError:
        return None


def _everything(methods: frozenset[str]) -> CompiledRoute:
    compiled = _compiled(_EVERYTHING, methods)
    assert compiled is not None  # It is a pattern of ours.
    return compiled


def _overlap(one: CompiledRoute, other: CompiledRoute) -> bool:
    """Tell whether some path matches both, whatever their methods."""
    short, long = sorted((one, other), key=lambda each: len(each.segments))
    if len(short.segments) < len(long.segments) and not short.open_ended:
        return False
    return all(
        mine == theirs or ANY_SEGMENT in {mine, theirs}
        for mine, theirs in zip(short.segments, long.segments, strict=False)
    )


def enforcement_of(data: Mapping[str, Any]) -> Enforcement:
    """Return what the file has its gates, limits and pins enforce; a row that can't be read asks for nothing.

    :param data: the plain values of the whole file; faults in it are told elsewhere.
    """
    apis, pins = data.get("apis"), data.get("pins")
    hosts = pins.get("hosts") if isinstance(pins, dict) else None
    return Enforcement(
        apis=tuple(
            ApiRules(str(name), tuple(_route_rules(api)), tuple(_limit_rules(api)))
            for name, api in (apis.items() if isinstance(apis, dict) else ())
            if isinstance(api, dict)
        ),
        pins=tuple(
            PinRule(host, app, each.mode == "enforce")
            for host, each in _valid(WrittenPinnedHost, hosts)
            for app in sorted(set(each.apps))
        ),
    )


def _route_rules(api: Mapping[str, Any]) -> Iterator[RouteRule]:
    routes = api.get("routes")
    for row in routes if isinstance(routes, list) else ():
        try:
            each = WrittenRoute.model_validate(row)
        except ValidationError:
            path = row.get("path") if isinstance(row, dict) else None
            path = _EVERYTHING if _compiled(path) is None else str(path)
            yield RouteRule(path, (), Mode.OFF, Proof.BEARER, Level.NONE)
            continue
        yield RouteRule(
            each.path,
            tuple(sorted(set(each.methods or ()))),
            Mode(each.mode),
            Proof(each.proof),
            Level(each.level),
        )


def _limit_rules(api: Mapping[str, Any]) -> Iterator[LimitRule]:
    limits = api.get("limits")
    for _, rate in _valid(WrittenRate, {RATE: api.get("rate")}):
        yield LimitRule(RATE, rate.requests, seconds(rate.per), (), enforced=True, narrowed=False)
    numbered = dict(enumerate(limits)) if isinstance(limits, list) else {}
    for _, each in _valid(WrittenLimit, numbered):
        yield LimitRule(
            each.name,
            each.requests,
            seconds(each.per),
            tuple(sorted(set(each.routes or ()))),
            enforced=each.mode == "enforce",
            narrowed=bool(each.below),
        )


def _valid(kind: type[_Entry], section: Any) -> Iterator[tuple[Any, _Entry]]:
    """Yield the well-formed entries of a section."""
    for name, entry in section.items() if isinstance(section, dict) else ():
        try:
            yield name, kind.model_validate(entry)
        except ValidationError:
            continue
