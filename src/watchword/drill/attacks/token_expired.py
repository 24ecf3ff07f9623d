"""Use a token after its end."""

from collections.abc import Callable
from typing import Any

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Variant
from watchword.drill.tokens import asked, minted, minting, new_attacker
from watchword.reasons import Reason

_DAY = 86_400
_SHORTLY = 2
_LEAST_LEFT = 0.4
"""Seconds that a token has to be used in before it ends."""


def _ended(ago: int) -> Callable[[AttackContext], dict[str, Any]]:
    """Return the claims of a token that ended so many seconds ago, the leeway not counted."""

    def changes(context: AttackContext) -> dict[str, Any]:
        end = int(context.now()) - context.facts.leeway - ago
        return {"iat": end - context.facts.token_lifetime, "exp": end}

    return changes


def _remembered(context: AttackContext) -> Attempts:
    """Use a token in its last second, wait for its end and use it again: a gate may have it in mind."""
    now = context.now()
    last = int(now) + (1 if int(now) + 1 - now >= _LEAST_LEFT else 2)
    end = last - context.facts.leeway
    credential = minted(
        context, new_attacker(context), iat=end - context.facts.token_lifetime, exp=end
    )
    asked(context, credential)
    context.wait(max(0.0, last - context.now()) + 0.05)
    return [asked(context, credential)]


_EXPECTED = frozenset({Reason.TOKEN_EXPIRED})

ATTACK = Attack(
    id="token-expired",
    title="Use a token after its end",
    techniques=("MT-B20",),
    protections={"PR-B12": "live:tokens.ttl"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service that have ended: a moment ago, a day ago, and since the request before.",
    must="Each is refused once its end and the clocks' leeway are past.",
    blind="It doesn't wait for the end of a genuine token, and can't see whether the gate's clock is right.",
    variants=(
        Variant("just-now", minting(_ended(_SHORTLY)), _EXPECTED, each_route=True),
        Variant("a-day-ago", minting(_ended(_DAY)), _EXPECTED),
        Variant("since-the-last-request", _remembered, _EXPECTED),
    ),
    # A revocation of another attack's would empty the gate's memory in between.
    alone=True,
)
