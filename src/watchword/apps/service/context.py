"""Hold what the service's endpoints work with."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.nodes import ONLY_NODE, Nodes
from watchword.adapters.pace_file import KeptPace
from watchword.adapters.pin_reports import MemoryPinReports
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.apps.compose.secrets import NO_SECRETS, SecretWork
from watchword.apps.compose.vendors import NO_VENDORS, VendorWork
from watchword.apps.service.configuration import LiveConfiguration
from watchword.apps.service.cuts import CutSchedule
from watchword.apps.service.publisher import GatePublisher
from watchword.apps.service.retention import Expiry
from watchword.apps.service.safeguards import NO_SAFEGUARDS, GuardedStore, Safeguards
from watchword.enrolment.delivery import LeaseStore, SecretDelivery
from watchword.enrolment.evidence import Invitations
from watchword.enrolment.interface import OperatorCodeStore
from watchword.enrolment.retention import RetentionStore
from watchword.enrolment.service import Enrolment
from watchword.gate.cuts import CutStore
from watchword.gate.limits import LimitTally
from watchword.gate.references import NONCE_BYTES, seal
from watchword.gate.tallies import Tallies
from watchword.pins.interface import PublishedPins
from watchword.ports import Clock, Entropy, InstanceStore, RecordLog
from watchword.reasons import Refusal


class ServiceStore(
    InstanceStore, OperatorCodeStore, LeaseStore, RetentionStore, GuardedStore, CutStore, Protocol
):
    """Keep instances, the codes that enrol some of them, and what they hold, in the same transactions."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """Hold the parts that endpoints call, all made elsewhere.

    :param delivery: hands secrets to instances; where none is to be, it refuses.
    :param cuts: cuts tokens off by an operator's word.
    :param expiry: drops instances whose time is over.
    :param invitations: makes the codes of test instances.
    :param vendors: what is asked of vendors beside the requests.
    :param secrets: what is known of secrets; its ``keeper`` is None where the file names none.
    :param records: what is kept of verifications, None where nothing is.
    :param pins: what is published of pins; ``pin_reports`` counts what apps report of them.
    :param nodes: the other nodes of the service, where several share a store.
    :param safeguards: what guards the store beside it, and watches the clock.
    :param paced: says when who enrols has his turn; None where all have it at once.
    :param answers: how often each route answered with each status, since the start.
    :param gate_faults: by API, what keeps the gate in this process from following its bundle, None
        for nothing; only the APIs whose gate is here.
    :param gate_limits: by API, how often each of its limits was met at the gate in this process.
    :param gate_tallies: by API, what the gate in this process counted and decides nothing by.
    :param configuration: puts other files in force; None where the settings come from no file.
    :param rotating: is held by the one rotation that goes on.
    """

    enrolment: Enrolment
    delivery: SecretDelivery
    invitations: Invitations
    store: ServiceStore
    keyring: KeyRing
    publisher: GatePublisher
    cuts: CutSchedule
    expiry: Expiry
    refusal_log: MemoryRefusalLog
    clock: Clock
    entropy: Entropy
    pins: PublishedPins
    pin_reports: MemoryPinReports
    vendors: VendorWork = NO_VENDORS
    secrets: SecretWork = NO_SECRETS
    records: RecordLog | None = None
    safeguards: Safeguards = NO_SAFEGUARDS
    nodes: Nodes = ONLY_NODE
    paced: KeptPace | None = None
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    gate_faults: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    gate_limits: dict[str, Callable[[], Mapping[str, LimitTally]]] = field(default_factory=dict)
    gate_tallies: dict[str, Tallies] = field(default_factory=dict)
    configuration: LiveConfiguration | None = None
    rotating: asyncio.Lock = field(default_factory=asyncio.Lock)

    def reference(self, refusals: Sequence[Refusal], where: str) -> str:
        """Return the opaque reference of a refusal."""
        return seal(
            refusals,
            where,
            self.clock.timestamp(),
            self.keyring.ring.reference_key,
            self.entropy.token_bytes(NONCE_BYTES),
        )
