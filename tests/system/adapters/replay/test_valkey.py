"""Show how the shared store holds when its server stalls, dies, forgets, fills up, or isn't what it should be."""

import asyncio
import signal
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.ports import free_port
from tests.system.adapters.replay.servers import Valkey, valkey
from tests.unit.adapters.loopback import self_signed

from watchword.adapters.replay.valkey import ValkeyReplayStore
from watchword.adapters.system import SystemClock
from watchword.adapters.valkey_link import DEADLINE_SECONDS, FAILURES
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import window
from watchword.reasons import Reason, UnavailableError

clock = SystemClock().timestamp

WINDOW = window(30)
SECRET = "open sesame 4711"


@pytest.fixture
def server() -> Iterator[Valkey]:
    """Run a server that keeps nothing on disk."""
    with valkey() as running:
        yield running


def claim(number: int, ahead: int = WINDOW) -> ReplayClaim:
    """Return a claim, as far ahead as it may be unless told otherwise: a store opens to those first."""
    tag = number.to_bytes(4, "big") + time.time_ns().to_bytes(12, "big")
    return ReplayClaim(tag, int(clock()) + ahead)


async def reason_of(store: ValkeyReplayStore, wanted: ReplayClaim) -> Reason | bool:
    """Return what a claim comes to, or the reason why it can't be told."""
    try:
        return await store.claim(wanted, clock())
    except UnavailableError as error:
        return error.reason


async def opened(store: ValkeyReplayStore, within: float = 4.0) -> float:
    """Wait until the store takes claims; return how long that took."""
    begun = time.perf_counter()
    while await reason_of(store, claim(0)) is not True:
        assert time.perf_counter() - begun < within, "the store never opened"
        await asyncio.sleep(0.01)
    return time.perf_counter() - begun


def test_a_stalled_server_refuses_in_time_and_recovers(server: Valkey) -> None:
    """SIGSTOP: within the deadline, after a few at once; SIGCONT: claims pass within two seconds."""

    async def main() -> None:
        store = ValkeyReplayStore(server.url, "api")
        await opened(store)
        used = claim(1)
        assert await store.claim(used, clock())
        server.send(signal.SIGSTOP)
        for _ in range(FAILURES):
            begun = time.perf_counter()
            assert await reason_of(store, claim(2)) is Reason.GATE_REPLAY_UNAVAILABLE
            assert time.perf_counter() - begun < DEADLINE_SECONDS + 0.3
        begun = time.perf_counter()
        for _ in range(50):
            assert await reason_of(store, claim(2)) is Reason.GATE_REPLAY_UNAVAILABLE
        assert time.perf_counter() - begun < 2 * DEADLINE_SECONDS
        server.send(signal.SIGCONT)
        assert await opened(store) < 2
        assert await store.claim(used, clock()) is False
        await store.close()

    asyncio.run(main())


def test_a_crowd_before_a_stalled_server_is_refused_as_quickly(server: Valkey) -> None:
    """2,000 at once share 16 connections, and nobody waits for the others: one after another they would take 12 seconds."""

    async def main() -> None:
        store = ValkeyReplayStore(server.url, "api")
        await opened(store)
        server.send(signal.SIGSTOP)
        begun = time.perf_counter()
        answers = await asyncio.gather(*(reason_of(store, claim(n)) for n in range(2000)))
        assert time.perf_counter() - begun < DEADLINE_SECONDS + 8
        assert set(answers) == {Reason.GATE_REPLAY_UNAVAILABLE}
        server.send(signal.SIGCONT)
        assert await opened(store) < 2
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("persistence", ["yes", "no"])
def test_a_killed_server_opens_nothing(persistence: str) -> None:
    """With and without an append-only file: what was used stays refused, fresh proofs pass again soon."""

    async def main(server: Valkey) -> None:
        store = ValkeyReplayStore(server.url, "api")
        await opened(store)
        used = [claim(number) for number in range(300)]
        assert all([await store.claim(one, clock()) for one in used])
        server.kill()
        assert await reason_of(store, claim(1)) is Reason.GATE_REPLAY_UNAVAILABLE
        server.start()
        assert await opened(store) < 4
        for one in used:
            assert await reason_of(store, one) in (False, Reason.GATE_REPLAY_UNAVAILABLE)
        await store.close()

    with valkey("--appendonly", persistence) as server:
        asyncio.run(main(server))


