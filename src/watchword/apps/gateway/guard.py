"""Hold what every middleware does around a decision, whichever interface it speaks."""

import contextlib
from dataclasses import replace
from typing import Final

from watchword.adapters.clock import SystemClock
from watchword.adapters.entropy import SystemEntropy
from watchword.apps.problems import Problem, render
from watchword.gate.decisions import refuse
from watchword.gate.interface import RESULT_HEADERS, Decision
from watchword.gate.references import NONCE_BYTES
from watchword.gate.service import Gate
from watchword.ports import Clock, Entropy, RefusalLog
from watchword.public_classes import Category
from watchword.reasons import Reason, Refusal
from watchword.tokens.interface import TokenClaims

RETRY_AFTER_SECONDS: Final = 5
"""When a client may try again after a refusal for unavailability."""

NONCE_HEADER: Final = b"watchword-nonce"
"""The answer header that carries a fresh nonce of the gate, in replay mode ``affine``."""

_LENT: Final = Refusal(
    Reason.SECRET_UNAVAILABLE, "got a route with a secret, expected it behind the proxy"
)


def closed_where_nothing_is_lent(decision: Decision) -> Decision:
    """Return the decision of a middleware that nobody stands behind who adds keys.

    The key is added where the request is sent on to a third party; the application in its place isn't whom it is for.
    """
    return refuse(_LENT) if decision.allow and decision.lending is not None else decision


class Guard:
    """Stand in front of an application: tell what was refused, and answer it.

    :ivar allowed: how many requests went to the application, refused ones of ``monitor`` included.
    :ivar refused: how many did not.
    """

    def __init__(
        self,
        gate: Gate,
        *,
        refusal_log: RefusalLog | None,
        clock: Clock | None,
        entropy: Entropy | None,
    ) -> None:
        """Take what decides.

        :param refusal_log: is told of every refusal, also of those that ``monitor`` lets pass.
        :param clock: the system's clock if None.
        :param entropy: the system's generator if None.
        """
        self._gate = gate
        self._refusal_log = refusal_log
        self._timestamp = (clock or SystemClock()).timestamp
        self._entropy = entropy or SystemEntropy()
        self.allowed = 0
        self.refused = 0

    def _report(self, error: Exception) -> None:
        """Count a failure of the gate; of the error only its class is told, its text may be theirs."""
        if self._refusal_log is not None:
            with contextlib.suppress(Exception):
                refusal = Refusal(Reason.GATE_INTERNAL, f"got {type(error).__name__}")
                self._refusal_log.record((refusal,), "")

    def _problem(self, decision: Decision, now: float) -> Problem:
        """Return the answer of a refusal."""
        nonce = self._entropy.token_bytes(NONCE_BYTES)
        unavailable = decision.refusals[0].reason.category is Category.UNAVAILABLE
        problem = render(
            decision.refusals,
            ref=self._gate.reference(decision.refusals, decision.route, now, nonce),
            reveal=self._gate.reveals,
            retry_after=RETRY_AFTER_SECONDS if unavailable else decision.retry_after,
        )
        if decision.nonce is None:
            return problem
        return replace(problem, headers=(*problem.headers, (NONCE_HEADER, decision.nonce)))


def told_claims(decision: Decision) -> TokenClaims | None:
    """Return the verified token of a request that passes, None where the API isn't told who is there.

    In ``monitor`` a token may be good and its proof stale: then nobody was shown to be that instance.
    """
    claims = decision.claims
    if claims is None or not decision.refusals:
        return claims
    told = any(name == RESULT_HEADERS[0] for name, _ in decision.headers)
    return claims if told else None
