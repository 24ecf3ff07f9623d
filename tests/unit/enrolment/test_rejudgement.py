"""A revocation that arrives revokes whoever it vouched for: all of them, once, also in a race."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.enrolment.simulators import (
    NOW,
    POLICY,
    CredulousVerifier,
    SeededEntropy,
    SimulatedPhone,
    gate_secret,
    with_evidence,
)

from watchword.adapters.keyring.file import new_key
from watchword.adapters.revocation import StatusList
from watchword.adapters.sqlite import SqliteStore
from watchword.attestation.certificates import BoundedIssuerCache
from watchword.enrolment.evidence import (
    ACTOR,
    BECAUSE,
    INSTANCES_AT_ONCE,
    SERIALS_AT_ONCE,
    Rejudgement,
)
from watchword.enrolment.interface import Enrolled
from watchword.enrolment.service import Enrolment, EnrolmentKeys
from watchword.ports import (
    AuditEntry,
    ChallengeUse,
    CountLimit,
    EnrolledCounts,
    Instance,
    RevocationEntry,
    StoredReceipt,
)
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Purpose

_Result = TypeVar("_Result")


@dataclass
class Withdrawn:
    """Be a list that a test replaces."""

    list: StatusList = field(default_factory=lambda: StatusList({}))

    @property
    def digest(self) -> str:
        """See the port."""
        return self.list.digest

    def find(self, serial_hex: str) -> RevocationEntry | None:
        """See the port."""
        return self.list.find(serial_hex)

    def revoked(self) -> Sequence[str]:
        """See the port."""
        return self.list.revoked()

    def set(self, **statuses: str) -> None:
        """Put another list in place: the status of each serial."""
        self.list = StatusList({s: RevocationEntry(w, "") for s, w in statuses.items()})


class InterruptedStore(SqliteStore):
    """Let something happen at the moments that matter."""

    before_commit: Callable[[], Awaitable[None]] | None = None
    failing: int = 0

    async def enrol(
        self,
        use: ChallengeUse,
        instance: Instance,
        audit: AuditEntry,
        receipt: StoredReceipt | None = None,
        limit: CountLimit | None = None,
    ) -> EnrolledCounts | None:
        """Enrol after something else happened."""
        if self.before_commit is not None:
            await self.before_commit()
        return await super().enrol(use, instance, audit, receipt, limit)

    async def revoke_all(self, at: datetime, because: str, audits: Sequence[AuditEntry]) -> int:
        """Revoke, or fail."""
        if self.failing:
            self.failing -= 1
            raise UnavailableError(Reason.STORE_UNAVAILABLE, "full")
        return await super().revoke_all(at, because, audits)


@dataclass
class Bench:
    """Hold a store with who judges anew, and an enrolment."""

    store: InterruptedStore
    withdrawn: Withdrawn
    issuers: BoundedIssuerCache
    rejudgement: Rejudgement
    enrolment: Enrolment

    async def enrol(self, *serials: str) -> Enrolled:
        """Enrol a phone for which these certificates vouch."""
        phone = SimulatedPhone()
        challenge, _ = self.enrolment.challenge(phone.app, Purpose.ENROL, NOW)
        request = with_evidence(phone.enrolment(challenge), serials=serials)
        return await self.enrolment.enrol(request, NOW)

    async def revoked(self) -> set[str]:
        """Return the instances that are revoked."""
        found = await self.store.list_instances(1000)
        return {each.id for each in found if each.revoked_at is not None}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench on a fresh store."""
    store, withdrawn, issuers = (
        InterruptedStore(tmp_path / "watchword.db"),
        Withdrawn(),
        BoundedIssuerCache(),
    )
    rejudgement = Rejudgement(store, withdrawn, issuers)
    key = new_key(0)
    enrolment = Enrolment(
        policy=POLICY,
        verifier=CredulousVerifier(),
        store=store,
        keys=EnrolmentKeys(bytes(32), bytes(32), lambda: key, gate_secret),
        entropy=SeededEntropy(),
        rejudgement=rejudgement,
    )
    yield Bench(store, withdrawn, issuers, rejudgement, enrolment)
    store.close()


