"""Run the vectors of proofs: message signatures (RFC 9421), DPoP (RFC 9449), HPKE (RFC 9180)."""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke as hazmat
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scripts.vector_judge import Counts, JsonObject
from tests.unit.tokens.proofs.prover import ADA, COMPONENTS, EVE, LEEWAY, NOW, digest_of

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import AffinityNonces
from watchword.tokens import jose
from watchword.tokens.jose import public_key_from_jwk, thumbprint
from watchword.tokens.proofs import device, dpop, session
from watchword.tokens.proofs.interface import (
    DEVICE_ALGORITHM,
    PROOF_LIFE_SECONDS,
    SESSION_ALGORITHM,
    KeyedMac,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
)

VERIFY: Mapping[str, Callable[..., VerifiedProof]] = {
    "session": session.verify,
    "device": device.verify,
}


def _holds(
    kind: str, request: SignedRequest, headers: ProofHeaders, body: bytes | None = None
) -> bool:
    """Tell whether a proof holds, its body compared as the gate compares it."""
    proof = VERIFY[kind](request, headers, ADA.keys, LEEWAY, NOW)
    return body is None or proof.body_digest == hashlib.sha256(body).digest()


def appendix_b(suite: JsonObject) -> Counts:
    """Run the appendix as it stands: labels, components and parameters are others than ours."""
    counts = Counts("RFC 9421 appendix B, whole", len(suite["cases"]))
    request = SignedRequest(
        b"token", b"POST", b"example.com", b"/foo", b"param=Value&Pet=dog", None
    )
    bodied = request._replace(content_digest=digest_of(b'{"hello": "world"}'))
    for case in suite["cases"]:
        headers = ProofHeaders(case["signature_input"].encode(), case["signature"].encode(), None)
        relabelled = ProofHeaders(
            case["signature_input"].replace(case["label"], "watchword", 1).encode(),
            case["signature"].replace(case["label"], "watchword", 1).encode(),
            None,
        )
        attempts = [
            partial(_holds, kind, target, proof)
            for kind in VERIFY
            for target in (request, bodied)
            for proof in (headers, relabelled)
        ]
        counts.judge(case["id"], "outside", *attempts)
    return counts


def appendix_b_pieces(suite: JsonObject, pem_key: Callable[[list[str]], Any]) -> Counts:
    """Verify the published signatures over the published bases, as far as the algorithm is ours.

    Each is mutated too, at every byte of base and signature: that many more cases.
    """
    counts = Counts("RFC 9421 appendix B, signatures", 0)
    for case in suite["cases"]:
        counts.size += 1
        base = case["signature_base"].encode()
        signature = base64.b64decode(case["signature"].partition("=:")[2][:-1])
        key = suite["keys"][case["keyid"]]
        if case["alg"] == SESSION_ALGORITHM:
            mac = KeyedMac(base64.b64decode(key["base64"]))
            check = partial(_is_mac, mac)
        elif case["alg"] == DEVICE_ALGORITHM:
            check = partial(jose.is_signed_by, pem_key(key["pem"]))
        else:
            counts.judge(case["id"], "outside", bool)
            continue
        counts.judge(case["id"], "accept", partial(check, signature, base))
        for mutated_signature, mutated_base in _altered(signature, base):
            counts.size += 1
            counts.judge(case["id"], "reject", partial(check, mutated_signature, mutated_base))
    return counts


def _is_mac(mac: KeyedMac, signature: bytes, base: bytes) -> bool:
    return mac.digest(base) == signature


def _altered(first: bytes, second: bytes) -> Iterator[tuple[bytes, bytes]]:
    for at in range(len(first)):
        yield first[:at] + bytes([first[at] ^ 1]) + first[at + 1 :], second
    for at in range(len(second)):
        yield first, second[:at] + bytes([second[at] ^ 1]) + second[at + 1 :]
    yield first[:-1], second
    yield first, second[:-1]


def mutations(suite: JsonObject) -> Counts:
    """Do to a request in our profile what the set does to B.2.6; both kinds have to refuse."""
    published = suite["request"]
    target, _, query = published["target"].partition("?")
    body = published["body"].encode()
    request = SignedRequest(
        b"token", b"POST", b"example.com", target.encode(), query.encode(), digest_of(body)
    )
    changes = suite["mutations_of_B26"]
    counts = Counts("RFC 9421 B.2 mutated, our profile", len(suite["vectors"]) + len(changes))
    for kind in VERIFY:
        proof = ADA.sign(kind, request)
        counts.judge(f"{kind} unchanged", "accept", partial(_holds, kind, request, proof, body))
    for change in changes:
        # The date isn't covered: `created` is.
        must = "outside" if "date" in change else "reject"
        attempts = [] if "date" in change else [_mutated(kind, request, change) for kind in VERIFY]
        counts.judge(change["name"], must, *attempts)
    return counts


