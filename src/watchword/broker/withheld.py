"""Remember revocations that the store couldn't keep: what they cover is neither lent nor delivered."""

from collections.abc import Iterator
from typing import Final

from watchword.broker.interface import SecretRecord, SecretVersion, StoredSecret

_ALL: Final = None
"""Stands for every version of a secret that was never read: their numbers aren't known."""


class Withheld:
    """Hold by name and version until when versions were made that a revocation covers.

    Versions that are made later are never covered, whatever number they get: nobody has asked for that.
    """

    def __init__(self) -> None:
        """Withhold nothing."""
        self._until: dict[str, dict[int | None, int]] = {}

    def names(self) -> tuple[str, ...]:
        """Return the secrets of which something is withheld."""
        return tuple(self._until)

    def add(
        self, name: str, version: int | None, stored: StoredSecret | None, now: float
    ) -> frozenset[int | None]:
        """Withhold what a revocation covers; return what wasn't withheld before, for :meth:`take_back`.

        :param version: None for every version.
        :param stored: the secret as it was read last, None where it never was.
        """
        known = () if stored is None else stored.record.versions
        numbers = {version}
        if version is None and stored is not None:
            numbers = {each.number for each in known}
        until = max((int(now), *(each.made_at for each in known)))
        held = self._until.setdefault(name, {})
        new = frozenset(numbers - held.keys())
        held.update(dict.fromkeys(numbers, until))
        self._drop_empty(name)
        return new

    def take_back(self, name: str, added: frozenset[int | None]) -> None:
        """Let go of what one call had added, because it was refused."""
        held = self._until.get(name, {})
        for number in added:
            held.pop(number, None)
        self._drop_empty(name)

    def settle(self, name: str, stored: StoredSecret | None) -> None:
        """Let go of everything of a secret once the store shows all of it as revoked.

        Not where the store has no such secret: what was deleted there can be undeleted.
        """
        if stored is not None and not self.alive(stored.record):
            self._until.pop(name, None)

    def covers(self, name: str, version: SecretVersion) -> bool:
        """Tell whether a version is withheld."""
        held = self._until.get(name)
        return held is not None and any(
            version.made_at <= held.get(number, version.made_at - 1)
            for number in (_ALL, version.number)
        )

    def covers_unread(self, name: str, number: int) -> bool:
        """Tell it for a version of which only the number is known, and that is older than the call."""
        held = self._until.get(name, {})
        return _ALL in held or number in held

    def alive(self, record: SecretRecord) -> tuple[int, ...]:
        """Return the numbers of the withheld versions that a record doesn't show as revoked."""
        return tuple(self._alive(record))

    def _alive(self, record: SecretRecord) -> Iterator[int]:
        for version in record.versions:
            if version.revoked_at is None and self.covers(record.name, version):
                yield version.number

    def _drop_empty(self, name: str) -> None:
        if not self._until.get(name, True):
            del self._until[name]
