"""Requests and their signatures: structured fields, HTTP message signatures, and raw HTTP/1.1.

Structured fields (RFC 9651): our three headers are structured fields, of which we read one text each.  So every case must
be refused: as such a header, and where it could slip into one that is right in all the rest and rightly signed.

HTTP message signatures: the examples of RFC 9421 appendix B.2, and changes to one of them.  The examples cover other
components than ours, so that as requests they are refused; their signatures hold under our verifiers where the algorithm
is ours.  Each change is done to a request in our profile, by session and by device key.

Raw bytes: what h11 and the gate's own reading of headers and paths let through; the gate's rows that no mode lets pass
(steps 1 to 3 of its decision) behind the parser that uvicorn uses.  Whole gates, with their servers, are held to more of
this by ``watchword conformance gate``.
"""

import base64
import hashlib
import hmac
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import h11
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.gate import hygiene
from watchword.gate.hygiene import read_path
from watchword.reasons import Refusal, RefusedError
from watchword.tokens.jose import jwk_from_public_key, thumbprint
from watchword.tokens.proofs import content_digest, device, session
from watchword.tokens.proofs.interface import (
    BODY_COMPONENT,
    COMPONENTS,
    DEVICE_ALGORITHM,
    LABEL,
    SESSION_ALGORITHM,
    KeyedMac,
    ProofHeaders,
    ProofKeys,
    SignedRequest,
    VerifiedProof,
    signature_base,
)
from watchword_conformance.suites.interface import (
    Attempt,
    Case,
    CaseSet,
    JsonObject,
    MisreadError,
    Must,
    Outside,
    Suite,
    SuiteFile,
    agreed,
)

NOW: Final = 1_795_500_000
"""The clock of all of these requests, seconds since 1970."""

KINDS: Final = ("session", "device")
"""The two proofs that are HTTP message signatures."""

_LEEWAY: Final = 30
_PRIVATE: Final = derive_private_key(19, SECP256R1())
_JWK: Final = jwk_from_public_key(_PRIVATE.public_key())
_SESSION_KEY: Final = hashlib.sha256(b"watchword/conformance/suites").digest()
_KEYS: Final = ProofKeys(
    session_id=b"session-1",
    thumbprint=thumbprint(_JWK).encode("ascii"),
    jwk=_JWK,
    device_key=_PRIVATE.public_key(),
    session_key=_SESSION_KEY,
)
_ALGORITHMS: Final[Mapping[str, str]] = {"session": SESSION_ALGORITHM, "device": DEVICE_ALGORITHM}
_NONCE: Final = b"bm9uY2Utb2YtYS1zdWl0ZQ"


def genuine_request(body: bytes | None = None) -> SignedRequest:
    """Return a request, with the digest of its body where it has one."""
    digest = None
    if body is not None:
        digest = content_digest.write(hashlib.sha256(body).digest()).encode("ascii")
    return SignedRequest(b"token", b"POST", b"example.com", b"/foo", b"param=Value&Pet=dog", digest)


def proof_parameters(kind: str, *, with_body: bool = False) -> bytes:
    """Return what stands behind the label in ``Signature-Input``, as a genuine client writes it."""
    keyid = _KEYS.session_id if kind == "session" else _KEYS.thumbprint
    components = COMPONENTS + (BODY_COMPONENT if with_body else b"")
    algorithm = _ALGORITHMS[kind].encode("ascii")
    return b'(%b);created=%d;nonce="%b";alg="%b";keyid="%b"' % (
        components,
        NOW,
        _NONCE,
        algorithm,
        keyid,
    )


def sign_proof(kind: str, signed: SignedRequest, inside: bytes) -> ProofHeaders:
    """Return the headers of a proof with these parameters, whatever they are, and a right signature."""
    signature_input = LABEL + b"=" + inside
    base = signature_base(signed, signature_input)
    if kind == "session":
        signature = KeyedMac(_SESSION_KEY).digest(base)
    else:
        r, s = decode_dss_signature(_PRIVATE.sign(base, ECDSA(SHA256())))
        signature = r.to_bytes(32) + s.to_bytes(32)
    text = b2a_base64(signature, newline=False)
    return ProofHeaders(signature_input, LABEL + b"=:" + text + b":", None)


def verify_proof(kind: str, signed: SignedRequest, headers: ProofHeaders) -> VerifiedProof:
    """Return what a proof says.

    :raises RefusedError: as :mod:`watchword.tokens.proofs` does.
    """
    check = session.verify if kind == "session" else device.verify
    return check(signed, headers, _KEYS, _LEEWAY, NOW)


