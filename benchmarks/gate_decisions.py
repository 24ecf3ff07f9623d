"""Measure decisions in this process, beside a raw verification and other libraries at the same check."""

import gc
import http.server
import json
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import jwt
from benchmarks.gate_instances import (
    AUDIENCE,
    DEVICE_PATH,
    DPOP_ROUTES,
    HOST,
    ISSUER,
    SESSION_PATH,
    TOKEN_PATH,
    Fields,
    Fleet,
)
from benchmarks.gate_served import DEVICE_GOAL, SESSION_GOAL
from benchmarks.report import Row
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.adapters.replay import MemoryReplayStore
from watchword.gate.bundle import to_jws
from watchword.gate.interface import RequestFacts
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.tokens.jose import jwk_from_public_key

ROUNDS = 25
CALLS = 150
"""Calls of each kind in a round."""

_COVERED = ("watchword-token", "@method", "@authority", "@path", "@query")

Job = tuple[Callable[[Any], Any], Sequence[Any]]


@dataclass
class Message:
    """Hold a request as ``http-message-signatures`` takes one."""

    method: str
    url: str
    headers: dict[str, str]


class Keys(HTTPSignatureKeyResolver):
    """Know each instance's key by the id that its proof names."""

    def __init__(self, fleet: Fleet) -> None:
        """Look into every instance beforehand."""
        self._keys: dict[str, Any] = {}
        for each in fleet.instances:
            self._keys[each.claims.session_id] = each.session_key
            # The library takes PEM; parsing it would be all that is measured.
            self._keys[each.thumbprint] = each.private.public_key()

    def resolve_public_key(self, key_id: str) -> Any:
        """Return the key."""
        return self._keys[key_id]

    resolve_private_key = resolve_public_key


def facts(path: str, fields: Fields) -> RequestFacts:
    """Return a request as uvicorn hands it over."""
    headers = [(name.encode(), value.encode()) for name, value in fields]
    return RequestFacts("GET", path.encode(), headers, b"", path)


def _raw_job(fleet: Fleet) -> Callable[[int], Job]:
    """Return what makes raw verifications of device proofs: key, DER and message are at hand."""
    keys = [(each, each.private.public_key()) for each in fleet.instances]
    scheme = ECDSA(SHA256())

    def verify(one: tuple[EllipticCurvePublicKey, bytes, bytes]) -> None:
        key, signature, message = one
        key.verify(signature, message, scheme)

    def make(count: int) -> Job:
        message = b"x" * 900
        return verify, [
            (public, each.private.sign(message, scheme), message) for each, public in keys[:count]
        ]

    return make


