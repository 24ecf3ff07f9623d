"""Speak to the operator's application: look, revoke, rotate, explain."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import CLINIC, ISSUER, LEDGER, SimulatedPhone

from watchword.adapters.documents import FileDocument
from watchword.adapters.gate_bundle import GateBundleFile, publish_bundle
from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.adapters.keyring.file import KeyRing, KeyState
from watchword.adapters.keyring.private_file import locked_directory
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import insert_audit
from watchword.apps.service.background import FORGET_MARGIN
from watchword.apps.service.publisher import SETTLED_SECONDS
from watchword.encoding.phrases import moment
from watchword.enrolment.service import pairwise_subject
from watchword.gate.bundle import to_jws
from watchword.gate.references import NONCE_BYTES, open_reference, seal
from watchword.ports import MOST_AUDIT_SCANNED, AuditEntry, ChallengeUse
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.jose import SigningKey
from watchword.tokens.service import verify
from watchword.vocabulary import Environment


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service on a fresh state directory."""
    made = service_bench(tmp_path)
    yield made
    made.store.close()


def test_instances_are_listed_with_their_subjects(bench: ServiceBench) -> None:
    """An operator sees each instance, and under which names the APIs know it; no key."""
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))

    async def look(call: Caller) -> tuple[str, httpx.Response, httpx.Response]:
        instance = (await call.enrol(phone))["instance"]
        await call.enrol(SimulatedPhone("clinic-android"))
        every = await call.operator.get("/v1/instances")
        ios = await call.operator.get("/v1/instances?app=clinic-ios&limit=5")
        return instance, every, ios

    instance, every, ios = bench.run(look)
    assert len(every.json()["instances"]) == 2
    (shown,) = ios.json()["instances"]
    assert (shown["instance"], shown["level"], shown["revoked_at"]) == (instance, "hardware", None)
    key = bench.keyring.ring.pairwise_key
    assert shown["subjects"] == {
        audience: pairwise_subject(instance, audience, key) for audience in (CLINIC, LEDGER)
    }
    assert phone.proof_jwk["x"] not in ios.text


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=%C2%B2", "limit="])
def test_odd_limit_is_refused(bench: ServiceBench, query: str) -> None:
    """A listing has a bound."""
    answer = bench.run(lambda call: call.operator.get(f"/v1/instances?{query}"))
    if query == "limit=":
        # An empty value is no value (RFC 3986 gives it no meaning): the default holds.
        assert answer.status_code == 200
        return
    assert answer.json()["reasons"] == ["request.malformed"]


def test_revoked_instance_is_out_at_once(bench: ServiceBench) -> None:
    """After the answer gates refuse every audience's token, and renewals are refused."""
    phone = SimulatedPhone(audiences=(CLINIC, LEDGER))

    async def revoke(call: Caller) -> tuple[dict[str, Any], httpx.Response, httpx.Response]:
        await bench.service.start()
        enrolled = await call.enrol(phone)
        revoked = await call.operator.post(
            f"/v1/instances/{enrolled['instance']}/revoke",
            json={"because": "stolen"},
            headers={"watchword-operator": "alice"},
        )
        renewed = await call.renew(phone, enrolled["instance"])
        await bench.service.stop()
        return enrolled, revoked, renewed

    before_start = bench.gate_path.exists()
    enrolled, revoked, renewed = bench.run(revoke)
    assert not before_start
    assert revoked.status_code == 200
    assert revoked.json()["revoked_because"] == "stolen"
    gates = {CLINIC: bench.gate("clinic"), LEDGER: bench.gate("ledger")}
    assert {token["aud"] for token in enrolled["tokens"]} == gates.keys()
    for token in enrolled["tokens"]:
        expectation = TokenExpectation(ISSUER, token["aud"], Environment.PROD)
        gate = gates.pop(token["aud"])
        claims = verify(token["token"], expectation, gate, bench.clock.timestamp())
        assert gate.is_revoked(claims.subject)
        # Each gate is told the names of its own API and no others.
        assert not any(other.is_revoked(claims.subject) for other in gates.values())
    assert renewed.status_code == 403
    entries = asyncio.run(bench.store.audit_entries(1))
    assert (entries[0].actor, entries[0].action) == (
        "operator (claimed: alice)",
        "instance.revoked",
    )
    assert entries[0].detail == {"because": "stolen"}


