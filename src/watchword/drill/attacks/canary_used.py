"""Use a key that was planted where thieves look."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from watchword.drill.interface import (
    AbsentError,
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    DrillHoneytoken,
    Need,
    Run,
    Sample,
    Variant,
)
from watchword.drill.requests import credential_of, proved
from watchword.drill.wire import Answer, Call
from watchword.reasons import Reason, UnavailableError

_SETTLE_SECONDS: Final = 1.2
"""Until every gate knows a canary: the service tells them at once, and they look each half second, those elsewhere each second."""

_TRIES: Final = 3
"""How often a canary is used in a variant before it counts as unnoticed: each use is looked for again and again."""

_LOOKS: Final = 30
_LOOK_SECONDS: Final = 0.1
"""How often, and how long in between, the alarms are looked at after a use: three seconds in all."""

_FIRST_TRIES: Final = 10
"""The same while nobody was told of any use yet: news reaches a gate late where its machine is busy, and thirty seconds are enough."""

_PATIENCE_SECONDS: Final = _FIRST_TRIES * _LOOKS * _LOOK_SECONDS
"""After so long a canary that nobody was ever told of is used once in a variant: whoever would know it knows it by now."""

_CHANGING: Final = frozenset({"date", "content-length", "watchword-nonce"})

Carrying = Callable[[Call, str], Call]
"""Put a key into a request."""


def _in_header(call: Call, key: str) -> Call:
    return call.with_header("X-Api-Key", key)


def _as_bearer(call: Call, key: str) -> Call:
    return call.with_header("Authorization", f"Bearer {key}")


def _as_basic(call: Call, key: str) -> Call:
    coded = base64.b64encode(f"{key}:".encode()).decode()
    return call.with_header("Authorization", f"Basic {coded}")


def _in_query(call: Call, key: str) -> Call:
    mark = "&" if "?" in call.target else "?"
    return replace(call, target=f"{call.target}{mark}key={key}")


def _by_script(context: AttackContext, _sample: Sample, call: Call) -> Call:
    """Return the call as a script sends it."""
    del context
    return call


def _by_instance(context: AttackContext, sample: Sample, call: Call) -> Call:
    credential = credential_of(context.genuine(), context.facts.audience)
    return proved(context, call, credential, sample.proof)


def _using(carry: Carrying, send_as: Callable[[AttackContext, Sample, Call], Call]) -> Run:
    """Return a variant that uses the canary once, and looks whether anybody was told."""

    def run(context: AttackContext) -> Attempts:
        sample = context.sample()
        canary, answer, told = _used(
            context, lambda key: send_as(context, sample, carry(sample.call(), key))
        )
        if canary.key in answer.body.decode("latin-1"):
            return [Attempt(sample, answer, leaked="the answer repeats the canary")]
        return [Attempt(sample, answer, leaked="" if told else "nobody was told that it was used")]

    return run


def _used(
    context: AttackContext, carrying: Callable[[str], Call]
) -> tuple[DrillHoneytoken, Answer, bool]:
    """Use the run's canary until somebody is told, a bounded number of times; return it, the last answer, and whether he was.

    A gate that told knew it; one that didn't may not know it yet, which is no fault within the first second.  Where nobody was
    told of any use for :data:`_PATIENCE_SECONDS`, the variants that follow need not be as patient.
    """
    operator = context.operating()
    if not operator.decoys():
        # The drill's own would show what a decoy is worth here, and not that there is one.
        raise AbsentError(Need.DECOY)
    canary = operator.plant()
    before = _alarms(context, canary)
    tries = _TRIES
    if not before:
        tries = 1 if context.now() - canary.planted_at > _PATIENCE_SECONDS else _FIRST_TRIES
    if not before and tries > 1:
        context.wait(_SETTLE_SECONDS)
    answer = context.wire.send(carrying(canary.key))
    for look in range(1, tries * _LOOKS):
        if _alarms(context, canary) > before:
            return canary, answer, True
        context.wait(_LOOK_SECONDS)
        if look % _LOOKS == 0:
            answer = context.wire.send(carrying(canary.key))
    return canary, answer, _alarms(context, canary) > before


def _alarms(context: AttackContext, canary: DrillHoneytoken) -> int:
    """Return how many alarms a canary raised; a service that is too busy to say is asked again for three seconds."""
    operator = context.operating()
    for _ in range(_LOOKS - 1):
        try:
            return operator.alarms(canary)
        except UnavailableError:
            context.wait(_LOOK_SECONDS)
    return operator.alarms(canary)


def _told_apart(context: AttackContext) -> Attempts:
    """Look whether the thief can tell a canary by its answer from a request that is refused for any other token.

    A difference counts that shows each time: one answer may differ for a reason of the moment, such as a busy server.
    """
    sample = context.sample()

    def both() -> tuple[Answer, bool]:
        genuine = _by_instance(context, sample, sample.call())
        ordinary = context.wire.send(genuine.with_header("Watchword-Token", "not-a-token"))
        _, answer, _ = _used(
            context, lambda key: _by_instance(context, sample, _in_header(sample.call(), key))
        )
        return answer, _looks(answer) != _looks(ordinary)

    answer, differs = both()
    for _ in range(_TRIES - 1):
        if differs:
            answer, differs = both()
    return [Attempt(sample, answer, leaked="its answer gives the canary away" * differs)]


def _looks(answer: Answer) -> tuple[object, ...]:
    """Return what a stranger sees of a refusal, but for what differs from one to the next."""
    names = [name.lower() for name, _ in answer.headers if name.lower() not in _CHANGING]
    document = answer.problem or {}
    # A lab tells reasons, and shows by them what it took the request for; elsewhere nobody is told.
    words = {name: document[name] for name in ("type", "title", "status") if name in document}
    return answer.status, answer.public_class, sorted(names), sorted(words.items(), key=str)


_CANARY = frozenset({Reason.SECRET_CANARY})

ATTACK = Attack(
    id="canary-used",
    title="Use a key that was planted for thieves",
    techniques=("MT-A02",),
    protections={"PR-B23": "live:decoy.hits"},
    needs=(Need.GENUINE, Need.OPERATOR),
    sends="If canary keys are planted: one more, made for this run and removed after it. It goes to the places where "
    "keys stand, by a script and beside a genuine token.",
    must="Each is refused like any other request, in the same words, and the operator gets an alarm.",
    blind="It doesn't know whether canaries lie where thieves look, nor who reads the alarms.",
    variants=(
        Variant("by-script", _using(_in_header, _by_script), _CANARY | {Reason.TOKEN_MISSING}),
        Variant("in-a-header", _using(_in_header, _by_instance), _CANARY),
        Variant("as-bearer", _using(_as_bearer, _by_instance), _CANARY),
        Variant("as-basic", _using(_as_basic, _by_instance), _CANARY),
        Variant("in-the-query", _using(_in_query, _by_instance), _CANARY),
        Variant("told-apart", _told_apart, _CANARY),
    ),
)
