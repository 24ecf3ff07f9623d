"""Take secrets out of the environment."""

import subprocess
import sys

import pytest

from watchword.apps.terminal.environment import taken

NAME, TEXT = "WATCHWORD_TEST_SECRET", "marked-secret-of-the-test"


def test_a_variable_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it isn't there any more; one that is empty counts as missing."""
    monkeypatch.setenv(NAME, TEXT)
    assert taken(NAME) == TEXT
    with pytest.raises(KeyError):
        monkeypatch.delenv(NAME)
    assert taken(NAME) is None
    monkeypatch.setenv(NAME, "")
    assert taken(NAME) is None


def test_a_taken_variable_is_nowhere_afterwards() -> None:
    """Neither in what the kernel shows of the process nor in a child, where it was before."""
    code = f"""
import subprocess
from pathlib import Path
from watchword.apps.terminal.environment import taken
def shown():
    mine = Path("/proc/self/environ").read_bytes()
    child = subprocess.run(["/usr/bin/env"], capture_output=True, check=True).stdout
    return [{TEXT!r}.encode() in each for each in (mine, child)]
print(shown(), taken({NAME!r}) == {TEXT!r}, shown())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={NAME: TEXT, "ANOTHER": "variable"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[True, True] True [False, False]\n"
