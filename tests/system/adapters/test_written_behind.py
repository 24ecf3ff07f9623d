"""What is to be written is written within its time, at the end, and once over a fork."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.machine import patience

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.written_behind import PrivateDatabase, Writer

SCHEMA = ("CREATE TABLE things (name TEXT)",)


def database(path: Path) -> PrivateDatabase:
    """Return a small database."""
    return PrivateDatabase(path, SCHEMA, most_bytes=1024**2)


def names(held: PrivateDatabase) -> list[str]:
    """Return what stands in it."""
    with held.reading() as connection:
        if connection is None:
            return []
        return [name for (name,) in connection.execute("SELECT name FROM things")]


def test_a_wake_is_followed_by_the_work() -> None:
    """On another thread, and again after the next wake."""
    done: list[str] = []
    worked = threading.Semaphore(0)

    def work() -> None:
        done.append(threading.current_thread().name)
        worked.release()

    writer = Writer(work, done.clear, name="beside", seconds=0)
    for _ in range(2):
        writer.wake()
        assert worked.acquire(timeout=patience(20))
    writer.close()
    assert done == ["beside", "beside", threading.current_thread().name]
    writer.wake()
    writer.close()
    assert len(done) == 3


def test_the_end_of_a_process_writes_what_is_left() -> None:
    """Also where nobody closes: an application that has a middleware ends as it likes."""
    program = (
        "from watchword.adapters.written_behind import Writer\n"
        "writer = Writer(lambda: print('written', flush=True), list, name='x', seconds=3600)\n"
        "writer.wake()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(60),
    )
    assert ended.stdout == "written\n"


def test_a_child_forgets_what_its_parent_writes_and_goes_on() -> None:
    """A server that forks its workers after the application was made: each counts once."""
    told: list[str] = ["before"]
    written: list[list[str]] = []
    worked = threading.Event()

    def work() -> None:
        written.append(list(told))
        told.clear()
        worked.set()

    writer = Writer(work, told.clear, name="x", seconds=0)
    writer.wake()
    assert worked.wait(20)
    worked.clear()
    told.append("the parent's")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told.append("the child's")
            writer.wake()
            worked.wait(20)
            os.write(writing, repr(written[1:]).encode())
        finally:
            # A child that failed must not go on with the tests of its parent.
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000) == b'[["the child\'s"]]'
    os.close(reading)
    os.close(writing)
    writer.close()
    assert written == [["before"], ["the parent's"]]


def test_a_database_is_private_and_made_when_it_is_written(tmp_path: Path) -> None:
    """Reading makes nothing; its directory is closed to others too."""
    held = database(tmp_path / "state" / "things")
    assert names(held) == []
    assert not held.path.parent.exists()
    with held.writing() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    assert names(held) == names(database(held.path)) == ["a"]
    assert held.path.stat().st_mode & 0o777 == 0o600
    assert held.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whole or not at all."""
    held = database(tmp_path / "things")
    (tmp_path).chmod(0o700)

    def half() -> None:
        with held.writing() as connection:
            connection.execute("INSERT INTO things VALUES ('half')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert names(held) == []


def test_others_may_not_read_it(tmp_path: Path) -> None:
    """A file that was opened to others, or is somebody's link, is for an operator."""
    tmp_path.chmod(0o700)
    held = database(tmp_path / "things")
    with held.writing() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    held.path.chmod(0o640)
    with pytest.raises(PrivateFileError, match="0600"):
        names(held)
    linked = database(tmp_path / "link")
    linked.path.symlink_to(held.path)
    with pytest.raises(PrivateFileError), linked.writing():
        pass


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    """And a full one: nothing else than this error comes out."""
    tmp_path.chmod(0o700)
    held = database(tmp_path / "things")
    held.path.write_bytes(b"x" * 5000)
    held.path.chmod(0o600)
    with pytest.raises(PrivateFileError, match="move it away"):
        names(held)
    small = PrivateDatabase(tmp_path / "small", SCHEMA, most_bytes=16 * 4096)

    def fill() -> None:
        with small.writing() as connection:
            connection.execute("INSERT INTO things VALUES (?)", ("x" * 200_000,))

    with pytest.raises(PrivateFileError, match="full"):
        fill()


def test_a_lock_of_another_process_is_not_waited_for_long(tmp_path: Path) -> None:
    """A write in progress holds up no reader."""
    tmp_path.chmod(0o700)
    held = database(tmp_path / "things")
    with held.writing() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    other = sqlite3.connect(held.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO things VALUES ('b')")
    assert names(held) == ["a"]
    other.execute("COMMIT")
    other.close()
    assert names(held) == ["a", "b"]
