"""Verify the verdict of Example Shield, a runtime protection (RASP) whose service signs what it saw.

Example Shield stands for a vendor of yours.  Its SDK watches the running app; its service signs a verdict for
your backend: a JWS in compact form under ES256, over

    {"app": package, "bound": base64url of what the app handed in, "clean": true or false,
     "findings": ["debugger", ...], "at": seconds since 1970}

What is proven and what isn't, and the numbers of the steps: README.md beside this file.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from watchword.attestation.claims import AppClaims, KeySecurity, UnverifiedClaims
from watchword.attestation.interface import (
    AppRegistration,
    Attestation,
    Examination,
    Expected,
    ProofKeySignature,
    Renewal,
    RenewalExamination,
    Step,
    Trust,
    age_refusals,
    describe_age,
    expect_members,
)
from watchword.attestation.proof_key_renewal import (
    examine_proof_key_signature,
    read_proof_key_signature,
)
from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import Platform

NAME: Final = "rasp-verdict"
MAX_VERDICT_BYTES: Final = 4096
HEADER: Final = base64url.encode(b'{"alg":"ES256"}')

VENDOR_KEY: Final = b"""\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1MlbrGfurU7tgCjZ7Igo7R2l35c6
5m9EwmITxFro/ldVqKPrQw6aY2v7Pj4YEfSqoQQHNNy5/BVxlSYvoMP9wQ==
-----END PUBLIC KEY-----
"""
"""The key that Example Shield signs with; a real vendor gives you theirs."""


@dataclass(frozen=True, slots=True)
class RaspVerdict(Attestation):
    """Hold a verdict as the SDK handed it to the app."""

    verdict: bytes


@dataclass(frozen=True, slots=True)
class RaspVerdictFormat:
    """Verify verdicts of Example Shield on Android apps."""

    vendor_key: EllipticCurvePublicKey
    name: str = NAME
    platform: Platform = Platform.ANDROID
    evidence_types: tuple[type, ...] = (RaspVerdict, ProofKeySignature)
    attested_key_proves: bool = False

    def read_attestation(self, members: Mapping[str, Any]) -> RaspVerdict:
        """Read ``{"verdict": the text that the SDK returned}``.

        :raises MalformedError: with ``evidence.malformed``.
        """
        expect_members(members, {"verdict"})
        verdict = members["verdict"]
        if not isinstance(verdict, str) or not verdict.isascii():
            _malformed("verdict: expected the text that the SDK returned")
        return RaspVerdict(verdict.encode("ascii"))

    def read_renewal(self, members: Mapping[str, Any]) -> ProofKeySignature:
        """Read ``{"signature": base64url DER}``: the instance's proof key renews."""
        return read_proof_key_signature(members)

    def examine(
        self,
        evidence: Attestation,
        expected: Expected,
        trust: Trust,  # noqa: ARG002 - this vendor's key came with the format.
        now: datetime,
    ) -> Examination:
        """Carry out the steps of README.md and collect what is wrong."""
        assert isinstance(evidence, RaspVerdict)
        signing_input, content, signature = _read(evidence.verdict)
        if not self._is_signed(signing_input, signature):
            refusal = Refusal(Reason.EVIDENCE_SIGNATURE, "not signed by Example Shield")
            return Examination(None, (_step("2", "another signature", refusal),))
        app, bound, clean, findings, stated_at = _content(content)
        of_app = expected.app is None or app == expected.app.app_id
        named = () if of_app else (Refusal(Reason.POLICY_APP_ID, "a verdict on another app"),)
        bound_well = expected.binding is None or hmac.compare_digest(bound, expected.binding)
        binding = () if bound_well else (Refusal(Reason.ATTESTATION_BINDING, "another statement"),)
        age = age_refusals(stated_at, now) if expected.fresh else ()
        steps = (
            _step("1", "it is"),
            _step("2", "it is"),
            _step("3", "it is" if of_app else "another", *named),
            _step("4", "it is" if bound_well else "another", *binding),
            _step("5", describe_age(now - stated_at), *age),
        )
        claims = UnverifiedClaims(
            format=NAME,
            platform=self.platform,
            # Nobody attests a key: the verdict vouches for the one that the statement holds.
            public_key=None,
            attestation_security=KeySecurity.UNATTESTED,
            key_security=KeySecurity.UNATTESTED,
            anchor="Example Shield",
            app=AppClaims(ids=(app,)),
            # What the policy's rule provider_verdict looks at.
            provider={"clean": clean, "findings": findings},
        )
        return Examination(claims, steps)

    def examine_renewal(
        self, evidence: Renewal, statement: bytes, public_key: bytes, app: AppRegistration
    ) -> RenewalExamination:
        """Check the signature by the proof key of the enrolment."""
        return examine_proof_key_signature(evidence, statement, public_key, app, self.platform)

    def _is_signed(self, signing_input: bytes, signature: bytes) -> bool:
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        try:
            self.vendor_key.verify(encode_dss_signature(r, s), signing_input, ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


_TITLES: Final = {
    "1": ("form", "a JWS in compact form"),
    "2": ("signature", "ES256 by Example Shield"),
    "3": ("app", "a verdict on the registered app"),
    "4": ("binding", "bound to the statement"),
    "5": ("age", "stated within the last 10 minutes"),
}


def _step(number: str, found: str, *refusals: Refusal) -> Step:
    title, wanted = _TITLES[number]
    return Step(number, title, wanted, found, refusals)


def _read(verdict: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the signed bytes, the content, and r and s; the algorithm is ours and never the header's.

    :raises MalformedError: with ``evidence.malformed``.
    """
    if len(verdict) > MAX_VERDICT_BYTES:
        _malformed(f"got {len(verdict)} bytes, expected at most {MAX_VERDICT_BYTES}")
    segments = verdict.decode("ascii", "replace").split(".")
    if len(segments) != 3 or segments[0] != HEADER:
        _malformed("expected a JWS in compact form with exactly the algorithm ES256")
    try:
        content, signature = (base64url.decode(segment) for segment in segments[1:])
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "verdict") from None
    if len(signature) != 64:
        _malformed("expected a signature of 64 bytes")
    return verdict[: verdict.rindex(b".")], content, signature


def _content(content: bytes) -> tuple[str, bytes, bool, tuple[str, ...], datetime]:
    """Return app, binding, cleanness, findings and time.

    :raises MalformedError: with ``evidence.malformed``.
    """
    try:
        document = strict_json.loads(content, MAX_VERDICT_BYTES)
        bound = base64url.decode(str(document.get("bound")))
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "verdict") from None
    app, clean, at = document.get("app"), document.get("clean"), document.get("at")
    findings = document.get("findings")
    if not isinstance(app, str) or not isinstance(clean, bool) or type(at) is not int:
        _malformed("expected app, clean and at")
    if not isinstance(findings, list) or not all(isinstance(each, str) for each in findings):
        _malformed("expected a list of findings")
    if not 0 <= at < 2**33:
        _malformed("expected a time in seconds since 1970")
    stated_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    return app, bound, clean, tuple(findings), stated_at


def _malformed(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.EVIDENCE_MALFORMED, detail)


def _load(pem: bytes) -> EllipticCurvePublicKey:
    key = load_pem_public_key(pem)
    assert isinstance(key, EllipticCurvePublicKey)
    return key


FORMAT: Final = RaspVerdictFormat(_load(VENDOR_KEY))
"""What the entry point names."""
