"""Draft assets and routes from an OpenAPI 3 or Swagger 2 document that was parsed already.

Operations are grouped by the resource that their paths name, and words of paths, parameters and
properties say what an attacker may be after.  All of it is a guess for a person to correct.

Schemas refer to one another in circles and nest without end; names that were found once are kept, and
work is bounded for the whole document.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchword.plan.drafts import (
    DRAFT_IMPACT,
    MAX_API_ROUTES,
    MAX_ASSET_ROUTES,
    MAX_ASSETS,
    PUBLIC_IMPACT,
    SENSITIVE_IMPACT,
    Draft,
    DraftAsset,
    DraftRoute,
    Remarks,
    Where,
    counted,
    one_line,
    slug,
    speaking,
    unique_slug,
    words_of,
)
from watchword.plan.interface import Actor, AssetKind, Component, ModelFault, Trait

MAX_PATTERN: Final = 120
"""Most characters of a drafted pattern."""

ANY: Final = "*"
REST: Final = "**"

_LITERAL: Final = re.compile(r"[A-Za-z0-9._~!$&'()+,=:@-]+")
_MEANINGLESS: Final = re.compile(
    r"api|apis|rest|v[0-9]+(?:[._-][0-9a-z]+)*|[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?", re.IGNORECASE
)
_ORIGIN: Final = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.*-]*:)?//[^/?#]*")
_OWN: Final = frozenset({"me", "my", "self", "current"})
_STAFF: Final = frozenset({"admin", "internal", "ops"})
_PARTNER: Final = frozenset({"partner", "partners", "tpp", "psd2", "xs2a", "openbanking", "b2b"})
"""First segments below which other organisations' servers are served, hyphens left out."""

_PARAMETER: Final = re.compile(r"/\{([^{}/]*)\}(?=/|$)")
_NO_OBJECTS: Final = frozenset({"version", "lang", "language", "locale", "format"})
"""Parameters that name no object among many."""

_PROBES: Final = frozenset(
    [
        "health",
        "healthz",
        "live",
        "livez",
        "ready",
        "readyz",
        "ping",
        "status",
        "version",
        "heartbeat",
    ]
)

Segments = tuple[str, ...]


def pattern_segments(path: str) -> Segments | None:
    """Return the segments of a described path as a route table takes them.

    A segment with a parameter in it, or with what a pattern can't say, is ``*``.

    :returns: None for a path that no request can have: without a slash in front, with empty or dot
        segments, or too long.
    """
    path = re.split(r"[?#]", path, maxsplit=1)[0]
    if not path.startswith("/") or len(path) > 8 * MAX_PATTERN:
        return None
    parts = re.sub(r"\{[^{}]*\}", ANY, path[1:]).split("/")
    if parts[-1] == "":
        parts.pop()
    if any(part in {"", ".", ".."} for part in parts):
        return None
    segments = tuple(part if _LITERAL.fullmatch(part) else ANY for part in parts)
    return segments if len(pattern(segments)) <= MAX_PATTERN else None


def pattern(segments: Sequence[str]) -> str:
    """Return segments as one pattern."""
    return "/" + "/".join(segments)


def base_segments(url: Any) -> Segments:
    """Return the path in a server's URL as segments; nothing where there is none or it isn't one."""
    if not isinstance(url, str):
        return ()
    # A variable may hold slashes in its default; what can't be told is one unknown segment.
    text = re.sub(r"\{[^{}]*\}", ANY, url[: 8 * MAX_PATTERN])
    return pattern_segments(_ORIGIN.sub("", text)) or ()


def server_host(url: Any) -> str:
    """Return the host in a server's URL, in lower case and with its port; empty where it names none."""
    found = _ORIGIN.match(url[: 8 * MAX_PATTERN]) if isinstance(url, str) else None
    return found.group().partition("//")[2].lower() if found else ""


def meaningful(segments: Segments) -> list[int]:
    """Return the indexes of the segments that may name a resource."""
    return [
        index
        for index, segment in enumerate(segments)
        if segment != ANY and not _MEANINGLESS.fullmatch(segment)
    ]


