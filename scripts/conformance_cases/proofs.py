"""Proofs: session and device by RFC 9421, DPoP by RFC 9449; replays and downgrades."""

from typing import Any

from scripts.conformance_cases.words import Json, case, malformed, passed, refused, request

ALL = ['"watchword-token"', '"@method"', '"@authority"', '"@path"', '"@query"']
SIGNATURE = refused("proof.signature")
MALFORMED = refused("proof.malformed")
COMPONENTS = refused("proof.components")
ALGORITHM = refused("proof.algorithm")
AMBIGUOUS = refused("proof.ambiguous")
PARAMETERS = ';created={created};nonce="{nonce}";alg="{alg}";keyid="{keyid}"'


def cases() -> list[Json]:
    """Return the cases."""
    made = []
    for kind in ("session", "device"):
        made += [*_genuine(kind), *_stripped(kind), *_foreign(kind), *_changed(kind)]
        made += [*_covered(kind), *_parameters(kind), *_encodings(kind), *_doubled(kind)]
        made += [*_times(kind), *_replays(kind)]
    return [*made, *_session_alone(), *_downgrades(), *_dpop(), *_signed_sessions()]


def _one(kind: str, identity: str, note: str, expect: Json, **parts: Any) -> Json:
    recipe = {"kind": kind, **parts.pop("proof", {})}
    target = parts.pop("target", f"/{kind}/orders?a=1")
    return case(f"{kind}/{identity}", note, request(target, expect, proof=recipe, **parts))


def _genuine(kind: str) -> list[Json]:
    return [
        _one(kind, "good", "A genuine proof passes.", passed(), target=f"/{kind}/orders"),
        _one(
            kind,
            "good-query",
            "A query is covered.",
            passed(),
            target=f"/{kind}/orders?a=1&b=%2F%20",
        ),
        _one(
            kind,
            "good-bare-query",
            "A query that is a name alone.",
            passed(),
            target=f"/{kind}/orders?b",
        ),
        _one(
            kind,
            "good-encoded",
            "An encoded letter is covered as it is sent.",
            passed(),
            target=f"/{kind}/ord%C3%A9rs",
        ),
        _one(kind, "good-delete", "Another method than GET.", passed(), method="DELETE"),
        _one(kind, "good-head", "HEAD is covered as HEAD.", passed(), method="HEAD"),
        _one(kind, "good-slash", "A last slash is covered.", passed(), target=f"/{kind}/orders/"),
        _one(
            kind,
            "good-host-upper-case",
            "The host is covered in lower case (RFC 9421 section 2.2.3).",
            passed(),
            host=["API.conformance.EXAMPLE"],
        ),
        _one(
            kind,
            "good-host-port",
            "A port is covered as it is sent.",
            passed(),
            host=["{host}:8443"],
        ),
        _one(
            kind,
            "good-nonce-16",
            "The shortest nonce.",
            passed(),
            proof={"nonce": "abcdefghijklmn-_"},
        ),
        _one(kind, "good-nonce-64", "The longest nonce.", passed(), proof={"nonce": "n" * 64}),
    ]


def _stripped(kind: str) -> list[Json]:
    target = f"/{kind}/orders"
    missing = refused("proof.missing")
    return [
        case(
            f"{kind}/no-proof", "A stolen token used as a bearer token.", request(target, missing)
        ),
        case(
            f"{kind}/no-token",
            "A proof without its token.",
            request(
                target, refused("token.missing"), proof={"kind": kind}, drop=["watchword-token"]
            ),
        ),
        _one(
            kind,
            "no-signature",
            "Signature-Input without Signature.",
            MALFORMED,
            drop=["signature"],
        ),
        _one(
            kind,
            "no-signature-input",
            "Signature without Signature-Input.",
            MALFORMED,
            drop=["signature-input"],
        ),
        _one(
            kind,
            "both-stripped",
            "Somebody on the way took both headers away.",
            missing,
            drop=["signature", "signature-input"],
        ),
        _one(
            kind,
            "renamed",
            "The signature in other headers.",
            missing,
            rename={"signature": "X-Signature", "signature-input": "X-Signature-Input"},
        ),
        _one(
            kind,
            "underscore",
            "Signature_Input looks like the header behind CGI.",
            malformed("request.malformed", 401),
            rename={"signature-input": "Signature_Input"},
        ),
        _one(
            kind,
            "hop-by-hop",
            "Connection names the proof, so that somebody behind removes it.",
            malformed("request.framing", 401),
            headers=[["Connection", "signature"]],
        ),
        _one(
            kind,
            "hop-by-hop-input",
            "Connection names the other half of it.",
            malformed("request.framing", 401),
            headers=[["Connection", "close, Signature-Input"]],
        ),
    ]


