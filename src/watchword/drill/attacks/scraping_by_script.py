"""Ask for one thing very often by a script that looks like many."""

from watchword.drill.interface import Attack, AttackContext, Attempts, Variant
from watchword.drill.volume import TOGETHER, disguised, each_of, tallied
from watchword.reasons import Reason
from watchword.vocabulary import Proof

TIMES = 200
"""Requests one after the other; half as many go out in bursts."""


def _spread(context: AttackContext) -> Attempts:
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    calls = (disguised(sample.call(), number) for number in range(TIMES))
    return [tallied(sample, each_of(context, calls))]


def _bursts(context: AttackContext) -> Attempts:
    """Send several at one moment: a gate that is busy must not wave through."""
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    answers = []
    for first in range(0, TIMES // 2, TOGETHER):
        calls = [disguised(sample.call(), first + number) for number in range(TOGETHER)]
        answers += context.wire.send_together(calls)
    return [tallied(sample, answers)]


_EXPECTED = frozenset({Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="scraping-by-script",
    title="Scrape by a script that looks like many phones",
    techniques=("MT-B04", "MT-B11"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends=f"One sample {TIMES} times without a token, each time with another app's name and another address in its headers. Then in bursts.",
    must="The API answers none of them.",
    blind="It stays far below what would slow the gate down, so it doesn't show how a flood ends.",
    variants=(
        Variant("spread-out", _spread, _EXPECTED),
        Variant("in-bursts", _bursts, _EXPECTED),
    ),
)
