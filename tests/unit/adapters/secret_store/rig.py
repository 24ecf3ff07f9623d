"""Stand up a file of secrets in a directory of the test, under a master key of the test."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from watchword.adapters.documents import FileDocument
from watchword.adapters.secret_store import MAX_DOCUMENT_BYTES, DocumentSecretStore, LocalMasterKey
from watchword.adapters.system import SystemEntropy
from watchword.broker.interface import KeyWrapper, SecretRecord, SecretValue, added, rotated
from watchword.reasons import Reason, UnavailableError

NOW = 1_800_000_000
ISSUER = "https://attest.clinic.example"
ENTROPY = SystemEntropy()
MASTER = LocalMasterKey(b"m" * 32, ENTROPY)
ONE, TWO = SecretValue("first-value-of-maps"), SecretValue("second-value-of-maps")
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one test's work."""
    return asyncio.run(work)


def store_in(
    directory: Path,
    wrapper: KeyWrapper = MASTER,
    deployment: str = ISSUER,
    lock_seconds: float = 5.0,
) -> DocumentSecretStore:
    """Return a store over ``secrets.json`` in a private directory."""
    directory.mkdir(mode=0o700, exist_ok=True)
    kept = FileDocument(directory / "secrets.json", MAX_DOCUMENT_BYTES, lock_seconds)
    return DocumentSecretStore(kept, deployment, wrapper, ENTROPY)


def maps() -> SecretRecord:
    """Return a secret with two versions that overlap."""
    return rotated(added("maps", ONE, NOW), TWO, 600, NOW)


class Kms:
    """Implement KeyWrapper as a KMS does: elsewhere, with versions of its key, and sometimes away.

    :ivar asked: how many keys were unwrapped.
    """

    def __init__(self) -> None:
        """Begin with version 1."""
        self.version = 1
        self.away = False
        self.asked = 0

    @property
    def key_id(self) -> str:
        """Return the newest version."""
        return f"kms:v{self.version}"

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap under the newest version."""
        self._require_present()
        return await self._key(self.version).wrap(key, context)

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """Unwrap by whichever version it was."""
        self._require_present()
        self.asked += 1
        await asyncio.sleep(0)
        key = self._key(int(key_id.removeprefix("kms:v")))
        return await key.unwrap(wrapped, context, key.key_id)

    def _key(self, version: int) -> LocalMasterKey:
        return LocalMasterKey(bytes([version]) * 32, ENTROPY)

    def _require_present(self) -> None:
        if self.away:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, "simulated: sealed")
