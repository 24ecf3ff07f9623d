"""Send two proofs at once, one good and one of something else, for two readers to pick differently."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_proofs import (
    INPUT_HEADER,
    LABEL,
    SIGNATURE_HEADER,
    Make,
    Parts,
    own_hand,
    parts_of,
    quoted,
    sent,
    signed_by,
    victim,
    with_digest,
    written,
)
from watchword.drill.tokens import new_attacker
from watchword.drill.wire import Call
from watchword.reasons import Reason
from watchword.vocabulary import Proof


@dataclass(frozen=True, slots=True)
class _Other:
    """Hold a second proof: by the attacker's key, over the path alone."""

    described: str
    signature: bytes

    @classmethod
    def made(cls, context: AttackContext, parts: Parts) -> "_Other":
        attacker = new_attacker(context)
        path = tuple(pair for pair in parts.lines if pair[0] == "@path")
        other = replace(parts, lines=path, named=("@path",))
        other = other.with_parameter("keyid", quoted(attacker.own.thumbprint))
        make: Make = signed_by(attacker.sign)
        return cls(other.described, make(other.base))


def _twice(proof: Proof, add: Callable[[Call, _Other], Call]) -> Run:
    """Send the good proof, and add the other one to it."""

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = with_digest(context, sample.call())
        parts = parts_of(context, call, credential, proof)
        call = parts.on(call, own_hand(credential, proof))
        return sent(context, sample, add(call, _Other.made(context, parts)))

    return run


def _joined(call: Call, name: str, value: str, *, first: bool = False) -> Call:
    """Put a second member into a header."""
    present = call.header(name) or ""
    members = (value, present) if first else (present, value)
    return call.with_header(name, ", ".join(members))


def _behind(call: Call, other: _Other) -> Call:
    call = _joined(call, INPUT_HEADER, f"sig1={other.described}")
    return _joined(call, SIGNATURE_HEADER, written(other.signature, "sig1"))


def _before(call: Call, other: _Other) -> Call:
    call = _joined(call, INPUT_HEADER, f"sig1={other.described}", first=True)
    return _joined(call, SIGNATURE_HEADER, written(other.signature, "sig1"), first=True)


def _same_label(call: Call, other: _Other) -> Call:
    """Say the label twice: of two members of one name the last one counts (RFC 8941 section 3.2)."""
    return _joined(call, INPUT_HEADER, f"{LABEL}={other.described}")


def _input_again(call: Call, other: _Other) -> Call:
    """Send the header twice, where some take the first and some the last."""
    return replace(call, headers=(*call.headers, (INPUT_HEADER, f"{LABEL}={other.described}")))


def _signature_again(call: Call, other: _Other) -> Call:
    return replace(call, headers=(*call.headers, (SIGNATURE_HEADER, written(other.signature))))


def _dpop_beside(call: Call, _other: _Other) -> Call:
    """Add what looks like a proof of the other kind (RFC 9449)."""
    return call.with_header("DPoP", "e30.e30.AAAA")


_AMBIGUOUS = frozenset({Reason.PROOF_AMBIGUOUS})
# A server in front may join what is sent twice, so that nobody behind it can tell one from the other.
_TWICE = _AMBIGUOUS | {Reason.REQUEST_HEADER_DUPLICATED}

ATTACK = Attack(
    id="proof-twice",
    title="Send two proofs, for two readers to pick differently",
    techniques=("MT-C04",),
    protections={"PR-B03": "live:shield.signature_enforced"},
    needs=(Need.GENUINE, Need.SESSION_ROUTE, Need.DEVICE_ROUTE),
    sends="A good proof beside one by another key over the path alone: before and behind it in the same headers, under "
    "the same label, and in headers sent twice. Then a good proof beside a DPoP proof.",
    must="Each is refused: a request has one proof, or nobody can say which one counts.",
    blind="A server in front that joins or drops repeated headers hides how the gate would treat them.",
    variants=(
        Variant("session-other-behind", _twice(Proof.SESSION, _behind), _TWICE),
        Variant("session-other-before", _twice(Proof.SESSION, _before), _TWICE),
        Variant("session-same-label", _twice(Proof.SESSION, _same_label), _TWICE),
        Variant("session-input-again", _twice(Proof.SESSION, _input_again), _TWICE),
        Variant("session-signature-again", _twice(Proof.SESSION, _signature_again), _TWICE),
        Variant("session-dpop-beside", _twice(Proof.SESSION, _dpop_beside), _AMBIGUOUS),
        Variant("device-other-behind", _twice(Proof.DEVICE, _behind), _TWICE),
        Variant("device-other-before", _twice(Proof.DEVICE, _before), _TWICE),
        Variant("device-same-label", _twice(Proof.DEVICE, _same_label), _TWICE),
        Variant("device-input-again", _twice(Proof.DEVICE, _input_again), _TWICE),
        Variant("device-signature-again", _twice(Proof.DEVICE, _signature_again), _TWICE),
    ),
)
