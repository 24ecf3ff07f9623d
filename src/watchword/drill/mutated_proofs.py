"""Make proofs that differ from the genuine app's in one thing, signed by whatever key; shares no code with what verifies.

A proof is taken apart into its lines, the names of these lines and its parameters (RFC 9421 sections 2.3 and 2.5), so that
each can be mutated while the rest stays right.
"""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from watchword.client.proofs import Covered, Freshness
from watchword.drill.interface import (
    AttackContext,
    Attempt,
    Attempts,
    MissingError,
    Need,
    Run,
    Sample,
)
from watchword.drill.requests import (
    TOKEN_HEADER,
    Credential,
    Sign,
    covered_by,
    credential_of,
    fresh,
    proved,
)
from watchword.drill.wire import Call, Headers
from watchword.vocabulary import Proof

LABEL: Final = "watchword"
"""The label of the one signature that the protocol knows."""

TOKEN: Final = "watchword-token"  # noqa: S105 - a component's name.
DIGEST: Final = "content-digest"

ALGORITHMS: Final = {Proof.SESSION: "hmac-sha256", Proof.DEVICE: "ecdsa-p256-sha256"}
"""The ``alg`` parameter that belongs to each kind of proof (RFC 9421 section 6.2.2)."""

INPUT_HEADER: Final = "Signature-Input"
SIGNATURE_HEADER: Final = "Signature"
DIGEST_HEADER: Final = "Content-Digest"

_COORDINATE_BYTES: Final = 32

Make = Callable[[bytes], bytes]
"""Make the bytes of ``Signature`` over a signature base."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold a proof in its parts; each method returns another one that differs in one of them.

    :param lines: components and their values as they are signed, in order.
    :param named: components as ``Signature-Input`` names them.
    :param parameters: names and values as they are written: ``("created", "1700000000")``, ``("alg", '"none"')``.
    """

    token: str = field(repr=False)
    lines: Headers = field(repr=False)
    named: tuple[str, ...]
    parameters: Headers

    def without(self, component: str) -> "Parts":
        """Return a proper signature that covers one component less."""
        return replace(
            self.unsigned(component), named=tuple(each for each in self.named if each != component)
        )

    def unsigned(self, component: str) -> "Parts":
        """Return a signature that names a component, and whose base leaves it out."""
        return replace(self, lines=tuple(pair for pair in self.lines if pair[0] != component))

    def naming(self, *named: str) -> "Parts":
        """Return a signature that names other components than it's made over."""
        return replace(self, named=named)

    def with_parameter(self, name: str, value: str | None) -> "Parts":
        """Return it with another value of a parameter, in its place; None takes the parameter out."""
        mutated = ((each, old if each != name else value) for each, old in self.parameters)
        return replace(
            self, parameters=tuple((each, new) for each, new in mutated if new is not None)
        )

    @property
    def described(self) -> str:
        """Return what ``Signature-Input`` says behind the label."""
        names = " ".join(f'"{each}"' for each in self.named)
        return f"({names})" + "".join(f";{name}={value}" for name, value in self.parameters)

    @property
    def base(self) -> bytes:
        """Return what is signed (RFC 9421 section 2.5)."""
        lines = [f'"{name}": {value}' for name, value in self.lines]
        return "\n".join([*lines, f'"@signature-params": {self.described}']).encode()

    def on(self, call: Call, make: Make) -> Call:
        """Return a call with the token and this proof; what stands in its ``Content-Digest`` stays."""
        call = call.with_header(TOKEN_HEADER, self.token)
        call = call.with_header(INPUT_HEADER, f"{LABEL}={self.described}")
        return call.with_header(SIGNATURE_HEADER, written(make(self.base)))


