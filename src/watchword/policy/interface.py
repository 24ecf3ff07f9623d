"""Define appraisal: claims and rules give a verdict.  A rule never parses bytes.

Compose rules: all of them must hold, any one of them, or no two may tell something against it.

Expressions are rules themselves.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import zip_longest
from typing import Any, Final, Protocol, TypeAlias

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.ports import RevocationEntry
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Distribution, Level

RENEW_BY_KEY_FOR: Final = timedelta(days=1)
"""How long a verdict of a vendor serves for renewals by the proof key, unless a policy says otherwise."""


class Claim(StrEnum):
    """Name each thing that evidence can state, so that none is passed over in silence."""

    APP_ID = "app_id"
    SIGNING_DIGESTS = "signing_digests"
    APP_VERSION = "app_version"
    KEY_SECURITY = "key_security"
    KEY_ORIGIN = "key_origin"
    KEY_PURPOSE = "key_purpose"
    BOOT = "boot"
    PATCH_LEVELS = "patch_levels"
    PROVISIONING = "provisioning"
    ATTEST_KEY = "attest_key"
    COHERENCE = "coherence"
    REVOCATION = "revocation"
    SUSPENSION = "suspension"
    RECEIPT = "receipt"
    RISK_METRIC = "risk_metric"
    APPLE_PLATFORM = "apple_platform"
    KEY_ACCESS = "key_access"
    DISTRIBUTION = "distribution"
    APPLE_SYSTEM = "apple_system"
    DEVICE_VELOCITY = "device_velocity"
    SERIAL_FAN_OUT = "serial_fan_out"
    APP_RECOGNITION = "app_recognition"
    DEVICE_INTEGRITY = "device_integrity"
    LICENSING = "licensing"
    SDK_VERSION = "sdk_version"
    RECENT_ACTIVITY = "recent_activity"
    APP_ACCESS_RISK = "app_access_risk"
    PLAY_PROTECT = "play_protect"
    DEVICE_RECALL = "device_recall"
    TESTING_RESPONSE = "testing_response"
    PROVIDER_VERDICT = "provider_verdict"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Hold what a rule may know beside the claims.

    :param enrolled_today: instances of the same device that were enrolled in the last 24 hours, this one
        not counted; None where devices can't be told apart or nobody counted.
    :param fan_out_today: likewise, of instances of the app under the same attestation certificate.
    """

    now: datetime
    enrolled_today: int | None = None
    fan_out_today: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold what is known of an instance between two attestations, to judge it again.

    :param withdrawn: what the vendor's status list says of a certificate that vouched for it.
    :param revocation_known: the list was there and recent enough; None where none is asked.
    :param attested_at: when the vendor last vouched for it.
    :param app: the app as it is registered now; ``distribution`` is how the renewal says that it came onto
        the device, None where it says nothing.
    :param key_attested: the vendor vouched for the key that renews it; False where its evidence attested no
        key, so that nothing but the app's own word stands behind a renewal.
    """

    format: str
    level: Level
    attested_at: datetime
    withdrawn: RevocationEntry | None = None
    revocation_known: bool | None = None
    risk_metric: int | None = None
    key_attested: bool = False
    app: AppRegistration | None = None
    distribution: Distribution | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold what one rule says: refusals (none means it holds), and what it couldn't check.

    :param foreign: it refuses since evidence of this kind can't state what the rule wants, such as a verdict
        of Google's in Android key attestation: nothing about this device is wrong.
    :param signals: what it holds against the evidence without refusing it: told, recorded and counted.
    """

    refusals: tuple[Refusal, ...] = ()
    unchecked: tuple[str, ...] = ()
    foreign: bool = False
    signals: tuple[Refusal, ...] = ()


