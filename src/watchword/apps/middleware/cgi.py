"""Read the raw request out of a WSGI environ, and write the cleaned one back (PEP 3333).

A server has turned the request into variables of CGI before anybody sees it (RFC 3875 section 4.1): names in
upper case with ``_`` for ``-``, the path decoded, fields of one name joined or dropped.  What can't be told
any more is either read in the one way in which the application will read it too, or refused.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote_from_bytes

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

_NAMES: Final[dict[str, bytes]] = {}
_VARIABLES: Final[dict[bytes, str]] = {}
"""What was worked out before, since clients repeat their names: half the time of a request would go there."""

_MOST_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 64


def facts_of(environ: Mapping[str, Any]) -> RequestFacts | Refusal:
    """Return what is known of a request, or why it can't be read in one way only.

    1. A length or a media type that differs between its two variables came in a field written with ``_``.
    2. Chunks must be taken apart by the server (``wsgi.input_terminated``): nobody else knows where they end.
    3. The target as received must have the query that the application sees; the gate compares the paths.

    :raises UnicodeEncodeError: for a server that doesn't keep to ISO 8859-1.
    """
    fields = []
    joined = False
    for variable, value in environ.items():
        if variable[:5] == _PREFIX:
            name = _NAMES.get(variable) or _name(variable)
            fields.append((name, value.encode("latin-1")))
            joined = joined or (name in _NO_COMMA and "," in value)
    for variable, name in _BARE.items():
        value = environ.get(variable) or ""
        beside = environ.get(_PREFIX + variable)
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
    return RequestFacts(environ["REQUEST_METHOD"], raw_path, fields, query, routed, mount)


def cleaned(environ: Mapping[str, Any], headers: Iterable[tuple[bytes, bytes]]) -> Environ:
    """Return the variables of a request with these fields in place of its own."""
    made = {name: value for name, value in environ.items() if name[:5] != _PREFIX}
    for variable in _BARE:
        made.pop(variable, None)
    for name, value in headers:
        variable = _VARIABLES.get(name) or _variable(name)
        text = value.decode("latin-1")
        # A server that lets two names become one here had both in its own environ.
        made[variable] = f"{made[variable]},{text}" if variable in made else text
    return made


def _name(variable: str) -> bytes:
    """Return the name of the field behind a variable."""
    name = variable[len(_PREFIX) :].lower().replace("_", "-").encode("latin-1")
    if len(_NAMES) < _MOST_REMEMBERED and len(name) <= _LONGEST_REMEMBERED:
        _NAMES[variable] = name
    return name


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
