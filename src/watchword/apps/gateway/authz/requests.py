"""Read an engine's question as the request that it is about, know who asks, and say for how long the answer may be kept."""

import hmac
import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.apps.gateway.asgi_types import Scope
from watchword.encoding import base64url, strict_json
from watchword.encoding.cache import cached_by_names
from watchword.gate.hygiene import (
    MAX_HEADER_BYTES,
    PROOF_FIELDS,
    REWRITING_FIELDS,
    canonical_name,
    is_client_side,
    is_unlisted,
)
from watchword.gate.interface import Decision, GatePolicy, GateState, Route
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Mode, Proof

CREDENTIAL_HEADER: Final = b"watchword-authz"
"""The header in which an engine sends the shared credential, lower case."""

MIN_CREDENTIAL_CHARACTERS: Final = 32
_MAX_CREDENTIAL_BYTES: Final = 512


class Credential:
    """Hold the secret that the engine sends with each question."""

    def __init__(self, secret: bytes) -> None:
        """Keep it; raise ValueError for one that could be guessed or doesn't fit into a header."""
        if len(secret) < MIN_CREDENTIAL_CHARACTERS or not secret.isascii() or b" " in secret:
            raise ValueError(
                f"expected at least {MIN_CREDENTIAL_CHARACTERS} visible ASCII characters"
            )
        self._secret = secret

    @classmethod
    def read(cls, path: Path) -> "Credential":
        """Return the credential in a private file; white space around it doesn't count.

        :raises PrivateFileError: when it is missing, readable by others, or could be guessed.
        """
        data = read_private(path, _MAX_CREDENTIAL_BYTES)
        if data is None:
            raise PrivateFileError(
                f"{path}: isn't there; make one: openssl rand -hex 32 > {path.name}"
            )
        try:
            return cls(data.strip())
        except ValueError as error:
            raise PrivateFileError(f"{path}: {error}") from None

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Credential(...)"

    def matches(self, sent: bytes) -> bool:
        """Tell whether this is it, in constant time."""
        return hmac.compare_digest(sent, self._secret)


Fields = Sequence[tuple[bytes, bytes]]

PREFIX: Final = b"/authz"
"""The path of forward auth; in the ``envoy`` style the original path follows it."""

TOLD: Final = b"/authz/told"
"""The path at which an engine asks that can pass on no answer but 401 and 403, as nginx: it gets 403 for every
refusal, and the refusal in fields.  A path, since no client has a say in it."""
BARE: Final = b"/authz/bare"
"""The path for engines that remove by themselves each result which an answer hasn't, as Traefik: it has no empty one.
Such an engine says nothing of a body either, so that on routes with a proof there may always be one that nobody compared.
The API that is asked about may follow: an engine that can't demand its name in the answer puts it into the question."""

_HOP_FIELDS: Final = (b"host", b"content-length", b"transfer-encoding", b"connection")
"""Fields of the question itself; the original ones come from the engine."""

_REQUIRED: Final = (b"method", b"uri", b"host")
_TOLD_TOO: Final = (b"connection", b"content-length", b"transfer-encoding")
_GENERATION: Final = b"generation"


class Question(NamedTuple):
    """Hold the original request as the engine tells it.

    :param target: raw path, and the raw query behind ``?``.
    :param fields: header fields, ``Host`` and framing those of the original request.
    :param unseen: whether it has a body that the engine keeps to itself.
    :param generation: of the bundle that the engine's configuration was written from, where it keeps verdicts.
    :param proved: whether fields of a proof are among them; not looked for in the ``envoy`` style.
    """

    method: str
    target: bytes
    fields: list[tuple[bytes, bytes]]
    unseen: bool = False
    generation: bytes = b""
    proved: bool = False


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


class _Plan(NamedTuple):
    """Hold what follows from a question's names alone: where its fields stand.

    :param required: where method, target and host are.
    :param told: the engine's other words on the request, and where they are.
    :param generation: None where the engine keeps no verdicts.
    :param crooked: whether one of the request's own says where a client comes from, by a name that an engine without
        expressions doesn't know: with another sign for a hyphen, or of no known meaning.
    :param rewriting: whether one of them asks a framework for another path or method, in such a disguise.
    :param pick: returns the request's own fields.
    """

    required: tuple[int, int, int]
    told: tuple[tuple[bytes, int], ...]
    generation: int | None
    proved: bool
    crooked: bool
    rewriting: bool
    pick: Callable[[Fields], Fields]


@cached_by_names(entries=512, most=MAX_HEADER_BYTES)
def _plan(word: bytes, names: tuple[bytes, ...]) -> _Plan | Refusal:
    """Return where the fields of a question stand, or why it says nothing clear.

    :param word: what stands in the engine's names between ``X-`` and the part that each tells.
    """
    prefix = b"x-" + word + b"-"
    deciding = {prefix + part: part for part in (*_REQUIRED, *_TOLD_TOO, _GENERATION)}
    at: dict[bytes, int] = {}
    kept, crooked, rewriting = [], False, False
    for place, name in enumerate(names):
        canonical = canonical_name(name.lower())
        disguised = canonical != name
        strange = is_client_side(canonical) if disguised else is_unlisted(canonical)
        crooked = crooked or (strange and canonical not in deciding)
        rewriting = rewriting or (disguised and canonical in REWRITING_FIELDS)
        if canonical in deciding:
            if canonical != name or deciding[name] in at:
                return _malformed("got a header that names the request more than once")
            at[deciding[name]] = place
        elif name not in _HOP_FIELDS and name != CREDENTIAL_HEADER:
            kept.append(place)
    missing = [prefix + part for part in _REQUIRED if part not in at]
    if missing:
        return _malformed(f"expected {b', '.join(missing).decode('ascii')} from the engine")
    return _Plan(
        (at[b"method"], at[b"uri"], at[b"host"]),
        tuple((part, at[part]) for part in _TOLD_TOO if part in at),
        at.get(_GENERATION),
        not PROOF_FIELDS.isdisjoint(names),
        crooked,
        rewriting,
        # One call for all of them; it wants two at the least.
        itemgetter(*kept) if len(kept) > 1 else lambda fields: [fields[place] for place in kept],
    )


