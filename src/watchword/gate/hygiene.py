"""Refuse requests that two parsers could read in two ways, clean what the API may see, and find the route.

A gate is bypassed where it understands a request differently than the API behind it, so whatever is ambiguous is refused
instead of interpreted.  The HTTP servers in front do some of this, but none does all of it: duplicate Host, Content-Length
beside Transfer-Encoding and headers of a megabyte all reach an application through one server or another.

**Fields.**  Whoever chooses the fields by which gateways name a client chooses the address that the API limits, logs or
trusts, and with some servers who is there and what is asked.  An engine removes a client's and writes ``X-Forwarded-For``
from the connection.  This is the one list: what an engine can't remove, /authz refuses.

**Paths.**  Servers disagree on ``..``, empty segments, encoded slashes, what comes after ``;``, and how often
percent-encoding is undone.  A path is read in the one way that all of them share, or refused.  The first matching row of
the table is its route, compared by segment after decoding, so ``/%61dmin`` is ``/admin`` here as it is for the API.  Case
counts; servers that ignore it are the matter of :mod:`watchword.gate.spellings`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from watchword.encoding.cache import cached_by_names
from watchword.gate.interface import (
    API_HEADER,
    RESULT_HEADERS,
    SIGNATURE_INPUT,
    STATUS_HEADER,
    TOKEN_HEADER,
    VERDICT_HEADER,
    RawHeaders,
    Route,
)
from watchword.reasons import Reason, Refusal

MAX_FIELDS = 100
"""Most header fields; more is a flood, not a request."""

MAX_FIELD_BYTES = 8 * 1024
"""Most bytes of one field, name and value."""

MAX_HEADER_BYTES = 16 * 1024
"""Most bytes of all fields."""

MAX_PATH_BYTES = 8 * 1024
"""Most bytes of a path (RFC 9110 section 4.1 asks servers for at least 8000)."""

PROOF_FIELDS = frozenset({b"dpop", b"signature", SIGNATURE_INPUT})
"""Fields that carry a proof; where a route asks for one they are the gate's, and stop here."""

_DECIDING_FIELDS = PROOF_FIELDS | {
    TOKEN_HEADER,
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-digest",
    b"authorization",
}
"""Fields that decide who is asking for what, and where the request ends: once, or refused."""

REWRITING_FIELDS = frozenset(
    {
        b"x-envoy-original-path",
        b"x-forwarded-method",
        b"x-forwarded-path",
        b"x-forwarded-prefix",
        b"x-forwarded-uri",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-override-url",
        b"x-rewrite-url",
    }
)
"""Fields for whose sake frameworks serve another path or method than the one that was judged; a client's are removed."""

_STATED_HERE = frozenset({*RESULT_HEADERS, VERDICT_HEADER, API_HEADER})
"""Fields by which a gate tells the API who is there, and an engine whose gate it is; a client's are removed."""

_REMOVED = _STATED_HERE | REWRITING_FIELDS | {STATUS_HEADER}

HOP_BY_HOP = frozenset(
    {b"close", b"http2-settings", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}
)
"""What clients name in Connection every day."""

_FRAMING_FIELDS = {b"content-length", b"transfer-encoding"}

