"""Read a description that was parsed already: OpenAPI 3.0 to 3.2, or Swagger 2.

Schemas refer to one another in circles.  Each is looked at once; what a request or an answer holds is then gathered over the
references, each followed once, so that it doesn't matter in which order operations come.

Whatever it holds, nothing is raised: what can't be read is noted as missed.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from watchword.scan.api.description import (
    Access,
    Aspect,
    Description,
    Field,
    Kind,
    Missed,
    Need,
    Operation,
    Parameter,
    Scheme,
    SchemeKind,
    Server,
    is_url,
    kinds_of,
    plain,
    several,
    shown,
    with_pairs,
    words_of,
)
from watchword.scan.api.paths import MAX_PATH, literals, path_words, segments_of

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


MAX_SERVERS: Final = 200
"""How many servers of one description are looked at, their variants counted."""

_MAX_URL: Final = 2_000
_MAX_VARIANTS: Final = 20
_VARIABLE: Final = re.compile(r"\{([^{}]{1,100})\}")
_URL: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]{0,20}):)?//([^/?#]*)([^?#]*)")


class Servers:
    """Collect the servers of one document."""

    def __init__(self, source: Source) -> None:
        """Read those of the whole description; those of single operations come by :meth:`add`."""
        self._source = source
        self._found: dict[Server, None] = {}
        document = source.document
        if "swagger" in document and "openapi" not in document:
            self._of_swagger(document)
        else:
            self.add(document.get("servers"), "servers")

    @property
    def found(self) -> tuple[Server, ...]:
        """Return them, each once, in the order of the description."""
        return tuple(self._found)

    def add(self, given: Any, where: str) -> None:
        """Read a list of servers."""
        if given is not None and not isinstance(given, list):
            self._source.miss(Aspect.SERVERS, where, "the servers aren't a list")
        for each in listed(given):
            if len(self._found) >= MAX_SERVERS or not self._source.spend():
                self._source.miss(Aspect.SERVERS, where, f"servers beyond {MAX_SERVERS}")
                return
            url = mapping(each).get("url")
            if not isinstance(url, str):
                self._source.miss(Aspect.SERVERS, where, "a server without a URL")
                continue
            for variant in _variants(url[:_MAX_URL], mapping(each.get("variables"))):
                self._keep(variant, where)

    def _of_swagger(self, document: Mapping[Any, Any]) -> None:
        host, base = text(document.get("host")), text(document.get("basePath"))
        schemes = [each for each in listed(document.get("schemes")) if isinstance(each, str)]
        if not host:
            if base:
                self._keep(base, "basePath")
            return
        for scheme in schemes[:5] or [""]:
            self._keep(f"{scheme}:" * bool(scheme) + f"//{host}{base}", "host")

    def _keep(self, url: str, where: str) -> None:
        match = _URL.match(url)
        if match is None:
            self._found[Server(shown(url), "", "", segments_of(url))] = None
            return
        authority = match[2].rpartition("@")[2]
        host = authority if authority.startswith("[") else authority.partition(":")[0]
        host = host.partition("]")[0] + "]" if host.startswith("[") else host
        if "{" in host or not host:
            self._source.miss(Aspect.SERVERS, where, f"the host of {shown(url, 80)} isn't told")
            return
        scheme = (match[1] or "").lower()
        clean = f"{scheme}:" * bool(scheme) + f"//{authority}{match[3]}"
        host = host.lower().rstrip(".")
        self._found[Server(shown(clean), scheme, shown(host), segments_of(match[3]))] = None


def _variants(url: str, variables: Mapping[Any, Any]) -> Iterator[str]:
    """Yield a URL with its variables at their defaults, and with each other value of one of them."""
    names = list(dict.fromkeys(_VARIABLE.findall(url)))[:_MAX_VARIANTS]
    values: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for name in names:
        said = mapping(variables.get(name))
        allowed = [plain(each) for each in listed(said.get("enum"))[:_MAX_VARIANTS]]
        default = said.get("default")
        if isinstance(default, str | int | float):
            values[name] = plain(default)
        elif allowed:
            values[name] = allowed[0]
        others += [(name, each) for each in allowed if each != values.get(name)]
    yield _filled(url, values)
    for name, each in others[:_MAX_VARIANTS]:
        yield _filled(url, {**values, name: each})


def _filled(url: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match[1], match[0]), url)[:_MAX_URL]


MAX_SCHEMES: Final = 200
"""How many schemes of one description are looked at."""

_MAX_ALTERNATIVES: Final = 50
_MAX_SCOPES: Final = 200
_KEY: Final = several(
    "apikey clientid clientsecret clientkey appid appkey appsecret subscriptionkey accesskey authkey xkey functionkey"
)
_SESSION: Final = several("authorization auth session sessionid token jwt bearer")
_NO_CALLER: Final = several(
    "csrf xsrf device push fcm idempotency captcha recaptcha continuation page sync"
)
_HTTP: Final = {"basic": SchemeKind.BASIC, "bearer": SchemeKind.BEARER}
_FLOWS: Final = {"application": "clientCredentials", "accessCode": "authorizationCode"}
_PLAIN: Final = {
    "basic": SchemeKind.BASIC,
    "openIdConnect": SchemeKind.OAUTH,
    "mutualTLS": SchemeKind.CERTIFICATE,
}


def read_schemes(source: Source) -> dict[str, Scheme]:
    """Return the schemes that a description declares, by their names."""
    document = source.document
    declared = mapping(document.get("securityDefinitions")) or mapping(
        mapping(document.get("components")).get("securitySchemes")
    )
    found: dict[str, Scheme] = {}
    for name, given in declared.items():
        if len(found) >= MAX_SCHEMES:
            source.miss(Aspect.ACCESS, plain(name), f"security schemes beyond {MAX_SCHEMES}")
            break
        found[plain(name)] = _scheme(plain(name), mapping(source.resolve(given, Aspect.ACCESS)))
    return found


def read_access(
    operation: Mapping[Any, Any],
    parameters: tuple[Parameter, ...],
    schemes: Mapping[str, Scheme],
    source: Source,
    where: str,
) -> Access:
    """Return who may call an operation; by its own words, else by those for the whole description."""
    stated = "security" in operation
    given = operation["security"] if stated else source.document.get("security")
    if given is not None and not isinstance(given, list):
        source.miss(Aspect.ACCESS, where, "its security isn't a list")
        return Access(stated=stated, known=False)
    alternatives: list[tuple[Need, ...]] = []
    known = True
    if len(listed(given)) > _MAX_ALTERNATIVES:
        source.miss(Aspect.ACCESS, where, f"it has more than {_MAX_ALTERNATIVES} alternatives")
    for each in listed(given)[:_MAX_ALTERNATIVES]:
        if not isinstance(each, Mapping):
            source.miss(Aspect.ACCESS, where, "its security holds something else than a mapping")
            known = False
            continue
        alternatives.append(_needs(each, schemes, source, where))
    carried = _carried(parameters)
    if known and carried is not None and (not alternatives or () in alternatives):
        # OpenAPI 3 says that such a parameter means nothing; those who write one mean it.
        return Access(((Need(carried),),), stated, known)
    return Access(tuple(alternatives), stated, known)


def _needs(
    given: Mapping[Any, Any], schemes: Mapping[str, Scheme], source: Source, where: str
) -> tuple[Need, ...]:
    needs = []
    for name, scopes in first(given, _MAX_ALTERNATIVES):
        scheme = schemes.get(plain(name))
        if scheme is None or scheme.kind is SchemeKind.UNKNOWN:
            source.miss(Aspect.ACCESS, where, f"what {shown(name, 60)!r} asks for isn't described")
        told = tuple(shown(scope, 80) for scope in listed(scopes)[:_MAX_SCOPES])
        needs.append(Need(scheme or Scheme(shown(name, 60), SchemeKind.UNKNOWN), told))
    return tuple(needs)


def carrier_kind(name: str) -> SchemeKind:
    """Tell by the name of a header or parameter whether it says which client calls or which user."""
    words = with_pairs(words_of(name))
    if words & _NO_CALLER:
        return SchemeKind.UNKNOWN
    if words & _KEY:
        return SchemeKind.KEY
    return SchemeKind.SESSION if words & _SESSION else SchemeKind.UNKNOWN


def _carried(parameters: tuple[Parameter, ...]) -> Scheme | None:
    """Return the scheme that a parameter in a header amounts to."""
    for each in parameters:
        kind = carrier_kind(each.name)
        if each.place in {"header", "cookie"} and kind is not SchemeKind.UNKNOWN:
            return Scheme(each.name, kind, "parameter", each.name)
    return None


def _scheme(name: str, given: Mapping[Any, Any]) -> Scheme:
    shown_name = shown(name, 60)
    kind = text(given.get("type"))
    if kind in _PLAIN:
        urls: tuple[str, ...] = (
            (shown(given["openIdConnectUrl"]),) if text(given.get("openIdConnectUrl")) else ()
        )
        return Scheme(shown_name, _PLAIN[kind], urls=urls)
    if kind == "http":
        how = text(given.get("scheme")).lower()
        return Scheme(shown_name, _HTTP.get(how, SchemeKind.SESSION if how else SchemeKind.UNKNOWN))
    if kind == "apiKey":
        carrier, place = shown(given.get("name", ""), 80), text(given.get("in"))
        found = carrier_kind(carrier)
        if place == "cookie":
            found = SchemeKind.SESSION
        elif found is SchemeKind.UNKNOWN:
            # Its type says what it is where its name doesn't.
            found = SchemeKind.KEY
        return Scheme(shown_name, found, place, carrier)
    if kind == "oauth2":
        flow = text(given.get("flow"))
        flows = {_FLOWS.get(flow, flow): given} if flow else dict(first(given.get("flows"), 10))
        urls = tuple(
            shown(mapping(each)[key])
            for each in flows.values()
            for key in ("authorizationUrl", "tokenUrl", "refreshUrl")
            if text(mapping(each).get(key))
        )
        names = tuple(sorted(shown(each, 40) for each in flows))
        return Scheme(shown_name, SchemeKind.OAUTH, flows=names, urls=urls)
    return Scheme(shown_name, SchemeKind.UNKNOWN)


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
    fault = fault_of(document)
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


def fault_of(document: object) -> str:
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
