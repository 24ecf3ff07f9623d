"""Sign for a team at Apple: ES256 tokens by the key that Apple gave the team as a ``.p8`` file."""

import json
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from watchword.encoding import base64url
from watchword.reasons import WatchwordError
from watchword.tokens.jose import sign

LIFETIME: Final = 15 * 60
"""Seconds that one token is used for; Apple takes none that is older than 20 minutes."""


class TeamKeyError(WatchwordError):
    """Report a file that isn't the private key Apple gave the team."""


@dataclass(slots=True)
class TeamKey:
    """Hold a team's key; the token that was signed last is used again while it is young.

    :param team_id: ten characters, ``iss`` of the token; ``key_id``: ten characters, its ``kid``.
    """

    team_id: str
    key_id: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    _token: str = field(default="", init=False, repr=False)
    _issued_at: int = field(default=0, init=False, repr=False)

    def token(self, now: int) -> str:
        """Return a token for the ``Authorization`` header (RFC 7515, RFC 7518 section 3.4).

        :param now: seconds since 1970.
        """
        if not self._token or not 0 <= now - self._issued_at < LIFETIME:
            self._token, self._issued_at = self._sign(now), now
        return self._token

    def forget(self) -> None:
        """Sign anew next time: Apple didn't take the last token."""
        self._token = ""

    def _sign(self, now: int) -> str:
        header = {"alg": "ES256", "kid": self.key_id, "typ": "JWT"}
        signing_input = ".".join(
            base64url.encode(json.dumps(part, separators=(",", ":")).encode())
            for part in (header, {"iss": self.team_id, "iat": now})
        )
        return f"{signing_input}.{base64url.encode(sign(self.key, signing_input.encode()))}"


def read_team_key(data: bytes, team_id: str, key_id: str, name: str) -> TeamKey:
    """Return the key in the bytes of a ``.p8`` file (PKCS#8 in PEM).

    :param name: the file's name, for the error.
    :raises TeamKeyError: when it isn't an unencrypted P-256 key.
    """
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TeamKeyError(f"{name}: expected the .p8 file from Apple, unencrypted") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TeamKeyError(f"{name}: got a key of another kind, expected one on P-256")
    return TeamKey(team_id, key_id, key)
