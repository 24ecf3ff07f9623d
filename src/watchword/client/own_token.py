"""Read of an own token what its proofs need; it is the gate's to verify, not the app's."""

import hashlib
from dataclasses import dataclass
from typing import Final

from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError

_MAX_TOKEN_CHARACTERS: Final = 2048
_SEGMENTS: Final = 3
_KEY_MEMBERS: Final = ("crv", "kty", "x", "y")
"""What a thumbprint is made of, in its order (RFC 7638 section 3.2)."""


@dataclass(frozen=True, slots=True)
class OwnToken:
    """Hold what a token says of its keys.

    :param session_id: ``sid``, which a session proof names as its key.
    :param key: the public proof key as a JWK with ``crv``, ``kty``, ``x`` and ``y`` in this order.
    :param thumbprint: RFC 7638 thumbprint of it, which a device proof names as its key.
    :param device_for_session: whether the device's own proofs count on routes that want a session proof.
    """

    session_id: str
    key: dict[str, str]
    thumbprint: str
    device_for_session: bool = False


def read_own_token(token: str) -> OwnToken:
    """Return what the token's proofs need.

    Android learns its proof key from here: the key was made after the statement was written.

    :raises ValueError: if it isn't a token of the protocol.
    """
    segments = token.split(".")
    if len(token) > _MAX_TOKEN_CHARACTERS or len(segments) != _SEGMENTS:
        raise ValueError("got a token that isn't a JWT")
    try:
        payload = strict_json.loads(
            base64url.decode(segments[1], _MAX_TOKEN_CHARACTERS), _MAX_TOKEN_CHARACTERS
        )
        jwk = payload["cnf"]["jwk"]
        key = {name: jwk[name] for name in _KEY_MEMBERS}
        session_id = payload["sid"]
    except (MalformedError, KeyError, TypeError):
        raise ValueError("got a token without a session id or a proof key") from None
    if not all(isinstance(value, str) for value in (session_id, *key.values())):
        raise ValueError("got a token whose session id or proof key isn't text")
    digest = hashlib.sha256(strict_json.dumps(key)).digest()
    device_for_session = payload.get("prf") == "device"
    return OwnToken(session_id, key, base64url.encode(digest), device_for_session)
