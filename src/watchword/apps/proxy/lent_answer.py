"""Hand a third party's answer to the client: capped, searched for the key, without what is the API's to say."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import httpcore

from watchword.apps.proxy.exchange import FIRST_FINAL_STATUS, UPSTREAM_ERRORS, Send, start
from watchword.apps.proxy.headers import lent_response_fields
from watchword.apps.proxy.key_search import KeyFoundError, KeySearch
from watchword.broker.interface import EdgeRule
from watchword.reasons import Reason, Refusal

_NOT_MODIFIED: Final = 304
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


async def hand_on(
    response: httpcore.Response,
    rule: EdgeRule,
    search: KeySearch,
    send: Send,
    ends: Ends,
    *,
    bodiless: bool,
) -> None:
    """Send an answer on, piece by piece; the next one is read when the last one was taken.

    The head waits for the first piece of the body, so that an answer which is short and holds the key ends as a problem and
    not as half of an answer.  Where the head is out already, the rest is cut: returning without the last piece makes
    the server close the connection, so that the client can't take the part for the whole.

    :param bodiless: whether the answer has no body whatever its head says, as one to HEAD.
    """
    passage = _Passage(response, rule, search, send)
    passage.bodiless = bodiless or response.status == _NOT_MODIFIED
    try:
        await passage.run()
    except KeyFoundError:
        failure = f"the answer held the key of {rule.secret}"
    except _UnfitError as error:
        failure = str(error)
    except UPSTREAM_ERRORS as error:
        failure = f"{rule.secret}: the answer ended early: {type(error).__name__}"
    else:
        return
    refusal = Refusal(Reason.GATE_UPSTREAM, failure)
    if passage.begun:
        ends.record(refusal)
    else:
        await ends.refuse(refusal, None)


class _Passage:
    """Hold an answer on its way."""

    def __init__(
        self, response: httpcore.Response, rule: EdgeRule, search: KeySearch, send: Send
    ) -> None:
        self.begun = False
        self.bodiless = False
        self._response = response
        self._rule = rule
        self._search = search
        self._send = send

    async def run(self) -> None:
        """Hand it on to its end."""
        fields = lent_response_fields(self._response.headers)
        self._check_head(fields)
        total = 0
        async for piece in self._response.aiter_stream():
            total += len(piece)
            if total > self._rule.max_answer:
                raise self._too_long()
            fit = self._search.feed(piece)
            if fit:
                await self._begin(fields)
                await self._send({"type": "http.response.body", "body": fit, "more_body": True})
        await self._begin(fields)
        await self._send({"type": "http.response.body", "body": self._search.finish()})

    async def _begin(self, fields: list[tuple[bytes, bytes]]) -> None:
        if not self.begun:
            self.begun = True
            await self._send(start(self._response.status, fields))

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
            if (
                name == b"content-length"
                and not self.bodiless
                and int(value) > self._rule.max_answer
            ):
                raise self._too_long()

    def _too_long(self) -> _UnfitError:
        most = self._rule.max_answer
        return _UnfitError(f"{self._rule.secret}: got more than {most} bytes (max_answer)")
