"""Hold a whole service in one process, on a state directory of its own, without a socket."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from tests.unit.enrolment.simulators import (
    CLINIC,
    ISSUER,
    LEDGER,
    POLICY,
    CredulousVerifier,
    MovableClock,
    SeededEntropy,
    SimulatedPhone,
    with_evidence,
)

from watchword.adapters.documents import FileDocument
from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.pace_file import KeptPace, PaceFile
from watchword.adapters.published_pins import PinPublication
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.revocation_journal import RevocationJournal
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import RollbackDetector
from watchword.apps.compose.secrets import NO_SECRETS, SecretWork
from watchword.apps.compose.vendors import NO_VENDORS, VendorWork
from watchword.apps.service.safeguards import ClockWatch, Safeguards
from watchword.apps.service.service import Service, build_service
from watchword.encoding import base64url
from watchword.enrolment.interface import EnrolmentPolicy, EvidenceVerifier
from watchword.enrolment.pace import Pace, PaceRates, PlaceSeal
from watchword.enrolment.retention import KEPT_FOR_EVER, RetentionTerms
from watchword.gate.bundle import GateBundle, from_jws
from watchword.gate.interface import GatePolicy, Route
from watchword.gate.limits import (
    ClientAddresses,
    EnrolmentLimits,
    EnrolmentRates,
    Network,
    RateLimiter,
)
from watchword.tokens.interface import TokenExpectation
from watchword.vocabulary import Environment, Level, Mode, Proof, Purpose

_Result = TypeVar("_Result")

ROUTE = Route("all", "/**", frozenset(), Level.HARDWARE, Proof.BEARER, Mode.ENFORCE)

GATE_POLICIES = tuple(
    GatePolicy(name, TokenExpectation(ISSUER, audience, Environment.PROD), (ROUTE,))
    for name, audience in (("clinic", CLINIC), ("ledger", LEDGER))
)


@dataclass
class ServiceBench:
    """Hold a service and what a test looks at beside it."""

    service: Service
    store: SqliteStore
    keyring: KeyRing
    log: MemoryRefusalLog
    clock: MovableClock
    directory: Path

    @property
    def gate_path(self) -> Path:
        """Return the file that the gate of the clinic follows."""
        return self.directory / "gates" / "clinic.jws"

    def published(self, api: str = "clinic") -> GateBundle:
        """Return what the gate of an API is told."""
        key = self.keyring.bundle_signer().verification_key()
        return from_jws(self.gate_path.with_name(f"{api}.jws").read_bytes(), key)

    def run(
        self, work: Callable[["Caller"], Awaitable[_Result]], peer: str = "127.0.0.1"
    ) -> _Result:
        """Run a scenario against the public and the operator's application.

        :param peer: the address that the calls come from.
        """

        async def scenario() -> _Result:
            async with Caller.of(self, peer) as caller:
                return await work(caller)

        return asyncio.run(scenario())

    def gate(self, api: str = "clinic") -> GateBundleFile:
        """Read the bundle as a gate of an API that starts now."""
        gates = self.gate_path.parent
        return GateBundleFile(gates / f"{api}.jws", gates / "signer.jwk", lambda: 0.0)


def service_bench(
    directory: Path,
    *,
    policy: EnrolmentPolicy = POLICY,
    verifier: EvidenceVerifier | None = None,
    max_pages: int | None = None,
    vendors: Callable[[SqliteStore, MovableClock], VendorWork] | None = None,
    pins: PinPublication | None = None,
    secrets: SecretWork = NO_SECRETS,
    gate_policies: Sequence[GatePolicy] = GATE_POLICIES,
    steady: Callable[[], float] | None = None,
    rates: EnrolmentRates | None = None,
    trusted_proxies: Sequence[Network] = (),
    revision: Callable[[str], bytes] | None = None,
    pace: PaceRates | None = None,
    retention: RetentionTerms = KEPT_FOR_EVER,
) -> ServiceBench:
    """Build a service on a state directory; the caller closes the store.

    :param revision: returns for an app what tickets for renewals hang on; None gives none.
    :param steady: a clock that nobody sets, to compare the bench's with; None compares nothing.
    :param pace: how fast each app enrols, counted by the bench's clock; None for all at once.
    :param vendors: makes what is asked of vendors beside the requests; None asks nobody.
    """
    clock, entropy = MovableClock(), SeededEntropy()
    keyring = KeyRing(
        FileDocument(directory / "keyring.json"),
        environment=policy.environment,
        grace=330,
        now=clock.timestamp(),
        entropy=entropy,
    )
    store = SqliteStore(directory / "watchword.db", max_pages=max_pages)
    log = MemoryRefusalLog(clock)
    service = build_service(
        policy=replace(policy),
        verifier=verifier or CredulousVerifier(),
        store=store,
        keyring=keyring,
        refusal_log=log,
        gates=directory / "gates",
        gate_policies=gate_policies,
        clock=clock,
        entropy=entropy,
        pins=pins,
        secrets=secrets,
        safeguards=Safeguards(
            mark=RollbackDetector(directory / "store-mark.json"),
            journal=RevocationJournal(directory / "revocations.jsonl"),
            watch=None if steady is None else ClockWatch(clock.timestamp, steady),
        ),
        vendors=replace(
            NO_VENDORS if vendors is None else vendors(store, clock), revision=revision
        ),
        room=None if rates is None else EnrolmentLimits(rates),
        addresses=ClientAddresses(trusted_proxies),
        paced=None if pace is None else kept_pace(directory, pace, policy, keyring, clock),
        retention=retention,
    )
    return ServiceBench(service, store, keyring, log, clock, directory)


def kept_pace(
    directory: Path,
    rates: PaceRates,
    policy: EnrolmentPolicy,
    keyring: KeyRing,
    clock: MovableClock,
) -> KeptPace:
    """Return what paces the enrolments of a bench."""
    file = PaceFile(directory / "pace.json")
    pace = Pace(
        rates,
        policy.apps,
        PlaceSeal(policy.issuer, keyring.ring.challenge_key),
        entropy=SeededEntropy(b"pace"),
        steady=clock.timestamp,
        tally=RateLimiter(EnrolmentRates().address).take,
        kept=file.read(),
    )
    return KeptPace(pace, file)


@dataclass
class Caller:
    """Call both applications as a client would."""

    public: httpx.AsyncClient
    operator: httpx.AsyncClient

    @classmethod
    def of(cls, bench: ServiceBench, peer: str = "127.0.0.1") -> "Caller":
        """Return a caller of a bench's applications."""
        return cls(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(
                    bench.service.public_app, raise_app_exceptions=True, client=(peer, 49152)
                ),
                base_url="http://watchword.example",
            ),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(bench.service.operator_app),
                base_url="http://operator",
            ),
        )

    async def __aenter__(self) -> Self:
        """Return the caller."""
        return self

    async def __aexit__(self, *_details: object) -> None:
        """Close both clients."""
        await self.public.aclose()
        await self.operator.aclose()

    async def challenge(self, phone: SimulatedPhone, purpose: Purpose = Purpose.ENROL) -> bytes:
        """Ask for a challenge."""
        answer = await self.public.post(
            "/v1/challenges", json={"app": phone.app, "purpose": purpose.value}
        )
        assert answer.status_code == 200, answer.text
        return base64url.decode(answer.json()["challenge"])

    async def attest(
        self,
        phone: SimulatedPhone,
        challenge: bytes,
        evidence: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> httpx.Response:
        """Send statement and evidence; ``evidence`` is added to what the phone says."""
        request = with_evidence(phone.enrolment(challenge, **changes), **(evidence or {}))
        return await self.public.post(
            "/v1/attestations",
            json={
                "statement": base64url.encode(request.statement),
                "evidence": dict(request.evidence),
            },
            headers=headers,
        )

    async def enrol(self, phone: SimulatedPhone, **evidence: Any) -> dict[str, Any]:
        """Enrol and return the answer's document; ``evidence`` is added to what the phone says."""
        answer = await self.attest(phone, await self.challenge(phone), evidence)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def renew(self, phone: SimulatedPhone, instance: str) -> httpx.Response:
        """Send a renewal, with a challenge that is asked for."""
        return await self.renew_with(phone, instance, await self.challenge(phone, Purpose.RENEW))

    async def renew_with(
        self, phone: SimulatedPhone, instance: str, challenge: bytes, **changes: Any
    ) -> httpx.Response:
        """Send a renewal with a challenge; ``changes`` are made to its statement."""
        request = phone.renewal(instance, challenge, **changes)
        return await self.public.post(
            "/v1/tokens",
            json={
                "instance": instance,
                "statement": base64url.encode(request.statement),
                "evidence": dict(request.evidence),
            },
        )
