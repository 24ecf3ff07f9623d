"""Guard an ASGI application: refuse before it is called, or call it with a cleaned request.

Pure ASGI, on purpose: it decides on the raw path and the raw headers, and never on a URL that a
framework put together from them (CVE-2026-48710: a Host header that poisoned ``request.url``).
"""

import contextlib
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any

from watchword.apps.gateway.asgi_types import Application, Message, Receive, Scope, Send
from watchword.apps.gateway.guard import (
    CLAIMS,
    INCOMPLETE,
    INTERNAL,
    NONCE_HEADER,
    POLICY_VIOLATION,
    RETRY_AFTER_SECONDS,
    UNMET,
    ClientGoneError,
    Guard,
    HeldBody,
    HeldMemory,
    Unmet,
    announces_too_much,
    closed_where_nothing_is_injected,
    refuse_http,
    refuse_websocket,
    told_claims,
    without_body,
)
from watchword.apps.gateway.websocket import OPENING, Opening, Sockets
from watchword.apps.problems import Problem
from watchword.gate.alarms import Sighting
from watchword.gate.interface import Decision, RequestFacts
from watchword.gate.service import Gate, opened_with
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.reasons import Refusal, RefusedError

BODY_PATIENCE_SECONDS = 10.0
"""How long the next 8 KiB of a body that is held may take: it holds memory until it is complete."""

MAX_HELD_BYTES = 256 * 1024 * 1024
"""Most bytes of all bodies that are held at once, in one process."""

DECISION = "watchword.decision"
"""Where in its scope a proxy finds the decision on a request to which it is to add a key."""

_POLICY = "watchword.policy"
_Passage = tuple[Scope, Receive, Send]


