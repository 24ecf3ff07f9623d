"""Keep the key ring in one file of the state directory, made on the first start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    read_private,
    write_private,
)
from watchword.adapters.keyring.token_keys import (
    KeyState,
    TokenKey,
    find_key,
    key_from_json,
    key_to_json,
    new_key,
    pruned,
    require_room,
    rotated,
    withdrawn,
)
from watchword.encoding import base64url, strict_json
from watchword.ports import Entropy
from watchword.reasons import RefusedError
from watchword.tokens.jwk import jwk_from_public_key
from watchword.vocabulary import Environment

SECRET_BYTES: Final = 32
"""Bytes of each symmetric key: as many as the output of HMAC-SHA256 (RFC 2104 section 3)."""

_MAX_RING_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Ring:
    """Hold one reading of the file.

    :param environment: the world that the state directory was made for, and stays in.
    :param challenge_key: makes and checks challenges.
    :param pairwise_key: makes subjects; it must never change, or every instance gets new ones.
    :param reference_key: seals the references of refusals; gates hold it too.
    """

    environment: Environment
    token_keys: tuple[TokenKey, ...]
    challenge_key: bytes = field(repr=False)
    pairwise_key: bytes = field(repr=False)
    reference_key: bytes = field(repr=False)

    def in_state(self, state: KeyState) -> TokenKey:
        """Return the only key in this state (``prepared`` or ``active``)."""
        (found,) = (key for key in self.token_keys if key.state is state)
        return found

    def find(self, kid: str) -> TokenKey:
        """Return the token key with this id.

        :raises RefusedError: ``key.unknown`` when there is none.
        """
        return find_key(self.token_keys, kid)


class FileKeyRing:
    """Give out the keys, rotate and retire them; safe beside other processes on the same file."""

    def __init__(
        self, path: Path, *, environment: Environment, grace: float, now: float, entropy: Entropy
    ) -> None:
        """Read the file, or make it with fresh keys if it isn't there.

        :param environment: is written into a new file and must be that of an old one: a lab's
            instances, vouched for by nobody, would otherwise be found enrolled in production.
        :param grace: seconds for which a rotated key's tokens are still accepted: the life of a
            token and the gates' leeway.
        :raises PrivateFileError: when the file is readable by others, not ours, damaged, of the
            other environment, or can't be made.
        """
        self._path = path
        self._environment = environment
        self._grace = grace
        self._stamp: tuple[int, int, int] | None = None
        with locked_directory(path.parent):
            if read_private(path) is None:
                secrets = (entropy.token_bytes(SECRET_BYTES) for _ in range(3))
                keys = (replace(new_key(now), state=KeyState.ACTIVE), new_key(now))
                write_private(path, _to_bytes(Ring(environment, keys, *secrets)))
            self._ring = self._load()

    @property
    def ring(self) -> Ring:
        """Return the present keys; one reading stays consistent while the file changes."""
        return self._ring

    def signer(self) -> TokenKey:
        """Return the active token key."""
        return self._ring.in_state(KeyState.ACTIVE)

    def refresh(self) -> bool:
        """Read the file again if another process changed it; tell whether it did.

        :raises PrivateFileError: when it can't be trusted any more; the last keys stay in use.
        """
        if self._stamp == self._file_stamp():
            return False
        self._ring = self._load()
        return True

    def rotate(self, now: float) -> TokenKey:
        """Let the prepared key take over and prepare a new one; return the active key.

        Engines that cache the JWKS must have seen the prepared key: leave ten minutes between two
        rotations where there are such engines.

        :raises UnavailableError: when there are :data:`MAX_KEYS` keys whose tokens still live.
        """

        def change(keys: tuple[TokenKey, ...]) -> tuple[TokenKey, ...]:
            kept = pruned(keys, now)
            require_room(kept)
            return rotated(kept, now, self._grace)

        self._change(change)
        return self.signer()

    def retire(self, kid: str, now: float) -> TokenKey:
        """Withdraw all trust from a key at once, because it may be stolen; return the active key.

        Its tokens are refused as soon as gates have read their state again (below a second).

        :raises RefusedError: ``key.unknown`` when there is no such key.
        """
        self._change(lambda keys: withdrawn(pruned(keys, now), kid, now))
        return self.signer()

    def jwks(self, now: float) -> dict[str, Any]:
        """Return the JWK Set (RFC 7517 section 5): every key whose tokens may be accepted."""
        return {
            "keys": [
                {**jwk_from_public_key(key.public), "kid": key.kid, "alg": "ES256", "use": "sig"}
                for key in self._ring.token_keys
                if key.verify_until is None or now < key.verify_until
            ]
        }

    def _change(self, change: Callable[[tuple[TokenKey, ...]], tuple[TokenKey, ...]]) -> None:
        with locked_directory(self._path.parent):
            ring = self._load()
            ring = replace(ring, token_keys=change(ring.token_keys))
            write_private(self._path, _to_bytes(ring))
            self._ring = self._load()

    def _load(self) -> Ring:
        stamp = self._file_stamp()
        data = read_private(self._path)
        if data is None:
            raise PrivateFileError(f"{self._path}: the key ring is gone; restore it from a backup")
        ring = _from_bytes(data, self._path)
        if ring.environment is not self._environment:
            raise PrivateFileError(
                f"{self._path.parent}: got a state directory of a {ring.environment.value}, "
                f"expected one of {self._environment.value}: name another service.state"
            )
        self._stamp = stamp
        return ring

    def _file_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat(follow_symlinks=False)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def _to_bytes(ring: Ring) -> bytes:
    return strict_json.dumps(
        {
            "v": 1,
            "environment": ring.environment.value,
            "token_keys": [key_to_json(key) for key in ring.token_keys],
            "challenge_key": base64url.encode(ring.challenge_key),
            "pairwise_key": base64url.encode(ring.pairwise_key),
            "reference_key": base64url.encode(ring.reference_key),
        }
    )


def _from_bytes(data: bytes, path: Path) -> Ring:
    try:
        members = strict_json.loads(data, _MAX_RING_BYTES)
        if members["v"] != 1:
            raise PrivateFileError(f"{path}: expected version 1; a newer Watchword made it?")
        ring = Ring(
            Environment(members["environment"]),
            tuple(key_from_json(entry) for entry in members["token_keys"]),
            _secret(members, "challenge_key"),
            _secret(members, "pairwise_key"),
            _secret(members, "reference_key"),
        )
        ring.in_state(KeyState.ACTIVE)
        ring.in_state(KeyState.PREPARED)
    except (RefusedError, ValueError, KeyError, TypeError) as error:
        # Only the class is told: the text of some errors quotes what they read, which are keys.
        raise PrivateFileError(
            f"{path}: the key ring is damaged ({type(error).__name__}); restore it from a backup"
        ) from None
    return ring


def _secret(members: Mapping[str, Any], name: str) -> bytes:
    secret = base64url.decode(members[name])
    if len(secret) != SECRET_BYTES:
        raise ValueError("a secret has the wrong length")
    return secret
