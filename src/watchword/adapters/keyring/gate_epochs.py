"""Hold the epochs of the gate secrets and their states: prepared, active, retired.

An epoch has one master secret; what a gate holds is derived from it for one audience, so that
the gate of one API can't tell, nor forge proofs for, another's.  Epochs live as token keys do
(:mod:`watchword.adapters.keyring.token_keys`): known to every gate before the first token
names them, and known until the last such token has ended.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchword.adapters.keyring.token_keys import KEEP_RETIRED_SECONDS, KeyState
from watchword.encoding import base64url, length_prefixed
from watchword.ports import Entropy
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.tokens.proofs.interface import SESSION_KEY_BYTES, GateSecret
from watchword.tokens.signing_key import SigningKey

MAX_EPOCHS: Final = 512
"""From so many epochs on none is added by a rotation: ring and bundles stay far below their limits."""

MASTER_BYTES: Final = 32
"""Bytes of a master secret."""

_SECRET_LABEL = b"watchword/gate-secret/v1"
_VERDICT_LABEL = b"watchword/verdict-key/v1"
_REFERENCE_LABEL: Final = b"watchword/reference/v1"
_MAX_EPOCH = 2**53


@dataclass(frozen=True, slots=True)
class GateEpoch:
    """Hold one epoch.

    :param epoch: 1 and above, never given twice; 0 is what tokens name that came before epochs.
    :param since: seconds since 1970 at which it came into its present state.
    :param verify_until: seconds since 1970; None while it isn't retired.
    """

    epoch: int
    state: KeyState
    since: float
    master: bytes = field(repr=False)
    verify_until: float | None = None

    @property
    def name(self) -> str:
        """Return the name by which operators call it."""
        return f"epoch-{self.epoch}"

    def secret_for(self, audience: str) -> GateSecret:
        """Return the secret of one audience."""
        message = _SECRET_LABEL + length_prefixed.join(audience.encode())
        secret = hmac.digest(self.master, message, "sha256")
        assert len(secret) == SESSION_KEY_BYTES
        return GateSecret(self.epoch, secret, self.verify_until)


def verdict_key(master: bytes, audience: str) -> SigningKey:
    """Return the key that signs verdicts for one audience; nobody tells another's from it."""
    message = _VERDICT_LABEL + length_prefixed.join(audience.encode())
    return SigningKey.from_wide_secret(hmac.digest(master, message, "sha512"))


def reference_key(master: bytes, audience: str) -> bytes:
    """Return the key that seals references at the gates of one audience: they open no other's."""
    message = _REFERENCE_LABEL + length_prefixed.join(audience.encode())
    return hmac.digest(master, message, "sha256")


def first_epochs(now: float, entropy: Entropy) -> tuple[GateEpoch, ...]:
    """Return the epochs of a new key ring: one active, one prepared."""
    return (
        GateEpoch(1, KeyState.ACTIVE, now, entropy.token_bytes(MASTER_BYTES)),
        GateEpoch(2, KeyState.PREPARED, now, entropy.token_bytes(MASTER_BYTES)),
    )


def living(epochs: tuple[GateEpoch, ...], now: float) -> Iterator[GateEpoch]:
    """Yield the epochs that a gate must hold: those whose tokens may live, or will."""
    for epoch in epochs:
        if epoch.verify_until is None or now < epoch.verify_until:
            yield epoch