class WatchwordMiddleware(Guard):
    """Let through to an ASGI application only what the gate allows.

    Whatever goes wrong inside refuses the request, in every mode: the application is called in one
    place only, after a decision that allows it.  An exception of the application itself passes
    through unchanged.

    A WebSocket is closed with 1008 when it wouldn't be opened any more: its token has ended, its instance or key was
    revoked, its route asks for more (:mod:`watchword.apps.gateway.websocket`).

    A body that a proof covers is held, at most the route's ``max_body`` of it, until it is found to be
    the right one; every other body streams.

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
        body_patience: float = BODY_PATIENCE_SECONDS,
        max_held: int = MAX_HELD_BYTES,
        injects: bool = False,
    ) -> None:
        """Stand in front of ``app``.

        :param refusal_log: is told of every refusal, also of those that ``monitor`` lets pass.  If None, it is the gate's
            own, which :func:`gate_from` makes: ``watchword metrics`` and ``watchword explain`` show it.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        :param body_patience: seconds in which the next 8 KiB of a held body must arrive, or its end.
        :param max_held: most bytes of all bodies that are held at once; one device, or an instance where no device
            is known, gets a sixteenth of it, or one body.  Idle bodies make room for others.
        :param injects: whether ``app`` adds keys and sends requests on to third parties, as the proxy does; a route
            with a secret is closed otherwise.
        """
        super().__init__(gate, refusal_log=refusal_log, clock=clock, entropy=entropy)
        self._app = app
        self._body_patience = body_patience
        self._held = HeldMemory(max_held)
        self._injects = injects
        self._sockets = Sockets(gate, self._timestamp, self._report_end)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide on one connection.  ``lifespan`` passes; an unknown kind of scope is refused."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind not in {"http", "websocket"}:
            # A kind that this version doesn't know is one that it can't check.
            raise NotImplementedError(f"got a scope of type {kind!r}, expected http or websocket")
        found = self._examine(scope, receive, send)
        held = None
        try:
            if isinstance(found, Decision):
                held = self._hold(found, receive)
                found = await self._settle(found, held, scope, receive, send)
            if isinstance(found, Problem):
                self.refused += 1
                if kind == "http":
                    await refuse_http(found, send)
                else:
                    await refuse_websocket(found, scope, receive, send)
                return
            self.allowed += 1
            if found[0][CLAIMS] is None:
                await self._call_for_nobody(*found)
            elif kind == "http":
                await self._app(*found)
            else:
                await self._sockets.serve(self._app, *found)
        except ClientGoneError:
            # Half of a body is for nobody.  Granian reports crooked chunks like this too, and answers
            # 500 for an application that says nothing.
            self.refused += 1
            if kind == "http":
                with contextlib.suppress(OSError):
                    await refuse_http(self._fixed(INCOMPLETE), send)
        finally:
            if held is not None:
                held.close()

    async def _call_for_nobody(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application where nobody was verified; what it required all the same is refused."""
        answer = _AnswerForNobody(scope[UNMET], send, self._unmet_problem)
        try:
            if scope["type"] == "http":
                await self._app(scope, receive, answer.send)
            else:
                await self._sockets.serve(self._app, scope, receive, answer.send)
        except RefusedError:
            if not answer.can_refuse():
                raise
            if scope["type"] == "http":
                await answer.refuse()
            else:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        if answer.refused:
            self.allowed -= 1
            self.refused += 1

    def _examine(self, scope: Scope, receive: Receive, send: Send) -> _Passage | Problem | Decision:
        """Return with what the application may be called, the answer of a refusal, or what is pending."""
        try:
            now = self._timestamp()
            seen = (
                # A WebSocket handshake is a GET, and its scope doesn't say (RFC 6455 section 4.1).
                scope["method"] if scope["type"] == "http" else "GET",
                scope["raw_path"],
                scope["headers"],
                scope["query_string"],
                scope["path"],
                scope.get("root_path", ""),
            )
            # Half the cost of the class's own constructor.
            facts = tuple.__new__(RequestFacts, seen)
            if scope["type"] == "websocket":
                # By which it is judged: when a proof has been waited for, another may be in force.
                scope[_POLICY] = self._gate.policy
            decision = self._gate.decide(facts, now)
            if decision.canary is not None and self._gate.alarms is not None:
                address = str((scope.get("client") or ("",))[0])
                self._gate.alarms.raised(Sighting(now, facts, decision, self._gate.state, address))
            if decision.pending is not None:
                return decision
            return self._end(decision, scope, receive, send, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it lets nobody through.
            self._report(error)
            return self._fixed(INTERNAL)

    def _hold(self, decision: Decision, receive: Receive) -> HeldBody | None:
        """Return what will read the body, None where the proof covers none."""
        pending = decision.pending
        if pending is None or pending.body_digest is None:
            return None
        return HeldBody(
            receive,
            limit=pending.max_body,
            patience=self._body_patience,
            total=pending.claim.until - self._timestamp(),
            memory=self._held,
            holder="" if decision.claims is None else decision.claims.counted_as,
        )

    async def _settle(
        self,
        decision: Decision,
        held: HeldBody | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> _Passage | Problem:
        """Wait for what is pending; return as :meth:`_examine`, and never what is pending still.

        :raises ClientGoneError: when the client leaves.
        """
        try:
            refusal = None
            if held is not None:
                refusal = announces_too_much(decision) or await held.read()
                receive = held.receive
            if refusal is not None:
                decision = self._gate.fail(decision, refusal)
            else:
                digest = None if held is None else held.digest
                decision = await self._gate.conclude(decision, digest, self._timestamp())
            return self._end(decision, scope, receive, send, self._timestamp())
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - as in _examine.
            self._report(error)
            return self._fixed(INTERNAL)

    def _end(
        self, decision: Decision, scope: Scope, receive: Receive, send: Send, now: float
    ) -> _Passage | Problem:
        """Report what was found, and return what follows from a decision that is final."""
        if not self._injects:
            decision = closed_where_nothing_is_injected(decision)
        opening = None
        if scope["type"] == "websocket" and decision.allow:
            decision, opening = self._opening(decision, scope)
        if decision.refusals:
            self._tell(decision)
        if not decision.allow:
            return self._problem(decision, now)
        if decision.bodiless and scope["type"] == "http":
            receive = without_body(receive, partial(self._report_end, route=decision.route))
        if decision.nonce is not None:
            send = _with_nonce(send, decision.nonce)
        passed = {**scope, "headers": decision.headers, CLAIMS: told_claims(decision)}
        if passed[CLAIMS] is None:
            passed[UNMET] = Unmet(decision)
        if decision.injection is not None:
            passed[DECISION] = decision
        if opening is not None:
            passed[OPENING] = opening
        return passed, receive, send

    def _opening(self, decision: Decision, scope: Scope) -> tuple[Decision, Opening]:
        """Return with what a WebSocket is opened, and the decision, unless its instance has enough of them."""
        opened = opened_with(
            scope["raw_path"], scope["headers"], decision, scope.pop(_POLICY, None)
        )
        refusal = self._sockets.full(opened)
        if refusal is not None:
            decision = self._gate.fail(decision, refusal)._replace(retry_after=RETRY_AFTER_SECONDS)
        return decision, Opening(opened, decision.route)

    def _report_end(self, refusal: Refusal, route: str) -> None:
        if self._refusal_log is not None:
            self._refusal_log.record((refusal,), route)


class _AnswerForNobody:
    """Stand before the answer of an application that was called where nobody was verified.

    :ivar refused: whether the refusal was sent in the application's place.
    """

    def __init__(self, unmet: Unmet, send: Send, problem: Callable[[Unmet], Problem]) -> None:
        self.refused = False
        self._begun = False
        self._unmet = unmet
        self._send = send
        self._problem = problem

    async def send(self, message: Message) -> None:
        """Be the ``send`` of the application; a 500 that stands for the refusal becomes its problem."""
        if self.refused:
            return
        if not self._begun:
            self._begun = True
            if message["type"] == "http.response.start" and self._unmet.stands_for(
                message["status"]
            ):
                self._begun = False
                await self.refuse()
                return
        await self._send(message)

    def can_refuse(self) -> bool:
        """Tell whether an error that got out of the application is the refusal, and nothing was answered."""
        return self._unmet.refusal is not None and (self.refused or not self._begun)

    async def refuse(self) -> None:
        """Answer with the refusal, once."""
        if not self.refused:
            self.refused = True
            await refuse_http(self._problem(self._unmet), self._send)


def _with_nonce(send: Send, nonce: bytes) -> Send:
    """Return a ``send`` that adds a fresh nonce to the head of the answer."""

    async def adding(message: MutableMapping[str, Any]) -> None:
        if message["type"] in {"http.response.start", "websocket.accept"}:
            headers = [*(message.get("headers") or ()), (NONCE_HEADER, nonce)]
            message = {**message, "headers": headers}
        await send(message)

    return adding
