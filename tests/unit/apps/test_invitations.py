"""Invite test instances over a whole service of production, and see what they can't do."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from structlog.testing import capture_logs
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import CLINIC, ISSUER, LEDGER, NOW, POLICY, SimulatedPhone

from watchword.client import (
    CodeSpentError,
    EvidenceRefusedError,
    InstanceRefusedError,
    TestInstanceDevice,
    WatchwordClient,
)
from watchword.encoding import base64url
from watchword.encoding.phrases import moment
from watchword.enrolment.interface import EnrolmentPolicy
from watchword.ports import AuditEntry, VerificationKey
from watchword.reasons import Reason
from watchword.tokens.interface import TokenClaims, TokenExpectation
from watchword.tokens.service import verify
from watchword.vocabulary import Environment, Level

WANTED: dict[str, Any] = {"app": "clinic-ios", "level": "hardware", "because": "nightly drill"}


class InProcess(httpx.BaseTransport):
    """Hand requests to the bench's public application."""

    def __init__(self, bench: ServiceBench) -> None:
        """Keep the bench."""
        self.bench = bench

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""

        async def answered() -> httpx.Response:
            copy = httpx.Request(
                request.method, request.url, headers=request.headers, content=request.read()
            )
            app = self.bench.service.public_app
            answer = await httpx.ASGITransport(app).handle_async_request(copy)
            return httpx.Response(
                answer.status_code, headers=answer.headers, content=await answer.aread()
            )

        return asyncio.run(answered())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service of production on a fresh state directory."""
    with started(tmp_path) as made:
        yield made


@contextmanager
def started(directory: Path, policy: EnrolmentPolicy = POLICY) -> Iterator[ServiceBench]:
    """Run a service on a state directory that may have seen others."""
    made = service_bench(directory, policy=policy)
    yield made
    made.store.close()


def post(bench: ServiceBench, path: str, members: dict[str, Any] | None = None) -> httpx.Response:
    """Ask the operator's application for a change, as alice."""
    headers = {"watchword-operator": "alice"}
    return bench.run(lambda call: call.operator.post(path, headers=headers, json=members))


def invited(bench: ServiceBench, **changes: Any) -> dict[str, Any]:
    """Make a code and return all that is said of it."""
    answer = post(bench, "/v1/test-codes", WANTED | changes)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def client_of(
    bench: ServiceBench, device: TestInstanceDevice, app: str = "clinic-ios", *audiences: str
) -> WatchwordClient:
    """Return the reference client on a device."""
    return WatchwordClient(
        ISSUER,
        app,
        device,
        audiences or (CLINIC,),
        clock=bench.clock.timestamp,
        boot=bench.clock.timestamp,
        jitter=lambda: 0.5,
        sleep=lambda _seconds: None,
        transport=InProcess(bench),
    )


@dataclass(frozen=True)
class PublishedKeys:
    """Find the keys that the bench's tokens are signed with; implements VerificationKeys."""

    bench: ServiceBench

    def find(self, kid: str) -> VerificationKey | None:
        """Return a key that is there."""
        return self.bench.keyring.ring.find(kid).verification_key()


def claims_of(bench: ServiceBench, token: str, audience: str = CLINIC) -> TokenClaims:
    """Verify a token as a gate of production does."""
    expectation = TokenExpectation(ISSUER, audience, Environment.PROD)
    return verify(token, expectation, PublishedKeys(bench), bench.clock.timestamp())


def last_refusal(bench: ServiceBench) -> tuple[Reason, str]:
    """Return the newest refusal of the public listener, with the operator's detail."""
    sample = max(bench.log.samples(), key=lambda each: each.at)
    return sample.refusals[0].reason, sample.refusals[0].detail


def audit(bench: ServiceBench) -> list[AuditEntry]:
    """Return the audit trail, oldest first."""
    return list(reversed(asyncio.run(bench.store.audit_entries(100))))


