"""Show that what an app claims of itself reaches no API and no verdict, and is counted beside both; systems too."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps.asgi_client import Recorder, call, http_scope
from tests.unit.apps.authz.test_authz import about, ask
from tests.unit.apps.raw_http import RawApi, exchange, get, listening
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.apps.test_websockets import Telling, connected
from tests.unit.apps.wsgi_client import RecordedRequests, environ_of
from tests.unit.apps.wsgi_client import call as call_wsgi
from tests.unit.gate.simulators import NOW, PublishedState, published, request, route, token
from websockets.exceptions import InvalidStatus

from watchword.adapters.engine_refusals import gate_refusals
from watchword.adapters.gate_refusals import GateRefusals
from watchword.adapters.http_server import serve
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.apps.cli.refusals import (
    application_document,
    show_applications,
    show_claimed,
    show_systems,
)
from watchword.apps.gateway import WatchwordMiddleware, WatchwordWsgiMiddleware
from watchword.apps.gateway.authz import AuthzApp
from watchword.apps.gateway.proxy import ProxyApp
from watchword.gate.decisions import LEAST_REFUSED, WARM_UP_SECONDS
from watchword.gate.interface import Rate, Rollout
from watchword.gate.service import Gate
from watchword.gate.tallies import MAX_ROUTES, MAX_SYSTEMS, Tallies
from watchword.reasons import Reason
from watchword.vocabulary import ClaimedStatus, Level, Mode

ROUTES = (
    route("/health", mode=Mode.OFF),
    route("/watched/**", mode=Mode.MONITOR),
    route("/v1/**"),
)
GOOD = token()
STATUS = (b"watchword-status", b"offline")
SPELLINGS = (
    b"watchword-status",
    b"Watchword-Status",
    b"WATCHWORD-STATUS",
    b"watchword_status",
    b"Watchword_Status",
    b"watchword.status",
    b"Watchword~Status",
    b"watchword!status",
)


def standing(**options: Any) -> Gate:
    """Return the gate of an API with these routes."""
    return Gate(published(*ROUTES), memory=MemoryReplayStore(), **options)


@pytest.mark.parametrize("target", ["/watched/a", "/health", "/v1/a"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_no_application_sees_it(target: str, name: bytes) -> None:
    """In ASGI and WSGI, in any spelling, with and without a token, whether or not it names a status."""
    for value in (b"offline", b"\xff", b""):
        for tok in (None, GOOD):
            scope = http_scope(target, token=tok, headers=[(name, value), (name, value)])
            gate, app, other = standing(), Recorder(), RecordedRequests()
            call(WatchwordMiddleware(app, gate=gate, clock=StoppedClock()), scope)
            environ = environ_of(scope)
            call_wsgi(WatchwordWsgiMiddleware(other, gate=gate, clock=StoppedClock()), environ)
            passes = target != "/v1/a" or tok is not None
            assert (len(app.scopes), len(other.seen)) == (passes, passes)
            for seen in app.scopes:
                assert not [n for n, _ in seen["headers"] if b"status" in n.lower()]
            for seen in other.seen:
                assert not [n for n in seen if "STATUS" in n.upper()]
            assert gate.tallies.claimed() == {
                (target if target == "/health" else f"{target[:-1]}**", "invalid"): 2
            }


def test_the_proxy_passes_none_on() -> None:
    """Over a real connection, to the API's own eyes."""
    api, gate = RawApi(), standing()

    async def main() -> None:
        async with listening(api):
            proxy = ProxyApp(f"http://127.0.0.1:{api.port}")
            async with serve(WatchwordMiddleware(proxy, gate=gate, clock=StoppedClock())) as server:
                for name in SPELLINGS:
                    await exchange(server.port, get(b"/watched/a", name + b": refused"))
            await proxy.aclose()

    asyncio.run(main())
    assert len(api.heads) == len(SPELLINGS)
    assert not [each for each in api.heads if b"status" in each.lower()]
    assert gate.tallies.claimed() == {("/watched/**", "refused"): len(SPELLINGS)}


@pytest.mark.parametrize("style", ["original", "forwarded"])
def test_forward_auth_counts_what_the_engine_hands_on(style: str) -> None:
    """And tells the engine nothing of it: the engine removes the field itself."""
    gate = standing()
    app = AuthzApp(gate, style=style, clock=StoppedClock())
    prefix = b"x-%b-" % style.encode()
    for target, status in ((b"/watched/a", 200), (b"/health", 200), (b"/v1/a", 401)):
        answer = ask(app, headers=about(target, STATUS, prefix=prefix))
        assert answer.status == status
        assert not [name for name in answer.headers if b"status" in name]
    assert gate.tallies.claimed() == {
        (name, "offline"): 1 for name in ("/watched/**", "/health", "/v1/**")
    }


