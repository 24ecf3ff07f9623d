"""Bodies: covered, changed, lying about their length; and the classes of request smuggling."""

from typing import Any

from scripts.conformance_cases.words import (
    ANY_REFUSAL,
    Json,
    case,
    contained,
    malformed,
    passed,
    refused,
    request,
)

TEXT = '{"order": 1}'
DIGEST = refused("proof.digest")
BODY = refused("proof.body")
BODY_OR_ENGINE = refused("proof.body", 400, 401)
HIDDEN = "GET /bearer/{hidden} HTTP/1.1\r\nHost: {host}\r\nX-Conformance-Case: {hidden}\r\n\r\n"


def cases() -> list[Json]:
    """Return the cases."""
    made = []
    for kind in ("session", "device"):
        made += _covered(kind)
    return [*made, *_small(), *_bearer(), *_smuggled()]


def _one(kind: str, identity: str, note: str, expect: Json, body: Json, **parts: Any) -> Json:
    recipe = {"kind": kind, **parts.pop("proof", {})}
    parts = {"method": "POST", **parts}
    built = request(f"/{kind}/orders", expect, body={"text": TEXT, **body}, proof=recipe, **parts)
    return case(f"body/{kind}-{identity}", note, built)


def _covered(kind: str) -> list[Json]:
    target = f"/{kind}/orders"
    first = request(target, passed(), method="POST", body={"text": TEXT}, proof={"kind": kind})
    # 403 where an engine has no such row: which comes first, the refusal or the end of the body, is chance.
    closed = [0, 400, 401, 403, 408]
    return [
        _one(kind, "good", "A body with its digest.", passed(), {}),
        _one(kind, "good-large", "A body of 60,000 bytes.", passed(), {"fill": 60_000, "text": ""}),
        _one(
            kind,
            "good-chunked",
            "A chunked body, put together before it is compared.",
            passed(),
            {"framing": "chunked"},
        ),
        _one(
            kind,
            "good-chunked-empty",
            "A chunked body with nothing in it is a body.",
            passed(),
            {"framing": "chunked", "text": ""},
        ),
        _one(kind, "good-put", "Another method with a body.", passed(), {}, method="PUT"),
        case(
            f"body/{kind}-none-post",
            "A POST without a body needs no digest.",
            request(target, passed(), method="POST", body={"text": ""}, proof={"kind": kind})
            | {"body": {"text": "", "digests": []}},
        ),
        case(
            f"body/{kind}-get",
            "A GET may have a body; then it is covered.",
            request(target, passed(), body={"text": TEXT}, proof={"kind": kind}),
        ),
        _one(kind, "digest-missing", "A body without a digest.", DIGEST, {"digests": []}),
        _one(
            kind,
            "digest-uncovered",
            "A digest that isn't covered by the signature.",
            refused("proof.components"),
            {},
            proof={
                "components": [
                    '"watchword-token"',
                    '"@method"',
                    '"@authority"',
                    '"@path"',
                    '"@query"',
                ]
            },
        ),
        _one(
            kind,
            "digest-wrong",
            "The digest of another body, signed.",
            BODY,
            {"digests": ["sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"]},
        ),
        _one(
            kind,
            "digest-swapped",
            "The digest was changed on the way.",
            refused("proof.signature"),
            {},
            proof={"over": {"digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"}},
        ),
        _one(
            kind,
            "digest-two-headers",
            "Two digests in two headers.",
            malformed("request.header_duplicated", 401),
            {"digests": ["sha-256=:{sha-256}:", "sha-256=:{sha-256}:"]},
        ),
        _one(
            kind,
            "digest-two-members",
            "A digest and one of another algorithm.",
            DIGEST,
            {"digests": ["sha-256=:{sha-256}:, sha-512=:{sha-512}:"]},
        ),
        _one(
            kind,
            "digest-other-algorithm",
            "A digest of another algorithm alone.",
            DIGEST,
            {"digests": ["sha-512=:{sha-512}:"]},
        ),
        _one(
            kind,
            "digest-named-wrong",
            "SHA-512 under the name of SHA-256.",
            DIGEST,
            {"digests": ["sha-256=:{sha-512}:"]},
        ),
        _one(
            kind,
            "digest-upper-case",
            "Names of algorithms are in lower case.",
            DIGEST,
            {"digests": ["SHA-256=:{sha-256}:"]},
        ),
        _one(
            kind,
            "digest-parameter",
            "A parameter behind the digest.",
            DIGEST,
            {"digests": ["sha-256=:{sha-256}:;a=1"]},
        ),
        _one(
            kind,
            "digest-unwrapped",
            "The digest without its colons.",
            DIGEST,
            {"digests": ["sha-256={sha-256}"]},
        ),
        _one(
            kind,
            "digest-legacy",
            "The header of RFC 3230 in place of ours.",
            DIGEST,
            {"digests": []},
            headers=[["Digest", "SHA-256=abc"]],
        ),
        _one(
            kind,
            "digest-underscore",
            "Content_Digest looks like the header behind CGI.",
            malformed("request.malformed", 401),
            {},
            rename={"content-digest": "Content_Digest"},
        ),
        _one(
            kind,
            "shorter",
            "The body ends before its announced end.",
            refused("proof.body", *closed),
            {"announced": 40, "half_close": True},
        ),
        _one(
            kind,
            "longer",
            "More bytes than announced: the rest is no part of the body.",
            BODY_OR_ENGINE,
            {"announced": 5},
        ),
        _one(
            kind,
            "longer-than-announced-none",
            "Content-Length 0 and a body all the same.",
            refused("proof.components", 400, 401),
            {"announced": 0},
        ),
        _one(
            kind,
            "chunked-changed",
            "A chunked body that isn't the one of the digest.",
            BODY,
            {
                "framing": "chunked",
                "digests": ["sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"],
            },
        ),
        _one(
            kind,
            "too-large",
            "A body beyond the row's bound.",
            refused("request.body_too_large"),
            {"fill": 70_000, "text": ""},
        ),
        _one(
            kind,
            "too-large-chunked",
            "A chunked body beyond the row's bound, which nothing announces.",
            refused("request.body_too_large"),
            {"fill": 70_000, "text": "", "framing": "chunked"},
        ),
        case(
            f"body/{kind}-replayed",
            "A request with a body again.",
            first,
            request(target, refused("proof.replayed"), method="POST", body={"text": TEXT}, again=0),
            needs=("replay",),
        ),
        case(
            f"body/{kind}-replayed-other-body",
            "A captured head with another body of the same length.",
            first,
            request(target, BODY, method="POST", body={"text": TEXT.replace("1", "9")}, again=0),
            needs=("replay",),
        ),
        case(
            f"body/{kind}-body-dropped",
            "A captured head without its body.",
            first,
            request(target, refused("proof.components"), method="POST", again=0),
        ),
        case(
            f"body/{kind}-body-added",
            "A body is added to a captured request that had none.",
            request(target, passed(), method="POST", proof={"kind": kind}),
            request(target, DIGEST, method="POST", body={"text": TEXT, "digests": []}, again=0),
        ),
        case(
            f"body/{kind}-not-used-up",
            "A wrong body doesn't use the proof up for its owner.",
            request(
                target,
                BODY_OR_ENGINE,
                method="POST",
                body={"text": TEXT, "announced": 5},
                proof={"kind": kind, "nonce": "a-body-that-was-cut"},
            ),
            request(
                target,
                passed(),
                method="POST",
                body={"text": TEXT},
                proof={"kind": kind, "nonce": "a-body-that-was-cut"},
            ),
            needs=("replay",),
        ),
    ]