def test_invited_instance_enrols_renews_and_can_open_its_session_keys(bench: ServiceBench) -> None:
    """In production one code gives tokens of the level it was made for, for every audience."""
    device = TestInstanceDevice(invited(bench)["code"])
    client = client_of(bench, device, "clinic-ios", CLINIC, LEDGER)
    client.enrol()
    assert client.level == "hardware"
    for audience in (CLINIC, LEDGER):
        held = client.credential(audience)
        claims = claims_of(bench, held.token, audience)
        assert (claims.key, claims.level) == (dict(device.proof_jwk), Level.HARDWARE)
        assert held.session_key is not None
    first = client.token(CLINIC)
    bench.clock.advance(299)
    client.renew()
    assert client.token(CLINIC) != first
    assert claims_of(bench, client.token(CLINIC)).key == dict(device.proof_jwk)


def test_trail_names_who_invited_whom(bench: ServiceBench) -> None:
    """The audit trail has the actor and the code's id, and says that nothing was appraised."""
    made = invited(bench, level="hardware", instance_for=3600)
    client = client_of(bench, TestInstanceDevice(made["code"]))
    client.enrol()
    invitation, enrolment = audit(bench)
    assert (invitation.actor, invitation.action) == ("operator (claimed: alice)", "test_code.made")
    assert (invitation.subject, invitation.detail["because"]) == (made["id"], "nightly drill")
    assert (enrolment.action, enrolment.subject) == ("instance.enrolled", client.instance)
    expected = {
        "test": True,
        "code": made["id"],
        "level": "hardware",
        "appraised": False,
        "format": "operator_code",
        "expires_at": moment(NOW + timedelta(hours=1)),
    }
    assert expected.items() <= enrolment.detail.items()
    (shown,) = bench.run(lambda call: call.operator.get("/v1/instances")).json()["instances"]
    assert (shown["test"], shown["expired"]) == (True, False)
    assert shown["expires_at"] == moment(NOW + timedelta(hours=1))
    assert shown["attested_at"] is None


