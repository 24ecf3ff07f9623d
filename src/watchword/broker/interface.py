"""Define secrets: their values and versions, how they are injected at the edge, and the ports that keep them.

A secret goes one of two ways, never both.  **Injected at the edge**, it never leaves the server: the gate adds it to
calls of attested instances to one third party.  **Delivered**, it is sealed to an instance for a short lease,
where a library on the device can't do without it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.vocabulary import Level

MAX_VALUE_BYTES: Final = 4096
"""Most bytes of a secret's value; the longest provider keys (service account JSON aside) have 300."""

MAX_VERSIONS: Final = 16
"""Most versions that a secret keeps; the oldest that counts no more is forgotten first."""

MAX_HELD_ANSWER: Final = 64 * 1024 * 1024
"""Most bytes of an answer that is held until it was searched."""

MAX_SECRETS: Final = 500
"""Most secrets of one deployment."""


@dataclass(frozen=True, slots=True)
class SecretValue:
    """Hold the value of a secret; nothing shows it by accident.

    :ivar text: valid under :func:`watchword.broker.interface.check_value`.
    """

    text: str = field(repr=False)

    def __str__(self) -> str:
        """Show nothing: a value in a log is a value lost."""
        return "SecretValue(...)"


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """Hold one version of a secret.

    :param number: from 1, never used twice.
    :param value: None once it was revoked, or had ended when the secret was changed next: a value that nobody
        may use is kept by nobody.
    :param made_at: seconds since 1970.
    :param until: seconds since 1970 from when on it counts no more; None while it is the newest.
    :param revoked_at: seconds since 1970, None while it wasn't revoked.
    """

    number: int
    value: SecretValue | None
    made_at: int
    until: int | None = None
    revoked_at: int | None = None

    def counts(self, now: float) -> bool:
        """Tell whether it may be used at an instant."""
        return (
            self.revoked_at is None
            and self.value is not None
            and (self.until is None or now < self.until)
        )


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """Hold all versions of one secret, oldest first.

    :param name: as in ``secrets.keys`` of ``watchword.yaml``.
    """

    name: str
    versions: tuple[SecretVersion, ...]

    def current(self, now: float) -> SecretVersion | None:
        """Return the newest version that counts, None if there is none."""
        for version in reversed(self.versions):
            if version.counts(now):
                return version
        return None


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """Hold a record as it was read, with the revision that a change of it must name."""

    record: SecretRecord
    revision: int


class SecretStore(Protocol):
    """Keep secrets so that whoever reads the disk or a backup learns no value.

    Each method raises :class:`watchword.reasons.UnavailableError` with ``secret.store_unavailable``, within bounded
    time, when the backend is missing, sealed, slow or refuses; a write that raises may have happened only where
    the text says so, and a second one with the same revision then raises ``secret.conflict``.
    """

    async def read(self, name: str) -> StoredSecret | None:
        """Return one secret, None if there is none."""

    async def read_all(self) -> Sequence[StoredSecret]:
        """Return every secret, by name."""

    async def write(self, record: SecretRecord, revision: int | None) -> int:
        """Keep a record in place of the one with this revision, durably; return the new revision.

        :param revision: None where there must be none yet.
        :raises RefusedError: ``secret.conflict`` when somebody else wrote meanwhile; nothing was changed.
        """

    async def aclose(self) -> None:
        """Let go of connections and files."""


class KeyWrapper(Protocol):
    """Wrap the keys under which values are encrypted: the master key, wherever it is.

    Both raise :class:`watchword.reasons.UnavailableError` with ``secret.store_unavailable`` where it isn't at hand.
    """

    @property
    def key_id(self) -> str:
        """Return a name of the master key that is no secret; it stands beside what it wraps."""

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return a key encrypted, bound to a context."""

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """Return the key again.

        :param key_id: of the master key that wrapped it: an older one where the master key was rotated.
        """


class PlaceKind(StrEnum):
    """Say where in a request a key stands."""

    HEADER = "header"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Place:
    """Hold where a key goes.

    :param name: of the header (lower case) or of the query parameter.
    :param prefix: stands before the key in a header, such as ``Bearer`` and a blank.
    :param placeholder: text that the app sends in this place, and that the key takes the place of; None where
        whatever the client sends there is overwritten.
    """

    kind: PlaceKind
    name: str
    prefix: str = ""
    placeholder: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Hold what one instance may use of a key in each window of so many seconds, aligned to 1970.

    :param calls: most calls, None for any number.
    :param spend: most units that the calls cost together, None for any.
    """

    seconds: int
    calls: int | None = None
    spend: int | None = None