def test_a_second_revocation_says_that_it_changed_nothing(bench: ServiceBench) -> None:
    """Time and reason of the first stand, and so does its entry in the trail."""

    async def twice(call: Caller) -> tuple[str, list[dict[str, Any]]]:
        name = (await call.enrol(SimulatedPhone()))["instance"]
        answers = []
        for because in ("stolen", "again"):
            path = f"/v1/instances/{name}/revoke"
            answers.append((await call.operator.post(path, json={"because": because})).json())
            bench.clock.advance(5)
        return name, answers

    name, (first, second) = bench.run(twice)
    assert (first["revoked_before"], second["revoked_before"]) == (False, True)
    assert second["revoked_because"] == "stolen"
    assert second["revoked_at"] == first["revoked_at"]
    entries = asyncio.run(bench.store.audit_entries(9, name))
    assert [each.action for each in entries] == ["instance.revoked", "instance.enrolled"]


def test_unknown_instance_is_told(bench: ServiceBench) -> None:
    """Revoking what isn't there is refused with its reason in the open, and where the id stands."""
    answer = bench.run(
        lambda call: call.operator.post("/v1/instances/nobody/revoke", json={"because": "x"})
    )
    assert answer.json()["reasons"] == ["instance.unknown"]
    assert "`watchword instances list`" in answer.json()["details"][0]
    assert "`subjects`" in answer.json()["details"][0]


@pytest.mark.parametrize("because", ["", "x" * 501, 7, None])
def test_revocation_needs_a_reason(bench: ServiceBench, because: object) -> None:
    """Nobody is revoked without a word on why."""
    answer = bench.run(
        lambda call: call.operator.post("/v1/instances/nobody/revoke", json={"because": because})
    )
    assert answer.json()["reasons"] == ["request.malformed"]


@pytest.mark.parametrize("name", ["alice bob", "a" * 65, "eve\u00e9"])
def test_odd_name_is_not_recorded(bench: ServiceBench, name: str) -> None:
    """The claimed name of an operator is a plain word or nothing."""
    bench.run(
        lambda call: call.operator.post(
            "/v1/keys/rotate", headers={b"watchword-operator": name.encode()}
        )
    )
    assert asyncio.run(bench.store.audit_entries(1))[0].actor == "operator"


def test_audit_is_listed_newest_first(bench: ServiceBench) -> None:
    """The audit trail tells who did what."""

    async def look(call: Caller) -> httpx.Response:
        await call.enrol(SimulatedPhone())
        await call.operator.post("/v1/keys/rotate")
        return await call.operator.get("/v1/audit?limit=2")

    entries = bench.run(look).json()["entries"]
    assert [entry["action"] for entry in entries] == ["keys.rotate", "instance.enrolled"]
    assert entries[0]["actor"] == "operator"


def test_refusals_are_counted_and_explained(bench: ServiceBench) -> None:
    """A reference from a client's log tells the operator reason, place and time."""

    async def refuse(call: Caller) -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        refused = await call.public.post("/v1/challenges", json={"app": "x", "purpose": "enrol"})
        explained = await call.operator.post("/v1/explain", json={"ref": refused.json()["ref"]})
        return (
            explained,
            await call.operator.get("/v1/refusals"),
            await call.operator.get("/metrics"),
        )

    explained, refusals, metrics = bench.run(refuse)
    assert explained.json() == {
        "at": moment(bench.clock.now()),
        "where": "POST /v1/challenges",
        "reasons": [{"reason": "statement.app_unknown", "category": "content", "status": 403}],
    }
    count = {"reason": "statement.app_unknown", "where": "POST /v1/challenges", "count": 1}
    assert refusals.json()["counts"] == [count]
    (sample,) = refusals.json()["samples"]
    assert sample["refusals"][0]["detail"] == "expected one of: clinic-android, clinic-ios"
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = metrics.text.splitlines()
    assert (
        'watchword_refusals_total{reason="statement.app_unknown",where="POST /v1/challenges"} 1.0'
        in lines
    )
    assert 'watchword_service_answers_total{route="POST /v1/challenges",status="403"} 1.0' in lines


