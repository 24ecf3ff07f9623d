"""Ask a real OpenBao, and whatever else may stand in its place."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.ports import free_port
from tests.system.adapters.openbao.slow_path import slow_path
from tests.unit.adapters.loopback import response, self_signed, serving
from tests.unit.adapters.openbao.server import BaoServer

from watchword.adapters.breaker import FAILURES, REST_SECONDS
from watchword.adapters.openbao.connection import MAX_WAITING, WORKERS, OpenBao, OpenBaoPlace
from watchword.adapters.openbao.secret_store import OpenBaoSecretStore
from watchword.adapters.openbao.wire import MAX_ANSWER_BYTES
from watchword.broker.interface import SecretRecord, SecretValue, SecretVersion
from watchword.reasons import Reason, UnavailableError

T = TypeVar("T")
TOKEN = "s.marked-token-that-nobody-shows"
VALUE = "marked-value-that-nobody-shows"


def record(name: str = "maps") -> SecretRecord:
    """Return a secret with one version."""
    return SecretRecord(name, (SecretVersion(1, SecretValue(VALUE), 1_700_000_000),))


def place(url: str, directory: Path, timeout: float = 20.0) -> OpenBaoPlace:
    """Return a place that is asked with the marked token."""
    token = directory / "bao.token"
    if not token.exists():
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
    return OpenBaoPlace(url, token, timeout=timeout)


@asynccontextmanager
async def store_at(where: OpenBaoPlace) -> AsyncIterator[OpenBaoSecretStore]:
    """Lend a store over a connection of its own."""
    store = OpenBaoSecretStore(OpenBao(where))
    try:
        yield store
    finally:
        await store.aclose()


async def fault(ask: Callable[[], Awaitable[object]]) -> str:
    """Return what the operator is told; the reason is that of an unavailable store."""
    with pytest.raises(UnavailableError) as caught:
        await ask()
    assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
    shown = f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"
    assert TOKEN not in shown
    assert VALUE not in shown
    return caught.value.detail


async def healed(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer: one that comes too late on a busy machine says nothing."""
    for _ in range(200):
        with suppress(UnavailableError):
            return await ask()
        await asyncio.sleep(0.1)
    return await ask()


async def left(connection: OpenBao) -> None:
    """Wait until no worker is busy any more, for some seconds."""
    for _ in range(3000):
        if not connection.busy:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a worker is still busy")


def fault_at(where: OpenBaoPlace) -> str:
    """Return what the operator is told of one read."""

    async def ask() -> str:
        async with store_at(where) as store:
            return await fault(lambda: store.read("maps"))

    return asyncio.run(ask())


def fault_of_answer(
    answer: bytes,
    directory: Path,
    use: Callable[[OpenBaoSecretStore], Awaitable[object]] = lambda store: store.read("maps"),
) -> str:
    """Return what the operator is told when a server answers so."""

    async def ask() -> str:
        async def write(_head: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)

        async with serving(write) as url, store_at(place(url, directory)) as store:
            return await fault(lambda: use(store))

    return asyncio.run(ask())


def test_documented_setup_serves_the_store(bao: BaoServer) -> None:
    """With the documented commands, policy and token a secret is kept and read."""

    async def use() -> None:
        async with store_at(bao.place()) as store:
            assert await store.read("first") is None
            assert await store.write(record("first"), None) == 1
            kept = await store.read("first")
            assert kept is not None
            assert kept.record == record("first")
            assert kept.revision == 1

    asyncio.run(use())


def test_documented_policy_allows_nothing_else(bao: BaoServer) -> None:
    """The service's token reads no other path, exports no key, makes none and deletes nothing."""

    async def denied(question: Callable[[Any], object]) -> None:
        connection = OpenBao(bao.place())
        try:
            assert "permission denied" in await fault(lambda: connection.ask(question))
        finally:
            connection.close()

    async def ask() -> None:
        await denied(lambda client: client.read("secret/data/others"))
        await denied(lambda client: client.delete("secret/metadata/watchword/first"))
        await denied(lambda client: client.delete("secret/data/watchword/first"))
        transit = "transit/keys/watchword-"
        await denied(lambda client: client.write_data("transit/keys/mine", data={}))
        await denied(lambda client: client.delete(f"{transit}tokens"))
        await denied(
            lambda client: client.write_data(
                f"{transit}tokens/config", data={"deletion_allowed": True, "exportable": True}
            )
        )
        await denied(lambda client: client.read("transit/export/signing-key/watchword-tokens"))
        await denied(lambda client: client.read("sys/policy"))

    asyncio.run(ask())


