"""Show that both middlewares decide alike on any request, and hand on the same.

Left out are two fields of one name where a list is allowed (``Signature``, ``Content-Digest``): a server of WSGI joins
them, and the conformance corpus shows what comes of it.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.apps.asgi_client import call as call_asgi
from tests.unit.apps.asgi_client import http_scope
from tests.unit.apps.test_middleware import ListedRefusals, StoppedClock
from tests.unit.apps.test_middleware_bodies import Reader
from tests.unit.apps.wsgi_client import RecordedRequests, environ_of
from tests.unit.apps.wsgi_client import call as call_wsgi
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import SoftwareSigner, published, route, token

from watchword.adapters.replay import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware, WatchwordWsgiMiddleware
from watchword.apps.gateway.guard import CLAIMS
from watchword.gate.interface import RESULT_HEADERS, Rollout
from watchword.gate.service import Gate
from watchword.vocabulary import Level, Mode, Proof

ROUTES = (
    route("/health", mode=Mode.OFF),
    route("/bearer/**"),
    route("/session/**", proof=Proof.SESSION, max_body=100),
    route("/device/**", proof=Proof.DEVICE, dpop=True),
    route("/watched/**", proof=Proof.SESSION, mode=Mode.MONITOR, max_body=100),
    route("/canary/**", mode=Mode.CANARY, canary=Rollout(share=50)),
    route("/newer/**", minimum_versions={"clinic-ios": "9"}),
)
TOKENS = (
    None,
    token(),
    token(level=Level.NONE),
    token(SoftwareSigner()),
    token(issued_at=1, expires_at=2),
    "a.b.c",
    "",
)
ODD_SEGMENTS = ["..", ".", "", "%2e%2e", "a%2Fb", "%FF", "a;b"]
SEGMENTS = st.sampled_from(["a", "b", "%C3%A9", "%41"] * 4 + ODD_SEGMENTS)
HARMLESS = st.sampled_from(
    [
        (b"cookie", b"c=1"),
        (b"x-a", b"\xe9"),
        (b"watchword-level", b"hardware"),
        (b"Watchword-Instance", b"forged"),
        (b"watchword.app", b"forged"),
    ]
)
HARMFUL = st.sampled_from(
    [
        (b"connection", b"close, x-a"),
        (b"connection", b"watchword-token"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"+1"),
        (b"content-length", b"0"),
        (b"host", b"other"),
        (b"authorization", b"Bearer b"),
        (b"dpop", b"d"),
        (b"watchword-token", b"t"),
        (b"x b", b""),
        (b"x-large", b"x" * 9000),
    ]
)


@dataclass
class Seen:
    """Hold what became of a request: the answer, the reasons, and what the application got."""

    status: int
    reasons: list[Any]
    headers: dict[bytes, bytes]
    results: dict[bytes, list[bytes]]
    claims: object
    body: bytes | None


def over_asgi(scope: dict[str, Any], body: bytes) -> Seen:
    """Send a request to an application behind the ASGI middleware."""
    app, log, scopes = Reader(), ListedRefusals(), []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    gate = Gate(published(*ROUTES), memory=MemoryReplayStore())
    guarded = WatchwordMiddleware(behind, gate=gate, refusal_log=log, clock=StoppedClock())
    message = {"type": "http.request", "body": body, "more_body": False}
    answer = call_asgi(guarded, scope, message)
    fields = scopes[0]["headers"] if scopes else []
    return Seen(
        answer.status,
        log.seen,
        {k: v for k, v in answer.headers.items() if k != b"content-length"},
        {name: [v for n, v in fields if n == name] for name in RESULT_HEADERS},
        scopes[0][CLAIMS] if scopes else None,
        app.bodies[0] if app.bodies else None,
    )


def over_wsgi(scope: dict[str, Any], body: bytes) -> Seen:
    """Send the same to an application behind the WSGI middleware."""
    app, log = RecordedRequests(), ListedRefusals()
    gate = Gate(published(*ROUTES), memory=MemoryReplayStore())
    guarded = WatchwordWsgiMiddleware(app, gate=gate, refusal_log=log, clock=StoppedClock())
    answer = call_wsgi(guarded, environ_of(scope, body))
    seen = app.seen[0] if app.seen else {}
    named = {n: n.decode().upper().replace("-", "_") for n in RESULT_HEADERS}
    ours = {k.encode(): v.encode() for k, v in answer.headers.items()}
    return Seen(
        answer.status,
        log.seen,
        {k: v for k, v in ours.items() if k not in {b"content-length", b"content-type"}}
        | ({b"content-type": ours[b"content-type"]} if answer.status != 200 else {}),
        {n: [seen[f"HTTP_{v}"].encode()] if f"HTTP_{v}" in seen else [] for n, v in named.items()},
        seen.get(CLAIMS),
        app.bodies[0] if app.bodies else None,
    )


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Draw a request: what a genuine app would send, mutated in some way or in none."""
    first = draw(st.sampled_from(["health", "bearer", "session", "device", "watched", "canary"]))
    first = draw(st.sampled_from([first] * 8 + ["newer", "nowhere", ""]))
    target = "/" + "/".join([first, *draw(st.lists(SEGMENTS, max_size=2))])
    target += draw(st.sampled_from(["", "?", "?q=1", "?a/../b"]))
    method = draw(st.sampled_from(["GET", "POST", "PUT", "HEAD"] * 4 + ["get", "TRACE"]))
    body = draw(st.sampled_from([b"", b"body", b"b" * 101])) if method in {"POST", "PUT"} else b""
    kind = draw(st.sampled_from(["bearer", "session", "session", "device", "dpop"]))
    if kind == "bearer":
        text = draw(st.sampled_from(TOKENS))
        fields = [(b"host", b"clinic.example")]
        fields += [] if text is None else [(b"watchword-token", text.encode())]
        fields += [(b"content-length", str(len(body)).encode())] if body else []
    elif kind == "dpop":
        url = "https://clinic.example" + target.partition("?")[0]
        fields = Prover().dpop(url=url, method=method)
        fields += [(b"content-length", str(len(body)).encode())] if body else []
    else:
        signed = draw(st.sampled_from([target, target, target, "/session/other"]))
        fields = getattr(Prover(), kind)(target=signed, body=body or None, method=method)
    # Of two things that are wrong, one is told: which one depends on the order, which a server of WSGI changes.
    extra = [
        *draw(st.lists(HARMLESS, max_size=2)),
        *draw(st.sampled_from([(), (), draw(st.lists(HARMFUL, max_size=1))])),
    ]
    sent = draw(st.sampled_from([body, body, body, body[::-1], body[:-1] + b"x" if body else b""]))
    return http_scope(target, method=method) | {"headers": [*fields, *extra]}, sent


@settings(max_examples=400, deadline=None)
@given(requests())
def test_both_decide_alike(made: tuple[dict[str, Any], bytes]) -> None:
    """Status, reasons, answer, results, claims and body are the same."""
    scope, body = made
    assert over_wsgi(scope, body) == over_asgi(scope, body)
