"""Write what an operator asks for into the audit trail."""

from collections.abc import Mapping
from typing import Any

import structlog

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request
from watchword.apps.service.operator.actor import actor_of
from watchword.ports import AuditEntry
from watchword.reasons import UnavailableError

_log = structlog.get_logger()


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


async def record_or_owe(
    context: ServiceContext,
    request: Request,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> bool:
    """Write an audit entry of what is done all the same, since it takes trust away; tell whether it is written.

    One that can't be written now is in the log, and is written as soon as that is possible.
    """
    entry = AuditEntry(context.clock.now(), actor_of(request), action, subject, detail or {})
    try:
        await context.safeguards.with_room(lambda: context.store.add_audit(entry))
    except UnavailableError as error:
        told = dict(entry.detail)
        _log.error(
            "audit entry is owed", action=action, subject=subject, told=told, fault=error.detail
        )
        context.store.owe(entry)
        return False
    return True
