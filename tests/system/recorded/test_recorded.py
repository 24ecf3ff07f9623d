"""Outputs, answers and generated files are byte for byte what was recorded, under the table of renames."""

import difflib
import subprocess
import sys

import pytest
from tests.machine import patience
from tests.system.recorded.groups import GROUPS, made
from tests.system.recorded.transcript import FILES, ROOT, recorded

_MOST_SHOWN = 200


def _made_elsewhere(name: str) -> str:
    program = "import sys; from tests.system.recorded.groups import made; sys.stdout.write(made(sys.argv[1]))"
    command = [sys.executable, "-W", "ignore", "-c", program, name]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=patience(120)
    )
    return done.stdout


# A command is a process: what it leaves open at its end, the system closes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", GROUPS)
def test_as_recorded(name: str) -> None:
    """What a group puts out is what was recorded; else the difference is shown."""
    # Click keeps the options of a command's help as they were when it was first asked, by another test without the roof perhaps.
    now = (_made_elsewhere if name == "help" else made)(name).splitlines()
    was = recorded(name).splitlines()
    # Once in some hundred runs what is drawn at random looks like something else, or a plan was too busy: a difference comes again.
    if now != was and name != "help":
        now = made(name).splitlines()
    shown = list(difflib.unified_diff(was, now, f"recorded {name}", "now", lineterm="", n=4))
    more = f"\n... and {len(shown) - _MOST_SHOWN} lines more" if len(shown) > _MOST_SHOWN else ""
    if shown:
        pytest.fail(
            "\n".join(shown[:_MOST_SHOWN]) + more + "\n(python -m tests.recorded --write records)",
            pytrace=False,
        )


def test_nothing_is_recorded_of_no_group() -> None:
    """Each file belongs to a group."""
    assert {file.stem for file in FILES.glob("*.txt")} == set(GROUPS)
