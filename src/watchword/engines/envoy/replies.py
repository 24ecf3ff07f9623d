"""Write what refused clients are told, and what operators read of it in the access log."""

from typing import Final

from watchword.encoding import strict_json
from watchword.engines.envoy.names import TOKEN_HEADER, typed
from watchword.engines.envoy.yaml_text import Commented
from watchword.gate.interface import Rate
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE, PublicClass

_REQUEST_ID: Final = "%REQ(X-REQUEST-ID)%"

_UPSTREAM_FLAGS: Final = ["UH", "UF", "UT", "LR", "UR", "UC", "UO", "URX", "UPE", "UMSDR"]
_UNAVAILABLE: Final = 503


def local_replies(rate: Rate | None) -> dict[str, object]:
    """Return how Envoy's own answers are rewritten; the first that matches decides.

    Envoy's texts name the check that failed.  A stranger learns the public class, as from every other
    mouth of the gate, and the id under which the operator finds the rest in the access log.
    """
    wait = "1" if rate is None else str(-(-rate.seconds // rate.requests))
    denied = "response.code_details.startsWith('jwt_authn_access_denied')"
    mappers = [
        Commented(
            {"filter": _cel(_or(_details("ext_authz_denied"), _details("lua_response")))},
            "Python and the script word their refusals themselves.",
        ),
        _rewrite(
            _cel(f"{denied} && !('{TOKEN_HEADER}' in request.headers)"), PublicClass.TOKEN_REQUIRED
        ),
        _rewrite(_cel(denied), PublicClass.TOKEN_REFUSED),
        _denied_by("ambiguous", PublicClass.REQUEST_MALFORMED),
        _denied_by("level", PublicClass.LEVEL_INSUFFICIENT),
        _denied_by("unnamed", PublicClass.UNAVAILABLE),
        _rewrite(
            _cel("response.code_details.startsWith('rbac_access_denied')"),
            PublicClass.TOKEN_REFUSED,
        ),
        # A quota that is spent says itself when its window ends.
        _rewrite(
            _cel("response.code == 429 && 'retry-after' in response.headers"),
            PublicClass.RATE_LIMITED,
        ),
        _rewrite(
            _status(429),
            PublicClass.RATE_LIMITED,
            [{"header": {"key": "retry-after", "value": wait}}],
        ),
        _rewrite(
            _cel("response.code_details.startsWith('failed_to_inject_credential')"),
            PublicClass.UNAVAILABLE,
        ),
        _rewrite(_cel(_details("upstream_per_try_idle_timeout")), PublicClass.UPSTREAM_UNREACHABLE),
        _rewrite(
            {"response_flag_filter": {"flags": _UPSTREAM_FLAGS}}, PublicClass.UPSTREAM_UNREACHABLE
        ),
        # A direct answer of 401 stands where a proof over a body would be needed.
        _rewrite(_status(401), PublicClass.PROOF_REQUIRED),
        _rewrite(_status(403), PublicClass.ROUTE_REFUSED),
        _rewrite(_status(404), PublicClass.ROUTE_REFUSED),
        _rewrite(_status(408), PublicClass.REQUEST_TIMEOUT),
        _rewrite(_status(413), PublicClass.BODY_TOO_LARGE),
        _rewrite(_status(431), PublicClass.HEADERS_TOO_LARGE),
        _rewrite(_status(_UNAVAILABLE), PublicClass.UNAVAILABLE),
        _rewrite(_status(500), PublicClass.INTERNAL),
        _rewrite(_status(400, "GE"), PublicClass.REQUEST_MALFORMED),
    ]
    return {"mappers": mappers}


def _rewrite(
    which: dict[str, object], public: PublicClass, more: "list[dict[str, object]] | None" = None
) -> dict[str, object]:
    problem = {
        "type": PROBLEM_TYPE + public.slug,
        "title": public.title,
        "status": public.status,
        "ref": _REQUEST_ID,
    }
    headers: list[dict[str, object]] = [{"header": {"key": "cache-control", "value": "no-store"}}]
    if public.status == PublicClass.TOKEN_REQUIRED.status:
        headers.append({"header": {"key": "www-authenticate", "value": "Watchword"}})
    for header in (*headers, *(more or ())):
        header["append_action"] = "OVERWRITE_IF_EXISTS_OR_ADD"
    return {
        "filter": which,
        "status_code": public.status,
        "body_format_override": {
            "text_format_source": {"inline_string": strict_json.dumps(problem).decode()},
            "content_type": PROBLEM_MEDIA_TYPE,
        },
        "headers_to_add": [*headers, *(more or ())],
    }


def _denied_by(policy: str, public: PublicClass) -> dict[str, object]:
    """Return how a refusal by one of our matchers is rewritten."""
    return _rewrite(_cel(_details(f"rbac_access_denied_matched_policy[{policy}]")), public)


def _cel(expression: str) -> dict[str, object]:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": typed(
                "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                {"expression": expression},
            ),
        }
    }


def _details(text: str) -> str:
    return f"response.code_details == '{text}'"


def _or(*expressions: str) -> str:
    return " || ".join(expressions)


def _status(status: int, comparison: str = "EQ") -> dict[str, object]:
    return {
        "status_code_filter": {
            "comparison": {
                "op": comparison,
                "value": {"default_value": status, "runtime_key": "watchword.never_set"},
            }
        }
    }


def access_log(path: str) -> dict[str, object]:
    """Return the log of refusals: JSON lines, from which a ``ref`` is explained.

    Requests that passed aren't logged: each line costs as much as a token check.
    """
    fields = {
        "time": "%START_TIME%",
        "ref": _REQUEST_ID,
        "route": "%ROUTE_NAME%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "reason": "%DYNAMIC_METADATA(watchword:reason)%",
        "method": "%REQ(:METHOD)%",
        "instance": "%REQ(WATCHWORD-INSTANCE)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "milliseconds": "%DURATION%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "filter": _status(400, "GE"),
        "typed_config": typed(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            {"path": path, "log_format": {"json_format": fields}},
        ),
    }
