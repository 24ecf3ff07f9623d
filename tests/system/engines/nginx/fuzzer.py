"""Hold requests as they go over the wire, and let the Python gate say what they are worth."""

import asyncio
import hashlib
import random  # noqa: TID251 - seeded, so that a fault comes again.
from dataclasses import dataclass, field, replace
from typing import Any

from tests.unit.engines.envoy.rig import bundle_of, route
from tests.unit.gate.simulators import CLAIMS, PublishedState

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemClock
from watchword.gate.interface import RESULT_HEADERS, RequestFacts
from watchword.gate.service import Gate
from watchword.vocabulary import Level, Mode, Proof

HOST = b"clinic.example"
MAX_BODY = 3000

ROWS = (
    route("/open/**", mode=Mode.OFF),
    route("/hw/*", level=Level.HARDWARE),
    route("/pay/**", proof=Proof.SESSION, max_body=MAX_BODY),
    route("/sign", proof=Proof.DEVICE, max_body=MAX_BODY),
    route("/dpop/**", proof=Proof.DEVICE, dpop=True, max_body=MAX_BODY),
    route("/watched", mode=Mode.MONITOR, level=Level.HARDWARE),
    route("/watched-pay", mode=Mode.MONITOR, proof=Proof.SESSION, max_body=MAX_BODY),
    route("/n%C3%A9/x", methods=frozenset({"GET"})),
    route("/v1/**", minimum_versions={CLAIMS.app_id: "1.2"}),
)
BUNDLE = replace(bundle_of(ROWS), revoked=frozenset({"revoked-instance"}))
BOUND_BUNDLE = replace(
    bundle_of(ROWS, binding_header=b"x-session"), revoked=frozenset({"revoked-instance"})
)


@dataclass
class Sent:
    """Hold a request as it goes over the wire, and as a server reads it."""

    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    chunked: bool = False
    pads: list[tuple[bytes, bytes]] = field(default_factory=list)

    def wire(self, choose: random.Random) -> bytes:
        """Return its bytes."""
        lines = [b"%b %b HTTP/1.1" % (self.method, self.target)]
        pads = self.pads or [(b" ", b"")]
        for name, value in self.fields:
            before, behind = choose.choice(pads)
            lines.append(b"%b:%b%b%b" % (name, before, value, behind))
        body = self.body
        if self.chunked:
            cut = choose.randint(0, len(body))
            pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            body += b"0\r\n\r\n"
        return b"\r\n".join([*lines, b"", body])


@dataclass(frozen=True)
class Expected:
    """Hold what the gate says: whether it passes, why not, and whom the API is told of."""

    allow: bool
    reason: str
    results: tuple[bytes | None, ...]


class Judge:
    """Be the Python gate, with the state that nginx has."""

    def __init__(self, bundle: Any) -> None:
        """Start with nothing used."""
        keys = {key.kid: key for key in bundle.keys}
        secrets = {each.epoch: each for each in bundle.secrets}
        state = PublishedState(
            keys=keys, revoked=set(bundle.revoked), policy=bundle.policy, secrets=secrets
        )
        self._gate = Gate(state, memory=MemoryReplayStore())

    def decide(self, sent: Sent) -> Expected:
        """Return what becomes of a request that arrives now."""
        now = SystemClock().timestamp()
        path, _, query = sent.target.partition(b"?")
        facts = RequestFacts(sent.method.decode("latin-1"), path, sent.fields, query)
        decision = self._gate.decide(facts, now)
        if decision.pending is not None:
            announced = sent.chunked or sent.body
            digest = hashlib.sha256(sent.body).digest() if announced else None
            if len(sent.body) > decision.pending.max_body:
                return Expected(not decision.enforced, "request.body_too_large", (None,) * 3)
            decision = asyncio.run(self._gate.conclude(decision, digest, now))
        reason = decision.refusals[0].reason.code if decision.refusals else ""
        told = dict(decision.headers)
        return Expected(decision.allow, reason, tuple(told.get(name) for name in RESULT_HEADERS))
