"""Enrol and renew step by step, so that each step can be mutated, and use at the API what came of it.

Shares no code with the service that verifies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from watchword.client.session import HeldToken, Session
from watchword.client.statement import binding_of, bound_to, build_statement
from watchword.drill.interface import AttackContext, Attempt, Held, MissingError, Need, Phone
from watchword.drill.requests import genuine_call, with_token
from watchword.drill.wire import Answer, Call, Headers, Part
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.vocabulary import Platform, Proof, Purpose

ENROL: Final = "/v1/attestations"
RENEW: Final = "/v1/tokens"
CHALLENGE: Final = "/v1/challenges"

_JSON: Final = (("Content-Type", "application/json"),)
_SEAL_LABEL: Final = b"watchword/seal/v1\x00"
_GOOD: Final = frozenset({200, 201})


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Hold what was asked of the service, and what it answered.

    :param held: the instance, None where it was refused.
    """

    answer: Answer
    statement: bytes = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    held: Held | None = None


def post(
    context: AttackContext, path: str, members: Mapping[str, Any], headers: Headers = ()
) -> Answer:
    """Send a JSON object to the service."""
    body = strict_json.dumps(dict(members))
    return context.wire.send(Call(Part.SERVICE, "POST", path, (*_JSON, *headers), body))


def challenge(context: AttackContext, app: str, purpose: Purpose = Purpose.ENROL) -> str:
    """Return a fresh challenge, base64url; empty where the service gives none."""
    answer = post(context, CHALLENGE, {"app": app, "purpose": purpose.value})
    return str(_members(answer).get("challenge", ""))


def statement_of(
    context: AttackContext,
    phone: Phone,
    challenge: str,
    purpose: Purpose = Purpose.ENROL,
    audiences: Sequence[str] | None = None,
    **changes: Any,
) -> bytes:
    """Return the statement that the app makes on this phone.

    :param audiences: all that its app may ask for, where none are named.
    :param changes: members that say something else.
    """
    statement = build_statement(
        purpose=purpose,
        issuer=context.facts.issuer,
        audiences=audiences or audiences_of(context, phone),
        app=phone.app,
        challenge=challenge,
        proof_jwk=phone.device.proof_jwk,
        seal_jwk=phone.device.seal_jwk,
        bnd=binding_value(context),
    )
    if not changes:
        return statement
    return strict_json.dumps({**strict_json.loads(statement, len(statement)), **changes})


def binding_value(context: AttackContext) -> str | None:
    """Return what tokens of this API must be bound to, by the header that its samples carry; None for nothing."""
    name = context.facts.binding_header
    if name is None:
        return None
    values = [sample.call().header(name) for sample in context.samples]
    return next((bound_to(value) for value in values if value is not None), None)


def audiences_of(context: AttackContext, phone: Phone) -> list[str]:
    """Return the audiences that the app on a phone may ask for, this API's first."""
    own = context.facts.audience
    others = context.facts.audiences.get(phone.app, frozenset()) - {own}
    return [own, *sorted(others)]


def enrol(
    context: AttackContext,
    phone: Phone,
    *,
    statement: bytes | None = None,
    mutate: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    headers: Headers = (),
) -> Enrolment:
    """Enrol a phone with new keys.

    :param statement: sent in place of the app's own; then the phone's present keys are used.
    :param mutate: changes the evidence before it is sent.
    :param headers: sent beside it.
    """
    if statement is None:
        phone.device.create_keys()
        statement = statement_of(context, phone, challenge(context, phone.app))
    evidence = dict(phone.device.attest(binding_of(statement)))
    sent = evidence if mutate is None else mutate(evidence)
    return send_enrolment(context, phone, statement, sent, headers)


def enrol_genuine(context: AttackContext, platform: Platform | None = None) -> Held:
    """Enrol a genuine phone of an attack's own.

    :raises MissingError: when there is none, or the service refuses it.
    """
    enrolled = enrol(context, context.new_genuine(platform))
    if enrolled.held is None:
        raise MissingError(Need.GENUINE, f"the service refused one: {enrolled.answer.status}")
    return enrolled.held


