"""Mutate evidence, challenges and the moment of sending, as an attacker does who has phones and keys of his own."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from watchword.client.statement import binding_of
from watchword.drill.enrolment import (
    Enrolment,
    again,
    challenge,
    enrol,
    exploited,
    send_renewal,
    statement_of,
)
from watchword.drill.interface import (
    AttackContext,
    Attempt,
    Attempts,
    Held,
    MissingError,
    Need,
    Phone,
    Variant,
)
from watchword.drill.tokens import new_key
from watchword.drill.wire import Answer, Call, Part, Wire
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.reasons import Reason
from watchword.vocabulary import Platform, Purpose

GENUINE: Final = {Platform.ANDROID: "genuine-android", Platform.IOS: "genuine-iphone"}
"""The lab's phone in its maker's state, by platform: one that makes evidence as often as it is asked."""

TOGETHER: Final = 8
"""Copies that are sent at one moment; exactly one may be granted."""

Body = dict[str, Any]
"""Members of an enrolment or a renewal, before they are sent."""

Mutation = Callable[[dict[str, Any]], dict[str, Any]]
"""Change the members of evidence."""

_CHALLENGE_LABEL: Final = b"watchword/challenge/v1\x00"
_CHALLENGE_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 16


# Phones


def phone_variant(name: str, kind: str, *expected: Reason, each_route: bool = False) -> Variant:
    """Return the variant that enrols a phone of a kind of the lab as it is, and uses what it gets."""

    def run(context: AttackContext) -> Attempts:
        return [exploited(context, enrol(context, context.phone(kind)))]

    return Variant(name, run, frozenset(expected), each_route)


def mutated_variant(
    name: str, kind: str, mutate: Callable[[AttackContext], Mutation], *expected: Reason
) -> Variant:
    """Return the variant that enrols a phone of a kind of the lab with evidence that was mutated."""

    def run(context: AttackContext) -> Attempts:
        return [exploited(context, enrol(context, context.phone(kind), mutate=mutate(context)))]

    return Variant(name, run, frozenset(expected))


def enrolled(context: AttackContext, kind: str) -> Held:
    """Enrol a phone of a kind of the lab that the service accepts, as a beginning.

    :raises MissingError: when it doesn't, since nothing can be shown then.
    """
    return granted(enrol(context, context.phone(kind)))


def granted(enrolment: Enrolment) -> Held:
    """Return the instance of an enrolment or a renewal with which an attack begins.

    :raises MissingError: when it was refused.
    """
    if enrolment.held is None:
        raise MissingError(Need.PHONES, f"the service refused one: {enrolment.answer.status}")
    return enrolment.held


# What is caught before it arrives


def enrolment_body(context: AttackContext, phone: Phone) -> Body:
    """Return the enrolment that the app on a phone makes, which somebody keeps from arriving."""
    phone.device.create_keys()
    statement = statement_of(context, phone, challenge(context, phone.app))
    evidence = dict(phone.device.attest(binding_of(statement)))
    return {"statement": base64url.encode(statement), "evidence": evidence}


def renewal_body(context: AttackContext, held: Held) -> Body:
    """Return the renewal that the app of an instance makes; see :func:`enrolment_body`."""
    phone = held.phone
    asked = challenge(context, phone.app, Purpose.RENEW)
    statement = statement_of(context, phone, asked, Purpose.RENEW, list(held.tokens))
    return {
        "instance": held.instance,
        "statement": base64url.encode(statement),
        "evidence": dict(phone.device.renew(statement)),
    }


def sent_at_once(
    context: AttackContext, path: str, bodies: Sequence[Mapping[str, Any]], phone: Phone
) -> list[Attempt]:
    """Send enrolments or renewals at one moment, and use what all but one of them got.

    One is the genuine app's: the first that was granted, or any where none was.
    """
    calls = [
        Call(
            Part.SERVICE,
            "POST",
            path,
            (("Content-Type", "application/json"),),
            strict_json.dumps(dict(body)),
        )
        for body in bodies
    ]
    answers = context.wire.send_together(calls)
    ended = [
        again(replace(context, wire=_Answered(context.wire, answer)), path, body, phone)
        for body, answer in zip(bodies, answers, strict=True)
    ]
    ended.sort(key=lambda each: each.held is None)
    return [exploited(context, each) for each in ended[1:]]


@dataclass(frozen=True, slots=True)
class _Answered:
    """Stand in for a wire over which a request has gone already: its answer is here."""

    wire: Wire
    answer: Answer

    def send(self, call: Call) -> Answer:  # noqa: ARG002 - it was sent before.
        return self.answer

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        return [self.answer for _ in calls]

    def authority(self, part: Part) -> str:
        return self.wire.authority(part)

    def scheme(self, part: Part) -> str:
        return self.wire.scheme(part)


def renewed_by(context: AttackContext, held: Held, signing: Phone, **changes: Any) -> Enrolment:
    """Renew an instance with a statement that says something else, signed by whichever phone.

    :param changes: members of the statement; all others are those of the instance.
    """
    asked = challenge(context, held.phone.app, Purpose.RENEW)
    statement = statement_of(
        context, held.phone, asked, Purpose.RENEW, list(held.tokens), **changes
    )
    evidence = dict(signing.device.renew(statement))
    return send_renewal(context, held, statement, evidence)


# Challenges


def minted_challenge(
    context: AttackContext, key: bytes, app: str, purpose: Purpose, *, lifetime: int = 300
) -> str:
    """Return a challenge that was made with this key, base64url (protocol, section 2).

    :param lifetime: seconds from now; below 0 it has expired.
    """
    expiry = int(context.now()) + lifetime
    body = _CHALLENGE_VERSION + expiry.to_bytes(8, "big") + context.random(_NONCE_BYTES)
    framed = length_prefixed.join(context.facts.issuer.encode(), app.encode(), purpose.encode())
    code = hmac.digest(key, _CHALLENGE_LABEL + body + framed, "sha256")
    return base64url.encode(body + code)


# Certificates


def chain_of(evidence: Mapping[str, Any]) -> list[bytes]:
    """Return the certificates of Android's evidence, DER, leaf first."""
    return [base64url.decode(each) for each in evidence["chain"]]


