"""Read the lines that engines write of what they refused: strictly, each member capped, and nothing quoted.

**Caddy**, its own access log (its documentation, "log" directive, format ``json``).  Caddy asks Python about each request and passes its refusal on.  The reason is in the reference that the client
was told, which is sealed and needs no log; the log shows which requests were refused, and what Caddy answered
while Python or the API didn't.  A line with the common members (``time``, ``ref``, ``status``) is read as they are.

**Envoy**: its words for its own checks become reasons.  They are those of ``%RESPONSE_CODE_DETAILS%`` (Envoy's documentation, "Response code details") and of
``%RESPONSE_FLAGS%`` (the same, "Access logging").  What is refused by the script names its reason itself.

**HAProxy**, by a configuration of ``watchword gate config --engine haproxy``.  The configuration names the reason of each refusal that is its own; what HAProxy refuses before it gets there
(a request that can't be read, an API that doesn't answer) is known by its status alone.

**nginx**, by a configuration of ``watchword gate config --engine nginx``.  The configuration names the reason of each refusal that is its own; what nginx refuses before it gets there
(a request that can't be read, an API that doesn't answer) is known by its status alone.

**Traefik**, in the format ``json``, with the members that its configuration here keeps.  Traefik asks Python about each request and passes its refusal on.  The reason is in the reference that the client was
told, which is sealed and needs no log; the log shows which requests were refused, and what Traefik answered while
Python or the API didn't.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.gate.tallies import INVALID
from watchword.public_classes import PROBLEM_MEDIA_TYPE
from watchword.reasons import Reason, WatchwordError
from watchword.vocabulary import ClaimedStatus


class LogLineError(WatchwordError):
    """Report a line that isn't what the engine writes: what was got, what was expected, nothing quoted."""


EngineLog = Callable[[Mapping[str, Any]], EngineRefusal | None]
"""Return the refusal of a line's JSON object, None for an answer that the engine didn't refuse; raises
:class:`LogLineError` when the line isn't one of this engine's."""

MAX_TEXT_CHARACTERS: Final = 200
"""Most characters of a text that are kept; what is longer is cut, and ends in an ellipsis."""

MAX_REF_CHARACTERS: Final = 512
"""Most characters of a reference; an id of a request has 36, a sealed one of /authz some 230."""

_REF: Final = re.compile(r"[A-Za-z0-9._~:=+/-]*")
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_NOTHING: Final = frozenset({None, "", "-"})
_FIRST_ERROR: Final = 400
_BY_STATUS: Final = {
    400: Reason.REQUEST_MALFORMED,
    408: Reason.REQUEST_TIMEOUT,
    413: Reason.REQUEST_BODY_TOO_LARGE,
    414: Reason.REQUEST_MALFORMED,
    429: Reason.GATE_RATE,
    431: Reason.REQUEST_HEADERS_TOO_LARGE,
    500: Reason.GATE_INTERNAL,
    502: Reason.GATE_UPSTREAM,
    504: Reason.GATE_UPSTREAM,
}


def common(members: Mapping[str, Any]) -> EngineRefusal:
    """Return the refusal that the common members tell; members of other names are left alone.

    :raises LogLineError: when one of them is missing that has to be there, or isn't what it has to be.
    """
    return EngineRefusal(
        at=instant(members.get("time")),
        ref=reference(members.get("ref")),
        route=text(members, "route"),
        status=status(members.get("status")),
        reason=reason(members.get("reason")),
        details=text(members, "details"),
        method=text(members, "method"),
        instance=text(members, "instance"),
        client=text(members, "client"),
        milliseconds=milliseconds(members.get("milliseconds")),
    )


def claim(members: Mapping[str, Any]) -> EngineRefusal | None:
    """Return what an app claimed in a request that sends no token (``claimed``), None where it claimed nothing.

    Of what it says one of the four words is kept, and nothing else.

    :raises LogLineError: as :func:`common` does.
    """
    said = text(members, "claimed")
    # Python counted what it was asked about.
    if not said or text(members, "details") == _ASKED:
        return None
    told = common(members)
    known = said if said in set(ClaimedStatus) else INVALID
    return EngineRefusal(
        at=told.at, ref="", route=told.route, status=told.status, reason=None, claimed=known
    )