def rotated(
    epochs: tuple[GateEpoch, ...], now: float, grace: float, entropy: Entropy
) -> tuple[GateEpoch, ...]:
    """Return the epochs after the prepared one took over and a new one was prepared.

    What retired long ago is forgotten, or as soon as its last token ended where room is short.

    :param grace: seconds for which tokens of the epoch that retires are still accepted.
    :raises UnavailableError: ``service.overloaded`` at :data:`MAX_EPOCHS`: a script that rotates
        without end must not make the ring too large to be read.
    """
    kept = _pruned(epochs, now)
    if len(kept) >= MAX_EPOCHS:
        raise UnavailableError(
            Reason.SERVICE_OVERLOADED,
            f"got {len(kept)} epochs whose tokens live; rotate less often",
            retry_after=60,
        )
    after = []
    for epoch in kept:
        if epoch.state is KeyState.PREPARED:
            after.append(replace(epoch, state=KeyState.ACTIVE, since=now))
        elif epoch.state is KeyState.ACTIVE:
            after.append(
                replace(epoch, state=KeyState.RETIRED, since=now, verify_until=now + grace)
            )
        else:
            after.append(epoch)
    return (*after, _next(epochs, now, entropy))


def withdrawn(
    epochs: tuple[GateEpoch, ...], name: str, now: float, entropy: Entropy
) -> tuple[GateEpoch, ...]:
    """Return the epochs after one of them lost all trust at once, because its secret may be known.

    The prepared epoch takes over from an active one; a prepared one is replaced.

    :raises RefusedError: ``key.unknown`` when there is none of that name.
    """
    found = find_epoch(epochs, name)
    last = now if found.verify_until is None else min(now, found.verify_until)
    gone = replace(found, state=KeyState.RETIRED, since=now, verify_until=last)
    others = tuple(each for each in _pruned(epochs, now) if each.epoch != found.epoch)
    if found.state is KeyState.RETIRED:
        return (*others, gone)
    if found.state is KeyState.ACTIVE:
        others = tuple(
            replace(each, state=KeyState.ACTIVE, since=now)
            if each.state is KeyState.PREPARED
            else each
            for each in others
        )
    return (*others, gone, _next(epochs, now, entropy))


def find_epoch(epochs: tuple[GateEpoch, ...], name: str) -> GateEpoch:
    """Return the epoch of this name.

    :raises RefusedError: ``key.unknown`` when there is none.
    """
    for epoch in epochs:
        if epoch.name == name:
            return epoch
    raise RefusedError.because(
        Reason.KEY_UNKNOWN, "there is no such epoch; see `watchword keys list`"
    )


def _next(epochs: tuple[GateEpoch, ...], now: float, entropy: Entropy) -> GateEpoch:
    number = max(each.epoch for each in epochs) + 1
    return GateEpoch(number, KeyState.PREPARED, now, entropy.token_bytes(MASTER_BYTES))


def _pruned(epochs: tuple[GateEpoch, ...], now: float) -> tuple[GateEpoch, ...]:
    """Return the epochs without those that are dead for long, or at all where room is short."""
    keep = KEEP_RETIRED_SECONDS if len(epochs) < MAX_EPOCHS else 0
    return tuple(
        each for each in epochs if each.verify_until is None or now < each.verify_until + keep
    )


def epoch_to_json(epoch: GateEpoch) -> dict[str, Any]:
    """Return an epoch as it stands in the file, secret included."""
    return {
        "epoch": epoch.epoch,
        "state": epoch.state.value,
        "since": epoch.since,
        "verify_until": epoch.verify_until,
        "master": base64url.encode(epoch.master),
    }


def epoch_from_json(members: Mapping[str, Any]) -> GateEpoch:
    """Return an epoch as :func:`epoch_to_json` wrote it.

    :raises ValueError, KeyError, TypeError, RefusedError: when it isn't as it was written; the
        caller tells the operator, without the text.
    """
    number, state = members["epoch"], KeyState(members["state"])
    master, until = base64url.decode(members["master"]), members["verify_until"]
    if type(number) is not int or not 0 < number < _MAX_EPOCH:
        raise ValueError("an epoch is a whole number above 0")
    if len(master) != MASTER_BYTES:
        raise ValueError("a master secret has the wrong length")
    if (until is None) == (state is KeyState.RETIRED):
        raise ValueError("an epoch has a last instant exactly when it is retired")
    return GateEpoch(
        number, state, float(members["since"]), master, None if until is None else float(until)
    )
