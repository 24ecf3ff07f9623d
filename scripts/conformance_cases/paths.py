"""Paths and targets: whatever two servers could read in two ways."""

from scripts.conformance_cases.words import (
    ANY_REFUSAL,
    Json,
    case,
    contained,
    passed,
    refused,
    request,
)

# An engine may refuse by its own rules, or find no row.
BAD = refused("request.path_ambiguous", 0, 400, 403, 404)


def cases() -> list[Json]:
    """Return the cases."""
    return [*_ambiguous(), *_harmless(), *_forms()]


def _ambiguous() -> list[Json]:
    targets = [
        ("double-slash", "An empty segment; some servers merge it.", "/bearer//orders"),
        ("leading-double-slash", "A path that looks like a host.", "//bearer/orders"),
        ("many-slashes", "Several empty segments.", "/bearer///orders"),
        ("trailing-double-slash", "Two slashes at the end.", "/bearer/orders//"),
        ("dot", "A segment of one dot.", "/bearer/./orders"),
        ("dot-end", "A dot at the end.", "/bearer/orders/."),
        ("dot-dot", "A segment of two dots leads out of the row.", "/bearer/../hardware/orders"),
        (
            "dot-dot-into",
            "Out of a row that is off, into one that isn't.",
            "/open/../hardware/orders",
        ),
        ("dot-dot-end", "Two dots at the end.", "/bearer/orders/.."),
        ("dot-encoded", "An encoded dot.", "/bearer/%2e/orders"),
        ("dot-dot-encoded", "Two encoded dots.", "/open/%2e%2e/hardware/orders"),
        ("dot-dot-half-encoded", "One dot of two is encoded.", "/open/.%2E/hardware/orders"),
        ("slash-encoded", "An encoded slash is a slash for some.", "/open%2f..%2fhardware/orders"),
        ("slash-encoded-plain", "An encoded slash inside of a segment.", "/bearer/a%2Fb"),
        ("backslash", "A backslash is a slash for some.", "/open/..\\hardware"),
        ("backslash-encoded", "An encoded backslash.", "/bearer/a%5Cb"),
        ("semicolon", "Path parameters are dropped by some.", "/bearer/orders;a=1"),
        ("semicolon-dots", "Dots with a path parameter.", "/open/..;/hardware/orders"),
        ("semicolon-encoded", "An encoded semicolon.", "/bearer/orders%3Ba"),
        ("nul-encoded", "An encoded NUL ends the path for some.", "/bearer/orders%00.png"),
        ("line-break-encoded", "An encoded line break.", "/bearer/orders%0d%0aX:y"),
        ("control-encoded", "An encoded control character.", "/bearer/orders%1f"),
        ("delete-encoded", "An encoded DEL.", "/bearer/orders%7f"),
        (
            "twice-encoded",
            "An encoded percent sign in front of two digits.",
            "/bearer/%252e%252e/hardware",
        ),
        ("question-encoded", "An encoded question mark.", "/bearer/orders%3fa=1"),
        ("hash-encoded", "An encoded hash.", "/bearer/orders%23a"),
        ("hash", "A fragment never arrives at a server.", "/bearer/orders#a"),
        ("percent-bare", "A percent sign without digits.", "/bearer/100%"),
        ("percent-half", "A percent sign with one digit.", "/bearer/a%4"),
        ("percent-words", "A percent sign with letters.", "/bearer/a%zz"),
        ("percent-unicode", "An encoding that only one vendor knows.", "/bearer/a%u002e"),
        ("overlong", "A slash in overlong UTF-8.", "/bearer/..%c0%afhardware"),
        ("not-utf-8", "Encoded bytes that are no UTF-8.", "/bearer/%ff"),
        ("c1-control", "A control character of ISO 8859.", "/bearer/a%C2%85"),
        ("non-ascii", "Bytes outside of ASCII.", "/bearer/\u00e9"),
    ]
    made = [case(f"path/{name}", note, request(target, BAD)) for name, note, target in targets]
    made += [
        case(f"path/{name}-proof", note, request(target, BAD, proof={"kind": "session"}))
        for name, note, target in (
            (
                "dot-dot",
                "A proof doesn't make an ambiguous path a good one.",
                "/session/../device/orders",
            ),
            ("slash-encoded", "A proof over an encoded slash.", "/session/a%2fb"),
        )
    ]
    made += [
        case(
            "path/off-ambiguous",
            "Ambiguous paths are refused where nothing else is.",
            request("/open/../open/x", BAD, token=None),
        ),
        case(
            "path/watched-ambiguous",
            "A watching row is no way around.",
            request("/watched/..%2fhardware", BAD),
        ),
        case(
            "path/nul",
            "NUL in the target.",
            request("/bearer/a\u0000b", refused("request.path_ambiguous", *ANY_REFUSAL)),
        ),
        case(
            "path/tab",
            "A tab in the target.",
            request("/bearer/a\tb", refused("request.path_ambiguous", *ANY_REFUSAL)),
        ),
        case(
            "path/long",
            "A path of more than 8 KiB.",
            request("/bearer/" + "a" * 8300, refused("request.headers_too_large", *ANY_REFUSAL)),
        ),
        case(
            "path/query-long",
            "A query of more than 8 KiB.",
            request("/bearer/x?" + "a" * 8300, refused("request.headers_too_large", *ANY_REFUSAL)),
        ),
    ]
    return made


