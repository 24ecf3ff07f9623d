"""Keep the key ring in one file of the state directory, made on the first start."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from watchword.adapters.keyring import gate_epochs
from watchword.adapters.keyring.gate_epochs import GateEpoch, reference_key, verdict_key
from watchword.adapters.keyring.held import KeyKeeper
from watchword.adapters.keyring.held_ring import HeldRingForm
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    read_private,
    write_private,
)
from watchword.adapters.keyring.ring import FileRingForm, Ring
from watchword.adapters.keyring.token_keys import (
    KeyState,
    TokenKey,
    pruned,
    require_room,
    rotated,
    withdrawn,
)
from watchword.ports import Entropy
from watchword.tokens.jwk import published_jwk
from watchword.tokens.proofs.interface import GateSecret
from watchword.tokens.signing_key import SigningKey
from watchword.vocabulary import Environment

_T = TypeVar("_T")


class FileKeyRing:
    """Give out the keys, rotate and retire them; safe beside other processes on the same file."""

    def __init__(
        self,
        path: Path,
        *,
        environment: Environment,
        grace: float,
        now: float,
        entropy: Entropy,
        keeper: KeyKeeper | None = None,
    ) -> None:
        """Read the file, or make it with fresh keys if it isn't there.

        A file of an earlier version is brought up to date: it keeps every key that it has.

        :param environment: is written into a new file and must be that of an old one: a lab's
            instances, vouched for by nobody, would otherwise be found enrolled in production.
        :param grace: seconds for which a rotated key's tokens are still accepted: the life of a
            token and the gates' leeway.
        :param keeper: who keeps the private keys; None keeps them in the file.
        :raises UnavailableError: ``secret.store_unavailable`` when the keeper can't answer now.
        :raises PrivateFileError: when the file is readable by others, not ours, damaged, of the
            other environment, or can't be made.
        """
        self._path = path
        self._environment = environment
        self._grace = grace
        self._entropy = entropy
        self._keeper = keeper
        self._form = FileRingForm() if keeper is None else HeldRingForm(keeper, grace)
        self._turn = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        with locked_directory(path.parent):
            data = read_private(path)
            if data is None:
                write_private(
                    path, self._form.to_bytes(self._form.first(environment, now, entropy))
                )
            else:
                self._upgrade(data, now)
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
        :raises UnavailableError: ``secret.store_unavailable`` when its keeper can't unseal it now; likewise.
        """
        if self._stamp == self._file_stamp():
            return False
        with self._turn:
            self._ring = self._load()
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

        :raises UnavailableError: when there are :data:`MAX_KEYS` keys whose tokens still live.
        """

        def change(keys: tuple[TokenKey, ...]) -> tuple[TokenKey, ...]:
            kept = pruned(keys, now)
            require_room(kept)
            return rotated(kept, now, self._grace, self._form.new_token_key)

        self._change(change)
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
        living = gate_epochs.living(self._ring.gate_epochs, now)
        return tuple(epoch.secret_for(audience) for epoch in living)

    def rotate_gate_secrets(self, now: float) -> GateEpoch:
        """Let the prepared epoch take over and prepare a new one; return the active epoch.

        :raises UnavailableError: when there are too many epochs whose tokens still live.
        """
        return self._change_epochs(
            lambda epochs: gate_epochs.rotated(epochs, now, self._grace, self._entropy)
        )

    def retire_gate_secret(self, name: str, now: float) -> GateEpoch:
        """Withdraw all trust from one epoch at once; return the active one.

        :raises RefusedError: ``key.unknown`` when there is none of that name.
        """
        return self._change_epochs(
            lambda epochs: gate_epochs.withdrawn(epochs, name, now, self._entropy)
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

    def _change(self, change: Callable[[tuple[TokenKey, ...]], tuple[TokenKey, ...]]) -> None:
        self._change_ring(lambda ring: replace(ring, token_keys=change(ring.token_keys)))

    def _change_epochs(
        self, change: Callable[[tuple[GateEpoch, ...]], tuple[GateEpoch, ...]]
    ) -> GateEpoch:
        self._change_ring(lambda ring: replace(ring, gate_epochs=change(ring.gate_epochs)))
        return self._ring.epoch_in_state(KeyState.ACTIVE)

    def _change_ring(self, change: Callable[[Ring], Ring]) -> None:
        # The lock of the file is no lock among threads of this process: a refresh that read before must not
        # put back, after it, a key that was withdrawn.
        with locked_directory(self._path.parent), self._turn:
            write_private(self._path, self._form.to_bytes(change(self._load())))
            self._ring = self._load()

    def _upgrade(self, data: bytes, now: float) -> None:
        ring = self._form.upgraded(data, self._path, now, self._entropy)
        if ring is not None:
            self._require_environment(ring)
            write_private(self._path, self._form.to_bytes(ring))

    def _load(self) -> Ring:
        stamp = self._file_stamp()
        data = read_private(self._path)
        if data is None:
            raise PrivateFileError(f"{self._path}: the key ring is gone; restore it from a backup")
        ring = self._form.from_bytes(data, self._path)
        self._require_environment(ring)
        self._stamp = stamp
        return ring

    def _require_environment(self, ring: Ring) -> None:
        if ring.environment is not self._environment:
            raise PrivateFileError(
                f"{self._path.parent}: got a state directory of a {ring.environment.value}, "
                f"expected one of {self._environment.value}: name another service.state"
            )

    def _file_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat(follow_symlinks=False)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