def test_the_audit_trail_is_read_by_subject_and_page_by_page(bench: ServiceBench) -> None:
    """One instance's entries alone, every entry once, and a query of anything else is no query for everything."""

    async def ask(call: Caller) -> tuple[str, list[Any], list[Any], list[httpx.Response]]:
        names = [(await call.enrol(SimulatedPhone()))["instance"] for _ in range(3)]
        await call.operator.post(f"/v1/instances/{names[1]}/revoke", json={"because": "x"})
        of_one = (await call.operator.get(f"/v1/audit?subject={names[1]}")).json()
        pages = []
        before: str | None = ""
        while before is not None:
            page = (await call.operator.get(f"/v1/audit?limit=3{before}")).json()
            pages.append(page["entries"])
            before = None if page["before"] is None else f"&before={page['before']}"
        odd = ("instance=x", "subjects=x", "before=x", f"before={'9' * 19}", "limit=1001")
        refused = [await call.operator.get(f"/v1/audit?{query}") for query in odd]
        refused.append(await call.operator.get("/v1/instances?subjects=x"))
        refused.append(await call.operator.post("/v1/keys/rotate?porpose=gates"))
        return names[1], [of_one], pages, refused

    name, (of_one,), pages, refused = bench.run(ask)
    assert [(each["action"], each["subject"]) for each in of_one["entries"]] == [
        ("instance.revoked", name),
        ("instance.enrolled", name),
    ]
    assert of_one["before"] is None
    numbers = [entry["number"] for page in pages for entry in page]
    assert numbers == [4, 3, 2, 1]
    assert [answer.status_code for answer in refused] == [400] * len(refused)
    (told,) = refused[0].json()["details"]
    assert told == "got the query argument 'instance', expected one of: before, limit, subject"
    assert "expected one of: purpose" in refused[-1].json()["details"][0]


def test_one_query_looks_at_a_bounded_part_of_the_trail(bench: ServiceBench) -> None:
    """An answer about a subject of long ago is empty, says where to go on, and so finds it."""

    async def ask(call: Caller) -> list[Any]:
        await bench.store.add_audit(AuditEntry(bench.clock.now(), "x", "first", "sought"))
        other = AuditEntry(bench.clock.now(), "x", "later", "other")

        def fill(connection: sqlite3.Connection) -> None:
            for _ in range(MOST_AUDIT_SCANNED):
                insert_audit(connection, other)

        await bench.store._database.write(fill)
        first = (await call.operator.get("/v1/audit?subject=sought")).json()
        rest = await call.operator.get(f"/v1/audit?subject=sought&before={first['before']}")
        return [first, rest.json()]

    first, rest = bench.run(ask)
    assert (first["entries"], first["before"]) == ([], 2)
    assert [each["action"] for each in rest["entries"]] == ["first"]
    assert rest["before"] is None


@pytest.mark.parametrize("ref", ["abc", "!", "A" * 200, "A" * 3000])
def test_foreign_reference_explains_nothing(bench: ServiceBench, ref: str) -> None:
    """A reference that this deployment didn't make is refused."""
    answer = bench.run(lambda call: call.operator.post("/v1/explain", json={"ref": ref}))
    assert answer.status_code == 400


def test_rotation_refuses_nobody(bench: ServiceBench) -> None:
    """A token from before a rotation passes the gate after it, and so does one from after it."""

    async def rotate(call: Caller) -> tuple[list[str], httpx.Response]:
        before = await call.enrol(SimulatedPhone())
        rotated = await call.operator.post("/v1/keys/rotate")
        after = await call.enrol(SimulatedPhone())
        return [each["tokens"][0]["token"] for each in (before, after)], rotated

    tokens, rotated = bench.run(rotate)
    tokens_keys = [key for key in rotated.json()["keys"] if key["purpose"] == "tokens"]
    states = sorted(key["state"] for key in tokens_keys)
    assert states == ["active", "prepared", "retired"]
    assert "d" not in rotated.json()["keys"][0]
    for token in tokens:
        expectation = TokenExpectation(ISSUER, CLINIC, Environment.PROD)
        claims = verify(token, expectation, bench.gate(), bench.clock.timestamp())
        assert claims.audience == CLINIC


def test_retired_key_is_out_at_once(bench: ServiceBench) -> None:
    """After the answer gates refuse the stolen key's tokens, and new ones pass."""

    async def retire(call: Caller) -> tuple[str, str]:
        before = await call.enrol(SimulatedPhone())
        kid = bench.keyring.signer().kid
        assert (await call.operator.post(f"/v1/keys/{kid}/retire")).status_code == 200
        after = await call.enrol(SimulatedPhone())
        return before["tokens"][0]["token"], after["tokens"][0]["token"]

    stolen, fresh = bench.run(retire)
    expectation = TokenExpectation(ISSUER, CLINIC, Environment.PROD)
    with pytest.raises(RefusedError) as caught:
        verify(stolen, expectation, bench.gate(), bench.clock.timestamp())
    assert caught.value.reason is Reason.TOKEN_KEY_RETIRED
    claims = verify(fresh, expectation, bench.gate(), bench.clock.timestamp())
    assert claims.audience == CLINIC


