"""Show that an operator opens a route for a while, that a restart keeps it, and that it ends whatever clocks and disks do."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.key_ring_contract.places import MemoryRowTable, rows_of
from tests.unit.apps.publisher_bench import NOW, PublisherBench
from tests.unit.apps.service_bench import (
    GATE_POLICIES,
    ROUTE,
    Caller,
    ServiceBench,
    service_bench,
)
from tests.unit.apps.test_publisher import full_disk
from tests.unit.gate.simulators import policy, route

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.sealed_rows import OPENINGS, SealedDocument
from watchword.adapters.system import boot_id
from watchword.apps.service.openings import OpeningBook, find_route
from watchword.gate.chain import ChainReader
from watchword.gate.interface import GatePolicy, Route
from watchword.gate.openings import LONGEST_OPENING, MOST_OPENINGS, RESTATED_SECONDS, Opening
from watchword.reasons import RefusedError
from watchword.vocabulary import Mode

AT = int(NOW.timestamp())
OPENING = Opening("all", Mode.MONITOR, AT + 600)
BOTH = tuple(
    replace(each, routes=(replace(ROUTE, name=f"{each.api}[0] /**"),)) for each in GATE_POLICIES
)
"""Two APIs with the same path."""


class Nodes:
    """Keep books of nodes that share what is open, each on a machine of its own."""

    def __init__(self, directory: Path) -> None:
        """Begin with nothing open."""
        self.table = MemoryRowTable()
        self._directory = directory

    def node(self, name: str, machine: "Machine") -> tuple[SealedDocument, OpeningBook]:
        """Start a node, or start it again: what it follows, and its book."""
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        document = rows_of(self.table, directory / "sealed").document(OPENINGS)
        place = directory / "openings.json"
        return document, OpeningBook(place, lambda: machine.at, lambda: machine.boot, document)


@dataclass
class Machine:
    """Tell a steady time and a boot, both set by the test."""

    at: float = 5000.0
    boot: str = "first"

    def book(self, directory: Path) -> OpeningBook:
        """Return the book of a process that starts now."""
        return OpeningBook(directory / "openings.json", lambda: self.at, lambda: self.boot)


@pytest.fixture
def machine() -> Machine:
    """Return a machine that has run for a while."""
    return Machine()


def begun(machine: Machine, directory: Path, now: float = AT) -> OpeningBook:
    """Return a book in which one route is open for ten minutes."""
    book = machine.book(directory)
    book.begin("clinic", OPENING, now, "bad release", "alice")
    return book


def open_routes(book: OpeningBook, now: float) -> list[str]:
    """Return which routes are open."""
    return [each.opening.route for each in book.in_force(now)]


def test_it_holds_until_its_end_and_over_a_restart(machine: Machine, tmp_path: Path) -> None:
    """A second process on the same directory knows it too."""
    book = begun(machine, tmp_path)
    for each in (book, machine.book(tmp_path)):
        machine.at = 5599.0
        assert open_routes(each, AT + 599) == ["all"]
        machine.at = 5600.0
        assert open_routes(each, AT + 599) == []
        machine.at = 5000.0
        assert open_routes(each, AT + 600) == []
    (held,) = book.in_force(AT)
    assert (held.because, held.by, held.made_at) == ("bad release", "alice", AT)


@pytest.mark.parametrize(
    ("now", "passed", "is_open"),
    [(AT + 10, 10, True), (AT - 1, 10, False), (AT + 700, 10, False), (AT + 10, 601, False)],
)
def test_a_clock_that_is_set_prolongs_nothing(
    machine: Machine, tmp_path: Path, now: int, passed: int, *, is_open: bool
) -> None:
    """Either of the two clocks ends it."""
    begun(machine, tmp_path)
    machine.at += passed
    assert bool(open_routes(machine.book(tmp_path), now)) is is_open


def test_all_nodes_go_by_it(tmp_path: Path) -> None:
    """What one opens and another closes counts at all of them, each by its own machine's clock."""
    nodes = Nodes(tmp_path)
    here, there = Machine(), Machine(at=90.0, boot="elsewhere")
    _, book = nodes.node("a", here)
    document, other = nodes.node("b", there)
    book.begin("clinic", OPENING, AT, "bad release", "alice")
    document.follow()
    assert open_routes(book, AT) == open_routes(other, AT + 1) == ["all"]
    (held,) = other.in_force(AT)
    assert (held.because, held.by, held.boot, held.ends) == (
        "bad release",
        "alice",
        "elsewhere",
        689,
    )
    there.at = 690.0
    assert open_routes(other, AT + 1) == []
    there.at = 90.0
    # A start of the node counts on; one of the machine ends it.
    assert open_routes(nodes.node("b", there)[1], AT + 1) == ["all"]
    there.boot = "rebooted"
    assert open_routes(nodes.node("b", there)[1], AT + 1) == []
    assert other.end("clinic", "all", AT + 2)
    nodes.node("a", here)
    assert open_routes(nodes.node("a", here)[1], AT + 2) == []


