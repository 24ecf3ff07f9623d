"""Hold what the store said last, and change it: for the publisher, the deliveries and the operators.

Revocations that the store couldn't keep are remembered: what they cover is neither injected nor delivered.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NoReturn

from watchword.broker.interface import (
    InjectedValue,
    SecretRecord,
    SecretStore,
    SecretValue,
    SecretVersion,
    StoredSecret,
    added,
    check_value,
    newly_revoked,
    revoked,
    rotated,
)
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

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


DELIVERY_AGE_SECONDS: Final = 60
"""So old may a reading be that something is delivered from: what a device has can't be called back."""

_TRIES: Final = 3
"""So often a revocation is written when others keep changing the same secret."""


class SecretKeeper:
    """Keep the last good reading of the store, so that a backend that is away takes nothing from gates.

    A change reads the store anew and is written before it shows here: one that failed never looks done.
    **A revocation is the exception**, to the safe side: it holds here from the call on, before the store
    has answered.  If the store can't keep it, the caller is told so, the version stays withheld by this process,
    and each refresh tries to write it again; only a process that ends before that forgets it.

    :ivar trouble: what is wrong with the store or its values now, for operators; None while all is well.
    :ivar read_at: seconds since 1970 of the last good reading, None before the first.
    """

    def __init__(self, store: SecretStore, one_line: Collection[str]) -> None:
        """Start without a reading.

        :param one_line: names of the secrets whose values stand in a header or a query.
        """
        self._store = store
        self._one_line = frozenset(one_line)
        self._kept: dict[str, StoredSecret] = {}
        self._withheld = Withheld()
        self._revoking: list[str] = []
        self._readings: list[set[str]] = []
        self._started = self._applied = 0
        self.trouble: str | None = None
        self.read_at: float | None = None

    async def refresh(self, now: float) -> None:
        """Read every secret again, and write the revocations that the store couldn't keep before.

        :param now: seconds since 1970.
        :raises UnavailableError: ``secret.store_unavailable``; the last good reading stays.
        """
        try:
            await self._read(now)
            await self._write_withheld(now)
        except UnavailableError as error:
            self.trouble = str(error)
            raise
        self.trouble = self._unfit_values()

    def known(self) -> Mapping[str, StoredSecret]:
        """Return by name what the store held at the last good reading; empty before the first."""
        return MappingProxyType(self._kept)

    def injected(self, names: Iterable[str], now: float) -> dict[str, InjectedValue]:
        """Return by name what gates add to calls now; a secret without a value that counts isn't in it.

        :param now: seconds since 1970.
        """
        found = {}
        for name in names:
            version = self._current(name, now)
            value = None if version is None else version.value
            if version is not None and value is not None and self._is_fit(name, value):
                found[name] = InjectedValue(version.number, value)
        return found

    def deliverable(self, name: str, now: float) -> SecretVersion:
        """Return the version that is handed to instances now; its value isn't None.

        :param now: seconds since 1970.
        :raises RefusedError: ``secret.revoked`` when no version counts.
        :raises UnavailableError: ``secret.unavailable`` before the first reading and while no value was
            added; ``secret.store_unavailable`` when the last reading is older than
            :data:`DELIVERY_AGE_SECONDS`, or as far ahead of the clock: somebody may have revoked it since.
        """
        if self.read_at is None:
            raise UnavailableError(
                Reason.SECRET_UNAVAILABLE, "the backend of the secrets wasn't read yet"
            )
        # A clock that was set back since tells nothing of the reading's age.
        if abs(now - self.read_at) > DELIVERY_AGE_SECONDS:
            raise UnavailableError(
                Reason.SECRET_STORE_UNAVAILABLE,
                f"the last good reading is {int(now - self.read_at)} s old",
            )
        if name not in self._kept:
            raise UnavailableError(Reason.SECRET_UNAVAILABLE, f"the secret {name} has no value yet")
        version = self._current(name, now)
        if version is None:
            raise RefusedError.because(
                Reason.SECRET_REVOKED, f"no version of the secret {name} counts"
            )
        return version

    def is_withheld(self, name: str, version: int) -> bool:
        """Tell whether a version was revoked by a call that the store couldn't keep (yet).

        Whoever shows or uses values from elsewhere than this keeper, such as those of the last gate bundle
        after a restart, must leave out what is withheld.
        """
        stored = self._kept.get(name)
        for each in () if stored is None else stored.record.versions:
            if each.number == version:
                return self._withheld.covers(name, each)
        return self._withheld.covers_unread(name, version)

    async def add(self, name: str, value: SecretValue, now: float) -> SecretVersion:
        """Keep the first value of a secret; it is current on return.

        :param now: seconds since 1970.
        :raises MalformedError: ``secret.value`` when it can't stand where the secret goes.
        :raises RefusedError: ``secret.exists``, also when somebody else adds it at the same time.
        :raises UnavailableError: ``secret.store_unavailable``.
        """
        self._require_fit(name, value)
        if await self._store.read(name) is not None:
            _refuse_existing(name)
        record = added(name, value, now)
        try:
            revision = await self._store.write(record, None)
        except RefusedError as error:
            if error.reason is Reason.SECRET_CONFLICT:
                _refuse_existing(name)
            raise
        self._keep(record, revision)
        return record.versions[-1]

    async def rotate(
        self,
        name: str,
        value: SecretValue,
        overlap: int,
        now: float,
        expected: int | None = None,
    ) -> SecretVersion:
        """Keep a new value, which is current on return; the older ones end after the overlap.

        :param overlap: seconds, see :func:`watchword.broker.interface.rotated`.
        :param now: seconds since 1970.
        :param expected: number of the newest version as the caller saw it; None where he didn't look.
        :raises MalformedError: ``secret.value`` when it can't stand where the secret goes.
        :raises RefusedError: ``secret.unknown``; ``secret.conflict`` when another version is the newest, or
            somebody else changes the secret at the same time: nothing was done then.
        :raises UnavailableError: ``secret.store_unavailable``.
        """
        self._require_fit(name, value)
        stored = await self._stored(name)
        newest = max((each.number for each in stored.record.versions), default=0)
        if expected is not None and newest != expected:
            raise RefusedError.because(
                Reason.SECRET_CONFLICT, f"got version {newest} as the newest, expected {expected}"
            )
        record = rotated(stored.record, value, overlap, now)
        self._keep(record, await self._store.write(record, stored.revision))
        return record.versions[-1]

    async def revoke(self, name: str, version: int | None, now: float) -> tuple[int, ...]:
        """Erase the value of one version, or of all; return the numbers that weren't revoked before.

        It isn't injected or delivered from the call on, see the class.

        :param version: None for every version.
        :param now: seconds since 1970.
        :raises RefusedError: ``secret.unknown`` when there is no such secret or version; ``secret.conflict``
            when others change the secret all the time: nothing was done then.
        :raises UnavailableError: ``secret.store_unavailable``: the store doesn't keep it yet; this process
            withholds what the call covers nevertheless.
        """
        mine = self._withheld.add(name, version, self._kept.get(name), now)
        self._revoking.append(name)
        try:
            done = await self._revoke_in_store(name, version, now)
        except UnavailableError as error:
            raise UnavailableError(
                error.reason,
                "the revocation holds in this process and is written as soon as the store answers, "
                f"but a process that ends before that forgets it: {error}",
                error.retry_after,
            ) from None
        except RefusedError:
            # Nothing was done, and nothing may look done.  What an earlier call withholds stays so.
            self._withheld.take_back(name, mine)
            raise
        finally:
            self._revoking.remove(name)
        self._withheld.settle(name, self._kept.get(name))
        return done

    async def _revoke_in_store(self, name: str, version: int | None, now: float) -> tuple[int, ...]:
        for tried in range(1, _TRIES + 1):
            stored = await self._stored(name)
            record = revoked(stored.record, version, now)
            done = newly_revoked(stored.record, record)
            if not done:
                self._keep(stored.record, stored.revision)
                return done
            try:
                self._keep(record, await self._store.write(record, stored.revision))
            except RefusedError as error:
                if error.reason is not Reason.SECRET_CONFLICT or tried == _TRIES:
                    raise
                continue
            return done
        raise AssertionError("the last try returns or raises")

    async def _read(self, now: float) -> None:
        """Take over a reading, except for what was changed here while it was under way."""
        self._started += 1
        ticket, changed = self._started, set[str]()
        self._readings.append(changed)
        try:
            found = {each.record.name: each for each in await self._store.read_all()}
        finally:
            # By identity: two sets of the same names are equal.
            self._readings = [each for each in self._readings if each is not changed]
        if ticket < self._applied:
            return  # A reading that began later is in place already.
        for name in changed:
            mine = self._kept[name]
            if name not in found or found[name].revision < mine.revision:
                found[name] = mine
        self._require_forward(found)
        self._applied, self._kept, self.read_at = ticket, found, now

    def _require_forward(self, found: Mapping[str, StoredSecret]) -> None:
        """Refuse a store that was put back: a version that was revoked since would come alive."""
        for name, stored in found.items():
            before = self._kept.get(name)
            if before is not None and stored.revision < before.revision:
                raise UnavailableError(
                    Reason.SECRET_STORE_UNAVAILABLE,
                    f"the secret {name} went back from revision {before.revision} to "
                    f"{stored.revision}; if you restored a backup, start the service anew",
                )

    async def _write_withheld(self, now: float) -> None:
        """Write each revocation that the store doesn't hold, and let go of those that it does."""
        for name in self._withheld.names():
            if name in self._revoking:
                continue  # The call that is under way writes it, and tells its caller what it did.
            stored = self._kept.get(name)
            if stored is not None:
                await self._revoke_withheld(stored, now)
            self._withheld.settle(name, self._kept.get(name))

    async def _revoke_withheld(self, stored: StoredSecret, now: float) -> None:
        record = stored.record
        for number in self._withheld.alive(record):
            record = revoked(record, number, now)
        if record != stored.record:
            # Where somebody else changed it, the next reading shows what is left to do.
            with suppress(RefusedError):
                self._keep(record, await self._store.write(record, stored.revision))

    async def _stored(self, name: str) -> StoredSecret:
        stored = await self._store.read(name)
        if stored is None:
            raise RefusedError.because(Reason.SECRET_UNKNOWN, f"no value of {name} was added yet")
        # A change of what was put back would make it newer than what is held here, and believed.
        self._require_forward({name: stored})
        return stored

    def _keep(self, record: SecretRecord, revision: int) -> None:
        before = self._kept.get(record.name)
        if before is None or before.revision <= revision:
            self._kept[record.name] = StoredSecret(record, revision)
            for changed in self._readings:
                changed.add(record.name)

    def _current(self, name: str, now: float) -> SecretVersion | None:
        stored = self._kept.get(name)
        if stored is None:
            return None
        left = (each for each in stored.record.versions if not self._withheld.covers(name, each))
        return replace(stored.record, versions=tuple(left)).current(now)

    def _require_fit(self, name: str, value: SecretValue) -> None:
        check_value(value.text, one_line=name in self._one_line)

    def _is_fit(self, name: str, value: SecretValue) -> bool:
        try:
            self._require_fit(name, value)
        except MalformedError:
            return False
        return True

    def _unfit_values(self) -> str | None:
        """Name what somebody put into the backend by other ways, and that can't be sent."""
        unfit = [
            f"{name} version {each.number}"
            for name, stored in self._kept.items()
            for each in stored.record.versions
            if each.value is not None and not self._is_fit(name, each.value)
        ]
        if not unfit:
            return None
        return f"{Reason.SECRET_VALUE.code}: can't be sent: {', '.join(sorted(unfit)[:5])}"


def _refuse_existing(name: str) -> NoReturn:
    raise RefusedError.because(
        Reason.SECRET_EXISTS, f"the secret {name} has a value; rotate it instead"
    ) from None
