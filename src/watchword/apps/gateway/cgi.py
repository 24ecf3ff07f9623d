"""Read the raw request out of a WSGI environ, and write the cleaned one back (PEP 3333).

A server has turned the request into variables of CGI before anybody sees it (RFC 3875 section 4.1): names in
upper case with ``_`` for ``-``, the path decoded, fields of one name joined or dropped.  What can't be told
any more is either read in the one way in which the application will read it too, or refused.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote_from_bytes

from watchword.encoding.cache import cached_by_names
from watchword.gate.hygiene import MAX_HEADER_BYTES
from watchword.gate.interface import TOKEN_HEADER, RequestFacts
from watchword.reasons import Reason, Refusal

Environ = dict[str, Any]
"""The variables of one request; texts stand for bytes one to one (ISO 8859-1)."""

_PREFIX: Final = "HTTP_"
_BARE: Final = {"CONTENT_LENGTH": b"content-length", "CONTENT_TYPE": b"content-type"}
"""Fields whose variables have no prefix; some servers set one with it beside."""

_ALWAYS: Final = re.compile(rb"")
_NO_COMMA: Final = {
    TOKEN_HEADER: _ALWAYS,
    b"dpop": _ALWAYS,
    b"host": _ALWAYS,
    b"content-length": _ALWAYS,
    b"transfer-encoding": _ALWAYS,
    b"authorization": re.compile(rb"(?i:basic|bearer|dpop) "),
}
"""Fields of which two were joined where a comma stands, by how they begin then: no JWT has one (RFC 7515 section
7.1), no host and no length, and no ``token68`` (RFC 9110 section 11.2); of codings ``chunked`` alone is taken."""

_UNQUOTED: Final = "/!$&'()*+,;=:@"
"""Signs of a path that clients don't encode (RFC 3986 section 3.3), beside letters, digits and ``-._~``."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/!$&'()*+,;=:@-]*").fullmatch
"""A path of which nothing has to be encoded, as most are."""

_VARIABLES: Final[dict[bytes, str]] = {}
"""What was worked out before, since clients repeat their names: half the time of a request would go there."""

_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 64

_MOST_SHAPES: Final = 256
_LARGEST_SHAPE: Final = 3 * MAX_HEADER_BYTES
"""Most that a request's variables may take, with those of the server's own environment among them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Hold what follows from the names of a request's variables alone.

    Servers put the environment of their own process among them, so that most have nothing to do with the request: a
    loop over all would cost more than the decision.

    :param fields: the variables of header fields; ``names`` are the fields' own.
    :param pick: returns the values of these variables.
    :param alone: positions of fields that must not be two in one.
    :param bare: of :data:`_BARE`, what is there with or without the prefix: variable, the one beside, field.
    """

    fields: tuple[str, ...]
    names: tuple[bytes, ...]
    pick: Callable[[Mapping[str, Any]], tuple[str, ...]]
    alone: tuple[int, ...]
    bare: tuple[tuple[str, str, bytes], ...]


def facts_of(environ: Mapping[str, Any], shape: Shape | None = None) -> RequestFacts | Refusal:
    """Return what is known of a request, or why it can't be read in one way only.

    1. A length or a media type that differs between its two variables came in a field written with ``_``.
    2. Chunks must be taken apart by the server (``wsgi.input_terminated``): nobody else knows where they end.
    3. The target as received must have the query that the application sees; the gate compares the paths.

    :param shape: of these variables (:func:`shape_of`), worked out here if None.
    :raises UnicodeEncodeError: for a server that doesn't keep to ISO 8859-1.
    """
    if shape is None:
        shape = shape_of(environ)
    values = shape.pick(environ)
    encoded = "\n".join(values).encode("latin-1").split(b"\n")
    if len(encoded) != len(values):
        # Some value has a line break in it, for which the gate refuses, or there is none at all.
        encoded = [value.encode("latin-1") for value in values]
    fields = list(zip(shape.names, encoded, strict=True))
    joined = False
    for at in shape.alone:
        joined = joined or "," in values[at]
    for variable, prefixed, name in shape.bare:
        value = environ.get(variable) or ""
        beside = environ.get(prefixed)
        if beside is None:
            if value:
                fields.append((name, value.encode("latin-1")))
                joined = joined or (name in _NO_COMMA and "," in value)
        elif beside != value:
            text = name.decode("ascii")
            return Refusal(Reason.REQUEST_MALFORMED, f"got {text} with another sign for -")
    if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("wsgi.input_terminated"):
        return Refusal(
            Reason.REQUEST_FRAMING, "got chunks from a server that doesn't say where they end"
        )
    target = _target(environ)
    if isinstance(target, Refusal):
        return target
    raw_path, query = target
    mount = _decoded(environ.get("SCRIPT_NAME", ""))
    routed = mount + _decoded(environ.get("PATH_INFO", ""))
    if joined:
        fields = _taken_apart(fields)
    seen = (environ["REQUEST_METHOD"], raw_path, fields, query, routed, mount)
    # Half the cost of the class's own constructor.
    return tuple.__new__(RequestFacts, seen)


