"""Call the API itself, around the gate."""

from collections.abc import Callable

from watchword.drill.around import RESULT_NAMES, armed
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    Need,
    Sample,
    Variant,
)
from watchword.drill.requests import behind_the_gate
from watchword.drill.tokens import assembled, digest_of, header_of, new_key
from watchword.drill.wire import Answer, Call, Part, TargetLostError

_VERDICT_TYPE = "watchword-verdict+jwt"
_LIFE = 30


def _around(context: AttackContext, made: Callable[[AttackContext, Sample], Call]) -> Attempts:
    context.wire.scheme(Part.UPSTREAM)  # Without its address there is nothing to try.
    attempts = []
    for sample in armed(context):
        answer = _sent(context, behind_the_gate(made(context, sample)))
        attempts.append(Attempt(sample, answer))
        if answer.status == 0:
            break  # Who can't be reached isn't asked again: each time would take until the timeout.
    return attempts


def _sent(context: AttackContext, call: Call) -> Answer:
    """Return the answer; an API that can't be reached from here is closed as well as one that refuses."""
    try:
        return context.wire.send(call)
    except TargetLostError:
        return Answer(0)


def _script(context: AttackContext) -> Attempts:
    return _around(context, lambda _, sample: sample.call())


def _as_the_gate(context: AttackContext) -> Attempts:
    return _around(context, _vouched)


def _vouched(context: AttackContext, sample: Sample) -> Call:
    """Return the sample with all that the gate adds, the verdict among it signed by a key of one's own."""
    now, key, call = int(context.now()), new_key(context), sample.call()
    claims = {
        "iss": context.facts.issuer,
        "aud": context.facts.audience,
        "sub": digest_of(context.facts.audience),
        "lvl": "hardware",
        "app": next(iter(context.facts.audiences), "app"),
        "htm": sample.method,
        "tgt": digest_of(sample.target),
        "iat": now,
        "exp": now + _LIFE,
    }
    verdict = assembled(header_of(key.kid, typ=_VERDICT_TYPE), claims, key)
    values = (claims["sub"], "hardware", claims["app"], verdict)
    for name, value in zip(RESULT_NAMES, values, strict=True):
        call = call.with_header(name, str(value))
    return call.with_header("Via", "1.1 watchword")


ATTACK = Attack(
    id="upstream-direct",
    title="Call the API around its gate",
    techniques=("MT-B02", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.UPSTREAM,),
    sends="Each sample to the API's own address: as a script, and with the gate's headers and a verdict that the gate "
    "didn't sign.",
    must="Nobody answers there, or the API asks for the gate's signed verdict and refuses.",
    blind="It shows what can be reached from here, not who else can reach that address: on the gate's own machine, "
    "nobody from outside. It finds no other address of the API.",
    variants=(Variant("script", _script), Variant("dressed-as-the-gate", _as_the_gate)),
)
