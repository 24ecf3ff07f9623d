"""Read a secret's value: what a shell, an editor or a person hands over, and nothing from the command line."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests.machine import patience
from tests.system.apps.test_cli_operate import watchword

from watchword.apps.secrets.commands import read_value
from watchword.broker.interface import MAX_VALUE_BYTES
from watchword.reasons import MalformedError, Reason

KEY = "sk_live_marked0001"


def read(directory: Path, data: bytes) -> str:
    """Read a value that a file holds."""
    file = directory / "value"
    file.write_bytes(data)
    return read_value("maps", file)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_end_of_the_line_is_no_part_of_it(tmp_path: Path, end: str) -> None:
    """A shell's echo and an editor put one there."""
    assert read(tmp_path, (KEY + end).encode()) == KEY


def test_other_breaks_stay_for_the_service_to_judge(tmp_path: Path) -> None:
    """A second one is a part of the value, which a key in a header mustn't have and a PEM has."""
    assert read(tmp_path, b"a\nb\n\n") == "a\nb\n"


@pytest.mark.parametrize(
    "data", [b"k" * (MAX_VALUE_BYTES + 1), b"k" * 10_000_000, b"\xff\xfekey", b"caf\xe9"]
)
def test_what_is_no_key_is_refused_without_its_text(tmp_path: Path, data: bytes) -> None:
    """Too long, or no UTF-8: the refusal repeats nothing of it."""
    with pytest.raises(MalformedError) as caught:
        read(tmp_path, data)
    assert caught.value.reason is Reason.SECRET_VALUE
    assert "kkk" not in str(caught.value)


def test_longest_value_is_read_whole(tmp_path: Path) -> None:
    """The end of the line doesn't count."""
    assert read(tmp_path, b"k" * MAX_VALUE_BYTES + b"\r\n") == "k" * MAX_VALUE_BYTES


def test_person_at_a_terminal_is_asked_and_sees_nothing_of_it() -> None:
    """What is typed isn't shown; the terminal's echo is back afterwards."""
    child, terminal = pty.fork()
    if child == 0:
        program = "from watchword.apps.secrets.commands import read_value; print(len(read_value('maps', None)))"
        os.execv(sys.executable, [sys.executable, "-c", program])
    shown = b""
    while b"not shown" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, f"{KEY}\n".encode())
    while True:
        try:
            data = os.read(terminal, 1024)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.waitpid(child, 0)
    os.close(terminal)
    assert b"Value of maps" in shown
    assert str(len(KEY)).encode() in shown
    assert KEY.encode() not in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "maps", KEY),
        ("rotate", "maps", KEY),
        ("add", "maps", "--value", KEY),
        ("add", "maps", f"--value={KEY}"),
        ("rotate", "maps", f"--{KEY}"),
    ],
)
def test_value_on_the_command_line_is_refused_and_not_repeated(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Everybody on the machine sees it there, and the shell keeps it."""
    done = watchword(tmp_path, "secrets", *arguments)
    assert done.returncode == 2
    assert KEY not in done.stdout + done.stderr


def test_bytes_at_a_terminal_that_are_no_text_are_refused() -> None:
    """A paste from the wrong place is a refusal, no fault of ours, and nothing of it is repeated."""
    child, terminal = pty.fork()
    if child == 0:
        program = (
            "from watchword.apps.secrets.commands import read_value\n"
            "from watchword.reasons import MalformedError\n"
            "try: read_value('maps', None)\n"
            "except MalformedError as error: print('refused', error.reason.code)"
        )
        os.execv(sys.executable, [sys.executable, "-c", program])
    shown = b""
    while b"not shown" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"half\xff\xfe\n")
    while b"secret.value" not in shown and (data := _read(terminal)):
        shown += data
    os.waitpid(child, 0)
    os.close(terminal)
    assert b"refused secret.value" in shown
    assert b"half" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:
        return b""


def test_closed_standard_input_is_no_value(tmp_path: Path) -> None:
    """A job without one is refused as one with an empty one is."""
    program = (
        "from watchword.apps.secrets.commands import read_value as r; print(repr(r('x', None)))"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=True,
    )
    assert done.stdout == "''\n"


def test_empty_standard_input_is_no_value(tmp_path: Path) -> None:
    """A pipe from something that failed adds nothing; there is no prompt where nobody sits."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from watchword.apps.secrets.commands import read_value as r; print(repr(r('x', None)))",
        ],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=True,
    )
    assert done.stdout == "''\n"
