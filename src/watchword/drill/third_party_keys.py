"""Ask for secrets step by step, and third parties through the gate that injects their keys; look for keys in what comes back.

Shares no code with the service that seals.
"""

import base64
import json
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchword.broker.interface import DeliveryRule
from watchword.client.statement import binding_of
from watchword.drill.enrolment import challenge, enrol_genuine, post, statement_of
from watchword.drill.interface import (
    AttackContext,
    Attempt,
    Held,
    Injection,
    MissingError,
    Need,
    Phone,
    Sample,
)
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import credential_of, proved
from watchword.drill.wire import Answer, Call
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.reasons import MalformedError
from watchword.vocabulary import Mode, Platform, Proof, Purpose

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


def rules_for(context: AttackContext, app: str) -> Iterator[DeliveryRule]:
    """Yield what is handed to an app, in the order of the file."""
    return (rule for rule in context.facts.deliveries.values() if app in rule.apps)


def receiver(context: AttackContext) -> tuple[Held, DeliveryRule]:
    """Return a genuine instance and a secret that is handed to its app.

    :raises MissingError: when there is none.
    """
    held = context.genuine()
    rule = next(rules_for(context, held.phone.app), None)
    if rule is not None:
        return held, rule
    # The shared one is of another app; one of the other platform may be of one that gets something.
    for platform in Platform:
        try:
            phone = context.new_genuine(platform)
        except MissingError:
            continue
        rule = next(rules_for(context, phone.app), None)
        if rule is not None:
            return enrol_genuine(context, platform), rule
    raise MissingError(Need.DELIVERY)


def served_with(context: AttackContext, held: Held, rule: DeliveryRule) -> tuple[Delivery, str]:
    """Return a delivery to whom it is meant for, and the secret in it: what an attack begins with.

    :raises MissingError: when the service hands out nothing, or nothing that opens.
    """
    delivery = ask(context, held, rule.secret)
    value = delivery.opened_by(held.phone)
    if value is None:
        raise MissingError(Need.DELIVERY, f"{rule.secret}: got {delivery.answer.status}")
    return delivery, value


