"""Put the service together: two applications over one context, and what runs beside them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.nodes import ONLY_NODE, GateLog, Nodes
from watchword.adapters.pace_file import KeptPace
from watchword.adapters.pin_reports import MemoryPinReports
from watchword.adapters.published_pins import PinPublication
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.system import steady_seconds
from watchword.apps.compose.secrets import NO_SECRETS, SecretWork
from watchword.apps.compose.vendors import NO_VENDORS, VendorWork
from watchword.apps.evidence.records import Recorder
from watchword.apps.service import background
from watchword.apps.service.app import Application
from watchword.apps.service.background import (
    TICK_SECONDS,
    PeriodicTask,
    Scheduler,
    carry_out,
    periodic_tasks,
)
from watchword.apps.service.configuration import LiveConfiguration
from watchword.apps.service.context import ServiceContext, ServiceStore
from watchword.apps.service.cuts import CutSchedule
from watchword.apps.service.operator import OPERATOR_ROUTES
from watchword.apps.service.operator_configuration import begin
from watchword.apps.service.public import PUBLIC_ROUTES, GateDelivery
from watchword.apps.service.publisher import MOST_NAMED_BY_NODES, GatePublisher, PublisherBounds
from watchword.apps.service.retention import Expiry
from watchword.apps.service.safeguards import NO_SAFEGUARDS, ClockWatch, Safeguards
from watchword.attestation.interface import AppleApp
from watchword.enrolment.delivery import SecretDelivery
from watchword.enrolment.evidence import Invitations
from watchword.enrolment.interface import EnrolmentPolicy, EnrolmentRoom, EvidenceVerifier
from watchword.enrolment.refusals import RefusalSigner
from watchword.enrolment.retention import KEPT_FOR_EVER, RetentionTerms
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.enrolment.statement import ChallengeEpochs, OneEpoch
from watchword.enrolment.tickets import LIFE, RevokedLately, Tickets
from watchword.gate.interface import GatePolicy
from watchword.gate.limits import ClientAddresses
from watchword.pins.interface import PublishedPins
from watchword.ports import Clock, Entropy
from watchword.reasons import UnavailableError
from watchword.vocabulary import Environment

_log = structlog.get_logger()


@dataclass(slots=True)
class Service:
    """Hold the running service; :meth:`start` and :meth:`stop` are called from one event loop."""

    public_app: Application
    operator_app: Application
    context: ServiceContext
    scheduler: Scheduler
    _firsts: list[asyncio.Task[str]] = field(default_factory=list)
    _following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Publish the gates' state and keep it up to date, and whatever else runs beside requests.

        :raises WatchwordError: when it can't be published; the service must not start then.
        """
        self._follow_nodes()
        # Before gates are told: who was revoked and isn't any more, in a store that was put back.
        await self.context.safeguards.begin(self.context.store, self.context.clock.now())
        await begin(self.context)
        # Before gates are told: what they have of secrets stays where the backend doesn't answer.
        await self._first_secrets()
        await self.context.publisher.begin(self.context.clock.now())
        await background.follow_pins(self.context)
        await self._first_list()
        self.scheduler.start()

    async def stop(self) -> None:
        """End what runs beside the requests; the caller closes the store."""
        await self.scheduler.stop()
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        with suppress(UnavailableError):
            await self.context.safeguards.follow(self.context.store, self.context.clock.now())
        with suppress(PrivateFileError):
            await background.keep_pace(self.context)
        for first in self._firsts:
            first.cancel()
            await asyncio.wait({first})
        await self.context.secrets.aclose()
        vendors = self.context.vendors
        for fetcher in (vendors.fetcher, vendors.play_fetcher):
            if fetcher is not None:
                await fetcher.aclose()

    def _follow_nodes(self) -> None:
        """Look at once where another node has changed something; the tick each second would be too late."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def on_news() -> None:
            with suppress(RuntimeError):  # The loop has ended.
                loop.call_soon_threadsafe(news.set)

        async def follow() -> None:
            while True:
                await news.wait()
                news.clear()
                # What goes wrong the next tick says.
                await carry_out(PeriodicTask("news", 0, self._hear))

        if self.context.nodes is not ONLY_NODE:
            self.context.nodes.begin(on_news)
            self._following = asyncio.create_task(follow())

    async def _hear(self) -> None:
        await background.tick(self.context)
        await background.advance_cuts(self.context)

    async def _first_list(self) -> None:
        """Give a status list that isn't known yet some time to come, before anybody enrols.

        A vendor that is down delays the start by that much, and doesn't stop it.
        """
        status_list, now = self.context.vendors.status_list, self.context.clock.now()
        if status_list is not None and not status_list.is_known(now):
            task = PeriodicTask("status list", TICK_SECONDS, lambda: status_list.refresh(now))
            await self._give_time(task, self.context.vendors.first_list_seconds)

    async def _first_secrets(self) -> None:
        """Give the secrets' backend some time to answer.

        One that is down delays the start by that much, and doesn't stop it: most routes need no secret.
        """
        secrets = self.context.secrets
        if secrets.keeper is not None:
            task = PeriodicTask(
                "secrets", TICK_SECONDS, lambda: background.follow_secrets(self.context)
            )
            trouble = await self._give_time(task, secrets.first_read_seconds)
            if trouble:
                _log.warning("secrets aren't known", detail=trouble)

    async def _give_time(self, task: PeriodicTask, seconds: float) -> str:
        """Do one round of a task and wait for it no longer than this; return what is wrong by then."""
        first = asyncio.create_task(carry_out(task))
        self._firsts.append(first)
        await asyncio.wait({first}, timeout=seconds)
        return first.result() if first.done() else f"no answer within {seconds:g} s"

    def gates_app(self, clients: Mapping[str, Sequence[str]]) -> Application:
        """Return what gates of other machines ask, for a listener that tells who they are.

        :param clients: by the name in a gate's certificate, the names of its APIs.
        """
        return Application(GateDelivery(clients).routes(), self.context, reveal=False)

    async def tick(self) -> None:
        """Take over other processes' changes of keys and instances, and publish them."""
        await background.tick(self.context)

    async def follow_store(self) -> None:
        """Note how far the store is, and write what is pending."""
        await background.follow_store(self.context)

    async def forget(self) -> None:
        """Forget used challenges that nobody could use any more, and leases that ended."""
        await background.forget(self.context)


