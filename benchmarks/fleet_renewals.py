"""Renew over HTTP as phones with tickets do: processor time beside raw ES256 verifications, and rows that a renewal writes.

``watchword up`` as it is deployed, on a core of its own.  Each phone renews by the challenge and the ticket of its last answer,
some seconds after it has that, so that uses come one by one and as quickly as a fleet's do.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.gate_load import LOAD_CORE, SERVER_CORE, free_port, running, wait_for
from benchmarks.overload_enrolment import APP, AUDIENCE, BUNDLE, TEAM, post
from benchmarks.storm_load import Line
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.client.statement import binding_of, build_statement
from watchword.encoding import base64url
from watchword.lab import PHONES, InstalledIosApp, LabAuthorities, PhoneSetup
from watchword.vocabulary import Purpose

PHONES_AT_ONCE: Final = 900
PAUSE_SECONDS: Final = 2.0
SECONDS: Final = 20.0

_SERVICE: Final = """\
version: 1
environment: lab
service:
  issuer: http://127.0.0.1:{port}
  listen: 127.0.0.1:{port}
  state: state
  tickets: {tickets}
  enrolments: {{app: {{requests: 1000000, per: 1s}}, address: {{requests: 1000000, per: 1s}}}}
apps:
  {app}: {{platform: ios, team_id: {team}, bundle_id: {bundle}}}