def _foreign(kind: str) -> list[Json]:
    return [
        _one(
            kind,
            "other-key",
            "Another instance's key, in the name of this token's.",
            SIGNATURE,
            proof={"key": "other"},
        ),
        _one(
            kind,
            "other-key-named",
            "Another instance's key under its own name.",
            refused("proof.key"),
            proof={"key": "other", "keyid": "other"},
        ),
        _one(
            kind,
            "other-key-id",
            "The right key under another name.",
            refused("proof.key"),
            proof={"keyid": "other"},
        ),
        _one(
            kind,
            "unknown-key-id",
            "The right key under no name that anybody knows.",
            refused("proof.key"),
            proof={"keyid": "key-1"},
        ),
        _one(
            kind,
            "other-token",
            "The proof was made for another token.",
            SIGNATURE,
            proof={"over": {"token": "other"}},
        ),
        case(
            f"{kind}/other-instances-proof",
            "A proof that was seen on the wire, with the thief's own token.",
            request(
                f"/{kind}/orders",
                refused("proof.key"),
                proof={"kind": kind, "key": "other", "keyid": "other", "over": {"token": "other"}},
            ),
        ),
    ]


def _changed(kind: str) -> list[Json]:
    return [
        _one(
            kind,
            "method-changed",
            "A captured read becomes a write.",
            SIGNATURE,
            method="POST",
            proof={"over": {"method": "GET"}},
        ),
        _one(
            kind,
            "method-head",
            "A captured GET is sent as HEAD.",
            SIGNATURE,
            method="HEAD",
            proof={"over": {"method": "GET"}},
        ),
        _one(
            kind,
            "host-changed",
            "A captured request goes to another host.",
            SIGNATURE,
            host=["other.conformance.example"],
            proof={"over": {"authority": "api.conformance.example"}},
        ),
        _one(
            kind,
            "host-port-added",
            "A port is added to the host.",
            SIGNATURE,
            host=["{host}:80"],
            proof={"over": {"authority": "api.conformance.example"}},
        ),
        _one(
            kind,
            "path-changed",
            "A captured request goes to another path.",
            SIGNATURE,
            proof={"over": {"path": f"/{kind}/other"}},
        ),
        _one(
            kind,
            "path-slash-added",
            "A slash is added to the path.",
            SIGNATURE,
            target=f"/{kind}/orders/",
            proof={"over": {"path": f"/{kind}/orders"}},
        ),
        _one(
            kind,
            "path-encoded",
            "A letter of the path is encoded on the way.",
            SIGNATURE,
            target=f"/{kind}/%6frders",
            proof={"over": {"path": f"/{kind}/orders"}},
        ),
        _one(
            kind,
            "path-case",
            "Hex digits in the other case are other bytes.",
            SIGNATURE,
            target=f"/{kind}/a%C3%A9",
            proof={"over": {"path": f"/{kind}/a%c3%a9"}},
        ),
        _one(
            kind,
            "query-changed",
            "A value in the query is another.",
            SIGNATURE,
            target=f"/{kind}/orders?a=2",
            proof={"over": {"query": "a=1"}},
        ),
        _one(
            kind,
            "query-added",
            "A query is added.",
            SIGNATURE,
            target=f"/{kind}/orders?a=1",
            proof={"over": {"query": ""}},
        ),
        _one(
            kind,
            "query-dropped",
            "The query is taken away.",
            SIGNATURE,
            target=f"/{kind}/orders",
            proof={"over": {"query": "a=1"}},
        ),
        _one(
            kind,
            "query-reordered",
            "The query in another order.",
            SIGNATURE,
            target=f"/{kind}/orders?b=2&a=1",
            proof={"over": {"query": "a=1&b=2"}},
        ),
        _one(
            kind,
            "query-encoded",
            "A blank in the query is written in another way.",
            SIGNATURE,
            target=f"/{kind}/orders?a=%20",
            proof={"over": {"query": "a=+"}},
        ),
        _one(
            kind,
            "other-route",
            "A proof for one row is used on another one.",
            SIGNATURE,
            target=f"/{kind}/orders",
            proof={"over": {"path": "/bearer/orders"}},
        ),
    ]


