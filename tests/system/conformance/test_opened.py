"""Open a route at each started enforcement point: those that count down let pass until it ends, all others stay closed."""

import asyncio
import contextlib
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from tests.system.conformance.pushes import (
    FOLLOWED,
    SUBJECT,
    Change,
    Client,
    Pushed,
    pushed,
    revoking,
)
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, behind
from tests.unit.conformance.processes import PATIENCE_SECONDS

from watchword.adapters.system import SystemClock
from watchword.gate.bundle import GateBundle
from watchword.gate.openings import LONGEST_OPENING, Opening
from watchword.vocabulary import Mode

CLOSED: Final = FOLLOWED - {"nginx-authz"}
"""Engines that decide by their own files, which say no time."""

FIRST_SECONDS: Final = 2
FORGED: Final = "no.token.atall"
REFUSED: Final = frozenset({401, 403})


def opening(mode: Mode, seconds: int) -> Change:
    """Return the change that opens the guarded route from now on."""

    def change(bundle: GateBundle) -> GateBundle:
        now = int(SystemClock().timestamp())
        return replace(bundle, made_at=now, openings=(Opening("bearer", mode, now + seconds),))

    return change


def both(one: Change, other: Change) -> Change:
    """Return two changes in one."""
    return lambda bundle: other(one(bundle))


def run(name: str, directory: Path, check: Callable[[Pushed, Client, Client], None]) -> None:
    """Start an enforcement point that is told by a chain, and check it.

    :param check: also gets who has no token that counts, and who has one.
    """

    def checked(upstream: str) -> None:
        with (
            pushed(name, directory, upstream, array("Q")) as point,
            contextlib.closing(Client(point.port, FORGED)) as forged,
            contextlib.closing(Client(point.port, point.token())) as valid,
        ):
            valid.seconds_until(lambda status: status == 200)
            forged.seconds_until(lambda status: status in REFUSED)
            check(point, forged, valid)

    async def main() -> None:
        async with behind() as upstream:
            await asyncio.to_thread(checked, upstream)

    asyncio.run(main())


@pytest.mark.parametrize("name", [each for each in ENFORCEMENT_POINTS if each not in CLOSED])
def test_it_lets_pass_until_it_ends(name: str, tmp_path: Path) -> None:
    """What is wrong passes, a valid token too; once closed again, or ended without news, it is refused."""

    def check(point: Pushed, forged: Client, valid: Client) -> None:
        for mode in (Mode.MONITOR, Mode.OFF):
            point.publish(opening(mode, LONGEST_OPENING))
            forged.seconds_until(lambda status: status == 200)
            assert valid.status() == 200
            point.publish(None)
            forged.seconds_until(lambda status: status in REFUSED)
            assert valid.status() == 200
        assert_ends_without_news(point, forged)
        assert valid.status() == 200

    run(name, tmp_path, check)


def assert_ends_without_news(point: Pushed, forged: Client) -> None:
    """Open the route, for longer each time until it is seen open: then it closes though nothing more is published."""
    seconds, seen, deadline = FIRST_SECONDS, False, SystemClock().timestamp() + PATIENCE_SECONDS
    while not seen:
        assert SystemClock().timestamp() < deadline, "it never opens"
        point.publish(opening(Mode.MONITOR, seconds))
        ends = SystemClock().timestamp() + seconds
        while not seen and SystemClock().timestamp() < ends:
            seen = forged.status() == 200
        seconds *= 2
    forged.seconds_until(lambda status: status in REFUSED)
    assert forged.status() in REFUSED


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_who_counts_nothing_stays_closed(name: str, tmp_path: Path) -> None:
    """Also by the time that it has taken in the rest of what was published with the opening."""

    def check(point: Pushed, forged: Client, revoked: Client) -> None:
        for mode in (Mode.MONITOR, Mode.OFF):
            point.publish(both(opening(mode, LONGEST_OPENING), revoking(SUBJECT)))
            revoked.seconds_until(lambda status: status in REFUSED)
            assert forged.status() in REFUSED
            point.publish(None)
            revoked.seconds_until(lambda status: status == 200)

    run(name, tmp_path, check)
