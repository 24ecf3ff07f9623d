"""Show that a token is believed only when everything about it holds, and why it isn't."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]
from jwcrypto.jwt import JWT  # type: ignore[import-untyped]
from tests.unit.gate.simulators import (
    AUDIENCE,
    CLAIMS,
    EXPECTATION,
    NOW,
    SIGNER,
    PublishedState,
    SoftwareSigner,
    token,
)

from watchword.encoding import base64url, strict_json
from watchword.ports import VerificationKey
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens.interface import MAX_TOKEN_BYTES, TOKEN_TYPE
from watchword.tokens.jose import assemble, jwk_from_public_key, public_key_from_jwk
from watchword.tokens.service import claims_to_json, issue, verify, verify_for_cache
from watchword.vocabulary import Environment

VECTORS = Path(__file__).parents[4] / "shared/vectors/adversarial"
ATTACKS = VECTORS / "jose/jwt_attacks_vectors.json"
SIGNATURES = VECTORS / "sig/ecdsa_secp256r1_sha256_p1363_test.json"
STATE = PublishedState()
GOOD = token()


def reason_of(text: str, now: float = NOW, state: PublishedState = STATE) -> Reason:
    """Return the reason for which a token is refused."""
    with pytest.raises(RefusedError) as refused:
        verify(text, EXPECTATION, state, now)
    return refused.value.reason


def signed(changes: Mapping[str, Any], without: str = "") -> str:
    """Return a token with a valid signature over claims that may be wrong."""
    members = claims_to_json(CLAIMS) | dict(changes)
    members.pop(without, None)
    return assemble(strict_json.dumps(members), TOKEN_TYPE, SIGNER)


def test_a_token_says_what_it_was_issued_for() -> None:
    """What comes out is what went in."""
    assert verify(GOOD, EXPECTATION, STATE, NOW) == CLAIMS


def test_each_fault_has_its_own_reason() -> None:
    """Everything that can be wrong with a well-formed token is told apart."""
    other = SoftwareSigner()  # The same key id, another key.
    faults = {
        Reason.TOKEN_MALFORMED: GOOD + "=",
        Reason.TOKEN_KEY_UNKNOWN: token(SoftwareSigner(kid="key-2")),
        Reason.TOKEN_SIGNATURE: token(other),
        Reason.TOKEN_ISSUER: token(issuer="https://watchword.example.evil"),
        Reason.TOKEN_AUDIENCE: token(audience=AUDIENCE + "/"),
        Reason.TOKEN_ENVIRONMENT: token(environment=Environment.LAB),
        Reason.TOKEN_EXPIRED: token(issued_at=NOW - 400, expires_at=NOW - 100),
        Reason.TOKEN_EARLY: token(issued_at=NOW + 31),
    }
    assert {reason: reason_of(text) for reason, text in faults.items()} == {
        reason: reason for reason in faults
    }


def test_leeway_on_both_sides() -> None:
    """A token is good until exp + leeway and from iat - leeway on, to the second."""
    late, early = CLAIMS.expires_at + 30, CLAIMS.issued_at - 30
    assert verify(GOOD, EXPECTATION, STATE, late - 0.001) == CLAIMS
    assert reason_of(GOOD, late) is Reason.TOKEN_EXPIRED
    assert verify(GOOD, EXPECTATION, STATE, early) == CLAIMS
    assert reason_of(GOOD, early - 0.001) is Reason.TOKEN_EARLY


def test_not_before() -> None:
    """A token that states nbf isn't good before it."""
    text = signed({"nbf": NOW + 100})
    assert reason_of(text) is Reason.TOKEN_EARLY
    assert verify(text, EXPECTATION, STATE, NOW + 70) == CLAIMS


def test_retired_key() -> None:
    """The tokens of a retired key are good until its last hour, and not a moment longer."""
    state = PublishedState(keys={SIGNER.kid: SIGNER.published(verify_until=NOW + 5.0)})
    assert verify(GOOD, EXPECTATION, state, NOW + 4.9) == CLAIMS
    assert reason_of(GOOD, NOW + 5.0, state) is Reason.TOKEN_KEY_RETIRED


def test_span_of_a_verdict() -> None:
    """A verdict holds from iat - leeway until exp + leeway or the key's retirement."""
    verified = verify_for_cache(GOOD, EXPECTATION, STATE, NOW)
    assert (verified.valid_from, verified.valid_until) == (NOW - 40, NOW + 320)
    state = PublishedState(keys={SIGNER.kid: SIGNER.published(verify_until=NOW + 5.0)})
    assert verify_for_cache(GOOD, EXPECTATION, state, NOW).valid_until == NOW + 5


def test_claims_are_not_read_before_the_signature_holds() -> None:
    """A forged token learns nothing about its claims, not even that they are no JSON."""
    forged = assemble(b"not json", TOKEN_TYPE, SoftwareSigner())
    assert reason_of(forged) is Reason.TOKEN_SIGNATURE
    assert reason_of(assemble(b"not json", TOKEN_TYPE, SIGNER)) is Reason.TOKEN_MALFORMED


def test_exp_is_required() -> None:
    """A token without an end is refused, though its signature is good."""
    assert reason_of(signed({}, without="exp")) is Reason.TOKEN_MALFORMED
    assert reason_of(signed({"exp": True})) is Reason.TOKEN_MALFORMED


def test_life_is_bounded() -> None:
    """A token that would live for more than an hour is refused."""
    assert reason_of(token(expires_at=CLAIMS.issued_at + 3601)) is Reason.TOKEN_MALFORMED


def test_a_token_that_gates_would_refuse_is_not_issued() -> None:
    """The length is checked where the token is made."""
    with pytest.raises(MalformedError) as refused:
        issue(replace(CLAIMS, binding="b" * MAX_TOKEN_BYTES), SIGNER)
    assert refused.value.reason is Reason.TOKEN_MALFORMED


