"""Lose, stall and mislead the server: calls end in bounded time and in words, and go on by themselves afterwards."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.machine import patience
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.system.adapters.postgres.servers import NODE, Postgres, postgres
from tests.unit.adapters.ordinary_user import NOBODY

from watchword.adapters.breaker import FAILURES
from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.database import PostgresStore
from watchword.adapters.postgres.link import connect
from watchword.adapters.postgres.status import look
from watchword.reasons import MalformedError, Reason, UnavailableError

SECRET = "correct horse"


@pytest.fixture
def own() -> Iterator[Postgres]:
    """Run a server that a test may kill."""
    with postgres() as running:
        yield running


def store_of(address: PostgresAddress, seconds: float = 60, connections: int = 2) -> PostgresStore:
    """Return a store that waits no longer than so many seconds."""
    return PostgresStore(address, call_seconds=seconds, connections=connections)


def until(store: PostgresStore, name: str) -> None:
    """Enrol, again and again, until the server is back."""
    for number in range(10_000):
        try:
            nonce = use(f"{name}{number}".encode())
            run(lambda nonce=nonce: store.enrol(nonce, instance(name), audit()))  # type: ignore[misc]
        except UnavailableError:
            continue
        return
    pytest.fail("the server isn't back")


def test_a_server_that_was_restarted_is_used_again_at_once(own: Postgres) -> None:
    """Connections that lay idle are replaced without a call that fails."""
    store = store_of(own.ready())
    run(lambda: store.enrol(use(), instance(), audit()))
    own.stop()
    own.start()
    run(lambda: store.enrol(use(b"b"), instance("two"), audit()))
    assert run(lambda: store.find("one")) is not None
    store.close()


def test_a_killed_server_loses_nothing_that_was_acknowledged(own: Postgres) -> None:
    """With all that works for it, in the middle of enrolments; afterwards the store goes on by itself."""
    store = store_of(own.ready(), connections=4)
    known: list[str] = []

    async def enrol(number: int) -> None:
        name = f"k{number}"
        try:
            await store.enrol(use(name.encode()), instance(name), audit(subject=name))
        except UnavailableError:
            return
        known.append(name)
        if len(known) == 40:
            await asyncio.to_thread(own.kill)

    async def main() -> None:
        await asyncio.gather(*(enrol(number) for number in range(200)))

    asyncio.run(main())
    assert 40 <= len(known) < 200
    assert reason_of(lambda: store.find("k0")) is Reason.STORE_UNAVAILABLE
    own.start()
    until(store, "again")
    for name in known:
        assert run(lambda name=name: store.find(name)) is not None  # type: ignore[misc]
    store.close()


def test_a_server_that_stands_still_holds_nobody_up(own: Postgres) -> None:
    """Each call ends in time; after some nobody waits any more, and what failed shows in readiness."""
    store = store_of(own.ready(), seconds=1)
    run(lambda: store.enrol(use(), instance(), audit()))
    workers = own.workers()
    for each in [own.process.pid, *workers]:
        os.kill(each, signal.SIGSTOP)
    said = []
    for _ in range(FAILURES + 1):
        with pytest.raises(UnavailableError) as caught:
            run(lambda: store.enrol(use(b"b"), instance("two"), audit()))
        said.append(caught.value.detail)
    assert "in time" in said[0]
    assert reason_of(store.check_writable) is Reason.STORE_UNAVAILABLE
    for each in [own.process.pid, *workers]:
        os.kill(each, signal.SIGCONT)
    until(store, "again")
    run(store.check_writable)
    store.close()


def test_more_calls_than_connections_wait_their_turn(server: Postgres) -> None:
    """All are answered, in as many connections as there may be."""
    address = server.ready()
    store = store_of(address)

    async def main() -> None:
        calls = (store.enrol(use(f"{n}".encode()), instance(f"{n}"), audit()) for n in range(100))
        await asyncio.gather(*calls)

    asyncio.run(main())
    with server.admin() as link:
        used = link.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (address.database,)
        ).fetchone()
    assert used == (2,)
    store.close()


def test_a_server_without_a_free_connection_says_so(own: Postgres) -> None:
    """In its own words; nothing is kept back for later."""
    address = own.ready()
    with own.admin() as link:
        link.execute(f"ALTER ROLE {NODE} CONNECTION LIMIT 1".encode())
    first = PostgresStore(address, connections=1)
    with pytest.raises(UnavailableError, match="too many connections"):
        PostgresStore(address, connections=1)
    first.close()


def test_a_standby_is_refused(server: Postgres, own: Postgres) -> None:
    """Also where its tables can be read; beside the primary the primary is taken."""
    address = own.ready()
    own.run(
        "pg_basebackup",
        "-h",
        str(own.directory),
        "-p",
        str(own.port),
        "-U",
        "postgres",
        "-D",
        str(own.directory / "standby"),
        "-R",
        "--checkpoint=fast",
        "--no-sync",
    )
    with own.beside("standby") as standby:
        place = (str(standby.directory), standby.port)
        with pytest.raises(UnavailableError, match="it is a standby"):
            PostgresStore(replace(address, hosts=(place,)))
        store = PostgresStore(replace(address, hosts=(place, *address.hosts)))
        run(lambda: store.enrol(use(), instance(), audit()))
        store.close()
    assert server.port != own.port


def test_a_standby_that_was_promoted_is_written_to_once_that_is_known(own: Postgres) -> None:
    """A synchronous one loses nothing; writes wait until challenges from before have ended; the old primary is refused."""
    address = own.ready()
    own.run(
        "pg_basebackup",
        "-h",
        str(own.directory),
        "-p",
        str(own.port),
        "-U",
        "postgres",
        "-D",
        str(own.directory / "standby"),
        "-R",
        "--checkpoint=fast",
        "--no-sync",
    )
    with own.beside("standby") as standby:
        with own.admin() as link:
            link.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            link.execute("SELECT pg_reload_conf()")
        both = (address.hosts[0], (str(standby.directory), standby.port))
        store = store_of(replace(address, hosts=both))
        for number in range(30):
            name = f"i{number}"
            run(lambda name=name: store.enrol(use(name.encode()), instance(name), audit()))  # type: ignore[misc]
        before = run(store.extent)
        own.kill()
        standby.run("pg_ctl", "promote", "-D", str(standby.data), "-w")
        with pytest.raises(UnavailableError, match="challenges from before end first"):
            run(lambda: store.enrol(use(b"n"), instance("new"), audit()))
        after = run(store.extent)
        assert (after[0], after[1] != before[1]) == (before[0], True)
        store.accept(after[1], 0)
        run(lambda: store.enrol(use(b"n"), instance("new"), audit()))
        assert len(run(lambda: store.list_instances(99))) == 31
        # The old one comes back and takes writes: nobody goes there while there is the new one, whoever stands first.
        own.start()
        fresh = store_of(replace(address, hosts=both))
        run(lambda: fresh.enrol(use(b"o"), instance("other"), audit()))
        assert run(lambda: store.find("other")) is not None
        fresh.close()
        # Nor does whoever knows of the new one when that is gone.
        standby.stop()
        with pytest.raises(UnavailableError, match="it is an old primary"):
            run(store.extent)
        store.close()


def test_a_commit_that_no_standby_has_is_not_acknowledged(own: Postgres) -> None:
    """Whoever cancels a wait for a standby makes the server say COMMIT; the next primary would lack it."""
    store = store_of(own.ready())
    with own.admin() as link:
        link.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        link.execute("SELECT pg_reload_conf()")
        query = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

        async def main() -> None:
            enrolment = asyncio.create_task(store.enrol(use(), instance(), audit()))
            while not enrolment.done():
                await asyncio.to_thread(link.execute, query)
                await asyncio.sleep(0.01)
            await enrolment

        with pytest.raises(UnavailableError, match="may be lost with this server"):
            asyncio.run(main())
        link.execute("ALTER SYSTEM RESET synchronous_standby_names")
        link.execute("SELECT pg_reload_conf()")
    until(store, "again")
    store.close()


def certificates(directory: Path, name: str) -> None:
    """Make an authority and a certificate for a name, all in one directory."""
    commands = (
        (
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ),
        (
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName=IP:{name}",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ),
        (
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            "2",
            "-copy_extensions",
            "copy",
            "-out",
            "server.pem",
        ),
    )
    for words in commands:
        subprocess.run(
            ["openssl", *words],
            cwd=directory,
            check=True,
            capture_output=True,
            timeout=patience(30),
        )
    for file in ("server.key", "server.pem", "ca.pem", "ca.key"):
        if os.geteuid() == 0:
            os.chown(directory / file, NOBODY, -1)
        (directory / file).chmod(0o600 if file.endswith("key") else 0o644)


def test_the_servers_certificate_and_name_are_checked(own: Postgres, tmp_path: Path) -> None:
    """Another authority's and another name's are refused; with the right one TLS is used."""
    address = own.ready()
    certificates(own.directory, "127.0.0.1")
    with own.admin() as link:
        link.execute(f"ALTER SYSTEM SET ssl_cert_file = '{own.directory}/server.pem'".encode())
        link.execute(f"ALTER SYSTEM SET ssl_key_file = '{own.directory}/server.key'".encode())
        link.execute("ALTER SYSTEM SET ssl = on")
    own.stop()
    own.start()
    place = replace(address, hosts=(("127.0.0.1", own.port),), authorities=own.directory / "ca.pem")
    assert look(place).tls
    certificates(tmp_path, "127.0.0.1")
    with pytest.raises(UnavailableError, match="certificate verify failed"):
        PostgresStore(replace(place, authorities=tmp_path / "ca.pem"))
    with pytest.raises(UnavailableError, match="does not match host name"):
        PostgresStore(replace(place, hosts=(("localhost", own.port),)))
    # A server without TLS is refused where it isn't this machine, or authorities are named.
    with own.admin() as link:
        link.execute("ALTER SYSTEM SET ssl = off")
    own.stop()
    own.start()
    with pytest.raises(UnavailableError, match="does not support SSL"):
        PostgresStore(place)


def test_a_password_is_read_at_each_connection(own: Postgres, tmp_path: Path) -> None:
    """A rotation needs no restart; a wrong one is refused without being told."""
    address = own.ready()
    with own.admin() as link:
        link.execute(f"ALTER ROLE {NODE} PASSWORD '{SECRET}'".encode())
    rules = own.data / "pg_hba.conf"
    rules.write_text(f"local all {NODE} scram-sha-256\nlocal all all trust\n")
    own.send(signal.SIGHUP)
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    known = replace(address, password=file)
    store = store_of(known, connections=1)
    with own.admin() as link:
        link.execute(f"ALTER ROLE {NODE} PASSWORD 'another'")
        link.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (NODE,)
        )
    with pytest.raises(UnavailableError) as caught:
        run(lambda: store.find("one"))
    assert "password authentication failed" in str(caught.value)
    assert SECRET not in str(caught.value)
    file.write_text("another")
    assert run(lambda: store.find("one")) is None
    file.chmod(0o644)
    with pytest.raises(UnavailableError, match="expected 0600"):
        connect(known)
    file.unlink()
    with pytest.raises(UnavailableError, match="isn't there"):
        connect(known)
    store.close()


def test_what_the_environment_says_weakens_nothing(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options, a password file and a role of somebody's shell don't count."""
    address = server.ready()
    monkeypatch.setenv("PGOPTIONS", "-c search_path=elsewhere")
    monkeypatch.setenv("PGUSER", "postgres")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    with connect(address) as link:
        assert link.execute("SELECT current_user, current_setting('search_path')").fetchone() == (
            NODE,
            '"$user", public',
        )


