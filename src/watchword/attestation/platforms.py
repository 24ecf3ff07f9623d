"""Check that evidence comes from the platform that the expected app is built for."""

from watchword.attestation.interface import AppRegistration
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


def platform_refusals(got: Platform, app: AppRegistration | None) -> tuple[Refusal, ...]:
    """Return what is wrong with evidence of this platform for the app; without an app, nothing is."""
    if app is None or app.platform is got:
        return ()
    return (Refusal(Reason.EVIDENCE_PLATFORM, f"got evidence of {got}, expected {app.platform}"),)