@dataclass(frozen=True, slots=True)
class EdgeRule:
    """Say into which calls a secret is injected: those to one https origin, and which of them.

    :param host: lower-case A-label or an IP address's text; what is connected to and what the certificate must name.
    :param patterns: of upstream paths, as of routes; at least one.
    :param methods: at least one.
    :param allowances: all of them must have room; ``cost`` is the units that one call spends.
    :param ca: PEM of the authorities that are believed for this origin alone; None for the system's.
    :param private: whether the host may be at a private address; only in the lab, and for partners that stand there.
    :param seconds: longest wait for the whole of an answer's head and for each next piece of its body.
    :param max_answer: most bytes of an answer's body.
    :param headers: lower-case names of request headers that go to the origin beside the few that always do
        (:data:`watchword.gate.injection.FORWARDED_FIELDS`), such as ``x-goog-fieldmask``.
    :param reflects: whether text of a client may stand in answers.  Answers are held until they were searched whole
        then; otherwise they stream.
    """

    secret: str
    host: str
    port: int
    patterns: tuple[str, ...]
    methods: frozenset[str]
    place: Place
    allowances: tuple[Allowance, ...] = ()
    cost: int = 1
    ca: str | None = None
    private: bool = False
    seconds: float = 30.0
    max_answer: int = 8 * 1024 * 1024
    headers: frozenset[str] = frozenset()
    reflects: bool = True


@dataclass(frozen=True, slots=True)
class InjectedValue:
    """Hold what a gate adds to calls now."""

    version: int
    value: SecretValue


@dataclass(frozen=True, slots=True)
class DeliveryRule:
    """Hold to whom a secret is handed, sealed.

    :param lease: seconds for which an instance may keep it.
    """

    secret: str
    apps: frozenset[str]
    level: Level
    lease: int


@dataclass(frozen=True, slots=True)
class HoneytokenWatch:
    """Hold by what canary keys are recognised; of the keys themselves nothing is kept.

    :param key: 32 secret bytes of the keyed hash.
    :param digests: by keyed hash (32 bytes), the canary's name.
    :param headers: lower-case names of the headers that are looked into, ``parameters`` of the query.
    """

    key: bytes = field(repr=False)
    digests: Mapping[bytes, str] = field(repr=False)
    headers: tuple[str, ...] = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "apikey")
    parameters: tuple[str, ...] = ("key", "api_key", "apikey", "api-key", "access_token", "token")


class Use(NamedTuple):
    """Hold one call that a ledger is to count.

    :param who: the device where it is known, and the pairwise subject of the instance otherwise.
    :param cost: units that it spends.
    """

    secret: str
    version: int
    who: str
    cost: int
    allowances: tuple[Allowance, ...]


class Spent(NamedTuple):
    """Hold which allowance had no room.

    :param wait: seconds until its window ends.
    :param by_calls: whether the calls ran out, and not what they cost.
    """

    wait: float
    by_calls: bool


class UsageLedger(Protocol):
    """Count what instances use of keys; of those who race for the last call, exactly one gets it.

    Bounded in space: windows that ended are forgotten.
    """

    async def take(self, use: Use, now: float) -> Spent | None:
        """Count a call if every allowance has room for it; return None then, and otherwise who hasn't.

        A call that finds no room counts nowhere.

        :param now: seconds since 1970.
        :raises UnavailableError: ``secret.usage_unavailable`` when it can't be counted; nobody may call then.
        """

    async def give_back(self, use: Use, now: float) -> None:
        """Take a call off again that was counted and then never sent, so that an outage costs nobody their quota.

        :param now: as it was given to :meth:`take`; where that window is over, nothing changes.
        :raises UnavailableError: ``secret.usage_unavailable``; the call stays counted.
        """

    async def versions_used(self, secret: str) -> Mapping[int, int]:
        """Return by version the second (since 1970) in which it was last injected."""

    async def aclose(self) -> None:
        """Let go of what it holds."""


