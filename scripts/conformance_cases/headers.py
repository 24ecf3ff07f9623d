"""Headers: results that the client claims, hosts, sizes, Connection."""

from scripts.conformance_cases.words import (
    Json,
    case,
    contained,
    malformed,
    passed,
    refused,
    request,
)

RESULTS = ("Watchword-Instance", "Watchword-Level", "Watchword-App")
SPELLINGS = (
    ("plain", "-", "as it is"),
    ("underscore", "_", "with _"),
    ("dot", ".", "with a dot"),
    ("bar", "|", "with a bar"),
    ("tilde", "~", "with a tilde"),
    ("plus", "+", "with a plus"),
)
TARGETS = (
    ("bearer", "/bearer/x", True, True),
    ("off", "/open/x", False, False),
    ("watched", "/watched/x", False, False),
    ("watched-good", "/watched/x", True, True),
)
T = "/bearer/x"


def cases() -> list[Json]:
    """Return the cases."""
    return [
        *_claimed(),
        *_statuses(),
        *_hosts(),
        *_connection(),
        *_sizes(),
        *_rewriting(),
        *_named(),
        *_digests(),
    ]


def _claimed() -> list[Json]:
    made = []
    for spelling, sign, words in SPELLINGS:
        for where, target, has_token, results in TARGETS:
            fields = [[name.replace("-", sign), "forged"] for name in RESULTS]
            parts: Json = {"headers": fields} | ({} if has_token else {"token": None})
            made.append(
                case(
                    f"results/{where}-{spelling}",
                    f"The client claims the result headers, {words}; the API must not see them.",
                    request(target, passed(results=results), **parts),
                )
            )
    made += [
        case(
            "results/upper-case",
            "Claimed results in upper case.",
            request(T, passed(), headers=[[name.upper(), "forged"] for name in RESULTS]),
        ),
        case(
            "results/many",
            "The same claim five times.",
            request(
                T,
                passed(),
                headers=[["Watchword-Level", "hardware"]] * 5,
                token={"claims": {"lvl": "software"}},
            ),
        ),
        case(
            "results/session",
            "Claimed results beside a good proof.",
            request(
                "/session/x",
                passed(),
                proof={"kind": "session"},
                headers=[[n, "forged"] for n in RESULTS],
            ),
        ),
        case(
            "results/device",
            "Claimed results beside a good device proof.",
            request(
                "/device/x",
                passed(),
                proof={"kind": "device"},
                headers=[[n, "forged"] for n in RESULTS],
            ),
        ),
        case(
            "results/watched-forged-token",
            "A forged token on a watching row gives no results.",
            request(
                "/watched/x",
                passed(results=False),
                token={"bend": {"signature": "flip"}},
                headers=[["Watchword-Level", "hardware"]],
            ),
        ),
        case(
            "results/off-token-removed",
            "A token that nobody looked at gives no results, and goes no further.",
            request("/open/x", passed(results=False)),
        ),
    ]
    return made


def _hosts() -> list[Json]:
    def one(identity: str, note: str, *hosts: str, expect: Json | None = None) -> Json:
        return case(
            f"host/{identity}",
            note,
            request(T, expect or malformed("request.host", 403, 404), host=list(hosts)),
        )

    return [
        one("none", "No host at all (RFC 9112 section 3.2)."),
        one("two", "Two hosts: one is checked, the other served.", "{host}", "other.example"),
        one("two-same", "The same host twice.", "{host}", "{host}"),
        one("empty", "An empty host.", ""),
        one("path", "A host with a path poisons URLs that are put together from it.", "{host}/x"),
        one("query", "A host with a query.", "{host}?x"),
        one("fragment", "A host with a fragment.", "{host}#x"),
        one("user", "A host with a user in front.", "user@{host}"),
        one("blank", "A host with a blank.", "api .conformance.example"),
        one("list", "Two hosts in one field.", "{host}, other.example"),
        one("backslash", "A host with a backslash.", "{host}\\x"),
        one("port-words", "A port in words.", "{host}:http"),
        one("port-long", "A port of six digits.", "{host}:100000"),
        one("scheme", "A host with a scheme.", "http://{host}"),
        one("non-ascii", "A host outside of ASCII.", "\u00e4pi.example"),
        one("bracket", "A bracket that isn't closed.", "[::1"),
        one(
            "upper-case", "Names of hosts have no case.", "API.Conformance.Example", expect=passed()
        ),
        one("port", "A host with a port.", "{host}:8443", expect=passed()),
        one("ipv6", "An address in brackets.", "[2001:db8::1]:8443", expect=passed()),
        case(
            "host/underscore-name",
            "A second host under another sign isn't there for HTTP, but is for nobody else.",
            request(T, passed(), headers=[["X_Host", "other.example"]]),
        ),
        case(
            "host/forwarded",
            "X-Forwarded-Host of the client's doesn't change whom the proof is for.",
            request(
                "/session/x",
                passed(),
                proof={"kind": "session"},
                headers=[["X-Forwarded-Host", "other.example"]],
            ),
        ),
    ]


