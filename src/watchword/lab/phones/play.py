"""Simulate Android phones that send Play Integrity tokens, with every verdict that Google can give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import hashes

from watchword.encoding import base64url
from watchword.lab.google_play import GooglePlay
from watchword.lab.keys import public_jwk
from watchword.lab.phones.interface import (
    Expectation,
    InstalledAndroidApp,
    InstalledApp,
    PhoneKeys,
    PhoneSetup,
)
from watchword.reasons import Reason
from watchword.vocabulary import Level, Platform

RENEWAL_PREFIX: Final = b"watchword/renew/v1\x00"
"""What stands before a renewal statement under the proof key's signature."""

BASIC: Final = "MEETS_BASIC_INTEGRITY"
DEVICE: Final = "MEETS_DEVICE_INTEGRITY"
STRONG: Final = "MEETS_STRONG_INTEGRITY"

_VERIFIED: Final = Expectation(Level.VERIFIED)
_refused = Expectation.refused


class PlayPhone(PhoneKeys):
    """Hold an app's proof key and seal key, and ask Google Play for verdicts."""

    counter = 0  # Nothing counts.

    def __init__(self, app: InstalledAndroidApp, setup: PhoneSetup, model: "PlayModel") -> None:
        """Switch the phone on."""
        super().__init__(setup)
        self._app = app
        self._model = model
        self._google = GooglePlay(setup.authorities.seed)

    def __repr__(self) -> str:
        """Name the phone, without its keys."""
        return f"PlayPhone(name={self._setup.name!r}, app={self._app.package!r})"

    @property
    def proof_jwk(self) -> Mapping[str, str]:
        """Return the public proof key: the verdict vouches for the statement that holds it."""
        return public_jwk(self._key("proof").public_key())

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return a token whose nonce or request hash is base64url of ``binding``."""
        return {"format": "play-integrity", "token": self.token(binding)}

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return a signature by the proof key over the prefixed statement."""
        signature = self.sign(RENEWAL_PREFIX + statement)
        return {"format": "play-integrity", "signature": base64url.encode(signature)}

    def renew_anew(self, statement: bytes) -> dict[str, Any]:
        """Return the same with a token made anew, bound to the renewal statement."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(statement)
        return {**self.renew(statement), "token": self.token(digest.finalize())}

    def token(self, binding: bytes) -> str:
        """Return what the Play library gives an app."""
        return self._google.issue(self.verdict(binding))

    def token_of(self, text: str, *, standard: bool) -> str:
        """Return what the Play library gives an app for its own request hash (standard) or nonce, whatever the model asks by."""
        return self._google.issue(self._verdict(text, standard=standard))

    def verdict(self, binding: bytes) -> dict[str, Any]:
        """Return the payload of a verdict in the shape of Google's."""
        return self._verdict(base64url.encode(binding), standard=self._model.standard)

    def _verdict(self, text: str, *, standard: bool) -> dict[str, Any]:
        model, app = self._model, self._app
        asked = self._setup.clock.now().timestamp() - model.age
        request = {
            "requestPackageName": app.package,
            # Google pads a nonce that the app sent without padding.
            **({"requestHash": text} if standard else {"nonce": _padded(text)}),
            "timestampMillis": str(int(asked * 1000)),
        }
        return {
            "requestDetails": request,
            "appIntegrity": self._app_integrity(),
            "deviceIntegrity": {
                "deviceRecognitionVerdict": list(model.labels),
                "recentDeviceActivity": {"deviceActivityLevel": model.activity},
                "deviceAttributes": {"sdkVersion": model.sdk_version},
                "deviceRecall": {
                    "values": {bit: bit in model.recalled for bit in _RECALL_BITS},
                    "writeDates": {},
                },
            },
            "accountDetails": {"appLicensingVerdict": model.licensing},
            "environmentDetails": {
                "appAccessRiskVerdict": {"appsDetected": list(model.apps_detected)},
                "playProtectVerdict": model.play_protect,
            },
        }

    def _app_integrity(self) -> dict[str, Any]:
        app = self._app
        verdict = {"appRecognitionVerdict": self._model.recognition}
        if self._model.recognition == "UNEVALUATED":
            return verdict
        digests = [base64url.encode(digest) for digest in app.signing_digests]
        return {
            **verdict,
            "packageName": app.package,
            "certificateSha256Digest": digests,
            "versionCode": str(app.version_code),
        }