def shared_segments(paths: Iterable[Segments]) -> int:
    """Return how many leading meaningful segments say nothing, since every path has them.

    The last meaningful one of each path never counts: it is what the path is about.
    """
    named = [[segments[i] for i in meaningful(segments)] for segments in paths]
    named = [names for names in named if names]
    if len(named) < 2:
        return 0
    first = named[0]
    count = 0
    while all(len(names) > count + 1 and names[count] == first[count] for names in named):
        count += 1
    # One resource with many subordinate ones is still one resource.
    heads = {names[count] for names in named}
    return count if len(heads) > 1 else 0


def resource(segments: Segments, shared: int) -> tuple[str, Segments]:
    """Return what a path is about, and the segments up to there.

    :param shared: see :func:`shared_segments`.
    :returns: an empty name where no segment says it; then all segments.
    """
    indexes = meaningful(segments)[shared:]
    if not indexes:
        return "", segments
    name, end = segments[indexes[0]], indexes[0]
    if name.lower() in _OWN and len(indexes) > 1:
        end = indexes[1]
        name = f"{name}-{segments[end]}"
    return name, segments[: end + 1]


def is_probe(segments: Segments, methods: Iterable[str]) -> bool:
    """Tell whether a path only says that the API is up: one telling segment, only read."""
    indexes = meaningful(segments)
    return (
        len(indexes) == 1
        and ANY not in segments
        and segments[indexes[0]].lower() in _PROBES
        and set(methods) <= {"GET", "HEAD", "OPTIONS"}
    )


def is_for_staff(segments: Segments) -> bool:
    """Tell whether a path is one for administrators or operators, whom the app doesn't serve."""
    return any(segment.lower() in _STAFF for segment in segments)


def below_partner(segments: Segments) -> int | None:
    """Return the index of the segment that says that partners call what lies below it; None where none does.

    ``/partners`` by itself is a list of shops as well: only what has a resource behind it counts.
    """
    indexes = meaningful(segments)
    if len(indexes) > 1 and segments[indexes[0]].lower().replace("-", "") in _PARTNER:
        return indexes[0]
    return None


def names_object(path: str) -> bool:
    """Tell whether a described path names one object among many: a whole segment is a parameter."""
    names = _PARAMETER.findall(path[: 8 * MAX_PATTERN])
    return any((words_of(name) or ("",))[-1] not in _NO_OBJECTS for name in names)