def _peers(fleet: Fleet, jwks_url: str) -> dict[str, Callable[[int], Job]]:
    public = fleet.key.private.public_key()
    client = jwt.PyJWKClient(jwks_url, lifespan=21_600)
    key = ECKey.import_key(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    claims = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )
    verifiers = {
        kind: HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=Keys(fleet))
        for kind, algorithm in (
            ("session", algorithms.HMAC_SHA256),
            ("device", algorithms.ECDSA_P256_SHA256),
        )
    }

    def pyjwt(token: str, with_key: Any = public) -> Any:
        return jwt.decode(
            token,
            with_key,
            algorithms=["ES256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "aud", "iss"]},
        )

    def app_check(token: str) -> Any:
        return pyjwt(token, client.get_signing_key_from_jwt(token).key)

    def joserfc(token: str) -> None:
        claims.validate(joserfc_jwt.decode(token, key, algorithms=["ES256"]).claims)

    def signatures(kind: str, path: str) -> Callable[[int], Job]:
        verifier = verifiers[kind]

        def verify(message: Message) -> Any:
            return verifier.verify(
                message, max_age=timedelta(seconds=90), require_components=_COVERED
            )

        def make(count: int) -> Job:
            return verify, [
                Message("GET", f"https://{HOST}{path}", dict(fields))
                for fields in fleet.proofs(kind, count)
            ]

        return make

    return {
        "PyJWT": lambda count: (pyjwt, fleet.new_tokens(count)),
        "app_check": lambda count: (app_check, fleet.new_tokens(count)),
        "joserfc": lambda count: (joserfc, fleet.new_tokens(count)),
        "signatures hmac": signatures("session", SESSION_PATH),
        "signatures ecdsa": signatures("device", DEVICE_PATH),
    }


def _ours(fleet: Fleet, gate: Gate) -> dict[str, Callable[[int], Job]]:
    def decide(one: RequestFacts) -> bool:
        return gate.decide(one, time.time()).allow

    def proof(kind: str, path: str) -> Callable[[int], Job]:
        return lambda count: (decide, [facts(path, f) for f in fleet.proofs(kind, count)])

    def new(count: int) -> Job:
        bare = fleet.instances[0].bearer()[:-1]
        return decide, [
            facts(TOKEN_PATH, [*bare, ("watchword-token", token)])
            for token in fleet.new_tokens(count)
        ]

    def cached(count: int) -> Job:
        return decide, [facts(TOKEN_PATH, each.bearer()) for each in fleet.instances[:count]]

    return {
        "new": new,
        "cached": cached,
        "session": proof("session", SESSION_PATH),
        "device": proof("device", DEVICE_PATH),
        "dpop": proof("dpop", DEVICE_PATH),
    }


def _time(job: Job) -> float:
    """Return the processor time of one call, in us."""
    call, arguments = job
    before = time.thread_time_ns()
    answers = [call(argument) for argument in arguments]
    spent = time.thread_time_ns() - before
    if False in answers:
        raise SystemExit("the gate refused a request of the benchmark")
    return spent / len(arguments) / 1000


def take(fleet: Fleet, directory: Path) -> dict[str, float]:
    """Return the medians of all kinds, in us."""
    bundle = directory / "decisions.jws"
    bundle.write_bytes(to_jws(fleet.bundle(DPOP_ROUTES), fleet.bundle_signer))
    bundle.chmod(0o600)
    gate = Gate(
        GateBundleFile(bundle, fleet.bundle_signer.verification_key()), memory=MemoryReplayStore()
    )
    _check(fleet, gate)
    jwk = {"kid": fleet.key.kid, "alg": "ES256", "use": "sig"}
    jwk |= jwk_from_public_key(fleet.key.private.public_key())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _jwks_handler(jwk)) as jwks:
        threading.Thread(target=jwks.serve_forever, daemon=True).start()
        kinds = {
            "raw": _raw_job(fleet),
            **_ours(fleet, gate),
            **_peers(fleet, f"http://127.0.0.1:{jwks.server_address[1]}/jwks.json"),
        }
        seen: dict[str, list[float]] = {name: [] for name in kinds}
        for make in kinds.values():
            _time(make(CALLS))
        gc.collect()
        gc.freeze()
        for _ in range(ROUNDS):
            for name, make in kinds.items():
                seen[name].append(_time(make(CALLS)))
        jwks.shutdown()
    return {name: median(values) for name, values in seen.items()}


def _check(fleet: Fleet, gate: Gate) -> None:
    """Hold the gate to refusing what lacks its proof, and a proof that was used."""
    now = time.time()
    bare = gate.decide(facts(SESSION_PATH, fleet.instances[0].bearer()), now)
    (proof,) = fleet.proofs("device", 1)
    first, second = (gate.decide(facts(DEVICE_PATH, proof), now) for _ in range(2))
    assert bare.refusals[0].reason is Reason.PROOF_MISSING
    assert first.allow
    assert second.refusals[0].reason is Reason.PROOF_REPLAYED


def _jwks_handler(jwk: dict[str, str]) -> type[http.server.BaseHTTPRequestHandler]:
    body = json.dumps({"keys": [jwk]}).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the key set."""
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Stay silent."""

    return Handler


def rows(found: dict[str, float]) -> list[Row]:
    """Return the rows of what :func:`take` found."""
    raw = found["raw"]
    return [
        Row("raw ES256 verify (cryptography), us", raw),
        Row("Gate.decide: cached token, us", found["cached"]),
        Row.at_most_times(
            "Gate.decide: session proof, us (peer: raw verify)", found["session"], raw, SESSION_GOAL
        ),
        Row.at_most_times(
            "Gate.decide: device proof, us (peer: raw verify)", found["device"], raw, DEVICE_GOAL
        ),
        Row("Gate.decide: DPoP proof, us (peer: raw verify)", found["dpop"], raw),
        *(
            Row(f"Gate.decide: token not met before, us (peer: {name})", found["new"], found[kind])
            for name, kind in (
                ("PyJWT", "PyJWT"),
                ("joserfc", "joserfc"),
                ("PyJWT + PyJWKClient, the path of firebase_admin.app_check", "app_check"),
            )
        ),
        Row(
            "Gate.decide: session proof, us (peer: http-message-signatures)",
            found["session"],
            found["signatures hmac"],
        ),
        Row(
            "Gate.decide: device proof, us (peer: http-message-signatures)",
            found["device"],
            found["signatures ecdsa"],
        ),
    ]


warnings.filterwarnings("ignore", module="http_message_signatures")
