"""List how a phone's hardware and its vendor fail, with the values that the platform's own error has, and script such failures.

Written from what was read on 2026-11-29: AOSP's ``KeyStoreException.java`` (public error codes and retry policies by internal
code), ``AndroidKeyStoreKeyPairGeneratorSpi.java`` (what is thrown when no key could be made), KeyMint's ``ErrorCode.aidl`` and
Keystore's ``ResponseCode.aidl``; developer.apple.com ``DCError.Code`` with learn.microsoft.com/dotnet/api/devicecheck.dcerror
for the numbers; developer.android.com/google/play/integrity/error-codes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Any, Final, Protocol


class Operation(StrEnum):
    """Name what an app asks of its phone, as scripts of faults do."""

    ANDROID_CHAIN = "android.chain"
    PLAY_TOKEN = "play.token"  # noqa: S105 - no password.
    APP_ATTEST_KEY = "app-attest.key"
    APP_ATTEST_ATTESTATION = "app-attest.attestation"
    APP_ATTEST_ASSERTION = "app-attest.assertion"

    @property
    def platform(self) -> str:
        """Return whose errors it can end in."""
        return _PLATFORMS[self.partition(".")[0]]


_PLATFORMS: Final = {
    "android": "android-keystore",
    "play": "play-integrity",
    "app-attest": "app-attest",
}


class Retry(IntEnum):
    """Number ``KeyStoreException.getRetryPolicy()``."""

    NEVER = 1
    WITH_EXPONENTIAL_BACKOFF = 2
    WHEN_CONNECTIVITY_AVAILABLE = 3
    AFTER_NEXT_REBOOT = 4


class Fault(Protocol):
    """Be one way in which a phone or its vendor fails; its name is that of its line in :data:`FAULTS`."""

    @property
    def platform(self) -> str:
        """Return whose error it is."""

    def members(self, *, standard: bool) -> Mapping[str, Any]:
        """Return what the platform's error has.

        :param standard: what failed was a standard request of Play Integrity; without meaning elsewhere.
        :raises ValueError: if this kind of request doesn't fail so.
        """


@dataclass(frozen=True, slots=True)
class KeystoreFault:
    """Hold an error of Android's Keystore.

    :param internal: KeyMint's error (negative) or Keystore's own (positive).
    :param numeric: ``getNumericErrorCode()``.
    :param system: ``isSystemError()``; ``locked``: ``requiresUserAuthentication()``.
    """

    internal: int
    numeric: int
    retry: Retry = Retry.NEVER
    system: bool = True
    locked: bool = False

    @property
    def platform(self) -> str:
        """Return whose error it is."""
        return Operation.ANDROID_CHAIN.platform

    def members(self, *, standard: bool) -> Mapping[str, Any]:
        """Return the exception's class, and what that or its cause tells."""
        del standard
        unavailable = self.internal == _HARDWARE_TYPE_UNAVAILABLE
        return {
            "exception": _STRONGBOX_UNAVAILABLE
            if unavailable
            else "java.security.ProviderException",
            "internal_code": self.internal,
            "numeric_code": self.numeric,
            "transient": self.retry is not Retry.NEVER,
            "retry_policy": int(self.retry),
            "system_error": self.system,
            "requires_user_authentication": self.locked,
        }


_HARDWARE_TYPE_UNAVAILABLE: Final = -68
_STRONGBOX_UNAVAILABLE: Final = "android.security.keystore.StrongBoxUnavailableException"


@dataclass(frozen=True, slots=True)
class AppAttestFault:
    """Hold the number of a ``DCError``."""

    code: int

    @property
    def platform(self) -> str:
        """Return whose error it is."""
        return Operation.APP_ATTEST_KEY.platform

    def members(self, *, standard: bool) -> Mapping[str, Any]:
        """Return the domain and code of the ``NSError``."""
        del standard
        return {"domain": "com.apple.devicecheck.error", "code": self.code}


@dataclass(frozen=True, slots=True)
class PlayFault:
    """Hold an error of Play Integrity by its number in standard and in classic requests; None where it has none."""

    standard: int | None
    classic: int | None

    @property
    def platform(self) -> str:
        """Return whose error it is."""
        return Operation.PLAY_TOKEN.platform

    def members(self, *, standard: bool) -> Mapping[str, Any]:
        """Return the exception's class and its error code.

        :raises ValueError: if this kind of request doesn't fail so.
        """
        code = self.standard if standard else self.classic
        kind = "standard" if standard else "classic"
        if code is None:
            raise ValueError(f"a {kind} request of Play Integrity has no such error")
        name = "StandardIntegrityException" if standard else "IntegrityServiceException"
        return {"exception": f"com.google.android.play.core.integrity.{name}", "code": code}


