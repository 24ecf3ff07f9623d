"""Count the numbers of records up by a script, to take what each of them opens."""

from dataclasses import replace

from watchword.drill.interface import Attack, AttackContext, Attempts, Run, Variant
from watchword.drill.volume import at_number, each_of, numbered_sample, tallied
from watchword.reasons import Reason

RECORDS = 200
"""Numbers that are asked for; half as many by HEAD."""


def _walked(method: str, count: int) -> Run:
    def run(context: AttackContext) -> Attempts:
        sample = numbered_sample(context)
        call = replace(sample.call(), method=method)
        calls = (replace(call, target=at_number(call.target, number)) for number in range(count))
        return [tallied(sample, each_of(context, calls))]

    return run


_EXPECTED = frozenset({Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="enumeration-by-script",
    title="Count record numbers up by script",
    techniques=("MT-B08", "MT-B04"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends=f"A sample whose path ends in a number, with each number from 0 to {RECORDS - 1} in its place and without a token. "
    "Then by HEAD, which shows which records exist.",
    must="The API answers none of them, not even that a record doesn't exist.",
    blind="It doesn't tell whether a genuine app gets another user's records: only the API knows whose they are.",
    variants=(
        Variant("by-get", _walked("GET", RECORDS), _EXPECTED),
        Variant("by-head", _walked("HEAD", RECORDS // 2), _EXPECTED),
    ),
)
