"""Fuzz proofs: what a request carries in Signature-Input, Signature, Content-Digest and DPoP."""

import json
from collections.abc import Iterator
from contextlib import suppress

from tests.unit.tokens.proofs.prover import ADA, GET, LEEWAY, NOW, POST

from fuzz import seeds
from watchword.reasons import MalformedError, RefusedError
from watchword.tokens.proofs import content_digest, device, dpop, session
from watchword.tokens.proofs.interface import ProofHeaders

_KEYS = ADA.keys
_HEADER = {"typ": "dpop+jwt", "alg": "ES256", "jwk": ADA.jwk}


def read_signature(data: bytes) -> None:
    """Verify two headers, and a third where there is one, as a session's and as a device's proof."""
    parts = (*seeds.split(data), b"", b"")
    headers = ProofHeaders(parts[0], parts[1], None)
    request = POST._replace(content_digest=parts[2]) if len(parts) > 4 else GET
    for verify in (session.verify, device.verify):
        with suppress(RefusedError):
            verify(request, headers, _KEYS, LEEWAY, NOW)


def read_digest(data: bytes) -> None:
    """Read a Content-Digest."""
    with suppress(MalformedError):
        digest = content_digest.read(data)
        assert content_digest.write(digest).encode() == data


def read_dpop(data: bytes) -> None:
    """Verify a proof as it came, and header and payload as if the instance had signed them."""
    parts = (*seeds.split(data), b"", b"")
    for headers in (ProofHeaders(None, None, data), ADA.compact(parts[0], parts[1])):
        with suppress(RefusedError):
            dpop.verify(GET, headers, _KEYS, LEEWAY, NOW, allow_http=True)


def signatures() -> Iterator[bytes]:
    """Yield signed requests with and without a body, and what is refused late."""
    for kind in ("session", "device"):
        for request in (GET, POST):
            other = ADA.parameters(kind, request, components='"@method";req "date";key="a"')
            for parameters in (None, other, ADA.parameters(kind, request, alg="ed25519")):
                headers = ADA.sign(kind, request, parameters)
                digest = () if request.content_digest is None else (request.content_digest,)
                yield seeds.join(
                    (headers.signature_input or b"", headers.signature or b"", *digest)
                )


def digests() -> Iterator[bytes]:
    """Yield a digest, and two."""
    assert POST.content_digest is not None
    yield POST.content_digest
    yield POST.content_digest + b", sha-512=:AAAA:"


def dpop_proofs() -> Iterator[bytes]:
    """Yield proofs, and the two parts of one in several spellings."""
    yield ADA.dpop(GET).dpop or b""
    header = json.dumps(_HEADER).encode()
    nonce = "n" * 30
    for changes in (
        {},
        {"nonce": nonce},
        {"htu": "HTTP://api.clinic.example:80/v1?a#b"},
        {"iat": 1},
    ):
        for separators in ((",", ":"), (", ", ": ")):
            payload = json.dumps(ADA.payload(GET, **changes), separators=separators)
            yield seeds.join((header, payload.encode()))
