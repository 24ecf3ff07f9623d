"""Tokens: forged, foreign, untimely, mutated, doubled; levels and versions."""

from typing import Any

from scripts.conformance_cases.words import Json, case, malformed, passed, refused, request

T = "/bearer/orders"
MALFORMED = refused("token.malformed")


def _token(identity: str, note: str, expect: Json, target: str = T, **recipe: Any) -> Json:
    return case(f"token/{identity}", note, request(target, expect, token=recipe))


def cases() -> list[Json]:
    """Return the cases."""
    return [*_accepted(), *_keys(), *_claims(), *_encodings(), *_carried(), *_standing()]


def _accepted() -> list[Json]:
    return [
        _token("good", "A genuine token passes.", passed()),
        _token(
            "good-query", "A query doesn't matter to a bearer route.", passed(), f"{T}?a=1&b=%20"
        ),
        _token(
            "prepared-key",
            "A key that is announced but not yet active verifies.",
            passed(),
            key="prepared",
        ),
        _token(
            "unknown-claim",
            "A newer service may add claims (RFC 7519 section 4).",
            passed(),
            claims={"new": [1]},
        ),
        _token(
            "no-version",
            "An app without a version passes where none is asked for.",
            passed(),
            claims={"app": {"id": "conformance-app"}},
        ),
        _token(
            "expired-within-leeway",
            "Clocks may differ by the leeway.",
            passed(),
            times={"iat": -300, "exp": -10},
        ),
        _token(
            "early-within-leeway",
            "The service's clock may be ahead.",
            passed(),
            times={"iat": 10, "exp": 200},
        ),
        case(
            "token/twice",
            "One token is good for many requests.",
            request(T, passed()),
            request(T, passed(passes=3), again=0, times=3),
        ),
    ]


def _keys() -> list[Json]:
    return [
        case("token/missing", "No token at all.", request(T, refused("token.missing"), token=None)),
        _token(
            "forged-signature",
            "One bit of the signature is another.",
            refused("token.signature"),
            bend={"signature": "flip"},
        ),
        _token(
            "zero-signature",
            "r and s are 0 (CVE-2022-21449).",
            refused("token.signature"),
            signature="zero",
        ),
        _token(
            "other-key",
            "Signed by a stranger's key under a known key id.",
            refused("token.signature"),
            key="foreign",
            kid="active",
        ),
        _token(
            "unknown-kid",
            "Signed by a key that the service never published.",
            refused("token.key_unknown"),
            key="foreign",
        ),
        _token(
            "retired-key",
            "Signed by a key whose time is over.",
            refused("token.key_retired"),
            key="retired",
        ),
        _token(
            "retired-kid",
            "The active key signs in the name of the retired one.",
            refused("token.key_retired"),
            kid="retired",
        ),
        _token(
            "kid-missing",
            "No key id: a verifier that tries all keys is misled.",
            MALFORMED,
            without_header=["kid"],
        ),
        _token(
            "kid-path",
            "A key id that is a path (../../dev/null).",
            refused("token.key_unknown"),
            header={"kid": "../../dev/null"},
        ),
        _token("kid-number", "A key id that is no text.", MALFORMED, header={"kid": 1}),
        _token("alg-none", "alg none and no signature.", MALFORMED, signature="none"),
        _token(
            "alg-none-signed", "alg none over a good signature.", MALFORMED, header={"alg": "none"}
        ),
        _token(
            "alg-hs256",
            "The public key is taken for the secret of an HMAC.",
            MALFORMED,
            signature="HS256",
        ),
        _token(
            "alg-hs256-named-es256",
            "An HMAC that claims to be ES256.",
            MALFORMED,
            signature="HS256",
            header={"alg": "ES256"},
        ),
        _token("alg-es384", "Another curve under a known key id.", MALFORMED, signature="ES384"),
        _token(
            "alg-lower-case",
            "es256 is another algorithm than ES256.",
            MALFORMED,
            header={"alg": "es256"},
        ),
        _token(
            "signature-der", "The signature in DER instead of r and s.", MALFORMED, signature="DER"
        ),
        _token(
            "typ-other",
            "A token for another purpose of the same service.",
            MALFORMED,
            header={"typ": "JWT"},
        ),
        _token(
            "typ-bundle",
            "A gate's bundle taken for a token.",
            MALFORMED,
            header={"typ": "watchword-gate+jwt"},
        ),
        _token(
            "typ-missing", "A token that doesn't say what it is.", MALFORMED, without_header=["typ"]
        ),
        _token(
            "crit",
            "A critical header parameter that nobody knows (RFC 7515 section 4.1.11).",
            MALFORMED,
            header={"crit": ["exp"], "exp": 0},
        ),
        _token(
            "b64-false",
            "A payload that isn't encoded (RFC 7797).",
            MALFORMED,
            header={"b64": False, "crit": ["b64"]},
        ),
        _token(
            "embedded-jwk",
            "The key comes with the token.",
            MALFORMED,
            header={"jwk": {"kty": "EC"}},
        ),
        _token(
            "jku",
            "The key is to be fetched from the sender.",
            MALFORMED,
            header={"jku": "http://127.0.0.1:9/keys"},
        ),
        _token(
            "zip",
            "A compressed payload, small on the wire alone.",
            MALFORMED,
            header={"zip": "DEF"},
        ),
    ]


