"""Write what an operator asks for into the audit trail."""

from collections.abc import Mapping
from typing import Any

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request
from watchword.apps.service.operator.actor import actor_of
from watchword.ports import AuditEntry


async def record(
    context: ServiceContext,
    request: Request,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write an audit entry; before a change, since what can't be recorded isn't done.

    :raises UnavailableError: when it can't be kept.
    """
    entry = AuditEntry(context.clock.now(), actor_of(request), action, subject, detail or {})
    await context.store.add_audit(entry)
