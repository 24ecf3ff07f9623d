"""Find the rows of the route tables that decide on what an asset names, limits and pins, from a file that nobody has checked."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from watchword.apps.settings.written_apis import WrittenLimit, WrittenRate, WrittenRoute
from watchword.apps.settings.written_pins import WrittenPinnedHost
from watchword.apps.settings.written_plan import WrittenAsset
from watchword.apps.settings.written_types import Written, seconds
from watchword.gate.interface import Route
from watchword.gate.limits import RATE
from watchword.gate.routes import ANY_SEGMENT, CompiledRoute, compile_route
from watchword.gate.spellings import fold
from watchword.plan.interface import LimitRule, PinRule, RouteRow
from watchword.vocabulary import Level, Mode, Proof

_Entry = TypeVar("_Entry", bound=Written)

_EVERYTHING: Final = "/**"
_SOME: Final = frozenset({"SOME"})
"""Stands for methods that are named: such a route leaves some requests to the routes behind it."""


@dataclass(frozen=True, slots=True)
class Table:
    """Hold the route table of one API, row by row, each with what it matches.

    :param case_sensitive: whether the API tells paths apart by case; else an asset is reached by each spelling of its path.
    """

    rows: tuple[RouteRow, ...]
    compiled: tuple[CompiledRoute, ...]
    case_sensitive: bool = False

    def reached(self, pattern: str) -> Iterator[RouteRow]:
        """Yield each row that some request of a pattern comes to: what an earlier one covers whole comes to no later one."""
        wanted = _compiled(pattern) or _everything(frozenset())
        for row, matched in zip(self.rows, self.compiled, strict=True):
            if _overlap(matched, wanted, _as_it_is if self.case_sensitive else fold):
                yield row
            if matched.covers(wanted):
                return

    def nearest(self, pattern: str) -> str:
        """Return the pattern that looks most like this one; empty where none does."""
        paths = [row.path for row in self.rows]
        return next(iter(get_close_matches(pattern, paths, n=1)), "")


def tables_of(data: Mapping[str, Any]) -> dict[str, Table]:
    """Return the route table of each API; what can't be read is a row that enforces nothing and may match anything.

    :param data: the plain values of the whole file; faults in ``apis`` are told elsewhere.
    """
    apis = data.get("apis")
    found = {}
    for name, api in apis.items() if isinstance(apis, dict) else ():
        routes = api.get("routes") if isinstance(api, dict) else None
        read = [_read(name, route) for route in (routes if isinstance(routes, list) else [None])]
        sensitive = isinstance(api, dict) and api.get("case") == "sensitive"
        found[name] = Table(
            tuple(row for row, _ in read), tuple(each for _, each in read), sensitive
        )
    return found


def rows_of(written: WrittenAsset, tables: Mapping[str, Table]) -> tuple[RouteRow, ...]:
    """Return the rows that decide on requests for an asset, in the order of the file, each once.

    What an asset is behind that names no route nobody knows: every row counts, but for those in mode ``off`` of one fixed
    path, such as a health check's, which somebody opened to all.  Behind a path with ``*`` records may be.
    """
    if not written.routes:
        whole = [row for table in tables.values() for row in table.rows]
        return tuple(row for row in whole if row.mode != Mode.OFF or ANY_SEGMENT in row.path)
    wanted: dict[str, list[str]] = {}
    for route in written.routes:
        wanted.setdefault(route.api, []).append(route.path)
    rows: dict[RouteRow, None] = {}
    for api, patterns in wanted.items():
        if api in tables:
            reached = {row for pattern in patterns for row in tables[api].reached(pattern)}
            rows.update((row, None) for row in tables[api].rows if row in reached)
    return tuple(rows)


def _read(api: str, route: Any) -> tuple[RouteRow, CompiledRoute]:
    """Return a row as evidence hangs on it, and as it matches."""
    path = route.get("path") if isinstance(route, dict) else None
    methods = route.get("methods") if isinstance(route, dict) else None
    compiled = _compiled(path, frozenset() if methods is None else _SOME)
    words = [_written(route, name) for name in ("mode", "proof", "level")]
    if compiled is None or None in words or not (methods is None or _texts(methods)):
        # It may match anything, and covers nothing.
        return RouteRow(api, "", (), "", "", ""), _everything(_SOME)
    mode, proof, level = (str(each) for each in words)
    return RouteRow(api, str(path), tuple(sorted(set(methods or ()))), mode, proof, level), compiled


def _written(route: Any, name: str) -> str | None:
    """Return a word of a route as it is written or as it is where it's left out; None where it is no word."""
    default = WrittenRoute.model_fields[name].default
    found = route.get(name, default) if isinstance(route, dict) else None
    return found if isinstance(found, str) else None


def _texts(methods: Any) -> bool:
    return isinstance(methods, list) and bool(methods) and all(isinstance(m, str) for m in methods)


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


def _as_it_is(text: str) -> str:
    return text


def _overlap(one: CompiledRoute, other: CompiledRoute, spelt: Callable[[str], str]) -> bool:
    """Tell whether some path matches both, whatever their methods.

    :param spelt: returns what spellings of a segment have in common that the API takes for one.
    """
    short, long = sorted((one, other), key=lambda each: len(each.segments))
    if len(short.segments) < len(long.segments) and not short.open_ended:
        return False
    return all(
        spelt(mine) == spelt(theirs) or ANY_SEGMENT in {mine, theirs}
        for mine, theirs in zip(short.segments, long.segments, strict=False)
    )


def limits_of(data: Mapping[str, Any]) -> tuple[LimitRule, ...]:
    """Return the limits of all APIs; one that can't be read limits nothing.

    :param data: the plain values of the whole file; faults in it are told elsewhere.
    """
    apis = data.get("apis")
    return tuple(
        each
        for name, api in (apis.items() if isinstance(apis, dict) else ())
        if isinstance(api, dict)
        for each in _limits_of(name, api)
    )


def pins_of(data: Mapping[str, Any]) -> tuple[PinRule, ...]:
    """Return which app pins which host; an entry that can't be read pins nothing."""
    pins = data.get("pins")
    hosts = pins.get("hosts") if isinstance(pins, dict) else None
    return tuple(
        PinRule(host, app, each.mode == "enforce")
        for host, each in _valid(WrittenPinnedHost, hosts)
        for app in sorted(set(each.apps))
    )


def _limits_of(name: str, api: Mapping[str, Any]) -> Iterator[LimitRule]:
    limits = api.get("limits")
    for _, rate in _valid(WrittenRate, {RATE: api.get("rate")}):
        yield LimitRule(
            name, RATE, rate.requests, seconds(rate.per), (), enforced=True, narrowed=False
        )
    numbered = dict(enumerate(limits)) if isinstance(limits, list) else {}
    for _, each in _valid(WrittenLimit, numbered):
        yield LimitRule(
            name,
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