def _claims() -> list[Json]:
    made = [
        _token(
            "expired",
            "It ended two minutes ago.",
            refused("token.expired"),
            times={"iat": -400, "exp": -120},
        ),
        _token(
            "early",
            "It begins in two minutes.",
            refused("token.early"),
            times={"iat": 120, "exp": 400},
        ),
        _token("not-before", "nbf lies ahead.", refused("token.early"), times={"nbf": 120}),
        _token(
            "exp-missing",
            "A token without an end: Envoy takes it unless told otherwise.",
            MALFORMED,
            without=["exp"],
        ),
        _token("exp-text", "exp as text.", MALFORMED, claims={"exp": "9999999999"}),
        _token(
            "exp-true",
            "exp true: 1 to one language, forever to another.",
            MALFORMED,
            claims={"exp": True},
        ),
        _token("exp-fraction", "exp as a fraction.", MALFORMED, append=',"exp":9999999999.5'),
        _token("exp-huge", "exp beyond all numbers.", MALFORMED, claims={"exp": 10**30}),
        _token(
            "exp-doubled",
            "Two exp: the first one ended, the second one didn't.",
            MALFORMED,
            times={"iat": -400, "exp": -120},
            append=',"exp":9999999999',
        ),
        _token(
            "life-too-long",
            "A life of a day, which no service of ours issues.",
            MALFORMED,
            times={"iat": -10, "exp": 86400},
        ),
        _token(
            "exp-before-iat", "It ends before it begins.", MALFORMED, times={"iat": 20, "exp": 10}
        ),
        _token("iat-missing", "No time of issue.", MALFORMED, without=["iat"]),
        _token(
            "other-audience",
            "For another API of the same service.",
            refused("token.audience", 401, 403),
            claims={"aud": "https://other.example"},
        ),
        _token(
            "audience-list",
            "For two APIs at once.",
            MALFORMED,
            claims={"aud": ["https://api.conformance.example", "x"]},
        ),
        _token(
            "audience-prefix",
            "An audience that only begins like ours.",
            refused("token.audience", 401, 403),
            claims={"aud": "https://api.conformance.example.evil"},
        ),
        _token(
            "other-issuer",
            "Of another issuer, under our key.",
            refused("token.issuer"),
            claims={"iss": "https://evil.example"},
        ),
        _token(
            "issuer-slash",
            "Our issuer with a slash behind it.",
            refused("token.issuer"),
            claims={"iss": "https://watchword.conformance.example/"},
        ),
        _token(
            "other-environment",
            "A token of the other environment.",
            refused("token.environment"),
            claims={"env": "prod"},
        ),
        _token("environment-missing", "A token of no environment.", MALFORMED, without=["env"]),
        _token(
            "revoked-instance",
            "The instance was revoked; the token still lives.",
            refused("token.instance_revoked"),
            claims={"sub": "conformance-revoked-instance"},
        ),
        _token(
            "subject-line-break",
            "A subject that would write a header field of its own.",
            MALFORMED,
            claims={"sub": "a\r\nWatchword-Level: hardware"},
        ),
        _token(
            "app-blank",
            "An app's name with a blank in it.",
            MALFORMED,
            claims={"app": {"id": "a b"}},
        ),
        _token("level-unknown", "A level that there isn't.", MALFORMED, claims={"lvl": "root"}),
        _token("payload-broken", "A payload that is no JSON.", MALFORMED, append="x"),
    ]
    made += [
        _token(f"{name}-missing", f"No {name}.", MALFORMED, without=[name])
        for name in ("iss", "sub", "jti", "app", "lvl", "cnf", "sid", "epo")
    ]
    made.append(
        _token("aud-missing", "No aud.", refused("token.malformed", 401, 403), without=["aud"])
    )
    return made


