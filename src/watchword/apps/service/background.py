"""Run what goes on beside the requests: one task for each kind of work, none of which ends another."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from watchword.adapters.nodes import Chore
from watchword.adapters.published_pins import PinPublication
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.trail import CATCH_UP_SECONDS
from watchword.enrolment.evidence import ReceiptRefresh, Rejudgement
from watchword.ports import Clock, RecordLog
from watchword.reasons import Reason, UnavailableError, WatchwordError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Hold one kind of work: what is done in each round, and the pause after it, in seconds."""

    name: str
    pause: float
    work: Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Scheduler:
    """Run tasks until they are stopped; a failed round is logged and doesn't end the later ones."""

    periodic_tasks: Sequence[PeriodicTask]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Start each task, with a pause before its first round."""
        self._tasks = [asyncio.create_task(_run(task)) for task in self.periodic_tasks]

    async def stop(self) -> None:
        """End all tasks, wherever they are; what was committed stays."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def carry_out(task: PeriodicTask) -> str:
    """Do one round of a task; return what went wrong, empty where nothing did."""
    try:
        await task.work()
    except WatchwordError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one bad round must not end all later ones.
        return type(error).__name__
    return ""


async def _run(task: PeriodicTask) -> None:
    noted = ""
    while True:
        await asyncio.sleep(task.pause)
        trouble = await carry_out(task)
        if trouble != noted:
            # Told when it changes: the same line each second would hide all others.
            noted = trouble
            event = f"{task.name} failed" if trouble else f"{task.name} works again"
            _log.warning(event, detail=trouble)


TICK_SECONDS: Final = 1.0
"""How often other processes' changes are looked for and the gates' state is brought up to date."""


FORGET_SECONDS: Final = 60.0
"""How often used challenges that expired are forgotten."""


PIN_SECONDS: Final = 0.5
"""How often published pins are looked at: a set is handed out within a second of its publication."""


FOLLOW_SECONDS: Final = 0.5
"""How often it is asked who was revoked, where tickets hang on it."""


RECEIPT_SECONDS: Final = 5.0
"""How often receipts are looked for that are due."""


EXPIRE_SECONDS: Final = 3600.0
"""How often all instances are looked through for those whose time is over."""


FORGET_MARGIN: Final = timedelta(hours=1)
"""How long a used challenge is remembered beyond its expiry: a clock that is set back by less
doesn't make it usable again."""


async def tick(context: ServiceContext) -> None:
    """Take over other processes' changes of keys and instances, and publish them, or have what another node published."""
    try:
        # A changed key ring may have to be unsealed by another server.
        await asyncio.to_thread(context.keyring.refresh)
    finally:
        if context.configuration is not None:
            # Its row was looked at with the key ring's.
            await context.configuration.follow()
        # By the keys in use: revocations reach the gates, whatever is wrong with the ring.
        await context.publisher.keep_up(context.clock.now())
    if known := context.publisher.told_ring(asyncio.get_running_loop().time()):
        context.nodes.know_ring(known)


async def _watch_clock(context: ServiceContext) -> None:
    context.safeguards.watch_clock()


async def follow_store(context: ServiceContext) -> None:
    """Note how far the store is, and write what is pending."""
    await context.safeguards.follow(context.store, context.clock.now())


async def _refill(context: ServiceContext) -> None:
    await asyncio.to_thread(context.safeguards.refill)


async def follow_secrets(context: ServiceContext) -> None:
    """Read the secrets anew."""
    await context.secrets.refresh(context.clock.timestamp())


async def forget(context: ServiceContext) -> None:
    """Forget used challenges that nobody could use any more, and leases that ended."""
    before = context.clock.now() - FORGET_MARGIN
    # First: a use that is forgotten without a word could be used again.
    await context.safeguards.forget(before)
    await context.store.forget_expired(before)
    await context.store.forget_leases(before)


async def expire(context: ServiceContext) -> None:
    """Drop instances whose time is over, as long as this node does and the clock hasn't jumped."""
    watch = context.safeguards.watch

    def may_go_on() -> bool:
        return context.nodes.leads(Chore.EXPIRY) and not (watch is not None and watch.trouble)

    await context.expiry.round(may_go_on)


async def follow_pins(context: ServiceContext) -> None:
    """Read what is published of pins, where any host is pinned."""
    if isinstance(context.pins, PinPublication):
        await asyncio.to_thread(context.pins.refresh, context.clock.timestamp())


async def _watch_nodes(context: ServiceContext) -> None:
    context.nodes.watch()