def _harmless() -> list[Json]:
    return [
        case(
            "path/encoded-letter",
            "An encoded letter is that letter: the row counts.",
            request("/hardw%61re/x", refused("gate.level"), token={"claims": {"lvl": "software"}}),
        ),
        case(
            "path/encoded-letter-passes",
            "An encoded letter passes as it was sent.",
            request("/bearer/%6frders", passed()),
        ),
        case(
            "path/encoded-utf-8",
            "Letters outside of ASCII, encoded.",
            request("/bearer/caf%C3%A9", passed()),
        ),
        case(
            "path/trailing-slash",
            "A last slash means the same as none.",
            request("/bearer/orders/", passed()),
        ),
        case(
            "path/trailing-slash-row",
            "A last slash doesn't lead to another row.",
            request("/first/open/", passed()),
        ),
        case("path/open-ended-none", "An open end may be empty.", request("/bearer", passed())),
        case("path/open-ended-slash", "An open end may be a slash.", request("/bearer/", passed())),
        case(
            "path/prefix-only",
            "A longer first segment is another path.",
            request("/bearerx/orders", refused("gate.route_unknown", 403, 404)),
        ),
        case(
            "path/upper-case",
            "Case counts in paths.",
            request("/BEARER/orders", refused("gate.route_unknown", 403, 404)),
        ),
        case(
            "path/health-below",
            "A row without an open end has nothing below.",
            request("/health/x", refused("gate.route_unknown", 403, 404), token=None),
        ),
        case(
            "path/health-slash",
            "A last slash on a row that is off.",
            request("/health/", passed(results=False), token=None),
        ),
        case(
            "path/dots-inside",
            "Dots inside of a segment are letters.",
            request("/bearer/a..b/c.d", passed()),
        ),
        case(
            "path/dots-in-front",
            "A hidden file is a segment like others.",
            request("/bearer/.well-known/x", passed()),
        ),
        case("path/three-dots", "Three dots are no dots.", request("/bearer/.../x", passed())),
        case(
            "path/query-dots",
            "Dots in a query are letters.",
            request("/bearer/x?p=/../../y", passed()),
        ),
        case(
            "path/query-slashes",
            "A URL in a query.",
            request("/bearer/x?u=http://a//b;c", passed()),
        ),
        case(
            "path/query-question",
            "A second question mark belongs to the query.",
            request("/bearer/x?a?b", passed()),
        ),
        case(
            "path/plus",
            "Signs that paths may have.",
            request("/bearer/a+b,c=d:e@f!g$h'i(j)k*l~m", passed()),
        ),
    ]


def _forms() -> list[Json]:
    bad = refused(None, *ANY_REFUSAL)

    def raw(
        identity: str,
        note: str,
        first: str,
        expect: Json,
        target: str = "/bearer/orders",
        **parts: object,
    ) -> Json:
        wire = (
            first
            + "\r\nHost: {host}\r\nX-Conformance-Case: {label}\r\nWatchword-Token: {token}\r\n\r\n"
        )
        return case(f"target/{identity}", note, request(target, expect, raw=wire, **parts))

    return [
        raw(
            "absolute-same",
            "The whole URL as target, of the same host.",
            "GET http://{host}/bearer/orders HTTP/1.1",
            contained(),
        ),
        raw(
            "absolute-other",
            "The whole URL as target, of another host: which one is signed, which served?",
            "GET http://other.example/bearer/orders HTTP/1.1",
            bad,
        ),
        raw(
            "absolute-https",
            "The whole URL with another scheme.",
            "GET https://other.example/bearer/orders HTTP/1.1",
            bad,
        ),
        raw(
            "absolute-user",
            "The whole URL with a user in front.",
            "GET http://{host}@other.example/bearer/orders HTTP/1.1",
            bad,
        ),
        raw(
            "absolute-no-path",
            "The whole URL without a path.",
            "GET http://other.example HTTP/1.1",
            bad,
        ),
        raw(
            "absolute-other-row",
            "A row hides in the host of the URL.",
            "GET http://other.example/hardware/../bearer/x HTTP/1.1",
            bad,
        ),
        raw(
            "asterisk",
            "OPTIONS for the server as such.",
            "OPTIONS * HTTP/1.1",
            bad,
            method="OPTIONS",
        ),
        raw("relative", "A target without a slash in front.", "GET bearer/orders HTTP/1.1", bad),
        raw("empty", "No target at all.", "GET  HTTP/1.1", bad),
        raw("blank-inside", "A blank inside of the target.", "GET /bearer/a b HTTP/1.1", bad),
        raw("tab-separated", "Tabs in place of blanks.", "GET\t/bearer/orders\tHTTP/1.1", bad),
        raw(
            "connect",
            "A tunnel through the gate.",
            "CONNECT other.example:443 HTTP/1.1",
            bad,
            method="CONNECT",
        ),
        raw(
            "connect-path",
            "A tunnel with a path.",
            "CONNECT /bearer/orders HTTP/1.1",
            bad,
            method="CONNECT",
        ),
        raw("version-2", "HTTP/2 without its preface.", "GET /bearer/orders HTTP/2.0", contained()),
        raw("version-none", "No version: HTTP/0.9.", "GET /bearer/orders", bad),
        raw("version-words", "A version that is none.", "GET /bearer/orders HTTP/x.1", bad),
        raw(
            "url-of-row",
            "A URL that ends in a row of ours.",
            "GET /x?http://{host}/bearer/orders HTTP/1.1",
            refused("gate.route_unknown", 403, 404),
            "/x",
        ),
    ]
