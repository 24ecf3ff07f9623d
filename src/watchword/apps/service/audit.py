"""Say who asked for a change, as far as that is known, and write it into the audit trail."""

import re
from collections.abc import Mapping
from typing import Any, Final

import structlog

from watchword.apps.service.app import Request, Response, json_response
from watchword.apps.service.client import OPERATOR_HEADER
from watchword.apps.service.context import ServiceContext
from watchword.encoding.phrases import moment as utc
from watchword.ports import MOST_AUDIT_SCANNED, AuditEntry
from watchword.reasons import MalformedError, Reason, UnavailableError

_NAME = re.compile(rb"[A-Za-z0-9._@-]{1,64}")


def actor_of(request: Request) -> str:
    """Return the actor for the audit trail.

    Only the service's own user (and root) can open the socket, so that the name is a note among
    colleagues and no protection.
    """
    name = request.headers.get(OPERATOR_HEADER.encode(), b"")
    if not _NAME.fullmatch(name):
        return "operator"
    return f"operator (claimed: {name.decode('ascii')})"


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


async def record_or_enqueue(
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
            "audit entry isn't written yet",
            action=action,
            subject=subject,
            told=told,
            fault=error.detail,
        )
        context.store.enqueue(entry)
        return False
    return True


MAX_LISTED: Final = 1000
"""Most instances or audit entries of one answer."""


_MOST_DIGITS: Final = 18
"""Digits of a number that SQLite still counts with."""

MAX_BECAUSE_CHARACTERS: Final = 500
"""Most characters of the reason that an operator gives."""


async def list_audit(context: ServiceContext, request: Request) -> Response:
    """Return audit entries, newest first: of the subject, and before the number, that the query names.

    The answer's ``before`` is the number to go on with, also where a part of the trail holds none of the subject; it
    is null at the beginning of the trail.
    """
    limit, start = read_limit(request.query), _read_before(request.query)
    if start is None:
        start = await context.store.newest_audit() + 1
    entries = await context.store.audit_entries(limit, request.query.get("subject"), start)
    end = entries[-1].number if len(entries) == limit else start - MOST_AUDIT_SCANNED
    return json_response(
        200,
        {
            "entries": [
                {
                    "number": entry.number,
                    "at": utc(entry.at),
                    "actor": entry.actor,
                    "action": entry.action,
                    "subject": entry.subject,
                    "detail": dict(entry.detail),
                }
                for entry in entries
            ],
            "before": end if end > 1 else None,
        },
    )


def _read_before(query: Mapping[str, str]) -> int | None:
    text = query.get("before")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= _MOST_DIGITS):
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected before to be the number of an audit entry"
        )
    return int(text)


def read_limit(query: Mapping[str, str]) -> int:
    """Return how many entries a listing may have, 100 where the query doesn't say.

    :raises MalformedError: ``request.malformed``.
    """
    text = query.get("limit", "100")
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= MAX_LISTED:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected a limit from 1 to {MAX_LISTED}"
        )
    return int(text)
