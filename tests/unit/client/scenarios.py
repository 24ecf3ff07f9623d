"""Run what docs/sdk-scenarios.json says of every client against the Python one.

Plays the service, the API's gate, the device, the clock and the storage; docs/sdk-scenarios.schema.json says what each
member means.  Proofs are verified by the product's verifiers, which share no code with the client.
"""

import asyncio
import contextlib
import gzip
import hashlib
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from tests.unit.client.simulators import ISSUER, SECRET, proof_headers, signed_request

from watchword.client import (
    AsyncWatchwordTransport,
    ChallengeRefusedError,
    DeliveredSecrets,
    DeviceError,
    DeviceErrorKind,
    EvidenceRefusedError,
    InstanceRefusedError,
    LengthRequiredError,
    OutcomeUnknownError,
    SecretRefusedError,
    SecretUnopenedError,
    ServiceRefusedError,
    ServiceUnavailableError,
    UnreadableAnswerError,
    WatchwordAuth,
    WatchwordClient,
    WatchwordTransport,
)
from watchword.encoding import base64url, length_prefixed, strict_json
from watchword.tokens.envelope import seal
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jose import (
    SigningKey,
    assemble,
    jwk_from_public_key,
    public_key_from_jwk,
    published_jwk,
)
from watchword.tokens.proofs import device, dpop, session
from watchword.tokens.proofs.session import proof_keys
from watchword.tokens.service import claims_to_json
from watchword.vocabulary import Environment, Level

DOCS = Path(__file__).parents[3] / "docs"
DOCUMENT: dict[str, Any] = json.loads((DOCS / "sdk-scenarios.json").read_text(encoding="utf-8"))
SCENARIOS: dict[str, dict[str, Any]] = {each["id"]: each for each in DOCUMENT["scenarios"]}
_SUITE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
_PATIENCE: Final = 60.0
"""Seconds after which callers that don't all come are given up."""

_ERRORS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (ServiceUnavailableError, "service-unavailable"),
    (ChallengeRefusedError, "challenge-refused"),
    (EvidenceRefusedError, "evidence-refused"),
    (InstanceRefusedError, "instance-refused"),
    (SecretRefusedError, "secret-refused"),
    (ServiceRefusedError, "service-refused"),
    (SecretUnopenedError, "secret-unopened"),
    (UnreadableAnswerError, "unreadable-answer"),
    (OutcomeUnknownError, "outcome-unknown"),
    (LengthRequiredError, "length-required"),
    (httpx.TimeoutException, "timeout"),
    (httpx.TransportError, "connection"),
)


class DeathError(BaseException):
    """End the process of the app at this point."""


