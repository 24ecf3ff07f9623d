"""Stand between an app on Linux and a gate, and rename one header of answers.

Linux's ``URLSession`` dies of ``WWW-Authenticate: Watchword`` with a 401 (swift-corelibs-foundation reads past the end of a
challenge without parameters).  Apple's is another program.  Everything else passes byte for byte.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_NAME: Final = b"www-authenticate"
_STAND_IN: Final = b"x-ww-authenticat"
_CHUNK: Final = 65536


def renamed(chunk: bytes) -> tuple[bytes, bytes]:
    """Return what of a piece can go on, the header renamed, and a beginning of the name that may go on in the next piece."""
    at = 0
    while (found := chunk.lower().find(_NAME, at)) >= 0:
        at = found + len(_NAME)
        chunk = chunk[:found] + _STAND_IN + chunk[at:]
    for size in range(min(len(_NAME) - 1, len(chunk)), 0, -1):
        if chunk[-size:].lower() == _NAME[:size]:
            return chunk[:-size], chunk[-size:]
    return chunk, b""


def _pump(source: socket.socket, sink: socket.socket, *, answers: bool) -> None:
    kept = b""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            passed, kept = renamed(kept + chunk) if answers else (chunk, b"")
            sink.sendall(passed)
        sink.sendall(kept)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(port: int, target: int) -> Iterator[None]:
    """Take connections at a port of loopback, and lead each to another one."""
    listener = socket.create_server(("127.0.0.1", port))

    def accepting() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", target))
                except OSError:
                    near.close()
                    continue
                for pair in ((near, far, False), (far, near, True)):
                    source, sink, answers = pair
                    threading.Thread(
                        target=_pump, args=(source, sink), kwargs={"answers": answers}, daemon=True
                    ).start()

    threading.Thread(target=accepting, daemon=True).start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