def _small() -> list[Json]:
    target = "/session-small/orders"
    return [
        case(
            "body/bound-met",
            "A body as large as the row allows.",
            request(target, passed(), method="POST", body={"fill": 256}, proof={"kind": "session"}),
        ),
        case(
            "body/bound-missed",
            "One byte more than the row allows.",
            request(
                target,
                refused("request.body_too_large"),
                method="POST",
                body={"fill": 257},
                proof={"kind": "session"},
            ),
        ),
        case(
            "body/bound-missed-chunked",
            "One byte more than the row allows, in chunks.",
            request(
                target,
                refused("request.body_too_large"),
                method="POST",
                body={"fill": 257, "framing": "chunked"},
                proof={"kind": "session"},
            ),
        ),
        case(
            "body/bound-announced",
            "A huge body is announced and not sent.",
            request(
                target,
                refused("request.body_too_large", 0, 413),
                method="POST",
                body={"text": "x", "announced": 10**9},
                proof={"kind": "session"},
            ),
        ),
    ]


def _bearer() -> list[Json]:
    target = "/bearer/orders"
    return [
        case(
            "body/bearer-post",
            "A bearer route doesn't look at the body.",
            request(target, passed(), method="POST", body={"text": TEXT}),
        ),
        case(
            "body/bearer-chunked",
            "A chunked body on a bearer route.",
            request(target, passed(), method="POST", body={"text": TEXT, "framing": "chunked"}),
        ),
        case(
            "body/bearer-large",
            "A body of 300,000 bytes on a bearer route.",
            request(target, passed(), method="POST", body={"fill": 300_000}),
        ),
        case(
            "body/bearer-refused",
            "A refused request's body goes nowhere.",
            request(
                target, refused("token.missing"), method="POST", body={"fill": 300_000}, token=None
            ),
        ),
        case(
            "body/off-post",
            "A body on a row that is off.",
            request(
                "/open/upload",
                passed(results=False),
                method="POST",
                body={"text": TEXT},
                token=None,
            ),
        ),
        case(
            "body/watched-session-wrong",
            "A watching row lets a wrong body pass, and the API sees it as it is.",
            request(
                "/watched-session/x",
                passed(results=False),
                method="POST",
                body={
                    "text": TEXT,
                    "digests": ["sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"],
                },
                proof={"kind": "session"},
            ),
        ),
    ]


