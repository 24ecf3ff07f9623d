"""Hold the rows that the benchmark of a fleet fills a database with to those that the store writes."""

import asyncio
from dataclasses import replace

from benchmarks.fleet_stores import Enrolments, fill
from tests.system.adapters.postgres.servers import Postgres

from watchword.adapters.postgres.database import PostgresStore

PHONES = 40


def test_rows_that_fill_a_store_are_as_it_writes_them(server: Postgres) -> None:
    """Each is found as an instance like one that enrolled, every index and constraint stands, and enrolling goes on."""
    address = server.ready()
    with server.admin(address.database) as link:
        before = link.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'watchword' ORDER BY 1"
        ).fetchall()
    fill(server, address.database, PHONES)
    with server.admin(address.database) as link:
        after = link.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'watchword' ORDER BY 1"
        ).fetchall()
    assert after == before
    use, enrolled, audit, limit = Enrolments(1).next()

    async def look(store: PostgresStore) -> None:
        assert await store.enrol(use, enrolled, audit, limit=limit) is None
        found = await store.list_instances(PHONES + 2)
        assert len(found) == PHONES + 1
        assert found[0] == enrolled
        for each in found[1:]:
            # But for what is drawn: of the same form, and as large.
            drawn = replace(
                enrolled,
                id=each.id,
                attested_key=each.attested_key,
                proof_jwk=each.proof_jwk,
                seal_jwk=each.seal_jwk,
                enrolled_at=each.enrolled_at,
                renewed_at=each.renewed_at,
                attested_at=each.attested_at,
                serials=each.serials,
                attester_serial=each.serials[0],
            )
            assert each == drawn
            assert len(each.id) == len(enrolled.id)
            assert len(each.attested_key) == len(enrolled.attested_key)
            assert [len(serial) for serial in each.serials] == [
                len(serial) for serial in enrolled.serials
            ]
        assert len({each.id for each in found}) == PHONES + 1
        newest = await store.newest_audit()
        assert newest == PHONES + 1

    store = PostgresStore(address, call_seconds=60)
    try:
        asyncio.run(look(store))
    finally:
        store.close()
