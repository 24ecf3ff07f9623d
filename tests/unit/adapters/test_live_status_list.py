"""A status list that is fetched: fresh, old, wrong, half, absurd, saved, and never in the way."""

import asyncio
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.adapters.loopback import response, serving
from tests.unit.enrolment.simulators import NOW, MovableClock

from watchword.adapters.fetcher import HttpxFetcher
from watchword.adapters.revocation import (
    FetchOutcome,
    LiveStatusList,
    SavedList,
    StatusList,
    StatusListError,
    fresh_seconds,
    pause_seconds,
    read_saved,
    write_saved,
)
from watchword.ports import FetchRequest, FetchResponse, RevocationEntry
from watchword.reasons import Reason, UnavailableError

URL = "https://vendor.example/status"
REVOKED = {"status": "REVOKED", "reason": "KEY_COMPROMISE"}
SUSPENDED = {"status": "SUSPENDED", "reason": "SOFTWARE_FLAW"}


def listed(*serials: str, **others: Mapping[str, str]) -> bytes:
    """Return a list on which these serials are revoked."""
    return json.dumps({"entries": dict.fromkeys(serials, REVOKED) | others}).encode()


def many(count: int, start: int = 0) -> list[str]:
    """Return as many serials."""
    return [f"{number:x}" for number in range(0xA0000 + start, 0xA0000 + start + count)]


@dataclass
class Vendor:
    """Be the vendor's server behind the Fetcher port: answer with what it was told last."""

    body: bytes = listed("a1")
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    down: bool = False
    requests: list[FetchRequest] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """See the port."""
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, "down")
        return FetchResponse(self.status, self.headers, self.body)


@dataclass
class Bench:
    """Hold a list, its vendor and both clocks."""

    saved: Path
    max_age: int = 86400
    snapshots: StatusList | None = None
    vendor: Vendor = field(default_factory=Vendor)
    clock: MovableClock = field(default_factory=MovableClock)
    running: float = 1000.0
    url: str = URL

    def __post_init__(self) -> None:
        """Start for the first time."""
        self.list = self.start()

    def start(self) -> LiveStatusList:
        """Start as a new process on the same state directory."""
        self.list = LiveStatusList(
            self.vendor,
            self.url,
            max_age=self.max_age,
            saved=self.saved,
            snapshots=self.snapshots,
            monotonic=lambda: self.running,
        )
        return self.list

    def refresh(self) -> FetchOutcome | None:
        """Come by, as the service does each second."""
        return asyncio.run(self.list.refresh(self.clock.now()))

    def pass_by(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.clock.advance(seconds)
        self.running += seconds

    def is_known(self) -> bool:
        """Tell whether the list counts as known."""
        return self.list.is_known(self.clock.now())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a list that wasn't fetched yet."""
    return Bench(tmp_path / "status.json")


def test_nothing_is_known_before_the_first_fetch(bench: Bench) -> None:
    """Without a list there is no entry, no name and no knowledge."""
    assert (bench.list.digest, bench.is_known(), bench.list.find("a1")) == ("", False, None)
    assert bench.list.age(NOW) is None
    assert bench.refresh() is FetchOutcome.TAKEN
    assert bench.list.find("0A1") == RevocationEntry("REVOKED", "KEY_COMPROMISE")
    assert bench.is_known()
    assert bench.list.digest == StatusList({"a1": RevocationEntry(**REVOKED)}).digest
    assert bench.vendor.requests == [FetchRequest("GET", URL)]


def test_statuses_are_kept_apart(bench: Bench) -> None:
    """Suspended isn't revoked, and a word that nobody knows is kept for the policy."""
    bench.vendor.body = listed("a1", b2=SUSPENDED, c3={"status": "ON_HOLD"})
    bench.refresh()
    assert bench.list.revoked() == ["a1"]
    assert bench.list.find("b2") == RevocationEntry("SUSPENDED", "SOFTWARE_FLAW")
    assert bench.list.find("c3") == RevocationEntry("ON_HOLD", "")
    assert bench.list.count_by_status() == {"REVOKED": 1, "SUSPENDED": 1, "ON_HOLD": 1}


def test_suspension_is_lifted(bench: Bench) -> None:
    """An entry that is gone from a small list is gone."""
    bench.vendor.body = listed(b2=SUSPENDED)
    bench.refresh()
    bench.vendor.body = listed()
    bench.pass_by(300)
    assert bench.refresh() is FetchOutcome.TAKEN
    assert bench.list.find("b2") is None


def test_two_spellings_of_a_serial(bench: Bench) -> None:
    """One of them revokes: then the other one doesn't give it back."""
    for rows in ({"0a1": REVOKED, "a1": SUSPENDED}, {"a1": SUSPENDED, "0a1": REVOKED}):
        bench.vendor.body = json.dumps({"entries": rows}).encode()
        bench.refresh()
        assert bench.list.revoked() == ["a1"]
        bench.pass_by(300)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"cache-control": "public, max-age=3600"}, 3600),
        ({"cache-control": 'Public,Max-Age="3600"'}, 3600),
        ({"cache-control": "max-age=3600", "age": "600"}, 3000),
        ({"cache-control": "max-age=3600", "age": "99999"}, 60),
        ({"cache-control": "max-age=0"}, 60),
        ({"cache-control": "max-age=31536000"}, 86400),
        ({"cache-control": "max-age=" + "9" * 12}, 86400),
        ({"cache-control": "max-age=" + "9" * 400}, 300),
        ({"cache-control": "max-age=-5"}, 300),
        ({"cache-control": "max-age=nan"}, 300),
        ({"cache-control": "no-store, max-age=3600"}, 60),
        ({"cache-control": "no-cache"}, 60),
        ({"cache-control": "private"}, 300),
        ({"cache-control": ',=;"' * 5000}, 300),
    ],
)
def test_freshness_is_the_servers_within_bounds(headers: dict[str, str], seconds: float) -> None:
    """From a minute to a day, and five minutes where nothing is said."""
    assert fresh_seconds(headers) == seconds


