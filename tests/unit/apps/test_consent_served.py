"""Show that a consent is served from its file, and that nothing else ever is."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from watchword.apps.service.app import ConsentServed
from watchword.drill.consent import PATH, Consent, written_consent

GOOD = written_consent(
    Consent("k" * 43, "https://a.example", None, 5, datetime(2026, 12, 1, tzinfo=UTC))
)


async def _other(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"the gate"})


def asked(file: Path, raw_path: str = PATH, method: str = "GET") -> tuple[int, bytes]:
    """Return status and body of an answer."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {"type": "http", "method": method, "raw_path": raw_path.encode()}
    asyncio.run(ConsentServed(_other, file)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], sent[1]["body"]


def test_the_file_is_served_while_it_is_there(tmp_path: Path) -> None:
    """Taken away, it is gone at the next request."""
    file = tmp_path / "consent.json"
    assert asked(file) == (404, b"the gate")
    file.write_bytes(GOOD)
    assert asked(file) == (200, GOOD)
    assert asked(file, method="HEAD") == (200, b"")
    assert asked(file, method="POST") == (404, b"the gate")
    assert asked(file, PATH + "/") == (404, b"the gate")
    assert asked(file, PATH.replace("well", "%77ell")) == (404, b"the gate")
    file.unlink()
    assert asked(file) == (404, b"the gate")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"-----BEGIN PRIVATE KEY-----\n", GOOD + b" " * 9000]
)
def test_what_is_no_consent_is_never_handed_out(tmp_path: Path, content: bytes) -> None:
    """A slip in the name of the file must not publish a key."""
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    assert asked(file) == (404, b"the gate")


def test_a_pipe_or_a_directory_holds_nobody_up(tmp_path: Path) -> None:
    """Who asks gets what everybody gets there."""
    os.mkfifo(tmp_path / "pipe")
    assert asked(tmp_path / "pipe") == (404, b"the gate")
    assert asked(tmp_path) == (404, b"the gate")
