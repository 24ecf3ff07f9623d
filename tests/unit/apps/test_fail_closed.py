"""Show that an exception in any function of the gate, whichever it is, lets no request through.

The functions aren't listed by hand: those that run while a request is decided on are recorded, and
then an exception is raised at the entry of each in turn.  Nothing is patched; the interpreter's own
trace hook raises.
"""

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from tests.unit.apps.asgi_client import Answer, Message, Recorder, http_scope
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import ROUTES, SECRET, SIGNER, SoftwareSigner, policy, route, token

import watchword
from watchword.adapters.gate_bundle import GateBundleFile, publish_bundle
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.apps.gateway import WatchwordMiddleware
from watchword.gate import hygiene, interface
from watchword.gate.bundle import GateBundle, to_jws
from watchword.gate.interface import Rate, Rollout
from watchword.gate.service import Gate
from watchword.tokens.jose import SigningKey
from watchword.tokens.proofs import dpop
from watchword.vocabulary import Level, Mode, Proof

SOURCE = Path(watchword.__file__).parent
GUARDED = tuple(
    str(SOURCE / part)
    for part in (
        "gate",
        "tokens",
        "adapters/gate_bundle",
        "adapters/replay",
        "adapters/refusal_log",
        "apps/gateway",
        "apps/problems.py",
    )
)
EXCEPTIONS = (
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    OSError,
    RecursionError,
    MemoryError,
    KeyboardInterrupt,
    asyncio.CancelledError,
)

GOOD = token()
REVOKED = token(subject="revoked-instance")
TO_CLEAN = [
    (b"connection", b"keep-alive"),
    (b"keep-alive", b"1"),
    (b"Watchword_Level", b"hardware"),
]


@dataclass(frozen=True)
class Scenario:
    """Hold one request: whether it passes while nothing fails, and whether its token was seen."""

    scope: dict[str, Any]
    passes: bool
    seen_before: bool = False
    body: bytes | None = None


def websocket(**changes: Any) -> dict[str, Any]:
    """Return the scope of a handshake."""
    scope = http_scope("/v1/live", **changes) | {"type": "websocket"}
    del scope["method"]
    return scope


AFTERWARDS = {
    "HeldBody.close",
    "HeldBody._give_back",
    "HeldMemory.give_back",
    "_Socket.let_go",
    "_Socket._forget",
    "_AnswerForNobody.send",
    "Unmet.stands_for",
}
"""What runs once the API has answered, or is handed the body."""

BODY = b"a body that a proof covers"
SERVICE = SigningKey.from_wide_secret(b"service" * 10)
GUARDED_POLICY = policy(
    route("/session/**", proof=Proof.SESSION),
    route("/device/**", proof=Proof.DEVICE, dpop=True),
    route("/watched/session/**", proof=Proof.SESSION, mode=Mode.MONITOR),
    route("/newer/**", minimum_versions={"clinic-ios": "9"}),
    route("/newer-session/**", proof=Proof.SESSION, minimum_versions={"clinic-ios": "9"}),
    route("/canary/**", mode=Mode.CANARY, canary=Rollout(share=100)),
    *ROUTES,
    rate=Rate(2, 60),
)


def proved(
    target: str, body: bytes | None = None, sent: bytes | None = None, kind: str = "session"
) -> dict[str, Any]:
    """Return the scope of a request with a proof; ``sent`` is announced where it isn't ``body``."""
    method = "GET" if body is None else "POST"
    fields = getattr(Prover(), kind)(target=target, body=body, method=method)
    if sent is not None:
        length = str(len(sent)).encode()
        fields = [(n, length if n == b"content-length" else v) for n, v in fields]
    return http_scope(target, method=method) | {"headers": fields}