def send_enrolment(
    context: AttackContext,
    phone: Phone,
    statement: bytes,
    evidence: Mapping[str, Any],
    headers: Headers = (),
) -> Enrolment:
    """Send a statement with evidence; both may be anything."""
    body = {"statement": base64url.encode(statement), "evidence": dict(evidence)}
    return _concluded(context, phone, post(context, ENROL, body, headers), statement, body)


def renew(
    context: AttackContext,
    held: Held,
    *,
    statement: bytes | None = None,
    mutate: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Enrolment:
    """Ask for new tokens of an instance.

    :param statement: sent in place of the app's own.
    :param mutate: changes the evidence before it is sent.
    """
    phone = held.phone
    if statement is None:
        asked = challenge(context, phone.app, Purpose.RENEW)
        statement = statement_of(context, phone, asked, Purpose.RENEW, list(held.tokens))
    evidence = dict(phone.device.renew(statement))
    return send_renewal(context, held, statement, evidence if mutate is None else mutate(evidence))


def send_renewal(
    context: AttackContext, held: Held, statement: bytes, evidence: Mapping[str, Any]
) -> Enrolment:
    """Send a renewal's statement with evidence; both may be anything."""
    body = {
        "instance": held.instance,
        "statement": base64url.encode(statement),
        "evidence": dict(evidence),
    }
    return _concluded(context, held.phone, post(context, RENEW, body), statement, body)


def again(context: AttackContext, path: str, body: Mapping[str, Any], phone: Phone) -> Enrolment:
    """Send a recorded enrolment or renewal once more, as somebody does who has caught it."""
    statement = base64url.decode(str(body["statement"]))
    return _concluded(context, phone, post(context, path, body), statement, body)


def _concluded(
    context: AttackContext, phone: Phone, answer: Answer, statement: bytes, body: Mapping[str, Any]
) -> Enrolment:
    members = _members(answer)
    if not members:
        return Enrolment(answer, statement, body)
    binding = binding_of(statement)

    def open_sealed(session_id: str, sealed: bytes) -> bytes | None:
        info = _SEAL_LABEL + binding + length_prefixed.join(session_id.encode())
        try:
            return phone.device.open_sealed(info, sealed)
        except ValueError:
            return None  # It was sealed to somebody else, who was listened to.

    given = members.get("tokens")
    listed = given if isinstance(given, list) else []
    audiences = [str(each["aud"]) for each in listed if isinstance(each, dict) and "aud" in each]
    session = Session.from_answer(
        members, audiences, context.now(), renew_share=1.0, open_sealed=open_sealed
    )
    tokens: dict[str, HeldToken] = dict(session.tokens)
    return Enrolment(
        answer, statement, body, Held(phone, session.instance, tokens, statement, body)
    )


def _members(answer: Answer) -> Mapping[str, Any]:
    if answer.status not in _GOOD:
        return {}
    return strict_json.loads(answer.body, len(answer.body))


def exploited(context: AttackContext, enrolment: Enrolment) -> Attempt:
    """Ask for the first sample with the tokens of an enrolment or a renewal, without one where it gave none.

    A refusal of the service alone stops nobody while the API takes requests without a token.
    """
    if enrolment.held is not None:
        return used(context, enrolment.held)
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    return Attempt(sample, context.wire.send(sample.call()), stops=(enrolment.answer,))


def used(context: AttackContext, held: Held) -> Attempt:
    """Ask for the first sample as an instance that should have none of it."""
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    credential = held.tokens[context.facts.audience]
    if sample.proof is Proof.SESSION and credential.session_key is None:
        # Whose session key was sealed to somebody else gets no further than with the token alone.
        return Attempt(sample, context.wire.send(with_token(sample.call(), credential.token)))
    return Attempt(sample, context.wire.send(genuine_call(context, sample, held)))
