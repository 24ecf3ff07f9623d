"""Race several nodes for the same thing on one PostgreSQL: transactions run side by side, and one of them wins."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from tests.store_contract.entries import audit, instance, run, use
from tests.system.adapters.postgres.servers import Postgres
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.postgres.database import PostgresStore
from watchword.ports import CountLimit, EnrolledCounts, RevocationCursor
from watchword.reasons import RefusedError

NODES = 3
_numbers = count()


@pytest.fixture(scope="module")
def nodes(server: Postgres) -> Iterator[list[PostgresStore]]:
    """Return the stores of several nodes on one database."""
    address = server.ready()
    found = [PostgresStore(address, call_seconds=60) for _ in range(NODES)]
    yield found
    for each in found:
        each.close()


def test_of_those_that_race_for_a_challenge_one_wins(nodes: list[PostgresStore]) -> None:
    """Whichever node each asks."""

    async def outcome(node: PostgresStore, nonce: bytes) -> str:
        try:
            await node.enrol(use(nonce), instance(f"i{next(_numbers)}"), audit())
        except RefusedError as error:
            return error.reason.code
        return "enrolled"

    async def main() -> None:
        for number in range(100):
            nonce = f"raced{number}".encode()
            found = await asyncio.gather(*(outcome(node, nonce) for node in nodes))
            assert sorted(found) == ["challenge.used"] * (NODES - 1) + ["enrolled"]

    asyncio.run(main())


def test_one_device_never_gets_more_than_its_limit(nodes: list[PostgresStore]) -> None:
    """However many of its enrolments come at once, for whichever app, and by whichever certificate."""

    async def main() -> None:
        for number in range(30):
            device = (1000 + number).to_bytes(32)
            limit = CountLimit(NOW, EnrolledCounts(1, None))
            made = [
                replace(
                    instance(f"i{next(_numbers)}"),
                    app=f"app{at}",
                    device_key=device,
                    attester_serial=f"s{at}",
                )
                for at in range(2 * NODES)
            ]
            found = await asyncio.gather(
                *(
                    nodes[at % NODES].enrol(use(each.id.encode()), each, audit(), limit=limit)
                    for at, each in enumerate(made)
                )
            )
            # More than one by now is too many: the second one still comes in.
            assert found.count(None) == 2

    asyncio.run(main())


def test_of_renewals_with_one_counter_one_wins(nodes: list[PostgresStore]) -> None:
    """The row is held while its counter is compared."""

    async def outcome(node: PostgresStore, name: str, counter: int) -> str:
        try:
            nonce = use(f"{name}-{next(_numbers)}".encode())
            await node.renew(nonce, name, counter, None, audit())
        except RefusedError as error:
            return error.reason.code
        return "renewed"

    async def main() -> None:
        await nodes[0].enrol(use(b"counted"), replace(instance("counted"), counter=0), audit())
        for counter in range(1, 40):
            found = await asyncio.gather(*(outcome(node, "counted", counter) for node in nodes))
            assert sorted(found) == ["instance.counter"] * (NODES - 1) + ["renewed"]

    asyncio.run(main())


def test_what_is_told_in_order_misses_nothing(nodes: list[PostgresStore]) -> None:
    """Revocations and the audit trail, read page by page while other nodes write: each entry once, none left out."""
    names = [f"told{number}" for number in range(60)]

    async def write(node: PostgresStore, mine: list[str]) -> None:
        for name in mine:
            await node.enrol(use(name.encode()), instance(name), audit(subject=name))
            await node.revoke(name, NOW, "b", audit("instance.revoked", subject=name))

    async def main() -> tuple[set[str], list[int]]:
        start = await nodes[0].newest_audit()
        cursor = (await nodes[0].revocations(NOW, None, 1000)).cursor
        writing = [
            asyncio.create_task(write(node, names[at::NODES])) for at, node in enumerate(nodes)
        ]
        told: set[str] = set()
        numbers: list[int] = []
        going = True
        while going:
            # A round more once all is written.
            going = not all(each.done() for each in writing)
            news = await nodes[0].revocations(NOW, cursor, 7)
            assert not news.anew
            told |= {each.id for each in news.instances}
            going |= news.more
            cursor = news.cursor
            page = await nodes[1].audit_from(numbers[-1] + 1 if numbers else start + 1, 11)
            numbers += [each.number for each in page]
            going |= bool(page)
        await asyncio.gather(*writing)
        return told, numbers

    told, numbers = asyncio.run(main())
    assert told >= set(names)
    assert numbers == sorted(set(numbers))
    rest = run(lambda: nodes[0].audit_from(numbers[0], 1000))
    assert [each.number for each in rest] == numbers
    assert isinstance(run(lambda: nodes[2].revocations(NOW, None, 9)).cursor, RevocationCursor)


def test_sweeps_that_meet_each_other_end(nodes: list[PostgresStore]) -> None:
    """Two that revoke the same instances the other way round: the server takes one back, and it is run again."""
    names = [f"swept{number}" for number in range(20)]

    async def main() -> int:
        for name in names:
            await nodes[0].enrol(use(name.encode()), instance(name), audit(subject=name))
        entries = [audit("instance.revoked", subject=name) for name in names]
        found = await asyncio.gather(
            nodes[0].revoke_all(NOW, "b", entries),
            nodes[1].revoke_all(NOW + timedelta(seconds=1), "b", entries[::-1]),
        )
        return sum(found)

    assert asyncio.run(main()) == len(names)
