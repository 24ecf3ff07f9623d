"""Operate on secrets through the operator's application: no value ever comes back, and gates follow at once."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.unit.apps.secret_bench import (
    EDGE,
    FIRST,
    SECOND,
    THIRD,
    MemorySecretStore,
    secret_bench,
)
from tests.unit.apps.service_bench import Caller, ServiceBench
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.adapters.usage import MemoryUsageLedger
from watchword.apps.service.app import Request
from watchword.broker.interface import InjectedValue, SecretValue, Use
from watchword.encoding.phrases import moment
from watchword.enrolment.delivery import Lease
from watchword.ports import AuditEntry, ChallengeUse
from watchword.reasons import Reason, UnavailableError

VALUES = (FIRST, SECOND, THIRD)


@pytest.fixture
def store() -> MemorySecretStore:
    """Return a backend."""
    return MemorySecretStore()


@pytest.fixture
def bench(tmp_path: Path, store: MemorySecretStore) -> Iterator[ServiceBench]:
    """Return a service whose file names two secrets."""
    made = secret_bench(tmp_path, store)
    yield made
    made.store.close()


def injected(bench: ServiceBench, api: str = "clinic") -> dict[str, InjectedValue]:
    """Return what the gate of an API adds to calls."""
    return dict(bench.published(api).injected)


def audited(bench: ServiceBench) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the audit trail, oldest first."""
    entries = asyncio.run(bench.store.audit_entries(100))
    return [(each.action, each.subject, dict(each.detail)) for each in reversed(entries)]


async def add(call: Caller, name: str = "maps", value: str = FIRST) -> httpx.Response:
    """Add a value."""
    return await call.operator.post("/v1/secrets", json={"name": name, "value": value})


async def rotate(call: Caller, value: str = SECOND, **further: Any) -> httpx.Response:
    """Rotate the key of the maps."""
    return await call.operator.post("/v1/secrets/maps/rotate", json={"value": value, **further})


async def revoke(call: Caller, version: int | None) -> httpx.Response:
    """Revoke a version of it, or all."""
    members = {"version": version, "because": "it leaked"}
    return await call.operator.post("/v1/secrets/maps/revoke", json=members)


def reasons(answer: httpx.Response) -> list[str]:
    """Return why something was refused."""
    found: list[str] = answer.json()["reasons"]
    return found


def states(answer: httpx.Response) -> dict[int, str]:
    """Return the state of each version."""
    return {each["version"]: each["state"] for each in answer.json()["versions"]}


def test_added_value_is_at_the_gate_with_the_answer(bench: ServiceBench) -> None:
    """The gate whose routes add a key is told it before the answer; the other API's gate never is."""
    answer = bench.run(add)
    assert (answer.status_code, answer.json()["version"]) == (201, 1)
    assert injected(bench) == {"maps": InjectedValue(1, SecretValue(FIRST))}
    assert injected(bench, "ledger") == {}
    assert audited(bench) == [("secret.add", "maps", {}), ("secret.added", "maps", {"version": 1})]


def test_what_is_sealed_to_instances_is_told_to_no_gate(bench: ServiceBench) -> None:
    """A delivered secret has no business at the edge; it may have lines."""
    answer = bench.run(lambda call: add(call, "push", f"-----BEGIN-----\n{FIRST}\n"))
    assert answer.status_code == 201
    assert FIRST not in bench.gate_path.read_text(encoding="latin-1")
    assert injected(bench) == {}


def test_rotation_takes_over_and_the_older_one_stays_for_the_overlap(bench: ServiceBench) -> None:
    """The newest is injected; the older one counts until its time has come, and its end shows."""

    async def work(call: Caller) -> tuple[httpx.Response, httpx.Response]:
        await add(call)
        rotated = await rotate(call, overlap=600)
        bench.clock.advance(601)
        return rotated, await call.operator.get("/v1/secrets/maps")

    rotated, later = bench.run(work)
    assert (rotated.status_code, rotated.json()["version"]) == (200, 2)
    assert injected(bench)["maps"] == InjectedValue(2, SecretValue(SECOND))
    assert states(rotated) == {1: "overlap", 2: "current"}
    assert states(later) == {1: "ended", 2: "current"}


