"""Publish what gates inject: at the start, while the backend is away, and as time passes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.apps.secret_bench import (
    DELIVERY,
    EDGE,
    FIRST,
    SECOND,
    MemorySecretStore,
    secret_bench,
    secret_policies,
)
from tests.unit.apps.service_bench import GATE_POLICIES, Caller, ServiceBench

from watchword.broker.interface import InjectedValue, SecretValue, added, rotated


@pytest.fixture
def store() -> MemorySecretStore:
    """Return a backend that holds one version of a key already."""
    store = MemorySecretStore()
    asyncio.run(store.write(added("maps", SecretValue(FIRST), 1_700_000_000), None))
    return store


def up(bench: ServiceBench, work: Callable[[Caller], Awaitable[None]] | None = None) -> None:
    """Start a service on a state directory, do something, and stop it as a deployment does."""

    async def scenario(call: Caller) -> None:
        async with asyncio.timeout(30):
            await bench.service.start()
        try:
            if work is not None:
                await work(call)
        finally:
            await bench.service.stop()

    try:
        bench.run(scenario)
    finally:
        bench.store.close()


@pytest.fixture
def told(tmp_path: Path, store: MemorySecretStore) -> Path:
    """Return a state directory whose service ran and told its gates."""
    up(secret_bench(tmp_path, store))
    assert store.closed
    return tmp_path


def test_first_bundle_has_what_is_injected(tmp_path: Path, store: MemorySecretStore) -> None:
    """The backend is read before gates are told for the first time."""
    bench = secret_bench(tmp_path, store)
    up(bench)
    assert bench.published().injected == {"maps": InjectedValue(1, SecretValue(FIRST))}


@pytest.mark.parametrize("way", ["down", "hanging"])
def test_gates_keep_their_keys_over_a_restart_without_the_backend(
    told: Path, store: MemorySecretStore, way: str
) -> None:
    """The start goes on with a warning, in bounded time, and takes no key from a gate."""
    store.down, store.slow = way == "down", 3600.0 if way == "hanging" else 0.0
    bench = secret_bench(told, store, first_read_seconds=0.2 if way == "hanging" else 20.0)
    generation = bench.published().generation
    with capture_logs() as logged:
        up(bench)
    assert "secrets aren't known" in {each["event"] for each in logged}
    assert bench.published().injected == {"maps": InjectedValue(1, SecretValue(FIRST))}
    assert bench.published().generation == generation


def test_backend_that_comes_back_is_followed(told: Path, store: MemorySecretStore) -> None:
    """What was rotated there meanwhile is told then."""
    store.down = True
    bench = secret_bench(told, store)

    async def work(_call: Caller) -> None:
        assert bench.published().injected["maps"].version == 1
        store.down = False
        stored = store.kept["maps"]
        await store.write(rotated(stored.record, SecretValue(SECOND), 0, 1_700_000_100), 1)
        await bench.service.context.secrets.refresh(bench.clock.timestamp())
        await bench.service.tick()

    up(bench, work)
    assert bench.published().injected == {"maps": InjectedValue(2, SecretValue(SECOND))}


def test_what_is_kept_from_before_can_be_revoked_while_the_backend_is_away(
    told: Path, store: MemorySecretStore
) -> None:
    """A revocation reaches the gates also where the value isn't known, and stays when the backend answers."""
    store.down = True
    bench = secret_bench(told, store)

    async def work(call: Caller) -> None:
        members = {"version": None, "because": "it leaked"}
        answer = await call.operator.post("/v1/secrets/maps/revoke", json=members)
        assert answer.json()["reasons"] == ["secret.store_unavailable"]
        assert bench.published().injected == {}
        store.down = False
        await bench.service.context.secrets.refresh(bench.clock.timestamp())
        await bench.service.tick()

    up(bench, work)
    assert bench.published().injected == {}
    assert store.kept["maps"].record.versions[0].value is None


def test_change_before_the_backend_was_read_holds(told: Path, store: MemorySecretStore) -> None:
    """What an operator does in the moment in which the backend comes back isn't undone by what gates had."""
    store.down = True
    bench = secret_bench(told, store)

    async def work(call: Caller) -> None:
        store.down = False
        members = {"version": 1, "because": "it leaked"}
        answer = await call.operator.post("/v1/secrets/maps/revoke", json=members)
        assert answer.json()["revoked"] == [1]

    up(bench, work)
    assert bench.published().injected == {}


def test_key_that_the_file_injects_no_more_leaves_the_gates(
    told: Path, store: MemorySecretStore
) -> None:
    """Also where the backend is away, a gate is told nothing that its routes don't add."""
    store.down = True
    bench = secret_bench(told, store, policies=GATE_POLICIES)
    up(bench)
    assert bench.published().injected == {}


def test_version_that_ended_leaves_the_gates_in_time(
    tmp_path: Path, store: MemorySecretStore
) -> None:
    """A version that only counts for its overlap, the newer one being revoked, goes when that is over."""
    bench = secret_bench(tmp_path, store)

    async def work(call: Caller) -> None:
        wanted = {"value": SECOND, "overlap": 60}
        await call.operator.post("/v1/secrets/maps/rotate", json=wanted)
        members = {"version": 2, "because": "it never worked"}
        await call.operator.post("/v1/secrets/maps/revoke", json=members)
        assert bench.published().injected == {"maps": InjectedValue(1, SecretValue(FIRST))}
        bench.clock.advance(61)
        await bench.service.tick()

    up(bench, work)
    assert bench.published().injected == {}


def test_gate_of_the_bench_follows_its_bundle(tmp_path: Path, store: MemorySecretStore) -> None:
    """A gate reads what is published: the value, and the rule by which it is injected."""
    bench = secret_bench(tmp_path, store)
    up(bench)
    gate = bench.gate()
    assert gate.injected("maps") == InjectedValue(1, SecretValue(FIRST))
    assert gate.policy.edges == {"maps": EDGE} == secret_policies()[0].edges
    assert gate.injected(DELIVERY.secret) is None


def test_idle_ticks_write_nothing(tmp_path: Path, store: MemorySecretStore) -> None:
    """Gates empty their caches by the generation: secrets that stay as they are raise none."""
    bench = secret_bench(tmp_path, store)

    async def work(_call: Caller) -> None:
        generation = bench.published().generation
        for _ in range(3):
            bench.clock.advance(5)
            await bench.service.context.secrets.refresh(bench.clock.timestamp())
            await bench.service.tick()
        assert bench.published().generation == generation

    up(bench, work)
