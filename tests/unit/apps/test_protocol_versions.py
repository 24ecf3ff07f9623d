"""Show that versions 1.0 and 1.1 of client, service and gate work together, in every combination and over each change.

1.1 is the product.  1.0 is what version 0.2.0 did on the wire, written down here: its client's requests and its session,
its service's strictness, and that its gate knows no device's proofs on session routes.
"""

import asyncio
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.apps.asgi_client import Recorder
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.enrolment.simulators import CLINIC, ISSUER, POLICY

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.apps.gateway import WatchwordMiddleware
from watchword.client import EvidenceRefusedError, WatchwordAuth, WatchwordClient
from watchword.client.own_token import read_own_token
from watchword.client.proofs import Covered, Freshness, device_proof, session_proof
from watchword.encoding import base64url
from watchword.gate.interface import GatePolicy, Route
from watchword.gate.service import Gate
from watchword.tokens.interface import TokenExpectation
from watchword.tokens.jose import jwk_from_public_key
from watchword.vocabulary import Environment, Level, Mode, Proof

APP = "clinic-ios"
SUITE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
OLD_STATEMENT = {
    "v",
    "purpose",
    "iss",
    "aud",
    "app",
    "challenge",
    "proof_jwk",
    "seal_jwk",
    "bnd",
    "secret",
}
NEW_MEMBERS = ("protocol", "next", "now", "signed")
SECOND_CHALLENGE = 2


@dataclass
class Phone:
    """Keep real keys, and evidence that the bench believes.

    :ivar can_open: it opens what is sealed to it.
    """

    can_open: bool = True
    counter: int = 0

    def create_keys(self) -> None:
        """Make new keys."""
        self.attested, self.proof, self.seal = (generate_private_key(SECP256R1()) for _ in range(3))

    @property
    def proof_jwk(self) -> dict[str, str]:
        """Return the proof key."""
        return jwk_from_public_key(self.proof.public_key())

    @property
    def seal_jwk(self) -> dict[str, str]:
        """Return the seal key."""
        return jwk_from_public_key(self.seal.public_key())

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return evidence."""
        public = self.attested.public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {
            "format": "app-attest",
            "binding": base64url.encode(binding),
            "key": base64url.encode(spki),
        }

    def renew(self, statement: bytes) -> dict[str, Any]:
        """Return evidence with the next counter."""
        self.counter += 1
        return self.attest(hashlib.sha256(statement).digest()) | {"counter": self.counter}

    def sign(self, message: bytes) -> bytes:
        """Sign by the proof key."""
        return self.proof.sign(message, ECDSA(SHA256()))

    def open_sealed(self, info: bytes, sealed: bytes) -> bytes:
        """Open by the seal key."""
        if not self.can_open:
            raise ValueError("no HPKE on this phone")
        return SUITE.decrypt(sealed, self.seal, info)


def in_process(app: Any, request: httpx.Request) -> httpx.Response:
    """Hand a request to an ASGI application."""

    async def answered() -> httpx.Response:
        copy = httpx.Request(
            request.method, request.url, headers=request.headers.raw, content=request.read()
        )
        answer = await httpx.ASGITransport(app).handle_async_request(copy)
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=await answer.aread()
        )

    return asyncio.run(answered())


@dataclass
class World:
    """Hold a service and a gate of one version each, which can change.

    :ivar answers: path and status of every answer, the service's and the gate's.
    """

    bench: ServiceBench
    service: str
    gate: str
    answers: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the gate on the state that the service publishes."""
        self.guard = WatchwordMiddleware(
            Recorder(),
            gate=Gate(self.bench.gate(), memory=MemoryReplayStore()),
            refusal_log=self.bench.log,
            clock=self.bench.clock,
        )

    def serve(self, request: httpx.Request) -> httpx.Response:
        """Answer as the service."""
        answer = self.old_refusal(request) if self.service == "1.0" else None
        answer = answer or in_process(self.bench.service.public_app, request)
        if self.service == "1.0":
            document = {k: v for k, v in answer.json().items() if k not in NEW_MEMBERS}
            media_type = {"content-type": answer.headers["content-type"]}
            answer = httpx.Response(answer.status_code, json=document, headers=media_type)
        self.answers.append((request.url.path, answer.status_code))
        return answer

    def old_refusal(self, request: httpx.Request) -> httpx.Response | None:
        """Refuse what a service of 1.0 doesn't know."""
        if request.method != "POST":
            return None
        body = json.loads(request.content)
        if "statement" not in body:
            return None
        statement = json.loads(base64url.decode(body["statement"]))
        if not set(statement) <= OLD_STATEMENT:
            return refused("request-malformed", 400)
        if base64url.decode(statement["challenge"])[0] == SECOND_CHALLENGE:
            return refused("challenge-refused", 409)
        return None

    def protect(self, request: httpx.Request) -> httpx.Response:
        """Answer as gate and API."""
        signs = 'alg="ecdsa-p256-sha256"' in request.headers.get("signature-input", "")
        if self.gate == "1.0" and signs and request.url.path.startswith("/session"):
            answer = refused("proof-refused", 401)  # It doesn't know the claim that says otherwise.
        else:
            answer = in_process(self.guard, request)
        self.answers.append((request.url.path, answer.status_code))
        return answer


