"""Word steps for the log."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from watchword.adapters.pin_workspace import Step


def step(
    now: float,
    actor: str,
    action: str,
    subject: str,
    *,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Step:
    """Return a step at a time, in seconds since 1970."""
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Step(at, actor, action, subject, reason, detail or {})