def test_a_node_whose_clock_is_set_prolongs_nothing(tmp_path: Path) -> None:
    """It counts no more than the opening lasts from when it first heard of it."""
    nodes = Nodes(tmp_path)
    _, book = nodes.node("a", Machine())
    book.begin("clinic", OPENING, AT, "bad release", "alice")
    late = Machine(at=100.0, boot="elsewhere")
    _, other = nodes.node("b", late)
    assert open_routes(other, AT - 5000) == []
    late.at = 701.0
    assert open_routes(other, AT + 1) == []


def test_an_untrusted_row_opens_nothing(tmp_path: Path) -> None:
    """Whoever has the database opens no route: a start closes all, and a node that runs goes on with what it knew."""
    nodes = Nodes(tmp_path)
    document, book = nodes.node("a", Machine())
    book.begin("clinic", OPENING, AT, "bad release", "alice")
    old = nodes.table.rows[OPENINGS]
    assert book.end("clinic", "all", AT)
    nodes.table.tamper(old)
    with pytest.raises(PrivateFileError):
        document.follow()
    assert open_routes(book, AT) == []
    with capture_logs() as told:
        assert open_routes(nodes.node("a", Machine())[1], AT) == []
        assert not book.end("clinic", "all", AT)
    with pytest.raises(PrivateFileError):
        book.begin("clinic", OPENING, AT, "bad release", "alice")
    assert open_routes(book, AT) == []
    assert "openings can't be read, and everything is closed" in {each["event"] for each in told}


def test_nodes_that_open_at_once_open_no_more_than_gates_take(tmp_path: Path) -> None:
    """The last one is refused; what is over makes room."""
    nodes = Nodes(tmp_path)
    books = [nodes.node(name, Machine())[1] for name in "ab"]
    for number in range(MOST_OPENINGS):
        each = replace(OPENING, route=f"r{number}")
        books[number % 2].begin("clinic", each, AT, "why", "alice")
    with pytest.raises(RefusedError, match="at most"):
        books[0].begin("clinic", OPENING, AT, "why", "alice")
    books[0].begin("ledger", OPENING, AT, "why", "alice")
    later = replace(OPENING, until=AT + 1200)
    books[1].begin("clinic", later, AT + 600, "why", "alice")
    assert open_routes(books[1], AT + 600) == ["all"]


def test_a_reboot_ends_it(machine: Machine, tmp_path: Path) -> None:
    """Nobody counted while the machine was off."""
    begun(machine, tmp_path)
    machine.boot, machine.at = "second", 10.0
    assert open_routes(machine.book(tmp_path), AT + 10) == []


def test_another_process_is_followed(machine: Machine, tmp_path: Path) -> None:
    """What it opens and closes counts here."""
    book, other = machine.book(tmp_path), begun(machine, tmp_path)
    assert open_routes(book, AT) == ["all"]
    assert other.end("clinic", "all", AT)
    assert open_routes(book, AT) == []


def test_one_of_the_same_route_takes_its_place(machine: Machine, tmp_path: Path) -> None:
    """There is one end for each route, and the same name at another API is another route."""
    book = begun(machine, tmp_path)
    longer = replace(OPENING, mode=Mode.OFF, until=AT + 900)
    book.begin("clinic", longer, AT, "still", "bob")
    book.begin("ledger", OPENING, AT, "there too", "bob")
    assert [(each.api, each.opening) for each in book.in_force(AT)] == [
        ("clinic", longer),
        ("ledger", OPENING),
    ]
    assert book.end("clinic", "all", AT)
    assert [each.api for each in machine.book(tmp_path).in_force(AT)] == ["ledger"]


