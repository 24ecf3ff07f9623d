"""Measure what a fleet of many phones asks of the service: its store on SQLite and on PostgreSQL, renewals, ten million rows, expiry.

All is measured in one run, and what is compared is measured in turns: ratios stand a load, figures by themselves don't.

- Clients enrol side by side, at the store itself and over HTTP at ``watchword up``.
- Phones renew over HTTP, with tickets and without: processor time beside raw ES256 verifications, and rows that are written.
- Clients enrol into a PostgreSQL that has few rows, and into one that has ten million.
- Somebody enrols while unused instances are dropped.

Run: ``python -m benchmarks.bench_fleet [--short]``; short, it takes a minute, and no results are kept.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import expiry, fleet_renewals, fleet_stores
from benchmarks.gate_load import LOAD_CORE
from benchmarks.overload_enrolment import deployment, phones
from benchmarks.overload_load import Generator
from benchmarks.report import Goal, Row, all_reached, write_report
from tests.system.adapters.postgres.servers import Postgres

from watchword.adapters.postgres.address import PostgresAddress

FASTER: Final = 4.0
MOST_VERIFICATIONS: Final = 15.0
MOST_ROW_WRITES: Final = 0.01
LEAST_OF_FEW: Final = 0.8
MOST_HELD_MS: Final = 100.0
_EVERY_CORE: Final = range(os.cpu_count() or 1)


@dataclass(frozen=True)
class Form:
    """Say how much is measured.

    :param seconds: of each turn.
    :param served: phones that are made for each engine over HTTP.
    :param few: rows beside which ``many`` are measured.
    :param expiring: instances of which a fifth is dropped, by engine.
    """

    turns: int
    seconds: float
    served: int
    renewing: int
    renewing_seconds: float
    few: int
    many: int
    expiring: dict[str, int]
    expiring_seconds: float


WHOLE: Final = Form(
    turns=5,
    seconds=4.0,
    served=2000,
    renewing=900,
    renewing_seconds=15.0,
    few=100_000,
    many=10_000_000,
    expiring={"SQLite": 500_000, "PostgreSQL": 200_000},
    expiring_seconds=12.0,
)
SHORT: Final = Form(
    turns=2,
    seconds=1.0,
    served=150,
    renewing=100,
    renewing_seconds=4.0,
    few=1_000,
    many=20_000,
    expiring={"SQLite": 10_000, "PostgreSQL": 10_000},
    expiring_seconds=2.0,
)


class Part(NamedTuple):
    """Hold the rows of one part, and what must be reached."""

    rows: list[Row]
    goals: list[Goal]


def side_by_side(form: Form, directory: Path, server: Postgres) -> Part:
    """Have clients enrol on SQLite and on PostgreSQL in turns: at the store, and over HTTP."""
    rates: dict[str, list[float]] = {"SQLite": [], "PostgreSQL": []}
    with (
        fleet_stores.sqlite(directory) as file,
        fleet_stores.postgresql(server.ready()) as database,
    ):
        for turn in range(form.turns):
            for name, store in (("SQLite", file), ("PostgreSQL", database)):
                load = fleet_stores.enrol(store, form.seconds, seed=len(name) * 1000 + turn)
                rates[name].append(load.rate)
    quicker = statistics.median(rates["PostgreSQL"]) / statistics.median(rates["SQLite"])
    faster = Row.at_least(
        f"PostgreSQL: enrolments of {fleet_stores.CLIENTS} clients, times as many as SQLite",
        quicker,
        FASTER,
    )
    served = {
        "SQLite": _served(form, directory / "sqlite", ""),
        "PostgreSQL": _served(form, directory / "postgresql", _setting(server)),
    }
    name = f"enrolments of {fleet_stores.CLIENTS} clients, a second"
    rows = [
        Row(f"SQLite: {name}", statistics.median(rates["SQLite"])),
        Row(
            f"PostgreSQL: {name} (peer: SQLite)",
            statistics.median(rates["PostgreSQL"]),
            statistics.median(rates["SQLite"]),
        ),
        faster,
        Row(f"SQLite: over HTTP, one process: {name}", served["SQLite"]),
        Row(
            f"PostgreSQL: over HTTP, one process: {name} (peer: SQLite)",
            served["PostgreSQL"],
            served["SQLite"],
        ),
    ]
    return Part(rows, [Goal("eight clients enrol four times as fast as on SQLite", [faster])])


def _setting(server: Postgres) -> str:
    """Return the lines of a file that name a new database."""
    address = server.ready()
    place = f"{str(server.directory).replace('/', '%2F')}:{server.port}"
    return f"  store: postgresql://{address.user}@{place}/{address.database}\n"


def _served(form: Form, directory: Path, more: str) -> float:
    """Return how many phones a second enrol at ``watchword up``."""
    directory.mkdir()
    with deployment(directory, more=more) as deployed:
        made = phones(deployed, form.served)
        generator = Generator(deployed.port, patience=30.0)
        try:
            return generator.closed(made, fleet_stores.CLIENTS, form.seconds)
        finally:
            generator.close()


def renewals(form: Form) -> Part:
    """Have phones renew with tickets, and without."""
    found = {
        kind: fleet_renewals.renewals(
            tickets=kind == "with tickets", phones=form.renewing, seconds=form.renewing_seconds
        )
        for kind in ("with tickets", "without tickets")
    }
    with_tickets = found["with tickets"]
    cheap = Row.at_most(
        "renewal over HTTP with tickets: processor time, raw ES256 verifications",
        with_tickets.verifications,
        None,
        MOST_VERIFICATIONS,
    )
    few = Row.at_most(
        "renewal over HTTP with tickets: rows written", with_tickets.rows, None, MOST_ROW_WRITES
    )
    out = Row.at_most(
        "renewals that were refused or got no answer",
        sum(each.lost for each in found.values()),
        None,
        0,
    )
    rows = [
        Row("raw ES256 verification (cryptography), us", with_tickets.verification_us),
        cheap,
        few,
        Row(
            "renewal over HTTP without tickets: processor time, raw ES256 verifications",
            found["without tickets"].verifications,
        ),
        Row("renewal over HTTP without tickets: rows written", found["without tickets"].rows),
        *(
            line
            for kind, each in found.items()
            for line in (
                Row(f"renewals a second that were offered and answered, {kind}", each.rate),
                Row(
                    f"renewal over HTTP {kind}: answered within, half of them, ms",
                    each.seconds * 1000,
                ),
            )
        ),
        out,
    ]
    goals = [
        Goal("a renewal costs at most 15 raw verifications with tickets", [cheap]),
        Goal("a renewal writes at most 0.01 rows with tickets", [few]),
        Goal("no renewal is lost", [out]),
    ]
    return Part(rows, goals)


def many_rows(form: Form, server: Postgres, few: PostgresAddress, many: PostgresAddress) -> Part:
    """Have clients enrol beside few rows and beside many, in turns."""
    rates: dict[str, list[float]] = {few.database: [], many.database: []}
    with fleet_stores.postgresql(few) as small, fleet_stores.postgresql(many) as large:
        for turn in range(form.turns):
            for address, store in ((few, small), (many, large)):
                seed = (int(address.database[1:]) + 5) * 1000 + turn
                rates[address.database].append(fleet_stores.enrol(store, form.seconds, seed).rate)
    beside = statistics.median(rates[few.database])
    rate = statistics.median(rates[many.database])
    share = Row.at_least(
        f"enrolments beside {form.many:,} instances, share of the rate beside {form.few:,}",
        rate / beside,
        LEAST_OF_FEW,
    )
    rows = [
        Row(
            f"PostgreSQL: enrolments a second beside {form.many:,} instances (peer: beside {form.few:,})",
            rate,
            beside,
        ),
        share,
        Row(
            "PostgreSQL: bytes of an Android phone, indexes and audit entry included",
            fleet_stores.size(server, many.database) / form.many,
        ),
    ]
    return Part(rows, [Goal("ten million rows cost at most a fifth of the rate", [share])])


def expiring(form: Form) -> Part:
    """Enrol while unused instances are dropped."""
    rows, held = [], []
    for name, engine in (("SQLite", expiry.sqlite), ("PostgreSQL", expiry.postgresql)):
        count = form.expiring[name]
        with engine(count) as store:
            found = asyncio.run(expiry.measured(store, form.expiring_seconds))
        # As a client sees it; the second summary leaves out what a busy machine adds.
        (without, _), (beside, _) = found["without"], found["with"]
        held.append(
            Row.at_most(
                f"{name}: longest that an enrolment is held up while unused instances are dropped, ms",
                max(0.0, beside["longest"] - without["p50"]),
                None,
                MOST_HELD_MS,
            )
        )
        rows += [
            held[-1],
            Row(
                f"{name}: longest enrolment meanwhile, ms (peer: longest without)",
                beside["longest"],
                without["longest"],
            ),
            Row(
                f"{name}: enrolment meanwhile, half of them, ms (peer: without)",
                beside["p50"],
                without["p50"],
            ),
            Row(
                f"{name}: instances dropped meanwhile, of {count:,}", sum(found["dropped"].values())
            ),
        ]
    return Part(rows, [Goal("expiry holds no enrolment up by more than 100 ms", held)])


@contextmanager
def _timed(what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - begun:.0f} s", flush=True)


def measure(form: Form, directory: Path) -> list[Part]:
    """Measure all of it."""
    parts = []
    with _timed("renewals"):
        parts.append(renewals(form))
    os.sched_setaffinity(0, _EVERY_CORE)
    with _timed("expiry"):
        parts.append(expiring(form))
    with fleet_stores.server() as server:
        few, many = server.ready(), server.ready()
        with _timed(f"filling with {form.many:,}"):
            fleet_stores.fill(server, few.database, form.few)
            fleet_stores.fill(server, many.database, form.many)
            fleet_stores.serve(server)
        with _timed("many rows"):
            parts.append(many_rows(form, server, few, many))
        with _timed("side by side"):
            parts.append(side_by_side(form, directory, server))
    return parts


def main() -> None:
    """Measure, print and write the results; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a minute, to see that it works")
    form = SHORT if parser.parse_args().short else WHOLE
    os.sched_setaffinity(0, {LOAD_CORE})
    # On the disk, not in memory: each enrolment is written through before it is answered.
    directory = Path(tempfile.mkdtemp(prefix="fleet-", dir="/var/tmp"))
    try:
        parts = measure(form, directory)
    finally:
        shutil.rmtree(directory)
    write_report("fleet", [row for part in parts for row in part.rows], whole=form is WHOLE)
    if not all_reached([goal for part in parts for goal in part.goals]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
