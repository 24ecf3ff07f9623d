"""Whichever enforcement point is asked, a canary key is answered like a refused token, and the alarm is raised."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps.asgi_client import Answer, Recorder, call, http_scope
from tests.unit.apps.test_gate_from import SERVICE, published
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.gate.simulators import (
    CLAIMS,
    NOW,
    SECRET,
    SIGNER,
    PublishedState,
    policy,
    request,
    route,
    token,
)

from watchword.adapters.gate_bundle import publish_bundle
from watchword.adapters.honeytoken_alarms import HoneytokenAlarmFile
from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.apps.compose.gates import alarms_path, kept_gate, open_gate
from watchword.apps.gateway import WatchwordMiddleware, gate_from
from watchword.apps.gateway.authz import AuthzApp
from watchword.apps.settings.load import load_settings
from watchword.broker.honeytokens import RANDOM_BYTES, digest, make_honeytoken
from watchword.broker.interface import HoneytokenWatch
from watchword.gate.alarms import Sighting, alarm_of
from watchword.gate.bundle import GateBundle, to_jws
from watchword.gate.interface import Limit, LimitKind
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.vocabulary import Mode

GOOD = token()
HASHED_WITH = b"k" * 32
PLANTED = make_honeytoken("google", b"7" * RANDOM_BYTES).value
OTHER = make_honeytoken("google", b"8" * RANDOM_BYTES).value
WATCH = HoneytokenWatch(HASHED_WITH, {digest(HASHED_WITH, PLANTED): "in-the-app"})
STATE = PublishedState(
    policy=policy(route("/health", mode=Mode.OFF), route("/v1/**")), canaries=WATCH
)


@dataclass
class ListedAlarms:
    """Keep alarms in a list; implements the port HoneytokenAlarms."""

    seen: list[Sighting] = field(default_factory=list)

    def raised(self, sighting: Sighting) -> None:
        """Remember it."""
        self.seen.append(sighting)


class BrokenAlarms:
    """Fail at each alarm."""

    def raised(self, sighting: Sighting) -> None:
        """Fail."""
        raise OSError(sighting.address)


def gate(alarms: Any = None) -> Gate:
    """Return a gate that watches for a canary."""
    return Gate(STATE, memory=MemoryReplayStore(), alarms=alarms)


def asked(key: str, target: str = "/v1/a", text: str | None = GOOD, alarms: Any = None) -> Answer:
    """Send a request with a key through the middleware."""
    app = WatchwordMiddleware(Recorder(), gate=gate(alarms), clock=StoppedClock())
    return call(app, http_scope(target, token=text, headers=[(b"x-goog-api-key", key.encode())]))


def said(answer: Answer) -> tuple[int, list[bytes], dict[str, Any]]:
    """Return what a stranger sees of an answer, without the sealed reference."""
    members = json.loads(answer.body)
    assert len(members.pop("ref")) > 40
    return answer.status, sorted(answer.headers), members


def test_a_canary_is_answered_like_a_refused_token() -> None:
    """Status, header fields, their length and the body are those of a token that has expired."""
    thief = asked(PLANTED)
    expired = asked(OTHER, text=token(issued_at=NOW - 400, expires_at=NOW - 100))
    assert said(thief) == said(expired)
    assert thief.headers == expired.headers
    assert thief.status == 401


def test_the_middleware_raises_the_alarm() -> None:
    """With the address that the server saw, whatever becomes of the request."""
    alarms = ListedAlarms()
    statuses = [
        asked(key, target, text, alarms).status
        for key, target, text in (
            (PLANTED, "/v1/a", GOOD),
            (PLANTED, "/v1/a", None),
            (PLANTED, "/health", None),
            (OTHER, "/v1/a", GOOD),
        )
    ]
    assert statuses == [401, 401, 200, 200]
    told = [alarm_of(each) for each in alarms.seen]
    assert [(each.address, each.subject, each.refused) for each in told if each] == [
        ("192.0.2.7", CLAIMS.subject, True),
        ("192.0.2.7", None, True),
        ("192.0.2.7", None, False),
    ]


def test_a_server_that_tells_no_address() -> None:
    """A socket of this machine has none."""
    alarms = ListedAlarms()
    app = WatchwordMiddleware(Recorder(), gate=gate(alarms), clock=StoppedClock())
    scope = http_scope(headers=[(b"x-api-key", PLANTED.encode())], client=None)
    assert call(app, scope).status == 401
    assert [each.address for each in alarms.seen] == [""]


@pytest.mark.parametrize("target", ["/v1/a", "/health"])
def test_alarms_that_fail_let_nobody_through(target: str) -> None:
    """The gate refuses as for each fault of its own."""
    assert asked(PLANTED, target, GOOD, BrokenAlarms()).status == 500
    assert asked(PLANTED, target, GOOD, None).status == (401 if target == "/v1/a" else 200)


def test_forward_auth_raises_it_too() -> None:
    """About the request that the engine asks about, with what the engine says of its sender."""
    alarms = ListedAlarms()
    refusals = ListedRefusals()
    app = AuthzApp(gate(alarms), style="original", clock=StoppedClock(), refusal_log=refusals)
    scope = http_scope(
        "/authz",
        headers=[
            (b"x-original-method", b"POST"),
            (b"x-original-uri", f"/v1/bookings?key={PLANTED}".encode()),
            (b"x-original-host", b"clinic.example"),
            (b"x-forwarded-for", b"198.51.100.9"),
        ],
        token=GOOD,
    )
    assert call(app, scope).status == 401
    assert [reason for reason, _ in refusals.seen] == [Reason.SECRET_CANARY]
    (alarm,) = [alarm_of(each) for each in alarms.seen]
    assert alarm is not None
    assert (alarm.method, alarm.path, alarm.forwarded) == ("POST", "/v1/bookings", "198.51.100.9")
    assert PLANTED not in repr(alarm)


def restarted(directory: Path) -> Path:
    """Publish a bundle with a canary and a quota; return the settings' file."""
    file = published(directory)
    service = load_settings(file).service
    # A long window: what is kept follows the real clock.
    booked = Limit("bookings", LimitKind.QUOTA, 2, 20_000 * 86_400)
    bundle = GateBundle(
        generation=2,
        made_at=NOW,
        policy=policy(route("/v1/**"), limits=(booked,)),
        keys=(SIGNER.published(),),
        secrets=(SECRET,),
        revoked=frozenset(),
        reference_key=bytes(32),
        verdict_key=SERVICE,
        canaries=WATCH,
    )
    publish_bundle(service.gate_bundle("clinic"), to_jws(bundle, SERVICE))
    return file


