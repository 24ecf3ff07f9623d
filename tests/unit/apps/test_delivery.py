"""Hand secrets out over the service's public listener: described, refused alike, and never shown."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.apps.secret_bench import DELIVERY, FIRST, MemorySecretStore, secret_bench
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_service import described
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.apps.service.openapi import DOCUMENT
from watchword.broker.envelope import SecretContext, secret_info
from watchword.broker.interface import SecretRecord, SecretValue, SecretVersion, StoredSecret
from watchword.encoding import base64url
from watchword.enrolment.statement import read_statement
from watchword.gate.references import open_reference
from watchword.lab.keys import open_sealed
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.tokens.interface import REFUSAL_TYPE
from watchword.vocabulary import Purpose

PUSH = StoredSecret(SecretRecord("push", (SecretVersion(1, SecretValue(FIRST), 0),)), 1)


@pytest.fixture
def backend() -> MemorySecretStore:
    """Return a backend that holds the value of one secret."""
    return MemorySecretStore({"push": PUSH})


@pytest.fixture
def bench(tmp_path: Path, backend: MemorySecretStore) -> Iterator[ServiceBench]:
    """Return a service that has read its secrets."""
    made = secret_bench(tmp_path, backend)
    asyncio.run(made.service.context.secrets.refresh(made.clock.timestamp()))
    yield made
    made.store.close()


def reason_in(bench: ServiceBench, answer: httpx.Response) -> Reason:
    """Return what the reference of a refusal says to an operator."""
    reference = open_reference(answer.json()["ref"], bench.keyring.ring.reference_key)
    return reference.reasons[0]


async def asked(
    call: Caller, phone: SimulatedPhone, instance: str, secret: str = "push", **changes: Any
) -> tuple[bytes, httpx.Response]:
    """Ask for a secret; return the statement and the answer."""
    challenge = await call.challenge(phone, Purpose.SECRET)
    request = phone.asking(instance, challenge, secret, **changes)
    answer = await call.public.post(
        "/v1/secrets",
        json={
            "instance": instance,
            "statement": base64url.encode(request.statement),
            "evidence": dict(request.evidence),
        },
    )
    return request.statement, answer


def way(phone: SimulatedPhone, secret: str = "push", **changes: Any) -> Callable[..., Any]:
    """Return the way of a phone that enrols and asks for a secret."""

    async def scenario(call: Caller) -> tuple[bytes, httpx.Response]:
        instance = (await call.enrol(phone))["instance"]
        return await asked(call, phone, instance, secret, **changes)

    return scenario


def test_secret_is_handed_out_as_described(bench: ServiceBench) -> None:
    """Status, media type and members are those of the API description; the phone opens it by them."""
    phone = SimulatedPhone()
    statement, answer = bench.run(way(phone))
    told = answer.json()
    content = DOCUMENT["paths"]["/v1/secrets"]["post"]["responses"]["200"]["content"]
    described(told, content[answer.headers["content-type"]]["schema"])
    assert answer.headers["cache-control"] == "no-store"
    context = SecretContext(
        binding=read_statement(statement).binding,
        app="clinic-ios",
        name=told["name"],
        version=told["version"],
        lease=told["lease"],
        expires_at=told["expires_at"],
    )
    opened = open_sealed(phone.seal_key, secret_info(context), base64url.decode(told["sealed"]))
    assert opened.decode() == FIRST
    assert told["expires_in"] == DELIVERY.lease
    assert told["expires_at"] == int(bench.clock.timestamp()) + DELIVERY.lease
    assert told["now"] == int(bench.clock.timestamp())


@pytest.mark.parametrize(
    ("secret", "app", "evidence", "reason"),
    [
        ("nothing", "clinic-ios", {}, Reason.SECRET_NOT_DELIVERED),
        ("maps", "clinic-ios", {}, Reason.SECRET_NOT_DELIVERED),
        ("push", "clinic-android", {}, Reason.SECRET_APP),
    ],
)
def test_refusals_tell_a_stranger_one_thing(
    bench: ServiceBench, secret: str, app: str, evidence: dict[str, Any], reason: Reason
) -> None:
    """An unknown name, one that is injected at the edge, another app: same words, same size; operators know."""
    _, answer = bench.run(way(SimulatedPhone(app), secret, **evidence))
    assert answer.status_code == 403
    assert answer.json().keys() == {"type", "title", "status", "now", "ref"}
    assert answer.json()["type"] == "urn:watchword:problem:secret-refused"
    assert reason_in(bench, answer) is reason


def test_instance_that_was_revoked_is_told_for_good(bench: ServiceBench) -> None:
    """Signed over the statement, as at a renewal; a secret that isn't there is no such refusal."""
    phone = SimulatedPhone()

    async def scenario(call: Caller) -> list[tuple[bytes, httpx.Response]]:
        instance = (await call.enrol(phone))["instance"]
        await call.operator.post(f"/v1/instances/{instance}/revoke", json={"because": "lost"})
        return [await asked(call, phone, instance, secret) for secret in ("push", "nothing")]

    (statement, revoked), (_, nothing) = bench.run(scenario)
    assert revoked.json()["type"] == "urn:watchword:problem:instance-refused"
    members = json.loads(jose.parse(revoked.json()["signed"], REFUSAL_TYPE).payload)
    assert members["binding"] == base64url.encode(read_statement(statement).binding)
    assert "signed" not in nothing.json()


def test_revoked_secret_is_refused_alike(bench: ServiceBench, backend: MemorySecretStore) -> None:
    """From the next reading on, which is a second later."""
    gone = SecretRecord("push", (SecretVersion(1, None, 0, None, 1),))
    backend.kept["push"] = StoredSecret(gone, 2)
    asyncio.run(bench.service.context.secrets.refresh(bench.clock.timestamp()))
    _, answer = bench.run(way(SimulatedPhone()))
    assert answer.json()["type"] == "urn:watchword:problem:secret-refused"
    assert reason_in(bench, answer) is Reason.SECRET_REVOKED


