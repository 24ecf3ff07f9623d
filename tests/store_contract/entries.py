"""Make what the store keeps, and call it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from tests.unit.enrolment.simulators import CLINIC, LEDGER, NOW, public_jwk, public_spki

from watchword.ports import AuditEntry, ChallengeUse, Instance
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

_Result = TypeVar("_Result")


def run(call: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run one coroutine."""

    async def awaited() -> _Result:
        return await call()

    return asyncio.run(awaited())


def instance(name: str = "one") -> Instance:
    """Return an instance with every field set."""
    return Instance(
        id=name,
        app="clinic",
        app_version="42",
        platform="ios",
        format="app-attest",
        level=Level.HARDWARE,
        attested_key=public_spki(),
        proof_jwk=public_jwk(),
        seal_jwk=public_jwk(),
        audiences=(CLINIC, LEDGER),
        enrolled_at=NOW + timedelta(microseconds=123_457),
        renewed_at=NOW + timedelta(microseconds=123_457),
        counter=3,
        test=True,
        attested_at=NOW + timedelta(microseconds=7),
        serials=("c3", "1", "b2"),
        device_key=bytes(32),
        risk_metric=2,
        expires_at=NOW + timedelta(days=30),
        attester_serial="1",
    )


def use(nonce: bytes = b"nonce", seconds: int = 300) -> ChallengeUse:
    """Return a use of a challenge."""
    return ChallengeUse(nonce, NOW + timedelta(seconds=seconds))


def audit(action: str = "instance.enrolled", seconds: int = 0, subject: str = "one") -> AuditEntry:
    """Return an audit entry."""
    return AuditEntry(NOW + timedelta(seconds=seconds), "somebody", action, subject, {"a": [1]})


def reason_of(call: Callable[[], Awaitable[object]]) -> Reason:
    """Return why a call is refused."""
    with pytest.raises((RefusedError, UnavailableError)) as caught:
        run(call)
    assert isinstance(caught.value, RefusedError | UnavailableError)
    return caught.value.reason