def _covered(kind: str) -> list[Json]:
    made = []
    for at, name in enumerate(ALL):
        rest = ALL[:at] + ALL[at + 1 :]
        word = name.strip('"@')
        made.append(
            _one(
                kind,
                f"without-{word}",
                f"{word} isn't covered; the client signed it so.",
                COMPONENTS,
                proof={"components": rest},
            )
        )
        made.append(
            _one(
                kind,
                f"doubled-{word}",
                f"{word} is covered twice (RFC 9421 section 2.5 forbids it).",
                COMPONENTS,
                proof={"components": [*ALL, name]},
            )
        )
    made += [
        _one(
            kind,
            "nothing-covered",
            "An empty list of components holds for every request.",
            COMPONENTS,
            proof={"components": []},
        ),
        _one(
            kind,
            "reordered",
            "The components in another order.",
            COMPONENTS,
            proof={"components": [*ALL[1:], ALL[0]]},
        ),
        _one(
            kind,
            "component-added",
            "A component that the profile doesn't have.",
            COMPONENTS,
            proof={"components": [*ALL, '"accept"']},
        ),
        _one(
            kind,
            "component-target-uri",
            "Another component for the same thing.",
            COMPONENTS,
            proof={"components": [*ALL[:2], '"@target-uri"']},
        ),
        _one(
            kind,
            "component-parameter-req",
            "A component of the request that this would be the answer to.",
            COMPONENTS,
            proof={"components": [f"{ALL[0]};req", *ALL[1:]]},
        ),
        _one(
            kind,
            "component-parameter-key",
            "One member of a header for the whole.",
            COMPONENTS,
            proof={"components": [f'{ALL[0]};key="a"', *ALL[1:]]},
        ),
        _one(
            kind,
            "component-parameter-bs",
            "A header wrapped as bytes.",
            COMPONENTS,
            proof={"components": [f"{ALL[0]};bs", *ALL[1:]]},
        ),
        _one(
            kind,
            "component-parameter-sf",
            "A header re-serialised.",
            COMPONENTS,
            proof={"components": [f"{ALL[0]};sf", *ALL[1:]]},
        ),
        _one(
            kind,
            "component-upper-case",
            "Names of components are in lower case.",
            MALFORMED,
            proof={"components": ['"Watchword-Token"', *ALL[1:]]},
        ),
        _one(
            kind,
            "component-unquoted",
            "Components without quotes.",
            MALFORMED,
            proof={"components": [each.strip('"') for each in ALL]},
        ),
        _one(
            kind,
            "component-two-blanks",
            "Two blanks between components.",
            MALFORMED,
            proof={"separator": "  "},
        ),
        _one(
            kind,
            "component-comma",
            "Commas between components.",
            AMBIGUOUS,
            proof={"separator": ", "},
        ),
        _one(
            kind,
            "digest-without-body",
            "A digest is covered though there is no body.",
            COMPONENTS,
            proof={"components": [*ALL, '"content-digest"']},
        ),
    ]
    return made


