"""Read one section of ``watchword.yaml``: kinds of values, rows of a route table, and each fault with line, got and expected."""

import ipaddress
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from watchword.extras import needs

with needs("config"):
    from pydantic import (
        AfterValidator,
        BaseModel,
        ConfigDict,
        Field,
        GetCoreSchemaHandler,
        ValidationError,
        ValidationInfo,
    )
    from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from watchword.apps.settings.document import Document, Path_, mapping_at, read_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.encoding import phrases
from watchword.encoding.phrases import nearest
from watchword.gate.interface import Limit, LimitKind, Rate, Rollout, Route
from watchword.vocabulary import Level, Mode, Proof

MAX_PORT: Final = 65535

_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"

_METHOD: Final = r"^[A-Z]{1,16}$"

TEAM: Final = r"^[A-Z0-9]{10}$"

PATH: Final = r"^/[!-~]{0,2000}$"

_NUMBERS: Final = r"^[0-9]+(\.[0-9]+){0,3}$"

TECHNIQUE: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

IN_WORDS: Final = {
    TECHNIQUE: "a technique's id, such as MT-B03: `watchword plan catalogue` lists them",
    _NAME: "lower-case letters a to z, digits and dashes, at most 63, and no dash first",
    _METHOD: "a method in capitals, such as GET or POST",
    TEAM: "ten capitals and digits, as Apple gives them out, such as ABCDE12345",
    PATH: "a path as it is sent, such as /v1/records?page=2",
    _NUMBERS: "one to four numbers with dots between them, such as 4.2.0",
}
"""What a pattern asks for, by the pattern, where a person has to meet it."""

_ADDRESS = re.compile(r"(?:([0-9A-Za-z.-]+)|\[([0-9A-Fa-f:.]+)\]):([1-9][0-9]{0,4})")

_ORIGIN = re.compile(r"https?://(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::([1-9][0-9]{0,4}))?")

_LABEL = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")

_URL = re.compile(r"(https?://[^/?#]+)(?:[/?][!-\"$-~]{0,300})?")


@dataclass(frozen=True, slots=True)
class Address:
    """Hold where something listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        """Render as ``host:port``, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def expected(text: str) -> PydanticCustomError:
    """Return the fault of a value that isn't what was expected."""
    return PydanticCustomError("expected", "{expected}", {"expected": text})


def seconds(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``1h`` or ``30d``."""
    try:
        return phrases.seconds(text)
    except ValueError as error:
        raise expected(str(error)) from None


def _spell(text: str) -> str:
    """Accept a duration, for people to read."""
    seconds(text)
    return text


def address(text: str) -> Address:
    """Return the address of ``host:port``; IPv6 addresses stand in brackets."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > MAX_PORT:
        raise expected("host:port, such as 127.0.0.1:8080 or [::1]:8080")
    host = found[1] or found[2]
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise expected("an IP address or localhost, then :port") from None
    return Address(host, int(found[3]))


def within(least: str, most: str) -> AfterValidator:
    """Accept durations between two others, both included."""
    allowed = range(seconds(least), seconds(most) + 1)

    def check(value: int) -> int:
        if value not in allowed:
            raise expected(f"a duration from {least} to {most}")
        return value

    return AfterValidator(check)


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found[3] or 1) > MAX_PORT:
        return False
    name, bracketed = found[1], found[2]
    try:
        if bracketed is not None:
            ipaddress.IPv6Address(bracketed)
        elif re.fullmatch(r"[0-9.]+", name):
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return name is None or all(map(_LABEL.fullmatch, name.removesuffix(".").split(".")))


def _origin(text: str) -> str:
    """Accept ``http(s)://host[:port]`` and nothing behind it."""
    if not _is_origin(text):
        raise expected("an origin such as http://127.0.0.1:9000, without path or user")
    return text


def _url(text: str) -> str:
    """Accept what can be fetched: an origin, and a path and a query behind it."""
    found = _URL.fullmatch(text)
    if found is None or not _is_origin(found[1]):
        raise expected("a URL such as https://host/path, without user or fragment")
    return text


def _path(text: str) -> str:
    if text.startswith("~") or "\0" in text:
        # A directory named ~ would be made, and nobody would look for the keys in it.
        raise expected("a path, from this file or absolute; ~ isn't expanded")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text.replace(":", "").lower()):
        raise expected("a SHA-256 digest: 64 hex digits, colons allowed")
    return text


def _pattern(text: str) -> str:
    """Accept ``/literal/*/segments`` with an optional last ``**``."""
    segments = text.split("/")[1:]
    rest = segments[:-1] if segments and segments[-1] == "**" else segments
    plain = all(re.fullmatch(r"\*|[A-Za-z0-9._~!$&'()+,=:@-]+", part) for part in rest if part)
    dots = any(part in {".", ".."} for part in rest)
    empty = any(part == "" for part in (rest if rest is not segments else segments[:-1]))
    if not text.startswith("/") or not plain or dots or empty:
        raise expected("a path such as /v1/records/*, with * for one segment and a last ** for any")
    return text