def run(scenario: Awaitable[_Result]) -> _Result:
    """Run one scenario."""

    async def awaited() -> _Result:
        return await scenario

    return asyncio.run(awaited())


def test_revocation_takes_the_instances_of_its_certificates(bench: Bench) -> None:
    """Those and no others, with the vendor as actor, and without naming the certificate."""

    async def scenario() -> None:
        first = (await bench.enrol("a1", "b2")).instance
        second = (await bench.enrol("c3", "b2")).instance
        other = (await bench.enrol("c3", "d4")).instance
        bench.withdrawn.set(b2="REVOKED", d4="SUSPENDED", c3="ON_HOLD", ff="REVOKED")
        assert await bench.rejudgement.sweep(NOW) == 2
        assert await bench.revoked() == {first.id, second.id}
        found = await bench.store.find(first.id)
        assert found is not None
        assert (found.revoked_at, found.revoked_because) == (NOW, BECAUSE)
        entries = await bench.store.audit_entries(2)
        assert {entry.subject for entry in entries} == {first.id, second.id}
        assert {(entry.actor, entry.action) for entry in entries} == {(ACTOR, "instance.revoked")}
        assert all("b2" not in str(entry.detail) for entry in entries)
        assert other.id not in await bench.revoked()
        assert bench.rejudgement.revoked == 2

    run(scenario())


def test_one_list_is_swept_once(bench: Bench) -> None:
    """The store is left alone while the list stays as it is; a new process looks again."""

    async def scenario() -> None:
        await bench.enrol("a1")
        bench.withdrawn.set(a1="REVOKED")
        assert await bench.rejudgement.sweep(NOW) == 1
        bench.store.close()
        assert await bench.rejudgement.sweep(NOW) == 0
        bench.withdrawn.set(a1="REVOKED", b2="REVOKED")
        with pytest.raises(UnavailableError):
            await bench.rejudgement.sweep(NOW)

    run(scenario())


def test_start_looks_at_everything(bench: Bench) -> None:
    """What the last process left undone, or what was revoked while none ran, is done now."""

    async def scenario() -> None:
        await bench.enrol("a1")
        bench.withdrawn.set(a1="REVOKED")
        assert await Rejudgement(bench.store, bench.withdrawn).sweep(NOW) == 1
        assert await Rejudgement(bench.store, bench.withdrawn).sweep(NOW) == 0
        assert len(await bench.store.audit_entries(9)) == 2

    run(scenario())


def test_issuers_are_forgotten_when_the_list_changes(bench: Bench) -> None:
    """A list that stays as it is leaves them."""

    async def scenario() -> None:
        await bench.rejudgement.sweep(NOW)
        bench.issuers.remember(b"digest", "issuer")
        await bench.rejudgement.sweep(NOW)
        assert len(bench.issuers) == 1
        bench.withdrawn.set(a1="SUSPENDED")
        await bench.rejudgement.sweep(NOW)
        assert len(bench.issuers) == 0

    run(scenario())


def test_more_than_one_batch(bench: Bench) -> None:
    """Serials and instances beyond the bounds of one call are all looked at."""

    async def scenario() -> None:
        count = INSTANCES_AT_ONCE + 3
        for _ in range(count):
            await bench.enrol("fff1")
        await bench.enrol("a")
        serials = {f"e{number:x}": "REVOKED" for number in range(2 * SERIALS_AT_ONCE)}
        bench.withdrawn.set(a="REVOKED", **serials, fff1="REVOKED")
        assert await bench.rejudgement.sweep(NOW) == count + 1
        assert len(await bench.revoked()) == count + 1

    run(scenario())