def test_unknown_key_is_neither_retired_nor_audited(bench: ServiceBench) -> None:
    """A typing error isn't recorded as a withdrawal of trust."""
    answer = bench.run(lambda call: call.operator.post("/v1/keys/nobody/retire"))
    assert answer.json()["reasons"] == ["key.unknown"]
    assert asyncio.run(bench.store.audit_entries(1)) == []


def test_key_change_that_cannot_be_recorded_is_not_made(bench: ServiceBench) -> None:
    """Without an audit entry there is no rotation."""
    before = bench.keyring.signer().kid
    bench.store.close()
    answer = bench.run(lambda call: call.operator.post("/v1/keys/rotate"))
    assert answer.status_code == 503
    assert bench.keyring.signer().kid == before


def test_start_publishes_and_an_idle_tick_does_not(bench: ServiceBench) -> None:
    """Gates are told at the start; while nothing changes their caches stay."""

    async def scenario(_call: Caller) -> None:
        await bench.service.start()
        first = bench.published()
        assert first.generation == int(bench.clock.timestamp())
        assert first.reference_key == bench.keyring.reference_key(CLINIC)
        bench.clock.advance(10)
        await bench.service.tick()
        assert bench.published() == first
        await bench.service.stop()

    bench.run(scenario)


def test_other_processes_changes_reach_the_gates(bench: ServiceBench, tmp_path: Path) -> None:
    """Keys and instances that another process changed are published at the next tick."""

    async def scenario(call: Caller) -> None:
        instance = (await call.enrol(SimulatedPhone()))["instance"]
        await bench.service.tick()
        before = bench.published()
        ring = KeyRing(
            FileDocument(tmp_path / "keyring.json"),
            environment=Environment.PROD,
            grace=1,
            now=0,
            entropy=bench.service.context.entropy,
        )
        active = ring.rotate(bench.clock.timestamp())
        store = SqliteStore(tmp_path / "watchword.db")
        now = bench.clock.now()
        await store.revoke(instance, now, "b", AuditEntry(now, "o", "instance.revoked", instance))
        store.close()
        await bench.service.tick()
        after = bench.published()
        assert bench.keyring.ring.in_state(KeyState.ACTIVE).kid == active.kid
        assert len(after.keys) == 3
        assert after.revoked == {
            pairwise_subject(instance, CLINIC, bench.keyring.ring.pairwise_key)
        }
        assert after.generation > before.generation

    bench.run(scenario)


def test_generation_grows_even_when_the_clock_goes_back(bench: ServiceBench) -> None:
    """A gate that runs takes each change, also one made after the clock was set back."""

    async def scenario(call: Caller) -> None:
        await bench.service.tick()
        gate = following(bench)
        bench.clock.advance(-86400)
        await call.operator.post("/v1/keys/rotate")
        assert gate.generation == bench.published().generation
        assert gate.fault is None
        assert gate.find(bench.keyring.ring.in_state(KeyState.PREPARED).kid) is not None

    bench.run(scenario)


class Ticking:
    """Let a second pass with each look, so that a gate looks at its file each time."""

    def __init__(self) -> None:
        """Start at zero."""
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return a later time than before."""
        self.seconds += 1
        return self.seconds


def following(bench: ServiceBench) -> GateBundleFile:
    """Return the clinic's gate; it looks at its file each time."""
    return GateBundleFile(bench.gate_path, bench.gate_path.with_name("signer.jwk"), Ticking())


def test_lost_or_broken_state_is_written_again(bench: ServiceBench) -> None:
    """A file that somebody removed or spoiled is made anew from keys and store."""

    async def scenario(_call: Caller) -> None:
        await bench.service.tick()
        good = bench.published()
        bench.gate_path.unlink()
        await bench.service.tick()
        assert bench.published().keys == good.keys
        bench.gate_path.write_bytes(b"{}")
        await bench.service.tick()
        assert bench.published().keys == good.keys

    bench.run(scenario)


def test_state_that_was_tampered_with_is_replaced(bench: ServiceBench) -> None:
    """Whoever empties the list of the revoked finds it filled again."""

    async def scenario(call: Caller) -> None:
        instance = (await call.enrol(SimulatedPhone()))["instance"]
        await call.operator.post(f"/v1/instances/{instance}/revoke", json={"because": "x"})
        told = bench.published()
        assert len(told.revoked) == 1
        forged = replace(told, generation=told.generation + 5, revoked=frozenset())
        publish_bundle(bench.gate_path, to_jws(forged, SigningKey.from_wide_secret(b"f" * 64)))
        await bench.service.tick()
        assert bench.published().revoked == told.revoked
        assert bench.published().generation == told.generation + 1

    bench.run(scenario)


