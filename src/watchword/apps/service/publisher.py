"""Tell the gates what they must know: token keys and revoked instances.

The file is assembled from the key ring and the store alone, so that it can be made anew at any
time, and it is written only when what it says has changed: gates empty their caches by its
generation.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

from watchword.adapters.gate_state.document import (
    MAX_DOCUMENT_BYTES,
    GateStateDocument,
    GateStateError,
    from_bytes,
)
from watchword.adapters.gate_state.file import publish_gate_state
from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.enrolment.subjects import pairwise_subject
from watchword.ports import InstanceStore
from watchword.tokens.interface import MAX_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS

LONGEST_TOKEN_SECONDS: Final = MAX_LIFETIME_SECONDS + MAX_LEEWAY_SECONDS
"""Longest life of a token that any configuration allows, with the widest leeway of a gate.

A revoked subject stays on the list for so long, and not for the life that is configured now:
its last token may have been issued before the configuration was changed.
"""


class GatePublisher:
    """Assemble and write the state of the gates; the only one who does."""

    def __init__(
        self, *, path: Path, issuer: str, keyring: FileKeyRing, store: InstanceStore
    ) -> None:
        """Keep the sources; nothing is written yet."""
        self._path = path
        self._issuer = issuer
        self._keyring = keyring
        self._store = store
        self._turn = asyncio.Lock()
        self._generation = 0
        self._subjects: dict[str, tuple[str, ...]] = {}

    async def publish(self, now: datetime) -> None:
        """Write the state if it says something new; return when the file is durable.

        :raises UnavailableError: when the store can't be read.
        :raises WatchwordError: when the file can't be written; gates then keep what they have.
        """
        # Taken in turn: of two calls the second must not write what it read before the first did.
        async with self._turn:
            document = await self._assemble(now)
            await asyncio.to_thread(self._write, document)

    def _write(self, document: GateStateDocument) -> None:
        # The file itself is asked for what was published last: it outlives this process, and
        # another one may have written it meanwhile.
        last = self._published()
        if last is not None and replace(document, generation=last.generation) == last:
            self._generation = max(self._generation, last.generation)
            return
        # Gates that run take nothing older, also where the file was removed meanwhile.
        latest = max(self._generation, 0 if last is None else last.generation)
        generation = max(latest + 1, document.generation)
        publish_gate_state(self._path, replace(document, generation=generation))
        self._generation = generation

    def _published(self) -> GateStateDocument | None:
        """Return what the file says, None if there is nothing that a gate could read."""
        try:
            data = read_private(self._path, MAX_DOCUMENT_BYTES)
            return None if data is None else from_bytes(data)
        except (PrivateFileError, GateStateError):
            return None

    async def _assemble(self, now: datetime) -> GateStateDocument:
        since = now - timedelta(seconds=LONGEST_TOKEN_SECONDS)
        revoked = await self._store.recently_revoked(since)
        ring = self._keyring.ring
        # Kept from turn to turn: after a vendor's revocation there can be thousands, for an hour.
        self._subjects = {
            instance.id: self._subjects.get(instance.id)
            or tuple(
                pairwise_subject(instance.id, audience, ring.pairwise_key)
                for audience in instance.audiences
            )
            for instance in revoked
        }
        return GateStateDocument(
            generation=int(now.timestamp()),
            issuer=self._issuer,
            keys=tuple(key.verification_key() for key in ring.token_keys),
            revoked=frozenset(chain.from_iterable(self._subjects.values())),
            reference_key=ring.reference_key,
        )
