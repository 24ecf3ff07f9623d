"""Try appraisal policies: on cases that a person wrote, and two of them on verifications that were recorded."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from watchword.apps.evidence.records import (
    MAX_RECORD_BYTES,
    ClaimsDocumentError,
    FoundRecord,
    VerificationRecord,
    app_from_document,
    claims_from_document,
    claims_to_document,
    find_records,
    record_from_line,
)
from watchword.apps.settings.document import Document, Path_, read_document
from watchword.apps.settings.faults import ConfigurationError, Fault, join, shown
from watchword.apps.settings.policy import nearest
from watchword.attestation.claims import (
    AppClaims,
    AppleClaims,
    BootClaims,
    BootState,
    KeyAccess,
    KeySecurity,
    PatchLevels,
    PlayVerdicts,
    Provisioning,
    ReceiptClaims,
    ReceiptKind,
    RevocationClaims,
    UnverifiedClaims,
)
from watchword.attestation.interface import AndroidApp, AppleApp, AppRegistration
from watchword.encoding.phrases import moment as utc
from watchword.policy.interface import Circumstances, Policy, Verdict
from watchword.policy.service import appraise_unverified
from watchword.reasons import Reason, codes
from watchword.vocabulary import ApplePlatform, Distribution, Level, Platform

_PACKAGE: Final = "com.example.app"
_SIGNER: Final = bytes([0x5A]) * 32
_APPLE: Final = AppleApp("ABCDE12345", _PACKAGE)

APPS: Final[Mapping[Platform, AppRegistration]] = {
    Platform.ANDROID: AppRegistration(
        "sample-android", AndroidApp(_PACKAGE, frozenset({_SIGNER})), "100"
    ),
    Platform.IOS: AppRegistration("sample-ios", _APPLE, None),
}
"""The app that the sample phones run."""


def _android_key(at: datetime) -> UnverifiedClaims:
    month, day = int(at.strftime("%Y%m")), int(at.strftime("%Y%m01"))
    return UnverifiedClaims(
        format="android-key",
        platform=Platform.ANDROID,
        public_key=bytes(91),
        attestation_security=KeySecurity.TEE,
        key_security=KeySecurity.TEE,
        anchor="google",
        app=AppClaims((_PACKAGE,), {_PACKAGE: "120"}, frozenset({_SIGNER})),
        boot=BootClaims(
            device_locked=True,
            state=BootState.VERIFIED,
            verified_boot_key=bytes([0xB0]) * 32,
            verified_boot_hash=bytes([0xB1]) * 32,
        ),
        key_generated=True,
        key_signs=True,
        patches=PatchLevels(os_version=160000, system=month, vendor=day, boot=day),
        provisioning=Provisioning.REMOTE,
        model="Pixel 9",
        device_key=bytes([0xD0]) * 32,
        attester_serial="d0d0",
        revocation=RevocationClaims(known=True, list_digest="sample"),
    )


def _app_attest(at: datetime) -> UnverifiedClaims:
    return UnverifiedClaims(
        format="app-attest",
        platform=Platform.IOS,
        public_key=bytes(91),
        attestation_security=KeySecurity.SECURE_ENCLAVE,
        key_security=KeySecurity.SECURE_ENCLAVE,
        anchor="apple",
        app=AppClaims((_APPLE.app_id,), {_APPLE.app_id: "7.2"}),
        key_generated=True,
        key_signs=True,
        counter=0,
        receipt=ReceiptClaims(
            kind=ReceiptKind.ATTEST,
            app_id=_APPLE.app_id,
            created_at=at,
            refresh_after=at + timedelta(days=1),
            expires_at=at + timedelta(days=90),
        ),
        apple=AppleClaims(
            platform=ApplePlatform.IOS,
            key_access=KeyAccess.OTHER,
            distribution=Distribution.APP_STORE,
            os_version="27.0",
            os_build="24A5355q",
        ),
    )


def _play_integrity(at: datetime) -> UnverifiedClaims:
    return UnverifiedClaims(
        format="play-integrity",
        platform=Platform.ANDROID,
        public_key=None,
        attestation_security=KeySecurity.UNATTESTED,
        key_security=KeySecurity.UNATTESTED,
        anchor="google",
        app=AppClaims((_PACKAGE,), {_PACKAGE: "120"}, frozenset({_SIGNER})),
        play=PlayVerdicts(
            request="standard",
            requested_at=at,
            app_recognition="PLAY_RECOGNIZED",
            device_labels=frozenset({"MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY"}),
            licensing="LICENSED",
            sdk_version=36,
            recent_activity="LEVEL_1",
            app_access_risk=frozenset({"KNOWN_INSTALLED"}),
            play_protect="NO_ISSUES",
            recalled=frozenset(),
        ),
    )


SAMPLES: Final[Mapping[str, Callable[[datetime], UnverifiedClaims]]] = {
    "android-key": _android_key,
    "app-attest": _app_attest,
    "play-integrity": _play_integrity,
}
"""By format: the claims of a genuine phone at an instant, its patches those of that month."""


_COUNTS: Final = ("enrolled_today", "fan_out_today")
_KEYS: Final = ("name", "like", "claims", "record", "line", "app", "at", *_COUNTS, "expect")
_EXPECT_KEYS: Final = ("level", "reasons", "unchecked", "short_of", "signals")
_MAX_LINE: Final = 1_000_000

Apps = Callable[[], Mapping[str, AppRegistration]]
"""Return the apps of ``watchword.yaml``; asked only where a case names one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Hold what a case expects; None leaves a part open.

    :param reasons: the codes of all refusals, in any order.
    """

    level: Level
    reasons: frozenset[str] | None = None
    unchecked: frozenset[str] | None = None
    short_of: Mapping[Level, frozenset[str]] | None = None
    signals: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Hold one case: claims, the app they should be of, the circumstances, and what is expected."""

    name: str
    claims: UnverifiedClaims
    app: AppRegistration | None
    circumstances: Circumstances
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Tried:
    """Hold a case with the policy's verdict and where it differs, each in a sentence."""

    case: Case
    verdict: Verdict
    differences: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is printed with ``--json``."""
        return {
            "name": self.case.name,
            "ok": not self.differences,
            "level": self.verdict.level.value,
            "reasons": codes(self.verdict.refusals),
            "unchecked": list(self.verdict.unchecked),
            "short_of": {level.value: codes(why) for level, why in self.verdict.short_of.items()},
            "signals": codes(self.verdict.signals),
            "differences": list(self.differences),
        }


def try_case(case: Case, policy: Policy) -> Tried:
    """Return what the policy says of a case, and where that isn't what is expected."""
    verdict = appraise_unverified(case.claims, case.app, policy, case.circumstances)
    return Tried(case, verdict, tuple(_differences(case.wanted, verdict)))


