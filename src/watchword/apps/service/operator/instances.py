"""Answer requests on instances and the audit trail."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog

from watchword.adapters.revocation_journal import JournalEntry
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.operator.actor import actor_of
from watchword.enrolment.subjects import pairwise_subject
from watchword.ports import AuditEntry, Instance
from watchword.reasons import MalformedError, Reason, UnavailableError

MAX_LISTED: Final = 1000
"""Most instances or audit entries of one answer."""

MAX_BECAUSE_CHARACTERS: Final = 500
"""Most characters of the reason that an operator gives."""

_log = structlog.get_logger()


async def list_instances(context: ServiceContext, request: Request) -> Response:
    """Return the newest instances: of the app, and before the instance, that the query names."""
    instances = await context.store.list_instances(
        read_limit(request.query), request.query.get("app"), request.query.get("before")
    )
    return json_response(200, {"instances": [_shown(context, each) for each in instances]})


async def revoke_instance(context: ServiceContext, request: Request) -> Response:
    """Revoke an instance, and return after every gate of this state directory can know it.

    Also where the store can't write it: it takes trust away, and a full disk must not keep a stolen phone in use.
    It then holds in this process, gates are told, and it is written as soon as that is possible; the answer says
    so (``recorded``).
    """
    require_members(request.members, "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    now = context.clock.now()
    instance_id = request.parameters["id"]
    actor = actor_of(request)
    audit = AuditEntry(now, actor, "instance.revoked", instance_id, {"because": because})
    instance, recorded = await _revoke(context, instance_id, because, audit)
    # Also in a copy of the store that is put back some day, and over a restart before it could be written.
    entry = JournalEntry(instance_id, now, actor, because)
    await asyncio.to_thread(context.safeguards.note_revocation, entry)
    await context.safeguards.with_room(lambda: context.publisher.publish(now))
    _log.info("revoked", instance=instance.id, app=instance.app, recorded=recorded)
    return json_response(200, _shown(context, instance) | {"recorded": recorded})


async def _revoke(
    context: ServiceContext, instance_id: str, because: str, audit: AuditEntry
) -> tuple[Instance, bool]:
    """Revoke in the store, or where it can't write in this process; tell which of them."""
    store = context.store

    async def revoke() -> Instance:
        return await store.revoke(instance_id, audit.at, because, audit)

    try:
        return await context.safeguards.with_room(revoke), True
    except UnavailableError as error:
        if await store.find(instance_id) is None:
            raise
        _log.error("revocation is owed", instance=instance_id, because=because, fault=error.detail)
        store.withhold(instance_id, audit.at, because, audit)
        withheld = await store.find(instance_id)
        assert withheld is not None  # Instances are never removed.
        return withheld, False


async def list_audit(context: ServiceContext, request: Request) -> Response:
    """Return the newest audit entries."""
    entries = await context.store.audit_entries(read_limit(request.query))
    return json_response(
        200,
        {
            "entries": [
                {
                    "at": entry.at.isoformat(),
                    "actor": entry.actor,
                    "action": entry.action,
                    "subject": entry.subject,
                    "detail": dict(entry.detail),
                }
                for entry in entries
            ]
        },
    )


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


def _shown(context: ServiceContext, instance: Instance) -> dict[str, Any]:
    """Return what an operator sees; ``subjects`` are the names that the APIs know it by."""
    key = context.keyring.ring.pairwise_key
    revoked, attested, ends = instance.revoked_at, instance.attested_at, instance.expires_at
    return {
        "instance": instance.id,
        "app": instance.app,
        "app_version": instance.app_version,
        "platform": instance.platform,
        "format": instance.format,
        "level": instance.level.value,
        "enrolled_at": instance.enrolled_at.isoformat(),
        "renewed_at": instance.renewed_at.isoformat(),
        "attested_at": None if attested is None else attested.isoformat(),
        "risk_metric": instance.risk_metric,
        "counter": instance.counter,
        "revoked_at": None if revoked is None else revoked.isoformat(),
        "revoked_because": instance.revoked_because,
        "test": instance.test,
        "expires_at": None if ends is None else ends.isoformat(),
        "expired": ends is not None and context.clock.now() >= ends,
        "subjects": {each: pairwise_subject(instance.id, each, key) for each in instance.audiences},
    }
