"""Wycheproof's JOSE files: JWS, JWK and JWE, of which ES256 under one P-256 key is ours."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    Outside,
    Suite,
    must_of,
)
from watchword.encoding import base64url, strict_json
from watchword.ports import VerificationKey
from watchword.reasons import MalformedError, Reason, RefusedError
from watchword.tokens import es256, strict_jws
from watchword.tokens.interface import MAX_TOKEN_BYTES, TOKEN_TYPE, TokenExpectation
from watchword.tokens.jwk import public_key_from_jwk
from watchword.tokens.service import verify
from watchword.vocabulary import Environment

ALGORITHM = Outside(
    "algorithm", "Tokens are ES256 under one P-256 key; all other algorithms are refused."
)
ENCRYPTION = Outside("encryption", "Tokens are signed and never encrypted: a JWE is refused.")
SEVERAL_KEYS = Outside("several-keys", "A key stands for itself; a set of keys isn't read as one.")

_SEGMENTS = 3
_EXPECTATION = TokenExpectation("https://watchword.example", "api", Environment.PROD)
_HEADER_BYTES = 2048


class _OneKey:
    """Hold the one key of a case; implements the port VerificationKeys."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        self._jwk = jwk

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key with this id."""
        return our_key(self._jwk) if self._jwk.get("kid") == kid else None


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file whose ``schema`` is one of the three."""
    suite = file.json_object("testGroups", "schema")
    if suite is None or not str(suite["schema"]).startswith("json_web_"):
        return None
    return CaseSet(f"Wycheproof {file.path.stem}", _cases(suite))


def _cases(suite: JsonObject) -> Iterator[Case]:
    for group in suite["testGroups"]:
        public = group.get("public", {})
        keys = public.get("keys", [public])
        for test in group["tests"]:
            text = test["jwe"] if "jwe" in test else test["jws"]
            outside = _outside(keys, encrypted="jwe" in test)
            if not isinstance(text, str):
                text = json.dumps(text)  # The JSON serialisation, which no header can hold.
            jwk = keys[0] if outside is None else {}
            yield Case(
                f"{group['comment']} {test['tcId']}",
                must_of(test["result"]),
                partial(_is_verified, text, jwk),
                outside,
            )


def _outside(keys: list[JsonObject], *, encrypted: bool) -> Outside | None:
    """Say why a case isn't ours; one whose key claims another curve or kind than it has is ours to refuse."""
    if encrypted:
        return ENCRYPTION
    if len(keys) != 1:
        return SEVERAL_KEYS
    if "x" not in keys[0] or keys[0].get("crv") == "P-521":
        return ALGORITHM
    return None


def _is_verified(text: str, jwk: JsonObject) -> bool:
    """Verify by the whole verifier and by its parts.

    The headers of the suite have no ``typ``, so that the whole verifier refuses them all at its first step.
    """
    try:
        verify(text, _EXPECTATION, _OneKey(jwk), 0.0)
    except RefusedError:
        return bool(jwk) and is_signed(text, our_key(jwk))
    return True


def our_key(jwk: Mapping[str, Any]) -> VerificationKey:
    """Return a key out of a published JWK.

    Ours have neither id nor purpose: those are taken away where they say what ours are for.  What is
    left over is refused by the reader.
    """
    spared = {"kid": jwk.get("kid"), "alg": "ES256", "use": "sig"}
    members = {name: value for name, value in jwk.items() if spared.get(name) != value}
    return VerificationKey(jwk["kid"], public_key_from_jwk(members))


def is_signed(text: str, key: VerificationKey) -> bool:
    """Verify a JWS by the parts of our verifier, without asking for our type."""
    if len(text) > MAX_TOKEN_BYTES:
        raise MalformedError.because(Reason.TOKEN_MALFORMED, "too long")
    segments = text.split(".")
    if len(segments) != _SEGMENTS:
        raise MalformedError.because(Reason.TOKEN_MALFORMED, "segments")
    header, _, signature = (base64url.decode(segment) for segment in segments)
    if strict_json.loads(header, _HEADER_BYTES) != {"alg": "ES256", "kid": key.kid}:
        return False
    typed = {"alg": "ES256", "kid": key.kid, "typ": TOKEN_TYPE}
    with_type = base64url.encode(strict_json.dumps(typed))
    jws = strict_jws.parse(".".join((with_type, *segments[1:])), TOKEN_TYPE)
    signing_input = text.rpartition(".")[0].encode("ascii")
    return jws.signature == signature and es256.is_signed_by(key.key, signature, signing_input)


SUITE = Suite(
    title="Wycheproof, JOSE",
    source="github.com/C2SP/wycheproof",
    layout="JSON with `testGroups` and a `schema` of `json_web_*`",
    held="the token verifier, whole and by its parts: base64url, header, key, signature",
    read=read,
    outside=(ALGORITHM, ENCRYPTION, SEVERAL_KEYS),
)
