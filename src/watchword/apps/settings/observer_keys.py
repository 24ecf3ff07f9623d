"""Read the public keys of observers, the only ones whose word proves that a protection works."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.faults import shown
from watchword.encoding import strict_json
from watchword.reasons import MalformedError
from watchword.tokens.jwk import public_key_from_jwk

MAX_KEY_BYTES: Final = 4096
"""Most bytes of a key file; a public JWK on P-256 has about 130."""

_ABOUT_THE_KEY: Final = frozenset({"kid", "alg", "use", "key_ops"})
"""Members that say something of a key and aren't part of it (RFC 7517 section 4)."""

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members that only private and secret keys have (RFC 7518 section 6)."""

_EXPECTED: Final = "a file with a public JWK: kty EC, crv P-256, x and y"


class _UnusableError(Exception):
    """Say what a key file holds instead of a key, never quoting it."""

    def __init__(self, got: str, expected: str = _EXPECTED) -> None:
        super().__init__(got)
        self.got = got
        self.expected = expected


def observer_keys(
    base: Path, files: Mapping[str, str]
) -> tuple[dict[str, EllipticCurvePublicKey], list[Inconsistency]]:
    """Return each observer's key that can be used, and what is wrong with the others.

    :param base: the directory from which the files are named.
    :param files: by observer.
    """
    keys: dict[str, EllipticCurvePublicKey] = {}
    holders: dict[tuple[int, int], str] = {}
    troubles: list[Inconsistency] = []
    for name, entry in files.items():
        path = ("plan", "observers", name, "key")
        try:
            key = _read(base / entry)
        except _UnusableError as trouble:
            troubles.append((path, f"{shown(entry)}: {trouble.got}", trouble.expected))
            continue
        numbers = key.public_numbers()
        holder = holders.setdefault((numbers.x, numbers.y), name)
        if holder != name:
            # A proof names the observer who signed it, and that must be one.
            troubles.append((path, f"the key of {holder} again", "a key of its own"))
        keys[name] = key
    return keys, troubles


def _read(file: Path) -> EllipticCurvePublicKey:
    """Read one key file.

    :raises _UnusableError: when it can't be read, or holds anything but a public key on P-256.
    """
    try:
        if file.exists() and not file.is_file():
            # Opening a pipe would wait for whoever writes to it.
            raise _UnusableError("no file", "a file that can be read")
        with file.open("rb") as stream:
            data = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise _UnusableError(reason, "a file that can be read") from None
    if b"PRIVATE KEY" in data:
        raise _private()
    try:
        jwk: dict[str, Any] = strict_json.loads(data, MAX_KEY_BYTES)
    except MalformedError:
        raise _UnusableError("something that isn't a JWK") from None
    if jwk.keys() & _PRIVATE:
        raise _private()
    if jwk.get("kty") != "EC":
        raise _UnusableError(f"a key of kind {shown(jwk.get('kty'))}")
    if jwk.get("crv") != "P-256":
        raise _UnusableError(f"a key on the curve {shown(jwk.get('crv'))}")
    try:
        return public_key_from_jwk({n: v for n, v in jwk.items() if n not in _ABOUT_THE_KEY})
    except MalformedError:
        raise _UnusableError(
            "x and y that are no point on P-256, or members that no such key has"
        ) from None


def _private() -> _UnusableError:
    return _UnusableError(
        "a private key",
        "the public key of that observer; its private key stays with the observer alone",
    )
