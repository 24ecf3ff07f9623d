"""Wrap keys and sign by the real transit engine of OpenBao."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from tests.system.adapters.openbao.slow_path import slow_path
from tests.system.adapters.openbao.test_connection import healed, left, place
from tests.unit.adapters.loopback import response, serving
from tests.unit.adapters.openbao.server import BaoServer

from watchword.adapters.breaker import FAILURES
from watchword.adapters.keyring.file import KeyPurpose
from watchword.adapters.openbao.connection import OpenBao
from watchword.adapters.openbao.key_keeper import SIGNING_THREADS, TransitKeyKeeper
from watchword.adapters.openbao.transit import TransitKey, TransitWrapper
from watchword.encoding import strict_json
from watchword.reasons import Reason, UnavailableError
from watchword.tokens import jose

_T = TypeVar("_T")
KEY = bytes(range(32))


def with_bao(bao: BaoServer, use: Callable[[OpenBao], Awaitable[_T]]) -> _T:
    """Return what a use of a connection of its own gives."""

    async def carry_out() -> _T:
        connection = OpenBao(bao.place())
        try:
            return await use(connection)
        finally:
            await connection.aclose()

    return asyncio.run(carry_out())


async def refused(work: Awaitable[object]) -> str:
    """Return what the operator is told when it fails."""
    with pytest.raises(UnavailableError) as caught:
        await work
    assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
    return caught.value.detail


def test_key_is_wrapped_and_unwrapped(bao: BaoServer) -> None:
    """A key comes back under its context, also after the master key was rotated, and never stands there itself."""

    async def use(connection: OpenBao) -> None:
        wrapper = TransitWrapper(connection, "watchword-master")
        assert wrapper.key_id == "transit:watchword-master"
        wrapped = await wrapper.wrap(KEY, b"maps")
        first = wrapper.key_id
        assert KEY not in wrapped
        assert await wrapper.unwrap(wrapped, b"maps", first) == KEY
        bao.run_commands("bao write -f transit/keys/watchword-master/rotate")
        again = await wrapper.wrap(KEY, b"maps")
        assert wrapper.key_id != first
        assert await wrapper.unwrap(wrapped, b"maps", first) == KEY
        assert await wrapper.unwrap(again, b"maps", wrapper.key_id) == KEY

    with_bao(bao, use)


def test_wrapped_key_opens_for_nothing_else(bao: BaoServer) -> None:
    """Another context, another master key, and changed or foreign bytes unwrap to nothing."""

    async def use(connection: OpenBao) -> None:
        wrapper = TransitWrapper(connection, "watchword-master")
        wrapped = await wrapper.wrap(KEY, b"maps")
        known = wrapper.key_id
        assert "doesn't open" in await refused(wrapper.unwrap(wrapped, b"push", known))
        mutated = wrapped[:-3] + (b"A" if wrapped[-3:-2] != b"A" else b"B") + wrapped[-2:]
        for each in (mutated, b"", b"\xff", b"vault:v1:", b"vault:v0:AAAA", wrapped + b"\n"):
            assert "doesn't open" in await refused(wrapper.unwrap(each, b"maps", known))
        for other in ("transit:other:v1", "file:watchword-master", ""):
            assert "that" in await refused(wrapper.unwrap(wrapped, b"maps", other))
        ring = TransitWrapper(connection, "watchword-ring")
        assert "doesn't open" in await refused(
            ring.unwrap(wrapped, b"maps", "transit:watchword-ring:v1")
        )

    with_bao(bao, use)


def test_missing_master_key_is_told(bao: BaoServer) -> None:
    """A key that isn't there isn't made on the way: the policy doesn't allow it."""

    async def use(connection: OpenBao) -> None:
        wrapper = TransitWrapper(connection, "not-there")
        assert "permission denied" in await refused(wrapper.wrap(KEY, b"maps"))

    with_bao(bao, use)


def test_signatures_are_es256(bao: BaoServer) -> None:
    """A transit key signs what our own verification accepts; each version is another key."""

    async def use(connection: OpenBao) -> None:
        keeper = TransitKeyKeeper(connection, "watchword")
        one = await asyncio.to_thread(keeper.make, KeyPurpose.TOKENS)
        two = await asyncio.to_thread(keeper.make, KeyPurpose.TOKENS)
        assert two.version == one.version + 1
        for message in (b"", b"message", bytes(100_000)):
            signature = await asyncio.to_thread(one.sign, message)
            assert len(signature) == 64
            assert jose.is_signed_by(one.public_key(), signature, message)
            assert not jose.is_signed_by(two.public_key(), signature, message)
        keeper.close()

    with_bao(bao, use)


def test_signature_by_another_key_is_not_believed(bao: BaoServer) -> None:
    """An engine that was put back to another backup signs nothing in our name."""

    async def use(connection: OpenBao) -> None:
        keeper = TransitKeyKeeper(connection, "watchword")
        made = await asyncio.to_thread(keeper.make, KeyPurpose.TOKENS)
        stranger = generate_private_key(SECP256R1()).public_key()
        mistaken = keeper.held(KeyPurpose.TOKENS, made.version, stranger)
        assert "another backup" in await refused(asyncio.to_thread(mistaken.sign, b"message"))
        never = keeper.held(KeyPurpose.TOKENS, made.version + 1000, stranger)
        assert "doesn't sign" in await refused(asyncio.to_thread(never.sign, b"message"))
        for _ in range(FAILURES):
            await refused(asyncio.to_thread(never.sign, b"message"))
        assert len(await asyncio.to_thread(made.sign, b"message")) == 64
        keeper.close()

    with_bao(bao, use)


