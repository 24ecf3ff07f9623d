"""Renew every result: ``make bench``; exits 1 if a goal isn't met.

The quickest come first.  What needs a machine without other work says so on docs/performance.md.
"""

import subprocess
import sys
import time

RUNS = (
    ("start", "benchmarks.bench_start"),
    ("up", "benchmarks.bench_up"),
    ("keys", "benchmarks.bench_keys"),
    ("channel", "benchmarks.bench_channel"),
    ("drill", "benchmarks.bench_drill"),
    ("sdk", "benchmarks.bench_sdk"),
    ("sdk_ios", "benchmarks.bench_sdk_ios"),
    ("attestation", "benchmarks.bench_attestation"),
    ("gate_instructions", "benchmarks.gate_instructions"),
    ("plan", "benchmarks.bench_plan"),
    ("workshop", "benchmarks.bench_workshop"),
    ("pushes", "benchmarks.bench_pushes"),
    ("gate", "benchmarks.bench_gate"),
    ("pushes_revoked", "benchmarks.bench_pushes", "--revoked", "1000000"),
    ("release", "scripts.release_numbers", "--run"),
    ("launch", "benchmarks.fleet_launch"),
    ("overload", "benchmarks.bench_overload"),
    ("storm", "benchmarks.bench_storm"),
    ("scan", "benchmarks.bench_scan"),
)
"""By the file of results that it writes: the module that is run, and its options."""


def main() -> int:
    """Run one after another, and say how long each took; return the worst exit code."""
    worst = 0
    for name, *command in RUNS:
        started = time.monotonic()
        # Each in a process of its own, so that none measures what another left behind.
        done = subprocess.run([sys.executable, "-m", *command], check=False)
        print(
            f"{name}: {time.monotonic() - started:.0f} s, exit code {done.returncode}", flush=True
        )
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
