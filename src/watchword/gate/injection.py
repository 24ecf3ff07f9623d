"""Inject a key into a request: find where the request goes, and put the key into its one place.

What the client may choose is small on purpose.  The origin is the rule's, the path is what stands behind the route's
own segments and must match the rule, and the key stands in one place, in which nothing of the client's is left.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from watchword.broker.interface import EdgeRule, Place, PlaceKind, SecretValue
from watchword.gate.hygiene import (
    ANY_REST,
    PROOF_FIELDS,
    CompiledRoute,
    canonical_name,
    compile_route,
    read_path,
)
from watchword.gate.interface import (
    RESULT_HEADERS,
    TOKEN_HEADER,
    VERDICT_HEADER,
    GatePolicy,
    Injection,
    Route,
)
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.vocabulary import Level, Mode, Proof

Fields = list[tuple[bytes, bytes]]

FORWARDED_FIELDS: Final = frozenset(
    {
        b"accept",
        b"accept-language",
        b"content-digest",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-type",
        b"idempotency-key",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-unmodified-since",
        b"prefer",
        b"transfer-encoding",
    }
)
"""Request headers that go to a third party; of the others only those that the rule names.

A list of what may go, and not of what may not: apps put sessions, user ids and device ids into headers of any name, and
send them with each call to their own host.  ``Range`` isn't among them (:func:`asks_for_part`).
"""

_PARTIAL: Final = frozenset({b"range", b"if-range", b"request-range"})
"""Fields by which a client asks for a part of an answer."""

FIELDS_OF_THE_HOST: Final = frozenset(
    {
        b"accept-ch",
        b"alt-svc",
        b"cdn-cache-control",
        b"clear-site-data",
        b"cloudflare-cdn-cache-control",
        b"edge-control",
        b"nel",
        b"proxy-authenticate",
        b"public-key-pins",
        b"refresh",
        b"report-to",
        b"reporting-endpoints",
        b"service-worker-allowed",
        b"set-cookie",
        b"set-cookie2",
        b"strict-transport-security",
        b"surrogate-control",
        b"x-lighttpd-send-file",
        b"x-reproxy-file",
        b"x-reproxy-url",
        b"x-sendfile",
    }
)
"""Fields of an answer that hold for a whole host, or that servers in front of the gate carry out: the API's own to send.

``X-Sendfile`` and its like have a server in front send a file or an inner page of its own in place of the answer.
"""

PREFIXES_OF_THE_HOST: Final = (b"watchword", b"x-accel-")
"""How further such fields begin."""

_STATED_BY_THE_PROXY: Final = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
    }
)
"""Fields that say where a request goes and where it ends: no place for a key."""

_NAMING_ANOTHER_CALL: Final = frozenset(
    {
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
    }
)
"""Fields by which a server may take a request for one with another method or path than those that the rule lists."""

_NEVER_FORWARDED: Final = (
    _STATED_BY_THE_PROXY
    | _NAMING_ANOTHER_CALL
    | PROOF_FIELDS
    | {TOKEN_HEADER, VERDICT_HEADER, *RESULT_HEADERS, b"cookie", b"proxy-authorization"}
) - FORWARDED_FIELDS
"""Fields that no rule can name: they are between the app and the gate, or undo the rule."""

_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110 section 5.1, in lower case.
_QUERY: Final = re.compile(rb'[!$-~"]*')
"""Visible ASCII without ``#``: behind it some servers read nothing more."""

_SEPARATORS: Final = re.compile(rb"([&;])")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_WIDE_ESCAPE: Final = re.compile(rb"%u([0-9A-Fa-f]{4})")
_MOST_DECODINGS: Final = 3


@dataclass(frozen=True, slots=True)
class InjectionRoute:
    """Hold a route that adds a key, with its rule taken apart.

    :param depth: how many leading segments are the route's own, and not of the path at the origin.
    """

    rule: EdgeRule
    depth: int
    table: tuple[CompiledRoute, ...]

    def resolve(self, method: str, raw_path: bytes) -> Injection | Refusal:
        """Return where a request of this route goes; its bytes stay as they came.

        :param raw_path: readable in one way only (:func:`watchword.gate.hygiene.read_path`).
        """
        behind = raw_path.split(b"/", self.depth + 1)[self.depth + 1 :]
        path = b"/" + b"".join(behind)
        segments = read_path(path)
        if isinstance(segments, Refusal):
            return segments
        if not any(each.matches(method, segments) for each in self.table):
            # Nothing of the path: it is the sender's, and the log isn't.
            return Refusal(
                Reason.SECRET_PATH,
                f"expected a method and path that the key {self.rule.secret} is injected for",
            )
        return Injection(self.rule, path)