SCENARIOS = {
    "session": Scenario(proved("/session/a"), passes=True),
    "session, replayed": Scenario(proved("/session/a"), passes=False, seen_before=True),
    "session, body": Scenario(proved("/session/a", BODY), passes=True, body=BODY),
    "session, other body": Scenario(proved("/session/a", BODY), passes=False, body=BODY[::-1]),
    "session, large body": Scenario(proved("/session/a", BODY, b"x" * 2**21), False, body=BODY),
    "session, missing": Scenario(http_scope("/session/a", token=GOOD), passes=False),
    "session, other path": Scenario(
        http_scope("/session/b") | {"headers": proved("/session/a")["headers"]}, passes=False
    ),
    "device": Scenario(proved("/device/a", kind="device"), passes=True),
    "device by session": Scenario(proved("/device/a"), passes=False),
    "dpop": Scenario(
        http_scope("/device/a") | {"headers": Prover().dpop(url="https://clinic.example/device/a")},
        passes=True,
    ),
    "monitor, session": Scenario(proved("/watched/session/a", BODY), passes=True, body=BODY),
    "monitor, other body": Scenario(proved("/watched/session/a", BODY), True, body=BODY[::-1]),
    "too old": Scenario(http_scope("/newer/a", token=GOOD), passes=False),
    "too old, session": Scenario(proved("/newer-session/a"), passes=False),
    "canary, missing": Scenario(http_scope("/canary/a"), passes=True),
    "canary, low": Scenario(http_scope("/canary/a", token=token(level=Level.NONE)), passes=False),
    "valid, first": Scenario(http_scope(token=GOOD), passes=True),
    "valid, remembered": Scenario(http_scope(token=GOOD), passes=True, seen_before=True),
    "valid, cleaned": Scenario(http_scope(token=GOOD, headers=TO_CLEAN), passes=True),
    "valid, body": Scenario(
        http_scope("/v1/a%20b/?q", token=GOOD, method="POST", headers=[(b"content-length", b"0")]),
        passes=True,
    ),
    "valid, websocket": Scenario(websocket(token=GOOD), passes=True),
    "monitor, valid": Scenario(http_scope("/watched/a", token=GOOD), passes=True),
    "monitor, missing": Scenario(http_scope("/watched/a"), passes=True),
    "monitor, forged": Scenario(http_scope("/watched/a", token=token(SoftwareSigner())), True),
    "monitor, low": Scenario(http_scope("/watched/a", token=token(level=Level.NONE)), True),
    "off": Scenario(http_scope("/health"), passes=True),
    "missing": Scenario(http_scope(), passes=False),
    "malformed": Scenario(http_scope(token="a.b.c"), passes=False),
    "forged": Scenario(http_scope(token=token(SoftwareSigner())), passes=False),
    "expired": Scenario(http_scope(token=token(issued_at=1, expires_at=2)), passes=False),
    "revoked": Scenario(http_scope(token=REVOKED), passes=False),
    "low": Scenario(http_scope(token=token(level=Level.NONE)), False, seen_before=True),
    "no route": Scenario(http_scope("/elsewhere", token=GOOD), passes=False),
    "ambiguous path": Scenario(http_scope("/health/%2e%2e/v1"), passes=False),
    "two hosts": Scenario(http_scope(headers=[(b"host", b"b")]), passes=False),
    "two lengths": Scenario(
        http_scope(headers=[(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]), False
    ),
    "websocket, missing": Scenario(websocket(), passes=False),
    "mounted": Scenario(http_scope(token=GOOD, root_path="/v1"), passes=True),
    "outside of the mount": Scenario(http_scope(token=GOOD, root_path="/v2"), passes=False),
    "long path": Scenario(http_scope("/health" + "h" * 9000), passes=False),
    "large field": Scenario(http_scope("/health", headers=[(b"x", b"x" * 9000)]), passes=False),
    "many fields": Scenario(http_scope("/health", headers=[(b"x", b"")] * 100), passes=False),
    "crooked name": Scenario(http_scope("/health", headers=[(b"a b", b"")]), passes=False),
    "crooked claims": Scenario(http_scope(token=token(key={})), passes=False),
    "unknown scope": Scenario(http_scope("/health") | {"headers": None}, passes=False),
}


@pytest.fixture(name="state")
def published_state(tmp_path: Path) -> GateBundleFile:
    """Publish a state as the service does, and read it; it is looked at anew with each request."""
    bundle = GateBundle(
        1,
        1,
        GUARDED_POLICY,
        (SIGNER.published(),),
        (SECRET,),
        frozenset({"revoked-instance"}),
        b"r" * 32,
        SERVICE,
    )
    publish_bundle(tmp_path / "clinic.jws", to_jws(bundle, SERVICE))
    ticks = itertools.count(step=10)
    return GateBundleFile(
        tmp_path / "clinic.jws", SERVICE.verification_key(), lambda: float(next(ticks))
    )


def forget() -> None:
    """Empty the caches of the module, so that its functions run anew."""
    hygiene._plan.forget()
    hygiene._is_authority.cache_clear()
    dpop._point_of.cache_clear()
    interface.read_version.cache_clear()


def stand_up(state: GateBundleFile, scenario: Scenario) -> tuple[WatchwordMiddleware, Recorder]:
    """Return a middleware that looks at its state with each request, and what is behind it.

    The state is a copy of what was read: what a failure leaves behind in it is met by nobody else.
    """
    forget()
    app = Recorder()
    gate = Gate(copy(state), memory=MemoryReplayStore(), entropy=SystemEntropy())
    middleware = WatchwordMiddleware(
        app, gate=gate, refusal_log=MemoryRefusalLog(StoppedClock()), clock=StoppedClock()
    )
    if scenario.seen_before:
        send(middleware, scenario)
        app.scopes.clear()
        forget()
        gate._current().resolve.cache_clear()
    # The file is looked at, and not read anew: a bundle that can't be read leaves the last one in force.
    return middleware, app


def send(middleware: WatchwordMiddleware, scenario: Scenario) -> Answer:
    """Run one request, by hand where it has no body: no event loop whose functions would be traced too."""
    answer = Answer()
    body = scenario.body or b""

    async def receive() -> Message:
        if scenario.scope["type"] == "http":
            return {"type": "http.request", "body": body, "more_body": False}
        return {"type": "websocket.connect"}

    async def reply(message: Message) -> None:
        answer.messages.append(message)

    async def run() -> None:
        await middleware(dict(scenario.scope), receive, reply)

    if scenario.body is not None:
        asyncio.run(run())
    else:
        with pytest.raises(StopIteration):
            run().__await__().__next__()
    return answer


@contextmanager
def recording() -> Iterator[set[CodeType]]:
    """Record which functions of the gate run."""
    seen: set[CodeType] = set()

    def hook(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(GUARDED):
            seen.add(frame.f_code)

    previous = sys.getprofile()
    sys.setprofile(hook)
    try:
        yield seen
    finally:
        sys.setprofile(previous)


@contextmanager
def failing(code: CodeType, error: type[BaseException]) -> Iterator[list[str]]:
    """Raise an exception at the entry of one function, once."""
    raised: list[str] = []

    def hook(frame: FrameType, event: str, _arg: object) -> Callable[..., Any] | None:
        if event == "call" and frame.f_code is code and not raised:
            raised.append(code.co_qualname)
            raise error("injected")
        return None

    previous = sys.gettrace()
    sys.settrace(hook)
    try:
        yield raised
    finally:
        sys.settrace(previous)


def functions_of(state: GateBundleFile, scenario: Scenario) -> list[CodeType]:
    """Return every function of the gate that runs for a request."""
    middleware, app = stand_up(state, scenario)
    with recording() as seen:
        send(middleware, scenario)
    assert bool(app.scopes) is scenario.passes
    seen = {code for code in seen if code.co_qualname not in AFTERWARDS}
    return sorted(seen, key=lambda code: (code.co_filename, code.co_firstlineno))


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_exception_lets_a_request_through(name: str, state: GateBundleFile) -> None:
    """Whichever function fails, in whichever way, in whichever mode: the API isn't called."""
    scenario = SCENARIOS[name]
    functions = functions_of(state, scenario)
    assert len(functions) >= 8
    passed = []
    for code in functions:
        for error in EXCEPTIONS:
            middleware, app = stand_up(state, scenario)
            answer = None
            # What leaves the middleware is a 500 of the server.
            with failing(code, error) as raised, suppress(error):
                answer = send(middleware, scenario)
            assert raised == [code.co_qualname]
            if app.scopes or (answer is not None and not is_refusal(answer)):
                passed.append((code.co_qualname, error.__name__))
    assert passed == []


def is_refusal(answer: Answer) -> bool:
    """Tell whether an answer refuses the request."""
    if answer.messages and answer.messages[0]["type"] == "websocket.close":
        return True
    return answer.status >= 400


def test_the_functions_that_were_covered(state: GateBundleFile) -> None:
    """The scenarios together run through the whole gate, not through a corner of it."""
    covered = {
        code.co_qualname
        for scenario in SCENARIOS.values()
        for code in functions_of(state, scenario)
    }
    assert len(covered) > 50
    assert covered >= {
        "WatchwordMiddleware.__call__",
        "WatchwordMiddleware._examine",
        "Guard._problem",
        "Gate.decide",
        "Gate._verdict",
        "Gate._current",
        "_resolve",
        "Gate.reference",
        "clean",
        "read_path",
        "_judge",
        "find_row",
        "VerdictCache.find",
        "verify_for_cache",
        "parse",
        "claims_from_json",
        "Gate.conclude",
        "Gate.fail",
        "Gate._turn_away",
        "SingleUse.begin",
        "SingleUse.finish",
        "check_body",
        "check_standing",
        "verify_proof",
        "Verdict.make_keys",
        "RouteRollout.includes",
        "RateLimiter.take",
        "HeldBody.read",
        "WatchwordMiddleware._settle",
        "MemoryReplayStore.claim_now",
        "GateBundleFile.trust",
        "GateBundleFile.find",
        "GateBundleFile.secret",
        "GateBundleFile.is_revoked",
        "GateBundleFile.is_cut",
        "GateBundleFile._look",
        "refuse_http",
        "refuse_websocket",
        "render",
        "MemoryRefusalLog.record",
        "Guard._report",
    }
