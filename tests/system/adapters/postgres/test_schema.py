"""Make and upgrade the tables: forward only, whole or not at all, by one at a time."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.store_contract.entries import audit, instance, run, use
from tests.system.adapters.postgres.servers import NODE, OWNER, Postgres

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.database import PostgresStore
from watchword.adapters.postgres.link import connect
from watchword.adapters.postgres.schema import (
    SCHEMA_VERSION,
    SchemaError,
    Step,
    state_of,
    steps,
    upgrade,
)
from watchword.adapters.system import SystemEntropy
from watchword.reasons import UnavailableError

EXPAND = Step(SCHEMA_VERSION + 1, 1, "ALTER TABLE instances ADD COLUMN model TEXT;")
CONTRACT = Step(
    SCHEMA_VERSION + 2, SCHEMA_VERSION + 1, "ALTER TABLE instances DROP COLUMN risk_metric;"
)
ENDLESS = replace(EXPAND, text=f"{EXPAND.text} SELECT pg_sleep(3600);")
BROKEN = Step(
    SCHEMA_VERSION + 1, 1, "ALTER TABLE instances ADD COLUMN model TEXT; SELECT no_such_thing();"
)


def up(address: PostgresAddress, *more: Step) -> tuple[int, int]:
    """Bring tables up to date; return how far they were and are."""
    before, after = upgrade(address, NODE, SystemEntropy(), known=[*steps(), *more])
    return before.version, after.version


def by_hand(server: Postgres, address: PostgresAddress, statement: str) -> None:
    """Change a database as somebody would who knows better."""
    with server.admin(address.database) as link:
        link.execute(statement.encode())


def refused(call: Callable[[], object], kind: type[Exception], *words: str) -> None:
    """See to it that a call is refused in these words."""
    with pytest.raises(kind) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_the_version_is_that_of_the_last_step() -> None:
    """And each step names a reader that was there by then."""
    known = steps()
    assert [each.version for each in known] == list(range(1, SCHEMA_VERSION + 1))
    assert all(each.oldest_reader <= each.version for each in known)


def test_tables_are_made_once(server: Postgres) -> None:
    """A second time changes nothing."""
    address = server.database()
    assert up(address) == (0, SCHEMA_VERSION)
    with connect(address) as link:
        before = state_of(link)
    assert up(address) == (SCHEMA_VERSION, SCHEMA_VERSION)
    with connect(address) as link:
        assert state_of(link) == before


def test_of_several_that_upgrade_at_once_each_step_is_taken_once(server: Postgres) -> None:
    """All of them find the tables made, and nobody fails."""
    address = server.database()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: up(address, EXPAND), range(4)))
    assert {after for _, after in found} == {SCHEMA_VERSION + 1}


def test_a_step_that_fails_leaves_nothing(server: Postgres) -> None:
    """The tables stay those of the step before, and can be brought further later."""
    address = server.database()
    up(address)
    with pytest.raises(UnavailableError, match="no_such_thing"):
        up(address, BROKEN)
    with connect(address) as link:
        assert state_of(link).version == SCHEMA_VERSION
    assert up(address, EXPAND) == (SCHEMA_VERSION, SCHEMA_VERSION + 1)


def test_an_upgrade_that_is_killed_in_the_middle_leaves_nothing(server: Postgres) -> None:
    """Nor does it hold up the next one, which takes the step as a whole."""
    address = server.database()
    up(address)
    code = (
        "from tests.system.adapters.postgres.test_schema import ENDLESS, up\n"
        "from watchword.adapters.postgres.address import PostgresAddress\n"
        f"up({address!r}, ENDLESS)\n"
    )
    upgrading = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[4])
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
    with server.admin() as link:
        while link.execute(sleeping, (address.database,)).fetchone() != (1,):
            assert upgrading.poll() is None
            time.sleep(0.05)
    upgrading.kill()
    upgrading.wait()
    assert up(address, EXPAND) == (SCHEMA_VERSION, SCHEMA_VERSION + 1)
    node = PostgresStore(replace(address, user=NODE))
    run(lambda: node.enrol(use(), instance(), audit()))
    node.close()


def test_nodes_go_on_beside_a_step_that_expands(server: Postgres) -> None:
    """One that runs, and one that starts; a step that takes something away names who can't go on."""
    address = server.database()
    up(address)
    node = replace(address, user=NODE)
    running = PostgresStore(node)
    up(address, EXPAND)
    run(lambda: running.enrol(use(), instance(), audit()))
    started = PostgresStore(node)
    assert run(lambda: started.find("one")) == run(lambda: running.find("one"))
    running.close()
    started.close()
    up(address, EXPAND, CONTRACT)
    refused(lambda: PostgresStore(node), UnavailableError, "start a newer Watchword")


def test_tables_that_are_older_than_the_node_are_refused(server: Postgres) -> None:
    """With the command that brings them up."""
    address = server.ready()
    by_hand(server, address, "UPDATE watchword.store SET version = 0")
    refused(lambda: PostgresStore(address), UnavailableError, "watchword store upgrade")


