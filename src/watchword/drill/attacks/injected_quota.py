"""Use an injected key more often than one instance may."""

from collections.abc import Iterator, Sequence

from watchword.broker.interface import Allowance
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    Held,
    Injection,
    MissingError,
    Need,
    Run,
    Sample,
    Variant,
)
from watchword.drill.third_party_keys import INJECTED_EVIDENCE, as_genuine, injected_samples
from watchword.drill.volume import past_a_quota
from watchword.drill.wire import Call
from watchword.reasons import Reason


def _bounds(injection: Injection, *, by_calls: bool) -> Iterator[tuple[int, Allowance]]:
    """Yield how many calls each allowance of a kind leaves, if nothing else bounds them before."""
    for each in injection.rule.allowances:
        if by_calls and each.calls is not None:
            yield each.calls, each
        if not by_calls and each.spend is not None:
            yield each.spend // max(1, injection.rule.cost), each


def _tightest(
    samples: Sequence[tuple[Sample, Injection]], *, by_calls: bool
) -> tuple[Sample, int, int]:
    found = [
        (most, allowance.seconds, index)
        for index, (_, injection) in enumerate(samples)
        for most, allowance in _bounds(injection, by_calls=by_calls)
        # Where the other kind ends it before, this one is never met.
        if all(most <= other for other, _ in _bounds(injection, by_calls=not by_calls))
    ]
    if not found:
        raise MissingError(Need.QUOTA)
    most, seconds, index = min(found)
    return samples[index][0], most, seconds


def _past(*, by_calls: bool) -> Run:
    def run(context: AttackContext) -> Attempts:
        sample, most, seconds = _tightest(injected_samples(context), by_calls=by_calls)

        def call(held: Held) -> Call:
            return as_genuine(context, sample, sample.call(), held)

        return [past_a_quota(context, sample, call, most, seconds, Need.QUOTA)]

    return run


ATTACK = Attack(
    id="lent-quota",
    title="Use an injected key beyond an instance's quota",
    techniques=("MT-B11", "MT-B18"),
    protections={"PR-B06": INJECTED_EVIDENCE},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Calls of one genuine instance until its quota or its spend cap is used up, some at once, and a few more. "
    "Its tokens are renewed on the way. The third party gets as many calls as the quota lets pass: you pay for them.",
    must="No call beyond the quota is sent on.",
    blind="It uses one instance: each has a quota of its own. Gates that don't count together have a quota each, and "
    "it may not reach all.",
    variants=(
        Variant("calls", _past(by_calls=True), frozenset({Reason.SECRET_QUOTA})),
        Variant("spend", _past(by_calls=False), frozenset({Reason.SECRET_SPEND})),
    ),
    alone=True,
)
