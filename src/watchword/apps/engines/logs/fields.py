"""Read the members that the lines of every engine have in common: strictly, and each of them capped."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.apps.engines.logs.interface import LogLineError
from watchword.reasons import Reason

MAX_TEXT_CHARACTERS: Final = 200
"""Most characters of a text that are kept; what is longer is cut, and ends in an ellipsis."""

MAX_REF_CHARACTERS: Final = 512
"""Most characters of a reference; an id of a request has 36, a sealed one of /authz some 230."""

_REF: Final = re.compile(r"[A-Za-z0-9._~:=+/-]*")
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_NOTHING: Final = frozenset({None, "", "-"})
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


def by_status(found: int) -> Reason | None:
    """Return what a status means where the engine tells nothing else."""
    return _BY_STATUS.get(found)


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