def test_server_that_is_not_there(tmp_path: Path) -> None:
    """Nobody listens: the operator is told that it can't be reached."""
    assert "can't be reached" in fault_at(place(f"http://127.0.0.1:{free_port()}", tmp_path))


def test_killed_and_restarted(bao: BaoServer) -> None:
    """A server that was killed is told of; once it is back and unsealed, the same store serves again."""

    async def use() -> None:
        async with store_at(bao.place()) as store:
            await store.write(record("killed"), None)
            bao.kill()
            assert "can't be reached" in await fault(lambda: store.read("killed"))
            bao.start()
            assert "sealed" in await fault(lambda: store.read("killed"))
            bao.unseal()
            kept = await store.read("killed")
            assert kept is not None
            assert kept.record == record("killed")

    asyncio.run(use())


def test_sealed_and_unsealed(bao: BaoServer) -> None:
    """A sealed server is named as such; nothing is changed meanwhile, nor lost."""

    async def use() -> None:
        async with store_at(bao.place()) as store:
            revision = await store.write(record("sealed"), None)
            bao.seal()
            detail = await fault(lambda: store.write(record("sealed"), revision))
            assert detail.endswith("is sealed; unseal it")
            bao.unseal()
            kept = await store.read("sealed")
            assert kept is not None
            assert kept.revision == revision

    asyncio.run(use())


def test_revoked_token_and_its_successor(bao: BaoServer) -> None:
    """A revoked token is refused; the one that an agent puts in its place counts from the next question on."""

    async def use() -> None:
        bao.run_commands("umask 077; bao token create -policy=watchword -field=token > other.token")
        token = bao.directory / "other.token"
        async with store_at(replace(bao.place(), token=token)) as store:
            await store.read_all()
            bao.run_commands('bao token revoke "$(cat other.token)"')
            assert "permission denied" in await fault(store.read_all)
            bao.run_commands(
                "umask 077; bao token create -policy=watchword -field=token > new; mv new other.token"
            )
            await store.read_all()

    asyncio.run(use())


def test_token_that_others_can_read_is_not_used(bao: BaoServer) -> None:
    """A token file with a wide mode is refused, with what to do about it; so is a missing one."""
    wide = bao.directory / "wide.token"
    wide.write_text(bao.token_file.read_text())
    wide.chmod(0o640)
    assert "expected 0600" in fault_at(replace(bao.place(), token=wide))
    assert "is missing" in fault_at(replace(bao.place(), token=bao.directory / "none"))


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "ü"])
def test_token_file_with_something_else(text: str, tmp_path: Path) -> None:
    """What isn't one token is never sent."""
    where = place(f"http://127.0.0.1:{free_port()}", tmp_path)
    where.token.write_text(text)
    assert "expected one token" in fault_at(where)


def test_trouble_with_one_token_opens_no_breaker(bao: BaoServer) -> None:
    """However often a file was missing, the next question is asked."""

    async def use() -> None:
        token = bao.directory / "late.token"
        async with store_at(replace(bao.place(), token=token)) as store:
            for _ in range(FAILURES + 1):
                await fault(store.read_all)
            token.write_text(bao.token_file.read_text())
            token.chmod(0o600)
            assert await store.read("nothing-of-this-name") is None

    asyncio.run(use())


