"""Answer the operator's requests about what is kept of an instance: find it, tell all of it, delete it."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from watchword.adapters.revocation_journal import JournalEntry
from watchword.apps.service.app import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.audit import MAX_BECAUSE_CHARACTERS, MAX_LISTED, actor_of, record
from watchword.apps.service.context import ServiceContext
from watchword.encoding.phrases import moment as utc
from watchword.enrolment.renewal_days import days_of
from watchword.enrolment.retention import ERASED, Dossier
from watchword.enrolment.service import pairwise_subject
from watchword.ports import AuditEntry, Instance
from watchword.reasons import MalformedError, Reason, RefusedError

WAYS: Final = frozenset({"device", "instance", "subject"})
"""How an instance can be named in a query: by what the store, an API or its device calls it."""

_AT_ONCE: Final = 1000
"""Instances whose subjects are worked out in one go, in some 5 ms."""

_DEVICE: Final = re.compile(r"[0-9a-f]{64}")
_log = structlog.get_logger()


def instance_view(context: ServiceContext, instance: Instance) -> dict[str, Any]:
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
        "enrolled_at": utc(instance.enrolled_at),
        "renewed_at": utc(instance.renewed_at),
        "renewed_on": [each.isoformat() for each in days_of(instance)],
        "attested_at": None if attested is None else utc(attested),
        "risk_metric": instance.risk_metric,
        "counter": instance.counter,
        "revoked_at": None if revoked is None else utc(revoked),
        "revoked_because": instance.revoked_because,
        "test": instance.test,
        "expires_at": None if ends is None else utc(ends),
        "expired": ends is not None and context.clock.now() >= ends,
        "subjects": {each: pairwise_subject(instance.id, each, key) for each in instance.audiences},
    }


async def find_instances(context: ServiceContext, query: Mapping[str, str]) -> Sequence[Instance]:
    """Return the instances that a query names by one of :data:`WAYS`; none that was deleted.

    A subject is found by working out those of all instances, which takes a second for each 200,000 of them.

    :raises MalformedError: ``request.malformed``.
    """
    if len(query) != 1:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected one of {', '.join(sorted(WAYS))}, and nothing else"
        )
    ((way, value),) = query.items()
    if way == "device":
        return await _of_device(context, value)
    name = await _of_subject(context, value) if way == "subject" else value
    found = None if name is None else await context.store.find(name)
    return () if found is None or found.format == ERASED else (found,)


async def _of_device(context: ServiceContext, value: str) -> Sequence[Instance]:
    """Return the instances of a device, named by its key or by one of its instances."""
    if _DEVICE.fullmatch(value):
        key: bytes | None = bytes.fromhex(value)
    else:
        found = await context.store.find(value)
        if found is None or found.format == ERASED:
            return ()
        key = found.device_key
        if key is None:
            # Its evidence doesn't tell which device it is on.
            return (found,)
    assert key is not None
    return await context.store.instances_of_device(key, MAX_LISTED)


async def _of_subject(context: ServiceContext, subject: str) -> str | None:
    key = context.keyring.ring.pairwise_key

    def found_in(names: Sequence[tuple[str, tuple[str, ...]]]) -> str | None:
        for name, audiences in names:
            if any(pairwise_subject(name, each, key) == subject for each in audiences):
                return name
        return None

    after: int | None = 0
    while after is not None:
        names, after = await context.store.names(after, _AT_ONCE)
        # A thread of its own: requests come in between.
        if (name := await asyncio.to_thread(found_in, names)) is not None:
            return name
    return None


async def export_instance(context: ServiceContext, request: Request) -> Response:
    """Return all that is kept of an instance but its entries of the audit trail; the trail says who asked."""
    name = request.parameters["id"]
    dossier = await context.store.dossier(name)
    if dossier is None:
        raise RefusedError.because(Reason.INSTANCE_UNKNOWN, "nothing is kept of it")
    await record(context, request, "instance.exported", name)
    return json_response(200, _dossier(context, dossier))


def _dossier(context: ServiceContext, dossier: Dossier) -> dict[str, Any]:
    instance, receipt, code = dossier.instance, dossier.receipt, dossier.code
    device = instance.device_key
    return {
        **instance_view(context, instance),
        "device": None if device is None else device.hex(),
        "attested_key": _base64(instance.attested_key),
        "proof_jwk": dict(instance.proof_jwk),
        "seal_jwk": dict(instance.seal_jwk),
        "serials": list(instance.serials),
        "attester_serial": instance.attester_serial,
        "receipt": None
        if receipt is None
        else {
            "receipt": _base64(receipt.receipt),
            "due_at": utc(receipt.due_at),
            "failures": receipt.failures,
        },
        "leases": [
            {
                "id": lease.id,
                "secret": lease.secret,
                "version": lease.version,
                "app_version": lease.app_version,
                "issued_at": utc(lease.issued_at),
                "delivered_at": utc(lease.delivered_at),
                "expires_at": utc(lease.expires_at),
                "deliveries": lease.deliveries,
                "withdrawn_at": None if withdrawn is None else utc(withdrawn),
            }
            for lease, withdrawn in dossier.leases
        ],
        "invitation": None
        if code is None
        else {"id": code.id, "made_by": code.made_by, "because": code.because},
    }


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


async def delete_instance(context: ServiceContext, request: Request) -> Response:
    """Delete an instance, and return after every gate of this state directory can know that it is revoked.

    Unlike a revocation it needs the store: where that can't write, nothing is deleted.  ``deleted`` is false for one that was
    deleted before.
    """
    require_members(request.members, "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    now, name, actor = context.clock.now(), request.parameters["id"], actor_of(request)
    audit = AuditEntry(now, actor, "instance.deleted", name, {"because": because})
    left = await context.safeguards.with_room(lambda: context.store.erase(name, now, audit))
    if left is not None:
        # A copy of the store that is put back some day has it again.
        entry = JournalEntry(name, now, actor, because, deleted=True)
        await asyncio.to_thread(context.safeguards.note_revocation, entry)
        await context.safeguards.with_room(lambda: context.publisher.publish(now))
        _log.info("deleted", instance=name, app=left.app)
    return json_response(200, {"instance": name, "deleted": left is not None})
