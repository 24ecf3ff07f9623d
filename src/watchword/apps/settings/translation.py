"""Turn pydantic's errors into faults: a path as the file has it, its line, got and expected."""

import difflib
import re
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from watchword.apps.settings.document import Document, Path_
from watchword.apps.settings.faults import Fault, join, shown
from watchword.apps.settings.written import WrittenFile
from watchword.apps.settings.written_types import IN_WORDS, Written

_UNION_TAGS = {"ios", "android"}

_Location = tuple[int | str, ...]


def translated(document: Document, error: ValidationError, prefix: Path_ = ()) -> Iterator[Fault]:
    """Yield a fault for each error.

    :param prefix: where in the file the section stands that was validated, empty for the whole.
    """
    for details in error.errors(include_url=False):
        yield _fault(document, details, (*prefix, *details["loc"]))


def unknown_key(document: Document, path: Path_) -> Fault:
    """Return the fault of a key that nothing knows, with the known ones beside it."""
    return Fault(join(path), document.line(path), "an unknown key", _known_keys(path))


def _fault(document: Document, details: ErrorDetails, location: _Location) -> Fault:
    """Turn one of pydantic's errors into a fault with a line, got and expected."""
    path = _plain_path(document.data, location)
    line = document.line(path)
    kind = details["type"]
    context = details.get("ctx", {})
    got, expected = shown(details["input"]), details["msg"].lower()
    if kind == "missing":
        got, expected = "nothing", "a value; this key is required"
    elif kind == "extra_forbidden":
        got, expected = "an unknown key", _known_keys(location)
    elif kind in {"literal_error", "union_tag_invalid"}:
        wanted = context.get("expected") or context.get("expected_tags")
        expected = f"one of {wanted}"
        if kind == "union_tag_invalid":
            path = (*path, "platform")
            got, line = shown(context.get("tag")), document.line(path)
    elif kind == "union_tag_not_found":
        path = (*path, "platform")
        got, expected = "nothing", "one of 'ios', 'android'"
    elif kind in {"too_short", "too_long"}:
        count = context.get("min_length") or context.get("max_length")
        got = f"{context.get('actual_length')} entries"
        expected = f"at {'least' if kind == 'too_short' else 'most'} {count}"
    elif kind in {"greater_than_equal", "less_than_equal"}:
        expected = _bounds(location)
    elif kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        expected = IN_WORDS.get(pattern, f"text that fits {pattern}")
    elif kind == "expected":
        # An address may hold a password, and faults stand in logs too.
        got, expected = re.sub(r"//[^/]*@", "//...@", got), str(context.get("expected"))
    elif kind in {"model_type", "dict_type", "list_type", "model_attributes_type"}:
        expected = "a list" if kind == "list_type" else "a mapping"
    elif kind.endswith("_type"):
        expected = details["msg"].removeprefix("Input should be ")
    return Fault(join(path), line, got, expected)


def _plain_path(data: Any, location: _Location) -> tuple[str | int, ...]:
    """Return pydantic's location without the parts that don't stand in the file."""
    path: list[str | int] = []
    for part in location:
        if part == "[key]":
            continue
        if part in _UNION_TAGS and isinstance(data, dict) and part not in data:
            continue
        path.append(part)
        if isinstance(data, dict):
            data = data.get(part) if isinstance(part, str) else None
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return tuple(path)


def _known_keys(location: Sequence[int | str]) -> str:
    """Name the keys that are known where an unknown one stands, the nearest first."""
    known = list(_model_at(location[:-1]).model_fields)
    nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
    hint = f"{nearest[0]!r}? Known keys: " if nearest else "one of "
    return hint + ", ".join(known)


def _bounds(location: Sequence[int | str]) -> str:
    """Say from where to where a number may go."""
    field = _model_at(location[:-1]).model_fields[str(location[-1])]
    least, most = (
        next(getattr(each, name) for each in field.metadata if hasattr(each, name))
        for name in ("ge", "le")
    )
    return f"{least} to {most}"


def _model_at(location: Sequence[int | str]) -> type[Written]:
    """Return the model of a section; pydantic's location names the union's tag too."""
    found: list[Any] = [WrittenFile]
    for part in location:
        found = [inner for each in found for inner in _inside(each, part)]
    model = found[0]
    assert isinstance(model, type)
    assert issubclass(model, Written)
    return model


def _inside(outer: Any, part: int | str) -> Iterator[Any]:
    """Yield what may stand at one part of a location inside a type, each type by itself."""
    if get_origin(outer) in {dict, list}:
        yield from _alternatives(get_args(outer)[-1])
    elif isinstance(outer, type) and issubclass(outer, Written):
        if part in outer.model_fields:
            yield from _alternatives(outer.model_fields[str(part)].annotation)
        elif part in _UNION_TAGS and part in get_args(outer.model_fields["platform"].annotation):
            yield outer


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation allows, without what stands around them."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, UnionType}:
        for each in get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation
