"""Show that an exception in any function of the WSGI middleware lets no request through.

As :mod:`tests.unit.apps.test_fail_closed` does over ASGI for the functions of the gate itself: the interpreter's own trace
hook raises.
"""

from contextlib import suppress
from copy import copy
from pathlib import Path
from types import CodeType

import pytest
from tests.unit.apps.test_fail_closed import (
    EXCEPTIONS,
    SCENARIOS,
    Scenario,
    failing,
    forget,
    published_state,
    recording,
)
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.apps.wsgi_client import Answer, RecordedRequests, call, environ_of

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.replay import MemoryReplayStore
from watchword.adapters.system import SystemEntropy
from watchword.apps.gateway import WatchwordWsgiMiddleware, wsgi
from watchword.gate.service import Gate

__all__ = ["published_state"]

MIDDLEWARE = str(Path(wsgi.__file__).parent)
AFTERWARDS = {
    "HeldInput.give_back",
    "SharedMemory.give_back",
    "HeldMemory.give_back",
    "WatchwordWsgiMiddleware._call_for_nobody.<locals>.beginning",
    "Unmet.stands_for",
}
"""What runs once it is decided, whichever way."""

CHOSEN = {
    name: SCENARIOS[name]
    for name in (
        "session, body",
        "session, other body",
        "session, large body",
        "monitor, other body",
        "device",
        "valid, cleaned",
        "valid, body",
        "monitor, missing",
        "off",
        "missing",
        "no route",
        "ambiguous path",
        "two hosts",
        "two lengths",
        "mounted",
        "crooked name",
    )
}


def stand_up(
    state: GateBundleFile, scenario: Scenario
) -> tuple[WatchwordWsgiMiddleware, RecordedRequests]:
    """Return a middleware that looks at its state with each request, and what is behind it."""
    forget()
    wsgi._shape.forget()
    wsgi._VARIABLES.clear()
    app = RecordedRequests()
    gate = Gate(copy(state), memory=MemoryReplayStore(), entropy=SystemEntropy())
    middleware = WatchwordWsgiMiddleware(
        app, gate=gate, refusal_log=MemoryRefusalLog(StoppedClock()), clock=StoppedClock()
    )
    if scenario.seen_before:
        send(middleware, scenario)
        app.seen.clear()
        forget()
        gate._current().resolve.cache_clear()
    return middleware, app


def send(middleware: WatchwordWsgiMiddleware, scenario: Scenario) -> Answer:
    """Run one request."""
    return call(middleware, environ_of(scenario.scope, scenario.body or b""))


def functions_of(state: GateBundleFile, scenario: Scenario) -> list[CodeType]:
    """Return every function of the middleware that runs for a request."""
    middleware, app = stand_up(state, scenario)
    with recording() as seen:
        send(middleware, scenario)
    assert bool(app.seen) is scenario.passes
    chosen = {
        code
        for code in seen
        if code.co_filename.startswith(MIDDLEWARE) and code.co_qualname not in AFTERWARDS
    }
    return sorted(chosen, key=lambda code: (code.co_filename, code.co_firstlineno))


@pytest.mark.parametrize("name", CHOSEN)
def test_no_exception_lets_a_request_through(name: str, state: GateBundleFile) -> None:
    """Whichever function fails, in whichever way, in whichever mode: the application isn't called."""
    scenario = CHOSEN[name]
    passed = []
    for code in functions_of(state, scenario):
        for error in EXCEPTIONS:
            middleware, app = stand_up(state, scenario)
            answer = None
            # What leaves the middleware is a 500 of the server.
            with failing(code, error) as raised, suppress(error):
                answer = send(middleware, scenario)
            assert raised == [code.co_qualname]
            if app.seen or (answer is not None and answer.status < 400):
                passed.append((code.co_qualname, error.__name__))
    assert passed == []


def test_the_functions_that_were_covered(state: GateBundleFile) -> None:
    """The scenarios together run through all that is WSGI's own."""
    covered = {
        code.co_qualname for scenario in CHOSEN.values() for code in functions_of(state, scenario)
    }
    assert covered >= {
        "WatchwordWsgiMiddleware.__call__",
        "WatchwordWsgiMiddleware._examine",
        "WatchwordWsgiMiddleware._decide",
        "WatchwordWsgiMiddleware._hold",
        "WatchwordWsgiMiddleware._settle",
        "Guard._problem",
        "HeldInput.read",
        "SharedMemory.take",
        "facts_of",
        "cleaned",
        "told_claims",
        "at_once",
        "_passed",
        "_answer",
    }
