"""Check the structure of what looks like a secret: checksums, parses.  Nobody is ever asked whether it works."""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)

MOST = 16_384
"""How many characters of a secret are parsed; a longer one can't be told."""

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_ACCOUNTS = 10**12
_OLD_AWS = ("I", "J")
_MAPBOX_USER = "sk.eyJ1Ijoi"
"""A header of secret tokens, and the begin of their claims in base64: ``{"u":"`` (docs.mapbox.com/api/accounts/tokens, 2026-11-29)."""

_EXAMPLE_USERS = frozenset(
    (
        "user",
        "username",
        "usr",
        "login",
        "name",
        "u",
        "me",
        "foo",
        "my-user",
        "myuser",
        "youruser",
        "aladdin",
        "admin",
        "test",
    )
)
_EXAMPLE_PASSWORDS = frozenset(
    (
        "password",
        "passwd",
        "pass",
        "passw",
        "passwort",
        "pwd",
        "pw",
        "p",
        "secret",
        "bar",
        "my-password",
        "mypassword",
        "yourpassword",
        "open sesame",
    )
)
_BODY = re.compile(r"-----BEGIN ([ A-Z0-9_-]*)-----(.*?)-----END ([ A-Z0-9_-]*)-----", re.DOTALL)


def holds(kind: str, secret: str) -> bool | None:
    """Tell whether a secret's structure holds; None where its kind has none that can be checked offline.

    One whose structure is broken is no secret: no server would take it.
    """
    check = _CHECKS.get(kind)
    if check is None or len(secret) > MOST:
        return None
    try:
        return check(secret)
    except (ValueError, TypeError, RecursionError, UnsupportedAlgorithm):
        return False


def claims_of(token: str) -> Mapping[str, object] | None:
    """Return the claims of a JWT, unverified; None if it isn't one."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MOST:
        return None
    try:
        header, claims = (json.loads(_unpadded(part)) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    return (
        claims
        if isinstance(header, dict) and "alg" in header and isinstance(claims, dict)
        else None
    )


def is_key(pem: str) -> bool | None:
    """Tell whether a PEM block holds a private key; None for one under a password, which nobody here can open."""
    block = _BODY.search(_plain(pem))
    if block is None:
        return False
    label, body, text = block[1], block[2], block[0]
    if "ENCRYPTED" in label or "ENCRYPTED" in body:
        return None
    if "PGP" in label:
        return bool(re.search(r"[A-Za-z0-9+/=\s]{64,}", body)) or None
    if "OPENSSH" in label:
        load_ssh_private_key(text.encode(), password=None)
        return True
    data = base64.b64decode(re.sub(r"\s", "", body), validate=True)
    if "OPENSSH" not in label:
        wrapped = base64.encodebytes(data).decode()
        text = f"-----BEGIN {label}-----\n{wrapped}-----END {block[3]}-----\n"
    load_pem_private_key(text.encode(), password=None)
    return True


def aws_account(key_id: str) -> int | None:
    """Return the account that an AWS access key id names (40 bits of its base32 part); None for one of the old form."""
    part = key_id[4:]
    if part.startswith(_OLD_AWS) or len(part) != 16 or any(char not in _BASE32 for char in part):
        return None
    number = int.from_bytes(base64.b32decode(part)[:6], "big")
    return (number & 0x7FFFFFFFFF80) >> 7


def _plain(pem: str) -> str:
    """Undo what source code and JSON do to line ends."""
    return pem.replace("\\r", "").replace("\\n", "\n").replace('"', "").replace("\r", "")


def _crc_base62(secret: str) -> bool:
    """Compare the last six characters with the CRC-32 of those before them and behind the prefix.

    Sources: github.blog, 2021-04-05, "Behind GitHub's new authentication token formats"; npm took the same form.
    """
    body = secret.partition("_")[2]
    rest, checksum = zlib.crc32(body[:-6].encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        checksum = _BASE62[digit] + checksum
    return body[-6:] == checksum


def _jwt(secret: str) -> bool:
    return claims_of(secret) is not None


def _jwt_base64(secret: str) -> bool:
    return _jwt(_unpadded(secret).decode("ascii"))


def _der(secret: str) -> bool:
    load_der_private_key(_unpadded(secret), password=None)
    return True


def _aws(secret: str) -> bool | None:
    account = aws_account(secret)
    return None if account is None else account < _ACCOUNTS or None


def _mapbox(secret: str) -> bool:
    claims = json.loads(_unpadded(secret.partition(".")[2].partition(".")[0]))
    return isinstance(claims, dict) and "u" in claims


def _mapbox_secret(secret: str) -> bool | None:
    """Tell of a secret one that begins as all do that it can be one, even if nobody can read the rest of it."""
    try:
        return _mapbox(secret)
    except ValueError:
        return None if secret.startswith(_MAPBOX_USER) else False


def _basic(secret: str) -> bool:
    user, colon, password = _unpadded(secret).decode("ascii").partition(":")
    printable = f"{user}{password}".isprintable()
    return bool(colon and user and password) and printable and not is_example(user, password)


def password_of(kind: str, secret: str) -> str:
    """Return the password in a login."""
    if kind != "basic-auth":
        return secret
    return _unpadded(secret).decode("ascii", "replace").partition(":")[2]


def is_example(user: str, password: str) -> bool:
    """Tell whether a login is one that explains a form: ``user:password``."""
    return user.lower() in _EXAMPLE_USERS and password.lower() in _EXAMPLE_PASSWORDS


def _sentry(secret: str) -> bool:
    claims = json.loads(_unpadded(secret.removeprefix("sntrys_").rpartition("_")[0]))
    return isinstance(claims, dict) and "iat" in claims


def _unpadded(text: str) -> bytes:
    """Decode base64 of either alphabet, padded or not."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


_CHECKS: Mapping[str, Callable[[str], bool | None]] = {
    "github-pat": _crc_base62,
    "github-oauth": _crc_base62,
    "github-app-token": _crc_base62,
    "github-refresh-token": _crc_base62,
    "npm-access-token": _crc_base62,
    "jwt": _jwt,
    "jwt-base64": _jwt_base64,
    "private-key": is_key,
    "private-key-der": _der,
    "aws-access-token": _aws,
    "mapbox-public-token": _mapbox,
    "mapbox-secret-token": _mapbox_secret,
    "basic-auth": _basic,
    "sentry-org-token": _sentry,
}
