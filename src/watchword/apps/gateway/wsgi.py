"""Guard a WSGI application: refuse before it is called, or call it with a cleaned request (PEP 3333).

The same gate decides on the same facts as in :mod:`watchword.apps.gateway.asgi`; what a server hides of a
request behind variables of CGI is the business of :mod:`watchword.apps.gateway.cgi`.
"""

import io
import threading
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from watchword.apps.gateway.answers import INCOMPLETE, INTERNAL
from watchword.apps.gateway.bodies import ClientGoneError, announces_too_much
from watchword.apps.gateway.cgi import Environ, Shape, cleaned, facts_of, shape_of
from watchword.apps.gateway.guard import (
    NONCE_HEADER,
    Guard,
    closed_where_nothing_is_lent,
    told_claims,
)
from watchword.apps.gateway.inputs import HeldInput, SharedMemory
from watchword.apps.gateway.verified import CLAIMS
from watchword.apps.gateway.waiting import at_once, wait_for
from watchword.apps.problems import Problem
from watchword.gate.alarms import Sighting
from watchword.gate.decisions import refuse
from watchword.gate.interface import Decision
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.reasons import Refusal

StartResponse = Callable[..., Callable[[bytes], Any]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

MAX_HELD_BYTES: Final = 256 * 1024 * 1024
"""Most bytes of all bodies that are held at once, in one process."""

_INPUT: Final = "wsgi.input"


class WatchwordWsgiMiddleware(Guard):
    """Let through to a WSGI application only what the gate allows.

    Whatever goes wrong inside refuses the request, in every mode: the application is called in one place only,
    after a decision that allows it.  An exception of the application itself passes through unchanged.

    Several threads may be inside at once.  Where used proofs are remembered elsewhere (replay mode ``shared``),
    a request waits for the store on a loop that runs on a thread of its own.

    :ivar allowed: how many requests went to the application, refused ones of ``monitor`` included.
    :ivar refused: how many did not.
    """

    def __init__(
        self,
        app: Application,
        *,
        gate: Gate,
        refusal_log: RefusalLog | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        max_held: int = MAX_HELD_BYTES,
    ) -> None:
        """Stand in front of ``app``.

        :param refusal_log: is told of every refusal, also of those that ``monitor`` lets pass.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        :param max_held: most bytes of all bodies that are held at once; one instance gets a sixteenth of it, or
            one body.
        """
        super().__init__(gate, refusal_log=refusal_log, clock=clock, entropy=entropy)
        self._app = app
        self._held = SharedMemory(max_held)
        self._counting = threading.Lock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Decide on one request; answer it, or let the application do so."""
        found = self._examine(environ)
        if isinstance(found, Problem):
            with self._counting:
                self.refused += 1
            return _answer(found, environ, start_response)
        passed, nonce = found
        with self._counting:
            self.allowed += 1
        if nonce is not None:
            start_response = _with_nonce(start_response, nonce)
        return self._app(passed, start_response)

    def _examine(self, environ: Environ) -> tuple[Environ, bytes | None] | Problem:
        """Return with what the application may be called, and a nonce for its answer; or the answer."""
        held: HeldInput | None = None
        try:
            now = self._timestamp()
            shape = shape_of(environ)
            decision = self._decide(environ, shape, now)
            if decision.pending is not None:
                held = self._hold(decision, environ)
                decision = self._settle(decision, held)
                now = self._timestamp()
            decision = closed_where_nothing_is_lent(decision)
            if decision.refusals and self._refusal_log is not None:
                self._refusal_log.record(decision.refusals, decision.route)
            if not decision.allow:
                return self._problem(decision, now)
            return _passed(environ, shape, decision, held), decision.nonce
        except ClientGoneError:
            return INCOMPLETE
        except Exception as error:  # noqa: BLE001 - whatever it is, it lets nobody through.
            self._report(error)
            return INTERNAL
        finally:
            if held is not None:
                held.give_back()

    def _decide(self, environ: Environ, shape: Shape, now: float) -> Decision:
        """Return the decision on the head of a request."""
        facts = facts_of(environ, shape)
        if isinstance(facts, Refusal):
            return refuse(facts)
        decision = self._gate.decide(facts, now)
        if decision.canary is not None and self._gate.alarms is not None:
            address = str(environ.get("REMOTE_ADDR", ""))
            self._gate.alarms.raised(Sighting(now, facts, decision, self._gate.state, address))
        return decision

    def _hold(self, decision: Decision, environ: Environ) -> HeldInput | None:
        """Return what will read the body, None where the proof covers none."""
        pending = decision.pending
        if pending is None or pending.body_digest is None:
            return None
        length = environ.get("CONTENT_LENGTH")
        if length:
            announced: int | None = int(length)
        else:
            # Without an end that the server sets, reading on would take the next request's bytes.
            announced = None if "HTTP_TRANSFER_ENCODING" in environ else 0
        return HeldInput(
            environ[_INPUT],
            length=announced,
            limit=pending.max_body,
            until=pending.claim.until,
            timestamp=self._timestamp,
            memory=self._held,
            holder="" if decision.claims is None else decision.claims.counted_as,
        )

    def _settle(self, decision: Decision, held: HeldInput | None) -> Decision:
        """Wait for what is pending; return the decision that is final.

        :raises ClientGoneError: when the body breaks off.
        """
        refusal = None
        if held is not None:
            refusal = announces_too_much(decision) or held.read()
        if refusal is not None:
            return self._gate.fail(decision, refusal)
        digest = None if held is None else held.digest
        concluding = partial(self._gate.conclude, decision, digest, self._timestamp())
        if decision.pending is not None and decision.pending.shared:
            return wait_for(concluding)
        return at_once(concluding)


def _passed(environ: Environ, shape: Shape, decision: Decision, held: HeldInput | None) -> Environ:
    """Return the variables for the application."""
    passed = cleaned(environ, decision.headers, shape)
    passed[CLAIMS] = told_claims(decision)
    if held is None:
        if decision.bodiless:
            # A body that wasn't announced comes over HTTP/2 alone, and the proof covers none.
            passed[_INPUT] = io.BytesIO()
    elif held.complete:
        # Its length is known by now, also where it came in chunks, of which some frameworks read none.
        passed.pop("HTTP_TRANSFER_ENCODING", None)
        passed["CONTENT_LENGTH"] = str(held.size)
        passed[_INPUT] = held.whole()
    else:
        passed[_INPUT] = held.begun()
    return passed


def _answer(problem: Problem, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a problem; the body of the request isn't read."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in problem.headers]
    start_response(f"{problem.status} {HTTPStatus(problem.status).phrase}", headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [problem.body]


def _with_nonce(start_response: StartResponse, nonce: bytes) -> StartResponse:
    """Return a ``start_response`` that adds a fresh nonce to the head of the answer."""
    field = (NONCE_HEADER.decode("ascii"), nonce.decode("ascii"))

    def adding(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], Any]:
        return start_response(status, [*headers, field], *more)

    return adding
