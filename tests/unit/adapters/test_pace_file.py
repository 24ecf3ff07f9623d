"""Show that how far the lines are outlasts the process, and that no file stops a start but one that isn't ours."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.pace_file import PaceFile, read_states, write_states
from watchword.enrolment.pace import LineState, PaceState

STATES = {
    "clinic-ios": PaceState(
        bytes(range(8)), 12.5, (LineState(70_000, 69_000.0), LineState(3, 0.0))
    ),
    "clinic-android": PaceState(bytes(8), 0.25, (LineState(0, 0.0), LineState(0, 0.0))),
}


def put(file: Path, data: bytes) -> Path:
    """Write a file as the service writes its own."""
    file.write_bytes(data)
    os.chmod(file, 0o600)  # noqa: PTH101
    return file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """By another process, and nobody else may read it; what didn't change isn't written again."""
    path = tmp_path / "pace.json"
    file = PaceFile(path)
    assert file.read() == {}
    file.write(STATES)
    assert PaceFile(path).read() == STATES
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.stat().st_ino
    file.write(dict(STATES))
    assert path.stat().st_ino == first
    file.write({"clinic-ios": STATES["clinic-ios"]})
    assert PaceFile(path).read() == {"clinic-ios": STATES["clinic-ios"]}


ENTRY = json.loads(write_states(STATES))["apps"]["clinic-ios"]


@pytest.mark.parametrize(
    "changed",
    [
        {"queue": "00"},
        {"queue": "zz" * 8},
        {"queue": 7},
        {"rate": -1},
        {"rate": 1.5},
        {"rate": True},
        {"rate": 2**60},
        {"lines": [[1, 0]]},
        {"lines": [[1, 2], [0, 0]]},
        {"lines": [[1], [0, 0]]},
        {"lines": [["1", 0], [0, 0]]},
        {"lines": None},
    ],
)
def test_a_damaged_file_counts_as_none_and_is_told(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    """Places of before count from their turn on: nobody is locked out for a file."""
    data = json.dumps({"v": 1, "apps": {"clinic-ios": {**ENTRY, **changed}}}).encode()
    file = put(tmp_path / "pace.json", data)
    with capture_logs() as logs:
        assert PaceFile(file).read() == {}
    assert [line["event"] for line in logs] == ["how far the lines are isn't known"]


@given(st.binary(max_size=300))
def test_any_bytes_are_states_or_a_fault(data: bytes) -> None:
    """No other error leaves the reader."""
    try:
        states = read_states(data)
    except ValueError:
        return
    assert read_states(write_states(states)) == states


def test_a_newer_file_and_one_of_others_stop_the_start(tmp_path: Path) -> None:
    """What a newer version counted isn't overwritten, and what others may write isn't believed."""
    newer = put(tmp_path / "pace.json", b'{"v":2,"lines":{}}')
    with pytest.raises(PrivateFileError, match=r"pace\.json"):
        PaceFile(newer).read()
    foreign = put(tmp_path / "foreign.json", write_states(STATES))
    os.chmod(foreign, 0o666)  # noqa: PTH101
    with pytest.raises(PrivateFileError, match="0600"):
        PaceFile(foreign).read()
