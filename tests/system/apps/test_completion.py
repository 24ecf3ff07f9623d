"""Complete commands in the shells that docs/completion.md names: its lines are run as they stand there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.machine import patience

PAGE: Final = Path(__file__).parents[3] / "docs" / "completion.md"
BIN: Final = Path(sys.executable).parent
COMPLETED: Final = [
    ("watchword ke", {"keys"}),
    ("watchword keys rotate --purpose ", {"tokens", "gates"}),
    ("watchword drill --fail-on op", {"open"}),
]
BASH: Final = """
. ~/.watchword-complete.bash
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}
read -r -a COMP_WORDS <<< "$1"; [[ "$1" == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
_watchword_completion watchword
printf '%s\\n' "${COMPREPLY[@]}"
"""


def lines_of(shell: str) -> str:
    """Return what the page says to do in a shell."""
    found = re.search(rf"```{shell}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def ran(home: Path, *words: str, **more: str) -> str:
    """Run a program in a home of its own, and return what it printed."""
    environment = {"HOME": str(home), "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", **more}
    done = subprocess.run(
        words, capture_output=True, text=True, check=True, env=environment, timeout=patience(60)
    )
    return done.stdout


@pytest.mark.parametrize(("typed", "expected"), COMPLETED)
def test_bash_completes(tmp_path: Path, typed: str, expected: set[str]) -> None:
    """The page's lines write a script that bash takes, and Tab finds commands, options' words and nothing else."""
    ran(tmp_path, "bash", "-eu", "-c", lines_of("bash"))
    assert ". ~/.watchword-complete.bash" in (tmp_path / ".bashrc").read_text(encoding="utf-8")
    assert set(ran(tmp_path, "bash", "-c", BASH, "bash", typed).split()) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_given_their_script_and_answers(tmp_path: Path, shell: str) -> None:
    """The page's lines run; where the shell is there, it takes the script, and the command answers it in its form."""
    ran(tmp_path, "sh", "-eu", "-c", lines_of(shell))
    (script,) = [
        each for each in tmp_path.rglob("*") if each.is_file() and each.name != f".{shell}rc"
    ]
    assert f"_WATCHWORD_COMPLETE={shell}_complete" in script.read_text(encoding="utf-8")
    if shutil.which(shell):
        ran(tmp_path, shell, "-n", str(script))
    asked = {"COMP_WORDS": "watchword ke", "_WATCHWORD_COMPLETE": f"{shell}_complete"}
    asked |= {"COMP_CWORD": "ke" if shell == "fish" else "1"}
    assert "keys" in ran(tmp_path, "watchword", **asked)