_ONE_LINE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
"""Visible ASCII with blanks inside: what a header field carries unchanged (RFC 9110 section 5.5)."""

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_value(text: str, *, one_line: bool) -> SecretValue:
    """Return a value that can be kept and sent.

    :param one_line: whether it is to stand in a header or a query; otherwise line breaks and tabs are fine (a PEM).
    :raises MalformedError: ``secret.value``; the text never quotes the value.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if not 0 < size <= MAX_VALUE_BYTES:
        _refuse(f"got {size} bytes, expected 1 to {MAX_VALUE_BYTES}")
    if "\x00" in text:
        _refuse("got a NUL, expected text")
    if one_line and ("\n" in text or "\r" in text):
        _refuse("got a line break, expected one line: a key that stands in a header or a query")
    if one_line and not _ONE_LINE.fullmatch(text):
        _refuse("expected visible ASCII, without a blank at either end")
    if _CONTROLS.search(text) or any("\ud800" <= each <= "\udfff" for each in text):
        _refuse("got a control character, expected text")
    return SecretValue(text)


def _refuse(detail: str) -> None:
    raise MalformedError.because(Reason.SECRET_VALUE, detail)


MAX_OVERLAP_SECONDS: Final = 366 * 86400
"""Longest time for which an older version goes on beside a new one."""


def added(name: str, value: SecretValue, now: float) -> SecretRecord:
    """Return the record of a new secret with its version 1.

    :param now: seconds since 1970.
    """
    return SecretRecord(name, (SecretVersion(1, value, int(now)),))


def rotated(record: SecretRecord, value: SecretValue, overlap: int, now: float) -> SecretRecord:
    """Return the record with one version more, which is the current one at once.

    Those before it end when the overlap is over, or earlier where an earlier rotation said so: a later
    one lengthens no life.  What has ended by now loses its value, since nobody may use it any more.
    Beyond :data:`MAX_VERSIONS` the oldest that counts no more is forgotten, and the oldest where all count.

    :param overlap: seconds, 0 to :data:`MAX_OVERLAP_SECONDS`; with 0 the others end at once.
    :param now: seconds since 1970.
    """
    at = int(now)
    end = at + min(max(overlap, 0), MAX_OVERLAP_SECONDS)
    older = [_ended(each, end, now) for each in record.versions]
    number = max((each.number for each in older), default=0) + 1
    while len(older) >= MAX_VERSIONS:
        older.remove(next((each for each in older if not each.counts(now)), older[0]))
    return replace(record, versions=(*older, SecretVersion(number, value, at)))


def revoked(record: SecretRecord, version: int | None, now: float) -> SecretRecord:
    """Return the record with the value of one version erased, or of all of them.

    What was revoked before stays as it was; a version that has ended can be revoked too.

    :param version: number of the version, None for every one.
    :param now: seconds since 1970.
    :raises RefusedError: ``secret.unknown`` when there is no such version.
    """
    if version is not None and all(each.number != version for each in record.versions):
        raise RefusedError.because(
            Reason.SECRET_UNKNOWN, f"the secret {record.name} has no version {version}"
        )
    return replace(
        record,
        versions=tuple(
            replace(each, value=None, revoked_at=int(now))
            if each.revoked_at is None and version in {None, each.number}
            else each
            for each in record.versions
        ),
    )


def newly_revoked(before: SecretRecord, after: SecretRecord) -> tuple[int, ...]:
    """Return the numbers of the versions that are revoked in one record and weren't in the other."""
    were = {each.number for each in before.versions if each.revoked_at is not None}
    return tuple(
        each.number
        for each in after.versions
        if each.revoked_at is not None and each.number not in were
    )


def _ended(version: SecretVersion, end: int, now: float) -> SecretVersion:
    until = end if version.until is None else min(version.until, end)
    return replace(version, until=until, value=version.value if now < until else None)
