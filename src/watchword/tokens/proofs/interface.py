"""Define what a proof covers, what one looks like, and what a verified one is worth; read HTTP message signatures (RFC 9421).

A signature is read in the one form of the protocol, section 5.  There is no parser of structured fields: each algorithm has
two texts, with and without a body digest, in which only time, nonce and key id vary.  So a verifier that takes what a
signature happens to cover (``sig=()`` was accepted by one) can't come about, nor two readings of one header.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens.proofs import content_digest

if TYPE_CHECKING:
    # A type alone: those who hold no key load nothing of keys.
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class KeyedMac:
    """Hold the two hash states that HMAC (RFC 2104 section 4) reaches with a key alone.

    ``hmac.digest`` makes both anew, and looks its hash up anew, for every request: 1.9 us where this
    takes 1.1.  A state is only ever copied, so that one object serves all threads.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, beginning: bytes = b"") -> None:
        """Take the key in.

        :param beginning: of all messages, which :meth:`digest` isn't given again.
        :raises ValueError: for a key longer than a block, which would be hashed first.
        """
        if len(key) > _BLOCK_BYTES:
            raise ValueError(f"got a key of {len(key)} bytes, expected at most {_BLOCK_BYTES}")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER) + beginning)
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """Return the 32 bytes of the MAC over the beginning and what follows it."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


PROOF_LIFE_SECONDS: Final = 60
"""How long after ``created`` a proof is accepted, the leeway of the clocks not counted."""

LABEL: Final = b"watchword"
"""The one label of the signature in ``Signature-Input`` and ``Signature`` (RFC 9421 section 4)."""

MIN_NONCE_CHARACTERS: Final = 16
MAX_NONCE_CHARACTERS: Final = 64
"""Bounds of a proof's nonce (a DPoP proof's ``jti``), characters of base64url."""

SESSION_ALGORITHM: Final = "hmac-sha256"
DEVICE_ALGORITHM: Final = "ecdsa-p256-sha256"
"""Names of the algorithms in the ``alg`` parameter (RFC 9421 section 6.2.2)."""

SESSION_KEY_BYTES: Final = 32
"""Bytes of a session key, and of a gate secret."""


class SignedRequest(NamedTuple):
    """Hold what a proof covers, as it arrived.

    A tuple, since one is made for each request.

    :param token: the value of ``Watchword-Token``.
    :param method: upper case.
    :param authority: the one ``Host``, in lower case.
    :param path: raw, undecoded, at least ``/``.
    :param query: raw, without the question mark; empty where there is none.
    :param content_digest: the value of ``Content-Digest`` where the request announces a body (empty
        if the header is missing), None where it announces none.
    """

    token: bytes
    method: bytes
    authority: bytes
    path: bytes
    query: bytes
    content_digest: bytes | None


SignedParts = tuple[bytes, bytes, bytes, bytes, bytes, bytes | None]
"""What a :class:`SignedRequest` holds, in its order: a plain tuple is made in a fifth of the time."""

ProofParts = tuple[bytes | None, bytes | None, bytes | None]
"""What :class:`ProofHeaders` holds, in its order."""


class ProofHeaders(NamedTuple):
    """Hold the headers that carry a proof, each at most once; None where it is missing."""

    signature_input: bytes | None
    signature: bytes | None
    dpop: bytes | None


class VerifiedProof(NamedTuple):
    """Hold what a proof says after its signature was verified.

    It must still be claimed in a replay store, and the body compared with its digest.

    :param nonce: 16 to 64 characters, never met before from an honest client.
    :param created: seconds since 1970; the proof is stale from ``created + PROOF_LIFE_SECONDS`` on, the
        leeway not counted.
    :param body_digest: SHA-256 that the body must have, None where the proof covers no body.
    :param affinity: the gate's nonce that a DPoP proof carries beside its ``jti``, None otherwise.
    """

    nonce: bytes
    created: int
    body_digest: bytes | None = None
    affinity: bytes | None = None


@dataclass(frozen=True, slots=True)
class GateSecret:
    """Hold the secret of one audience and one epoch, from which gates derive session keys.

    :param verify_until: seconds since 1970 after which tokens of this epoch are refused; None
        while it isn't retired.
    """

    epoch: int
    secret: bytes = field(repr=False)
    verify_until: float | None = None


@dataclass(frozen=True, slots=True)
class ProofKeys:
    """Hold what proofs of one token are verified with; made once for each token.

    :param session_id: ``sid`` of the token, which session proofs name as their key.
    :param thumbprint: RFC 7638 thumbprint of ``cnf.jwk``, which device proofs name as their key.
    :param session_key: 32 bytes, None where the gate doesn't hold the token's epoch.
    :param token: what the keys are of, as it is sent; None where only its claims are known.
    :ivar session_mac: made of the session key, None without one.
    :ivar token_mac: the same, begun with the first line of what a proof of the token signs.
    """

    session_id: bytes
    thumbprint: bytes
    jwk: Mapping[str, str]
    device_key: "EllipticCurvePublicKey"
    session_key: bytes | None = field(repr=False)
    token: bytes | None = field(default=None, repr=False)
    session_mac: KeyedMac | None = field(init=False, repr=False, compare=False)
    token_mac: KeyedMac | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take session key and token into a MAC, once for all proofs of the token."""
        key, token = self.session_key, self.token
        mac = None if key is None else KeyedMac(key)
        begun = None if key is None or token is None else KeyedMac(key, token_line(token))
        object.__setattr__(self, "session_mac", mac)
        object.__setattr__(self, "token_mac", begun)