def compile_injections(policy: GatePolicy) -> Mapping[str, InjectionRoute]:
    """Return by name the routes of a policy that add a key.

    :raises ValueError: as :func:`compile_injection`, and for a route whose key has no rule.
    """
    found = {}
    for route in policy.routes:
        if route.secret is not None:
            rule = policy.edges.get(route.secret)
            if rule is None:
                raise ValueError(
                    f"route {route.name}: no rule says into which calls {route.secret} is injected"
                )
            found[route.name] = compile_injection(route, rule)
    return found


def compile_injection(route: Route, rule: EdgeRule) -> InjectionRoute:
    """Take a route that adds a key apart, with the rule of the key.

    :raises ValueError: for a route or a rule that would inject a key to anybody but verified instances, or put it
        elsewhere than the rule says; the text is fit for a person.
    """
    if route.mode is not Mode.ENFORCE:
        raise ValueError(f"route {route.name}: a key is injected in mode enforce alone")
    own = compile_route(route)
    if not own.open_ended or any("*" in segment for segment in own.segments):
        raise ValueError(f"{route.pattern!r}: expected literal segments and a last {ANY_REST}")
    _check_place(rule.place)
    for name in rule.headers:
        if not may_go_on(name):
            raise ValueError(f"{name!r}: expected a header that may go to a third party")
        if rule.reflects and asks_for_part(name):
            raise ValueError(f"{name!r}: expected no header that asks for a part of an answer")
    if not rule.methods or not rule.patterns:
        raise ValueError(f"{rule.secret}: expected methods and paths that the key is injected for")
    table = tuple(
        compile_route(
            Route(rule.secret, pattern, rule.methods, Level.NONE, Proof.BEARER, Mode.ENFORCE)
        )
        for pattern in rule.patterns
    )
    return InjectionRoute(rule, len(own.segments), table)


def _check_place(place: Place) -> None:
    if place.placeholder == "":
        raise ValueError("expected a placeholder of at least one character")
    if place.kind is PlaceKind.QUERY:
        if not place.name or place.prefix:
            raise ValueError("expected the name of a parameter, and no prefix")
    elif not may_hold_key(place.name):
        raise ValueError(f"{place.name!r}: expected a header, in lower case, that may hold a key")


def may_go_on(name: str) -> bool:
    """Tell whether a rule may name a header that the client sends, in lower case, for the third party."""
    return _FIELD_NAME.fullmatch(name) is not None and (
        canonical_name(name.encode("ascii")) not in _NEVER_FORWARDED
    )


def asks_for_part(name: str) -> bool:
    """Tell whether a client asks for a part of an answer by a header: a rule may name it where none reflects.

    An answer that holds the key could be fetched in pieces that each hold too little of it to be recognised.
    """
    return canonical_name(name.encode("ascii")) in _PARTIAL


def may_hold_key(name: str) -> bool:
    """Tell whether a key may stand in the header of this name, in lower case."""
    return _FIELD_NAME.fullmatch(name) is not None and (
        canonical_name(name.encode("ascii")) not in _STATED_BY_THE_PROXY
    )