def test_it_is_asked_again_when_it_is_no_longer_fresh(bench: Bench) -> None:
    """Not a second before."""
    bench.vendor.headers = {"cache-control": "max-age=3600"}
    bench.refresh()
    bench.pass_by(3599)
    assert bench.refresh() is None
    bench.pass_by(1)
    assert bench.refresh() is FetchOutcome.TAKEN
    assert len(bench.vendor.requests) == 2


def test_a_short_patience_asks_sooner(tmp_path: Path) -> None:
    """A list isn't left to become too old because its server says that it is fresh for longer."""
    bench = Bench(tmp_path / "status.json", max_age=600)
    bench.vendor.headers = {"cache-control": "max-age=86400"}
    bench.refresh()
    bench.pass_by(300)
    assert bench.refresh() is FetchOutcome.TAKEN


def test_unchanged_list_is_not_sent_again(bench: Bench) -> None:
    """The server's name of the version goes out, and a 304 makes the list young again."""
    bench.vendor.headers = {"etag": '"v1"'}
    bench.refresh()
    bench.vendor.status, bench.vendor.body = 304, b""
    bench.pass_by(300)
    assert bench.refresh() is FetchOutcome.UNCHANGED
    assert bench.vendor.requests[1].headers == {"if-none-match": '"v1"'}
    assert bench.list.age(bench.clock.now()) == timedelta(0)
    assert bench.list.revoked() == ["a1"]
    bench.start()
    assert bench.list.age(bench.clock.now()) == timedelta(0)


@pytest.mark.parametrize("etag", ["a\r\nhost: evil", "\u2028", "x" * 501, "a b"])
def test_names_that_could_not_be_sent_back_are_dropped(bench: Bench, etag: str) -> None:
    """A version name never breaks the next request."""
    bench.vendor.headers = {"etag": etag}
    bench.refresh()
    bench.pass_by(300)
    bench.refresh()
    assert bench.vendor.requests[1].headers == {}


@pytest.mark.parametrize("status", [204, 206, 301, 304, 403, 404, 429, 500, 503])
def test_answers_that_are_no_list(bench: Bench, status: int) -> None:
    """Anything but a 200 (or a 304 that was asked for) leaves the list as it was."""
    bench.refresh()
    bench.vendor.status, bench.vendor.body = status, listed("b2")
    bench.pass_by(300)
    assert bench.refresh() is FetchOutcome.FAILED
    assert bench.list.revoked() == ["a1"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>captive portal</html>",
        b"{}",
        b'{"entries": {"a1": {"status": "REVOKED"}',
        listed("a1", "b2")[:-3],
        b'{"entries": {"xyz": {"status": "REVOKED"}}}',
        b"\x00" * 1000,
        b"[" * 100_000,
        b" " * (16 * 1024 * 1024 + 1),
    ],
)
def test_garbage_is_not_taken_over(bench: Bench, body: bytes) -> None:
    """Half a list, or what isn't one, changes nothing."""
    bench.refresh()
    digest = bench.list.digest
    bench.vendor.body = body
    bench.pass_by(300)
    assert bench.refresh() is FetchOutcome.FAILED
    assert bench.list.digest == digest
    assert bench.list.last_outcome is FetchOutcome.FAILED


