"""Put the service together from the settings, and run everything in one process.

The order of a start: files are checked before anything is made.
"""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from watchword.adapters import honeytoken_file, secret_store
from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.http_server import HttpServer
from watchword.adapters.http_server.mutual_tls import MutualTlsServer
from watchword.adapters.http_server.tls import server_tls
from watchword.adapters.keyring.file import FileKeyRing, KeyKeeper
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    require_known_format,
)
from watchword.adapters.pace_file import KeptPace, PaceFile
from watchword.adapters.published_pins import PinPublication
from watchword.adapters.records import RecordDirectory
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.reserve import RoomReserve
from watchword.adapters.revocation_journal import RevocationJournal
from watchword.adapters.store import RollbackDetector, SqliteStore
from watchword.adapters.system import is_synchronised
from watchword.apps.compose.gates import open_gate
from watchword.apps.compose.secrets import key_keeper_of, openbao_of, secret_work
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
from watchword.apps.service.safeguards import ClockWatch, Safeguards
from watchword.apps.service.service import Service, build_service
from watchword.apps.settings.schema import (
    ApiSettings,
    ServiceConfig,
    Settings,
)
from watchword.broker.interface import EdgeRule
from watchword.enrolment.evidence import FormatEvidenceVerifier
from watchword.enrolment.interface import EnrolmentPolicy
from watchword.enrolment.pace import Pace, PlaceSeal
from watchword.gate.interface import GatePolicy
from watchword.gate.limits import ClientAddresses, EnrolmentLimits, RateLimiter
from watchword.gate.references import NONCE_BYTES
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy
from watchword.reasons import Refusal
from watchword.tokens.interface import LEEWAY_SECONDS, TokenExpectation
from watchword.vocabulary import Environment


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
    )


def service_of(
    settings: Settings,
    *,
    clock: Clock,
    entropy: Entropy,
    refusal_log: MemoryRefusalLog,
    steady: Callable[[], float] | None = None,
) -> Service:
    """Return the service over its store and key ring, both made on the first start.

    :param steady: seconds that nobody sets, by which ``clock`` is watched for jumps; None where jumps are meant.
    :raises WatchwordError: when keys or store can't be read, written or trusted.
    """
    paths = settings.service
    private_directory(paths.state_dir)
    _require_whole(paths)
    # Before anything is made: a start that fails for the master key leaves no key ring without a store.
    policies, bao = gate_policies(settings), openbao_of(settings)
    keeper = key_keeper_of(settings, bao)
    secrets = replace(secret_work(settings, entropy, bao), signing=keeper)
    keyring = keyring_of(settings, clock, entropy, keeper)
    fetcher, play_fetcher = fetcher_of(settings), play_fetcher_of(settings)
    trust = trust_of(settings, entropy, fetcher)
    paced = pace_of(settings, keyring, entropy, steady or clock.timestamp)
    pace = None if paced is None else paced.pace
    recorder = recorder_of(settings)
    store = SqliteStore(paths.database)
    verifier = FormatEvidenceVerifier(
        trust,
        settings.policy,
        store,
        formats=formats_of(settings),
        play_decoders=play_decoders_of(settings, play_fetcher, clock, pace) if play_fetcher else {},
        appraisals=recorder,
    )
    return build_service(
        policy=enrolment_policy(settings),
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
        safeguards=safeguards_of(paths, clock, steady),
        room=EnrolmentLimits(paths.enrolments.build()),
        addresses=ClientAddresses(paths.trusted_proxies),
        paced=paced,
        vendors=replace(
            vendor_work(settings, store, trust, fetcher, clock, pace),
            play_fetcher=play_fetcher,
            contradictions=verifier.contradictions,
        ),
    )


def pace_of(
    settings: Settings,
    keyring: FileKeyRing,
    entropy: Entropy,
    steady: Callable[[], float],
) -> KeptPace | None:
    """Return what paces enrolments, going on with what was kept; None where nothing is paced.

    :raises PrivateFileError: when what was kept can't be trusted.
    """
    enrolments = settings.service.enrolments
    if enrolments.pace is None:
        return None
    file = PaceFile(settings.service.pace)
    pace = Pace(
        enrolments.pace.build(),
        settings.apps,
        PlaceSeal(settings.service.issuer, keyring.ring.challenge_key),
        entropy=entropy,
        steady=steady,
        tally=RateLimiter(enrolments.build().address).take,
        kept=file.read(),
    )
    return KeptPace(pace, file)


def keyring_of(
    settings: Settings, clock: Clock, entropy: Entropy, keeper: KeyKeeper | None
) -> FileKeyRing:
    """Return the service's key ring, made where there is none."""
    return FileKeyRing(
        settings.service.keyring,
        environment=settings.environment,
        grace=settings.service.token_lifetime + LEEWAY_SECONDS,
        now=clock.timestamp(),
        entropy=entropy,
        keeper=keeper,
    )


def safeguards_of(
    paths: ServiceConfig, clock: Clock, steady: Callable[[], float] | None
) -> Safeguards:
    """Return what guards the service where its store can't.

    :raises WatchwordError: when a file of theirs can't be trusted.
    """
    return Safeguards(
        mark=RollbackDetector(paths.rollback_detector),
        journal=RevocationJournal(paths.revocations),
        reserve=RoomReserve(paths.reserve),
        watch=None if steady is None else ClockWatch(clock.timestamp, steady, is_synchronised),
    )


def _require_whole(paths: ServiceConfig) -> None:
    """Refuse a state directory whose store has lost its keys, or that a newer Watchword used; tell of one that lost its store.

    A running service goes on without its secrets.  One that starts on those of a newer version is in the wrong place.

    :raises PrivateFileError: when the key ring is gone, or a newer Watchword wrote the secrets or the canaries.
    """
    require_known_format(paths.secrets, secret_store.FORMAT, secret_store.MAX_DOCUMENT_BYTES)
    require_known_format(paths.canaries, honeytoken_file.FORMAT)
    if paths.database.exists() and not paths.keyring.exists():
        # New keys would make strangers of all instances, without a word.
        raise PrivateFileError(
            f"{paths.keyring}: is gone while {paths.database.name} is there; restore both from a "
            f"backup, or remove {paths.database.name} too for a new start"
        )
    if paths.keyring.exists() and not paths.database.exists():
        # Every instance enrols again by itself; a person may have a backup that spares them that.
        _log.warning(
            "store is gone", file=str(paths.database), detail="an empty one takes its place"
        )


@dataclass(slots=True)
class Deployment:
    """Hold a running deployment; :meth:`start` and :meth:`stop` belong to one event loop.

    :param steady: seconds that nobody sets, by which ``clock`` is watched for jumps; None where jumps are meant.
    """

    settings: Settings
    clock: Clock
    entropy: Entropy
    steady: Callable[[], float] | None = None
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
            )
            stack.callback(service.context.store.close)
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
