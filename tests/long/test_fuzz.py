"""Fuzz every parser for a time: what the corpora of ``fuzz/`` replay in moments, this searches on from."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from fuzz.targets import TARGETS
from tests.machine import patience

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_nothing_is_found(target: str, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """A parser that is fuzzed answers each input, with a value or with an error of ours, in time."""
    seconds = pytestconfig.getoption("--fuzz-seconds")
    command = [
        sys.executable,
        "-m",
        "fuzz",
        target,
        "--seconds",
        str(seconds),
        "--finds",
        str(tmp_path),
    ]
    run = subprocess.run(
        command,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=patience(seconds + 120),
    )
    assert run.returncode == 0, run.stdout + run.stderr
