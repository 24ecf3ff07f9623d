"""Hold ``watchword.yaml`` as it was read, once; validate a section of it, or tell all of its faults with line, got and expected."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from watchword.extras import needs

with needs("config"):
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

from watchword.apps.settings.document import Document, Path_, mapping_at, read_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.values import IN_WORDS, Config
from watchword.encoding.phrases import nearest

_Section = TypeVar("_Section", bound=Config)

SECTIONS: Final = frozenset(
    {
        *(
            "version",
            "environment",
            "service",
            "trust",
            "records",
            "gates",
            "policy",
            "plan",
            "drill",
        ),
        *("pins", "secrets", "apps", "apis"),
    }
)
"""Keys that a file may have: those of its model, which reading one section doesn't build."""

_UNION_TAGS = {"ios", "android"}
_STATE: Final = ".watchword"


class Configuration:
    """Hold a file that was read and parsed once; each view validates its sections, or tells all of their faults.

    :ivar data: its plain values by section; empty where it is no mapping.
    :ivar base: the directory from which it names files, absolute.
    """

    def __init__(self, file: Path, document: Document) -> None:
        """Look at what was read of a file."""
        self.file = file
        self.document = document
        self.data: dict[str, Any] = document.data if isinstance(document.data, dict) else {}
        self.base = file.resolve().parent

    @classmethod
    def read(cls, file: Path, **expected: str) -> "Configuration":
        """Read a file.

        :param expected: what :func:`read_document` is to say of a file that is ``missing``.
        :raises ConfigurationError: when it can't be read, or isn't YAML at all.
        """
        return cls(file, read_document(file, **expected))

    @classmethod
    def if_readable(cls, file: Path) -> "Configuration | None":
        """Read a file, None where that can't be done or it isn't YAML at all."""
        try:
            return cls.read(file)
        except ConfigurationError:
            return None

    def section(
        self, model: type[_Section], name: str, told: set[str]
    ) -> tuple[_Section | None, list[Fault]]:
        """Return a section by itself, or its faults of shape and value.

        :param told: paths that have a fault already.
        """
        found, errors = self.validated(model, self.data[name])
        return found, self.untold(errors, told, (name,))

    def validated(
        self, model: type[_Section], data: Any
    ) -> tuple[_Section | None, list[ErrorDetails]]:
        """Return what a model makes of plain values, or pydantic's errors."""
        try:
            return model.model_validate(data, context=self.base), []
        except ValidationError as error:
            return None, error.errors(include_url=False)

    def untold(
        self, errors: Sequence[ErrorDetails], told: set[str], prefix: Path_ = ()
    ) -> list[Fault]:
        """Return pydantic's errors as faults.

        :param told: paths that have a fault already.
        :param prefix: where the section stands in the file.
        """
        found: dict[str, Fault] = {}
        for each in errors:
            fault = _fault(self.document, each, (*prefix, *each["loc"]))
            before = found.setdefault(fault.path, fault)
            if before.expected != fault.expected:
                # A value that may be of several types fits none of them.
                found[fault.path] = replace(
                    before, expected=f"{before.expected}, or {fault.expected}"
                )
        return [fault for fault in found.values() if fault.path not in told]

    @property
    def apps(self) -> tuple[str, ...]:
        """Return the names of the apps, none where they can't be read."""
        return tuple(mapping_at(self.data, "apps"))

    @property
    def state(self) -> Path:
        """Return where the service keeps its state, or where it'd be by default."""
        return self.place("service", "state", _STATE)

    def place(self, section: str, key: str, default: str) -> Path:
        """Return the directory that a section names which nobody has checked."""
        named = mapping_at(self.data, section).get(key)
        return (self.base / (named if isinstance(named, str) else default)).resolve()