def read_cases(file: Path, now: datetime, apps: Apps) -> list[Case]:
    """Return the cases of a file.

    :param now: the instant of cases that name none.
    :raises ConfigurationError: with every fault of the file at once.
    """
    document = read_document(file)
    reader = _Reader(file, document, now, apps, list(document.faults))
    data = document.data
    found: list[Case | None] = []
    if not isinstance(data, dict) or set(data) != {"cases"}:
        reader.fault((), shown(data), "a mapping with cases: and nothing else")
    elif not isinstance(data["cases"], list) or not data["cases"]:
        reader.fault(("cases",), shown(data["cases"]), "a list of cases")
    else:
        found = [reader.case(item, index) for index, item in enumerate(data["cases"])]
    if reader.faults:
        raise ConfigurationError(file, reader.faults)
    return [case for case in found if case is not None]


def _differences(wanted: Wanted, verdict: Verdict) -> Iterator[str]:
    if verdict.level is not wanted.level:
        yield f"level: got {verdict.level.value}, expected {wanted.level.value}"
    yield from _set_difference("reasons", wanted.reasons, codes(verdict.refusals))
    yield from _set_difference("unchecked", wanted.unchecked, verdict.unchecked)
    yield from _set_difference("signals", wanted.signals, codes(verdict.signals))
    for level, reasons in (wanted.short_of or {}).items():
        got = codes(verdict.short_of.get(level, ()))
        yield from _set_difference(f"short of {level.value}", reasons, got)


