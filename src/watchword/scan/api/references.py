"""Follow the references of a description within bounds, and note what couldn't be seen."""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from watchword.scan.api.description import Aspect, Missed
from watchword.scan.api.words import shown

MAX_NODES: Final = 500_000
"""How many values of one description are looked at."""

MAX_STEPS: Final = 12
"""Over how many references one after the other something is looked up."""

MAX_MISSED: Final = 200
"""How many gaps of one aspect are told one by one."""

_MAX_POINTER: Final = 1_000
_PERCENT: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_MAX_INDEX: Final = 6


class Source:
    """Hold a document that is being read, what may still be looked at of it, and what was missed."""

    def __init__(self, document: Mapping[Any, Any]) -> None:
        """Keep the document; nothing is read yet."""
        self.document = document
        self._left = MAX_NODES
        self._missed: dict[Missed, None] = {}
        self._of_aspect: Counter[Aspect] = Counter()

    def spend(self, count: int = 1) -> bool:
        """Take from what may be looked at; tell whether there was any left."""
        self._left -= count
        return self._left >= 0

    def miss(self, aspect: Aspect, where: str, why: str) -> None:
        """Note what isn't seen; beyond :data:`MAX_MISSED` of an aspect it's only counted."""
        found = Missed(aspect, shown(where), why)
        if found in self._missed:
            return
        self._of_aspect[aspect] += 1
        if self._of_aspect[aspect] <= MAX_MISSED:
            self._missed[found] = None

    def missed(self) -> tuple[Missed, ...]:
        """Return what wasn't seen, in the order in which it was noted."""
        more = (
            Missed(aspect, "", f"{count - MAX_MISSED} more gaps aren't listed")
            for aspect, count in self._of_aspect.items()
            if count > MAX_MISSED
        )
        return (*self._missed, *more)

    def resolve(self, node: Any, aspect: Aspect) -> Any:
        """Return what a node refers to, or the node itself if to nothing.

        :returns: None for a reference that leads nowhere or in a circle; that is noted.
        """
        first = node
        for _ in range(MAX_STEPS):
            if not isinstance(node, Mapping) or not isinstance(node.get("$ref"), str):
                return node
            node = self.target(node["$ref"], aspect)
        self.miss(aspect, first["$ref"], "a reference that goes in a circle")
        return None

    def target(self, reference: str, aspect: Aspect) -> Any:
        """Return what a reference within the document leads to (RFC 6901 in a fragment), None if nothing; that is noted."""
        if not reference.startswith("#"):
            self.miss(aspect, reference, "a reference to another file, which isn't read")
            return None
        node = self._at(reference[1:])
        if node is None:
            self.miss(aspect, reference, "a reference to nothing in this file")
        return node

    def _at(self, pointer: str) -> Any:
        if not pointer:
            return self.document
        if not pointer.startswith("/") or len(pointer) > _MAX_POINTER:
            return None
        node: Any = self.document
        for part in pointer[1:].split("/"):
            key = _PERCENT.sub(_decoded, part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping):
                node = node.get(key)
            elif isinstance(node, list) and _is_index(key) and int(key) < len(node):
                node = node[int(key)]
            else:
                return None
        return node


def mapping(value: Any) -> Mapping[Any, Any]:
    """Return a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    """Return a text as it is, and an empty one for anything else."""
    return value if isinstance(value, str) else ""


def listed(value: Any) -> list[Any]:
    """Return a list as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def first(value: Any, most: int) -> list[tuple[Any, Any]]:
    """Return the first entries of a mapping, none for anything else."""
    return list(islice(mapping(value).items(), most))


def types_of(node: Mapping[Any, Any]) -> frozenset[str]:
    """Return JSON's types that a schema allows, null left out: one, or several in OpenAPI 3.1."""
    given = node.get("type")
    return frozenset(
        each
        for each in (given if isinstance(given, list) else [given])
        if isinstance(each, str) and each != "null"
    )


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) <= _MAX_INDEX


def _decoded(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace")
