"""Name another algorithm than the route's, or none: what signs stays right, or is what the name would make of it."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import (
    ALGORITHMS,
    SIGNATURE_HEADER,
    mac_by,
    own_hand,
    parts_of,
    quoted,
    sent,
    stolen,
    victim,
    with_digest,
    written,
)
from watchword.encoding import strict_json
from watchword.reasons import Reason
from watchword.tokens.jose import public_key_from_jwk
from watchword.vocabulary import Proof


def _named(proof: Proof, algorithm: str | None) -> Run:
    """Make the proof that the route asks for, and say that it's made otherwise.

    :param algorithm: None to say nothing of it.
    """

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = with_digest(context, sample.call())
        value = None if algorithm is None else quoted(algorithm)
        parts = parts_of(context, call, credential, proof).with_parameter("alg", value)
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


def _other_kind(context: AttackContext) -> Attempts:
    """Sign with the device's key where the session's MAC is asked for."""
    sample, credential = stolen(context, Proof.SESSION)
    call = with_digest(context, sample.call())
    parts = parts_of(context, call, credential, Proof.DEVICE)
    return sent(context, sample, parts.on(call, own_hand(credential, Proof.DEVICE)))


def _public_key_as_secret(context: AttackContext) -> Attempts:
    """Make a MAC whose secret is the device's public key, in each form in which a verifier might hold it."""
    attempts: list[Attempt] = []
    sample, credential = victim(context, Proof.DEVICE)
    key = public_key_from_jwk(credential.own.key)
    secrets = (
        key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        strict_json.dumps(dict(credential.own.key)),
    )
    for secret in secrets:
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, credential, Proof.DEVICE)
        parts = parts.with_parameter("alg", quoted(ALGORITHMS[Proof.SESSION]))
        attempts += sent(context, sample, parts.on(call, mac_by(secret)))
    return attempts


def _none(context: AttackContext) -> Attempts:
    """Say that nothing signs, and sign nothing."""
    sample, credential = victim(context, Proof.SESSION)
    call = with_digest(context, sample.call())
    parts = parts_of(context, call, credential, Proof.SESSION).with_parameter("alg", quoted("none"))
    call = parts.on(call, own_hand(credential, Proof.SESSION))
    return sent(context, sample, call.with_header(SIGNATURE_HEADER, written(b"")))


_ALGORITHM = frozenset({Reason.PROOF_ALGORITHM})
_MALFORMED = frozenset({Reason.PROOF_MALFORMED})

ATTACK = Attack(
    id="proof-algorithm",
    title="Have a proof verified by another algorithm",
    techniques=("MT-B20",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="Proofs that name the other kind's algorithm, an unknown one, none or nothing, and a MAC whose secret is the "
    "device's public key.",
    must="Each is refused: the route says which algorithm it takes, not the request.",
    blind="It doesn't test the algorithms themselves.",
    variants=(
        Variant(
            "session-named-device", _named(Proof.SESSION, ALGORITHMS[Proof.DEVICE]), _ALGORITHM
        ),
        Variant(
            "device-named-session", _named(Proof.DEVICE, ALGORITHMS[Proof.SESSION]), _ALGORITHM
        ),
        Variant("session-unknown", _named(Proof.SESSION, "hmac-sha1"), _ALGORITHM),
        Variant("device-unknown", _named(Proof.DEVICE, "rsa-v1_5-sha256"), _ALGORITHM),
        Variant("session-unnamed", _named(Proof.SESSION, None), _MALFORMED),
        Variant("device-unnamed", _named(Proof.DEVICE, None), _MALFORMED),
        Variant("session-none", _none, _ALGORITHM),
        Variant("device-proof-on-session-route", _other_kind, _ALGORITHM),
        Variant("device-public-key-as-secret", _public_key_as_secret, _ALGORITHM),
    ),
)
