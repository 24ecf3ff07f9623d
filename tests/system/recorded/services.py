"""Ask the service and the gates as clients do, in this process: status, headers and body of each answer, and what engines are given."""

import asyncio
import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.system.recorded.transcript import ROOT, Transcript
from tests.unit.adapters.published_pins.workspaces import Bench as PinBench
from tests.unit.apps import recording_lab as lab
from tests.unit.apps.asgi_client import Answer, Recorder, call, http_scope
from tests.unit.apps.authz.test_authz import SECRET as CALLER
from tests.unit.apps.authz.test_authz import about, question
from tests.unit.apps.secret_bench import FIRST, SECOND, MemorySecretStore, secret_bench
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_middleware import StoppedClock
from tests.unit.apps.test_service_pins import BODY as PIN_REPORT
from tests.unit.apps.wsgi_client import RecordedRequests, environ_of
from tests.unit.apps.wsgi_client import call as wsgi_call
from tests.unit.enrolment.simulators import CLINIC, LEDGER, NOW, SeededEntropy, SimulatedPhone
from tests.unit.gate.proofs import Prover
from tests.unit.gate.simulators import (
    NOW as GATE_NOW,
)
from tests.unit.gate.simulators import SilentState, published, route, token
from tests.unit.pins.builders import APP as PINNED_APP

from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemClock
from watchword.apps.deployment import service_of
from watchword.apps.gateway import WatchwordMiddleware, WatchwordWsgiMiddleware
from watchword.apps.gateway.authz import AuthzApp, Credential
from watchword.apps.problems import text_of
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import TEMPLATE
from watchword.encoding import base64url
from watchword.gate.interface import GateState, Rate, Rollout
from watchword.gate.service import Gate
from watchword.lab import PHONES
from watchword.lab.google_play import GooglePlay
from watchword.public_classes import PublicClass
from watchword.reasons import ExitCode, Reason
from watchword.tokens.jose import jwk_from_public_key
from watchword.vocabulary import Environment, Level, Mode, Proof

_JWS: Final = re.compile(r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")


DRAWN: Final = {
    "sealed": r'(?<="session_key": ")[^"]+',
    "head": r"eyJhbGciOiJFUzI1NiIsImtpZCI6I[A-Za-z0-9_-]+",
    "key": r"(?<=key-)[A-Za-z0-9_-]{43}",
    "id": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
    "signature": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{86}(?![A-Za-z0-9_-])",
    "tag": r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])",
}
"""What is drawn anew by whatever takes no seeded randomness: keys and signatures."""


