"""Read master keys from files and variables, and wrap by them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.adapters.secret_store.rig import ENTROPY, MASTER, run

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.secret_store import (
    LocalMasterKey,
    master_key_from_file,
    master_key_from_text,
)
from watchword.encoding import base64url
from watchword.reasons import Reason, UnavailableError

NAME = "WATCHWORD_TEST_MASTER_KEY"
TEXT = base64url.encode(b"k" * 32)


def test_what_is_wrapped_is_unwrapped() -> None:
    """By the same key and in the same context; two wrappings of one key differ."""
    one, two = (run(MASTER.wrap(b"d" * 32, b"context")) for _ in range(2))
    assert one != two
    assert run(MASTER.unwrap(one, b"context", MASTER.key_id)) == b"d" * 32
    assert LocalMasterKey(b"m" * 32, ENTROPY).key_id == MASTER.key_id


@pytest.mark.parametrize("what", ["context", "bytes", "key", "empty", "id"])
def test_nothing_else_unwraps(what: str) -> None:
    """Another context, changed bytes, another key, nothing, and an id that isn't its own."""
    wrapped = run(MASTER.wrap(b"d" * 32, b"context"))
    other = LocalMasterKey(b"o" * 32, ENTROPY)
    calls = {
        "context": (MASTER, wrapped, b"other", MASTER.key_id),
        "bytes": (MASTER, wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"context", MASTER.key_id),
        "key": (other, wrapped, b"context", other.key_id),
        "empty": (MASTER, b"", b"context", MASTER.key_id),
        "id": (MASTER, wrapped, b"context", other.key_id),
    }
    wrapper, data, context, key_id = calls[what]
    with pytest.raises(UnavailableError) as caught:
        run(wrapper.unwrap(data, context, key_id))
    assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """Of many that begin at the same time one makes it, and all have it; private, of 32 random bytes."""
    path = tmp_path / "state/master.key"
    with ThreadPoolExecutor(8) as threads:
        keys = list(
            threads.map(lambda _: master_key_from_file(path, ENTROPY, make=True).key_id, range(8))
        )
    assert len(set(keys)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64url.decode(path.read_text().strip())) == 32
    other = master_key_from_file(tmp_path / "state/other.key", ENTROPY, make=True)
    assert other.key_id != keys[0]
    assert sorted(each.name for each in path.parent.iterdir()) == ["master.key", "other.key"]


def test_a_key_is_made_beside_settings(tmp_path: Path) -> None:
    """A directory that others may look into will do, one that isn't there is made, and no file is a fault."""
    tmp_path.chmod(0o755)
    master_key_from_file(tmp_path / "master.key", ENTROPY, make=True)
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(PrivateFileError, match="can't be"):
        master_key_from_file(tmp_path / "file/master.key", ENTROPY, make=True)


def test_a_missing_key_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    """A new one would open nothing of what the lost one encrypted."""
    with pytest.raises(PrivateFileError, match="no master key"):
        master_key_from_file(tmp_path / "master.key", ENTROPY)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    ["", "short", TEXT[:-1], TEXT + "A", TEXT + "=", " " + TEXT, TEXT + "\n\n" + TEXT, "é" * 43],
)
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    """In a file and in a variable; the text quotes nothing of it, and no file is overwritten."""
    path = tmp_path / "master.key"
    path.write_text(text)
    path.chmod(0o600)
    calls: tuple[Callable[[], LocalMasterKey], ...] = (
        lambda: master_key_from_file(path, ENTROPY, make=True),
        lambda: master_key_from_text(text, NAME, ENTROPY),
    )
    for call in calls:
        with pytest.raises(PrivateFileError) as caught:
            call()
        assert TEXT[:20] not in str(caught.value)
    assert path.read_text() == text


def test_a_key_file_may_end_in_a_line_break(tmp_path: Path) -> None:
    """As an editor or a shell leaves it."""
    ids = set()
    for number, end in enumerate(("", "\n", "\r\n")):
        path = tmp_path / f"{number}.key"
        path.write_text(TEXT + end)
        path.chmod(0o600)
        ids.add(master_key_from_file(path, ENTROPY).key_id)
    assert ids == {LocalMasterKey(b"k" * 32, ENTROPY).key_id}


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Whoever read it reads every secret."""
    path = tmp_path / "master.key"
    path.write_text(TEXT)
    path.chmod(0o644)
    with pytest.raises(PrivateFileError, match="0600"):
        master_key_from_file(path, ENTROPY)


def test_a_variable_that_is_not_set_is_no_key() -> None:
    """The text names the variable."""
    with pytest.raises(PrivateFileError, match=f"{NAME}.*isn't set"):
        master_key_from_text(None, NAME, ENTROPY)
    assert master_key_from_text(TEXT, NAME, ENTROPY).key_id == (
        LocalMasterKey(b"k" * 32, ENTROPY).key_id
    )


def test_nothing_of_a_key_shows() -> None:
    """Neither in its representation nor in the id that stands in the file."""
    key = LocalMasterKey(b"k" * 32, ENTROPY)
    for shown in (repr(key), key.key_id):
        assert TEXT not in shown
        assert (b"k" * 32).hex()[:16] not in shown
    with pytest.raises(ValueError, match="31 bytes"):
        LocalMasterKey(b"k" * 31, ENTROPY)
