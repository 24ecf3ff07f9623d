"""Seal secrets and open them with another implementation of HPKE."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey
from pyhpke.exceptions import OpenError

from watchword.broker.envelope import SecretContext, seal_secret, secret_info
from watchword.broker.interface import MAX_VALUE_BYTES, SecretValue
from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason
from watchword.tokens.envelope import seal, sealing_info
from watchword.tokens.jose import jwk_from_public_key

CONTEXT = SecretContext(bytes(range(100, 132)), "clinic-ios", "push", 3, "lease", 1_800_003_600)
P256, X25519 = generate_private_key(SECP256R1()), X25519PrivateKey.generate()
JWKS: Mapping[str, Mapping[str, str]] = {
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
CHANGES = [
    {"binding": bytes(32)},
    {"app": "clinic-android"},
    {"name": "maps"},
    {"version": 4},
    {"lease": "other"},
    {"expires_at": CONTEXT.expires_at + 1},
]


def opened(curve: str, sealed: bytes, info: bytes) -> bytes:
    """Open by pyhpke, which shares no code with what seals."""
    kem, key, encapsulated = KEMS[curve]
    suite = CipherSuite.new(kem, KDFId.HKDF_SHA256, AEADId.AES128_GCM)
    recipient = suite.create_recipient_context(
        sealed[:encapsulated], KEMKey.from_pyca_cryptography_key(key), info
    )
    plain: bytes = recipient.open(sealed[encapsulated:])
    return plain


def test_info_is_as_documented() -> None:
    """Byte by byte, as an author of an SDK reads it in the documentation."""
    assert secret_info(CONTEXT) == (
        b"watchword/secret/v1\0"
        + CONTEXT.binding
        + b"\0\0\0\x0aclinic-ios"
        + b"\0\0\0\x04push"
        + b"\0\0\0\x013"
        + b"\0\0\0\x05lease"
        + b"\0\0\0\x0a1800003600"
    )


@pytest.mark.parametrize(("curve", "more"), [("P-256", 81), ("X25519", 48)])
@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_another_implementation_opens_it(curve: str, more: int, value: str) -> None:
    """Any value comes out as it went in, and is as much longer as the documentation says."""
    sealed = seal_secret(SecretValue(value), JWKS[curve], CONTEXT)
    assert len(sealed) == len(value.encode()) + more
    assert opened(curve, sealed, secret_info(CONTEXT)) == value.encode()


@pytest.mark.parametrize("curve", JWKS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_it_opens_for_nothing_else(curve: str, change: dict[str, bytes]) -> None:
    """Nobody on the way passes it off as another name's, version's, lease's, app's, or a longer one."""
    sealed = seal_secret(SecretValue("value"), JWKS[curve], CONTEXT)
    with pytest.raises(OpenError):
        opened(curve, sealed, secret_info(replace(CONTEXT, **change)))  # type: ignore[arg-type]


@given(st.lists(st.text("ab3", max_size=3), min_size=3, max_size=3), st.data())
def test_no_two_contexts_have_one_info(parts: list[str], data: st.DataObject) -> None:
    """What moves from one member into its neighbour makes another info."""
    other = data.draw(st.lists(st.text("ab3", max_size=3), min_size=3, max_size=3))
    one, two = (
        SecretContext(bytes(32), app, name, 3, lease, 3) for app, name, lease in (parts, other)
    )
    assert (secret_info(one) == secret_info(two)) == (parts == other)


def test_a_session_key_is_no_secret() -> None:
    """Neither opens as the other: their infos begin otherwise, before anything that a client chooses."""
    sealed = seal(b"k" * 32, JWKS["P-256"], CONTEXT.binding, "sid")
    with pytest.raises(OpenError):
        opened("P-256", sealed, secret_info(CONTEXT))
    assert not secret_info(CONTEXT).startswith(sealing_info(CONTEXT.binding, "")[:17])


def test_the_longest_value_is_sealed() -> None:
    """As long as a value may be."""
    value = "v" * MAX_VALUE_BYTES
    sealed = seal_secret(SecretValue(value), JWKS["P-256"], CONTEXT)
    assert opened("P-256", sealed, secret_info(CONTEXT)) == value.encode()


def test_nothing_is_sealed_to_a_key_that_everybody_could_open() -> None:
    """A point of low order gives a shared secret that everybody knows."""
    jwk = {"kty": "OKP", "crv": "X25519", "x": base64url.encode(bytes(32))}
    with pytest.raises(MalformedError) as caught:
        seal_secret(SecretValue("value"), jwk, CONTEXT)
    assert caught.value.reason is Reason.STATEMENT_KEY
    assert "value" not in str(caught.value)