def proof_holds(
    kind: str, signed: SignedRequest, headers: ProofHeaders, body: bytes | None = None
) -> bool:
    """Tell whether a proof holds, and the body is the one that it covers, as the gate compares it."""
    proof = verify_proof(kind, signed, headers)
    return body is None or proof.body_digest == hashlib.sha256(body).digest()


ONE_TEXT = Outside(
    "one-text",
    "A valid field that isn't our text. `Signature-Input`, `Signature` and `Content-Digest` are read in one form each, "
    "byte for byte, so that no two parsers can read one header in two ways.",
)
LEFT_OPEN = Outside("left-open", "The suite lets parsers refuse it (`can_fail`).")

_TYPES: Final = frozenset({"item", "list", "dictionary"})


def read_structured_fields(file: SuiteFile) -> CaseSet | None:
    """Return the parsing cases of a list of objects with ``name`` and ``header_type``.

    Those for serialising have no ``raw``: what we write is fixed text.
    """
    found = file.json
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        return None
    if not {"name", "header_type"} <= found[0].keys():
        return None
    return CaseSet("Structured fields", _structured_fields_cases(file.path.stem, found))


def _structured_fields_cases(stem: str, cases: list[JsonObject]) -> Iterator[Case]:
    for number, case in enumerate(cases):
        if case["header_type"] not in _TYPES:
            raise ValueError(f"got the type {case['header_type']}")
        if "raw" not in case:
            continue
        # Several lines of one field are one, joined by commas (RFC 9110 section 5.2).
        raw = ", ".join(case["raw"]).encode("utf-8", "surrogatepass")
        must, outside = _verdict(case)
        yield Case(
            f"{stem} {number}: {case['name']}", must, partial(is_read_anywhere, raw), outside
        )


def _verdict(case: JsonObject) -> tuple[Must, Outside | None]:
    if case.get("must_fail"):
        return Must.REJECT, None
    return (Must.EITHER, LEFT_OPEN) if case.get("can_fail") else (Must.ACCEPT, ONE_TEXT)


def is_read_anywhere(raw: bytes) -> bool:
    """Tell whether any of our readers takes the text in any place where it could stand."""
    return any(_takes(attempt, raw) for attempt in (_as_digest, _as_header, _within_parameters))


def _takes(attempt: Callable[[bytes], bool], raw: bytes) -> bool:
    try:
        return attempt(raw)
    except RefusedError:
        return False


def _as_digest(raw: bytes) -> bool:
    """Read it as a digest, as the value of one, and as a second one beside a right one."""
    right = genuine_request(b"{}").content_digest or b""
    digests = (raw, b"sha-256=" + raw, right + b", " + raw, raw + b", " + right, right + b";" + raw)
    return any(_takes(_is_digest, digest) for digest in digests if digest != right)


def _is_digest(header: bytes) -> bool:
    content_digest.read(header)
    return True


def _as_header(raw: bytes) -> bool:
    """Put it in the place of each header, and beside it as a second member."""
    signed = genuine_request()
    found = False
    for kind in KINDS:
        good = sign_proof(kind, signed, proof_parameters(kind))
        given, signature = good.signature_input or b"", good.signature or b""
        for changed in (
            ProofHeaders(raw, signature, None),
            ProofHeaders(given, raw, None),
            ProofHeaders(given + b", " + raw, signature, None),
            ProofHeaders(raw + b", " + given, signature, None),
            ProofHeaders(given, signature + b", " + raw, None),
            ProofHeaders(given, signature + b";" + raw, None),
        ):
            found = found or _takes(partial(_holds, kind, changed), raw)
    return found


def _within_parameters(raw: bytes) -> bool:
    """Sign it as a parameter, as a parameter's value, as a component, and as the id of the key."""
    found = False
    for kind in KINDS:
        good = proof_parameters(kind)
        before, _, _ = good.rpartition(b"keyid=")
        for inside in (
            good + b";" + raw,
            good + b";x=" + raw,
            good.replace(b'"@path"', b'"@path" ' + raw, 1),
            good.replace(b'"@path"', raw, 1),
            before + b"keyid=" + raw,
        ):
            headers = sign_proof(kind, genuine_request(), inside)
            found = found or _takes(partial(_holds, kind, headers), raw)
    return found


def _holds(kind: str, headers: ProofHeaders, _raw: bytes) -> bool:
    return proof_holds(kind, genuine_request(), headers)


