"""Serve the sample API that the demo protects: patients behind a key that sits in the app."""

import hmac
import json
import posixpath
import unicodedata
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

USERS = {"ada": "correct horse battery staple"}
"""Who can sign in, and with what."""


class ClinicApi:
    """Answer ``/health``, patients, sign-ins and what is written, as a backend that trusts its API key.

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
        path = _resolved(scope["path"])
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
        elif path == "/v1/login" and scope["method"] == "POST":
            status, body = _signed_in(await _body(receive))
        elif path == "/v1/headers":
            # A server that answers before a body was read may end the connection, and the answer with it.
            await _body(receive)
            status, body = 200, {name: value.decode("latin-1") for name, value in headers.items()}
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


def _resolved(path: str) -> str:
    """Return the path that is served: as many a backend does, this one takes `..`, `//`, `;` and backslashes in its stride.

    It ignores case, as Express does unless it is told otherwise, and normalises Unicode.
    """
    plain = unicodedata.normalize("NFKC", path).casefold()
    segments = (each.partition(";")[0] for each in plain.replace("\\", "/").split("/"))
    return posixpath.normpath("/" + "/".join(segments).lstrip("/"))


def _signed_in(body: bytes) -> tuple[int, dict[str, Any]]:
    """Answer a sign-in as many an API does: whoever asks often enough learns a password."""
    try:
        asked = json.loads(body)
        known = USERS.get(asked["name"], "")
        good = hmac.compare_digest(known.encode(), str(asked["password"]).encode()) and bool(known)
    except (ValueError, TypeError, KeyError):
        return 400, {"error": "expected name and password"}
    return (200, {"session": "opened"}) if good else (401, {"error": "name or password is wrong"})


async def _body(receive: Receive) -> bytes:
    """Return a request's body; this sample takes any size, the gate in front of it does not."""
    body = b""
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        body += piece
        if not message.get("more_body", False):
            return body