def test_status_tells_what_would_lose_data(server: Postgres) -> None:
    """This server is unsynced; and its owner may do more than a node needs."""
    state = look(server.ready())
    assert not state.keeps
    assert not state.may_change
    assert "fsync" in state.warnings()[0]
    assert look(server.emptied(replace(server.ready(), user="watchword_owner"))).may_change


def test_a_text_that_the_server_cannot_keep_is_malformed(server: Postgres) -> None:
    """U+0000 and half a surrogate pair: refused by us, the transaction with it."""
    store = store_of(server.ready())
    for text in ("a\0b", "\ud800"):
        odd = replace(instance(), app_version=text)
        with pytest.raises(MalformedError) as caught:
            run(lambda odd=odd: store.enrol(use(), odd, audit()))  # type: ignore[misc]
        assert caught.value.reason is Reason.REQUEST_MALFORMED
    run(lambda: store.enrol(use(), instance(), audit()))
    store.close()


def test_nothing_is_left_open_by_what_fails(server: Postgres) -> None:
    """A work that raises takes its transaction back, and the connection goes on."""
    store = store_of(server.ready(), connections=1)

    def broken(_connection: object) -> None:
        raise ValueError("mine")

    for _ in range(3):
        with pytest.raises(ValueError, match="mine"):
            run(lambda: store._database.write(broken))
    run(lambda: store.enrol(use(), instance(), audit()))
    with server.admin() as link:
        open_ones = link.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        ).fetchone()
    assert open_ones == (0,)
    store.close()