def test_what_cannot_be_written_is_not_opened_and_is_closed(
    machine: Machine, tmp_path: Path
) -> None:
    """A full disk opens nothing, and keeps nothing open in this process."""
    book = begun(machine, tmp_path)
    with capture_logs() as told, full_disk(0):
        with pytest.raises(PrivateFileError):
            book.begin("clinic", replace(OPENING, route="other"), AT, "why", "alice")
        assert open_routes(book, AT) == ["all"]
        assert not book.end("clinic", "all", AT)
    assert open_routes(book, AT) == []
    assert [each["event"] for each in told] == ["the end of an opening isn't written"]


def _document(**changes: Any) -> bytes:
    each = {
        "api": "clinic",
        "route": "all",
        "mode": "off",
        "until": AT + 60,
        "made_at": AT,
        "boot": "first",
        "ends": 10**6,
        "because": "why",
        "by": "alice",
    }
    return json.dumps({"v": 1, "openings": [each | changes]}).encode()


def put(directory: Path, data: bytes) -> None:
    """Write a file in place of the book's own."""
    path = directory / "openings.json"
    path.write_bytes(data)
    path.chmod(0o600)


def test_the_document_that_is_spoiled_below_is_good(machine: Machine, tmp_path: Path) -> None:
    """Each of the changes is what spoils it."""
    put(tmp_path, _document())
    assert open_routes(machine.book(tmp_path), AT) == ["all"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        _document()[:-1],
        _document(until=AT + LONGEST_OPENING + 1),
        _document(until="soon"),
        _document(until=None),
        _document(mode="enforce_not"),
        _document(boot=""),
        _document(ends=True),
        _document(more=1),
        _document().replace(b'"v": 1', b'"v": 2'),
    ],
)
def test_a_file_that_cannot_be_read_opens_nothing(
    machine: Machine, tmp_path: Path, data: bytes
) -> None:
    """Nor does it keep the service from starting, or from opening something."""
    put(tmp_path, data)
    book = machine.book(tmp_path)
    assert open_routes(book, AT) == []
    book.begin("clinic", OPENING, AT, "why", "alice")
    assert open_routes(machine.book(tmp_path), AT) == ["all"]


