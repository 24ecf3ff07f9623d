"""Use a key for as long as nobody changes it, and one that was to have ended."""

from typing import Final

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    KeptSecret,
    MissingError,
    Need,
    Variant,
)
from watchword.drill.requests import genuine_call

MOST_DAYS: Final = 90
"""Oldest that a key should grow: what CIS asks of user-made API keys (Google Cloud benchmark 1.3, section 1.15)."""

_DAY: Final = 86_400
_SETTLE_SECONDS: Final = 2.0


def _genuine(context: AttackContext, told: str) -> Attempts:
    sample = context.sample()
    answer = context.wire.send(genuine_call(context, sample, context.genuine()))
    return [Attempt(sample, answer, served=(0, 1), leaked=told)]


def _old(context: AttackContext) -> Attempts:
    handed_out = [each for each in context.operating().secrets() if each.made_at is not None]
    if not handed_out:
        raise MissingError(Need.DELIVERY, "or one that is injected")
    ages = [((context.now() - (each.made_at or 0.0)) / _DAY, each.name) for each in handed_out]
    days, name = max(ages)
    told = f"{name} has been in use for {int(days)} days, more than {MOST_DAYS}"
    return _genuine(context, told if days > MOST_DAYS else "")


def _ended(context: AttackContext) -> Attempts:
    """Look whether a gate still injects what was revoked, or ended after a rotation."""
    operator, keys = context.operating(), context.borrowed()
    if not any(each.made_at is not None or each.ended for each in operator.secrets()):
        raise MissingError(Need.DELIVERY, "or one that is injected")

    def late() -> list[str]:
        return [each.name for each in operator.secrets() if _still_injected(each)]

    def _still_injected(each: KeptSecret) -> bool:
        injected = keys.injected(each.name)
        return injected is not None and injected.version in each.ended

    found = late()
    if found:
        context.wait(_SETTLE_SECONDS)  # It may have ended at this very moment.
        found = late()
    told = f"a version of {found[0]} that ended is still injected" if found else ""
    return _genuine(context, told)


ATTACK = Attack(
    id="key-grown-old",
    title="Use a key that should have been changed",
    techniques=("MT-B18",),
    protections={"PR-B05": "live:keys.max_age_days"},
    needs=(Need.GENUINE, Need.OPERATOR),
    sends="Only a genuine request. The operator's list says how old the delivered keys are, and the gate's bundle "
    "which keys it injects.",
    must=f"No key in use is older than {MOST_DAYS} days, and no key that was revoked or has ended is injected.",
    blind="It takes the service's word for when a key was made. It doesn't know whether the third party still accepts "
    "the old one: revoke it there too.",
    variants=(Variant("age", _old), Variant("ended", _ended)),
    exploits=False,
)