def test_code_is_seen_once_and_nowhere_else(
    bench: ServiceBench, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither listing, log, trail, refusals, reprs nor any file of the state directory has it."""
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()
    with capture_logs() as logs:
        made = invited(bench)
        code = made["code"]
        device = TestInstanceDevice(code)
        client = client_of(bench, device)
        client.enrol()
        with pytest.raises(EvidenceRefusedError) as caught:
            client.enrol()
        listed = bench.run(lambda call: call.operator.get("/v1/test-codes"))
        refusals = bench.run(lambda call: call.operator.get("/v1/refusals"))
    kept = asyncio.run(bench.store.find_code(made["id"]))
    everything = [
        *map(repr, (logs, audit(bench), kept, device, client, caught.value, device.export())),
        caplog.text,
        listed.text,
        refusals.text,
    ]
    secret = code[16:]
    assert len(secret) == 32
    assert [text for text in everything if secret in text] == []
    assert kept is not None
    assert str(kept.digest) not in "".join(everything)
    files = [path for path in bench.directory.rglob("*") if path.is_file()]
    assert len(files) > 2
    assert [path.name for path in files if secret.encode() in path.read_bytes()] == []
    assert made["id"] in listed.text


def test_code_is_good_once(bench: ServiceBench) -> None:
    """A second enrolment with it is refused, on any key."""
    code = invited(bench)["code"]
    client_of(bench, TestInstanceDevice(code)).enrol()
    with pytest.raises(EvidenceRefusedError):
        client_of(bench, TestInstanceDevice(code)).enrol()
    assert last_refusal(bench) == (Reason.EVIDENCE_OPERATOR_CODE, "it was used")
    assert len(asyncio.run(bench.store.list_instances(9))) == 1


def test_bad_codes_look_alike(bench: ServiceBench) -> None:
    """Unknown, guessed, used, expired, cancelled, another app's: strangers get one answer, operators six."""
    used, late, cancelled, other, guessed = (invited(bench, expires_in=60 + n) for n in range(5))
    client_of(bench, TestInstanceDevice(used["code"])).enrol()
    assert post(bench, f"/v1/test-codes/{cancelled['id']}/revoke").status_code == 200
    fresh = invited(bench, expires_in=3600)
    bench.clock.advance(62)
    wrong = guessed["code"][:-1] + ("A" if guessed["code"][-1] != "A" else "B")
    cases = [
        ("wwt_" + "A" * 44, "clinic-ios"),
        (wrong, "clinic-ios"),
        (used["code"], "clinic-ios"),
        (late["code"], "clinic-ios"),
        (cancelled["code"], "clinic-ios"),
        (fresh["code"], "clinic-android"),
    ]
    answers, details = set(), []
    for code, app in cases:
        bench.clock.advance(0.001)
        with pytest.raises(EvidenceRefusedError) as caught:
            client_of(bench, TestInstanceDevice(code), app).enrol()
        problem = caught.value.problem
        assert problem.ref is not None
        answers.add((problem.status, problem.slug, problem.title, len(problem.ref)))
        reason, detail = last_refusal(bench)
        assert reason is Reason.EVIDENCE_OPERATOR_CODE
        details.append(detail)
    assert len(answers) == 1
    assert details == [
        "there is no such code",
        "there is no such code",
        "it was used",
        "it expired",
        "it was cancelled",
        "it is for clinic-ios",
    ]
    assert other["id"] not in str(answers)
    # What it was refused for didn't use it up.
    client_of(bench, TestInstanceDevice(fresh["code"])).enrol()


def test_code_expires_to_the_second(bench: ServiceBench) -> None:
    """It is good until its end and refused from then on; by default that is after 15 minutes."""
    early, late = invited(bench), invited(bench)
    assert early["expires_at"] == moment(NOW + timedelta(minutes=15))
    bench.clock.advance(899.9)
    client_of(bench, TestInstanceDevice(early["code"])).enrol()
    bench.clock.advance(0.1)
    with pytest.raises(EvidenceRefusedError):
        client_of(bench, TestInstanceDevice(late["code"])).enrol()


def test_no_token_outlives_its_instance(bench: ServiceBench) -> None:
    """Tokens are cut at the end, also the first ones; from the end on renewals are refused."""
    bench.clock.advance(0.7)
    client = client_of(bench, TestInstanceDevice(invited(bench, instance_for=400)["code"]))
    client.enrol()
    end = int(NOW.timestamp()) + 400
    issued = claims_of(bench, client.token(CLINIC))
    assert issued.expires_at - issued.issued_at == 300
    bench.clock.advance(299)
    client.renew()
    assert claims_of(bench, client.token(CLINIC)).expires_at == end
    bench.clock.advance(100.2)  # A tenth of a second before the end.
    client.renew()
    last = client.credential(CLINIC)
    assert claims_of(bench, last.token).expires_at == end
    bench.clock.advance(0.1)
    with pytest.raises(InstanceRefusedError):
        client.renew()
    # The challenge that came with the last tokens had ended in the same instant.
    assert Reason.INSTANCE_EXPIRED in {each.refusals[0].reason for each in bench.log.samples()}
    (shown,) = bench.run(lambda call: call.operator.get("/v1/instances")).json()["instances"]
    assert shown["expired"]
    short = client_of(bench, TestInstanceDevice(invited(bench, instance_for=60)["code"]))
    short.enrol()
    claims = claims_of(bench, short.token(CLINIC))
    assert claims.expires_at - claims.issued_at <= 60


def test_lifetime_in_the_answer_is_the_tokens(bench: ServiceBench) -> None:
    """What an app is told of its token's life is what the token says, so that it renews in time."""
    device = TestInstanceDevice(invited(bench, instance_for=90)["code"])
    client = client_of(bench, device)
    client.enrol()
    held = client.credential(CLINIC)
    assert held.expires_at - bench.clock.timestamp() == 90


def test_revocation_ends_it_as_any_other(bench: ServiceBench) -> None:
    """Gates are told its name at once, and it renews no more."""
    client = client_of(bench, TestInstanceDevice(invited(bench)["code"]))
    client.enrol()
    subject = claims_of(bench, client.token(CLINIC)).subject
    answer = post(bench, f"/v1/instances/{client.instance}/revoke", {"because": "done"})
    assert answer.status_code == 200
    assert bench.gate().is_revoked(subject)
    with pytest.raises(InstanceRefusedError):
        client.renew()
    assert last_refusal(bench)[0] is Reason.INSTANCE_REVOKED


def test_everything_holds_after_a_restart(tmp_path: Path) -> None:
    """A code that was made before is good once after; keys that were kept renew."""
    with started(tmp_path) as first:
        code = invited(first)["code"]
        spent = TestInstanceDevice(invited(first)["code"])
        client = client_of(first, spent)
        client.enrol()
        kept = json.dumps({"device": spent.export(), "session": client.export_session()})
    with started(tmp_path) as second:
        client_of(second, TestInstanceDevice(code)).enrol()
        with pytest.raises(EvidenceRefusedError):
            client_of(second, TestInstanceDevice(code)).enrol()
        read = json.loads(kept)
        device = TestInstanceDevice.from_export(read["device"])
        again = client_of(second, device)
        again.import_session(read["session"])
        again.renew()
        assert again.instance == client.instance
        assert again.credential(CLINIC).session_key is not None
        with pytest.raises(CodeSpentError):
            again.enrol()
        again.renew()  # It still has its keys.


def test_minimum_level_holds(tmp_path: Path) -> None:
    """A level that the deployment doesn't enrol isn't invited; a minimum raised later refuses the code."""
    lenient = replace(POLICY, minimum_level=Level.SOFTWARE)
    with started(tmp_path, lenient) as first:
        code = invited(first, level="software")["code"]
        done = client_of(first, TestInstanceDevice(invited(first, level="software")["code"]))
        done.enrol()
        assert done.level == "software"
        assert claims_of(first, done.token(CLINIC)).level is Level.SOFTWARE
    with started(tmp_path) as second:
        refused = post(second, "/v1/test-codes", WANTED | {"level": "software"})
        assert refused.json()["reasons"] == ["policy.level"]
        with pytest.raises(EvidenceRefusedError):
            client_of(second, TestInstanceDevice(code)).enrol()
        assert last_refusal(second)[0] is Reason.POLICY_LEVEL
    with started(tmp_path, lenient) as third:
        client_of(third, TestInstanceDevice(code)).enrol()


def test_of_two_at_once_one_wins(bench: ServiceBench) -> None:
    """Two requests with one code that are verified side by side give one instance."""
    code = invited(bench)["code"]

    async def both(call: Caller) -> list[int]:
        bodies = [body_of(await call.challenge(SimulatedPhone()), code) for _ in range(4)]
        answers = await asyncio.gather(
            *(call.public.post("/v1/attestations", json=body) for body in bodies)
        )
        return sorted(answer.status_code for answer in answers)

    assert bench.run(both) == [201, 403, 403, 403]
    assert len(asyncio.run(bench.store.list_instances(9))) == 1
    (kept,) = asyncio.run(bench.store.list_codes(9))
    (instance,) = asyncio.run(bench.store.list_instances(9))
    assert kept.instance_id == instance.id


def body_of(challenge: bytes, code: str) -> dict[str, Any]:
    """Return an enrolment by a code as the wire has it."""
    device = TestInstanceDevice(code)
    statement = json.dumps(
        {
            "v": 1,
            "purpose": "enrol",
            "iss": ISSUER,
            "aud": [CLINIC],
            "app": "clinic-ios",
            "challenge": base64url.encode(challenge),
            "proof_jwk": dict(device.proof_jwk),
            "seal_jwk": dict(device.seal_jwk),
        }
    ).encode()
    return {
        "statement": base64url.encode(statement),
        "evidence": dict(device.attest(sha256(statement).digest())),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_in": 59},
        {"expires_in": 86401},
        {"expires_in": "15m"},
        {"expires_in": True},
        {"expires_in": 10**15},
        {"instance_for": 59},
        {"instance_for": 30 * 86400 + 1},
        {"instance_for": 1.5},
        {"level": "none"},
        {"level": "root"},
        {"level": ["hardware"]},
        {"app": "nobody"},
        {"app": ""},
        {"because": ""},
        {"because": "x" * 501},
        {"because": None},
        {"more": 1},
    ],
    ids=str,
)
def test_odd_invitations_are_refused(bench: ServiceBench, changes: dict[str, Any]) -> None:
    """What is out of bounds makes no code and leaves no trace in the trail."""
    answer = post(bench, "/v1/test-codes", WANTED | changes)
    assert answer.json()["reasons"][0] in {
        "request.malformed",
        "statement.app_unknown",
        "policy.level",
    }
    assert answer.status_code in {400, 403}
    assert asyncio.run(bench.store.list_codes(9)) == []
    assert audit(bench) == []