def test_key_of_another_type_is_told(bao: BaoServer) -> None:
    """A key that can't sign ES256 is found when it is made, and not when the first token is refused."""
    bao.run_commands(
        "bao write -f transit/keys/odd-tokens type=ed25519;"
        'printf \'path "transit/*" { capabilities = ["update", "read"] }\' > odd.hcl;'
        "bao policy write odd odd.hcl;"
        "umask 077; bao token create -policy=odd -field=token > odd.token"
    )

    async def use() -> None:
        connection = OpenBao(replace(bao.place(), token=bao.directory / "odd.token"))
        keeper = TransitKeyKeeper(connection, "odd")
        assert "isn't OpenBao's" in await refused(asyncio.to_thread(keeper.make, KeyPurpose.TOKENS))
        keeper.close()
        connection.close()

    asyncio.run(use())


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "vault:v1:AAAA",
        "vault:v2:" + "A" * 86,
        "vault:v1:" + "A" * 86,
        "vault:v1:" + "A" * 87,
        "bao:v1:" + "A" * 86,
        None,
    ],
)
def test_crooked_signatures_are_refused(signature: str | None, tmp_path: Path) -> None:
    """Whatever isn't a signature of 64 bytes by the version that was asked never becomes a token."""

    async def use() -> str:
        async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
            body = strict_json.dumps({"data": {"signature": signature}})
            writer.write(response(body, "content-type: application/json"))

        async with serving(answer) as url:
            connection = OpenBao(place(url, tmp_path))
            public = generate_private_key(SECP256R1()).public_key()
            key = TransitKey("watchword-tokens", 1, public, connection)
            try:
                return await refused(asyncio.to_thread(key.sign, b"message"))
            finally:
                connection.close()

    assert asyncio.run(use()).startswith("OpenBao 127.0.0.1:")


def test_event_loop_goes_on_while_signing_hangs(bao: BaoServer) -> None:
    """Enrolments that wait for a signature hold up nothing, take a bounded number of threads, and end in time."""

    async def use() -> None:
        async with slow_path(bao.port) as path:
            connection = OpenBao(bao.place(path.url, timeout=0.5))
            keeper = TransitKeyKeeper(connection, "watchword")
            key = await healed(lambda: asyncio.to_thread(keeper.make, KeyPurpose.TOKENS))
            path.hang()
            before, turns = threading.active_count(), 0
            asked = [
                asyncio.create_task(refused(keeper.aside(lambda: key.sign(b"message"))))
                for _ in range(100)
            ]
            async with asyncio.timeout(60):
                for task in asked:
                    while not task.done():
                        await asyncio.sleep(0.005)
                        turns += 1
            await asyncio.gather(*asked)
            assert turns > 10
            assert threading.active_count() <= before + SIGNING_THREADS + 4
            path.flow()
            assert len(await healed(lambda: keeper.aside(lambda: key.sign(b"message")))) == 64
            keeper.close()
            connection.close()

    asyncio.run(use())


def test_caller_that_goes_away_lets_others_sign(bao: BaoServer) -> None:
    """Callers that hang up leave their places, and no more threads work than there may be."""

    async def use(connection: OpenBao) -> None:
        keeper = TransitKeyKeeper(connection, "watchword")
        running, most, lock, go = 0, 0, threading.Lock(), threading.Event()

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            go.wait(60)
            with lock:
                running -= 1

        gone = [asyncio.create_task(keeper.aside(work)) for _ in range(3 * SIGNING_THREADS)]
        while running < SIGNING_THREADS:  # noqa: ASYNC110 - threads have no event of the loop.
            await asyncio.sleep(0.01)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        late = [asyncio.create_task(keeper.aside(work)) for _ in range(SIGNING_THREADS)]
        await asyncio.sleep(0.1)
        go.set()
        await asyncio.gather(*late)
        assert most == SIGNING_THREADS
        keeper.close()
        assert "is being closed" in await refused(keeper.aside(work))

    with_bao(bao, use)


def test_signature_that_drips_frees_its_worker(bao: BaoServer) -> None:
    """A signature that comes byte by byte is left in time, by its caller and by its worker."""

    async def use() -> None:
        async with slow_path(bao.port) as path:
            connection = OpenBao(bao.place(path.url, timeout=0.3))
            keeper = TransitKeyKeeper(connection, "watchword")
            public = generate_private_key(SECP256R1()).public_key()
            key = keeper.held(KeyPurpose.TOKENS, 1, public)
            path.drip, path.delay = True, 0.1
            assert "no answer within" in await refused(keeper.aside(lambda: key.sign(b"message")))
            await left(connection)
            keeper.close()
            connection.close()

    asyncio.run(use())
