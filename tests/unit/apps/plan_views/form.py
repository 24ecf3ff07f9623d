"""Check a document against the part of JSON Schema that our forms use; any other word is a fault."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, type] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
_SAID = {"$schema", "$id", "$defs", "title", "description", "$ref", "anyOf", "properties", "items"}
_RULES: Mapping[str, Callable[[Any, Any, Mapping[str, Any]], bool]] = {
    "const": lambda value, wanted, _: value == wanted,
    "enum": lambda value, wanted, _: value in wanted,
    "minimum": lambda value, wanted, _: value >= wanted,
    "maximum": lambda value, wanted, _: value <= wanted,
    "minItems": lambda value, wanted, _: len(value) >= wanted,
    "minLength": lambda value, wanted, _: len(value) >= wanted,
    "pattern": lambda value, wanted, _: re.search(wanted, value) is not None,
    "uniqueItems": lambda value, _, __: all(
        each not in value[:number] for number, each in enumerate(value)
    ),
    "required": lambda value, wanted, _: set(wanted) <= value.keys(),
    "additionalProperties": lambda value, _, form: value.keys() <= form["properties"].keys(),
}


def faults(
    value: Any, form: Mapping[str, Any], root: Mapping[str, Any], where: str = ""
) -> Iterator[str]:
    """Yield what is wrong with a value, and where."""
    wanted = form.get("type")
    if wanted is not None and type(value) is not _TYPES[wanted]:
        yield f"{where}: type {wanted}, got {value!r:.80}"
        return
    if "$ref" in form:
        yield from faults(value, root["$defs"][form["$ref"].removeprefix("#/$defs/")], root, where)
    choices = form.get("anyOf")
    if choices is not None and all(list(faults(value, each, root)) for each in choices):
        yield f"{where}: none of the forms that it may have, got {value!r:.80}"
    for word in form.keys() - _SAID - {"type"}:
        if not _RULES[word](value, form[word], form):
            yield f"{where}: {word} {form[word]!s:.80}, got {value!r:.80}"
    for name in form.get("properties", {}).keys() & (value.keys() if wanted == "object" else set()):
        yield from faults(value[name], form["properties"][name], root, f"{where}.{name}")
    for number, each in enumerate(value if "items" in form else ()):
        yield from faults(each, form["items"], root, f"{where}[{number}]")