def phone(app: str = "clinic-ios", *, number: int = 101) -> SimulatedPhone:
    """Return a phone whose keys are the same in each run."""
    proof, seal, attested = (derive_private_key(number + at, SECP256R1()) for at in range(3))
    return SimulatedPhone(
        app,
        (CLINIC, LEDGER),
        jwk_from_public_key(proof.public_key()),
        seal,
        attested.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def _opened(text: str) -> str:
    """Show what a signed token says instead of the token, whose signature is drawn anew each time."""

    def said(found: re.Match[str]) -> str:
        header, payload = (base64url.decode(part).decode() for part in found[0].split(".")[:2])
        return f"<signed {header} {payload}>".replace('"', "'")

    return _JWS.sub(said, text)


def _answer(shell: Transcript, title: str, answer: httpx.Response) -> None:
    fields = sorted(f"{name}: {value}" for name, value in answer.headers.items())
    shell.note(title, _opened("\n".join([str(answer.status_code), *fields, "", answer.text, ""])))


def _asked(shell: Transcript, title: str, answer: Answer, more: Iterable[str] = ()) -> None:
    fields = [
        f"{n.decode('latin-1')}: {v.decode('latin-1')}"
        for n, v in answer.messages[0].get("headers", ())
    ]
    text = [
        str(answer.messages[0].get("status", answer.messages[0])),
        *fields,
        "",
        answer.body.decode(),
        *more,
        "",
    ]
    shell.note(title, _opened("\n".join(text)))


async def _public(shell: Transcript, caller: Caller, bench: ServiceBench) -> None:
    async def ask(method: str, path: str, name: str = "", **content: Any) -> httpx.Response:
        answer = await caller.public.request(method, path, **content)
        _answer(shell, f"{method} {path} {name}".strip(), answer)
        return answer

    for path in ("/healthz", "/.well-known/jwks.json", "/.well-known/verdicts/clinic/jwks.json"):
        await ask("GET", path)
        await ask("HEAD", path)
        await ask("POST", path)
    await ask("GET", "/.well-known/verdicts/nobody/jwks.json")
    await ask("GET", "/nothing")
    await ask("GET", "/v1/challenges")
    await ask("POST", "/v1/challenges", json={"app": "clinic-ios", "purpose": "enrol"})
    odd: dict[str, dict[str, Any]] = {
        "unknown app": {"json": {"app": "nobody", "purpose": "enrol"}},
        "unknown purpose": {"json": {"app": "clinic-ios", "purpose": "play"}},
        "a member too many": {"json": {"app": "clinic-ios", "purpose": "enrol", "x": 1}},
        "no JSON": {"content": b"{", "headers": {"content-type": "application/json"}},
        "twice": {
            "content": b'{"app":"a","app":"b"}',
            "headers": {"content-type": "application/json"},
        },
        "another type": {"content": b"app=clinic", "headers": {"content-type": "text/plain"}},
        "too long": {"content": b" " * 300_000, "headers": {"content-type": "application/json"}},
        "a list": {"json": []},
    }
    for name, content in odd.items():
        await ask("POST", "/v1/challenges", name, **content)
    for app in ("clinic-ios", "clinic-android"):
        device = phone(app)
        challenge = await caller.challenge(device)
        _answer(shell, f"{app} enrols", await caller.attest(device, challenge))
        _answer(
            shell, f"{app} enrols by the same challenge", await caller.attest(device, challenge)
        )
    device = phone(number=211)
    said: dict[str, dict[str, Any]] = {
        "for another service": {"iss": "https://other.example"},
        "for an unknown audience": {"aud": ["https://other.example"]},
        "another version": {"v": 2},
        "another purpose": {"purpose": "renew"},
        "no seal key": {"seal_jwk": None},
        "no proof key": {"proof_jwk": None},
    }
    for name, changes in said.items():
        _answer(
            shell,
            f"enrolment {name}",
            await caller.attest(device, await caller.challenge(device), **changes),
        )
    for name, evidence in {
        "of too low a level": {"level": "software"},
        "of an unknown format": {"format": "smoke"},
        "bound to something else": {"binding": "AAAA"},
    }.items():
        challenge = await caller.challenge(device)
        _answer(
            shell,
            f"enrolment with evidence {name}",
            await caller.attest(device, challenge, evidence),
        )
    device = phone(number=251)
    enrolled = await caller.enrol(device)
    _answer(shell, "renewal", await caller.renew(device, enrolled["instance"]))
    _answer(shell, "renewal of nobody", await caller.renew(device, "nobody"))
    _answer(
        shell,
        "renewal by another phone",
        await caller.renew(phone(number=307), enrolled["instance"]),
    )
    await ask("POST", "/v1/tokens", "nothing in it", json={})
    await ask(
        "POST",
        "/v1/secrets",
        "where there are none",
        json={"instance": "x", "statement": "", "evidence": {}},
    )
    await ask("GET", f"/v1/pins/{PINNED_APP}", "where there are none")
    bench.clock.advance(301)
    challenge = await caller.challenge(device)
    bench.clock.advance(100_000)
    _answer(shell, "enrolment by a challenge of yesterday", await caller.attest(device, challenge))


def _bench(shell: Transcript, work: Callable[[Caller, ServiceBench], Any], **more: Any) -> None:
    bench = service_bench(shell.directory, **more)

    async def scenario() -> None:
        async with Caller.of(bench) as caller:
            await bench.service.start()
            await work(caller, bench)
            await bench.service.stop()

    try:
        asyncio.run(scenario())
    finally:
        bench.store.close()


def public(shell: Transcript) -> None:
    """Ask the public listener, as phones and strangers do."""
    shell.aliases = DRAWN
    shell.most_lines = 2_000
    _bench(shell, lambda caller, bench: _public(shell, caller, bench))


def openapi(shell: Transcript) -> None:
    """Ask the public listener for its description."""
    shell.most_lines = 5_000
    # The version of the day stands in it, and is longer between two releases.
    shell.marks = {"length": r"(?<=content-length: )\d+"}

    async def work(caller: Caller, _bench: ServiceBench) -> None:
        _answer(shell, "GET /openapi.json", await caller.public.get("/openapi.json"))

    _bench(shell, work)


def pins(shell: Transcript) -> None:
    """Ask for pins, and report a failure of them."""
    shell.aliases = DRAWN
    found = PinBench(shell.directory)
    found.roots()
    found.publish(1)
    (shell.directory / "state").mkdir(mode=0o700, exist_ok=True)
    followed = found.started()
    bench = service_bench(shell.directory / "state", pins=followed)
    followed.refresh(bench.clock.timestamp())

    async def work() -> None:
        async with Caller.of(bench) as caller:
            path = f"/v1/pins/{PINNED_APP}"
            first = await caller.public.get(path)
            _answer(shell, f"GET {path}", first)
            tagged = {"if-none-match": first.headers.get("etag", "")}
            _answer(shell, f"GET {path} again", await caller.public.get(path, headers=tagged))
            for other in (
                f"{path}/roots/1",
                f"{path}/roots/2",
                f"{path}/roots/x",
                "/v1/pins/nobody",
            ):
                _answer(shell, f"GET {other}", await caller.public.get(other))
            kind = {"content-type": "application/json"}
            for name, body in {"a report": PIN_REPORT, "no report": b"{}", "no JSON": b"x"}.items():
                answer = await caller.public.post("/v1/pins/reports", content=body, headers=kind)
                _answer(shell, f"POST /v1/pins/reports {name}", answer)
            for operator in (
                "/v1/pins",
                "/v1/pins/reports",
                "/v1/pins/reports?app=nobody",
                "/metrics",
            ):
                _answer(shell, f"GET {operator} (operator)", await caller.operator.get(operator))

    try:
        asyncio.run(work())
    finally:
        bench.store.close()


async def _operator(shell: Transcript, caller: Caller) -> None:
    async def ask(method: str, path: str, **members: Any) -> httpx.Response:
        told = members if method == "POST" else None
        named = {"watchword-operator": "alice"}
        answer = await caller.operator.request(method, path, headers=named, json=told)
        _answer(shell, f"{method} {path} {json.dumps(members) if members else ''}".strip(), answer)
        return answer

    instance = (await caller.enrol(phone()))["instance"]
    await caller.enrol(phone("clinic-android", number=151))
    refused = (
        await caller.public.post("/v1/challenges", json={"app": "nobody", "purpose": "enrol"})
    ).json()
    for query in ("", "?app=clinic-ios&limit=1", "?limit=0", "?limit=x", "?other=1", "?app=nobody"):
        await ask("GET", f"/v1/instances{query}")
    await ask("POST", f"/v1/instances/{instance}/revoke", because="lost")
    await ask("POST", f"/v1/instances/{instance}/revoke", because="lost")
    await ask("POST", "/v1/instances/nobody/revoke", because="lost")
    await ask("POST", f"/v1/instances/{instance}/revoke", why="lost")
    _answer(shell, "renewal of the revoked", await caller.renew(phone(), instance))
    code = {"app": "clinic-ios", "level": "hardware", "lifetime": 3600, "because": "drill"}
    made = await ask("POST", "/v1/test-codes", **code)
    await ask("POST", "/v1/test-codes", app="nobody")
    await ask("GET", "/v1/test-codes")
    for name in (str(made.json().get("id", "x")), "nobody"):
        await ask("POST", f"/v1/test-codes/{name}/revoke")
    await ask("GET", "/v1/keys")
    await ask("POST", "/v1/keys/rotate")
    await ask("POST", "/v1/keys/rotate", purpose="nothing")
    keys = (await ask("GET", "/v1/keys")).json()
    for kid in [*[str(each.get("kid")) for each in keys.get("keys", [])][:1], "nobody"]:
        await ask("POST", f"/v1/keys/{kid}/retire")
    await ask("POST", "/v1/explain", ref=refused["ref"])
    await ask("POST", "/v1/explain", ref="nothing")
    await ask("POST", "/v1/secrets", name="maps", value=FIRST)
    await ask("POST", "/v1/secrets", name="maps", value=FIRST)
    await ask("POST", "/v1/secrets", name="nobody", value=FIRST)
    await ask("POST", "/v1/secrets/maps/rotate", value=SECOND)
    for path in (
        "/v1/secrets",
        "/v1/secrets/maps",
        "/v1/secrets/push",
        "/v1/secrets/nobody",
        "/v1/secrets/maps/users",
    ):
        await ask("GET", path)
    await ask("POST", "/v1/secrets/maps/revoke", version=1, because="it leaked")
    await ask("POST", "/v1/secrets/maps/revoke", version=9, because="it leaked")
    await ask("POST", "/v1/canaries", name="bait", like="maps")
    await ask("POST", "/v1/canaries", name="bait")
    for path in ("/v1/canaries", "/v1/canaries/alarms"):
        await ask("GET", path)
    await ask("POST", "/v1/canaries/bait/remove")
    for path in (
        "/v1/audit",
        "/v1/audit?limit=0",
        "/v1/refusals",
        "/v1/pins",
        "/metrics",
        "/nothing",
    ):
        await ask("GET", path)
    await ask("DELETE", "/v1/instances")


def operator(shell: Transcript) -> None:
    """Ask the operator's application for everything, and for what it refuses."""
    shell.aliases = DRAWN
    shell.most_lines = 2_000
    bench = secret_bench(shell.directory, MemorySecretStore())

    async def scenario() -> None:
        async with Caller.of(bench) as caller:
            await bench.service.start()
            await _operator(shell, caller)
            await bench.service.stop()

    try:
        asyncio.run(scenario())
    finally:
        bench.store.close()


@contextmanager
def _served(shell: Transcript) -> Iterator[None]:
    """Serve a bench's operator's application at the socket where commands look for it."""
    state = shell.directory / ".watchword"
    state.mkdir(mode=0o700)
    ready, stopped = threading.Event(), threading.Event()

    async def serve() -> None:
        bench = secret_bench(state, MemorySecretStore())
        socket = load_settings(Path("watchword.yaml")).service.operator_socket
        config = uvicorn.Config(
            bench.service.operator_app, uds=str(socket), log_level="critical", lifespan="off"
        )
        server = uvicorn.Server(config)
        async with Caller.of(bench) as caller:
            await bench.service.start()
            await caller.enrol(phone())
            await caller.enrol(phone("clinic-android", number=151))
            refused = await caller.public.post(
                "/v1/challenges", json={"app": "nobody", "purpose": "enrol"}
            )
            (shell.directory / "ref").write_text(refused.json()["ref"])
            serving = asyncio.create_task(server._serve())
            while not server.started:  # noqa: ASYNC110 - it tells nobody.
                await asyncio.sleep(0.01)
            ready.set()
            while not stopped.is_set():  # noqa: ASYNC110 - another thread sets it.
                await asyncio.sleep(0.01)
            server.should_exit = True
            await serving
            await bench.service.stop()
        bench.store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        stopped.set()
        thread.join()


def operated(shell: Transcript) -> None:
    """Run the operator's commands on a service that answers."""
    shell.aliases = DRAWN
    shell.marks = {
        "ago": r"\b\d+ (?:seconds?|minutes?|hours?|days?) ago\b",
        "estimate": r'(?<=carries out about )[\d,]+|(?<="capacity": )[\d.]+',
    }
    shell.write("watchword.yaml", TEMPLATE)
    with _served(shell):
        reference = (shell.directory / "ref").read_text()
        instances = json.loads(shell.printed("instances", "list", "--json").splitlines()[0])
        instance = str(instances.get("instance") or instances["instances"][0]["instance"])
        for words in (
            ("instances", "list"),
            ("instances", "list", "--app", "clinic-ios"),
            ("instances", "list", "--app", "nobody"),
            ("instances", "revoke", instance, "--because", "lost"),
            ("instances", "revoke", "nobody", "--because", "lost"),
            ("instances", "invite", "--app", "clinic-ios", "--because", "a drill"),
            ("instances", "invite", "--app", "nobody", "--because", "a drill"),
            ("instances", "invitations"),
            ("instances", "cancel", "nobody"),
            ("instances", "cut", "--app", "clinic-ios", "--because", "a drill", "--rehearse"),
            ("instances", "cut", "--app", "nobody", "--because", "a drill"),
            ("instances", "cuts"),
            ("instances", "cut", "--app", "clinic-ios", "--because", "a drill", "--step", "16"),
            ("instances", "cuts"),
            ("instances", "cut-stop", "cut-1", "--because", "enough"),
            ("instances", "cut-stop", "nobody", "--because", "enough"),
            ("instances", "cuts", "--json"),
            ("keys", "list"),
            ("keys", "rotate"),
            ("keys", "retire", "nobody"),
            ("explain", reference),
            ("explain", "nothing"),
            ("secrets", "list"),
            ("secrets", "show-meta", "maps"),
            ("secrets", "show-meta", "nobody"),
            ("secrets", "who-uses", "maps"),
            ("secrets", "revoke", "maps", "--version", "9", "--because", "it leaked"),
            ("secrets", "canary", "list"),
            ("secrets", "canary", "add", "bait", "--like", "maps", "--note", "in 1.2"),
            ("secrets", "canary", "alarms"),
            ("secrets", "canary", "remove", "nobody"),
            ("pins", "reports"),
            ("metrics",),
        ):
            shell(*words)
            shell(*words, "--json")
        shell("secrets", "add", "maps", stdin=FIRST)
        shell("secrets", "add", "maps", "--json", stdin=SECOND)
        shell("secrets", "rotate", "maps", stdin=SECOND)
        shell("secrets", "add", "maps", FIRST)
        shell("secrets", "list", "--json")
        shell("metrics", "--prometheus")


ROUTES: Final = (
    route("/health", mode=Mode.OFF, methods=["GET"]),
    route("/watched/**", mode=Mode.MONITOR),
    route("/session/**", proof=Proof.SESSION),
    route("/device/**", proof=Proof.DEVICE),
    route("/canary/**", mode=Mode.CANARY, canary=Rollout(share=100)),
    route("/soft/**", level=Level.SOFTWARE),
    route("/v1/**"),
)


def _requests() -> dict[str, dict[str, Any]]:
    """Return the scopes of requests to a gate, good and bad."""
    good, soft = token(), token(level=Level.SOFTWARE)
    prover = Prover()

    def sent(target: str, fields: list[tuple[bytes, bytes]], **more: Any) -> dict[str, Any]:
        return http_scope(target, **more) | {"headers": fields}

    return {
        "good": http_scope("/v1/patients?q=1", token=good),
        "no token": http_scope("/v1/patients"),
        "no token, HEAD": http_scope("/v1/patients", method="HEAD"),
        "open": http_scope("/health"),
        "open to another method": http_scope("/health", method="POST"),
        "no such route": http_scope("/elsewhere", token=good),
        "monitored, no token": http_scope("/watched/a"),
        "canary, no token": http_scope("/canary/a"),
        "too low a level": http_scope("/v1/patients", token=soft),
        "a low level that is enough": http_scope("/soft/a", token=soft),
        "expired": http_scope(
            "/v1/patients", token=token(issued_at=GATE_NOW - 900, expires_at=GATE_NOW - 600)
        ),
        "of the future": http_scope(
            "/v1/patients", token=token(issued_at=GATE_NOW + 900, expires_at=GATE_NOW + 1200)
        ),
        "for another audience": http_scope(
            "/v1/patients", token=token(audience="https://other.example")
        ),
        "of another issuer": http_scope(
            "/v1/patients", token=token(issuer="https://other.example")
        ),
        "of another environment": http_scope(
            "/v1/patients", token=token(environment=Environment.LAB)
        ),
        "another signature": http_scope("/v1/patients", token=good[:-6] + "AAAAAA"),
        "no token at all": http_scope("/v1/patients", token="x"),
        "two tokens": http_scope(
            "/v1/patients", token=good, headers=[(b"watchword-token", good.encode())]
        ),
        "a forged verdict": http_scope("/v1/patients", headers=[(b"watchword-level", b"hardware")]),
        "dots": http_scope("/v1/../admin", token=good),
        "encoded dots": http_scope("/v1/%2e%2e/admin", token=good),
        "double slash": http_scope("//v1/patients", token=good),
        "encoded slash": http_scope("/v1%2fpatients", token=good),
        "backslash": http_scope("/v1\\patients", token=good),
        "NUL": http_scope("/v1/%00", token=good),
        "large head": http_scope("/v1/patients", token=good, headers=[(b"x-large", b"x" * 70_000)]),
        "session without a proof": http_scope("/session/a", token=good),
        "session": sent("/session/a", prover.session(target="/session/a", nonce="nonce-a" * 4)),
        "session again": sent(
            "/session/a", prover.session(target="/session/a", nonce="nonce-a" * 4)
        ),
        "session of another path": sent(
            "/session/b", prover.session(target="/session/a", nonce="nonce-b" * 4)
        ),
        "session too old": sent(
            "/session/a",
            prover.session(target="/session/a", created=GATE_NOW - 3600, nonce="nonce-c" * 4),
        ),
        "device": sent("/device/a", prover.device(target="/device/a", nonce="nonce-d" * 4)),
        "device by a session": sent(
            "/device/a", prover.session(target="/device/a", nonce="nonce-e" * 4)
        ),
        "websocket": {
            **http_scope("/v1/socket"),
            "type": "websocket",
            "scheme": "ws",
            "subprotocols": [],
        },
    }


def _seen(scope: Mapping[str, Any]) -> list[str]:
    """Show what of a request reached the application."""
    fields = [f"  {n.decode('latin-1')}: {v.decode('latin-1')}" for n, v in scope["headers"]]
    return ["reached the application with", *fields]


def gate_asgi(shell: Transcript) -> None:
    """Send requests through the ASGI middleware: allowed, refused, before the first bundle."""
    app = Recorder()
    states: dict[str, GateState] = {
        "": published(*ROUTES),
        "before the first bundle: ": SilentState(),
    }
    for name, state in states.items():
        gate = Gate(state, memory=MemoryReplayStore())
        guard = WatchwordMiddleware(app, gate=gate, clock=StoppedClock(), entropy=SeededEntropy())
        for what, scope in _requests().items():
            app.scopes.clear()
            answer = call(guard, scope)
            if answer.messages:
                _asked(
                    shell,
                    name + what,
                    answer,
                    [line for each in app.scopes for line in _seen(each)],
                )
            else:
                shell.note(
                    name + what,
                    "no answer\n"
                    + "\n".join(line for each in app.scopes for line in _seen(each))
                    + "\n",
                )
        shell.note(f"{name}counted", f"{guard.allowed} allowed, {guard.refused} refused\n")
    limited = published(route("/v1/**"), rate=Rate(2, 60))
    guard = WatchwordMiddleware(
        app,
        gate=Gate(limited, memory=MemoryReplayStore()),
        clock=StoppedClock(),
        entropy=SeededEntropy(),
    )
    for number in range(4):
        _asked(shell, f"rate: request {number + 1}", call(guard, http_scope(token=token())))


def gate_wsgi(shell: Transcript) -> None:
    """Send the same requests through the WSGI middleware."""
    app = RecordedRequests()
    states: dict[str, GateState] = {
        "": published(*ROUTES),
        "before the first bundle: ": SilentState(),
    }
    for name, state in states.items():
        gate = Gate(state, memory=MemoryReplayStore(), entropy=SeededEntropy())
        guard = WatchwordWsgiMiddleware(
            app, gate=gate, clock=StoppedClock(), entropy=SeededEntropy()
        )
        for what, scope in _requests().items():
            if scope["type"] != "http":
                continue
            answer = wsgi_call(guard, environ_of(scope))
            fields = [f"{key}: {value}" for key, value in answer.headers.items()]
            shell.note(
                name + what, "\n".join([str(answer.status), *fields, "", answer.body.decode(), ""])
            )
        shell.note(f"{name}counted", f"{guard.allowed} allowed, {guard.refused} refused\n")


def authz(shell: Transcript) -> None:
    """Ask ``/authz`` in each style, as engines do and as nobody may."""
    good = (b"watchword-token", token().encode())
    other = (b"watchword-token", token()[:-6].encode() + b"AAAAAA")
    host = (b"host", b"clinic.example")
    for style in ("original", "forwarded", "envoy"):
        gate = Gate(published(*ROUTES), memory=MemoryReplayStore(), entropy=SeededEntropy())
        app = AuthzApp(
            gate,
            style=style,
            clock=StoppedClock(),
            entropy=SeededEntropy(),
            credential=Credential(CALLER),
        )
        prefix = b"x-%b-" % style.encode()
        known = (b"watchword-authz", CALLER)
        questions: dict[str, tuple[bytes, list[tuple[bytes, bytes]]]] = {}
        for uri, fields in (
            (b"/v1/patients?q=1", [good]),
            (b"/v1/patients", []),
            (b"/v1/patients", [other]),
            (b"/v1/patients", [good, good]),
            (b"/elsewhere", [good]),
            (b"/v1/../admin", [good]),
            (b"/health", [(b"watchword-level", b"hardware")]),
            (b"/watched/a", []),
        ):
            title = f"{uri.decode()} with {len(fields)} fields"
            if style == "envoy":
                questions[title] = b"/authz" + uri, [host, *fields]
            else:
                questions[title] = b"/authz", about(uri, *fields, prefix=prefix)
        for title, (path, fields) in questions.items():
            for who, caller in {"": [known], ", caller unknown": []}.items():
                target, _, query = path.partition(b"?")
                scope = question(target, query=query, headers=[*fields, *caller])
                _asked(shell, f"{style}: {title}{who}", call(app, scope))
        _asked(shell, f"{style}: nothing asked", call(app, question(headers=[known])))


FEW: Final = ("genuine-iphone", "genuine-android", "genuine-play-android", "unlocked-android")
"""Of these phones everything is written down, of the others the verdict as text."""


def evidence(shell: Transcript) -> None:
    """Verify the evidence of each kind of phone, as text, as JSON and explained; and replay records."""
    shell.aliases = {
        "id": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
        "hash": r"\b[0-9a-f]{64}\b",
        "key": r"\b04[0-9a-f]{128}\b",
        "serial": r"\b[0-9a-f]{32,40}\b",
    }
    shell.most_lines = 1_000
    google = GooglePlay(lab.AUTHORITIES.seed)
    shell.write("anchors.json", json.dumps(lab.AUTHORITIES.anchors_document()))
    shell.write("status.json", lab.STATUS_DOCUMENT)
    for name, key in {
        "decryption": google.decryption_key,
        "verification": google.verification_key,
    }.items():
        shell.write(f"{name}.key", base64.b64encode(key) + b"\n")
    for kind in sorted(PHONES):
        shown = lab.evidence_of(kind)
        options = [
            "--format",
            shown["format"],
            "--file",
            kind,
            "--anchors",
            "anchors.json",
            "--at",
            NOW.isoformat(),
        ]
        if "chain" in shown:
            chain = (ssl.DER_cert_to_PEM_cert(base64url.decode(der)) for der in shown["chain"])
            data = "".join(chain).encode()
            options += [
                "--challenge",
                lab.BINDING.hex(),
                "--package",
                "com.example.clinic",
                "--signing-digest",
                lab.DIGEST.hex(),
            ]
        elif "token" in shown:
            data = shown["token"].encode()
            options += [
                "--challenge",
                lab.BINDING.hex(),
                "--package",
                "com.example.clinic",
                "--signing-digest",
                lab.DIGEST.hex(),
            ]
            options += [
                "--decryption-key",
                "decryption.key",
                "--verification-key",
                "verification.key",
            ]
        else:
            data = base64url.decode(shown["attestation"])
            options += [
                "--client-data-hash",
                lab.BINDING.hex(),
                "--team-id",
                "ABCDE12345",
                "--bundle-id",
                "com.example.clinic",
            ]
        shell.write(kind, data)
        shell("verify", "evidence", *options)
        if kind in FEW:
            shell("verify", "evidence", *options, "--json")
            shell("verify", "evidence", *options, "--explain")
    options = ["--file", min(PHONES), "--challenge", "00"]
    shell("verify", "evidence")
    shell("verify", "evidence", "--format", "smoke", *options)
    shell("verify", "evidence", "--format", "android-key", *options)
    shell("verify", "evidence", "--format", "app-attest", *options)
    shell("verify", "evidence", "--format", "android-key", "--file", "nowhere", "--challenge", "00")
    shell("verify", "evidence", "--vectors", "nowhere")
    lines = [lab.appraised_line(lab.evidence_of(kind), lab.app_of(kind)) for kind in sorted(PHONES)]
    shell.write("records.jsonl", b"".join(line + b"\n" for line in lines))
    shell("verify", "replay", "records.jsonl", "--anchors", "anchors.json")
    shell("verify", "replay", "records.jsonl", "--anchors", "anchors.json", "--policy", "strict")
    shell("verify", "replay", "records.jsonl")
    shell("policy", "diff", "balanced", "strict", "--records", "records.jsonl")
    shell("policy", "diff", "balanced", "strict", "--records", "records.jsonl", "--json")
    shell.write("odd.jsonl", "{}\n")
    shell("verify", "replay", "odd.jsonl")
    shell.write("watchword.yaml", TEMPLATE)
    shell("lab", "phones")
    shell("lab", "phones", "--json")
    shell("lab", "evidence", "nobody", "--challenge", "00", "-o", "x")
    shell("lab", "evidence", "genuine-android", "--challenge", "00", "-o", "made.pem")
    shell("lab", "evidence", "genuine-android", "--challenge", "00", "-o", "made.pem", "--json")


KEYS: Final = """
secrets:
  keys:
    maps:
      edge:
        origin: http://127.0.0.1:9100
        paths: [/geocode/**]
        add: {header: Authorization, prefix: "Bearer "}
        quota: {calls: 100, per: 1d}
"""
ENGINES: Final = ("nginx", "haproxy", "envoy", "caddy", "traefik", "nginx-authz")


def engines(shell: Transcript) -> None:
    """Write the files of every engine for the examples, from bundles of a service with seeded keys."""
    shell.most_lines = 1_200
    # A digest over the times of keys, which are those of the run.
    shell.marks = {"trust": r'(?<="trust": ")[0-9a-f]{64}'}
    shell.aliases = {
        **DRAWN,
        "point": r"\b[0-9a-f]{128}\b",
        "pem": r"-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----",
    }
    texts = {
        "template": TEMPLATE,
        "clinic": (ROOT / "examples" / "clinic.yaml").read_text("utf-8"),
        "fastapi": (ROOT / "examples" / "fastapi_clinic" / "watchword.yaml").read_text("utf-8"),
    }
    for name, text in texts.items():
        shell.write(f"{name}/watchword.yaml", text)
        config = f"{name}/watchword.yaml"
        settings = load_settings(shell.directory / config)
        clock = SystemClock()
        settings.service.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        service = service_of(
            settings, clock=clock, entropy=SeededEntropy(), refusal_log=MemoryRefusalLog(clock)
        )

        async def published_once(service: Any = service) -> None:
            await service.start()
            await service.stop()

        asyncio.run(published_once())
        service.context.store.close()
        for engine in ENGINES:
            out = f"{name}/{engine}"
            listen = ("--listen", "127.0.0.1:8081")
            asked = (
                "--authz",
                "127.0.0.1:8082" if engine == "traefik" else f"unix:{shell.directory}/authz.sock",
            )
            shell("gate", "config", "--engine", engine, "-o", out, *listen, config=config)
            shell("gate", "config", "--engine", engine, "-o", out, *listen, *asked, config=config)
            shell(
                "gate",
                "config",
                "--engine",
                engine,
                "-o",
                out,
                *listen,
                *asked,
                "--json",
                config=config,
            )
            if (shell.directory / out).exists():
                shell.tree(out)


def reasons(shell: Transcript) -> None:
    """List the reasons: code, category, public class, status, and the text for people."""
    shell.note("exit codes", "".join(f"{each.name} {each.value}\n" for each in ExitCode))
    for kind in PublicClass:
        shell.note(kind.name, "".join(f"{each}\n" for each in kind.value))
    for reason in Reason:
        code, category, public_class = reason.value
        said = f"{reason.name} {category.value} {public_class.name}"
        shell.note(code, f"{said}\n{text_of(code)}\n")


GROUPS: Final[dict[str, Callable[[Transcript], None]]] = {
    "service-public": public,
    "service-openapi": openapi,
    "service-pins": pins,
    "service-operator": operator,
    "service-operated": operated,
    "gate-asgi": gate_asgi,
    "gate-wsgi": gate_wsgi,
    "gate-authz": authz,
    "evidence": evidence,
    "engines": engines,
    "reasons": reasons,
}
