"""Show that what keeps ``make demo`` from installing ends in one sentence that says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.system.conftest import ROOT

OLD = '#!/bin/sh\n[ "$1" != --version ] || { echo "Python 3.9.2"; exit 0; }\nexit 1\n'
WITHOUT_VENV = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return as much of a clone as is read before anything is installed."""
    place = tmp_path / "clone"
    for name in ("scripts/setup", "requirements/runtime.txt", "pyproject.toml"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    return place


def _refused(clone: Path, python: str | Path | None, **environment: str) -> str:
    """Run the set-up beside a ``python3`` and nothing else that installs; return the one line that it ends with.

    :param python: its program, or what it does; None for a machine that has none.
    """
    tools = clone.parent / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "cat", "dirname", "env", "grep", "id", "tail"):
        (tools / name).symlink_to(str(shutil.which(name)))
    if isinstance(python, Path):
        (tools / "python3").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    elif python is not None:
        (tools / "python3").write_text(python)
    if python is not None:
        (tools / "python3").chmod(0o755)
    done = subprocess.run(
        [clone / "scripts" / "setup", "runtime"],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
        env={"PATH": str(tools), "HOME": str(clone.parent), **environment},
    )
    assert done.returncode == 1, done.stdout
    *before, line = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert len(before) <= 1
    return line


def test_python_too_old_or_missing(clone: Path) -> None:
    """Told is what was found, and what is expected."""
    expected = "expected Python 3.11 or newer: install it, and put it first on PATH as python3"
    assert _refused(clone, OLD) == f"setup: got Python 3.9.2, {expected}"
    shutil.rmtree(clone.parent / "tools")
    assert _refused(clone, None) == f"setup: got no python3, {expected}"


def test_no_venv_module(clone: Path) -> None:
    """Debian has it in a package of its own, which is named."""
    line = _refused(clone, WITHOUT_VENV)
    assert line == (
        "setup: this python3 has no venv module: install it (Debian: apt install python3-venv), and run it again"
    )


def _python() -> Path:
    return Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"


def test_no_network(clone: Path) -> None:
    """Of all that pip says the last error is shown, and where to look."""
    line = _refused(
        clone,
        _python(),
        PIP_INDEX_URL=f"http://127.0.0.1:{free_port()}/",
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
        PIP_CONFIG_FILE=os.devnull,
    )
    assert line.startswith(
        "setup: the packages can't be installed (ERROR: No matching distribution"
    )
    assert line.endswith("check the network, or pip's proxy and index, and run it again")


def test_clone_that_can_not_be_written(clone: Path) -> None:
    """The place of the virtual environment is named."""
    (clone / ".venv").write_text("in the way")
    line = _refused(clone, _python())
    assert line.startswith(f"setup: no virtual environment can be made in {clone}/.venv: ")
