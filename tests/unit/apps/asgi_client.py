"""Call an ASGI application as a server would, and see what it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]


@dataclass
class Answer:
    """Hold what an application sent."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Return the status, 0 if there was none."""
        starts = [m for m in self.messages if m["type"].endswith("response.start")]
        return int(starts[0]["status"]) if starts else 0

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the header fields."""
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(m.get("body", b"") for m in self.messages)


@dataclass
class Recorder:
    """Be the application behind; remember each scope that reaches it."""

    scopes: list[Message] = field(default_factory=list)

    async def __call__(
        self,
        scope: Message,
        _receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer 200."""
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"served"})


def http_scope(
    target: str = "/v1/patients",
    *,
    method: str = "GET",
    headers: Iterable[tuple[bytes, bytes]] = (),
    token: str | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return the scope of a request as a server makes it."""
    raw = target.encode("latin-1")
    raw_path, _, query = raw.partition(b"?")
    fields = [(b"host", b"clinic.example"), *headers]
    if token is not None:
        fields.append((b"watchword-token", token.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": fields,
        "client": ("192.0.2.7", 50000),
        "server": ("127.0.0.1", 8000),
    } | changes


async def answered(app: Application, scope: Message, *messages: Message) -> Answer:
    """Return what one call of an application sends until its end."""
    answer = Answer()
    incoming = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answer.messages.append(message)

    await app(scope, receive, send)
    return answer


def call(app: Application, scope: Message, *messages: Message) -> Answer:
    """Run one call of an application to its end, in an event loop of its own."""
    return asyncio.run(answered(app, scope, *messages))
