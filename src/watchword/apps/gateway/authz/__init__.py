"""Answer other servers' questions about each request (forward auth), and sign what the gate found."""

from watchword.apps.gateway.authz.application import AuthzApp, Credential
from watchword.apps.gateway.authz.verdicts import VerdictRequired, VerdictSigned

__all__ = ["AuthzApp", "Credential", "VerdictRequired", "VerdictSigned"]
