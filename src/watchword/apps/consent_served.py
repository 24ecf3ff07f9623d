"""Serve the consent to be drilled, in front of whatever answers otherwise."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

import structlog

from watchword.drill.consent import MAX_BYTES, PATH, ConsentError, read_consent

Application = Callable[..., Awaitable[None]]

_GOOD: Final = 200
_METHODS: Final = frozenset({"GET", "HEAD"})
_log = structlog.get_logger()


class ConsentServed:
    """Answer one path with the present contents of a file; everything else goes on.

    The file is read anew for each request: who takes it away takes the consent away.
    """

    def __init__(self, app: Application, file: Path) -> None:
        """Stand before ``app``."""
        self._app = app
        self._file = file

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        """Answer one request."""
        # The raw path, so that no other spelling of it goes around the gate.
        asked = scope["type"] == "http" and scope.get("raw_path") == PATH.encode()
        body = self._read() if asked and scope["method"] in _METHODS else None
        if body is None:
            await self._app(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": _GOOD, "headers": headers})
        await send(
            {"type": "http.response.body", "body": body if scope["method"] == "GET" else b""}
        )

    def _read(self) -> bytes | None:
        """Return the document, None where there is none that anybody could use."""
        try:
            # A pipe would hold up everybody who asks, and a slip in its name must not hand out a key.
            if not self._file.is_file():
                return None
            with self._file.open("rb") as stream:
                body = stream.read(MAX_BYTES + 1)
            read_consent(body)
        except OSError as error:
            _log.warning("consent can't be read", file=str(self._file), cause=error.strerror)
            return None
        except ConsentError:
            _log.warning("what is named as a consent isn't one", file=str(self._file))
            return None
        return body