def _parameters(kind: str) -> list[Json]:
    def mutated(identity: str, note: str, parameters: str, expect: Json = MALFORMED) -> Json:
        return _one(kind, identity, note, expect, proof={"parameters": parameters})

    other = "ecdsa-p256-sha256" if kind == "session" else "hmac-sha256"
    return [
        mutated(
            "parameter-unknown",
            "A parameter that the profile doesn't have.",
            f'{PARAMETERS};tag="x"',
        ),
        mutated(
            "parameter-expires",
            "The client would choose how long it lives.",
            f"{PARAMETERS};expires=9999999999",
        ),
        mutated(
            "parameter-doubled",
            "created twice: one is checked, the other believed.",
            f"{PARAMETERS};created=9999999999",
        ),
        mutated(
            "parameters-reordered",
            "The parameters in another order.",
            ';nonce="{nonce}";created={created};alg="{alg}";keyid="{keyid}"',
        ),
        mutated("parameters-missing", "No parameters at all: a signature for ever.", ""),
        mutated(
            "created-missing",
            "No created: it never becomes stale.",
            ';nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "nonce-missing",
            "No nonce: nothing to remember it by.",
            ';created={created};alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "alg-missing", "No algorithm.", ';created={created};nonce="{nonce}";keyid="{keyid}"'
        ),
        mutated("keyid-missing", "No key id.", ';created={created};nonce="{nonce}";alg="{alg}"'),
        mutated(
            "parameter-blank",
            "A blank behind a semicolon.",
            '; created={created};nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "parameter-upper-case",
            "Names of parameters are in lower case.",
            ';Created={created};nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "created-fraction",
            "created with a fraction.",
            ';created={created}.0;nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "created-text",
            "created in quotes.",
            ';created="{created}";nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "created-zero-padded",
            "created with a leading zero: another text, the same time.",
            ';created=0{created};nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "created-negative",
            "created before 1970.",
            ';created=-{created};nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        mutated(
            "created-short",
            "created with nine digits.",
            ';created=179550000;nonce="{nonce}";alg="{alg}";keyid="{keyid}"',
        ),
        _one(
            kind,
            "alg-other",
            "Another algorithm is named than the route's.",
            ALGORITHM,
            proof={"alg": other},
        ),
        _one(
            kind,
            "alg-unknown",
            "An algorithm that nobody knows.",
            ALGORITHM,
            proof={"alg": "rsa-v1_5-sha256"},
        ),
        _one(
            kind, "nonce-short", "A nonce of 15 characters.", MALFORMED, proof={"nonce": "n" * 15}
        ),
        _one(kind, "nonce-long", "A nonce of 65 characters.", MALFORMED, proof={"nonce": "n" * 65}),
        _one(
            kind,
            "nonce-alphabet",
            "A nonce with a sign outside of base64url.",
            MALFORMED,
            proof={"nonce": "abcdefghijklmnop+"},
        ),
        _one(
            kind,
            "nonce-escaped",
            "A nonce with an escaped quote in it.",
            MALFORMED,
            proof={"nonce": 'abcdefghijklmnop\\"'},
        ),
        _one(kind, "nonce-empty", "An empty nonce.", MALFORMED, proof={"nonce": ""}),
    ]


def _encodings(kind: str) -> list[Json]:
    made = [
        _one(kind, f"signature-{bend}", f"The signature {words}.", MALFORMED, proof={"bend": bend})
        for bend, words in (
            ("cut", "without its last byte"),
            ("unpad", "without its padding"),
            ("pad", "with more padding"),
            ("spare-bits", "in another text for the same bytes"),
            ("blank", "with a blank inside"),
            ("empty", "with no bytes"),
        )
    ]
    made += [
        _one(
            kind,
            "signature-flipped",
            "One bit of the signature is another.",
            SIGNATURE,
            proof={"bend": "flip"},
        ),
        _one(
            kind,
            "signature-unwrapped",
            "The signature without its colons.",
            MALFORMED,
            proof={"signatures": "watchword={signature}"},
        ),
        _one(
            kind,
            "signature-quoted",
            "The signature as text.",
            MALFORMED,
            proof={"signatures": 'watchword="{signature}"'},
        ),
        _one(
            kind,
            "signature-parameter",
            "A parameter behind the signature.",
            MALFORMED,
            proof={"signatures": "watchword=:{signature}:;a=1"},
        ),
        _one(
            kind,
            "signature-garbage",
            "A signature that is none.",
            MALFORMED,
            proof={"signatures": "watchword=:AAAA:"},
        ),
        _one(
            kind,
            "input-blank-behind",
            "Something behind Signature-Input.",
            MALFORMED,
            proof={"inputs": "watchword={input} x"},
        ),
        _one(
            kind,
            "input-eight-kib",
            "A Signature-Input of 8 KiB.",
            {**MALFORMED, "statuses": [0, 400, 401, 431]},
            proof={"inputs": "watchword={input}" + ";a=1" * 1900},
        ),
        _one(
            kind,
            "input-empty",
            "An empty Signature-Input.",
            {**MALFORMED, "statuses": [401]},
            proof={"inputs": ""},
        ),
    ]
    return made