def request_fields(rule: EdgeRule, cleaned: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Return which of a request's cleaned fields the third party gets, without the key and without Host.

    Each name must be spelled as it is in :data:`FORWARDED_FIELDS` or the rule: ``x_goog_fieldmask`` is another one.
    In the place where the key goes, what the app sends is kept only where the key replaces a part of it.
    """
    named = FORWARDED_FIELDS | {name.encode("ascii") for name in rule.headers}
    place = rule.place
    if place.kind is PlaceKind.QUERY:
        return [field for field in cleaned if field[0] in named]
    its = place.name.encode("ascii")
    canonical = canonical_name(its)
    kept = [
        (name, value)
        for name, value in cleaned
        if name in named and canonical_name(name) != canonical
    ]
    if place.placeholder is not None:
        # All of them, in any spelling: it is for `place_key` to refuse more than one.
        kept += [field for field in cleaned if canonical_name(field[0]) == canonical]
    return kept


def place_key(
    place: Place, value: SecretValue, fields: Fields, query: bytes
) -> tuple[Fields, bytes]:
    """Return fields and query with the key in its place, and in no other.

    :param fields: of :func:`request_fields`.
    :param query: as received, without the question mark.
    :raises RefusedError: ``secret.placeholder``; ``request.malformed`` for a query that servers read in several ways.
    """
    if not _QUERY.fullmatch(query):
        raise RefusedError.because(
            Reason.REQUEST_MALFORMED, "got a query with other bytes than visible ASCII, or with #"
        )
    key = value.text.encode("utf-8")
    if place.kind is PlaceKind.HEADER:
        return _in_header(place, key, fields), query
    return fields, _in_query(place, key, query)


def _in_header(place: Place, key: bytes, fields: Fields) -> Fields:
    name, prefix = place.name.encode("ascii"), place.prefix.encode("ascii")
    canonical = canonical_name(name)
    others = [field for field in fields if canonical_name(field[0]) != canonical]
    if place.placeholder is None:
        return [*others, (name, prefix + key)]
    held = [field for field in fields if canonical_name(field[0]) == canonical]
    if len(held) != 1 or held[0][0] != name:
        _refuse_placeholder(f"got {len(held)} fields for it, expected one, named {place.name}")
    return [*others, (name, _replaced(held[0][1], place.placeholder, prefix + key))]


def _in_query(place: Place, key: bytes, query: bytes) -> bytes:
    """Return the query with the key as one parameter; ``;`` separates too, as it does for older servers."""
    wanted = _canonical_parameters(place.name.encode("utf-8"))[0]
    pieces = _SEPARATORS.split(query)
    # A parameter and the separator in front of it, the first with none.
    parts = [(b"", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    mine = [each[1].partition(b"=") for each in parts if _is_named(each[1], wanted)]
    name = encoded(place.name.encode("utf-8"))
    if place.placeholder is None:
        placed = encoded(key)
        parts = [each for each in parts if not _is_named(each[1], wanted)]
        kept = b"".join(separator + part for separator, part in parts).lstrip(b"&;")
        return b"&".join(filter(None, (kept, name + b"=" + placed)))
    if len(mine) != 1 or _unescaped(mine[0][0]) != place.name.encode("utf-8"):
        _refuse_placeholder(f"got {len(mine)} parameters for it, expected one, named {place.name}")
    decoded = _unescaped(mine[0][2])
    placed = encoded(_replaced(decoded, place.placeholder, key))
    return b"".join(
        separator + (name + b"=" + placed if _is_named(part, wanted) else part)
        for separator, part in parts
    )


def _replaced(text: bytes, placeholder: str, key: bytes) -> bytes:
    wanted = placeholder.encode("utf-8")
    count = text.count(wanted)
    if count != 1:
        _refuse_placeholder(f"got it {count} times, expected once")
    return text.replace(wanted, key)


def _refuse_placeholder(detail: str) -> NoReturn:
    raise RefusedError.because(Reason.SECRET_PLACEHOLDER, detail)


def encoded(text: bytes) -> bytes:
    """Return a text percent-encoded but for unreserved characters (RFC 3986 section 2.3)."""
    return b"".join(bytes((each,)) if each in _UNRESERVED else b"%%%02X" % each for each in text)


def _is_named(parameter: bytes, wanted: str) -> bool:
    return wanted in _canonical_parameters(parameter.partition(b"=")[0])


def _canonical_parameters(raw: bytes) -> tuple[str, ...]:
    """Return the names that a server may take a parameter's name for, the shorter one first.

    Servers differ: some undo percent-encoding twice or know ``%u006b``, ignore case, take wide letters for plain ones,
    drop blanks in front and all from a NUL on, take ``key[]`` for ``key``, and ``api.key`` or
    ``api[key`` for ``api_key`` (PHP).

    :raises RefusedError: ``request.malformed`` for what isn't UTF-8: lenient decoders read a plain letter in two bytes.
    """
    for _ in range(_MOST_DECODINGS):
        decoded = _WIDE_ESCAPE.sub(_wide, _unescaped(raw))
        if decoded == raw:
            break
        raw = decoded
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError.because(
            Reason.REQUEST_MALFORMED, "got the name of a parameter that isn't UTF-8"
        ) from None
    name = unicodedata.normalize("NFKC", text).casefold()
    name = name.split("\0")[0].lstrip("".join(map(chr, range(33))))
    return tuple(re.sub(r"[^\w]", "_", each.rstrip()) for each in (name.split("[")[0], name))


def _unescaped(raw: bytes) -> bytes:
    text = raw.replace(b"+", b" ")
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode("ascii")), text)


def _wide(found: re.Match[bytes]) -> bytes:
    return chr(int(found[1], 16)).encode("utf-8", "replace")