def _reason(text: str) -> str:
    if not text.strip():
        raise expected("a reason in words")
    return text


def _place(text: str, info: ValidationInfo) -> Path:
    """Return where a path leads from the file's directory, the validation's context."""
    # Unlike Path.resolve, this doesn't raise where links go round in a circle.
    return Path(os.path.realpath((info.context or Path()) / text))


@dataclass(frozen=True, slots=True)
class ReadText:
    """Read a text into another kind of value; an editor's schema and the faults are the text's."""

    read: Callable[..., Any]
    written: Any = str

    def __get_pydantic_core_schema__(
        self, _source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        text = handler.generate_schema(self.written)
        if self.read is _place:
            return core_schema.with_info_after_validator_function(self.read, text)
        return core_schema.no_info_after_validator_function(self.read, text)


class Words:
    """Read one of some words into its member of an enumeration; all of its words if none are named."""

    def __init__(self, kind: type[StrEnum], *words: StrEnum) -> None:
        self._kind, self._words = kind, [each.value for each in words or kind]

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        words = core_schema.literal_schema(self._words)
        return core_schema.no_info_after_validator_function(self._kind, words)


def default(written: Any, says: str | None = None, **bounds: Any) -> Any:
    """Return a field that may be left out.

    :param written: what stands for it then, in the form of the file.
    :param says: what it's for.
    """
    # What is no text stands for itself.
    read = isinstance(written, str)
    return Field(default=written, description=says, validate_default=read, **bounds)


Name: TypeAlias = Annotated[str, Field(pattern=_NAME)]
Spell: TypeAlias = Annotated[str, AfterValidator(_spell)]
Duration: TypeAlias = Annotated[int, ReadText(seconds)]
ListenAddress: TypeAlias = Annotated[Address, ReadText(address)]
Origin: TypeAlias = Annotated[str, AfterValidator(_origin)]
Url: TypeAlias = Annotated[str, AfterValidator(_url)]
Digest: TypeAlias = Annotated[str, AfterValidator(_digest)]
FileName: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_path)]
FilePath: TypeAlias = Annotated[Path, ReadText(_place, FileName)]
Pattern: TypeAlias = Annotated[str, AfterValidator(_pattern)]
AppLevel: TypeAlias = Annotated[Level, Words(Level, Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE)]
AppVersion: TypeAlias = Annotated[str, Field(pattern=_NUMBERS)]
AppVersions: TypeAlias = dict[Name, AppVersion]
Method: TypeAlias = Annotated[str, Field(pattern=_METHOD)]
Because: TypeAlias = Annotated[str, Field(max_length=1000), AfterValidator(_reason)]
Technique: TypeAlias = Annotated[str, Field(pattern=TECHNIQUE)]


class Config(BaseModel):
    """Refuse unknown keys and silent conversions (``port: "80"`` isn't a number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class RateConfig(Config):
    """Say how many requests one instance may send."""

    requests: int = Field(ge=1, le=1_000_000)
    per: Annotated[Duration, within("1s", "1h")] = default("1m")

    def build(self) -> Rate:
        """Return the rate."""
        return Rate(self.requests, self.per)


class CanaryConfig(Config):
    """Say for whom a route in mode ``canary`` enforces, and when it takes that back."""

    share: int = Field(ge=1, le=100, description="percent of the instances")
    from_versions: AppVersions = default({}, "by app: the lowest version that takes part")
    budget: float = default(2.0, "percent of instances refused before it narrows", gt=0, le=100)

    def build(self) -> Rollout:
        """Return the canary of a route."""
        return Rollout(self.share, dict(self.from_versions), self.budget)


class RouteConfig(Config):
    """Describe one route; the first that matches a request decides."""

    path: Pattern
    methods: list[Method] | None = default(None, "all methods if left out", min_length=1)
    level: AppLevel = default("hardware", "the least level an instance must have")
    proof: Annotated[Proof, Words(Proof)] = default("bearer", "what ties a request to the instance")
    mode: Annotated[Mode, Words(Mode)] = default(
        "enforce", "off: no check; monitor: count refusals, let pass; enforce: refuse"
    )
    canary: CanaryConfig | None = default(None, "for whom it enforces; with mode canary")
    dpop: bool = default(False, "proof device: take DPoP too, which covers neither query nor body")
    max_body: int = default(
        1024 * 1024, "most bytes that a proof covers", ge=1, le=64 * 1024 * 1024
    )
    minimum_versions: AppVersions = default({}, "by app: the lowest version that is let in")
    secret: Name | None = default(
        None, "key of secrets.keys that the gate adds; goes to that key's origin"
    )

    def build(self, api: str, index: int) -> Route:
        """Return the row of an API's route table."""
        return Route(
            name=f"{api}[{index}] {self.path}",
            pattern=self.path,
            methods=frozenset(self.methods or ()),
            level=self.level,
            proof=self.proof,
            mode=self.mode,
            dpop=self.dpop,
            max_body=self.max_body,
            minimum_versions=dict(self.minimum_versions),
            canary=None if self.canary is None else self.canary.build(),
            secret=self.secret,
        )


