"""Call the API itself, around the gate."""

from collections.abc import Callable

from watchword.drill.around import RESULT_NAMES, armed
from watchword.drill.interface import Arena, Attack, Attempt, Attempts, Need, Sample, Variant
from watchword.drill.requests import behind_the_gate
from watchword.drill.tokens import assembled, digest_of, header_of, new_key
from watchword.drill.wire import Answer, Call, Part, TargetLostError

_VERDICT_TYPE = "watchword-verdict+jwt"
_LIFE = 30


def _around(arena: Arena, made: Callable[[Arena, Sample], Call]) -> Attempts:
    arena.wire.scheme(Part.UPSTREAM)  # Without its address there is nothing to try.
    attempts = []
    for sample in armed(arena):
        answer = _sent(arena, behind_the_gate(made(arena, sample)))
        attempts.append(Attempt(sample, answer))
        if answer.status == 0:
            break  # Who can't be reached isn't asked again: each time would take until the timeout.
    return attempts


def _sent(arena: Arena, call: Call) -> Answer:
    """Return the answer; an API that can't be reached from here is closed as well as one that refuses."""
    try:
        return arena.wire.send(call)
    except TargetLostError:
        return Answer(0)


def _script(arena: Arena) -> Attempts:
    return _around(arena, lambda _, sample: sample.call())


def _as_the_gate(arena: Arena) -> Attempts:
    return _around(arena, _vouched)


def _vouched(arena: Arena, sample: Sample) -> Call:
    """Return the sample with all that the gate adds, the verdict among it signed by a key of one's own."""
    now, key, call = int(arena.now()), new_key(arena), sample.call()
    claims = {
        "iss": arena.facts.issuer,
        "aud": arena.facts.audience,
        "sub": digest_of(arena.facts.audience),
        "lvl": "hardware",
        "app": next(iter(arena.facts.audiences), "app"),
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
    sends="Each sample to the API's own address: as a script, and with the headers of the gate and a verdict that it didn't sign.",
    must="Nobody answers there, or the API asks for the gate's signed verdict and refuses.",
    blind="It tells what whoever reaches that address from here gets, not who else can reach it: "
    "on the gate's own machine that is nobody from outside. It finds no other address of the API.",
    variants=(Variant("script", _script), Variant("dressed-as-the-gate", _as_the_gate)),
)
