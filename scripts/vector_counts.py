"""Run published test vectors through our verifiers and print three numbers for each set.

*Rejected* and *accepted* as they must be; *outside*: what our profile doesn't have (other algorithms,
other components, encryption), all of which is refused too.  The vectors lie beside the project,
where they are at all; nothing of them is copied.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from scripts import vector_proofs
from scripts.vector_judge import Counts, JsonObject

from watchword.encoding import base64url, strict_json
from watchword.ports import VerificationKey
from watchword.reasons import MalformedError, Reason
from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE, TokenExpectation
from watchword.tokens.jose import public_key_from_jwk
from watchword.tokens.proofs.interface import KeyedMac
from watchword.tokens.service import verify
from watchword.vocabulary import Environment

VECTORS = Path(__file__).parents[2] / "shared" / "vectors"
LARGE = 10_000_000
DEEP = 100_000
EXPECTATION = TokenExpectation("https://watchword.example", "api", Environment.PROD)


def load(path: str) -> JsonObject:
    """Return one set."""
    document: JsonObject = json.loads((VECTORS / path).read_text())
    return document


@dataclass
class OneKey:
    """Hold the keys of a set; implements the port VerificationKeys."""

    keys: dict[str, VerificationKey] = field(default_factory=dict)

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id."""
        return self.keys.get(kid)


def our_key(jwk: JsonObject) -> VerificationKey:
    """Return a key out of a published JWK.

    Ours have neither id nor purpose: those are taken away where they say what ours are for.  What is
    left over is refused by the reader.
    """
    spared = {"kid": jwk.get("kid"), "alg": "ES256", "use": "sig"}
    members = {name: value for name, value in jwk.items() if spared.get(name) != value}
    return VerificationKey(jwk["kid"], public_key_from_jwk(members))


def verify_pieces(text: str, jwk: JsonObject) -> bool:
    """Verify a JWS by the pieces of our verifier, without asking for our type.

    The vectors' headers have no ``typ``, so that the whole verifier refuses them all at its first step.
    """
    key = our_key(jwk)
    segments = text.split(".")
    if len(segments) != 3:
        raise MalformedError.because(Reason.TOKEN_MALFORMED, "segments")
    header, _, signature = (base64url.decode(segment) for segment in segments)
    if strict_json.loads(header, 2048) != {"alg": "ES256", "kid": key.kid}:
        raise MalformedError.because(Reason.TOKEN_MALFORMED, "header")
    return jose.is_signed_by(key.key, signature, text.rpartition(".")[0].encode("ascii"))


def verify_whole(text: str, keys: OneKey, now: float) -> bool:
    """Verify a token by our whole verifier."""
    verify(text, EXPECTATION, keys, now)
    return True


def wycheproof_jose(name: str) -> Counts:
    """Run a set of Wycheproof's JWS: those under one P-256 key are ours, all others are outside."""
    suite = load(f"adversarial/jose/{name}.json")
    counts = Counts(f"Wycheproof {name}", suite["numberOfTests"])
    for group in suite["testGroups"]:
        public = group.get("public", {})
        keys = public.get("keys", [public])
        ours = len(keys) == 1 and "x" in keys[0] and keys[0].get("crv") != "P-521"
        for test in group["tests"]:
            text = test.get("jws") or test.get("jwe") or ""
            if not isinstance(text, str):
                text = json.dumps(text)  # The JSON serialisation, which no header can hold.
            case = f"{group['comment']} {test['tcId']}"
            attempts: list[Callable[[], bool]] = [partial(verify_whole, text, OneKey(), 0.0)]
            if ours:
                attempts.append(partial(verify_pieces, text, keys[0]))
            must = "accept" if test["result"] == "valid" else "reject"
            counts.judge(case, must if ours else "outside", *attempts)
    return counts


def own_attacks() -> Counts:
    """Run the collected attacks on JWT; the good one is followed as far as its signature."""
    suite = load("adversarial/jose/jwt_attacks_vectors.json")
    counts = Counts("own JWT attacks", len(suite["cases"]))
    jwk = suite["jwks"]["keys"][0]
    keys = OneKey({"k1": our_key(jwk)})
    for name, case in suite["cases"].items():
        must = {"policy": "outside"}.get(case["must"], case["must"])
        for text in _large(name) if case["token"] is None else [case["token"]]:
            whole = partial(verify_whole, text, keys, float(suite["now"]))
            if must == "accept":
                # Its claims are none of ours: form and signature are what can be accepted.
                counts.judge(name, must, whole, partial(_signed, text, keys))
            else:
                counts.judge(name, must, whole)
    return counts


