"""Renew by tickets at several nodes of one PostgreSQL: each challenge once, and nobody who was revoked at another node."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.store_contract.entries import audit
from tests.system.adapters.postgres.servers import Postgres
from tests.unit.enrolment.simulators import SimulatedPhone
from tests.unit.enrolment.test_service import run
from tests.unit.enrolment.test_tickets import Bench

from watchword.adapters.postgres.database import PostgresStore
from watchword.enrolment.interface import Enrolled, RenewalRequest
from watchword.enrolment.tickets import MOST_AGE
from watchword.reasons import Reason, RefusedError

NODES = 3


@pytest.fixture
def nodes(server: Postgres) -> Iterator[list[Bench]]:
    """Return nodes of one database, with one key."""
    address = server.ready()
    made = [Bench(PostgresStore(address), seed=b"node %d" % each) for each in range(NODES)]
    yield made
    for each in made:
        each.store.close()


def outcome(node: Bench, request: RenewalRequest) -> Enrolled | Reason:
    """Return what comes of a renewal."""
    try:
        return run(lambda: node.enrolment.renew(request, node.clock.now()))
    except RefusedError as error:
        return error.reason


def test_a_ticket_goes_to_any_node_and_its_challenge_counts_once(nodes: list[Bench]) -> None:
    """Each of 30 renewals is sent to all nodes at the same time: one answers it, and no row of the instance is written."""
    phone = SimulatedPhone("clinic-ios")
    last = nodes[0].enrolled(phone)
    for node in nodes:
        node.follow()
    with ThreadPoolExecutor(NODES) as pool:
        for _ in range(30):
            for node in nodes:
                node.clock.advance(1)
            request = nodes[0].request(phone, last)
            found = list(pool.map(lambda node, request=request: outcome(node, request), nodes))
            (last,) = (each for each in found if isinstance(each, Enrolled))
            assert found.count(Reason.CHALLENGE_USED) == NODES - 1
    row = run(lambda: nodes[0].store.find(last.instance.id))
    assert row is not None
    assert row.renewed_at == row.enrolled_at
    assert last.instance.counter > row.counter


def test_who_is_revoked_at_one_node_renews_at_none(nodes: list[Bench]) -> None:
    """Once the other has read the change log; one that hasn't for two seconds reads the row."""
    phone, other = SimulatedPhone("clinic-ios"), SimulatedPhone("clinic-android")
    first, second = nodes[0].enrolled(phone), nodes[0].enrolled(other)
    for node in nodes:
        node.follow()
    now = nodes[0].clock.now()
    for each in (first, second):
        name = each.instance.id
        entry = audit("instance.revoked", subject=name)
        run(lambda name=name, entry=entry: nodes[0].store.revoke(name, now, "stolen", entry))  # type: ignore[misc]
    nodes[1].follow()
    assert outcome(nodes[1], nodes[1].request(phone, first)) is Reason.INSTANCE_REVOKED
    # It knows nothing new, and knows that: it reads the row.
    nodes[2].seconds += MOST_AGE + 0.1
    assert outcome(nodes[2], nodes[2].request(other, second)) is Reason.INSTANCE_REVOKED


def test_without_its_ticket_a_challenge_is_used_once_too(nodes: list[Bench]) -> None:
    """A client of before, or one that lost it."""
    phone = SimulatedPhone("clinic-android")
    last = nodes[0].enrolled(phone)
    nodes[1].follow()
    request = nodes[0].request(phone, last)
    assert isinstance(outcome(nodes[1], request), Enrolled)
    assert outcome(nodes[2], replace(request, ticket=None)) is Reason.CHALLENGE_USED
