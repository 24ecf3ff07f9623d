"""Let an operator's code stand in the place of evidence: the verifier in front of the registered formats.

An operator code is no evidence format of ``attestation/registry.py``.  A format reads bytes into claims
of a device, purely, and a policy judges those; a code makes no claim of any device, is looked up in the store, and
what it is worth was decided by the operator who made it.  As a format it would need a policy that
accepts "no claims", which is the debug token that nobody wants, and each offline verifier would have to
refuse it.  So it stands beside: evidence that names it never reaches formats or policy, all else never
reaches this.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.attestation.certificates import is_p256_signature
from watchword.attestation.interface import AppRegistration
from watchword.attestation.members import FORMAT, expect_members, read_bytes
from watchword.attestation.proof_key_renewal import (
    examine_proof_key_signature,
    read_proof_key_signature,
)
from watchword.enrolment.interface import (
    AppraisedEvidence,
    AppraisedRenewal,
    EvidenceVerifier,
    Statement,
)
from watchword.enrolment.operator_codes import (
    OperatorCode,
    OperatorCodeStore,
    PresentedCode,
    read_code,
)
from watchword.ports import Instance
from watchword.reasons import Reason, RefusedError
from watchword.tokens.jwk import public_key_from_jwk

NAME: Final = "operator_code"
"""The format's name on the wire; its instances are known by it."""

KEY_PREFIX: Final = b"watchword/test/v1\0"
"""What stands before the binding under the proof key's signature (protocol, section 3)."""

_NO_DIGEST: Final = bytes(32)
"""Compared with where there is no code, so that its absence takes as long as a wrong one."""


class OperatorCodeVerifier:
    """Implement :class:`watchword.enrolment.interface.EvidenceVerifier` in front of another one."""

    def __init__(self, inner: EvidenceVerifier, codes: OperatorCodeStore) -> None:
        """Keep who verifies everything else, and who knows the codes."""
        self._inner = inner
        self._codes = codes

    def states_proof_key(self, evidence: Mapping[str, Any], app: AppRegistration) -> bool:
        """See the port: nothing else than the statement brings the key."""
        return _is_code(evidence) or self._inner.states_proof_key(evidence, app)

    async def appraise(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedEvidence:
        """Verify a code: ``{"code", "key_signature": base64url DER}``.

        1. Both members are there and have their form.
        2. The statement's proof key signed ``"watchword/test/v1" 0x00`` and the binding, so that a code
           can't be spent on somebody else's key.
        3. The code is the one that was made, for this app, unused, neither cancelled nor expired.  Whether
           it still is when it is used is for the transaction that enrols.

        Strangers can't tell the causes of step 3 apart; operators read them in the detail.

        :raises RefusedError: ``evidence.malformed``, ``evidence.signature``, ``evidence.operator_code``.
        :raises UnavailableError: when the store can't answer; it is asked in step 3 alone.
        """
        if not _is_code(evidence):
            return await self._inner.appraise(evidence, statement, app, now)
        expect_members(evidence, {"code", "key_signature"})
        presented = read_code(evidence["code"])
        signature = read_bytes("key_signature", evidence["key_signature"])
        assert statement.proof_jwk is not None  # Enrolment asked for it before.
        key = public_key_from_jwk(statement.proof_jwk)
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if not is_p256_signature(spki, signature, KEY_PREFIX + statement.binding):
            raise RefusedError.because(
                Reason.EVIDENCE_SIGNATURE, "key_signature: not signed by the proof key over this"
            )
        code = _require_good(await self._codes.find_code(presented.id), presented, app, now)
        return AppraisedEvidence(
            format=NAME,
            level=code.level,
            attested_key=spki,
            attested_jwk=statement.proof_jwk,
            app_version=None,
            code=code,
        )

    async def appraise_renewal(
        self,
        evidence: Mapping[str, Any],
        statement: Statement,
        instance: Instance,
        app: AppRegistration,
        now: datetime,
    ) -> AppraisedRenewal:
        """Verify a renewal by the proof key alone: ``{"signature": base64url DER}``.

        Nobody vouches anew; that the instance's time isn't over was checked before.

        :raises RefusedError: ``evidence.malformed``, ``evidence.platform``, ``evidence.signature``.
        """
        if not _is_code(evidence):
            return await self._inner.appraise_renewal(evidence, statement, instance, app, now)
        if instance.format != NAME:
            raise RefusedError.because(
                Reason.EVIDENCE_PLATFORM, f"got {NAME}, expected {instance.format} as at enrolment"
            )
        found = examine_proof_key_signature(
            read_proof_key_signature({k: v for k, v in evidence.items() if k != FORMAT}),
            statement.raw,
            instance.attested_key,
            app,
            app.platform,
        )
        if found.refusals:
            raise RefusedError(found.refusals)
        return AppraisedRenewal(counter=None)


def _is_code(evidence: Mapping[str, Any]) -> bool:
    return evidence.get(FORMAT) == NAME


def _require_good(
    found: OperatorCode | None, presented: PresentedCode, app: AppRegistration, now: datetime
) -> OperatorCode:
    """Return the code if it is the one that was made and can be used.

    Compared in constant time: the name in front of the secret can be known, from a log or an old listing.
    """
    digest = _NO_DIGEST if found is None else found.digest
    is_right = hmac.compare_digest(digest, presented.digest)
    if found is None or not is_right:
        why = "there is no such code"
    elif found.app != app.id:
        why = f"it is for {found.app}"
    else:
        why = found.held_against(now)
    if why or found is None:
        raise RefusedError.because(Reason.EVIDENCE_OPERATOR_CODE, why)
    return found
