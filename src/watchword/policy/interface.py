"""Define appraisal: claims and rules give a verdict.  A rule never parses bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.ports import RevocationEntry
from watchword.reasons import Refusal
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


@runtime_checkable
class StandingRule(Protocol):
    """Be a rule that also judges what became known of an instance since it enrolled."""

    def judge_standing(self, standing: Standing) -> tuple[Refusal, ...]:
        """Return what the rule holds against a renewal; empty where it holds nothing."""


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