_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110 section 5.1, in lower case.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_HARMLESS_CONNECTION = frozenset(
    {b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade", b"upgrade, keep-alive"}
)


_PUNCTUATION = b"!#$%&'*+.^_`|~"
_TO_HYPHENS = bytes.maketrans(_PUNCTUATION, b"-" * len(_PUNCTUATION))


def canonical_name(name: bytes) -> bytes:
    """Return the name that a server may take a field's lower-case name for.

    CGI and WSGI make one variable of ``a-b`` and ``a_b``, and some servers of ``a.b`` and every
    other sign too, so that ``Watchword.Level`` would arrive as the verified ``Watchword-Level``.
    """
    return name.translate(_TO_HYPHENS)


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold what follows from the names alone: where the fields stand.

    :param size: bytes of all names.
    :param single: by name, the position of each field that decides.
    :param framed: whether a field speaks of the body's length.
    :param pick: returns the fields that the API may see; ``kept`` are their names in lower case.
    :param renamed: whether a name wasn't in lower case.
    :param proof: the positions of ``Signature-Input``, ``Signature`` and ``DPoP``, -1 where missing.
    :param own: the positions of these among ``kept``, the last one first, for them to be deleted.
    :param status: the positions of all fields by which an app says why it sends no token.
    """

    refusal: Refusal | None
    size: int
    single: Mapping[bytes, int]
    host: int
    token: int | None
    framed: bool
    connection: tuple[int, ...]
    pick: Callable[[Sequence[Any]], tuple[Any, ...]]
    kept: tuple[bytes, ...]
    renamed: bool
    proof: tuple[int, int, int]
    own: tuple[int, ...]
    status: tuple[int, ...]


class CleanHeaders(NamedTuple):
    """Hold what is left of a request's headers, and what was taken out of them.

    :param fields: what the API may see: names in lower case, without token, result headers and
        fields that the client declared to be meant for the gate alone.
    :param token: the value of the token header, None if there was none.
    :param values: of all fields, as received; ``plan`` knows which is which.
    :param own: where in ``fields`` those of a proof stand, the last one first.
    """

    fields: list[tuple[bytes, bytes]]
    token: bytes | None
    values: Sequence[bytes]
    plan: Plan
    own: tuple[int, ...]

    def value(self, name: bytes) -> bytes | None:
        """Return the value of a field that decides, None if it is missing."""
        at = self.plan.single.get(name)
        return None if at is None else self.values[at]

    @property
    def has_body(self) -> bool:
        """Tell whether the request announces a body (RFC 9112 section 6.3)."""
        if not self.plan.framed:
            return False
        length = self.value(b"content-length")
        return length is None or bool(length.strip(b"0"))


def clean(headers: RawHeaders) -> CleanHeaders | Refusal:
    """Return the cleaned headers, or why they can't be read in one way only.

    1. At most :data:`MAX_FIELDS` fields, :data:`MAX_FIELD_BYTES` each, :data:`MAX_HEADER_BYTES`
       in all.
    2. Names are tokens (RFC 9110 section 5.1); no value has NUL, CR or LF (section 5.5).
    3. Fields that decide occur once.  Every sign in a name counts as ``-``
       (:func:`canonical_name`).
    4. Exactly one Host, with the syntax of an authority (RFC 9112 section 3.2).
    5. The body is delimited in one way (RFC 9112 section 6.3).
    6. What Connection names is removed, so that nothing behind removes a verified header in its
       name; a client that names anything but :data:`HOP_BY_HOP` and what is removed anyway is refused: servers that
       carry it out take a field away that the API was meant to see (RFC 9110 section 7.6.1).
    """
    if not 0 < len(headers) <= MAX_FIELDS:
        return _refuse_count(len(headers))
    names, values = zip(*headers, strict=True)
    joined = b"".join(values)
    plan = _plan(names)
    if plan.size + len(joined) > MAX_FIELD_BYTES and _is_too_large(headers):
        return Refusal(
            Reason.REQUEST_HEADERS_TOO_LARGE,
            f"expected at most {MAX_FIELD_BYTES} bytes a field, {MAX_HEADER_BYTES} in all",
        )
    if 0 in joined or 10 in joined or 13 in joined:
        return Refusal(Reason.REQUEST_MALFORMED, "got NUL, CR or LF in a header field")
    if plan.refusal is not None:
        return plan.refusal
    if not _is_authority(values[plan.host]):
        return Refusal(Reason.REQUEST_HOST, "expected a host of a name and perhaps a port")
    if plan.framed:
        refusal = _check_framing(plan.single, values)
        if refusal is not None:
            return refusal
    # Servers hand names over in lower case, so that the fields can mostly stay what they are.
    fields: list[tuple[bytes, bytes]] = (
        list(zip(plan.kept, plan.pick(values), strict=True))
        if plan.renamed
        else list(plan.pick(headers))
    )
    own, connection = plan.own, plan.connection
    if connection and (
        len(connection) > 1 or values[connection[0]].lower() not in _HARMLESS_CONNECTION
    ):
        carried_out = _carry_out_connection(fields, [values[at] for at in connection])
        if isinstance(carried_out, Refusal):
            return carried_out
        fields = carried_out
        own = _positions_of_proofs([name for name, _ in fields])
    token = None if plan.token is None else values[plan.token]
    # Half the cost of the class's own constructor, for what is made with each request.
    return tuple.__new__(CleanHeaders, (fields, token, values, plan, own))


def _refuse_count(count: int) -> Refusal:
    if count:
        return Refusal(
            Reason.REQUEST_HEADERS_TOO_LARGE, f"got {count} fields, expected at most {MAX_FIELDS}"
        )
    return Refusal(Reason.REQUEST_HOST, "got no header fields at all")


def _is_too_large(headers: RawHeaders) -> bool:
    sizes = [len(name) + len(value) for name, value in headers]
    return max(sizes) > MAX_FIELD_BYTES or sum(sizes) > MAX_HEADER_BYTES


@cached_by_names(entries=512, most=MAX_HEADER_BYTES)
def _plan(names: tuple[bytes, ...]) -> Plan:
    """Carry out what depends on names alone (steps 2 and 3)."""
    size = sum(map(len, names))
    single: dict[bytes, int] = {}
    connection = []
    kept = []
    status = []
    refusals = []
    for at, raw_name in enumerate(names):
        name = raw_name.lower()
        canonical = canonical_name(name)
        if not _FIELD_NAME.fullmatch(name):
            refusals.append(_malformed("got a field name outside of RFC 9110"))
        elif canonical in _REMOVED:
            if canonical == STATUS_HEADER:
                status.append(at)
            continue
        elif canonical in single:
            refusals.append(_duplicate(canonical))
        elif canonical in _DECIDING_FIELDS:
            single[canonical] = at
            if canonical != name:
                # Behind CGI it would look like the field that was checked here.
                refusals.append(_malformed(f"got {canonical.decode()} with another sign for -"))
        elif canonical == b"connection":
            connection.append(at)
        if canonical != TOKEN_HEADER:
            kept.append((at, name))
    if b"host" not in single:
        refusals.append(Refusal(Reason.REQUEST_HOST, "got no host field"))
    kept_names = tuple(name for _, name in kept)
    return Plan(
        refusal=refusals[0] if refusals else None,
        size=size,
        single=single,
        host=single.get(b"host", -1),
        token=single.get(TOKEN_HEADER),
        framed=not single.keys().isdisjoint(_FRAMING_FIELDS),
        connection=tuple(connection),
        pick=_picker([at for at, _ in kept]),
        kept=kept_names,
        renamed=any(name != name.lower() for name in names),
        proof=(
            single.get(SIGNATURE_INPUT, -1),
            single.get(b"signature", -1),
            single.get(b"dpop", -1),
        ),
        own=_positions_of_proofs(kept_names),
        status=tuple(status),
    )


def _picker(positions: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return what takes the items at these positions out of a sequence, without a loop in Python."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda items: tuple(items[at] for at in positions)


def _positions_of_proofs(names: Sequence[bytes]) -> tuple[int, ...]:
    """Return where the fields of a proof stand, the last one first, for them to be deleted."""
    return tuple(at for at in reversed(range(len(names))) if names[at] in PROOF_FIELDS)


@lru_cache(maxsize=512)
def _is_authority(host: bytes) -> bool:
    """Carry out step 4 on the one Host that there is."""
    return _HOST.fullmatch(host) is not None


def _duplicate(canonical: bytes) -> Refusal:
    name = canonical.decode("ascii")
    if canonical == b"host":
        return Refusal(Reason.REQUEST_HOST, "got more than one host field")
    if canonical in _FRAMING_FIELDS:
        return Refusal(Reason.REQUEST_FRAMING, f"got more than one {name} field")
    return Refusal(Reason.REQUEST_HEADER_DUPLICATED, f"got more than one {name} field")


def _malformed(detail: str) -> Refusal:
    return Refusal(Reason.REQUEST_MALFORMED, detail)


def _check_framing(single: Mapping[bytes, int], values: Sequence[bytes]) -> Refusal | None:
    """Carry out step 5."""
    length, coding = single.get(b"content-length"), single.get(b"transfer-encoding")
    if length is not None and (coding is not None or not _DIGITS.fullmatch(values[length])):
        return Refusal(
            Reason.REQUEST_FRAMING, "expected a content-length of digits, or a transfer-encoding"
        )
    if coding is not None and values[coding].lower() != b"chunked":
        return Refusal(Reason.REQUEST_FRAMING, "expected no transfer coding but chunked")
    return None


def _carry_out_connection(
    fields: list[tuple[bytes, bytes]], connection: Sequence[bytes]
) -> list[tuple[bytes, bytes]] | Refusal:
    """Carry out step 6 on cleaned fields; the Connection fields themselves go too."""
    options = {
        canonical_name(option.strip(b" \t").lower())
        for value in connection
        for option in value.split(b",")
    }
    others = options - HOP_BY_HOP - _REMOVED - {b""}
    if others:
        name = ascii(min(others).decode("latin-1"))
        return Refusal(Reason.REQUEST_FRAMING, f"got {name} named as a connection option")
    # A handshake's Upgrade is for the application: the gate carries nothing out there.
    options = (options | {b"connection"}) - {b"upgrade"}
    return [field for field in fields if canonical_name(field[0]) not in options]


_COMMON = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
"""Paths that need no second look: no encoding, no segment that starts with a dot."""

_VISIBLE = re.compile(rb"[\x21-\x7e]*")
_FORBIDDEN = re.compile(rb"[\\;#?]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_FORBIDDEN_DECODED = re.compile(rb"[\x00-\x1f\x7f/\\;#?]|\xc2[\x80-\x9f]|%[0-9A-Fa-f]{2}")
"""The control characters of ISO 8859 (U+0080 to U+009F) are two bytes each."""


def read_path(raw_path: bytes) -> tuple[str, ...] | Refusal:
    """Return the decoded segments of a raw path, without the empty one after a last slash.

    1. At most :data:`MAX_PATH_BYTES`, visible ASCII, starting with ``/`` (RFC 3986 section 3.3).
    2. No backslash, ``;``, ``#`` or ``?``, raw or encoded: path parameters and Windows separators
       are dropped or turned by some servers and not by others.
    3. Percent-encoding is whole; decoded, it is UTF-8 without control characters, ``/`` or another
       percent-encoding, which a server that decodes twice would undo.
    4. No segment is ``.`` or ``..``, and none is empty but the last.

    A last slash means the same as none: frameworks serve or redirect ``/admin/`` as ``/admin``, so
    that a rule for one must hold for both.
    """
    if len(raw_path) > MAX_PATH_BYTES:
        return Refusal(
            Reason.REQUEST_HEADERS_TOO_LARGE,
            f"got a path of {len(raw_path)} bytes, expected at most {MAX_PATH_BYTES}",
        )
    if not raw_path.startswith(b"/"):
        return _ambiguous("expected a path that starts with a slash")
    if not _COMMON.fullmatch(raw_path):
        if not _VISIBLE.fullmatch(raw_path):
            return _ambiguous("got bytes outside of visible ASCII")
        if _FORBIDDEN.search(raw_path):
            return _ambiguous("got a backslash, semicolon, hash or question mark")
        if _BAD_ESCAPE.search(raw_path):
            return _ambiguous("got a percent sign without two hexadecimal digits")
    return _decode_segments(raw_path[1:].split(b"/"))


def _decode_segments(raw_segments: list[bytes]) -> tuple[str, ...] | Refusal:
    """Carry out steps 3 and 4."""
    if raw_segments[-1] == b"":
        raw_segments.pop()
    segments = []
    for raw in raw_segments:
        segment = _ESCAPE.sub(_unescape, raw)
        if segment in {b"", b".", b".."}:
            return _ambiguous("got an empty segment or one of dots")
        if segment != raw and _FORBIDDEN_DECODED.search(segment):
            return _ambiguous("got an encoded separator, control character or percent sign")
        try:
            segments.append(segment.decode("utf-8"))
        except UnicodeDecodeError:
            return _ambiguous("got percent-encoded bytes that aren't UTF-8")
    return tuple(segments)


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode("ascii"))


def _ambiguous(detail: str) -> Refusal:
    return Refusal(Reason.REQUEST_PATH_AMBIGUOUS, detail)


FORWARDED_FOR: Final = "X-Forwarded-For"
"""The one that an engine writes itself."""

FORWARDED_PREFIX: Final = "X-Forwarded-"

CLIENT_SIDE: Final = (
    # RFC 7239.
    "Forwarded",
    FORWARDED_FOR,
    "X-Forwarded-By",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    # Other words for https, which servers take as well: Rack, and gunicorn by
    # https://docs.gunicorn.org/en/stable/settings.html#secure-scheme-headers.
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Real-IP",
    # Who is there, as proxies that authenticate say it: Envoy, Traefik and oauth2-proxy.
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Forwarded-User",
    *sorted(name.decode().title() for name in REWRITING_FIELDS),
)
"""Those that an engine names one by one; one that knows expressions removes whatever begins with
:data:`FORWARDED_PREFIX`."""

_NAMES: Final = frozenset(name.lower().encode("ascii") for name in CLIENT_SIDE)
_PREFIX: Final = FORWARDED_PREFIX.lower().encode("ascii")


def is_unlisted(canonical: bytes) -> bool:
    """Tell whether a field is one of these by its beginning alone: an engine without expressions can't remove it."""
    return canonical.startswith(_PREFIX) and canonical not in _NAMES


def is_client_side(canonical: bytes) -> bool:
    """Tell whether a field is one of these, by its name in lower case with hyphens (as of ``gate.hygiene.canonical_name``)."""
    return canonical in _NAMES or canonical.startswith(_PREFIX)


ANY_SEGMENT = "*"
ANY_REST = "**"


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """Hold a route with its pattern taken apart.

    :param methods: empty means every method; a route for GET is one for HEAD too, since HEAD
        runs the same code (RFC 9110 section 9.3.2).
    :param segments: the fixed number of leading segments, :data:`ANY_SEGMENT` for any.
    :param open_ended: whether any rest may follow, also none.
    """

    route: Route
    methods: frozenset[str]
    segments: tuple[str, ...]
    open_ended: bool

    def matches(self, method: str, path: tuple[str, ...]) -> bool:
        """Tell whether a request with this method and these decoded segments belongs here."""
        if self.methods and method not in self.methods:
            return False
        segments = self.segments
        if len(path) < len(segments) or (len(path) > len(segments) and not self.open_ended):
            return False
        # A loop costs a third of a generator, and each request with a new path walks down the table.
        for wanted, got in zip(segments, path, strict=False):
            if wanted != got and wanted != ANY_SEGMENT:  # noqa: PLR1714 - no tuple is made.
                return False
        return True

    def covers(self, other: "CompiledRoute") -> bool:
        """Tell whether every request that matches ``other`` matches this route too."""
        if self.methods and not (other.methods and other.methods <= self.methods):
            return False
        if other.open_ended and not self.open_ended:
            return False
        if len(other.segments) < len(self.segments) or (
            len(other.segments) > len(self.segments) and not self.open_ended
        ):
            return False
        return all(
            mine in (ANY_SEGMENT, theirs)
            for mine, theirs in zip(self.segments, other.segments, strict=False)
        )


def compile_route(route: Route) -> CompiledRoute:
    """Take a route's pattern apart.

    :raises ValueError: on a pattern that isn't a path of literal segments and ``*``, with ``**``
        at most once and last; the text says what is wrong and is fit for a person.
    """
    pattern = route.pattern
    open_ended = pattern.endswith(f"/{ANY_REST}")
    stem = pattern.removesuffix(ANY_REST) if open_ended else pattern
    segments = read_path(stem.encode("utf-8"))
    if isinstance(segments, Refusal):
        raise ValueError(f"{pattern!r} is no path that a request could have: {segments.detail}")  # noqa: TRY004
    for segment in segments:
        if "*" in segment and segment != ANY_SEGMENT:
            raise ValueError(f"{pattern!r}: * stands for a whole segment, and ** comes last")
    methods = route.methods | {"HEAD"} if "GET" in route.methods else route.methods
    return CompiledRoute(route, methods, segments, open_ended)


def compile_routes(routes: Sequence[Route]) -> tuple[CompiledRoute, ...]:
    """Take the patterns of a whole table apart; raise ValueError as :func:`compile_route`."""
    return tuple(compile_route(route) for route in routes)


def find_row(table: Sequence[CompiledRoute], method: str, path: tuple[str, ...]) -> int | None:
    """Return the position of the first row that matches, None if there is none."""
    for position, compiled in enumerate(table):
        if compiled.matches(method, path):
            return position
    return None


def find_route(table: Sequence[CompiledRoute], method: str, path: tuple[str, ...]) -> Route | None:
    """Return the first route that matches, None if there is none."""
    position = find_row(table, method, path)
    return None if position is None else table[position].route


def shadowed(routes: Sequence[Route]) -> list[tuple[Route, Route]]:
    """Return each route that can never match, with the earlier one that takes all its requests.

    :raises ValueError: as :func:`compile_route`.
    """
    table = compile_routes(routes)
    found = []
    for position, later in enumerate(table):
        for earlier in table[:position]:
            if earlier.covers(later):
                found.append((later.route, earlier.route))
                break
    return found
