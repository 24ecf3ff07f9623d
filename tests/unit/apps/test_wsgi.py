"""Show that a WSGI application behind the middleware gets what the gate allows, and nothing else."""

import json
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps.asgi_client import http_scope
from tests.unit.apps.test_canary_keys_answered import PLANTED, STATE, ListedAlarms
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.apps.wsgi_client import Answer, Environ, RecordedRequests, call, environ_of
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import (
    CLAIMS,
    EXPECTATION,
    NOW,
    PublishedState,
    SilentState,
    policy,
    published,
    route,
    token,
)

from watchword.adapters.replay import HostReplayStore, MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.apps.gateway import (
    WatchwordWsgiMiddleware,
    require_claims,
    verified_claims,
)
from watchword.apps.gateway.guard import CLAIMS as CLAIMS_KEY
from watchword.broker.interface import EdgeRule, Place, PlaceKind
from watchword.gate.interface import GateState, Limit, LimitKind, Rate, ReplayStore
from watchword.gate.references import open_reference
from watchword.gate.service import Gate
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Environment, Mode, Proof, ReplayMode

GOOD = token()
ROUTES = (
    route("/health", mode=Mode.OFF),
    route("/v1/**", proof=Proof.SESSION),
    route("/watched/**", proof=Proof.SESSION, mode=Mode.MONITOR),
    route("/open/**"),
)


class Stage:
    """Hold a guarded application, and send it requests."""

    def __init__(
        self, state: GateState | None = None, *, shared: ReplayStore | None = None, **changes: Any
    ) -> None:
        """Put the middleware in front; ``changes`` are the policy's."""
        self.app, self.log = RecordedRequests(), ListedRefusals()
        self.middleware = WatchwordWsgiMiddleware(
            self.app,
            gate=Gate(
                state or published(*ROUTES, **changes),
                memory=MemoryReplayStore(),
                shared=shared,
                entropy=SystemEntropy(),
            ),
            refusal_log=self.log,
            clock=StoppedClock(),
        )

    def send(self, target: str = "/open/a", *, token: str | None = None, **changes: Any) -> Answer:
        """Send a request; ``changes`` are those of its scope."""
        return call(self.middleware, environ_of(http_scope(target, token=token, **changes)))

    @property
    def reasons(self) -> list[Reason]:
        """Return what was refused."""
        return [reason for reason, _ in self.log.seen]


def proved(target: str) -> Environ:
    """Return a request with a session proof."""
    return environ_of(http_scope(target) | {"headers": Prover().session(target=target)})


def test_a_genuine_request_reaches_the_application() -> None:
    """It sees who is there, and no token; every other variable is as it was."""
    stage = Stage()
    environ = environ_of(http_scope("/open/a%20b?q=1", token=GOOD, headers=[(b"cookie", b"c=1")]))
    assert call(stage.middleware, environ).body == b"served"
    (seen,) = stage.app.seen
    results = {
        "HTTP_WATCHWORD_INSTANCE": CLAIMS.subject,
        "HTTP_WATCHWORD_LEVEL": "hardware",
        "HTTP_WATCHWORD_APP": "clinic-ios",
        CLAIMS_KEY: CLAIMS,
    }
    del environ["HTTP_WATCHWORD_TOKEN"]
    assert seen == environ | results
    assert (stage.middleware.allowed, stage.middleware.refused, stage.reasons) == (1, 0, [])


def test_a_refusal_is_a_problem_with_a_reference() -> None:
    """A stranger learns the class; the operator opens the reference."""
    stage = Stage()
    answer = stage.send()
    assert (answer.status, stage.app.seen) == (401, [])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["www-authenticate"] == "Watchword"
    opened = open_reference(json.loads(answer.body)["ref"], PublishedState().reference_key)
    assert (opened.reasons, opened.route) == ((Reason.TOKEN_MISSING,), "/open/**")
    assert (stage.middleware.allowed, stage.middleware.refused) == (0, 1)
    assert stage.log.seen == [(Reason.TOKEN_MISSING, "/open/**")]


def test_a_refused_head_has_no_body() -> None:
    """The server adds none, and a client would take one for the next answer."""
    answer = Stage().send(method="HEAD")
    assert (answer.status, answer.body) == (401, b"")
    assert int(answer.headers["content-length"]) > 0