def ask(
    context: AttackContext,
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
    fresh = challenge(context, phone.app, Purpose.SECRET) if asked is None else asked
    members = {"secret": secret} if purpose is Purpose.SECRET else {}
    statement = statement_of(
        context, phone, fresh, purpose, list(held.tokens), **{**members, **changes}
    )
    body = {
        "instance": held.instance,
        "statement": base64url.encode(statement),
        "evidence": dict((signing or phone).device.renew(statement)),
    }
    return ask_again(context, body, phone.app)


def ask_again(context: AttackContext, body: Mapping[str, Any], app: str) -> Delivery:
    """Send a request for a secret as it was recorded."""
    answer = post(context, SECRETS, body)
    members: Mapping[str, Any] = {}
    if answer.status == _GOOD:
        members = strict_json.loads(answer.body, len(answer.body))
    return Delivery(answer, app, base64url.decode(str(body["statement"])), body, members)


def judged_by_service(context: AttackContext, delivery: Delivery) -> Attempt:
    """Return the attempt of somebody who mustn't be handed a secret: an answer that holds one is what is served."""
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    told = "the service handed the secret out" if delivery.members.get("sealed") else ""
    return Attempt(sample, delivery.answer, leaked=told)


_REFUSED_BY_THIRD: Final = frozenset({401, 403})
_UNRESERVED: Final = frozenset(f"{string.ascii_letters}{string.digits}-._~")
"""Characters that need no percent-encoding (RFC 3986 section 2.3)."""

_GROUP: Final = 3
_LEAST: Final = 8
"""Values of fewer signs are found anywhere by chance."""

INJECTED_EVIDENCE: Final = "live:broker.lent"
"""Evidence of PR-B06: that a deployment injects keys, and to nobody else."""


def injected_samples(context: AttackContext) -> tuple[tuple[Sample, Injection], ...]:
    """Return the samples that a third party answers, each with what is injected for it.

    :raises MissingError: when there is none.
    """
    found = tuple(
        (each, each.injection)
        for each in context.samples
        if each.injection is not None and each.mode is not Mode.OFF
    )
    if not found:
        raise MissingError(Need.INJECTED_ROUTE)
    return found


def injected_sample(context: AttackContext) -> tuple[Sample, Injection]:
    """Return the first of them; raises as :func:`injected_samples` does."""
    return injected_samples(context)[0]


def as_genuine(
    context: AttackContext, sample: Sample, call: Call, held: Held | None = None
) -> Call:
    """Return a call with the token and the proof of a genuine instance, the shared one where none is given.

    :raises MissingError: when there is none.
    """
    credential = credential_of(held or context.genuine(), context.facts.audience)
    return proved(context, call, credential, sample.proof)


def beyond(injection: Injection, path: str) -> str:
    """Return the target under which the gate asks the third party for a path."""
    return injection.mount + path


def there(sample: Sample, injection: Injection) -> str:
    """Return the path of a sample as the third party is asked for it."""
    return sample.target.partition("?")[0].removeprefix(injection.mount)


def at(sample: Sample, path: str, *, query: bool = True) -> Call:
    """Return the sample's request under another path, with its own query."""
    _, mark, words = sample.target.partition("?")
    return replace(sample.call(), target=path + (mark + words if query else ""))


def borrowed_value(context: AttackContext, injection: Injection) -> str:
    """Return the key that is injected now, to be looked for.

    :raises MissingError: when it can't be borrowed.
    """
    injected = context.borrowed().injected(injection.rule.secret)
    if injected is None or len(injected.value.text) < _LEAST:
        raise MissingError(Need.KEYS, f"the gate injects nothing for {injection.rule.secret}")
    return injected.value.text


def percent_encoded(text: str) -> str:
    """Return visible ASCII as it stands in the value of a parameter."""
    return "".join(each if each in _UNRESERVED else f"%{ord(each):02X}" for each in text)


def holds(value: str, data: bytes) -> bool:
    """Tell whether data holds a key, plain or in one of the writings that servers put things into.

    Looked for: as it is, percent-encoded, as JSON writes it, in hexadecimal, in base64 and base64url from each of the three
    bytes on which it may begin; case aside.
    """
    text = data.decode("latin-1").lower()
    return any(form in text for form in _forms(value))


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield value.lower()
    yield percent_encoded(value).lower()
    yield json.dumps(value)[1:-1].lower()
    yield raw.hex()
    for before in range(_GROUP):
        # What stands in groups that the value fills alone is the same, whatever is before and behind it.
        coded = base64.b64encode(b"\x00" * before + raw)
        start = 0 if before == 0 else 4
        whole = coded[start : (before + len(raw)) // _GROUP * 4].decode()
        if len(whole) >= _LEAST:
            yield whole.lower()
            yield whole.replace("+", "-").replace("/", "_").lower()


def heard(answer: Answer) -> bytes:
    """Return all that an answer says: its headers and its body."""
    lines = "\n".join(f"{name}: {value}" for name, value in answer.headers)
    return lines.encode("latin-1", "replace") + b"\n" + answer.body


def unchanged(sample: Sample, answer: Answer, control: Answer, told: str = "") -> Attempt:
    """Return the attempt of somebody who tried to change what the third party is asked, or with which key.

    Where it is answered as before, nothing was changed; where the third party itself refuses, or answers otherwise, something was.

    :param control: the answer to the same request without the attempt.
    :param told: what was found in the answer, empty for nothing.
    """
    if not told and answer.public_class is None and answer.status in _REFUSED_BY_THIRD:
        told = f"the third party refused with {answer.status}: it wasn't sent our key"
    if not told and is_of_the_api(answer) and answer.status != control.status:
        told = f"answered {answer.status} in place of {control.status}: something else was asked"
    return Attempt(sample, answer, served=(0, 1), leaked=told)
