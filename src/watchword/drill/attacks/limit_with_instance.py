"""Do more with a genuine phone than the API's limits let one instance do."""

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    Held,
    MissingError,
    Need,
    Run,
    Sample,
    Variant,
)
from watchword.drill.requests import genuine_call
from watchword.drill.volume import past_a_quota, past_a_rate
from watchword.drill.wire import Call
from watchword.gate.interface import Limit, LimitKind
from watchword.reasons import Reason


def _met(context: AttackContext, kind: LimitKind) -> tuple[Sample, Limit]:
    """Return the tightest limit of a kind that a sample falls under, whatever the app's version is.

    :raises MissingError: when there is none.
    """
    found = [
        (limit.requests, index, sample, limit)
        for index, limit in enumerate(context.facts.limits)
        if limit.kind is kind and limit.enforced and not limit.below
        for sample in context.guarded
        if sample.injection is None and (not limit.routes or sample.route in limit.routes)
    ]
    if not found:
        raise MissingError(Need.LIMIT)
    _, _, sample, limit = min(found, key=lambda each: each[:2])
    return sample, limit


def _past(kind: LimitKind) -> Run:
    def run(context: AttackContext) -> Attempts:
        sample, limit = _met(context, kind)

        def call(held: Held) -> Call:
            return genuine_call(context, sample, held)

        if kind is LimitKind.RATE:
            return [past_a_rate(context, sample, call, limit.requests, limit.seconds)]
        return [past_a_quota(context, sample, call, limit.requests, limit.seconds, Need.LIMIT)]

    return run


ATTACK = Attack(
    id="limit-with-instance",
    title="Do more with a genuine phone than a limit lets it",
    techniques=("MT-B04", "MT-B11"),
    protections={"PR-B11": "live:gateway.limits"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Genuine requests of one instance, more than the tightest of the API's limits that a sample falls under. Its "
    "tokens are renewed on the way.",
    must="No more is served than the limit.",
    blind="It uses one instance. It leaves out limits for only some versions of the app.",
    variants=(
        Variant("quota", _past(LimitKind.QUOTA), frozenset({Reason.GATE_QUOTA})),
        Variant("rate", _past(LimitKind.RATE), frozenset({Reason.GATE_RATE, Reason.GATE_QUOTA})),
    ),
    alone=True,
)
