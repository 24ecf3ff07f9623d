"""Put the service together: two applications over one context, and what runs beside them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.refusal_log.memory import MemoryRefusalLog
from watchword.apps.service.application import Application
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.operator.routes import OPERATOR_ROUTES
from watchword.apps.service.public import PUBLIC_ROUTES
from watchword.apps.service.publisher import GatePublisher
from watchword.enrolment.interface import EnrolmentPolicy, EvidenceVerifier
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.ports import Clock, Entropy, InstanceStore
from watchword.reasons import WatchwordError
from watchword.vocabulary import Environment

TICK_SECONDS: Final = 1.0
"""How often other processes' changes are looked for and the gates' state is brought up to date."""

FORGET_SECONDS: Final = 60.0
"""How often used challenges that expired are forgotten."""

FORGET_MARGIN: Final = timedelta(hours=1)
"""How long a used challenge is remembered beyond its expiry: a clock that is set back by less
doesn't make it usable again."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Service:
    """Hold the running service; :meth:`start` and :meth:`stop` are called from one event loop."""

    public_app: Application
    operator_app: Application
    context: ServiceContext
    _beside: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Publish the gates' state and keep it up to date.

        :raises WatchwordError: when it can't be published; the service must not start then.
        """
        await self.context.publisher.publish(self.context.clock.now())
        self._beside = asyncio.create_task(self._run_beside())

    async def stop(self) -> None:
        """End what runs beside the requests; the caller closes the store."""
        if self._beside is not None:
            self._beside.cancel()
            with suppress(asyncio.CancelledError):
                await self._beside
            self._beside = None

    async def tick(self) -> None:
        """Take over other processes' changes of keys and instances, and publish them."""
        self.context.keyring.refresh()
        await self.context.publisher.publish(self.context.clock.now())

    async def forget(self) -> None:
        """Forget used challenges that nobody could use any more."""
        await self.context.store.forget_expired(self.context.clock.now() - FORGET_MARGIN)

    async def _run_beside(self) -> None:
        ticks_until_forget = 0
        noted = ""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            ticks_until_forget -= 1
            try:
                await self.tick()
                if ticks_until_forget <= 0:
                    ticks_until_forget = int(FORGET_SECONDS / TICK_SECONDS)
                    await self.forget()
                trouble = ""
            except WatchwordError as error:
                trouble = str(error)
            except Exception as error:  # noqa: BLE001 - one bad round must not end all later ones.
                trouble = type(error).__name__
            if trouble != noted:
                # Told when it changes: the same line each second would hide all others.
                noted = trouble
                _log.warning("upkeep failed" if trouble else "upkeep works again", detail=trouble)


def build_service(
    *,
    policy: EnrolmentPolicy,
    verifier: EvidenceVerifier,
    store: InstanceStore,
    keyring: FileKeyRing,
    refusal_log: MemoryRefusalLog,
    gate_state: Path,
    clock: Clock,
    entropy: Entropy,
) -> Service:
    """Return the service; nothing runs before :meth:`Service.start`.

    :param gate_state: the file that gates read; written by nobody else.
    """
    ring = keyring.ring
    enrolment = Enrolment(
        policy=policy,
        verifier=verifier,
        store=store,
        keys=EnrolmentKeys(ring.challenge_key, ring.pairwise_key, keyring.signer),
        entropy=entropy,
    )
    reveal = policy.environment is Environment.LAB
    context = ServiceContext(
        enrolment=enrolment,
        store=store,
        keyring=keyring,
        publisher=GatePublisher(
            path=gate_state, issuer=policy.issuer, keyring=keyring, store=store
        ),
        refusal_log=refusal_log,
        clock=clock,
        entropy=entropy,
    )
    return Service(
        public_app=Application(PUBLIC_ROUTES, context, reveal=reveal),
        operator_app=Application(OPERATOR_ROUTES, context, reveal=True, operator=True),
        context=context,
    )
