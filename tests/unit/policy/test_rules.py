"""Each rule refuses what it must, lets pass what it may, and says which of both it couldn't tell."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.attestation import forge
from tests.unit.policy.genuine import (
    ANDROID,
    ANDROID_APP,
    APPLE,
    APPLE_APP,
    BOOT,
    GENUINE,
    IDENTITY,
    NOW,
    PLAY,
    PROVIDER,
    RECEIPT,
    TODAY,
    with_apple,
    with_boot,
    with_play,
)

from watchword.attestation.claims import (
    AppClaims,
    BootState,
    KeyAccess,
    KeySecurity,
    PatchLevels,
    Provisioning,
    RevocationClaims,
    UnverifiedClaims,
)
from watchword.attestation.interface import AndroidApp, AppRegistration
from watchword.policy.interface import Circumstances, Finding, Rule, Standing
from watchword.policy.registry import RULES
from watchword.policy.rules.app_access_risk import AppAccessRisk
from watchword.policy.rules.app_identity import AppIdentity
from watchword.policy.rules.app_recognition import AppRecognition
from watchword.policy.rules.apple_platform import ListedPlatform
from watchword.policy.rules.apple_system import AppleSystem
from watchword.policy.rules.attest_key import AttestKey
from watchword.policy.rules.coherence import INCOHERENCES, Coherence
from watchword.policy.rules.device_integrity import DeviceIntegrity
from watchword.policy.rules.device_recall import DeviceRecall
from watchword.policy.rules.device_velocity import DeviceVelocity
from watchword.policy.rules.distribution import ListedDistribution
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.policy.rules.key_origin import KeyOrigin
from watchword.policy.rules.key_purpose import KeyPurpose
from watchword.policy.rules.licensing import Licensing
from watchword.policy.rules.minimum_app_version import MinimumAppVersion, judge_version
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
from watchword.reasons import Reason
from watchword.vocabulary import AppAttestEnvironment, ApplePlatform, Distribution, Level

BARE: dict[str, Rule] = {
    "risk_metric": RiskMetric(most=10),
    "device_velocity": DeviceVelocity(most=3),
    "serial_fan_out": SerialFanOut(most=3),
    "sdk_version": SdkVersion(least=33),
    "recent_activity": RecentActivity(most=2),
    "provider_verdict": ProviderVerdict("verdict", "clean"),
}
"""Rules that have no default, with parameters that the genuine phones fulfil."""

# By rule: the formats whose genuine evidence it refuses (the table in docs/policy.md), and for what.
REFUSES = {
    "hardware_security": {"play-integrity", "rasp"},
    "verified_boot": {"play-integrity", "rasp"},
    "key_origin": {"play-integrity", "rasp"},
    "key_purpose": {"play-integrity", "rasp"},
    "remote_provisioning": {"play-integrity", "rasp"},
    **{
        name: {"android-key", "app-attest", "rasp"}
        for name in (
            "app_recognition",
            "device_integrity",
            "licensing",
            "sdk_version",
            "recent_activity",
            "app_access_risk",
            "play_protect",
            "device_recall",
        )
    },
    "provider_verdict": {"android-key", "app-attest", "play-integrity"},
}
FOREIGN = {"hardware_security", *(name for name in REFUSES if "android-key" in REFUSES[name])}


def rule_of(name: str) -> Rule:
    """Return a rule as a policy names it."""
    return BARE.get(name) or RULES[name]()


def found(
    rule: Rule,
    claims: UnverifiedClaims,
    app: AppRegistration | None = ANDROID_APP,
    circumstances: Circumstances = TODAY,
) -> list[Reason]:
    """Return the reasons that a rule holds against claims."""
    return [refusal.reason for refusal in rule.judge(claims, app, circumstances).refusals]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("kind", GENUINE)
def test_rule_on_genuine_evidence_of_each_format(kind: str, name: str) -> None:
    """A rule refuses evidence that can't state what it wants: the default is closed."""
    claims, app = GENUINE[kind]
    finding = rule_of(name).judge(claims, app, TODAY)
    assert bool(finding.refusals) is (kind in REFUSES.get(name, set()))
    assert finding.foreign is (bool(finding.refusals) and name in FOREIGN)


