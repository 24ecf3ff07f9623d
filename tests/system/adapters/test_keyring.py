"""Keep, rotate and retire keys in one private file, or in a sealed row; most of it wherever they are kept."""

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.key_ring_contract.places import (
    GRACE,
    START,
    FilePlace,
    MemoryRowTable,
    Place,
    RowPlace,
    ring_in,
)
from tests.key_ring_contract.rings import *  # noqa: F403 - the tests.
from tests.key_ring_contract.rings import states
from tests.unit.adapters.ordinary_user import ordinary_user
from tests.unit.enrolment.simulators import SeededEntropy

from watchword.adapters.documents import FileDocument
from watchword.adapters.keyring.file import (
    KeyRing,
    KeyState,
)
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    private_directory,
    write_private,
)
from watchword.vocabulary import Environment

PROD = Environment.PROD


@pytest.fixture(params=["file", "row"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return the place of a key ring that isn't there yet."""
    if request.param == "row":
        return RowPlace(MemoryRowTable(), tmp_path)
    return FilePlace(tmp_path / "state" / "keyring.json")


def open_ring(path: Path, seed: bytes = b"ring") -> KeyRing:
    """Open the key ring of a state directory."""
    return ring_in(FileDocument(path), seed)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the place of a key ring in a directory that doesn't exist yet."""
    return tmp_path / "state" / "keyring.json"


def test_first_start_makes_a_private_file(path: Path) -> None:
    """A fresh ring has an active and a prepared key, in a file that only we can read."""
    ring = open_ring(path)
    assert sorted(states(ring).values()) == [KeyState.ACTIVE, KeyState.PREPARED]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["keyring.json"]
    secrets = {ring.ring.challenge_key, ring.ring.pairwise_key, ring.ring.reference_key}
    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {32}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666])
def test_file_that_others_reach_is_refused(path: Path, mode: int) -> None:
    """Whoever could read or replace the keys could sign tokens."""
    open_ring(path)
    path.chmod(mode)
    with pytest.raises(PrivateFileError, match=f"got mode {mode:04o}"):
        open_ring(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_somebody_else_is_refused(path: Path) -> None:
    """Keys that another user put there are that user's keys."""
    open_ring(path)
    os.chown(path, 12345, -1)
    with pytest.raises(PrivateFileError, match="belongs to user 12345"):
        open_ring(path)


def test_link_and_pipe_are_refused(path: Path, tmp_path: Path) -> None:
    """A symbolic link or a pipe in the file's place is not followed and doesn't block."""
    open_ring(path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrivateFileError):
        open_ring(path)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(PrivateFileError):
        open_ring(path)


def test_a_file_that_somebody_laid_out_is_not_written_into(path: Path) -> None:
    """A file keeps its mode: whoever can read it, or is pointed to, would be told what is written."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    trap = path.with_name(f".{path.name}.{os.getpid()}.new")
    elsewhere = path.with_name("elsewhere")
    trap.write_bytes(b"")
    trap.chmod(0o666)
    with trap.open("rb") as watched:
        write_private(path, b"secret")
        assert watched.read() == b""
    trap.symlink_to(elsewhere)
    write_private(path, b"another secret")
    assert path.read_bytes() == b"another secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not elsewhere.exists()


def secrets_in(path: Path) -> list[str]:
    """Return every secret text of the file."""
    members = json.loads(path.read_bytes())
    named = [members[name] for name in ("challenge_key", "pairwise_key", "reference_key")]
    return [*named, *(key["d"] for key in members["token_keys"])]


def test_no_secret_shows(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither repr nor a log line nor an error on a damaged file shows a key."""
    ring = open_ring(path)
    secrets = secrets_in(path)
    assert len(secrets) == 5
    logging.getLogger("test").warning("%r %r %s", ring, ring.ring, ring.ring.token_keys)
    shown = caplog.text
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"v":2', b'"v":2,"v":2'))
    with pytest.raises(PrivateFileError) as caught:
        open_ring(path)
    shown += str(caught.value) + repr(caught.value.__cause__) + repr(caught.value)
    assert not any(secret in shown for secret in secrets)
    raw = [bytes(ring.ring.challenge_key), bytes(ring.ring.pairwise_key)]
    assert not any(repr(secret)[2:-1] in shown for secret in raw)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_is_reported_in_our_words(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A file with any piece overwritten is read or refused; nothing else happens."""
    path = tmp_path_factory.mktemp("ring") / "keyring.json"
    open_ring(path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=8))
    write_private(path, whole[:at] + junk + whole[at + data.draw(st.integers(0, 40)) :])
    try:
        ring = open_ring(path)
    except PrivateFileError as error:
        complaint = str(error)
    else:
        active = ring.ring.find(ring.signer().kid)
        complaint = "" if active.state is KeyState.ACTIVE else "signs with another key"
    assert complaint == "" or str(path) in complaint


def test_change_waits_for_the_change_of_another(path: Path) -> None:
    """While one process changes the file another one waits for it."""
    ring = open_ring(path)
    before = states(ring)
    rotating = threading.Thread(target=ring.rotate, args=(START,))
    with locked_directory(path.parent):
        rotating.start()
        rotating.join(0.2)
        assert rotating.is_alive()
        assert states(open_unlocked(path)) == before
    rotating.join(10)
    assert not rotating.is_alive()
    assert len(states(ring)) == len(before) + 1


def open_unlocked(path: Path) -> KeyRing:
    """Read the file in another way than by the lock that is held."""
    copy = path.parent.with_name("copy") / path.name
    copy.parent.mkdir(mode=0o700)
    write_private(copy, path.read_bytes())
    return open_ring(copy)


_STARTING = """
import sys
import threading
from contextlib import suppress
from pathlib import Path
from watchword.adapters.documents import FileDocument
from watchword.adapters.system import SystemEntropy
from watchword.adapters.keyring.file import KeyRing
from watchword.vocabulary import Environment
sys.stdin.read()
ring = KeyRing(
    FileDocument(Path(sys.argv[1])),
    environment=Environment.PROD,
    grace=1,
    now=1,
    entropy=SystemEntropy(),
)
print(ring.signer().kid, ring.ring.pairwise_key.hex())
"""


def test_processes_that_start_at_once_share_one_ring(path: Path) -> None:
    """Of several first starts at the same time one makes the keys, and all use them."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _STARTING, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    answers = {process.communicate()[0] for process in processes}
    assert len(answers) == 1
    assert answers != {""}


def test_directory_that_cannot_be_written_is_reported() -> None:
    """Where no key ring can be made the error says where."""
    with ordinary_user() as directory:
        directory.chmod(0o500)
        with pytest.raises(PrivateFileError, match="can't be"):
            open_ring(directory / "keyring.json")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o777])
