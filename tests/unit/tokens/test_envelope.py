"""Seal session keys and open them with another implementation of HPKE."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey
from pyhpke.exceptions import OpenError

from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason
from watchword.tokens.envelope import seal, sealing_info
from watchword.tokens.jose import jwk_from_public_key

KEY = bytes(range(32))
BINDING = bytes(range(100, 132))
P256, X25519 = generate_private_key(SECP256R1()), X25519PrivateKey.generate()
JWKS = {
    "P-256": jwk_from_public_key(P256.public_key()),
    "X25519": {
        "kty": "OKP",
        "crv": "X25519",
        "x": base64url.encode(X25519.public_key().public_bytes_raw()),
    },
}
KEMS = {
    "P-256": (KEMId.DHKEM_P256_HKDF_SHA256, P256, 65),
    "X25519": (KEMId.DHKEM_X25519_HKDF_SHA256, X25519, 32),
}


def opened(curve: str, sealed: bytes, info: bytes) -> bytes:
    """Open by pyhpke, which shares no code with what seals."""
    kem, key, encapsulated = KEMS[curve]
    suite = CipherSuite.new(kem, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    recipient = suite.create_recipient_context(
        sealed[:encapsulated], KEMKey.from_pyca_cryptography_key(key), info
    )
    plain: bytes = recipient.open(sealed[encapsulated:])
    return plain


@pytest.mark.parametrize(("curve", "size"), [("P-256", 113), ("X25519", 80)])
def test_only_this_statement_and_session_open_it(curve: str, size: int) -> None:
    """Another implementation opens it; not for another statement, session, or after a change."""
    sealed = seal(KEY, JWKS[curve], BINDING, "sid")
    assert len(sealed) == size
    assert opened(curve, sealed, b"watchword/seal/v1\0" + BINDING + b"\0\0\0\x03sid") == KEY
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for other, info in (
        (sealed, sealing_info(BINDING[::-1], "sid")),
        (sealed, sealing_info(BINDING, "dis")),
        (sealed, sealing_info(BINDING, "si")),
        (changed, sealing_info(BINDING, "sid")),
    ):
        with pytest.raises(OpenError):
            opened(curve, other, info)


@pytest.mark.parametrize("curve", JWKS)
def test_each_sealing_is_another_one(curve: str) -> None:
    """The ephemeral key is fresh: two answers can't be told to hold the same key."""
    assert len({seal(KEY, JWKS[curve], BINDING, "sid") for _ in range(20)}) == 20


LOW_ORDER = (
    # The points of small order of Curve25519, and those beyond the field that reduce to them.
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_key_that_everybody_could_open_is_refused(point: str) -> None:
    """With such a key the shared secret is known: nothing is sealed to it."""
    jwk = {"kty": "OKP", "crv": "X25519", "x": base64url.encode(bytes.fromhex(point))}
    with pytest.raises(MalformedError) as caught:
        seal(KEY, jwk, BINDING, "sid")
    assert caught.value.reason is Reason.STATEMENT_KEY


def outcome(jwk: dict[str, str]) -> int | Reason:
    """Return the length of what was sealed, or why nothing was."""
    try:
        return len(seal(KEY, jwk, BINDING, "sid"))
    except MalformedError as error:
        return error.reason


@given(st.binary(min_size=32, max_size=32))
def test_any_x25519_key_is_sealed_to_or_refused(point: bytes) -> None:
    """No other error comes out of 32 bytes, whatever they are."""
    jwk = {"kty": "OKP", "crv": "X25519", "x": base64url.encode(point)}
    assert outcome(jwk) in {80, Reason.STATEMENT_KEY}


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "OKP", "crv": "X25519", "x": base64url.encode(bytes(31))},
        {**JWKS["P-256"], "x": base64url.encode(bytes(32))},
        {**JWKS["P-256"], "crv": "P-384"},
    ],
)
def test_what_is_no_key_is_refused(jwk: dict[str, str]) -> None:
    """Also where the statement's reader was left out."""
    with pytest.raises(MalformedError) as caught:
        seal(KEY, jwk, BINDING, "sid")
    assert caught.value.reason is Reason.STATEMENT_KEY