def test_a_websocket_counts_alike() -> None:
    """A handshake is a request as any other."""
    gate = Gate(published(route("/watched/**", mode=Mode.MONITOR), route("/v1/**")))

    async def main() -> None:
        guarded = WatchwordMiddleware(Telling(), gate=gate, clock=StoppedClock())
        async with serve(guarded, websockets=True) as server:
            async with connected(server.port, "/watched/a", [STATUS]) as opened:
                assert await opened.recv() == "nobody"
            with pytest.raises(InvalidStatus):
                async with connected(server.port, "/v1/a", [STATUS]):
                    pass

    asyncio.run(main())
    assert gate.tallies.claimed() == {("/watched/**", "offline"): 1, ("/v1/**", "offline"): 1}


@pytest.mark.parametrize(
    ("values", "token_", "expected"),
    [
        *(([each.value.encode()], None, each.value) for each in ClaimedStatus),
        ([b"Offline"], None, "invalid"),
        ([b" offline"], None, "invalid"),
        ([b"offline,refused"], None, "invalid"),
        ([b"offline", b"offline"], None, "invalid"),
        ([b""], None, "invalid"),
        ([b"invalid"], None, "invalid"),
        ([b"x" * 5000], None, "invalid"),
        ([b"offline"], GOOD, "invalid"),
    ],
)
def test_exactly_one_of_four_words_counts(
    values: list[bytes], token_: str | None, expected: str
) -> None:
    """Everything else is one word more, whatever it says; so is one beside a token, which leaves nothing to be claimed."""
    gate = standing()
    fields = [(b"watchword-status", value) for value in values]
    gate.decide(request("/watched/a", token=token_, headers=fields), NOW)
    assert gate.tallies.claimed() == {("/watched/**", expected): 1}


def test_where_there_is_no_route_nothing_counts() -> None:
    """And a request that is refused before it has one costs no memory."""
    gate = standing()
    for path in ("/elsewhere", "/v1/../a"):
        gate.decide(request(path, headers=[STATUS]), NOW)
    assert gate.tallies.claimed() == {}


def test_a_forged_flood_changes_no_verdict() -> None:
    """Nor an error budget, a narrowing, a limit or a sample: all is as it is without the header."""
    rollout = route("/v2/**", mode=Mode.CANARY, canary=Rollout(share=80, budget=1.0), name="v2")
    claims = [token(subject=f"phone-{n}", token_id=f"t-{n}") for n in range(40)]
    old = [
        token(subject=f"old-{n}", token_id=f"o-{n}", level=Level.SOFTWARE)
        for n in range(LEAST_REFUSED - 1)
    ]

    def outcome(flood: Iterable[bytes]) -> tuple[Any, ...]:
        state = published(rollout, *ROUTES, rate=Rate(100, 60))
        gate, log = Gate(state), MemoryRefusalLog(StoppedClock())
        app = Recorder()
        guarded = WatchwordMiddleware(app, gate=gate, clock=StoppedClock(), refusal_log=log)
        found: list[tuple[Any, ...]] = []
        for value in flood:
            fields = [(b"watchword-status", value)] if value else []
            for path in ("/v2/a", "/watched/a", "/v1/a", "/health"):
                answer = call(guarded, http_scope(path, headers=fields))
                found.append((path, answer.status))
        late = NOW + WARM_UP_SECONDS
        for each in (*claims, *old):
            decision = gate.decide(request("/v2/a", token=each), late)
            found.append((decision.route, decision.allow, decision.refusals))
        return found, gate.rollout_statuses(late), gate.limit_tallies(), log.counts()

    words = [each.value.encode() for each in ClaimedStatus] * 25
    assert outcome(words) == outcome([b""] * len(words))


def test_what_is_told_apart_is_bounded() -> None:
    """Of routes and systems alike; what is beyond is counted together."""
    tallies = Tallies()
    for number in range(2 * MAX_ROUTES):
        tallies.claim(f"/{number}", [b"device"], beside_token=False)
    assert len(tallies.claimed()) == MAX_ROUTES + 1
    assert tallies.claimed()["other", "device"] == MAX_ROUTES
    for number in range(200):
        tallies.token(f"android-{number}")
        tallies.finding(f"android-{number}", refused=True)
    tallies.finding(None, refused=False)
    systems = tallies.systems()
    assert len({system for system, _ in systems}) == MAX_SYSTEMS + 1
    assert systems["other", "token"] == 200 - (MAX_SYSTEMS - 1)
    assert systems["unknown", "reported"] == 1


