"""Find the route that a request belongs to: the first row of the table that matches.

Patterns and paths are compared segment by segment after percent-decoding, so that ``/%61dmin`` is
``/admin`` here as it is for the API.  Case counts, as in URLs; what a server that ignores it may take a path for is in
:mod:`watchword.gate.spellings`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.gate.hygiene import read_path
from watchword.gate.interface import Route
from watchword.reasons import Refusal

ANY_SEGMENT = "*"
ANY_REST = "**"


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """Hold a route with its pattern taken apart.

    :param methods: empty means every method; a route for GET is one for HEAD too, since HEAD
        runs the same code (RFC 9110 section 9.3.2).
    :param segments: the fixed number of leading segments, :data:`ANY_SEGMENT` for any.
    :param open_ended: whether any rest may follow, also none.
    """

    route: Route
    methods: frozenset[str]
    segments: tuple[str, ...]
    open_ended: bool

    def matches(self, method: str, path: tuple[str, ...]) -> bool:
        """Tell whether a request with this method and these decoded segments belongs here."""
        if self.methods and method not in self.methods:
            return False
        segments = self.segments
        if len(path) < len(segments) or (len(path) > len(segments) and not self.open_ended):
            return False
        # A loop costs a third of a generator, and each request with a new path walks down the table.
        for wanted, got in zip(segments, path, strict=False):
            if wanted != got and wanted != ANY_SEGMENT:  # noqa: PLR1714 - no tuple is made.
                return False
        return True

    def covers(self, other: "CompiledRoute") -> bool:
        """Tell whether every request that matches ``other`` matches this route too."""
        if self.methods and not (other.methods and other.methods <= self.methods):
            return False
        if other.open_ended and not self.open_ended:
            return False
        if len(other.segments) < len(self.segments) or (
            len(other.segments) > len(self.segments) and not self.open_ended
        ):
            return False
        return all(
            mine in (ANY_SEGMENT, theirs)
            for mine, theirs in zip(self.segments, other.segments, strict=False)
        )


def compile_route(route: Route) -> CompiledRoute:
    """Take a route's pattern apart.

    :raises ValueError: on a pattern that isn't a path of literal segments and ``*``, with ``**``
        at most once and last; the text says what is wrong and is fit for a person.
    """
    pattern = route.pattern
    open_ended = pattern.endswith(f"/{ANY_REST}")
    stem = pattern.removesuffix(ANY_REST) if open_ended else pattern
    segments = read_path(stem.encode("utf-8"))
    if isinstance(segments, Refusal):
        raise ValueError(f"{pattern!r} is no path that a request could have: {segments.detail}")  # noqa: TRY004
    for segment in segments:
        if "*" in segment and segment != ANY_SEGMENT:
            raise ValueError(f"{pattern!r}: * stands for a whole segment, and ** comes last")
    methods = route.methods | {"HEAD"} if "GET" in route.methods else route.methods
    return CompiledRoute(route, methods, segments, open_ended)


def compile_routes(routes: Sequence[Route]) -> tuple[CompiledRoute, ...]:
    """Take the patterns of a whole table apart; raise ValueError as :func:`compile_route`."""
    return tuple(compile_route(route) for route in routes)


def find_row(table: Sequence[CompiledRoute], method: str, path: tuple[str, ...]) -> int | None:
    """Return the position of the first row that matches, None if there is none."""
    for position, compiled in enumerate(table):
        if compiled.matches(method, path):
            return position
    return None


def find_route(table: Sequence[CompiledRoute], method: str, path: tuple[str, ...]) -> Route | None:
    """Return the first route that matches, None if there is none."""
    position = find_row(table, method, path)
    return None if position is None else table[position].route


def shadowed(routes: Sequence[Route]) -> list[tuple[Route, Route]]:
    """Return each route that can never match, with the earlier one that takes all its requests.

    :raises ValueError: as :func:`compile_route`.
    """
    table = compile_routes(routes)
    found = []
    for position, later in enumerate(table):
        for earlier in table[:position]:
            if earlier.covers(later):
                found.append((later.route, earlier.route))
                break
    return found
