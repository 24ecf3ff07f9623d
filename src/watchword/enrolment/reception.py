"""Read what an instance sent as far as that costs no signature: statement, issuer, app, audiences, challenge.

Shared by every call of an instance: what one of them refuses here, none lets pass.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from watchword.attestation.interface import AppRegistration
from watchword.enrolment.challenges import ChallengeEpochs, Challenges, OneEpoch
from watchword.enrolment.interface import EnrolmentPolicy, EvidenceVerifier, Statement
from watchword.enrolment.requirements import require_proof_key
from watchword.enrolment.statement import read_statement
from watchword.ports import ChallengeUse
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Purpose


class Received(NamedTuple):
    """Hold a statement that is for us, and the one use of its challenge, which isn't recorded yet."""

    statement: Statement
    app: AppRegistration
    use: ChallengeUse


def require_app(policy: EnrolmentPolicy, name: str) -> AppRegistration:
    """Return the app of this name.

    :raises RefusedError: ``statement.app_unknown``.
    """
    app = policy.apps.get(name)
    if app is None:
        raise RefusedError.because(
            Reason.STATEMENT_APP_UNKNOWN, f"expected one of: {', '.join(sorted(policy.apps))}"
        )
    return app


class Reception:
    """Carry out the first steps of every call that brings a statement."""

    def __init__(
        self,
        policy: EnrolmentPolicy,
        verifier: EvidenceVerifier,
        challenge_key: bytes,
        epochs: ChallengeEpochs | None = None,
    ) -> None:
        """Keep what statements are compared with; nothing is asked yet.

        :param epochs: which challenges count; None where the store is never put back.
        """
        self._policy = policy
        self._verifier = verifier
        self.challenges = Challenges(policy.issuer, challenge_key, epochs or OneEpoch())

    def __repr__(self) -> str:
        """Show nothing: a key in a log is a key lost."""
        return "Reception(...)"

    def receive(
        self, statement_bytes: bytes, evidence: Mapping[str, Any], purpose: Purpose, now: datetime
    ) -> Received:
        """Return a statement that was made for this issuer, a known app and this purpose, with a fresh challenge of ours.

        :param evidence: only its format is looked at: it says whether the statement has to bring a proof key.
        :raises RefusedError: with the reason of the first check that failed.
        """
        statement = read_statement(statement_bytes)
        if statement.purpose is not purpose:
            raise RefusedError.because(
                Reason.STATEMENT_PURPOSE,
                f"got {statement.purpose.value}, expected {purpose.value}",
            )
        if statement.issuer != self._policy.issuer:
            raise RefusedError.because(
                Reason.STATEMENT_ISSUER, f"expected the issuer {self._policy.issuer}"
            )
        app = require_app(self._policy, statement.app)
        open_to_it = self._policy.audiences.get(app.id, frozenset())
        if not open_to_it.issuperset(statement.audiences):
            raise RefusedError.because(
                Reason.STATEMENT_AUDIENCE,
                f"expected audiences out of: {', '.join(sorted(open_to_it)) or 'none'}",
            )
        is_stated = self._verifier.states_proof_key(evidence, app)
        require_proof_key(statement, is_stated=is_stated)
        use = self.challenges.check(statement.challenge, app.id, purpose, now)
        return Received(statement, app, use)
