"""Keep the key ring in one file of the state directory, made on the first start: its keys, their states, its form.

A key is *prepared*: published, so that every gate knows it before it signs anything; then
*active*: the one that signs; then *retired*: it signs nothing, and its tokens are accepted until
the last of them has expired.  There is always exactly one prepared and one active key.

An epoch has one master secret; what a gate holds is derived from it for one audience, so that
the gate of one API can't tell, nor forge proofs for, another's.  Epochs live as token keys do: known to
every gate before the first token names them, and known until the last such token has ended.

Private keys may be kept elsewhere: the file then has public keys, and sealed secrets.
"""

import hmac
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)

from watchword.adapters.documents import KeptDocument
from watchword.adapters.keyring.private_file import PrivateFileError, require_format
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.ports import Entropy, VerificationKey
from watchword.reasons import Reason, RefusedError, UnavailableError
from watchword.tokens.jose import (
    SigningKey,
    jwk_from_public_key,
    public_key_from_jwk,
    published_jwk,
    sign,
    thumbprint,
)
from watchword.tokens.proofs.interface import SESSION_KEY_BYTES, GateSecret
from watchword.vocabulary import Environment

_T = TypeVar("_T")


class KeyPurpose(StrEnum):
    """Say what a key signs, and nothing else: each purpose has a key of its own."""

    TOKENS = "tokens"
    BUNDLES = "bundles"


class HeldKey(Protocol):
    """Sign with a private key that is elsewhere."""

    @property
    def version(self) -> int | None:
        """Return its number where it is kept, None for one that signs no more."""

    def public_key(self) -> EllipticCurvePublicKey:
        """Return the public part."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte r||s of ES256 over a message; blocks, for a bounded time.

        :raises UnavailableError: ``secret.store_unavailable`` when it can't be signed now.
        """


class KeyKeeper(Protocol):
    """Keep private keys and seal what else is secret.

    Each method but :meth:`aside` and :meth:`held` blocks, for a bounded time, and raises
    :class:`watchword.reasons.UnavailableError` with ``secret.store_unavailable`` when it can't answer now.
    """

    def make(self, purpose: KeyPurpose) -> HeldKey:
        """Return a new P-256 key that nobody has seen before."""

    def held(self, purpose: KeyPurpose, version: int, public: EllipticCurvePublicKey) -> HeldKey:
        """Return a key that was made before; asks nobody."""

    def seal(self, data: bytes, context: bytes) -> str:
        """Return data encrypted, bound to a context."""

    def unseal(self, sealed: str, context: bytes) -> bytes:
        """Return what was sealed, with the same context."""

    async def aside(self, work: Callable[[], _T]) -> _T:
        """Return what work gives that signs, done where it may block: the event loop goes on meanwhile.

        :raises UnavailableError: ``secret.store_unavailable`` when too much of it waits already.
        """


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

    :param epoch: 1 and above, never given twice.
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
        return GateSecret(self.epoch, _secret_for(self.master, audience), self.verify_until)


@lru_cache(maxsize=256)
def _secret_for(master: bytes, audience: str) -> bytes:
    """Return what every renewal for an audience needs."""
    message = _SECRET_LABEL + length_prefixed.join(audience.encode())
    secret = hmac.digest(master, message, "sha256")
    assert len(secret) == SESSION_KEY_BYTES
    return secret


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


