"""Serve the sample API that the demo protects: patient records behind a key that sits in the app."""

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


class ClinicApi:
    """Answer ``/health`` and ``/v1/patients/N`` as a backend does that trusts its API key."""

    def __init__(self) -> None:
        """Start with nothing served."""
        self.served = 0
        self.seen_headers: list[frozenset[str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
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
