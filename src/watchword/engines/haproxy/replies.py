"""Write what refused clients are told, and what operators read of it in the log."""

from collections.abc import Iterator
from typing import Final

from watchword.encoding import strict_json
from watchword.engines.haproxy.rates import retry_after
from watchword.engines.haproxy.text import rule, word
from watchword.gate.interface import Rate
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE, PublicClass
from watchword.reasons import Reason

RETRY_SECONDS: Final = 1
"""After which a client may try again where something isn't there for a moment."""

_REASONS: Final = (
    *(each for each in Reason if each.code.startswith(("token.", "proof."))),
    *(Reason.REQUEST_MALFORMED, Reason.REQUEST_HEADERS_TOO_LARGE, Reason.REQUEST_HOST),
    *(Reason.REQUEST_FRAMING, Reason.REQUEST_HEADER_DUPLICATED, Reason.REQUEST_PATH_AMBIGUOUS),
    *(
        Reason.REQUEST_LENGTH_REQUIRED,
        Reason.REQUEST_BODY_TOO_LARGE,
        Reason.GATE_PROTOCOL,
        Reason.GATE_ROUTE_UNKNOWN,
        Reason.GATE_ROUTE_AMBIGUOUS,
    ),
    *(Reason.GATE_LEVEL, Reason.GATE_APP_VERSION, Reason.GATE_RATE, Reason.GATE_REPLAY_FULL),
    *(Reason.GATE_REPLAY_UNAVAILABLE, Reason.GATE_STATE_UNAVAILABLE),
)

LOG_LEVEL: Final = "err"
"""Of all that is logged; HAProxy's notices on itself, which are no JSON, are less, and so left out."""


def _log_format(moment: str) -> str:
    return (
        f"%{{+json}}o %(time)[{moment},ms_utime(%Y-%m-%dT%H:%M:%S.%3NZ)] %(ref)[var(txn.ref)] "
        + _FIELDS
    )


_FIELDS: Final = (
    "%(route)[var(txn.row),field(6,:,0)] %(status)ST %(reason)[var(txn.reason)] %(details)tsc "
    "%(method)[var(txn.method)] %(instance)[var(txn.sub)] %(client)ci %(milliseconds)Ta"
)
LOG_FORMAT: Final = _log_format("request_date(ms)")
"""The fields that every engine writes; no query, token, proof or body is in them."""

ERROR_LOG_FORMAT: Final = _log_format("date(0,ms)")
"""The same where a request can't be parsed: it has no time of its own."""


def problem(public: PublicClass, reference: str) -> str:
    """Return a problem (RFC 9457); members in the order of their names."""
    members = {
        **({"ref": reference} if reference else {}),
        "status": public.status,
        "title": public.title,
        "type": PROBLEM_TYPE + public.slug,
    }
    return strict_json.dumps(members).decode()


def named(condition: str) -> str:
    """Return the rule that gives a request its reference; one that passes needs none, which costs as much as a rule."""
    return rule("set-var(txn.ref) uuid()", condition)


def refusals(rate: Rate | None) -> Iterator[str]:
    """Yield the rules that answer whatever has a reason."""
    yield named("{ var(txn.reason) -m found }")
    by_class: dict[PublicClass, list[str]] = {}
    for reason in _REASONS:
        by_class.setdefault(reason.public, []).append(reason.code)
    for public, codes in by_class.items():
        headers = "hdr cache-control no-store"
        if public is PublicClass.TOKEN_REQUIRED:
            headers += " hdr www-authenticate Watchword"
        if public is PublicClass.UNAVAILABLE:
            headers += f" hdr retry-after {RETRY_SECONDS}"
        if public is PublicClass.RATE_LIMITED:
            headers += (
                f" hdr retry-after {word(f'%[{retry_after(rate)}]') if rate else RETRY_SECONDS}"
            )
        text = word(problem(public, "%[var(txn.ref)]"))
        yield rule(
            f"return status {public.status} content-type {PROBLEM_MEDIA_TYPE} lf-string {text} {headers}",
            f"{{ var(txn.reason) -m str {' '.join(codes)} }}",
        )
    # Whatever has a reason that isn't named above is refused too.
    text = word(problem(PublicClass.INTERNAL, "%[var(txn.ref)]"))
    yield rule(
        f"return status 500 content-type {PROBLEM_MEDIA_TYPE} lf-string {text} hdr cache-control no-store",
        "{ var(txn.reason) -m found }",
    )


_OWN_ANSWERS: Final = {
    400: PublicClass.REQUEST_MALFORMED,
    408: PublicClass.REQUEST_TIMEOUT,
    413: PublicClass.BODY_TOO_LARGE,
    500: PublicClass.INTERNAL,
    501: PublicClass.REQUEST_MALFORMED,
    502: PublicClass.UPSTREAM_UNREACHABLE,
    503: PublicClass.UPSTREAM_UNREACHABLE,
    504: PublicClass.UPSTREAM_UNREACHABLE,
}


def own_answers() -> Iterator[str]:
    """Yield what HAProxy says where it answers before, or behind, all rules.

    Its parser answers before a request has an id, so that these have no reference.
    """
    for status, public in _OWN_ANSWERS.items():
        # A status of HAProxy's own is kept: it can't be changed here.
        text = word(problem(public, ""))
        yield (
            f"http-error status {status} content-type {PROBLEM_MEDIA_TYPE} string {text} "
            "hdr cache-control no-store"
        )
