"""Show how keys of proofs are made, and that they name one session only."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gate.simulators import CLAIMS, NOW
from tests.unit.tokens.proofs.prover import ADA, raw_signature

from watchword.reasons import MalformedError
from watchword.tokens import jose
from watchword.tokens.proofs.interface import GateSecret, KeyedMac
from watchword.tokens.proofs.session import derive_key, proof_keys

SECRET = GateSecret(CLAIMS.epoch, bytes(range(32)))
NAMES = {
    "issuer": CLAIMS.issuer,
    "audience": CLAIMS.audience,
    "session_id": CLAIMS.session_id,
    "thumbprint": ADA.thumbprint,
}


def test_session_key_is_one_block_of_hkdf() -> None:
    """The one HMAC equals HKDF-Expand of `cryptography` (RFC 5869), over names behind their lengths."""
    info = b"watchword/session/v1"
    for name in NAMES.values():
        info += len(name).to_bytes(4, "big") + name.encode()
    expected = HKDFExpand(SHA256(), 32, info).derive(SECRET.secret)
    assert derive_key(SECRET.secret, **NAMES) == expected


@pytest.mark.parametrize("name", NAMES)
def test_each_name_gives_another_key(name: str) -> None:
    """Issuer, audience, session and thumbprint are all bound, and none can lend a letter to the next."""
    good = derive_key(SECRET.secret, **NAMES)
    assert derive_key(SECRET.secret, **NAMES | {name: NAMES[name] + "x"}) != good
    shifted = {"audience": NAMES["audience"][:-1], "session_id": "e" + NAMES["session_id"]}
    assert derive_key(SECRET.secret, **NAMES | shifted) != good


def test_secret_of_another_length() -> None:
    """A short secret is an error of ours, not a weak key."""
    with pytest.raises(ValueError, match="16 bytes"):
        derive_key(bytes(16), **NAMES)


def test_keys_of_a_token() -> None:
    """Thumbprint and session key belong to the token; a secret of another epoch counts as none."""
    keys = proof_keys(CLAIMS, SECRET)
    assert keys.thumbprint == ADA.thumbprint.encode()
    assert keys.session_id == CLAIMS.session_id.encode()
    assert keys.session_key == derive_key(SECRET.secret, **NAMES)
    message = f"at {NOW}".encode()
    assert jose.is_signed_by(keys.device_key, raw_signature(ADA.private, message), message)
    assert proof_keys(CLAIMS, None).session_key is None
    other = GateSecret(CLAIMS.epoch + 1, SECRET.secret)
    assert proof_keys(CLAIMS, other).session_key is None
    with pytest.raises(MalformedError):
        proof_keys(replace(CLAIMS, key=dict(CLAIMS.key) | {"x": "A" * 43}), None)


def test_no_secret_is_shown() -> None:
    """Neither a session key nor a gate secret stands in a representation."""
    keys = proof_keys(CLAIMS, SECRET)
    assert keys.session_key is not None
    shown = f"{keys!r} {SECRET!r}"
    assert repr(keys.session_key) not in shown
    assert repr(SECRET.secret) not in shown
    assert "session_key" not in shown
    assert b"a.token.of.hers" not in repr(proof_keys(CLAIMS, SECRET, b"a.token.of.hers")).encode()


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_kept_mac_is_hmac(key: bytes, message: bytes) -> None:
    """The kept states give what the standard library gives, more than once."""
    mac = KeyedMac(key)
    begun = KeyedMac(key, b"beginning")
    for data in (message, b"between", message):
        assert mac.digest(data) == hmac.new(key, data, hashlib.sha256).digest()
        assert begun.digest(data) == hmac.new(key, b"beginning" + data, hashlib.sha256).digest()


def test_a_key_longer_than_a_block() -> None:
    """It would be hashed first, which no key of ours needs."""
    with pytest.raises(ValueError, match="65 bytes"):
        KeyedMac(bytes(65))


@given(st.integers(0, 63), st.integers(1, 255))
def test_changed_signatures(at: int, change: int) -> None:
    """No other 64 bytes verify; also zeros and other lengths don't."""
    message = b"message"
    private = derive_private_key(3, SECP256R1())
    key, good = private.public_key(), raw_signature(private, message)
    assert jose.is_signed_by(key, good, message)
    mutated = good[:at] + bytes([good[at] ^ change]) + good[at + 1 :]
    # The same number s behind a zero: another text for one signature, if lengths didn't count.
    padded = good[:32] + b"\0" + good[32:]
    for signature in (mutated, padded, bytes(64), good[:-1], good + b"\0", b"", b"\xff" * 64):
        assert not jose.is_signed_by(key, signature, message)
