"""Play Google Play: issue Play Integrity tokens, and answer like Google's servers.

Written from developer.android.com ("Integrity verdicts", "Decrypt and verify the integrity verdict"), RFC 7515,
RFC 7516 and RFC 7518, with keys from the lab's seed.  No real token is public together with the keys that open it:
that these tokens are like Google's is taken from its pages alone.

The simulated servers are one pure function from request to answer; whoever wants them behind a port
puts them there.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.lab.keys import derive_bytes, derive_key
from watchword.ports import FetchRequest, FetchResponse

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address.
SCOPE: Final = "https://www.googleapis.com/auth/playintegrity"

_DECODE_URL: Final = re.compile(
    r"https://playintegrity\.googleapis\.com/v1/([A-Za-z0-9_.]+):decodeIntegrityToken"
)
_GRANT: Final = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
_JWE_HEADER: Final = b'{"alg":"A256KW","enc":"A256GCM"}'
_JWS_HEADER: Final = b'{"alg":"ES256"}'
_TOKEN_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class GooglePlay:
    """Hold the keys with which one lab's Google encrypts and signs, for all apps the same."""

    seed: bytes = field(repr=False)

    @property
    def decryption_key(self) -> bytes:
        """Return the AES-256 key that the Play Console would show, 32 bytes."""
        return derive_bytes(self.seed, "play/decryption", 32)

    @property
    def verification_key(self) -> bytes:
        """Return SPKI DER of the public key that the Play Console would show."""
        key = self._signing_key().public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def issue(self, payload: Mapping[str, Any]) -> str:
        """Return the token over a payload: the same payload gives the same token."""
        return self.encrypt(self.sign(json.dumps(payload, separators=(",", ":")).encode()))

    def sign(self, payload: bytes, header: bytes = _JWS_HEADER) -> bytes:
        """Return the compact JWS over a payload; another header is for tests of verifiers."""
        signing_input = _b64(header) + b"." + _b64(payload)
        signature = self._signing_key().sign(
            signing_input, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        )
        r, s = decode_dss_signature(signature)
        return signing_input + b"." + _b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def encrypt(self, plaintext: bytes, header: bytes = _JWE_HEADER) -> str:
        """Return the compact JWE over a plaintext; another header is for tests of verifiers."""
        # Both come from the content, so that no vector is met twice under one content key.
        label = hashlib.sha256(plaintext).hexdigest()
        content_key = derive_bytes(self.seed, f"play/content-key/{label}", 32)
        vector = derive_bytes(self.seed, f"play/vector/{label}", 12)
        protected = _b64(header)
        sealed = AESGCM(content_key).encrypt(vector, plaintext, protected)
        wrapped = aes_key_wrap(self.decryption_key, content_key)
        parts = (protected, _b64(wrapped), _b64(vector), _b64(sealed[:-16]), _b64(sealed[-16:]))
        return b".".join(parts).decode("ascii")

    def open(self, token: str) -> dict[str, Any] | None:
        """Return the payload of a token of this lab, None of any other text."""
        try:
            protected, wrapped, vector, sealed, tag = token.split(".")
            content_key = aes_key_unwrap(self.decryption_key, _unb64(wrapped))
            cipher = AESGCM(content_key)
            inner = cipher.decrypt(_unb64(vector), _unb64(sealed) + _unb64(tag), protected.encode())
            payload: dict[str, Any] = json.loads(_unb64(inner.split(b".")[1].decode()))
        except (ValueError, InvalidUnwrap, InvalidTag, IndexError):
            return None
        return payload

    def _signing_key(self) -> ec.EllipticCurvePrivateKey:
        return derive_key(self.seed, "play/signing", ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class GoogleServers:
    """Answer as ``oauth2.googleapis.com`` and ``playintegrity.googleapis.com`` do.

    :param accounts: the public key of each service account, by its e-mail address.
    :param packages: the packages whose tokens these accounts may have decoded.
    """

    play: GooglePlay
    accounts: Mapping[str, rsa.RSAPublicKey]
    packages: frozenset[str]

    def answer(self, request: FetchRequest, now: datetime) -> FetchResponse:
        """Return the answer to one request; there is no state but the seed."""
        seconds = int(now.timestamp())
        if request.method != "POST":
            return _error(405, "METHOD_NOT_ALLOWED")
        if request.url == TOKEN_URL:
            return self._access_token(request.body, seconds)
        decode = _DECODE_URL.fullmatch(request.url)
        if decode is None:
            return _error(404, "NOT_FOUND")
        if not self._is_access_token(request.headers.get("authorization", ""), seconds):
            return _error(401, "UNAUTHENTICATED")
        if decode[1] not in self.packages:
            return _error(403, "PERMISSION_DENIED")
        return self._decode(decode[1], request.body)

    def _access_token(self, body: bytes, now: int) -> FetchResponse:
        form = dict(_pair(part) for part in body.decode("ascii", "replace").split("&"))
        try:
            assertion = form["assertion"]
            signing_input, _, signature = assertion.rpartition(".")
            header, claims = (json.loads(_unb64(part)) for part in signing_input.split("."))
            key = self.accounts[claims["iss"]]
            key.verify(
                _unb64(signature), signing_input.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            good = (
                form["grant_type"] == _GRANT
                and header["alg"] == "RS256"
                and claims["aud"] == TOKEN_URL
                and claims["scope"] == SCOPE
                and claims["iat"] - 60 <= now < claims["exp"] <= claims["iat"] + _TOKEN_SECONDS
            )
        except (ValueError, KeyError, TypeError, InvalidSignature):
            good = False
        if not good:
            return _json(400, {"error": "invalid_grant"})
        expires = str(now + _TOKEN_SECONDS)
        token = f"{expires}.{self._mac(expires)}"
        return _json(
            200, {"access_token": token, "expires_in": _TOKEN_SECONDS, "token_type": "Bearer"}
        )

    def _is_access_token(self, header: str, now: int) -> bool:
        expires, _, mac = header.removeprefix("Bearer ").partition(".")
        good = hmac.compare_digest(mac.encode(), self._mac(expires).encode())
        return good and header.startswith("Bearer ") and now < int(expires)

    def _mac(self, expires: str) -> str:
        key = derive_bytes(self.play.seed, "play/access-tokens", 32)
        return hmac.new(key, expires.encode(), hashlib.sha256).hexdigest()

    def _decode(self, package: str, body: bytes) -> FetchResponse:
        try:
            token = json.loads(body)["integrity_token"]
        except (ValueError, KeyError, TypeError):
            return _error(400, "INVALID_ARGUMENT")
        payload = self.play.open(token) if isinstance(token, str) else None
        if payload is None or payload["requestDetails"]["requestPackageName"] != package:
            return _error(400, "INVALID_ARGUMENT")
        return _json(200, {"tokenPayloadExternal": payload})


def _json(status: int, document: Mapping[str, Any]) -> FetchResponse:
    body = json.dumps(document, indent=2).encode()
    return FetchResponse(status, {"content-type": "application/json; charset=UTF-8"}, body)


def _error(status: int, name: str) -> FetchResponse:
    return _json(status, {"error": {"code": status, "message": name.lower(), "status": name}})


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name, value


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
