"""Read which request an engine asks about; a new way to ask is one function and a line below."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from watchword.apps.authz.callers import CREDENTIAL_HEADER
from watchword.gate.hygiene import canonical_name
from watchword.reasons import Reason, Refusal

Scope = MutableMapping[str, Any]
Fields = Sequence[tuple[bytes, bytes]]

PREFIX: Final = b"/authz"
"""The path of forward auth; in the ``envoy`` style the original path follows it."""

TOLD: Final = b"/authz/told"
"""The path at which an engine asks that can pass on no answer but 401 and 403, as nginx: it gets 403 for every
refusal, and the refusal in fields.  A path, since no client has a say in it."""
BARE: Final = b"/authz/bare"
"""The path for engines that remove by themselves each result which an answer hasn't, as Traefik: it has no empty one."""

_FRAMING: Final = (b"content-length", b"transfer-encoding")

_HOP_FIELDS: Final = {b"host", b"content-length", b"transfer-encoding", b"connection"}
"""Fields of the question itself; the original ones come from the engine."""


class Question(NamedTuple):
    """Hold the original request as the engine tells it.

    :param target: raw path, and the raw query behind ``?``.
    :param fields: header fields, ``Host`` and framing those of the original request.
    :param unseen: whether it has a body that the engine keeps to itself.
    :param generation: of the bundle that the engine's configuration was written from, where it keeps verdicts.
    """

    method: str
    target: bytes
    fields: list[tuple[bytes, bytes]]
    unseen: bool = False
    generation: bytes = b""


def of_envoy(scope: Scope) -> Question | Refusal:
    """Return what Envoy asks about: method, host, query and body are the question's own.

    Envoy (``ext_authz`` over HTTP) puts the path prefix before the original path.
    """
    raw_path: bytes = scope["raw_path"]
    path = raw_path.removeprefix(PREFIX)
    if path == raw_path or not path.startswith(b"/"):
        return _malformed("expected the original path behind /authz")
    query: bytes = scope["query_string"]
    fields = [(name, value) for name, value in scope["headers"] if name != CREDENTIAL_HEADER]
    return Question(scope["method"], path + b"?" + query if query else path, fields)


def _of_headers(scope: Scope, prefix: bytes) -> Question | Refusal:
    """Return what stands in three headers that the engine overwrites.

    The engine says how long the original body is in two more, and what the connection is told in a
    third; it doesn't send the body, so that a request with one ends on routes with a proof.
    """
    if scope["raw_path"] not in {PREFIX, TOLD, BARE} or scope["query_string"]:
        return _malformed("expected the path /authz without a query")
    parts = (b"method", b"uri", b"host", b"connection", *_FRAMING, b"generation")
    deciding = {prefix + part for part in parts}
    named: dict[bytes, bytes] = {}
    fields = []
    for name, value in scope["headers"]:
        canonical = canonical_name(name.lower())
        if canonical in deciding:
            if canonical != name or canonical in named:
                return _malformed("got a header that names the request more than once")
            named[canonical] = value
        elif name not in _HOP_FIELDS and name != CREDENTIAL_HEADER:
            fields.append((name, value))
    missing = [prefix + part for part in parts[:3] if prefix + part not in named]
    if missing:
        names = b", ".join(missing).decode("ascii")
        return _malformed(f"expected {names} from the engine")
    fields.insert(0, (b"host", named[prefix + b"host"]))
    fields.extend((part, named[prefix + part]) for part in parts[3:6] if named.get(prefix + part))
    method = named[prefix + b"method"].decode("latin-1")
    unseen = any(named.get(prefix + part) for part in _FRAMING)
    # Whoever asks at the other path keeps nothing, and may pass on what a client sent by this name.
    generation = named.get(prefix + b"generation", b"") if scope["raw_path"] == TOLD else b""
    return Question(method, named[prefix + b"uri"], fields, unseen, generation)


def of_original(scope: Scope) -> Question | Refusal:
    """Return what nginx or HAProxy ask about, by ``X-Original-Method``, ``-URI`` and ``-Host``."""
    return _of_headers(scope, b"x-original-")


def of_forwarded(scope: Scope) -> Question | Refusal:
    """Return what Traefik or Caddy ask about, by ``X-Forwarded-Method``, ``-Uri`` and ``-Host``."""
    return _of_headers(scope, b"x-forwarded-")


STYLES: Final[Mapping[str, Callable[[Scope], Question | Refusal]]] = {
    "envoy": of_envoy,
    "original": of_original,
    "forwarded": of_forwarded,
}
"""The ways to ask, as ``authz.style`` names them."""


def scope_of(question: Question, scope: Scope) -> Scope:
    """Return the ASGI scope of the original request, for the middleware to judge."""
    raw_path, _, query = question.target.partition(b"?")
    return {
        **scope,
        "type": "http",
        "method": question.method,
        "path": unquote_to_bytes(raw_path).decode("utf-8", "surrogateescape"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": question.fields,
    }


def _malformed(detail: str) -> Refusal:
    return Refusal(Reason.REQUEST_MALFORMED, detail)
