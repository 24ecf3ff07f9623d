"""Hold the body of a WSGI request until it is known to be the one that its proof covers."""

import hashlib
import io
import threading
from collections.abc import Callable
from typing import Final, Protocol

from watchword.apps.gateway.bodies import (
    PACE_BYTES,
    ClientGoneError,
    Evictable,
    HeldMemory,
    too_large,
)
from watchword.reasons import Reason, Refusal

PATIENCE_SECONDS: Final = 10.0
"""How long the next 8 KiB of a body may take, as for :class:`watchword.apps.gateway.bodies.HeldBody`."""

PIECE_BYTES: Final = 64 * 1024
"""Most bytes that are asked for at once."""


class InputStream(Protocol):
    """Be what a server hands over as ``wsgi.input``."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end."""


class SharedMemory(HeldMemory):
    """Bound the same for the threads of one process."""

    def __init__(self, most: int) -> None:
        """Start as :class:`HeldMemory` does."""
        super().__init__(most)
        self._lock = threading.Lock()

    def take(self, holder: str, size: int, limit: int, body: Evictable | None = None) -> bool:
        """Make room for a piece; tell whether there is any."""
        with self._lock:
            return super().take(holder, size, limit, body)

    def give_back(self, holder: str, size: int, body: Evictable | None = None) -> None:
        """Give back what was taken."""
        with self._lock:
            super().give_back(holder, size, body)


class HeldInput:
    """Read a body into memory, bounded, on the thread of the request.

    A read that blocks can't be broken off here: how long a client may say nothing is for the server to bound, and an idle
    body keeps a thread beside its memory, of which there are fewer.  One that comes slowly is refused here.

    :ivar complete: whether it was read to its end.
    """

    def __init__(
        self,
        stream: InputStream,
        *,
        length: int | None,
        limit: int,
        until: float,
        timestamp: Callable[[], float],
        memory: HeldMemory,
        holder: str,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Prepare to read; nothing is read yet.

        :param length: bytes that were announced, never read beyond: what follows may be another request.  None
            where the server ends the stream by itself.
        :param limit: most bytes.
        :param until: seconds since 1970 by which all of it must be there.
        :param memory: is asked for room for each piece.
        :param holder: whose body it is: the device or the instance.
        :param patience: seconds in which the next :data:`PACE_BYTES` must arrive, or the end.
        """
        self._stream = stream
        self._left = length
        self._limit = limit
        self._until = until
        self._timestamp = timestamp
        self._memory = memory
        self._holder = holder
        self._patience = patience
        self._taken = 0
        self._size = 0
        self._hash = hashlib.sha256()
        self._buffer = io.BytesIO()
        self.complete = length == 0

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of what was read."""
        return self._hash.digest()

    @property
    def size(self) -> int:
        """Return how many bytes were read."""
        return self._size

    def read(self) -> Refusal | None:
        """Read to the end; return why that isn't possible.

        Whatever was read by then can still be handed on, and the rest behind it.

        :raises ClientGoneError: when the body breaks off.
        """
        until, progress = min(self._until, self._timestamp() + self._patience), 0
        while self._left != 0:
            now = self._timestamp()
            if self._size - progress >= PACE_BYTES:
                until, progress = min(self._until, now + self._patience), self._size
            if now >= until:
                return Refusal(
                    Reason.REQUEST_TIMEOUT, f"got {self._size} bytes of a body, and no more in time"
                )
            piece = self._next()
            if not piece:
                if self._left is not None:
                    raise ClientGoneError
                self._left = 0
                break
            self._size += len(piece)
            self._hash.update(piece)
            self._buffer.write(piece)
            if self._left is not None:
                self._left -= len(piece)
            if self._size > self._limit:
                return too_large(self._limit)
            if not self._memory.take(self._holder, len(piece), self._limit):
                return Refusal(Reason.GATE_OVERLOADED, "got more bodies at once than there is room")
            self._taken += len(piece)
        self.complete = True
        return None

    def whole(self) -> io.BytesIO:
        """Return a body that was read to its end, to be read again."""
        self._buffer.seek(0)
        return self._buffer

    def begun(self) -> io.BufferedReader:
        """Return what was read of a body, and the rest behind it as it comes."""
        return io.BufferedReader(_Begun(self._buffer.getvalue(), self._stream, self._left))

    def give_back(self) -> None:
        """Give back the room: what is handed on is the application's."""
        self._memory.give_back(self._holder, self._taken)
        self._taken = 0

    def _next(self) -> bytes:
        # One more than the limit shows that there is more, and is all that is read of it.
        most = min(PIECE_BYTES, self._limit - self._size + 1)
        try:
            return self._stream.read(most if self._left is None else min(most, self._left))
        except OSError:
            # A connection that broke, or chunks that can't be read: gunicorn and Werkzeug raise it for both.
            raise ClientGoneError from None


class _Begun(io.RawIOBase):
    """Read the begin of a body again, and then the rest of it."""

    def __init__(self, head: bytes, stream: InputStream, left: int | None) -> None:
        """Take what was read, and how many bytes may still be read of the stream."""
        self._head = memoryview(head)
        self._stream = stream
        self._left = left

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]
        """Fill a buffer, as far as one read of the stream does; return how many bytes that were."""
        size = len(buffer)
        if self._head:
            piece: bytes | memoryview = self._head[:size]
            self._head = self._head[size:]
        else:
            size = size if self._left is None else min(size, self._left)
            piece = self._stream.read(size) if size else b""
            if self._left is not None:
                self._left -= len(piece)
        buffer[: len(piece)] = piece
        return len(piece)
