"""Try passwords through a genuine phone: only its limit bounds it."""

from watchword.drill.interface import Attack, AttackContext, Attempts, Held, Need, Variant
from watchword.drill.requests import genuine_call
from watchword.drill.volume import (
    disguised,
    guess,
    login_sample,
    made_up_name,
    past_the_limit,
    reached_from,
)
from watchword.drill.wire import Call
from watchword.reasons import Reason


def _past(context: AttackContext) -> Attempts:
    sample = login_sample(context)

    def call(held: Held, number: int) -> Call:
        wrong = guess(context, sample, made_up_name(context))
        return disguised(genuine_call(context, wrong, held), number)

    return [past_the_limit(context, context.sample(), call, reached_from(context))]


ATTACK = Attack(
    id="stuffing-with-instance",
    title="Try passwords through a genuine phone",
    techniques=("MT-B05", "MT-B06"),
    protections={"PR-B11": "live:gateway.limits"},
    needs=(Need.SERVICE, Need.GENUINE, Need.LOGIN),
    sends="Sign-ins of one instance on made-up accounts, more than its limit. Its tokens are renewed on the way.",
    must="No more reaches the API than the limit, and what the limit refills meanwhile.",
    blind="What stays below the limit passes: it isn't a limit for sign-ins. The API must slow these down itself, and "
    "count by account.",
    variants=(Variant("through-a-renewal", _past, frozenset({Reason.GATE_RATE})),),
    alone=True,
)