def refused(slug: str, status: int) -> httpx.Response:
    """Return a problem document."""
    return httpx.Response(
        status,
        headers={"content-type": "application/problem+json"},
        json={"type": f"urn:watchword:problem:{slug}", "title": slug, "status": status},
    )


class OldClient:
    """Do on the wire what the client of 0.2.0 did; members of answers that it doesn't know it ignores."""

    def __init__(self, world: World, phone: Phone) -> None:
        self.world = world
        self.phone = phone
        self.session: dict[str, Any] | None = None

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the service's answer."""
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        answer = self.world.serve(
            httpx.Request("POST", f"{ISSUER}{path}", json=body, headers=headers)
        )
        document: dict[str, Any] = answer.json()
        return document

    def take(self, purpose: str) -> None:
        """Enrol or renew."""
        challenge = self.call("/v1/challenges", {"app": APP, "purpose": purpose})["challenge"]
        if purpose == "enrol":
            self.phone.create_keys()
        statement = json.dumps(
            {
                "v": 1,
                "purpose": purpose,
                "iss": ISSUER,
                "aud": [CLINIC],
                "app": APP,
                "challenge": challenge,
                "proof_jwk": self.phone.proof_jwk,
                "seal_jwk": self.phone.seal_jwk,
            }
        ).encode()
        binding = hashlib.sha256(statement).digest()
        body: dict[str, Any] = {"statement": base64url.encode(statement)}
        now = self.world.bench.clock.timestamp()
        if purpose == "enrol":
            answer = self.call("/v1/attestations", body | {"evidence": self.phone.attest(binding)})
        else:
            assert self.session is not None
            body |= {"instance": self.session["instance"], "evidence": self.phone.renew(statement)}
            answer = self.call("/v1/tokens", body)
        (token,) = answer["tokens"]
        own = read_own_token(token["token"])
        sid = own.session_id.encode()
        info = b"watchword/seal/v1\x00" + binding + len(sid).to_bytes(4) + sid
        key = self.phone.open_sealed(info, base64url.decode(token["session_key"]))
        held = {
            "token": token["token"],
            "expires_at": now + token["expires_in"],
            "renew_at": now + token["expires_in"] * 0.7,
            "session_key": base64url.encode(key),
        }
        self.session = {
            "v": 2,
            "instance": answer["instance"],
            "level": answer["level"],
            "bnd": None,
            "tokens": {CLINIC: held},
        }

    def get(self, path: str) -> int:
        """Send a request with the proof that its path asks for."""
        if self.session is None:
            self.take("enrol")
        assert self.session is not None
        now = self.world.bench.clock.timestamp()
        if now >= self.session["tokens"][CLINIC]["renew_at"]:
            self.take("renew")
        held = self.session["tokens"][CLINIC]
        own = read_own_token(held["token"])
        covered = Covered("https", "GET", "clinic.example", path, "", None)
        fresh = Freshness(int(now), base64url.encode(generate_nonce()))
        if path.startswith("/device"):
            proof = device_proof(covered, held["token"], own, self.phone.sign, fresh)
        else:
            key = base64url.decode(held["session_key"])
            proof = session_proof(covered, held["token"], own, key, fresh)
        headers = {"watchword-token": held["token"], **proof}
        return self.world.protect(
            httpx.Request("GET", f"{CLINIC}{path}", headers=headers)
        ).status_code

    def restart(self) -> "OldClient":
        """Return what goes on after a restart."""
        again = OldClient(self.world, self.phone)
        again.session = json.loads(json.dumps(self.session))
        return again


