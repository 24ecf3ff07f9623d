"""Issue tokens, and verify them: nothing that a token says is believed before its signature.

Translate between claims and their JSON on the wire (protocol, section 4).
"""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from watchword.encoding import strict_json
from watchword.ports import Signer, VerificationKey, VerificationKeys
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import jose
from watchword.tokens.interface import (
    MAX_LIFETIME_SECONDS,
    MAX_TOKEN_BYTES,
    TOKEN_TYPE,
    TokenClaims,
    TokenExpectation,
    VerifiedToken,
)
from watchword.tokens.jose import public_key_from_jwk
from watchword.vocabulary import Environment, Level

MAX_NAME_CHARACTERS = 256
"""Most characters of any string claim."""

MAX_TIME = 2**40
"""Latest time that is accepted (about the year 36,800): small enough for exact floats."""

# Subject and app id become header fields for the API: a line break or a blank in one of them
# would let a token write header fields of its own.
_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,256}")

PROOF_BY_DEVICE = "device"
"""The one value of ``prf`` that means anything."""

OS_CLAIM = re.compile(r"(?:android|ios)(?:-[0-9]{1,3})?", re.ASCII)
"""What ``os`` says: a family, and perhaps a major version."""


def claims_to_json(claims: TokenClaims) -> dict[str, Any]:
    """Return the members of the token's payload."""
    app = {"id": claims.app_id}
    if claims.app_version is not None:
        app["ver"] = claims.app_version
    members: dict[str, Any] = {
        "iss": claims.issuer,
        "aud": claims.audience,
        "sub": claims.subject,
        "iat": claims.issued_at,
        "exp": claims.expires_at,
        "jti": claims.token_id,
        "env": claims.environment.value,
        "app": app,
        "lvl": claims.level.value,
        "cnf": {"jwk": dict(claims.key)},
        "sid": claims.session_id,
        "epo": claims.epoch,
    }
    if claims.binding is not None:
        members["bnd"] = claims.binding
    if claims.device is not None:
        members["dev"] = claims.device
    if claims.device_for_session:
        members["prf"] = PROOF_BY_DEVICE
    if claims.os is not None:
        members["os"] = claims.os
    return members


def claims_from_json(members: Mapping[str, Any]) -> TokenClaims:
    """Return the claims out of a payload whose signature holds.

    Claims that this version doesn't know are ignored (RFC 7519 section 4), so that a service
    can be newer than its gates.

    :raises MalformedError: with ``token.malformed``.
    """
    issued_at, expires_at = _whole_number(members, "iat"), _whole_number(members, "exp")
    if not 0 < expires_at - issued_at <= MAX_LIFETIME_SECONDS:
        _refuse(
            Reason.TOKEN_MALFORMED,
            f"got a life of {expires_at - issued_at} s, expected 1 to {MAX_LIFETIME_SECONDS} s",
        )
    if "nbf" in members:
        _whole_number(members, "nbf")
    app, cnf = _object(members, "app"), _object(members, "cnf")
    return TokenClaims(
        issuer=_text(members, "iss"),
        audience=_text(members, "aud"),
        subject=_header_safe(members, "sub"),
        issued_at=issued_at,
        expires_at=expires_at,
        token_id=_text(members, "jti"),
        environment=_environment(_text(members, "env")),
        app_id=_header_safe(app, "id"),
        app_version=_text(app, "ver") if "ver" in app else None,
        level=_level(_text(members, "lvl")),
        key=_key(_object(cnf, "jwk")),
        session_id=_text(members, "sid"),
        epoch=_whole_number(members, "epo"),
        binding=_text(members, "bnd") if "bnd" in members else None,
        device=_header_safe(members, "dev") if "dev" in members else None,
        # Another value is one of a newer service, and allows nothing here.
        device_for_session=members.get("prf") == PROOF_BY_DEVICE,
        os=_os(members),
    )


def _text(members: Mapping[str, Any], name: str) -> str:
    """Return a string claim; ``aud`` is one string too, never a list (one token, one API)."""
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        _refuse(Reason.TOKEN_MALFORMED, f"expected {name} of 1 to {MAX_NAME_CHARACTERS} characters")
    return value


def _header_safe(members: Mapping[str, Any], name: str) -> str:
    value = _text(members, name)
    if not _HEADER_SAFE.fullmatch(value):
        _refuse(Reason.TOKEN_MALFORMED, f"expected {name} of visible ASCII characters")
    return value


def _os(members: Mapping[str, Any]) -> str | None:
    """Return the system that gates count by: a family, and perhaps a number.

    Nothing is decided by it, so that a family of a newer service is one that isn't known here.
    """
    value = members.get("os")
    return value if isinstance(value, str) and OS_CLAIM.fullmatch(value) else None


def _whole_number(members: Mapping[str, Any], name: str) -> int:
    """Return an integer claim; True is an int to Python and an exp that never ends to others."""
    value = members.get(name)
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        _refuse(Reason.TOKEN_MALFORMED, f"expected {name} as a whole number from 0 to {MAX_TIME}")
    return value


def _object(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    if not isinstance(value, dict):
        _refuse(Reason.TOKEN_MALFORMED, f"expected {name} as an object")
    return value


def _environment(text: str) -> Environment:
    try:
        return Environment(text)
    except ValueError:
        _refuse(Reason.TOKEN_MALFORMED, "expected env to be prod or lab")


def _level(text: str) -> Level:
    try:
        return Level(text)
    except ValueError:
        _refuse(Reason.TOKEN_MALFORMED, "expected lvl to be a level")


def _key(jwk: dict[str, Any]) -> Mapping[str, str]:
    try:
        public_key_from_jwk(jwk)
    except MalformedError as error:
        _refuse(Reason.TOKEN_MALFORMED, f"cnf: {error.detail}")
    return jwk


def issue(claims: TokenClaims, signer: Signer) -> str:
    """Return the token that says ``claims``.

    :raises RefusedError: ``token.malformed`` when it would be longer than gates accept.
    """
    token = jose.assemble(strict_json.dumps(claims_to_json(claims)), TOKEN_TYPE, signer)
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

    1. The token is one of ours in form (:func:`watchword.tokens.jose.parse`).
    2. Its key is known (``token.key_unknown``) and not retired (``token.key_retired``).
    3. The signature is valid (``token.signature``; RFC 7515 section 5.2).
    4. The claims have the form of the protocol, section 4 (``token.malformed``).
    5. Issuer, audience and environment are the expected ones, compared as whole strings.
    6. It isn't expired, and neither issued nor valid only in the future, within the leeway.

    The caller still has to ask whether the instance was revoked and whether the level is enough.

    :param now: seconds since 1970.
    :raises RefusedError: with the reason of the first step that failed.
    """
    jws = jose.parse(token, TOKEN_TYPE)
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


def _check_signature(jws: jose.UnverifiedJws, key: VerificationKey) -> None:
    if not jose.is_signed_by(key.key, jws.signature, jws.signing_input):
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
