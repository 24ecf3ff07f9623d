"""Write how nginx words refusals: those that /authz made, and its own."""

from collections.abc import Iterable, Mapping
from typing import Final

from watchword.engines.forward_auth.problems import RETRY_AFTER_SECONDS, problem
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PublicClass

REFUSED: Final = "@watchword_refused"
UNAVAILABLE: Final = "@watchword_unavailable"
UNREACHABLE: Final = "@watchword_unreachable"
NOBODY: Final = "watchword_nobody"
"""The upstream of requests that somebody let pass who isn't the gate of this API."""

_OWN: Final[Mapping[PublicClass, str]] = {
    PublicClass.REQUEST_MALFORMED: "400 405 501 505",
    PublicClass.REQUEST_TIMEOUT: "408",
    PublicClass.BODY_TOO_LARGE: "413",
    # 494 is nginx's own for a head that is too large.
    PublicClass.HEADERS_TOO_LARGE: "414 494",
    # Nothing but what is for nginx itself is missing here.
    PublicClass.ROUTE_REFUSED: "404",
}
"""What nginx refuses itself, by what it is to a client."""


def quoted(text: str) -> str:
    """Return a text between single quotes; variables in it stay what they are."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def answer(public: PublicClass) -> str:
    """Return the statement that ends a request with a refusal of nginx's own."""
    return f"return {public.status} {quoted(problem(public, '$request_id'))};"


def own_pages() -> Iterable[str]:
    """Yield which location answers each status that nginx refuses with."""
    for public, statuses in _OWN.items():
        yield f"error_page {statuses} ={public.status} {_place(public)};"


def own_locations() -> Iterable[str]:
    """Yield the locations that answer them."""
    for public in _OWN:
        yield f"location = {_place(public)} {{"
        yield "    internal;"
        yield from (f"    {line}" for line in common())
        yield f"    {answer(public)}"
        yield "}"


def _place(public: PublicClass) -> str:
    return f"/.watchword/{public.slug}"


def _refused_as_question() -> Iterable[str]:
    """Yield what answers where the server in front of /authz refuses the question, which has the request's own fields."""
    for status, public in (
        (PublicClass.REQUEST_MALFORMED.status, PublicClass.REQUEST_MALFORMED),
        (PublicClass.HEADERS_TOO_LARGE.status, PublicClass.HEADERS_TOO_LARGE),
    ):
        yield f"    if ($watchword_asked = {status}) {{ {answer(public)} }}"


def common() -> Iterable[str]:
    """Yield what every refusal has."""
    yield f"default_type {PROBLEM_MEDIA_TYPE};"
    yield "add_header Cache-Control no-store always;"


def refused_locations() -> Iterable[str]:
    """Yield the locations that answer what /authz refused, and where somebody doesn't answer.

    ``return`` takes no variable for its status, so that there is a line for each that refusals have.
    """
    statuses = sorted({public.status for public in PublicClass})
    yield f"location {REFUSED} {{"
    yield from (f"    {line}" for line in common())
    for name, variable in (
        ("WWW-Authenticate", "$watchword_challenge"),
        ("Retry-After", "$watchword_retry"),
        ("Watchword-Nonce", "$watchword_nonce"),
    ):
        # nginx leaves out a field whose value is empty.
        yield f"    add_header {name} {variable} always;"
    for status in statuses:
        yield f"    if ($watchword_status = {status}) {{ return {status} $watchword_problem; }}"
    yield "    # Whoever refused wasn't the gate."
    yield f"    {answer(PublicClass.UNAVAILABLE)}"
    yield "}"
    for place, public in (
        (UNAVAILABLE, PublicClass.UNAVAILABLE),
        (UNREACHABLE, PublicClass.UPSTREAM_UNREACHABLE),
    ):
        yield f"location {place} {{"
        yield from (f"    {line}" for line in common())
        if public is PublicClass.UNAVAILABLE:
            yield from _refused_as_question()
        else:
            unnamed = f"$watchword_to = {NOBODY}"
            yield f"    if ({unnamed}) {{ {answer(PublicClass.UNAVAILABLE)} }}"
        yield f"    add_header Retry-After {RETRY_AFTER_SECONDS} always;"
        yield f"    {answer(public)}"
        yield "}"
