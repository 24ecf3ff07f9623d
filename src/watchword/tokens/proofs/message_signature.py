"""Read HTTP message signatures (RFC 9421) in the one form of the protocol, section 5.

There is no parser of structured fields: each algorithm has two texts, with and without a body digest,
in which only time, nonce and key id vary.  So a verifier that takes what a signature happens to
cover (``sig=()`` was accepted by one) can't come about, nor two readings of one header.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens.proofs import content_digest
from watchword.tokens.proofs.interface import (
    LABEL,
    MAX_NONCE_CHARACTERS,
    MIN_NONCE_CHARACTERS,
    PROOF_LIFE_SECONDS,
    ProofParts,
    SignedParts,
    token_line,
)

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


def form(algorithm: str, signature: bytes, length: int) -> Form:
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


def read(
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