def test_overlap_is_at_least_a_lease_where_nobody_says(bench: ServiceBench) -> None:
    """What an instance was handed counts until its lease ends; a key at the edge for an hour, to go back to."""

    async def work(call: Caller) -> list[str]:
        await add(call)
        await add(call, "push")
        answers = [
            await call.operator.post(f"/v1/secrets/{name}/rotate", json={"value": SECOND})
            for name in ("maps", "push")
        ]
        return [each.json()["versions"][0]["until"] for each in answers]

    edge, sealed = bench.run(work)
    now = bench.clock.now()
    assert (edge, sealed) == tuple(
        moment(now.replace(hour=now.hour + hours, microsecond=0)) for hours in (1, 2)
    )


@pytest.mark.parametrize("slow", [0.0, 0.01], ids=["quick-backend", "slow-backend"])
def test_of_two_rotations_at_once_one_wins(
    bench: ServiceBench, store: MemorySecretStore, slow: float
) -> None:
    """Neither value is buried without a word, also where the first is done before the second is looked at."""

    async def work(call: Caller) -> list[httpx.Response]:
        await add(call)
        store.slow = slow
        return list(await asyncio.gather(rotate(call, SECOND), rotate(call, THIRD)))

    answers = bench.run(work)
    assert sorted(each.status_code for each in answers) == [200, 409]
    (lost,) = [each for each in answers if each.status_code == 409]
    assert reasons(lost) == ["secret.conflict"]
    won = SECOND if answers[0].status_code == 200 else THIRD
    assert injected(bench)["maps"] == InjectedValue(2, SecretValue(won))
    assert [action for action, _, _ in audited(bench)].count("secret.rotated") == 1


def test_rotation_that_names_another_version_does_nothing(bench: ServiceBench) -> None:
    """Who looked before somebody else rotated is told so, and changes nothing."""

    async def work(call: Caller) -> httpx.Response:
        await add(call)
        await rotate(call, expected=1)
        return await rotate(call, THIRD, expected=1)

    assert reasons(bench.run(work)) == ["secret.conflict"]
    assert injected(bench)["maps"].value == SecretValue(SECOND)


def test_revoked_version_leaves_the_gate_with_the_answer(bench: ServiceBench) -> None:
    """The version before it counts again while its overlap lasts; with all revoked nothing is injected."""

    async def work(call: Caller) -> tuple[httpx.Response, dict[str, InjectedValue], httpx.Response]:
        await add(call)
        await rotate(call)
        one = await revoke(call, 2)
        return one, injected(bench), await revoke(call, None)

    one, between, every = bench.run(work)
    assert (one.json()["revoked"], states(one)) == ([2], {1: "current", 2: "revoked"})
    assert between["maps"] == InjectedValue(1, SecretValue(FIRST))
    assert (every.json()["revoked"], every.json()["state"]) == ([1], "ended")
    assert injected(bench) == {}
    assert ("secret.revoke", "maps", {"version": 2, "because": "it leaked"}) in audited(bench)


def test_revocation_holds_at_the_gate_while_the_backend_is_away(
    bench: ServiceBench, store: MemorySecretStore
) -> None:
    """The answer says that the backend doesn't keep it, the gate has lost it all the same, and it is written later."""

    async def work(call: Caller) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        await add(call)
        store.down = True
        told = await revoke(call, None)
        between = await call.operator.get("/v1/secrets/maps")
        assert injected(bench) == {}
        store.down = False
        await bench.service.context.secrets.refresh(bench.clock.timestamp())
        return told, between, await call.operator.get("/v1/secrets/maps")

    told, between, later = bench.run(work)
    assert (told.status_code, reasons(told)) == (503, ["secret.store_unavailable"])
    assert (states(between), states(later)) == ({1: "withheld"}, {1: "revoked"})


