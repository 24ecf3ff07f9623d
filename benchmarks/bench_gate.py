"""Measure what the check costs a request: plain beside protected, in Envoy, on uvicorn and in process.

One table.  Each server has a core to itself; wrk, with 32 connections, and the API behind the proxies
have the other one.  Rounds of a second are taken in turn, and the median of the quieter half counts.  Counted is the processor time of the servers, user and system,
divided by the requests that were answered; an answer that isn't a 200 ends the run.

Run: ``python -m benchmarks.bench_gate [decisions] [served] [wsgi] [envoy] [engines]``; of a part alone no results are kept.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import gate_decisions, gate_engines, gate_envoy, gate_served, gate_wsgi
from benchmarks.gate_instances import Fleet
from benchmarks.gate_load import LOAD_CORE
from benchmarks.report import RESULTS, write_report


def main() -> None:
    """Measure, print and write the results; exit 1 when a goal is missed."""
    parts = sys.argv[1:] or ["envoy", "engines", "served", "wsgi", "decisions"]
    os.sched_setaffinity(0, {LOAD_CORE})
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        fleet = Fleet()
        found = gate_decisions.take(fleet, directory)
        rows = []
        if "envoy" in parts:
            rows += gate_envoy.measure(fleet, directory)
        if "engines" in parts:
            rows += gate_engines.measure(fleet, directory)
        if "wsgi" in parts:
            rows += gate_wsgi.measure(fleet, directory)
        if "served" in parts:
            rows += gate_served.measure(fleet, directory, found["raw"])
        rows += gate_decisions.rows(found)
        good = write_report("gate-part" if sys.argv[1:] else "gate", rows)
    finally:
        shutil.rmtree(directory)
        (RESULTS / "gate-part.json").unlink(missing_ok=True)
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