class Rule(Protocol):
    """Judge claims by one criterion; a small frozen object, one file under ``rules/``."""

    @property
    def accounts_for(self) -> frozenset[Claim]:
        """Return the claims that it looks at."""

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Return the finding; ``app`` is None only in the offline verifier."""


JudgeStanding: TypeAlias = Callable[[Standing], tuple[Refusal, ...]]
"""What a rule holds against a renewal; empty where it holds nothing."""


def standing_judge(rule: Rule) -> JudgeStanding | None:
    """Return the ``judge_standing`` of a rule that also judges what became known of an instance since it enrolled.

    None where the rule judges evidence alone.  By its name, since ``isinstance`` on a protocol costs ten times as much, and
    each renewal asks every rule of its level.
    """
    judge: JudgeStanding | None = getattr(rule, "judge_standing", None)
    return judge


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold an appraisal policy: what each level takes, and what is left out on purpose.

    :param levels: by level, what evidence must fulfil to be granted it; a level that isn't there is granted
        to nobody.
    :param unchecked: claims that no rule looks at, on purpose; any other claim without a rule is an alarm.
    :param renew_by_key_for: how long an instance whose evidence attested no key may renew before it needs
        fresh evidence; others renew with the key that the vendor attested, without end.
    """

    name: str
    levels: Mapping[Level, Rule]
    unchecked: frozenset[Claim] = field(default_factory=frozenset)
    renew_by_key_for: timedelta = RENEW_BY_KEY_FOR

    def __post_init__(self) -> None:
        """Refuse a policy that grants nothing, or that grants the level of what was refused."""
        if not self.levels or Level.NONE in self.levels:
            raise ValueError("a policy grants at least one level, and never the level none")

    @property
    def lowest_level(self) -> Level:
        """Return the least level that it grants."""
        return min(self.levels, key=lambda level: level.rank)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the attestation result (RFC 9334): the level, or why there is none.

    :param refusals: why no level was granted; empty where one was.
    :param unchecked: what couldn't be checked, and what was stated and left out on purpose.
    :param short_of: why each higher level wasn't granted, by level; of ``none`` every level is higher.
    :param signals: what was held against it without refusing it.
    """

    level: Level
    refusals: tuple[Refusal, ...] = ()
    unchecked: tuple[str, ...] = ()
    short_of: Mapping[Level, tuple[Refusal, ...]] = field(default_factory=dict)
    signals: tuple[Refusal, ...] = ()


_KEY: Final = "parameter"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Hold what may be written for one parameter.

    :param says: its meaning, in a clause.
    :param least: lowest number; ``most``: highest.
    :param words: the words that mean something, where it takes words.
    :param required: it has no default.
    """

    says: str
    least: int | None = None
    most: int | None = None
    words: tuple[str, ...] = ()
    required: bool = False


def parameter(
    says: str,
    *,
    default: Any = MISSING,
    least: int | None = None,
    most: int | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field that carries its description; without a default it is required."""
    described = Parameter(says, least, most, words, required=default is MISSING)
    return field(default=default, metadata={_KEY: described})


def parameters_of(rule: type) -> Mapping[str, Parameter]:
    """Return the parameters of a rule's class by name, in their order."""
    return {each.name: each.metadata[_KEY] for each in fields(rule)}


VERSION: Final = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19}){0,7}")
"""``versionCode`` (up to 64 bits), ``CFBundleVersion`` or the version of a system."""


def is_at_least(stated: str, minimum: str) -> bool:
    """Tell whether a version isn't below the minimum; a version that isn't dotted numbers is."""
    if not (VERSION.fullmatch(stated) and VERSION.fullmatch(minimum)):
        return False
    pairs = zip_longest(map(int, stated.split(".")), map(int, minimum.split(".")), fillvalue=0)
    return next((got > least for got, least in pairs if got != least), True)


PLAY_RECOGNIZED: Final = "PLAY_RECOGNIZED"
UNRECOGNIZED_VERSION: Final = "UNRECOGNIZED_VERSION"
APP_RECOGNITION: Final = (PLAY_RECOGNIZED, UNRECOGNIZED_VERSION, "UNEVALUATED")

MEETS_DEVICE_INTEGRITY: Final = "MEETS_DEVICE_INTEGRITY"
MEETS_STRONG_INTEGRITY: Final = "MEETS_STRONG_INTEGRITY"
DEVICE_LABELS: Final = (
    "MEETS_BASIC_INTEGRITY",
    MEETS_DEVICE_INTEGRITY,
    MEETS_STRONG_INTEGRITY,
    "MEETS_VIRTUAL_INTEGRITY",
)

