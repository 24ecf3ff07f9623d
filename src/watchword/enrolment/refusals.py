"""Sign final refusals, so that a phone may keep one across a start (protocol, section 7).

A client that was refused for good stops asking.  An answer that anybody on the way could have written may stop it only as
long as its process lives; one that the service signed over its statement holds for an hour after a start too.

A stranger's flood must cost no signature: nothing is signed before the statement's challenge was found to be one of ours,
and of those, which are free to ask for, no more than :data:`SIGNED_A_SECOND`.  A refusal that isn't signed is as good, while
the client's process lives.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Protocol, TypeVar

from watchword.encoding import base64url, strict_json
from watchword.enrolment.interface import Statement
from watchword.ports import Signer
from watchword.public_classes import PublicClass
from watchword.reasons import RefusedError, UnavailableError
from watchword.tokens.interface import REFUSAL_TYPE
from watchword.tokens.jose import assemble

FINAL: Final = frozenset({PublicClass.EVIDENCE_REFUSED, PublicClass.INSTANCE_REFUSED})
"""The classes after which a client stops asking."""

SIGNED_A_SECOND: Final = 10
"""Most refusals that are signed within a second, so that they take no turn from tokens where another server signs."""

_LONGEST_SECONDS: Final = 300
"""Longer than any request takes: what is older than that comes of a clock that was set back."""

_Result = TypeVar("_Result")


class Aside(Protocol):
    """Carry out work that signs, where it may block: the event loop goes on meanwhile."""

    def __call__(self, work: Callable[[], _Result]) -> Awaitable[_Result]:
        """Return what the work gives.

        :raises UnavailableError: ``secret.store_unavailable`` when it can't be signed now.
        """


class RefusalSigner:
    """Sign what refuses a statement for good; belongs to one event loop."""

    def __init__(self, issuer: str, signer: Callable[[], Signer], aside: Aside) -> None:
        """Keep who signs; nothing is signed yet.

        :param signer: returns the signer of the active token key.
        """
        self._issuer = issuer
        self._signer = signer
        self._aside = aside
        self._second = 0
        self._signed = 0

    @asynccontextmanager
    async def over(self, statement: Statement, now: datetime) -> AsyncIterator[None]:
        """Sign a refusal that leaves the block, if it is final.

        :param statement: one whose challenge was made here.
        """
        try:
            yield
        except RefusedError as error:
            if error.reason.public in FINAL and self._has_room(int(now.timestamp())):
                error.signed = await self._sign(error.reason.public, statement, now)
            raise

    def _has_room(self, second: int) -> bool:
        # One that took long, since a vendor was asked, is of a second that is over: it brings no room.
        if second > self._second or second < self._second - _LONGEST_SECONDS:
            self._second, self._signed = second, 0
        self._signed += 1
        return self._signed <= SIGNED_A_SECOND

    async def _sign(self, told: PublicClass, statement: Statement, now: datetime) -> str | None:
        """Return the signed refusal, None where it can't be signed now."""
        payload = strict_json.dumps(
            {
                "v": 1,
                "iss": self._issuer,
                "app": statement.app,
                "binding": base64url.encode(statement.binding),
                "type": told.slug,
                "now": int(now.timestamp()),
            }
        )
        try:
            return await self._aside(lambda: assemble(payload, REFUSAL_TYPE, self._signer()))
        except UnavailableError:
            return None
