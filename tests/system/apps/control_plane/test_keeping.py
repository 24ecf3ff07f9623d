"""A process of an engine is started again when it dies, later each time, unless it can't run at all."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchword.apps.engines.process import (
    EngineProcessError,
    ProcessKeeper,
    require_free,
)
from watchword.engines.interface import Endpoint


class Kept:
    """Hold a keeper of a small program, its clock, and all that it said and started."""

    def __init__(self) -> None:
        """Prepare; nothing is started yet."""
        self.command = ["sleep", "600"]
        self.now = 100.0
        self.made: list[subprocess.Popen[bytes]] = []
        self.told: list[str] = []
        self.buried: list[int] = []
        self.keeper = ProcessKeeper(
            "the engine", self.start, self.told.append, lambda: self.now, self.buried.append
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Start the program."""
        self.made.append(subprocess.Popen(self.command, stdout=subprocess.PIPE))
        return self.made[-1]

    def look(self, after: float = 0) -> int:
        """Look once, some seconds later; return how many were started until then."""
        self.now += after
        self.keeper.look()
        return len(self.made)

    def die(self) -> None:
        """End the program; nobody looked yet."""
        self.made[-1].kill()
        self.made[-1].wait()


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Return a keeper; whatever it started is ended."""
    made = Kept()
    yield made
    for process in made.made:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_it_is_started_once(kept: Kept) -> None:
    """By the first look, and by no other while it runs."""
    states = []
    for after in (0, 0.9, 1):
        states.append((kept.keeper.is_idle, kept.keeper.ran_well))
        assert kept.look(after) == 1
    states.append((kept.keeper.is_idle, kept.keeper.ran_well))
    assert states == [(True, False), (False, False), (False, False), (False, True)]
    assert not kept.told
    assert not kept.buried


def test_each_death_is_followed_by_a_longer_pause(kept: Kept) -> None:
    """Up to half a minute, so that one that dies over and over takes no processor from others."""
    kept.look()
    kept.look(after=2)
    for number, pause in enumerate((0.5, 1, 2, 4, 8, 16, 30, 30), start=1):
        kept.die()
        assert kept.look() == number
        assert kept.told[-1] == f"the engine ended with code -9; it is started again in {pause:g} s"
        assert not kept.keeper.is_idle
        assert kept.look(after=pause - 0.1) == number
        assert kept.look(after=0.1) == number + 1
    assert kept.buried == [each.pid for each in kept.made[:-1]]


def test_after_a_steady_minute_the_pause_is_short_again(kept: Kept) -> None:
    """What happened before has nothing to do with it."""
    kept.look()
    kept.look(after=2)
    for _ in range(3):
        kept.die()
        kept.look()
        kept.look(after=30)
    kept.look(after=59)
    kept.die()
    kept.look()
    assert kept.told[-1].endswith("in 4 s")
    kept.look(after=4)
    kept.look(after=61)
    kept.die()
    kept.look()
    assert kept.told[-1].endswith("in 0.5 s")


def test_one_that_ends_at_once_is_hopeless(kept: Kept) -> None:
    """Nobody tries for ever; what it left is ended."""
    kept.command = ["sh", "-c", "exit 3"]
    kept.look()
    kept.made[-1].wait()
    with pytest.raises(EngineProcessError, match="code 3 at once"):
        kept.look(after=1)
    assert kept.buried == [kept.made[-1].pid]
    assert not kept.told


def test_one_that_ran_a_while_unseen_isnt_hopeless(kept: Kept) -> None:
    """Nobody looked while it ran, but it lived for longer than a second."""
    kept.look()
    kept.die()
    assert kept.look(after=1.5) == 1
    assert kept.look(after=0.5) == 2


def test_one_that_ever_ran_isnt_hopeless(kept: Kept) -> None:
    """Its next start may fail for a reason that passes, such as an address that is still held."""
    kept.look()
    kept.look(after=2)
    for _ in range(2):
        kept.die()
        kept.look()
        kept.look(after=30)
    assert len(kept.made) == 3
    kept.keeper.stop()
    assert kept.keeper.is_idle


def test_one_that_cant_be_started_is_told_with_its_name(kept: Kept, tmp_path: Path) -> None:
    """Another look tries again."""
    kept.command = [str(tmp_path / "none")]
    for _ in range(2):
        with pytest.raises(EngineProcessError, match=r"the engine can't be started: .*/none: No "):
            kept.look()
    kept.command = ["sleep", "600"]
    assert kept.look() == 1


def test_one_that_was_started_elsewhere_is_replaced_after_a_pause(kept: Kept) -> None:
    """It ran, so that one which ends at once isn't hopeless."""
    kept.keeper.replace_another()
    assert kept.told == ["the engine ended; it is started again in 0.5 s"]
    assert kept.look(after=0.4) == 0
    assert kept.look(after=0.1) == 1
    kept.die()
    kept.look()
    assert kept.told[-1].endswith("in 1 s")


def test_it_is_ended_politely(kept: Kept) -> None:
    """By the signal that it may answer; what it left is ended after it."""
    kept.command = ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo; while :; do sleep 0.01; done"]
    kept.look()
    out = kept.made[0].stdout
    assert out is not None
    out.readline()
    kept.keeper.stop(grace=600)
    assert (kept.made[0].returncode, out.read()) == (0, b"bye\n")
    assert kept.buried == [kept.made[0].pid]
    assert kept.keeper.is_idle
    kept.keeper.stop()
    assert len(kept.buried) == 1


def test_one_that_stays_is_killed(kept: Kept) -> None:
    """It doesn't outlive whoever keeps it."""
    kept.command = ["sh", "-c", "trap '' TERM; echo; exec sleep 600"]
    kept.look()
    out = kept.made[0].stdout
    assert out is not None
    out.readline()
    kept.keeper.stop(grace=0.05)
    assert kept.made[0].returncode == -9
    assert kept.buried == [kept.made[0].pid]


def test_an_address_that_is_taken_is_refused() -> None:
    """It would be shared, and half of the requests go past the gate."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = Endpoint("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(EngineProcessError, match="--listen"):
            require_free(listen)
    # Any port that is free, and a path, of which the engine takes care.
    require_free(Endpoint("127.0.0.1", 0))
    require_free(Endpoint(socket="/run/watchword/in.sock"))
