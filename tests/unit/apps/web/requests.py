"""Ask an application as a browser does, each header as it is sent."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from watchword.apps.web.frame import Access

KEY = "5e" * 16
CSRF = "c5" * 16
HOST = "127.0.0.1:8700"

Header = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """Hold what came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()


def opened() -> Access:
    """Return an access."""
    return Access(8700, KEY, CSRF)


def of_ours(access: Access) -> list[Header]:
    """Return the headers that a browser sends from one of our pages."""
    return [
        ("host", HOST),
        ("cookie", f"{access.cookie}={access.key}"),
        ("origin", f"http://{HOST}"),
        ("sec-fetch-site", "same-origin"),
    ]


FORM = ("content-type", "application/x-www-form-urlencoded")


def ask(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Sequence[Header],
    body: Sequence[bytes] = (),
    *,
    ends: bool = True,
) -> Answer:
    """Send one request.

    :param body: in these pieces; :param ends: else the connection is lost after them.
    """
    return asyncio.run(_ask(app, method, target, headers, body, ends=ends))


async def _ask(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Sequence[Header],
    body: Sequence[bytes],
    *,
    ends: bool,
) -> Answer:
    path, _, query = target.partition("?")
    pieces = list(body or (b"",))
    coming: list[dict[str, Any]] = [
        {"type": "http.request", "body": each, "more_body": not ends or number + 1 < len(pieces)}
        for number, each in enumerate(pieces)
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8700),
    }
    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(each.get("body", b"") for each in sent[1:]))
