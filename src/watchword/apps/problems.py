"""Turn a refusal into what a stranger may read (RFC 9457), and a reason into what it means and what to do about it.

Only the public class and an opaque reference go out.  The reason chain is inside the reference,
encrypted; ``watchword explain REF`` opens it.  In the lab environment the reason stands in the
open, since the only attacker there is the developer.

The texts of reasons are data of the package (``reasons.toml``); ``docs/reasons.md`` is made from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from watchword.encoding import strict_json
from watchword.encoding.tables import read_table
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE, PublicClass
from watchword.reasons import Refusal

MEDIA_TYPE = PROBLEM_MEDIA_TYPE.encode("ascii")


@dataclass(frozen=True, slots=True)
class Problem:
    """Hold a response: status, header fields and body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def render(
    refusals: Sequence[Refusal],
    *,
    ref: str | None,
    reveal: bool,
    now: float | None = None,
    details: bool = False,
    retry_after: int | None = None,
    signed: str | None = None,
    place: str | None = None,
) -> Problem:
    """Return the response for these refusals; the first one decides the class.

    :param ref: the opaque reference, None where none could be made.
    :param reveal: put the reason codes in the open (lab and operator only).
    :param now: seconds since 1970 by this side's clock, by which a client corrects its own; None to leave them out.
    :param details: put the detail of each refusal beside its code (operator only).
    :param retry_after: seconds, for what is unavailable.
    :param signed: the same class, signed by the service for the client to keep; None leaves it out.
    :param place: in the line of those who enrol, for the client to bring back; None leaves it out.
    """
    public = refusals[0].reason.public
    document: dict[str, object] = {
        "type": PROBLEM_TYPE + public.slug,
        "title": public.title,
        "status": public.status,
    }
    if now is not None:
        document["now"] = int(now)
    if signed is not None:
        document["signed"] = signed
    if place is not None:
        document["place"] = place
    if ref is not None:
        document["ref"] = ref
    if reveal:
        document["reasons"] = [refusal.reason.code for refusal in refusals]
    if details:
        document["details"] = [refusal.detail for refusal in refusals]
    body = strict_json.dumps(document)
    headers = [
        (b"content-type", MEDIA_TYPE),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if public.status == PublicClass.TOKEN_REQUIRED.status:
        headers.append((b"www-authenticate", b"Watchword"))
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    return Problem(public.status, tuple(headers), body)


@cache
def sections() -> Mapping[str, Mapping[str, str]]:
    """Return the texts by section title and code, in the order of the page."""
    return read_table("watchword.apps", "reasons.toml")


def text_of(code: str) -> str:
    """Return what a reason means and what to do about it; empty for one of a newer service."""
    return next((texts[code] for texts in sections().values() if code in texts), "")
