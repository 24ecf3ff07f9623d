"""Make an operator's codes for test instances, and let one stand in the place of evidence.

An operator code is no evidence format of ``attestation/registry.py``.  A format reads bytes into claims
of a device, purely, and a policy judges those; a code makes no claim of any device, is looked up in the store, and
what it is worth was decided by the operator who made it.  As a format it would need a policy that
accepts "no claims", which is the debug token that nobody wants, and each offline verifier would have to
refuse it.  So it stands beside: evidence that names it never reaches formats or policy, all else never
reaches this.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.attestation.certificates import is_p256_signature
from watchword.attestation.interface import FORMAT, AppRegistration, expect_members, read_bytes
from watchword.attestation.proof_key_renewal import (
    examine_proof_key_signature,
    read_proof_key_signature,
)
from watchword.encoding import base64url
from watchword.enrolment.interface import (
    AppraisedEvidence,
    AppraisedRenewal,
    EnrolmentPolicy,
    EvidenceVerifier,
    OperatorCode,
    OperatorCodeStore,
    Statement,
)
from watchword.ports import AuditEntry, Entropy, Instance
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens.jose import public_key_from_jwk
from watchword.vocabulary import Level

CODE_PREFIX: Final = "wwt_"
"""How every code begins: scanners for leaked secrets find it, and no shell takes it for an option."""

_ID_BYTES: Final = 9
_SECRET_BYTES: Final = 24
_ID_CHARACTERS: Final = 12
CODE_CHARACTERS: Final = len(CODE_PREFIX) + _ID_CHARACTERS + 32
"""Characters of a code, no more and no less."""

_DIGEST_LABEL: Final = b"watchword/operator-code/v1\0"


@dataclass(frozen=True, slots=True)
class PresentedCode:
    """Hold a code that somebody sent: its name, and the digest that the right one has."""

    id: str
    digest: bytes = field(repr=False)


def make_code(entropy: Entropy) -> tuple[str, PresentedCode]:
    """Return a new code as it is shown once, and what is kept of it."""
    name = base64url.encode(entropy.token_bytes(_ID_BYTES))
    text = CODE_PREFIX + name + base64url.encode(entropy.token_bytes(_SECRET_BYTES))
    return text, PresentedCode(name, _digest(text))


def read_code(value: Any) -> PresentedCode:
    """Return the code in a member of evidence; whether there is such a code is for the store.

    :raises MalformedError: ``evidence.malformed`` for what no code looks like.
    """
    if (
        not isinstance(value, str)
        or len(value) != CODE_CHARACTERS
        or not value.startswith(CODE_PREFIX)
    ):
        raise MalformedError.because(
            Reason.EVIDENCE_MALFORMED, f"code: expected {CODE_CHARACTERS} characters of a code"
        )
    try:
        base64url.decode(value.removeprefix(CODE_PREFIX))
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "code") from None
    start = len(CODE_PREFIX)
    return PresentedCode(value[start : start + _ID_CHARACTERS], _digest(value))


def _digest(text: str) -> bytes:
    return hashlib.sha256(_DIGEST_LABEL + text.encode()).digest()


MIN_LIFE: Final = timedelta(minutes=1)
DEFAULT_CODE_LIFE: Final = timedelta(minutes=15)
MAX_CODE_LIFE: Final = timedelta(days=1)
"""How long a code waits for its use."""

DEFAULT_INSTANCE_LIFE: Final = timedelta(days=1)
MAX_INSTANCE_LIFE: Final = timedelta(days=30)
"""How long a test instance lives."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """Hold what an operator wants; whatever it is from was checked for its form alone.

    :param because: why, for the audit trail.
    :param actor: who asks, as in the audit trail.
    """

    app: str
    level: Level
    expires_in: timedelta
    instance_for: timedelta
    because: str
    actor: str


class Invitations:
    """Make, list and cancel codes; each change is audited with its actor."""

    def __init__(self, policy: EnrolmentPolicy, codes: OperatorCodeStore, entropy: Entropy) -> None:
        """Keep the ports; nothing is called yet."""
        self._policy = policy
        self._codes = codes
        self._entropy = entropy

    async def invite(self, wanted: Invitation, now: datetime) -> tuple[OperatorCode, str]:
        """Make a code; return what is kept of it, and the code, which is never seen again.

        :raises RefusedError: ``statement.app_unknown``; ``policy.level`` for a level that the deployment
            doesn't enrol; ``request.malformed`` for a life out of its bounds.
        :raises UnavailableError: when the store can't answer; there is no code then.
        """
        self._require_possible(wanted)
        text, kept = make_code(self._entropy)
        code = OperatorCode(
            id=kept.id,
            digest=kept.digest,
            app=wanted.app,
            level=wanted.level,
            instance_for=wanted.instance_for,
            made_at=now,
            made_by=wanted.actor,
            because=wanted.because,
            expires_at=now + wanted.expires_in,
        )
        detail = {
            "because": code.because,
            "app": code.app,
            "level": code.level.value,
            "expires_at": code.expires_at.isoformat(),
            "instance_for": int(code.instance_for.total_seconds()),
        }
        await self._codes.add_code(
            code, AuditEntry(now, wanted.actor, "test_code.made", code.id, detail)
        )
        return code, text

    async def listed(self, limit: int) -> Sequence[OperatorCode]:
        """Return the newest codes, whatever became of them."""
        return await self._codes.list_codes(limit)

    async def cancel(self, code_id: str, actor: str, now: datetime) -> OperatorCode:
        """Cancel an unused code; a second time changes nothing.

        :raises RefusedError: ``request.not_found``; ``evidence.operator_code`` for one that was used: it is the
            instance that has to be revoked then.
        """
        entry = AuditEntry(now, actor, "test_code.cancelled", code_id)
        code = await self._codes.cancel_code(code_id, entry)
        if code is None:
            raise RefusedError.because(
                Reason.REQUEST_NOT_FOUND, "expected the id of an operator code"
            )
        if code.used_at is not None:
            raise RefusedError.because(
                Reason.EVIDENCE_OPERATOR_CODE,
                f"it was used, and enrolled {code.instance_id}: revoke that instance",
            )
        return code

    def _require_possible(self, wanted: Invitation) -> None:
        if wanted.app not in self._policy.apps:
            raise RefusedError.because(
                Reason.STATEMENT_APP_UNKNOWN,
                f"expected one of: {', '.join(sorted(self._policy.apps))}",
            )
        minimum = self._policy.minimum_level
        if wanted.level is Level.NONE or not wanted.level.satisfies(minimum):
            raise RefusedError.because(
                Reason.POLICY_LEVEL,
                f"got {wanted.level.value}, expected {minimum.value}, which is the least that enrols here",
            )
        _require_between("expires_in", wanted.expires_in, MAX_CODE_LIFE)
        _require_between("instance_for", wanted.instance_for, MAX_INSTANCE_LIFE)


def _require_between(name: str, life: timedelta, most: timedelta) -> None:
    if not MIN_LIFE <= life <= most:
        raise RefusedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected {name} from {MIN_LIFE.total_seconds():.0f} to {most.total_seconds():.0f} seconds",
        )


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
