"""Make instances and accounts by the dozen, with one phone's evidence or with none."""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.client.statement import binding_of, build_statement
from watchword.drill.enrolment import (
    ENROL,
    Enrolment,
    audiences_of,
    challenge,
    enrol_genuine,
    exploited,
    send_enrolment,
    statement_of,
)
from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Phone, Variant
from watchword.drill.tokens import new_key
from watchword.drill.volume import disguised, each_of, tallied
from watchword.drill.wire import Call, Part
from watchword.encoding import base64url, strict_json
from watchword.reasons import Reason
from watchword.tokens.jose import jwk_from_public_key
from watchword.vocabulary import Purpose

MANY = 20
"""Instances or accounts that are made."""

_GOOD = frozenset({200, 201})
_JSON = (("Content-Type", "application/json"),)


def _enrolled(context: AttackContext, phone: Phone, evidence: Mapping[str, Any]) -> Enrolment:
    """Enrol a key of the script's own, with a challenge of its own and evidence that is not of this key."""
    own = dict(jwk_from_public_key(new_key(context).public))
    statement = build_statement(
        purpose=Purpose.ENROL,
        issuer=context.facts.issuer,
        audiences=audiences_of(context, phone),
        app=phone.app,
        challenge=challenge(context, phone.app),
        # On Android the attested key proves requests, and the statement names none.
        proof_jwk=None if phone.device.proof_jwk is None else own,
        seal_jwk=dict(jwk_from_public_key(new_key(context).public)),
    )
    return send_enrolment(context, phone, statement, evidence)


def _one_evidence(context: AttackContext) -> Attempts:
    """Bring the evidence of one genuine phone for each of many keys."""
    held = enrol_genuine(context)
    evidence = held.body["evidence"]
    return [exploited(context, _enrolled(context, held.phone, evidence)) for _ in range(MANY)]


def _no_phone(context: AttackContext) -> Attempts:
    """Bring nothing that a phone said: an empty chain, an attestation of noise, a format of one's own."""
    phone = context.new_genuine()
    noise = base64url.encode(context.random(64))
    kinds: Sequence[Mapping[str, Any]] = (
        {"format": "android-key", "chain": [noise]},
        {"format": "android-key", "chain": []},
        {"format": "app-attest", "attestation": noise, "key_id": noise},
        {"format": "none"},
    )
    return [
        exploited(context, _enrolled(context, phone, kinds[number % len(kinds)]))
        for number in range(MANY)
    ]


def _one_challenge(context: AttackContext) -> Attempts:
    """Send one genuine enrolment many times at one moment: it's one instance, however often it's sent."""
    phone = context.new_genuine()
    phone.device.create_keys()
    statement = statement_of(context, phone, challenge(context, phone.app))
    evidence = dict(phone.device.attest(binding_of(statement)))
    body = strict_json.dumps({"statement": base64url.encode(statement), "evidence": evidence})
    answers = context.wire.send_together([Call(Part.SERVICE, "POST", ENROL, _JSON, body)] * MANY)
    sample = context.sample()
    refused = [each for each in answers if each.status not in _GOOD]
    beyond = len(answers) - len(refused) - 1
    if beyond > 0:
        return [Attempt(sample, answers[0], served=(beyond, MANY - 1))]
    kinds = {(each.status, each.reasons): each for each in refused}
    return [Attempt(sample, context.wire.send(sample.call()), stops=tuple(kinds.values()))]


def _sign_ups(context: AttackContext) -> Attempts:
    """Send what creates something, as a script does that registers accounts."""
    sample = context.sample(body=True)
    calls = (disguised(sample.call(), number) for number in range(MANY))
    return [tallied(sample, each_of(context, calls))]


_UNREADABLE = frozenset(
    {
        Reason.EVIDENCE_MALFORMED,
        Reason.EVIDENCE_FORMAT_UNKNOWN,
        Reason.EVIDENCE_PLATFORM,
        Reason.ATTESTATION_CHAIN_LENGTH,
    }
)

ATTACK = Attack(
    id="accounts-in-bulk",
    title="Make instances and accounts by the dozen",
    techniques=("MT-B07",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(),
    sends=f"{MANY} enrolments of a script's own keys with one phone's evidence, {MANY} with evidence that no phone made, and one genuine "
    f"enrolment {MANY} times at once. Then a sample with a body {MANY} times without a token, as sign-ups are sent.",
    must="One phone's evidence makes one instance, and no evidence makes none. No sign-up reaches the API.",
    blind="It doesn't tell how many instances one genuine phone may make by new installations, because platforms don't "
    "name the phone. The sign-up is a sample, not your own.",
    variants=(
        Variant(
            "one-evidence",
            _one_evidence,
            frozenset({Reason.ATTESTATION_BINDING, Reason.EVIDENCE_OPERATOR_CODE}),
        ),
        Variant("no-phone", _no_phone, _UNREADABLE),
        Variant("one-challenge", _one_challenge, frozenset({Reason.CHALLENGE_USED})),
        Variant("sign-ups", _sign_ups, frozenset({Reason.TOKEN_MISSING})),
    ),
)
