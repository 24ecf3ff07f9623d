"""Read Envoy's access log, and put its words for its own checks into reasons.

The words are those of ``%RESPONSE_CODE_DETAILS%`` (Envoy's documentation, "Response code details") and of
``%RESPONSE_FLAGS%`` (the same, "Access logging").  What is refused by the script names its reason itself.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.apps.engines.logs.fields import by_status, common, text
from watchword.reasons import Reason

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


def read(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :class:`watchword.apps.engines.logs.interface.EngineLog`."""
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
    return None if details == _ASKED else by_status(refusal.status)


def _refused_by_route(refusal: EngineRefusal) -> Reason | None:
    if refusal.route.startswith("named-"):
        return Reason.REQUEST_HEADER_DUPLICATED
    # Where a row refuses by itself, it is for its methods, or for want of the proof that it asks for.
    of_rows = {401: Reason.PROOF_MISSING, 403: Reason.GATE_ROUTE_UNKNOWN}
    return _ROUTES.get(refusal.route) or of_rows.get(refusal.status) or by_status(refusal.status)