apis:
  clinic:
    audience: {audience}
    apps: [{app}]
    routes:
      - {{path: /**}}
"""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CREATED, _RENEWED, _BUSY = 201, 200, 503


@dataclass(frozen=True)
class Found:
    """Hold what was measured.

    :param verifications: processor time of the service for a renewal, in raw ES256 verifications of the same run.
    :param rows: rows that were inserted, changed or deleted, for each renewal.
    :param rate: renewals a second.
    :param seconds: from request to answer, the median.
    :param turned_away: so often a phone was told to come again.
    :param lost: phones that were refused, or got no answer in time.
    """

    renewals: int
    verifications: float
    verification_us: float
    rows: float
    rate: float
    seconds: float
    turned_away: int
    lost: int


@dataclass
class _Fleet:
    """Be phones that renew again and again."""

    port: int
    authorities: LabAuthorities
    count: int
    with_tickets: bool
    pause: float
    renewals: int = 0
    turned_away: int = 0
    lost: int = 0
    took: list[float] = field(default_factory=list)

    async def run(self, measured: Callable[[], None], seconds: float) -> None:
        """Enrol, begin to renew, and say when it is measured, and when not any more."""
        line = Line(self.port)
        made = [self._phone(number) for number in range(self.count)]
        lasts = [await self._enrolled(line, phone) for phone in made]
        end = asyncio.Event()
        tasks = [
            asyncio.create_task(self._renewing(Line(self.port), phone, last, end))
            for phone, last in zip(made, lasts, strict=True)
        ]
        await asyncio.sleep(3)
        self.renewals, self.took = 0, []
        measured()
        await asyncio.sleep(seconds)
        measured()
        end.set()
        await asyncio.gather(*tasks)

    def _phone(self, number: int) -> Any:
        setup = PhoneSetup(self.authorities, SystemClock(), f"fleet-{number}")
        phone = PHONES["genuine-iphone"].build(InstalledIosApp(TEAM, BUNDLE), setup)
        phone.create_keys()
        return phone

    async def _enrolled(self, line: Line, phone: Any) -> dict[str, Any]:
        body = json.dumps({"app": APP, "purpose": Purpose.ENROL.value}).encode()
        _, answer = await line.ask(post(self.port, "/v1/challenges", body))
        statement = self._statement(phone, Purpose.ENROL, json.loads(answer)["challenge"])
        request = {
            "statement": base64url.encode(statement),
            "evidence": phone.attest(binding_of(statement)),
        }
        status, answer = await line.ask(
            post(self.port, "/v1/attestations", json.dumps(request).encode())
        )
        if status != _CREATED:
            raise SystemExit(f"a phone wasn't enrolled: {status} {answer!r}")
        document: dict[str, Any] = json.loads(answer)
        return document

    async def _renewing(
        self, line: Line, phone: Any, last: dict[str, Any], end: asyncio.Event
    ) -> None:
        while not end.is_set():
            await asyncio.sleep(random.uniform(0, 2 * self.pause))
            begun = time.perf_counter()
            status, answer = await line.ask(self._renewal(phone, last))
            if status == _RENEWED:
                self.took.append(time.perf_counter() - begun)
                self.renewals += 1
                last = json.loads(answer)
            elif status == _BUSY:
                self.turned_away += 1
            else:
                self.lost += 1
                return
        line.close()

    def _renewal(self, phone: Any, last: dict[str, Any]) -> bytes:
        statement = self._statement(phone, Purpose.RENEW, last["next"]["challenge"])
        request = {
            "instance": last["instance"],
            "statement": base64url.encode(statement),
            "evidence": phone.renew(statement),
        }
        if self.with_tickets:
            request["ticket"] = last["next"]["ticket"]
        return post(self.port, "/v1/tokens", json.dumps(request).encode())

    def _statement(self, phone: Any, purpose: Purpose, challenge: str) -> bytes:
        return build_statement(
            purpose=purpose,
            issuer=f"http://127.0.0.1:{self.port}",
            audiences=(AUDIENCE,),
            app=APP,
            challenge=challenge,
            proof_jwk=phone.proof_jwk,
            seal_jwk=phone.seal_jwk,
        )


class _Verifying:
    """Verify one ES256 signature again and again."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._public = key.public_key()
        self._signature = key.sign(b"x" * 200, ec.ECDSA(SHA256()))

    def seconds(self, count: int = 2000) -> float:
        """Return the processor time of one, on the service's core."""
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {SERVER_CORE})
        try:
            begun = time.process_time()
            for _ in range(count):
                self._public.verify(self._signature, b"x" * 200, ec.ECDSA(SHA256()))
            return (time.process_time() - begun) / count
        finally:
            os.sched_setaffinity(0, cores)


class _Counting:
    """Count the rows that any connection to a file of SQLite writes, by triggers."""

    def __init__(self, store: Path) -> None:
        self._connection = sqlite3.connect(store, isolation_level=None, timeout=10)
        run = self._connection.execute
        tables = [row[0] for row in run("SELECT name FROM sqlite_master WHERE type = 'table'")]
        run("CREATE TABLE IF NOT EXISTS counted (number INTEGER NOT NULL)")
        run("INSERT INTO counted VALUES (0)")
        for table in tables:
            if table.startswith("sqlite_"):
                continue
            for event in ("INSERT", "UPDATE", "DELETE"):
                run(
                    f"CREATE TRIGGER counted_{table}_{event} AFTER {event} ON {table} "
                    "BEGIN UPDATE counted SET number = number + 1; END"
                )

    @property
    def rows(self) -> int:
        return int(self._connection.execute("SELECT number FROM counted").fetchone()[0])


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def _service(directory: Path, *, tickets: bool) -> Iterator[tuple[int, int]]:
    port, file = free_port(), directory / "watchword.yaml"
    words = {"app": APP, "team": TEAM, "bundle": BUNDLE, "audience": AUDIENCE}
    file.write_text(_SERVICE.format(port=port, tickets=str(tickets).lower(), **words))
    command = [sys.executable, "-c", "from watchword.apps.cli.main import run; run()"]
    if profiled := os.environ.get("FLEET_PROFILED"):
        command = [sys.executable, profiled]
    command += ["-c", str(file), "up", "--json"]
    with running(SERVER_CORE, command, directory / "up.log") as process:
        wait_for(port)
        yield port, process.pid


def renewals(
    *,
    tickets: bool = True,
    phones: int = PHONES_AT_ONCE,
    pause: float = PAUSE_SECONDS,
    seconds: float = SECONDS,
) -> Found:
    """Measure; with tickets, or by next challenges alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as named:
        directory = Path(named)
        with _service(directory, tickets=tickets) as (port, pid):
            authorities = load_or_create(directory / "state", SystemEntropy())
            counting = _Counting(directory / "state" / "watchword.db")
            verifying, raw, seen = _Verifying(), [], []
            fleet = _Fleet(port, authorities, phones, tickets, pause)

            def look() -> None:
                seen.append(
                    (_processor_seconds(pid), counting.rows, fleet.renewals, time.monotonic())
                )
                raw.append(verifying.seconds())

            asyncio.run(fleet.run(look, seconds))
    return _found(seen, raw, fleet)


def _found(
    seen: Sequence[tuple[float, int, int, float]], raw: Sequence[float], fleet: _Fleet
) -> Found:
    (cpu, rows, done, at), (cpu_2, rows_2, done_2, at_2) = seen
    count, one = done_2 - done, statistics.mean(raw)
    return Found(
        renewals=count,
        verifications=(cpu_2 - cpu) / count / one,
        verification_us=one * 1e6,
        rows=(rows_2 - rows) / count,
        rate=count / (at_2 - at),
        seconds=statistics.median(fleet.took),
        turned_away=fleet.turned_away,
        lost=fleet.lost,
    )


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser()
    given.add_argument("--phones", type=int, default=PHONES_AT_ONCE)
    given.add_argument("--pause", type=float, default=PAUSE_SECONDS)
    given.add_argument("--seconds", type=float, default=SECONDS)
    given.add_argument("--without", action="store_true", help="renew without tickets")
    asked = given.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    found = renewals(
        tickets=not asked.without,
        phones=asked.phones,
        pause=asked.pause,
        seconds=asked.seconds,
    )
    print(found)


if __name__ == "__main__":
    main()