async def advance_cuts(context: ServiceContext) -> None:
    """Take the steps of cuts that are due, where this node does."""
    with context.nodes.within(Chore.GATES) as leads:
        await context.cuts.advance(leads=leads)


def _led(context: ServiceContext, chore: Chore, task: PeriodicTask) -> PeriodicTask:
    """Return a task of which one node at a time does a round; what it writes is refused once another node does it."""

    async def work() -> None:
        with context.nodes.within(chore) as leads:
            if leads:
                await task.work()

    return PeriodicTask(task.name, task.pause, work)


PACE_SECONDS: Final = 5.0
"""How often it is kept how far the lines of those who enrol are."""


async def keep_pace(context: ServiceContext) -> None:
    """Write how far the lines are, where enrolments are paced.

    :raises PrivateFileError: when that can't be written.
    """
    if context.paced is not None:
        states = context.paced.pace.state()
        await asyncio.to_thread(context.paced.file.write, states)


async def _forget_records(records: RecordLog, now: Callable[[], datetime]) -> None:
    records.forget_expired(now())


def periodic_tasks(context: ServiceContext) -> Iterator[PeriodicTask]:
    """Yield what runs beside the requests; what waits for a vendor holds up nothing else."""
    now = context.clock.now
    yield PeriodicTask("upkeep", TICK_SECONDS, lambda: tick(context))
    yield PeriodicTask("nodes", TICK_SECONDS, lambda: _watch_nodes(context))
    seal = PeriodicTask("audit trail", CATCH_UP_SECONDS, lambda: context.publisher.seal(now()))
    yield _led(context, Chore.GATES, seal)
    yield PeriodicTask("clock", TICK_SECONDS, lambda: _watch_clock(context))
    if (tickets := context.enrolment.tickets) is not None:
        yield PeriodicTask("revocations", FOLLOW_SECONDS, lambda: tickets.revoked.follow(now()))
    yield PeriodicTask("cuts", TICK_SECONDS, lambda: advance_cuts(context))
    yield PeriodicTask("store's mark", TICK_SECONDS, lambda: follow_store(context))
    yield PeriodicTask("reserve", FORGET_SECONDS, lambda: _refill(context))
    forgetting = PeriodicTask("forgetting", FORGET_SECONDS, lambda: forget(context))
    yield _led(context, Chore.EXPIRY, forgetting)
    expiry = PeriodicTask("expiry", EXPIRE_SECONDS, lambda: expire(context))
    yield _led(context, Chore.EXPIRY, expiry)
    if isinstance(context.pins, PinPublication):
        yield PeriodicTask("pins", PIN_SECONDS, lambda: follow_pins(context))
    if context.secrets.keeper is not None:
        # Apart from the upkeep: a backend that is slow must not hold up a revocation.
        yield PeriodicTask("secrets", TICK_SECONDS, lambda: follow_secrets(context))
    if context.paced is not None:
        yield PeriodicTask("pace", PACE_SECONDS, lambda: keep_pace(context))
    if context.records is not None:
        yield PeriodicTask(
            "forgetting records", FORGET_SECONDS, partial(_forget_records, context.records, now)
        )
    status_list = context.vendors.status_list
    if status_list is not None:
        yield PeriodicTask("status list", TICK_SECONDS, lambda: status_list.refresh(now()))
    rejudgement = context.vendors.rejudgement
    if rejudgement is not None:
        sweep = PeriodicTask("rejudgement", TICK_SECONDS, lambda: _rejudge(rejudgement, now()))
        yield _led(context, Chore.JUDGING, sweep)
    receipts = context.vendors.receipts
    if receipts is not None:
        for app in context.vendors.receipt_apps:
            work = partial(refresh_receipts, receipts, app, context.clock)
            task = PeriodicTask(f"receipts of {app}", RECEIPT_SECONDS, work)
            yield _led(context, Chore.RECEIPTS, task)


async def _rejudge(rejudgement: Rejudgement, now: datetime) -> None:
    revoked = await rejudgement.sweep(now)
    if revoked:
        _log.warning("instances revoked by vendor", count=revoked)


async def refresh_receipts(receipts: ReceiptRefresh, app: str, clock: Clock) -> None:
    """Do one round, and have told why receipts fail: the log says so when that changes.

    :raises UnavailableError: when the store can't answer, or receipts of this app failed last.
    """
    await receipts.round(app, clock.now())
    trouble = receipts.trouble(app)
    if trouble:
        raise UnavailableError(Reason.VENDOR_UNAVAILABLE, trouble)
