"""Read a description that was parsed already: OpenAPI 3.0 to 3.2, or Swagger 2.

Whatever it holds, nothing is raised: what can't be read is noted as missed.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from watchword.scan.api.access import read_access, read_schemes
from watchword.scan.api.description import (
    Aspect,
    Description,
    Field,
    Operation,
    Parameter,
    Scheme,
)
from watchword.scan.api.fields import Fields
from watchword.scan.api.paths import MAX_PATH, literals, path_words, segments_of
from watchword.scan.api.references import Source, first, listed, mapping, text, types_of
from watchword.scan.api.servers import Servers
from watchword.scan.api.words import Kind, is_url, plain, shown, with_pairs, words_of

MAX_OPERATIONS: Final = 10_000
"""How many operations are read."""

_MAX_PARAMETERS: Final = 100
_MAX_ANSWERS: Final = 40
_MAX_TEXT: Final = 2_000
_MAX_EXAMPLES: Final = 5
_METHODS: Final = ("get", "query", "head", "post", "put", "patch", "delete", "options", "trace")
_SHARED: Final = ("parameters", "servers", "additionalOperations")
_OPENAPI: Final = re.compile(r"3\.[0-2](?:\.[0-9]+)?(?:-.*)?")
_TEMPLATED: Final = re.compile(r"\{([^{}/]*)\}")
_LIMITS: Final = re.compile(
    r"rate.?limit|too many|lock(?:ed|s|out)\b|captcha|throttl|retry-after", re.IGNORECASE
)


def read(document: object, name: str) -> Description:
    """Read a description.

    :param name: of its file.
    :returns: one with a ``fault`` where it's none that can be read; never raises on what plain values a document holds.
    """
    fault = _fault(document)
    if fault or not isinstance(document, Mapping):
        return Description(shown(name), fault or "it isn't a mapping")
    reader = _Reader(Source(document))
    operations = tuple(reader.operations())
    return Description(
        name=shown(name),
        operations=operations,
        total=reader.total,
        schemes=tuple(reader.schemes.values()),
        servers=reader.servers.found,
        missed=reader.source.missed(),
        secured=any(not each.access.open for each in operations),
    )


def _fault(document: object) -> str:
    """Return why a document is no description of an API of a version that is read; empty if it is one."""
    if not isinstance(document, Mapping):
        return "it isn't a mapping, but an OpenAPI 3 or Swagger 2 document is"
    key = next((each for each in ("openapi", "swagger") if each in document), None)
    if key is None:
        return "it has neither openapi nor swagger: not a description of an API"
    got = document[key]
    # YAML without quotes makes a number of it.
    version = plain(got)
    if not (_OPENAPI.fullmatch(version) if key == "openapi" else version in {"2.0", "2"}):
        wanted = "3.0 to 3.2" if key == "openapi" else "2.0"
        return f"its version of {key} is {shown(version, 20) or 'no text'!r}, and {wanted} is read"
    if not isinstance(document.get("paths"), Mapping):
        return "it has no mapping of paths"
    return ""


class _Reader:
    """Read the operations of one document."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.total = 0
        self.schemes: Mapping[str, Scheme] = read_schemes(source)
        self.servers = Servers(source)
        self._fields = Fields(source)

    def operations(self) -> Iterator[Operation]:
        """Yield the operations, in the order of the description; those of paths beyond the bound are counted."""
        for key, given in self.source.document["paths"].items():
            path = plain(key)
            if path.startswith("x-"):
                continue
            item = self._item(given)
            if not isinstance(item, Mapping):
                self.source.miss(Aspect.OPERATIONS, path, "a path without operations")
                continue
            if len(path) > MAX_PATH:
                self.source.miss(Aspect.OPERATIONS, path, "a path that is too long")
                continue
            self.servers.add(item.get("servers"), path)
            if self.total >= MAX_OPERATIONS:
                # Counted and no more: a description of half a million would take longer than the whole scan may.
                self.total += sum(method in item for method in _METHODS)
                continue
            for method, operation in self._methods(item, path):
                self.total += 1
                yield self._operation(method, path, item, operation)

        if self.total > MAX_OPERATIONS:
            why = f"operations beyond {MAX_OPERATIONS:,}"
            self.source.miss(Aspect.OPERATIONS, "the rest", why)

    def _item(self, given: Any) -> Any:
        """Return the item of a path; what stands beside a reference counts too."""
        item = self.source.resolve(given, Aspect.OPERATIONS)
        if item is given or not isinstance(item, Mapping | None):
            return item
        beside = {key: given[key] for key in (*_METHODS, *_SHARED) if key in given}
        return {**item, **beside} if item is not None else beside or None

    def _methods(
        self, item: Mapping[Any, Any], path: str
    ) -> Iterator[tuple[str, Mapping[Any, Any]]]:
        given = [(each, item[each]) for each in _METHODS if each in item]
        # OpenAPI 3.2 puts methods of one's own there.
        given += [
            (plain(k), v) for k, v in first(item.get("additionalOperations"), _MAX_PARAMETERS)
        ]
        for method, operation in given:
            found = self.source.resolve(operation, Aspect.OPERATIONS)
            if isinstance(found, Mapping):
                yield shown(method, 20).upper(), found
            else:
                self.source.miss(Aspect.OPERATIONS, f"{method} {path}", "it isn't a mapping")

    def _operation(
        self, method: str, path: str, item: Mapping[Any, Any], given: Mapping[Any, Any]
    ) -> Operation:
        name = f"{method} {shown(path)}"
        self.servers.add(given.get("servers"), name)
        raw = list(self._parameters(item, given, name))
        parameters = tuple(self._parameter(each) for each in raw if each.get("in") != "body")
        self._undescribed(path, parameters, name)
        answers = [
            (plain(code), mapping(self.source.resolve(answer, Aspect.ANSWERS)))
            for code, answer in first(given.get("responses"), _MAX_ANSWERS)
        ]
        segments = segments_of(path)
        last = tuple(literals(segments))[-1:]
        about = f"{text(given.get('summary'))}\n{text(given.get('description'))}"[:_MAX_TEXT]
        return Operation(
            name=name,
            method=method,
            path=shown(path),
            segments=segments,
            words=with_pairs(path_words(segments)),
            last=with_pairs(path_words(last)),
            about=with_pairs(
                tuple(w for t in listed(given.get("tags"))[:20] for w in words_of(plain(t)))
            ),
            text=about,
            identifier=text(given.get("operationId"))[:_MAX_TEXT],
            deprecated=given.get("deprecated") is True,
            access=read_access(given, parameters, self.schemes, self.source, name),
            parameters=parameters,
            asked=self._asked(raw, given, name),
            answered=self._answered(answers, name),
            refuses=any(code in {"401", "403"} for code, _ in answers),
            limits_told=_limits(answers, about),
            calls_back=tuple(self._callbacks(given)),
        )

    def _parameters(
        self, item: Mapping[Any, Any], given: Mapping[Any, Any], name: str
    ) -> Iterator[Mapping[Any, Any]]:
        """Yield the parameters of an operation; those of its path count where it has none of that name itself."""
        found: dict[tuple[str, str], Mapping[Any, Any]] = {}
        for each in (*listed(item.get("parameters")), *listed(given.get("parameters"))):
            if len(found) >= _MAX_PARAMETERS:
                self.source.miss(Aspect.PARAMETERS, name, f"parameters beyond {_MAX_PARAMETERS}")
                break
            one = self.source.resolve(each, Aspect.PARAMETERS)
            if isinstance(one, Mapping) and isinstance(one.get("name"), str):
                found[one["name"], text(one.get("in"))] = one
            else:
                self.source.miss(Aspect.PARAMETERS, name, "a parameter that can't be read")
        yield from found.values()

    def _parameter(self, given: Mapping[Any, Any]) -> Parameter:
        """Read a parameter; OpenAPI 3 keeps its schema apart, in it or in its one medium."""
        media = next((mapping(each) for _, each in first(given.get("content"), 1)), {})
        schema = given
        for holder in (given, media):
            if "schema" in holder:
                schema = mapping(self.source.resolve(holder["schema"], Aspect.PARAMETERS))
        length = schema.get("maxLength")
        examples = [given.get("example"), media.get("example")]
        examples += [schema.get("example"), schema.get("default")]
        examples += listed(schema.get("examples"))[:_MAX_EXAMPLES]
        examples += [mapping(e).get("value") for _, e in first(given.get("examples"), 5)]
        return Parameter(
            name=shown(given["name"], 80),
            place=text(given.get("in")),
            types=types_of(schema),
            format=text(schema.get("format")),
            max_length=length if type(length) is int else None,
            pattern=text(schema.get("pattern"))[:_MAX_TEXT],
            examples=tuple(
                shown(each, 80)
                for each in examples
                if isinstance(each, str | int) and not isinstance(each, bool)
            ),
            limited="enum" in schema or "const" in schema,
        )

    def _undescribed(self, path: str, parameters: tuple[Parameter, ...], name: str) -> None:
        """Note the parameters in a path of which nothing is said."""
        told = {each.name for each in parameters if each.place == "path"}
        for each in _TEMPLATED.findall(path):
            if shown(each, 80) not in told:
                why = f"its parameter {shown(each, 60)!r} isn't described"
                self.source.miss(Aspect.PARAMETERS, name, why)

    def _asked(
        self, raw: list[Mapping[Any, Any]], given: Mapping[Any, Any], name: str
    ) -> tuple[Field, ...]:
        """Return the fields that a request takes in its body."""
        found: list[Field] = []
        for each in raw:
            if each.get("in") == "body":
                found += self._fields.of(each.get("schema"), Aspect.REQUESTS, name)
            elif each.get("in") == "formData":
                one = {"properties": {each["name"]: each}}
                found += self._fields.of(one, Aspect.REQUESTS, name)
        body = self.source.resolve(given.get("requestBody"), Aspect.REQUESTS)
        for kind, media in first(mapping(body).get("content"), _MAX_ANSWERS):
            said = mapping(self.source.resolve(media, Aspect.REQUESTS))
            found += self._fields.of(said.get("schema"), Aspect.REQUESTS, name)
            found += _addresses(said)
            if plain(kind).startswith(("application/octet-stream", "image/", "video/", "audio/")):
                found.append(Field(shown(kind, 60), frozenset({Kind.FILE})))
        return tuple(dict.fromkeys(found))

    def _answered(
        self, answers: list[tuple[str, Mapping[Any, Any]]], name: str
    ) -> tuple[Field, ...]:
        """Return the fields of what is answered when all is well."""
        good = [answer for code, answer in answers if code.startswith("2")]
        good = good or [answer for code, answer in answers if code == "default"]
        found: list[Field] = []
        for answer in good:
            if "schema" in answer:
                found += self._fields.of(answer["schema"], Aspect.ANSWERS, name)
            for _, media in first(answer.get("content"), _MAX_ANSWERS):
                said = mapping(self.source.resolve(media, Aspect.ANSWERS))
                found += self._fields.of(said.get("schema"), Aspect.ANSWERS, name)
        return tuple(dict.fromkeys(found))

    def _callbacks(self, given: Mapping[Any, Any]) -> Iterator[str]:
        """Yield the addresses out of the request that the API will call."""
        for _, each in first(given.get("callbacks"), 20):
            for expression, _ in first(self.source.resolve(each, Aspect.REQUESTS), 20):
                if "$request" in plain(expression):
                    yield shown(expression, 80)


def _addresses(media: Mapping[Any, Any]) -> Iterator[Field]:
    """Yield the fields whose value in the request's example is an address."""
    examples = [media.get("example")]
    examples += [mapping(e).get("value") for _, e in first(media.get("examples"), _MAX_EXAMPLES)]
    for example in examples:
        for name, value in first(example, _MAX_PARAMETERS):
            if is_url(value):
                yield Field(shown(name, 60), frozenset({Kind.ADDRESS}))


def _limits(answers: list[tuple[str, Mapping[Any, Any]]], about: str) -> bool:
    """Tell whether an operation says that it counts calls: by 429 or 423, a header, or in words."""
    if any(code in {"429", "423"} for code, _ in answers) or _LIMITS.search(about):
        return True
    headers = (plain(h) for _, answer in answers for h, _ in first(answer.get("headers"), 50))
    return any(_LIMITS.search(each[:100]) for each in headers)
