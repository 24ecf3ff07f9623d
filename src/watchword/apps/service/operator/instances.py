"""Answer requests on instances and the audit trail."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

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
from watchword.reasons import MalformedError, Reason

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
    """Revoke an instance, and return after every gate of this state directory can know it."""
    require_members(request.members, "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    now = context.clock.now()
    instance_id = request.parameters["id"]
    audit = AuditEntry(
        now, actor_of(request), "instance.revoked", instance_id, {"because": because}
    )
    instance = await context.store.revoke(instance_id, now, because, audit)
    await context.publisher.publish(now)
    _log.info("revoked", instance=instance.id, app=instance.app)
    return json_response(200, _shown(context, instance))


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
