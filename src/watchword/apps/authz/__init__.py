"""Answer other servers' questions about each request (forward auth), and sign what the gate found."""

from watchword.apps.authz.application import AuthzApp
from watchword.apps.authz.callers import Credential
from watchword.apps.authz.verdicts import VerdictRequired, VerdictSigned

__all__ = ["AuthzApp", "Credential", "VerdictRequired", "VerdictSigned"]