class LimitConfig(Config):
    """Say how many requests one instance may send on some routes, or with some versions of an app."""

    name: Name
    kind: Annotated[LimitKind, Words(LimitKind)] = default(
        "rate", "rate: refilled evenly; quota: so many in each window, from 0:00 UTC on"
    )
    requests: int = Field(ge=1, le=1_000_000_000)
    per: Annotated[Duration, within("1s", "31d")] = default("1m")
    routes: list[Pattern] | None = default(
        None, "paths of routes that count together; left out: all", min_length=1
    )
    below: AppVersions = default({}, "by app: holds below this version alone")
    mode: Literal["monitor", "enforce"] = default("enforce", "monitor: count and report, let pass")

    def build(self, routes: Iterable[Route]) -> Limit:
        """Return the limit; paths of routes become the routes that have them."""
        return Limit(
            name=self.name,
            kind=self.kind,
            requests=self.requests,
            seconds=self.per,
            routes=frozenset(each.name for each in routes if each.pattern in (self.routes or ())),
            below=dict(self.below),
            enforced=self.mode == "enforce",
        )


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
        return found, self.untold(errors, told, model, (name,))

    def validated(
        self, model: type[_Section], data: Any
    ) -> tuple[_Section | None, list[ErrorDetails]]:
        """Return what a model makes of plain values, or pydantic's errors."""
        try:
            return model.model_validate(data, context=self.base), []
        except ValidationError as error:
            return None, error.errors(include_url=False)

    def untold(
        self,
        errors: Sequence[ErrorDetails],
        told: set[str],
        model: type[Config],
        prefix: Path_ = (),
    ) -> list[Fault]:
        """Return pydantic's errors as faults.

        :param told: paths that have a fault already.
        :param model: of the section, or of the whole file.
        :param prefix: where the section stands in the file.
        """
        found: dict[str, Fault] = {}
        for each in errors:
            fault = _fault(self.document, each, model, prefix)
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


def _fault(document: Document, details: ErrorDetails, model: type[Config], prefix: Path_) -> Fault:
    """Turn one of pydantic's errors into a fault with a line, got and expected."""
    location = details["loc"]
    path = _plain_path(document.data, (*prefix, *location))
    line = document.line(path)
    kind = details["type"]
    context = details.get("ctx", {})
    got, expected = shown(details["input"]), details["msg"].lower()
    if kind == "missing":
        got, expected = "nothing", "a value; this key is required"
    elif kind == "extra_forbidden":
        got, expected = "an unknown key", known_keys(model, location)
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
        expected = _bounds(model, location, context)
    elif kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        expected = IN_WORDS.get(pattern, f"text that fits {pattern}")
    elif kind == "expected":
        # An address may hold a password, and faults stand in logs too.
        got, expected = re.sub(r"//.*@", "//...@", got), str(context.get("expected"))
    elif kind in {"model_type", "dict_type", "list_type", "model_attributes_type"}:
        expected = "a list" if kind == "list_type" else _mapping(model, kind, location)
    elif kind.endswith("_type"):
        expected = details["msg"].removeprefix("Input should be ")
    return Fault(join(path), line, got, _with_nearest(details["input"], expected))


def _mapping(model: type[Config], kind: str, location: Path_) -> str:
    """Ask for a mapping, and of a section for the keys that it can't be without."""
    fields = _model_at(model, location).model_fields if kind.startswith("model") else {}
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


def known_keys(model: type[Config], location: Path_) -> str:
    """Name the keys that are known where an unknown one stands, the nearest first.

    :param model: of a section, or of the whole file.
    :param location: of the key, from there.
    """
    known = list(_model_at(model, location[:-1]).model_fields)
    if location[:-1] == () and "apis" in known and location[0] in _of_an_api(model):
        return f"{location[0]} under apis.NAME; here one of {', '.join(known)}"
    near = nearest(str(location[-1]), known)
    hint = "one of " if near is None else f"{near!r}? Known keys: "
    return hint + ", ".join(known)


def _of_an_api(file: type[Config]) -> Collection[str]:
    return _model_at(file, ("apis", "")).model_fields


def _bounds(model: type[Config], location: Path_, context: Mapping[str, Any]) -> str:
    """Say from where to where a number may go; of one in a list, only the end that it went beyond.

    :param context: of pydantic's error.
    """
    if not isinstance(location[-1], str) or isinstance((None, *location)[-2], int):
        return f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
    field = _model_at(model, location[:-1]).model_fields[location[-1]]
    least, most = (
        next(getattr(each, name) for each in field.metadata if hasattr(each, name))
        for name in ("ge", "le")
    )
    return f"{least} to {most}"


def _model_at(model: type[Config], location: Path_) -> type[Config]:
    """Return the model of what stands at a location within another; pydantic's names the union's tag too."""
    found: list[Any] = [model]
    for part in location:
        found = [each for outer in found for each in _inside(outer, part)]
    inner = found[0]
    assert isinstance(inner, type)
    assert issubclass(inner, Config)
    return inner


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
