"""What is kept of an instance: told whole to who asks, and deleted so that nothing of its device is left."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import CLINIC, ISSUER, SimulatedPhone

from watchword.enrolment.retention import ERASED
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.service import verify
from watchword.vocabulary import Environment

EXPECTATION = TokenExpectation(ISSUER, CLINIC, Environment.PROD)
BECAUSE = {"because": "request 4711"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a running service."""
    made = service_bench(tmp_path)
    asyncio.run(made.service.tick())
    yield made
    made.store.close()


async def listed(call: Caller, **query: str) -> list[dict[str, Any]]:
    """Return the instances that a query names."""
    answer = await call.operator.get("/v1/instances", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["instances"]
    return found


def test_an_instance_is_found_by_each_of_its_names(bench: ServiceBench) -> None:
    """By its id, by what an API calls it, and by its device; another one's name finds another one."""

    async def find(call: Caller) -> None:
        one, two = [await call.enrol(SimulatedPhone()) for _ in range(2)]
        name = one["instance"]
        (shown,) = await listed(call, instance=name)
        assert shown["instance"] == name
        for audience in shown["subjects"]:
            (found,) = await listed(call, subject=shown["subjects"][audience])
            assert found["instance"] == name
        assert {each["instance"] for each in await listed(call, device=name)} >= {name}
        assert two["instance"] not in {
            each["instance"] for each in await listed(call, instance=name)
        }
        for way in ("instance", "subject", "device"):
            assert await listed(call, **{way: "nobody"}) == []
        assert await listed(call, device="ab" * 32) == []

    bench.run(find)


@pytest.mark.parametrize(
    "query",
    [{"instance": "a", "subject": "b"}, {"device": "a", "app": "clinic-ios"}, {"serial": "a"}],
)
def test_odd_questions_are_refused(bench: ServiceBench, query: dict[str, str]) -> None:
    """One name at a time, of the ways that there are."""
    answer = bench.run(lambda call: call.operator.get("/v1/instances", params=query))
    assert answer.status_code == 400, answer.text


def test_an_export_has_every_field_of_the_store(bench: ServiceBench) -> None:
    """Also keys and evidence; the trail says who asked."""

    async def export(call: Caller) -> dict[str, Any]:
        name = (await call.enrol(SimulatedPhone()))["instance"]
        answer = await call.operator.post(
            f"/v1/instances/{name}/export", headers={"watchword-operator": "alice"}
        )
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    found = bench.run(export)
    kept = asyncio.run(bench.store.find(found["instance"]))
    assert kept is not None
    assert found["proof_jwk"] == dict(kept.proof_jwk)
    assert found["seal_jwk"] == dict(kept.seal_jwk)
    names = {
        "id": "instance",
        "device_key": "device",
        "audiences": "subjects",
        "renewed_days": "renewed_on",
    }
    assert {names.get(each, each) for each in kept.__dataclass_fields__} <= found.keys()
    assert {"receipt", "leases", "invitation"} <= found.keys()
    entry = asyncio.run(bench.store.audit_entries(1))[0]
    assert (entry.action, entry.actor) == ("instance.exported", "operator (claimed: alice)")
    assert entry.subject == found["instance"]


def test_a_deleted_instance_is_refused_everywhere_and_forgotten(bench: ServiceBench) -> None:
    """Its token at the gates, its renewal at the service; a second time nothing is left."""
    phone = SimulatedPhone()

    async def delete(call: Caller) -> tuple[dict[str, Any], httpx.Response, httpx.Response]:
        enrolled = await call.enrol(phone)
        path = f"/v1/instances/{enrolled['instance']}/delete"
        assert (await call.operator.post(path, json={})).status_code == 400
        first = await call.operator.post(path, json=BECAUSE)
        assert first.json() == {"instance": enrolled["instance"], "deleted": True}, first.text
        again = await call.operator.post(path, json=BECAUSE)
        assert again.json()["deleted"] is False
        for way in ("instance", "device"):
            assert await listed(call, **{way: enrolled["instance"]}) == []
        (shown,) = await listed(call)
        (subject,) = [shown["subjects"][CLINIC]]
        assert await listed(call, subject=subject) == []
        assert bench.gate().is_revoked(subject)
        exported = await call.operator.post(f"/v1/instances/{enrolled['instance']}/export")
        return enrolled, await call.renew(phone, enrolled["instance"]), exported

    enrolled, renewal, exported = bench.run(delete)
    assert (renewal.status_code, exported.status_code) == (403, 403)
    claims = verify(
        enrolled["tokens"][0]["token"], EXPECTATION, bench.gate(), bench.clock.timestamp()
    )
    assert bench.gate().is_revoked(claims.subject)
    left = asyncio.run(bench.store.find(enrolled["instance"]))
    assert left is not None
    assert (left.format, left.platform, left.device_key) == (ERASED, ERASED, None)
    entries = asyncio.run(bench.store.audit_entries(9))
    assert [each.detail for each in entries if each.action == "instance.deleted"] == [BECAUSE]
    bench.clock.advance(2 * 86400 + 1)
    bench.run(lambda _: bench.service.context.expiry.round())
    assert asyncio.run(bench.store.find(enrolled["instance"])) is None


def test_who_is_unknown_cant_be_deleted(bench: ServiceBench) -> None:
    """Nothing is noted of it."""
    answer = bench.run(lambda call: call.operator.post("/v1/instances/nobody/delete", json=BECAUSE))
    assert answer.status_code == 403
    assert asyncio.run(bench.store.audit_entries(9)) == []
    assert not (bench.directory / "revocations.jsonl").exists()


def test_no_file_keeps_anything_of_a_deleted_device(bench: ServiceBench) -> None:
    """Neither its keys nor its device stand in any row, or in the database's file, once its log was written back."""

    async def enrol(call: Caller) -> str:
        return str((await call.enrol(SimulatedPhone()))["instance"])

    name = bench.run(enrol)
    kept = asyncio.run(bench.store.find(name))
    assert kept is not None
    bench.run(lambda call: call.operator.post(f"/v1/instances/{name}/delete", json=BECAUSE))
    secrets = [kept.proof_jwk["x"].encode(), kept.seal_jwk["x"].encode(), kept.attested_key]
    if kept.device_key is not None:
        secrets.append(kept.device_key)
    rows = asyncio.run(
        bench.store.database.read(
            lambda connection: [
                tuple(row)
                for table in ("instances", "receipts", "leases", "instance_certificates", "audit")
                for row in connection.execute(f"SELECT * FROM {table}")
            ]
        )
    )
    text = repr(rows)
    assert not any(repr(each)[2:-1] in text for each in secrets)
    asyncio.run(
        bench.store.database.read(
            lambda connection: connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        )
    )
    for file in bench.directory.rglob("*"):
        if file.is_file():
            assert not any(each in file.read_bytes() for each in secrets), file


def test_a_restored_backup_deletes_again(tmp_path: Path) -> None:
    """The journal beside the store has the name of the instance, and that it was deleted; nothing else of it."""
    directory = tmp_path / "state"
    first = service_bench(directory)

    async def enrol(call: Caller) -> str:
        return str((await call.enrol(SimulatedPhone()))["instance"])

    name = first.run(enrol)
    first.store.close()
    shutil.copy(directory / "watchword.db", tmp_path / "copy.db")
    second = service_bench(directory)
    second.run(lambda call: call.operator.post(f"/v1/instances/{name}/delete", json=BECAUSE))
    second.store.close()
    (line,) = filter(None, (directory / "revocations.jsonl").read_text().splitlines())
    assert json.loads(line).keys() == {"instance", "at", "actor", "because", "deleted"}
    for each in directory.glob("watchword.db*"):
        each.unlink()
    shutil.copy(tmp_path / "copy.db", directory / "watchword.db")
    third = service_bench(directory)
    context = third.service.context
    found = asyncio.run(third.store.find(name))
    assert found is not None
    assert found.format != ERASED
    asyncio.run(context.safeguards.begin(context.store, context.clock.now()))
    found = asyncio.run(third.store.find(name))
    assert found is not None
    assert (found.format, found.revoked_because) == (ERASED, "deleted")
    third.store.close()