@pytest.mark.parametrize(
    "value",
    [
        "",
        f" {FIRST}",
        f"{FIRST}\n",
        f"{FIRST}\n{SECOND}",
        f"{FIRST}\r",
        f"{FIRST}\x00",
        f"\x1b{FIRST}",
        f"ü{FIRST}",
        FIRST * 200,
        7,
        None,
        [FIRST],
    ],
)
def test_value_that_no_header_carries_is_refused(bench: ServiceBench, value: object) -> None:
    """Nothing of it is kept, audited or repeated."""
    members = {"name": "maps", "value": value}
    answer = bench.run(lambda call: call.operator.post("/v1/secrets", json=members))
    assert (answer.status_code, reasons(answer)) == (400, ["secret.value"])
    assert FIRST not in answer.text
    assert audited(bench) == []


@pytest.mark.parametrize("value", [" ", "\n\n", "\t \r\n", "\u2003"])
def test_blanks_alone_are_no_value(bench: ServiceBench, value: str) -> None:
    """A file that wasn't written yet, or a wrong variable, isn't handed to every phone."""
    members = {"name": "push", "value": value}
    answer = bench.run(lambda call: call.operator.post("/v1/secrets", json=members))
    assert (answer.status_code, reasons(answer)) == (400, ["secret.value"])
    assert audited(bench) == []


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("", {"name": "maps"}),
        ("", {"name": "maps", "value": FIRST, "more": 1}),
        ("", {"name": 7, "value": FIRST}),
        ("/maps/rotate", {"value": FIRST, "overlap": -1}),
        ("/maps/rotate", {"value": FIRST, "overlap": 1.5}),
        ("/maps/rotate", {"value": FIRST, "overlap": True}),
        ("/maps/rotate", {"value": FIRST, "overlap": 90 * 86400 + 1}),
        ("/maps/rotate", {"value": FIRST, "expected": 0}),
        ("/maps/rotate", {"value": FIRST, "because": "x"}),
        ("/maps/revoke", {"version": 1}),
        ("/maps/revoke", {"version": 0, "because": "x"}),
        ("/maps/revoke", {"version": "1", "because": "x"}),
        ("/maps/revoke", {"version": None, "because": ""}),
    ],
)
def test_odd_request_is_refused(bench: ServiceBench, path: str, members: dict[str, Any]) -> None:
    """A member that is missing, foreign or out of bounds changes nothing and leaves no trace."""
    answer = bench.run(lambda call: call.operator.post(f"/v1/secrets{path}", json=members))
    assert (answer.status_code, reasons(answer)) == (400, ["request.malformed"])
    assert FIRST not in answer.text
    assert audited(bench) == []


@pytest.mark.parametrize(
    ("method", "path", "members"),
    [
        ("POST", "", {"name": "nobody", "value": FIRST}),
        ("POST", "/nobody/rotate", {"value": FIRST}),
        ("POST", "/nobody/revoke", {"version": None, "because": "x"}),
        ("GET", "/nobody", None),
        ("GET", "/nobody/users", None),
    ],
)
def test_name_that_the_file_lacks_is_refused(
    bench: ServiceBench, method: str, path: str, members: dict[str, Any] | None
) -> None:
    """Names come out of watchword.yaml alone."""
    answer = bench.run(
        lambda call: call.operator.request(method, f"/v1/secrets{path}", json=members)
    )
    assert (answer.status_code, reasons(answer)) == (404, ["secret.unknown"])
    assert audited(bench) == []


def test_second_value_under_one_name_is_refused(bench: ServiceBench) -> None:
    """Adding is no way to replace a key that is in use."""

    async def work(call: Caller) -> httpx.Response:
        await add(call)
        return await add(call, value=SECOND)

    assert reasons(bench.run(work)) == ["secret.exists"]
    assert injected(bench)["maps"].value == SecretValue(FIRST)


def test_change_that_cannot_be_recorded_is_not_done(
    tmp_path: Path, store: MemorySecretStore
) -> None:
    """With the audit trail full no secret is changed."""
    bench = secret_bench(tmp_path, store, max_pages=40)

    async def work(call: Caller) -> httpx.Response:
        # Large entries first: each write waits for the disk.
        for detail in ({"note": "x" * 2000}, {}):
            entry = AuditEntry(bench.clock.now(), "operator", "secret.add", "maps", detail)
            with suppress(UnavailableError):
                while True:
                    await bench.store.add_audit(entry)
        return await add(call)

    answer = bench.run(work)
    assert (answer.status_code, store.kept) == (503, {})
    bench.store.close()


