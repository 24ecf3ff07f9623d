"""Show what an old backup of the database opens once the five minutes have passed that the page asks to wait."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_service import reason_in
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.encoding import base64url
from watchword.enrolment.interface import CHALLENGE_SECONDS, EnrolmentRequest, RenewalRequest
from watchword.reasons import Reason
from watchword.vocabulary import Purpose


def copied(directory: Path) -> Path:
    """Copy the database as docs/operating.md says, while the service has it open."""
    copy = directory / "copy.db"
    with sqlite3.connect(directory / "watchword.db") as live, sqlite3.connect(copy) as kept:
        live.backup(kept)
    live.close()
    kept.close()
    return copy


def restored(bench: ServiceBench, copy: Path, after: float) -> ServiceBench:
    """Stop the service, put the copy back, and start it so many seconds later."""
    bench.store.close()
    database = bench.directory / "watchword.db"
    for name in ("watchword.db-wal", "watchword.db-shm"):
        (bench.directory / name).unlink(missing_ok=True)
    shutil.copy(copy, database)
    again = service_bench(bench.directory)
    again.clock.at = bench.clock.at
    again.clock.advance(after)
    return again


def document(request: EnrolmentRequest | RenewalRequest) -> dict[str, Any]:
    """Return the body that was on the wire."""
    sent: dict[str, Any] = {
        "statement": base64url.encode(request.statement),
        "evidence": dict(request.evidence),
    }
    if isinstance(request, RenewalRequest):
        sent["instance"] = request.instance_id
    return sent


async def post(call: Caller, path: str, sent: dict[str, Any]) -> httpx.Response:
    """Send a body that was recorded before."""
    return await call.public.post(
        path, content=json.dumps(sent).encode(), headers={"content-type": "application/json"}
    )


@pytest.mark.parametrize("app", ["clinic-ios", "clinic-android"])
def test_what_was_recorded_before_is_refused(tmp_path: Path, app: str) -> None:
    """Old assertions and an old enrolment open nothing, though the copy knows no use of theirs; phones go on."""
    bench = service_bench(tmp_path)
    early, late = SimulatedPhone(app), SimulatedPhone(app)

    async def before(call: Caller) -> tuple[str, str, Path, list[tuple[str, dict[str, Any]]]]:
        instance: str = (await call.enrol(early))["instance"]
        copy = copied(tmp_path)
        renewal = early.renewal(instance, await call.challenge(early, Purpose.RENEW))
        enrolment = late.enrolment(await call.challenge(late))
        recorded = [
            ("/v1/tokens", document(renewal)),
            ("/v1/attestations", document(enrolment)),
        ]
        answers = [await post(call, path, sent) for path, sent in recorded]
        assert [answer.status_code for answer in answers] == [200, 201]
        return instance, answers[1].json()["instance"], copy, recorded

    instance, stranger, copy, recorded = bench.run(before)
    again = restored(bench, copy, CHALLENGE_SECONDS)

    async def after(call: Caller) -> None:
        # The bench's entropy begins anew: nonces that the copy knows are passed over.
        for _ in range(64):
            await call.challenge(early)
        for path, sent in recorded:
            answer = await post(call, path, sent)
            assert reason_in(again, answer) is Reason.CHALLENGE_EXPIRED
        assert (await call.renew(early, instance)).status_code == 200
        # Who enrolled since the copy was made is a stranger, and enrols anew.
        answer = await call.renew(late, stranger)
        assert reason_in(again, answer) is Reason.INSTANCE_UNKNOWN
        await call.enrol(late)

    again.run(after)
    again.store.close()


@pytest.mark.parametrize("app", ["clinic-ios", "clinic-android"])
def test_a_challenge_that_came_with_tokens_is_refused_at_once(tmp_path: Path, app: str) -> None:
    """Used or not: it lives longer than five minutes, and the copy takes it for the newest; the phone asks for another."""
    bench = service_bench(tmp_path)
    used, kept = SimulatedPhone(app), SimulatedPhone(app)

    async def before(call: Caller) -> tuple[Path, list[tuple[SimulatedPhone, dict[str, Any]]]]:
        await bench.service.start()
        sent = []
        for phone in (used, kept):
            enrolled = await call.enrol(phone)
            challenge = base64url.decode(enrolled["next"]["challenge"])
            sent.append((phone, document(phone.renewal(enrolled["instance"], challenge))))
        copy = copied(tmp_path)
        assert (await post(call, "/v1/tokens", sent[0][1])).status_code == 200
        await bench.service.stop()
        return copy, sent

    copy, sent = bench.run(before)
    again = restored(bench, copy, 1)

    async def after(call: Caller) -> None:
        await again.service.start()
        # The bench's entropy begins anew: nonces that the copy knows are passed over.
        for _ in range(64):
            await call.challenge(used)
        for phone, body in sent:
            answer = await post(call, "/v1/tokens", body)
            assert reason_in(again, answer) is Reason.CHALLENGE_UNKNOWN
            assert (await call.renew(phone, body["instance"])).status_code == 200
        await again.service.stop()

    again.run(after)
    again.store.close()


@pytest.mark.parametrize("app", ["clinic-ios", "clinic-android"])
def test_what_was_recorded_before_is_refused_at_once(tmp_path: Path, app: str) -> None:
    """Nobody has to wait: a copy is noticed at the start, and challenges from before it count no more."""
    bench = service_bench(tmp_path)
    early, late = SimulatedPhone(app), SimulatedPhone(app)

    async def before(call: Caller) -> tuple[str, Path, list[tuple[str, dict[str, Any]]]]:
        await bench.service.start()
        instance: str = (await call.enrol(early))["instance"]
        copy = copied(tmp_path)
        recorded = [
            (
                "/v1/tokens",
                document(early.renewal(instance, await call.challenge(early, Purpose.RENEW))),
            ),
            ("/v1/attestations", document(late.enrolment(await call.challenge(late)))),
        ]
        answers = [await post(call, path, sent) for path, sent in recorded]
        assert [answer.status_code for answer in answers] == [200, 201]
        await bench.service.stop()
        return instance, copy, recorded

    instance, copy, recorded = bench.run(before)
    again = restored(bench, copy, 1)

    async def after(call: Caller) -> None:
        await again.service.start()
        # The bench's entropy begins anew: nonces that the copy knows are passed over.
        for _ in range(64):
            await call.challenge(early)
        for path, sent in recorded:
            answer = await post(call, path, sent)
            assert reason_in(again, answer) is Reason.CHALLENGE_UNKNOWN
        assert (await call.renew(early, instance)).status_code == 200
        await call.enrol(late)
        await again.service.stop()

    again.run(after)
    again.store.close()


def test_whoever_was_revoked_since_the_copy_stays_revoked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Before anybody renews and before gates are told; the trail says when it was, and the log that a copy was found."""
    bench = service_bench(tmp_path)
    phone, other = SimulatedPhone(), SimulatedPhone()

    async def before(call: Caller) -> tuple[str, str, Path]:
        await bench.service.start()
        instance: str = (await call.enrol(phone))["instance"]
        standing: str = (await call.enrol(other))["instance"]
        copy = copied(tmp_path)
        path = f"/v1/instances/{instance}/revoke"
        await call.operator.post(path, json={"because": "phone stolen"})
        await bench.service.stop()
        return instance, standing, copy

    instance, standing, copy = bench.run(before)
    revoked = bench.published().revoked
    again = restored(bench, copy, 10)

    async def after(call: Caller) -> None:
        await again.service.start()
        for _ in range(64):
            await call.challenge(phone)
        assert reason_in(again, await call.renew(phone, instance)) is Reason.INSTANCE_REVOKED
        assert (await call.renew(other, standing)).status_code == 200
        entries = await again.store.audit_entries(100)
        (entry,) = (each for each in entries if each.action == "instance.revoked")
        assert entry.detail == {"because": "phone stolen", "recorded": "late"}
        assert entry.at == bench.clock.now()
        await again.service.stop()

    again.run(after)
    again.store.close()
    assert again.published().revoked == revoked != frozenset()
    told = capfd.readouterr().out
    assert "store may be an older copy" in told
    assert "revoked again what the store didn't know of" in told


def test_a_restart_over_the_same_database_costs_no_challenge(tmp_path: Path) -> None:
    """Neither a stop nor a kill makes a copy of it: whoever asked before it is served after it."""
    bench = service_bench(tmp_path)
    phone, late = SimulatedPhone(), SimulatedPhone()

    async def before(call: Caller) -> bytes:
        await bench.service.start()
        await call.enrol(phone)
        await bench.service.follow_store()
        challenge = await call.challenge(late)
        await call.enrol(SimulatedPhone())
        # Killed here: the mark doesn't know of the last one.
        return challenge

    challenge = bench.run(before)
    bench.store.close()
    again = service_bench(tmp_path)

    async def after(call: Caller) -> None:
        await again.service.start()
        assert (await call.attest(late, challenge)).status_code == 201
        await again.service.stop()

    again.run(after)
    again.store.close()