_nonces = itertools.count()


def generate_nonce() -> bytes:
    """Return 16 bytes that weren't returned before."""
    return hashlib.sha256(next(_nonces).to_bytes(8)).digest()[:16]


class NewClient:
    """Be the product's client."""

    def __init__(self, world: World, phone: Phone, stored: Any = None) -> None:
        self.world = world
        self.phone = phone
        self.client = WatchwordClient(
            ISSUER,
            APP,
            phone,
            [CLINIC],
            clock=world.bench.clock.timestamp,
            boot=world.bench.clock.timestamp,
            boot_id="boot",
            jitter=lambda: 0.5,
            sleep=lambda _seconds: None,
            transport=httpx.MockTransport(world.serve),
        )
        if stored is not None:
            self.client.import_session(stored)
        self.auth = {
            "/device": WatchwordAuth(self.client, CLINIC, proof=Proof.DEVICE),
            "/session": WatchwordAuth(self.client, CLINIC),
        }

    def get(self, path: str) -> int:
        """Send a request."""
        auth = self.auth["/device" if path.startswith("/device") else "/session"]
        with httpx.Client(auth=auth, transport=httpx.MockTransport(self.world.protect)) as http:
            return http.get(f"{CLINIC}{path}").status_code

    def restart(self) -> "NewClient":
        """Return what goes on after a restart."""
        return NewClient(
            self.world, self.phone, json.loads(json.dumps(self.client.export_session()))
        )


CLIENTS = {"1.0": OldClient, "1.1": NewClient}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service whose API lets a device's proofs stand for session proofs."""
    routes = tuple(
        Route(name, f"/{name}/**", frozenset(), Level.HARDWARE, proof, Mode.ENFORCE)
        for name, proof in (("device", Proof.DEVICE), ("session", Proof.SESSION))
    )
    expectation = TokenExpectation(ISSUER, CLINIC, Environment.PROD)
    made = service_bench(
        tmp_path,
        policy=replace(POLICY, device_for_session=frozenset({CLINIC})),
        gate_policies=(GatePolicy("clinic", expectation, routes, device_for_session=True),),
    )

    async def published(_caller: Caller) -> None:
        await made.service.start()
        await made.service.stop()

    made.run(published)
    yield made
    made.store.close()


def live(client: OldClient | NewClient, paths: tuple[str, ...]) -> OldClient | NewClient:
    """Use an app for a while: requests, a renewal in time, a restart, a pause beyond a token's life."""
    world = client.world
    for pause in (0, 100, 120, 10, 400, 250):
        world.bench.clock.advance(pause)
        for path in paths:
            assert client.get(path) == 200
        client = client.restart()
    return client


def enrolments(world: World) -> int:
    """Count new instances."""
    return sum(path == "/v1/attestations" for path, _ in world.answers)


def refusals(world: World) -> list[tuple[str, int]]:
    """Return what was refused."""
    return [(path, status) for path, status in world.answers if status >= 400]


BOTH = ("/session/a", "/device/a")


@pytest.mark.parametrize("client", ["1.0", "1.1"])
@pytest.mark.parametrize("service", ["1.0", "1.1"])
@pytest.mark.parametrize("gate", ["1.0", "1.1"])
def test_versions_work_together(bench: ServiceBench, client: str, service: str, gate: str) -> None:
    """One enrolment, and nothing refused."""
    world = World(bench, service, gate)
    live(CLIENTS[client](world, Phone()), BOTH)
    assert (enrolments(world), refusals(world)) == (1, [])
    challenges = sum(path == "/v1/challenges" for path, _ in world.answers)
    renewals = sum(path == "/v1/tokens" for path, _ in world.answers)
    assert renewals == 3
    # Only both of 1.1 save the second round trip; after the pause the challenge had ended with the token.
    assert challenges == (2 if (client, service) == ("1.1", "1.1") else 1 + renewals)