def test_monitor_lets_pass_and_reports() -> None:
    """The application is called, is told of nobody, and the refusal is counted."""
    stage = Stage()
    forged = [(b"watchword-instance", b"somebody"), (b"watchword-level", b"hardware")]
    assert stage.send("/watched/a", headers=forged).status == 200
    assert stage.send("/watched/a", token=GOOD).status == 200
    for seen in stage.app.seen:
        assert seen[CLAIMS_KEY] is None
        assert not any(name.startswith("HTTP_WATCHWORD") for name in seen)
    assert stage.reasons == [Reason.TOKEN_MISSING, Reason.PROOF_MISSING]


def test_off_is_open_and_clean() -> None:
    """Nobody is checked there, and nobody may claim to have been."""
    stage = Stage()
    forged = [(b"watchword-app", b"clinic-ios"), (b"watchword-verdict", b"v")]
    assert stage.send("/health", headers=forged, token="nonsense").status == 200
    (seen,) = stage.app.seen
    assert seen[CLAIMS_KEY] is None
    assert not any(name.startswith("HTTP_WATCHWORD") for name in seen)


def test_before_the_first_state() -> None:
    """Clients are told to come back."""
    stage = Stage(SilentState())
    answer = stage.send(token=GOOD)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert (stage.app.seen, stage.reasons) == ([], [Reason.GATE_STATE_UNAVAILABLE])


def test_the_lab_shows_reasons() -> None:
    """In a lab environment the developer reads the reason in the answer."""
    lab = replace(policy(*ROUTES), expectation=replace(EXPECTATION, environment=Environment.LAB))
    stage = Stage(PublishedState(policy=lab))
    assert json.loads(stage.send(token=GOOD).body)["reasons"] == ["token.environment"]


@pytest.mark.parametrize(
    "broken",
    [
        {"REQUEST_METHOD": None},
        {"HTTP_HOST": 7},
        {"HTTP_COOKIE": "\u2603"},
        {"PATH_INFO": "\u2603"},
        {"QUERY_STRING": None},
        {"RAW_URI": 7},
        {"SCRIPT_NAME": b"/"},
    ],
    ids=repr,
)
def test_a_server_that_tells_nonsense(broken: dict[str, Any]) -> None:
    """Whatever can't be understood is refused, also where nothing is checked."""
    stage = Stage()
    answer = call(stage.middleware, environ_of(http_scope("/health")) | broken)
    assert (answer.status, stage.app.seen) == (500, [])
    assert stage.reasons == [Reason.GATE_INTERNAL]


def test_an_error_of_the_application_stays_its_own() -> None:
    """The middleware neither hides nor changes it."""

    def broken(_environ: Environ, _start: object) -> Iterable[bytes]:
        raise ZeroDivisionError

    middleware = WatchwordWsgiMiddleware(broken, gate=Gate(published(*ROUTES)))
    with pytest.raises(ZeroDivisionError):
        call(middleware, environ_of(http_scope("/health")))


def test_the_answer_is_the_application_s_own_object() -> None:
    """A server sends a file by what it is, and closes what has a ``close``."""

    class Page(list[bytes]):
        pass

    page = Page([b"x"])

    def serve(_environ: Environ, start: Any) -> Iterable[bytes]:
        start("200 OK", [], None)
        return page

    middleware = WatchwordWsgiMiddleware(serve, gate=Gate(published(*ROUTES)))
    assert middleware(environ_of(http_scope("/health")), lambda *_: lambda _: None) is page


def test_answers_carry_the_nonces_of_affine() -> None:
    """A refusal for want of one does, and so does a request that monitor lets pass; errors keep theirs."""
    stage = Stage(replay=ReplayMode.AFFINE)
    refused = call(stage.middleware, proved("/v1/a"))
    nonce = refused.headers["watchword-nonce"]
    assert (refused.status, len(nonce)) == (401, 30)
    watched = call(stage.middleware, proved("/watched/a"))
    assert (watched.status, watched.headers["watchword-nonce"]) == (200, nonce)
    fields = Prover().session(target="/v1/a", nonce=nonce + "0123456789abcdef")
    passed = call(stage.middleware, environ_of(http_scope("/v1/a") | {"headers": fields}))
    assert (passed.status, "watchword-nonce" in passed.headers) == (200, False)


def test_a_proof_passes_once() -> None:
    """In the memory of the process."""
    stage = Stage()
    environ = proved("/v1/a")
    assert [call(stage.middleware, environ).status for _ in range(2)] == [200, 401]
    assert stage.reasons == [Reason.PROOF_REPLAYED]