def test_pauses_grow_and_end(bench: Bench) -> None:
    """A server that is down is asked after 30 s, 60 s, ... and once an hour in the end."""
    assert [pause_seconds(n) for n in (1, 2, 3, 8, 1000)] == [30, 60, 120, 3600, 3600]
    assert pause_seconds(1, {"retry-after": "120"}) == 120
    assert pause_seconds(1, {"retry-after": "999999"}) == 3600
    assert pause_seconds(1, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}) == 30
    bench.vendor.down = True
    for pause in (30, 60, 120):
        assert bench.refresh() is FetchOutcome.FAILED
        bench.pass_by(pause - 1)
        assert bench.refresh() is None
        bench.pass_by(1)
    bench.vendor.down = False
    assert bench.refresh() is FetchOutcome.TAKEN
    bench.pass_by(300)
    bench.vendor.down = True
    assert bench.refresh() is FetchOutcome.FAILED
    bench.pass_by(30)
    assert bench.refresh() is FetchOutcome.FAILED
    assert bench.list.outcomes == {FetchOutcome.FAILED: 5, FetchOutcome.TAKEN: 1}


def test_an_outage_is_told_once(bench: Bench) -> None:
    """Its begin and its end are in the log, and not each attempt."""
    bench.vendor.down = True
    with structlog.testing.capture_logs() as lines:
        for _ in range(5):
            bench.refresh()
            bench.pass_by(3600)
        bench.vendor.down = False
        bench.refresh()
    assert [line["event"] for line in lines] == [
        "status list not fetched",
        "status list changed",
        "status list fetched again",
    ]


def test_old_list_answers_and_counts_as_known_for_a_while(bench: Bench) -> None:
    """While its server fails the list stays; after ``max_age`` it is no longer known."""
    bench.refresh()
    bench.vendor.down = True
    bench.pass_by(86400)
    bench.refresh()
    assert bench.is_known()
    bench.pass_by(0.001)
    assert not bench.is_known()
    assert bench.list.revoked() == ["a1"]
    bench.vendor.down = False
    bench.pass_by(3600)
    bench.refresh()
    assert bench.is_known()


def test_clock_that_is_set_back_makes_nothing_young(bench: Bench) -> None:
    """The list grows old by the clock that nobody can set."""
    bench.refresh()
    bench.vendor.down = True
    for _ in range(25):
        bench.pass_by(3600)
        bench.clock.advance(-3600)
    assert not bench.is_known()


def test_list_from_the_future_is_of_unknown_age(bench: Bench) -> None:
    """After a wrong clock was put right the list isn't known until it is fetched again, soon."""
    bench.vendor.headers = {"cache-control": "max-age=86400"}
    bench.clock.advance(86400 * 30)
    bench.refresh()
    bench.clock.advance(-86400 * 30)
    assert not bench.is_known()
    assert bench.refresh() is None
    bench.running += 30
    assert bench.refresh() is FetchOutcome.TAKEN
    assert bench.is_known()
    bench.start()
    bench.clock.advance(-301)
    assert not bench.is_known()


def test_sleep_is_no_excuse(bench: Bench) -> None:
    """After a night in which the other clock stood still the list is old, and asked for again."""
    bench.vendor.headers = {"cache-control": "max-age=86400"}
    bench.refresh()
    bench.clock.advance(86401)
    assert not bench.is_known()
    assert bench.refresh() is FetchOutcome.TAKEN


def test_one_fetch_is_in_flight(bench: Bench) -> None:
    """Whoever comes meanwhile doesn't wait, and doesn't ask a second time."""

    async def scenario() -> list[FetchOutcome | None]:
        bench.vendor.gate = asyncio.Event()
        first = asyncio.create_task(bench.list.refresh(NOW))
        await asyncio.sleep(0)
        bench.running += 86400
        meanwhile = [await bench.list.refresh(NOW) for _ in range(10)]
        bench.vendor.gate.set()
        return [*meanwhile, await first]

    assert asyncio.run(scenario()) == [None] * 10 + [FetchOutcome.TAKEN]
    assert len(bench.vendor.requests) == 1