def with_chain(evidence: Mapping[str, Any], chain: Sequence[bytes]) -> dict[str, Any]:
    """Return Android's evidence with other certificates."""
    return {**evidence, "chain": [base64url.encode(each) for each in chain]}


def reissued(context: AttackContext, chain: Sequence[bytes], count: int) -> list[bytes]:
    """Return a chain whose lowest certificates an attacker issued again with keys of his own.

    Each says what it said, in the vendor's names, numbers and dates; the leaf keeps its key, so that its owner
    proves possession as before.  The highest of them is signed by a key that stands nowhere.

    :param count: how many from the leaf on; those above stay as they are.
    """
    keys = [new_key(context).private for _ in range(count)]
    forged = []
    for index, der in enumerate(chain[:count]):
        old = x509.load_der_x509_certificate(der)
        is_root = old.subject == old.issuer
        public = old.public_key() if index == 0 else keys[index - 1].public_key()
        builder = (
            x509.CertificateBuilder()
            .issuer_name(old.issuer)
            .subject_name(old.subject)
            .public_key(public)
            .serial_number(old.serial_number)
            .not_valid_before(old.not_valid_before_utc)
            .not_valid_after(old.not_valid_after_utc)
        )
        for extension in old.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        issuer = keys[index - 1] if is_root and index else keys[index]
        forged.append(_signed(builder, issuer))
    return [*forged, *chain[count:]]


def _signed(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def last_bit_flipped(data: bytes) -> bytes:
    """Return the bytes with the last bit changed that isn't in zeros at their end.

    In a certificate or a receipt that is a bit of its signature.
    """
    kept = data.rstrip(b"\x00")
    return kept[:-1] + bytes([kept[-1] ^ 1]) + data[len(kept) :]


# App Attest


def attestation_of(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attestation object of App Attest's evidence: ``fmt``, ``attStmt``, ``authData``."""
    read: dict[str, Any] = cbor2.loads(base64url.decode(evidence["attestation"]))
    return read


def with_attestation(
    evidence: Mapping[str, Any], *, key_id: bytes | None = None, **changes: Any
) -> dict[str, Any]:
    """Return App Attest's evidence with a changed attestation object.

    :param changes: ``authData``, or members of ``attStmt``.
    """
    read = attestation_of(evidence)
    data = changes.pop("authData", read["authData"])
    read = {**read, "attStmt": {**read["attStmt"], **changes}, "authData": data}
    mutated = {**evidence, "attestation": base64url.encode(cbor2.dumps(read))}
    return mutated if key_id is None else {**mutated, "key_id": base64url.encode(key_id)}


def environment_of(evidence: Mapping[str, Any]) -> bytes:
    """Return the AAGUID in App Attest's evidence (WebAuthn section 6.1: behind hash, flags and counter)."""
    data: bytes = attestation_of(evidence)["authData"]
    return data[37:53]


def key_id_of_nobody(context: AttackContext) -> bytes:
    """Return 32 bytes that are the hash of no key."""
    return hashlib.sha256(context.random(32)).digest()