def _connection() -> list[Json]:
    framing = malformed("request.framing", 401)
    made = [
        case(
            f"connection/{name}",
            f"Connection names {name}, so that somebody behind removes it.",
            request(T, framing, headers=[["Connection", name]]),
        )
        for name in (
            "watchword-token",
            "host",
            "content-length",
            "authorization",
            "transfer-encoding",
        )
    ]
    made += [
        case(
            "connection/list",
            "Our header in the middle of a list.",
            request(T, framing, headers=[["Connection", "close, Watchword-Token, te"]]),
        ),
        case(
            "connection/two-fields",
            "Our header in a second Connection field.",
            request(
                T, framing, headers=[["Connection", "close"], ["Connection", "watchword-token"]]
            ),
        ),
        case(
            "connection/underscore",
            "Our header under another sign.",
            request(T, framing, headers=[["Connection", "watchword_token"]]),
        ),
        case(
            "connection/results",
            "A verified header is named, so that somebody behind removes it.",
            request(
                T, passed(), headers=[["Connection", "close, Watchword-Level, Watchword-Instance"]]
            ),
        ),
        case(
            "connection/close",
            "What clients say every day.",
            request(T, passed(), headers=[["Connection", "close"]]),
        ),
        case(
            "connection/keep-alive",
            "What older clients say.",
            request(T, passed(), headers=[["Connection", "Keep-Alive"]]),
        ),
    ]
    return made


def _sizes() -> list[Json]:
    large = malformed("request.headers_too_large")
    return [
        case(
            "size/field",
            "A field of more than 8 KiB.",
            request(T, large, headers=[["X-A", "a" * 8200]]),
        ),
        case(
            "size/field-met",
            "A field of almost 8 KiB.",
            request(T, passed(), headers=[["X-A", "a" * 8000]]),
        ),
        case(
            "size/all",
            "More than 16 KiB in all.",
            request(T, large, headers=[[f"X-{n}", "a" * 6000] for n in range(3)]),
        ),
        case(
            "size/count",
            "More than a hundred fields.",
            request(T, large, headers=[[f"X-{n}", "a"] for n in range(105)]),
        ),
        case(
            "size/count-met",
            "Ninety fields are enough for anybody.",
            request(T, passed(), headers=[[f"X-{n}", "a"] for n in range(88)]),
        ),
        case(
            "size/name", "A name of 8 KiB.", request(T, large, headers=[["X-" + "a" * 8200, "a"]])
        ),
        case(
            "size/off",
            "Sizes count where nothing else does.",
            request("/open/x", large, headers=[["X-A", "a" * 8200]], token=None),
        ),
        case(
            "size/duplicated-authorization",
            "Two credentials of the API's own.",
            request(
                T,
                malformed("request.header_duplicated", 401),
                headers=[["Authorization", "Bearer a"], ["Authorization", "Bearer b"]],
            ),
        ),
        case(
            "size/authorization",
            "The API's own credential goes through.",
            request(T, passed(), headers=[["Authorization", "Bearer abc"]]),
        ),
        case(
            "size/off-duplicated-token",
            "Two tokens on a row that is off.",
            request(
                "/open/x", malformed("request.header_duplicated", 401), double=["watchword-token"]
            ),
        ),
        case(
            "size/watched-duplicated-token",
            "Two tokens on a watching row: which one would be watched?",
            request(
                "/watched/x",
                malformed("request.header_duplicated", 401),
                double=["watchword-token"],
            ),
        ),
        case(
            "size/non-ascii-value",
            "A value outside of ASCII in a field that decides nothing.",
            request(T, passed(), headers=[["X-A", "\u00e9"]]),
        ),
        case(
            "size/token-missing-first",
            "What can't be read is said before what is missing.",
            request("/hardware/x", refused("token.missing"), token=None),
        ),
    ]


