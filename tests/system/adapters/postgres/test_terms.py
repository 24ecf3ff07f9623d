"""Take chores over from a node that doesn't know it yet: whatever it still writes is of an old term, and is refused."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import pytest
from tests.machine import patience
from tests.store_contract.entries import audit, instance, run, use
from tests.store_contract.instances import receipt
from tests.system.adapters.postgres.servers import Postgres
from tests.system.bundles.machines import until
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.nodes import Chore, NodeIdentity, PublishedLines
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.database import PostgresStore
from watchword.adapters.postgres.node import NodeSession
from watchword.adapters.postgres.publication import PublicationRows
from watchword.adapters.store import Connection
from watchword.adapters.system import SystemClock
from watchword.adapters.terms import FencedError
from watchword.gate.cuts import Cut, ScheduledCut
from watchword.reasons import UnavailableError

Write = Callable[[PostgresStore], Awaitable[object]]
CHANGED = ("instances", "used_challenges", "receipts", "cuts", "audit")
PUBLISHED = ("publication", "gate_lines", "first_bundles")
_Made = TypeVar("_Made")
ENDED = NOW + timedelta(days=2)


def _cut() -> ScheduledCut:
    return ScheduledCut(Cut(None, None, int(NOW.timestamp()), 1), 1, 1, "b", "o", NOW)


async def _advance(store: PostgresStore) -> None:
    for each in await store.cuts(0):
        await store.advance_cut(each)


WRITES: dict[str, tuple[Chore, Write]] = {
    "a cut's next step": (Chore.GATES, _advance),
    "a vendor's list": (
        Chore.JUDGING,
        lambda store: store.revoke_all(NOW, "listed", [audit("instance.revoked", subject="i0")]),
    ),
    "a receipt": (
        Chore.RECEIPTS,
        lambda store: store.put_receipt(receipt("i0", 7), None, audit(subject="i0")),
    ),
    "used challenges": (Chore.EXPIRY, lambda store: store.forget_expired(ENDED)),
}


def opened(make: Callable[[], _Made]) -> _Made:
    """Return what connects, however often that takes too long on a loaded machine."""
    made: list[_Made] = []

    def connects() -> bool:
        with suppress(UnavailableError):
            made.append(make())
        return bool(made)

    until(connects, "it can't connect")
    return made[0]


@dataclass
class Site:
    """Hold a database, and the store of the node that leads at first."""

    server: Postgres
    address: PostgresAddress
    store: PostgresStore

    def session(self, name: str) -> NodeSession:
        """Return a node's session, which follows from now on."""
        identity = NodeIdentity(name, hash(name), "1", "s", "c", "k")
        made = opened(
            lambda: NodeSession(self.address, lambda: identity, wall=SystemClock().timestamp)
        )
        made.begin(lambda: None)
        return made

    def rows(self) -> list[object]:
        """Return all that a chore may change."""
        with self.server.admin(self.address.database) as link:
            link.execute("SET search_path = watchword")
            return [
                link.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall()
                for table in (*CHANGED, *PUBLISHED)
            ]

    def cut_off(self, name: str) -> None:
        """End a node's session, as the server does with one that was stopped."""
        with self.server.admin(self.address.database) as link:
            link.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                (f"watchword node {name}",),
            )


@pytest.fixture
def site(server: Postgres) -> Iterator[Site]:
    """Return a database with something of everything in it."""
    address = server.ready()
    with closing(opened(lambda: PostgresStore(address, call_seconds=patience(10)))) as store:
        run(lambda: store.enrol(use(b"n"), instance("i0"), audit(), receipt("i0")))
        run(lambda: store.add_cut(_cut(), 0, lambda _: audit()))
        yield Site(server, address, store)


def until_leads(session: NodeSession, *chores: Chore) -> None:
    """Wait until a node does chores."""
    until(lambda: all(map(session.leads, chores)), f"it doesn't lead: {session.view}")


@pytest.mark.parametrize("what", WRITES)
def test_what_is_of_an_old_term_is_refused(site: Site, what: str) -> None:
    """Begun by a node that did the chore, and written once another one does: nothing has changed."""
    chore, write = WRITES[what]
    with closing(site.session("a")) as first:
        until_leads(first, chore)
        with closing(site.session("b")) as other:
            with first.within(chore) as leads:
                assert leads
                site.cut_off("a")
                until_leads(other, chore)
                before = site.rows()[: len(CHANGED)]
                with pytest.raises(FencedError):
                    run(lambda: write(site.store))
                assert site.rows()[: len(CHANGED)] == before
            # One that is fenced has a store that works.
            run(site.store.check_writable)
            with other.within(chore) as leads:
                assert leads
                run(lambda: write(site.store))
            assert site.rows()[: len(CHANGED)] != before


def test_gates_are_told_nothing_of_an_old_term(site: Site) -> None:
    """Neither is a generation drawn: nothing is signed without one."""
    with closing(site.session("a")) as first, closing(site.session("b")) as other:
        until(lambda: first.leads(Chore.GATES) or other.leads(Chore.GATES), "nobody leads")
        leader = first if first.leads(Chore.GATES) else other
        log = PublicationRows(site.store.database, leader)
        until(log.leads, "it doesn't lead")
        with leader.within(Chore.GATES):
            term = leader.term(Chore.GATES)
            assert term is not None
            site.cut_off(term.node)
            until_leads(other if leader is first else first, Chore.GATES)
            before = site.rows()[len(CHANGED) :]
            with pytest.raises(FencedError):
                log.draw(1, 0)
            with pytest.raises(FencedError):
                log.append("clinic", PublishedLines([b"line"], anew=True))
            with pytest.raises(FencedError):
                log.put_first("clinic", b"bundle")
            with pytest.raises(FencedError):
                log.note(7)
            assert site.rows()[len(CHANGED) :] == before


def test_the_next_term_begins_when_what_was_begun_is_over(site: Site) -> None:
    """A transaction that is on its way ends first, and whatever begins later is refused."""
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()
    with closing(site.session("a")) as first:
        until_leads(first, Chore.EXPIRY)

        def work(connection: Connection) -> None:
            connection.execute("SELECT 1").fetchone()
            begun.set()
            go_on.wait(2)
            connection.execute("DELETE FROM used_challenges").rowcount  # noqa: B018 - waits for it.
            over.set()

        def write() -> None:
            with first.within(Chore.EXPIRY):
                site.store.database.here(work, writes=True)

        running = threading.Thread(target=write)
        running.start()
        begun.wait()
        with closing(site.session("b")) as other:
            site.cut_off("a")
            until(lambda: not first.leads(Chore.EXPIRY), "it leads still")
            assert not other.leads(Chore.EXPIRY)
            go_on.set()
            until_leads(other, Chore.EXPIRY)
            assert over.is_set()
        running.join()
    assert site.rows()[1] == []


def test_who_does_no_chore_is_refused_nothing(site: Site) -> None:
    """An operator's revocation at any node belongs to no term."""
    with closing(site.session("a")) as first:
        until_leads(first, Chore.GATES)
        with closing(site.session("b")) as other, other.within(Chore.GATES) as leads:
            assert not leads
            run(lambda: site.store.revoke("i0", NOW, "b", audit(subject="i0")))
    found = run(lambda: site.store.find("i0"))
    assert found is not None
    assert found.revoked_at == NOW
