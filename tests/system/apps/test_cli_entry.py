"""Show how the command line starts, and how it ends when something is missing or interrupted."""

import os
import re
import subprocess
import sys

import pytest

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise ModuleNotFoundError("No module named 'click'", name="click")
sys.meta_path.insert(0, Blocked())
from watchword.apps.cli.entry import run
run()
"""


def test_a_bare_install_says_what_to_install() -> None:
    """No trace, but the extra by its name."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("the command line isn't complete: the package click isn't installed;")
    assert re.search(r"the extra server brings it: pip install .*\[server\]", line)


def test_help_needs_no_command_to_be_imported() -> None:
    """Neither pydantic nor cryptography nor a server is loaded to list the commands."""
    code = (
        "import sys; sys.argv = ['watchword', '--help']\n"
        "from watchword.apps.cli.entry import run\n"
        "try:\n    run()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'pydantic', 'cryptography', 'granian', 'httpx', 'rich', 'yaml'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(
    ("command", "code"), [(["schema"], 0), (["--help"], 0), (["scan", "missing.apk"], 2)]
)
def test_a_closed_output_is_no_fault(command: list[str], code: int, closed: str) -> None:
    """A service manager may start us without one: the exit code stands, and nothing is said of faults in Watchword."""
    start = "from watchword.apps.cli.entry import run; run()"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", start, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["schema"], ["--help"], ["policy", "--help"]])
def test_reader_that_goes_away_is_no_failure(command: list[str]) -> None:
    """``watchword schema | head -1`` ends well, and without a word."""
    read, write = os.pipe()
    os.close(read)
    code = f"import sys; sys.argv = ['watchword', *{command!r}]\n"
    code += "from watchword.apps.cli.entry import run\nrun()\n"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
