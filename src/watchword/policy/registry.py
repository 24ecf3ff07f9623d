"""List the appraisal rules: one line for each file under ``rules/``, by its name in a policy."""

from collections.abc import Mapping
from typing import Final

from watchword.policy.interface import Rule
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