def test_revocation_that_cannot_be_recorded_is_done(
    tmp_path: Path, store: MemorySecretStore
) -> None:
    """A full disk keeps no stolen key in use: gates are told, and the answer says that the trail has a hole."""
    bench = secret_bench(tmp_path, store, max_pages=40)

    async def work(call: Caller) -> httpx.Response:
        await add(call)
        assert injected(bench)
        entry = AuditEntry(bench.clock.now(), "operator", "secret.add", "maps")
        with suppress(UnavailableError):
            while True:
                await bench.store.add_audit(entry)
        return await revoke(call, None)

    answer = bench.run(work)
    assert (answer.status_code, answer.json()["recorded"]) == (200, False)
    assert answer.json()["revoked"] == [1]
    assert injected(bench) == {}
    bench.store.close()


def test_killed_between_audit_and_write_changes_nothing(
    bench: ServiceBench, store: MemorySecretStore
) -> None:
    """The trail says what was asked, the backend has what it had, and the same request goes through later."""

    async def work(call: Caller) -> httpx.Response:
        await add(call)
        store.slow = 30.0
        asked = asyncio.create_task(rotate(call))
        while len(await bench.store.audit_entries(10)) < 3:  # noqa: ASYNC110 - the trail has no event.
            await asyncio.sleep(0.005)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        store.slow = 0.0
        assert injected(bench)["maps"].value == SecretValue(FIRST)
        return await rotate(call)

    answer = bench.run(work)
    assert answer.json()["version"] == 2
    assert [action for action, _, _ in audited(bench)] == [
        "secret.add",
        "secret.added",
        "secret.rotate",
        "secret.rotate",
        "secret.rotated",
    ]


def test_backend_that_is_away_changes_nothing(
    bench: ServiceBench, store: MemorySecretStore
) -> None:
    """The operator is told which, and the gate keeps what it has."""

    async def work(call: Caller) -> list[httpx.Response]:
        await add(call)
        store.down = True
        with pytest.raises(UnavailableError, match="sealed"):
            await bench.service.context.secrets.refresh(bench.clock.timestamp())
        await bench.service.tick()
        return [
            await rotate(call),
            await add(call, "push"),
            await call.operator.get("/v1/secrets"),
            await call.operator.get("/metrics"),
        ]

    rotated, added, listed, metrics = bench.run(work)
    for each in (rotated, added):
        assert (each.status_code, reasons(each)) == (503, ["secret.store_unavailable"])
    assert injected(bench)["maps"].value == SecretValue(FIRST)
    assert "sealed" in listed.json()["store"]["trouble"]
    assert "watchword_secrets_store_fault 1.0" in metrics.text


def test_what_uses_a_version_is_told(bench: ServiceBench) -> None:
    """Which gate injects it in which generation, and the routes that add it."""

    async def work(call: Caller) -> tuple[httpx.Response, httpx.Response]:
        await add(call)
        await rotate(call)
        return (
            await call.operator.get("/v1/secrets/maps/users"),
            await call.operator.get("/v1/secrets/maps"),
        )

    users, shown = bench.run(work)
    generation = bench.published().generation
    assert users.json()["gates"] == [{"api": "clinic", "version": 2, "generation": generation}]
    assert shown.json()["routes"] == [{"api": "clinic", "route": "maps", "path": "/maps/**"}]
    assert shown.json()["edge"]["origin"] == "https://maps.example.net"


