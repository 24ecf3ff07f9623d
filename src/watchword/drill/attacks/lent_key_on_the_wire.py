"""Read the third party's key off the wire, out of whatever the gate answers."""

from collections.abc import Iterator
from dataclasses import replace

from watchword.drill.interface import (
    Arena,
    Attack,
    Attempt,
    Attempts,
    Lending,
    MissingError,
    Need,
    Sample,
    Variant,
)
from watchword.drill.requests import genuine_call
from watchword.drill.third_party_keys import (
    LENT_EVIDENCE,
    as_genuine,
    at,
    beyond,
    borrowed_value,
    heard,
    holds,
    lent_samples,
)
from watchword.drill.wire import Answer, Call

_HEX_BYTES = 8


def _read(sample: Sample, answer: Answer, value: str, secret: str) -> Attempt:
    told = f"the answer carries the key {secret}" * holds(value, heard(answer))
    return Attempt(sample, answer, served=(0, 1), leaked=told)


def _answers(arena: Arena) -> Attempts:
    attempts = []
    for sample, lending in lent_samples(arena):
        value = borrowed_value(arena, lending)
        answer = arena.wire.send(as_genuine(arena, sample, sample.call()))
        attempts.append(_read(sample, answer, value, lending.rule.secret))
    return attempts


def _talkative(arena: Arena) -> Attempts:
    """Ask so that servers tell what they were asked: for traces, and for their own opinion of a request."""
    attempts = []
    for sample, lending in lent_samples(arena):
        value = borrowed_value(arena, lending)
        for call in _provoking(sample):
            answer = arena.wire.send(as_genuine(arena, sample, call))
            attempts.append(_read(sample, answer, value, lending.rule.secret))
    return attempts


def _provoking(sample: Sample) -> Iterator[Call]:
    call = sample.call()
    yield call.with_header("Max-Forwards", "0").with_header("Accept", "message/http")
    yield call.with_header("X-HTTP-Method-Override", "TRACE").with_header("X-Debug", "1")
    yield call.with_header("Range", "bytes=0-").with_header("If-None-Match", "*")


def _refusals(arena: Arena) -> Attempts:
    """Have the gate refuse where a key would be added: what it says of it must not hold the key."""
    attempts = []
    for sample, lending in lent_samples(arena):
        value = borrowed_value(arena, lending)
        for call in _refused(arena, sample, lending):
            answer = arena.wire.send(as_genuine(arena, sample, call))
            attempts.append(_read(sample, answer, value, lending.rule.secret))
    return attempts


def _refused(arena: Arena, sample: Sample, lending: Lending) -> Iterator[Call]:
    yield at(sample, beyond(lending, f"/{arena.random(_HEX_BYTES).hex()}"))
    yield at(sample, beyond(lending, "/%2e%2e/x"))
    yield replace(sample.call(), method="TRACE", body=b"")


def _elsewhere(arena: Arena) -> Attempts:
    """Ask the API itself, which must not be sent what is the third party's."""
    own = [each for each in arena.guarded if each.echo and each.lending is None]
    if not own:
        raise MissingError(Need.ECHO)
    sample = own[0]
    answer = arena.wire.send(genuine_call(arena, sample, arena.genuine()))
    attempts = []
    for _, lending in lent_samples(arena):
        value = borrowed_value(arena, lending)
        attempts.append(_read(sample, answer, value, lending.rule.secret))
    return attempts


ATTACK = Attack(
    id="lent-key-on-the-wire",
    title="Read a lent key off the wire",
    techniques=("MT-C07", "MT-B18"),
    protections={"PR-B06": LENT_EVIDENCE},
    needs=(Need.GENUINE, Need.KEYS),
    sends="Genuine requests to the routes that lend a key, as they are and so that servers tell what they were sent, and such as the gate refuses; "
    "one to the API itself.",
    must="No answer carries the key, in whatever writing, and the API isn't sent it.",
    blind="It sees what comes back to the app, not what passes between gate and third party: that is TLS, to the one origin of the file. "
    "Of a key that the third party writes in a way of its own nothing is found.",
    variants=(
        Variant("answers", _answers),
        Variant("talkative", _talkative),
        Variant("refusals", _refusals),
        Variant("the-api-itself", _elsewhere),
    ),
)
