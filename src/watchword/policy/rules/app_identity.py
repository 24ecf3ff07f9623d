"""Judge whether the evidence names the app that was registered."""

from dataclasses import dataclass
from typing import ClassVar

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.interface import AndroidApp, AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding
from watchword.reasons import Reason, Refusal


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """Require the registered package and signing certificates, or the registered App ID.

    On Android one uid may hold several packages that share their signers; the registered one must be
    among them, and every signer must be registered, since a repackaged app keeps its package
    name and is told by its signer alone.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.APP_ID, Claim.SIGNING_DIGESTS})

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare the claims' app with the registration."""
        if app is None:
            return Finding(unchecked=("app",))
        identity = app.identity
        if not isinstance(identity, AndroidApp):
            if claims.app is None or identity.app_id not in claims.app.ids:
                return _refused(Reason.POLICY_APP_ID, f"expected {identity.app_id}")
            return Finding()
        if claims.app is None:
            return _refused(Reason.POLICY_APP_ID, f"got no app, expected {identity.package}")
        refusals = []
        if identity.package not in claims.app.ids:
            refusals.append(
                Refusal(
                    Reason.POLICY_APP_ID,
                    f"got {len(claims.app.ids)} packages without {identity.package}",
                )
            )
        digests = claims.app.signing_digests
        if not digests or not digests <= identity.signing_digests:
            refusals.append(
                Refusal(
                    Reason.POLICY_SIGNING_DIGEST,
                    f"got {_short(digests)}, expected {_short(identity.signing_digests)}",
                )
            )
        return Finding(tuple(refusals))


def _short(digests: frozenset[bytes]) -> str:
    """Name signing certificates by the first bytes of their digests, which are public."""
    return ", ".join(sorted(digest[:8].hex() for digest in digests)) or "none"


def _refused(reason: Reason, detail: str) -> Finding:
    return Finding((Refusal(reason, detail),))
