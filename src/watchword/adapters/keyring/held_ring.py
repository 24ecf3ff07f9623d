"""Hold the key ring's form for private keys that are elsewhere: the file has public keys, and sealed secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from watchword.adapters.keyring.held import HeldKey, KeyKeeper, KeyPurpose
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.keyring.ring import (
    HELD_VERSION,
    MAX_RING_BYTES,
    Ring,
    checked,
    damaged,
    first_ring,
    from_bytes,
    secrets_from_json,
    secrets_to_json,
    upgraded,
)
from watchword.adapters.keyring.token_keys import KeyState, TokenKey, rotated
from watchword.encoding import strict_json
from watchword.ports import Entropy
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.tokens.jwk import jwk_from_public_key, public_key_from_jwk, thumbprint
from watchword.vocabulary import Environment

_LABEL: Final = b"watchword/ring/v1\x00"
"""What the secrets are bound to, with the environment behind it: a lab's open in no production."""


@dataclass(frozen=True, slots=True)
class RetiredPublicKey:
    """Hold what is left of a key whose private part was thrown away: gates still accept its tokens for a while."""

    public: EllipticCurvePublicKey
    version: None = None

    def public_key(self) -> EllipticCurvePublicKey:
        """Return the public part."""
        return self.public

    def sign(self, message: bytes) -> bytes:
        """Refuse; nothing asks a retired key.

        :raises UnavailableError: ``secret.store_unavailable``.
        """
        raise UnavailableError(
            Reason.SECRET_STORE_UNAVAILABLE, f"a retired key signs nothing ({len(message)} bytes)"
        )


class HeldRingForm:
    """Make, write and read rings whose private keys are kept by somebody else."""

    def __init__(self, keeper: KeyKeeper, grace: float) -> None:
        """Keep who has the keys; nothing is asked yet.

        :param grace: seconds for which tokens of a key that retires are still accepted.
        """
        self._keeper = keeper
        self._grace = grace

    def new_token_key(self, now: float) -> TokenKey:
        """Return a fresh prepared key."""
        return _token_key(self._keeper.make(KeyPurpose.TOKENS), now)

    def first(self, environment: Environment, now: float, entropy: Entropy) -> Ring:
        """Return a ring of fresh keys."""
        active = replace(self.new_token_key(now), state=KeyState.ACTIVE)
        return replace(
            # Its private keys never left this process, and are forgotten.
            first_ring(environment, now, entropy),
            token_keys=(active, self.new_token_key(now)),
            bundle_key=self._new_bundle_key(now),
        )

    def to_bytes(self, ring: Ring) -> bytes:
        """Return the ring as it stands in the file: no private key, no secret that isn't sealed."""
        secrets = strict_json.dumps(secrets_to_json(ring))
        return strict_json.dumps(
            {
                "v": HELD_VERSION,
                "environment": ring.environment.value,
                "token_keys": [_key_to_json(key) for key in ring.token_keys],
                "bundle_key": _key_to_json(ring.bundle_key),
                "sealed": self._keeper.seal(secrets, _context(ring.environment)),
            }
        )

    def from_bytes(self, data: bytes, path: Path) -> Ring:
        """Return the ring in ``data``.

        :param path: where it was read, for the error's text.
        :raises PrivateFileError: when it is damaged, or of another form.
        :raises UnavailableError: when its secrets can't be unsealed now.
        """
        try:
            members = strict_json.loads(data, MAX_RING_BYTES)
            if members["v"] != HELD_VERSION:
                raise PrivateFileError(
                    f"{path}: got a ring with private keys, expected one without; was an old file put "
                    "back? Start the service anew, so that it is brought up to date"
                )
            environment = Environment(members["environment"])
            tokens = tuple(self._key(KeyPurpose.TOKENS, each) for each in members["token_keys"])
            bundles = self._key(KeyPurpose.BUNDLES, members["bundle_key"])
            secrets = self._keeper.unseal(str(members["sealed"]), _context(environment))
            return checked(
                secrets_from_json(
                    environment, tokens, bundles, strict_json.loads(secrets, MAX_RING_BYTES)
                )
            )
        except (RefusedError, ValueError, KeyError, TypeError) as error:
            raise damaged(path, error) from None

    def upgraded(self, data: bytes, path: Path, now: float, entropy: Entropy) -> Ring | None:
        """Return the ring of a file with private keys, without them; None for any other.

        Secrets stay, so that instances keep their subjects.  The key that signed tokens retires at once, and a
        held one takes its place; gates on other machines must be told the new key of the bundles.

        :raises PrivateFileError: when it is damaged.
        """
        ring = upgraded(data, path, now, entropy)
        if ring is None:
            try:
                if strict_json.loads(data, MAX_RING_BYTES)["v"] == HELD_VERSION:
                    return None
            except (RefusedError, KeyError) as error:
                raise damaged(path, error) from None
            ring = from_bytes(data, path)
        # The prepared key has signed nothing; what was active retires, as by a rotation.
        kept = tuple(key for key in ring.token_keys if key.state is not KeyState.PREPARED)
        taking_over = self.new_token_key(now)
        keys = rotated((*kept, taking_over), now, self._grace, self.new_token_key)
        return replace(
            ring,
            token_keys=tuple(_public_only(key) for key in keys),
            bundle_key=self._new_bundle_key(now),
        )

    def _new_bundle_key(self, now: float) -> TokenKey:
        key = _token_key(self._keeper.make(KeyPurpose.BUNDLES), now)
        return replace(key, state=KeyState.ACTIVE)

    def _key(self, purpose: KeyPurpose, members: Mapping[str, Any]) -> TokenKey:
        jwk = {"kty": "EC", "crv": "P-256", "x": members["x"], "y": members["y"]}
        public = public_key_from_jwk(jwk)
        state, version, until = KeyState(members["state"]), members["version"], _until(members)
        if (until is None) == (state is KeyState.RETIRED):
            raise ValueError("a key has a last instant exactly when it is retired")
        held: HeldKey
        if version is None and state is KeyState.RETIRED:
            held = RetiredPublicKey(public)
        elif type(version) is int and version > 0:
            held = self._keeper.held(purpose, version, public)
        else:
            raise ValueError("expected the version of a key that signs")
        return TokenKey(thumbprint(jwk), state, float(members["since"]), held, until)


def _token_key(held: HeldKey, now: float) -> TokenKey:
    kid = thumbprint(jwk_from_public_key(held.public_key()))
    return TokenKey(kid, KeyState.PREPARED, now, held)


def _public_only(key: TokenKey) -> TokenKey:
    return replace(key, private=RetiredPublicKey(key.public)) if key.held is None else key


def _key_to_json(key: TokenKey) -> dict[str, Any]:
    held = key.held
    if held is None:
        raise ValueError("got a private key, expected one that is kept elsewhere")
    public = jwk_from_public_key(held.public_key())
    return {
        "x": public["x"],
        "y": public["y"],
        "state": key.state.value,
        "since": key.since,
        "verify_until": key.verify_until,
        "version": held.version,
    }


def _until(members: Mapping[str, Any]) -> float | None:
    until = members["verify_until"]
    return None if until is None else float(until)


def _context(environment: Environment) -> bytes:
    return _LABEL + environment.value.encode("ascii")