REWRITING = {
    "X-Original-URL": "/admin/users",
    "X-Rewrite-URL": "/admin/users",
    "X-Original-URI": "/admin/users",
    "X-Override-URL": "/admin/users",
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Original-Method": "DELETE",
    "X-Original-Host": "other.example",
    "X-Forwarded-Uri": "/admin/users",
    "X-Forwarded-Path": "/admin/users",
    "X-Forwarded-Prefix": "/admin",
    "X-Forwarded-Method": "DELETE",
    "X-Envoy-Original-Path": "/admin/users",
}


def _rewriting() -> list[Json]:
    """Return what would make a framework serve another path or method than the one that was judged."""
    made = []
    for name, value in REWRITING.items():
        short = name.lower()
        for row, target, parts in (("bearer", T, {}), ("off", "/open/x", {"token": None})):
            expect = passed(unseen=[short], results=row == "bearer")
            made.append(
                case(
                    f"rewriting/{row}-{short}",
                    f"{name} asks a framework for another path or method; the API must not see it.",
                    request(target, expect, headers=[[name, value]], **parts),
                )
            )
        for sign, word in (("_", "underscore"), (".", "dot")):
            made.append(
                case(
                    f"rewriting/{short}-{word}",
                    f"{name} with another sign for the hyphen.",
                    request(
                        T, contained(unseen=[short]), headers=[[name.replace("-", sign), value]]
                    ),
                )
            )
    return made


def _statuses() -> list[Json]:
    """Return what an app says of itself where it sends no token: counted, and never seen by the API."""
    name, unseen = "Watchword-Status", ["watchword-status"]
    made = []
    for spelling, sign, words in SPELLINGS:
        for where, target, has_token, results in TARGETS:
            fields = [[name.replace("-", sign), "offline"]]
            parts: Json = {"headers": fields} | ({} if has_token else {"token": None})
            made.append(
                case(
                    f"status/{where}-{spelling}",
                    f"The client says why it sends no token, {words}; the API must not see it.",
                    request(target, passed(results=results, unseen=unseen), **parts),
                )
            )
    for value, word in (
        ("unsupported", "unsupported"),
        ("refused", "refused"),
        ("", "empty"),
        ("x" * 300, "long"),
    ):
        made.append(
            case(
                f"status/opens-nothing-{word}",
                "Whatever it says, it isn't a token.",
                request(T, refused("token.missing"), headers=[[name, value]], token=None),
            )
        )
    expect = passed(results=False, unseen=unseen)
    return [
        *made,
        case(
            "status/twice",
            "Two of them are as good as one.",
            request("/open/x", expect, headers=[[name, "offline"], [name, "device"]], token=None),
        ),
        case(
            "status/connection",
            "Connection names it, which takes nothing away that the API was meant to see.",
            request(
                T,
                contained(unseen=unseen),
                headers=[["Connection", f"close, {name}"], [name, "offline"]],
            ),
        ),
    ]


def _named() -> list[Json]:
    """Return what Connection names beside the fields that decide: an API was meant to see them."""
    framing = malformed("request.framing", 401)
    return [
        *(
            case(
                f"connection/{name.lower()}",
                f"Connection names {name}, so that somebody behind takes it away.",
                request(T, framing, headers=[["Connection", f"close, {name}"], [name, "x"]]),
            )
            for name in ("Cookie", "X-Tenant", "If-Match", "Content-Type")
        ),
        case(
            "connection/off",
            "Connection names a field on a row that is off.",
            request("/open/x", framing, headers=[["Connection", "Cookie"]], token=None),
        ),
        case(
            "connection/te",
            "What clients name there every day.",
            request(T, passed(), headers=[["Connection", "TE, close"], ["TE", "trailers"]]),
        ),
    ]


def _digests() -> list[Json]:
    """Return a second digest where no proof asks for one."""
    double = malformed("request.header_duplicated", 401)
    body = {
        "text": "x",
        "digests": [
            "sha-256=:{sha-256}:",
            "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        ],
    }
    return [
        case(
            f"size/{row}-duplicated-digest",
            "Two digests in two fields: which one would the API compare?",
            request(target, double, method="POST", body=body, **parts),
        )
        for row, target, parts in (("bearer", T, {}), ("off", "/open/x", {"token": None}))
    ]