def route_order(path: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts patterns so that none stands behind one that takes its requests."""
    ranks = {ANY: 1, REST: 2}
    return tuple((ranks.get(segment, 0), segment) for segment in path.split("/")[1:])


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


MAX_OPERATIONS: Final = 10_000
"""Most operations that are read."""

_MAX_PARAMETERS: Final = 100
_MAX_ANSWERS: Final = 20
_METHODS: Final = ("get", "head", "options", "post", "put", "patch", "delete", "trace", "query")
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
_OPENAPI: Final = re.compile(r"3\.[0-2](?:\.[0-9]+)?(?:-.*)?")
_IN_THE_APP: Final = frozenset({Trait.LIVE_DATA, Trait.APP_LOGIC})
_NO_PARTNERS: Final = _IN_THE_APP | {Trait.THIRD_PARTY_KEY}
"""What is taken out of an app, which partners don't have."""

_OF_PARTNERS: Final = ("tpp-", "psu-", "x-fapi-")
"""How names of headers begin that other providers' servers send in a customer's name.

Read on 2026-11-29: https://github.com/bankfrick/psd2-docs (``source/includes/_PIS.md``, NextGenPSD2) and
https://openbanking.atlassian.net/wiki/spaces/DZ/pages/1077805207 (Open Banking UK).
"""

_MAX_REQUIREMENTS: Final = 20
_MUTUAL_TLS: Final = "mutualTLS"
"""Type of a security scheme from OpenAPI 3.1 on (https://spec.openapis.org/oas/v3.1.0#security-scheme-object)."""

_SERVICES: Final = frozenset({Trait.AVAILABILITY, Trait.INTERNAL_NETWORK, Trait.THIRD_PARTY_KEY})


@dataclass(frozen=True, slots=True)
class _Operation:
    """Hold one operation with the words of its names.

    :param base: the path of its server, which requests carry in front of its own.
    :param by_id: its path names one object among many.
    :param public: the document says that it asks for no credential.
    :param actors: who calls it: partners where a client certificate of mutual TLS is required, or by its path.
    """

    method: str
    path: str
    segments: Segments
    words: Mapping[Where, frozenset[str]]
    base: Segments = ()
    by_id: bool = False
    public: bool = False
    actors: frozenset[Actor] = frozenset({Actor.USER})

    @property
    def whole(self) -> Segments:
        """Return the segments that a request carries."""
        return (*self.base, *self.segments)

    @property
    def openly_read(self) -> bool:
        """Tell whether anybody may read it."""
        return self.public and self.method in _READS

    @property
    def for_partners(self) -> bool:
        """Tell whether partners alone call it."""
        return self.actors == {Actor.PARTNER}


@dataclass(slots=True)
class _Group:
    """Hold the operations on one resource, and the patterns that cover them.

    :param stems: by server's path and stem, whether some path is longer.
    """

    operations: list[_Operation] = field(default_factory=list)
    stems: dict[tuple[Segments, Segments], bool] = field(default_factory=dict)


def draft_from_openapi(document: Any) -> tuple[Draft, list[ModelFault]]:
    """Draft from a document.

    :returns: the draft and no fault, or an empty draft and at least one; never raises on what a
        document holds.
    """
    fault = _not_one(document)
    if fault is not None:
        return Draft(), [fault]
    remarks = Remarks()
    schemas = Schemas(document)
    base = _base(document, remarks)
    operations = list(_operations(document, base, schemas, remarks))
    if not operations:
        expected = "at least one path with a method such as get"
        return Draft(), [ModelFault(("paths",), "no operation that could be read", expected)]
    probes = _probe_paths(operations)
    rest = [each for each in operations if each.path not in probes]
    groups = _grouped(rest or operations)
    routes = tuple(_routes(groups, probes if rest else {}, remarks))
    kept = {route.path for route in routes}
    # A route that no row of the table decides on would be a fault.
    assets = tuple(
        replace(each, routes=tuple(path for path in each.routes if path in kept))
        for each in _assets(groups, remarks)
    )
    _remark_schemas(schemas, remarks)
    if isinstance(document.get("webhooks"), dict) and document["webhooks"]:
        remarks.leave_out(
            "webhooks: the API sends them, nobody calls them", len(document["webhooks"])
        )
    info = document.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    return (
        Draft(
            title=one_line(title) if isinstance(title, str) else "",
            read=(counted(len(operations), "operations"),),
            assets=assets,
            routes=routes,
            notes=tuple(remarks.notes),
            left_out=remarks.counted(),
        ),
        [],
    )


def _not_one(document: Any) -> ModelFault | None:
    """Return what shows that a document is no API description of a version that can be read."""
    if not isinstance(document, dict):
        return ModelFault((), "no mapping", "an OpenAPI 3 or Swagger 2 document")
    if "openapi" not in document and "swagger" not in document:
        expected = "openapi: 3.0 to 3.2, or swagger: 2.0"
        return ModelFault((), "a document without openapi or swagger", expected)
    key = "openapi" if "openapi" in document else "swagger"
    version = document[key]
    # YAML without quotes makes a number of it.
    text = str(version) if isinstance(version, str | float | int) else ""
    if key == "openapi" and not _OPENAPI.fullmatch(text):
        return ModelFault(
            (key,), _told(version), "a version from 3.0 to 3.2; 2.0 is written under swagger"
        )
    if key == "swagger" and text not in {"2.0", "2"}:
        return ModelFault((key,), _told(version), "version 2.0")
    if not isinstance(document.get("paths"), dict):
        return ModelFault(("paths",), _told(document.get("paths")), "a mapping of paths")
    return None


def _told(value: Any) -> str:
    """Return what was got, for a person."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(one_line(str(value), 60))


def _operations(
    document: dict[str, Any], base: Segments, schemas: Schemas, remarks: Remarks
) -> Iterator[_Operation]:
    """Yield the operations, in the order of the document."""
    count = 0
    mutual = _mutual_tls_schemes(document, schemas)
    for path, given in document["paths"].items():
        if str(path).startswith("x-"):
            continue
        item = schemas.resolve(given)
        if not isinstance(item, dict):
            remarks.leave_out("paths without operations")
            continue
        methods = [method for method in _METHODS if isinstance(item.get(method), dict)]
        segments = pattern_segments(str(path))
        if segments is None:
            remarks.leave_out("paths not fit for a gate, or too long")
            continue
        for method in methods:
            count += 1
            if count > MAX_OPERATIONS:
                remarks.leave_out(f"operations beyond the first {MAX_OPERATIONS}")
                continue
            own = _own_base((item[method], item), document, remarks)
            under = base if own is None else own
            by_name = below_partner((*under, *segments)) is not None or _sends_as_partner(
                item, item[method], schemas
            )
            security = item[method].get("security", document.get("security"))
            yield _Operation(
                method.upper(),
                one_line(str(path)),
                segments,
                _words(str(path), item, item[method], schemas),
                base=under,
                by_id=names_object(str(path)),
                public=isinstance(security, list) and not security,
                actors=frozenset({Actor.PARTNER}) if by_name else _actors(security, mutual),
            )


def _mutual_tls_schemes(document: dict[str, Any], schemas: Schemas) -> frozenset[str]:
    """Return the names of the security schemes that ask for a client certificate."""
    components = document.get("components")
    given = components.get("securitySchemes") if isinstance(components, dict) else None
    found = set()
    for name, scheme in list(given.items())[:_MAX_PARAMETERS] if isinstance(given, dict) else ():
        resolved = schemas.resolve(scheme)
        if isinstance(resolved, dict) and resolved.get("type") == _MUTUAL_TLS:
            found.add(str(name))
    return frozenset(found)


def _sends_as_partner(item: dict[str, Any], operation: dict[str, Any], schemas: Schemas) -> bool:
    """Tell whether an operation takes a header that only a partner's server sends."""
    given = (*_listed(item, "parameters"), *_listed(operation, "parameters"))
    return any(
        isinstance(parameter, dict)
        and parameter.get("in") == "header"
        and str(parameter.get("name", "")).lower().startswith(_OF_PARTNERS)
        for parameter in map(schemas.resolve, given)
    )


def _actors(given: Any, mutual: frozenset[str]) -> frozenset[Actor]:
    """Return who calls an operation: each of its security requirements is one way to be let in."""
    ways = given[:_MAX_REQUIREMENTS] if isinstance(given, list) else []
    asked = [isinstance(way, dict) and not mutual.isdisjoint(map(str, way)) for way in ways]
    found = {Actor.PARTNER} if any(asked) else set()
    # What can also be called without a certificate is called from phones too.
    return frozenset(found | (set() if asked and all(asked) else {Actor.USER}))


def _words(
    path: str, item: dict[str, Any], operation: dict[str, Any], schemas: Schemas
) -> Mapping[Where, frozenset[str]]:
    """Return the words of an operation's names, by where they stand."""
    names = re.sub(r"\{[^{}]*\}", "/", path).split("/")
    in_path = {word for name in names[:50] for word in words_of(name)}
    asked: set[str] = set()
    for given in (*_listed(item, "parameters"), *_listed(operation, "parameters")):
        parameter = schemas.resolve(given)
        if isinstance(parameter, dict) and parameter.get("in") != "header":
            asked.update(words_of(str(parameter.get("name", ""))))
            asked |= schemas.words(parameter.get("schema"))
    asked |= _content_words(schemas.resolve(operation.get("requestBody")), schemas)
    answered: set[str] = set()
    answers = operation.get("responses")
    for code, given in list(answers.items())[:_MAX_ANSWERS] if isinstance(answers, dict) else ():
        if str(code).startswith(("2", "d")):
            answered |= _content_words(schemas.resolve(given), schemas)
    return {
        Where.PATH: frozenset(in_path),
        Where.REQUEST: frozenset(asked),
        Where.RESPONSE: frozenset(answered),
    }


def _listed(holder: dict[str, Any], key: str) -> list[Any]:
    value = holder.get(key)
    return value[:_MAX_PARAMETERS] if isinstance(value, list) else []


def _content_words(holder: Any, schemas: Schemas) -> frozenset[str]:
    """Return the words of a body: by media type in OpenAPI 3, directly in Swagger 2."""
    if not isinstance(holder, dict):
        return frozenset()
    found = set(schemas.words(holder.get("schema")))
    content = holder.get("content")
    for media in list(content.values())[:_MAX_ANSWERS] if isinstance(content, dict) else ():
        if isinstance(media, dict):
            found |= schemas.words(media.get("schema"))
    return frozenset(found)


def _base(document: dict[str, Any], remarks: Remarks) -> Segments:
    """Return the path of the server, which requests carry in front of each path."""
    if "openapi" not in document:
        base = base_segments(document.get("basePath"))
    else:
        servers = document.get("servers")
        listed = servers if isinstance(servers, list) else []
        bases = [base_segments(each.get("url")) for each in listed if isinstance(each, dict)]
        base = bases[0] if bases else ()
        if len(set(bases)) > 1:
            remarks.note("the servers have different paths; that of the first is taken")
    if base:
        remarks.note(f"the server's path {pattern(base)} stands in front of each route")
    return base


def _own_base(
    holders: Iterable[dict[str, Any]], document: dict[str, Any], remarks: Remarks
) -> Segments | None:
    """Return the path of the server that an operation or its path names in place of the document's; None where neither does."""
    if "openapi" not in document:
        return None
    url = next((url for url in map(_first_server, holders) if url is not None), None)
    if url is None:
        return None
    host = server_host(url)
    if host and host != server_host(_first_server(document)):
        remarks.note(
            f"{one_line(host, 60)} serves some of the paths, and stands in the same API here: give it an API of "
            "its own, with its assets and routes"
        )
    return base_segments(url)


def _first_server(holder: dict[str, Any]) -> str | None:
    servers = holder.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else None
    url = first.get("url") if isinstance(first, dict) else None
    return url if isinstance(url, str) else None


def _probe_paths(operations: list[_Operation]) -> dict[str, Segments]:
    methods: dict[str, set[str]] = {}
    for each in operations:
        methods.setdefault(each.path, set()).add(each.method)
    return {
        each.path: each.whole for each in operations if is_probe(each.segments, methods[each.path])
    }


def _grouped(operations: list[_Operation]) -> dict[str, _Group]:
    """Return the operations by the resource that they are about, in the document's order."""
    shared = shared_segments({each.segments for each in operations})
    groups: dict[str, _Group] = {}
    for each in operations:
        name, stem = _resource(each, shared)
        group = groups.setdefault(slug(name, MAX_PATTERN) or "root", _Group())
        group.operations.append(each)
        deeper = len(each.segments) > len(stem)
        place = (each.base, stem)
        group.stems[place] = group.stems.get(place, False) or deeper
    return groups


def _resource(operation: _Operation, shared: int) -> tuple[str, Segments]:
    """Return what an operation is about; what partners alone call is an asset of its own."""
    if not operation.for_partners:
        return resource(operation.segments, shared)
    at = below_partner(operation.segments)
    if at is None:
        name, stem = resource(operation.segments, shared)
    else:
        name, rest = resource(operation.segments[at + 1 :], 0)
        stem = (*operation.segments[: at + 1], *rest)
    return f"partner-{name}", stem


def _patterns(group: _Group) -> list[str]:
    """Return the patterns that cover a group's paths, in a route table's order."""
    found = {
        pattern((*base, *stem, REST) if deeper else (*base, *stem))
        for (base, stem), deeper in group.stems.items()
    }
    return sorted(found, key=route_order)


def _assets(groups: dict[str, _Group], remarks: Remarks) -> Iterator[DraftAsset]:
    taken: set[str] = set()
    for name, group in list(groups.items())[:MAX_ASSETS]:
        yield _asset(unique_slug(name, taken), group)
    if len(groups) > MAX_ASSETS:
        remarks.leave_out(f"assets beyond the first {MAX_ASSETS}", len(groups) - MAX_ASSETS)


def _asset(name: str, group: _Group) -> DraftAsset:
    """Draft the asset behind one resource."""
    words = {
        where: frozenset().union(*(each.words[where] for each in group.operations))
        for where in Where
    }
    reads = any(each.method in _READS for each in group.operations)
    traits: set[Trait] = set()
    notes: list[str] = []
    impact = DRAFT_IMPACT
    for rule, found in speaking(words):
        traits |= rule.traits
        if rule.sensitive:
            impact = SENSITIVE_IMPACT
        shown = ", ".join(found[:6]) + (", ..." if len(found) > 6 else "")
        notes.append(f"{', '.join(sorted(rule.traits))}: because of {shown}")
    by_id = next((each for each in group.operations if _reads_by_id(each)), None)
    if by_id is not None and Trait.RECORDS not in traits:
        # Whoever may read one object by its id may try the next one's.
        traits.add(Trait.RECORDS)
        notes.append(f"records: because {by_id.method} {by_id.path} reads one of many")
    if all(each.openly_read for each in group.operations):
        # What everybody may read is nobody's secret.
        traits -= {Trait.RECORDS, Trait.LIVE_DATA}
        traits |= set() if traits else {Trait.AVAILABILITY}
        impact = PUBLIC_IMPACT
        notes = ["anybody may read it (security: []): only its loss would hurt"]
    for_staff = _for_staff(group)
    if for_staff and traits & _IN_THE_APP:
        traits -= _IN_THE_APP
        traits |= {Trait.RECORDS} if reads else set()
        notes.append("for staff: nothing of it is in the app, so not live-data or app-logic")
    for_partners = all(each.for_partners for each in group.operations)
    if for_partners:
        traits -= _NO_PARTNERS
        notes.append("called by partners with client certificates: no app or phone is in it")
    if not traits:
        traits.add(Trait.RECORDS if reads else Trait.AVAILABILITY)
        notes.append("no word says what it is: a mere guess")
    if for_staff:
        notes.append("for staff by its path: it lives in the backend alone")
    first = min(group.operations, key=lambda each: each.method not in _READS)
    patterns = _patterns(group)
    if len(patterns) > MAX_ASSET_ROUTES:
        notes.append(f"{len(patterns) - MAX_ASSET_ROUTES} more routes, left out here")
    return DraftAsset(
        id=name,
        kind=_kind(traits, reads=reads),
        impact=impact,
        because="TODO: say what its loss would do to the business "
        f"(drafted from {first.method} {first.path})",
        lives_in=_lives_in(traits, reads=reads, behind=for_staff or for_partners),
        traits=frozenset(traits),
        routes=tuple(patterns[:MAX_ASSET_ROUTES]),
        notes=tuple(notes),
        actors=frozenset().union(*(each.actors for each in group.operations)),
    )


def _for_staff(group: _Group) -> bool:
    """Tell whether staff alone call all of it, by their paths."""
    return all(is_for_staff(each.whole) for each in group.operations)


def _reads_by_id(operation: _Operation) -> bool:
    return operation.by_id and operation.method in _READS


def _lives_in(traits: set[Trait], *, reads: bool, behind: bool) -> frozenset[Component]:
    """Return where an asset can be taken.

    :param behind: it is for staff or partners: not in the app, nor on its users' networks.
    """
    if behind:
        return frozenset({Component.BACKEND})
    outside = {Component.CHANNEL, Component.BACKEND}
    if reads or traits & {Trait.ACCOUNT, Trait.PAYMENT, *_IN_THE_APP}:
        outside.add(Component.APP)
    return frozenset(outside)


def _kind(traits: set[Trait], *, reads: bool) -> AssetKind:
    if traits <= _SERVICES:
        return AssetKind.SERVICE
    return AssetKind.DATA if reads else AssetKind.USE_CASE


def _routes(
    groups: dict[str, _Group], probes: dict[str, Segments], remarks: Remarks
) -> Iterator[DraftRoute]:
    """Yield the routes of the API, in the order in which none hides another."""
    routes = {
        path: DraftRoute(path, "says whether the API is up", probe=True)
        for path in map(pattern, probes.values())
    }
    for name, group in groups.items():
        methods = dict.fromkeys(each.method for each in group.operations)
        about = f"{name}: {', '.join(methods)}"
        writes = not methods.keys() <= _READS
        actors = frozenset().union(*(each.actors for each in group.operations))
        staff = _for_staff(group)
        public = all(each.openly_read for each in group.operations)
        for path in _patterns(group):
            known = routes.get(path)
            if known is not None and not known.probe:
                # Users and partners share a path: what is asked of a phone would lock the partners out.
                actors |= known.actors
                about, writes = f"{known.about}; {about}", writes or known.writes
                staff, public = staff and known.staff, public and known.public
            routes[path] = DraftRoute(
                path, about, writes=writes, actors=actors, staff=staff, public=public
            )
    ordered = sorted(routes.values(), key=lambda route: route_order(route.path))
    if len(ordered) > MAX_API_ROUTES:
        remarks.leave_out(
            f"routes beyond the first {MAX_API_ROUTES}", len(ordered) - MAX_API_ROUTES
        )
    yield from ordered[:MAX_API_ROUTES]


def _remark_schemas(schemas: Schemas, remarks: Remarks) -> None:
    if schemas.unresolved:
        shown = ", ".join(one_line(each, 40) for each in sorted(schemas.unresolved)[:3])
        remarks.leave_out(f"references to nothing in this file ({shown})", len(schemas.unresolved))
    if schemas.exhausted:
        remarks.note("the schemas are too large to read whole: some words weren't looked at")
