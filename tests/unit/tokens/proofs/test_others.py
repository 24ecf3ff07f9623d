"""Show that other implementations and ours understand each other, in both directions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
)
from http_message_signatures.algorithms import ECDSA_P256_SHA256, HMAC_SHA256
from http_sf.compat import Item
from joserfc import jws
from joserfc.jwk import ECKey
from tests.unit.tokens.proofs.prover import ADA, BODY, GET, LEEWAY, NOW, POST, text

from watchword.client import proofs as client
from watchword.client.own_token import OwnToken
from watchword.reasons import Reason, RefusedError
from watchword.tokens.proofs import device, dpop, session
from watchword.tokens.proofs.interface import ProofHeaders, SignedRequest

KEYS = ADA.keys
LONG_AGO = 1_600_000_000
ALGORITHMS: Mapping[str, Any] = MappingProxyType(
    {"session": HMAC_SHA256, "device": ECDSA_P256_SHA256}
)
VERIFY = MappingProxyType({"session": session.verify, "device": device.verify})


@dataclass
class Message:
    """Be a request as `http-message-signatures` wants one."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def message_of(request: SignedRequest, headers: ProofHeaders | None = None) -> Message:
    """Return the same request for the other library."""
    query = f"?{request.query.decode()}" if request.query else ""
    url = f"https://{request.authority.decode()}{request.path.decode()}{query}"
    message = Message(request.method.decode(), url, {"Watchword-Token": request.token.decode()})
    if request.content_digest is not None:
        message.headers["Content-Digest"] = request.content_digest.decode()
    if headers is not None:
        assert headers.signature_input is not None
        assert headers.signature is not None
        message.headers["Signature-Input"] = headers.signature_input.decode()
        message.headers["Signature"] = headers.signature.decode()
    return message


class Resolver(HTTPSignatureKeyResolver):
    """Know Ada's keys."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def resolve_public_key(self, key_id: str) -> Any:
        """Return the key that verifies."""
        expected = ADA.session_id if self.kind == "session" else ADA.thumbprint
        assert key_id == expected
        return ADA.session_key if self.kind == "session" else ADA.private.public_key()


def their_verifier(kind: str) -> HTTPMessageVerifier:
    """Return the other library's verifier."""
    return HTTPMessageVerifier(signature_algorithm=ALGORITHMS[kind], key_resolver=Resolver(kind))


REQUESTS = (GET, POST, GET._replace(query=b""), GET._replace(path=b"/a%20b/%2e"))


