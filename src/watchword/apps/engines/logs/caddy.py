"""Read Caddy's own access log (its documentation, "log" directive, format ``json``).

Caddy asks Python about each request and passes its refusal on.  The reason is in the reference that the client
was told, which is sealed and needs no log; the log shows which requests were refused, and what Caddy answered
while Python or the API didn't.  A line with the common members (``time``, ``ref``, ``status``) is read as they are.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.apps.engines.logs.fields import by_status, common, instant, reference, status, text
from watchword.apps.engines.logs.interface import LogLineError
from watchword.public_classes import PROBLEM_MEDIA_TYPE
from watchword.reasons import Reason

_REF_HEADERS: Final = ("watchword-ref", "x-request-id")

_MAX_OWN_REF: Final = 40
"""Most characters of a reference that Caddy makes itself (a UUID); sealed ones are longer."""

_OWN: Final = {
    401: Reason.PROOF_BODY,
    502: Reason.GATE_UPSTREAM,
    503: Reason.GATE_STATE_UNAVAILABLE,
    504: Reason.GATE_UPSTREAM,
}
"""What Caddy answers by itself: to a body that no proof covers, and in the place of who doesn't answer."""


def read(members: Mapping[str, Any]) -> EngineRefusal | None:
    """See :class:`watchword.apps.engines.logs.interface.EngineLog`."""
    if "request" not in members and "time" in members:
        refusal = common(members)
        if refusal.status < 400:
            return None
        return replace(refusal, reason=refusal.reason or by_status(refusal.status))
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
        reason=_OWN.get(answered) if len(ref) <= _MAX_OWN_REF else None,
        method=text(request, "method"),
        client=text(request, "client_ip") or text(request, "remote_ip"),
        milliseconds=_milliseconds(members.get("duration")),
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


def _milliseconds(value: Any) -> int | None:
    """Return a duration that Caddy writes in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**40:
        return int(value * 1000)
    return None