def test_backend_that_was_never_read_hands_out_nothing(
    tmp_path: Path, backend: MemorySecretStore
) -> None:
    """503 with a time to come again; enrolments go on."""
    made = secret_bench(tmp_path, backend)
    _, answer = made.run(way(SimulatedPhone()))
    assert (answer.status_code, int(answer.headers["retry-after"])) == (503, 5)
    assert reason_in(made, answer) is Reason.SECRET_UNAVAILABLE
    made.store.close()


def test_service_without_secrets_refuses_them(tmp_path: Path) -> None:
    """The route is there, and nothing behind it."""
    made = service_bench(tmp_path)
    _, answer = made.run(way(SimulatedPhone()))
    assert (answer.status_code, reason_in(made, answer)) == (403, Reason.SECRET_NOT_DELIVERED)
    made.store.close()


def test_locked_store_hands_out_nothing(bench: ServiceBench, tmp_path: Path) -> None:
    """Another process that holds the database: 503, and the same request works afterwards."""
    phone = SimulatedPhone("clinic-ios")
    blocker = sqlite3.connect(tmp_path / "watchword.db", isolation_level=None)

    async def scenario(call: Caller) -> list[httpx.Response]:
        instance = (await call.enrol(phone))["instance"]
        challenge = await call.challenge(phone, Purpose.SECRET)
        request = phone.asking(instance, challenge)
        body = {
            "instance": instance,
            "statement": base64url.encode(request.statement),
            "evidence": dict(request.evidence),
        }
        blocker.execute("BEGIN IMMEDIATE")
        refused = await call.public.post("/v1/secrets", json=body)
        blocker.execute("ROLLBACK")
        return [refused, await call.public.post("/v1/secrets", json=body)]

    refused, served = bench.run(scenario)
    blocker.close()
    assert (refused.status_code, served.status_code) == (503, 200)
    assert "sealed" not in refused.text
    assert reason_in(bench, refused) is Reason.STORE_UNAVAILABLE


def test_nothing_of_a_delivery_is_shown(
    bench: ServiceBench, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Neither the value nor what it was sealed to is in the log, the store's file, audit or metrics."""
    statement, answer = bench.run(way(SimulatedPhone()))
    assert answer.status_code == 200

    async def operator(call: Caller) -> str:
        paths = ("/v1/audit", "/metrics", "/v1/instances", "/v1/refusals")
        return "".join([(await call.operator.get(path)).text for path in paths])

    told = bench.run(operator)
    assert "secret.delivered" in told
    printed = capsys.readouterr()
    shown = printed.out + printed.err
    assert "delivered" in shown
    kept = b"".join(each.read_bytes() for each in tmp_path.glob("watchword.db*"))
    for secret in (FIRST, answer.json()["sealed"], base64url.encode(statement)):
        assert secret not in shown + told
        assert secret.encode() not in kept
    assert FIRST not in answer.text
    assert FIRST not in repr(bench.service.context)


def test_ended_leases_are_forgotten_beside_the_requests(bench: ServiceBench) -> None:
    """With the used challenges, an hour late: a clock that is set back must not find a lease gone."""
    bench.run(way(SimulatedPhone()))

    def kept() -> int:
        connection = sqlite3.connect(bench.directory / "watchword.db")
        (count,) = connection.execute("SELECT count(*) FROM leases").fetchone()
        connection.close()
        return int(count)

    bench.clock.advance(DELIVERY.lease + 3599)
    asyncio.run(bench.service.forget())
    assert kept() == 1
    bench.clock.advance(2)
    asyncio.run(bench.service.forget())
    assert kept() == 0


BODIES: list[Any] = [
    {},
    [],
    {"instance": "i", "statement": "e30"},
    {"instance": 1, "statement": "e30", "evidence": {}},
    {"instance": "i" * 65, "statement": "e30", "evidence": {}},
    {"instance": "i", "statement": "=", "evidence": {}},
    {"instance": "i", "statement": "e30", "evidence": []},
    {"instance": "i", "statement": "e30", "evidence": {}, "secret": "push"},
    {"instance": "i", "statement": "A" * 5464, "evidence": {}},
]


@pytest.mark.parametrize("body", BODIES)
def test_unreadable_requests_are_refused(bench: ServiceBench, body: object) -> None:
    """400 for whatever isn't in the form, before anything else is looked at."""
    answer = bench.run(lambda call: call.public.post("/v1/secrets", json=body))
    assert answer.status_code == 400


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.dictionaries(
        st.sampled_from(["purpose", "secret", "aud", "app", "iss", "seal_jwk", "bnd", "v", "x"]),
        st.one_of(st.none(), st.text(max_size=70), st.integers(), st.lists(st.text(), max_size=3)),
        min_size=1,
        max_size=3,
    )
)
def test_mutated_statements_never_break_the_service(
    bench: ServiceBench, changes: dict[str, Any]
) -> None:
    """Each is refused or served by a described answer; none is an internal error."""
    phone = SimulatedPhone("clinic-android")

    async def scenario(call: Caller) -> httpx.Response:
        statement = phone.statement(Purpose.SECRET, bytes(57), **{"secret": "push", **changes})
        body = {
            "instance": "nobody",
            "statement": base64url.encode(statement),
            "evidence": phone.evidence(statement),
        }
        return await call.public.post(
            "/v1/secrets", content=json.dumps(body).encode(), headers=JSON
        )

    answer = bench.run(scenario)
    assert answer.status_code in {400, 403, 409}


JSON = {"content-type": "application/json"}