def test_systems_are_counted_by_token_and_by_finding() -> None:
    """A token once, whatever is published meanwhile; a request only where something was found wrong with it."""
    state = published(*ROUTES)
    gate = Gate(state, memory=MemoryReplayStore())
    guarded = WatchwordMiddleware(Recorder(), gate=gate, clock=StoppedClock())
    other = WatchwordWsgiMiddleware(RecordedRequests(), gate=gate, clock=StoppedClock())
    new, low = token(os="android-16"), token(os="ios-26", level=Level.SOFTWARE, token_id="low")
    for generation in range(1, 4):
        state.generation = generation
        assert call(guarded, http_scope("/v1/a", token=new)).status == 200
    for path in ("/v1/a", "/watched/a"):
        call(guarded, http_scope(path, token=low))
        call_wsgi(other, environ_of(http_scope(path, token=low)))
    call(guarded, http_scope("/v1/a"))
    call(guarded, http_scope("/v1/a", token=GOOD))
    assert gate.tallies.systems() == {
        ("android-16", "token"): 1,
        ("ios-26", "token"): 1,
        ("ios-26", "refused"): 2,
        ("ios-26", "reported"): 2,
        ("unknown", "refused"): 1,
        ("unknown", "token"): 1,
    }


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service on a fresh state directory."""
    made = service_bench(tmp_path)
    yield made
    made.store.close()


def test_both_show_in_metrics_and_in_the_report(
    bench: ServiceBench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A status by API there, by route here, beside what would be refused and never among it."""
    gate = standing()
    for path in ("/watched/a", "/v1/a", "/v1/b"):
        gate.decide(request(path, headers=[STATUS]), NOW)
    gate.decide(request("/v1/a", token=token(os="android-16")), NOW)
    gate.tallies.finding("android-16", refused=False)
    bench.service.context.gate_tallies["clinic"] = gate.tallies
    bench.service.context.gate_tallies["ledger"] = standing().tallies

    async def ask_operator(caller: Caller) -> tuple[str, Any]:
        metrics = (await caller.operator.get("/metrics")).text
        return metrics, (await caller.operator.get("/v1/refusals")).json()

    metrics, document = bench.run(ask_operator)
    lines = [
        line
        for line in metrics.splitlines()
        if line.startswith(
            ("watchword_claimed", "watchword_gate_tokens", "watchword_gate_findings")
        )
    ]
    assert lines == [
        'watchword_claimed_status_total{api="clinic",status="offline"} 3.0',
        'watchword_gate_tokens_total{api="clinic",os="android-16"} 1.0',
        'watchword_gate_findings_total{api="clinic",os="android-16",outcome="reported"} 1.0',
    ]
    assert document["counts"] == []
    assert document["claimed"] == [
        {"api": "clinic", "status": "offline", "where": "/v1/**", "count": 2},
        {"api": "clinic", "status": "offline", "where": "/watched/**", "count": 1},
    ]
    show_claimed(document["claimed"])
    show_systems(document["systems"])
    assert capsys.readouterr().out == (
        "Claimed by apps that sent no token (anybody can; it decides nothing):\n"
        "         2  offline                            /v1/** (clinic)\n"
        "         1  offline                            /watched/** (clinic)\n"
        "By system, as tokens state it:\n"
        "  android-16     1 tokens, 0 requests refused, 1 only reported (clinic)\n"
    )


def test_gates_inside_applications_keep_them_over_restarts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the file of their refusals, and never among these; also where nothing was refused."""
    tmp_path.chmod(0o700)
    path = tmp_path / "refusals.db"
    for _ in range(2):
        log = GateRefusals(
            path, "clinic", clock=StoppedClock(), entropy=SystemEntropy(), seconds=3600.0
        )
        gate = standing(refusal_log=log, tally_sink=log)
        gate.decide(request("/health", headers=[STATUS]), NOW)
        gate.decide(request("/v1/a", token=token(os="ios-26")), NOW)
        log.close()
    document = application_document(gate_refusals(path))
    assert document == {
        "counts": [],
        "samples": [],
        "claimed": [{"api": "clinic", "status": "offline", "where": "/health", "count": 2}],
        "systems": [{"api": "clinic", "os": "ios-26", "outcome": "token", "count": 2}],
    }
    show_applications(document)
    assert capsys.readouterr().out == ""


def test_counts_that_could_not_be_written_are_written_later(tmp_path: Path) -> None:
    """And none twice."""
    tmp_path.chmod(0o700)
    path = tmp_path / "refusals.db"
    log = GateRefusals(
        path, "clinic", clock=StoppedClock(), entropy=SystemEntropy(), seconds=3600.0
    )
    log.count("claimed.offline", "/health")
    path.mkdir()
    log._write()
    path.rmdir()
    log.count("claimed.offline", "/health")
    log.close()
    (entry,) = application_document(gate_refusals(path))["claimed"]
    assert entry["count"] == 2


def test_what_monitor_lets_pass_is_found_as_without_the_header() -> None:
    """A request without a token is one, whatever it says of itself."""
    log = ListedRefusals()
    guarded = WatchwordMiddleware(
        Recorder(), gate=standing(), clock=StoppedClock(), refusal_log=log
    )
    assert call(guarded, http_scope("/watched/a", headers=[STATUS])).status == 200
    assert call(guarded, http_scope("/v1/a", headers=[STATUS])).status == 401
    assert log.seen == [
        (Reason.TOKEN_MISSING, "/watched/**"),
        (Reason.TOKEN_MISSING, "/v1/**"),
    ]


def test_nobody_names_it_as_a_connection_option_to_any_effect() -> None:
    """It is removed anyway, so that naming it takes nothing away that the API was meant to see."""
    state = PublishedState(policy=replace(published(*ROUTES).policy))
    app = Recorder()
    guarded = WatchwordMiddleware(app, gate=Gate(state), clock=StoppedClock())
    fields = [STATUS, (b"connection", b"close, Watchword-Status")]
    assert call(guarded, http_scope("/watched/a", headers=fields)).status == 200
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host"]
