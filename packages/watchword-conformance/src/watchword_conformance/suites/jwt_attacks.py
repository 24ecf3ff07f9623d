"""Attacks on JWT under one clock: tokens that a verifier of JWT in general must refuse, and a good one.

Ours refuses them all for their type already, which proves little of what is behind that.  So each attack is carried
over: its header with our type, its claims among ours, signed anew where its own signature was right.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.encoding import base64url, strict_json
from watchword.ports import VerificationKey
from watchword.reasons import MalformedError, RefusedError
from watchword.tokens import jose
from watchword.tokens.interface import TOKEN_TYPE, TokenExpectation
from watchword.tokens.jose import jwk_from_public_key
from watchword.tokens.service import verify
from watchword.vocabulary import Environment
from watchword_conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    Must,
    Outside,
    Suite,
    SuiteFile,
)
from watchword_conformance.suites.wycheproof import our_key

POLICY = Outside("policy", "The suite leaves it to the verifier's policy; ours refuses it.")

_ISSUER: Final = "https://watchword.example"
_PRIVATE: Final = derive_private_key(17, SECP256R1())
_PUBLIC: Final = _PRIVATE.public_key()
_ATTACKED: Final = "k1"
_LARGE: Final = 10_000_000
_DEEP: Final = 100_000
_TYPE: Final = re.compile(rb'"typ": ?"JWT"')
_SEGMENTS: Final = 3


@dataclass(frozen=True)
class _Bench:
    """Hold what the attacks are tried on: their key, our key under its id, their audience and clock."""

    theirs: VerificationKey
    audience: str
    now: int

    @cached_property
    def expectation(self) -> TokenExpectation:
        return TokenExpectation(_ISSUER, self.audience, Environment.PROD)

    def is_accepted(self, text: str) -> bool:
        """Tell whether a token is accepted as it stands or carried over."""
        accepted = False
        for token, key in ((text, self.theirs), (self.carried_over(text), self.ours)):
            try:
                verify(token, self.expectation, _Keys(key), float(self.now))
                accepted = True
            except RefusedError:
                continue
        return accepted

    @property
    def ours(self) -> VerificationKey:
        return VerificationKey(self.theirs.kid, _PUBLIC)

    def carried_over(self, text: str) -> str:
        """Return the attack in a token of ours; what can't be taken apart stays as it is."""
        segments = text.split(".")
        if len(segments) != _SEGMENTS:
            return text
        try:
            header, claims, signature = (base64url.decode(part, 2 * _LARGE) for part in segments)
        except MalformedError:
            return text
        # The signature is taken as right where it is, so that it isn't for the signature alone that we refuse.
        right = jose.is_signed_by(
            self.theirs.key, signature, text.rpartition(".")[0].encode("ascii")
        )
        typed = _TYPE.sub(b'"typ":"%b"' % TOKEN_TYPE.encode(), header)
        signing_input = f"{base64url.encode(typed)}.{base64url.encode(self._among_ours(claims))}"
        signed = _sign(signing_input.encode("ascii")) if right else signature
        return f"{signing_input}.{base64url.encode(signed)}"

    def _among_ours(self, claims: bytes) -> bytes:
        """Return their claims with ours in front, as text, so that what is crooked in theirs stays."""
        at = claims.find(b"{")
        if at < 0:
            return claims
        ours = {
            "iss": _ISSUER,
            "jti": "token-1",
            "env": "prod",
            "app": {"id": "app"},
            "lvl": "hardware",
            "cnf": {"jwk": jwk_from_public_key(_PUBLIC)},
            "sid": "session-1",
            "epo": 0,
        }
        if b'"iat"' not in claims:
            ours["iat"] = self.now
        return claims[: at + 1] + strict_json.dumps(ours)[1:-1] + b"," + claims[at + 1 :]


class _Keys:
    """Hold one key; implements the port VerificationKeys."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id."""
        return self._key if kid == self._key.kid else None


def _sign(message: bytes) -> bytes:
    r, s = decode_dss_signature(_PRIVATE.sign(message, ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def read_jwt_attacks(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file with keys, audience, clock and tokens."""
    suite = file.json_object("jwks", "audience", "now", "cases")
    return None if suite is None else CaseSet("JWT attacks", _cases(suite))


def _cases(suite: JsonObject) -> Iterator[Case]:
    jwk = next(key for key in suite["jwks"]["keys"] if key["kid"] == _ATTACKED)
    bench = _Bench(our_key(jwk), suite["audience"], int(suite["now"]))
    for name, case in suite["cases"].items():
        text = _large(name) if case["token"] is None else case["token"]
        outside = POLICY if case["must"] == "policy" else None
        must = Must.EITHER if outside else Must(case["must"])
        yield Case(name, must, partial(bench.is_accepted, text), outside)


def _large(name: str) -> str:
    """Return what a file describes and doesn't hold."""
    header = base64url.encode(b'{"alg":"ES256","kid":"k1","typ":"JWT"}')
    signature = base64url.encode(bytes(64))
    deep = base64url.encode(b'{"a":' + b"[" * _DEEP + b"]" * _DEEP + b"}")
    large = "A" * _LARGE
    parts = {
        "header deep": (deep, "e30", signature),
        "claims deep": (header, deep, signature),
        "header 10MB": (large, "e30", signature),
        "payload 10MB": (header, large, signature),
        "sig 10MB": (header, "e30", large),
    }
    found = next((parts[key] for key in parts if name.startswith(key)), None)
    if found is None:
        kid = strict_json.dumps({"alg": "ES256", "kid": "k1" * 50_000, "typ": "JWT"})
        found = (base64url.encode(kid), "e30", signature)
    return ".".join(found)


JWT_ATTACKS = Suite(
    title="JWT attacks",
    source="a list of attacks on JWT libraries, one JSON file",
    layout="JSON with `jwks` (the key `k1`), `audience`, `now` and `cases`: `{name: {token, must}}`",
    held="the token verifier; each attack as it stands, and carried over into a token of ours",
    read=read_jwt_attacks,
    outside=(POLICY,),
)