class Keys:
    """Be one set of the device's keys."""

    def __init__(self) -> None:
        self.proof = ec.generate_private_key(ec.SECP256R1())
        self.seal = ec.generate_private_key(ec.SECP256R1())

    @property
    def proof_jwk(self) -> dict[str, str]:
        """Return the public proof key."""
        return jwk_from_public_key(self.proof.public_key())

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return the public seal key."""
        return jwk_from_public_key(self.seal.public_key())


class ScriptedDevice:
    """Be a device whose calls end as the scenario says."""

    def __init__(self, world: "World", script: Mapping[str, Any]) -> None:
        """Begin without keys."""
        self.world = world
        self.is_stated = script["proof_key"] == "stated"
        self.can_open = script["can_open"]
        self.calls = {name: list(ends) for name, ends in script["calls"].items()}
        self.made: list[Keys] = []
        self.lost = False
        self.lock = threading.Lock()

    def _end(self, name: str) -> None:
        with self.lock:
            ends = self.calls.get(name, [])
            end = ends.pop(0) if ends else "OK"
        if end == "dies":
            self.world.die()
        kind, _, pause = end.partition(" ")
        if kind != "OK":
            raise DeviceError(
                DeviceErrorKind[kind], f"{name} as told", float(pause) if pause else None
            )
        if self.lost and name != "create_keys":
            raise DeviceError(DeviceErrorKind.KEY_LOST, "gone")

    @property
    def keys(self) -> Keys:
        """Return the present keys."""
        if self.lost:
            raise DeviceError(DeviceErrorKind.KEY_LOST, "gone")
        return self.made[-1]

    @property
    def proof_jwk(self) -> dict[str, str] | None:
        """Return the proof key, where statements say it."""
        return self.keys.proof_jwk if self.is_stated else None

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return the seal key."""
        return self.keys.seal_jwk

    def create_keys(self) -> None:
        """Make new keys."""
        self._end("create_keys")
        self.made.append(Keys())
        self.lost = False

    def attest(self, binding: bytes) -> Mapping[str, Any]:
        """Return the proof key as evidence."""
        assert len(binding) == hashlib.sha256().digest_size
        self._end("attest")
        return {"format": "scripted", "key": self.keys.proof_jwk}

    def renew(self, statement: bytes) -> Mapping[str, Any]:
        """Return the same."""
        strict_json.loads(statement, 65536)
        self._end("renew")
        return {"format": "scripted", "key": self.keys.proof_jwk}

    def sign(self, message: bytes) -> bytes:
        """Sign by the proof key."""
        self._end("sign")
        return self.keys.proof.sign(message, ec.ECDSA(SHA256()))

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Open by the seal key."""
        self._end("open_sealed")
        assert self.can_open, "asked to open though it says that it can't"
        try:
            return _SUITE.decrypt(sealed, self.keys.seal, info)
        except Exception:  # noqa: BLE001 - whatever the library says of it.
            raise ValueError("not for this device") from None


@dataclass
class Step:
    """Hold what is left of a step's script."""

    exchanges: list[dict[str, Any]]
    arrived: int = 0
    barrier: threading.Barrier | None = None
    waits: list[float] = field(default_factory=list)


