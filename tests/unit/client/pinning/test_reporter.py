"""Test that reports are bounded, hold no secret, and never go over what they report."""

import json
import threading
from dataclasses import replace

import httpx
from tests.unit.pins.builders import APP, HOST, NOW, builtin, pin_set, spki

from watchword.client.pinning import HttpPostman, PinKeeper, Reporter
from watchword.client.pinning.reporter import MAX_AN_HOUR, MAX_WAITING, REPEAT_SECONDS
from watchword.pins.installed import fresh
from watchword.pins.reports import MEDIA_TYPE, parse_report

URL = "https://reports.example.net/v1/pins/reports"


class Box:
    """Take reports; with a gate that is shut, none before it's opened."""

    def __init__(self, *, shut: bool = False, takes: bool = True) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.takes = takes
        self.gate = threading.Event()
        if not shut:
            self.gate.set()

    def post(self, url: str, body: bytes) -> bool:
        """Take one."""
        self.gate.wait(10)
        self.got.append((url, body))
        return self.takes


class Watch:
    """Be a clock."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def reporting(box: Box, reports: str | None = URL) -> tuple[PinKeeper, Reporter, Watch]:
    """Return a keeper whose mismatches go into the box."""
    watch, reporter = Watch(), Reporter(box)
    installed = fresh(builtin(pin_set(reports=reports)))
    return PinKeeper(installed, clock=watch, notify=reporter.notify), reporter, watch


def test_a_mismatch_is_reported_as_the_service_reads_it() -> None:
    """Host, versions, hashes of keys and the time; nothing else."""
    box = Box()
    keeper, reporter, _ = reporting(box)
    keeper.judge(HOST, (spki("M"), spki("root")))
    reporter.close()
    ((url, body),) = box.got
    assert url == URL
    report = parse_report(body, MEDIA_TYPE)
    assert (report.app, report.app_version, report.host) == (APP, "1.0", HOST)
    assert (report.mismatch, report.refused, report.at) == (True, True, NOW)
    assert report.chain == (spki("M"), spki("root"))
    assert set(json.loads(body)) == {
        "app",
        "app_version",
        "host",
        "set",
        "basis",
        "mismatch",
        "refused",
        "chain",
        "at",
    }


def test_what_matches_is_not_reported() -> None:
    """A connection to the pinned key, and one to a host without pins, are nobody's business."""
    box = Box()
    keeper, reporter, _ = reporting(box)
    keeper.judge(HOST, (spki("A"),))
    keeper.judge("elsewhere.example", (spki("M"),))
    reporter.close()
    assert box.got == []


def test_the_same_is_told_once_a_day() -> None:
    """An app that tries again and again reports once; another key is news."""
    box = Box()
    keeper, reporter, watch = reporting(box)
    for _ in range(5):
        keeper.judge(HOST, (spki("M"),))
    keeper.judge(HOST, (spki("N"),))
    watch.now += REPEAT_SECONDS
    keeper.judge(HOST, (spki("M"),))
    reporter.close()
    assert len(box.got) == 3


def test_an_hour_has_so_many_and_no_more() -> None:
    """Who shows ever new keys floods nobody."""
    box = Box()
    keeper, reporter, watch = reporting(box)
    for index in range(3 * MAX_AN_HOUR):
        keeper.judge(HOST, (spki(str(index)),))
        watch.now += 1
    reporter.close()
    assert 0 < len(box.got) <= MAX_AN_HOUR
    assert len(box.got) + reporter.dropped == 3 * MAX_AN_HOUR


def test_a_receiver_that_never_takes_blocks_nothing() -> None:
    """Judging goes on at once, and what waits is bounded."""
    box = Box(shut=True)
    keeper, reporter, watch = reporting(box)
    for index in range(4 * MAX_WAITING):
        watch.now += 3600
        assert not keeper.judge(HOST, (spki(str(index)),)).passes
    assert reporter.dropped >= 3 * MAX_WAITING - 1
    box.gate.set()
    reporter.close()
    assert len(box.got) <= MAX_WAITING + 1


def test_nothing_goes_to_a_pinned_host_or_nowhere() -> None:
    """A report over the connection that it tells of would fail as that does."""
    for reports in (f"https://{HOST}/v1/pins/reports", None):
        box = Box()
        keeper, reporter, _ = reporting(box, reports)
        keeper.judge(HOST, (spki("M"),))
        reporter.close()
        assert box.got == []


def test_the_postman_follows_nobody_and_keeps_nothing() -> None:
    """A redirect isn't followed, a cookie isn't sent back, and a failure raises nothing."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) == 2:
            raise httpx.ConnectError("refused")
        return httpx.Response(
            302, headers={"location": "https://elsewhere.example/", "set-cookie": "a=b"}
        )

    postman = HttpPostman(httpx.MockTransport(handle))
    for _ in range(3):
        postman.post(URL, b"{}")
    postman.close()
    assert [str(each.url) for each in seen] == [URL] * 3
    assert not any("cookie" in each.headers for each in seen)


def test_a_report_tells_by_which_set_it_was_judged() -> None:
    """A set that is replaced in between doesn't pass on its number or its address."""
    box = Box()
    keeper, reporter, _ = reporting(box)
    keeper.judge(HOST, (spki("M"),))
    later = pin_set(9, reports="https://other.example.net/")
    keeper.replace(replace(keeper.installed, set=later, seen=9))
    keeper.judge(HOST, (spki("M"),))
    reporter.close()
    told = [(url, parse_report(body, MEDIA_TYPE).set_version) for url, body in box.got]
    assert told == [(URL, 1), ("https://other.example.net/", 9)]


def test_what_was_kept_back_is_told_again() -> None:
    """Somebody on the way who lets no report through silences one, not the day; and an hour has its bound all the same."""
    box = Box(takes=False)
    keeper, reporter, _ = reporting(box)
    for _ in range(2 * MAX_AN_HOUR):
        keeper.judge(HOST, (spki("M"),))
        reporter.close()
    assert len(box.got) == MAX_AN_HOUR


def test_the_postman_says_whether_it_was_taken() -> None:
    """An answer that isn't 2xx, and none, are no delivery."""
    answers = iter([httpx.Response(204), httpx.Response(503), httpx.Response(302)])
    postman = HttpPostman(httpx.MockTransport(lambda _: next(answers)))
    assert [postman.post(URL, b"{}") for _ in range(3)] == [True, False, False]
    broken = HttpPostman(httpx.MockTransport(_refuse))
    assert broken.post(URL, b"{}") is False


def _refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")