def text(members: Mapping[str, Any], name: str) -> str:
    """Return a text, empty where the engine writes that there is none (absent, null or ``-``)."""
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise LogLineError(f"got {_kind(value)} for {name}, expected text")
    if value is None or value in _NOTHING:
        return ""
    return value if len(value) <= MAX_TEXT_CHARACTERS else value[: MAX_TEXT_CHARACTERS - 1] + "…"


def reference(value: Any) -> str:
    """Return a request's id; empty where the engine had none yet."""
    if value is None or value == "-":
        return ""
    if not isinstance(value, str) or len(value) > MAX_REF_CHARACTERS or not _REF.fullmatch(value):
        raise LogLineError(
            f"expected a ref of at most {MAX_REF_CHARACTERS} letters, digits and some signs"
        )
    return value


def status(value: Any) -> int:
    """Return an HTTP status; 0 is what engines write where nothing was answered."""
    found = _number(value, "status")
    if found != 0 and not 100 <= found <= 599:
        raise LogLineError("expected a status from 100 to 599")
    return int(found)


def reason(value: Any) -> Reason | None:
    """Return the reason of a code, None where the engine names none."""
    if value is None or (isinstance(value, str) and value in _NOTHING):
        return None
    try:
        return Reason.from_code(value)
    except (KeyError, TypeError):
        raise LogLineError("got a reason that this version doesn't know") from None


def milliseconds(value: Any) -> int | None:
    """Return a duration in whole milliseconds."""
    if value is None or value == "-":
        return None
    return min(int(_number(value, "milliseconds")), 2**53)


def instant(value: Any) -> datetime:
    """Return an instant: of ISO 8601 with its offset, or of seconds since 1970."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value[:64])
        else:
            found = datetime.fromtimestamp(_number(value, "time"), UTC)
        if found.tzinfo is not None and _FIRST <= found < _LAST:
            return found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise LogLineError("expected a time as 2026-11-27T18:54:29.302Z, or in seconds since 1970")


def _refused(
    refusal: EngineRefusal, known: Mapping[int, Reason] = _BY_STATUS
) -> EngineRefusal | None:
    """Return an answer of 400 and above with what its status means where the engine tells nothing else.

    A row in monitor mode names why it would have refused, and passes the request on.
    """
    if refusal.status < _FIRST_ERROR:
        return None
    return replace(refusal, reason=refusal.reason or known.get(refusal.status))


def _number(value: Any, name: str) -> float:
    """Return a number, also of one in quotes: not each engine's log can write others."""
    number: float = -1
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", value):
        number = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    if not math.isfinite(number) or not 0 <= number < 2**63:
        raise LogLineError(f"got {_kind(value)} for {name}, expected a number")
    return number


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


_REF_HEADERS: Final = ("watchword-ref", "x-request-id")

_MAX_OWN_REF: Final = 40
"""Most characters of a reference that Caddy makes itself (a UUID); sealed ones are longer."""

_CADDYS_OWN: Final = {
    401: Reason.PROOF_BODY,
    502: Reason.GATE_UPSTREAM,
    503: Reason.GATE_STATE_UNAVAILABLE,
    504: Reason.GATE_UPSTREAM,
}
"""What Caddy answers by itself: to a body that no proof covers, and in the place of who doesn't answer."""


