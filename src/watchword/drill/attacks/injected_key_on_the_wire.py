"""Read the third party's key off the wire, out of whatever the gate answers."""

from collections.abc import Iterator
from dataclasses import replace

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    Injection,
    MissingError,
    Need,
    Sample,
    Variant,
)
from watchword.drill.requests import genuine_call
from watchword.drill.third_party_keys import (
    INJECTED_EVIDENCE,
    as_genuine,
    at,
    beyond,
    borrowed_value,
    heard,
    holds,
    injected_samples,
)
from watchword.drill.wire import Answer, Call

_HEX_BYTES = 8


def _read(sample: Sample, answer: Answer, value: str, secret: str) -> Attempt:
    told = f"the answer carries the key {secret}" * holds(value, heard(answer))
    return Attempt(sample, answer, served=(0, 1), leaked=told)


def _answers(context: AttackContext) -> Attempts:
    attempts = []
    for sample, injection in injected_samples(context):
        value = borrowed_value(context, injection)
        answer = context.wire.send(as_genuine(context, sample, sample.call()))
        attempts.append(_read(sample, answer, value, injection.rule.secret))
    return attempts


def _talkative(context: AttackContext) -> Attempts:
    """Ask so that servers tell what they were asked: for traces, and for their own opinion of a request."""
    attempts = []
    for sample, injection in injected_samples(context):
        value = borrowed_value(context, injection)
        for call in _provoking(sample):
            answer = context.wire.send(as_genuine(context, sample, call))
            attempts.append(_read(sample, answer, value, injection.rule.secret))
    return attempts


def _provoking(sample: Sample) -> Iterator[Call]:
    call = sample.call()
    yield call.with_header("Max-Forwards", "0").with_header("Accept", "message/http")
    yield call.with_header("X-HTTP-Method-Override", "TRACE").with_header("X-Debug", "1")
    yield call.with_header("Range", "bytes=0-").with_header("If-None-Match", "*")


def _refusals(context: AttackContext) -> Attempts:
    """Have the gate refuse where a key would be added: what it says of it must not hold the key."""
    attempts = []
    for sample, injection in injected_samples(context):
        value = borrowed_value(context, injection)
        for call in _refused(context, sample, injection):
            answer = context.wire.send(as_genuine(context, sample, call))
            attempts.append(_read(sample, answer, value, injection.rule.secret))
    return attempts


def _refused(context: AttackContext, sample: Sample, injection: Injection) -> Iterator[Call]:
    yield at(sample, beyond(injection, f"/{context.random(_HEX_BYTES).hex()}"))
    yield at(sample, beyond(injection, "/%2e%2e/x"))
    yield replace(sample.call(), method="TRACE", body=b"")


def _elsewhere(context: AttackContext) -> Attempts:
    """Ask the API itself, which must not be sent what is the third party's."""
    own = [each for each in context.guarded if each.echo and each.injection is None]
    if not own:
        raise MissingError(Need.ECHO)
    sample = own[0]
    answer = context.wire.send(genuine_call(context, sample, context.genuine()))
    attempts = []
    for _, injection in injected_samples(context):
        value = borrowed_value(context, injection)
        attempts.append(_read(sample, answer, value, injection.rule.secret))
    return attempts


ATTACK = Attack(
    id="lent-key-on-the-wire",
    title="Read an injected key off the wire",
    techniques=("MT-C07", "MT-B18"),
    protections={"PR-B06": INJECTED_EVIDENCE},
    needs=(Need.GENUINE, Need.KEYS),
    sends="Genuine requests to the routes that inject a key: unchanged, so that servers repeat what they were sent, "
    "and such as the gate refuses. Then one to the API itself.",
    must="No answer carries the key, in any encoding, and the API isn't sent it.",
    blind="It sees what comes back to the app. It doesn't see what passes between gate and third party, which is TLS "
    "to the one origin of the file. If the third party writes the key in an encoding of its own, it isn't found.",
    variants=(
        Variant("answers", _answers),
        Variant("talkative", _talkative),
        Variant("refusals", _refusals),
        Variant("the-api-itself", _elsewhere),
    ),
)
