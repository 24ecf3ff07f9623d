"""Make many instances with one genuine phone, so that each limit is there as often as the phone likes."""

from typing import Final

from watchword.drill.enrolment import Enrolment, enrol, exploited, used
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    Held,
    MissingError,
    Need,
    Variant,
)
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import genuine_call
from watchword.drill.volume import MAX_REQUESTS, TOO_SLOW, allowed_in, excess, limit_of
from watchword.reasons import Reason
from watchword.vocabulary import Proof

INSTANCES: Final = 3
"""Instances of one device among which its requests are spread; policies allow a device as many."""

MAX_ENROLMENTS: Final = 120
"""Most enrolments of the attack by address."""

_BEYOND: Final = 10
_NAMED_BY_ITS_EVIDENCE: Final = "rkp-android"
# 192.0.2.0/24 and 203.0.113.0/24 are for documentation (RFC 5737): nobody's.
_OWN: Final = "192.0.2.66"


def _one_device(context: AttackContext) -> Attempts:
    """Spread more requests than one instance may send over several of one phone."""
    requests, seconds = limit_of(context)
    # The phone holds the keys of its last instance alone: a device proof is that one's.
    sample = context.sample(Proof.BEARER, Proof.SESSION)
    phone = context.phone(_NAMED_BY_ITS_EVIDENCE)
    held = [_held(enrol(context, phone)) for _ in range(INSTANCES)]
    began = context.now()
    answers = [
        context.wire.send(genuine_call(context, sample, held[number % INSTANCES]))
        for number in range(MAX_REQUESTS)
    ]
    allowed = allowed_in((requests, seconds), context.now() - began)
    return [excess(sample, answers, is_of_the_api, allowed)]


def _held(enrolment: Enrolment) -> Held:
    if enrolment.held is None:
        status = enrolment.answer.status
        raise MissingError(Need.GENUINE, f"the service refused a further instance: {status}")
    return enrolment.held


def _one_address(context: AttackContext) -> Attempts:
    """Enrol from one address, which says each time that it is somebody else's proxy."""
    rate = context.facts.enrolments
    if rate is None or rate[0] + _BEYOND > MAX_ENROLMENTS:
        raise MissingError(Need.ADDRESSES)
    # How many instances there are bounds nothing while one of them may send what it likes.
    limit_of(context)
    phone = context.new_genuine()
    began = context.now()
    made = []
    for number in range(rate[0] + _BEYOND):
        said = ("X-Forwarded-For", f"203.0.113.{number + 1}, {_OWN}")
        made.append(enrol(context, phone, headers=(said,)))
    enrolled = [each.held for each in made if each.held is not None]
    refused = [each for each in made if each.held is None]
    beyond = enrolled[allowed_in(rate, context.now() - began) :]
    if beyond:
        return [used(context, held) for held in beyond]
    if not refused:
        raise MissingError(Need.ADDRESSES, TOO_SLOW)
    return [exploited(context, each) for each in refused[:1]]


ATTACK = Attack(
    id="instances-in-bulk",
    title="Multiply limits by making instances with one phone",
    techniques=("MT-B04", "MT-B07", "MT-B11"),
    protections={"PR-B11": "live:gateway.limits"},
    needs=(Need.SERVICE, Need.PHONES),
    sends=f"{MAX_REQUESTS} requests of {INSTANCES} instances of one genuine phone, in turn. Then at most {MAX_ENROLMENTS} enrolments of one phone from one "
    "address, each with another forged entry in X-Forwarded-For.",
    must="Instances of a device that its evidence names share its rate. One address enrols no more than its limit, "
    "whatever it writes.",
    blind="Instances of an iPhone, or of an Android phone with a factory's key, have a rate each, because their "
    "evidence names no device. It sends from one address; against many, only the app's limit helps.",
    variants=(
        Variant("one-device", _one_device, frozenset({Reason.GATE_RATE})),
        Variant("one-address", _one_address, frozenset({Reason.ENROLMENT_LIMIT})),
    ),
    alone=True,
)
