"""Read a delivered key where it passes: in the answer, in the package, or sealed to a key of one's own."""

from watchword.drill.enrolment import enrol_genuine
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Need, Variant
from watchword.drill.third_party_keys import (
    DELIVERED_EVIDENCE,
    ask,
    heard,
    holds,
    judged_by_service,
    receiver,
    served_with,
)
from watchword.drill.wire import Answer
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _in_the_answer(context: AttackContext) -> Attempts:
    held, rule = receiver(context)
    delivery, value = served_with(context, held, rule)
    told = f"the answer carries {rule.secret} unsealed" * holds(value, heard(delivery.answer))
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    return [Attempt(sample, delivery.answer, served=(0, 1), leaked=told)]


def _in_the_samples(context: AttackContext) -> Attempts:
    """Look for the key in what every copy of the app sends: then it was never out of the package."""
    held, rule = receiver(context)
    delivery, value = served_with(context, held, rule)
    calls = [each.call() for each in context.samples]
    said = [heard(Answer(0, each.headers, each.target.encode() + each.body)) for each in calls]
    found = any(holds(value, each) for each in said)
    told = f"what every copy of the app sends holds {rule.secret}" * found
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    return [Attempt(sample, delivery.answer, served=(0, 1), leaked=told)]


def _to_another_key(context: AttackContext) -> Attempts:
    """Have the victim's phone sign for a seal key of the attacker's, as malware in the app can."""
    held, rule = receiver(context)
    thief = enrol_genuine(context, held.phone.platform)
    jwk = dict(thief.phone.device.seal_jwk)
    return [judged_by_service(context, ask(context, held, rule.secret, seal_jwk=jwk))]


ATTACK = Attack(
    id="delivery-on-the-wire",
    title="Read a delivered key on its way",
    techniques=("MT-A02", "MT-C07"),
    protections={"PR-B04": DELIVERED_EVIDENCE},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="A genuine instance's request for a secret, as it is and for a seal key that it didn't enrol with.",
    must="The answer holds the secret sealed to the key that enrolled, and nothing that the app sends holds it.",
    blind="Whoever controls the phone can read it there: a key that the gate can add doesn't belong on phones.",
    variants=(
        Variant("in-the-answer", _in_the_answer),
        Variant("in-the-samples", _in_the_samples),
        Variant("to-another-key", _to_another_key, frozenset({Reason.STATEMENT_KEY})),
    ),
)