def test_restart_without_network_knows_the_list(bench: Bench) -> None:
    """The last good list and its age survive the process, for our user alone."""
    bench.vendor.headers = {"etag": '"v1"'}
    bench.vendor.body = listed("a1", b2=SUSPENDED)
    bench.refresh()
    digest = bench.list.digest
    assert stat.S_IMODE(bench.saved.stat().st_mode) == 0o600
    assert list(bench.saved.parent.iterdir()) == [bench.saved]
    bench.vendor.down = True
    bench.pass_by(3600)
    bench.start()
    assert bench.list.digest == digest
    assert bench.list.age(bench.clock.now()) == timedelta(hours=1)
    assert bench.refresh() is FetchOutcome.FAILED
    assert bench.vendor.requests[1].headers == {"if-none-match": '"v1"'}
    bench.pass_by(82801)
    assert not bench.is_known()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"garbage",
        b'{"version":2}',
        b'{"version":1,"url":"https://vendor.example/status","fetched_at":1e300,"etag":"","entries":{}}',
        b'{"version":1,"url":"https://vendor.example/status","fetched_at":1,"etag":7,"entries":{}}',
        b'{"version":1,"url":"https://vendor.example/status","fetched_at":1,"etag":"","entries":[]}',
    ],
)
def test_damaged_copy_is_told_and_replaced(bench: Bench, content: bytes) -> None:
    """A copy that can't be used stops no start."""
    bench.saved.write_bytes(content)
    bench.saved.chmod(0o600)
    with structlog.testing.capture_logs() as lines:
        bench.start()
    assert [line["event"] for line in lines] == ["saved status list is of no use"]
    assert bench.list.digest == ""
    bench.refresh()
    assert bench.start().revoked() == ["a1"]


def test_copy_that_others_may_change_is_not_believed(bench: Bench) -> None:
    """Who can write the copy could take revocations off it."""
    bench.refresh()
    bench.saved.chmod(0o666)
    assert bench.start().digest == ""


def test_copy_of_another_vendor_is_another_list(bench: Bench) -> None:
    """After the URL was changed nothing of the old list holds."""
    bench.refresh()
    bench.url = "https://lab.example/status"
    assert bench.start().digest == ""


def test_disk_that_refuses_the_copy_takes_no_revocation(tmp_path: Path) -> None:
    """The list in memory holds; the next start knows less, and says so now."""
    bench = Bench(tmp_path / "gone" / "status.json")
    with structlog.testing.capture_logs() as lines:
        assert bench.refresh() is FetchOutcome.TAKEN
    assert "status list not saved" in [line["event"] for line in lines]
    assert bench.list.revoked() == ["a1"]


def test_nobody_is_asked_all_the_time_however_short_lists_last(tmp_path: Path) -> None:
    """The least pause holds for whatever ``max_age``."""
    bench = Bench(tmp_path / "status.json", max_age=1)
    bench.vendor.headers = {"cache-control": "max-age=3600"}
    for _ in range(121):
        bench.refresh()
        bench.pass_by(1)
    assert len(bench.vendor.requests) == 3


@pytest.mark.parametrize(
    "body",
    [
        listed(),
        listed(*many(9)),
        listed(*many(20, 1000), *many(9)),
        json.dumps({"entries": {each: {"status": "revoked"} for each in many(20)}}).encode(),
        json.dumps({"entries": dict.fromkeys(many(20), SUSPENDED)}).encode(),
    ],
)
def test_half_a_list_gives_nothing_back(bench: Bench, body: bytes) -> None:
    """When most revocations vanish they stay, the new ones act, and the age runs on."""
    bench.vendor.body = listed(*many(20))
    bench.refresh()
    bench.vendor.body = body
    bench.pass_by(300)
    with structlog.testing.capture_logs() as lines:
        assert bench.refresh() is FetchOutcome.SHRUNK
    assert [line["event"] for line in lines] == ["status list shrank"]
    added = set(many(20, 1000)) if b'"a03e8"' in body else set()
    assert set(bench.list.revoked()) == {*many(20), *added}
    assert bench.list.age(bench.clock.now()) == timedelta(seconds=300)
    bench.pass_by(86400)
    assert not bench.is_known()
    assert set(bench.start().revoked()) == {*many(20), *added}
    assert not bench.is_known()
    bench.vendor.body = listed(*many(20))
    assert bench.refresh() is FetchOutcome.TAKEN
    assert set(bench.list.revoked()) == set(many(20))


