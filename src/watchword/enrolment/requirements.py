"""Refuse, on what the store and the statement say alone, what no evidence could make good."""

from datetime import datetime

from watchword.enrolment.interface import Statement
from watchword.ports import Instance
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Environment


def require_proof_key(statement: Statement, *, is_stated: bool) -> None:
    """Refuse a proof key where the attested key is the proof key, and its absence elsewhere.

    See docs/adr/0002: on Android the attestation challenge is fixed before the key exists.
    """
    if not is_stated and statement.proof_jwk is not None:
        raise RefusedError.because(
            Reason.STATEMENT_KEY, "expected no proof_jwk: the attested key is the proof key"
        )
    if is_stated and statement.proof_jwk is None:
        raise RefusedError.because(Reason.STATEMENT_KEY, "expected a proof_jwk")


def require_alive(instance: Instance, environment: Environment, now: datetime) -> None:
    """Refuse an instance that was revoked, that ended, or that is a lab's in production.

    :raises RefusedError: ``instance.revoked``, ``instance.expired``, ``instance.test``.
    """
    if instance.revoked_at is not None:
        raise RefusedError.because(Reason.INSTANCE_REVOKED, "it was revoked")
    if instance.expires_at is not None:
        if now >= instance.expires_at:
            raise RefusedError.because(
                Reason.INSTANCE_EXPIRED, f"it ended at {instance.expires_at.isoformat()}"
            )
    elif instance.test and environment is not Environment.LAB:
        # A simulated vendor vouched for it, in a lab that kept its instances here: anybody
        # with the lab's files has its key.  One with an end was let in by an operator here.
        raise RefusedError.because(
            Reason.INSTANCE_TEST, "got an instance of the lab, expected a real device's"
        )


def require_same(instance: Instance, statement: Statement) -> None:
    """Refuse a renewal that wants something else than what the instance enrolled with."""
    if statement.app != instance.app:
        raise RefusedError.because(Reason.INSTANCE_APP, f"expected app {instance.app}")
    if not set(instance.audiences).issuperset(statement.audiences):
        raise RefusedError.because(
            Reason.STATEMENT_AUDIENCE, "expected audiences that the instance enrolled for"
        )
    if statement.proof_jwk is not None and dict(statement.proof_jwk) != dict(instance.proof_jwk):
        raise RefusedError.because(Reason.STATEMENT_KEY, "expected the enrolled proof_jwk")
    if dict(statement.seal_jwk) != dict(instance.seal_jwk):
        raise RefusedError.because(Reason.STATEMENT_KEY, "expected the enrolled seal_jwk")
