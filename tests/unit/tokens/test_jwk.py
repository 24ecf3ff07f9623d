"""Show that only true P-256 public keys are read, and that others agree on them."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    derive_private_key,
    generate_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason
from watchword.tokens.jose import jwk_from_public_key, public_key_from_jwk, thumbprint

KEY = derive_private_key(29, SECP256R1()).public_key()
JWK = jwk_from_public_key(KEY)


def test_round_trip() -> None:
    """A key survives being written and read."""
    assert public_key_from_jwk(JWK) == KEY


def test_thumbprint_of_another_implementation() -> None:
    """The thumbprint is the one that joserfc computes."""
    assert thumbprint(JWK) == ECKey.import_key(KEY).thumbprint()


def test_other_curve_is_not_written() -> None:
    """A key on P-384 has no place in the protocol."""
    with pytest.raises(ValueError, match="secp384r1"):
        jwk_from_public_key(generate_private_key(SECP384R1()).public_key())


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"d": JWK["x"]},
        {"use": "sig"},
        {"x": JWK["y"]},
        {"x": base64url.encode(b"\0" + base64url.decode(JWK["x"]))},
        {"x": base64url.encode(base64url.decode(JWK["x"])[1:])},
        {"x": base64url.encode(b"\xff" * 32)},
        {"x": JWK["x"][:-1] + "="},
        {"x": 7},
        {"y": None},
        {"x": base64url.encode(bytes(32)), "y": base64url.encode(bytes(32))},
    ],
    ids=str,
)
def test_crooked_keys(change: dict[str, object]) -> None:
    """Other types, other members, other lengths and points off the curve are refused."""
    with pytest.raises(MalformedError) as refused:
        public_key_from_jwk(JWK | change)
    assert refused.value.reason is Reason.STATEMENT_KEY


@pytest.mark.parametrize("missing", ["kty", "crv", "x", "y"])
def test_missing_members(missing: str) -> None:
    """Every member is required."""
    with pytest.raises(MalformedError):
        public_key_from_jwk({name: value for name, value in JWK.items() if name != missing})


@given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "d"]), st.text() | st.integers()))
def test_any_members(members: dict[str, object]) -> None:
    """Whatever the members hold, nothing but MalformedError leaves the parser."""
    with pytest.raises(MalformedError):
        public_key_from_jwk(members)
