"""Read the access log of Traefik in the format ``json``, with the members that its configuration here keeps.

Traefik asks Python about each request and passes its refusal on.  The reason is in the reference that the client was
told, which is sealed and needs no log; the log shows which requests were refused, and what Traefik answered while
Python or the API didn't.
"""

from collections.abc import Mapping
from typing import Any, Final

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.apps.engines.logs.fields import instant, reference, status, text
from watchword.reasons import Reason

_UPSTREAM: Final = frozenset({502, 504})
"""What Traefik answers in the place of an API that doesn't; it says of both that the API did."""

_UNANSWERED: Final = 500
"""What it answers in the place of Python."""

_FIRST_ERROR: Final = 400
_NANOSECONDS: Final = 1_000_000


def read(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :class:`watchword.apps.engines.logs.interface.EngineLog`."""
    answered = status(members.get("DownstreamStatus"))
    ref = reference(members.get("downstream_Watchword-Ref"))
    own = None if ref else _own(answered, status(members.get("OriginStatus", 0)))
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
        milliseconds=_milliseconds(members.get("Duration")),
    )


def _own(answered: int, by_api: int) -> Reason | None:
    """Return the reason of what Traefik answered by itself, as far as its log tells that from the API's answers."""
    if answered in _UPSTREAM:
        return Reason.GATE_UPSTREAM
    return Reason.GATE_STATE_UNAVAILABLE if answered == _UNANSWERED and not by_api else None


def _milliseconds(value: Any) -> int | None:
    """Return a duration that Traefik writes in nanoseconds."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value // _NANOSECONDS
    return None