def _fault(document: Document, details: ErrorDetails, location: Path_) -> Fault:
    """Turn one of pydantic's errors into a fault with a line, got and expected."""
    path = _plain_path(document.data, location)
    line = document.line(path)
    kind = details["type"]
    context = details.get("ctx", {})
    got, expected = shown(details["input"]), details["msg"].lower()
    if kind == "missing":
        got, expected = "nothing", "a value; this key is required"
    elif kind == "extra_forbidden":
        got, expected = "an unknown key", known_keys(location)
    elif kind in {"literal_error", "union_tag_invalid"}:
        wanted = context.get("expected") or context.get("expected_tags")
        # Of a single one the wording would make a choice.
        expected = f"one of {wanted}" if re.search(r", | or ", str(wanted)) else str(wanted)
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
        expected = _bounds(location, context)
    elif kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        expected = IN_WORDS.get(pattern, f"text that fits {pattern}")
    elif kind == "expected":
        # An address may hold a password, and faults stand in logs too.
        got, expected = re.sub(r"//[^/]*@", "//...@", got), str(context.get("expected"))
    elif kind in {"model_type", "dict_type", "list_type", "model_attributes_type"}:
        expected = "a list" if kind == "list_type" else _mapping(kind, location)
    elif kind.endswith("_type"):
        expected = details["msg"].removeprefix("Input should be ")
    return Fault(join(path), line, got, _with_nearest(details["input"], expected))


def _mapping(kind: str, location: Path_) -> str:
    """Ask for a mapping, and of a section for the keys that it can't be without."""
    fields = _model_at(location).model_fields if kind.startswith("model") else {}
    required = ", ".join(name for name, field in fields.items() if field.is_required())
    return f"a mapping with {required}" if required else "a mapping"


def _with_nearest(got: Any, expected: str) -> str:
    """Put the word that a typo most likely means before the words that may stand there."""
    if not isinstance(got, str) or not expected.startswith("one of "):
        return expected
    near = nearest(got, re.findall("'([^']*)'", expected))
    return expected if near is None else f"{near!r}? O{expected[1:]}"


def _plain_path(data: Any, location: Path_) -> tuple[str | int, ...]:
    """Return pydantic's location without the parts that don't stand in the file."""
    path: list[str | int] = []
    for part in location:
        if part == "[key]":
            continue
        if part in _UNION_TAGS and isinstance(data, dict) and part not in data:
            continue
        if path and (not isinstance(data, dict | list) or str(part).startswith("constrained-")):
            # What follows names which of several types was tried.
            break
        path.append(part)
        if isinstance(data, dict):
            data = data.get(part) if isinstance(part, str) else None
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return tuple(path)


def known_keys(location: Path_) -> str:
    """Name the keys that are known where an unknown one stands, the nearest first."""
    known = list(_model_at(location[:-1]).model_fields)
    if len(location) == 1 and location[0] in _model_at(("apis", "")).model_fields:
        return f"{location[0]} under apis.NAME; here one of {', '.join(known)}"
    near = nearest(str(location[-1]), known)
    hint = "one of " if near is None else f"{near!r}? Known keys: "
    return hint + ", ".join(known)


def _bounds(location: Path_, context: Mapping[str, Any]) -> str:
    """Say from where to where a number may go; of one in a list, only the end that it went beyond.

    :param context: of pydantic's error.
    """
    if not isinstance(location[-1], str) or isinstance(location[-2], int):
        return f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
    field = _model_at(location[:-1]).model_fields[location[-1]]
    least, most = (
        next(getattr(each, name) for each in field.metadata if hasattr(each, name))
        for name in ("ge", "le")
    )
    return f"{least} to {most}"


def _model_at(location: Path_) -> type[Config]:
    """Return the model of a section; pydantic's location names the union's tag too."""
    # Whoever reads one section builds the models of the others only to say what is wrong with it.
    from watchword.apps.settings.schema import FileConfig  # noqa: PLC0415

    found: list[Any] = [FileConfig]
    for part in location:
        found = [inner for each in found for inner in _inside(each, part)]
    model = found[0]
    assert isinstance(model, type)
    assert issubclass(model, Config)
    return model


def _inside(outer: Any, part: int | str) -> Iterator[Any]:
    """Yield what may stand at one part of a location inside a type, each type by itself."""
    if get_origin(outer) in {dict, list}:
        yield from _alternatives(get_args(outer)[-1])
    elif isinstance(outer, type) and issubclass(outer, Config):
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
