"""Show what a workspace keeps, and what it refuses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.adapters.ordinary_user import ordinary_user

from watchword.adapters.pin_workspace import PinWorkspace, WorkspaceError


def made(tmp_path: Path) -> PinWorkspace:
    """Return a workspace."""
    workspace = PinWorkspace(tmp_path / "pins")
    workspace.create()
    workspace.write_pinned(b"version: 1\n")
    return workspace


def test_versions_are_ordered_as_numbers(tmp_path: Path) -> None:
    """9 comes before 10, and what isn't a version isn't one."""
    workspace = made(tmp_path)
    for version in (10, 9, 20261127031500):
        workspace.add_set("clinic", version, b"set %d" % version)
    for name in (".11.jws.77.new", "012.jws", "x.jws", "7.txt"):
        (workspace.directory / "sets" / "clinic" / name).write_text("")
    assert workspace.set_versions("clinic") == (9, 10, 20261127031500)
    assert workspace.read_set("clinic", 9) == b"set 9"
    assert workspace.apps() == ("clinic",)


def test_what_was_published_is_never_written_over(tmp_path: Path) -> None:
    """A version is one set for good; so are a root list and what an app version ships with."""
    workspace = made(tmp_path)
    workspace.add_set("clinic", 1, b"first")
    workspace.add_roots(1, b"first")
    workspace.add_builtin("clinic", "4.2.0", b"first")
    with pytest.raises(WorkspaceError, match="never written over"):
        workspace.add_set("clinic", 1, b"second")
    with pytest.raises(WorkspaceError, match="never written over"):
        workspace.add_roots(1, b"second")
    with pytest.raises(WorkspaceError, match="never written over"):
        workspace.add_builtin("clinic", "4.2.0", b"second")
    assert workspace.read_set("clinic", 1) == workspace.read_roots(1) == b"first"
    assert workspace.read_builtin("clinic-4.2.0") == b"first"


@pytest.mark.parametrize("part", ["roots", "sets", "builtins", "pins.yaml"])
def test_a_workspace_half_deleted_is_told(tmp_path: Path, part: str) -> None:
    """The part that is gone is named; nothing is made up in its place."""
    workspace = made(tmp_path)
    workspace.require()
    gone = workspace.directory / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(WorkspaceError, match=f"without {part}, expected a whole workspace"):
        workspace.require()
    assert not gone.exists()


def test_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    """An operator's first mistake."""
    with pytest.raises(WorkspaceError, match="watchword pins init"):
        PinWorkspace(tmp_path / "pins").require()


@pytest.mark.parametrize("app", ["../x", "a/b", "", "A", "x" * 64, ".", "a\n"])
def test_an_app_that_is_no_name_leads_nowhere(tmp_path: Path, app: str) -> None:
    """Names become directories."""
    workspace = made(tmp_path)
    with pytest.raises(WorkspaceError):
        workspace.add_set(app, 1, b"")
    with pytest.raises(WorkspaceError):
        workspace.builtin_file(app, "1")
    with pytest.raises(WorkspaceError):
        workspace.builtin_file("clinic", app.lower() + "/..")


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    """Who may write there could put another key in the place of ours."""
    workspace = made(tmp_path)
    workspace.directory.chmod(0o755)
    with pytest.raises(WorkspaceError, match="mode 0755, expected 0700"), workspace.locked():
        pass


def test_a_directory_that_cant_be_written_is_told() -> None:
    """The file system refuses: nothing is there afterwards."""
    with ordinary_user() as place:
        place.chmod(0o500)
        with pytest.raises(WorkspaceError, match="Permission denied"):
            PinWorkspace(place / "pins").create()
        assert list(place.iterdir()) == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A lock ends with its process, killed or not, and nobody gets in before."""
    workspace = made(tmp_path)
    code = (
        "import sys, os; from pathlib import Path\n"
        "from watchword.adapters.pin_workspace import PinWorkspace\n"
        "with PinWorkspace(Path(sys.argv[1])).locked():\n"
        "    print('in', flush=True); sys.stdin.read(1); os._exit(9)\n"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert first.stdout is not None
    assert first.stdin is not None
    assert first.stdout.readline() == b"in\n"
    second = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert second.stdout is not None
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1.5)
    first.communicate(b"x")
    assert second.stdout.readline() == b"in\n"
    second.communicate(b"x")
    with workspace.locked():
        assert first.returncode == second.returncode == 9


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    """A pipe in a file's place would hang the service, and a device never ends: both are told, at once."""
    workspace = made(tmp_path)
    workspace.add_roots(1, b"list")
    file = workspace.directory / "roots" / "1.json"
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    with pytest.raises(WorkspaceError, match=r"1\.json: got something else|1\.json: can't be read"):
        workspace.read_roots(1)
