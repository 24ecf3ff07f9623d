"""Play the demo as its command does, once for all tests that read what it says."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import Once

from watchword.apps.demo.steps import Act, Outcome

WATCHWORD = [sys.executable, "-c", "from watchword.apps.cli.main import run; run()"]
LONGEST_SECONDS = 240


def told_as_json(once: Once, *, full: bool = False) -> tuple[str, list[str]]:
    """Return what ``demo --json`` prints, and the names of the files that it leaves behind; it must exit with 0."""
    options = ["--full"] if full else []
    told = json.loads(once(f"demo-json{''.join(options)}", lambda: _json(options)))
    return told["printed"], told["left"]


def told_to_people(once: Once) -> str:
    """Return what ``demo`` prints in a terminal of 80 columns; it must exit with 0."""
    return once("demo-text", _text)


def acts_of(printed: str) -> list[Act]:
    """Return the acts that were printed as JSON."""
    return [
        Act(
            each["chapter"],
            each["act"],
            each["actor"],
            each["expected"],
            Outcome(
                each["got"].removesuffix(f": {each['reason']}"),
                each["reason"],
            ),
            decisive=each["decisive"],
        )
        for each in json.loads(printed)
    ]


def _json(options: list[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="watchword-demo-left-") as directory:
        done = subprocess.run(
            [*WATCHWORD, "demo", "--json", *options],
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
            env={"TMPDIR": directory, "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, (
            done.stderr,
            [act for act in acts_of(done.stdout) if not act.ok],
        )
        assert done.stderr == ""
        left = sorted(each.name for each in Path(directory).iterdir())
    return json.dumps({"printed": done.stdout, "left": left})


def _text() -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("watchword")), "demo"],
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
        env={**os.environ, "COLUMNS": "80"},  # noqa: TID251 - a narrow terminal.
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
