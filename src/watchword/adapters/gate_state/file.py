"""Publish the gates' state as a private file, and follow it from a gate."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from watchword.adapters.gate_state.document import (
    MAX_DOCUMENT_BYTES,
    GateStateDocument,
    GateStateError,
    from_bytes,
    to_bytes,
)
from watchword.adapters.keyring.private_file import PrivateFileError, read_private, write_private
from watchword.ports import VerificationKey
from watchword.reasons import Reason, UnavailableError

LOOK_SECONDS: Final = 0.5
"""How often a gate looks at the file: a revocation holds within a second, an idle look costs
one ``stat``."""


def publish_gate_state(path: Path, document: GateStateDocument) -> None:
    """Replace the gates' state as a whole, with mode 0600; it is durable on return.

    :raises WatchwordError: when the disk refuses; gates then keep what they have.
    """
    write_private(path, to_bytes(document))


class GateStateFile:
    """Implement :class:`watchword.gate.interface.GateState` by following a published file.

    The last good state is kept: a file that is missing, broken, readable by others, or of an older
    generation changes nothing (a bad update must not take an API down, and a restored backup must
    not bring a revoked key back).  What is wrong stands in :attr:`fault` until it is mended.

    The file is looked at in the caller's thread, at most every :data:`LOOK_SECONDS`.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the file if it is there already; it may also come later."""
        self.fault: str | None = None
        self._path = path
        self._monotonic = monotonic
        self._document: GateStateDocument | None = None
        self._keys: dict[str, VerificationKey] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._next_look = 0.0
        self._looking = threading.Lock()
        self._look()

    @property
    def generation(self) -> int:
        """Return the generation of the state, after a look at the file where one is due."""
        if self._monotonic() >= self._next_look:
            self._look()
        return self._known().generation

    def find(self, kid: str) -> VerificationKey | None:
        """Return the token key with this id, None if there is none."""
        self._known()
        return self._keys.get(kid)

    def is_revoked(self, subject: str) -> bool:
        """Tell whether the instance behind a pairwise subject is revoked."""
        return subject in self._known().revoked

    @property
    def reference_key(self) -> bytes:
        """Return the key under which references of refusals are sealed."""
        return self._known().reference_key

    def _known(self) -> GateStateDocument:
        if self._document is None:
            raise UnavailableError(
                Reason.GATE_STATE_UNAVAILABLE, self.fault or "expected the service's gate state"
            )
        return self._document

    def _look(self) -> None:
        """Read the file if it changed.  Of several threads one looks, the others go on."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            self._next_look = self._monotonic() + LOOK_SECONDS
            stamp = self._stamp_of_file()
            if stamp is None or stamp == self._stamp:
                return
            try:
                self._accept(read_private(self._path, MAX_DOCUMENT_BYTES))
            except PrivateFileError as error:
                # Not marked as seen: it may have been a shortage of descriptors or of memory, and
                # a revocation that was published then must not wait for the next change.
                self.fault = str(error)
                return
            except GateStateError as error:
                self.fault = str(error)
            self._stamp = stamp
        finally:
            self._looking.release()

    def _stamp_of_file(self) -> tuple[int, int, int] | None:
        """Return what changes when the file is replaced or written, None if it can't be seen."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - half the cost of Path.stat.
        except OSError as error:
            self.fault = f"{self._path}: {error.strerror}"
            self._stamp = None
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns

    def _accept(self, data: bytes | None) -> None:
        if data is None:
            return
        document = from_bytes(data)
        current = self._document
        if (
            current is not None
            and document != current
            and document.generation <= current.generation
        ):
            raise GateStateError(
                f"got generation {document.generation}, expected more than {current.generation}"
            )
        self._keys = {key.kid: key for key in document.keys}
        self._document = document
        self.fault = None
