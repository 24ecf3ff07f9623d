"""Turn a sample into the request that the genuine app sends, or into one that differs from it in one thing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from watchword.client.own_token import OwnToken, read_own_token
from watchword.client.proofs import Covered, Freshness, content_digest, device_proof, session_proof
from watchword.client.session import HeldToken
from watchword.drill.interface import AttackContext, Held, MissingError, Need, Sample
from watchword.drill.wire import Call, Part
from watchword.encoding import base64url
from watchword.vocabulary import Proof

TOKEN_HEADER = "Watchword-Token"  # noqa: S105 - a header's name.

_NONCE_BYTES = 16

Sign = Callable[[bytes], bytes]
"""Sign a message: ECDSA-SHA256, DER."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Hold what requests are proved with: a token, the keys behind it, and a hand that signs.

    :param session_key: 32 bytes, None where there is none.
    """

    token: str
    own: OwnToken
    sign: Sign
    session_key: bytes | None = None

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Credential(...)"


def credential_of(held: Held, audience: str) -> Credential:
    """Return what an instance proves its requests to an API with."""
    token: HeldToken = held.tokens[audience]
    own = token.own if token.own is not None else read_own_token(token.token)
    return Credential(token.token, own, held.phone.device.sign, token.session_key)


def with_token(call: Call, token: str) -> Call:
    """Return the call with a token and nothing that proves whose it is."""
    return call.with_header(TOKEN_HEADER, token)


def fresh(context: AttackContext, *, offset: int = 0) -> Freshness:
    """Return a nonce that nobody has seen and the present time.

    :param offset: seconds by which the time is off.
    """
    own = base64url.encode(context.random(_NONCE_BYTES))
    return Freshness(int(context.now()) + offset, own)


def covered_by(context: AttackContext, call: Call) -> Covered:
    """Return what a proof of this call covers; of its body what ``Content-Digest`` says, if it's given."""
    digest = call.header("content-digest")
    if digest is None and call.body:
        digest = content_digest(call.body)
    return Covered(
        scheme=context.wire.scheme(call.part),
        method=call.method,
        authority=(call.header("host") or context.wire.authority(call.part)).lower(),
        path=call.path,
        query=call.query,
        content_digest=digest,
    )


def proved(
    context: AttackContext,
    call: Call,
    credential: Credential,
    proof: Proof,
    *,
    freshness: Freshness | None = None,
    covered: Covered | None = None,
) -> Call:
    """Return the call with a token and a proof of this kind.

    :param covered: what the proof says of the request, where that isn't what is sent.
    :raises MissingError: for a session proof without a session key.
    """
    call = with_token(call, credential.token)
    if proof is Proof.BEARER:
        return call
    covered = covered_by(context, call) if covered is None else covered
    freshness = fresh(context) if freshness is None else freshness
    if covered.content_digest is not None and call.header("content-digest") is None:
        call = call.with_header("Content-Digest", covered.content_digest)
    if proof is Proof.DEVICE:
        fields = device_proof(covered, credential.token, credential.own, credential.sign, freshness)
    elif credential.session_key is None:
        raise MissingError(Need.GENUINE, "it has no session key")
    else:
        fields = session_proof(
            covered, credential.token, credential.own, credential.session_key, freshness
        )
    for name, value in fields.items():
        call = call.with_header(name, value)
    return call


def genuine_call(context: AttackContext, sample: Sample, held: Held) -> Call:
    """Return the sample as the genuine app sends it: with a token and the proof that its route asks for."""
    credential = credential_of(held, context.facts.audience)
    return proved(context, sample.call(), credential, sample.proof)


def behind_the_gate(call: Call) -> Call:
    """Return the call as it is sent to the API itself, around the gate."""
    return replace(call, part=Part.UPSTREAM)