def test_what_was_changed_by_hand_is_refused(server: Postgres) -> None:
    """Notes that don't fit the version, another text of a step, and tables of a newer Watchword: nothing is overwritten."""
    for change, word in (
        ("DELETE FROM watchword.migrations", "changed by hand"),
        (
            "UPDATE watchword.migrations SET digest = 'other'",
            "another one when this database took it",
        ),
        ("UPDATE watchword.store SET version = 99", "a newer Watchword made them"),
    ):
        address = server.database()
        up(address)
        by_hand(server, address, change)
        with pytest.raises(SchemaError, match=word):
            up(address, EXPAND)


def test_a_database_without_tables_says_what_to_do(server: Postgres) -> None:
    """At a start, and where only an upgrade was asked for; also where they went away under a running node."""
    address = server.database()
    node = replace(address, user=NODE)
    refused(lambda: PostgresStore(node), UnavailableError, "watchword store init")
    call = lambda: upgrade(address, NODE, SystemEntropy(), fresh=False)  # noqa: E731
    refused(call, SchemaError, "watchword store init")
    up(address)
    store = PostgresStore(node)
    by_hand(server, address, "DROP SCHEMA watchword CASCADE")
    refused(lambda: run(lambda: store.find("one")), UnavailableError, "does not exist")
    store.close()


def test_an_emptied_database_takes_no_enrolment_unseen(server: Postgres) -> None:
    """Tables that were made anew under a running node are another database: writes wait until that is accepted."""
    address = server.database()
    up(address)
    store = PostgresStore(replace(address, user=NODE))
    run(lambda: store.enrol(use(), instance(), audit()))
    before = run(store.extent)
    by_hand(server, address, "DROP SCHEMA watchword CASCADE")
    by_hand(
        server,
        address,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{address.database}' AND pid <> pg_backend_pid()",
    )
    up(address)

    def enrol() -> None:
        run(lambda: store.enrol(use(), instance(), audit()))

    refused(enrol, UnavailableError, "challenges from before end first")
    after = run(store.extent)
    assert (after[0], after[1] != before[1]) == (0, True)
    store.accept(after[1], 0)
    enrol()
    store.close()


def test_a_copy_that_is_restored_under_a_node_takes_no_write_unseen(server: Postgres) -> None:
    """It knows nothing of the challenges that were used since: they end first, as after any exchange."""
    address = server.database()
    up(address)
    store = PostgresStore(replace(address, user=NODE))
    run(lambda: store.enrol(use(), instance(), audit()))
    place = ("-h", str(server.directory), "-p", str(server.port), "-U", "postgres")
    copy = server.run("pg_dump", *place, "--schema", "watchword", address.database)
    run(lambda: store.enrol(use(b"since"), instance("since"), audit()))
    before = run(store.extent)
    by_hand(server, address, "DROP SCHEMA watchword CASCADE")
    file = server.directory / "copy.sql"
    file.write_text(copy)
    server.run("psql", *place, "-q", "-o", "/dev/null", "-d", address.database, "-f", str(file))
    again = lambda: run(lambda: store.enrol(use(b"since"), instance("again"), audit()))  # noqa: E731
    refused(again, UnavailableError, "challenges from before end first")
    assert run(lambda: store.find("since")) is None
    after = run(store.extent)
    assert (after[0] < before[0], after[1] != before[1]) == (True, True)
    store.accept(after[1], 0)
    run(lambda: store.enrol(use(b"new"), instance("new"), audit()))
    store.close()


def test_a_node_can_change_neither_tables_nor_the_trail(server: Postgres) -> None:
    """What it was granted is what its statements need."""
    with connect(server.ready()) as link:
        for statement in (
            "UPDATE watchword.audit SET actor = 'nobody'",
            "DELETE FROM watchword.audit",
            "UPDATE watchword.store SET revocations = 0",
            "DELETE FROM watchword.revocations",
            "ALTER TABLE watchword.instances DROP COLUMN counter",
            "CREATE TABLE watchword.mine (a INTEGER)",
            "SELECT setval('watchword.audit_numbers', 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                link.execute(statement.encode())


def test_roles_that_are_missing_or_may_not_are_named(server: Postgres) -> None:
    """The one of the nodes, and an owner who may not make the schema."""
    address = server.database()
    call = lambda: upgrade(address, "nobody_here", SystemEntropy())  # noqa: E731
    refused(call, SchemaError, "CREATE ROLE nobody_here")
    other = server.database()
    by_hand(server, other, f"ALTER DATABASE {other.database} OWNER TO postgres")
    refused(lambda: up(other), SchemaError, f"GRANT CREATE ON DATABASE {other.database} TO {OWNER}")
    stranger = server.database()
    up(stranger)
    by_hand(server, stranger, f"REVOKE SELECT ON watchword.store FROM {NODE}")
    refused(lambda: PostgresStore(replace(stranger, user=NODE)), UnavailableError, "may not read")
