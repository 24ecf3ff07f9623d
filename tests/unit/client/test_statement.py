"""Build statements as the protocol says."""

import hashlib
import json

from watchword.client.statement import binding_of, build_statement
from watchword.vocabulary import Purpose

KEY = {"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ"}


def build(proof: dict[str, str] | None) -> bytes:
    """Return a statement with or without a proof key."""
    return build_statement(
        purpose=Purpose.ENROL,
        issuer="https://attest.example",
        audiences=["https://api.example"],
        app="clinic",
        challenge="Y2hhbGxlbmdl",
        proof_jwk=proof,
        seal_jwk=KEY,
    )


def test_a_statement_has_exactly_the_members_of_the_protocol() -> None:
    """Each member once, under its name, as JSON."""
    assert json.loads(build(KEY)) == {
        "v": 1,
        "purpose": "enrol",
        "iss": "https://attest.example",
        "aud": ["https://api.example"],
        "app": "clinic",
        "challenge": "Y2hhbGxlbmdl",
        "proof_jwk": KEY,
        "seal_jwk": KEY,
    }


def test_without_a_proof_key_the_member_is_absent() -> None:
    """On Android a null would be refused: the key isn't there yet."""
    assert "proof_jwk" not in json.loads(build(None))


def test_the_binding_is_the_hash_of_the_bytes() -> None:
    """SHA-256 over the statement as sent."""
    assert binding_of(build(KEY)) == hashlib.sha256(build(KEY)).digest()
