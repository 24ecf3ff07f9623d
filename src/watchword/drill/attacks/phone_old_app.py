"""Enrol with a version of the app below the lowest one that is accepted."""

from collections.abc import Sequence

from watchword.drill.bent_evidence import GENUINE, granted
from watchword.drill.enrolling import enrol
from watchword.drill.exploiting import exploited
from watchword.drill.interface import Arena, Attack, Attempt, Variant
from watchword.drill.needs import MissingError, Need
from watchword.drill.requests import genuine_call
from watchword.encoding import base64url, strict_json
from watchword.reasons import Reason
from watchword.vocabulary import Platform

_FIRST = "1"
"""The version on the lab's phones where the app names no lowest one."""


def _downgraded(arena: Arena) -> Sequence[Attempt]:
    """Enrol the version right below the lowest one that is accepted."""
    genuine = granted(enrol(arena, arena.phone(GENUINE[Platform.ANDROID])))
    _, claims, _ = genuine.tokens[arena.facts.audience].token.split(".")
    version = strict_json.loads(base64url.decode(claims), len(claims))["app"].get("ver")
    if version == _FIRST:
        raise MissingError(Need.VERSION_RULE)
    old = enrol(arena, arena.phone("downgraded-android"))
    if old.held is None:
        return [exploited(arena, old)]
    # A gate may know a lowest version on some routes, so that each is asked for.
    return [
        Attempt(sample, arena.wire.send(genuine_call(arena, sample, old.held)))
        for sample in arena.guarded
    ]


ATTACK = Attack(
    id="phone-old-app",
    title="Enrol with an old version of the app",
    techniques=("MT-A22",),
    protections={"PR-B17": "live:app.version_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine evidence of a locked phone that runs a version of the app below the lowest one accepted.",
    must="The service refuses it for its version.",
    blind="Before iOS 27 an iPhone doesn't state the app's version, so that there is nothing to refuse it for.",
    variants=(Variant("below-the-lowest", _downgraded, frozenset({Reason.POLICY_APP_VERSION})),),
)