@pytest.mark.parametrize("service", ["1.0", "1.1"])
@pytest.mark.parametrize("gate", ["1.0", "1.1"])
def test_a_device_without_session_keys_works_with_each(
    bench: ServiceBench, service: str, gate: str
) -> None:
    """Its proofs count on device routes everywhere; on session routes where all three are of 1.1."""
    world = World(bench, service, gate)
    client = live(NewClient(world, Phone(can_open=False)), BOTH[1:])
    assert (enrolments(world), refusals(world)) == (1, [])
    expected = 200 if service == gate == "1.1" else 401
    assert client.get(BOTH[0]) == expected


@pytest.mark.parametrize("can_open", [True, False])
@pytest.mark.parametrize("versions", [("1.0", "1.1", "1.0"), ("1.1", "1.0", "1.1")])
def test_a_service_is_upgraded_and_rolled_back(
    bench: ServiceBench, versions: tuple[str, ...], *, can_open: bool
) -> None:
    """No app enrols anew, and none is refused a request; at most one challenge is asked for anew."""
    world = World(bench, versions[0], "1.1")
    client: OldClient | NewClient = NewClient(world, Phone(can_open=can_open))
    for version in versions:
        world.service = version
        client = live(client, BOTH if can_open else BOTH[1:])
    assert enrolments(world) == 1
    # A challenge that came with tokens of 1.1 met the service of 1.0, or a statement that asks for prf.
    assert {path for path, _ in refusals(world)} <= {"/v1/tokens"}
    assert len(refusals(world)) <= 1


@pytest.mark.parametrize("versions", [("1.0", "1.1", "1.0"), ("1.1", "1.0", "1.1")])
def test_a_gate_is_upgraded_and_rolled_back(bench: ServiceBench, versions: tuple[str, ...]) -> None:
    """Nobody notices."""
    world = World(bench, "1.1", versions[0])
    client: OldClient | NewClient = NewClient(world, Phone())
    for version in versions:
        world.gate = version
        client = live(client, BOTH)
    assert (enrolments(world), refusals(world)) == (1, [])


@pytest.mark.parametrize("service", ["1.0", "1.1"])
def test_a_client_is_upgraded(bench: ServiceBench, service: str) -> None:
    """The session that version 0.2.0 stored goes on."""
    world = World(bench, service, "1.1")
    old = live(OldClient(world, Phone()), BOTH)
    assert isinstance(old, OldClient)
    live(NewClient(world, old.phone, old.session), BOTH)
    assert (enrolments(world), refusals(world)) == (1, [])


def test_the_simulated_service_of_1_0_is_strict(bench: ServiceBench) -> None:
    """Else the other tests here showed nothing: what is of 1.1 it refuses."""
    world = World(bench, "1.1", "1.1")
    client = NewClient(world, Phone(can_open=False))
    client.client.enrol()
    world.service = "1.0"
    client.client.renew()
    assert refusals(world) == [("/v1/tokens", 400)]


class RefusedPhone(Phone):
    """Bind its evidence to something else."""

    def attest(self, binding: bytes) -> dict[str, Any]:
        """Return evidence that is refused."""
        return super().attest(hashlib.sha256(binding).digest())


def test_a_refusal_that_the_service_signed_outlasts_the_process(bench: ServiceBench) -> None:
    """For an hour nothing is asked; then once."""
    world = World(bench, "1.1", "1.1")
    client: OldClient | NewClient = NewClient(world, RefusedPhone())
    for asked in (1, 1, 2, 2):
        with pytest.raises(EvidenceRefusedError) as caught:
            client.get(BOTH[0])
        assert caught.value.problem.ref is not None
        assert enrolments(world) == asked
        assert sum(path == "/.well-known/jwks.json" for path, _ in world.answers) == asked
        client = client.restart()
        bench.clock.advance(1800)