# A server may wait for more of these; of all others it has everything.
_INCOMPLETE = {
    "chunk-size-bad",
    "chunk-size-signed",
    "chunk-size-prefix",
    "chunk-size-huge",
}


def _raw(identity: str, note: str, head: str, expect: Json, body: str = "", seen: str = "") -> Json:
    """Return a case written in bytes: a POST to a bearer route with a good token."""
    wire = (
        "POST /bearer/orders HTTP/1.1\r\nHost: {host}\r\nX-Conformance-Case: {label}\r\n"
        "Watchword-Token: {token}\r\n" + head + "\r\n" + body
    )
    return case(
        f"smuggling/{identity}",
        note,
        request(
            "/bearer/orders",
            expect,
            method="POST",
            raw=wire,
            body={"text": seen, "half_close": identity in _INCOMPLETE},
        ),
    )


def _smuggled() -> list[Json]:
    chunk = "5\r\nhello\r\n0\r\n\r\n"
    bad = refused("request.framing", *ANY_REFUSAL)
    made = [
        _raw(
            "cl-te",
            "Content-Length beside Transfer-Encoding; a request hides in the difference.",
            "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n",
            contained(),
            chunk + HIDDEN,
            "hello",
        ),
        _raw(
            "te-cl",
            "The same, the other way round.",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            contained(),
            chunk + HIDDEN,
            "hello",
        ),
        _raw(
            "two-lengths",
            "Two lengths that differ.",
            "Content-Length: 5\r\nContent-Length: 0\r\n",
            bad,
            "hello",
        ),
        _raw("length-list", "Two lengths in one field.", "Content-Length: 5, 0\r\n", bad, "hello"),
        _raw("length-signed", "A length with a sign.", "Content-Length: +5\r\n", bad, "hello"),
        _raw("length-negative", "A length below zero.", "Content-Length: -5\r\n", bad, "hello"),
        _raw("length-hex", "A length in hex.", "Content-Length: 0x5\r\n", bad, "hello"),
        _raw(
            "length-fraction", "A length with a fraction.", "Content-Length: 5.0\r\n", bad, "hello"
        ),
        _raw("length-words", "A length in words.", "Content-Length: five\r\n", bad, "hello"),
        _raw(
            "length-huge",
            "A length beyond 64 bits.",
            "Content-Length: 99999999999999999999\r\n",
            bad,
            "hello",
        ),
        _raw(
            "length-wraps",
            "A length of 2^64 and 5, which is 5 for who counts in 64 bits.",
            "Content-Length: 18446744073709551621\r\n",
            bad,
            "hello",
        ),
        _raw(
            "length-of-19-digits",
            "A length beyond what is signed in 64 bits.",
            "Content-Length: 9223372036854775813\r\n",
            bad,
            "hello",
        ),
        _raw(
            "length-underscore",
            "Content_Length is a length behind CGI.",
            "Content_Length: 5\r\n",
            refused("request.malformed", *ANY_REFUSAL),
            "",
        ),
        _raw(
            "te-twice",
            "Two transfer codings in two fields.",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            bad,
            chunk,
        ),
        _raw(
            "te-identity",
            "A coding that no longer exists.",
            "Transfer-Encoding: identity\r\n",
            bad,
            chunk,
        ),
        _raw(
            "te-gzip",
            "A coding beside chunked.",
            "Transfer-Encoding: gzip, chunked\r\n",
            bad,
            chunk,
        ),
        _raw(
            "te-chunked-not-last",
            "chunked in front of another coding.",
            "Transfer-Encoding: chunked, gzip\r\n",
            bad,
            chunk,
        ),
        _raw(
            "te-unknown",
            "A coding that only looks like chunked.",
            "Transfer-Encoding: xchunked\r\n",
            bad,
            chunk,
        ),
        _raw(
            "te-parameter",
            "chunked with a parameter.",
            "Transfer-Encoding: chunked;a=1\r\n",
            bad,
            chunk,
        ),
        _raw("te-quoted", "chunked in quotes.", 'Transfer-Encoding: "chunked"\r\n', bad, chunk),
        _raw(
            "te-vertical-tab",
            "chunked behind a vertical tab.",
            "Transfer-Encoding: \x0bchunked\r\n",
            bad,
            chunk,
        ),
        _raw(
            "te-space-before-colon",
            "A blank in front of the colon.",
            "Transfer-Encoding : chunked\r\n",
            bad,
            chunk,
        ),
        _raw(
            "te-underscore",
            "Transfer_Encoding is a coding behind CGI.",
            "Transfer_Encoding: chunked\r\n",
            refused("request.malformed", *ANY_REFUSAL),
            "",
        ),
        _raw(
            "folded",
            "A field that goes on in the next line (RFC 9112 section 5.2).",
            "X-A: b\r\n c\r\n",
            contained(),
            "",
        ),
        _raw(
            "folded-te",
            "A coding in a folded line.",
            "X-A: b\r\n Transfer-Encoding: chunked\r\n",
            contained(),
            "",
        ),
        _raw(
            "bare-lf",
            "A line feed alone ends a line for some.",
            "X-A: b\nX-B: c\r\n",
            contained(),
            "",
        ),
        _raw(
            "bare-lf-te",
            "A length hides behind a line feed alone.",
            "X-A: b\nContent-Length: 5\r\n",
            contained(),
            "hello",
            "hello",
        ),
        _raw(
            "bare-cr",
            "A carriage return alone inside of a value.",
            "X-A: b\rWatchword-Level: hardware\r\n",
            refused("request.malformed", *ANY_REFUSAL),
            "",
        ),
        _raw(
            "nul",
            "NUL inside of a value.",
            "X-A: b\x00c\r\n",
            refused("request.malformed", *ANY_REFUSAL),
            "",
        ),
        _raw(
            "name-blank",
            "A blank inside of a name.",
            "X A: b\r\n",
            refused("request.malformed", *ANY_REFUSAL),
            "",
        ),
        _raw(
            "name-empty",
            "A field without a name.",
            ": b\r\n",
            refused("request.malformed", *ANY_REFUSAL),
            "",
        ),
        _raw(
            "no-colon",
            "A line without a colon.",
            "X-A\r\n",
            refused("request.malformed", *ANY_REFUSAL),
            "",
        ),
        _raw(
            "chunk-size-bad",
            "A chunk size that is no number.",
            "Transfer-Encoding: chunked\r\n",
            refused(None, *ANY_REFUSAL),
            "zz\r\nhello\r\n0\r\n\r\n",
        ),
        _raw(
            "chunk-size-signed",
            "A chunk size with a sign.",
            "Transfer-Encoding: chunked\r\n",
            refused(None, *ANY_REFUSAL),
            "+5\r\nhello\r\n0\r\n\r\n",
        ),
        _raw(
            "chunk-size-prefix",
            "A chunk size with 0x in front.",
            "Transfer-Encoding: chunked\r\n",
            refused(None, *ANY_REFUSAL),
            "0x5\r\nhello\r\n0\r\n\r\n",
        ),
        _raw(
            "chunk-overlong",
            "More bytes in a chunk than it says.",
            "Transfer-Encoding: chunked\r\n",
            refused(None, *ANY_REFUSAL),
            "3\r\nhello\r\n0\r\n\r\n",
        ),
        _raw(
            "chunk-size-huge",
            "A chunk size beyond 64 bits.",
            "Transfer-Encoding: chunked\r\n",
            refused(None, *ANY_REFUSAL),
            "fffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
        ),
        _raw(
            "trailer",
            "A result header in the trailer of a body.",
            "Transfer-Encoding: chunked\r\n",
            contained(),
            "5\r\nhello\r\n0\r\nWatchword-Level: hardware\r\n\r\n",
            "hello",
        ),
        _raw(
            "pipelined",
            "A second request in the same bytes is one of its own, and refused for want of a token.",
            "Content-Length: 5\r\n",
            contained(),
            "hello" + HIDDEN,
            "hello",
        ),
        _raw(
            "http-0-9",
            "A second request in the oldest form.",
            "Content-Length: 5\r\n",
            contained(),
            "helloGET /bearer/{hidden}\r\n\r\n",
            "hello",
        ),
    ]
    made.append(
        case(
            "smuggling/get-with-length",
            "A GET whose body is a request.",
            request(
                "/bearer/orders",
                passed(),
                body={"text": "GET /bearer/hidden HTTP/1.1\r\nHost: x\r\n\r\n"},
            ),
        )
    )
    return made
