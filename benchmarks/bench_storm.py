"""Cut the tokens of a whole fleet, and see whether genuine phones renew, revoked ones can't, and the service keeps up.

``watchword up`` has one core; an open loop of simulated phones, a Python gate and an nginx share the other.  Every phone holds a token
that is less than an hour old.  The operator's cut goes in steps, whose pause is taken from what the service was measured to
renew: the phones that use the app fill what four fifths of it leave beside the usual renewals.  A phone with a real
token in each part of the fleet asks both gates all along.

Run: ``python -m benchmarks.bench_storm [--fleet 500000]``; of a smaller fleet no results are kept.
"""

import argparse
import asyncio
import itertools
import json
import math
import os
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.gate_load import LOAD_CORE
from benchmarks.overload_enrolment import APP, AUDIENCE
from benchmarks.overload_load import quantile
from benchmarks.report import Goal, Row, all_reached, write_report
from benchmarks.storm_fleet import Fleet, steps_of
from benchmarks.storm_load import Line, Phones
from benchmarks.storm_service import LIFETIME, Deployment, deployment, instance_id

from watchword.apps.service.client import operator_of
from watchword.client.client import CUT_SPAN
from watchword.encoding import base64url
from watchword.enrolment.service import pairwise_subject
from watchword.gate.cuts import BUCKETS, bucket_of

WHOLE: Final = 500_000
REVOKED_SHARE: Final = 0.01
STEP: Final = 1
WIDTH: Final = 48
PEAK_SECONDS: Final = 4.0
BEFORE_SECONDS: Final = 20.0
AFTER_SECONDS: Final = 15.0
WINDOW_SECONDS: Final = 5.0
MOST_LOAD: Final = 0.8
_LEAST_ROOM: Final = 0.1
GOAL_MS: Final = 1000.0
GOAL_PERCENT: Final = 99.9
CONNECTIONS: Final = 4
"""To each gate, so that each of its workers most likely has one."""

_LOOK_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 20.0
_GOOD: Final = 200
_REFUSED: Final = frozenset({401, 403})
_REVOCATIONS: Final = 5
_LAST_PARTS: Final = 8
_AHEAD: Final = 2
"""So many parts on, nothing is cut for a while."""


def _get(token: str) -> bytes:
    head = f"GET /v1/token/patients HTTP/1.1\r\nhost: clinic.example\r\nwatchword-token: {token}\r\n\r\n"
    return head.encode()


@dataclass
class Probes:
    """Ask each gate with real tokens: of phones whose tokens are cut, and of phones whose tokens hold.

    :ivar cut: milliseconds until the tokens of a step were refused on each connection, by gate.
    :ivar revoked: milliseconds until a revocation counted, by gate.
    :ivar wrong: requests with a good token that were refused.
    """

    lines: dict[str, list[Line]]
    cut: dict[str, list[float]] = field(default_factory=dict)
    revoked: dict[str, list[float]] = field(default_factory=dict)
    asked: int = 0
    wrong: int = 0

    async def passes(self, token: str) -> None:
        """Ask once on each connection with a token that holds."""
        for lines in self.lines.values():
            for line in lines:
                status, _ = await line.ask(_get(token))
                self.asked += 1
                self.wrong += status != _GOOD

    async def opens(self, token: str) -> None:
        """Wait until each gate takes a token.

        :raises SystemExit: when one doesn't.
        """
        for name, lines in self.lines.items():
            end = time.monotonic() + _PATIENCE_SECONDS
            for line in lines:
                while (await line.ask(_get(token)))[0] != _GOOD:
                    if time.monotonic() > end:
                        raise SystemExit(f"{name} refuses a good token")
                    await asyncio.sleep(_LOOK_SECONDS)

    async def refused(self, token: str, since: float, into: dict[str, list[float]]) -> None:
        """Note after how many milliseconds each gate refuses a token on each connection."""

        async def gate(name: str, lines: list[Line]) -> None:
            for line in lines:
                while (await line.ask(_get(token)))[0] not in _REFUSED:
                    if time.monotonic() > since + _PATIENCE_SECONDS:
                        break
                    await asyncio.sleep(_LOOK_SECONDS)
            into.setdefault(name, []).append((time.monotonic() - since) * 1000)

        await asyncio.gather(*(gate(*each) for each in self.lines.items()))