def _mutated(kind: str, request: SignedRequest, change: JsonObject) -> Callable[[], bool]:
    """Return an attempt with one of the set's changes, done to our own parameters."""
    proof = ADA.sign(kind, request)
    body = change.get("body", '{"hello": "world"}').encode()
    changed = request
    if "drop" in change:
        changed = request._replace(content_digest=b"")
    for name in ("method", "authority"):
        if name in change:
            changed = changed._replace(**{name: change[name].encode()})
    if "target" in change:
        changed = changed._replace(path=change["target"].partition("?")[0].encode())
    if "params" in change:
        # Signed rightly, so that it isn't the signature alone that stops it.
        proof = ADA.sign(kind, request, _parameters(kind, request, change["name"]))
    if "sig" in change:
        assert proof.signature is not None
        proof = proof._replace(signature=proof.signature[:-9] + b":")
    if "extra" in change:
        assert proof.signature is not None
        proof = proof._replace(signature=proof.signature + b", " + change["extra"].encode())
    if changed == request and proof == ADA.sign(kind, request) and "body" not in change:
        raise ValueError(f"nothing was changed for {change['name']}")
    return partial(_holds, kind, changed, proof, body)


def _parameters(kind: str, request: SignedRequest, name: str) -> str:
    """Return our parameters with the same thing done to them that the set does to its own."""
    good = ADA.parameters(kind, request)
    components = f'{COMPONENTS} "content-digest"'
    changed = {
        "components reordered": good.replace('"@method" "@authority"', '"@authority" "@method"'),
        "component dropped": good.replace('"@path" ', ""),
        "component duplicated": good.replace('"@method"', '"@method" "@method"'),
        "created changed": good.replace(f"created={NOW}", f"created={NOW + 1000}"),
        "keyid changed": ADA.parameters(kind, request, keyid=EVE.session_id),
        "alg param injected": good + ';alg="none"',
        "expires in past": good + ";expires=1",
        "empty component list when policy requires": good.replace(components, ""),
        "unknown derived component": good.replace('"@path"', '"@bogus"'),
        "uppercase component name": good.replace('"@method"', '"@Method"'),
    }
    return changed[name]


@dataclass
class _Gate:
    """Be a gate that has seen a proof before, or hands out nonces."""

    keys: ProofKeys
    request: SignedRequest
    replay: MemoryReplayStore
    nonces: AffinityNonces | None = None

    def lets_in(self, headers: ProofHeaders, now: float = NOW) -> bool:
        """Verify a DPoP proof, ask for a nonce and claim it."""
        proof = dpop.verify(self.request, headers, self.keys, LEEWAY, now)
        if self.nonces is not None:
            self.nonces.verify(proof, now)
        tag = hashlib.sha256(proof.nonce).digest()[:16]
        until = proof.created + PROOF_LIFE_SECONDS + LEEWAY
        return self.replay.claim_now(ReplayClaim(tag, float(until)), now)


def dpop_proofs(suite: JsonObject) -> Counts:
    """Run the published proofs at their own instant, and the cases that the set describes."""
    cases = suite["negative_cases_to_generate"]
    counts = Counts("RFC 9449 DPoP", len(suite["proofs"]) + len(cases))
    for published in suite["proofs"]:
        members, jwk = published["payload"], published["header"]["jwk"]
        scheme, _, rest = members["htu"].partition("://")
        assert scheme == "https"
        authority, _, path = rest.partition("/")
        name = thumbprint(jwk).encode()
        assert name == published["jkt"].encode()
        keys = ProofKeys(b"sid", name, jwk, public_key_from_jwk(jwk), None)
        token = published.get("access_token", "").encode()
        request = SignedRequest(
            token, members["htm"].encode(), authority.encode(), f"/{path}".encode(), b"", None
        )
        gate = _Gate(keys, request, MemoryReplayStore(leeway=LEEWAY))
        proof = ProofHeaders(None, None, published["proof"].encode())
        # Two were made for a token endpoint, so that they name no token: none of our requests.
        must = "accept" if "ath" in members else "outside"
        counts.judge(members["htu"], must, partial(gate.lets_in, proof, members["iat"]))
    for case in cases:
        counts.judge(case["name"], *_generated(case["name"]))
    return counts


