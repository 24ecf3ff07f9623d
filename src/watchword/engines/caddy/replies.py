"""Write the refusals that Caddy words itself: of bodies that no proof covers, and where somebody doesn't answer."""

from collections.abc import Mapping, Sequence
from typing import Final

from watchword.engines.forward_auth.problems import RETRY_AFTER_SECONDS, problem
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PublicClass

_REF: Final = "{http.request.uuid}"
_MARK: Final = "REFERENCE"

Json = Mapping[str, object]


def refused_body() -> Sequence[Json]:
    """Return what refuses a body that came though the proof of its request covers none."""
    return _refusal(PublicClass.PROOF_REFUSED)


def error_routes() -> Sequence[Json]:
    """Return what is answered where the API doesn't answer, and where /authz doesn't."""
    return [
        {
            "match": [{"vars": {"{http.vars.watchword}": ["passed"]}}],
            "handle": _refusal(PublicClass.UPSTREAM_UNREACHABLE),
            "terminal": True,
        },
        {"handle": unavailable(), "terminal": True},
    ]


def unavailable() -> Sequence[Json]:
    """Return what is answered where nobody judges."""
    return _refusal(PublicClass.UNAVAILABLE)


def _refusal(public: PublicClass) -> Sequence[Json]:
    fields = {
        "Content-Type": [PROBLEM_MEDIA_TYPE],
        "Cache-Control": ["no-store"],
        # For the log, which sees no bodies.
        "Watchword-Ref": [_REF],
    }
    if public.status == PublicClass.TOKEN_REQUIRED.status:
        fields["Www-Authenticate"] = ["Watchword"]
    if public in {PublicClass.UNAVAILABLE, PublicClass.UPSTREAM_UNREACHABLE}:
        fields["Retry-After"] = [str(RETRY_AFTER_SECONDS)]
    # Braces that belong to the text and not to a placeholder.
    text = problem(public, _MARK).replace("{", "\\{").replace("}", "\\}").replace(_MARK, _REF)
    return [
        {"handler": "vars", "skip_log": False},
        {
            "handler": "static_response",
            "status_code": public.status,
            "headers": fields,
            "body": text,
        },
    ]
