"""Invite test instances: the operator's side of one-time codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from watchword.enrolment.interface import EnrolmentPolicy
from watchword.enrolment.operator_codes import OperatorCode, OperatorCodeStore, make_code
from watchword.ports import AuditEntry, Entropy
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Level

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
