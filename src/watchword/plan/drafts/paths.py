"""Turn the paths of an API description into patterns of a route table, and into resources."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from watchword.plan.drafts.wording import words_of

MAX_PATTERN: Final = 120
"""Most characters of a drafted pattern."""

ANY: Final = "*"
REST: Final = "**"

_LITERAL: Final = re.compile(r"[A-Za-z0-9._~!$&'()+,=:@-]+")
_MEANINGLESS: Final = re.compile(
    r"api|apis|rest|v[0-9]+(?:[._-][0-9a-z]+)*|[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?", re.IGNORECASE
)
_ORIGIN: Final = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.*-]*:)?//[^/?#]*")
_OWN: Final = frozenset({"me", "my", "self", "current"})
_STAFF: Final = frozenset({"admin", "internal", "ops"})
_PARTNER: Final = frozenset({"partner", "partners", "tpp", "psd2", "xs2a", "openbanking", "b2b"})
"""First segments below which other organisations' servers are served, hyphens left out."""

_PARAMETER: Final = re.compile(r"/\{([^{}/]*)\}(?=/|$)")
_NO_OBJECTS: Final = frozenset({"version", "lang", "language", "locale", "format"})
"""Parameters that name no object among many."""

_PROBES: Final = frozenset(
    [
        "health",
        "healthz",
        "live",
        "livez",
        "ready",
        "readyz",
        "ping",
        "status",
        "version",
        "heartbeat",
    ]
)

Segments = tuple[str, ...]


def pattern_segments(path: str) -> Segments | None:
    """Return the segments of a described path as a route table takes them.

    A segment with a parameter in it, or with what a pattern can't say, is ``*``.

    :returns: None for a path that no request can have: without a slash in front, with empty or dot
        segments, or too long.
    """
    path = re.split(r"[?#]", path, maxsplit=1)[0]
    if not path.startswith("/") or len(path) > 8 * MAX_PATTERN:
        return None
    parts = re.sub(r"\{[^{}]*\}", ANY, path[1:]).split("/")
    if parts[-1] == "":
        parts.pop()
    if any(part in {"", ".", ".."} for part in parts):
        return None
    segments = tuple(part if _LITERAL.fullmatch(part) else ANY for part in parts)
    return segments if len(pattern(segments)) <= MAX_PATTERN else None


def pattern(segments: Sequence[str]) -> str:
    """Return segments as one pattern."""
    return "/" + "/".join(segments)


def base_segments(url: Any) -> Segments:
    """Return the path in a server's URL as segments; nothing where there is none or it isn't one."""
    if not isinstance(url, str):
        return ()
    # A variable may hold slashes in its default; what can't be told is one unknown segment.
    text = re.sub(r"\{[^{}]*\}", ANY, url[: 8 * MAX_PATTERN])
    return pattern_segments(_ORIGIN.sub("", text)) or ()


def server_host(url: Any) -> str:
    """Return the host in a server's URL, in lower case and with its port; empty where it names none."""
    found = _ORIGIN.match(url[: 8 * MAX_PATTERN]) if isinstance(url, str) else None
    return found.group().partition("//")[2].lower() if found else ""


def meaningful(segments: Segments) -> list[int]:
    """Return the indexes of the segments that may name a resource."""
    return [
        index
        for index, segment in enumerate(segments)
        if segment != ANY and not _MEANINGLESS.fullmatch(segment)
    ]


def shared_segments(paths: Iterable[Segments]) -> int:
    """Return how many leading meaningful segments say nothing, since every path has them.

    The last meaningful one of each path never counts: it is what the path is about.
    """
    named = [[segments[i] for i in meaningful(segments)] for segments in paths]
    named = [names for names in named if names]
    if len(named) < 2:
        return 0
    first = named[0]
    count = 0
    while all(len(names) > count + 1 and names[count] == first[count] for names in named):
        count += 1
    # One resource with many subordinate ones is still one resource.
    heads = {names[count] for names in named}
    return count if len(heads) > 1 else 0


def resource(segments: Segments, shared: int) -> tuple[str, Segments]:
    """Return what a path is about, and the segments up to there.

    :param shared: see :func:`shared_segments`.
    :returns: an empty name where no segment says it; then all segments.
    """
    indexes = meaningful(segments)[shared:]
    if not indexes:
        return "", segments
    name, end = segments[indexes[0]], indexes[0]
    if name.lower() in _OWN and len(indexes) > 1:
        end = indexes[1]
        name = f"{name}-{segments[end]}"
    return name, segments[: end + 1]


def is_probe(segments: Segments, methods: Iterable[str]) -> bool:
    """Tell whether a path only says that the API is up: one telling segment, only read."""
    indexes = meaningful(segments)
    return (
        len(indexes) == 1
        and ANY not in segments
        and segments[indexes[0]].lower() in _PROBES
        and set(methods) <= {"GET", "HEAD", "OPTIONS"}
    )


def is_for_staff(segments: Segments) -> bool:
    """Tell whether a path is one for administrators or operators, whom the app doesn't serve."""
    return any(segment.lower() in _STAFF for segment in segments)


def below_partner(segments: Segments) -> int | None:
    """Return the index of the segment that says that partners call what lies below it; None where none does.

    ``/partners`` by itself is a list of shops as well: only what has a resource behind it counts.
    """
    indexes = meaningful(segments)
    if len(indexes) > 1 and segments[indexes[0]].lower().replace("-", "") in _PARTNER:
        return indexes[0]
    return None


def names_object(path: str) -> bool:
    """Tell whether a described path names one object among many: a whole segment is a parameter."""
    names = _PARAMETER.findall(path[: 8 * MAX_PATTERN])
    return any((words_of(name) or ("",))[-1] not in _NO_OBJECTS for name in names)


def route_order(path: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts patterns so that none stands behind one that takes its requests."""
    ranks = {ANY: 1, REST: 2}
    return tuple((ranks.get(segment, 0), segment) for segment in path.split("/")[1:])