def cleaned(
    environ: Mapping[str, Any],
    headers: Iterable[tuple[bytes, bytes]],
    shape: Shape | None = None,
) -> Environ:
    """Return the variables of a request with these fields in place of its own.

    :param shape: of these variables as they are now, worked out here if None.
    :raises KeyError: for a shape that names a field which isn't there.
    """
    made = dict(environ)
    if shape is None:
        shape = shape_of(environ)
    for variable in shape.fields:
        del made[variable]
    for variable, _, _ in shape.bare:
        made.pop(variable, None)
    for name, value in headers:
        variable = _VARIABLES.get(name) or _variable(name)
        text = value.decode("latin-1")
        # A server that lets two names become one here had both in its own environ.
        made[variable] = f"{made[variable]},{text}" if variable in made else text
    return made


def shape_of(environ: Mapping[str, Any]) -> Shape:
    """Return what follows from the names of the variables."""
    return _shape(tuple(environ))


@cached_by_names(entries=_MOST_SHAPES, most=_LARGEST_SHAPE)
def _shape(variables: tuple[str, ...]) -> Shape:
    fields = tuple(variable for variable in variables if variable[:5] == _PREFIX)
    names = tuple(_name(variable) for variable in fields)
    return Shape(
        fields=fields,
        names=names,
        pick=_picker(fields),
        alone=tuple(at for at, name in enumerate(names) if name in _NO_COMMA),
        bare=tuple(
            (variable, _PREFIX + variable, name)
            for variable, name in _BARE.items()
            if not {variable, _PREFIX + variable}.isdisjoint(variables)
        ),
    )


def _picker(variables: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
    """Return what takes the values of these variables, without a loop in Python."""
    if len(variables) > 1:
        return itemgetter(*variables)
    return lambda environ: tuple(environ[variable] for variable in variables)


def _name(variable: str) -> bytes:
    """Return the name of the field behind a variable."""
    return variable[len(_PREFIX) :].lower().replace("_", "-").encode("latin-1")


def _variable(name: bytes) -> str:
    """Return the variable of a field."""
    variable = name.decode("latin-1").upper().replace("-", "_")
    if variable not in _BARE:
        variable = _PREFIX + variable
    if len(_VARIABLES) < _MOST_REMEMBERED and len(name) <= _LONGEST_REMEMBERED:
        _VARIABLES[name] = variable
    return variable


def _target(environ: Mapping[str, Any]) -> tuple[bytes, bytes] | Refusal:
    """Return path and query as received, or the path put together again.

    Apache and uWSGI tell it in ``REQUEST_URI``, gunicorn in ``RAW_URI``, Werkzeug in both.

    What was hidden by decoding (``%2F``) is then hidden from the application too, which routes by the same
    decoded path: there is one reading left, and it is the one that is decided on.
    """
    query: bytes = environ.get("QUERY_STRING", "").encode("latin-1")
    told = environ.get("RAW_URI")
    also = environ.get("REQUEST_URI")
    if told is None and also is None:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if _PLAIN(path):
            return path.encode("ascii"), query
        return quote_from_bytes(path.encode("latin-1"), _UNQUOTED).encode("ascii"), query
    target: str = environ["REQUEST_URI"] if told is None else told
    raw_path, _, raw_query = target.encode("latin-1").partition(b"?")
    if raw_query != query or also not in {None, target}:
        return Refusal(
            Reason.REQUEST_PATH_AMBIGUOUS, "expected one target, with the query of the application"
        )
    return raw_path, raw_query


def _decoded(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def _taken_apart(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields with those in two again of which a server made one."""
    apart = []
    for name, value in fields:
        begin = _NO_COMMA.get(name)
        joined = begin is not None and begin.match(value) is not None
        apart += [(name, part) for part in (value.split(b",") if joined else (value,))]
    return apart