def token_line(token: bytes) -> bytes:
    """Return the first line of what a signature signs (RFC 9421 section 2.5), with its end."""
    return b'"watchword-token": %b\n' % token


MAX_INPUT_BYTES: Final = 512
"""Most bytes of ``Signature-Input``; ours has 190 to 240."""

MAX_SIGNATURE_BYTES: Final = 128
"""Most bytes of ``Signature``; ours has 56 or 100."""

COMPONENTS: Final = b'"watchword-token" "@method" "@authority" "@path" "@query"'
"""What is covered, in this order; a request with a body has ``"content-digest"`` behind."""

BODY_COMPONENT: Final = b' "content-digest"'

_PARAMETERS_AT: Final = len(LABEL) + 1
_NONCE: Final = b"[A-Za-z0-9_-]{%d,%d}" % (MIN_NONCE_CHARACTERS, MAX_NONCE_CHARACTERS)
_KEY_ID: Final = rb"[!#-\[\]-~]{1,128}"

Matcher = Callable[[bytes], re.Match[bytes] | None]


@dataclass(frozen=True, slots=True)
class Form:
    """Hold the texts of one algorithm.

    :param bare: ``Signature-Input`` of a request without a body; created, nonce, key id are its groups.
    :param digested: the same of a request with a body.
    :param signature: ``Signature``; its group is canonical base64.
    :param signature_length: bytes of the header.
    """

    algorithm: bytes
    bare: Matcher
    digested: Matcher
    signature: Matcher
    signature_length: int


def signature_form(algorithm: str, signature: bytes, length: int) -> Form:
    """Return the form of an algorithm.

    :param signature: pattern of canonical base64 with padding.
    :param length: characters of it.
    """
    name = algorithm.encode("ascii")
    around = len(LABEL) + len(b"=::")
    return Form(
        name,
        _input_pattern(name, COMPONENTS),
        _input_pattern(name, COMPONENTS + BODY_COMPONENT),
        re.compile(b"%b=:(%b):" % (LABEL, signature)).fullmatch,
        around + length,
    )


def _input_pattern(algorithm: bytes, components: bytes) -> Matcher:
    fixed = re.escape(LABEL + b"=(" + components + b")")
    return re.compile(
        b'%b;created=([0-9]{10});nonce="(%b)";alg="%b";keyid="(%b)"'
        % (fixed, _NONCE, re.escape(algorithm), _KEY_ID)
    ).fullmatch


def read_signature(
    form_: Form,
    request: SignedParts,
    headers: ProofParts,
    key_id: bytes,
    leeway: int,
    now: float,
) -> tuple[bytes, int, bytes | None]:
    """Return nonce, creation and body digest that a signature claims; it still has to be verified.

    1. There is one signature and no other proof (``proof.missing``, ``proof.ambiguous``).
    2. A request with a body has one SHA-256 of it (``proof.digest``).
    3. ``Signature-Input`` is the form's, byte for byte (``proof.malformed``, ``proof.components``,
       ``proof.algorithm``, ``proof.ambiguous``).
    4. It names the token's key (``proof.key``).
    5. ``created - leeway <= now < created + PROOF_LIFE_SECONDS + leeway`` (``proof.early``,
       ``proof.expired``).

    :param key_id: the only one that is accepted.
    :param leeway: seconds by which clocks may differ.
    :param now: seconds since 1970.
    :raises RefusedError: with the reason of the first step that failed.
    """
    signature_input, signature, dpop = headers
    if signature_input is None or signature is None or dpop is not None:
        _refuse_headers(headers)
    digest = None
    matches = form_.bare
    if request[-1] is not None:
        digest = content_digest.read(request[-1])
        matches = form_.digested
    if len(signature_input) > MAX_INPUT_BYTES or len(signature) != form_.signature_length:
        _refuse_form(form_, signature_input, signature, matches)
    found = matches(signature_input)
    if found is None:
        _refuse_form(form_, signature_input, signature, matches)
    created_text, nonce, named = found.groups()
    if named != key_id:
        raise RefusedError.because(Reason.PROOF_KEY, "expected the key id of the token's key")
    created = int(created_text)
    if not created - leeway <= now < created + PROOF_LIFE_SECONDS + leeway:
        refuse_time(created, leeway, now)
    return nonce, created, digest


def signature_base(request: SignedParts, signature_input: bytes) -> bytes:
    """Return what is signed (RFC 9421 section 2.5)."""
    return token_line(request[0]) + lines_behind_token(request, signature_input)


