"""Keep secrets in one private file, each version encrypted under a data key of its own (envelope encryption).

The master key that wraps the data keys lies elsewhere (:class:`watchword.broker.interface.KeyWrapper`): whoever has the
file or a backup of it alone learns names, times and how long the values are.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    read_private,
    write_private,
)
from watchword.adapters.secret_store.document import (
    MAX_DOCUMENT_BYTES,
    Document,
    DocumentError,
    Kept,
    UncheckedDocument,
    read_document,
    write_document,
)
from watchword.adapters.secret_store.envelope import DATA_KEY_BYTES, Wrapped, file_context, wrap
from watchword.adapters.secret_store.values import DataKeys, Place, entries_of, record_of, rewrapped
from watchword.broker.interface import KeyWrapper, SecretRecord, StoredSecret
from watchword.ports import Entropy
from watchword.reasons import Reason, RefusedError, UnavailableError

LOCK_SECONDS: Final = 5.0
"""So long a write waits for another process that holds the state directory's lock, if nobody says otherwise."""

_TRIES: Final = 50
"""So often a write begins anew because others wrote the file meanwhile; each time one of them got ahead."""

_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Hold one reading of the file.

    :param data: its bytes, None where there is none yet; a write replaces exactly these.
    :param document: None where there is none yet.
    """

    data: bytes | None = field(repr=False)
    document: Document | None = None
    file_key: bytes | None = field(default=None, repr=False)
    keys: Mapping[Place, bytes] = field(default_factory=dict, repr=False)
    stored: Mapping[str, StoredSecret] = field(default_factory=dict, repr=False)


class FileSecretStore:
    """Implement :class:`watchword.broker.interface.SecretStore` with one file; safe beside other processes on it.

    Reading is cheap while nothing changes.  A write replaces the file as a whole, and is durable when it
    returns: killed or without power at any moment, the file is the old one or the new one.  A file that can't be
    trusted is never replaced.  All work on files runs in threads.
    """

    def __init__(
        self,
        path: Path,
        deployment: str,
        wrapper: KeyWrapper,
        entropy: Entropy,
        *,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        """Read nothing yet; the file is made with the first secret.

        :param deployment: the issuer; a file of another one is refused.
        :param lock_seconds: how long a write waits for another process that holds the directory's lock.
        """
        self._path = path
        self._deployment = deployment
        self._wrapper = wrapper
        self._entropy = entropy
        self._lock_seconds = lock_seconds
        self._latest: tuple[_Stamp | None, _Reading] = (None, _Reading(None))
        self._keys = DataKeys()
        self._writing = asyncio.Lock()

    async def read(self, name: str) -> StoredSecret | None:
        """Return one secret, None if there is none."""
        return (await self._current()).stored.get(name)

    async def read_all(self) -> Sequence[StoredSecret]:
        """Return every secret, by name."""
        stored = (await self._current()).stored
        return [stored[name] for name in sorted(stored)]

    async def write(self, record: SecretRecord, revision: int | None) -> int:
        """Keep a record in place of the one with this revision; return the new revision."""
        async with self._writing:
            for _ in range(_TRIES):
                reading = await self._current()
                before = reading.stored.get(record.name)
                if (None if before is None else before.revision) != revision:
                    raise RefusedError.because(
                        Reason.SECRET_CONFLICT,
                        f"{record.name} was changed by somebody else at the same time",
                    )
                document, file_key = await self._begun(reading)
                entries = await entries_of(
                    record,
                    None if before is None else before.record,
                    document,
                    self._wrapper,
                    self._entropy,
                )
                new = (revision or 0) + 1
                secrets = {**document.secrets, record.name: Kept(new, entries)}
                if await self._replace(reading, replace(document, secrets=secrets), file_key):
                    return new
        raise self._unavailable("others write it all the time; nothing was changed")

    async def rewrap(self, old: KeyWrapper | None = None) -> int:
        """Wrap every data key under the present master key; return how many were under another one.

        Values aren't encrypted anew: a master key that somebody may know calls for new values too.

        :param old: unwraps what is under another master key; None where the present one can (a KMS).
        :raises UnavailableError: ``secret.store_unavailable``; the file is as it was then.
        """
        async with self._writing:
            for _ in range(_TRIES):
                reading = await self._read_file(old)
                if reading.document is None or reading.file_key is None:
                    return 0
                context = file_context(self._deployment)
                file_key = await wrap(reading.file_key, context, self._wrapper)
                secrets, changed = await rewrapped(reading.document, self._wrapper, reading.keys)
                document = replace(reading.document, file_key=file_key, secrets=secrets)
                if await self._replace(reading, document, reading.file_key):
                    return changed
        raise self._unavailable("others write it all the time; nothing was changed")

    async def aclose(self) -> None:
        """Forget what was read."""
        self._latest = (None, _Reading(None))
        self._keys = DataKeys()

    async def _current(self) -> _Reading:
        """Return the latest reading, made anew where the file has changed since."""
        stamp, reading = self._latest
        found = await asyncio.to_thread(_stamp, self._path)
        if found is None and stamp is not None:
            raise self._unavailable("is gone; restore it from a backup")
        if found != stamp:
            # The stamp is older than what is read: a change in between is read once more.
            reading = await self._read_file()
            if reading.data is not None:
                self._latest = found, reading
        return reading

    async def _read_file(self, old: KeyWrapper | None = None) -> _Reading:
        data, unchecked = await asyncio.to_thread(self._parse)
        if data is None or unchecked is None:
            return _Reading(None)
        wrapper = self._wrapper if old is None else _Either(self._wrapper, old)
        context = file_context(self._deployment)
        wrapped = unchecked.file_key
        file_key = await wrapper.unwrap(wrapped.key, context, wrapped.key_id)
        document = await asyncio.to_thread(self._checked, unchecked, file_key)
        keys = await self._keys.unwrap(document, wrapper)
        stored = await asyncio.to_thread(self._opened, document, keys)
        return _Reading(data, document, file_key, keys, stored)

    def _parse(self) -> tuple[bytes | None, UncheckedDocument | None]:
        try:
            data = read_private(self._path, MAX_DOCUMENT_BYTES)
            return data, None if data is None else read_document(data, self._deployment)
        except PrivateFileError as error:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, str(error)) from None
        except DocumentError as error:
            raise self._unavailable(f"{error}; restore it from a backup") from None

    def _checked(self, unchecked: UncheckedDocument, file_key: bytes) -> Document:
        try:
            return unchecked.checked(file_key)
        except DocumentError as error:
            raise self._unavailable(f"{error}; restore it from a backup") from None

    def _opened(self, document: Document, keys: Mapping[Place, bytes]) -> dict[str, StoredSecret]:
        return {
            name: StoredSecret(record_of(name, kept, self._deployment, keys), kept.revision)
            for name, kept in document.secrets.items()
        }

    async def _begun(self, reading: _Reading) -> tuple[Document, bytes]:
        """Return the document that was read and its key, or an empty one under a new key."""
        if reading.document is not None and reading.file_key is not None:
            return reading.document, reading.file_key
        key = self._entropy.token_bytes(DATA_KEY_BYTES)
        wrapped: Wrapped = await wrap(key, file_context(self._deployment), self._wrapper)
        return Document(self._deployment, wrapped), key

    async def _replace(self, reading: _Reading, document: Document, file_key: bytes) -> bool:
        """Put a document in the place of what was read; tell whether that was still there."""
        try:
            data = await asyncio.to_thread(write_document, document, file_key)
            return await asyncio.to_thread(self._replace_file, reading.data, data)
        except PrivateFileError as error:
            raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, str(error)) from None
        except DocumentError as error:
            raise self._unavailable(f"{error}; nothing was changed") from None

    def _replace_file(self, expected: bytes | None, data: bytes) -> bool:
        with locked_directory(self._path.parent, self._lock_seconds):
            if read_private(self._path, MAX_DOCUMENT_BYTES) != expected:
                return False
            # Nobody writes but who holds the lock: what is there was left by killed processes.
            for left in self._path.parent.glob(f".{self._path.name}.*.new"):
                left.unlink(missing_ok=True)
            write_private(self._path, data)
        return True

    def _unavailable(self, detail: str) -> UnavailableError:
        return UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, f"{self._path}: {detail}")


class _Either:
    """Unwrap by the master key that wrapped: the present one, or the one before it."""

    def __init__(self, present: KeyWrapper, old: KeyWrapper) -> None:
        self._present = present
        self._old = old

    @property
    def key_id(self) -> str:
        return self._present.key_id

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        return await self._present.wrap(key, context)

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        wrapper = self._old if key_id == self._old.key_id else self._present
        return await wrapper.unwrap(wrapped, context, key_id)


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    # Its last change too: who may read it isn't in the others, and a copy may be given any time.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
