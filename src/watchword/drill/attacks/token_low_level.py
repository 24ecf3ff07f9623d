"""Use at a route that asks for more the token of an instance that is vouched for less."""

from collections.abc import Sequence

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Sample,
    Variant,
)
from watchword.drill.tokens import asked, minted, minting_each, new_attacker
from watchword.reasons import Reason
from watchword.vocabulary import Level


def _above(context: AttackContext, level: Level) -> Sequence[Sample]:
    """Return the samples that ask for more than this level.

    :raises MissingError: where none does.
    """
    found = [each for each in context.guarded if each.level.rank > level.rank]
    if not found:
        raise MissingError(
            Need.SAMPLE, f"one on a route that asks for more than level {level.value}"
        )
    return found


def _at(level: Level) -> Run:
    """Return a variant that asks for every sample above a level."""

    def run(context: AttackContext) -> Attempts:
        credential = minted(context, new_attacker(context), lvl=level.value)
        return [asked(context, credential, sample) for sample in _above(context, level)]

    return run


_EXPECTED = frozenset({Reason.GATE_LEVEL})

ATTACK = Attack(
    id="token-low-level",
    title="Use the token of a phone that isn't vouched for",
    techniques=("MT-B03",),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service that state each lower level, an unknown one and none. They go to every sample "
    "that asks for more, each with the proof of its route.",
    must="Each is refused.",
    blind="It says nothing of how the service finds a phone's level.",
    variants=(
        Variant("verified", _at(Level.VERIFIED), _EXPECTED),
        Variant("software", _at(Level.SOFTWARE), _EXPECTED),
        Variant("none", _at(Level.NONE), _EXPECTED),
        Variant(
            "unknown-word",
            minting_each(
                lambda _: [{"lvl": each} for each in ("strongbox", "HARDWARE", "", 3, None)]
            ),
            _EXPECTED | {Reason.TOKEN_MALFORMED},
        ),
    ),
)