@pytest.mark.parametrize("kind", ["session", "device"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_they_verify_what_is_signed_in_our_profile(kind: str, request_: SignedRequest) -> None:
    """The other library accepts the profile; their clock can't be set, so that age is left aside."""
    headers = ADA.sign(kind, request_, ADA.parameters(kind, request_, created=LONG_AGO))
    VERIFY[kind](request_, headers, KEYS, LEEWAY, LONG_AGO)
    body = BODY if request_.content_digest is not None else None
    results = their_verifier(kind).verify(message_of(request_, headers), max_age=None, body=body)
    assert [(result.label, result.nonce) for result in results] == [
        ("watchword", "bm9uY2Utb2YtYS10ZXN0")
    ]
    with pytest.raises(InvalidSignature):
        their_verifier(kind).verify(
            message_of(request_._replace(query=b"other"), headers), max_age=None
        )


@pytest.mark.parametrize("kind", ["session", "device"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_we_verify_what_they_sign_in_our_profile(kind: str, request_: SignedRequest) -> None:
    """Their base, their serialisation and their signature, with the parameters in our order."""
    names = ["watchword-token", "@method", "@authority", "@path", "@query"]
    if request_.content_digest is not None:
        names.append("content-digest")
    algorithm = ALGORITHMS[kind]
    # Their public signer has an order of its own; their serialisation takes any.
    base, parameters, _ = their_verifier(kind)._build_signature_base(
        message_of(request_),
        covered_component_ids=[Item(name) for name in names],
        signature_params={
            "created": NOW,
            "nonce": "bm9uY2Utb2YtYS10ZXN0",
            "alg": algorithm.algorithm_id,
            "keyid": ADA.session_id if kind == "session" else ADA.thumbprint,
        },
    )
    private = ADA.session_key if kind == "session" else ADA.private
    signature = Item(algorithm(private_key=private).sign(base.encode()))
    headers = ProofHeaders(
        f"watchword={parameters}".encode(), f"watchword={signature}".encode(), None
    )
    assert VERIFY[kind](request_, headers, KEYS, LEEWAY, NOW).created == NOW


@pytest.mark.parametrize("library", ["PyJWT", "joserfc"])
def test_we_verify_dpop_proofs_of_other_libraries(library: str) -> None:
    """In whatever order they write the members."""
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": ADA.jwk}
    payload = ADA.payload(GET)
    if library == "PyJWT":
        proof = jwt.encode(payload, ADA.private, "ES256", headers=header)
    else:
        key = ECKey.import_key(ADA.private)
        proof = jws.serialize_compact(header, json.dumps(payload), key, algorithms=["ES256"])
    headers = ProofHeaders(None, None, proof.encode())
    assert dpop.verify(GET, headers, KEYS, LEEWAY, NOW).created == NOW


def test_they_verify_our_dpop_form() -> None:
    """A proof that we accept has a signature that PyJWT and joserfc accept under the same key."""
    proof = (ADA.dpop(GET).dpop or b"").decode()
    options: Any = {"verify_iat": False}
    assert jwt.decode(proof, ADA.private.public_key(), ["ES256"], options=options) == ADA.payload(
        GET
    )
    public = ECKey.import_key(dict(ADA.jwk))
    assert json.loads(jws.deserialize_compact(proof, public, algorithms=["ES256"]).payload or b"")


OWN = OwnToken(ADA.session_id, ADA.jwk, ADA.thumbprint)


def _sign(message: bytes) -> bytes:
    """Sign as a phone does: in DER."""
    return ADA.private.sign(message, ECDSA(SHA256()))


@pytest.mark.parametrize("kind", ["session", "device", "dpop"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_the_gate_accepts_what_our_client_proves(kind: str, request_: SignedRequest) -> None:
    """The client shares no code with the verifier; also with a nonce of the gate's."""
    digest = None if request_.content_digest is None else request_.content_digest.decode()
    method, authority, path, query = (part.decode() for part in request_[1:5])
    covered = client.Covered("https", method, authority, path, query, digest)
    token = request_.token.decode()
    gate_nonce = text(bytes(22))
    for of_gate in (None, gate_nonce):
        fresh = client.Freshness(NOW, "b3duLW9mLWEtY2xpZW50", of_gate)
        if kind == "session":
            found = client.session_proof(covered, token, OWN, ADA.session_key, fresh)
        elif kind == "device":
            found = client.device_proof(covered, token, OWN, _sign, fresh)
        else:
            found = client.dpop_proof(covered, token, OWN, _sign, fresh)
        values = {name.lower(): value.encode() for name, value in found.items()}
        headers = ProofHeaders(
            values.get("signature-input"), values.get("signature"), values.get("dpop")
        )
        verify = dpop.verify if kind == "dpop" else VERIFY[kind]
        proof = verify(request_, headers, KEYS, LEEWAY, NOW)
        assert proof.created == NOW
        expected = gate_nonce.encode() if of_gate else None
        if kind == "dpop":
            assert proof.affinity == expected
        else:
            assert proof.nonce == (expected or b"") + b"b3duLW9mLWEtY2xpZW50"
        with pytest.raises(RefusedError) as refused:
            verify(request_._replace(method=b"PURGE"), headers, KEYS, LEEWAY, NOW)
        assert refused.value.reason in {Reason.PROOF_SIGNATURE, Reason.PROOF_TARGET}