def _generated(name: str) -> tuple[str, Callable[[], bool]]:
    """Return what must happen to a described case, and the case."""
    request = SignedRequest(b"token", b"GET", b"api.clinic.example", b"/v1/a", b"page=2", None)
    gate = _Gate(ADA.keys, request, MemoryReplayStore(leeway=LEEWAY))
    good = ADA.dpop(request)
    assert good.dpop is not None
    url = "https://api.clinic.example/v1/"
    proofs = {
        "wrong-htm": ADA.dpop(request, htm="POST"),
        "htu-with-other-path": ADA.dpop(request, htu=f"{url}b"),
        "htu-query-ignored": ADA.dpop(request, htu=f"{url}a?page=3#part"),
        "two-dpop-headers": good._replace(dpop=good.dpop + b", " + good.dpop),
        "jwk-has-d": ADA.dpop(request, {"jwk": ADA.jwk | {"d": ADA.jwk["x"]}}),
        "alg-none": ADA.dpop(request, {"alg": "none"}),
        "alg-hs256": ADA.dpop(request, {"alg": "HS256"}),
        "typ-missing": ADA.dpop(request, {"typ": None}),
        "replayed-jti": good,
        "stale-iat": ADA.dpop(request, iat=NOW - PROOF_LIFE_SECONDS - LEEWAY),
        "ath-mismatch": ADA.dpop(request._replace(token=b"other")),
        "jkt-mismatch": EVE.dpop(request),
        "nonce-missing": good,
    }
    if name == "replayed-jti" and not gate.lets_in(good):
        raise ValueError("the first of two proofs was refused")
    if name == "nonce-missing":
        gate.nonces = AffinityNonces(bytes(32))
    # RFC 9449 section 4.3 ignores query and fragment, whatever a list may expect of this one.
    must = "accept" if name == "htu-query-ignored" else "reject"
    return must, partial(gate.lets_in, proofs[name])


def hpke(suite: JsonObject) -> Counts:
    """Open what the published keys seal.

    The interface has no additional data, which the published texts have: each plaintext is sealed anew
    by the published key and nonce without any.  Opening must come to the same key by itself.  Each is
    mutated at every byte, and opened under another key and another info: that many more cases.
    """
    counts = Counts("RFC 9180 HPKE, base mode", 0)
    for vector in suite["vectors"]:
        label = f"KEM {vector['kem_id']} AEAD {vector['aead_id']}"
        if vector["aead_id"] != 1:
            counts.size += len(vector["encryptions"])
            for _ in vector["encryptions"]:
                counts.judge(label, "outside", bool)
            continue
        suite_, own, other = _suite(vector)
        info, enc = bytes.fromhex(vector["info"]), bytes.fromhex(vector["enc"])
        for encryption in vector["encryptions"]:
            plain = bytes.fromhex(encryption["pt"])
            aead = AESGCM(bytes.fromhex(vector["key"]))
            sealed = enc + aead.encrypt(bytes.fromhex(vector["base_nonce"]), plain, None)
            attempts = [("accept", sealed, own, info), ("reject", sealed, other, info)]
            attempts += [("reject", text, own, about) for text, about in _altered(sealed, info)]
            counts.size += len(attempts)
            for must, text, key, about in attempts:
                counts.judge(label, must, partial(_opens, suite_, text, key, about, plain))
    return counts


def _suite(vector: JsonObject) -> tuple[hazmat.Suite, Any, Any]:
    """Return our suite for a published KEM, its private key and another one."""
    secret = bytes.fromhex(vector["skRm"])
    aead, kdf = hazmat.AEAD.AES_128_GCM, hazmat.KDF.HKDF_SHA256
    if vector["kem_id"] == 16:
        keys = [derive_private_key(n, SECP256R1()) for n in (int.from_bytes(secret), 17)]
        return hazmat.Suite(hazmat.KEM.P256, kdf, aead), keys[0], keys[1]
    suite = hazmat.Suite(hazmat.KEM.X25519, kdf, aead)
    read = X25519PrivateKey.from_private_bytes
    return suite, read(secret), read(bytes(range(32)))


def _opens(suite: hazmat.Suite, text: bytes, key: Any, info: bytes, plain: bytes) -> bool:
    try:
        return suite.decrypt(text, key, info) == plain
    except InvalidTag:
        return False
