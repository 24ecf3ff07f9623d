"""Use a key for as long as nobody changes it, and one that was to have ended."""

from typing import Final

from watchword.drill.interface import (
    Arena,
    Attack,
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


def _genuine(arena: Arena, told: str) -> Attempts:
    sample = arena.sample()
    answer = arena.wire.send(genuine_call(arena, sample, arena.genuine()))
    return [Attempt(sample, answer, served=(0, 1), leaked=told)]


def _old(arena: Arena) -> Attempts:
    handed_out = [each for each in arena.operating().secrets() if each.made_at is not None]
    if not handed_out:
        raise MissingError(Need.DELIVERY, "or one that is lent")
    ages = [((arena.now() - (each.made_at or 0.0)) / _DAY, each.name) for each in handed_out]
    days, name = max(ages)
    told = f"{name} has been in use for {int(days)} days, more than {MOST_DAYS}"
    return _genuine(arena, told if days > MOST_DAYS else "")


def _ended(arena: Arena) -> Attempts:
    """Look whether a gate still lends what was revoked, or ended after a rotation."""
    operator, keys = arena.operating(), arena.borrowed()
    if not any(each.made_at is not None or each.ended for each in operator.secrets()):
        raise MissingError(Need.DELIVERY, "or one that is lent")

    def late() -> list[str]:
        return [each.name for each in operator.secrets() if _still_lent(each)]

    def _still_lent(each: KeptSecret) -> bool:
        lent = keys.lent(each.name)
        return lent is not None and lent.version in each.ended

    found = late()
    if found:
        arena.wait(_SETTLE_SECONDS)  # It may have ended at this very moment.
        found = late()
    told = f"a version of {found[0]} that ended is still lent" if found else ""
    return _genuine(arena, told)


ATTACK = Attack(
    id="key-grown-old",
    title="Use a key that should have been changed",
    techniques=("MT-B18",),
    protections={"PR-B05": "live:keys.max_age_days"},
    needs=(Need.GENUINE, Need.OPERATOR),
    sends="Nothing but a genuine request: the operator's list says how old the keys are that are handed out, and the gate's bundle what it lends.",
    must=f"No key in use is older than {MOST_DAYS} days, and none that was revoked or has ended is lent.",
    blind="It takes the service's word for when a key was made, and doesn't know whether the third party still takes the old one: revoke it there too.",
    variants=(Variant("age", _old), Variant("ended", _ended)),
    exploits=False,
)