def _doubled(kind: str) -> list[Json]:
    return [
        _one(
            kind,
            "label-unknown",
            "A signature under another label.",
            MALFORMED,
            proof={"inputs": "sig1={input}", "signatures": "sig1=:{signature}:"},
        ),
        _one(
            kind,
            "label-upper-case",
            "Labels have case.",
            MALFORMED,
            proof={"inputs": "Watchword={input}", "signatures": "Watchword=:{signature}:"},
        ),
        _one(
            kind,
            "label-mixed",
            "Two labels, one in each header.",
            MALFORMED,
            proof={"signatures": "sig1=:{signature}:"},
        ),
        _one(
            kind,
            "two-labels",
            "A second label beside ours: which one is checked?",
            AMBIGUOUS,
            proof={
                "inputs": "watchword={input}, sig1={input}",
                "signatures": "watchword=:{signature}:, sig1=:{signature}:",
            },
        ),
        _one(
            kind,
            "two-labels-foreign-first",
            "A second label in front of ours.",
            AMBIGUOUS,
            proof={
                "inputs": "sig1={input}, watchword={input}",
                "signatures": "sig1=:AAAA:, watchword=:{signature}:",
            },
        ),
        _one(
            kind,
            "label-doubled",
            "Our label twice: of a dictionary the last one counts.",
            AMBIGUOUS,
            proof={
                "inputs": "watchword=(), watchword={input}",
                "signatures": "watchword=:{signature}:, watchword=:{signature}:",
            },
        ),
        _one(
            kind,
            "two-signature-headers",
            "Two Signature headers.",
            malformed("request.header_duplicated", 401),
            double=["signature"],
        ),
        _one(
            kind,
            "two-input-headers",
            "Two Signature-Input headers.",
            malformed("request.header_duplicated", 401),
            double=["signature-input"],
        ),
        _one(
            kind,
            "signature-beside",
            "A good signature, and a second header with another one.",
            malformed("request.header_duplicated", 401),
            headers=[["Signature", "sig1=:AAAA:"]],
        ),
        _one(
            kind,
            "dpop-beside",
            "A signature and a DPoP proof: which one is checked?",
            AMBIGUOUS,
            headers=[["DPoP", "e30.e30.e30"]],
        ),
    ]


def _times(kind: str) -> list[Json]:
    return [
        _one(
            kind,
            "stale",
            "Made two minutes ago.",
            refused("proof.expired"),
            proof={"created": -120},
        ),
        _one(
            kind, "future", "Made in two minutes.", refused("proof.early"), proof={"created": 120}
        ),
        _one(
            kind,
            "almost-stale",
            "As old as it may be, but for some seconds.",
            passed(),
            proof={"created": -80},
        ),
        _one(
            kind,
            "almost-early",
            "A clock that is ahead by less than the leeway.",
            passed(),
            proof={"created": 20},
        ),
        _one(
            kind,
            "ancient",
            "Made years ago.",
            refused("proof.expired"),
            proof={"created": -500_000_000},
        ),
        _one(
            kind,
            "far-future",
            "Made in years.",
            refused("proof.early"),
            proof={"created": 500_000_000},
        ),
    ]


def _replays(kind: str) -> list[Json]:
    target = f"/{kind}/orders"
    first = request(target, passed(), proof={"kind": kind})
    replayed = refused("proof.replayed")
    replay = ("replay",)
    return [
        case(
            f"{kind}/replayed",
            "The same request again.",
            first,
            request(target, replayed, again=0),
            needs=replay,
        ),
        case(
            f"{kind}/replayed-often",
            "The same request ten times more.",
            first,
            request(target, replayed, again=0, times=10),
            needs=replay,
        ),
        case(
            f"{kind}/replayed-path",
            "The same proof on another path.",
            first,
            request(f"/{kind}/other", SIGNATURE, again=0),
        ),
        case(
            f"{kind}/replayed-method",
            "The same proof with another method.",
            first,
            request(target, SIGNATURE, again=0, method="DELETE"),
        ),
        case(
            f"{kind}/replayed-query",
            "The same proof with a query.",
            first,
            request(f"{target}?x=1", SIGNATURE, again=0),
        ),
        case(
            f"{kind}/replayed-host",
            "The same proof for another host.",
            first,
            request(target, SIGNATURE, again=0, host=["other.conformance.example"]),
        ),
        case(
            f"{kind}/not-used-up",
            "A refused copy doesn't use the proof up for its owner.",
            request(
                target,
                SIGNATURE,
                proof={"kind": kind, "nonce": "used-by-a-thief-first", "over": {"path": "/x"}},
            ),
            request(target, passed(), proof={"kind": kind, "nonce": "used-by-a-thief-first"}),
            needs=replay,
        ),
        case(
            f"{kind}/nonce-reused",
            "Another request under a nonce that was used.",
            request(target, passed(), proof={"kind": kind, "nonce": "the-same-nonce-again"}),
            request(
                f"/{kind}/second", replayed, proof={"kind": kind, "nonce": "the-same-nonce-again"}
            ),
            needs=replay,
        ),
        case(
            f"{kind}/race",
            "One proof, sent by 16 clients at once: exactly one gets through.",
            request(
                target,
                {**passed(), "reason": "proof.replayed"},
                proof={"kind": kind},
                times=16,
                parallel=True,
            ),
            needs=("replay", "race"),
        ),
        case(
            f"{kind}/same-nonce-other-instance",
            "Two instances may choose the same nonce.",
            request(target, passed(), proof={"kind": kind, "nonce": "a-nonce-of-two-people"}),
            request(
                target,
                passed(),
                proof={
                    "kind": kind,
                    "nonce": "a-nonce-of-two-people",
                    "key": "other",
                    "keyid": "other",
                },
                token={"holder": "other"},
            ),
        ),
    ]