LICENSED: Final = "LICENSED"
LICENSING: Final = (LICENSED, "UNLICENSED", "UNEVALUATED")

ACTIVITY: Final = ("LEVEL_1", "LEVEL_2", "LEVEL_3", "LEVEL_4")
"""By how many tokens the device asked for in the last hour, from few to very many."""

CAPTURING_UNKNOWN: Final = frozenset({"UNKNOWN_CAPTURING", "UNKNOWN_CONTROLLING"})
APP_ACCESS: Final = (
    "KNOWN_INSTALLED",
    "KNOWN_CAPTURING",
    "KNOWN_CONTROLLING",
    "KNOWN_OVERLAYS",
    "UNKNOWN_INSTALLED",
    "UNKNOWN_CAPTURING",
    "UNKNOWN_CONTROLLING",
    "UNKNOWN_OVERLAYS",
)

PROTECTED: Final = frozenset({"NO_ISSUES", "NO_DATA"})
PLAY_PROTECT: Final = (
    "NO_ISSUES",
    "NO_DATA",
    "POSSIBLE_RISK",
    "MEDIUM_RISK",
    "HIGH_RISK",
    "UNEVALUATED",
)

RECALL_BITS: Final = ("bitFirst", "bitSecond", "bitThird")


def listed(words: Iterable[str], known: Iterable[str]) -> str:
    """Return words for a detail; one that isn't known may be a stranger's own text and is only counted."""
    said, known = set(words), set(known)
    strange = len(said - known)
    told = sorted(said & known) + ([f"{strange} unknown"] if strange else [])
    return ", ".join(told) or "none"


def without_verdicts(reason: Reason) -> Finding:
    """Return what a rule on Google's verdicts says of evidence that holds none at all.

    It refuses even where the single verdict may be missing, since this is another kind of evidence.
    """
    return Finding((Refusal(reason, "got no verdicts of Google's"),), foreign=True)


def without_verdict(reason: Reason, name: str, *, when_stated: bool) -> Finding:
    """Return what a rule says where Google gave other verdicts, but not the one it is about."""
    if when_stated:
        return Finding(unchecked=(name,))
    return Finding(
        (Refusal(reason, "Google gave no such verdict; turn it on in the Play Console"),)
    )


MAX_DEPTH: Final = 4
"""Most expressions within each other: what is nested deeper, nobody reads right."""


@dataclass(frozen=True, slots=True)
class _OfRules:
    """Hold what an expression is made of."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Refuse to be made without any rule, since ``AllOf`` would let everything pass then, or too deep."""
        if not self.rules:
            raise ValueError("appraisal needs at least one rule")
        if max(depth(rule) for rule in self.rules) >= MAX_DEPTH:
            raise ValueError(f"expected at most {MAX_DEPTH} expressions within each other")

    @property
    def accounts_for(self) -> frozenset[Claim]:
        """Return what any of the rules looks at."""
        return frozenset().union(*(rule.accounts_for for rule in self.rules))


@dataclass(frozen=True, slots=True)
class AllOf(_OfRules):
    """Hold where every rule does; each refusal of each rule is told."""

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Return all that any of the rules found.

        Where the evidence is of a kind that can't state what a rule wants, that alone is told: what else it
        lacks follows from it.
        """
        findings = [rule.judge(claims, app, circumstances) for rule in self.rules]
        foreign = [finding for finding in findings if finding.foreign]
        return Finding(
            tuple(refusal for finding in foreign or findings for refusal in finding.refusals),
            _unchecked(findings),
            foreign=bool(foreign),
            signals=tuple(each for finding in findings for each in finding.signals),
        )

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return what any of the rules that judge a standing holds against it."""
        return tuple(refusal for judge in _judges(self.rules) for refusal in judge(standing))