def test_the_longest_token() -> None:
    """2048 characters are issued and read, one more is neither."""

    def padded(spare: int) -> Mapping[str, Any]:
        # Unknown claims are ignored, so that they can fill a token up.
        return {"x": "x" * spare}

    spare = next(n for n in range(MAX_TOKEN_BYTES) if len(signed(padded(n))) >= MAX_TOKEN_BYTES)
    assert len(signed(padded(spare))) == MAX_TOKEN_BYTES
    assert verify(signed(padded(spare)), EXPECTATION, STATE, NOW) == CLAIMS
    too_long = signed(padded(spare + 1))
    assert len(too_long) > MAX_TOKEN_BYTES
    assert reason_of(too_long) is Reason.TOKEN_MALFORMED


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_any_change_is_refused(position: int, character: str) -> None:
    """No token that differs in one character is accepted."""
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    if changed != GOOD:
        assert reason_of(changed).code.startswith("token.")


@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)))
def test_any_cut_is_refused(start: int, end: int) -> None:
    """No token with a piece missing is accepted."""
    if start != end:
        cut = GOOD[: min(start, end)] + GOOD[max(start, end) :]
        assert reason_of(cut).code.startswith("token.")


@given(st.binary(max_size=96))
def test_any_payload(payload: bytes) -> None:
    """Whatever bytes are signed for, nothing but a refusal leaves the verifier."""
    assert reason_of(assemble(payload, TOKEN_TYPE, SIGNER)) is Reason.TOKEN_MALFORMED


def test_other_implementations_accept_our_tokens() -> None:
    """joserfc, jwcrypto and PyJWT verify what we issue and read the same claims."""
    jwk = jwk_from_public_key(SIGNER.private.public_key())
    expected = claims_to_json(CLAIMS)
    options: Any = {"verify_exp": False, "verify_iat": False}
    assert (
        jwt.decode(GOOD, SIGNER.private.public_key(), ["ES256"], audience=AUDIENCE, options=options)
        == expected
    )
    ours = joserfc_jwt.decode(
        GOOD, ECKey.import_key(SIGNER.private.public_key()), algorithms=["ES256"]
    )
    assert (dict(ours.header), ours.claims) == (
        {"alg": "ES256", "kid": SIGNER.kid, "typ": TOKEN_TYPE},
        expected,
    )
    other = JWT(check_claims={}, expected_type="JWS", algs=["ES256"])
    other.validity = 10**9
    other.leeway = 10**9
    other.deserialize(GOOD, JWK.from_json(json.dumps(jwk)))
    assert json.loads(other.claims) == expected


def test_we_accept_what_others_sign() -> None:
    """A token of the same form that joserfc signed is read as ours."""
    private = generate_private_key(SECP256R1())
    text = joserfc_jwt.encode(
        {"alg": "ES256", "kid": "theirs", "typ": TOKEN_TYPE},
        claims_to_json(CLAIMS),
        ECKey.import_key(private),
    )
    state = PublishedState(keys={"theirs": VerificationKey("theirs", private.public_key())})
    assert verify(text, EXPECTATION, state, NOW) == CLAIMS


def retype(token: str) -> str | None:
    """Return the token with our type in its header, None where it has no header to change."""
    head, _, rest = token.partition(".")
    try:
        header = json.loads(base64url.decode(head)) | {"typ": TOKEN_TYPE}
    except (RefusedError, ValueError, TypeError):
        return None
    return f"{base64url.encode(json.dumps(header).encode())}.{rest}"


@pytest.mark.skipif(not ATTACKS.exists(), reason="the shared vectors aren't there")
def test_collected_attacks() -> None:
    """None of the collected attack tokens is accepted, and nothing but a refusal comes out."""
    suite = json.loads(ATTACKS.read_text())
    jwk = {name: suite["jwks"]["keys"][0][name] for name in ("kty", "crv", "x", "y")}
    state = PublishedState(keys={"k1": VerificationKey("k1", public_key_from_jwk(jwk))})
    tokens = {name: case["token"] for name, case in suite["cases"].items() if case["token"]}
    assert len(tokens) >= 84
    # Also as if they were typed as ours, so that it isn't the type alone that stops them.
    retyped = [text for token in tokens.values() if (text := retype(token)) is not None]
    assert len(retyped) > 40
    for text in [*tokens.values(), *retyped]:
        assert reason_of(text, suite["now"], state).code.startswith("token.")


@pytest.mark.skipif(not SIGNATURES.exists(), reason="the shared vectors aren't there")
def test_wycheproof_signatures() -> None:
    """The signature step agrees with Wycheproof's ECDSA P-256 vectors, as far as 64 bytes go."""
    from watchword.tokens.jose import UnverifiedJws  # noqa: PLC0415
    from watchword.tokens.service import _check_signature  # noqa: PLC0415 - the step alone.

    checked = 0
    for group in json.loads(SIGNATURES.read_text())["testGroups"]:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = public_key_from_jwk(
            {
                "kty": "EC",
                "crv": "P-256",
                "x": base64url.encode(point[1:33]),
                "y": base64url.encode(point[33:]),
            }
        )
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            if len(signature) != 64:
                assert case["result"] == "invalid"
                continue
            jws = UnverifiedJws("k", bytes.fromhex(case["msg"]), b"", signature)
            try:
                _check_signature(jws, VerificationKey("k", key))
                reason = None
            except RefusedError as error:
                reason = error.reason
            expected = None if case["result"] == "valid" else Reason.TOKEN_SIGNATURE
            assert reason is expected, case["comment"]
            checked += 1
    assert checked > 200
