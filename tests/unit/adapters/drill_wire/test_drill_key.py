"""Hold the drill's key to a file that nobody else reads."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from watchword.adapters.drill_wire import (
    DrillKeyError,
    read_drill_jwk,
    read_drill_key,
    write_drill_key,
)
from watchword.encoding import strict_json
from watchword.tokens.jose import jwk_from_public_key


def test_a_key_is_written_and_read(tmp_path: Path) -> None:
    """What was written is read again, from a file for its owner alone."""
    path = tmp_path / "drill.pem"
    key = write_drill_key(path)
    assert read_drill_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(DrillKeyError):
        write_drill_key(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever read it can drill in its owner's name."""
    path = tmp_path / "drill.pem"
    write_drill_key(path)
    path.chmod(mode)
    with pytest.raises(DrillKeyError):
        read_drill_key(path)


def test_what_is_no_key_is_refused_and_not_quoted(tmp_path: Path) -> None:
    """Another curve, other bytes, a public key, nothing: told by the file's name alone."""
    path = tmp_path / "drill.pem"
    other = generate_private_key(SECP384R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    jwk = strict_json.dumps(jwk_from_public_key(write_drill_key(tmp_path / "ours").public))
    for data in (None, b"", b"hunter2", pem, jwk, b"x" * 5000):
        if data is not None:
            path.write_bytes(data)
            path.chmod(0o600)
        with pytest.raises(DrillKeyError) as caught:
            read_drill_key(path)
        assert str(path) in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert "BEGIN" not in str(caught.value)


def test_a_public_key_is_read(tmp_path: Path) -> None:
    """The owner of a target is given this file, and never the private one."""
    key = write_drill_key(tmp_path / "drill.pem")
    jwk = jwk_from_public_key(key.public)
    path = tmp_path / "drill.jwk"
    for data in (None, b"{}", b"[]", b"x" * 5000, strict_json.dumps({**jwk, "d": "AA"})):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(DrillKeyError):
            read_drill_jwk(path)
    with pytest.raises(DrillKeyError):
        read_drill_jwk(tmp_path / "drill.pem")
    with pytest.raises(DrillKeyError):
        read_drill_jwk(tmp_path)
    path.write_bytes(strict_json.dumps(jwk) + b"\n")
    assert read_drill_jwk(path) == jwk
