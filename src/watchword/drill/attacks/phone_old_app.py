"""Enrol with a version of the app below the lowest one that is accepted."""

from watchword.drill.enrolment import enrol, exploited
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    MissingError,
    Need,
    Variant,
)
from watchword.drill.requests import genuine_call
from watchword.reasons import Reason


def _downgraded(context: AttackContext) -> Attempts:
    """Enrol the version right below the lowest one that is accepted."""
    phone = context.phone("downgraded-android")
    lowest = context.facts.lowest_versions.get(phone.app)
    # A phone has the lowest version that every route takes: where a route asks for more, one below still may enrol.
    asked = {each.minimum_versions.get(phone.app, lowest) for each in context.samples}
    if lowest is None or asked - {lowest}:
        raise MissingError(Need.VERSION_RULE, "of the app, and none higher on a route")
    old = enrol(context, phone)
    if old.held is None:
        return [exploited(context, old)]
    # A gate may know a lowest version on some routes, so that each is asked for.
    return [
        Attempt(sample, context.wire.send(genuine_call(context, sample, old.held)))
        for sample in context.guarded
    ]


ATTACK = Attack(
    id="phone-old-app",
    title="Enrol with an old version of the app",
    techniques=("MT-A22",),
    protections={"PR-B17": "live:app.version_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine evidence of a locked phone that runs a version of the app below the lowest one accepted.",
    must="The service refuses it for its version.",
    blind="Before iOS 27 an iPhone doesn't state the app's version, so there is nothing to refuse it for.",
    variants=(
        Variant(
            "below-the-lowest",
            _downgraded,
            frozenset({Reason.POLICY_APP_VERSION}),
            each_route=True,
        ),
    ),
)