class Storm:
    """Cut a fleet's tokens off and watch what comes of it."""

    def __init__(self, deployed: Deployment, issued: list[float], revoked: int) -> None:
        """Take a fleet whose last phones, one in each part and some more, are asked about."""
        self._deployed = deployed
        self._revoked = revoked
        ring = json.loads((deployed.store.with_name("keyring.json")).read_bytes())
        key = base64url.decode(ring["pairwise_key"])
        buckets = bytes(
            bucket_of(pairwise_subject(instance_id(number), AUDIENCE, key))
            for number in range(len(issued))
        )
        self._probed = {buckets[each]: each for each in range(revoked, len(issued))}
        taken = set(self._probed.values())
        # Of the parts that are cut last: their tokens are refused because they are revoked.
        free = (
            each
            for each in range(revoked, len(issued))
            if each not in taken and buckets[each] >= BUCKETS - _LAST_PARTS
        )
        self._victims = [next(free) for _ in range(_REVOCATIONS)]
        self.phones = Phones(deployed)
        self.fleet = Fleet(self.phones, issued, buckets, revoked, LIFETIME, CUT_SPAN)
        self.probes = Probes(
            {
                name: [Line(port) for _ in range(CONNECTIONS)]
                for name, port in deployed.gates.items()
            }
        )
        self.peak, self.pause, self.usual = 0.0, 0, 0.0
        self.rehearsed: dict[str, Any] = {}
        self.share, self.alive, self.began = 0, 0, 0.0

    async def run(self) -> None:
        """Measure all of it."""
        tokens = {bucket: await self._token(each) for bucket, each in self._probed.items()}
        spare = [await self._token(each) for each in self._victims]
        for token in (*tokens.values(), *spare):
            await self.probes.opens(token)
        # Not before the gates stand, which start on the same machine.
        self.peak = max([await self._closed() for _ in range(2)])
        room = max(_LEAST_ROOM * self.peak, MOST_LOAD * self.peak - self.fleet.opens_a_second)
        self.pause = max(1, math.ceil(self.fleet.in_session / BUCKETS * STEP / room))
        print(
            f"{self.peak:.0f} renewals a second at most, {self.fleet.in_session} phones in use: "
            f"{steps_of(STEP)} steps, one every {self.pause} s",
            flush=True,
        )
        ended = asyncio.Event()
        running = asyncio.create_task(self.fleet.run(ended))
        await asyncio.sleep(BEFORE_SECONDS)
        self.usual = len(self.fleet.counts.moments) / BEFORE_SECONDS
        self.alive, self.began = self.fleet.alive, time.monotonic()
        watching = asyncio.create_task(self._watch(tokens))
        await asyncio.to_thread(self._cut)
        await self._revoke(spare)
        await watching
        await asyncio.sleep(AFTER_SECONDS)
        ended.set()
        await running
        self._close()

    async def _closed(self) -> float:
        """Return how many renewals a second are answered where each waits for the one before."""
        end, done = time.monotonic() + PEAK_SECONDS, 0
        numbers = itertools.cycle(range(self._revoked, len(self.fleet)))

        async def one_after_another() -> None:
            nonlocal done
            while time.monotonic() < end:
                number = next(numbers)
                found = await self.phones.renew(number)
                done += found.status == _GOOD

        await asyncio.gather(*(one_after_another() for _ in range(WIDTH)))
        return done / PEAK_SECONDS

    async def _token(self, number: int) -> str:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not (found := await self.phones.renew(number)).token:
            if time.monotonic() > end:
                raise SystemExit(f"a genuine phone got no token: status {found.status}")
            await asyncio.sleep(1.0)
        return found.token

    def _cut(self) -> None:
        wanted: dict[str, str | int] = {"app": APP, "step": STEP, "pause": self.pause}
        with operator_of(self._deployed.file) as service:
            self.rehearsed = service.get("/v1/cuts/rehearsal", **wanted)
            service.post("/v1/cuts", wanted | {"because": "the benchmark cuts a fleet off"})

    async def _watch(self, tokens: dict[int, str]) -> None:
        """See each step in the store, tell the fleet, and ask the gates."""
        connection = self._deployed.reading()
        end = time.monotonic() + 2 * steps_of(STEP) * self.pause + _PATIENCE_SECONDS
        asking: list[asyncio.Task[None]] = []
        while self.share < BUCKETS and time.monotonic() < end:
            for before, share in connection.execute("SELECT before, share FROM cuts"):
                if share > self.share:
                    since, first, self.share = time.monotonic(), self.share, share
                    self.fleet.cut(before, share)
                    step = [each for each in range(first, share) if each in tokens]
                    asking.append(asyncio.create_task(self._ask(step, tokens, since)))
            await asyncio.sleep(_LOOK_SECONDS)
        connection.close()
        await asyncio.gather(*asking)

    async def _ask(self, step: list[int], tokens: dict[int, str], since: float) -> None:
        """Ask with what is cut now, with what it was renewed to, and with what isn't cut yet."""
        for bucket in step:
            await self.probes.refused(tokens[bucket], since, self.probes.cut)
            await self.probes.passes(await self._token(self._probed[bucket]))
        if (held := tokens.get(step[-1] + _AHEAD)) is not None and self.share <= step[-1] + _AHEAD:
            await self.probes.passes(held)

    async def _revoke(self, tokens: list[str]) -> None:
        """Revoke phones one by one during the storm, and have each try to renew."""
        for number, token in zip(self._victims, tokens, strict=True):
            await asyncio.sleep(self.pause / 3)
            since = time.monotonic()
            path = f"/v1/instances/{instance_id(number)}/revoke"

            def revoke(path: str = path) -> None:
                with operator_of(self._deployed.file) as service:
                    service.post(path, {"because": "the benchmark revokes one more"})

            await asyncio.to_thread(revoke)
            await self.probes.refused(token, since, self.probes.revoked)
            found = await self.phones.renew(number)
            self.fleet.counts.revoked_asked += 1
            self.fleet.counts.revoked_renewed += found.status == _GOOD

    def _close(self) -> None:
        self.phones.close()
        for lines in self.probes.lines.values():
            for line in lines:
                line.close()


