"""Do what a thief does with a stolen token: alone, with recorded requests, with keys of his own."""

from collections.abc import Callable

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.apps.demo.clinic import API_KEY
from watchword.client import TOKEN_HEADER
from watchword.client.own_token import OwnToken
from watchword.client.proofs import Covered, Freshness, content_digest, device_proof, session_proof
from watchword.client.session import HeldToken
from watchword.encoding import base64url
from watchword.ports import Clock, Entropy
from watchword.tokens.jwk import jwk_from_public_key
from watchword.tokens.jwk import thumbprint as thumbprint_of

_NONCE_BYTES = 16


def with_token_alone(url: str, token: str, body: bytes) -> httpx.Request:
    """Return a request with a copied token and nothing else."""
    return httpx.Request(
        "POST", url, content=body, headers={"x-api-key": API_KEY, TOKEN_HEADER: token}
    )


def again(request: httpx.Request, body: bytes | None = None) -> httpx.Request:
    """Return a caught request once more, byte for byte; with another body of the same length if given.

    :raises ValueError: if the length differs: its header would give the change away.
    """
    content = request.read() if body is None else body
    if len(content) != len(request.read()):
        raise ValueError("expected a body of the same length")
    return httpx.Request(request.method, request.url, content=content, headers=request.headers)


class Forger:
    """Make proofs in the right form, fresh, for a token that was stolen."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        """Make a key of the thief's own."""
        self._clock = clock
        self._entropy = entropy
        self._key = ec.generate_private_key(ec.SECP256R1())

    def by_own_key(self, url: str, token: str, body: bytes) -> httpx.Request:
        """Return a request that is signed by the thief's own key."""
        jwk = dict(jwk_from_public_key(self._key.public_key()))
        own = OwnToken(session_id="", key=jwk, thumbprint=thumbprint_of(jwk))

        def prove(covered: Covered, fresh: Freshness) -> dict[str, str]:
            return device_proof(covered, token, own, self._sign, fresh)

        return self._proved(url, token, body, prove)

    def by_session_key(self, url: str, stolen: HeldToken, body: bytes) -> httpx.Request:
        """Return a request that is proved by the session key, stolen along with the token."""
        own, key = stolen.own, stolen.session_key
        assert own is not None
        assert key is not None

        def prove(covered: Covered, fresh: Freshness) -> dict[str, str]:
            return session_proof(covered, stolen.token, own, key, fresh)

        return self._proved(url, stolen.token, body, prove)

    def _sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(SHA256()))

    def _proved(
        self,
        url: str,
        token: str,
        body: bytes,
        prove: Callable[[Covered, Freshness], dict[str, str]],
    ) -> httpx.Request:
        request = with_token_alone(url, token, body)
        digest = content_digest(body)
        covered = Covered(
            scheme=request.url.scheme,
            method=request.method,
            authority=request.headers["host"],
            path=request.url.path,
            query="",
            content_digest=digest,
        )
        nonce = base64url.encode(self._entropy.token_bytes(_NONCE_BYTES))
        request.headers["content-digest"] = digest
        request.headers.update(prove(covered, Freshness(int(self._clock.timestamp()), nonce)))
        return request