def test_what_a_gate_counted_and_saw_outlives_it(tmp_path: Path) -> None:
    """A gate that is closed has written its counts and alarms, and the next one goes on."""
    file = restarted(tmp_path)
    settings = load_settings(file)
    api = settings.apis["clinic"]

    def day() -> list[bool]:
        """Serve two requests and a thief in a process that ends."""
        stack = AsyncExitStack()
        clinic = open_gate(stack, settings, api, SystemEntropy())
        answers = [clinic.decide(request(token=GOOD), NOW).allow for _ in range(2)]
        app = WatchwordMiddleware(Recorder(), gate=clinic, clock=StoppedClock())
        call(app, http_scope(headers=[(b"x-api-key", PLANTED.encode())]))
        asyncio.run(stack.aclose())
        return answers

    assert day() == [True, True]
    assert day() == [False, False]
    kept = HoneytokenAlarmFile(alarms_path(settings))
    assert kept.totals() == {"in-the-app": 2}
    assert [each.alarm.api for each in kept.recent()] == ["clinic"]
    # One's own application has both without a word about them.
    own = gate_from(file, "clinic")
    assert own.alarms is not None
    assert own.decide(request(token=GOOD), NOW).allow is False
    assert kept_gate(settings, api).decide(request(token=GOOD), NOW).allow is False