def test_hanging_server_is_left_in_time(bao: BaoServer) -> None:
    """A server that says nothing costs each caller its timeout at most, and then next to nothing."""

    async def use() -> None:
        async with (
            slow_path(bao.port) as path,
            store_at(replace(bao.place(path.url), timeout=0.3)) as store,
        ):
            await healed(store.read_all)
            path.hang()
            for _ in range(FAILURES):
                assert "no answer within 0.3 s" in await fault(store.read_all)
            threads = threading.active_count()
            told = [await fault(store.read_all) for _ in range(50)]
            assert sum("failed a moment ago: no answer" in each for each in told) >= 40
            assert threading.active_count() <= threads
            path.flow()
            await healed(store.read_all)

    asyncio.run(use())


def test_slow_server_is_waited_for(bao: BaoServer) -> None:
    """What comes late, and in time, is an answer."""

    async def use() -> None:
        async with slow_path(bao.port) as path, store_at(bao.place(path.url, timeout=30)) as store:
            path.delay = 0.2
            assert await store.read("never") is None

    asyncio.run(use())


def test_dripping_server_frees_its_worker(bao: BaoServer) -> None:
    """A server that sends a byte now and then meets no read timeout, and is left all the same."""

    async def use() -> None:
        async with slow_path(bao.port) as path:
            connection = OpenBao(replace(bao.place(path.url), timeout=0.3))
            store = OpenBaoSecretStore(connection)
            try:
                path.drip, path.delay = True, 0.1
                assert "no answer within" in await fault(lambda: store.read("maps"))
                await left(connection)
            finally:
                await store.aclose()

    asyncio.run(use())


def test_event_loop_is_free_while_the_server_hangs(bao: BaoServer) -> None:
    """Everything else goes on while many wait for OpenBao, and those are bounded in number."""

    async def use() -> None:
        async with (
            slow_path(bao.port) as path,
            store_at(replace(bao.place(path.url), timeout=0.5)) as store,
        ):
            path.hang()
            asked = [
                asyncio.create_task(fault(lambda: store.read("maps")))
                for _ in range(2 * MAX_WAITING)
            ]
            turns = 0
            async with asyncio.timeout(60):
                for task in asked:
                    while not task.done():
                        await asyncio.sleep(0.005)
                        turns += 1
            told = [task.result() for task in asked]
            assert turns > 10
            assert sum("questions wait" in each for each in told) == MAX_WAITING
            assert path.connections < MAX_WAITING

    asyncio.run(use())


def test_broken_connection_is_told(bao: BaoServer) -> None:
    """A connection that ends within an answer gives a fault, and no half of a secret."""

    async def use() -> None:
        async with store_at(bao.place()) as store:
            await store.write(record("cut"), None)
        async with slow_path(bao.port) as path, store_at(bao.place(path.url)) as store:
            for path.cut in (0, 1, 100, 350, 450):
                # Within the head it may look like a whole answer, without a body.
                told = await fault(lambda: store.read("cut"))
                assert "can't be reached" in told or "isn't OpenBao's" in told
                await asyncio.sleep(REST_SECONDS)
            path.cut = None
            assert await store.read("cut") is not None

    asyncio.run(use())


