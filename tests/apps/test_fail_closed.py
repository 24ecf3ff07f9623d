"""Show that an exception in any function of the gate, whichever it is, lets no request through.

The functions aren't listed by hand: those that run while a request is decided on are recorded, and
then an exception is raised at the entry of each in turn.  Nothing is patched; the interpreter's own
trace hook raises.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from tests.apps.asgi_client import Answer, Message, Recorder, http_scope
from tests.apps.test_middleware import StoppedClock
from tests.gate.simulators import CLAIMS, SIGNER, SoftwareSigner, policy, token

import watchword
from watchword.adapters.gate_state import GateStateDocument, GateStateFile, publish_gate_state
from watchword.adapters.refusal_log.memory import MemoryRefusalLog
from watchword.apps.middleware import WatchwordMiddleware
from watchword.gate import hygiene
from watchword.gate.service import Gate
from watchword.vocabulary import Level

SOURCE = Path(watchword.__file__).parent
GUARDED = tuple(
    str(SOURCE / part)
    for part in (
        "gate",
        "tokens",
        "adapters/gate_state",
        "adapters/refusal_log",
        "apps/middleware",
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
TO_CLEAN = [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"Watchword_Level", b"hardware")]


@dataclass(frozen=True)
class Scenario:
    """Hold one request: whether it passes while nothing fails, and whether its token was seen."""

    scope: dict[str, Any]
    passes: bool
    seen_before: bool = False


def websocket(**changes: Any) -> dict[str, Any]:
    """Return the scope of a handshake."""
    scope = http_scope("/v1/live", **changes) | {"type": "websocket"}
    del scope["method"]
    return scope


SCENARIOS = {
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


@pytest.fixture(name="state_file")
def published_state(tmp_path: Path) -> Path:
    """Publish a state as the service does."""
    document = GateStateDocument(
        1, CLAIMS.issuer, (SIGNER.published(),), frozenset({"revoked-instance"}), b"r" * 32
    )
    publish_gate_state(tmp_path / "gate.json", document)
    return tmp_path / "gate.json"


def forget() -> None:
    """Empty the caches of the module, so that its functions run anew."""
    hygiene._plan.cache_clear()
    hygiene._is_authority.cache_clear()


def stand_up(state_file: Path, scenario: Scenario) -> tuple[WatchwordMiddleware, Recorder]:
    """Return a middleware that looks at its state with each request, and what is behind it."""
    forget()
    app = Recorder()
    ticks = iter(range(0, 1_000_000, 10))
    gate = Gate(policy(), GateStateFile(state_file, lambda: float(next(ticks))))
    middleware = WatchwordMiddleware(
        app, gate=gate, refusal_log=MemoryRefusalLog(StoppedClock()), clock=StoppedClock()
    )
    if scenario.seen_before:
        send(middleware, scenario.scope)
        app.scopes.clear()
        forget()
        gate._resolve.cache_clear()
    # The file is written anew, so that it is read anew and not only looked at.
    state_file.write_bytes(state_file.read_bytes())
    return middleware, app


def send(middleware: WatchwordMiddleware, scope: dict[str, Any]) -> Answer:
    """Run one request by hand, without an event loop whose functions would be traced too."""
    answer = Answer()

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def reply(message: Message) -> None:
        answer.messages.append(message)

    with pytest.raises(StopIteration):
        middleware(dict(scope), receive, reply).__await__().__next__()
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


def functions_of(state_file: Path, scenario: Scenario) -> list[CodeType]:
    """Return every function of the gate that runs for a request."""
    middleware, app = stand_up(state_file, scenario)
    with recording() as seen:
        send(middleware, scenario.scope)
    assert bool(app.scopes) is scenario.passes
    return sorted(seen, key=lambda code: (code.co_filename, code.co_firstlineno))


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_exception_lets_a_request_through(name: str, state_file: Path) -> None:
    """Whichever function fails, in whichever way, in whichever mode: the API isn't called."""
    scenario = SCENARIOS[name]
    functions = functions_of(state_file, scenario)
    assert len(functions) >= 8
    passed = []
    for code in functions:
        for error in EXCEPTIONS:
            middleware, app = stand_up(state_file, scenario)
            answer = None
            # What leaves the middleware is a 500 of the server.
            with failing(code, error) as raised, suppress(error):
                answer = send(middleware, scenario.scope)
            assert raised == [code.co_qualname]
            if app.scopes or (answer is not None and not is_refusal(answer)):
                passed.append((code.co_qualname, error.__name__))
    assert passed == []


def is_refusal(answer: Answer) -> bool:
    """Tell whether an answer refuses the request."""
    if answer.messages and answer.messages[0]["type"] == "websocket.close":
        return True
    return answer.status >= 400


def test_the_functions_that_were_covered(state_file: Path) -> None:
    """The scenarios together run through the whole gate, not through a corner of it."""
    covered = {
        code.co_qualname
        for scenario in SCENARIOS.values()
        for code in functions_of(state_file, scenario)
    }
    assert len(covered) > 50
    assert covered >= {
        "WatchwordMiddleware.__call__",
        "WatchwordMiddleware._examine",
        "WatchwordMiddleware._problem",
        "Gate.decide",
        "Gate._verdict",
        "Gate._resolve_anew",
        "Gate.reference",
        "clean",
        "read_path",
        "find_route",
        "VerdictCache.find",
        "verify_for_cache",
        "parse",
        "claims_from_json",
        "GateStateFile.generation",
        "GateStateFile.find",
        "GateStateFile.is_revoked",
        "GateStateFile._look",
        "refuse_http",
        "refuse_websocket",
        "render",
        "MemoryRefusalLog.record",
        "WatchwordMiddleware._report",
    }
