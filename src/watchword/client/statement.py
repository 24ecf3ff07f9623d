"""Build the statement that evidence is bound to (protocol, section 1)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from watchword.encoding import base64url, strict_json
from watchword.vocabulary import Purpose


def build_statement(
    *,
    purpose: Purpose,
    issuer: str,
    audiences: Sequence[str],
    app: str,
    challenge: str,
    proof_jwk: Mapping[str, str] | None,
    seal_jwk: Mapping[str, str],
    bnd: str | None = None,
    secret: str | None = None,
    device_for_session: bool = False,
) -> bytes:
    """Return the statement's bytes; they are sent and hashed as they are, never written anew.

    :param challenge: as the service gave it, base64url.
    :param proof_jwk: None where the attested key is the proof key (Android): the member is
        absent then.
    :param bnd: what the tokens are to be bound to, see :func:`bound_to`; None leaves it out.
    :param secret: name of the secret that is asked for, exactly with the purpose ``secret``.
    :param device_for_session: ask that the device's own proofs count on routes that want a session proof.
    """
    statement: dict[str, Any] = {
        "v": 1,
        "purpose": purpose.value,
        "iss": issuer,
        "aud": list(audiences),
        "app": app,
        "challenge": challenge,
    }
    if proof_jwk is not None:
        statement["proof_jwk"] = dict(proof_jwk)
    statement["seal_jwk"] = dict(seal_jwk)
    if bnd is not None:
        statement["bnd"] = bnd
    if secret is not None:
        statement["secret"] = secret
    if device_for_session:
        statement["prf"] = "device"
    return strict_json.dumps(statement)


def binding_of(statement: bytes) -> bytes:
    """Return SHA-256 of the statement: what evidence carries."""
    return hashlib.sha256(statement).digest()


def bound_to(value: str) -> str:
    """Return the ``bnd`` that binds tokens to the value of a header, which itself stays out of them.

    The gate compares it with base64url(SHA-256) of that header's value in each request.
    """
    return base64url.encode(hashlib.sha256(value.encode()).digest())
