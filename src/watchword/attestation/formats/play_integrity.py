"""Verify Play Integrity: Google's verdict on app, device and account, bound to a statement.

Source: developer.android.com, "Decrypt and verify the integrity verdict" and "Integrity verdicts".  What is
proven and what isn't, and the numbers of the steps: docs/formats/play_integrity.md.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from watchword.attestation import play_tokens
from watchword.attestation.claims import KeySecurity, UnverifiedClaims
from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    Examination,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    PlayKeys,
    ProofKeySignature,
    Renewal,
    RenewalExamination,
    Step,
    Trust,
    age_refusals,
    describe_age,
    expect_members,
    platform_refusals,
    read_bytes,
)
from watchword.attestation.play_tokens import (
    CLASSIC,
    PlayPayload,
    read_payload,
)
from watchword.attestation.proof_key_renewal import examine_proof_key_signature
from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason, Refusal, RefusedError
from watchword.vocabulary import Platform

NAME: Final = "play-integrity"

ANCHOR: Final = "Google Play"
"""What reports call the end of the line: Google's key for the app, or Google's own server."""

_DECODED: Final = "decoded by Google"
_TITLES: Final = {
    "1": ("form", "it is a JWE in compact form, A256KW and A256GCM"),
    "2": ("decryption", "it opens under the app's decryption key"),
    "3": ("signature", "it is ES256 by Google's key for the app"),
    "4": ("package", "the app's own package requested it"),
    "5": ("binding", "nonce or request hash is the expected one"),
    "6": ("age", "requested within the last 10 minutes"),
    "7": ("platform", "an app for Android"),
}


@dataclass(frozen=True, slots=True)
class PlayIntegrity:
    """Verify what ``IntegrityManager`` and ``StandardIntegrityManager`` return."""

    name: str = NAME
    platform: Platform = Platform.ANDROID
    evidence_types: tuple[type, ...] = (PlayIntegrityToken, PlayIntegrityPayload, ProofKeySignature)
    attested_key_proves: bool = False

    def read_attestation(self, members: Mapping[str, Any]) -> PlayIntegrityToken:
        """Read ``{"token": the token as the Play library returned it}``; its form is checked here.

        :raises MalformedError: with ``evidence.malformed`` or ``play.token``.
        """
        expect_members(members, {"token"})
        return _read_token(members["token"])

    def read_renewal(self, members: Mapping[str, Any]) -> ProofKeySignature:
        """Read ``{"signature": base64url DER}``, and ``token`` at will: one for the new statement.

        :raises MalformedError: with ``evidence.malformed`` or ``play.token``.
        """
        token = members.get("token")
        expect_members(members, {"signature"} if "token" not in members else {"signature", "token"})
        signature = read_bytes("signature", members["signature"])
        return ProofKeySignature(signature, None if "token" not in members else _read_token(token))

    def examine(
        self, evidence: Attestation, expected: Expected, trust: Trust, now: datetime
    ) -> Examination:
        """Carry out every step and collect what is wrong; none follows one of 1 to 3 that failed.

        1. The token is a JWE in compact form with our algorithms, within the caps.
        2. It opens under the app's decryption key.
        3. What is inside is signed by Google's key for the app.
        4. The content can be read, and the app's package requested it.
        5. The nonce (classic) or the request hash (standard) is base64url of the expected binding.
        6. It was requested within the last ten minutes.
        7. The app that is expected is one for Android (which one is for policy).

        Of a payload that Google decoded, Google carried out steps 2 and 3 itself.

        What the caller still must do: appraise the claims (each verdict is for policy), use the
        challenge once.
        """
        data: bytes | None
        if isinstance(evidence, PlayIntegrityToken):
            data, opened = _open(evidence.token, _keys(expected.app, trust))
        elif isinstance(evidence, PlayIntegrityPayload):
            data = evidence.payload
            opened = _BY_GOOGLE
        else:
            raise TypeError(f"got {type(evidence).__name__}, expected PlayIntegrityToken")
        if data is None:
            return Examination(None, opened)
        try:
            payload = read_payload(data)
        except MalformedError as error:
            return Examination(None, (*opened, _step("4", "unreadable content", error.refusals)))
        return Examination(_claims(payload, expected), opened + _judge(payload, expected, now))

    def examine_renewal(
        self, evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
    ) -> RenewalExamination:
        """Check the signature by the proof key that the verdict of the enrolment vouched for.

        A token made anew is verified by the caller, like the one of an enrolment.
        """
        return examine_proof_key_signature(evidence, statement, public_key, app, self.platform)


def _read_token(value: Any) -> PlayIntegrityToken:
    if not isinstance(value, str) or not value.isascii():
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, "token: expected the text that the Play library returned"
        )
    token = value.encode("ascii")
    play_tokens.require_form(token)
    return PlayIntegrityToken(token)


def _keys(app: AppRegistration | None, trust: Trust) -> PlayKeys | None:
    """Return the app's keys; without an app, those of the only one that has some."""
    if app is not None:
        return trust.play_keys.get(app.app_id)
    return next(iter(trust.play_keys.values())) if len(trust.play_keys) == 1 else None