def test_directory_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    """Keys aren't made where others could look or exchange them; the message says what to do."""
    directory = tmp_path / "state"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(PrivateFileError, match=f"got mode {mode:04o}.*chmod 700 {directory}"):
        open_ring(directory / "keyring.json")
    assert list(directory.iterdir()) == []
    directory.chmod(0o700)
    open_ring(directory / "keyring.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its owner could exchange the keys."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    os.chown(directory, 12345, 12345)
    with pytest.raises(PrivateFileError, match="belongs to user 12345"):
        open_ring(directory / "keyring.json")


def test_state_of_one_environment_serves_no_other(path: Path) -> None:
    """A lab's keys, and with them its instances, can't be taken into production or back."""
    open_ring(path)
    before = path.read_bytes()
    with pytest.raises(PrivateFileError, match="state directory of a prod, expected one of lab"):
        KeyRing(
            FileDocument(path),
            environment=Environment.LAB,
            grace=GRACE,
            now=START,
            entropy=SeededEntropy(b"lab"),
        )
    assert path.read_bytes() == before


def test_directory_that_is_a_file_is_reported(tmp_path: Path) -> None:
    """A file in the place of the state directory is named in the error."""
    (tmp_path / "state").write_text("")
    with pytest.raises(PrivateFileError, match="can't be used"):
        open_ring(tmp_path / "state" / "keyring.json")


def test_directory_in_the_place_of_the_file_is_reported(path: Path) -> None:
    """A directory there is named as such."""
    path.parent.mkdir(mode=0o700)
    path.mkdir()
    with pytest.raises(PrivateFileError, match="regular file"):
        open_ring(path)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_place_that_anybody_may_rename_is_refused(tmp_path: Path, depth: int) -> None:
    """Whoever may write to a directory on the way puts one of his own in the place of ours; it is said what to do."""
    way = tmp_path / "a" / "b"
    way.mkdir(parents=True)
    open_to_all = way.parents[depth - 1] if depth == 2 else way
    open_to_all.chmod(0o777)
    with pytest.raises(PrivateFileError, match=f"chmod o-w {open_to_all}"):
        private_directory(way / "state")
    assert not (way / "state").exists()
    open_to_all.chmod(0o755)
    private_directory(way / "state")
    open_to_all.chmod(0o777)
    with pytest.raises(PrivateFileError, match="anybody"):
        private_directory(way / "state")


def test_what_is_made_on_the_way_is_open_to_nobody_else(tmp_path: Path) -> None:
    """Without a umask too: the next start would refuse it."""
    before = os.umask(0)
    try:
        private_directory(tmp_path / "a" / "b" / "state")
        private_directory(tmp_path / "a" / "b" / "state")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("a", "a/b", "a/b/state")]
    assert modes == [0o755, 0o755, 0o700]


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o700])
def test_a_place_where_nobody_renames_what_is_ours_is_taken(tmp_path: Path, mode: int) -> None:
    """As /tmp is, or a directory of the group that a user has to himself."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(mode)
    private_directory(place / "state")
    assert stat.S_IMODE((place / "state").stat().st_mode) == 0o700
