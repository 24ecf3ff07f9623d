"""Check what the service signed of a refusal: that it is about the statement which was sent (protocol, section 7)."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.client.errors import Problem
from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError
from watchword.tokens.interface import REFUSAL_TYPE
from watchword.tokens.jose import is_signed_by, parse, public_key_from_jwk

KEYS_PATH: Final = "/.well-known/jwks.json"
"""Where the service shows the keys that it signs by."""

_MAX_PAYLOAD_BYTES: Final = 2048
_VERSION: Final = 1
_KEY_MEMBERS: Final = ("kty", "crv", "x", "y")


def is_signed(
    problem: Problem, keys: Mapping[str, Any], issuer: str, app: str, binding: bytes
) -> bool:
    """Tell whether the service vouches for this refusal of this statement.

    :param keys: the service's JWK Set.
    :param binding: SHA-256 of the statement that was refused.
    """
    if problem.signed is None:
        return False
    try:
        jws = parse(problem.signed, REFUSAL_TYPE)
        jwk = next(each for each in keys["keys"] if each["kid"] == jws.kid)
        key = public_key_from_jwk({name: jwk[name] for name in _KEY_MEMBERS})
        if not is_signed_by(key, jws.signature, jws.signing_input):
            return False
        payload = strict_json.loads(jws.payload, _MAX_PAYLOAD_BYTES)
    except (MalformedError, KeyError, TypeError, StopIteration):
        return False
    expected = {
        "v": _VERSION,
        "iss": issuer,
        "app": app,
        "binding": base64url.encode(binding),
        "type": problem.slug,
    }
    at = payload.pop("now", None)
    # True is an int in Python, and equal to version 1.
    numbers = all(
        isinstance(each, int) and not isinstance(each, bool) for each in (at, payload.get("v"))
    )
    return numbers and payload == expected
