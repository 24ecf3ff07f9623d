"""Put the service together from the settings, and run everything in one process.

The order of a start: files are checked before anything is made.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from watchword.adapters.documents import KeptDocument
from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.http_server import HttpServer
from watchword.adapters.http_server.mutual_tls import MutualTlsServer
from watchword.adapters.http_server.tls import server_tls
from watchword.adapters.keyring.file import KeyKeeper, KeyRing
from watchword.adapters.keyring.private_file import private_directory
from watchword.adapters.nodes import ONLY_NODE, Nodes, SharedMark
from watchword.adapters.pace_file import KeptPace, PaceFile
from watchword.adapters.published_pins import PinPublication
from watchword.adapters.records import RecordDirectory
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.reserve import RoomReserve
from watchword.adapters.revocation_journal import RevocationJournal
from watchword.adapters.sealed_rows import SealedRows
from watchword.adapters.store import EngineStore, RollbackDetector
from watchword.adapters.system import is_synchronised
from watchword.apps.compose.applied import ConfigurationDesk, StartingFile
from watchword.apps.compose.documents import documents_of
from watchword.apps.compose.gates import open_gate
from watchword.apps.compose.nodes import open_nodes
from watchword.apps.compose.secrets import SecretWork, key_keeper_of, openbao_of, secret_work
from watchword.apps.compose.store import open_store, require_store
from watchword.apps.compose.vendors import (
    fetcher_of,
    formats_of,
    play_decoders_of,
    play_fetcher_of,
    trust_of,
    vendor_work,
)
from watchword.apps.evidence.records import Recorder
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.authz.application import serve_authz
from watchword.apps.gateway.authz.verdicts import VerdictSigned
from watchword.apps.gateway.overload import OverloadGuard
from watchword.apps.gateway.proxy import Injector, ProxyApp
from watchword.apps.key_files import edge_rule, require_key_files
from watchword.apps.service.app import PEER_STATE, AsgiApplication, ConsentServed
from watchword.apps.service.configuration import LiveConfiguration
from watchword.apps.service.publisher import GatePublisher
from watchword.apps.service.safeguards import ClockWatch, Safeguards
from watchword.apps.service.service import Service, build_service
from watchword.apps.settings.schema import (
    ApiSettings,
    ServiceConfig,
    Settings,
)
from watchword.attestation.interface import Trust
from watchword.broker.interface import EdgeRule
from watchword.enrolment.evidence import FormatEvidenceVerifier
from watchword.enrolment.interface import EnrolmentPolicy
from watchword.enrolment.pace import Pace, PlaceSeal
from watchword.gate.interface import GatePolicy
from watchword.gate.limits import ClientAddresses, EnrolmentLimits
from watchword.gate.references import NONCE_BYTES
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, Fetcher
from watchword.reasons import Refusal
from watchword.tokens.interface import LEEWAY_SECONDS, TokenExpectation
from watchword.vocabulary import Environment

if TYPE_CHECKING:
    from watchword.adapters.openbao.connection import OpenBao


def gate_policy(settings: Settings, api: ApiSettings) -> GatePolicy:
    """Return the policy of one API.

    :raises EdgeAuthoritiesError: when a file of authorities can't be used.
    """
    return GatePolicy(
        api=api.name,
        expectation=TokenExpectation(
            issuer=settings.service.issuer,
            audience=api.audience,
            environment=settings.environment,
            leeway=LEEWAY_SECONDS,
        ),
        routes=api.routes,
        replay=api.replay.mode,
        rate=api.rate,
        binding_header=None
        if api.binding_header is None
        else api.binding_header.lower().encode("ascii"),
        limits=api.limits,
        edges=_edges(settings, api),
        case_sensitive=api.case_sensitive,
        device_for_session=api.device_for_session,
    )


def gate_policies(settings: Settings) -> tuple[GatePolicy, ...]:
    """Return the policy of each API; raises as :func:`gate_policy` does."""
    return tuple(gate_policy(settings, api) for api in settings.apis.values())


def _edges(settings: Settings, api: ApiSettings) -> Mapping[str, EdgeRule]:
    """Return by secret, for those that the API's routes add: its gate is told no others."""
    if settings.secrets is None:
        return {}
    named = dict.fromkeys(route.secret for route in api.routes if route.secret is not None)
    return {name: edge_rule(settings.secrets.edges[name]) for name in named}