def test_a_hundred_megabytes_are_not_read(tmp_path: Path) -> None:
    """An answer without end is left at the limit."""
    sent = 0

    async def ask() -> str:
        async def write(_head: bytes, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            for _ in range(1600):
                writer.write(b" " * 65536)
                sent += 65536
                await writer.drain()

        async with serving(write) as url, store_at(place(url, tmp_path, 30)) as store:
            return await fault(lambda: store.read("maps"))

    assert f"more than {MAX_ANSWER_BYTES} bytes" in asyncio.run(ask())
    # What the sockets hold besides is the system's matter.
    assert sent < 100 * 1024 * 1024


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}",
        response(b"[]"),
        response(b"{}"),
        response(b'{"data": null}'),
        response(b'{"data": {"data": {}, "data": {}}}'),
        response(b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        response(b'{"data": NaN}'),
        response(b"\xff\xfe{\x00}\x00"),
        response(b"\x1f\x8b\x08garbage", "content-encoding: gzip"),
        response(b"<html>a captive portal</html>"),
        response(b'{"data": {"metadata": {"version": "1"}, "data": {}}}'),
        response(b'{"data": {"metadata": {"version": 1}, "data": [1]}}'),
    ],
)
def test_garbage_is_a_clear_fault(answer: bytes, tmp_path: Path) -> None:
    """Whatever isn't OpenBao's answer is told as an unavailable store."""
    detail = fault_of_answer(answer, tmp_path)
    assert detail.startswith("OpenBao 127.0.0.1:")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        ("503 Service Unavailable", b'{"errors":["OpenBao is sealed"]}', "is sealed"),
        ("503 Service Unavailable", b"", "says that it is down"),
        ("501 Not Implemented", b'{"errors":[]}', "isn't initialised"),
        ("403 Forbidden", b'{"errors":["permission denied"]}', "permission denied"),
        ("401 Unauthorized", b"", "permission denied"),
        ("429 Too Many Requests", b"", "too often"),
        ("472 Recovery", b"", "is a standby"),
        ("500 Internal Server Error", b'{"errors":["s.marked-token-that-nobody-shows"]}', "500"),
        ("404 Not Found", b'{"errors":["no handler for route"]}', "status 404"),
        ("404 Not Found", b"<html>a proxy's page</html>", "status 404"),
        ("404 Not Found", b"{}", "status 404"),
        ("404 Not Found", b'{"errors":null}', "status 404"),
        ("400 Bad Request", b'{"errors": {"marked": 1}}', "status 400"),
    ],
)
def test_refusals_are_told_apart(status: str, body: bytes, told: str, tmp_path: Path) -> None:
    """Each way in which it refuses has words of its own, and none of the server's."""
    answer = response(body, status=status)
    assert told in fault_of_answer(answer, tmp_path)
    assert told in fault_of_answer(answer, tmp_path, OpenBaoSecretStore.read_all)


def test_standby_never_gets_the_token_sent_on(tmp_path: Path) -> None:
    """Who sends us elsewhere is told of, and the token goes nowhere else."""
    heads: list[bytes] = []

    async def ask() -> str:
        async def note(head: bytes, writer: asyncio.StreamWriter) -> None:
            heads.append(head)
            writer.write(response(b"{}"))

        async with serving(note) as elsewhere:

            async def send_away(_head: bytes, writer: asyncio.StreamWriter) -> None:
                away = response(b"", f"location: {elsewhere}/v1/x", status="307 Temporary Redirect")
                writer.write(away)

            async with serving(send_away) as url, store_at(place(url, tmp_path)) as store:
                return await fault(lambda: store.read("maps"))

    assert "standby" in asyncio.run(ask())
    assert heads == []


def test_environment_leads_nowhere(bao: BaoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies, tokens and certificates out of the environment count for nothing."""
    away = f"http://127.0.0.1:{free_port()}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "VAULT_ADDR"):
        monkeypatch.setenv(name, away)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    monkeypatch.setenv("VAULT_NAMESPACE", "elsewhere")

    async def use() -> None:
        async with store_at(bao.place()) as store:
            assert await store.read("nothing-of-this-name") is None

    asyncio.run(use())


def test_nothing_shows_token_or_value(
    bao: BaoServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Neither reprs nor debug logs of the libraries have the token, or a value."""
    caplog.set_level(logging.DEBUG)

    async def use() -> str:
        connection = OpenBao(bao.place())
        store = OpenBaoSecretStore(connection)
        try:
            await store.write(record("shown"), None)
            kept = await store.read("shown")
            return f"{connection!r} {connection.place!r} {store!r} {kept!r}"
        finally:
            await store.aclose()

    shown = asyncio.run(use())
    token = bao.token_file.read_text().strip()
    for text in (shown, caplog.text):
        assert token not in text
        assert VALUE not in text


def test_closed_connection_refuses(bao: BaoServer) -> None:
    """After it was closed nothing is asked, and who waits is told at once."""

    async def use() -> None:
        async with slow_path(bao.port) as path:
            store = OpenBaoSecretStore(OpenBao(bao.place(path.url, timeout=30)))
            path.hang()
            asked = [
                asyncio.create_task(fault(lambda: store.read("maps"))) for _ in range(2 * WORKERS)
            ]
            await asyncio.sleep(0.3)
            await store.aclose()
            async with asyncio.timeout(20):
                await asyncio.gather(*asked)
            assert "is being closed" in await fault(lambda: store.read("maps"))

    asyncio.run(use())


def test_cancelled_caller_is_cancelled(bao: BaoServer) -> None:
    """Who is cancelled while it waits is, and its worker is free again."""

    async def use() -> None:
        async with slow_path(bao.port) as path:
            connection = OpenBao(bao.place(path.url, timeout=30))
            store = OpenBaoSecretStore(connection)
            path.hang()
            asking = asyncio.create_task(store.read("maps"))
            await asyncio.sleep(0.2)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await left(connection)
            await store.aclose()

    asyncio.run(use())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://bao:8200",
        "https://",
        "https://user:password@bao:8200",
        "https://bao:8200/v1",
        "https://bao:8200/?x=1",
        "https://bao:8200/#x",
    ],
)
def test_url_with_more_than_host_and_port(url: str, tmp_path: Path) -> None:
    """What would be asked elsewhere than it reads is refused."""
    with pytest.raises(ValueError, match="expected https"):
        OpenBaoPlace(url, tmp_path / "token")