def read_caddy(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :data:`EngineLog`."""
    if "request" not in members and "time" in members:
        return _refused(common(members))
    request = _object(members.get("request"), "request")
    answered = status(members.get("status"))
    sent = _headers(members.get("resp_headers"))
    by_caddy = answered in {502, 503, 504}
    if not by_caddy and not sent.get("content-type", "").startswith(PROBLEM_MEDIA_TYPE):
        # What the API answers by itself is no refusal of the gate's.
        return None
    known = (reference(sent.get(name)) for name in _REF_HEADERS)
    ref = next((each for each in known if each), "")
    return EngineRefusal(
        at=instant(members.get("ts")),
        ref=ref,
        route=text(members, "route"),
        status=answered,
        reason=_CADDYS_OWN.get(answered) if len(ref) <= _MAX_OWN_REF else None,
        method=text(request, "method"),
        client=text(request, "client_ip") or text(request, "remote_ip"),
        milliseconds=_of_seconds(members.get("duration")),
    )


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise LogLineError(f"expected the member {name} of a line that Caddy writes")
    return value


def _headers(value: Any) -> Mapping[str, str]:
    """Return the first value of each field, by its name in lower case."""
    found = {}
    for name, values in _object({} if value is None else value, "resp_headers").items():
        first = values[0] if isinstance(values, list) and values else values
        if isinstance(first, str):
            found[name.lower()] = first
    return found


def _of_seconds(value: Any) -> int | None:
    """Return a duration that Caddy writes in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**40:
        return int(value * 1000)
    return None


_OF_THE_API: Final = "via_upstream"
"""Envoy's word for an answer of the API's own."""

_ASKED: Final = "ext_authz_denied"
"""Python refused; its reason is in the reference that the client was told, which is sealed."""

_TOKENS: Final = {
    "Jwt_is_missing": Reason.TOKEN_MISSING,
    "Jwt_is_expired": Reason.TOKEN_EXPIRED,
    "Jwt_not_yet_valid": Reason.TOKEN_EARLY,
    "Jwt_verification_fails": Reason.TOKEN_SIGNATURE,
    "Audiences_in_Jwt_are_not_allowed": Reason.TOKEN_AUDIENCE,
    "Jwt_issuer_is_not_configured": Reason.TOKEN_ISSUER,
    "Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt": Reason.TOKEN_KEY_UNKNOWN,
}
_POLICIES: Final = {
    "ambiguous": Reason.REQUEST_HEADER_DUPLICATED,
    "level": Reason.GATE_LEVEL,
    "revoked": Reason.TOKEN_INSTANCE_REVOKED,
    "cut": Reason.TOKEN_EXPIRED,
    "uncounted": Reason.GATE_STATE_UNAVAILABLE,
    "environment": Reason.TOKEN_ENVIRONMENT,
    "spelling": Reason.TOKEN_MALFORMED,
    "unnamed": Reason.GATE_STATE_UNAVAILABLE,
}
_ROUTES: Final = {
    "tunnel": Reason.GATE_PROTOCOL,
    "target": Reason.REQUEST_PATH_AMBIGUOUS,
    "normalised": Reason.REQUEST_PATH_AMBIGUOUS,
    "ambiguous": Reason.GATE_ROUTE_AMBIGUOUS,
    "host": Reason.REQUEST_HOST,
    "method": Reason.REQUEST_MALFORMED,
    "trace": Reason.GATE_ROUTE_UNKNOWN,
    "length": Reason.REQUEST_FRAMING,
    "two-credentials": Reason.REQUEST_HEADER_DUPLICATED,
    "unknown": Reason.GATE_ROUTE_UNKNOWN,
}
_BEGINNINGS: Final = (
    ("local_rate_limited", Reason.GATE_RATE),
    ("request_payload_too_large", Reason.REQUEST_BODY_TOO_LARGE),
    ("http1.headers_too_large", Reason.REQUEST_HEADERS_TOO_LARGE),
    ("http1.too_many_headers", Reason.REQUEST_HEADERS_TOO_LARGE),
    ("http2.too_many_headers", Reason.REQUEST_HEADERS_TOO_LARGE),
    ("request_headers_too_large", Reason.REQUEST_HEADERS_TOO_LARGE),
    ("path_normalization_failed", Reason.REQUEST_PATH_AMBIGUOUS),
    ("missing_host_header", Reason.REQUEST_HOST),
    ("request_header_timeout", Reason.REQUEST_TIMEOUT),
    ("request_overall_timeout", Reason.REQUEST_TIMEOUT),
    ("stream_idle_timeout", Reason.REQUEST_TIMEOUT),
    ("route_not_found", Reason.GATE_ROUTE_UNKNOWN),
    ("failed_to_inject_credential", Reason.SECRET_UNAVAILABLE),
    ("ext_authz_error", Reason.GATE_STATE_UNAVAILABLE),
    ("overload", Reason.GATE_OVERLOADED),
    ("http1.", Reason.REQUEST_MALFORMED),
    ("http2.", Reason.REQUEST_MALFORMED),
    ("upstream_", Reason.GATE_UPSTREAM),
    ("no_healthy_upstream", Reason.GATE_UPSTREAM),
    ("cluster_not_found", Reason.GATE_UPSTREAM),
)
_UPSTREAM_FLAGS: Final = frozenset(
    {"UH", "UF", "UT", "LR", "UR", "UC", "UO", "URX", "UPE", "UMSDR", "NC"}
)


def read_envoy(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :data:`EngineLog`."""
    refusal = common(members)
    if refusal.reason is not None:
        return refusal
    if refusal.details == _OF_THE_API:
        return None
    return replace(refusal, reason=_meaning(refusal, text(members, "flags")))


def _meaning(refusal: EngineRefusal, flags: str) -> Reason | None:
    details = refusal.details
    kind, _, which = details.partition("{")
    if kind == "jwt_authn_access_denied":
        # All other words of it are on how the token is written.
        return _TOKENS.get(which.removesuffix("}"), Reason.TOKEN_MALFORMED)
    kind, _, which = details.partition("[")
    if kind == "rbac_access_denied_matched_policy":
        return _POLICIES.get(which.removesuffix("]"))
    if details == "direct_response":
        return _refused_by_route(refusal)
    for beginning, found in _BEGINNINGS:
        if details.startswith(beginning):
            return found
    if _UPSTREAM_FLAGS.intersection(flags.split(",")):
        return Reason.GATE_UPSTREAM
    return None if details == _ASKED else _BY_STATUS.get(refusal.status)


def _refused_by_route(refusal: EngineRefusal) -> Reason | None:
    if refusal.route.startswith("named-"):
        return Reason.REQUEST_HEADER_DUPLICATED
    # Where a row refuses by itself, it is for its methods, or for want of the proof that it asks for.
    of_rows = {401: Reason.PROOF_MISSING, 403: Reason.GATE_ROUTE_UNKNOWN}
    return (
        _ROUTES.get(refusal.route) or of_rows.get(refusal.status) or _BY_STATUS.get(refusal.status)
    )


_HAPROXYS: Final = {**_BY_STATUS, 503: Reason.GATE_UPSTREAM}
"""Without a reason of the gate's, 503 is what HAProxy answers where no server of the API takes a request."""


def read_haproxy(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :data:`EngineLog`."""
    return _refused(common(members), _HAPROXYS)


_CLIENT_LEFT = 499
"""What nginx notes of a client that went away before its answer: nothing was refused."""


def read_nginx(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :data:`EngineLog`."""
    refusal = common(members)
    return None if refusal.status == _CLIENT_LEFT else _refused(refusal)


_NO_API: Final = frozenset({502, 504})
"""What Traefik answers in the place of an API that doesn't; it says of both that the API did."""

_NO_PYTHON: Final = 500
"""What it answers in the place of Python."""

_NANOSECONDS: Final = 1_000_000


def read_traefik(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :data:`EngineLog`."""
    answered = status(members.get("DownstreamStatus"))
    ref = reference(members.get("downstream_Watchword-Ref"))
    own = None if ref else _traefiks_own(answered, status(members.get("OriginStatus", 0)))
    # What the API answers by itself is no refusal of the gate's.
    if answered < _FIRST_ERROR or not (ref or own):
        return None
    return EngineRefusal(
        at=instant(members.get("StartUTC")),
        ref=ref,
        route="",
        status=answered,
        reason=own,
        method=text(members, "RequestMethod"),
        client=text(members, "ClientHost"),
        milliseconds=_of_nanoseconds(members.get("Duration")),
    )


def _traefiks_own(answered: int, by_api: int) -> Reason | None:
    """Return the reason of what Traefik answered by itself, as far as its log tells that from the API's answers."""
    if answered in _NO_API:
        return Reason.GATE_UPSTREAM
    return Reason.GATE_STATE_UNAVAILABLE if answered == _NO_PYTHON and not by_api else None


def _of_nanoseconds(value: Any) -> int | None:
    """Return a duration that Traefik writes in nanoseconds."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value // _NANOSECONDS
    return None


ENGINE_LOGS: Final[Mapping[str, EngineLog]] = {
    "envoy": read_envoy,
    "nginx": read_nginx,
    "nginx-authz": read_nginx,
    "haproxy": read_haproxy,
    "caddy": read_caddy,
    "traefik": read_traefik,
}
"""By the engine's name, what reads a line of its log."""

NOTICES: Final[Mapping[str, tuple[bytes, ...]]] = {"haproxy": (b"Proxy ",)}
"""By the engine's name, how lines begin that it writes between those of requests: when a process of it ends."""


def engine_of(members: Mapping[str, Any]) -> str:
    """Return which engine wrote a line, as far as the line shows it.

    :raises LogLineError: when it doesn't.
    """
    if "request" in members:
        return "caddy"
    if "DownstreamStatus" in members:
        return "traefik"
    if "flags" in members and "details" in members:
        return "envoy"
    raise LogLineError("the line doesn't show which engine wrote it: say --engine")
