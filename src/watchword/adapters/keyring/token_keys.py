"""Hold token keys and their states: prepared, active, retired.

A key is *prepared*: published, so that every gate knows it before it signs anything; then
*active*: the one that signs; then *retired*: it signs nothing, and its tokens are accepted until
the last of them has expired.  There is always exactly one prepared and one active key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)

from watchword.adapters.keyring.held import HeldKey
from watchword.encoding import base64url
from watchword.ports import VerificationKey
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.tokens.jwk import jwk_from_public_key, thumbprint
from watchword.tokens.signing_key import sign

KEEP_RETIRED_SECONDS: Final = 24 * 3600
"""How long a key is kept after its last token expired: so long a gate can tell a retired key
from an unknown one."""

MAX_KEYS: Final = 512
"""From so many keys on none is added by a rotation: the file stays far below its limit."""

_COORDINATE_BYTES = 32


class KeyState(StrEnum):
    """Name where a token key is in its life."""

    PREPARED = "prepared"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Hold one token key; implements :class:`watchword.ports.Signer`.

    :param kid: the RFC 7638 thumbprint of the public key.
    :param since: seconds since 1970 at which it came into its present state.
    :param private: the private key, or who signs with it where it is kept elsewhere.
    :param verify_until: seconds since 1970; None while it isn't retired.
    """

    kid: str
    state: KeyState
    since: float
    private: EllipticCurvePrivateKey | HeldKey = field(repr=False)
    verify_until: float | None = None

    @property
    def public(self) -> EllipticCurvePublicKey:
        """Return the public key."""
        return self.private.public_key()

    @property
    def held(self) -> HeldKey | None:
        """Return who signs with the private key, None where it is here."""
        return None if isinstance(self.private, EllipticCurvePrivateKey) else self.private

    def verification_key(self) -> VerificationKey:
        """Return the part that gates know."""
        return VerificationKey(self.kid, self.public, self.verify_until)

    def sign(self, message: bytes) -> bytes:
        """See :meth:`watchword.ports.Signer.sign`.

        :raises UnavailableError: ``secret.store_unavailable`` when a key that is kept elsewhere can't sign now.
        """
        if isinstance(self.private, EllipticCurvePrivateKey):
            return sign(self.private, message)
        return self.private.sign(message)


def new_key(now: float) -> TokenKey:
    """Return a fresh prepared key."""
    private = generate_private_key(SECP256R1())
    kid = thumbprint(jwk_from_public_key(private.public_key()))
    return TokenKey(kid, KeyState.PREPARED, now, private)


def find_key(keys: tuple[TokenKey, ...], kid: str) -> TokenKey:
    """Return the key with this id.

    :raises RefusedError: ``key.unknown`` when there is none.
    """
    for key in keys:
        if key.kid == kid:
            return key
    raise RefusedError.because(
        Reason.KEY_UNKNOWN, "there is no such key; see `watchword keys list`"
    )


def rotated(
    keys: tuple[TokenKey, ...],
    now: float,
    grace: float,
    make: Callable[[float], TokenKey] = new_key,
) -> tuple[TokenKey, ...]:
    """Return the keys after the prepared one took over and a new one was prepared.

    :param grace: seconds for which tokens of the key that retires are still accepted.
    :param make: returns a fresh prepared key.
    """
    after = []
    for key in keys:
        if key.state is KeyState.PREPARED:
            after.append(replace(key, state=KeyState.ACTIVE, since=now))
        elif key.state is KeyState.ACTIVE:
            after.append(replace(key, state=KeyState.RETIRED, since=now, verify_until=now + grace))
        elif key.verify_until is None or now < key.verify_until + KEEP_RETIRED_SECONDS:
            after.append(key)
    return (*after, make(now))


def pruned(keys: tuple[TokenKey, ...], now: float) -> tuple[TokenKey, ...]:
    """Return the keys without those that retired first, as far as there are :data:`MAX_KEYS`.

    A key whose tokens may still live stays in any case.
    """
    dead = sorted(
        (key for key in keys if key.verify_until is not None and key.verify_until <= now),
        key=lambda key: key.since,
    )
    dropped = {key.kid for key in dead[: max(0, len(keys) + 1 - MAX_KEYS)]}
    return tuple(key for key in keys if key.kid not in dropped)


def require_room(keys: tuple[TokenKey, ...]) -> None:
    """Stop a script that rotates without end, before the key ring is too large to be read.

    :raises UnavailableError: ``service.overloaded`` at :data:`MAX_KEYS`.
    """
    if len(keys) >= MAX_KEYS:
        raise UnavailableError(
            Reason.SERVICE_OVERLOADED,
            f"got {len(keys)} token keys whose tokens live; rotate less often",
            retry_after=60,
        )


def withdrawn(
    keys: tuple[TokenKey, ...],
    kid: str,
    now: float,
    make: Callable[[float], TokenKey] = new_key,
) -> tuple[TokenKey, ...]:
    """Return the keys after one of them lost all trust at once, because it may be stolen.

    The prepared key takes over from an active one; a prepared one is replaced.

    :param make: returns a fresh prepared key.

    :raises RefusedError: ``request.not_found`` when there is no such key.
    """
    found = find_key(keys, kid)
    last = now if found.verify_until is None else min(now, found.verify_until)
    gone = replace(found, state=KeyState.RETIRED, since=now, verify_until=last)
    others = tuple(key for key in keys if key.kid != kid)
    if found.state is KeyState.ACTIVE:
        return (*rotated(others, now, 0, make), gone)
    if found.state is KeyState.PREPARED:
        return (*others, gone, make(now))
    return (*others, gone)


def key_to_json(key: TokenKey) -> dict[str, Any]:
    """Return a key as it stands in the file, private part included.

    :raises ValueError: when the private part is kept elsewhere.
    """
    if not isinstance(key.private, EllipticCurvePrivateKey):
        raise ValueError("got a key that is kept elsewhere, expected a private key")  # noqa: TRY004 - its type is right, its place is not.
    secret = key.private.private_numbers().private_value.to_bytes(_COORDINATE_BYTES, "big")
    return {
        "kid": key.kid,
        "state": key.state.value,
        "since": key.since,
        "verify_until": key.verify_until,
        "d": base64url.encode(secret),
    }


def key_from_json(members: Mapping[str, Any]) -> TokenKey:
    """Return a key as :func:`key_to_json` wrote it.

    :raises ValueError, KeyError, TypeError, RefusedError: when it isn't as it was written; the
        caller tells the operator, without the text.
    """
    secret = int.from_bytes(base64url.decode(members["d"]), "big")
    private = derive_private_key(secret, SECP256R1())
    kid = thumbprint(jwk_from_public_key(private.public_key()))
    if kid != members["kid"]:
        raise ValueError("the kid isn't the key's thumbprint")
    state = KeyState(members["state"])
    until = members["verify_until"]
    if (until is None) == (state is KeyState.RETIRED):
        raise ValueError("a key has a last instant exactly when it is retired")
    return TokenKey(
        kid, state, float(members["since"]), private, None if until is None else float(until)
    )
