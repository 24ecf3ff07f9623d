"""The file of observations only grows, whoever else writes and whoever is killed."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.observations import (
    MAX_FILE_BYTES,
    MAX_LINES,
    ObservationsFile,
    ObservationsFileError,
)
from watchword.adapters.observer_keys import (
    ObserverKeyError,
    read_observer_key,
    write_observer_key,
)
from watchword.tokens.jose import is_signed_by, jwk_from_public_key

APPENDER = """
import sys
from pathlib import Path
from watchword.adapters.observations import ObservationsFile
file, name, count = ObservationsFile(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
for number in range(count):
    file.append(f"{name}-{number}-" + "x" * 3000)
    print(number, flush=True)
"""


def appender(file: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Start a process that appends lines and prints the number of each accepted one."""
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(file), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_is_appended_is_there(tmp_path: Path) -> None:
    """In a file for this user alone, made with its directory; a second line comes after the first."""
    file = tmp_path / "state" / "observations.jsonl"
    store = ObservationsFile(file)
    assert store.read() == b""
    store.append("one")
    store.append("zwei Ä")
    assert store.read() == "one\nzwei Ä\n".encode()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_torn_line_swallows_nothing(tmp_path: Path) -> None:
    """What a killed process left stays as it is, on a line of its own."""
    file = tmp_path / "observations.jsonl"
    file.write_bytes(b'{"half')
    ObservationsFile(file).append("whole")
    assert file.read_bytes() == b'{"half\nwhole\n'


@pytest.mark.parametrize("line", ["", "a\nb", "a\r"])
def test_only_one_line_is_appended(tmp_path: Path, line: str) -> None:
    """Text that would be two lines never reaches the file."""
    with pytest.raises(ValueError):
        ObservationsFile(tmp_path / "observations.jsonl").append(line)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    """All lines of both are there, whole, each once, in the order of each."""
    file = tmp_path / "observations.jsonl"
    count = 60
    running = [appender(file, name, count) for name in "ab"]
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    lines = file.read_text().splitlines()
    assert len(lines) == 2 * count
    for name in "ab":
        own = [line for line in lines if line.startswith(name)]
        assert own == [f"{name}-{number}-" + "x" * 3000 for number in range(count)]


def test_a_killed_writer_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    """After kill -9 in the middle every accepted line is there, and the next one is whole."""
    file = tmp_path / "observations.jsonl"
    with appender(file, "a", 100_000) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        time.sleep(0.003)
        os.kill(process.pid, signal.SIGKILL)
        accepted = 20 + len(process.stdout.readlines())
    ObservationsFile(file).append("after")
    lines = file.read_text().splitlines()
    assert lines[:accepted] == [f"a-{number}-" + "x" * 3000 for number in range(accepted)]
    assert lines[-1] == "after"


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    """While one looks at the last byte and writes, no other does."""
    file = tmp_path / "observations.jsonl"
    file.touch()
    with file.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = appender(file, "a", 1)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.5)
        assert file.read_bytes() == b""
    assert process.communicate(timeout=60)[0] == "0\n"
    assert file.read_bytes().startswith(b"a-0-")


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Half of a line that the disk refuses is taken back."""
    file = tmp_path / "observations.jsonl"
    ObservationsFile(file).append("first")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        with pytest.raises(ObservationsFileError, match="observations"):
            ObservationsFile(file).append("y" * 500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert file.read_bytes() == b"first\n"


@pytest.mark.parametrize("data", [b"x" * (MAX_FILE_BYTES + 1), b"\n" * (MAX_LINES + 1)])
def test_a_file_that_is_too_large_is_refused_as_a_whole(tmp_path: Path, data: bytes) -> None:
    """Read in part it might lack the newest line, which says that something is broken."""
    file = tmp_path / "observations.jsonl"
    file.write_bytes(data)
    with pytest.raises(ObservationsFileError, match="more than"):
        ObservationsFile(file).read()
    with pytest.raises(ObservationsFileError, match="more than"):
        ObservationsFile(file).append("one more")
    assert file.read_bytes() == data


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory, a pipe that nobody writes to and a path below a file end in words, and at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").touch()
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "plain" / "below"):
        with pytest.raises(ObservationsFileError):
            ObservationsFile(path).append("x")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ObservationsFileError):
            ObservationsFile(path).read()


def test_an_observers_key_is_kept_private_and_never_overwritten(tmp_path: Path) -> None:
    """Written with 0600, read back as the same key, and a second one doesn't take its place."""
    file = tmp_path / "ci.pem"
    key = write_observer_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    signature = read_observer_key(file).sign(b"m")
    assert is_signed_by(key.public, signature, b"m")
    with pytest.raises(PrivateFileError, match="already"):
        write_observer_key(file)
    assert read_observer_key(file).kid == key.kid


def test_a_key_that_is_none_or_that_others_read_is_refused(tmp_path: Path) -> None:
    """The text names the file and quotes nothing of it."""
    file = tmp_path / "ci.pem"
    with pytest.raises(PrivateFileError, match=r"ci\.pem"):
        read_observer_key(file)
    for data in (
        b"",
        b"secret words",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ):
        file.write_bytes(data)
        file.chmod(0o600)
        with pytest.raises(PrivateFileError) as told:
            read_observer_key(file)
        assert "secret" not in str(told.value)
    file.unlink()
    write_observer_key(file)
    file.chmod(0o640)
    with pytest.raises(PrivateFileError, match="0640"):
        read_observer_key(file)


def test_a_public_key_is_told_from_a_private_one(tmp_path: Path) -> None:
    """As JWK or as PEM, whoever may read it; a private JWK is no public key."""
    private = ec.generate_private_key(ec.SECP256R1())
    jwk = jwk_from_public_key(private.public_key())
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data, told in (
        (json.dumps(jwk).encode(), True),
        (pem, True),
        (json.dumps({**jwk, "d": "AAAA"}).encode(), False),
        (b"[]", False),
    ):
        file = tmp_path / "key"
        file.write_bytes(data)
        file.chmod(0o644)
        with pytest.raises(ObserverKeyError) as refused:
            read_observer_key(file)
        assert ("public key" in str(refused.value)) is told