def test_a_proof_passes_once_over_all_processes(tmp_path: Path) -> None:
    """Two gates share a store that is waited for."""
    stages = [
        Stage(replay=ReplayMode.SHARED, shared=HostReplayStore(tmp_path / "used", timestamp=clock))
        for clock in [lambda: NOW - 600.0] * 2
    ]
    environ = proved("/v1/a")
    assert [call(stage.middleware, environ).status for stage in stages] == [200, 401]
    assert stages[1].reasons == [Reason.PROOF_REPLAYED]


def test_a_store_that_is_missing_closes_the_route() -> None:
    """As it does behind ASGI."""
    stage = Stage(replay=ReplayMode.SHARED)
    assert call(stage.middleware, proved("/v1/a")).status == 503
    assert stage.reasons == [Reason.GATE_REPLAY_UNAVAILABLE]


@pytest.mark.parametrize("mode", [ReplayMode.LOCAL, ReplayMode.SHARED])
def test_of_many_threads_one_passes_with_a_proof(mode: ReplayMode) -> None:
    """Whoever comes first; all others are copies."""
    stage = Stage(replay=mode, shared=MemoryReplayStore())
    environ = proved("/v1/a")
    statuses: list[int] = []
    ready = threading.Barrier(16)

    def one() -> None:
        ready.wait()
        statuses.append(call(stage.middleware, environ).status)

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [401] * 15
    assert (stage.middleware.allowed, stage.middleware.refused) == (1, 15)


def test_a_spent_rate_says_when_to_come_back() -> None:
    """429 with Retry-After."""
    stage = Stage(rate=Rate(1, 60))
    assert stage.send(token=GOOD).status == 200
    refused = stage.send(token=GOOD)
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")


def test_a_spent_quota_is_refused() -> None:
    """Limits are the gate's, whoever asks it."""
    stage = Stage(limits=(Limit("bookings", LimitKind.QUOTA, 2, 3600),))
    assert [stage.send(token=GOOD).status for _ in range(3)] == [200, 200, 429]
    assert stage.reasons == [Reason.GATE_QUOTA]


def test_claims_are_told_where_nobody_else_can_write() -> None:
    """Who asks without a middleware in front is told so, and not that nobody is there."""
    stage = Stage()
    stage.send(token=GOOD)
    stage.send("/health")
    known, unknown = stage.app.seen
    assert require_claims(known) == verified_claims(known) == CLAIMS
    assert verified_claims(unknown) is None
    with pytest.raises(RefusedError) as nobody:
        require_claims(unknown)
    assert nobody.value.refusals[0].reason is Reason.TOKEN_MISSING
    headers = {"HTTP_WATCHWORD_INSTANCE": CLAIMS.subject}
    for unguarded in (headers, headers | {CLAIMS_KEY: CLAIMS.subject}):
        with pytest.raises(RefusedError) as bare:
            require_claims(unguarded)
        assert bare.value.refusals[0].reason is Reason.GATE_INTERNAL


def test_a_route_with_a_key_is_closed() -> None:
    """The key is added by the proxy alone: the application must not get what was meant for a third party."""
    edges = {
        "maps": EdgeRule(
            secret="maps",
            host="maps.example.net",
            port=443,
            patterns=("/**",),
            methods=frozenset({"GET"}),
            place=Place(PlaceKind.HEADER, "authorization", "Bearer "),
        )
    }
    stage = Stage(published(route("/maps/**", secret="maps"), edges=edges))
    answer = stage.send("/maps/geocode", token=GOOD)
    assert (answer.status, stage.app.seen) == (503, [])
    assert stage.reasons == [Reason.SECRET_UNAVAILABLE]


def test_a_canary_key_is_noticed() -> None:
    """With the address from which it came; its sender is told nothing of it."""
    alarms = ListedAlarms()
    log = ListedRefusals()
    gate = Gate(STATE, memory=MemoryReplayStore(), alarms=alarms)
    app = RecordedRequests()
    guarded = WatchwordWsgiMiddleware(app, gate=gate, refusal_log=log, clock=StoppedClock())
    planted = [(b"x-api-key", PLANTED.encode())]
    answer = call(guarded, environ_of(http_scope("/v1/a", token=GOOD, headers=planted)))
    assert (answer.status, app.seen) == (401, [])
    assert [reason for reason, _ in log.seen] == [Reason.SECRET_CANARY]
    assert [each.address for each in alarms.seen] == ["192.0.2.7"]