def _vendor_names(policy: EnrolmentPolicy) -> Mapping[str, Sequence[str]]:
    """Return by bundle id or package the names of the apps that have it: one of each platform may have the same."""
    names: dict[str, list[str]] = {}
    for name, app in policy.apps.items():
        identity = app.identity
        vendors = identity.bundle_id if isinstance(identity, AppleApp) else identity.package
        names.setdefault(vendors, []).append(name)
    return names


def build_service(
    *,
    policy: EnrolmentPolicy,
    verifier: EvidenceVerifier,
    store: ServiceStore,
    keyring: KeyRing,
    refusal_log: MemoryRefusalLog,
    gates: Path,
    gate_policies: Sequence[GatePolicy],
    clock: Clock,
    entropy: Entropy,
    vendors: VendorWork = NO_VENDORS,
    recorder: Recorder | None = None,
    pins: PinPublication | None = None,
    secrets: SecretWork = NO_SECRETS,
    safeguards: Safeguards = NO_SAFEGUARDS,
    room: EnrolmentRoom | None = None,
    addresses: ClientAddresses | None = None,
    configuration: LiveConfiguration | None = None,
    nodes: Nodes = ONLY_NODE,
    log: GateLog | None = None,
    paced: KeptPace | None = None,
    retention: RetentionTerms = KEPT_FOR_EVER,
) -> Service:
    """Return the service; nothing runs before :meth:`Service.start`.

    :param gates: the directory of what gates read, of ``gate_policies``; ``configuration`` puts other files in force, if any.
    :param vendors: is asked of Apple and Google; ``recorder`` keeps verifications, ``pins`` and ``secrets`` what is handed out.
    :param safeguards: guards the store; ``retention`` ends instances, ``room`` bounds how many enrol, None lets all; ``paced`` when.
    """
    mark, signer = safeguards.mark, RefusalSigner(policy.issuer, keyring.signer, keyring.aside)
    publisher = _publisher(
        gates, gate_policies, policy, store, keyring, entropy, secrets, safeguards.watch, log
    )
    enrolment = _enrolment(
        policy, verifier, store, keyring, entropy, vendors, recorder, mark, room, signer, publisher
    )
    context = ServiceContext(
        enrolment=enrolment,
        delivery=_delivery(policy, verifier, store, keyring, entropy, secrets, mark, signer),
        invitations=Invitations(policy, store, entropy),
        store=store,
        keyring=keyring,
        publisher=publisher,
        cuts=CutSchedule(store, publisher, clock, policy),
        expiry=Expiry(store, clock, steady_seconds, retention),
        refusal_log=refusal_log,
        clock=clock,
        entropy=entropy,
        pins=(published := PublishedPins() if pins is None else pins),
        pin_reports=MemoryPinReports(published, clock, _vendor_names(policy)),
        vendors=vendors,
        secrets=secrets,
        records=None if recorder is None else recorder.log,
        safeguards=safeguards,
        configuration=configuration,
        nodes=nodes,
        paced=paced,
    )
    return _served(context, addresses, reveal=policy.environment is Environment.LAB)