_log = structlog.get_logger()


def recorder_of(settings: Settings) -> Recorder | None:
    """Return who records verifications, None where nothing is recorded."""
    ways = settings.records
    if ways is None:
        return None
    directory = settings.service.records
    return Recorder(RecordDirectory(directory, timedelta(seconds=ways.keep), ways.max_bytes))


def pins_of(settings: Settings) -> PinPublication | None:
    """Return who follows published pins, None where no host is pinned."""
    if settings.pins is None:
        return None
    return PinPublication(settings.pins.directory, settings.service.pins, settings.pins.apps)


def enrolment_policy(settings: Settings) -> EnrolmentPolicy:
    """Return what enrolment knows from the file."""
    return EnrolmentPolicy(
        issuer=settings.service.issuer,
        environment=settings.environment,
        apps=settings.apps,
        audiences={
            app: frozenset(api.audience for api in settings.apis.values() if app in api.apps)
            for app in settings.apps
        },
        minimum_level=settings.policy.lowest_level,
        token_lifetime=settings.service.token_lifetime,
        device_for_session=frozenset(
            api.audience for api in settings.apis.values() if api.device_for_session
        ),
        lifetimes={api.audience: settings.token_lifetime(api) for api in settings.apis.values()},
    )


@dataclass(slots=True)
class LiveParts:
    """Hold what goes by the file while the service runs, and have it go by another one."""

    enrolment: EnrolmentPolicy
    verifier: FormatEvidenceVerifier
    room: EnrolmentLimits
    keyring: KeyRing
    clock: Clock
    publisher: GatePublisher | None = None

    def follow(self, desk: ConfigurationDesk | None) -> LiveConfiguration | None:
        """Return what puts other files in force; None where the settings come from no file."""
        return None if desk is None else LiveConfiguration(desk, self.go_by)

    def told_by(self, service: Service) -> Service:
        """Return the service by whose publisher gates are told of other settings."""
        self.publisher, live = service.context.publisher, service.context.configuration
        if live is not None:
            self.publisher.is_behind = lambda: live.desk.is_behind
        return service

    def revision(self, app: str) -> bytes:
        """Return a digest of what a renewal of an app is judged by now: tickets of before another file count no more."""
        return self.verifier.revision(self.enrolment.apps[app])

    async def go_by(self, settings: Settings) -> None:
        """Go by other settings: who enrols, how evidence is appraised, and what the next publication tells gates.

        :raises EdgeAuthoritiesError: when a file of authorities can't be used; nothing has changed then.
        """
        policies = gate_policies(settings)
        self.enrolment.become(enrolment_policy(settings))
        lifetime = self.enrolment.longest_lifetime
        self.keyring.keep_retired_for(lifetime + LEEWAY_SECONDS)
        self.verifier.go_by(settings.policy)
        self.room.go_by(settings.service.enrolments.build())
        if self.publisher is not None:
            await self.publisher.go_by(policies, lifetime, self.clock.now())


def require_usable(settings: Settings) -> tuple[GatePolicy, ...]:
    """Read each file that settings name, as a start does; return what gates are told.

    :raises WatchwordError: when one can't be used.
    """
    require_key_files(settings)
    return gate_policies(settings)