def epochs_rotated(
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


def epochs_withdrawn(
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


SECRET_BYTES: Final = 32
"""Bytes of each symmetric key: as many as the output of HMAC-SHA256 (RFC 2104 section 3)."""

MAX_RING_BYTES: Final = 256 * 1024
"""Most bytes of the file."""

HELD_VERSION: Final = 3
"""Of a file without private keys (:mod:`watchword.adapters.keyring.file`)."""

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


def damaged(where: str, error: Exception) -> PrivateFileError:
    """Return the error for a ring that isn't as it was written."""
    # Only the class is told: the text of some errors quotes what they read, which are keys.
    return PrivateFileError(
        f"{where}: the key ring is damaged ({type(error).__name__}); restore it from a backup"
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

    def to_bytes(self, ring: Ring) -> bytes:
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

    def from_bytes(self, data: bytes, where: str) -> Ring:
        """Return the ring in ``data``.

        :param where: it was read, for the error's text.
        :raises PrivateFileError: when it is damaged, or of another version.
        """
        try:
            members = strict_json.loads(data, MAX_RING_BYTES)
            if members["v"] == HELD_VERSION and "sealed" in members:
                raise PrivateFileError(
                    f"{where}: its private keys are in OpenBao; expected secrets.signing in the configuration"
                )
            require_format(where, members["v"], _VERSION)
            return _ring(members)
        except (RefusedError, ValueError, KeyError, TypeError) as error:
            raise damaged(where, error) from None


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
            FileRingForm().first(environment, now, entropy),
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

    def from_bytes(self, data: bytes, where: str) -> Ring:
        """Return the ring in ``data``.

        :param where: it was read, for the error's text.
        :raises PrivateFileError: when it is damaged, or of another form.
        :raises UnavailableError: when its secrets can't be unsealed now.
        """
        try:
            members = strict_json.loads(data, MAX_RING_BYTES)
            if members["v"] != _VERSION:
                require_format(where, members["v"], HELD_VERSION)
            else:
                raise PrivateFileError(
                    f"{where}: got a ring with private keys, expected one without; was an old file put "
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
            raise damaged(where, error) from None

    def taken_over(self, data: bytes, where: str, now: float) -> Ring | None:
        """Return the ring of a file with private keys, without them; None for any other.

        Secrets stay, so that instances keep their subjects.  The key that signed tokens retires at once, and a
        held one takes its place; gates on other machines must be told the new key of the bundles.

        :raises PrivateFileError: when it is damaged.
        """
        try:
            if strict_json.loads(data, MAX_RING_BYTES)["v"] != _VERSION:
                return None
        except (RefusedError, KeyError) as error:
            raise damaged(where, error) from None
        ring = FileRingForm().from_bytes(data, where)
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


class KeyRing:
    """Give out the keys, rotate and retire them; safe beside other processes on the same document."""

    def __init__(
        self,
        document: KeptDocument,
        *,
        environment: Environment,
        grace: float,
        now: float,
        entropy: Entropy,
        keeper: KeyKeeper | None = None,
    ) -> None:
        """Read the document, or make it with fresh keys if it isn't there.

        One with private keys is taken over by a keeper: it keeps every secret, and new keys sign.

        :param environment: is written into a new file and must be that of an old one: a lab's
            instances, vouched for by nobody, would otherwise be found enrolled in production.
        :param grace: seconds for which a rotated key's tokens are still accepted: the life of a
            token and the gates' leeway.
        :param keeper: who keeps the private keys; None keeps them in the document.
        :raises UnavailableError: ``secret.store_unavailable`` when the keeper can't answer now.
        :raises PrivateFileError: when the document is readable by others, not ours, damaged, of the
            other environment, or can't be made.
        """
        self._document = document
        self._require_told: Callable[[int], None] | None = None
        self._environment = environment
        self._grace = grace
        self._entropy = entropy
        self._keeper = keeper
        self._form = FileRingForm() if keeper is None else HeldRingForm(keeper, grace)
        self._turn = threading.Lock()
        self._stamp: object | None = None
        self._version = 0

        def begin(data: bytes | None) -> bytes | None:
            if data is None:
                return self._form.to_bytes(self._form.first(environment, now, entropy))
            if isinstance(self._form, HeldRingForm):
                return self._taken_over(self._form, data, now)
            return None

        document.change(begin)
        self._load()

    @property
    def ring(self) -> Ring:
        """Return the present keys; one reading stays consistent while the file changes."""
        return self._ring

    def hold_rotations(self, require_told: Callable[[int], None]) -> None:
        """Have each rotation wait for gates of other nodes.

        :param require_told: is given the version that a rotation starts from; it returns once the gates of every node know
            that, and with it the prepared keys, or raises :class:`UnavailableError`.
        """
        self._require_told = require_told

    @property
    def version(self) -> int:
        """Return the number of the document that the present keys were read from; 0 where versions aren't counted."""
        return self._version

    def keep_retired_for(self, grace: float) -> None:
        """Accept tokens of keys that retire from now on for so many seconds, and never for fewer than before in this process.

        Tokens that were issued for a longer life outlive a change to a shorter one.
        """
        self._grace = max(self._grace, grace)

    def signer(self) -> TokenKey:
        """Return the active token key."""
        return self._ring.in_state(KeyState.ACTIVE)

    def refresh(self) -> bool:
        """Read the document again if another process changed it; tell whether it did.

        :raises PrivateFileError: when it can't be trusted any more; the last keys stay in use.
        :raises UnavailableError: ``secret.store_unavailable`` when its keeper can't unseal it now; likewise.
        """
        self._document.follow()
        if self._stamp == self._document.stamp():
            return False
        with self._turn:
            self._load()
        return True

    async def aside(self, work: Callable[[], _T]) -> _T:
        """Return what work gives that signs by these keys, without holding up the event loop for long.

        Keys in the file sign in some 30 us, right here; a keeper is asked from another thread.

        :raises UnavailableError: ``secret.store_unavailable`` when too much of it waits for the keeper.
        """
        return work() if self._keeper is None else await self._keeper.aside(work)

    def rotate(self, now: float) -> TokenKey:
        """Let the prepared key take over and prepare a new one; return the active key.

        Engines that cache the JWKS must have seen the prepared key: leave ten minutes between two
        rotations where there are such engines.

        :raises UnavailableError: when there are :data:`MAX_KEYS` keys whose tokens still live, or when gates of a node
            don't know the prepared key yet.
        """

        def change(keys: tuple[TokenKey, ...]) -> tuple[TokenKey, ...]:
            kept = pruned(keys, now)
            require_room(kept)
            return rotated(kept, now, self._grace, self._form.new_token_key)

        self._change(change, rotates=True)
        return self.signer()

    def retire(self, kid: str, now: float) -> TokenKey:
        """Withdraw all trust from a key at once, because it may be stolen; return the active key.

        Its tokens are refused as soon as gates have read their state again (below a second).

        :raises RefusedError: ``key.unknown`` when there is no such key.
        """
        self._change(lambda keys: withdrawn(pruned(keys, now), kid, now, self._form.new_token_key))
        return self.signer()

    def gate_secret(self, audience: str) -> GateSecret:
        """Return the secret from which session keys of new tokens for this audience come."""
        return self._ring.epoch_in_state(KeyState.ACTIVE).secret_for(audience)

    def gate_secrets(self, audience: str, now: float) -> tuple[GateSecret, ...]:
        """Return what a gate of this audience must hold: prepared, active, and living retired ones."""
        held = living(self._ring.gate_epochs, now)
        return tuple(epoch.secret_for(audience) for epoch in held)

    def rotate_gate_secrets(self, now: float) -> GateEpoch:
        """Let the prepared epoch take over and prepare a new one; return the active epoch.

        :raises UnavailableError: when there are too many epochs whose tokens still live, or when gates of a node don't
            know the prepared one yet.
        """
        return self._change_epochs(
            lambda epochs: epochs_rotated(epochs, now, self._grace, self._entropy), rotates=True
        )

    def retire_gate_secret(self, name: str, now: float) -> GateEpoch:
        """Withdraw all trust from one epoch at once; return the active one.

        :raises RefusedError: ``key.unknown`` when there is none of that name.
        """
        return self._change_epochs(
            lambda epochs: epochs_withdrawn(epochs, name, now, self._entropy)
        )

    def bundle_signer(self) -> TokenKey:
        """Return the key that signs gate bundles, and nothing else."""
        return self._ring.bundle_key

    def verdict_signer(self, audience: str) -> SigningKey:
        """Return the key that signs verdicts for the API with this audience."""
        return verdict_key(self._ring.verdict_master, audience)

    def reference_key(self, audience: str) -> bytes:
        """Return the key that seals references at the gates of this audience."""
        return reference_key(self._ring.reference_key, audience)

    def jwks(self, now: float) -> dict[str, Any]:
        """Return the JWK Set (RFC 7517 section 5): every key whose tokens may be accepted."""
        return {
            "keys": [
                published_jwk(key.kid, key.public)
                for key in self._ring.token_keys
                if key.verify_until is None or now < key.verify_until
            ]
        }

    def _change(
        self,
        change: Callable[[tuple[TokenKey, ...]], tuple[TokenKey, ...]],
        *,
        rotates: bool = False,
    ) -> None:
        self._change_ring(
            lambda ring: replace(ring, token_keys=change(ring.token_keys)), rotates=rotates
        )

    def _change_epochs(
        self,
        change: Callable[[tuple[GateEpoch, ...]], tuple[GateEpoch, ...]],
        *,
        rotates: bool = False,
    ) -> GateEpoch:
        self._change_ring(
            lambda ring: replace(ring, gate_epochs=change(ring.gate_epochs)), rotates=rotates
        )
        return self._ring.epoch_in_state(KeyState.ACTIVE)

    def _change_ring(self, change: Callable[[Ring], Ring], *, rotates: bool) -> None:
        def work(data: bytes | None) -> bytes:
            if rotates and self._require_told is not None:
                # Of what is there now: another node may have rotated a moment ago.
                self._require_told(self._document.version)
            return self._form.to_bytes(change(self._read(data)))

        self._document.change(work)
        # A refresh that read before must not put back, after it, a key that was withdrawn.
        with self._turn:
            self._load()

    def _taken_over(self, form: HeldRingForm, data: bytes, now: float) -> bytes | None:
        ring = form.taken_over(data, self._document.where, now)
        if ring is None:
            return None
        self._require_environment(ring)
        return form.to_bytes(ring)

    def _load(self) -> None:
        # The stamp is older than what was read: a change in between is read once more.
        stamp, version = self._document.stamp(), self._document.version
        self._ring = self._read(self._document.read())
        # Last: who asks for the version and then for the ring gets this one or a later one.
        self._stamp, self._version = stamp, version

    def _read(self, data: bytes | None) -> Ring:
        where = self._document.where
        if data is None:
            raise PrivateFileError(f"{where}: the key ring is gone; restore it from a backup")
        ring = self._form.from_bytes(data, where)
        self._require_environment(ring)
        return ring

    def _require_environment(self, ring: Ring) -> None:
        if ring.environment is not self._environment:
            raise PrivateFileError(
                f"{self._document.home}: got a state directory of a {ring.environment.value}, "
                f"expected one of {self._environment.value}: name another service.state"
            )