def _encodings() -> list[Json]:
    made = []
    for part in ("header", "payload", "signature"):
        for bend, words in (
            ("pad", "padding"),
            ("blank", "a blank inside"),
            ("cut", "its last byte cut off"),
        ):
            if bend == "cut" and part != "signature":
                continue
            made.append(
                _token(f"{part}-{bend}", f"The {part} with {words}.", MALFORMED, bend={part: bend})
            )
    made += [
        _token(
            "signature-spare-bits",
            "Another text for the same signature: a list of used tokens misses it.",
            MALFORMED,
            bend={"signature": "spare-bits"},
        ),
        _token(
            "signature-empty",
            "Nothing where the signature should be.",
            MALFORMED,
            bend={"signature": "empty"},
        ),
        _token(
            "payload-empty",
            "Nothing where the payload should be.",
            refused("token.malformed"),
            bend={"payload": "empty"},
        ),
        _token("four-segments", "A fourth segment.", MALFORMED, wrap="{token}.e30"),
        _token(
            "five-segments",
            "An encrypted token has five segments.",
            MALFORMED,
            wrap="{token}.e30.e30",
        ),
        _token("two-segments", "No signature segment at all.", MALFORMED, wrap="e30.e30"),
        _token(
            "empty-value",
            "A token header with nothing in it.",
            refused("token.malformed", 401),
            wrap="",
        ),
        _token(
            "bearer-prefix",
            "The scheme of another header in front.",
            MALFORMED,
            wrap="Bearer {token}",
        ),
        _token("quoted", "The token in quotes.", MALFORMED, wrap='"{token}"'),
        _token("leading-dot", "An empty segment in front.", MALFORMED, wrap=".{token}"),
        _token(
            "json-form", "The token in JSON serialisation.", MALFORMED, wrap='{"payload":"e30"}'
        ),
        _token(
            "non-ascii",
            "A letter outside of ASCII.",
            {**MALFORMED, "statuses": [0, 400, 401]},
            wrap="{token}\u00e9",
        ),
        _token("too-long", "A token of 3000 characters.", MALFORMED, claims={"new": "x" * 2200}),
        _token(
            "inner-blank",
            "A blank in the middle of the header's value.",
            MALFORMED,
            wrap="{token} x",
        ),
    ]
    return made


