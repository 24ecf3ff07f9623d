"""Describe what several sections of ``watchword.yaml`` are made of: kinds of values, and rows of a route table."""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError, core_schema

from watchword.encoding import phrases
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
