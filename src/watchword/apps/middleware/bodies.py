"""Hold a body until it is known to be the one that its proof covers, or keep it from the API."""

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from watchword.gate.interface import Decision
from watchword.reasons import Reason, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientGoneError(Exception):
    """Report that a client left before its body was complete: nobody waits for an answer."""


class HeldMemory:
    """Bound what all bodies that are held at once take, and what those of one instance take of it.

    A proof isn't spent before its body is whole, so that one proof can begin any number of bodies: without
    a bound of its own one instance would keep the room of all others.
    """

    def __init__(self, most: int) -> None:
        """Start with nothing held.

        :param most: bytes of all bodies; of one instance's a sixteenth, but always one whole body.
        """
        self._most = most
        self._held: dict[str, int] = {}
        self._total = 0

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return self._total

    def take(self, instance: str, size: int, limit: int) -> bool:
        """Make room for a piece; tell whether there is any.

        :param limit: most bytes of the body that it belongs to.
        """
        held = self._held.get(instance, 0) + size
        if self._total + size > max(self._most, limit) or held > max(self._most // 16, limit):
            return False
        self._held[instance] = held
        self._total += size
        return True

    def give_back(self, instance: str, size: int) -> None:
        """Give back what was taken."""
        left = self._held.pop(instance, 0) - size
        if left > 0:
            self._held[instance] = left
        self._total -= size


class HeldBody:
    """Read a body into memory, bounded, and hand it on as one message.

    What was read is held once: in one buffer, however small the pieces are in which it came.
    """

    def __init__(
        self,
        receive: Receive,
        *,
        limit: int,
        patience: float,
        total: float,
        memory: HeldMemory,
        instance: str,
    ) -> None:
        """Prepare to read; nothing is read yet.

        :param limit: most bytes.
        :param patience: seconds in which each next piece must arrive.
        :param total: seconds in which all of it must.
        :param memory: is asked for room for each piece.
        :param instance: whose body it is.
        """
        self._memory = memory
        self._instance = instance
        self._taken = 0
        self._receive = receive
        self._limit = limit
        self._patience = patience
        self._total = total
        self._hash = hashlib.sha256()
        self._buffer: io.BytesIO | None = io.BytesIO()
        self._complete = False
        self._waiting: asyncio.Future[Message] | None = None

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of what was read."""
        return self._hash.digest()

    async def read(self) -> Refusal | None:
        """Read to the end; return why that isn't possible.

        Whatever was read by then can still be handed on, and the rest behind it.

        :raises ClientGoneError: when the client leaves.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._total
        size = 0
        assert self._buffer is not None
        while not self._complete:
            message = await self._next(min(self._patience, until - loop.time()))
            if message is None:
                return Refusal(Reason.REQUEST_TIMEOUT, f"got {size} bytes of a body, and no more")
            if message["type"] != "http.request":
                raise ClientGoneError
            piece = message.get("body", b"")
            size += len(piece)
            self._hash.update(piece)
            self._buffer.write(piece)
            self._complete = not message.get("more_body", False)
            if size > self._limit:
                return too_large(self._limit)
            if not self._memory.take(self._instance, len(piece), self._limit):
                return Refusal(Reason.GATE_OVERLOADED, "got more bodies at once than there is room")
            self._taken += len(piece)
        return None

    async def receive(self) -> Message:
        """Be the ``receive`` of the application: what was read, then what comes."""
        if self._buffer is not None:
            body, self._buffer = self._buffer.getvalue(), None
            self._give_back()
            return {"type": "http.request", "body": body, "more_body": not self._complete}
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            return await waiting
        return await self._receive()

    def close(self) -> None:
        """Let go of the body, and of what was waited for."""
        self._buffer = None
        self._give_back()
        if self._waiting is not None:
            self._waiting.cancel()

    def _give_back(self) -> None:
        self._memory.give_back(self._instance, self._taken)
        self._taken = 0

    async def _next(self, seconds: float) -> Message | None:
        """Return the next message, None if it takes too long; then it is still waited for.

        It isn't cancelled: a server may have taken it off the connection already.
        """
        waiting = self._waiting = asyncio.ensure_future(self._receive())
        done, _ = await asyncio.wait({waiting}, timeout=max(seconds, 0.0))
        if not done:
            return None
        self._waiting = None
        return waiting.result()


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body with more than ``limit`` bytes."""
    return Refusal(Reason.REQUEST_BODY_TOO_LARGE, f"expected a body of at most {limit} bytes")


def announces_too_much(decision: Decision) -> Refusal | None:
    """Refuse by its length a body that would be too large, before a byte of it is read."""
    pending = decision.pending
    if pending is not None and decision.enforced:
        for name, value in decision.headers:
            if name == b"content-length" and int(value) > pending.max_body:
                return too_large(pending.max_body)
    return None


def without_body(receive: Receive, report: Callable[[Refusal], None]) -> Receive:
    """Return a ``receive`` that hands no byte of a body on.

    A request whose proof covers no body announced none.  HTTP/1.1 has none then; over HTTP/2 a client can
    send one all the same, and the application sees a client that left.
    """
    refused = False

    async def guarded() -> Message:
        nonlocal refused
        if refused:
            return {"type": "http.disconnect"}
        message = await receive()
        if message["type"] == "http.request" and (
            message.get("body") or message.get("more_body", False)
        ):
            refused = True
            report(Refusal(Reason.PROOF_BODY, "got a body that wasn't announced"))
            return {"type": "http.disconnect"}
        return message

    return guarded
