"""Methods, rows, modes, and how many requests an instance may send."""

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

UNKNOWN = refused("gate.route_unknown", 403, 404, 405)


def cases() -> list[Json]:
    """Return the cases."""
    return [*_methods(), *_rows(), *_modes(), *_rates()]


def _methods() -> list[Json]:
    made = [
        case(
            f"method/{method.lower()}",
            f"{method} where every method is served.",
            request("/bearer/orders", passed(), method=method),
        )
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    ]
    made += [
        case(
            "method/get-row-head",
            "A row for GET is one for HEAD.",
            request("/read/x", passed(), method="HEAD"),
        ),
        case(
            "method/get-row-head-refused",
            "HEAD needs a token as GET does.",
            request("/read/x", refused("token.missing"), method="HEAD", token=None),
        ),
        case("method/get-row-get", "A row for GET takes GET.", request("/read/x", passed())),
        *(
            case(
                f"method/get-row-{method.lower()}",
                f"A row for GET doesn't take {method}.",
                request("/read/x", UNKNOWN, method=method),
            )
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")
        ),
        case(
            "method/lower-case",
            "Methods have case (RFC 9110 section 9.1).",
            request("/bearer/orders", malformed("request.malformed", 403, 404, 405), method="get"),
        ),
        case(
            "method/mixed-case",
            "Get is no GET.",
            request("/read/x", malformed("request.malformed", 403, 404, 405), method="Get"),
        ),
        case(
            "method/unknown",
            "A method of nobody, on a row that takes every method.",
            request("/bearer/orders", contained(), method="BREW"),
        ),
        case(
            "method/unknown-row",
            "A method of nobody, on a row for GET.",
            request("/read/x", {**UNKNOWN, "statuses": ANY_REFUSAL}, method="BREW"),
        ),
        case(
            "method/signs",
            "A method with signs in it.",
            request("/bearer/orders", malformed("request.malformed", 403, 404, 405), method="GE$T"),
        ),
        case(
            "method/long",
            "A method of forty letters.",
            request(
                "/bearer/orders", malformed("request.malformed", 403, 404, 405), method="G" * 40
            ),
        ),
        case(
            "method/trace",
            "TRACE would show the token to whoever made the client send it.",
            request("/read/x", malformed("gate.protocol", 403, 404, 405), method="TRACE"),
        ),
        case(
            "method/trace-any",
            "TRACE on a row that takes every method.",
            request("/bearer/orders", malformed("gate.protocol", 403, 404, 405), method="TRACE"),
        ),
        case(
            "method/override-query",
            "A method in the query changes nothing.",
            request("/read/x?_method=DELETE", passed()),
        ),
    ]
    return made


def _rows() -> list[Json]:
    return [
        case(
            "row/unknown",
            "What the table doesn't name isn't served.",
            request("/nothing/here", UNKNOWN),
        ),
        case(
            "row/unknown-no-token",
            "Nor is it said whether it is there.",
            request("/nothing/here", UNKNOWN, token=None),
        ),
        case("row/root", "The root isn't named either.", request("/", UNKNOWN)),
        case(
            "row/control",
            "The way in which this corpus asks its own API isn't a row.",
            request("/-/conformance/seen/x", UNKNOWN),
        ),
        case(
            "row/first-wins",
            "The first row that matches decides: this one asks for a token alone.",
            request("/first/open", passed()),
        ),
        case(
            "row/first-wins-head",
            "HEAD goes the way of GET.",
            request("/first/open", passed(), method="HEAD"),
        ),
        case(
            "row/second-by-method",
            "Another method goes on to the next row, which asks for the device.",
            request("/first/open", refused("proof.missing"), method="POST"),
        ),
        case(
            "row/second-by-path",
            "What lies beside the first row belongs to the second.",
            request("/first/other", refused("proof.missing")),
        ),
        case(
            "row/second-below",
            "What lies below the first row belongs to the second.",
            request("/first/open/below", refused("proof.missing")),
        ),
        case(
            "row/second-proof",
            "The second row takes its proof.",
            request("/first/other", passed(), proof={"kind": "device"}),
        ),
        case(
            "row/query-no-row",
            "A query chooses no row.",
            request("/first/other?/first/open", refused("proof.missing")),
        ),
    ]


