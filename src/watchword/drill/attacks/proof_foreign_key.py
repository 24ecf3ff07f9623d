"""Make a proof with a key that isn't the token's: a fresh one, an empty one, one of another session."""

from collections.abc import Callable
from typing import Final

from watchword.drill.enrolment import enrol_genuine, renew
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Variant,
)
from watchword.drill.mutated_proofs import (
    Make,
    mac_by,
    own_hand,
    parts_of,
    quoted,
    sent,
    session_key_of,
    signed_by,
    stolen,
    victim,
    with_digest,
)
from watchword.drill.requests import Credential, credential_of
from watchword.drill.tokens import new_attacker
from watchword.reasons import Reason
from watchword.tokens.proofs.session import derive_key
from watchword.vocabulary import Proof

_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


def _made_by(proof: Proof, hand: Callable[[AttackContext, Credential], Make]) -> Run:
    """Send a proof that is right but for the hand that makes it."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = stolen(context, proof)
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, credential, proof)
        return sent(context, sample, parts.on(call, hand(context, credential)))

    return run


def _zero(_context: AttackContext, _credential: Credential) -> Make:
    return mac_by(bytes(_KEY_BYTES))


def _random(context: AttackContext, _credential: Credential) -> Make:
    return mac_by(context.random(_KEY_BYTES))


def _unconfigured(context: AttackContext, credential: Credential) -> Make:
    """Derive the session key as a gate would whose secret was never set."""
    return mac_by(
        derive_key(
            bytes(_KEY_BYTES),
            issuer=context.facts.issuer,
            audience=context.facts.audience,
            session_id=credential.own.session_id,
            thumbprint=credential.own.thumbprint,
        )
    )


def _fresh(context: AttackContext, _credential: Credential) -> Make:
    return signed_by(new_attacker(context).sign)


def _nothing(_context: AttackContext, _credential: Credential) -> Make:
    """Sign with r and s zero, which once verified for every message (CVE-2022-21449)."""
    return lambda _base: bytes(_SIGNATURE_BYTES)


def _earlier_session(context: AttackContext) -> Attempts:
    """Prove a renewed token by the key of the session before, of the same instance."""
    sample = context.sample(Proof.SESSION)
    held = enrol_genuine(context)
    earlier = credential_of(held, context.facts.audience)
    renewed = renew(context, held).held
    if renewed is None:
        raise MissingError(Need.GENUINE, "the service didn't renew it")
    credential = credential_of(renewed, context.facts.audience)
    call = with_digest(context, sample.call())
    parts = parts_of(context, call, credential, Proof.SESSION)
    return sent(context, sample, parts.on(call, mac_by(session_key_of(earlier))))


def _of_other_api(context: AttackContext, _credential: Credential) -> Make:
    """Take the session key that the same instance holds for another API."""
    held = context.genuine()
    others = sorted(set(held.tokens) - {context.facts.audience})
    if not others:
        raise MissingError(Need.OTHER_API)
    return mac_by(session_key_of(credential_of(held, others[0])))


def _other_name(proof: Proof) -> Run:
    """Make the proof with the right key, and name another one."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = with_digest(context, sample.call())
        stranger = new_attacker(context).own
        name = stranger.session_id if proof is Proof.SESSION else stranger.thumbprint
        parts = parts_of(context, call, credential, proof).with_parameter("keyid", quoted(name))
        return sent(context, sample, parts.on(call, own_hand(credential, proof)))

    return run


_SIGNATURE = frozenset({Reason.PROOF_SIGNATURE})
_KEY = frozenset({Reason.PROOF_KEY})

ATTACK = Attack(
    id="proof-foreign-key",
    title="Make a proof with a key that isn't the token's",
    techniques=("MT-B20",),
    protections={
        "PR-B03": "live:shield.signature_enforced",
        "PR-B15": "live:tokens.bound_ratio",
    },
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A genuine token with proofs by keys that were guessed, made up, never set, or that belong to another "
    "session or API. Then proofs by the right key under another name.",
    must="Each is refused: the key isn't the one that the token names.",
    blind="It doesn't tell whether a key could be read out of the phone.",
    variants=(
        Variant("session-zero-key", _made_by(Proof.SESSION, _zero), _SIGNATURE),
        Variant("session-random-key", _made_by(Proof.SESSION, _random), _SIGNATURE),
        Variant("session-secret-never-set", _made_by(Proof.SESSION, _unconfigured), _SIGNATURE),
        Variant("session-key-of-earlier-session", _earlier_session, _SIGNATURE),
        Variant("session-key-of-other-api", _made_by(Proof.SESSION, _of_other_api), _SIGNATURE),
        Variant("session-other-name", _other_name(Proof.SESSION), _KEY),
        Variant("device-fresh-key", _made_by(Proof.DEVICE, _fresh), _SIGNATURE),
        Variant("device-signature-of-zeros", _made_by(Proof.DEVICE, _nothing), _SIGNATURE),
        Variant("device-other-name", _other_name(Proof.DEVICE), _KEY),
    ),
)