@dataclass(frozen=True, slots=True)
class PlayModel:
    """Describe what Google Play says of one kind of phone, in Google's words.

    :param standard: a standard request (request hash), else a classic one (nonce).
    :param age: seconds between the request and now.
    :param recalled: the device recall bits that are set.
    """

    summary: str
    expected: Expectation = _VERIFIED
    labels: tuple[str, ...] = (BASIC, DEVICE)
    recognition: str = "PLAY_RECOGNIZED"
    licensing: str = "LICENSED"
    sdk_version: int = 36
    activity: str = "LEVEL_1"
    apps_detected: tuple[str, ...] = ("KNOWN_INSTALLED", "UNKNOWN_INSTALLED")
    play_protect: str = "NO_ISSUES"
    recalled: frozenset[str] = field(default_factory=frozenset)
    standard: bool = True
    age: float = 2.0

    @property
    def platform(self) -> Platform:
        """Return the operating system."""
        return Platform.ANDROID

    def build(self, app: InstalledApp, setup: PhoneSetup) -> PlayPhone:
        """Return a phone of this kind with ``app`` on it.

        :raises ValueError: if the app is one for iOS.
        """
        if not isinstance(app, InstalledAndroidApp):
            raise ValueError("got an app for iOS, expected one for Android")  # noqa: TRY004
        return PlayPhone(app, setup, self)


PLAY_PHONES: Final[Mapping[str, PlayModel]] = {
    "play-phone": PlayModel("A certified phone that sends Play Integrity tokens: all is well."),
    "play-classic": PlayModel(
        "The same phone with a classic request: a nonce instead of a request hash.", standard=False
    ),
    "play-strong": PlayModel(
        "A certified phone with security patches of the last twelve months.",
        labels=(BASIC, DEVICE, STRONG),
    ),
    "play-basic": PlayModel(
        "A phone that Google knows and doesn't certify: unlocked, or with another system.",
        _refused(Reason.POLICY_DEVICE_INTEGRITY),
        labels=(BASIC,),
        activity="UNEVALUATED",
    ),
    "play-uncertified": PlayModel(
        "A rooted phone or an emulator: no label at all.",
        _refused(
            Reason.POLICY_DEVICE_INTEGRITY,
            Reason.POLICY_APP_RECOGNITION,
            Reason.POLICY_APP_ID,
            Reason.POLICY_APP_VERSION,
        ),
        labels=(),
        recognition="UNEVALUATED",
        licensing="UNEVALUATED",
        activity="UNEVALUATED",
        play_protect="UNEVALUATED",
    ),
    "play-sideloaded": PlayModel(
        "A certified phone with a build that Google Play doesn't know.",
        _refused(Reason.POLICY_APP_RECOGNITION),
        recognition="UNRECOGNIZED_VERSION",
        licensing="UNLICENSED",
    ),
    "play-unlicensed": PlayModel(
        "A certified phone whose user didn't get the app from Google Play.", licensing="UNLICENSED"
    ),
    "play-risky": PlayModel(
        "A certified phone on which another app may record and control the screen.",
        apps_detected=("KNOWN_INSTALLED", "UNKNOWN_CAPTURING", "UNKNOWN_CONTROLLING"),
    ),
    "play-old-token": PlayModel(
        "A certified phone that sends a token of an hour ago.", _refused(Reason.PLAY_AGE), age=3600
    ),
}
"""Each kind that sends Play Integrity tokens, by its name."""

_RECALL_BITS: Final = ("bitFirst", "bitSecond", "bitThird")


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
