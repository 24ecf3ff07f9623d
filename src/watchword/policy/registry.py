"""List the appraisal rules: one line for each file under ``rules/``, by its name in a policy.

Offer ready-made policies; each line is justified in docs/policy.md.
"""

from collections.abc import Mapping
from typing import Final

from watchword.policy.interface import AllOf, AnyOf, Claim, Policy, Rule, Signals
from watchword.policy.rules.app_access_risk import AppAccessRisk
from watchword.policy.rules.app_identity import AppIdentity
from watchword.policy.rules.app_recognition import AppRecognition
from watchword.policy.rules.apple_platform import ListedPlatform
from watchword.policy.rules.apple_system import AppleSystem
from watchword.policy.rules.attest_key import AttestKey
from watchword.policy.rules.coherence import Coherence
from watchword.policy.rules.device_integrity import DeviceIntegrity
from watchword.policy.rules.device_recall import DeviceRecall
from watchword.policy.rules.device_velocity import DeviceVelocity
from watchword.policy.rules.distribution import ListedDistribution
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.key_purpose import KeyPurpose
from watchword.policy.rules.licensing import Licensing
from watchword.policy.rules.minimum_app_version import MinimumAppVersion
from watchword.policy.rules.patch_level import PatchLevel
from watchword.policy.rules.play_protect import PlayProtect
from watchword.policy.rules.provider_verdict import ProviderVerdict
from watchword.policy.rules.provisioning import RemoteProvisioning
from watchword.policy.rules.receipt import Receipt
from watchword.policy.rules.recent_activity import RecentActivity
from watchword.policy.rules.revocation_known import RevocationKnown
from watchword.policy.rules.risk_metric import RiskMetric
from watchword.policy.rules.sdk_version import SdkVersion
from watchword.policy.rules.serial_fan_out import SerialFanOut
from watchword.policy.rules.suspension import Suspension
from watchword.policy.rules.verified_boot import VerifiedBoot
from watchword.vocabulary import Level

RULES: Final[Mapping[str, type[Rule]]] = {
    "app_identity": AppIdentity,
    "minimum_app_version": MinimumAppVersion,
    "hardware_security": HardwareSecurity,
    "verified_boot": VerifiedBoot,
    "key_origin": KeyOrigin,
    "key_purpose": KeyPurpose,
    "attest_key": AttestKey,
    "coherence": Coherence,
    "patch_level": PatchLevel,
    "remote_provisioning": RemoteProvisioning,
    "suspension": Suspension,
    "revocation_known": RevocationKnown,
    "apple_platform": ListedPlatform,
    "distribution": ListedDistribution,
    "apple_system": AppleSystem,
    "receipt": Receipt,
    "risk_metric": RiskMetric,
    "device_velocity": DeviceVelocity,
    "serial_fan_out": SerialFanOut,
    "app_recognition": AppRecognition,
    "device_integrity": DeviceIntegrity,
    "licensing": Licensing,
    "sdk_version": SdkVersion,
    "recent_activity": RecentActivity,
    "app_access_risk": AppAccessRisk,
    "play_protect": PlayProtect,
    "device_recall": DeviceRecall,
    "provider_verdict": ProviderVerdict,
}
"""The rules by their name in a policy, in the order of docs/policy.md."""

_NAMES: Final = {rule: name for name, rule in RULES.items()}


def name_of(rule: Rule) -> str:
    """Return the name of a rule; raise KeyError for an expression or a rule that isn't listed."""
    return _NAMES[type(rule)]


_APP: Final[tuple[Rule, ...]] = (AppIdentity(), MinimumAppVersion())
"""Whose app it is: no policy does without."""

_KEY: Final[tuple[Rule, ...]] = (HardwareSecurity(), KeyOrigin(), KeyPurpose())
"""A key that nobody can copy off the device."""

_APPLE: Final[tuple[Rule, ...]] = (ListedPlatform(), ListedDistribution(), AppleSystem())
"""Where an iOS app runs, how it came there, and on how old a system; the last is told alone."""

_FAN_OUT: Final = Signals((SerialFanOut(most=1000),))
"""Genuine phones share a factory's certificate too: alone among its signals, it never refuses."""

