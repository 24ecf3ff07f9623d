"""Read the client statement that evidence is bound to (protocol, section 1)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.enrolment.challenge import MAX_CHALLENGE_BYTES
from watchword.enrolment.interface import MAX_STATEMENT_BYTES, Statement
from watchword.reasons import MalformedError, Reason
from watchword.tokens.jwk import public_key_from_jwk
from watchword.vocabulary import Purpose

MAX_AUDIENCES = 16
"""Most audiences of one statement: each costs a signature."""

MAX_NAME_CHARACTERS = 256
"""Most characters of an issuer, an audience or an app id."""

MAX_BND_CHARACTERS = 128
"""Most characters of ``bnd``, which goes into every token."""

PURPOSES: Final = ", ".join(purpose.value for purpose in Purpose)
"""The purposes that there are, for the text of a refusal."""

SECRET_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
"""What the name of a secret looks like."""

_REQUIRED = {"v", "purpose", "iss", "aud", "app", "challenge", "seal_jwk"}
_OPTIONAL = {"proof_jwk", "bnd"}
_OF_PURPOSE = {Purpose.SECRET: {"secret"}}
"""Members that a statement has with this purpose, and with no other."""

_X25519_BYTES = 32


def read_statement(raw: bytes) -> Statement:
    """Return what a statement says; whether that is true or wanted is for the caller.

    :param raw: the bytes as received; their SHA-256 is the binding, nothing is written anew.
    :raises MalformedError: ``statement.malformed``, ``statement.version``, ``statement.purpose``,
        ``statement.audience``, ``statement.key``, ``challenge.malformed``.
    """
    try:
        members = strict_json.loads(raw, MAX_STATEMENT_BYTES)
    except MalformedError as error:
        _refuse(Reason.STATEMENT_MALFORMED, error.detail)
    if type(members.get("v")) is not int or members["v"] != 1:
        _refuse(Reason.STATEMENT_VERSION, "expected the member v with the number 1")
    required = _REQUIRED
    if "purpose" in members:
        required = _REQUIRED | _OF_PURPOSE.get(_purpose(members["purpose"]), set())
    # Names of unknown members are the sender's text; only their number is told.
    missing, unknown = required - members.keys(), members.keys() - required - _OPTIONAL
    if missing or unknown:
        _refuse(
            Reason.STATEMENT_MALFORMED,
            f"got {len(unknown)} unknown members, missing: {', '.join(sorted(missing)) or 'none'}",
        )
    proof_jwk = members.get("proof_jwk")
    if "proof_jwk" in members:
        proof_jwk = _p256_jwk(proof_jwk, "proof_jwk")
    return Statement(
        purpose=_purpose(members["purpose"]),
        issuer=_text(members["iss"], "iss", MAX_NAME_CHARACTERS),
        audiences=_audiences(members["aud"]),
        app=_text(members["app"], "app", MAX_NAME_CHARACTERS),
        challenge=_challenge(members["challenge"]),
        proof_jwk=proof_jwk,
        seal_jwk=_seal_jwk(members["seal_jwk"]),
        bnd=_text(members["bnd"], "bnd", MAX_BND_CHARACTERS) if "bnd" in members else None,
        raw=raw,
        binding=hashlib.sha256(raw).digest(),
        secret=_secret(members["secret"]) if "secret" in members else None,
    )


def _purpose(value: Any) -> Purpose:
    try:
        return Purpose(value)
    except ValueError:
        _refuse(Reason.STATEMENT_PURPOSE, f"expected one of: {PURPOSES}")


def _secret(value: Any) -> str:
    if not isinstance(value, str) or not SECRET_NAME.fullmatch(value):
        _refuse(Reason.STATEMENT_MALFORMED, "expected secret of 1 to 64 of a to z, 0 to 9 and -")
    return value


def _text(value: Any, name: str, limit: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        _refuse(Reason.STATEMENT_MALFORMED, f"expected {name} of 1 to {limit} characters")
    return value


def _audiences(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_AUDIENCES:
        _refuse(Reason.STATEMENT_AUDIENCE, f"expected a list of 1 to {MAX_AUDIENCES} audiences")
    audiences = tuple(_text(each, "each aud", MAX_NAME_CHARACTERS) for each in value)
    if len(set(audiences)) != len(audiences):
        _refuse(Reason.STATEMENT_AUDIENCE, "got an audience twice")
    return audiences


def _challenge(value: Any) -> bytes:
    try:
        challenge = base64url.decode(value) if isinstance(value, str) else b""
    except MalformedError:
        challenge = b""
    if not 0 < len(challenge) <= MAX_CHALLENGE_BYTES:
        _refuse(
            Reason.CHALLENGE_MALFORMED, f"expected base64url of 1 to {MAX_CHALLENGE_BYTES} bytes"
        )
    return challenge


def _p256_jwk(value: Any, name: str) -> Mapping[str, str]:
    if not isinstance(value, dict):
        _refuse(Reason.STATEMENT_KEY, f"expected {name} to be a JWK")
    public_key_from_jwk(value)
    return value


def _seal_jwk(value: Any) -> Mapping[str, str]:
    """Return a P-256 or X25519 public key (RFC 8037 section 2)."""
    if not isinstance(value, dict) or value.get("kty") != "OKP":
        return _p256_jwk(value, "seal_jwk")
    if value.keys() != {"kty", "crv", "x"} or value["crv"] != "X25519":
        _refuse(Reason.STATEMENT_KEY, "expected seal_jwk with exactly kty OKP, crv X25519 and x")
    try:
        x = base64url.decode(value["x"]) if isinstance(value["x"], str) else b""
    except MalformedError:
        x = b""
    if len(x) != _X25519_BYTES:
        _refuse(Reason.STATEMENT_KEY, f"expected seal_jwk.x of {_X25519_BYTES} bytes")
    return value


def _refuse(reason: Reason, detail: str) -> NoReturn:
    raise MalformedError.because(reason, detail)
