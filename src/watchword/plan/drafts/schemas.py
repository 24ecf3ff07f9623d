"""Collect the names in an API description's schemas, whatever the schemas refer to.

Schemas refer to one another in circles and nest without end; names that were found once are kept, and
work is bounded for the whole document.
"""

from collections.abc import Iterator
from typing import Any, Final

from watchword.plan.drafts.wording import words_of

MAX_NODES: Final = 200_000
"""Most schema nodes that are looked at in one document."""

MAX_DEPTH: Final = 12
"""Most levels below an operation: what is deeper is seldom what the operation is about."""

_SINGLE: Final = ("items", "additionalProperties", "schema", "not", "if", "then", "else")
_SEVERAL: Final = ("allOf", "anyOf", "oneOf", "prefixItems")


class Schemas:
    """Look up references and collect words in one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Keep the document; nothing is read yet."""
        self._document = document
        self._known: dict[str, tuple[int, frozenset[str]]] = {}
        self._left = MAX_NODES
        self.unresolved: set[str] = set()

    @property
    def exhausted(self) -> bool:
        """Tell whether something wasn't looked at, to stay within the limit."""
        return self._left <= 0

    def resolve(self, node: Any) -> Any:
        """Return what a node refers to, over at most a few steps; the node itself if to nothing.

        :returns: an empty mapping for a reference that leads nowhere.
        """
        for _ in range(MAX_DEPTH):
            if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
                return node
            node = self._target(node["$ref"])
        return {}

    def words(self, node: Any, depth: int = 0) -> frozenset[str]:
        """Return the words of all property names in a schema and below it."""
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0 or not isinstance(node, dict):
            return frozenset()
        found: set[str] = set()
        reference = node.get("$ref")
        if isinstance(reference, str):
            found |= self._referred(reference, depth)
        properties = node.get("properties")
        if isinstance(properties, dict):
            for name, below in properties.items():
                if self._left < 0:
                    break
                found.update(words_of(str(name)))
                found |= self.words(below, depth + 1)
        for below in _below(node):
            found |= self.words(below, depth + 1)
        return frozenset(found)

    def _referred(self, reference: str, depth: int) -> frozenset[str]:
        """Return the words of a referred schema; read again only where more of it is within reach."""
        read_at, known = self._known.get(reference, (MAX_DEPTH + 1, frozenset()))
        if depth < read_at:
            # Whoever comes back here while it is being read came in a circle.
            self._known[reference] = (depth, known)
            known = self.words(self._target(reference), depth + 1)
            self._known[reference] = (depth, known)
        return known

    def _target(self, reference: str) -> Any:
        """Return what a reference within the document leads to, an empty mapping if nothing."""
        node: Any = self._document
        if not reference.startswith("#/"):
            self.unresolved.add(reference)
            return {}
        for part in reference[2:].split("/")[: 2 * MAX_DEPTH]:
            key = part.replace("~1", "/").replace("~0", "~")
            node = node.get(key) if isinstance(node, dict) else None
        if node is None:
            self.unresolved.add(reference)
            return {}
        return node


def _below(node: dict[str, Any]) -> Iterator[Any]:
    for key in _SINGLE:
        yield node.get(key)
    for key in _SEVERAL:
        several = node.get(key)
        if isinstance(several, list):
            yield from several
