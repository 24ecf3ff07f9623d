"""Hold a service with secrets: one injected at the edge, one sealed to instances, in a backend that a test can stop."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.unit.apps.service_bench import GATE_POLICIES, ROUTE, ServiceBench, service_bench

from watchword.apps.compose.secrets import SecretWork
from watchword.broker.interface import (
    Allowance,
    DeliveryRule,
    EdgeRule,
    Place,
    PlaceKind,
    SecretRecord,
    StoredSecret,
    UsageLedger,
)
from watchword.broker.keeper import SecretKeeper
from watchword.gate.interface import GatePolicy
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

FIRST, SECOND, THIRD = (
    "sk_live_FIRSTmarked0001",
    "sk_live_SECONDmarked002",
    "sk_live_THIRDmarked003",
)
"""Values by which a test finds what it must not find."""

EDGE = EdgeRule(
    secret="maps",
    host="maps.example.net",
    port=443,
    patterns=("/geocode/**",),
    methods=frozenset({"GET"}),
    place=Place(PlaceKind.HEADER, "authorization", "Bearer "),
    allowances=(Allowance(86_400, calls=100),),
)

DELIVERY = DeliveryRule("push", frozenset({"clinic-ios"}), Level.HARDWARE, lease=7200)

MAPS_ROUTE = replace(ROUTE, name="maps", pattern="/maps/**", secret="maps")


@dataclass
class MemorySecretStore:
    """Implement :class:`watchword.broker.interface.SecretStore` in memory; it outlives the services of a test.

    :ivar down: whether it answers nobody.
    :ivar slow: seconds that each answer takes.
    """

    kept: dict[str, StoredSecret] = field(default_factory=dict)
    down: bool = False
    slow: float = 0.0
    closed: bool = False

    async def _answer(self) -> None:
        await asyncio.sleep(self.slow)
        if self.down:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, "it is sealed")

    async def read(self, name: str) -> StoredSecret | None:
        """See the port."""
        await self._answer()
        return self.kept.get(name)

    async def read_all(self) -> Sequence[StoredSecret]:
        """See the port."""
        await self._answer()
        return list(self.kept.values())

    async def write(self, record: SecretRecord, revision: int | None) -> int:
        """See the port."""
        await self._answer()
        kept = self.kept.get(record.name)
        if (None if kept is None else kept.revision) != revision:
            raise RefusedError.because(Reason.SECRET_CONFLICT, "somebody else wrote")
        self.kept[record.name] = StoredSecret(record, (revision or 0) + 1)
        return (revision or 0) + 1

    async def aclose(self) -> None:
        """See the port."""
        self.closed = True


def secret_policies() -> tuple[GatePolicy, ...]:
    """Return the policies of the bench's APIs: the clinic's routes add the maps key, the ledger's add none."""
    clinic, ledger = GATE_POLICIES
    return replace(clinic, routes=(MAPS_ROUTE, ROUTE), edges={"maps": EDGE}), ledger


def secret_bench(
    directory: Path,
    store: MemorySecretStore,
    *,
    max_pages: int | None = None,
    usage: UsageLedger | None = None,
    policies: Sequence[GatePolicy] | None = None,
    first_read_seconds: float = 20.0,
) -> ServiceBench:
    """Build a service with secrets; the caller closes its store.

    :param policies: of the APIs; those of :func:`secret_policies` if None.
    """
    work = SecretWork(
        keeper=SecretKeeper(store, {"maps"}),
        store=store,
        edges={"maps": EDGE},
        deliveries={"push": DELIVERY},
        usage=usage,
        first_read_seconds=first_read_seconds,
    )
    return service_bench(
        directory, max_pages=max_pages, secrets=work, gate_policies=policies or secret_policies()
    )
