"""Turn away requests that waited too long in the event loop, before anything is done for them.

A server that gets more than it can do falls behind with everything: soon each request waits longer than its client does,
and all its time goes into answers that nobody reads.  An event loop tells how far behind it is: it takes up all that has
arrived and comes to new things when that is done.  Whoever's turn comes late in such a round waited at least so long.

Stands in front of :class:`~watchword.apps.gateway.asgi.WatchwordMiddleware`::

    app = OverloadGuard(WatchwordMiddleware(app, gate=gate), gate=gate)

It looks at no header and no token: a request that passes is decided on behind it, like any other.  A few of each round pass
always where their path is that of a route in mode ``off`` without a wildcard: whoever asks for the API's health learns it.
"""

import asyncio
from typing import Final

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.gateway.asgi_types import Application, Receive, Scope, Send
from watchword.apps.problems import Problem, render
from watchword.gate.references import NONCE_BYTES
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Mode

WAIT_SECONDS: Final = 0.3
"""How long requests of one round may take together; a client waits two rounds at worst, and mostly less than one.

A round also turns the others away, and so may take twice as long: half a second here made health checks wait two.
"""

SPARED: Final = 16
"""Most requests for open paths that a late round lets pass; they cost what any request costs."""

RETRY_SECONDS: Final = 2
"""After how long to come again."""

Headers = list[tuple[bytes, bytes]]


class OverloadGuard:
    """Answer 503 to HTTP requests that waited too long; everything else passes.

    :ivar turned_away: how many requests got that answer.
    """

    def __init__(
        self,
        app: Application,
        *,
        gate: Gate,
        refusal_log: RefusalLog | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        wait: float = WAIT_SECONDS,
    ) -> None:
        """Stand in front of ``app``.

        :param gate: seals the reference of the answer.
        :param refusal_log: is told of each request that is turned away.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        :param wait: seconds that the requests of one round of the event loop may take together.
        """
        self._app = app
        self._gate = gate
        self._refusal_log = refusal_log
        self._timestamp = (clock or SystemClock()).timestamp
        self._entropy = entropy or SystemEntropy()
        self._wait = wait
        self._refusals = (
            Refusal(Reason.GATE_OVERLOADED, f"waited more than {wait:g} s for the event loop"),
        )
        self._began: float | None = None
        self._spared = 0
        self._open: frozenset[bytes] | None = None
        self._answered_in = -1
        self._answer: tuple[int, Headers, bytes] = (0, [], b"")
        self.turned_away = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or turn it away."""
        if scope["type"] != "http" or not self._is_late() or self._spares(scope["raw_path"]):
            await self._app(scope, receive, send)
            return
        # Sent from here: whatever this costs a crowd takes from those who are served.
        self.turned_away += 1
        if self._refusal_log is not None:
            self._refusal_log.record(self._refusals, "")
        status, headers, body = self._now()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _is_late(self) -> bool:
        """Tell whether this round of the event loop has taken too long already; the first request of one begins it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._began is None:
            self._began = now
            # Carried out when the loop is through with what has arrived by now.
            loop.call_soon(self._end_round)
            return False
        return now - self._began > self._wait

    def _end_round(self) -> None:
        self._began = None
        self._spared = 0
        self._open = None

    def _spares(self, path: bytes) -> bool:
        """Tell whether a late request passes all the same."""
        if self._open is None:
            policy = self._gate.policy
            routes = () if policy is None else policy.routes
            paths = (route.pattern for route in routes if route.mode is Mode.OFF)
            self._open = frozenset(path.encode() for path in paths if "*" not in path)
        if path not in self._open or self._spared >= SPARED:
            return False
        self._spared += 1
        return True

    def _now(self) -> tuple[int, Headers, bytes]:
        """Return the answer; all of one second share a reference, since making one costs as much as the rest."""
        now = self._timestamp()
        if self._answered_in != int(now):
            problem = self._problem(now)
            self._answered_in = int(now)
            self._answer = (problem.status, list(problem.headers), problem.body)
        return self._answer

    def _problem(self, now: float) -> Problem:
        """Return the answer to whoever comes too late."""
        nonce = self._entropy.token_bytes(NONCE_BYTES)
        return render(
            self._refusals,
            ref=self._gate.reference(self._refusals, "", now, nonce),
            reveal=self._gate.reveals,
            now=now,
            retry_after=RETRY_SECONDS,
        )