def _session_alone() -> list[Json]:
    def one(identity: str, note: str, expect: Json, token: Json, **proof: Any) -> Json:
        return case(
            f"session/{identity}",
            note,
            request("/session/orders", expect, token=token, proof={"kind": "session", **proof}),
        )

    return [
        one(
            "epoch-retired",
            "A token of the epoch before passes while it lives.",
            passed(),
            {"claims": {"epo": 1}},
        ),
        one(
            "epoch-prepared",
            "A gate holds the next epoch before the service uses it.",
            passed(),
            {"claims": {"epo": 3}},
        ),
        one(
            "epoch-unknown",
            "A token of an epoch that the gate doesn't hold.",
            refused("proof.epoch"),
            {"claims": {"epo": 9}},
        ),
        one("epoch-mixed", "The key of another epoch than the token's.", SIGNATURE, {}, epoch=1),
        case(
            "session/level-too-low",
            "A good proof doesn't raise the level.",
            request(
                "/session-hardware/x",
                refused("gate.level"),
                token={"claims": {"lvl": "software"}},
                proof={"kind": "session"},
            ),
        ),
        case(
            "session/expired-token",
            "A good proof of a token that ended.",
            request(
                "/session/orders",
                refused("token.expired"),
                token={"times": {"iat": -400, "exp": -120}},
                proof={"kind": "session"},
            ),
        ),
        case(
            "session/revoked",
            "A good proof of a revoked instance.",
            request(
                "/session/orders",
                refused("token.instance_revoked"),
                token={"claims": {"sub": "conformance-revoked-instance"}},
                proof={"kind": "session"},
            ),
        ),
        case(
            "session/forged-token",
            "A good proof over a forged token.",
            request(
                "/session/orders",
                refused("token.signature"),
                token={"bend": {"signature": "flip"}},
                proof={"kind": "session"},
            ),
        ),
        case(
            "session/ignored-on-bearer",
            "A proof that nobody asks for does no harm.",
            request("/bearer/orders", passed(), proof={"kind": "session"}),
        ),
    ]


def _downgrades() -> list[Json]:
    return [
        case(
            "downgrade/session-on-device",
            "An HMAC where the device's own signature is asked for: the gate could have made it.",
            request("/device/orders", ALGORITHM, proof={"kind": "session"}),
        ),
        case(
            "downgrade/device-on-session",
            "The device's signature where an HMAC is asked for.",
            request("/session/orders", ALGORITHM, proof={"kind": "device"}),
        ),
        case(
            "downgrade/session-named-device",
            "An HMAC that claims to be the device's signature.",
            request(
                "/device/orders",
                refused(None, 401),
                proof={"kind": "session", "alg": "ecdsa-p256-sha256"},
            ),
        ),
        case(
            "downgrade/dpop-on-device",
            "DPoP where it isn't taken.",
            request("/device/orders", refused("proof.missing"), proof={"kind": "dpop"}),
        ),
        case(
            "downgrade/dpop-on-session",
            "DPoP where a session proof is asked for.",
            request("/session/orders", refused("proof.missing"), proof={"kind": "dpop"}),
        ),
        case(
            "downgrade/authorization-dpop",
            "The token in the scheme of OAuth, with a proof.",
            request(
                "/dpop/orders",
                refused("token.missing"),
                proof={"kind": "dpop"},
                rename={"watchword-token": "Authorization"},
            ),
        ),
        case(
            "downgrade/method-override",
            "A header that some frameworks take for the method changes nothing here.",
            request("/first/open", passed(), headers=[["X-HTTP-Method-Override", "POST"]]),
        ),
    ]