def test_documented_table_is_this_one() -> None:
    """docs/policy.md has a row for each rule, saying where the genuine phone is refused."""
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    table = text.split("## Which rule fits which evidence")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    kinds = ["android-key", "app-attest", "play-integrity", "rasp"]
    shown = {
        row[0].strip("`"): {
            kind for kind, cell in zip(kinds, row[1:], strict=True) if cell.startswith("refuses")
        }
        for row in rows
    }
    assert shown == {name: REFUSES.get(name, set()) for name in RULES}


# The app


def mutated_app(**mutated: Any) -> UnverifiedClaims:
    """Return Android's claims with the app mutated; each id keeps a good version."""
    assert ANDROID.app is not None
    return replace(ANDROID, app=replace(ANDROID.app, **mutated))


def digest(text: bytes) -> bytes:
    """Return a digest of a signing certificate."""
    return text.ljust(32, b"\x00")


def test_android_app_of_another_name_or_signer() -> None:
    """The package must be there; a repackaged app is told by its signer."""
    other = digest(b"other")
    for claims, reason in (
        (mutated_app(ids=("org.example.other",)), Reason.POLICY_APP_ID),
        (mutated_app(signing_digests=frozenset({other})), Reason.POLICY_SIGNING_DIGEST),
        (mutated_app(signing_digests=frozenset()), Reason.POLICY_SIGNING_DIGEST),
        (
            mutated_app(signing_digests=frozenset({forge.SIGNER, other})),
            Reason.POLICY_SIGNING_DIGEST,
        ),
        (replace(ANDROID, app=None), Reason.POLICY_APP_ID),
    ):
        assert found(AppIdentity(), claims) == [reason]


def test_android_apps_that_share_a_uid() -> None:
    """The registered package may be one of several, and its signer one of those registered."""
    assert found(AppIdentity(), mutated_app(ids=("org.example.other", forge.PACKAGE))) == []
    digests = frozenset({forge.SIGNER, digest(b"next key")})
    registered = AppRegistration("x", AndroidApp(forge.PACKAGE, digests))
    assert found(AppIdentity(), ANDROID, registered) == []


@pytest.mark.parametrize("app", [None, AppClaims(("TEAM123456.org.example.other",))])
def test_ios_app_of_another_id(app: AppClaims | None) -> None:
    """Without the expected App ID in the claims there is no app."""
    assert found(AppIdentity(), replace(APPLE, app=app), APPLE_APP) == [Reason.POLICY_APP_ID]


def test_android_claims_for_an_ios_registration() -> None:
    """A registration of the other platform is another app."""
    assert found(AppIdentity(), ANDROID, APPLE_APP) == [Reason.POLICY_APP_ID]


def test_without_a_registration_the_app_is_unchecked() -> None:
    """A report on evidence of an unknown app says what it left out."""
    assert AppIdentity().judge(ANDROID, None, TODAY) == Finding(unchecked=("app",))
    assert MinimumAppVersion().judge(ANDROID, None, TODAY) == Finding(unchecked=("app_version",))


@pytest.mark.parametrize(
    ("stated", "minimum", "holds"),
    [
        ("42", "42", True),
        ("41", "42", False),
        ("100", "42", True),
        ("1.10", "1.9", True),
        ("1.9", "1.10", False),
        ("1", "1.0.0", True),
        ("1.0.0", "1", True),
        ("1.0.1", "1", True),
        ("1", "1.0.1", False),
        ("2", "1.9.9", True),
        ("", "1", False),
        ("1.", "1", False),
        ("v2", "1", False),
        ("1.0-beta", "1", False),
        ("-1", "1", False),
        ("²", "1", False),
        ("٣", "1", False),
        ("1e3", "1", False),
        ("2\n", "1", False),
        ("9" * 20, "1", False),
        ("1" + ".1" * 8, "1", False),
        ("2", "one", False),
    ],
)
def test_versions_are_compared_number_by_number(stated: str, minimum: str, *, holds: bool) -> None:
    """Numbers and not text; what isn't dotted numbers is below everything."""
    assert (judge_version(stated, minimum) == ()) is holds


@given(st.text(max_size=30))
def test_odd_versions_never_raise(stated: str) -> None:
    """A version is the sender's own text: any of it gives yes or no."""
    assert len(judge_version(stated, "1.2")) in {0, 1}


def test_version_below_the_minimum() -> None:
    """An outdated app is refused, and its odd version isn't repeated."""
    for version in ({forge.PACKAGE: "41"}, {}, {forge.PACKAGE: "<script>"}):
        finding = MinimumAppVersion().judge(mutated_app(versions=version), ANDROID_APP, TODAY)
        assert [refusal.reason for refusal in finding.refusals] == [Reason.POLICY_APP_VERSION]
        assert "script" not in finding.refusals[0].detail


