"""Run everything in one process: the service, the operator's socket, a proxy for each API."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.http_server import HttpServer
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.compose.gates import open_gate
from watchword.apps.compose.key_files import require_key_files
from watchword.apps.compose.service import service_of
from watchword.apps.consent_served import Application, ConsentServed
from watchword.apps.gateway import WatchwordMiddleware
from watchword.apps.gateway.authz.verdicts import VerdictSigned
from watchword.apps.gateway.overload import OverloadGuard
from watchword.apps.gateway.proxy import Lender, ProxyApp
from watchword.apps.service.application import PEER_STATE
from watchword.apps.service.service import Service
from watchword.apps.settings import ApiSettings, Settings
from watchword.gate.references import NONCE_BYTES
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy
from watchword.reasons import Refusal
from watchword.vocabulary import Environment

_log = structlog.get_logger()


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

    def _agreeing(self, app: Application) -> Application:
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
        # Imported here alone: most deployments have their gates on this machine.
        from watchword.adapters.http_server.mutual_tls import (  # noqa: PLC0415
            MutualTlsServer,
            server_tls,
        )

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
        if proxied:
            await self._serve_proxy(stack, api, gate, service, refusals)
        if api.authz is not None:
            # Imported here alone: most deployments have no other server in front.
            from watchword.apps.gateway.authz.application import serve_authz  # noqa: PLC0415

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

        lender: Lender | None = None
        if service.context.secrets.usage is not None:
            lender = Lender(gate.state, service.context.secrets.usage, self.clock)
            stack.push_async_callback(lender.aclose)
        proxy = ProxyApp(api.upstream, refusal_log=refusals, seal=seal, reveal=lab, lender=lender)
        stack.push_async_callback(proxy.aclose)
        guarded = WatchwordMiddleware(
            VerdictSigned(proxy, gate.state, self.clock) if api.signed_verdict else proxy,
            gate=gate,
            refusal_log=refusals,
            clock=self.clock,
            entropy=self.entropy,
            lends=True,
        )
        drill = self.settings.drill.get(api.name)
        agreeing: Application = OverloadGuard(
            guarded, gate=gate, refusal_log=refusals, clock=self.clock, entropy=self.entropy
        )
        if drill is not None and drill.consent is not None:
            agreeing = ConsentServed(agreeing, drill.consent)
        server = HttpServer(agreeing, host=api.listen.host, port=api.listen.port, websockets=True)
        await server.start()
        stack.push_async_callback(server.stop)
        _log.info("proxy ready", api=api.name, listen=server.address, upstream=api.upstream)