def _dpop() -> list[Json]:
    def one(
        identity: str, note: str, expect: Json, target: str = "/dpop/orders", **parts: Any
    ) -> Json:
        recipe = {"kind": "dpop", **parts.pop("proof", {})}
        return case(f"dpop/{identity}", note, request(target, expect, proof=recipe, **parts))

    target_refused = refused("proof.target")
    first = request("/dpop/orders", passed(), proof={"kind": "dpop"})
    return [
        one("good", "A genuine DPoP proof passes where it is taken.", passed()),
        one("good-query", "The query isn't part of htu.", passed(), "/dpop/orders?a=1"),
        one("good-signature", "A signature passes there too.", passed(), proof={"kind": "device"}),
        case(
            "dpop/no-proof",
            "A stolen token used as a bearer token.",
            request("/dpop/orders", refused("proof.missing")),
        ),
        one(
            "session",
            "A session proof where the device's is asked for.",
            ALGORITHM,
            proof={"kind": "session"},
        ),
        one(
            "method",
            "Made for another method.",
            target_refused,
            method="DELETE",
            proof={"over": {"method": "GET"}},
        ),
        one(
            "path",
            "Made for another path.",
            target_refused,
            proof={"over": {"path": "/dpop/other"}},
        ),
        one(
            "host",
            "Made for another host.",
            target_refused,
            proof={"over": {"authority": "other.example"}},
        ),
        one(
            "htu-relative",
            "htu without a host.",
            target_refused,
            proof={"claims": {"htu": "/dpop/orders"}},
        ),
        one(
            "other-token",
            "Made for another token.",
            refused("proof.token"),
            proof={"over": {"token": "other"}},
        ),
        one(
            "ath-missing", "It doesn't say for which token.", MALFORMED, proof={"without": ["ath"]}
        ),
        one("jti-missing", "Nothing to remember it by.", MALFORMED, proof={"without": ["jti"]}),
        one("iat-missing", "It never becomes stale.", MALFORMED, proof={"without": ["iat"]}),
        one(
            "htm-missing", "It doesn't say for which method.", MALFORMED, proof={"without": ["htm"]}
        ),
        one("htu-missing", "It doesn't say for which URL.", MALFORMED, proof={"without": ["htu"]}),
        one(
            "claim-unknown",
            "A member that the profile doesn't have.",
            MALFORMED,
            proof={"claims": {"exp": 9999999999}},
        ),
        one("jti-short", "A jti of 15 characters.", MALFORMED, proof={"nonce": "n" * 15}),
        one("iat-text", "iat as text.", MALFORMED, proof={"claims": {"iat": "1795500000"}}),
        one("stale", "Made two minutes ago.", refused("proof.expired"), proof={"created": -120}),
        one("future", "Made in two minutes.", refused("proof.early"), proof={"created": 120}),
        one("other-key", "Another instance's key.", refused("proof.key"), proof={"key": "other"}),
        one("flipped", "One bit of the signature is another.", SIGNATURE, proof={"bend": "flip"}),
        one(
            "spare-bits",
            "Another text for the same signature.",
            MALFORMED,
            proof={"bend": "spare-bits"},
        ),
        one("padded", "Padding behind the signature.", MALFORMED, proof={"bend": "pad"}),
        one("cut", "A signature of 63 bytes.", MALFORMED, proof={"bend": "cut"}),
        one("alg-none", "alg none.", ALGORITHM, proof={"header": {"alg": "none"}}),
        one(
            "alg-hs256",
            "An HMAC under a public key.",
            ALGORITHM,
            proof={"header": {"alg": "HS256"}},
        ),
        one("typ", "A proof of another type.", MALFORMED, proof={"header": {"typ": "jwt"}}),
        one(
            "private-key",
            "A proof that brings its private key along.",
            MALFORMED,
            proof={"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "A", "y": "A", "d": "A"}}},
        ),
        one(
            "header-unknown",
            "A header parameter that the profile doesn't have.",
            MALFORMED,
            proof={"header": {"crit": ["x"], "x": 1}},
        ),
        one(
            "two-headers",
            "Two DPoP headers (RFC 9449 section 4.3).",
            malformed("request.header_duplicated", 401),
            double=["dpop"],
        ),
        one(
            "signature-beside",
            "A DPoP proof and a signature.",
            AMBIGUOUS,
            headers=[["Signature", "watchword=:AAAA:"], ["Signature-Input", "watchword=()"]],
        ),
        case(
            "dpop/replayed",
            "The same proof again.",
            first,
            request("/dpop/orders", refused("proof.replayed"), again=0),
            needs=("replay",),
        ),
        case(
            "dpop/replayed-query",
            "The same proof with another query: its jti was used.",
            first,
            request("/dpop/orders?x=1", refused("proof.replayed"), again=0),
            needs=("replay",),
        ),
        case(
            "dpop/replayed-path",
            "The same proof on another path.",
            first,
            request("/dpop/other", target_refused, again=0),
        ),
        case(
            "dpop/race",
            "One proof, sent by 16 clients at once: exactly one gets through.",
            request(
                "/dpop/orders",
                {**passed(), "reason": "proof.replayed"},
                proof={"kind": "dpop"},
                times=16,
                parallel=True,
            ),
            needs=("replay", "race"),
        ),
    ]


def _signed_sessions() -> list[Json]:
    """Return what a token changes that lets the device's own signature stand for a session proof."""
    token = {"claims": {"prf": "device"}}
    needs = ("device-for-session",)

    def one(
        identity: str, note: str, expect: Json, target: str = "/session/orders", **parts: Any
    ) -> Json:
        recipe = {"kind": "device", **parts.pop("proof", {})}
        asked = parts.pop("needs", needs)
        told = {"token": token} | parts
        return case(
            f"signed-session/{identity}",
            note,
            request(target, expect, proof=recipe, **told),
            needs=asked,
        )

    def both(first: str, second: str) -> Json:
        nonce = {"nonce": f"{first}-then-{second}-0"}
        return case(
            f"signed-session/{second}-after-{first}",
            "One nonce is used up for both kinds.",
            *(
                request("/session/orders", expect, token=token, proof={"kind": kind, **nonce})
                for kind, expect in ((first, passed()), (second, refused("proof.replayed")))
            ),
            needs=needs,
        )

    elsewhere = {"over": {"path": "/session/other"}}
    signed = [
        one("good", "The device signs, and the token says that it may.", passed()),
        one("good-query", "A query is covered.", passed(), "/session/orders?a=1"),
        one("good-body", "A body is covered.", passed(), method="POST", body={"text": "{}"}),
        one(
            "good-old-epoch",
            "It rests on no gate secret.",
            passed(),
            token={"claims": {"prf": "device", "epo": 9}},
        ),
        one("other-path", "It was made for another path.", SIGNATURE, proof=elsewhere),
        one(
            "other-key",
            "Another instance's key, in the name of this token's.",
            SIGNATURE,
            proof={"key": "other"},
        ),
        one(
            "other-key-named",
            "Another instance's key under its own name.",
            refused("proof.key"),
            proof={"key": "other", "keyid": "other"},
        ),
        one("stale", "It was made too long ago.", refused("proof.expired"), proof={"created": -95}),
        one("cut", "Half of a signature.", MALFORMED, proof={"bend": "cut"}),
        both("session", "device"),
    ]
    return [
        *signed,
        one(
            "hmac",
            "A session proof is as good as it was.",
            passed(),
            proof={"kind": "session"},
            needs=(),
        ),
        one(
            "hmac-on-device",
            "A device route takes no HMAC for it.",
            ALGORITHM,
            "/device/orders",
            proof={"kind": "session"},
            needs=(),
        ),
        one(
            "dpop",
            "DPoP covers neither query nor body, and stands for no session proof.",
            refused("proof.missing"),
            proof={"kind": "dpop"},
            needs=(),
        ),
        one(
            "no-proof",
            "The claim is no proof.",
            refused("proof.missing"),
            needs=(),
            drop=["signature", "signature-input"],
        ),
        *(
            one(
                f"claim-{word}",
                "The claim says something else.",
                ALGORITHM,
                token={"claims": {"prf": value}},
                needs=(),
            )
            for word, value in (
                ("session", "session"),
                ("upper-case", "DEVICE"),
                ("true", True),
                ("list", ["device"]),
                ("number", 1),
            )
        ),
    ]
