"""Translate between claims and their JSON on the wire (protocol, section 4)."""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from watchword.reasons import MalformedError, Reason
from watchword.tokens.interface import MAX_LIFETIME_SECONDS, TokenClaims
from watchword.tokens.jwk import public_key_from_jwk
from watchword.vocabulary import Environment, Level

MAX_NAME_CHARACTERS = 256
"""Most characters of any string claim."""

MAX_TIME = 2**40
"""Latest time that is accepted (about the year 36,800): small enough for exact floats."""

# Subject and app id become header fields for the API: a line break or a blank in one of them
# would let a token write header fields of its own.
_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,256}")


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
    return members


def claims_from_json(members: Mapping[str, Any]) -> TokenClaims:
    """Return the claims out of a payload whose signature holds.

    Claims that this version doesn't know are ignored (RFC 7519 section 4), so that a service
    can be newer than its gates.

    :raises MalformedError: with ``token.malformed``.
    """
    issued_at, expires_at = _whole_number(members, "iat"), _whole_number(members, "exp")
    if not 0 < expires_at - issued_at <= MAX_LIFETIME_SECONDS:
        _refuse(f"got a life of {expires_at - issued_at} s, expected 1 to {MAX_LIFETIME_SECONDS} s")
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
    )


def _text(members: Mapping[str, Any], name: str) -> str:
    """Return a string claim; ``aud`` is one string too, never a list (one token, one API)."""
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        _refuse(f"expected {name} of 1 to {MAX_NAME_CHARACTERS} characters")
    return value


def _header_safe(members: Mapping[str, Any], name: str) -> str:
    value = _text(members, name)
    if not _HEADER_SAFE.fullmatch(value):
        _refuse(f"expected {name} of visible ASCII characters")
    return value


def _whole_number(members: Mapping[str, Any], name: str) -> int:
    """Return an integer claim; True is an int to Python and an exp that never ends to others."""
    value = members.get(name)
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        _refuse(f"expected {name} as a whole number from 0 to {MAX_TIME}")
    return value


def _object(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    if not isinstance(value, dict):
        _refuse(f"expected {name} as an object")
    return value


def _environment(text: str) -> Environment:
    try:
        return Environment(text)
    except ValueError:
        _refuse("expected env to be prod or lab")


def _level(text: str) -> Level:
    try:
        return Level(text)
    except ValueError:
        _refuse("expected lvl to be a level")


def _key(jwk: dict[str, Any]) -> Mapping[str, str]:
    try:
        public_key_from_jwk(jwk)
    except MalformedError as error:
        _refuse(f"cnf: {error.detail}")
    return jwk


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.TOKEN_MALFORMED, detail)
