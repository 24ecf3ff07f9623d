"""Run every benchmark: ``make bench``; exits 1 if a goal isn't met."""

import subprocess
import sys

NAMES = (
    "start",
    "up",
    "gate",
    "pushes",
    "overload",
    "attestation",
    "channel",
    "keys",
    "plan",
    "drill",
    "scan",
)

if __name__ == "__main__":
    # Each in a process of its own, so that none measures what another left behind.
    runs = [
        subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"], check=False)
        for name in NAMES
    ]
    sys.exit(max(run.returncode for run in runs))
