"""Define one-time operator codes: each enrols one test instance, without a phone (docs/test-instances.md).

A code is ``wwt_``, 12 characters that name it, and 32 that nobody can guess (192 random bits).  The name is for
people, logs and the audit trail; the code as a whole is shown once and kept nowhere: of it only a digest is
stored, which needs no salt and no slow hash, since there is nothing to guess.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from watchword.encoding import base64url
from watchword.ports import AuditEntry, ChallengeUse, Entropy, Instance
from watchword.reasons import MalformedError, Reason
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
class OperatorCode:
    """Hold what is kept of a code.

    :param id: names it; isn't secret.
    :param digest: of the code as a whole, see :func:`read_code`.
    :param app: the one app whose instance it enrols.
    :param level: what that instance gets, on the operator's word alone.
    :param instance_for: how long the instance lives from its enrolment on.
    :param made_by: the actor, as in the audit trail.
    :param expires_at: until when the code can be used.
    :param instance_id: what it enrolled; None while it is unused.
    """

    id: str
    digest: bytes = field(repr=False)
    app: str
    level: Level
    instance_for: timedelta
    made_at: datetime
    made_by: str
    because: str
    expires_at: datetime
    used_at: datetime | None = None
    instance_id: str | None = None
    revoked_at: datetime | None = None

    def held_against(self, now: datetime) -> str:
        """Return why it can't be used at ``now``, empty if it can."""
        if self.used_at is not None:
            return "it was used"
        if self.revoked_at is not None:
            return "it was cancelled"
        if now >= self.expires_at:
            return "it expired"
        return ""


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


class OperatorCodeStore(Protocol):
    """Keep operator codes beside the instances, in the same transactions.

    The instance store is one.  Each writing method is one transaction, durable when it returns; all
    raise :class:`watchword.reasons.UnavailableError` with ``store.unavailable``.
    """

    async def add_code(self, code: OperatorCode, audit: AuditEntry) -> None:
        """Keep a new code."""

    async def find_code(self, code_id: str) -> OperatorCode | None:
        """Return the code of this name, None if there is none."""

    async def list_codes(self, limit: int) -> Sequence[OperatorCode]:
        """Return at most ``limit`` codes, newest first, also those that can't be used any more."""

    async def cancel_code(self, code_id: str, audit: AuditEntry) -> OperatorCode | None:
        """Cancel a code as of the entry's time, unless it was used or cancelled; return its state.

        The entry is kept only where that changed something.  None if there is no such code.
        """

    async def enrol_by_code(
        self, code_id: str, use: ChallengeUse, instance: Instance, audit: AuditEntry
    ) -> None:
        """Use up code and challenge and add the instance, all of it or nothing.

        Of several that race for a code exactly one wins, whichever process it is in.

        :param instance: enrolled at the time at which the code must be good.
        :raises RefusedError: ``evidence.operator_code`` when the code was used, cancelled or expired
            by then; ``challenge.used``; ``instance.exists``.
        """