@pytest.mark.parametrize("command", ["FLUSHALL", "SCRIPT FLUSH", "DEBUG LOADAOF"])
def test_an_emptied_server_opens_nothing(command: str) -> None:
    """Also for a gate that never noticed, since its connections stayed."""

    async def main(server: Valkey) -> None:
        store = ValkeyReplayStore(server.url, "api")
        other = ValkeyReplayStore(server.url, "api")
        await opened(store)
        used = [claim(number) for number in range(20)]
        assert all([await store.claim(one, clock()) for one in used])
        async with Redis(unix_socket_path=str(server.socket)) as operator:
            await operator.execute_command(*command.split())  # type: ignore[no-untyped-call]
        for one in used:
            assert await reason_of(store, one) is not True
            assert await reason_of(other, one) is not True
        await opened(store)
        assert all([await reason_of(other, one) is not True for one in used])
        await store.close()
        await other.close()

    with valkey("--appendonly", "yes", "--enable-debug-command", "yes") as server:
        asyncio.run(main(server))


def test_a_new_server_refuses_older_proofs_with_the_right_reason(server: Valkey) -> None:
    """It can't tell whether they were used; in the meantime nothing is called a replay."""

    async def main() -> None:
        store = ValkeyReplayStore(server.url, "api")
        assert await reason_of(store, claim(1, 90)) is Reason.GATE_REPLAY_UNAVAILABLE
        await opened(store)
        assert await reason_of(store, claim(1, 90)) is Reason.GATE_REPLAY_UNAVAILABLE
        await store.close()

    asyncio.run(main())


def test_a_second_gate_closes_nothing(server: Valkey) -> None:
    """Gates come and go while the server stays open."""

    async def main() -> None:
        first = ValkeyReplayStore(server.url, "api")
        await opened(first)
        second = ValkeyReplayStore(server.url, "api")
        used = claim(1)
        assert await second.claim(used, clock()) is True
        assert await first.claim(used, clock()) is False
        elsewhere = ValkeyReplayStore(server.url, "another api")
        assert await reason_of(elsewhere, used) is Reason.GATE_REPLAY_UNAVAILABLE
        await opened(elsewhere)
        both = claim(2)
        assert await first.claim(both, clock()) is True
        assert await elsewhere.claim(both, clock()) is True
        for store in (first, second, elsewhere):
            await store.close()

    asyncio.run(main())


def test_clocks_that_differ_by_more_than_the_leeway(server: Valkey) -> None:
    """A gate far ahead is told so; one that is behind by any time opens nothing."""

    async def main() -> None:
        store = ValkeyReplayStore(server.url, "api")
        await opened(store)
        with pytest.raises(UnavailableError, match="clocks") as caught:
            await store.claim(claim(1, 1090), clock() + 1000)
        assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE
        assert await store.claim(claim(1, -910), clock() - 1000) is False
        await store.close()

    asyncio.run(main())


def test_a_server_whose_clock_went_back_closes(server: Valkey) -> None:
    """It expired claims by the later time; the marker knows that time."""

    async def main() -> None:
        store = ValkeyReplayStore(server.url, "api")
        await opened(store)
        async with Redis(unix_socket_path=str(server.socket)) as operator:
            # As if the clock had been an hour ahead until now.
            high = int(clock() + 3600) * 1000
            await operator.hset("watchword:replay:{api}:marker", "high", str(high))
        # Just now it took those that are as far ahead.
        assert await reason_of(store, claim(1)) is Reason.GATE_REPLAY_UNAVAILABLE
        assert await opened(store) < 4
        await store.close()

    asyncio.run(main())


def test_claims_are_kept_until_they_are_stale_and_no_longer(server: Valkey) -> None:
    """Their life on the server ends a few seconds after ``until``."""

    async def main() -> None:
        store = ValkeyReplayStore(server.url, "api")
        await opened(store)
        used = claim(1)
        assert await store.claim(used, clock())
        async with Redis(unix_socket_path=str(server.socket)) as operator:
            expires = await operator.execute_command(  # type: ignore[no-untyped-call]
                "PEXPIRETIME", b"watchword:replay:{api}:" + used.tag
            )
        assert used.until * 1000 < expires <= used.until * 1000 + 10_000
        await store.close()

    asyncio.run(main())