def lines_behind_token(request: SignedParts, signature_input: bytes) -> bytes:
    """Return what is signed but for the first line, which is the same in all proofs of a token.

    A line break inside of a component makes no second reading: the lines begin with fixed names in a
    fixed order, and the last one says which they are.
    """
    _, method, authority, path, query, digest = request
    parameters = signature_input[_PARAMETERS_AT:]
    if digest is None:
        return (
            b'"@method": %b\n"@authority": %b\n"@path": %b\n"@query": ?%b\n'
            b'"@signature-params": %b' % (method, authority, path, query, parameters)
        )
    return (
        b'"@method": %b\n"@authority": %b\n"@path": %b\n"@query": ?%b\n'
        b'"content-digest": %b\n"@signature-params": %b'
        % (method, authority, path, query, digest, parameters)
    )


def refuse_signature(form_: Form, signature: bytes) -> NoReturn:
    """Say why a ``Signature`` doesn't hold: it can't be read, or it is somebody else's."""
    if form_.signature(signature):
        raise RefusedError.because(
            Reason.PROOF_SIGNATURE, "expected a signature by the token's key over this request"
        )
    if b"," in signature[: MAX_SIGNATURE_BYTES + 1]:
        _refuse_labels()
    _malformed(
        f"expected Signature as {LABEL.decode()}=:base64: with {form_.signature_length} bytes"
    )


def refuse_time(created: int, leeway: int, now: float) -> NoReturn:
    """Say on which side of its window a proof lies."""
    if now < created:
        raise RefusedError.because(
            Reason.PROOF_EARLY,
            f"got a proof that will be made in {created - now:.0f} s, leeway {leeway} s",
        )
    raise RefusedError.because(
        Reason.PROOF_EXPIRED,
        f"got a proof made {now - created:.0f} s ago, expected at most {PROOF_LIFE_SECONDS} s, "
        f"leeway {leeway} s",
    )


def _refuse_headers(headers: ProofParts) -> NoReturn:
    signature_input, signature, dpop = headers
    if signature_input is None and signature is None:
        # A DPoP proof alone is none where the route takes signatures.
        raise RefusedError.because(
            Reason.PROOF_MISSING, "expected the headers Signature-Input and Signature"
        )
    if dpop is not None:
        raise MalformedError.because(
            Reason.PROOF_AMBIGUOUS, "got a signature and a DPoP proof, expected one of them"
        )
    _malformed("got one of Signature-Input and Signature, expected both")


# Everything below runs for refusals alone.  It is no more lenient than the form: it only finds the
# words for what is wrong, in text of at most MAX_INPUT_BYTES, without nested repetition.

_QUOTED: Final = re.compile(rb'"[^"\\]*"')
_LOOSE: Final = re.compile(
    rb'%b=\(([^()]*)\);created=[0-9]{10};nonce="%b";alg="([!#-\[\]-~]{1,64})";keyid="%b"'
    % (LABEL, _NONCE, _KEY_ID)
).fullmatch
_COMPONENT: Final = re.compile(
    rb'"[a-z0-9@_*-]{1,64}"(?:;[a-z*][a-z0-9_.*-]{0,31}(?:="[^"\\]{0,64}"|=\?[01]|=[0-9]{1,15})?)*'
).fullmatch


def _refuse_form(
    form_: Form, signature_input: bytes, signature: bytes, expected: Matcher
) -> NoReturn:
    """Say why the two headers aren't of the form."""
    if b"," in _QUOTED.sub(b"", signature_input[: MAX_INPUT_BYTES + 1]):
        _refuse_labels()
    if len(signature_input) > MAX_INPUT_BYTES:
        _malformed(
            f"got {len(signature_input)} bytes of Signature-Input, at most {MAX_INPUT_BYTES}"
        )
    found = _LOOSE(signature_input)
    if found is None:
        _malformed("expected Signature-Input with created, nonce, alg and keyid, in this order")
    if not expected(signature_input):
        _refuse_content(form_, *found.groups())
    refuse_signature(form_, signature)


def _refuse_content(form_: Form, components: bytes, algorithm: bytes) -> NoReturn:
    """Say what is wrong in a well-formed ``Signature-Input``: what is covered, or the algorithm."""
    if components and not all(_COMPONENT(item) for item in components.split(b" ")):
        _malformed("expected components in quotes, with one blank in between")
    if algorithm != form_.algorithm:
        raise RefusedError.because(
            Reason.PROOF_ALGORITHM, f"expected the algorithm {form_.algorithm.decode()}"
        )
    raise RefusedError.because(
        Reason.PROOF_COMPONENTS,
        "expected exactly the components of the protocol, content-digest where there is a body",
    )


def _refuse_labels() -> NoReturn:
    raise MalformedError.because(
        Reason.PROOF_AMBIGUOUS, f"expected one signature, under the label {LABEL.decode()}"
    )


def _malformed(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.PROOF_MALFORMED, detail)
