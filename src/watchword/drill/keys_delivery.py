"""Ask the service for a secret step by step, so that each step can be bent; shares no code with the service that seals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from watchword.broker.interface import DeliveryRule
from watchword.client.statement import binding_of
from watchword.drill.enrolling import challenge, enrol_genuine, post, statement_of
from watchword.drill.interface import Arena, Attempt, Held, Phone
from watchword.drill.needs import MissingError, Need
from watchword.drill.wire import Answer
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.reasons import MalformedError
from watchword.vocabulary import Platform, Proof, Purpose

SECRETS: Final = "/v1/secrets"

DELIVERED_EVIDENCE: Final = "live:secrets.delivered"
"""Evidence of PR-B04: that a deployment hands keys to attested instances, and to nobody else."""

_LABEL: Final = b"watchword/secret/v1\x00"
_GOOD: Final = 200
_TEXT: Final = (MalformedError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold what was asked of the service, and what it answered.

    :param body: the request's members, as sent: what an interceptor holds.
    :param members: of the answer; empty where it was refused.
    """

    answer: Answer
    app: str
    statement: bytes = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    members: Mapping[str, Any] = field(repr=False)

    def opened_by(self, phone: Phone) -> str | None:
        """Return the secret as the app on a phone reads it, None where this phone can't."""
        try:
            sealed = base64url.decode(str(self.members["sealed"]))
            info = self._info()
            return phone.device.open_sealed(info, sealed).decode()
        except _TEXT:
            return None

    def _info(self) -> bytes:
        """Return what the sealed secret is bound to (docs/sealed-delivery.md)."""
        parts = (self.app, *(self.members[name] for name in ("name", "version", "lease")))
        ends = self.members["expires_at"]
        joined = length_prefixed.join(*(str(each).encode() for each in (*parts, ends)))
        return _LABEL + binding_of(self.statement) + joined


def rules_for(arena: Arena, app: str) -> Iterator[DeliveryRule]:
    """Yield what is handed to an app, in the order of the file."""
    return (rule for rule in arena.facts.deliveries.values() if app in rule.apps)


def receiver(arena: Arena) -> tuple[Held, DeliveryRule]:
    """Return a genuine instance and a secret that is handed to its app.

    :raises MissingError: when there is none.
    """
    held = arena.genuine()
    rule = next(rules_for(arena, held.phone.app), None)
    if rule is not None:
        return held, rule
    # The shared one is of another app; one of the other platform may be of one that gets something.
    for platform in Platform:
        try:
            phone = arena.new_genuine(platform)
        except MissingError:
            continue
        rule = next(rules_for(arena, phone.app), None)
        if rule is not None:
            return enrol_genuine(arena, platform), rule
    raise MissingError(Need.DELIVERY)


def served_with(arena: Arena, held: Held, rule: DeliveryRule) -> tuple[Delivery, str]:
    """Return a delivery to whom it is meant for, and the secret in it: what an attack begins with.

    :raises MissingError: when the service hands out nothing, or nothing that opens.
    """
    delivery = ask(arena, held, rule.secret)
    value = delivery.opened_by(held.phone)
    if value is None:
        raise MissingError(Need.DELIVERY, f"{rule.secret}: got {delivery.answer.status}")
    return delivery, value


def ask(
    arena: Arena,
    held: Held,
    secret: str,
    *,
    signing: Phone | None = None,
    asked: str | None = None,
    purpose: Purpose = Purpose.SECRET,
    **changes: Any,
) -> Delivery:
    """Ask for a secret as an instance, or nearly so.

    :param signing: whose phone vouches for the statement, where it isn't the instance's.
    :param asked: the challenge, where it isn't a fresh one for this.
    :param purpose: what the statement says that it is for.
    :param changes: members of the statement that say something else.
    """
    phone = held.phone
    fresh = challenge(arena, phone.app, Purpose.SECRET) if asked is None else asked
    members = {"secret": secret} if purpose is Purpose.SECRET else {}
    statement = statement_of(
        arena, phone, fresh, purpose, list(held.tokens), **{**members, **changes}
    )
    body = {
        "instance": held.instance,
        "statement": base64url.encode(statement),
        "evidence": dict((signing or phone).device.renew(statement)),
    }
    return ask_again(arena, body, phone.app)


def ask_again(arena: Arena, body: Mapping[str, Any], app: str) -> Delivery:
    """Send a request for a secret as it was recorded."""
    answer = post(arena, SECRETS, body)
    members: Mapping[str, Any] = {}
    if answer.status == _GOOD:
        members = strict_json.loads(answer.body, len(answer.body))
    return Delivery(answer, app, base64url.decode(str(body["statement"])), body, members)


def judged_by_service(arena: Arena, delivery: Delivery) -> Attempt:
    """Return the attempt of somebody who mustn't be handed a secret: an answer that holds one is what is served."""
    sample = arena.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    told = "the service handed the secret out" if delivery.members.get("sealed") else ""
    return Attempt(sample, delivery.answer, leaked=told)
