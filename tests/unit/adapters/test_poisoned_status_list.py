"""Attack the status list as whoever serves, caches, swaps or restores it: nobody who was revoked gets back in unseen.

Each attempt begins with a list on which ``a1`` and a hundred others are revoked.  What an attempt may do is grow old (the
policy decides then), never forget in silence.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.unit.adapters.test_live_status_list import REVOKED, SUSPENDED, Bench, listed, many

from watchword.adapters.revocation import (
    FetchOutcome,
    StatusListError,
    WatchedFile,
    load_status_lists,
    read_status_list,
)
from watchword.reasons import UnavailableError

CROWD = many(100)
GOOD = listed("a1", *CROWD)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a list that was fetched once."""
    bench = Bench(tmp_path / "status.json")
    bench.vendor.body = GOOD
    bench.vendor.headers = {"etag": '"one"'}
    assert bench.refresh() is FetchOutcome.TAKEN
    return bench


def entries(rows: Mapping[str, Any]) -> bytes:
    """Return a document with these rows."""
    return json.dumps({"entries": rows}).encode()


def spelled(text: str) -> bytes:
    """Return the list with another word for REVOKED."""
    return GOOD.replace(b'"REVOKED"', json.dumps(text).encode())


GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "a page of a captive portal": b"<!doctype html><title>Sign in</title>",
    "a list of lists": b'{"entries": [["a1", "REVOKED"]]}',
    "entries that are text": b'{"entries": "a1"}',
    "null": b'{"entries": null}',
    "another member": GOOD.replace(b'"entries"', b'"Entries"'),
    "entries twice, the second empty": GOOD[:-1] + b', "entries": {}}',
    "a serial twice, the second suspended": b'{"entries": {"a1": {"status": "REVOKED"}, "a1": {"status": "SUSPENDED"}}}',
    "a status twice": b'{"entries": {"a1": {"status": "REVOKED", "status": "SUSPENDED"}}}',
    "half of it": GOOD[: len(GOOD) // 2],
    "all but the last byte": GOOD[:-1],
    "two lists in one": GOOD + GOOD,
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "utf-16": GOOD.decode().encode("utf-16"),
    "not utf-8": GOOD.replace(b"KEY_COMPROMISE", b"KEY\xff"),
    "half of a surrogate pair": GOOD.replace(b"KEY_COMPROMISE", rb"\ud800"),
    "NaN for a status": b'{"entries": {"a1": {"status": NaN}}}',
    "a number for a status": b'{"entries": {"a1": {"status": 1}}}',
    "no status": b'{"entries": {"a1": {}}}',
    "null for an entry": b'{"entries": {"a1": null}}',
    "a decimal point": entries({"161.0": REVOKED}),
    "a serial with 0x": entries({"0xa1": REVOKED}),
    "a serial with a colon": entries({"a1:b2": REVOKED}),
    "a serial with a space": entries({" a1": REVOKED}),
    "a serial with a line break": entries({"a1\n": REVOKED}),
    "a serial below zero": entries({"-a1": REVOKED}),
    "digits of another script": entries({"\u0661": REVOKED}),
    "an empty serial": entries({"": REVOKED}),
    "a serial of 65 digits": entries({"a" * 65: REVOKED}),
    "more than 8 MiB": b" " * (8 * 1024 * 1024 + 1),
    "deep": b'{"entries": ' + b'{"a1": ' * 50_000,
    "numbers of a million digits": b'{"entries": {}, "x": ' + b"9" * 1_000_000 + b"}",
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
def test_what_is_no_list_changes_nothing_and_grows_old(bench: Bench, body: bytes) -> None:
    """Whatever its content type says; the age isn't renewed, so that the policy hears of it."""
    bench.vendor.body = body
    bench.pass_by(3600)
    assert bench.refresh() is FetchOutcome.FAILED
    assert len(bench.list.revoked()) == 101
    bench.pass_by(86400)
    assert not bench.is_known()


SHRUNK: dict[str, bytes] = {
    "empty": entries({}),
    "one is left": listed("a1"),
    "all suspended": entries(dict.fromkeys(["a1", *CROWD], SUSPENDED)),
    "in small letters": spelled("revoked"),
    "with a space": spelled("REVOKED "),
    "with letters that look alike": spelled("REVOKE\u0501"),
    "serials in decimal": entries({str(int(serial, 16)): REVOKED for serial in ["a1", *CROWD]}),
    "others in their place": listed(*many(101, 5000)),
}


@pytest.mark.parametrize("body", SHRUNK.values(), ids=SHRUNK.keys())
@pytest.mark.parametrize("restarted", [False, True])
def test_a_list_that_lost_most_takes_nobody_back(
    bench: Bench, body: bytes, restarted: bool
) -> None:
    """Also when it is served again and again, and over a restart."""
    bench.vendor.body = body
    for _ in range(3):
        bench.pass_by(7200)
        assert bench.refresh() is FetchOutcome.SHRUNK
        if restarted:
            bench.start()
        assert set(bench.list.revoked()) >= {"a1", *CROWD}
    bench.pass_by(86400)
    assert not bench.is_known()


KEPT: dict[str, bytes] = {
    "two spellings, one suspended": entries(
        {"A1": SUSPENDED, "00a1": REVOKED, **dict.fromkeys(CROWD, REVOKED)}
    ),
    "two spellings, the other order": entries(
        {"a1": REVOKED, "0A1": SUSPENDED, **dict.fromkeys(CROWD, REVOKED)}
    ),
    "a million zeros in front": entries(
        {"0" * 62 + "a1": REVOKED, **dict.fromkeys(CROWD, REVOKED)}
    ),
    "reasons of other types": entries(
        {"a1": {"status": "REVOKED", "reason": [{"x": "\u2028"}]}, **dict.fromkeys(CROWD, REVOKED)}
    ),
    "members that nobody knows": entries(
        {"a1": {**REVOKED, "expires": "2020-01-01"}, **dict.fromkeys(CROWD, REVOKED)}
    ),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT.keys())
def test_an_odd_spelling_hides_nothing(bench: Bench, body: bytes) -> None:
    """What is listed acts, also behind a restart from the copy."""
    bench.vendor.body = body
    bench.pass_by(3600)
    assert bench.refresh() is FetchOutcome.TAKEN
    for asked in (bench.list, bench.start()):
        found = asked.find("0a1")
        assert found is not None
        assert found.status == "REVOKED"


@dataclass
class Lie:
    """Be a cache on the way."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


LIES: dict[str, Lie] = {
    "a part": Lie(206, {"content-range": "bytes 0-9/99"}, GOOD),
    "a redirect": Lie(301, {"location": "https://evil.example/status"}, GOOD),
    "nothing new, of nobody": Lie(204, {}),
    "another kind of yes": Lie(203, {}, listed(*CROWD)),
    "an error with a list": Lie(500, {}, listed()),
    "not found, with a list": Lie(404, {}, listed()),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_only_a_whole_answer_is_one(bench: Bench, lie: Lie) -> None:
    """A 200, or a 304 on the entity tag that was sent."""
    bench.vendor.status, bench.vendor.headers, bench.vendor.body = lie.status, lie.headers, lie.body
    bench.pass_by(3600)
    assert bench.refresh() is FetchOutcome.FAILED
    assert len(bench.list.revoked()) == 101


@pytest.mark.parametrize(
    "headers",
    [
        {"cache-control": "max-age=999999999999"},
        {"cache-control": "max-age=99999999999999999999999"},
        {"cache-control": "immutable, max-age=31536000, stale-while-revalidate=31536000"},
        {"cache-control": "max-age=31536000", "age": "-1"},
        {"cache-control": "s-maxage=31536000"},
        {"cache-control": "max-age=nan"},
        {"cache-control": "x" * 100_000},
        {"expires": "Thu, 31 Dec 2099 23:59:59 GMT"},
    ],
)
def test_no_header_makes_a_list_last_for_ever(bench: Bench, headers: dict[str, str]) -> None:
    """Half of the longest age is the longest pause, whatever a cache says."""
    bench.vendor.headers = headers
    bench.pass_by(3600)
    bench.refresh()
    bench.vendor.body = listed("a1", "b2", *CROWD)
    bench.pass_by(bench.max_age / 2)
    assert bench.refresh() is FetchOutcome.TAKEN
    assert "b2" in bench.list.revoked()


def test_unchanged_without_a_question_is_no_answer(tmp_path: Path) -> None:
    """A cache that says 304 to a gate that holds nothing makes no empty list known."""
    bench = Bench(tmp_path / "status.json")
    bench.vendor.status = 304
    assert bench.refresh() is FetchOutcome.FAILED
    assert not bench.is_known()


def test_an_older_list_is_told(bench: Bench) -> None:
    """A list of yesterday takes back fewer than half: it acts, as an amnesty would, and somebody reads which it was."""
    bench.vendor.body = listed(*CROWD)
    bench.pass_by(3600)
    with structlog.testing.capture_logs() as logs:
        assert bench.refresh() is FetchOutcome.TAKEN
    (told,) = [line for line in logs if line["event"] == "status list took revocations back"]
    assert (told["log_level"], told["count"], told["serials"]) == ("warning", 1, ["a1"])
    assert bench.list.find("a1") is None


def test_a_list_that_loses_its_half_step_by_step_is_told_each_time(bench: Bench) -> None:
    """No more than half goes at once, and every step is a warning with the serials, of which at most ten are told."""
    left = ["a1", *CROWD]
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            left = left[len(left) // 2 :]
            bench.vendor.body = listed(*left)
            bench.pass_by(3600)
            assert bench.refresh() is FetchOutcome.TAKEN
    told = [line for line in logs if line["event"] == "status list took revocations back"]
    assert [line["count"] for line in told] == [50, 25, 13]
    assert all(len(line["serials"]) == 10 for line in told)


def swap(path: Path, content: bytes) -> None:
    """Put another file in the place of one."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def make_loop(path: Path) -> None:
    """Put a link to itself there."""
    path.unlink()
    path.symlink_to(path)


def make_directory(path: Path) -> None:
    """Put a directory there."""
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    """Put a pipe there, to which nobody writes."""
    path.unlink()
    os.mkfifo(path)


def make_device(path: Path) -> None:
    """Put a link to endless zeros there."""
    path.unlink()
    path.symlink_to("/dev/zero")


PLACES: list[Callable[[Path], object]] = [
    Path.unlink,
    make_loop,
    make_directory,
    make_pipe,
    make_device,
]


@pytest.mark.parametrize("change", PLACES)
def test_what_isnt_a_file_is_no_list_and_holds_nobody_up(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """A pipe would hold the thread that reads it until somebody writes, and with it every later look."""
    path = tmp_path / "list.json"
    path.write_bytes(GOOD)
    change(path)
    found: list[object] = []

    def look() -> None:
        for read in (lambda: WatchedFile(path).read(), lambda: load_status_lists([path])):
            try:
                found.append(read())
            except (UnavailableError, StatusListError, OSError) as error:
                found.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it waits for a writer"
    assert [isinstance(each, Exception) for each in found] == [True, True]


def test_a_file_that_is_written_meanwhile_is_whole_or_none(tmp_path: Path) -> None:
    """Its name in another's place is another file; one that is being written is half a list, and none."""
    path = tmp_path / "list.json"
    path.write_bytes(GOOD)
    file = WatchedFile(path)
    first = file.read()
    swap(path, listed("b2"))
    assert file.read(first.headers["etag"]).status == 200
    for cut in range(0, len(GOOD) - 1, 97):
        path.write_bytes(GOOD[:cut])
        with pytest.raises(StatusListError):
            read_status_list(file.read().body, "list")


def test_a_file_of_the_same_size_and_second_is_read_again(tmp_path: Path) -> None:
    """Who writes in place and sets the time back changes the time of the change."""
    path = tmp_path / "list.json"
    path.write_bytes(listed("a1"))
    file = WatchedFile(path)
    before, first = path.stat(), file.read()
    path.write_bytes(listed("b2"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = file.read(first.headers["etag"])
    assert again.status == 200
    assert b"b2" in again.body