def test_a_server_that_drops_keys_is_refused() -> None:
    """A flood could push used proofs out."""

    async def main(server: Valkey) -> None:
        store = ValkeyReplayStore(server.url, "api")
        with pytest.raises(UnavailableError, match="noeviction") as caught:
            await store.claim(claim(1), clock())
        assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE
        await store.close()

    with valkey("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        asyncio.run(main(server))


def test_a_full_server_refuses(server: Valkey) -> None:
    """With the reason that tells an operator to make room."""

    async def main() -> None:
        store = ValkeyReplayStore(server.url, "api")
        await opened(store)
        async with Redis(unix_socket_path=str(server.socket)) as operator:
            await operator.config_set("maxmemory", "1000")
            assert await reason_of(store, claim(1)) is Reason.GATE_REPLAY_FULL
            await operator.config_set("maxmemory", "0")
        assert await reason_of(store, claim(2)) is True
        await store.close()

    asyncio.run(main())


def test_the_password_comes_from_a_private_file_and_shows_nowhere(tmp_path: Path) -> None:
    """Right, wrong, missing and readable by others; never in an error or a representation."""
    right, wrong, shared = (tmp_path / name for name in ("right", "wrong", "shared"))
    for path, text in ((right, SECRET), (wrong, "guessed"), (shared, SECRET)):
        path.write_text(text + "\n")
        path.chmod(0o600)
    shared.chmod(0o644)

    async def main(server: Valkey) -> None:
        store = ValkeyReplayStore(server.url, "api", password=right)
        await opened(store)
        assert SECRET not in repr(store)
        await store.close()
        for path in (wrong, shared, tmp_path / "missing", None):
            store = ValkeyReplayStore(server.url, "api", password=path)
            with pytest.raises(UnavailableError) as caught:
                await store.claim(claim(1), clock())
            assert caught.value.reason is Reason.GATE_REPLAY_UNAVAILABLE
            assert SECRET not in str(caught.value)
            assert caught.value.__cause__ is None
            await store.close()

    with valkey("--requirepass", SECRET) as server:
        asyncio.run(main(server))


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sesame@127.0.0.1:6379",
        "rediss://127.0.0.1:6379?ssl_cert_reqs=none",
        "redis://127.0.0.1?socket_timeout=9",
    ],
)
def test_a_url_with_a_password_or_a_weaker_option_is_refused(url: str) -> None:
    """It would be in the log, or take the check of the certificate away."""
    with pytest.raises(ValueError, match="expected no password") as caught:
        ValkeyReplayStore(url, "api")
    assert "sesame" not in str(caught.value)


def test_tls_checks_the_server(tmp_path: Path) -> None:
    """With the authority in the URL it passes; with the system's own it doesn't."""
    _, chain = self_signed(tmp_path)
    key = tmp_path / "server.key"
    port = free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(chain), "--tls-key-file", str(key))

    async def main() -> None:
        url = f"rediss://127.0.0.1:{port}/0"
        store = ValkeyReplayStore(f"{url}?ssl_ca_certs={chain}", "api", deadline=1.0)
        await opened(store)
        await store.close()
        stranger = ValkeyReplayStore(url, "api", deadline=1.0)
        assert await reason_of(stranger, claim(1)) is Reason.GATE_REPLAY_UNAVAILABLE
        await stranger.close()

    assert ssl.OPENSSL_VERSION
    with valkey(*tls, "--tls-auth-clients", "no", "--bind", "127.0.0.1"):
        asyncio.run(main())


def test_nobody_listens(tmp_path: Path) -> None:
    """A server that isn't there refuses with its reason, and at once after a few tries."""

    async def main() -> None:
        store = ValkeyReplayStore(f"unix://{tmp_path}/none.sock", "api")
        begun = time.perf_counter()
        for _ in range(100):
            assert await reason_of(store, claim(1)) is Reason.GATE_REPLAY_UNAVAILABLE
        assert time.perf_counter() - begun < 5 * DEADLINE_SECONDS
        await store.close()

    asyncio.run(main())
