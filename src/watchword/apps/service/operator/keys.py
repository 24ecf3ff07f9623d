"""Answer requests on the token keys."""

import asyncio
from typing import Any, Final

import structlog

from watchword.adapters.keyring.token_keys import KeyState
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response, json_response
from watchword.apps.service.operator.actor import actor_of
from watchword.ports import AuditEntry

SETTLED_SECONDS: Final = 1.0
"""How long a key is prepared at least before it signs: twice as long as gates may take to see it."""

_log = structlog.get_logger()


async def list_keys(context: ServiceContext, _request: Request) -> Response:
    """Return every token key with its state; no private part."""
    return json_response(200, _shown(context))


async def rotate_keys(context: ServiceContext, request: Request) -> Response:
    """Let the prepared key take over; tokens of the old one are accepted until they expire."""
    async with context.rotating:
        prepared = context.keyring.ring.in_state(KeyState.PREPARED)
        age = context.clock.timestamp() - prepared.since
        if 0 <= age < SETTLED_SECONDS:
            # Of two rotations in a row the second would sign with a key that gates don't know yet.
            await asyncio.sleep(SETTLED_SECONDS - age)
        await _audit(context, request, "keys.rotate", context.keyring.signer().kid)
        now = context.clock.now()
        # The key ring waits for a file lock and for the disk, which the event loop must not.
        active = await asyncio.to_thread(context.keyring.rotate, now.timestamp())
        await context.publisher.publish(now)
    _log.info("rotated", active=active.kid)
    return json_response(200, _shown(context))


async def retire_key(context: ServiceContext, request: Request) -> Response:
    """Withdraw all trust from one key at once."""
    kid = request.parameters["kid"]
    context.keyring.ring.find(kid)
    await _audit(context, request, "keys.retire", kid)
    now = context.clock.now()
    active = await asyncio.to_thread(context.keyring.retire, kid, now.timestamp())
    await context.publisher.publish(now)
    _log.warning("retired", kid=kid, active=active.kid)
    return json_response(200, _shown(context))


async def _audit(context: ServiceContext, request: Request, action: str, subject: str) -> None:
    """Write the audit entry before the change: what can't be recorded isn't done."""
    await context.store.add_audit(
        AuditEntry(context.clock.now(), actor_of(request), action, subject)
    )


def _shown(context: ServiceContext) -> dict[str, Any]:
    return {
        "keys": [
            {
                "kid": key.kid,
                "state": key.state.value,
                "since": key.since,
                "verify_until": key.verify_until,
            }
            for key in context.keyring.ring.token_keys
        ]
    }