@pytest.mark.parametrize("missing", ["app", "level", "because"])
def test_incomplete_invitations_are_refused(bench: ServiceBench, missing: str) -> None:
    """Nothing is guessed: neither whom it is for, nor how much, nor why."""
    members = {name: value for name, value in WANTED.items() if name != missing}
    answer = post(bench, "/v1/test-codes", members)
    assert answer.json()["reasons"] == ["request.malformed"]


def test_longest_lives_are_taken(bench: ServiceBench) -> None:
    """The bounds themselves are within."""
    made = invited(bench, expires_in=86400, instance_for=30 * 86400)
    assert (made["instance_for"], made["open"]) == (30 * 86400, True)


def test_cancelling_is_audited_once_and_only_the_unused(bench: ServiceBench) -> None:
    """A second time changes nothing; a used code names the instance to revoke; unknown ones are told."""
    one, two = invited(bench), invited(bench)
    for _ in range(2):
        answer = post(bench, f"/v1/test-codes/{one['id']}/revoke")
        assert answer.status_code == 200
        assert (answer.json()["open"], answer.json()["cancelled_at"]) == (False, moment(NOW))
    cancelled = [entry for entry in audit(bench) if entry.action == "test_code.cancelled"]
    assert [(e.subject, e.actor) for e in cancelled] == [(one["id"], "operator (claimed: alice)")]
    client = client_of(bench, TestInstanceDevice(two["code"]))
    client.enrol()
    used = post(bench, f"/v1/test-codes/{two['id']}/revoke")
    assert used.json()["reasons"] == ["evidence.operator_code"]
    assert client.instance in used.json()["details"][0]
    assert post(bench, "/v1/test-codes/nobody/revoke").json()["reasons"] == ["request.not_found"]


def test_codes_are_listed_newest_first(bench: ServiceBench) -> None:
    """A listing says what became of each code, and has a bound."""
    first = invited(bench)
    bench.clock.advance(1)
    second = invited(bench)
    client = client_of(bench, TestInstanceDevice(first["code"]))
    client.enrol()
    listed = bench.run(lambda call: call.operator.get("/v1/test-codes")).json()["codes"]
    assert [(each["id"], each["instance"]) for each in listed] == [
        (second["id"], None),
        (first["id"], client.instance),
    ]
    assert [each["open"] for each in listed] == [True, False]
    one = bench.run(lambda call: call.operator.get("/v1/test-codes?limit=1")).json()["codes"]
    assert [each["id"] for each in one] == [second["id"]]


def test_public_listener_makes_no_codes(bench: ServiceBench) -> None:
    """Only the operator's socket invites."""
    answer = bench.run(lambda call: call.public.post("/v1/test-codes", json=WANTED))
    assert answer.status_code == 404