def parts_of(
    context: AttackContext,
    call: Call,
    credential: Credential,
    proof: Proof,
    *,
    covered: Covered | None = None,
    freshness: Freshness | None = None,
) -> Parts:
    """Return the parts of the proof that the genuine app would make.

    :param covered: what the proof says of the request, where that isn't what is sent.
    """
    covered = covered_by(context, call) if covered is None else covered
    freshness = fresh(context) if freshness is None else freshness
    lines = [
        (TOKEN, credential.token),
        ("@method", covered.method),
        ("@authority", covered.authority),
        ("@path", covered.path),
        ("@query", f"?{covered.query}"),
    ]
    if covered.content_digest is not None:
        lines.append((DIGEST, covered.content_digest))
    own = credential.own
    key = own.session_id if proof is Proof.SESSION else own.thumbprint
    parameters = (
        ("created", str(freshness.created)),
        ("nonce", quoted(freshness.own)),
        ("alg", quoted(ALGORITHMS[proof])),
        ("keyid", quoted(key)),
    )
    return Parts(credential.token, tuple(lines), tuple(name for name, _ in lines), parameters)


def quoted(text: str) -> str:
    """Return a parameter's value as a string (RFC 8941 section 3.3.3)."""
    return f'"{text}"'


def written(signature: bytes, label: str = LABEL) -> str:
    """Return ``Signature`` with these bytes."""
    return f"{label}=:{base64.b64encode(signature).decode()}:"


def mac_by(key: bytes) -> Make:
    """Return a hand that makes HMAC-SHA256 by a key."""
    return lambda base: hmac.digest(key, base, "sha256")


def signed_by(sign: Sign) -> Make:
    """Return a hand that makes ECDSA signatures, r and s side by side (RFC 9421 section 3.3.4)."""

    def make(base: bytes) -> bytes:
        return b"".join(
            number.to_bytes(_COORDINATE_BYTES, "big") for number in decode_dss_signature(sign(base))
        )

    return make


def own_hand(credential: Credential, proof: Proof) -> Make:
    """Return the hand that makes a credential's own proofs of a kind.

    :raises MissingError: for a session proof without a session key.
    """
    if proof is not Proof.SESSION:
        return signed_by(credential.sign)
    return mac_by(session_key_of(credential))


def session_key_of(credential: Credential) -> bytes:
    """Return the session key; raises :class:`MissingError` where there is none."""
    if credential.session_key is None:
        raise MissingError(Need.GENUINE, "its token came without a session key")
    return credential.session_key


def stolen(
    context: AttackContext, proof: Proof, *, body: bool | None = None
) -> tuple[Sample, Credential]:
    """Return a sample on a route with this proof, and the credential that the genuine app proves it with.

    :raises MissingError: where there is no such route, or no genuine instance.
    """
    sample = context.sample(proof, body=body)
    return sample, credential_of(context.genuine(), context.facts.audience)


def victim(
    context: AttackContext, proof: Proof, *, body: bool | None = None
) -> tuple[Sample, Credential]:
    """Do as :func:`stolen`, where the credential must be able to prove.

    :raises MissingError: also where it holds no session key for a session proof.
    """
    sample, credential = stolen(context, proof, body=body)
    own_hand(credential, proof)
    return sample, credential


def with_digest(context: AttackContext, call: Call) -> Call:
    """Return a call with the ``Content-Digest`` of its body, where it has one."""
    return call.with_header(DIGEST_HEADER, covered_by(context, call).content_digest)


def sent(context: AttackContext, sample: Sample, call: Call) -> Attempts:
    """Send a call that should have been refused; return the one attempt that it is."""
    return [Attempt(sample, context.wire.send(call))]


def of_another(proof: Proof, other: Callable[[Covered], Covered]) -> Run:
    """Return a variant that takes a proof of another request, and sends the sample.

    :param other: returns what is proved of what would have to be.
    """

    def run(context: AttackContext) -> Attempts:
        sample, credential = victim(context, proof)
        call = sample.call()
        covered = other(covered_by(context, call))
        return sent(context, sample, proved(context, call, credential, proof, covered=covered))

    return run