@dataclass(frozen=True, slots=True)
class AnyOf(_OfRules):
    """Hold where one of the rules does; otherwise the one that came nearest says why."""

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Return what the first rule that holds found, or the nearest one's refusals."""
        findings = [rule.judge(claims, app, circumstances) for rule in self.rules]
        best = min(findings, key=distance)
        if not best.refusals or len(findings) == 1:
            return best
        # What would have let it pass otherwise stands in the policy; the detail only says that there is more.
        more = f"nearest of {len(findings)} ways"
        told = (Refusal(each.reason, f"{each.detail} ({more})") for each in best.refusals)
        return Finding(tuple(told), best.unchecked, best.foreign, best.signals)

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return the least that one of the rules holds against it.

        One that can't judge a standing doesn't count, since it would let everything pass: a way in for Google's
        verdicts says nothing of certificates that were suspended.
        """
        judging = _judges(rule for rule in self.rules if judges_standing(rule))
        told = [judge(standing) for judge in judging]
        return min(told, key=len, default=())


@dataclass(frozen=True, slots=True)
class Signals(_OfRules):
    """Tell what rules hold against evidence; refuse only where two or more of them do.

    For what is often harmless by itself, such as Apple's count of attestations: alone it is told, recorded
    and counted.  What evidence of a kind can't state is no sign of anything.
    """

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Return what the rules hold against it as signals, or as refusals where they coincide."""
        findings = [rule.judge(claims, app, circumstances) for rule in self.rules]
        stated = [finding for finding in findings if not finding.foreign]
        signs = [(*finding.refusals, *finding.signals) for finding in stated]
        told, refuses = _coinciding(signs)
        unchecked = _unchecked(findings)
        return Finding(told, unchecked) if refuses else Finding((), unchecked, signals=told)

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return what the rules that judge a standing hold against it, where two or more do."""
        told, refuses = self._standing(standing)
        return told if refuses else ()

    def signals_of(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return what one rule alone holds against a standing."""
        told, refuses = self._standing(standing)
        return () if refuses else told

    def _standing(self, standing: Standing) -> tuple[tuple[Refusal, ...], bool]:
        return _coinciding([judge(standing) for judge in _judges(self.rules)])


Expression: TypeAlias = AllOf | AnyOf | Signals
"""What is made of other rules."""


def signals_in(rule: Rule, standing: Standing) -> tuple[Refusal, ...]:
    """Return what a rule, and those within an expression, hold against a standing without refusing it."""
    if isinstance(rule, Signals):
        return rule.signals_of(standing)
    if not isinstance(rule, Expression):
        return ()
    return tuple(each for inner in rule.rules for each in signals_in(inner, standing))


def judges_standing(rule: Rule) -> bool:
    """Tell whether a rule, or any within an expression, judges what became known since an enrolment."""
    if isinstance(rule, Expression):
        return any(judges_standing(inner) for inner in rule.rules)
    return standing_judge(rule) is not None


def distance(finding: Finding) -> tuple[bool, int]:
    """Return how far evidence was from fulfilling a rule, to compare: (0, 0) where it did.

    Evidence of another kind is farther away than any that could state what is wanted.
    """
    return finding.foreign, len(finding.refusals)


def depth(rule: Rule) -> int:
    """Return how many expressions stand within each other; 0 for a rule by itself."""
    if not isinstance(rule, Expression):
        return 0
    return 1 + max(depth(inner) for inner in rule.rules)


def leaves_of(rule: Rule) -> Iterator[Rule]:
    """Yield the rules that an expression is made of, or the rule itself."""
    if isinstance(rule, Expression):
        for each in rule.rules:
            yield from leaves_of(each)
    else:
        yield rule


def _judges(rules: Iterable[Rule]) -> Iterator[JudgeStanding]:
    for rule in rules:
        if (judge := standing_judge(rule)) is not None:
            yield judge


def _coinciding(signs: Sequence[tuple[Refusal, ...]]) -> tuple[tuple[Refusal, ...], bool]:
    """Return all that is told, and whether two or more tell something."""
    told = tuple(each for sign in signs for each in sign)
    return told, sum(map(bool, signs)) > 1


def _unchecked(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for finding in findings for name in finding.unchecked))