def _publisher(
    gates: Path,
    gate_policies: Sequence[GatePolicy],
    policy: EnrolmentPolicy,
    store: ServiceStore,
    keyring: KeyRing,
    entropy: Entropy,
    secrets: SecretWork,
    watch: ClockWatch | None,
    log: GateLog | None,
) -> GatePublisher:
    return GatePublisher(
        directory=gates,
        policies=gate_policies,
        keyring=keyring,
        store=store,
        secrets=secrets,
        random=entropy.token_bytes,
        token_lifetime=policy.longest_lifetime,
        bounds=PublisherBounds() if log is None else PublisherBounds(named=MOST_NAMED_BY_NODES),
        steady=None if watch is None else watch.steady,
        log=log,
    )


def _tickets(
    revision: Callable[[str], bytes] | None,
    store: ServiceStore,
    keyring: KeyRing,
    epochs: ChallengeEpochs | None,
    publisher: GatePublisher,
    entropy: Entropy,
) -> Tickets | None:
    if revision is None:
        return None
    publisher.unread = LIFE
    revoked = RevokedLately(store, steady_seconds)
    key = keyring.ring.challenge_key
    return Tickets(key, epochs or OneEpoch(), revoked, revision, publisher.last_cut, entropy)


def _delivery(
    policy: EnrolmentPolicy,
    verifier: EvidenceVerifier,
    store: ServiceStore,
    keyring: KeyRing,
    entropy: Entropy,
    secrets: SecretWork,
    epochs: ChallengeEpochs | None,
    refusals: RefusalSigner,
) -> SecretDelivery:
    return SecretDelivery(
        policy,
        verifier,
        store,
        keyring.ring.challenge_key,
        entropy,
        secrets.deliveries,
        secrets.keeper,
        epochs,
        refusals,
    )


def _enrolment(
    policy: EnrolmentPolicy,
    verifier: EvidenceVerifier,
    store: ServiceStore,
    keyring: KeyRing,
    entropy: Entropy,
    vendors: VendorWork,
    recorder: Recorder | None,
    epochs: ChallengeEpochs | None,
    room: EnrolmentRoom | None,
    refusals: RefusalSigner,
    publisher: GatePublisher,
) -> Enrolment:
    ring = keyring.ring
    return Enrolment(
        policy=policy,
        verifier=verifier,
        store=store,
        keys=EnrolmentKeys(
            ring.challenge_key,
            ring.pairwise_key,
            keyring.signer,
            keyring.gate_secret,
            keyring.aside,
        ),
        entropy=entropy,
        rejudgement=vendors.rejudgement,
        sampling=vendors.sampling,
        appraisals=recorder,
        codes=store,
        epochs=epochs,
        room=room,
        refusals=refusals,
        tickets=_tickets(vendors.revision, store, keyring, epochs, publisher, entropy),
    )


def _served(context: ServiceContext, addresses: ClientAddresses | None, *, reveal: bool) -> Service:
    return Service(
        public_app=Application(PUBLIC_ROUTES, context, reveal=reveal, addresses=addresses),
        operator_app=Application(OPERATOR_ROUTES, context, reveal=True, operator=True),
        context=context,
        scheduler=Scheduler(tuple(periodic_tasks(context))),
    )