def _modes() -> list[Json]:
    watched = passed(results=False)
    return [
        case(
            "mode/off",
            "A row that is off serves everybody.",
            request("/health", passed(results=False), token=None),
        ),
        case(
            "mode/off-forged",
            "Nobody looks at a forged token there.",
            request("/open/x", passed(results=False), token={"bend": {"signature": "flip"}}),
        ),
        case(
            "mode/off-method",
            "A row that is off for GET is off for GET alone.",
            request("/health", UNKNOWN, method="POST", token=None),
        ),
        case(
            "mode/monitor-missing",
            "A watching row lets a request without a token pass.",
            request("/watched/x", watched, token=None),
        ),
        case(
            "mode/monitor-good",
            "A watching row tells the API who is there.",
            request("/watched/x", passed()),
        ),
        case(
            "mode/monitor-level",
            "A watching row lets a low level pass, and says which.",
            request("/watched/x", passed(), token={"claims": {"lvl": "software"}}),
        ),
        case(
            "mode/monitor-expired",
            "A watching row lets an expired token pass, without results.",
            request("/watched/x", watched, token={"times": {"iat": -400, "exp": -120}}),
        ),
        case(
            "mode/monitor-other-audience",
            "A token for another API gives no results.",
            request("/watched/x", watched, token={"claims": {"aud": "https://other.example"}}),
        ),
        case(
            "mode/monitor-revoked",
            "A revoked instance gives no results.",
            request(
                "/watched/x", watched, token={"claims": {"sub": "conformance-revoked-instance"}}
            ),
        ),
        case(
            "mode/monitor-no-proof",
            "A watching row lets a request without its proof pass.",
            request("/watched-session/x", watched),
        ),
        case(
            "mode/monitor-proof",
            "A watching row takes a good proof.",
            request("/watched-session/x", passed(), proof={"kind": "session"}),
        ),
        case(
            "mode/monitor-bad-proof",
            "A watching row lets a bad proof pass.",
            request("/watched-session/x", watched, proof={"kind": "session", "bend": "flip"}),
        ),
        case(
            "mode/monitor-replayed",
            "A watching row lets a replay pass.",
            request("/watched-session/x", passed(), proof={"kind": "session"}),
            request("/watched-session/x", watched, again=0),
        ),
        case(
            "mode/monitor-framing",
            "A watching row is no way around the framing.",
            request(
                "/watched/x",
                malformed("request.framing"),
                headers=[["Content-Length", "1"], ["Content-Length", "2"]],
            ),
        ),
    ]


def _rates() -> list[Json]:
    over = refused("gate.rate")
    needs = ("rate",)
    first = request("/bearer/x", passed(passes=40), times=40)
    return [
        case(
            "rate/over",
            "The 41st request of an instance in an hour.",
            first,
            request("/bearer/x", over, again=0, times=3),
            needs=needs,
        ),
        case(
            "rate/over-other-row",
            "The limit counts over all rows.",
            first,
            request("/hardware/x", over, again=0),
            needs=needs,
        ),
        case(
            "rate/over-new-token",
            "A new token of the same instance doesn't start again.",
            first,
            request("/bearer/x", over),
            needs=needs,
        ),
        case(
            "rate/other-instance",
            "Another instance isn't slowed down.",
            first,
            request("/bearer/x", passed(), token={"holder": "other"}),
            needs=needs,
        ),
        case(
            "rate/refused-not-counted",
            "Forged tokens in somebody's name don't use up the limit.",
            request(
                "/bearer/x",
                refused("token.signature"),
                token={"bend": {"signature": "flip"}},
                times=60,
            ),
            request("/bearer/x", passed()),
            needs=needs,
        ),
        case(
            "rate/parallel",
            "Sixty requests at once: forty pass.",
            request(
                "/bearer/x", {**passed(passes=40), "reason": "gate.rate"}, times=60, parallel=True
            ),
            needs=needs,
        ),
        case(
            "rate/off",
            "A row that is off isn't counted.",
            request("/open/x", passed(results=False, passes=50), times=50),
        ),
    ]
