"""Show how the keys of root lists and pin sets are kept."""

from pathlib import Path

import pytest

from watchword.adapters.pin_workspace import (
    WorkspaceError,
    new_key,
    read_key,
    read_public_key,
    write_key,
)


def test_a_key_comes_back_for_this_user_alone(tmp_path: Path) -> None:
    """Mode 0600; its public half has the same id."""
    key, place = new_key(), tmp_path / "root.pem"
    write_key(place, key)
    assert read_key(place) == key
    assert place.stat().st_mode & 0o777 == 0o600
    assert read_public_key(tmp_path / "root.jwk").kid == key.kid


def test_a_passphrase_encrypts_it(tmp_path: Path) -> None:
    """Without it there is no key, with another one neither."""
    key, place = new_key(), tmp_path / "root.pem"
    write_key(place, key, "correct horse battery")
    assert b"ENCRYPTED" in place.read_bytes()
    assert read_key(place) is None
    assert read_key(place, "correct horse battery") == key
    with pytest.raises(WorkspaceError, match="and its passphrase"):
        read_key(place, "another horse entirely")


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    """What is there may be the only copy."""
    place = tmp_path / "root.pem"
    write_key(place, new_key())
    before = place.read_bytes()
    with pytest.raises(WorkspaceError, match="never overwritten"):
        write_key(place, new_key())
    assert place.read_bytes() == before


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", b"\0" * 9000],
)
def test_what_is_no_key_is_told_without_quoting_it(tmp_path: Path, data: bytes) -> None:
    """A malformed file says what was expected."""
    place = tmp_path / "root.pem"
    place.write_bytes(data)
    place.chmod(0o600)
    with pytest.raises(WorkspaceError, match=r"root\.pem: got") as caught:
        read_key(place)
    assert "MIIB" not in str(caught.value)


def test_a_key_that_others_can_read_isnt_used(tmp_path: Path) -> None:
    """It may have been copied."""
    place = tmp_path / "root.pem"
    write_key(place, new_key())
    place.chmod(0o640)
    with pytest.raises(WorkspaceError, match="mode 0640"):
        read_key(place)


def test_a_private_key_isnt_taken_for_a_public_one(tmp_path: Path) -> None:
    """Nor the other way: each is told apart by its kind."""
    key = new_key()
    write_key(tmp_path / "a.pem", key)
    with pytest.raises(WorkspaceError, match="got a private key"):
        read_public_key(tmp_path / "a.pem")
    with pytest.raises(WorkspaceError, match="this is a public key"):
        read_key(tmp_path / "a.jwk")
