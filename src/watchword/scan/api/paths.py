"""Read paths: their segments and words, what they have in common over versions, and which of two name the same."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from watchword.scan.api.words import words_of

ANY: Final = "{}"
"""A segment with a parameter in it."""

MAX_PATH: Final = 2_000
"""How many characters of a path are looked at."""

_MAX_SEGMENTS: Final = 40
_MAX_TRIES: Final = 2_000
_PARAMETER: Final = re.compile(r"\{[^{}/]*\}")
_VERSION: Final = re.compile(
    r"v\d{1,3}(?:[._-]\d{1,3})*(?:(?:alpha|beta)\d*)?|\d{4}-\d{2}(?:-\d{2})?", re.IGNORECASE
)
_MEANINGLESS: Final = frozenset({"api", "apis", "rest"})
_BLANK: Final = re.compile(
    r"\{[^{}]*\}|:\w+|%(?:\d+\$)?[sd@]|\$\w+|\d+|[0-9a-f]{8}-[0-9a-f-]{27}",
    re.IGNORECASE | re.ASCII,
)


def segments_of(path: str) -> tuple[str, ...]:
    """Return the segments of a described path; one with a parameter in it is :data:`ANY`."""
    bare = re.split(r"[?#]", path[:MAX_PATH], maxsplit=1)[0]
    parts = [part for part in bare.split("/") if part][:_MAX_SEGMENTS]
    return tuple(ANY if _PARAMETER.search(part) else part for part in parts)


def segments_in_app(path: str) -> tuple[str, ...]:
    """Return the segments of a path that an app names, with whatever its code puts values in as :data:`ANY`."""
    bare = re.split(r"[?#]", path[:MAX_PATH], maxsplit=1)[0]
    parts = [part for part in bare.split("/") if part][:_MAX_SEGMENTS]
    return tuple(ANY if _BLANK.fullmatch(part) or "{" in part else part for part in parts)


def literals(segments: Iterable[str]) -> Iterator[str]:
    """Yield the segments that say something: no parameter, no version."""
    return (each for each in segments if each != ANY and not _VERSION.fullmatch(each))


def path_words(segments: Iterable[str]) -> tuple[str, ...]:
    """Return the words of the literal segments, in order."""
    return tuple(word for each in literals(segments) for word in words_of(each))


def version_of(segments: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Return the version that a path names, and the path with ``{version}`` in its place; None if it names none."""
    for index, each in enumerate(segments):
        if _VERSION.fullmatch(each):
            return each, (*segments[:index], "{version}", *segments[index + 1 :])
    return None


def version_order(version: str) -> tuple[int, ...]:
    """Return a key that sorts versions: v2.7 before v4.0, v1beta before v1."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:6])
    early = -1 if re.search(r"alpha|beta", version, re.IGNORECASE) else 0
    return (*numbers[:1], early, *numbers[1:])


@dataclass(slots=True)
class _Node:
    below: dict[str, "_Node"] = field(default_factory=dict)
    ends: bool = False


class Routes:
    """Know the described paths, and tell whether a path of an app is one of them."""

    def __init__(self, paths: Iterable[tuple[tuple[str, ...], int]]) -> None:
        """Take paths, each with how many segments in front may be missing: apps keep them in a base URL."""
        self._root = _Node()
        self._heads: set[str] = set()
        for segments, base in paths:
            self._heads.update(each.lower() for each in segments[: base + 1] if each != ANY)
            for start in range(len(segments)):
                # By one segment alone anything could be meant, unless nothing that says anything is in front of it.
                alone = start < len(segments) - 1 or all(map(_says_nothing, segments[:start]))
                # What begins with a parameter would take anything.
                if start <= base or (alone and segments[start] != ANY):
                    self._add(segments[start:])

    def knows(self, segments: tuple[str, ...]) -> bool:
        """Tell whether a path of an app is described, or the beginning of one that is."""
        stack = [(self._root, 0)]
        for _ in range(_MAX_TRIES):
            if not stack:
                return False
            node, index = stack.pop()
            if index == len(segments):
                return True
            each = segments[index].lower()
            if each == ANY:
                stack.extend((below, index + 1) for below in node.below.values())
            else:
                stack.extend((node.below[k], index + 1) for k in (ANY, each) if k in node.below)
        return True

    def near(self, segments: tuple[str, ...]) -> bool:
        """Tell whether a path begins as described ones do, so that it's surely of this API."""
        return (
            bool(segments) and not _says_nothing(segments[0]) and segments[0].lower() in self._heads
        )

    def _add(self, segments: tuple[str, ...]) -> None:
        node = self._root
        for each in segments:
            node = node.below.setdefault(each.lower(), _Node())
        node.ends = True


def _says_nothing(segment: str) -> bool:
    return bool(_VERSION.fullmatch(segment)) or segment.lower() in _MEANINGLESS