def test_ios_without_a_stated_version_is_unchecked() -> None:
    """Before iOS 27 no version is signed for; that isn't the app's fault."""
    silent = replace(APPLE, app=AppClaims((IDENTITY.app_id,)))
    finding = MinimumAppVersion().judge(silent, APPLE_APP, TODAY)
    assert finding == Finding(unchecked=("app_version",))
    old = replace(APPLE, app=AppClaims((IDENTITY.app_id,), {IDENTITY.app_id: "1.9"}))
    assert found(MinimumAppVersion(), old, APPLE_APP) == [Reason.POLICY_APP_VERSION]
    assert found(MinimumAppVersion(), old, replace(APPLE_APP, minimum_version=None)) == []


# The key


@pytest.mark.parametrize("member", ["attestation_security", "key_security"])
@pytest.mark.parametrize("security", [KeySecurity.SOFTWARE, KeySecurity.UNATTESTED])
def test_both_levels_must_be_hardware(member: str, security: KeySecurity) -> None:
    """Software on either side is software, and no key is none."""
    mutated: dict[str, Any] = {member: security}
    claims = replace(ANDROID, **mutated)
    assert found(HardwareSecurity(), claims) == [Reason.POLICY_SECURITY_LEVEL]


def test_strongbox_only() -> None:
    """A TEE on either side isn't a chip of its own; a Secure Enclave is one."""
    rule = HardwareSecurity(strongbox=True)
    assert found(rule, ANDROID) == [Reason.POLICY_SECURITY_LEVEL]
    certified = replace(
        ANDROID,
        attestation_security=KeySecurity.STRONGBOX,
        key_security=KeySecurity.STRONGBOX,
        certified_security=KeySecurity.STRONGBOX,
    )
    assert found(rule, certified) == []
    assert found(rule, APPLE) == []


@pytest.mark.parametrize("certified", [KeySecurity.TEE, KeySecurity.SOFTWARE, None])
def test_a_strongbox_needs_the_vendors_word(certified: KeySecurity | None) -> None:
    """A leaked key of a TEE writes any level; without the parameter the level is as good as a TEE's."""
    claims = replace(
        ANDROID,
        attestation_security=KeySecurity.STRONGBOX,
        key_security=KeySecurity.STRONGBOX,
        certified_security=certified,
    )
    assert found(HardwareSecurity(strongbox=True), claims) == [Reason.POLICY_SECURITY_LEVEL]
    assert found(HardwareSecurity(), claims) == []


def test_key_origin_and_purpose() -> None:
    """A key that was imported has been known outside; one that can't sign proves no request."""
    assert found(KeyOrigin(), replace(ANDROID, key_generated=False)) == [Reason.POLICY_KEY_ORIGIN]
    assert found(KeyPurpose(), replace(ANDROID, key_signs=False)) == [Reason.POLICY_KEY_PURPOSE]


@pytest.mark.parametrize("name", INCOHERENCES)
def test_contradictions_are_told_or_refused(name: str) -> None:
    """A rule that names one refuses it, one that doesn't tells it, and coherent evidence is neither."""
    claims = replace(ANDROID, incoherent=(name,))
    circumstances = Circumstances(NOW)
    assert found(Coherence(), claims) == [Reason.POLICY_COHERENCE]
    others = Coherence(none_of=frozenset(INCOHERENCES) - {name})
    assert others.judge(claims, None, circumstances) == Finding(unchecked=("coherence",))
    assert Coherence().judge(ANDROID, None, circumstances) == Finding()


def test_attest_key() -> None:
    """An attestation by the app's own key passes only where it is allowed."""
    claims = replace(ANDROID, attest_key=True)
    assert found(AttestKey(), claims) == [Reason.POLICY_ATTEST_KEY]
    assert found(AttestKey(allowed=True), claims) == []


# The system


