"""Ask for a secret without being one of those to whom it is handed."""

from typing import Final

from watchword.client import TestInstanceDevice
from watchword.drill.enrolment import enrol, enrol_genuine
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    Held,
    MissingError,
    Need,
    Phone,
    Variant,
)
from watchword.drill.third_party_keys import (
    DELIVERED_EVIDENCE,
    ask,
    injected_sample,
    judged_by_service,
    receiver,
    served_with,
)
from watchword.reasons import Reason
from watchword.vocabulary import Level, Platform

_HEX_BYTES: Final = 8
_WEAKER: Final = (Level.VERIFIED, Level.SOFTWARE)


def _below_level(context: AttackContext) -> Attempts:
    """Ask as an instance that is vouched for less, by the operator's own word."""
    held, rule = receiver(context)
    served_with(context, held, rule)
    for level in _WEAKER:
        if not level.satisfies(rule.level):
            weak = _invited(context, held.phone, level)
            return [judged_by_service(context, ask(context, weak, rule.secret))]
    raise MissingError(Need.DELIVERY, "one that asks for more than the lowest level")


def _invited(context: AttackContext, like: Phone, level: Level) -> Held:
    code = context.operating().invite(like.app, level)
    phone = Phone("test-instance", like.app, like.platform, TestInstanceDevice(code))
    enrolled = enrol(context, phone)
    if enrolled.held is None:
        raise MissingError(Need.GENUINE, f"one of level {level.value}: {enrolled.answer.status}")
    return enrolled.held


def _another_app(context: AttackContext) -> Attempts:
    """Ask as the genuine instance of an app to which the secret isn't handed."""
    for rule in context.facts.deliveries.values():
        for platform in Platform:
            try:
                phone = context.new_genuine(platform)
            except MissingError:
                continue
            if phone.app not in rule.apps:
                held = enrol_genuine(context, platform)
                return [judged_by_service(context, ask(context, held, rule.secret))]
    raise MissingError(Need.DELIVERY, "one that isn't handed to every app of the API")


def _injected(context: AttackContext) -> Attempts:
    """Ask for a key that never leaves the server, by its name."""
    _, injection = injected_sample(context)
    return [judged_by_service(context, ask(context, context.genuine(), injection.rule.secret))]


def _unknown(context: AttackContext) -> Attempts:
    """Ask for what there isn't: the answer must be that to what isn't handed out."""
    held, _ = receiver(context)
    name = f"drill-{context.random(_HEX_BYTES).hex()}"
    return [judged_by_service(context, ask(context, held, name))]


def _revoked(context: AttackContext) -> Attempts:
    shared, rule = receiver(context)
    held = enrol_genuine(context, shared.phone.platform)
    served_with(context, held, rule)
    context.operating().revoke(held.instance)
    return [judged_by_service(context, ask(context, held, rule.secret))]


_NOT_HANDED_OUT = frozenset({Reason.SECRET_NOT_DELIVERED})

ATTACK = Attack(
    id="delivery-not-entitled",
    title="Ask for a key that isn't for this instance",
    techniques=("MT-B18",),
    protections={"PR-B04": DELIVERED_EVIDENCE},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="Requests for a secret by an instance below its level, by one of another app, and by a revoked one. Then "
    "requests for a key that is only injected, and for one that doesn't exist.",
    must="Each is refused, and nobody learns which secrets there are.",
    blind="The policy decides what a level is worth: the attacks on enrolment test that.",
    variants=(
        Variant("below-level", _below_level, frozenset({Reason.SECRET_LEVEL})),
        Variant("another-app", _another_app, frozenset({Reason.SECRET_APP})),
        Variant("lent-key", _injected, _NOT_HANDED_OUT),
        Variant("unknown-name", _unknown, _NOT_HANDED_OUT),
        Variant("revoked-instance", _revoked, frozenset({Reason.INSTANCE_REVOKED})),
    ),
)
