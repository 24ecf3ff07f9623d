"""Hand a third party's answer to the client: capped, searched for the key, without what is the API's to say.

An answer in which a client's own text may stand (``reflects: maybe``) is held until its end and searched whole, so that
nothing but the whole key makes a difference.  Only where the operator states that no such text is shown does it stream.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import httpcore

from watchword.apps.gateway.proxy.exchange import (
    FIRST_FINAL_STATUS,
    UPSTREAM_ERRORS,
    Send,
    Timeouts,
    start,
)
from watchword.apps.gateway.proxy.headers import lent_response_fields
from watchword.apps.gateway.proxy.key_search import KeyFoundError, KeySearch
from watchword.apps.gateway.proxy.turns import Place
from watchword.broker.interface import EdgeRule
from watchword.reasons import Reason, Refusal

_NOT_MODIFIED: Final = 304
_STREAMS: Final = re.compile(
    rb"\s*(?:text/event-stream|multipart/x-mixed-replace)\b", re.IGNORECASE
)
"""Media types of answers that have no end."""

_CHARSET: Final = re.compile(rb"charset\s*=\s*[\"']?\s*([^\"';,\s]*)", re.IGNORECASE)
_LIKE_ASCII: Final = re.compile(
    rb"(?:utf-?8|(?:us-)?ascii|iso-?8859-?[0-9]{1,2}|latin-?1|windows-125[0-8])?", re.IGNORECASE
)
"""Encodings in which a key is the bytes that it is in ASCII."""

Refuse = Callable[[Refusal, int | None], Awaitable[None]]
Record = Callable[[Refusal], None]


class Ends(NamedTuple):
    """Hold how an exchange ends that fails.

    :param refuse: answers with a problem, and after how many seconds to try again; while nothing was sent.
    :param record: is told what went wrong after that.
    """

    refuse: Refuse
    record: Record


class _UnfitError(Exception):
    """Report an answer that isn't handed on; the text is for the operator."""

    def __init__(self, detail: str, reason: Reason = Reason.GATE_UPSTREAM) -> None:
        super().__init__(detail)
        self.reason = reason


async def hand_on(
    response: httpcore.Response,
    rule: EdgeRule,
    search: KeySearch,
    send: Send,
    ends: Ends,
    *,
    room: Place,
    timeouts: Timeouts,
    bodiless: bool,
) -> None:
    """Send an answer on: as a whole, or, where its rule lets it stream, piece by piece.

    One that holds the key ends as a problem.  Where the head of a stream is out already, the rest is cut: returning
    without the last piece makes the server close the connection, so that the client can't take the part for the whole.

    :param room: for what is held.
    :param bodiless: whether the answer has no body whatever its head says, as one to HEAD.
    :raises UnavailableError: ``gate.overloaded`` when there is no room for it; nothing was sent.
    """
    passage = _Passage(response, rule, search, send, room, timeouts)
    passage.bodiless = bodiless or response.status == _NOT_MODIFIED
    reason = Reason.GATE_UPSTREAM
    try:
        await passage.run()
    except KeyFoundError:
        failure = f"the answer held the key of {rule.secret}"
    except _UnfitError as error:
        failure, reason = str(error), error.reason
    except UPSTREAM_ERRORS as error:
        failure = f"{rule.secret}: the answer ended early: {type(error).__name__}"
    else:
        return
    refusal = Refusal(reason, failure)
    if passage.begun:
        ends.record(refusal)
    else:
        await ends.refuse(refusal, None)


class _Passage:
    """Hold an answer on its way."""

    def __init__(
        self,
        response: httpcore.Response,
        rule: EdgeRule,
        search: KeySearch,
        send: Send,
        room: Place,
        timeouts: Timeouts,
    ) -> None:
        self.begun = False
        self.bodiless = False
        self._response = response
        self._rule = rule
        self._search = search
        self._send = send
        self._room = room
        self._timeouts = timeouts
        self._fields = lent_response_fields(response.headers)

    async def run(self) -> None:
        """Hand it on to its end."""
        self._check_head(self._fields)
        held = self._rule.reflects
        most = max(self._timeouts.whole, self._rule.seconds) if held else None
        reading = asyncio.timeout(most)
        try:
            async with reading:
                total = await self._read()
        except TimeoutError:
            if reading.expired():
                raise self._endless(f"no end of it in {most:g} s") from None
            raise
        patience = self._timeouts.body + total / self._timeouts.pace if held else None
        sending = asyncio.timeout(patience)
        try:
            async with sending:
                async for piece in self._search.finish():
                    await self._go_on(piece)
                await self._begin()
                await self._send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            if sending.expired():
                raise _UnfitError(f"{self._rule.secret}: the client didn't take it") from None
            raise

    async def _read(self) -> int:
        """Read the body to its end, send on what may go by then, and return how long it is."""
        total = 0
        async for piece in self._response.aiter_stream():
            total += len(piece)
            if total > self._rule.max_answer:
                raise self._too_long()
            if self._rule.reflects:
                self._room.take(len(piece))
            await self._go_on(self._search.feed(piece))
        return total

    async def _go_on(self, piece: bytes) -> None:
        if piece:
            await self._begin()
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            await self._send(start(self._response.status, self._fields))

    def _check_head(self, fields: list[tuple[bytes, bytes]]) -> None:
        if self._response.status < FIRST_FINAL_STATUS:
            raise _UnfitError(f"{self._rule.secret}: got status {self._response.status}")
        self._search.check_fields(fields)
        for name, value in fields:
            if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
                # Compressed, the key in it couldn't be recognised; identity was asked for.
                raise _UnfitError(f"{self._rule.secret}: got a content-encoding, expected none")
            if name == b"content-type" and not all(
                map(_LIKE_ASCII.fullmatch, _CHARSET.findall(value))
            ):
                # UTF-16 or EBCDIC, which the client may have asked for in Accept: the key would be other bytes there.
                raise _UnfitError(f"{self._rule.secret}: got a charset that can't be searched")
            if name == b"content-type" and self._rule.reflects and _STREAMS.match(value):
                raise self._endless(f"got {value.decode('latin-1').partition(';')[0].strip()}")
            if (
                name == b"content-length"
                and not self.bodiless
                and int(value) > self._rule.max_answer
            ):
                raise self._too_long()

    def _too_long(self) -> _UnfitError:
        most = self._rule.max_answer
        return _UnfitError(f"{self._rule.secret}: got more than {most} bytes (max_answer)")

    def _endless(self, got: str) -> _UnfitError:
        """Return the refusal of an answer that can't be held until its end."""
        return _UnfitError(
            f"{self._rule.secret}: {got}; a stream can't be searched whole: where no answer of "
            f"{self._rule.host} shows text of a request, write reflects: never at secrets.keys."
            f"{self._rule.secret}.edge",
            Reason.SECRET_STREAM,
        )
