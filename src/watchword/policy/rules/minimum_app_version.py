"""Judge whether the app is recent enough."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import VERSION, Circumstances, Claim, Finding, is_at_least
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform


@dataclass(frozen=True, slots=True)
class MinimumAppVersion:
    """Require the registered minimum version, number by number.

    iOS states a version since iOS 27 only; where none is stated there is nothing to judge.
    Android always states one.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.APP_VERSION})

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the version of the registered app with its minimum."""
        if app is None:
            return Finding(unchecked=("app_version",))
        if app.minimum_version is None:
            return Finding()
        stated = None if claims.app is None else claims.app.versions.get(app.app_id)
        if stated is None and app.platform is Platform.IOS:
            return Finding(unchecked=("app_version",))
        return Finding(judge_version(stated, app.minimum_version))


def judge_version(stated: str | None, minimum: str) -> tuple[Refusal, ...]:
    """Return what the minimum holds against a version; none was stated where it is None."""
    if stated is not None and is_at_least(stated, minimum):
        return ()
    # An odd version is the sender's own text and stays out of the detail.
    got = stated if stated is not None and VERSION.fullmatch(stated) else "no version"
    return (Refusal(Reason.POLICY_APP_VERSION, f"got {got}, expected at least {minimum}"),)