def test_instances_and_calls_of_a_version_are_told(
    tmp_path: Path, store: MemorySecretStore
) -> None:
    """Leases by version and app version with their end, and when which version was last used at the edge."""
    ledger = MemoryUsageLedger()
    bench = secret_bench(tmp_path, store, usage=ledger)
    now = bench.clock.now()

    async def work(call: Caller) -> list[dict[str, Any]]:
        await add(call)
        await add(call, "push")
        instance = (await call.enrol(SimulatedPhone()))["instance"]
        lease = Lease(
            "l" * 22, instance, "push", 1, "clinic-ios", "7", now, now, now + timedelta(hours=1)
        )
        use = ChallengeUse(b"n" * 16, now)
        entry = AuditEntry(now, "test", "secret.delivered", instance)
        await bench.store.deliver(use, lease, None, lambda _: entry)
        await ledger.take(Use("maps", 1, "somebody", 1, EDGE.allowances), now.timestamp())
        answers = [
            await call.operator.get(f"/v1/secrets/{name}/users") for name in ("push", "maps")
        ]
        return [each.json() for each in answers]

    push, maps = bench.run(work)
    (lease,) = push["leases"]
    assert (lease["version"], lease["app"], lease["app_version"]) == (1, "clinic-ios", "7")
    assert (lease["leases"], lease["withdrawn"]) == (1, 0)
    assert lease["latest_expiry"] == moment(now + timedelta(hours=1))
    assert (push["calls"], push["gates"]) == ([], [])
    second = moment(now.replace(microsecond=0))
    assert (maps["calls"], maps["leases"]) == ([{"version": 1, "last_at": second}], [])
    bench.store.close()


def test_ledger_that_is_away_hides_no_lease(tmp_path: Path, store: MemorySecretStore) -> None:
    """What calls were made with isn't known then, and is told as that; all else is there."""

    class Away(MemoryUsageLedger):
        async def versions_used(self, _secret: str) -> dict[int, int]:
            raise UnavailableError(Reason.SECRET_USAGE_UNAVAILABLE, "no Valkey")

    bench = secret_bench(tmp_path, store, usage=Away())

    async def work(call: Caller) -> dict[str, Any]:
        await add(call)
        found: dict[str, Any] = (await call.operator.get("/v1/secrets/maps/users")).json()
        return found

    found = bench.run(work)
    assert (found["calls"], "no Valkey" in found["trouble"]) == (None, True)
    assert [each["version"] for each in found["gates"]] == [1]
    bench.store.close()


def test_value_is_in_nothing_that_comes_out(bench: ServiceBench) -> None:
    """Not in an answer, the metrics, a log line, the audit trail or a repr; the gate's bundle alone has it."""

    async def work(call: Caller) -> list[httpx.Response]:
        answers = [await add(call), await add(call, value=SECOND), await rotate(call, THIRD)]
        answers += [await rotate(call, SECOND, expected=9), await add(call, "push", f"{FIRST}\n")]
        answers += [await rotate(call, f"{SECOND}\n"), await revoke(call, 1)]
        for path in ("secrets", "secrets/maps", "secrets/maps/users", "audit", "refusals", "keys"):
            answers.append(await call.operator.get(f"/v1/{path}"))
        answers.append(await call.operator.get("/metrics"))
        return answers

    with capture_logs() as logged:
        answers = bench.run(work)
    context = bench.service.context
    request = Request({}, {}, {"value": FIRST}, {}, body=FIRST.encode())
    shown = [each.text for each in answers] + [str(logged), repr(context), repr(request)]
    shown += [repr(bench.published()), repr(context.secrets.keeper), str(audited(bench))]
    assert not [each for each in shown if any(value in each for value in VALUES)]
    assert injected(bench)["maps"].value.text == THIRD


def test_metrics_tell_version_and_age(bench: ServiceBench) -> None:
    """What an alert on rotation needs: how old the version in use is; a secret without a value is version 0."""

    async def work(call: Caller) -> str:
        await bench.service.context.secrets.refresh(bench.clock.timestamp())
        await add(call)
        bench.clock.advance(90)
        return (await call.operator.get("/metrics")).text

    text = bench.run(work)
    assert 'watchword_secrets_version{secret="maps"} 1.0' in text
    assert 'watchword_secrets_version{secret="push"} 0.0' in text
    assert 'watchword_secrets_version_age_seconds{secret="maps"} 90.' in text
    assert 'watchword_secrets_versions{secret="maps",state="current"} 1.0' in text