def service_of(
    settings: Settings,
    *,
    clock: Clock,
    entropy: Entropy,
    refusal_log: MemoryRefusalLog,
    steady: Callable[[], float] | None = None,
    start: StartingFile | None = None,
) -> Service:
    """Return the service over its store and key ring, both made on the first start.

    :param start: the file that the settings come from; None where no other one can come into force.
    :param steady: seconds that nobody sets, by which ``clock`` is watched for jumps; None where jumps are meant.
    :raises WatchwordError: when keys or store can't be read, written or trusted.
    """
    paths = settings.service
    private_directory(paths.state_dir)
    _require_whole(paths)
    # Before anything is made: a start that fails for the master key leaves no key ring without a store.
    policies, bao = gate_policies(settings), openbao_of(settings)
    # Nothing is made by it: the tables are there, or it refuses.
    shared = None if paths.postgres_address is None else open_store(paths)
    secrets, keyring = _keys_of(settings, clock, entropy, shared, bao)
    fetcher, play_fetcher = fetcher_of(settings), play_fetcher_of(settings)
    trust, recorder = trust_of(settings, entropy, fetcher), recorder_of(settings)
    room = EnrolmentLimits(paths.enrolments.build())
    paced = pace_of(settings, keyring, room, entropy, steady or clock.timestamp)
    pace = None if paced is None else paced.pace
    store, desk = shared or open_store(paths), _desk_of(start, secrets.rows)
    nodes, log = open_nodes(settings, store, keyring, clock, entropy, desk)
    verifier = _verifier_of(settings, trust, store, recorder, play_fetcher, clock, pace)
    live = LiveParts(enrolment_policy(settings), verifier, room, keyring, clock)
    service = build_service(
        policy=live.enrolment,
        verifier=verifier,
        store=store,
        keyring=keyring,
        refusal_log=refusal_log,
        gates=paths.gates,
        gate_policies=policies,
        clock=clock,
        entropy=entropy,
        recorder=recorder,
        pins=pins_of(settings),
        secrets=secrets,
        safeguards=safeguards_of(paths, clock, steady, nodes),
        nodes=nodes,
        log=log,
        room=room,
        configuration=live.follow(desk),
        addresses=ClientAddresses(paths.trusted_proxies),
        paced=paced,
        retention=paths.retention.build(),
        vendors=replace(
            vendor_work(settings, store, trust, fetcher, play_fetcher, clock, entropy, pace),
            contradictions=verifier.contradictions,
            revision=live.revision if paths.tickets else None,
        ),
    )
    return live.told_by(service)


def _desk_of(start: StartingFile | None, rows: SealedRows | None) -> ConfigurationDesk | None:
    """Return what compares other files with the one in force; None where the settings come from no file."""
    if start is None:
        return None
    return ConfigurationDesk(start.with_rows(rows), require_usable, runs=True)


def _verifier_of(
    settings: Settings,
    trust: Trust,
    store: EngineStore,
    recorder: Recorder | None,
    play_fetcher: Fetcher | None,
    clock: Clock,
    pace: Pace | None,
) -> FormatEvidenceVerifier:
    return FormatEvidenceVerifier(
        trust,
        settings.policy,
        store,
        formats=formats_of(settings),
        play_decoders=play_decoders_of(settings, play_fetcher, clock, pace),
        appraisals=recorder,
    )


def _keys_of(
    settings: Settings,
    clock: Clock,
    entropy: Entropy,
    shared: EngineStore | None,
    bao: "OpenBao | None",
) -> tuple[SecretWork, KeyRing]:
    """Return what is known of secrets, and the key ring; where that fails a store that nodes share is closed."""
    with ExitStack() as undo:
        if shared is not None:
            undo.callback(shared.close)
        keeper = key_keeper_of(settings, bao)
        documents = documents_of(settings, shared, entropy, bao)
        secrets = replace(secret_work(settings, entropy, bao, documents), signing=keeper)
        keyring = keyring_of(settings, clock, entropy, keeper, documents.key_ring)
        undo.pop_all()
        return replace(secrets, rows=documents.rows), keyring