@pytest.mark.parametrize(
    ("mutated", "reasons"),
    [
        ({"device_locked": False}, [Reason.POLICY_BOOTLOADER_UNLOCKED]),
        ({"state": BootState.SELF_SIGNED}, [Reason.POLICY_BOOT_SELF_SIGNED]),
        ({"state": BootState.UNVERIFIED}, [Reason.POLICY_BOOT_UNVERIFIED]),
        ({"state": BootState.FAILED}, [Reason.POLICY_BOOT_UNVERIFIED]),
        (
            {"device_locked": False, "state": BootState.UNVERIFIED},
            [Reason.POLICY_BOOTLOADER_UNLOCKED, Reason.POLICY_BOOT_UNVERIFIED],
        ),
    ],
)
def test_boot(mutated: dict[str, Any], reasons: list[Reason]) -> None:
    """Locked and verified, by the word of the hardware."""
    assert found(VerifiedBoot(), with_boot(**mutated)) == reasons


def test_boot_without_a_root_of_trust() -> None:
    """Android must state it; iOS makes no such claim."""
    silent = replace(ANDROID, boot=None)
    assert found(VerifiedBoot(), silent) == [Reason.POLICY_ROOT_OF_TRUST_MISSING]
    every = VerifiedBoot(any_boot_key=True)
    assert found(every, silent) == [Reason.POLICY_ROOT_OF_TRUST_MISSING]


def test_allow_list_of_boot_keys() -> None:
    """Another system passes by its own key; one with a key that isn't listed says which to look at."""
    graphene = with_boot(state=BootState.SELF_SIGNED)
    assert found(VerifiedBoot(boot_keys=frozenset({BOOT.verified_boot_key})), graphene) == []
    finding = VerifiedBoot(boot_keys=frozenset({bytes(32)})).judge(graphene, ANDROID_APP, TODAY)
    assert [refusal.reason for refusal in finding.refusals] == [Reason.POLICY_BOOT_KEY]
    assert BOOT.verified_boot_key.hex() in finding.refusals[0].detail
    assert found(VerifiedBoot(any_boot_key=True), graphene) == []


@pytest.mark.parametrize("rule", [VerifiedBoot(any_boot_key=True), VerifiedBoot(frozenset({b""}))])
def test_no_list_lets_an_unlocked_phone_pass(rule: VerifiedBoot) -> None:
    """Whoever unlocked it can say any boot key; the empty key of such phones is on no list."""
    unlocked = with_boot(device_locked=False, state=BootState.UNVERIFIED, verified_boot_key=b"")
    assert Reason.POLICY_BOOTLOADER_UNLOCKED in found(rule, unlocked)
    assert Reason.POLICY_BOOT_UNVERIFIED in found(rule, unlocked)


def patched(**parts: int | None) -> UnverifiedClaims:
    """Return Android's claims with these patch levels and no others."""
    return replace(ANDROID, patches=PatchLevels(**parts))


@pytest.mark.parametrize(
    ("part", "stated", "most", "holds"),
    [
        ("system", 202611, 0, True),
        ("system", 202610, 0, False),
        ("system", 202605, 6, True),
        ("system", 202604, 6, False),
        ("system", 202511, 12, True),
        ("system", 202512, 11, True),
        ("system", 202511, 11, False),
        ("system", 202612, 3, True),
        ("system", 202701, 3, False),
        ("vendor", 20260824, 3, True),
        ("vendor", 20260731, 3, False),
        ("vendor", 202608, 3, True),
        ("vendor", 20260800, 3, True),
        ("vendor", 20261332, 3, False),
        ("boot", 20260701, 3, False),
        ("boot", None, 3, False),
        ("system", 0, 120, False),
        ("system", 202613, 3, False),
        ("system", 202600, 3, False),
        ("system", -202611, 3, False),
        ("system", 2026, 3, False),
        ("system", 10**30, 3, False),
    ],
)
def test_patch_levels(part: str, stated: int | None, most: int, *, holds: bool) -> None:
    """Ages are counted in months of the calendar; what is no month is refused where one is wanted."""
    finding = PatchLevel(**{part: most}).judge(patched(**{part: stated}), ANDROID_APP, TODAY)
    assert [refusal.reason for refusal in finding.refusals] == (
        [] if holds else [Reason.POLICY_PATCH_LEVEL]
    )


def test_patch_level_without_an_age_looks_at_the_future_alone() -> None:
    """Old phones pass; a made-up date doesn't, and the parts that phones misstate aren't looked at."""
    assert found(PatchLevel(), patched(system=201601)) == []
    assert found(PatchLevel(), replace(ANDROID, patches=None)) == []
    assert found(PatchLevel(), patched(system=202701)) == [Reason.POLICY_PATCH_LEVEL]
    assert found(PatchLevel(), patched(system=202611, vendor=20301101)) == []
    assert found(PatchLevel(vendor=6), patched(vendor=20301101)) == [Reason.POLICY_PATCH_LEVEL]


