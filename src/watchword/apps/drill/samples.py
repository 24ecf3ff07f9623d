"""Choose the requests of a drill: those that the file names, else one made from each route."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from watchword.apps.drill.course import CourseError
from watchword.apps.settings import ApiSettings
from watchword.apps.settings.schema import DrillRequest, DrillSettings
from watchword.broker.interface import EdgeRule
from watchword.drill.interface import SUCCESSES, Lending, Sample
from watchword.drill.wire import Headers
from watchword.gate.interface import Route
from watchword.gate.paths import read_path
from watchword.gate.routes import compile_routes, find_route
from watchword.plan.interface import Asset, RouteRow
from watchword.reasons import Refusal
from watchword.vocabulary import Level, Mode, Proof

_MAX_FILE: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_VALUE: Final = re.compile(r"[ -~]{0,2000}")

_SAFE: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing at an API (RFC 9110 section 9.2.1)."""

_MADE_UP: Final = "1"
"""What stands for a free segment of a route: an id that may be nobody's, which the API answers with its own error."""


def samples_of(
    api: ApiSettings,
    drill: DrillSettings,
    edges: Mapping[str, EdgeRule] = MappingProxyType({}),
    assets: Collection[Asset] = (),
) -> tuple[Sample, ...]:
    """Return the sample requests of an API, in the order of the file.

    A route in mode ``off`` where an asset lives is asked for even where the file names no request to it, as far as
    that changes nothing: it is served to anybody.

    :param edges: by secret, to what it is lent.
    :param assets: of the plan.
    :raises CourseError: when the file with more headers can't be read, with its line.
    """
    table = compile_routes(api.routes)
    headers = tuple(drill.headers.items()) + _headers_of(drill.headers_file)
    found = []
    for request in drill.requests or tuple(_made_up(api.routes, edges)):
        segments = read_path(request.target.partition("?")[0].encode("latin-1"))
        route = (
            None if isinstance(segments, Refusal) else find_route(table, request.method, segments)
        )
        found.append(_sample(request, route, headers, edges, _living_on(api, route, assets)))
    for route in api.routes:
        living = _living_on(api, route, assets)
        asked = any(each.route == route.name for each in found)
        if route.mode is Mode.OFF and living and not asked:
            for request in _made_up((route,), edges):
                if request.method in _SAFE:
                    sample = _sample(request, route, headers, edges, living)
                    found.append(replace(sample, asked=False))
    return tuple(found)


def unasked(
    api: ApiSettings, samples: Iterable[Sample], assets: Collection[Asset]
) -> tuple[str, ...]:
    """Return the routes, by each method that they name, that no sample falls under: nothing is shown of them.

    Those that are open to all are left out where no asset lives there.
    """
    tried = {(each.route, each.method) for each in samples if not each.login}
    routes = {name for name, _ in tried}
    found = []
    for route in api.routes:
        living = _living_on(api, route, assets)
        missing = [each for each in sorted(route.methods) if (route.name, each) not in tried]
        if (route.mode is Mode.OFF and not living) or not (missing or route.name not in routes):
            continue
        lives = f" ({', '.join(living)})" if living else ""
        found.append(" ".join(filter(None, (",".join(missing), route.pattern))) + lives)
    return tuple(found)


def _living_on(api: ApiSettings, route: Route | None, assets: Collection[Asset]) -> tuple[str, ...]:
    """Return the assets that name what a route decides, the highest impact first."""
    if route is None:
        return ()
    row = RouteRow(
        api.name, route.pattern, tuple(sorted(route.methods)), route.mode, route.proof, route.level
    )
    named = sorted(
        (each for each in assets if each.routes and row in each.rows),
        key=lambda each: (-each.impact, each.id),
    )
    return tuple(f"{each.id} (impact {each.impact})" for each in named)


def off_targets(api: ApiSettings) -> tuple[str, ...]:
    """Return a target under each route in mode ``off``."""
    return tuple(_target(route.pattern) for route in api.routes if route.mode is Mode.OFF)


def _headers_of(file: Path | None) -> Headers:
    """Read a file of headers, a line each; empty lines and such as begin with ``#`` say nothing."""
    if file is None:
        return ()
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise CourseError(f"{file}: {error.strerror}, expected a file of headers") from None
    if len(data) > _MAX_FILE:
        raise CourseError(f"{file}: got more than {_MAX_FILE} bytes of headers")
    found = []
    for number, raw in enumerate(data.decode("latin-1").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        # The line isn't quoted: it may hold a key.
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value.strip()):
            raise CourseError(f"{file}: line {number} is no header, expected name: value")
        found.append((name, value.strip()))
    return tuple(found)


def _made_up(routes: tuple[Route, ...], edges: Mapping[str, EdgeRule]) -> Iterator[DrillRequest]:
    """Yield a request for each route that is armed, or for each if none is."""
    armed = [route for route in routes if route.mode is not Mode.OFF] or list(routes)
    for route in armed:
        lending = _lending(route, edges)
        methods, target = route.methods, _target(route.pattern)
        if lending is not None:
            methods = frozenset(methods & lending.rule.methods) or lending.rule.methods
            target = lending.mount + _target(lending.rule.patterns[0])
        method = "GET" if not methods or "GET" in methods else min(methods)
        body = b"{}" if method in {"POST", "PUT", "PATCH"} else b""
        yield DrillRequest(method, target, SUCCESSES, body)


def _lending(route: Route | None, edges: Mapping[str, EdgeRule]) -> Lending | None:
    """Return what is lent on a route, None where the API itself answers."""
    rule = None if route is None or route.secret is None else edges.get(route.secret)
    if route is None or rule is None:
        return None
    return Lending(rule, route.pattern.removesuffix("/**"))


def _target(pattern: str) -> str:
    """Return a path that a pattern matches."""
    segments = [_MADE_UP if part in {"*", "**"} else part for part in pattern.split("/")[1:]]
    return "/" + "/".join(segments)


def _sample(
    request: DrillRequest,
    route: Route | None,
    headers: Headers,
    edges: Mapping[str, EdgeRule],
    assets: tuple[str, ...],
) -> Sample:
    more: Headers = (("Content-Type", request.content_type),) if request.body else ()
    return Sample(
        method=request.method,
        target=request.target,
        route=None if route is None else route.name,
        proof=Proof.BEARER if route is None else route.proof,
        level=Level.HARDWARE if route is None else route.level,
        mode=Mode.ENFORCE if route is None else route.mode,
        headers=headers + more,
        body=request.body,
        echo=request.echo,
        login=request.login,
        good=request.good,
        minimum_versions={} if route is None else dict(route.minimum_versions),
        lending=_lending(route, edges),
        pattern="" if route is None else route.pattern,
        assets=assets,
    )
