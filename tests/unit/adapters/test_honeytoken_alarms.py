"""Alarms are kept in bounds, with what tells one caller from another, and the log isn't flooded."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from tests.unit.gate.simulators import NOW, PublishedState, policy, request, route, token

from watchword.adapters.honeytoken_alarms import MAX_ENTRIES, MAX_WAITING, HoneytokenAlarmFile
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.broker.honeytokens import RANDOM_BYTES, digest, make_honeytoken
from watchword.broker.interface import HoneytokenWatch
from watchword.gate.alarms import Sighting
from watchword.gate.service import Gate

KEY = b"k" * 32
PLANTED = {
    name: make_honeytoken("stripe", name.encode()[:1] * RANDOM_BYTES).value
    for name in ("app", "repo")
}
STATE = PublishedState(
    policy=policy(route("/v1/**")),
    canaries=HoneytokenWatch(KEY, {digest(KEY, value): name for name, value in PLANTED.items()}),
)
GATE = Gate(STATE)
GOOD = token()


@dataclass
class Hand:
    """Be a clock that is moved by hand."""

    at: float = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where alarms are kept."""
    tmp_path.chmod(0o700)
    return tmp_path / "alarms.sqlite"


def kept(path: Path, clock: Hand | None = None) -> HoneytokenAlarmFile:
    """Return alarms that are written when they are closed, and not before."""
    return HoneytokenAlarmFile(path, monotonic=clock or Hand(), seconds=3600)


def used(
    canary: str = "app",
    at: float = NOW,
    *,
    agent: str = "curl/8.5",
    address: str = "192.0.2.7",
    text: str | None = None,
) -> Sighting:
    """Return a request that carries a canary key."""
    headers = [(b"x-api-key", PLANTED[canary].encode()), (b"user-agent", agent.encode())]
    facts = request("/v1/a", token=text, headers=headers)
    return Sighting(at, facts, GATE.decide(facts, NOW), STATE, address)


def raised(path: Path, sightings: Iterable[Sighting]) -> HoneytokenAlarmFile:
    """Raise alarms in a process that ends, and return them as an operator sees them."""
    alarms = kept(path)
    for each in sightings:
        alarms.raised(each)
    alarms.close()
    return kept(path)


def test_what_was_raised_is_there_for_others_and_after_a_restart(path: Path) -> None:
    """With its traits, newest first."""
    assert kept(path).recent() == []
    assert kept(path).totals() == {}
    seen = raised(path, [used(), used("repo", NOW + 5, text=GOOD, agent="okhttp/4")])
    first, second = seen.recent()
    assert (first.alarm.canary, first.alarm.user_agent, first.uses) == ("repo", "okhttp/4", 1)
    assert (first.alarm.app, first.alarm.route) == ("clinic-ios", "/v1/**")
    assert second.alarm.header_names == ("host", "accept", "x-api-key", "user-agent")
    assert second.alarm.subject is None
    assert (second.first, second.last) == (NOW, NOW)
    assert [each.alarm.canary for each in seen.recent(1)] == ["repo"]
    assert seen.totals() == {"app": 1, "repo": 1}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_same_caller_is_one_entry(path: Path) -> None:
    """Over processes too; who differs in one trait is another one."""
    raised(path, [used(at=NOW + step) for step in (3, 1, 2)])
    seen = raised(path, [used(at=NOW + 9), used(address="192.0.2.8"), used(agent="python/3")])
    assert [(each.uses, each.first, each.last) for each in seen.recent()] == [
        (4, NOW + 1, NOW + 9),
        (1, NOW, NOW),
        (1, NOW, NOW),
    ]
    assert seen.totals() == {"app": 6}


def test_a_flood_of_one_canary_pushes_out_no_other(path: Path) -> None:
    """Bounded in entries and in what waits; the total is right all the same."""
    raised(path, [used("repo", NOW - 100)])
    flood = (used(at=NOW + number, address=f"10.0.0.{number}") for number in range(250))
    seen = raised(path, flood)
    assert len(seen.recent(1000)) == MAX_ENTRIES + 1
    assert [each.alarm.address for each in seen.recent(1)] == ["10.0.0.249"]
    one = used(address="192.0.2.99")
    seen = raised(path, [one] * (MAX_WAITING + 2000))
    assert seen.totals() == {"repo": 1, "app": 250 + MAX_WAITING + 2000}
    assert seen.recent(1000)[-1].alarm.canary == "repo"


def test_the_key_is_nowhere(path: Path) -> None:
    """Neither in the file nor in the log."""
    with structlog.testing.capture_logs() as logs:
        raised(path, [used(agent=f"thief {PLANTED['app']}")])
    files = b"".join(each.read_bytes() for each in path.parent.iterdir())
    for value in PLANTED.values():
        assert value.encode() not in files
        assert value not in repr(logs)


def test_the_log_has_one_line_a_minute_for_each_canary(path: Path) -> None:
    """And it says how many it stands for."""
    clock = Hand()
    alarms = kept(path, clock)

    def told(*sightings: Sighting) -> list[tuple[str, int]]:
        for each in sightings:
            alarms.raised(each)
        with structlog.testing.capture_logs() as logs:
            alarms._write()
        return [(line["canary"], line["uses"]) for line in logs]

    assert told(used(), used()) == [("app", 2)]
    assert told(used(), used("repo")) == [("repo", 1)]
    clock.at = 59.0
    assert told(used()) == []
    clock.at = 61.0
    assert told(used()) == [("app", 3)]
    alarms.close()


def test_a_line_tells_the_traits(path: Path) -> None:
    """Whoever has only the log sees who it was."""
    with structlog.testing.capture_logs() as logs:
        raised(path, [used()])
    (line,) = logs
    assert line["event"] == "canary key used"
    assert (line["log_level"], line["address"], line["user_agent"]) == (
        "error",
        "192.0.2.7",
        "curl/8.5",
    )


def test_a_disk_that_refuses_stops_nobody(path: Path) -> None:
    """The log has the alarm, and says that it wasn't kept; an operator who asks is told too."""
    path.mkdir()
    with structlog.testing.capture_logs() as logs:
        alarms = kept(path)
        alarms.raised(used())
        alarms.close()
    assert [line["event"] for line in logs] == ["canary key used", "canary alarms not kept"]
    with pytest.raises(PrivateFileError):
        alarms.recent()


def test_a_request_without_a_canary_raises_nothing(path: Path) -> None:
    """Whoever calls by mistake makes no file."""
    facts = request("/v1/a", token=GOOD)
    raised(path, [Sighting(NOW, facts, GATE.decide(facts, NOW), STATE, "")])
    assert not path.exists()


def test_alarms_are_written_without_being_asked(path: Path) -> None:
    """Its own thread does it; the request doesn't wait for it."""
    alarms = HoneytokenAlarmFile(path, seconds=0.01)
    alarms.raised(used())
    for _ in range(2000):
        if alarms.totals():
            break
        time.sleep(0.01)
    assert alarms.totals() == {"app": 1}
    alarms.close()
