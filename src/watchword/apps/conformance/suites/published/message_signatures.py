"""HTTP message signatures: the examples of RFC 9421 appendix B.2, and changes to one of them.

The examples cover other components than ours, so that as requests they are refused; their signatures hold under our
verifiers where the algorithm is ours.  Each change is done to a request in our profile, by session and by device key.
"""

import base64
import hmac
from collections.abc import Iterator
from functools import partial

from watchword.apps.conformance.suites import proving
from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Attempt,
    Case,
    CaseSet,
    JsonObject,
    MisreadError,
    Must,
    Outside,
    Suite,
    agreed,
)
from watchword.reasons import RefusedError
from watchword.tokens.proofs.interface import (
    LABEL,
    SESSION_ALGORITHM,
    KeyedMac,
    ProofHeaders,
    SignedRequest,
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


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a file with a request, examples and changes to B.2.6."""
    suite = file.json_object("request", "vectors", "mutations_of_B26")
    return None if suite is None else CaseSet("RFC 9421 B.2", _cases(suite))


def _cases(suite: JsonObject) -> Iterator[Case]:
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
        attempts = [] if "date" in change else [_changed(kind, change) for kind in proving.KINDS]
        attempt = partial(agreed, *attempts) if attempts else partial(_unchanged)
        yield Case(change["name"], Must(change["must"]), attempt, outside)


def _example(headers: ProofHeaders, key: bytes, base: bytes, signature: bytes) -> bool:
    """Verify the signature over the published text; as a request of ours it must be refused."""
    for kind in proving.KINDS:
        for signed in (proving.request(), proving.request(_BODY)):
            try:
                proving.verify(kind, signed, headers)
            except RefusedError:
                continue
            raise MisreadError("an example that covers other components was accepted as a proof")
    return bool(key) and hmac.compare_digest(KeyedMac(key).digest(base), signature)


def _unchanged() -> bool:
    signed = proving.request(_BODY)
    return agreed(
        *(
            partial(
                proving.holds,
                kind,
                signed,
                proving.sign(kind, signed, proving.parameters(kind, with_body=True)),
                _BODY,
            )
            for kind in proving.KINDS
        )
    )


def _changed(kind: str, change: JsonObject) -> Attempt:
    """Return an attempt with one change; parameters are signed anew, so that it isn't the signature that stops them."""
    if not _unchanged():
        raise AssertionError("an unchanged request is refused")
    good = proving.parameters(kind, with_body=True)
    signed = proving.request(_BODY)
    inside = _parameters(good, change["name"]) if "params" in change else good
    proof = proving.sign(kind, signed, inside)
    signature = proof.signature or b""
    if "sig" in change:
        proof = proof._replace(signature=signature[:-9] + b":")
    if "extra" in change:
        proof = proof._replace(signature=signature + b", " + change["extra"].encode())
    arrived = _arrived(signed, change)
    body = change.get("body", _BODY.decode()).encode()
    if (arrived, inside, proof.signature, body) == (signed, good, signature, _BODY):
        raise ValueError(f"{change['name']} changes nothing")
    return partial(proving.holds, kind, arrived, proof, body)


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
    created = b"created=%d" % proving.NOW
    keyid = good[good.index(b";keyid=") :]
    changes = {
        "components reordered": (b'"@method" "@authority"', b'"@authority" "@method"'),
        "component dropped": (b'"@path" ', b""),
        "component duplicated": (b'"@method"', b'"@method" "@method"'),
        "created changed": (created, b"created=%d" % (proving.NOW + 1000)),
        "keyid changed": (keyid, b';keyid="another"'),
        "alg param injected": (keyid, keyid + b';alg="none"'),
        "expires in past": (keyid, keyid + b";expires=1"),
        "empty component list when policy requires": (components, b"()"),
        "unknown derived component": (b'"@path"', b'"@bogus"'),
        "uppercase component name": (b'"@method"', b'"@Method"'),
    }
    return good.replace(*changes[name], 1)


SUITE = Suite(
    title="RFC 9421, B.2",
    source="RFC 9421 appendix B.2.5 and B.2.6, as one JSON file with changes to the latter",
    layout="JSON with `request`, `vectors` and `mutations_of_B26`",
    held="session and device proofs; each change is done to a request in our profile",
    read=read,
    outside=(ALGORITHM, NOT_COVERED),
)