def _large(name: str) -> Iterator[str]:
    """Yield what the set describes and doesn't hold."""
    header = base64url.encode(b'{"alg":"ES256","kid":"k1","typ":"watchword+jwt"}')
    signature = base64url.encode(bytes(64))
    deep = base64url.encode(b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}")
    large = "A" * LARGE
    parts = {
        "header deep": (deep, "e30", signature),
        "claims deep": (header, deep, signature),
        "header 10MB": (large, "e30", signature),
        "payload 10MB": (header, large, signature),
        "sig 10MB": (header, "e30", large),
    }
    found = next((parts[key] for key in parts if name.startswith(key)), None)
    if found is None:
        head = strict_json.dumps({"alg": "ES256", "kid": "k1" * 5000, "typ": TOKEN_TYPE})
        found = (base64url.encode(head), "e30", signature)
    yield ".".join(found)


def _signed(text: str, keys: OneKey) -> bool:
    jws = jose.parse(text, "JWT")
    key = keys.find(jws.kid)
    return key is not None and jose.is_signed_by(key.key, jws.signature, jws.signing_input)


def wycheproof_signatures() -> Counts:
    """Run ECDSA on P-256 with r and s side by side."""
    suite = load("adversarial/sig/ecdsa_secp256r1_sha256_p1363_test.json")
    counts = Counts("Wycheproof ecdsa p1363 P-256", suite["numberOfTests"])
    for group in suite["testGroups"]:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        x, y = base64url.encode(point[1:33]), base64url.encode(point[33:])
        key = public_key_from_jwk({"kty": "EC", "crv": "P-256", "x": x, "y": y})
        for test in group["tests"]:
            signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
            must = "accept" if test["result"] == "valid" else "reject"
            counts.judge(
                f"tcId {test['tcId']}", must, partial(jose.is_signed_by, key, signature, message)
            )
    return counts


def wycheproof_hmac() -> Counts:
    """Run HMAC-SHA256; keys longer than a block and shortened tags aren't ours."""
    suite = load("adversarial/sig/hmac_sha256_test.json")
    counts = Counts("Wycheproof hmac-sha256", suite["numberOfTests"])
    for group in suite["testGroups"]:
        ours = group["tagSize"] == 256 and group["keySize"] <= 512
        for test in group["tests"]:
            must = "accept" if test["result"] == "valid" else "reject"
            counts.judge(
                f"tcId {test['tcId']}", must if ours else "outside", partial(_has_mac, test, ours)
            )
    return counts


def _has_mac(test: JsonObject, ours: bool) -> bool:
    key, tag = bytes.fromhex(test["key"]), bytes.fromhex(test["tag"])
    # A key longer than a block is refused where it comes in, as an error of ours.
    return (ours or len(key) <= 64) and KeyedMac(key).digest(bytes.fromhex(test["msg"])) == tag


def pem_key(lines: list[str]) -> Any:
    """Return the public key among published PEM blocks."""
    return load_pem_public_key(next(text for text in lines if "PUBLIC" in text).encode())


def counts() -> list[Counts]:
    """Run every set."""
    appendix = load("proofs/rfc9421_appendix_b.json")
    return [
        vector_proofs.appendix_b(appendix),
        vector_proofs.appendix_b_pieces(appendix, pem_key),
        vector_proofs.mutations(load("adversarial/http/rfc9421_b2.json")),
        vector_proofs.dpop_proofs(load("proofs/rfc9449_dpop.json")),
        vector_proofs.hpke(load("proofs/rfc9180_hpke_base_subset.json")),
        *map(
            wycheproof_jose,
            ("json_web_signature_test", "json_web_key_test", "json_web_crypto_test"),
        ),
        own_attacks(),
        wycheproof_signatures(),
        wycheproof_hmac(),
    ]


def main() -> int:
    """Print the table; return 1 if anything is wrong with it."""
    if not VECTORS.is_dir():
        print("There are no vectors beside the project: nothing was run.", file=sys.stderr)
        return 1
    found = counts()
    print(f"{'set':36} {'cases':>6} {'rejected':>9} {'accepted':>9} {'outside':>8} {'wrong':>6}")
    for row in found:
        numbers = f"{row.rejected:9} {row.accepted:9} {row.outside:8} {len(row.wrong):6}"
        print(f"{row.name:36} {row.size:6} {numbers}")
    wrong = [f"{row.name}: {case}" for row in found for case in row.wrong]
    print("\n".join(wrong) or "0 wrong accepts, 0 wrong refusals, 0 foreign exceptions")
    return 1 if wrong or any(not row.adds_up for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