def pace_of(
    settings: Settings,
    keyring: KeyRing,
    room: EnrolmentLimits,
    entropy: Entropy,
    steady: Callable[[], float],
) -> KeptPace | None:
    """Return what paces enrolments, going on with what was kept; None where nothing is paced.

    :raises PrivateFileError: when what was kept can't be trusted.
    """
    rates = settings.service.enrolments.pace
    if rates is None:
        return None
    file = PaceFile(settings.service.pace)
    pace = Pace(
        rates.build(),
        settings.apps,
        PlaceSeal(settings.service.issuer, keyring.ring.challenge_key),
        entropy=entropy,
        steady=steady,
        tally=room.ask,
        kept=file.read(),
    )
    return KeptPace(pace, file)


def keyring_of(
    settings: Settings,
    clock: Clock,
    entropy: Entropy,
    keeper: KeyKeeper | None,
    document: KeptDocument,
) -> KeyRing:
    """Return the service's key ring, made where there is none."""
    return KeyRing(
        document,
        environment=settings.environment,
        grace=settings.longest_lifetime + LEEWAY_SECONDS,
        now=clock.timestamp(),
        entropy=entropy,
        keeper=keeper,
    )


def safeguards_of(
    paths: ServiceConfig,
    clock: Clock,
    steady: Callable[[], float] | None,
    nodes: Nodes = ONLY_NODE,
) -> Safeguards:
    """Return what guards the service where its store can't.

    :raises WatchwordError: when a file of theirs can't be trusted.
    """
    mark = paths.rollback_detector
    return Safeguards(
        mark=RollbackDetector(mark) if nodes is ONLY_NODE else SharedMark(mark, nodes),
        journal=RevocationJournal(paths.revocations),
        reserve=RoomReserve(paths.reserve),
        watch=None if steady is None else ClockWatch(clock.timestamp, steady, is_synchronised),
    )


def _require_whole(paths: ServiceConfig) -> None:
    """Refuse a state directory whose store has lost its keys; tell of one that lost its store.

    :raises PrivateFileError: when the key ring is gone.
    """
    require_store(paths)
    if paths.postgres_address is None and paths.keyring.exists() and not paths.database.exists():
        # Every instance enrols again by itself; a person may have a backup that spares them that.
        _log.warning(
            "store is gone", file=str(paths.database), detail="an empty one takes its place"
        )


