"""Hold the claims of genuine phones of each format, for tests to mutate."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.unit.attestation import forge

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
from watchword.attestation.interface import AppleApp, AppRegistration
from watchword.policy.interface import Circumstances
from watchword.vocabulary import ApplePlatform, Distribution, Platform

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = Circumstances(NOW, enrolled_today=0, fan_out_today=0)

BOOT = BootClaims(
    device_locked=True,
    state=BootState.VERIFIED,
    verified_boot_key=bytes([0xB0]) * 32,
    verified_boot_hash=None,
)
ANDROID_APP = forge.ANDROID_APP
ANDROID = UnverifiedClaims(
    format="android-key",
    platform=Platform.ANDROID,
    public_key=b"key",
    attestation_security=KeySecurity.TEE,
    key_security=KeySecurity.STRONGBOX,
    anchor="root",
    app=AppClaims((forge.PACKAGE,), {forge.PACKAGE: "42"}, frozenset({forge.SIGNER})),
    boot=BOOT,
    key_generated=True,
    key_signs=True,
    patches=PatchLevels(160000, 202610, 20261005, 20261005),
    provisioning=Provisioning.REMOTE,
    device_key=bytes(32),
    attester_serial="a1",
    revocation=RevocationClaims(known=True, list_digest="list"),
)

IDENTITY = AppleApp("TEAM123456", "org.example.clinic")
APPLE_APP = AppRegistration("ios", IDENTITY, "1.10")
PHONE = AppleClaims(ApplePlatform.IOS, KeyAccess.OTHER, Distribution.APP_STORE, "27.0", "24A5355q")
RECEIPT = ReceiptClaims(ReceiptKind.ATTEST, IDENTITY.app_id, NOW)
APPLE = UnverifiedClaims(
    format="app-attest",
    platform=Platform.IOS,
    public_key=b"key",
    attestation_security=KeySecurity.SECURE_ENCLAVE,
    key_security=KeySecurity.SECURE_ENCLAVE,
    anchor="root",
    app=AppClaims((IDENTITY.app_id,), {IDENTITY.app_id: "1.10.1"}),
    key_generated=True,
    key_signs=True,
    counter=0,
    receipt=RECEIPT,
    apple=PHONE,
)

VERDICTS = PlayVerdicts(
    request="standard",
    requested_at=NOW,
    app_recognition="PLAY_RECOGNIZED",
    device_labels=frozenset({"MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY"}),
    licensing="LICENSED",
    sdk_version=36,
    recent_activity="LEVEL_1",
    app_access_risk=frozenset({"KNOWN_INSTALLED"}),
    play_protect="NO_ISSUES",
    recalled=frozenset(),
)
PLAY = UnverifiedClaims(
    format="play-integrity",
    platform=Platform.ANDROID,
    public_key=None,
    attestation_security=KeySecurity.UNATTESTED,
    key_security=KeySecurity.UNATTESTED,
    anchor="google",
    app=ANDROID.app,
    play=VERDICTS,
)

PROVIDER = UnverifiedClaims(
    format="rasp",
    platform=Platform.ANDROID,
    public_key=None,
    attestation_security=KeySecurity.UNATTESTED,
    key_security=KeySecurity.UNATTESTED,
    anchor="provider",
    app=ANDROID.app,
    provider={"verdict": "clean", "score": 1, "rooted": False},
)

GENUINE = {
    "android-key": (ANDROID, ANDROID_APP),
    "app-attest": (APPLE, APPLE_APP),
    "play-integrity": (PLAY, ANDROID_APP),
    "rasp": (PROVIDER, ANDROID_APP),
}


def with_play(**mutated: Any) -> UnverifiedClaims:
    """Return Play's claims with verdicts mutated."""
    return replace(PLAY, play=replace(VERDICTS, **mutated))


def with_apple(**mutated: Any) -> UnverifiedClaims:
    """Return Apple's claims with what Apple says of the device mutated."""
    return replace(APPLE, apple=replace(PHONE, **mutated))


def with_boot(**mutated: Any) -> UnverifiedClaims:
    """Return Android's claims with the boot state mutated."""
    return replace(ANDROID, boot=replace(BOOT, **mutated))