def test_operator_can_believe_a_short_list(bench: Bench) -> None:
    """Without the copy there is nothing to compare with."""
    bench.vendor.body = listed(*many(20))
    bench.refresh()
    bench.vendor.body = listed("a1")
    bench.saved.unlink()
    bench.start()
    assert bench.refresh() is FetchOutcome.TAKEN
    assert bench.list.revoked() == ["a1"]


def test_half_of_a_list_may_go(bench: Bench) -> None:
    """Exactly half is let pass, so that a list can be cleaned up."""
    bench.vendor.body = listed(*many(20))
    bench.refresh()
    bench.vendor.body = listed(*many(10))
    bench.pass_by(300)
    assert bench.refresh() is FetchOutcome.TAKEN
    assert len(bench.list.revoked()) == 10


def test_snapshots_hold_beside_the_list(tmp_path: Path) -> None:
    """What a snapshot revokes stays revoked; else the fetched list knows better."""
    snapshot = StatusList(
        {
            "a1": RevocationEntry("REVOKED", "own"),
            "b2": RevocationEntry("SUSPENDED", "own"),
            "c3": RevocationEntry("SUSPENDED", "own"),
        }
    )
    bench = Bench(tmp_path / "status.json", snapshots=snapshot)
    assert bench.list.revoked() == ["a1"]
    assert bench.list.digest == snapshot.digest
    assert not bench.is_known()
    bench.vendor.body = listed("b2", a1=SUSPENDED)
    bench.refresh()
    assert bench.list.find("a1") == RevocationEntry("REVOKED", "own")
    assert bench.list.find("b2") == RevocationEntry("REVOKED", "KEY_COMPROMISE")
    assert bench.list.find("c3") == RevocationEntry("SUSPENDED", "own")


def test_flapping_list_is_followed(bench: Bench) -> None:
    """Entries that come and go leave nothing behind, and each state has its name."""
    names = []
    for number in range(6):
        bench.vendor.body = listed("a1") if number % 2 else listed("a1", "b2")
        bench.refresh()
        names.append(bench.list.digest)
        bench.pass_by(300)
    assert len(set(names)) == 2
    assert names[0] == names[2] == names[4]


SAVED = st.builds(
    SavedList,
    st.just(URL),
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - given a zone.
        lambda at: at.replace(tzinfo=NOW.tzinfo)
    ),
    st.just('"v1"'),
    st.dictionaries(
        st.sampled_from(many(50)), st.builds(RevocationEntry, st.text(max_size=9), st.text())
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(SAVED, st.data())
def test_copy_comes_back_or_is_refused(tmp_path: Path, saved: SavedList, data: Any) -> None:
    """Whatever is in a list comes back; with bytes changed, it is a copy or our own error."""
    path = tmp_path / "copy.json"
    write_saved(path, saved)
    back = read_saved(path)
    assert back is not None
    assert (back.url, back.etag, back.entries) == (saved.url, saved.etag, saved.entries)
    assert abs(back.fetched_at - saved.fetched_at) < timedelta(milliseconds=1)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(bytes(content))
    try:
        read_saved(path)
    except StatusListError:
        return


def test_over_the_wire(tmp_path: Path) -> None:
    """The list, a redirect, a flood and a slow server, over real connections."""
    answers: list[Any] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        kind = answers.pop(0)
        if kind == "flood":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b" " * 65536)
                await writer.drain()
        if kind == "slow":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.write(kind)

    async def scenario() -> list[FetchOutcome | None]:
        fetcher = HttpxFetcher(total_seconds=0.5, max_body_bytes=1_000_000)
        clock, outcomes = MovableClock(), []
        async with serving(answer) as origin:
            live = LiveStatusList(
                fetcher, f"{origin}/status", max_age=86400, saved=tmp_path / "status.json"
            )
            for kind in (
                response(listed("a1")),
                response(b"", "location: https://evil.example/", status="302 Found"),
                "flood",
                "slow",
                response(listed("a1", "b2"))[:-9],
                response(listed("a1", "b2")),
            ):
                answers.append(kind)
                outcomes.append(await live.refresh(clock.now()))
                clock.advance(3600)
                assert live.find("a1") is not None
            await fetcher.aclose()
        assert live.find("b2") is not None
        return outcomes

    failed = [FetchOutcome.FAILED] * 4
    assert asyncio.run(scenario()) == [FetchOutcome.TAKEN, *failed, FetchOutcome.TAKEN]
