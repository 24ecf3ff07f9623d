"""Count how often a call waits for the server: each round costs the way there and back."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from tests.store_contract.entries import audit, instance, run, use
from tests.store_contract.leases import entry, lease
from tests.system.adapters.postgres.servers import Postgres, pooled
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.postgres.database import PostgresStore
from watchword.ports import CountLimit, EnrolledCounts, StoredReceipt

_numbers = count()


class Wire:
    """Stand between the store and a server, and count the rounds."""

    def __init__(self, directory: str, port: int) -> None:
        """Listen."""
        self._server = f"{directory}/.s.PGSQL.{port}"
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.rounds = 0
        self._asks = False
        self._open: list[socket.socket] = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._server)
            self._open += [near, far]
            for ends in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        try:
            while data := source.recv(65536):
                # The server is quiet until it has all that is asked at once.
                self.rounds += asks and not self._asks
                self._asks = asks
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        """End all connections."""
        for each in self._open:
            each.close()


@pytest.fixture(params=["direct", "pgbouncer"])
def wired(server: Postgres, request: pytest.FixtureRequest) -> Iterator[tuple[PostgresStore, Wire]]:
    """Return a store with one connection that has seen each statement, by both ways."""
    address = server.ready()
    with pooled(server) as pool:
        port = server.port if request.param == "direct" else pool
        wire = Wire(str(server.directory), port)
        store = PostgresStore(replace(address, hosts=(("127.0.0.1", wire.port),)), connections=1)
        yield store, wire
        store.close()
        wire.close()


def rounds(wire: Wire, call: Callable[[], Awaitable[object]]) -> int:
    """Return how many rounds a call takes."""
    before = wire.rounds
    run(call)
    return wire.rounds - before


def enrolment(store: PostgresStore, name: str) -> Callable[[], Awaitable[object]]:
    """Return an enrolment with all that there may be."""
    made = replace(instance(name), device_key=name.encode().ljust(32), attester_serial=name)
    receipt = StoredReceipt(name, "clinic", b"receipt", NOW + timedelta(days=1), 0)
    limit = CountLimit(NOW, EnrolledCounts(1, 1))
    return lambda: store.enrol(
        use(name.encode()), made, audit(subject=name), receipt=receipt, limit=limit
    )


@pytest.mark.parametrize("is_prepared", [False, True])
def test_each_call_of_a_phone_takes_one_round(
    wired: tuple[PostgresStore, Wire], *, is_prepared: bool
) -> None:
    """An enrolment, and a renewal and a delivery of an instance that is as it was read; a look, too.

    The first time statements are prepared on the way: in the same round.
    """
    store, wire = wired
    if is_prepared:
        calls_of_a_phone(store, wire)
    assert calls_of_a_phone(store, wire) == [1, 1, 1, 1, 1]


def calls_of_a_phone(store: PostgresStore, wire: Wire) -> list[int]:
    """Return how many rounds an enrolment, a look, a renewal, another look and a delivery take."""
    name = f"r{next(_numbers)}"
    found = [rounds(wire, enrolment(store, name)), rounds(wire, lambda: store.find(name))]
    known = run(lambda: store.find(name))
    entered, nonces = audit("instance.renewed", 60, name), (name.encode(), b"renewal", b"delivery")
    renewal = use(nonces[0] + nonces[1])
    found.append(rounds(wire, lambda: store.renew(renewal, name, 4, None, entered, known=known)))
    found.append(rounds(wire, lambda: store.holder(name, "push", NOW)))
    held = run(lambda: store.holder(name, "push", NOW))
    delivery, made = use(nonces[0] + nonces[2]), lease(name, instance_id=name)
    found.append(rounds(wire, lambda: store.deliver(delivery, made, 5, entry, known=held)))
    return found


def test_who_changed_meanwhile_takes_more_rounds(wired: tuple[PostgresStore, Wire]) -> None:
    """One in vain, one that takes it back, and two that read it again and write."""
    store, wire = wired
    name = f"r{next(_numbers)}"
    run(enrolment(store, name))
    found = run(lambda: store.find(name))
    run(lambda: store.renew(use(b"x" + name.encode()), name, 4, None, audit(subject=name)))
    renewal = lambda: store.renew(  # noqa: E731
        use(b"y" + name.encode()), name, 5, None, audit("instance.renewed", 9, name), known=found
    )
    assert 2 < rounds(wire, renewal) <= 4


def test_a_pooler_that_mixes_up_what_is_prepared_is_gone_along_with(server: Postgres) -> None:
    """Before 1.21, or where an operator turned it off: no call fails, and none means another statement."""
    with pooled(server, options="max_prepared_statements = 0") as pool:
        address = replace(server.ready(), hosts=((str(server.directory), pool),))
        stores = [PostgresStore(address, connections=4, call_seconds=60) for _ in range(2)]
        names = [f"mixed{number}" for number in range(60)]

        async def main() -> None:
            await asyncio.gather(
                *(enrolment(stores[at % 2], name)() for at, name in enumerate(names))
            )

        asyncio.run(main())
        for name in names:
            assert run(lambda name=name: stores[0].find(name)) is not None  # type: ignore[misc]
        for each in stores:
            each.close()


def test_plans_that_were_made_while_tables_were_small_stay_good(server: Postgres) -> None:
    """Statistics of a table with one row say that reading all of it is cheapest; it grows faster than they are renewed."""
    address = server.ready()
    store = PostgresStore(address, connections=1)
    with server.admin(address.database) as link:
        run(enrolment(store, "small"))
        link.execute("ANALYZE")
        # An index that is made reads the table, too.
        before = link.execute(_READ_WHOLE).fetchone()
        for turn in range(12):
            # From the sixth time on the server keeps the plan.
            run(enrolment(store, f"small{turn}"))
            run(lambda: store.find("small"))
        # Who ends a connection has told what it did.
        store.close()
        with link.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
        assert link.execute(_READ_WHOLE).fetchone() == before


_READ_WHOLE = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname IN ('instances', 'used_challenges', 'audit')"