def test_patch_level_is_wanted_of_android_alone() -> None:
    """An Android that states none is refused, an iPhone isn't."""
    rule = PatchLevel(system=6)
    assert found(rule, replace(ANDROID, patches=None)) == [Reason.POLICY_PATCH_LEVEL]
    assert found(rule, PLAY) == [Reason.POLICY_PATCH_LEVEL]
    assert found(rule, APPLE, APPLE_APP) == []


@given(
    st.integers(min_value=-(10**12), max_value=10**12),
    st.integers(min_value=0, max_value=120),
    st.datetimes(min_value=datetime(2008, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
)
def test_patch_levels_never_raise(stated: int, most: int, now: datetime) -> None:
    """A patch level is any number; a stricter age refuses all that a laxer one does."""
    at = Circumstances(now.replace(tzinfo=UTC))
    strict = PatchLevel(system=most).judge(patched(system=stated), ANDROID_APP, at)
    lax = PatchLevel(system=most + 1).judge(patched(system=stated), ANDROID_APP, at)
    assert len(strict.refusals) >= len(lax.refusals)


def test_provisioning() -> None:
    """A factory key isn't renewed; a chain that doesn't show how it came by its key is refused too."""
    for provisioning in (Provisioning.FACTORY, None):
        claims = replace(ANDROID, provisioning=provisioning)
        assert found(RemoteProvisioning(), claims) == [Reason.POLICY_PROVISIONING]
    assert found(RemoteProvisioning(), ANDROID) == []


# What vendors know


def test_suspension() -> None:
    """A suspended certificate is refused unless policy lets it pass."""
    claims = replace(ANDROID, revocation=RevocationClaims(known=True, suspended=("ab",)))
    assert found(Suspension(), claims) == [Reason.POLICY_SUSPENDED]
    assert found(Suspension(allowed=True), claims) == []
    assert "ab" not in Suspension().judge(claims, ANDROID_APP, TODAY).refusals[0].detail


@pytest.mark.parametrize("revocation", [None, RevocationClaims(known=False)])
def test_revocation_unknown(revocation: RevocationClaims | None) -> None:
    """Fail closed refuses, and blames our side; fail open says that it is unchecked."""
    claims = replace(ANDROID, revocation=revocation)
    assert found(RevocationKnown(), claims) == [Reason.POLICY_REVOCATION_UNKNOWN]
    open_ = RevocationKnown(needed=False)
    assert open_.judge(claims, ANDROID_APP, TODAY) == Finding(unchecked=("revocation",))


def test_receipt() -> None:
    """None, or one that doesn't verify, is refused with what is wrong with it."""
    for fault in (None, "another key signed it"):
        claims = replace(APPLE, receipt=None, receipt_fault=fault)
        finding = Receipt().judge(claims, APPLE_APP, TODAY)
        assert [refusal.reason for refusal in finding.refusals] == [Reason.POLICY_RECEIPT]
        assert (fault or "none") in finding.refusals[0].detail
        optional = Receipt(needed=False).judge(claims, APPLE_APP, TODAY)
        assert optional == Finding(unchecked=("receipt",))


PLATFORMS = frozenset({ApplePlatform.IOS, ApplePlatform.MACOS, ApplePlatform.UNKNOWN})
WITH_MACS = replace(APPLE_APP, identity=replace(IDENTITY, platforms=PLATFORMS))


@pytest.mark.parametrize(
    ("platform", "access", "unlisted", "listed"),
    [
        (ApplePlatform.IOS, KeyAccess.OTHER, [], []),
        (ApplePlatform.IOS, None, [], []),
        (ApplePlatform.MACOS, KeyAccess.FULL_SECURITY, [Reason.POLICY_APPLE_PLATFORM], []),
        (
            ApplePlatform.MACOS,
            KeyAccess.OTHER,
            [Reason.POLICY_APPLE_PLATFORM, Reason.POLICY_KEY_ACCESS],
            [Reason.POLICY_KEY_ACCESS],
        ),
        (
            ApplePlatform.MACOS,
            None,
            [Reason.POLICY_APPLE_PLATFORM, Reason.POLICY_KEY_ACCESS],
            [Reason.POLICY_KEY_ACCESS],
        ),
        (
            ApplePlatform.UNKNOWN,
            KeyAccess.OTHER,
            [Reason.POLICY_APPLE_PLATFORM, Reason.POLICY_KEY_ACCESS],
            [Reason.POLICY_KEY_ACCESS],
        ),
        (
            ApplePlatform.MAC_CATALYST,
            KeyAccess.FULL_SECURITY,
            [Reason.POLICY_APPLE_PLATFORM],
            [Reason.POLICY_APPLE_PLATFORM],
        ),
        (
            ApplePlatform.TVOS,
            KeyAccess.OTHER,
            [Reason.POLICY_APPLE_PLATFORM],
            [Reason.POLICY_APPLE_PLATFORM],
        ),
    ],
)
def test_platform_must_be_listed_and_a_mac_sealed(
    platform: ApplePlatform,
    access: KeyAccess | None,
    unlisted: list[Reason],
    listed: list[Reason],
) -> None:
    """Listing macOS lets no Mac in whose protection is off; nor does listing what nobody knows."""
    claims = with_apple(platform=platform, key_access=access)
    assert found(ListedPlatform(), claims, APPLE_APP) == unlisted
    assert found(ListedPlatform(), claims, WITH_MACS) == listed


def test_platform_that_no_leaf_names_is_unchecked() -> None:
    """Before OS 27; the offline verifier without an app still refuses an open Mac."""
    rule = ListedPlatform()
    silent = rule.judge(with_apple(platform=None), APPLE_APP, TODAY)
    assert silent == Finding(unchecked=("apple_platform",))
    assert rule.judge(APPLE, None, TODAY) == Finding(unchecked=("apple_platform",))
    open_mac = with_apple(platform=ApplePlatform.MACOS)
    assert found(rule, open_mac, None) == [Reason.POLICY_KEY_ACCESS]


@pytest.mark.parametrize("way", Distribution)
def test_distribution_must_be_listed(way: Distribution) -> None:
    """Without a list the App Store alone, or development in its environment; a list replaces that."""
    rule, claims = ListedDistribution(), with_apple(distribution=way)
    assert (found(rule, claims, APPLE_APP) == []) is (way is Distribution.APP_STORE)
    own = replace(IDENTITY, environment=AppAttestEnvironment.DEVELOPMENT)
    development = replace(APPLE_APP, identity=own)
    assert (found(rule, claims, development) == []) is (way is Distribution.DEVELOPMENT)
    testers = replace(IDENTITY, distribution=frozenset({Distribution.TESTFLIGHT}))
    listed = replace(APPLE_APP, identity=testers)
    assert (found(rule, claims, listed) == []) is (way is Distribution.TESTFLIGHT)
    standing = Standing("app-attest", Level.HARDWARE, NOW, app=listed, distribution=way)
    assert (rule.judge_standing(standing) == ()) is (way is Distribution.TESTFLIGHT)
    assert rule.judge_standing(replace(standing, distribution=None)) == ()


def test_distribution_that_is_not_stated() -> None:
    """Unchecked on a phone, unless it is needed; a Mac that attests can state it."""
    silent = with_apple(distribution=None)
    assert ListedDistribution().judge(silent, APPLE_APP, TODAY) == Finding(
        unchecked=("distribution",)
    )
    assert found(ListedDistribution(needed=True), silent, APPLE_APP) == [Reason.POLICY_DISTRIBUTION]
    mac = with_apple(distribution=None, platform=ApplePlatform.MACOS)
    assert found(ListedDistribution(), mac, WITH_MACS) == [Reason.POLICY_DISTRIBUTION]


def test_system_is_told_and_never_refused() -> None:
    """Apple documents no place for the version, so that it refuses nothing by itself."""
    old = with_apple(os_version="17.5.1")
    finding = AppleSystem(least="26.1").judge(old, APPLE_APP, TODAY)
    assert finding.refusals == ()
    assert [each.reason for each in finding.signals] == [Reason.POLICY_APPLE_SYSTEM]
    assert AppleSystem(least="17.5").judge(old, APPLE_APP, TODAY) == Finding()
    assert AppleSystem().judge(old, APPLE_APP, TODAY) == Finding()
    silent = AppleSystem(least="26").judge(with_apple(os_version=None), APPLE_APP, TODAY)
    assert silent == Finding(unchecked=("apple_system",))
    with pytest.raises(ValueError, match="dotted numbers"):
        AppleSystem(least="iOS 26")


def test_risk_metric() -> None:
    """The limit itself is let pass; before there is a metric, it is unchecked."""
    rule = RiskMetric(most=10)
    for metric, reasons in ((10, []), (11, [Reason.POLICY_RISK_METRIC])):
        claims = replace(APPLE, receipt=replace(RECEIPT, risk_metric=metric))
        assert found(rule, claims, APPLE_APP) == reasons
    assert rule.judge(APPLE, APPLE_APP, TODAY) == Finding(unchecked=("risk_metric",))


def test_device_velocity() -> None:
    """This instance counts too; without a count it is unchecked."""
    rule = DeviceVelocity(most=3)
    for before, reasons in ((2, []), (3, [Reason.POLICY_DEVICE_VELOCITY])):
        assert found(rule, ANDROID, ANDROID_APP, Circumstances(NOW, before)) == reasons
    unknown = rule.judge(ANDROID, ANDROID_APP, Circumstances(NOW))
    assert unknown == Finding(unchecked=("device_velocity",))


def test_serial_fan_out() -> None:
    """This instance counts too; without a count it is unchecked, and without such a certificate there is nothing to count."""
    rule = SerialFanOut(most=3)
    for before, reasons in ((2, []), (3, [Reason.POLICY_SERIAL_FAN_OUT])):
        circumstances = Circumstances(NOW, fan_out_today=before)
        assert found(rule, ANDROID, ANDROID_APP, circumstances) == reasons
    uncounted = Circumstances(NOW, enrolled_today=9)
    unknown = rule.judge(ANDROID, ANDROID_APP, uncounted)
    assert unknown == Finding(unchecked=("serial_fan_out",))
    for claims, app in ((APPLE, APPLE_APP), (PLAY, ANDROID_APP), (PROVIDER, ANDROID_APP)):
        assert rule.judge(claims, app, uncounted) == Finding()


# Google's verdicts


@pytest.mark.parametrize(
    ("rule", "mutated", "reason"),
    [
        (
            AppRecognition(),
            {"app_recognition": "UNRECOGNIZED_VERSION"},
            Reason.POLICY_APP_RECOGNITION,
        ),
        (AppRecognition(), {"app_recognition": "UNEVALUATED"}, Reason.POLICY_APP_RECOGNITION),
        (
            AppRecognition(sideloaded=True),
            {"app_recognition": "UNEVALUATED"},
            Reason.POLICY_APP_RECOGNITION,
        ),
        (AppRecognition(sideloaded=True), {"app_recognition": ""}, Reason.POLICY_APP_RECOGNITION),
        (AppRecognition(sideloaded=True), {"testing": True}, Reason.POLICY_APP_RECOGNITION),
        (
            DeviceIntegrity(),
            {"device_labels": frozenset({"MEETS_BASIC_INTEGRITY"})},
            Reason.POLICY_DEVICE_INTEGRITY,
        ),
        (DeviceIntegrity(), {"device_labels": frozenset()}, Reason.POLICY_DEVICE_INTEGRITY),
        (
            DeviceIntegrity(all_of=frozenset({"MEETS_STRONG_INTEGRITY"})),
            {},
            Reason.POLICY_DEVICE_INTEGRITY,
        ),
        (
            DeviceIntegrity(
                all_of=frozenset({"MEETS_BASIC_INTEGRITY"}),
                any_of=frozenset({"MEETS_STRONG_INTEGRITY", "MEETS_VIRTUAL_INTEGRITY"}),
            ),
            {},
            Reason.POLICY_DEVICE_INTEGRITY,
        ),
        (Licensing(), {"licensing": "UNLICENSED"}, Reason.POLICY_LICENSING),
        (Licensing(when_stated=True), {"licensing": "UNEVALUATED"}, Reason.POLICY_LICENSING),
        (SdkVersion(least=37), {}, Reason.POLICY_SDK_VERSION),
        (RecentActivity(most=2), {"recent_activity": "LEVEL_3"}, Reason.POLICY_RECENT_ACTIVITY),
        (RecentActivity(most=4), {"recent_activity": "UNEVALUATED"}, Reason.POLICY_RECENT_ACTIVITY),
        (
            AppAccessRisk(),
            {"app_access_risk": frozenset({"UNKNOWN_CAPTURING"})},
            Reason.POLICY_APP_ACCESS_RISK,
        ),
        (
            AppAccessRisk(none_of=frozenset({"KNOWN_INSTALLED"})),
            {},
            Reason.POLICY_APP_ACCESS_RISK,
        ),
        (PlayProtect(), {"play_protect": "POSSIBLE_RISK"}, Reason.POLICY_PLAY_PROTECT),
        (PlayProtect(when_stated=True), {"play_protect": "HIGH_RISK"}, Reason.POLICY_PLAY_PROTECT),
        (DeviceRecall(), {"recalled": frozenset({"bitSecond"})}, Reason.POLICY_DEVICE_RECALL),
    ],
)
def test_verdict_of_google_that_is_refused(
    rule: Rule, mutated: dict[str, Any], reason: Reason
) -> None:
    """Each rule reads its own verdict alone, and refuses for its own reason."""
    assert found(rule, with_play(**mutated)) == [reason]
    assert not rule.judge(with_play(**mutated), ANDROID_APP, TODAY).foreign


@pytest.mark.parametrize(
    ("rule", "mutated"),
    [
        (AppRecognition(sideloaded=True), {"app_recognition": "UNRECOGNIZED_VERSION"}),
        (AppRecognition(testing=True), {"testing": True}),
        (
            DeviceIntegrity(any_of=frozenset({"MEETS_STRONG_INTEGRITY", "MEETS_BASIC_INTEGRITY"})),
            {},
        ),
        (SdkVersion(least=36), {}),
        (RecentActivity(most=3), {"recent_activity": "LEVEL_3"}),
        (AppAccessRisk(), {"app_access_risk": frozenset()}),
        (PlayProtect(), {"play_protect": "NO_DATA"}),
        (PlayProtect(accepted=frozenset({"POSSIBLE_RISK"})), {"play_protect": "POSSIBLE_RISK"}),
        (DeviceRecall(none_of=frozenset({"bitFirst"})), {"recalled": frozenset({"bitSecond"})}),
    ],
)
def test_verdict_of_google_that_is_let_pass(rule: Rule, mutated: dict[str, Any]) -> None:
    """Parameters widen a rule as far as they say, and no further."""
    assert rule.judge(with_play(**mutated), ANDROID_APP, TODAY) == Finding()


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        (Licensing, "licensing"),
        (SdkVersion, "sdk_version"),
        (RecentActivity, "recent_activity"),
        (AppAccessRisk, "app_access_risk"),
        (PlayProtect, "play_protect"),
        (DeviceRecall, "recalled"),
    ],
)
def test_verdict_that_google_didnt_give(kind: type[Any], member: str) -> None:
    """It is refused, or unchecked where the rule asks no more; evidence without verdicts never passes."""
    needed = {"least": 1} if kind is SdkVersion else {"most": 1} if kind is RecentActivity else {}
    claims = with_play(**{member: None})
    (refusal,) = kind(**needed).judge(claims, ANDROID_APP, TODAY).refusals
    assert refusal.reason.code.startswith("policy.")
    optional = kind(**needed, when_stated=True)
    assert optional.judge(claims, ANDROID_APP, TODAY).refusals == ()
    assert optional.judge(claims, ANDROID_APP, TODAY).unchecked != ()
    assert optional.judge(ANDROID, ANDROID_APP, TODAY).refusals != ()


