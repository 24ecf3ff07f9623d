"""Send the answer of a refusal over ASGI."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from watchword.apps.problems import Problem, render
from watchword.reasons import Reason, Refusal

INTERNAL = render((Refusal(Reason.GATE_INTERNAL),), ref=None, reveal=False)
"""The answer when the gate itself failed; made beforehand, so that it can't fail too."""

INCOMPLETE = render((Refusal(Reason.REQUEST_MALFORMED),), ref=None, reveal=False)
"""The answer to a body that ended before its end, for whoever still listens."""

POLICY_VIOLATION = 1008
"""The WebSocket close code for a refusal (RFC 6455 section 7.4.1)."""

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def refuse_http(problem: Problem, send: _Send) -> None:
    """Answer a request with a problem; its body is never read."""
    await _respond("http.response", problem, send)


async def refuse_websocket(
    problem: Problem, scope: MutableMapping[str, Any], receive: _Receive, send: _Send
) -> None:
    """Answer a handshake with a problem where the server can, else close it before it is accepted.

    Both leave the connection without a WebSocket: a close before accept is a 403 (ASGI, "WebSocket
    connection scope").
    """
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _respond("websocket.http.response", problem, send)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})


async def _respond(prefix: str, problem: Problem, send: _Send) -> None:
    await send(
        {"type": f"{prefix}.start", "status": problem.status, "headers": list(problem.headers)}
    )
    await send({"type": f"{prefix}.body", "body": problem.body})
