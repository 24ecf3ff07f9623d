"""Hold the claims of genuine phones, for cases that say only what is different.

The values are made up; their forms are those of real evidence.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

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
from watchword.vocabulary import ApplePlatform, Distribution, Platform

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
