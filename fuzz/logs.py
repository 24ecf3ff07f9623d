"""Fuzz the lines of engines' access logs."""

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any, Final

from watchword.apps.engines.logs.formats import (
    ENGINE_LOGS,
    MAX_REF_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    LogLineError,
    engine_of,
)
from watchword.apps.engines.logs.ingestion import MAX_LINE_BYTES, LogStream
from watchword.encoding import strict_json
from watchword.reasons import MalformedError

_LINE: Final = {
    "time": "2026-11-27T18:54:29.302Z",
    "ref": "a-1",
    "route": "/v1/**",
    "status": 401,
    "flags": "-",
    "details": "jwt_authn_access_denied{Jwt_is_expired}",
    "reason": "-",
    "method": "GET",
    "instance": "-",
    "client": "::1",
    "milliseconds": "3",
}


def read_log(data: bytes) -> None:
    """Read a log's lines as each engine's; then go on behind its last line."""
    stream = LogStream(BytesIO(data), "log", whole=True)
    head = stream.head()
    for line in stream.lines():
        if line.content is not None:
            _read_line(line.content)
    if head is not None:
        again = LogStream(BytesIO(data), "log", whole=True)
        assert again.resume(stream.position(head))
        assert not list(again.lines())


def _read_line(content: bytes) -> None:
    try:
        members = strict_json.loads(content, MAX_LINE_BYTES)
    except MalformedError:
        return
    with suppress(LogLineError):
        engine_of(members)
    for read in ENGINE_LOGS.values():
        with suppress(LogLineError):
            refusal = read(members)
            if refusal is not None:
                kept = (refusal.route, refusal.details, refusal.method, refusal.client)
                assert max(map(len, kept)) <= MAX_TEXT_CHARACTERS
                assert len(refusal.ref) <= MAX_REF_CHARACTERS


def logs() -> Iterator[bytes]:
    """Yield logs of each form."""
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"details": "rbac_access_denied_matched_policy[level]"},
        {"details": "direct_response", "route": "unknown"},
        {"details": "via_upstream", "reason": "proof.missing"},
        {"status": "503", "time": 1_790_000_000.5, "ref": "-", "details": "", "flags": "UF"},
    )
    lines = [strict_json.dumps({**_LINE, **each}) for each in changes]
    yield from lines
    yield b"\n".join(lines) + b"\n\r\n"
    yield strict_json.dumps(
        {
            "ts": 1_790_000_000.5,
            "request": {"method": "GET", "client_ip": "::1"},
            "status": 401,
            "duration": 0.5,
            "resp_headers": {
                "Content-Type": ["application/problem+json"],
                "Watchword-Ref": ["a"],
            },
        }
    )