def report(storm: Storm, *, whole: bool) -> bool:
    """Print and write what was found; tell whether all goals are reached."""
    counts, probes = storm.fleet.counts, storm.probes
    genuine = len(counts.took) + counts.failed.total()
    in_time = len(counts.took) / max(genuine, 1) * 100
    whole_cut = Row.at_least("parts of the fleet that are cut at the end", storm.share, BUCKETS)
    storming = Row.at_most_times(
        f"renewals begun in any {WINDOW_SECONDS:g} s of the storm, most a second (peer: closed loop)",
        counts.peak(WINDOW_SECONDS, storm.began),
        storm.peak,
        1.0,
    )
    served = Row.at_least("genuine renewals answered well within 2 s, %", in_time, GOAL_PERCENT)
    let_in = Row.at_most("  of them renewed", counts.revoked_renewed, None, 0)
    wrong = Row.at_most("  of them refused", probes.wrong, None, 0)
    refused = [
        Row.at_most(f"longest until {kind} is refused at the {name}, ms", max(each), None, GOAL_MS)
        for kind, times in (
            ("a step of the cut", probes.cut),
            ("one more revocation", probes.revoked),
        )
        for name, each in times.items()
    ]
    rows = [
        Row("phones of the fleet", len(storm.fleet)),
        Row("phones that hold a living token at the cut", storm.alive),
        Row("renewals a second in a closed loop, most", storm.peak),
        Row("usual renewals before the cut, a second", storm.usual),
        Row("steps of the cut", steps_of(STEP)),
        Row("pause between two steps, s", storm.pause),
        *_rehearsed(storm),
        whole_cut,
        storming,
        Row("phones that renewed what was cut", counts.renewed),
        served,
        *(
            Row(f"  answered otherwise or late, status {status}", count)
            for status, count in sorted(counts.failed.items())
        ),
        Row("  seconds of the run in which that befell any", len(counts.bad_seconds)),
        Row("  the 99th of 100 took, ms", quantile(counts.took, 0.99) * 1000),
        Row(
            "  the generator was late by, the 99th of 100, ms", quantile(counts.behind, 0.99) * 1000
        ),
        Row("renewals of revoked phones", counts.revoked_asked),
        let_in,
        Row("requests at the gates with a token that holds", probes.asked),
        wrong,
        *refused,
    ]
    write_report("storm", rows, whole=whole)
    return all_reached(
        (
            Goal("what is cut is refused within 1 s at both gates", [whole_cut, *refused]),
            Goal("tokens that hold pass", [wrong]),
            Goal("genuine phones renew", [served]),
            Goal("revoked phones can't renew", [let_in]),
            Goal("the storm stays under what the service answers", [storming]),
        )
    )


def _rehearsed(storm: Storm) -> list[Row]:
    """Return what the command said before, beside what came."""
    said, peak = storm.rehearsed, storm.fleet.counts.peak(WINDOW_SECONDS, storm.began)
    return [
        Row("rehearsal: instances that it would hit", float(said["instances"])),
        Row("rehearsal: renewals a second, most (peer: those begun)", float(said["peak"]), peak),
        Row(
            "rehearsal: renewals a second that the service answers (peer: measured)",
            float(said["capacity"]),
            storm.peak,
        ),
    ]


def main() -> None:
    """Measure, print and write the results; exit 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleet", type=int, default=WHOLE, help="phones, each with a token")
    count = parser.parse_args().fleet
    os.sched_setaffinity(0, {LOAD_CORE})
    drawn, now = random.Random(count), time.time()
    issued = [now - drawn.uniform(0, LIFETIME) for _ in range(count)]
    # On the disk, not in memory: each renewal is written through before it is answered.
    directory = Path(tempfile.mkdtemp(prefix="storm-"))
    try:
        with deployment(directory, issued, int(count * REVOKED_SHARE)) as deployed:
            storm = Storm(deployed, issued, int(count * REVOKED_SHARE))
            asyncio.run(storm.run())
    finally:
        shutil.rmtree(directory)
    if not report(storm, whole=count >= WHOLE):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
