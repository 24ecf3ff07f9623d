"""Show that the log of steps tells of each, and that nobody edits it unseen."""

from pathlib import Path

import pytest

from watchword.adapters.pin_workspace import Step, StepLog, WorkspaceError


def step(number: int, reason: str | None = None) -> Step:
    """Return a step that can be told from others."""
    at = "2026-11-27T03:15:00Z"
    return Step(at, "alice@build", "publish", "clinic-android", reason, {"version": number})


def written(tmp_path: Path, count: int = 4) -> StepLog:
    """Return a log with some steps."""
    log = StepLog(tmp_path / "log.jsonl")
    for number in range(1, count + 1):
        log.append(step(number))
    return log


def test_steps_are_read_back_in_order(tmp_path: Path) -> None:
    """What was appended is there, reasons and details too, in a file for this user alone."""
    log = written(tmp_path, 2)
    log.append(step(3, "the key is stolen"))
    assert log.read() == (step(1), step(2), step(3, "the key is stolen"))
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    """Before the first step there is none."""
    assert StepLog(tmp_path / "log.jsonl").read() == ()


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda lines: [lines[0].replace(b"alice", b"bobby"), *lines[1:]], 2),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines, lines[-1]], 5),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines, b"not JSON"], 5),
        (lambda lines: [*lines, b'{"at": 1}'], 5),
    ],
    ids=["changed", "taken out", "the first taken out", "twice", "swapped", "foreign", "thin"],
)
def test_an_edited_log_is_found_out(tmp_path: Path, edit: object, line: int) -> None:
    """The line where the chain breaks is named, and nothing is appended behind it."""
    assert callable(edit)
    log = written(tmp_path)
    lines = log.path.read_bytes().splitlines()
    log.path.write_bytes(b"\n".join(edit(lines)) + b"\n")
    with pytest.raises(WorkspaceError, match=rf"log\.jsonl:{line}: "):
        log.read()
    before = log.path.read_bytes()
    with pytest.raises(WorkspaceError):
        log.append(step(9))
    assert log.path.read_bytes() == before


def test_what_a_killed_process_left_is_no_step(tmp_path: Path) -> None:
    """Half a line isn't read, and the next step takes its place; the chain holds."""
    log = written(tmp_path, 2)
    with log.path.open("ab") as file:
        file.write(b'{"at":"2026-11-27T03:16:00Z","actor":"' + b"al" * 1000)
    assert len(log.read()) == 2
    log.append(step(3))
    assert log.read() == (step(1), step(2), step(3))


def test_a_log_that_others_can_read_is_told(tmp_path: Path) -> None:
    """Who could write to it could have written anything."""
    log = written(tmp_path)
    log.path.chmod(0o666)
    with pytest.raises(WorkspaceError, match="mode 0666"):
        log.read()