@pytest.mark.parametrize("mount", ["", "/x", "a b", "a?b", "../sys", "a.b"])
def test_mount_that_is_no_path(mount: str, tmp_path: Path) -> None:
    """A mount can't lead out of itself."""
    with pytest.raises(ValueError, match="expected a path"):
        OpenBaoPlace("https://bao:8200", tmp_path / "token", mount=mount)


def test_breaker_lets_one_probe_through(tmp_path: Path) -> None:
    """After a rest one question is asked, and the others rest on until it is known how that went."""
    asked = 0
    now = 0.0

    async def ask() -> None:
        async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            writer.write(response(b"", status="500 Internal Server Error"))

        nonlocal now
        async with serving(answer) as url:
            connection = OpenBao(place(url, tmp_path), monotonic=lambda: now)
            store = OpenBaoSecretStore(connection)
            for _ in range(FAILURES):
                await fault(lambda: store.read("maps"))
            assert asked == FAILURES
            await fault(lambda: store.read("maps"))
            assert asked == FAILURES
            now += REST_SECONDS
            told = await asyncio.gather(*(fault(lambda: store.read("maps")) for _ in range(10)))
            assert asked == FAILURES + 1
            assert sum("a moment ago" in each for each in told) == 9
            await store.aclose()

    asyncio.run(ask())


def test_certificate_is_checked(tmp_path: Path) -> None:
    """Over TLS it is asked when its authority is the named one, and never otherwise: not even the token is sent."""
    heads: list[bytes] = []
    context, certificate = self_signed(tmp_path)

    async def ask() -> None:
        async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
            heads.append(head)
            writer.write(response(b'{"errors":[]}', status="404 Not Found"))

        async with serving(answer, context) as url:
            where = place(url, tmp_path)
            for ca in (None, tmp_path / "none.pem"):
                async with store_at(replace(where, ca=ca)) as store:
                    told = await fault(lambda: store.read("maps"))
                    assert "certificate isn't trusted" in told or "can't be reached" in told
            named = url.replace("127.0.0.1", "localhost")
            async with store_at(replace(where, url=named, ca=certificate)) as store:
                assert "certificate isn't trusted" in await fault(lambda: store.read("maps"))
            assert heads == []
            async with store_at(replace(where, ca=certificate)) as store:
                assert await store.read("maps") is None
            assert len(heads) == 1

    asyncio.run(ask())


def test_real_server_over_tls(tmp_path: Path) -> None:
    """The real server is set up and asked over TLS, by the documented commands."""
    _, certificate = self_signed(tmp_path)
    server = BaoServer(tmp_path, tls=(certificate, tmp_path / "server.key"))
    try:
        server.start()
        server.initialise()

        async def use() -> None:
            async with store_at(server.place()) as store:
                assert await store.read_all() == []

        asyncio.run(use())
    finally:
        server.kill()