def test_device_integrity_needs_a_label() -> None:
    """Without any label every device would pass."""
    with pytest.raises(ValueError, match="at least one label"):
        DeviceIntegrity(all_of=frozenset())


def test_unknown_words_of_verdicts_arent_repeated() -> None:
    """In a report on unverified evidence they are a stranger's own text."""
    odd = "\x1b[2Jhello"
    claims = with_play(app_recognition=odd, device_labels=frozenset({odd}))
    for rule in (AppRecognition(), DeviceIntegrity()):
        (refusal,) = rule.judge(claims, ANDROID_APP, TODAY).refusals
        assert "hello" not in refusal.detail
        assert "1 unknown" in refusal.detail


# Own providers


@pytest.mark.parametrize(
    ("member", "equals", "holds"),
    [
        ("verdict", "clean", True),
        ("verdict", "Clean", False),
        ("score", 1, True),
        ("score", True, False),
        ("score", "1", False),
        ("rooted", False, True),
        ("rooted", 0, False),
        ("missing", "clean", False),
    ],
)
def test_provider_verdict(member: str, equals: str | int | bool, *, holds: bool) -> None:
    """The member must be there with that value, of that type."""
    finding = ProviderVerdict(member, equals).judge(PROVIDER, ANDROID_APP, TODAY)
    assert [refusal.reason for refusal in finding.refusals] == (
        [] if holds else [Reason.POLICY_PROVIDER_VERDICT]
    )