def _open(token: bytes, keys: PlayKeys | None) -> tuple[bytes | None, tuple[Step, ...]]:
    """Carry out steps 1 to 3; return the payload's bytes, None where a step failed."""
    failed = 1
    try:
        sealed = play_tokens.read_token(token)
        failed = 2
        if keys is None:
            raise RefusedError.because(
                Reason.PLAY_UNCONFIGURED, "got no keys for this app, and nobody to decode it"
            )
        verdict = play_tokens.read_verdict(play_tokens.decrypt(sealed, keys.decryption))
        failed = 3
        play_tokens.verify(verdict, keys.verification)
    except RefusedError as error:
        return None, (*_OPENED[: failed - 1], _step(str(failed), "it isn't", error.refusals))
    return verdict.payload, _OPENED


def _judge(payload: PlayPayload, expected: Expected, now: datetime) -> tuple[Step, ...]:
    """Carry out steps 4 to 7."""
    verdicts = payload.verdicts
    app, binding = expected.app, expected.binding
    package: tuple[Refusal, ...] = ()
    if app is not None and payload.package != app.app_id:
        # What another app is called is the sender's own text.
        package = (Refusal(Reason.PLAY_PACKAGE, f"got another package, expected {app.app_id}"),)
    bound: tuple[Refusal, ...] = ()
    if binding is not None and not _is_bound(payload.bound, binding):
        name = "nonce" if verdicts.request == CLASSIC else "request hash"
        bound = (Refusal(Reason.ATTESTATION_BINDING, f"the {name} is for another statement"),)
    aged: tuple[Refusal, ...] = ()
    if expected.fresh:
        aged = age_refusals(verdicts.requested_at, now, reason=Reason.PLAY_AGE)
    platform = platform_refusals(Platform.ANDROID, app)
    return (
        _step("4", "another package" if package else "it did", package, checked=app is not None),
        _step("5", "another" if bound else verdicts.request, bound, checked=binding is not None),
        _step("6", describe_age(now - verdicts.requested_at), aged, checked=expected.fresh),
        _step("7", "another" if platform else "it is", platform, checked=app is not None),
    )


def _is_bound(text: str, binding: bytes) -> bool:
    """Compare in constant time, in the one canonical form; Google may pad what the app didn't."""
    if len(text) % 4 == 0 and text.endswith("="):
        text = text.removesuffix("=").removesuffix("=")
    return hmac.compare_digest(text.encode(), base64url.encode(binding).encode())


def _step(
    number: str, found: str, refusals: tuple[Refusal, ...] = (), *, checked: bool = True
) -> Step:
    if not refusals:
        return _passed(number, found if checked else "not compared", checked=checked)
    title, wanted = _TITLES[number]
    return Step(number, title, wanted, found, refusals)


@lru_cache(maxsize=64)
def _passed(number: str, found: str, *, checked: bool) -> Step:
    """Return a step that holds; there are few of them, and each verification has seven."""
    title, wanted = _TITLES[number]
    return Step(number, title, wanted, found, (), checked)


def _claims(payload: PlayPayload, expected: Expected) -> UnverifiedClaims:
    return UnverifiedClaims(
        format=NAME,
        platform=Platform.ANDROID,
        public_key=None,
        attestation_security=KeySecurity.UNATTESTED,
        key_security=KeySecurity.UNATTESTED,
        anchor=ANCHOR,
        app=payload.app,
        play=payload.verdicts,
        fields=payload.fields,
        unchecked=_unchecked(expected),
    )


def _unchecked(expected: Expected) -> tuple[str, ...]:
    left_out = {
        "binding": expected.binding is None,
        "app": expected.app is None,
        "age": not expected.fresh,
    }
    return tuple([name for name in left_out if left_out[name]])


_OPENED: Final = tuple(_passed(number, "it is", checked=True) for number in ("1", "2", "3"))
_BY_GOOGLE: Final = tuple(_passed(number, _DECODED, checked=True) for number in ("1", "2", "3"))