def _set_difference(what: str, wanted: frozenset[str] | None, got: Sequence[str]) -> Iterator[str]:
    if wanted is not None and wanted != set(got):
        told = ", ".join(got) or "none"
        yield f"{what}: got {told}, expected {', '.join(sorted(wanted)) or 'none'}"


@dataclass(slots=True)
class _Reader:
    """Read the cases of one file, collecting faults."""

    file: Path
    document: Document
    now: datetime
    apps: Apps
    faults: list[Fault]

    def fault(self, path: Path_, got: str, expected: str) -> None:
        """Add a fault with the line it stands on."""
        self.faults.append(Fault(join(path), self.document.line(path), got, expected))

    def case(self, data: Any, index: int) -> Case | None:
        """Return one case; None where it has faults."""
        path: Path_ = ("cases", index)
        before = len(self.faults)
        if not isinstance(data, dict):
            self.fault(path, shown(data), "a mapping")
            return None
        self._known(data, path, _KEYS)
        name = data.get("name")
        if not isinstance(name, str) or not name:
            self.fault((*path, "name"), shown(name), "a name that says what the case is about")
        at = self._instant(data.get("at"), (*path, "at"))
        counts = {name: data[name] for name in _COUNTS if data.get(name) is not None}
        for count, value in counts.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                self.fault((*path, count), shown(value), "a whole number")
        wanted = self._wanted(data.get("expect"), (*path, "expect"))
        record = self._record(data, path) if "record" in data else None
        if record is not None and record.claims is None:
            self.fault((*path, "record"), "a record without claims", "evidence that could be read")
        claims = record.claims if record else self._claims(data, path, at or self.now)
        app = self._app(data, path, claims, record)
        if len(self.faults) > before or claims is None or wanted is None:
            return None
        known = Circumstances(self.now) if record is None else record.circumstances
        circumstances = replace(known, now=at or known.now, **counts)
        return Case(str(name), claims, app, circumstances, wanted)

    def _known(self, data: Mapping[str, Any], path: Path_, keys: Sequence[str]) -> None:
        for key in data:
            if key not in keys:
                self.fault((*path, key), "an unknown key", nearest(key, keys))

    def _instant(self, data: Any, path: Path_) -> datetime | None:
        if data is None:
            return None
        try:
            instant = datetime.fromisoformat(data) if isinstance(data, str) else None
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            self.fault(path, shown(data), "a time such as 2026-11-24T12:00:00Z")
            return None
        return instant

    def _record(self, data: Mapping[str, Any], path: Path_) -> VerificationRecord | None:
        """Return the record that a case names by file and line."""
        named, line = data["record"], data.get("line", 1)
        if not {"like", "claims"}.isdisjoint(data):
            self.fault((*path, "record"), "record beside like or claims", "one or the other")
            return None
        if not isinstance(named, str) or not isinstance(line, int) or not 1 <= line <= _MAX_LINE:
            self.fault((*path, "record"), shown(named), "a file of records, and its line")
            return None
        try:
            with (self.file.parent / named).open("rb") as stream:
                for _ in range(line - 1):
                    stream.readline(MAX_RECORD_BYTES + 1)
                return record_from_line(stream.readline(MAX_RECORD_BYTES + 1))
        except (OSError, ClaimsDocumentError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.fault((*path, "record"), f"{shown(named)}: {why}", f"a record on line {line}")
            return None

    def _claims(
        self, data: Mapping[str, Any], path: Path_, at: datetime
    ) -> UnverifiedClaims | None:
        """Return the claims that are written, over those of the genuine phone that they are like."""
        like, written = data.get("like"), data.get("claims")
        document: Any = {}
        if like is not None:
            sample = SAMPLES.get(like) if isinstance(like, str) else None
            if sample is None:
                self.fault((*path, "like"), shown(like), nearest(like, SAMPLES))
                return None
            document = claims_to_document(sample(at))
        elif written is None:
            if "record" not in data:
                self.fault(path, "no claims", "like, claims or record")
            return None
        if written is not None and not isinstance(written, dict):
            self.fault((*path, "claims"), shown(written), "a mapping")
            return None
        try:
            return claims_from_document(_merged(document, written or {}))
        except ClaimsDocumentError as error:
            self.fault((*path, "claims"), str(error), "claims as `watchword verify` prints them")
            return None

    def _app(
        self,
        data: Mapping[str, Any],
        path: Path_,
        claims: UnverifiedClaims | None,
        record: VerificationRecord | None,
    ) -> AppRegistration | None:
        """Return the app that is named or written; else the record's, or that of the sample."""
        named = data.get("app")
        if isinstance(named, str):
            known = self.apps()
            if named not in known:
                self.fault((*path, "app"), shown(named), nearest(named, known))
            return known.get(named)
        if isinstance(named, dict):
            try:
                return app_from_document(named)
            except ClaimsDocumentError as error:
                self.fault((*path, "app"), str(error), "an app as records hold it")
        elif named is not None:
            self.fault((*path, "app"), shown(named), "the name of an app in watchword.yaml")
        if record is not None:
            return record.app
        return APPS[claims.platform] if claims is not None and "like" in data else None

    def _wanted(self, data: Any, path: Path_) -> Wanted | None:
        if not isinstance(data, dict):
            self.fault(path, shown(data), "a mapping with level, and reasons where it is none")
            return None
        self._known(data, path, _EXPECT_KEYS)
        level = self._level(data.get("level"), (*path, "level"))
        reasons = self._reasons(data.get("reasons"), (*path, "reasons"))
        unchecked = data.get("unchecked")
        if unchecked is not None and not _is_words(unchecked):
            self.fault((*path, "unchecked"), shown(unchecked), "a list of names")
            unchecked = None
        short_of = data.get("short_of")
        short: dict[Level, frozenset[str]] = {}
        if short_of is not None and not isinstance(short_of, dict):
            self.fault((*path, "short_of"), shown(short_of), "a mapping of levels to reasons")
        for name, written in (short_of if isinstance(short_of, dict) else {}).items():
            higher = self._level(name, (*path, "short_of", name))
            found = self._reasons(written, (*path, "short_of", name))
            if higher is not None:
                short[higher] = found or frozenset()
        if level is None:
            return None
        told = None if unchecked is None else frozenset(unchecked)
        signals = self._reasons(data.get("signals"), (*path, "signals"))
        return Wanted(level, reasons, told, short or None, signals)

    def _level(self, data: Any, path: Path_) -> Level | None:
        known = [level.value for level in Level]
        if data not in known:
            self.fault(path, shown(data), nearest(data, known))
            return None
        return Level(data)

    def _reasons(self, data: Any, path: Path_) -> frozenset[str] | None:
        if data is None:
            return None
        if not _is_words(data):
            self.fault(path, shown(data), "a list of reasons")
            return None
        known = [reason.code for reason in Reason]
        for index, code in enumerate(data):
            if code not in known:
                policies = [each for each in known if each.startswith("policy.")]
                self.fault((*path, index), shown(code), nearest(code, policies))
        return frozenset(data)


def _is_words(data: Any) -> bool:
    return isinstance(data, list) and all(isinstance(word, str) for word in data)


def _merged(below: Any, above: Any) -> Any:
    """Return a document with what stands above in the place of what stands below, member by member."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}


UNKNOWN_MODEL: Final = "(not stated)"

MAX_UNREADABLE: Final = 10
"""Most lines that are no records of which is kept where they stand; the others are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold a record that the policies judge differently.

    :param place: file and line of the record.
    :param because: the reasons that make the difference: what the stricter one of the two refuses for.
    """

    place: str
    record: VerificationRecord
    old: Verdict
    new: Verdict
    because: tuple[str, ...]

    @property
    def model(self) -> str:
        """Return the device's model as the evidence names it."""
        return (self.record.claims.model if self.record.claims else "") or UNKNOWN_MODEL

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is printed with ``--json``."""
        return {
            "place": self.place,
            "at": utc(self.record.at),
            "instance": self.record.instance,
            "app": self.record.app.id,
            "format": self.record.format,
            "model": self.model,
            "old": {"level": self.old.level.value, "reasons": codes(self.old.refusals)},
            "new": {"level": self.new.level.value, "reasons": codes(self.new.refusals)},
            "because": list(self.because),
        }


@dataclass(slots=True)
class Tally:
    """Count over all records.

    :param judged: records that both policies judged.
    :param unverified: records whose evidence didn't verify, so that no policy was asked.
    :param unreadable: how many lines are no records; ``first_unreadable``: the first few of them.
    :param levels: by old and new level; ``reasons``, ``models`` and ``apps`` of differing records.
    """

    judged: int = 0
    differing: int = 0
    unverified: int = 0
    unreadable: int = 0
    first_unreadable: list[FoundRecord] = field(default_factory=list)
    levels: Counter[tuple[Level, Level]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    apps: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return the sums as they are printed with ``--json``."""
        return {
            "judged": self.judged,
            "differing": self.differing,
            "unverified": self.unverified,
            "unreadable": self.unreadable,
            "levels": {
                f"{old.value} -> {new.value}": count
                for (old, new), count in self.levels.most_common()
            },
            "reasons": dict(self.reasons.most_common()),
            "models": dict(self.models.most_common()),
            "apps": dict(self.apps.most_common()),
        }


def compare(places: Iterable[str], old: Policy, new: Policy, tally: Tally) -> Iterator[Difference]:
    """Yield each record that the policies judge differently; count all of them into ``tally``.

    :param places: files of records, directories of them, or ``-`` for standard input.
    :raises EvidenceFileError: when a directory holds no file of records.
    :raises OSError: when a file can't be read.
    """
    for place in places:
        for found in find_records(place):
            if found.record is None:
                tally.unreadable += 1
                if len(tally.first_unreadable) < MAX_UNREADABLE:
                    tally.first_unreadable.append(found)
                continue
            difference = _compare_one(found, found.record, old, new, tally)
            if difference is not None:
                yield difference


def _compare_one(
    found: FoundRecord, record: VerificationRecord, old: Policy, new: Policy, tally: Tally
) -> Difference | None:
    if record.claims is None or record.verification:
        tally.unverified += 1
        return None
    tally.judged += 1
    before, after = (
        appraise_unverified(record.claims, record.app, policy, record.circumstances)
        for policy in (old, new)
    )
    if before.level is after.level and set(codes(before.refusals)) == set(codes(after.refusals)):
        return None
    difference = Difference(found.place, record, before, after, _because(before, after))
    tally.differing += 1
    tally.levels[before.level, after.level] += 1
    tally.reasons.update(difference.because)
    tally.models[difference.model] += 1
    tally.apps[record.app.id] += 1
    return difference


def _because(before: Verdict, after: Verdict) -> tuple[str, ...]:
    """Return the reasons that stand between the two verdicts."""
    if before.level is after.level:
        return tuple(sorted(set(codes(before.refusals)) ^ set(codes(after.refusals))))
    stricter, level = (
        (after, before.level) if before.level.satisfies(after.level) else (before, after.level)
    )
    # A level that a policy doesn't grant to anybody has no reasons of its own.
    return tuple(codes(stricter.short_of.get(level, ()) or stricter.refusals)) or (
        f"{level.value} isn't granted",
    )
