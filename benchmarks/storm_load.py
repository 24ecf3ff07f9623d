"""Ask over HTTP/1.1 without waiting for earlier answers, and be the phones that ask."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.overload_enrolment import APP, AUDIENCE, BUNDLE, TEAM, post
from benchmarks.overload_load import PATIENCE
from benchmarks.storm_service import Deployment, instance_id, phone_name

from watchword.adapters.system import SystemClock
from watchword.client.statement import build_statement
from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledIosApp, PhoneSetup
from watchword.vocabulary import Purpose

NO_ANSWER: Final = 0
"""The status where none came in time, or the connection broke."""

_GOOD: Final = 200
_HEAD_BYTES: Final = 65_536


class Line:
    """Hold connections to one server; each request has one to itself."""

    def __init__(self, port: int) -> None:
        """Connect at the first request."""
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer; :data:`NO_ANSWER` where none came in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return NO_ANSWER, b""

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port, limit=_HEAD_BYTES)

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await self._connection()
        kept = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, found, rest = head.partition(b"content-length:")
            body = await reader.readexactly(int(rest.partition(b"\r\n")[0]) if found else 0)
            kept = b"connection: close" not in head
        finally:
            if kept:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        """End all connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


@dataclass(frozen=True, slots=True)
class Renewed:
    """Hold what came of a renewal.

    :ivar status: of the answer; 200 for a token.
    :ivar token: empty where there is none.
    """

    status: int
    token: str = ""


class Phones:
    """Renew tokens as the phones of a fleet do that have no challenge at hand: in two round trips, as clients of 1.0."""

    def __init__(self, deployed: Deployment) -> None:
        """Speak to a service."""
        self._line = Line(deployed.port)
        self._port = deployed.port
        self._authorities = deployed.authorities
        self._app = InstalledIosApp(TEAM, BUNDLE)
        self._counters: dict[int, int] = {}
        # All are copies of one phone's row, and share its keys but for the attested one.
        with contextlib.closing(deployed.reading()) as connection:
            row = connection.execute("SELECT proof_jwk, seal_jwk FROM instances LIMIT 1").fetchone()
        self._proof_jwk, self._seal_jwk = map(json.loads, row)

    async def renew(self, number: int) -> Renewed:
        """Ask for a challenge and for a token."""
        asked = json.dumps({"app": APP, "purpose": Purpose.RENEW.value}).encode()
        status, body = await self._line.ask(post(self._port, "/v1/challenges", asked))
        if status != _GOOD:
            return Renewed(status)
        request = self._request(number, json.loads(body)["challenge"])
        status, body = await self._line.ask(post(self._port, "/v1/tokens", request))
        if status != _GOOD:
            return Renewed(status)
        document: dict[str, Any] = json.loads(body)
        return Renewed(status, str(document["tokens"][0]["token"]))

    def _request(self, number: int, challenge: str) -> bytes:
        counter = self._counters.get(number, 0)
        setup = PhoneSetup(self._authorities, SystemClock(), phone_name(number), 1, counter)
        phone = PHONES["genuine-iphone"].build(self._app, setup)
        statement = build_statement(
            purpose=Purpose.RENEW,
            issuer=f"http://127.0.0.1:{self._port}",
            audiences=(AUDIENCE,),
            app=APP,
            challenge=challenge,
            proof_jwk=self._proof_jwk,
            seal_jwk=self._seal_jwk,
        )
        evidence = phone.renew(statement)
        self._counters[number] = phone.counter
        return json.dumps(
            {
                "instance": instance_id(number),
                "statement": base64url.encode(statement),
                "evidence": evidence,
            }
        ).encode()

    def close(self) -> None:
        """End all connections."""
        self._line.close()