def _carried() -> list[Json]:
    duplicated = malformed("request.header_duplicated", 401)
    return [
        case(
            "token/two-headers",
            "Two token headers: one is checked, the other believed.",
            request(T, duplicated, double=["watchword-token"]),
        ),
        case(
            "token/two-headers-other",
            "A good token, and a second header with another text.",
            request(T, duplicated, headers=[["Watchword-Token", "x"]]),
        ),
        case(
            "token/two-headers-first-bad",
            "A bad token in front of a good one.",
            request(
                T,
                duplicated,
                headers=[["Watchword-Token", "{token}"]],
                token={"bend": {"signature": "flip"}},
            ),
        ),
        _token("comma-joined", "Two tokens in one header.", MALFORMED, wrap="{token}, {token}"),
        _token(
            "comma-joined-tight",
            "Two tokens in one header, no blank.",
            MALFORMED,
            wrap="{token},{token}",
        ),
        _token("trailing-comma", "A token and a comma.", MALFORMED, wrap="{token},"),
        case(
            "token/in-authorization",
            "The token in another header than ours.",
            request(T, refused("token.missing"), rename={"watchword-token": "Authorization"}),
        ),
        case(
            "token/in-authorization-bearer",
            "The token as a bearer token of OAuth.",
            request(
                T, refused("token.missing"), token=None, headers=[["Authorization", "Bearer abc"]]
            ),
        ),
        case(
            "token/in-query",
            "The token in the query: Envoy looks for access_token there unless told where.",
            request(f"{T}?access_token=e30.e30.e30", refused("token.missing"), token=None),
        ),
        case(
            "token/upper-case-name",
            "Names of fields have no case.",
            request(T, passed(), rename={"watchword-token": "WATCHWORD-TOKEN"}),
        ),
        case(
            "token/underscore-name",
            "Watchword_Token looks like our header behind CGI.",
            request(
                T,
                malformed("request.malformed", 401),
                rename={"watchword-token": "Watchword_Token"},
            ),
        ),
        case(
            "token/underscore-beside",
            "A good token, and one under another sign for CGI to find.",
            request(
                T, malformed("request.header_duplicated", 401), headers=[["Watchword_Token", "x"]]
            ),
        ),
        case(
            "token/dot-name",
            "Watchword.Token looks like our header behind some servers.",
            request(
                T,
                malformed("request.malformed", 401),
                rename={"watchword-token": "Watchword.Token"},
            ),
        ),
        case(
            "token/eight-kib",
            "A token header of 8 KiB and more.",
            request(
                T,
                malformed("request.headers_too_large", 401),
                token={"wrap": "{token}" + "x" * 8200},
            ),
        ),
    ]


def _standing() -> list[Json]:
    made = []
    order = ("none", "software", "verified", "hardware")
    for needed, target in (
        ("software", "/bearer/l"),
        ("verified", "/verified/l"),
        ("hardware", "/hardware/l"),
        ("hardware", "/canary/l"),
    ):
        for level in order:
            enough = order.index(level) >= order.index(needed)
            row = target.split("/")[1]
            made.append(
                case(
                    f"level/{row}-{level}",
                    f"A token of level {level} where {needed} is asked for.",
                    request(
                        target,
                        passed() if enough else refused("gate.level"),
                        token={"claims": {"lvl": level}},
                    ),
                )
            )
    versions: list[tuple[str, str | None, bool]] = [
        ("same", "2.0.1", True),
        ("later", "2.0.2", True),
        ("longer", "2.0.1.1", True),
        ("ten-after-nine", "2.0.10", True),
        ("next", "10.0", True),
        ("before", "2.0.0", False),
        ("shorter", "2", False),
        ("old", "1.99.99", False),
        ("words", "latest", False),
        ("suffix", "2.0.1-beta", False),
        ("missing", None, False),
        ("zeros", "2.0.1.0", True),
        ("empty-part", "2..9", False),
        ("signed", "-2.0.1", False),
        ("digits-of-elsewhere", "\u0663.0.0", False),
    ]
    for name, version, enough in versions:
        app: Json = {"id": "conformance-app"} | ({} if version is None else {"ver": version})
        made.append(
            case(
                f"version/{name}",
                f"Version {version!r} of an app where 2.0.1 is the lowest."
                if version
                else "No version where one is asked for.",
                request(
                    "/versioned/v",
                    passed() if enough else refused("gate.app_version"),
                    token={"claims": {"app": app}},
                ),
            )
        )
    return made
