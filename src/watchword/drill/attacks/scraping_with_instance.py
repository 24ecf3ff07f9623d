"""Scrape through a genuine phone: what it may ask for isn't refused, but how often."""

from watchword.drill.interface import Attack, AttackContext, Attempts, Held, Need, Variant
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import genuine_call
from watchword.drill.volume import disguised, least_limited, past_the_limit
from watchword.drill.wire import Call
from watchword.reasons import Reason


def _past(context: AttackContext) -> Attempts:
    sample = least_limited(context)

    def call(held: Held, number: int) -> Call:
        return disguised(genuine_call(context, sample, held), number)

    return [past_the_limit(context, sample, call, lambda _: is_of_the_api)]


ATTACK = Attack(
    id="scraping-with-instance",
    title="Scrape through a genuine phone",
    techniques=("MT-B04", "MT-B08", "MT-B11"),
    protections={"PR-B11": "live:gateway.limits"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Genuine requests of one instance, more than its limit, from changing addresses. Its tokens are renewed on "
    "the way.",
    must="No more is served than the limit, and what the limit refills meanwhile.",
    blind="It uses one instance: many phones have many limits. Gates that don't share their counts have a limit each, "
    "and it may not reach all.",
    variants=(Variant("through-a-renewal", _past, frozenset({Reason.GATE_RATE})),),
    alone=True,
)
