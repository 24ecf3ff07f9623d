"""Serve the sample API that the demo protects: patients behind a key that sits in the app."""

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

API_KEY = "clinic-app-key-from-the-apk"
"""What every copy of the app carries, so that anyone who unpacks one has it."""

RECORDS = 40
"""Patients in the sample; a script walks their numbers."""

_ENTRIES = ("/v1/records/", "/v1/payments/")
"""Where an app writes: JSON behind the kind and a number."""


class ClinicApi:
    """Answer ``/health``, ``/v1/patients/N`` and what is written, as a backend that trusts its API key.

    :ivar written: the bodies that were accepted, in order.
    """

    def __init__(self) -> None:
        """Start with nothing served."""
        self.served = 0
        self.written: list[bytes] = []
        self.seen_headers: list[frozenset[str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        path: str = scope["path"]
        number = path.removeprefix("/v1/patients/")
        status: int
        body: dict[str, Any]
        if path == "/health":
            status, body = 200, {"status": "up"}
        elif not hmac.compare_digest(headers.get("x-api-key", b""), API_KEY.encode()):
            status, body = 401, {"error": "api key required"}
        elif path.startswith("/v1/patients/") and number.isdigit() and int(number) < RECORDS:
            self.served += 1
            self.seen_headers.append(frozenset(headers))
            status, body = 200, {"patient": int(number), "diagnosis": "J45.0", "iban": "DE89..."}
        elif path.startswith(_ENTRIES) and scope["method"] == "POST":
            self.written.append(await _body(receive))
            status, body = 200, {"written": len(self.written[-1])}
        else:
            status, body = 404, {"error": "no such record"}
        raw = json.dumps(body).encode()
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(raw)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": raw})


async def _body(receive: Receive) -> bytes:
    """Return a request's body; this sample takes any size, the gate in front of it does not."""
    body = b""
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        body += piece
        if not message.get("more_body", False):
            return body