def _of_headers(scope: Scope, word: bytes) -> Question | Refusal:
    """Return what stands in three headers that the engine overwrites.

    The engine says how long the original body is in two more, and what the connection is told in a
    third; it doesn't send the body, so that a request with one ends on routes with a proof.
    """
    raw_path, _ = asked_at(scope)
    if raw_path not in {PREFIX, TOLD, BARE} or scope["query_string"]:
        return _malformed("expected the path /authz without a query")
    headers: Fields = scope["headers"]
    names, values = zip(*headers, strict=True) if headers else ((), ())
    plan = _plan(word, names)
    if isinstance(plan, Refusal):
        return plan
    method, uri, host = plan.required
    fields = [(b"host", values[host]), *plan.pick(headers)]
    if plan.rewriting or (plan.crooked and raw_path != PREFIX):
        # Engines that remove the client's word of it know these names one by one, and an API by any sign for -.
        return _malformed(
            "got a field of where a client comes from by a name that the engine doesn't know"
        )
    bare = raw_path == BARE
    unseen = bare
    if bare:
        fields.append((b"transfer-encoding", b"chunked"))
    # What stands there in the name of an engine that says nothing of it is a client's own word.
    for part, place in () if bare else plan.told:
        if values[place]:
            fields.append((part, values[place]))
            unseen = unseen or part != b"connection"
    # Whoever asks at the other path keeps nothing, and may pass on what a client sent by this name.
    at = plan.generation if raw_path == TOLD else None
    generation = b"" if at is None else values[at]
    asked = values[method].decode("latin-1")
    return Question(asked, values[uri], fields, unseen, generation, plan.proved)


def asked_at(scope: Scope) -> tuple[bytes, bytes | None]:
    """Return the path of a question in headers, and the API that it names behind :data:`BARE`, None if it names none."""
    raw_path: bytes = scope["raw_path"]
    if raw_path.startswith(BARE + b"/"):
        return BARE, raw_path.removeprefix(BARE + b"/")
    return raw_path, None


def of_original(scope: Scope) -> Question | Refusal:
    """Return what nginx or HAProxy ask about, by ``X-Original-Method``, ``-URI`` and ``-Host``."""
    return _of_headers(scope, b"original")


def of_forwarded(scope: Scope) -> Question | Refusal:
    """Return what Traefik or Caddy ask about, by ``X-Forwarded-Method``, ``-Uri`` and ``-Host``."""
    return _of_headers(scope, b"forwarded")


STYLES: Final[Mapping[str, Callable[[Scope], Question | Refusal]]] = {
    "envoy": of_envoy,
    "original": of_original,
    "forwarded": of_forwarded,
}
"""The ways to ask, as ``authz.style`` names them."""


def scope_of(question: Question, scope: Scope) -> Scope:
    """Return the ASGI scope of the original request, for the middleware to judge."""
    raw_path, _, query = question.target.partition(b"?")
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    return {
        **scope,
        "type": "http",
        "method": question.method,
        "path": path.decode("utf-8", "surrogateescape"),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": question.fields,
    }


def _malformed(detail: str) -> Refusal:
    return Refusal(Reason.REQUEST_MALFORMED, detail)


MAX_KEPT_SECONDS: Final = 30
"""The longest that any engine keeps a verdict, whatever the token's life."""

_ROUNDED_UP: Final = 1
"""Seconds by which nginx may serve an entry longer than it was told, since it counts whole ones."""

_MAX_JOSE_HEADER_BYTES: Final = 2048


def kept_seconds(
    decision: Decision, state: GateState, policy: GatePolicy, token: bytes, now: float
) -> int:
    """Return for how many seconds the next request of this token to the same target would pass too; 0 for not at all.

    Only where nothing but the token decides: whatever counts requests, looks at other fields or spends a proof
    has to see each of them.

    :param decision: one that lets the request pass.
    :param token: as the request carried it, verified.
    :param now: seconds since 1970.
    """
    claims = decision.claims
    route = _route(policy, decision.route)
    if claims is None or route is None or decision.refusals or not _rests_on_the_token(route):
        return 0
    if policy.rate is not None or policy.limits or policy.binding_header is not None:
        return 0
    if state.canaries is not None:
        # A planted key can stand in any field; each request is searched for them.
        return 0
    until = min(claims.expires_at, _end_of_key(state, token))
    return max(0, math.floor(min(MAX_KEPT_SECONDS, until - now)) - _ROUNDED_UP)


def _route(policy: GatePolicy, name: str) -> Route | None:
    return next((route for route in policy.routes if route.name == name), None)


def _rests_on_the_token(route: Route) -> bool:
    return route.mode is Mode.ENFORCE and route.proof is Proof.BEARER and route.secret is None


def _end_of_key(state: GateState, token: bytes) -> float:
    """Return when the key of a verified token retires."""
    head = base64url.decode(token.partition(b".")[0].decode("ascii"), _MAX_JOSE_HEADER_BYTES)
    key = state.find(str(strict_json.loads(head, _MAX_JOSE_HEADER_BYTES).get("kid")))
    if key is None:
        # Withdrawn since it was verified.
        return -math.inf
    return math.inf if key.verify_until is None else key.verify_until
