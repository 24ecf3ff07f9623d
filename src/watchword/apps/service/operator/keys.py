"""Answer requests on the token keys and the epochs of the gate secrets."""

import asyncio
from typing import Any, Final

import structlog

from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.keyring.gate_epochs import GateEpoch, find_epoch
from watchword.adapters.keyring.ring import Ring
from watchword.adapters.keyring.token_keys import KeyState, TokenKey
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response, json_response
from watchword.apps.service.operator.trail import record, record_or_owe
from watchword.reasons import MalformedError, Reason

SETTLED_SECONDS: Final = 1.0
"""How long a key is prepared at least before it signs: twice as long as gates may take to see it."""

TOKENS: Final = "tokens"
GATES: Final = "gates"
BUNDLES: Final = "bundles"
"""What a key is for; only the first two rotate: gates are told the key of the bundles once, by hand."""

EPOCH: Final = "epoch-"
"""How the names of epochs begin; a key's thumbprint has 43 characters, and no epoch's name."""

_log = structlog.get_logger()


async def list_keys(context: ServiceContext, _request: Request) -> Response:
    """Return every key with its purpose and state; no private part."""
    return json_response(200, _shown(context))


async def rotate_keys(context: ServiceContext, request: Request) -> Response:
    """Let what is prepared take over; tokens from before are accepted until they expire.

    The query's ``purpose`` says what of: ``tokens`` (the default) or ``gates``.
    """
    keyring = context.keyring
    purpose = request.query.get("purpose", TOKENS)
    if purpose not in {TOKENS, GATES}:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected the purpose {TOKENS} or {GATES}"
        )
    async with context.rotating:
        prepared = _in_state(keyring.ring, purpose, KeyState.PREPARED)
        age = context.clock.timestamp() - prepared.since
        if 0 <= age < SETTLED_SECONDS:
            # Of two rotations in a row the second would sign with a key that gates don't know yet.
            await asyncio.sleep(SETTLED_SECONDS - age)
        subject = _name(_in_state(keyring.ring, purpose, KeyState.ACTIVE))
        await record(context, request, "keys.rotate", subject)
        now = context.clock.now()
        # The key ring waits for a file lock and for the disk, which the event loop must not.
        active = await asyncio.to_thread(_rotate, keyring, purpose, now.timestamp())
        await context.publisher.publish(now)
    _log.info("rotated", purpose=purpose, active=_name(active))
    return json_response(200, _shown(context))


async def retire_key(context: ServiceContext, request: Request) -> Response:
    """Withdraw all trust from one token key or epoch at once.

    Also where that can't be recorded: it takes trust away, and a full disk must not keep a stolen key in use.  The
    answer says so (``recorded``), and the entry follows as soon as it can be written.
    """
    kid, keyring = request.parameters["kid"], context.keyring
    if kid.startswith(EPOCH):
        find_epoch(keyring.ring.gate_epochs, kid)
    else:
        keyring.ring.find(kid)
    recorded = await record_or_owe(context, request, "keys.retire", kid)
    now = context.clock.now()

    async def retire() -> TokenKey | GateEpoch:
        return await asyncio.to_thread(_retire, keyring, kid, now.timestamp())

    active = await context.safeguards.with_room(retire)
    await context.safeguards.with_room(lambda: context.publisher.publish(now))
    _log.warning("retired", kid=kid, active=_name(active))
    return json_response(200, _shown(context) | {"recorded": recorded})


def _in_state(ring: Ring, purpose: str, state: KeyState) -> TokenKey | GateEpoch:
    return ring.in_state(state) if purpose == TOKENS else ring.epoch_in_state(state)


def _rotate(keyring: FileKeyRing, purpose: str, now: float) -> TokenKey | GateEpoch:
    return keyring.rotate(now) if purpose == TOKENS else keyring.rotate_gate_secrets(now)


def _retire(keyring: FileKeyRing, kid: str, now: float) -> TokenKey | GateEpoch:
    if kid.startswith(EPOCH):
        return keyring.retire_gate_secret(kid, now)
    return keyring.retire(kid, now)


def _name(key: TokenKey | GateEpoch) -> str:
    return key.kid if isinstance(key, TokenKey) else key.name


def _shown(context: ServiceContext) -> dict[str, Any]:
    ring = context.keyring.ring
    every: tuple[tuple[str, TokenKey | GateEpoch], ...] = (
        *((TOKENS, key) for key in ring.token_keys),
        *((GATES, epoch) for epoch in ring.gate_epochs),
        (BUNDLES, ring.bundle_key),
    )
    return {
        "keys": [
            {
                "purpose": purpose,
                "kid": _name(key),
                "state": key.state.value,
                "since": key.since,
                "verify_until": key.verify_until,
            }
            for purpose, key in every
        ]
    }