@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(0, 10**11) | st.integers(AT - 9000, AT + 9000) | st.text(max_size=3)
            for name in ("until", "made_at", "ends", "boot", "mode", "route")
        },
    ),
    passed=st.integers(-9000, 9000),
)
def test_no_file_opens_for_longer_than_an_hour(
    changes: dict[str, Any], passed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stands in it."""
    directory, now = tmp_path_factory.mktemp("book"), AT + passed
    put(directory, _document(**changes))
    for held in Machine().book(directory).in_force(now):
        assert held.made_at <= now < held.opening.until <= held.made_at + LONGEST_OPENING
        assert held.boot == "first"
        assert held.ends > Machine().at


def test_a_name_or_a_path_finds_a_row() -> None:
    """A path that two rows have names none."""
    rows = policy(route("/a/**", name="x[0] /a/**"), route("/b", name="x[1] /b"))
    twice = replace(rows, api="other", routes=(route("/b", name="y[0] /b"),))
    both = [rows, twice]
    assert find_route(both, "/a/**") == (rows, rows.routes[0])
    assert find_route(both, "y[0] /b") == (twice, twice.routes[0])
    with pytest.raises(RefusedError, match=r"2 routes.*'x\[1\] /b', 'y\[0\] /b'"):
        find_route(both, "/b")
    with pytest.raises(RefusedError, match=r"no route.*'x\[0\] /a/\*\*'"):
        find_route(both, "/c")


@pytest.mark.parametrize(
    ("mode", "seconds", "refused"),
    [
        (Mode.OFF, 1, ""),
        (Mode.MONITOR, LONGEST_OPENING, ""),
        (Mode.OFF, 0, "expected 1 to 3600"),
        (Mode.OFF, LONGEST_OPENING + 1, "expected 1 to 3600"),
        (Mode.ENFORCE, 60, "expected the mode monitor or off"),
    ],
)
def test_what_can_be_opened(
    machine: Machine, tmp_path: Path, mode: Mode, seconds: int, refused: str
) -> None:
    """For an hour at most, and to what refuses less."""
    book, table = machine.book(tmp_path), GATE_POLICIES[0]
    if refused:
        with pytest.raises(RefusedError, match=refused):
            book.proposed(table, ROUTE, mode, seconds, AT)
    else:
        wanted = Opening(ROUTE.name, mode, AT + seconds)
        assert book.proposed(table, ROUTE, mode, seconds, AT + 0.5) == wanted


def test_no_more_are_open_than_gates_take(machine: Machine, tmp_path: Path) -> None:
    """One of a route that is open already takes no more room."""
    book, table = machine.book(tmp_path), GATE_POLICIES[0]
    for number in range(MOST_OPENINGS - 1):
        book.begin("clinic", replace(OPENING, route=f"r{number}"), AT, "why", "alice")
    book.begin("clinic", OPENING, AT, "why", "alice")
    assert book.proposed(table, ROUTE, Mode.OFF, 60, AT).route == "all"
    other = replace(ROUTE, name="other")
    with pytest.raises(RefusedError, match="expected at most 64"):
        book.proposed(table, other, Mode.OFF, 60, AT)
    assert book.proposed(GATE_POLICIES[1], other, Mode.OFF, 60, AT).route == "other"


def test_this_machine_has_a_boot() -> None:
    """The same one as long as it runs."""
    assert boot_id() == boot_id()
    assert boot_id()


# The publisher.


def opened_bench(directory: Path) -> PublisherBench:
    """Return a publisher that has told gates of an opening."""
    bench = PublisherBench(directory)
    bench.tick()
    bench.publisher.openings.begin("clinic", OPENING, AT, "why", "alice")
    bench.tick()
    return bench


def said(reader: ChainReader) -> tuple[Opening, ...]:
    """Return what a gate was told of openings."""
    assert reader.bundle is not None
    return reader.bundle.openings


def test_gates_are_told_by_a_change_and_the_first_version_is_not(tmp_path: Path) -> None:
    """What the first version can't say is closed; both have the same generation."""
    bench = opened_bench(tmp_path)
    assert len(bench.lines) == 2
    reader = bench.reader()
    assert said(reader) == (OPENING,)
    assert reader.bundle is not None
    assert bench.first.openings == ()
    assert bench.first.policy == reader.bundle.policy
    assert bench.first.generation == reader.bundle.generation


def test_gates_are_told_again_each_minute(tmp_path: Path) -> None:
    """Who started meanwhile opens then, and an idle turn between says nothing."""
    bench = opened_bench(tmp_path)
    for number in range(3, 6):
        bench.now += timedelta(seconds=RESTATED_SECONDS - 1)
        bench.tick()
        assert len(bench.lines) == number - 1
        bench.now += timedelta(seconds=1)
        bench.tick()
        assert len(bench.lines) == number
        assert said(bench.reader()) == (OPENING,)
    bench.now = NOW + timedelta(seconds=600)
    bench.tick()
    assert said(bench.reader()) == ()
    lines = bench.lines
    bench.now += timedelta(hours=1)
    bench.tick()
    assert bench.lines == lines


def test_another_start_goes_on_with_it(tmp_path: Path) -> None:
    """And ends it in time."""
    bench = opened_bench(tmp_path)
    lines = bench.lines
    bench.start()
    bench.tick()
    assert bench.lines == lines
    assert said(bench.reader()) == (OPENING,)
    bench.now += timedelta(seconds=601)
    bench.start()
    bench.tick()
    assert said(bench.reader()) == ()


def test_a_route_of_another_api_is_not_told(tmp_path: Path) -> None:
    """Names of routes are an API's own."""
    bench = PublisherBench(tmp_path)
    bench.publisher.openings.begin("ledger", OPENING, AT, "why", "alice")
    bench.tick()
    assert said(bench.reader()) == ()


# The operator.


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service on a fresh state directory, with two APIs that have the same path."""
    made = service_bench(tmp_path, gate_policies=BOTH)
    yield made
    made.store.close()


def ask(bench: ServiceBench, method: str, path: str, **members: Any) -> httpx.Response:
    """Send one request of the operator's."""

    async def call(caller: Caller) -> httpx.Response:
        await bench.service.start()
        try:
            return await caller.operator.request(
                method,
                path,
                json=members or None,
                headers={"watchword-operator": "alice"},
            )
        finally:
            await bench.service.stop()

    return bench.run(call)


NAME = "clinic[0] /**"
WANTED = {"route": NAME, "mode": "monitor", "seconds": 1200, "because": "bad release"}


def modes(bench: ServiceBench) -> tuple[Opening, ...]:
    """Return what the gate of the clinic is told to open."""
    reader = ChainReader(bench.keyring.bundle_signer().verification_key())
    reader.take(bench.gate_path.with_suffix(".chain").read_bytes().split(b"\n")[:-1])
    return said(reader)


def audited(bench: ServiceBench) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return what the audit trail says of openings, newest first."""
    entries = asyncio.run(bench.store.audit_entries(10))
    return [
        (each.actor, each.action, each.subject, dict(each.detail))
        for each in entries
        if each.action.startswith("openings.")
    ]


def test_an_operator_opens_looks_and_closes(bench: ServiceBench) -> None:
    """Gates are told before the answer; each act is in the audit trail with its reason."""
    at = int(bench.clock.timestamp())
    made = ask(bench, "POST", "/v1/openings", **WANTED)
    assert made.status_code == 201
    until = bench.clock.now() + timedelta(seconds=1200)
    assert made.json()["until"] == until.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    assert modes(bench) == (Opening(NAME, Mode.MONITOR, at + 1200),)
    assert ask(bench, "GET", "/v1/openings").json() == {"openings": [made.json()]}
    assert made.json()["by"] == "operator (claimed: alice)"
    ended = ask(bench, "POST", "/v1/openings/end", route=NAME)
    assert ended.json() == {"api": "clinic", "route": NAME, "ended": True, "recorded": True}
    assert modes(bench) == ()
    assert ask(bench, "GET", "/v1/openings").json() == {"openings": []}
    again = ask(bench, "POST", "/v1/openings/end", route=NAME)
    assert again.json() == {"api": "clinic", "route": NAME, "ended": False, "recorded": True}
    told = {"api": "clinic", "mode": "monitor", "until": made.json()["until"]}
    assert audited(bench) == [
        ("operator (claimed: alice)", "openings.end", NAME, {"api": "clinic"}),
        ("operator (claimed: alice)", "openings.add", NAME, told | {"because": "bad release"}),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"route": "/**"},
        {"route": "another"},
        {"route": ""},
        {"mode": "enforce"},
        {"mode": "canary"},
        {"mode": ["off"]},
        {"seconds": 0},
        {"seconds": 3601},
        {"seconds": True},
        {"seconds": "20m"},
        {"because": ""},
        {"more": 1},
    ],
)
def test_crooked_openings_are_neither_made_nor_recorded(
    bench: ServiceBench, changed: dict[str, Any]
) -> None:
    """The answer names what is wrong."""
    answer = ask(bench, "POST", "/v1/openings", **(WANTED | changed))
    assert answer.status_code == 400
    assert answer.json()["reasons"] == ["request.malformed"]
    assert modes(bench) == ()
    assert audited(bench) == []


def test_what_cannot_be_recorded_is_not_opened_and_is_closed(tmp_path: Path) -> None:
    """A full store gives no freedom, and keeps nobody from taking it back."""
    bench = service_bench(tmp_path, gate_policies=BOTH)
    try:
        assert ask(bench, "POST", "/v1/openings", **WANTED).status_code == 201
        bench.store.close()
        other = WANTED | {"route": "ledger[0] /**"}

        async def closed(call: Caller) -> tuple[httpx.Response, httpx.Response]:
            opened = await call.operator.post("/v1/openings", json=other)
            ended = await call.operator.post("/v1/openings/end", json={"route": NAME})
            return opened, ended

        opened, _ = bench.run(closed)
        assert opened.status_code == 503
        book = bench.service.context.publisher.openings
        assert book.in_force(bench.clock.timestamp()) == ()
    finally:
        bench.store.close()


def secret_rows() -> tuple[GatePolicy, Route]:
    """Return a table with a row that adds a key."""
    row = route("/maps/**", name="maps", secret="maps")
    return policy(row), row


def test_a_route_that_adds_a_key_is_never_opened(machine: Machine, tmp_path: Path) -> None:
    """Whoever is refused by nobody would spend it."""
    table, row = secret_rows()
    with pytest.raises(RefusedError, match="adds the key maps"):
        machine.book(tmp_path).proposed(table, row, Mode.MONITOR, 60, AT)