def test_upkeep_survives_a_bad_round(bench: ServiceBench) -> None:
    """A round that fails is logged, and the next one works."""

    async def scenario(call: Caller) -> None:
        await bench.service.start()
        bench.gate_path.unlink()
        bench.gate_path.mkdir()
        await asyncio.sleep(1.2)
        bench.gate_path.rmdir()
        await asyncio.sleep(1.2)
        assert bench.published().keys
        await bench.service.stop()
        await bench.service.stop()

    bench.run(scenario)


def test_used_challenge_outlives_a_clock_that_is_set_back(bench: ServiceBench) -> None:
    """Uses are forgotten only an hour after expiry."""
    phone = SimulatedPhone()

    async def scenario(call: Caller) -> None:
        challenge = await call.challenge(phone)
        await call.attest(phone, challenge)
        bench.clock.advance(600)
        await bench.service.forget()
        bench.clock.advance(-600)
        answer = await call.attest(SimulatedPhone(), challenge)
        assert answer.status_code == 409
        bench.clock.advance(301 + FORGET_MARGIN.total_seconds())
        await bench.service.forget()
        use = ChallengeUse(challenge[9:25], bench.clock.now() + timedelta(seconds=1))
        instance = (await bench.store.list_instances(1))[0]
        audit = AuditEntry(bench.clock.now(), "a", "b", "c")
        renewed = await bench.store.renew(use, instance.id, None, None, audit)
        assert renewed.id == instance.id

    bench.run(scenario)


def test_second_rotation_waits_until_gates_know_the_prepared_key(bench: ServiceBench) -> None:
    """Of two rotations at once each lets a key settle, so that no gate meets an unknown one."""

    async def rotate(call: Caller) -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        both = (call.operator.post("/v1/keys/rotate") for _ in range(2))
        assert [answer.status_code for answer in await asyncio.gather(*both)] == [200, 200]
        return loop.time() - started

    assert bench.run(rotate) >= 2 * SETTLED_SECONDS


def test_state_directory_in_trouble_is_unavailable(bench: ServiceBench) -> None:
    """A key ring that can't be trusted now is a 503 with a time to come again, and no 500."""
    (bench.directory / "keyring.json").chmod(0o644)
    answer = bench.run(lambda call: call.operator.post("/v1/keys/rotate"))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["reasons"] == [Reason.STORE_UNAVAILABLE.code]


def test_generation_grows_over_a_lost_file(bench: ServiceBench) -> None:
    """After many changes within a second and the loss of the file, a running gate still follows."""

    async def scenario(_call: Caller) -> None:
        await bench.service.tick()
        document = bench.published()
        newer = replace(document, generation=document.generation + 50)
        publish_bundle(bench.gate_path, to_jws(newer, bench.keyring.bundle_signer()))
        await bench.service.tick()
        gate = following(bench)
        assert gate.generation == document.generation + 51
        bench.gate_path.unlink()
        await bench.service.tick()
        assert gate.generation == document.generation + 52
        assert gate.fault is None

    bench.run(scenario)


def test_a_lost_directory_and_a_clock_set_back(bench: ServiceBench) -> None:
    """Where bundles and clock are gone, the counter beside them keeps running gates informed."""

    async def scenario(_call: Caller) -> None:
        await bench.service.tick()
        gate = following(bench)
        known = gate.generation
        await bench.service.stop()
        shutil.rmtree(bench.gate_path.parent)
        bench.store.close()
        bench.clock.advance(-30 * 86400)
        again = service_bench(bench.directory)
        again.clock.at = bench.clock.at
        await again.service.tick()
        assert again.published().generation == known + 1
        assert gate.generation == known + 1
        assert gate.fault is None
        again.store.close()

    bench.run(scenario)


@pytest.mark.parametrize("text", [b"", b"many\n", b"9" * 40, b"\xd9\xa3"])
def test_a_counter_that_cannot_be_read_counts_for_nothing(bench: ServiceBench, text: bytes) -> None:
    """Bundles go on from what the gates have."""

    async def scenario(_call: Caller) -> None:
        await bench.service.tick()
        before = bench.published().generation
        publish_bundle(bench.directory / "gate-generation", text)
        bench.gate_path.unlink()
        await bench.service.tick()
        assert bench.published().generation == before + 1

    bench.run(scenario)