STRICT: Final = Policy(
    "strict",
    {
        Level.HARDWARE: AllOf(
            (
                *_APP,
                *_KEY,
                AttestKey(),
                VerifiedBoot(),
                PatchLevel(system=3, vendor=6),
                RemoteProvisioning(),
                Suspension(),
                RevocationKnown(),
                *_APPLE,
                Receipt(),
                Signals((RiskMetric(most=5),)),
                _FAN_OUT,
                DeviceVelocity(most=3),
            )
        ),
    },
    unchecked=frozenset({Claim.COHERENCE}),
)
"""For what must not fall into wrong hands, at the price of older phones and of outages at Google."""

BALANCED: Final = Policy(
    "balanced",
    {
        Level.HARDWARE: AllOf(
            (
                *_APP,
                *_KEY,
                AttestKey(),
                VerifiedBoot(),
                PatchLevel(),
                Suspension(),
                RevocationKnown(needed=False),
                *_APPLE,
                Receipt(),
                Signals((RiskMetric(most=20),)),
                _FAN_OUT,
                DeviceVelocity(most=10),
            )
        ),
        Level.VERIFIED: AllOf(
            (*_APP, DeviceIntegrity(), AppRecognition(), DeviceVelocity(most=10)),
        ),
    },
    unchecked=frozenset(
        {
            Claim.PROVISIONING,
            Claim.COHERENCE,
            Claim.LICENSING,
            Claim.SDK_VERSION,
            Claim.RECENT_ACTIVITY,
            Claim.APP_ACCESS_RISK,
            Claim.PLAY_PROTECT,
            Claim.DEVICE_RECALL,
        }
    ),
)
"""What a genuine app on a device in its maker's state fulfils, whatever its age: the default."""

INCLUSIVE: Final = Policy(
    "inclusive",
    {
        Level.HARDWARE: AllOf(
            (
                *_APP,
                *_KEY,
                AttestKey(),
                VerifiedBoot(),
                PatchLevel(system=12),
                Suspension(),
                RevocationKnown(needed=False),
                *_APPLE,
                Receipt(needed=False),
                Signals((RiskMetric(most=50),)),
                _FAN_OUT,
                DeviceVelocity(most=20),
            )
        ),
        Level.VERIFIED: BALANCED.levels[Level.VERIFIED],
        Level.SOFTWARE: AnyOf(
            (
                AllOf(
                    (
                        *_APP,
                        *_KEY,
                        AttestKey(),
                        VerifiedBoot(any_boot_key=True),
                        PatchLevel(),
                        Suspension(),
                        RevocationKnown(needed=False),
                        *_APPLE,
                        Receipt(needed=False),
                        Signals((RiskMetric(most=50),)),
                        _FAN_OUT,
                        DeviceVelocity(most=20),
                    )
                ),
                AllOf(
                    (
                        *_APP,
                        DeviceIntegrity(),
                        AppRecognition(sideloaded=True),
                        DeviceVelocity(most=20),
                    )
                ),
            )
        ),
    },
    unchecked=BALANCED.unchecked,
)
"""Lets de-Googled and older devices in at level software; never an unlocked one, never another signer."""

PRESETS: Final[Mapping[str, Policy]] = {
    policy.name: policy for policy in (STRICT, BALANCED, INCLUSIVE)
}
"""The policies that may be named in ``watchword.yaml``."""

_RECORDED_LEVELS: Final[Mapping[Level, Rule]] = {
    Level.HARDWARE: AllOf((*_APP, *_KEY, VerifiedBoot())),
    Level.VERIFIED: AllOf((*_APP, DeviceIntegrity(), AppRecognition())),
}

RECORDED: Final = Policy(
    "recorded",
    _RECORDED_LEVELS,
    unchecked=frozenset(Claim).difference(
        *(rule.accounts_for for rule in _RECORDED_LEVELS.values())
    ),
)
"""What recorded evidence of real devices is compared by: old phones, and nobody counts instances.

It isn't offered in ``watchword.yaml``, since it passes over suspended certificates and receipts.
"""
