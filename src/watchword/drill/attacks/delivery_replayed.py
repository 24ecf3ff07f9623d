"""Get a key out of a delivery that was somebody else's: sent again, opened elsewhere, asked for in his name."""

from watchword.drill.enrolment import challenge, enrol_genuine
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Need, Variant
from watchword.drill.mutated_evidence import renewal_body
from watchword.drill.third_party_keys import (
    DELIVERED_EVIDENCE,
    ask,
    ask_again,
    judged_by_service,
    receiver,
    served_with,
)
from watchword.reasons import Reason
from watchword.vocabulary import Proof, Purpose


def _same_again(context: AttackContext) -> Attempts:
    """Send a request once more that was caught on its way."""
    held, rule = receiver(context)
    delivery, _ = served_with(context, held, rule)
    return [judged_by_service(context, ask_again(context, delivery.body, held.phone.app))]


def _opened_elsewhere(context: AttackContext) -> Attempts:
    """Open with another genuine phone what was sealed to this one."""
    held, rule = receiver(context)
    delivery, _ = served_with(context, held, rule)
    thief = enrol_genuine(context, held.phone.platform)
    opened = delivery.opened_by(thief.phone) is not None
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    told = "another instance opens it" * opened
    return [Attempt(sample, delivery.answer, served=(0, 1), leaked=told)]


def _in_anothers_name(context: AttackContext) -> Attempts:
    """Say all that the victim's app would say, and have the attacker's phone vouch for it."""
    held, rule = receiver(context)
    thief = enrol_genuine(context, held.phone.platform)
    delivery = ask(context, held, rule.secret, signing=thief.phone)
    return [judged_by_service(context, delivery)]


def _by_renewal(context: AttackContext) -> Attempts:
    """Send the renewal of an app, caught before it arrived, to where secrets are handed out."""
    held, _ = receiver(context)
    return [
        judged_by_service(context, ask_again(context, renewal_body(context, held), held.phone.app))
    ]


def _renewals_challenge(context: AttackContext) -> Attempts:
    held, rule = receiver(context)
    asked = challenge(context, held.phone.app, Purpose.RENEW)
    return [judged_by_service(context, ask(context, held, rule.secret, asked=asked))]


_SIGNATURES = frozenset(
    {
        Reason.ANDROID_SIGNATURE,
        Reason.APP_ATTEST_SIGNATURE,
        Reason.PLAY_SIGNATURE,
        Reason.EVIDENCE_SIGNATURE,
    }
)

ATTACK = Attack(
    id="delivery-replayed",
    title="Take a key from somebody else's delivery",
    techniques=("MT-B18", "MT-C05"),
    protections={"PR-B04": DELIVERED_EVIDENCE},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="A delivery's request once more, and its answer to another genuine phone. Then requests in a victim's name, "
    "by a caught renewal and with a renewal's challenge.",
    must="Each request counts once, for the instance whose phone vouches for it, and the answer opens only on that "
    "phone.",
    blind="Whoever makes the victim's phone ask gets what the phone gets, as the app does.",
    variants=(
        Variant("same-again", _same_again, frozenset({Reason.CHALLENGE_USED})),
        Variant("opened-elsewhere", _opened_elsewhere),
        Variant("in-anothers-name", _in_anothers_name, _SIGNATURES),
        Variant(
            "by-renewal",
            _by_renewal,
            frozenset({Reason.STATEMENT_PURPOSE, Reason.STATEMENT_MALFORMED}),
        ),
        Variant("challenge-of-renewal", _renewals_challenge, frozenset({Reason.CHALLENGE_UNKNOWN})),
    ),
)
