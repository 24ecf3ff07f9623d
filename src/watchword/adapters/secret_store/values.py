"""Turn what stands in the file into records and back, with the data keys that were unwrapped."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from watchword.adapters.secret_store.document import Document, Entry, Kept
from watchword.adapters.secret_store.envelope import (
    Sealed,
    Stand,
    Wrapped,
    key_context,
    seal,
    unseal,
    wrap,
)
from watchword.broker.interface import KeyWrapper, SecretRecord, SecretVersion, check_value
from watchword.ports import Entropy
from watchword.reasons import MalformedError, Reason, UnavailableError

_AT_ONCE: Final = 8
"""So many data keys are unwrapped side by side: a KMS answers each in a millisecond or in none."""

Place = tuple[Wrapped, bytes]
"""A wrapped data key and what it is bound to."""


class DataKeys:
    """Remember unwrapped data keys, so that a KMS is asked once for each and not at every reading.

    They are in memory no longer than the values that they open.
    """

    def __init__(self) -> None:
        """Know none."""
        self._known: Mapping[Place, bytes] = {}

    async def unwrap(self, document: Document, wrapper: KeyWrapper) -> Mapping[Place, bytes]:
        """Return the keys of all values in a document, and remember these and no others.

        :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
        """
        wanted = [
            _place(each.sealed, Stand(document.deployment, name, each.number))
            for name, kept in document.secrets.items()
            for each in kept.entries
            if each.sealed is not None
        ]
        known = self._known
        found = {each: known[each] for each in wanted if each in known}
        missing = [each for each in wanted if each not in found]
        for at in range(0, len(missing), _AT_ONCE):
            some = missing[at : at + _AT_ONCE]
            answers = await asyncio.gather(
                *(wrapper.unwrap(each.key, context, each.key_id) for each, context in some),
                return_exceptions=True,
            )
            for each, answer in zip(some, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                found[each] = answer
        self._known = found
        return found


def record_of(name: str, kept: Kept, deployment: str, keys: Mapping[Place, bytes]) -> SecretRecord:
    """Return a secret with its values.

    :param keys: the unwrapped data keys of the document.
    :raises UnavailableError: ``secret.store_unavailable`` when a value was changed or moved.
    """
    versions = []
    for entry in kept.entries:
        value = None
        if entry.sealed is not None:
            stand = Stand(deployment, name, entry.number)
            plain = unseal(entry.sealed, keys[_place(entry.sealed, stand)], stand)
            try:
                value = check_value(plain.decode(), one_line=False)
            except (UnicodeDecodeError, MalformedError):
                raise UnavailableError(
                    Reason.SECRET_STORE_UNAVAILABLE,
                    f"{name} version {entry.number} holds what can't be a value",
                ) from None
        versions.append(
            SecretVersion(entry.number, value, entry.made_at, entry.until, entry.revoked_at)
        )
    return SecretRecord(name, tuple(versions))


async def entries_of(
    record: SecretRecord,
    before: SecretRecord | None,
    document: Document,
    wrapper: KeyWrapper,
    entropy: Entropy,
) -> tuple[Entry, ...]:
    """Return a secret as it is to stand in the file; a value that is there already stays as it is encrypted.

    :param before: the same secret as the document holds it, None where it doesn't.
    :raises MalformedError: ``secret.value`` for a value that couldn't be read again.
    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    old = {} if before is None else {each.number: each.value for each in before.versions}
    kept = document.secrets.get(record.name)
    there = {} if kept is None else {each.number: each.sealed for each in kept.entries}
    entries = []
    for each in record.versions:
        sealed = None
        if each.value is not None:
            sealed = there.get(each.number) if old.get(each.number) == each.value else None
            if sealed is None:
                stand = Stand(document.deployment, record.name, each.number)
                value = check_value(each.value.text, one_line=False)
                sealed = await seal(value.text.encode(), stand, wrapper, entropy)
        entries.append(Entry(each.number, each.made_at, each.until, each.revoked_at, sealed))
    return tuple(entries)


async def rewrapped(
    document: Document, wrapper: KeyWrapper, keys: Mapping[Place, bytes]
) -> tuple[dict[str, Kept], int]:
    """Return the secrets with each data key under the present master key, and how many weren't.

    :param keys: the unwrapped data keys of the document.
    :raises UnavailableError: ``secret.store_unavailable`` when the master key isn't at hand.
    """
    changed, secrets = 0, {}
    for name, kept in document.secrets.items():
        entries = []
        for entry in kept.entries:
            new = entry
            if entry.sealed is not None and entry.sealed.wrapped.key_id != wrapper.key_id:
                stand = Stand(document.deployment, name, entry.number)
                place = _place(entry.sealed, stand)
                wrapped = await wrap(keys[place], place[1], wrapper)
                new = replace(entry, sealed=Sealed(wrapped, entry.sealed.data))
                changed += 1
            entries.append(new)
        secrets[name] = Kept(kept.revision, tuple(entries))
    return secrets, changed


def _place(sealed: Sealed, stand: Stand) -> Place:
    return sealed.wrapped, key_context(stand)
