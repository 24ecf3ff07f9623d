"""Collect the fields of requests and answers that are worth a look, whatever their schemas refer to.

Schemas refer to one another in circles.  Each is looked at once; what a request or an answer holds is then gathered over the
references, each followed once, so that it doesn't matter in which order operations come.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from watchword.scan.api.description import Aspect, Field
from watchword.scan.api.references import Source, listed, mapping, text, types_of
from watchword.scan.api.words import Kind, is_url, kinds_of, plain, shown

MAX_DEPTH: Final = 40
"""How many levels of one schema are looked at, references not counted."""

MAX_FIELDS: Final = 500
"""How many fields of one request or answer are kept."""

_MAX_PATH: Final = 160
_SEVERAL: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_BRANCHES: Final = ("if", "then", "else", "contentSchema", "schema")


@dataclass(frozen=True, slots=True)
class _Shape:
    """Hold what one schema says itself: its fields, and whither it refers from where.

    :param edges: reference, path in front, whether many of it.
    """

    fields: tuple[Field, ...]
    edges: tuple[tuple[str, str, bool], ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class _Spot:
    node: Any
    path: str
    listed: bool
    depth: int


class Fields:
    """Gather the fields of one document."""

    def __init__(self, source: Source) -> None:
        """Keep the document; nothing is read yet."""
        self._source = source
        self._shapes: dict[str, _Shape] = {}
        self._known: dict[tuple[str, Aspect], tuple[Field, ...]] = {}

    def of(self, node: Any, aspect: Aspect, where: str) -> tuple[Field, ...]:
        """Return the fields of a schema and of all that it refers to, sorted.

        :param where: the operation, for what can't be seen.
        """
        # Most operations name one shared schema and nothing else.
        alone = isinstance(node, Mapping) and len(node) == 1
        plain_reference = text(node.get("$ref")) if alone else ""
        key = (plain_reference, aspect)
        if plain_reference and key in self._known:
            return self._known[key]
        found, why = self._gathered(self._shape(node), aspect)
        if why:
            self._source.miss(aspect, where, why)
        fields = tuple(sorted(found, key=lambda each: (each.path, sorted(each.kinds))))
        if plain_reference and not why:
            self._known[key] = fields
        return fields

    def _gathered(self, first: _Shape, aspect: Aspect) -> tuple[list[Field], str]:
        """Return the fields of a shape and of all that it refers to, and why some are missing."""
        found: dict[tuple[str, frozenset[Kind]], Field] = {}
        seen: set[tuple[str, bool]] = set()
        queue = deque([(first, "", False)])
        why = ""
        while queue:
            shape, before, many = queue.popleft()
            if not shape.whole:
                why = "its schema is too large or too deep"
            if len(found) > MAX_FIELDS or not self._source.spend():
                return list(found.values()), "its schema has too many fields"
            for field in shape.fields:
                path = _joined(before, field.path)
                known = found.get((path, field.kinds))
                found[path, field.kinds] = Field(
                    path,
                    field.kinds,
                    many or field.listed or (known is not None and known.listed),
                    # A field that one branch lets be written can be written.
                    field.read_only and (known is None or known.read_only),
                    field.write_only and (known is None or known.write_only),
                )
            for reference, path, in_list in shape.edges:
                key = (reference, many or in_list)
                if key not in seen:
                    seen.add(key)
                    queue.append((self._referred(reference, aspect), _joined(before, path), key[1]))
        return list(found.values()), why

    def _referred(self, reference: str, aspect: Aspect) -> _Shape:
        target = self._source.target(reference, aspect)
        if reference not in self._shapes:
            self._shapes[reference] = self._shape(target)
        return self._shapes[reference]

    def _shape(self, schema: Any) -> _Shape:
        """Look at one schema, without following references."""
        fields: dict[Field, None] = {}
        edges: dict[tuple[str, str, bool], None] = {}
        whole = True
        stack = [_Spot(schema, "", listed=False, depth=0)]
        while stack:
            spot = stack.pop()
            if not isinstance(spot.node, Mapping):
                continue
            if spot.depth > MAX_DEPTH or not self._source.spend():
                whole = False
                continue
            reference = spot.node.get("$ref")
            if isinstance(reference, str):
                edges[reference, spot.path, spot.listed] = None
            # What refers dynamically depends on where one comes from: it isn't followed.
            whole = whole and "$dynamicRef" not in spot.node
            for name, node in mapping(spot.node.get("properties")).items():
                if not self._source.spend():
                    whole = False
                    break
                path = _joined(spot.path, shown(name, 60))
                kinds = _kinds(plain(name), node)
                if kinds:
                    said = mapping(node)
                    fields[
                        Field(
                            path,
                            kinds,
                            spot.listed,
                            said.get("readOnly") is True,
                            said.get("writeOnly") is True,
                        )
                    ] = None
                stack.append(_Spot(node, path, spot.listed, spot.depth + 1))
            if _takes_more(spot.node):
                fields[Field(spot.path or "the object", frozenset({Kind.OPEN}), spot.listed)] = None
            stack.extend(_below(spot))
        return _Shape(tuple(fields), tuple(edges), whole)


def _below(spot: _Spot) -> Iterator[_Spot]:
    for key in _BRANCHES:
        if key in spot.node:
            yield _Spot(spot.node[key], spot.path, spot.listed, spot.depth + 1)
    for key in _SEVERAL:
        for node in listed(spot.node.get(key)):
            yield _Spot(node, spot.path, spot.listed, spot.depth + 1)
    many = f"{spot.path}[]"
    for key in ("items", "additionalProperties", "unevaluatedProperties", "contains"):
        if isinstance(spot.node.get(key), Mapping):
            yield _Spot(spot.node[key], many, True, spot.depth + 1)  # noqa: FBT003
    for node in mapping(spot.node.get("patternProperties")).values():
        yield _Spot(node, many, True, spot.depth + 1)  # noqa: FBT003
    for node in mapping(mapping(spot.node.get("discriminator")).get("mapping")).values():
        if isinstance(node, str) and node.startswith("#/"):
            yield _Spot({"$ref": node}, spot.path, spot.listed, spot.depth + 1)


def _kinds(name: str, node: Any) -> frozenset[Kind]:
    """Return what a property is good for, by its name, type and example."""
    said = mapping(node)
    types, form = types_of(said), text(said.get("format"))
    kinds = set(kinds_of(name))
    if types == {"boolean"} or form in {"date", "date-time"}:
        # Whether somebody has a password, or when he changed it, isn't the password.
        kinds -= {Kind.SECRET, Kind.PERSONAL}
    if types - {"string"}:
        kinds -= {Kind.ADDRESS}
    if form in {"uri", "url", "iri"} or any(
        is_url(said.get(key)) for key in ("example", "default")
    ):
        kinds.add(Kind.ADDRESS)
    if form == "binary" or "file" in types or "contentMediaType" in said:
        kinds.add(Kind.FILE)
    return frozenset(kinds)


def _takes_more(node: Mapping[Any, Any]) -> bool:
    """Tell whether an object that lists its fields says that it takes others too.

    An object that lists none is a map, and one that says nothing is what nearly every description has.
    """
    more = node.get("additionalProperties")
    listed_ones = mapping(node.get("properties"))
    return bool(listed_ones) and (more is True or (isinstance(more, Mapping) and not more))


def _joined(before: str, path: str) -> str:
    if not before or not path:
        found = before or path
    else:
        found = before + path if path.startswith("[") else f"{before}.{path}"
    return found if len(found) <= _MAX_PATH else f"...{found[3 - _MAX_PATH :]}"
