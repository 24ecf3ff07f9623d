"""Read a Google service account, and sign with its key the request for an access token."""

import json
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, WatchwordError

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address.
SCOPE: Final = "https://www.googleapis.com/auth/playintegrity"

MAX_FILE_BYTES: Final = 64 * 1024
"""Most bytes of a service account's file; Google's have 2.4 kB."""

ASSERTION_SECONDS: Final = 600
"""How long a signed request is good for; Google allows an hour."""

MAX_ACCESS_SECONDS: Final = 86400
"""How long an access token is used at most; Google's live for an hour."""

_MIN_RSA_BITS: Final = 2048


class AccountError(WatchwordError):
    """Report a file that isn't a service account's; its text holds nothing of the file."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Hold a Google service account; the key is in no repr."""

    email: str
    key_id: str
    key: RSAPrivateKey = field(repr=False)

    def assertion(self, now: int) -> str:
        """Return the signed request for an access token: a JWT under RS256 (RFC 7523).

        :param now: seconds since 1970.
        """
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        claims = {
            "iss": self.email,
            "scope": SCOPE,
            "aud": TOKEN_URL,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        parts = (base64url.encode(strict_json.dumps(part)) for part in (header, claims))
        signing_input = ".".join(parts)
        signature = self.key.sign(signing_input.encode("ascii"), PKCS1v15(), SHA256())
        return f"{signing_input}.{base64url.encode(signature)}"


def read_service_account(data: bytes, name: str) -> ServiceAccount:
    """Return the account in a JSON key file, as the Google Cloud console gives it out.

    The addresses in the file aren't used: ours are fixed, so that a file can't send the key's
    signatures elsewhere.

    :param name: the file's name, for the error.
    :raises AccountError: when it isn't one.
    """
    try:
        document = strict_json.loads(data, MAX_FILE_BYTES)
    except MalformedError:
        raise AccountError(f"{name}: expected the JSON key file of a service account") from None
    email, key_id, pem = (
        document.get(member) for member in ("client_email", "private_key_id", "private_key")
    )
    texts = isinstance(email, str) and isinstance(key_id, str) and isinstance(pem, str)
    if document.get("type") != "service_account" or not texts:
        raise AccountError(
            f"{name}: expected type service_account with client_email, private_key_id, private_key"
        )
    try:
        key = load_pem_private_key(str(pem).encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_RSA_BITS:
        raise AccountError(f"{name}: expected private_key as an RSA key in PEM")
    return ServiceAccount(str(email), str(key_id), key)


def parse_access_token(body: bytes) -> tuple[str, int] | None:
    """Return the access token of Google's answer and its life in seconds, None if it isn't one."""
    try:
        document = json.loads(body)
        token, seconds = document["access_token"], document["expires_in"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    good = isinstance(token, str) and token.isascii() and token.isprintable() and token != ""
    if not good or type(seconds) is not int or seconds <= 0:
        return None
    return token, min(seconds, MAX_ACCESS_SECONDS)