@dataclass(slots=True)
class Deployment:
    """Hold a running deployment; :meth:`start` and :meth:`stop` belong to one event loop.

    :param steady: seconds that nobody sets, by which ``clock`` is watched for jumps; None where jumps are meant.
    :param start_file: the file that the settings come from; None where they come from none.
    """

    settings: Settings
    clock: Clock
    entropy: Entropy
    steady: Callable[[], float] | None = None
    start_file: StartingFile | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """Start the service first, so that no proxy stands there without keys.

        :raises WatchwordError: when anything can't start; what had started is stopped again.
        """
        # Before anything is made: a start that fails for a vendor's key leaves no key ring without a store.
        require_key_files(self.settings)
        async with AsyncExitStack() as stack:
            refusals = MemoryRefusalLog(self.clock)
            service = service_of(
                self.settings,
                clock=self.clock,
                entropy=self.entropy,
                refusal_log=refusals,
                steady=self.steady,
                start=self.start_file,
            )
            stack.callback(service.context.store.close)
            stack.callback(service.context.nodes.close)
            await service.start()
            stack.push_async_callback(service.stop)
            await self._serve_service(stack, service)
            await self._serve_gates(stack, service)
            for api in self.settings.apis.values():
                await self._serve_api(stack, api, service, refusals)
            self._running = stack.pop_all()

    async def stop(self) -> None:
        """Stop listening, let running requests end, close the store."""
        await self._running.aclose()

    async def _serve_service(self, stack: AsyncExitStack, service: Service) -> None:
        where = self.settings.service
        public = HttpServer(
            self._agreeing(service.public_app), host=where.listen.host, port=where.listen.port
        )
        operator = HttpServer(service.operator_app, uds=where.operator_socket)
        for server in (public, operator):
            await server.start()
            stack.push_async_callback(server.stop)
        _log.info("service ready", listen=public.address, operator=operator.address)

    def _agreeing(self, app: AsgiApplication) -> AsgiApplication:
        """Return the service's application, with the consent to be drilled where the file names one."""
        for drill in self.settings.drill.values():
            if drill.service_consent is not None:
                return ConsentServed(app, drill.service_consent)
        return app

    async def _serve_gates(self, stack: AsyncExitStack, service: Service) -> None:
        """Hand bundles to gates of other machines, where there are any."""
        gates = self.settings.gates
        if gates is None:
            return

        server = MutualTlsServer(
            service.gates_app(gates.clients),
            tls=server_tls(*gates.tls),
            peer_state=PEER_STATE,
            host=gates.listen.host,
            port=gates.listen.port,
        )
        await server.start()
        stack.push_async_callback(server.stop)
        _log.info("gates ready", listen=server.address)

    async def _serve_api(
        self,
        stack: AsyncExitStack,
        api: ApiSettings,
        service: Service,
        refusals: MemoryRefusalLog,
    ) -> None:
        """Open one gate for all who stand in front of an API, so that they share its used proofs."""
        proxied = api.listen is not None and api.upstream is not None
        if not proxied and api.authz is None:
            return
        gate = open_gate(stack, self.settings, api, self.entropy)
        if isinstance(gate.state, GateBundleFile):
            service.context.gate_faults[api.name] = gate.state.trouble
            service.context.publisher.on_news(gate.state.look_soon)
        service.context.gate_limits[api.name] = gate.limit_tallies
        service.context.gate_tallies[api.name] = gate.tallies
        if proxied:
            await self._serve_proxy(stack, api, gate, service, refusals)
        if api.authz is not None:
            await serve_authz(
                stack,
                self.settings,
                api,
                gate,
                refusal_log=refusals,
                clock=self.clock,
                entropy=self.entropy,
            )

    async def _serve_proxy(
        self,
        stack: AsyncExitStack,
        api: ApiSettings,
        gate: Gate,
        service: Service,
        refusals: MemoryRefusalLog,
    ) -> None:
        assert api.listen is not None
        assert api.upstream is not None
        lab = self.settings.environment is Environment.LAB

        def seal(refusal: Refusal, where: str) -> str | None:
            nonce = self.entropy.token_bytes(NONCE_BYTES)
            return gate.reference((refusal,), where, self.clock.timestamp(), nonce)

        injector: Injector | None = None
        if service.context.secrets.usage is not None:
            injector = Injector(gate.state, service.context.secrets.usage, self.clock)
            stack.push_async_callback(injector.aclose)
        proxy = ProxyApp(
            api.upstream,
            refusal_log=refusals,
            seal=seal,
            reveal=lab,
            injector=injector,
            clock=self.clock,
        )
        stack.push_async_callback(proxy.aclose)
        guarded = WatchwordMiddleware(
            VerdictSigned(proxy, gate.state, self.clock) if api.signed_verdict else proxy,
            gate=gate,
            refusal_log=refusals,
            clock=self.clock,
            entropy=self.entropy,
            injects=True,
        )
        drill = self.settings.drill.get(api.name)
        agreeing: AsgiApplication = OverloadGuard(
            guarded, gate=gate, refusal_log=refusals, clock=self.clock, entropy=self.entropy
        )
        if drill is not None and drill.consent is not None:
            agreeing = ConsentServed(agreeing, drill.consent)
        server = HttpServer(agreeing, host=api.listen.host, port=api.listen.port, websockets=True)
        await server.start()
        stack.push_async_callback(server.stop)
        _log.info("proxy ready", api=api.name, listen=server.address, upstream=api.upstream)