class World:
    """Hold one client and everything around it, as one scenario says."""

    def __init__(self, scenario: Mapping[str, Any], *, asynchronous: bool = False) -> None:
        """Begin where nothing happened yet.

        :param asynchronous: send requests to the API by the transport of asyncio.
        """
        self.asynchronous = asynchronous
        defaults = DOCUMENT["defaults"]
        self.scenario = scenario
        self.config = defaults["config"] | scenario.get("config", {})
        clock = defaults["clock"] | scenario.get("clock", {})
        self.time = float(clock["time"])
        self.wall_ahead = clock["wall_ahead"]
        self.boot_behind = self.time - clock["boot"]
        self.boot_id = clock["boot_id"]
        self.jitter = scenario.get("jitter", defaults["jitter"])
        self.device = ScriptedDevice(self, defaults["device"] | scenario.get("device", {}))
        self.signer = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        self.claims: dict[str, TokenClaims] = {}
        self.names: dict[str, str] = {}
        self.nonces: set[str] = set()
        self.secrets: list[str] = []
        self.problems: list[str] = []
        self.lock = threading.RLock()
        self.step = Step([])
        self.stored: dict[str, Any] | None = None
        self.saved: dict[str, Any] | None = None
        self.is_dead = False
        self.client = self.begun()

    # The app.

    def begun(self) -> WatchwordClient:
        """Return the client of a process that begins, with what was stored."""
        client = WatchwordClient(
            self.config["service"],
            self.config["app"],
            self.device,
            self.config["audiences"],
            clock=lambda: self.time + self.wall_ahead,
            boot=lambda: self.time - self.boot_behind,
            boot_id=self.boot_id,
            jitter=lambda: self.jitter,
            sleep=self.sleep,
            issuer=self.config["issuer"],
            transport=httpx.MockTransport(self.answer),
        )
        if self.stored is not None:
            with contextlib.suppress(ValueError):
                client.import_session(json.loads(json.dumps(self.stored)))
        self.auth = WatchwordAuth(
            client,
            self.config["audiences"][0],
            proof=self.config["proof"],
            dpop=self.config["dpop"],
            or_without=self.config["or_without"],
        )
        self.delivered = DeliveredSecrets(client, schedule=lambda _seconds, _work: lambda: None)
        return client

    def sleep(self, seconds: float) -> None:
        """Let the client pause."""
        with self.lock:
            self.step.waits.append(seconds)
            self.time += seconds

    def die(self) -> None:
        """End the process; what would be stored is what the client holds now."""
        self.stored = self.client.export_session()
        self.is_dead = True
        raise DeathError

    def assert_holds(self) -> None:
        """Do every step."""
        for number, step in enumerate(self.scenario["steps"]):
            try:
                self.do(step)
            except AssertionError as error:
                raise AssertionError(f"{self.scenario['id']}, step {number}: {error}") from error

    def do(self, step: Mapping[str, Any]) -> None:
        """Do one step and compare."""
        call = step["call"]
        act = getattr(self, f"set_{call}", None)
        if act is not None:
            act(step)
            return
        self.step = Step([dict(each) for each in step.get("exchanges", [])])
        outcomes = self.outcomes(step)
        assert not self.problems, self.problems
        assert not self.step.exchanges, f"requests that never came: {self.step.exchanges}"
        waits = step.get("waits", [])
        assert len(waits) == len(self.step.waits), f"waited {self.step.waits}, expected {waits}"
        for got, expected in zip(self.step.waits, waits, strict=True):
            assert abs(got - expected) < 1e-6, f"waited {self.step.waits}, expected {waits}"
        expected_outcome = {
            name: step[name]
            for name in ("result", "error", "ref", "retry_after", "died")
            if name in step
        }
        for outcome in outcomes:
            told = {name: outcome.get(name) for name in expected_outcome}
            assert told == expected_outcome, f"got {outcome}, expected {expected_outcome}"

    def outcomes(self, step: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Call as often as told, at once."""
        callers = step.get("callers", 1)
        if callers == 1:
            return [self.outcome(step)]
        with ThreadPoolExecutor(callers) as pool:
            return list(pool.map(lambda _number: self.outcome(step), range(callers)))

    def outcome(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a call came to."""
        assert not self.is_dead, "the process is dead"
        try:
            return {"result": getattr(self, f"call_{step['call']}")(step)}
        except DeathError:
            return {"died": True}
        except (ServiceUnavailableError, ServiceRefusedError) as error:
            told = self.named(error)
            if isinstance(error, ServiceUnavailableError):
                return told | {"retry_after": error.retry_after}
            return told | {"ref": error.problem.ref}
        except Exception as error:
            if isinstance(error, AssertionError):
                raise
            return self.named(error)

    def named(self, error: Exception) -> dict[str, Any]:
        """Return the error's name in every language; nothing secret is in it."""
        shown = f"{error} {error!r} {self.client!r} {self.delivered!r} {self.auth!r}"
        for secret in self.secrets:
            assert secret not in shown, f"{type(error).__name__} shows a secret"
        if isinstance(error, DeviceError):
            name = {
                DeviceErrorKind.UNSUPPORTED: "device-unsupported",
                DeviceErrorKind.KEY_LOST: "key-lost",
            }.get(error.kind, "device-error")
            return {"error": name}
        for kind, name in _ERRORS:
            if isinstance(error, kind):
                return {"error": name}
        raise error

    def call_enrol(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Enrol."""
        self.client.enrol()
        return {}

    def call_renew(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Renew."""
        self.client.renew()
        return {}

    def call_token(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Return the name of the token."""
        return {"token": self.names[self.client.token(self.config["audiences"][0])]}

    def call_secret(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Return a secret."""
        return {"value": self.delivered.value(step["name"])}

    def call_request(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Return the status of the API's answer."""
        if self.asynchronous:
            return {"status": asyncio.run(self.requested(step)).status_code}
        content: Any = step.get("body")
        if "stream" in step or "stream_size" in step:
            content = _parts(_stream_of(step))
        transport = WatchwordTransport(self.auth, httpx.MockTransport(self.answer))
        with httpx.Client(transport=transport, follow_redirects=self.config["redirects"]) as http:
            answer = http.request(
                step["method"],
                self.config["audiences"][0] + step["path"],
                headers=step.get("headers"),
                content=content,
            )
        return {"status": answer.status_code}

    async def requested(self, step: Mapping[str, Any]) -> httpx.Response:
        """Return the API's answer to a request that asyncio sends."""
        content: Any = step.get("body")
        if "stream" in step or "stream_size" in step:
            content = _async_parts(_stream_of(step))
        transport = AsyncWatchwordTransport(self.auth, httpx.MockTransport(self.answer))
        redirects = self.config["redirects"]
        async with httpx.AsyncClient(transport=transport, follow_redirects=redirects) as http:
            return await http.request(
                step["method"],
                self.config["audiences"][0] + step["path"],
                headers=step.get("headers"),
                content=content,
            )

    # What changes around it.

    def set_bind(self, step: Mapping[str, Any]) -> None:
        """Bind tokens."""
        self.client.bind(step["value"])

    def set_advance(self, step: Mapping[str, Any]) -> None:
        """Let time pass."""
        self.time += step["seconds"]

    def set_clock(self, step: Mapping[str, Any]) -> None:
        """Set the wall clock."""
        self.wall_ahead = step["wall_ahead"]

    def set_device(self, step: Mapping[str, Any]) -> None:
        """Script the device anew."""
        self.device.calls = {name: list(ends) for name, ends in step["calls"].items()}

    def set_save(self, step: Mapping[str, Any]) -> None:
        """Keep a copy of the storage."""
        self.saved = self.client.export_session()

    def set_restart(self, step: Mapping[str, Any]) -> None:
        """Begin the app anew."""
        if not self.is_dead:
            self.stored = self.client.export_session()
        self.stored = {
            "kept": self.stored,
            "wiped": None,
            "restored": self.saved,
            "garbled": {"v": 3, "session": 7},
        }[step.get("storage", "kept")]
        self.is_dead = False
        self.device.lost = self.device.lost or step.get("keys") == "lost"
        if "boot" in step:
            self.boot_behind = self.time - step["boot"]
        self.boot_id = step.get("boot_id", self.boot_id)
        self.client = self.begun()

    # The other side.

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Compare a request with the next one that is expected, and answer."""
        request.read()
        try:
            exchange = self.taken(request)
        except AssertionError as error:
            self.problems.append(str(error))
            raise
        if "meanwhile" in exchange:
            self.meanwhile(exchange["meanwhile"])
        answer = exchange["answer"]
        with self.lock:
            self.time += answer.get("takes", 0)
        if "fails" in answer:
            self.fail(answer["fails"], request)
        return self.made(answer, request)

    def taken(self, request: httpx.Request) -> dict[str, Any]:
        """Return the exchange that a request is part of; wait for the others of its kind."""
        with self.lock:
            step = self.step
            assert step.exchanges, f"an unexpected request: {request.method} {request.url}"
            exchange = step.exchanges[0]
            self.compare(exchange["expect"], request)
            times = exchange.get("times", 1)
            if step.barrier is None:
                step.barrier = threading.Barrier(times)
            barrier = step.barrier
            step.arrived += 1
            if step.arrived == times:
                step.exchanges.pop(0)
                step.arrived, step.barrier = 0, None
        barrier.wait(_PATIENCE)
        return exchange

    def meanwhile(self, steps: list[dict[str, Any]]) -> None:
        """Do steps on another thread while the answer is awaited."""
        outer = self.step

        def work() -> None:
            for step in steps:
                self.do(step)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result(_PATIENCE)
        self.step = outer

    def fail(self, how: str, request: httpx.Request) -> None:
        """Lose a request or its answer."""
        if how == "dies":
            self.die()
        raise {
            "unsent": httpx.ConnectError("no connection", request=request),
            "lost": httpx.RemoteProtocolError("the connection broke", request=request),
            "timeout": httpx.ReadTimeout("no answer in time", request=request),
        }[how]

    def compare(self, expect: Mapping[str, Any], request: httpx.Request) -> None:
        """Compare what matters."""
        hosts = {
            httpx.URL(self.config["service"]).host: "service",
            httpx.URL(self.config["audiences"][0]).host: "api",
        }
        got = (
            hosts.get(request.url.host, "other"),
            request.method,
            request.url.raw_path.decode(),
        )
        expected = (expect["to"], expect["method"], expect["path"])
        assert got == expected, f"got {got}, expected {expected}"
        for name, value in expect.get("headers", {}).items():
            assert request.headers.get(name) == value, f"header {name}: {request.headers.get(name)}"
        if got[0] == "service":
            self.compare_statement(expect, request)
            assert "watchword-token" not in request.headers
            return
        status = request.headers.get("watchword-status")
        assert status == expect.get("status"), f"status {status}, expected {expect.get('status')}"
        if "body" in expect:
            assert request.content.decode() == expect["body"], "another body"
            assert "content-length" in request.headers, "a body without its length"
        if "stream" in expect or "stream_size" in expect:
            assert "transfer-encoding" in request.headers, "a body with a length"
            size = expect.get("stream_size", len(expect.get("stream", "").encode()))
            assert len(request.content) == size, "another body"
        self.compare_proof(expect, request)

    def compare_statement(self, expect: Mapping[str, Any], request: httpx.Request) -> None:
        """Compare a call to the service."""
        if request.method != "POST":
            assert request.url.path.startswith("/.well-known/"), request.url.path
            return
        assert request.headers["content-type"] == "application/json"
        body = json.loads(request.content)
        for name, value in expect.get("json", {}).items():
            assert body.get(name) == value, f"{name}: got {body.get(name)}, expected {value}"
        if "statement" not in body:
            assert "statement" not in expect, "a request without a statement"
            return
        statement = json.loads(base64url.decode(body["statement"]))
        assert (statement["iss"], statement["app"]) == (self.config["issuer"], self.config["app"])
        assert statement["aud"] == self.config["audiences"]
        for name, value in expect.get("statement", {}).items():
            assert statement.get(name) == value, (
                f"{name}: got {statement.get(name)!r}, expected {value!r}"
            )
        if "bound_to" in expect:
            value = expect["bound_to"]
            bound = value and base64url.encode(hashlib.sha256(value.encode()).digest())
            assert statement.get("bnd") == bound, f"bnd: {statement.get('bnd')}"
        if "keys" in expect:
            numbers = [
                number
                for number, keys in enumerate(self.device.made, 1)
                if keys.seal_jwk == statement["seal_jwk"]
            ]
            assert numbers == [expect["keys"]], f"keys {numbers}, expected {expect['keys']}"

    def compare_proof(self, expect: Mapping[str, Any], request: httpx.Request) -> None:
        """Compare token and proof, and verify it."""
        text = request.headers.get("watchword-token")
        name = None if text is None else self.names[text]
        assert name == expect["token"], f"token {name}, expected {expect['token']}"
        headers = proof_headers(request)
        kind = None if text is None else "bearer"
        if headers.dpop is not None:
            kind = "dpop"
        elif headers.signature_input is not None:
            kind = "session" if b"hmac" in headers.signature_input else "device"
        assert kind == expect["proof"], f"proof {kind}, expected {expect['proof']}"
        if text is None or kind in (None, "bearer"):
            return
        covered = signed_request(request)
        keys = proof_keys(self.claims[text], SECRET)
        leeway, now = 10**6, self.time  # The time is compared below, to the second.
        verify = {"session": session, "device": device, "dpop": dpop}[kind].verify
        verified = verify(covered, headers, keys, leeway, now)
        if kind != "dpop" and request.content:
            assert verified.body_digest == hashlib.sha256(request.content).digest(), "digest"
        nonce = verified.nonce.decode()
        assert nonce not in self.nonces, "a nonce came twice"
        self.nonces.add(nonce)
        begins = expect.get("gate_nonce", "")
        assert nonce.startswith(begins), f"nonce {nonce}, expected to begin with {begins}"
        ahead = _created(request) - int(self.time) - expect.get("created_ahead", 0)
        assert ahead in (0, -1), f"created is {ahead} s off"

    def made(self, answer: Mapping[str, Any], request: httpx.Request) -> httpx.Response:
        """Return the answer that a scenario describes."""
        headers = dict(answer.get("headers", {}))
        if "date_ahead" in answer:
            headers["date"] = formatdate(self.time + answer["date_ahead"], usegmt=True)
        document, media_type, content = self.document(answer, request), "application/json", b""
        if document is not None:
            if "now_ahead" in answer:
                document["now"] = int(self.time) + answer["now_ahead"]
            if "now" in answer:
                document["now"] = answer["now"]
            content = json.dumps(document).encode()
            media_type = "application/problem+json" if "problem" in answer else media_type
        elif "text" in answer:
            content, media_type = answer["text"].encode(), "text/html"
        elif "gzip" in answer:
            content = gzip.compress(json.dumps(_right_answer(answer["gzip"])).encode())
            media_type = "application/json"
            headers["content-encoding"] = "gzip"
        headers.setdefault("content-type", media_type)
        # As a stream: nothing opens what is compressed before the client reads it.
        return httpx.Response(
            answer["status"], headers=headers, stream=httpx.ByteStream(content), request=request
        )

    def document(self, answer: Mapping[str, Any], request: httpx.Request) -> dict[str, Any] | None:
        """Return the JSON of an answer, None where it is none."""
        if "json" in answer:
            return dict(answer["json"])
        if "filler" in answer:
            return _right_answer(answer["filler"])
        if "jwks" in answer:
            return {"keys": [published_jwk(self.signer.kid, self.signer.public)]}
        for kind in ("problem", "session", "secret"):
            if kind in answer:
                document: dict[str, Any] = getattr(self, f"made_{kind}")(answer, request)
                return document
        return None

    def made_problem(self, answer: Mapping[str, Any], request: httpx.Request) -> dict[str, Any]:
        """Return a problem document."""
        told = answer["problem"]
        slug = told["slug"]
        document = {
            "type": f"urn:watchword:problem:{slug}",
            "title": slug,
            "status": answer["status"],
        }
        document |= {name: told[name] for name in ("ref", "place") if name in told}
        if "signed" in told:
            document["signed"] = self.signed(told["signed"], slug, request)
        return document

    def signed(self, how: str, slug: str, request: httpx.Request) -> str:
        """Sign a refusal, right or wrong in one thing."""
        statement = base64url.decode(json.loads(request.content)["statement"])
        payload = {
            "v": 1,
            "iss": self.config["issuer"],
            "app": self.config["app"],
            "binding": base64url.encode(hashlib.sha256(statement).digest()),
            "type": slug,
            "now": int(self.time),
        }
        payload |= {
            "other-binding": {"binding": base64url.encode(bytes(32))},
            "other-class": {"type": "instance-refused"},
            "other-app": {"app": "bank"},
            "other-issuer": {"iss": "https://elsewhere.example"},
        }.get(how, {})
        signer = self.signer
        if how == "other-key":
            # It names the service's key, and is signed by another one.
            signer = SigningKey(ec.generate_private_key(ec.SECP256R1()))
            object.__setattr__(signer, "kid", self.signer.kid)
        typ = "watchword+jwt" if how == "other-type" else "watchword-refusal+jwt"
        jws = assemble(strict_json.dumps(payload), typ, signer)
        return jws.rpartition(".")[0] + "." if how == "no-signature" else jws

    def made_session(self, answer: Mapping[str, Any], request: httpx.Request) -> dict[str, Any]:
        """Return tokens for what a statement asks."""
        told, body = answer["session"], json.loads(request.content)
        raw = base64url.decode(body["statement"])
        statement = json.loads(raw)
        tokens = [self.entry(told, aud, raw, statement, body) for aud in statement["aud"]]
        document = {"instance": told["instance"], "level": "hardware", "tokens": tokens}
        return document | {name: told[name] for name in ("next", "pins") if name in told}

    def entry(
        self,
        told: Mapping[str, Any],
        audience: str,
        raw: bytes,
        statement: Mapping[str, Any],
        body: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return one token with its sealed key."""
        now = int(self.time)
        claims = TokenClaims(
            issuer=ISSUER,
            audience=audience,
            subject="subject",
            issued_at=now,
            expires_at=now + told["life"],
            token_id=told["tokens"],
            environment=Environment.PROD,
            app_id="clinic",
            app_version=None,
            level=Level.HARDWARE,
            key=body["evidence"]["key"],
            session_id=f"session-of-{told['tokens']}",
            epoch=SECRET.epoch,
            binding=statement.get("bnd"),
        )
        written = claims_to_json(claims)
        if "prf" in told:
            written["prf"] = told["prf"]
        payload = base64url.encode(strict_json.dumps(written))
        # Nobody here verifies the token itself.
        text = f"eyJhbGciOiJFUzI1NiJ9.{payload}.c2ln"
        key = proof_keys(claims, SECRET).session_key
        assert key is not None
        self.claims[text], self.names[text] = claims, told["tokens"]
        self.secrets += [text, base64url.encode(key), key.hex(), repr(key)]
        entry = {"aud": audience, "token": text, "expires_in": told["life"]}
        how = told.get("seal", "sealed")
        if how != "none":
            jwk = statement["seal_jwk"] if how == "sealed" else Keys().seal_jwk
            sealed = seal(key, jwk, hashlib.sha256(raw).digest(), claims.session_id)
            entry["session_key"] = base64url.encode(sealed)
        return entry

    def made_secret(self, answer: Mapping[str, Any], request: httpx.Request) -> dict[str, Any]:
        """Return a sealed secret."""
        told, body = answer["secret"], json.loads(request.content)
        raw = base64url.decode(body["statement"])
        statement, end = json.loads(raw), int(self.time) + told["life"]
        info = (
            b"watchword/secret/v1\x00"
            + hashlib.sha256(raw).digest()
            + length_prefixed.join(
                *(
                    each.encode()
                    for each in (self.config["app"], told["name"], "1", "lease", str(end))
                )
            )
        )
        key = public_key_from_jwk(statement["seal_jwk"])
        self.secrets.append(told["value"])
        return {
            "name": told["name"],
            "version": 1,
            "lease": "lease",
            "expires_in": told["life"],
            "expires_at": end,
            "sealed": base64url.encode(_SUITE.encrypt(told["value"].encode(), key, info)),
        }


def _created(request: httpx.Request) -> int:
    """Return the time that a proof says of itself."""
    headers = proof_headers(request)
    if headers.dpop is not None:
        payload = headers.dpop.decode().split(".")[1]
        return int(json.loads(base64url.decode(payload))["iat"])
    assert headers.signature_input is not None
    found = re.search(rb"created=(\d{10})", headers.signature_input)
    assert found is not None
    return int(found[1])


def _right_answer(filler: int) -> dict[str, Any]:
    """Return the answer to a call for a challenge, with so many bytes more."""
    return {"challenge": "c0", "expires_in": 300, "protocol": "1.1", "filler": "x" * filler}


def _stream_of(step: Mapping[str, Any]) -> bytes:
    """Return the body of a step that has no length."""
    return str(step["stream"]).encode() if "stream" in step else bytes(step["stream_size"])


async def _async_parts(data: bytes) -> AsyncIterator[bytes]:
    """Yield the same for asyncio."""
    yield data[:1]
    yield data[1:]


def _parts(data: bytes) -> Iterator[bytes]:
    """Yield a body in parts, without a length."""
    yield data[:1]
    yield data[1:]