STRONGBOX_UNAVAILABLE: Final = "strongbox-unavailable"
INVALID_INPUT: Final = "invalid-input"
INVALID_KEY: Final = "invalid-key"
NONCE_TOO_SHORT: Final = "nonce-too-short"
NONCE_IS_NOT_BASE64: Final = "nonce-is-not-base64"
REQUEST_HASH_TOO_LONG: Final = "request-hash-too-long"

FAULTS: Final[Mapping[str, Fault]] = {
    STRONGBOX_UNAVAILABLE: KeystoreFault(_HARDWARE_TYPE_UNAVAILABLE, 12),
    "attestation-keys-not-provisioned": KeystoreFault(-74, 10, system=False),
    "cannot-attest-ids": KeystoreFault(-66, 8),
    "secure-hardware-busy": KeystoreFault(-48, 10, Retry.WITH_EXPONENTIAL_BACKOFF),
    "device-locked": KeystoreFault(-72, 2, locked=True),
    "keystore-failure": KeystoreFault(4, 4),
    "system-upgrade-required": KeystoreFault(23, 17, Retry.AFTER_NEXT_REBOOT),
    "keys-pending-connectivity": KeystoreFault(24, 16, Retry.WHEN_CONNECTIVITY_AVAILABLE),
    "keys-exhausted": KeystoreFault(25, 16, Retry.WITH_EXPONENTIAL_BACKOFF),
    "keys-unavailable": KeystoreFault(26, 16),
    "unknown-system-failure": AppAttestFault(0),
    "feature-unsupported": AppAttestFault(1),
    INVALID_INPUT: AppAttestFault(2),
    INVALID_KEY: AppAttestFault(3),
    "server-unavailable": AppAttestFault(4),
    "api-not-available": PlayFault(-1, -1),
    "play-store-not-found": PlayFault(-2, -2),
    "network-error": PlayFault(-3, -3),
    "play-store-account-not-found": PlayFault(None, -4),
    "app-not-installed": PlayFault(-5, -5),
    "play-services-not-found": PlayFault(-6, -6),
    "app-uid-mismatch": PlayFault(-7, -7),
    "too-many-requests": PlayFault(-8, -8),
    "cannot-bind-to-service": PlayFault(-9, -9),
    NONCE_TOO_SHORT: PlayFault(None, -10),
    "nonce-too-long": PlayFault(None, -11),
    "google-server-unavailable": PlayFault(-12, -12),
    NONCE_IS_NOT_BASE64: PlayFault(None, -13),
    "play-store-version-outdated": PlayFault(-14, -14),
    "play-services-version-outdated": PlayFault(-15, -15),
    "cloud-project-number-is-invalid": PlayFault(-16, -16),
    REQUEST_HASH_TOO_LONG: PlayFault(-17, None),
    "client-transient-error": PlayFault(-18, -17),
    "integrity-token-provider-invalid": PlayFault(-19, None),
    "internal-error": PlayFault(-100, -100),
}
"""Each failure by the name that scripts give it: those of Keystore, of App Attest, of Play Integrity."""


class DeviceFaultError(Exception):
    """Report that the phone or its vendor failed, as a real one may; ``name`` is that of the fault."""

    def __init__(self, name: str) -> None:
        """Name the fault."""
        super().__init__(name)
        self.name = name


MAX_DEVICES: Final = 1000
"""Most phones with a script at a time; the one that was scripted first loses its own."""


@dataclass(frozen=True, slots=True)
class ScriptedFault:
    """Hold one line of a phone's script.

    :param on: which calls it is for.
    :param fault: its name; None where the call is only slow.
    :param delay: seconds before the answer.
    :param times: for how many calls; None until the script is replaced.
    """

    on: Operation
    fault: str | None = None
    delay: float = 0.0
    times: int | None = 1


class FaultScripts:
    """Keep what each phone's next calls are going to meet, in memory."""

    def __init__(self) -> None:
        """Begin with phones that work."""
        self._scripts: dict[str, list[ScriptedFault]] = {}

    def replace(self, device: str, script: Iterable[ScriptedFault]) -> None:
        """Give a phone a script in place of the one before; an empty one ends it."""
        self._scripts.pop(device, None)
        lines = list(script)
        if not lines:
            return
        if len(self._scripts) >= MAX_DEVICES:
            del self._scripts[next(iter(self._scripts))]
        self._scripts[device] = lines

    def left(self, device: str) -> tuple[ScriptedFault, ...]:
        """Return what is left of a phone's script."""
        return tuple(self._scripts.get(device, ()))

    def take(self, device: str, operation: Operation) -> ScriptedFault | None:
        """Return what this call meets, None for nothing; the first line for it counts down."""
        script = self._scripts.get(device, [])
        for at, line in enumerate(script):
            if line.on is not operation:
                continue
            if line.times is not None:
                script[at : at + 1] = (
                    [replace(line, times=line.times - 1)] if line.times > 1 else []
                )
            return line
        return None
