"""End WebSockets when what they were opened with ends: a token, a key, an instance, a route.

One decision opens a WebSocket, and all that is sent over it rests on that one.  So it is asked again, for as long as
the WebSocket is open: without that, who is revoked would keep what is open by then.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from watchword.apps.gateway.asgi_types import Application, Message, Receive, Scope, Send
from watchword.apps.gateway.guard import POLICY_VIOLATION
from watchword.gate.service import Gate, Opened
from watchword.reasons import Reason, Refusal

MOST_OF_ONE: Final = 8
"""Most WebSockets that one instance has open at once."""

CHECK_SECONDS: Final = 0.25
"""How often each open WebSocket is asked for; a gate learns of a revocation within half a second."""

GOODBYE_SECONDS: Final = 5.0
"""How long the end of one may take to be said, where the client reads slowly."""


OPENING: Final = "watchword.opening"
"""Where in the scope of a WebSocket stands with what it was opened, on its way to :meth:`Sockets.serve`."""


class Opening(NamedTuple):
    """Hold with what a WebSocket was opened, and by which route."""

    opened: Opened
    route: str


class SocketEndedError(OSError):
    """Tell an application that its WebSocket has ended; an ``OSError``, as ASGI asks of servers."""


class Sockets:
    """Serve the WebSockets of one application, and end those that may not stay open."""

    def __init__(
        self,
        gate: Gate,
        timestamp: Callable[[], float],
        report: Callable[[Refusal, str], None],
        most_of_one: int = MOST_OF_ONE,
    ) -> None:
        """Start with none.

        :param report: is told why one was ended, and of which route it was.
        :param most_of_one: of one instance at once.
        """
        self._gate = gate
        self._timestamp = timestamp
        self._report = report
        self._most_of_one = most_of_one
        self._held: Counter[str] = Counter()
        # By loop, since some test clients run several.
        self._rounds: dict[asyncio.AbstractEventLoop, _Round] = {}

    def __len__(self) -> int:
        """Return how many are open."""
        return sum(len(each.open) for each in self._rounds.values())

    def full(self, opened: Opened) -> Refusal | None:
        """Return why an instance may open no further one, None where it may."""
        claims = opened.claims
        if claims is None or self._held[claims.counted_as] < self._most_of_one:
            return None
        return Refusal(
            Reason.GATE_RATE, f"got more than {self._most_of_one} open WebSockets of one instance"
        )

    async def serve(self, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application for one WebSocket, and count and watch it until the application returns.

        :param scope: with :data:`OPENING`, which the application doesn't see.
        """
        opening: Opening = scope.pop(OPENING)
        claims = opening.opened.claims
        subject = None if claims is None else claims.counted_as
        if subject is not None:
            self._held[subject] += 1
        socket = _Socket(receive, send, opening, self._watch)
        try:
            await app(scope, socket.receive, socket.send)
        finally:
            if subject is not None:
                self._held[subject] -= 1
                if not self._held[subject]:
                    del self._held[subject]
            await socket.let_go()

    def _watch(self, socket: "_Socket") -> "_Round":
        """Ask for a WebSocket from now on; it was accepted."""
        loop = asyncio.get_running_loop()
        found = self._rounds.get(loop)
        if found is None:
            found = self._rounds[loop] = _Round()
            found.asking = loop.create_task(self._ask(loop, found))
        found.open.add(socket)
        return found

    async def _ask(self, loop: asyncio.AbstractEventLoop, found: "_Round") -> None:
        """Ask for each that is open in this loop, until none is."""
        try:
            while found.open:
                await asyncio.sleep(CHECK_SECONDS)
                for socket in list(found.open):
                    refusal = self._revalidate(socket.opening.opened)
                    if refusal is not None:
                        socket.end(refusal)
                        with contextlib.suppress(Exception):
                            self._report(refusal, socket.opening.route)
        finally:
            del self._rounds[loop]

    def _revalidate(self, opened: Opened) -> Refusal | None:
        """Return why a WebSocket must end; a gate that fails keeps none open."""
        try:
            return self._gate.revalidate(opened, self._timestamp())
        except Exception as error:  # noqa: BLE001 - whatever it is, it keeps nobody in.
            return Refusal(Reason.GATE_INTERNAL, f"got {type(error).__name__}")


class _Socket:
    """Stand between an application and one of its WebSockets."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        opening: Opening,
        watch: Callable[["_Socket"], "_Round"],
    ) -> None:
        """Take what the server gave; ``watch`` is told when it is accepted, and by whom it is asked for then."""
        self.opening = opening
        self._receive = receive
        self._send = send
        self._watch = watch
        self._round: _Round | None = None
        self._last: Message | None = None
        self._waiting: asyncio.Future[Message] | None = None
        self._goodbye: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """Be the ``receive`` of the application: what comes, until the WebSocket is over."""
        if self._last is None:
            waiting = self._waiting
            if waiting is None:
                waiting = self._waiting = asyncio.ensure_future(self._receive())
            # Not cancelled with the application's own wait: the server may have taken a message off already.
            await asyncio.wait({waiting})
            if self._last is None:
                self._waiting = None
                message = waiting.result()
                if message["type"] == "websocket.disconnect":
                    self._forget()
                return message
        return self._last

    async def send(self, message: Message) -> None:
        """Be the ``send`` of the application.

        :raises SocketEndedError: when the WebSocket is over.
        """
        if self._last is not None:
            raise SocketEndedError("the WebSocket was closed")
        kind = message["type"]
        if kind == "websocket.close":
            self._finish(message.get("code", 1000), message.get("reason") or "")
        await self._send(message)
        if kind == "websocket.accept" and self._last is None:
            self._round = self._watch(self)

    def end(self, refusal: Refusal) -> None:
        """Close it in the name of the gate, without waiting for anybody."""
        slug = refusal.reason.public.slug
        self._finish(POLICY_VIOLATION, slug)
        self._goodbye = asyncio.create_task(self._say_goodbye(slug))

    async def let_go(self) -> None:
        """Wait until the end was said, and for nothing else."""
        self._forget()
        if self._goodbye is not None:
            await asyncio.wait({self._goodbye})
        if self._waiting is not None:
            self._waiting.cancel()

    def _forget(self) -> None:
        if self._round is not None:
            self._round.open.discard(self)

    def _finish(self, code: int, reason: str) -> None:
        """Let nothing more pass in either direction."""
        self._forget()
        self._last = {"type": "websocket.disconnect", "code": code, "reason": reason}
        if self._waiting is not None:
            # Granian closes nothing while somebody waits for a message.
            self._waiting.cancel()

    async def _say_goodbye(self, reason: str) -> None:
        # A server raises what it pleases where the client has left.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._send(
                    {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
                )


@dataclass(slots=True)
class _Round:
    """Hold what is open in one loop, and who asks for it."""

    open: set[_Socket] = field(default_factory=set)
    asking: asyncio.Task[None] | None = None