STRUCTURED_FIELDS = Suite(
    title="Structured fields",
    source="github.com/httpwg/structured-field-tests",
    layout="JSON lists of objects with `name`, `header_type` and `raw`",
    held="the readers of `Signature-Input`, `Signature` and `Content-Digest`, in 27 places for each case",
    read=read_structured_fields,
    outside=(ONE_TEXT, LEFT_OPEN),
)


ALGORITHM = Outside(
    "algorithm", "Proofs are HMAC-SHA256 or ECDSA on P-256; all others are refused."
)
NOT_COVERED = Outside(
    "not-covered",
    "What changes isn't covered by our proofs: `created` says when one was made, and not `Date`.",
    unjudged=True,
)

_BODY = b'{"hello": "world"}'


def read_message_signatures(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file with a request, examples and changes to B.2.6."""
    suite = file.json_object("request", "vectors", "mutations_of_B26")
    return None if suite is None else CaseSet("RFC 9421 B.2", _message_signatures_cases(suite))


def _message_signatures_cases(suite: JsonObject) -> Iterator[Case]:
    for vector in suite["vectors"]:
        ours = vector["alg"] == SESSION_ALGORITHM
        headers = ProofHeaders(
            b"%b=%b" % (LABEL, vector["signature_input"].encode()),
            b"%b=:%b:" % (LABEL, vector["signature"].encode()),
            None,
        )
        key = base64.b64decode(vector["secret_b64"]) if ours else b""
        signature = base64.b64decode(vector["signature"])
        attempt = partial(_example, headers, key, vector["signature_base"].encode(), signature)
        yield Case(vector["id"], Must.ACCEPT, attempt, None if ours else ALGORITHM)
    for change in suite["mutations_of_B26"]:
        outside = NOT_COVERED if "date" in change else None
        attempts = [] if "date" in change else [_changed(kind, change) for kind in KINDS]
        attempt = partial(agreed, *attempts) if attempts else partial(_unchanged)
        yield Case(change["name"], Must(change["must"]), attempt, outside)


def _example(headers: ProofHeaders, key: bytes, base: bytes, signature: bytes) -> bool:
    """Verify the signature over the published text; as a request of ours it must be refused."""
    for kind in KINDS:
        for signed in (genuine_request(), genuine_request(_BODY)):
            try:
                verify_proof(kind, signed, headers)
            except RefusedError:
                continue
            raise MisreadError("an example that covers other components was accepted as a proof")
    return bool(key) and hmac.compare_digest(KeyedMac(key).digest(base), signature)


def _unchanged() -> bool:
    signed = genuine_request(_BODY)
    return agreed(
        *(
            partial(
                proof_holds,
                kind,
                signed,
                sign_proof(kind, signed, proof_parameters(kind, with_body=True)),
                _BODY,
            )
            for kind in KINDS
        )
    )


def _changed(kind: str, change: JsonObject) -> Attempt:
    """Return an attempt with one change; parameters are signed anew, so that it isn't the signature that stops them."""
    if not _unchanged():
        raise AssertionError("an unchanged request is refused")
    good = proof_parameters(kind, with_body=True)
    signed = genuine_request(_BODY)
    inside = _parameters(good, change["name"]) if "params" in change else good
    proof = sign_proof(kind, signed, inside)
    signature = proof.signature or b""
    if "sig" in change:
        proof = proof._replace(signature=signature[:-9] + b":")
    if "extra" in change:
        proof = proof._replace(signature=signature + b", " + change["extra"].encode())
    arrived = _arrived(signed, change)
    body = change.get("body", _BODY.decode()).encode()
    if (arrived, inside, proof.signature, body) == (signed, good, signature, _BODY):
        raise ValueError(f"{change['name']} changes nothing")
    return partial(proof_holds, kind, arrived, proof, body)


def _arrived(signed: SignedRequest, change: JsonObject) -> SignedRequest:
    if "drop" in change:
        signed = signed._replace(content_digest=b"")
    if "method" in change:
        signed = signed._replace(method=change["method"].encode())
    if "authority" in change:
        signed = signed._replace(authority=change["authority"].encode())
    if "target" in change:
        path, _, query = change["target"].partition("?")
        signed = signed._replace(path=path.encode(), query=query.encode())
    return signed


def _parameters(good: bytes, name: str) -> bytes:
    """Return our parameters with the same thing done to them that the file does to B.2.6's."""
    components = good[good.index(b"(") : good.index(b")") + 1]
    created = b"created=%d" % NOW
    keyid = good[good.index(b";keyid=") :]
    changes = {
        "components reordered": (b'"@method" "@authority"', b'"@authority" "@method"'),
        "component dropped": (b'"@path" ', b""),
        "component duplicated": (b'"@method"', b'"@method" "@method"'),
        "created changed": (created, b"created=%d" % (NOW + 1000)),
        "keyid changed": (keyid, b';keyid="another"'),
        "alg param injected": (keyid, keyid + b';alg="none"'),
        "expires in past": (keyid, keyid + b";expires=1"),
        "empty component list when policy requires": (components, b"()"),
        "unknown derived component": (b'"@path"', b'"@bogus"'),
        "uppercase component name": (b'"@method"', b'"@Method"'),
    }
    return good.replace(*changes[name], 1)


MESSAGE_SIGNATURES = Suite(
    title="RFC 9421, B.2",
    source="RFC 9421 appendix B.2.5 and B.2.6, as one JSON file with changes to the latter",
    layout="JSON with `request`, `vectors` and `mutations_of_B26`",
    held="session and device proofs; each change is done to a request in our profile",
    read=read_message_signatures,
    outside=(ALGORITHM, NOT_COVERED),
)


ONE_PATH = Outside(
    "one-path",
    "The file lets a path pass that the API serves as the very same bytes. Ours are refused where servers differ over them.",
)
SERVER = Outside(
    "server",
    "The server in front reads the bytes. h11 takes what RFC 9112 lets it take: a bare LF as the end of a line, a folded line as a "
    "blank, a later minor version. What comes out is one request, and no line ends stand in its fields.",
    unjudged=True,
)
HANDSHAKE = Outside(
    "handshake",
    "The server answers a WebSocket's handshake; the gate judges its headers as any others.",
    unjudged=True,
)

_MUST: Final = {
    "2xx": (Must.ACCEPT, None),
    "4xx or connection close": (Must.REJECT, None),
    "400/401": (Must.REJECT, None),
    "2xx but X_A": (Must.ACCEPT, None),
    "policy sees the exact path": (Must.EITHER, ONE_PATH),
    "authority taken from one place only": (Must.REJECT, None),
    "4xx, worker survives": (Must.REJECT, HANDSHAKE),
}
"""By the beginning of what a file says of a case."""

_LEFT_TO_SERVERS: Final = frozenset({"bare LF headers", "obs-fold", "HTTP/1.2"})

_MAX_EVENTS: Final = 10_000


def read_raw_http(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file with bytes in base64 and what must become of them."""
    suite = file.json_object("cases", "generated_large")
    return None if suite is None else CaseSet("Raw HTTP/1.1", _raw_http_cases(suite))


def _raw_http_cases(suite: JsonObject) -> Iterator[Case]:
    for name, case in suite["cases"].items():
        # The longest one that fits: "2xx" begins another.
        told = max((text for text in _MUST if case["must"].startswith(text)), key=len)
        must, outside = _MUST[told]
        outside = SERVER if name in _LEFT_TO_SERVERS else outside
        wire = base64.b64decode(case["b64"])
        yield Case(name, must, partial(is_let_through, wire), outside)
    if "1M header value" in suite["generated_large"]:
        wire = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 1_000_000)
        yield Case("1M header value", Must.REJECT, partial(is_let_through, wire))


def is_let_through(wire: bytes) -> bool:
    """Tell whether exactly one request of these bytes would be looked up in the route table."""
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(wire)
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return False
        for _ in range(_MAX_EVENTS):
            event = connection.next_event()
            if isinstance(event, h11.EndOfMessage):
                break
            if not isinstance(event, h11.Data):
                return False
    except h11.RemoteProtocolError:
        return False
    headers = request.headers.raw_items()
    cleaned = hygiene.clean(headers)
    path = read_path(request.target.partition(b"?")[0])
    if isinstance(cleaned, Refusal) or isinstance(path, Refusal):
        return False
    sent = {name.lower() for name, _ in headers}
    if not {name for name, _ in cleaned.fields} <= sent:
        raise MisreadError("a header came out under another name")
    return not connection.trailing_data[0]


RAW_HTTP = Suite(
    title="Raw HTTP/1.1",
    source="request smuggling and framing after RFC 9112, one JSON file",
    layout="JSON with `generated_large` and `cases`: `{name: {b64, must}}`",
    held="h11 and the gate's reading of headers, framing and paths",
    read=read_raw_http,
    outside=(ONE_PATH, SERVER, HANDSHAKE),
)
