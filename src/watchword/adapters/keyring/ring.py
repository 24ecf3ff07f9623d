"""Hold one reading of the key ring, and its form in the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.gate_epochs import (
    GateEpoch,
    epoch_from_json,
    epoch_to_json,
    first_epochs,
)
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.keyring.token_keys import (
    KeyState,
    TokenKey,
    find_key,
    key_from_json,
    key_to_json,
    new_key,
)
from watchword.encoding import base64url, strict_json
from watchword.ports import Entropy
from watchword.reasons import RefusedError
from watchword.vocabulary import Environment

SECRET_BYTES: Final = 32
"""Bytes of each symmetric key: as many as the output of HMAC-SHA256 (RFC 2104 section 3)."""

MAX_RING_BYTES: Final = 256 * 1024
"""Most bytes of the file."""

HELD_VERSION: Final = 3
"""Of a file without private keys (:mod:`watchword.adapters.keyring.held_ring`)."""

_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Ring:
    """Hold one reading of the file.

    :param environment: the world that the state directory was made for, and stays in.
    :param challenge_key: makes and checks challenges.
    :param pairwise_key: makes subjects; it must never change, or every instance gets new ones.
    :param reference_key: seals the references of the service's refusals; each audience's gates have a
        key that is derived from it.
    :param gate_epochs: from whose secrets service and gates derive session keys.
    :param bundle_key: signs gate bundles and nothing else; gates are told its public part once.
    :param verdict_master: from which each audience's verdict key is derived.
    """

    environment: Environment
    token_keys: tuple[TokenKey, ...]
    challenge_key: bytes = field(repr=False)
    pairwise_key: bytes = field(repr=False)
    reference_key: bytes = field(repr=False)
    gate_epochs: tuple[GateEpoch, ...]
    bundle_key: TokenKey
    verdict_master: bytes = field(repr=False)

    def in_state(self, state: KeyState) -> TokenKey:
        """Return the only token key in this state (``prepared`` or ``active``)."""
        (found,) = (key for key in self.token_keys if key.state is state)
        return found

    def epoch_in_state(self, state: KeyState) -> GateEpoch:
        """Return the only epoch in this state (``prepared`` or ``active``)."""
        (found,) = (epoch for epoch in self.gate_epochs if epoch.state is state)
        return found

    def find(self, kid: str) -> TokenKey:
        """Return the token key with this id.

        :raises RefusedError: ``key.unknown`` when there is none.
        """
        return find_key(self.token_keys, kid)


def first_ring(environment: Environment, now: float, entropy: Entropy) -> Ring:
    """Return a ring of fresh keys."""
    challenge, pairwise, reference = (entropy.token_bytes(SECRET_BYTES) for _ in range(3))
    return Ring(
        environment,
        (replace(new_key(now), state=KeyState.ACTIVE), new_key(now)),
        challenge,
        pairwise,
        reference,
        first_epochs(now, entropy),
        _new_bundle_key(now),
        entropy.token_bytes(SECRET_BYTES),
    )


def to_bytes(ring: Ring) -> bytes:
    """Return the ring as it stands in the file, secrets included."""
    return strict_json.dumps(
        {
            "v": _VERSION,
            "environment": ring.environment.value,
            "token_keys": [key_to_json(key) for key in ring.token_keys],
            "challenge_key": base64url.encode(ring.challenge_key),
            "pairwise_key": base64url.encode(ring.pairwise_key),
            "reference_key": base64url.encode(ring.reference_key),
            "gate_epochs": [epoch_to_json(epoch) for epoch in ring.gate_epochs],
            "bundle_key": key_to_json(ring.bundle_key),
            "verdict_master": base64url.encode(ring.verdict_master),
        }
    )


def from_bytes(data: bytes, path: Path) -> Ring:
    """Return the ring in ``data``.

    :param path: where it was read, for the error's text.
    :raises PrivateFileError: when it is damaged, or of another version.
    """
    try:
        members = strict_json.loads(data, MAX_RING_BYTES)
        if members["v"] == 1:
            raise PrivateFileError(
                f"{path}: is from before an update, and was put back; start the service anew, "
                "so that it is brought up to date"
            )
        if members["v"] == HELD_VERSION and "sealed" in members:
            raise PrivateFileError(
                f"{path}: its private keys are in OpenBao; expected secrets.signing in the configuration"
            )
        if members["v"] != _VERSION:
            raise PrivateFileError(
                f"{path}: expected version {_VERSION}; a newer Watchword made it?"
            )
        return _ring(members)
    except (RefusedError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from None


def upgraded(data: bytes, path: Path, now: float, entropy: Entropy) -> Ring | None:
    """Return the ring in a file of version 1 with what that version had not; None for any other.

    Its tokens name epoch 0, which nobody holds a secret of: they are worth what they were, and
    open no route that asks for a session proof.

    :raises PrivateFileError: when it is damaged.
    """
    try:
        members = strict_json.loads(data, MAX_RING_BYTES)
        if members["v"] != 1:
            return None
        new = {
            "gate_epochs": [epoch_to_json(each) for each in first_epochs(now, entropy)],
            "bundle_key": key_to_json(_new_bundle_key(now)),
            "verdict_master": base64url.encode(entropy.token_bytes(SECRET_BYTES)),
        }
        return _ring({**members, **new})
    except (RefusedError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from None


def secrets_to_json(ring: Ring) -> dict[str, Any]:
    """Return all of a ring that is secret but the private keys that sign."""
    return {
        "challenge_key": base64url.encode(ring.challenge_key),
        "pairwise_key": base64url.encode(ring.pairwise_key),
        "reference_key": base64url.encode(ring.reference_key),
        "gate_epochs": [epoch_to_json(epoch) for epoch in ring.gate_epochs],
        "verdict_master": base64url.encode(ring.verdict_master),
    }


def secrets_from_json(
    environment: Environment,
    token_keys: tuple[TokenKey, ...],
    bundle_key: TokenKey,
    members: Mapping[str, Any],
) -> Ring:
    """Return the ring of these keys and of the secrets that :func:`secrets_to_json` wrote.

    :raises ValueError, KeyError, TypeError, RefusedError: when they aren't as they were written.
    """
    return Ring(
        environment,
        token_keys,
        _secret(members, "challenge_key"),
        _secret(members, "pairwise_key"),
        _secret(members, "reference_key"),
        tuple(epoch_from_json(entry) for entry in members["gate_epochs"]),
        bundle_key,
        _secret(members, "verdict_master"),
    )


def _ring(members: Mapping[str, Any]) -> Ring:
    return checked(
        secrets_from_json(
            Environment(members["environment"]),
            tuple(key_from_json(entry) for entry in members["token_keys"]),
            key_from_json(members["bundle_key"]),
            members,
        )
    )


def checked(ring: Ring) -> Ring:
    """Return a ring that makes sense.

    :raises ValueError: when keys are missing, or are there twice.
    """
    for state in (KeyState.ACTIVE, KeyState.PREPARED):
        ring.in_state(state)
        ring.epoch_in_state(state)
    if len({epoch.epoch for epoch in ring.gate_epochs}) != len(ring.gate_epochs):
        raise ValueError("an epoch is there twice")
    if ring.bundle_key.state is not KeyState.ACTIVE:
        raise ValueError("the bundle key is always active")
    return ring


def _new_bundle_key(now: float) -> TokenKey:
    return replace(new_key(now), state=KeyState.ACTIVE)


def damaged(path: Path, error: Exception) -> PrivateFileError:
    """Return the error for a ring that isn't as it was written."""
    # Only the class is told: the text of some errors quotes what they read, which are keys.
    return PrivateFileError(
        f"{path}: the key ring is damaged ({type(error).__name__}); restore it from a backup"
    )


def _secret(members: Mapping[str, Any], name: str) -> bytes:
    secret = base64url.decode(members[name])
    if len(secret) != SECRET_BYTES:
        raise ValueError("a secret has the wrong length")
    return secret


class FileRingForm:
    """Make, write and read rings whose private keys are in the file itself."""

    def new_token_key(self, now: float) -> TokenKey:
        """Return a fresh prepared key."""
        return new_key(now)

    def first(self, environment: Environment, now: float, entropy: Entropy) -> Ring:
        """See :func:`first_ring`."""
        return first_ring(environment, now, entropy)

    def to_bytes(self, ring: Ring) -> bytes:
        """See :func:`to_bytes`."""
        return to_bytes(ring)

    def from_bytes(self, data: bytes, path: Path) -> Ring:
        """See :func:`from_bytes`."""
        return from_bytes(data, path)

    def upgraded(self, data: bytes, path: Path, now: float, entropy: Entropy) -> Ring | None:
        """See :func:`upgraded`."""
        return upgraded(data, path, now, entropy)
