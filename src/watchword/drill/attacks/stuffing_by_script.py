"""Try passwords by a script, on one account and on many."""

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Variant,
)
from watchword.drill.volume import (
    Counts,
    disguised,
    each_of,
    guess,
    login_sample,
    made_up_name,
    reached,
    tallied,
    wrong_password,
)
from watchword.reasons import Reason

TRIES = 30
"""Passwords that are tried."""


def _tried(*, accounts: int) -> Run:
    def run(context: AttackContext) -> Attempts:
        sample = login_sample(context)
        names = [made_up_name(context) for _ in range(accounts)]
        calls = (
            disguised(guess(context, sample, names[number % accounts]).call(), number)
            for number in range(TRIES)
        )
        # A sign-in that fails is no measure of what the genuine app is served: another sample is.
        return [tallied(context.sample(), each_of(context, calls), _reaches(context))]

    return run


def _reaches(context: AttackContext) -> Counts:
    try:
        held = context.genuine()
    except MissingError:
        return reached(None)
    return reached(wrong_password(context, held))


_EXPECTED = frozenset({Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="stuffing-by-script",
    title="Try passwords by script",
    techniques=("MT-B05", "MT-B06"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.LOGIN,),
    sends=f"{TRIES} sign-ins without a token, on one account and on {TRIES}, all of them made up, each with another wrong password.",
    must="None reaches the API, so it never says whether a password is right.",
    blind="It doesn't tell what the API does about wrong passwords that reach it: it tries no real person's account.",
    variants=(
        Variant("one-account", _tried(accounts=1), _EXPECTED),
        Variant("many-accounts", _tried(accounts=TRIES), _EXPECTED),
    ),
)