def test_error_in_the_middle_is_made_up_for(bench: Bench) -> None:
    """A sweep that broke off begins anew and ends."""

    async def scenario() -> None:
        for _ in range(INSTANCES_AT_ONCE + 1):
            await bench.enrol("a1")
        bench.withdrawn.set(a1="REVOKED")
        bench.store.failing = 1
        with pytest.raises(UnavailableError):
            await bench.rejudgement.sweep(NOW)
        assert await bench.rejudgement.sweep(NOW) == INSTANCES_AT_ONCE + 1

    run(scenario())


def test_list_that_changes_during_a_sweep_gets_its_own(bench: Bench) -> None:
    """What is added while a sweep runs isn't taken for swept."""

    async def scenario() -> None:
        await bench.enrol("a1")
        late = (await bench.enrol("b2")).instance
        bench.withdrawn.set(a1="REVOKED")
        sweep = asyncio.create_task(bench.rejudgement.sweep(NOW))
        await asyncio.sleep(0)
        bench.withdrawn.set(a1="REVOKED", b2="REVOKED")
        assert await sweep == 1
        assert late.id not in await bench.revoked()
        assert await bench.rejudgement.sweep(NOW) == 1
        assert late.id in await bench.revoked()

    run(scenario())


def test_enrolment_that_overtakes_the_sweep_is_caught(bench: Bench) -> None:
    """Verified under the old list and committed after the new one's sweep: it gets no token."""

    async def list_arrives() -> None:
        bench.withdrawn.set(a1="REVOKED")
        assert await bench.rejudgement.sweep(NOW) == 0

    async def scenario() -> None:
        await bench.rejudgement.sweep(NOW)
        bench.store.before_commit = list_arrives
        with pytest.raises(RefusedError) as caught:
            await bench.enrol("c3", "a1")
        assert caught.value.reason is Reason.ATTESTATION_REVOKED
        assert await bench.rejudgement.sweep(NOW) == 1
        assert len(await bench.revoked()) == 1

    run(scenario())


def test_suspension_lets_an_enrolment_stand(bench: Bench) -> None:
    """Whether a suspended certificate is good enough was policy's to say."""

    async def scenario() -> None:
        bench.withdrawn.set(a1="SUSPENDED")
        assert (await bench.enrol("a1")).tokens
        assert await bench.rejudgement.sweep(NOW) == 0
        bench.withdrawn.set()
        assert await bench.rejudgement.sweep(NOW) == 0
        assert await bench.revoked() == set()

    run(scenario())


def test_revoked_instance_stays_revoked(bench: Bench) -> None:
    """A vendor that takes a revocation back gives no instance back: the phone enrols anew."""

    async def scenario() -> None:
        instance = (await bench.enrol("a1")).instance
        bench.withdrawn.set(a1="REVOKED")
        await bench.rejudgement.sweep(NOW)
        bench.withdrawn.set()
        await bench.rejudgement.sweep(NOW)
        assert await bench.revoked() == {instance.id}
        assert (await bench.enrol("a1")).tokens

    run(scenario())


def test_two_processes_sweep_at_once(bench: Bench, tmp_path: Path) -> None:
    """Both end, and each instance has one entry."""

    async def scenario() -> None:
        for _ in range(2 * INSTANCES_AT_ONCE):
            await bench.enrol("a1")
        bench.withdrawn.set(a1="REVOKED")
        store = SqliteStore(tmp_path / "watchword.db")
        other = Rejudgement(store, bench.withdrawn)
        counts = await asyncio.gather(bench.rejudgement.sweep(NOW), other.sweep(NOW))
        store.close()
        assert sum(counts) == 2 * INSTANCES_AT_ONCE
        entries = await bench.store.audit_entries(1000)
        revocations = [each.subject for each in entries if each.action == "instance.revoked"]
        assert len(revocations) == len(set(revocations)) == 2 * INSTANCES_AT_ONCE

    run(scenario())