def test_epochs_are_rotated_and_retired_on_their_own(bench: ServiceBench) -> None:
    """The gate secrets change, the token keys don't; an epoch is withdrawn by its name."""

    async def scenario(call: Caller) -> list[httpx.Response]:
        await bench.service.tick()
        bench.clock.advance(SETTLED_SECONDS)
        rotated = await call.operator.post("/v1/keys/rotate?purpose=gates")
        bench.clock.advance(SETTLED_SECONDS)
        retired = await call.operator.post("/v1/keys/epoch-1/retire")
        odd = await call.operator.post("/v1/keys/rotate?purpose=bundles")
        unknown = await call.operator.post("/v1/keys/epoch-77/retire")
        return [rotated, retired, odd, unknown]

    token_keys = [key.kid for key in bench.keyring.ring.token_keys]
    rotated, retired, odd, unknown = bench.run(scenario)
    states = {key["kid"]: key["state"] for key in rotated.json()["keys"]}
    assert (states["epoch-1"], states["epoch-2"], states["epoch-3"]) == (
        "retired",
        "active",
        "prepared",
    )
    assert retired.status_code == 200
    assert {each.epoch for each in bench.published().secrets} == {2, 3}
    assert [key.kid for key in bench.keyring.ring.token_keys] == token_keys
    assert odd.json()["reasons"] == [Reason.REQUEST_MALFORMED.code]
    assert unknown.json()["reasons"] == [Reason.KEY_UNKNOWN.code]
    last = asyncio.run(bench.store.audit_entries(2))
    assert [(entry.action, entry.subject) for entry in last][::-1] == [
        ("keys.rotate", "epoch-1"),
        ("keys.retire", "epoch-1"),
    ]


def test_each_gate_seals_under_a_key_of_its_own(bench: ServiceBench) -> None:
    """Whoever holds one API's bundle opens no reference of another's; the operator opens all."""

    async def scenario(call: Caller) -> list[httpx.Response]:
        await bench.service.tick()
        keys = [bench.published(api).reference_key for api in ("clinic", "ledger")]
        keys.append(bench.keyring.ring.reference_key)
        assert len(set(keys)) == 3
        refusals = (Refusal(Reason.TOKEN_MISSING, ""),)
        references = [seal(refusals, "here", 7, key, bytes(NONCE_BYTES)) for key in keys]
        with pytest.raises(RefusedError):
            open_reference(references[0], keys[1])
        references.append(seal(refusals, "here", 7, b"f" * 32, bytes(NONCE_BYTES)))
        return [await call.operator.post("/v1/explain", json={"ref": ref}) for ref in references]

    *opened, foreign = bench.run(scenario)
    assert [each.json()["reasons"][0]["reason"] for each in opened] == ["token.missing"] * 3
    assert foreign.json()["reasons"] == ["request.malformed"]


def test_a_gate_that_is_stuck_shows_in_the_metrics(bench: ServiceBench) -> None:
    """Nobody reads logs until something stands in a graph."""

    async def scenario(call: Caller) -> list[str]:
        await bench.service.tick()
        gate = following(bench)
        bench.service.context.gate_faults["clinic"] = gate.trouble
        texts = [(await call.operator.get("/metrics")).text]
        chain_path(bench.gate_path).chmod(0o644)
        texts.append((await call.operator.get("/metrics")).text)
        chain_path(bench.gate_path).chmod(0o600)
        texts.append((await call.operator.get("/metrics")).text)
        return texts

    values = [
        line.rpartition(" ")[2]
        for text in bench.run(scenario)
        for line in text.splitlines()
        if line.startswith('watchword_gate_bundle_fault{api="clinic"}')
    ]
    assert values == ["0.0", "1.0", "0.0"]


def test_two_processes_number_their_bundles_one_after_the_other(bench: ServiceBench) -> None:
    """Two that took the same number for different words would leave a gate with half of them."""
    bench.run(lambda _call: bench.service.tick())
    before = bench.published().generation
    bench.gate_path.unlink()
    with locked_directory(bench.gate_path.parent):
        other = threading.Thread(target=bench.run, args=(lambda _call: bench.service.tick(),))
        other.start()
        other.join(0.3)
        assert not bench.gate_path.exists()
        # What the other process does meanwhile is counted.
        publish_bundle(bench.directory / "gate-generation", f"{before + 1000}\n".encode())
    other.join(10)
    assert bench.published().generation == before + 1001
