"""Issue tokens, and verify them: nothing that a token says is believed before its signature."""

from collections.abc import Mapping
from typing import Any, NoReturn

from watchword.encoding import strict_json
from watchword.ports import Signer, VerificationKey, VerificationKeys
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import es256, strict_jws
from watchword.tokens.claims import claims_from_json, claims_to_json
from watchword.tokens.interface import (
    MAX_TOKEN_BYTES,
    TOKEN_TYPE,
    TokenClaims,
    TokenExpectation,
    VerifiedToken,
)


def issue(claims: TokenClaims, signer: Signer) -> str:
    """Return the token that says ``claims``.

    :raises RefusedError: ``token.malformed`` when it would be longer than gates accept.
    """
    token = strict_jws.assemble(strict_json.dumps(claims_to_json(claims)), TOKEN_TYPE, signer)
    if len(token) > MAX_TOKEN_BYTES:
        _refuse(
            Reason.TOKEN_MALFORMED,
            f"got a token of {len(token)} characters, expected at most {MAX_TOKEN_BYTES}",
        )
    return token


def verify(
    token: str, expectation: TokenExpectation, keys: VerificationKeys, now: float
) -> TokenClaims:
    """Return what a token says, after every step of :func:`verify_for_cache` held.

    :raises RefusedError: with the reason of the first step that failed.
    """
    return verify_for_cache(token, expectation, keys, now).claims


def verify_for_cache(
    token: str, expectation: TokenExpectation, keys: VerificationKeys, now: float
) -> VerifiedToken:
    """Return a token's claims, and the span of time in which this verdict stays true.

    1. The token is one of ours in form (:func:`watchword.tokens.strict_jws.parse`).
    2. Its key is known (``token.key_unknown``) and not retired (``token.key_retired``).
    3. The signature is valid (``token.signature``; RFC 7515 section 5.2).
    4. The claims have the form of the protocol, section 4 (``token.malformed``).
    5. Issuer, audience and environment are the expected ones, compared as whole strings.
    6. It isn't expired, and neither issued nor valid only in the future, within the leeway.

    The caller still has to ask whether the instance was revoked and whether the level is enough.

    :param now: seconds since 1970.
    :raises RefusedError: with the reason of the first step that failed.
    """
    jws = strict_jws.parse(token, TOKEN_TYPE)
    key = keys.find(jws.kid)
    if key is None:
        _refuse(Reason.TOKEN_KEY_UNKNOWN, "expected a key id that the service published")
    if key.verify_until is not None and now >= key.verify_until:
        _refuse(
            Reason.TOKEN_KEY_RETIRED,
            f"got a key that was retired {now - key.verify_until:.0f} s ago",
        )
    _check_signature(jws, key)
    members = _read_payload(jws.payload)
    claims = claims_from_json(members)
    _check_addressee(claims, expectation)
    return _check_time(claims, members, key, expectation.leeway, now)


def _check_signature(jws: strict_jws.UnverifiedJws, key: VerificationKey) -> None:
    if not es256.is_signed_by(key.key, jws.signature, jws.signing_input):
        _refuse(Reason.TOKEN_SIGNATURE, "expected a signature by the key that the token names")


def _read_payload(payload: bytes) -> dict[str, Any]:
    try:
        return strict_json.loads(payload, MAX_TOKEN_BYTES)
    except MalformedError as error:
        _refuse(Reason.TOKEN_MALFORMED, f"claims: {error.detail}")


def _check_addressee(claims: TokenClaims, expectation: TokenExpectation) -> None:
    if claims.issuer != expectation.issuer:
        _refuse(Reason.TOKEN_ISSUER, f"expected {expectation.issuer}")
    if claims.audience != expectation.audience:
        # The audience is signed for, so that it is ours to show.
        _refuse(Reason.TOKEN_AUDIENCE, f"got {claims.audience}, expected {expectation.audience}")
    if claims.environment is not expectation.environment:
        _refuse(
            Reason.TOKEN_ENVIRONMENT,
            f"got {claims.environment.value}, expected {expectation.environment.value}",
        )


def _check_time(
    claims: TokenClaims,
    members: Mapping[str, Any],
    key: VerificationKey,
    leeway: int,
    now: float,
) -> VerifiedToken:
    valid_until = float(claims.expires_at + leeway)
    if now >= valid_until:
        _refuse(
            Reason.TOKEN_EXPIRED,
            f"got a token that expired {now - claims.expires_at:.0f} s ago, leeway {leeway} s",
        )
    not_before = max(claims.issued_at, members.get("nbf", claims.issued_at))
    valid_from = float(not_before - leeway)
    if now < valid_from:
        _refuse(
            Reason.TOKEN_EARLY,
            f"got a token valid in {not_before - now:.0f} s, leeway {leeway} s",
        )
    if key.verify_until is not None:
        valid_until = min(valid_until, key.verify_until)
    return VerifiedToken(claims, valid_from, valid_until)


def _refuse(reason: Reason, detail: str) -> NoReturn:
    if reason is Reason.TOKEN_MALFORMED:
        raise MalformedError.because(reason, detail)
    raise RefusedError.because(reason, detail)
