"""Put a deployment that hands out pins before the drill, without a socket."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.unit.drill.answers import SAMPLE, api
from tests.unit.pins.builders import APP, HOST, NOW, key, roots_data

from watchword.client import TestInstanceDevice
from watchword.client.own_token import OwnToken
from watchword.client.session import HeldToken
from watchword.drill.interface import Attack, AttackContext, Facts, Held, Phone
from watchword.drill.judgements import Controls, Verdict, judged
from watchword.drill.wire import Answer, Call, Channel, Part, Weakness, Wire
from watchword.pins.interface import PinSet
from watchword.pins.sets import sign_set
from watchword.vocabulary import Environment, Platform

AUDIENCE = "https://api.example"


@dataclass
class Deployment:
    """Be a gate that serves the genuine app, and a service that hands out pins.

    :ivar published: bodies by path at the service.
    :ivar weak: what the gate's TLS allows.
    """

    published: Mapping[str, bytes] = field(default_factory=dict)
    weak: frozenset[Weakness] = frozenset()
    authority_of_gate: str = HOST
    relayed: list[Call] = field(default_factory=list)

    def send(self, call: Call) -> Answer:
        """Answer one request."""
        if call.part is Part.SERVICE:
            body = self.published.get(call.target)
            return Answer(404) if body is None else Answer(200, (), body)
        self.relayed.append(call)
        return api(200)

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer several."""
        return [self.send(call) for call in calls]

    def authority(self, part: Part) -> str:
        """Return a host."""
        return self.authority_of_gate if part is Part.GATE else "attest.example"

    def scheme(self, part: Part) -> str:
        """Return the scheme."""
        return "https"

    def send_weakly(self, call: Call, weakness: Weakness) -> Answer:
        """Answer where TLS is as weak as that."""
        return self.send(call) if weakness in self.weak else Answer(0)


def publishing(*sets: PinSet, roots: Sequence[bytes] = ()) -> dict[str, bytes]:
    """Return what a service hands out: root lists from the first on, and a set."""
    lists = roots or (roots_data(),)
    found = {f"/v1/pins/{APP}/roots/{number}": each for number, each in enumerate(lists, 1)}
    for each in sets:
        found[f"/v1/pins/{APP}"] = sign_set(each, key("pin1"))
    return found


class Wired(Wire, Channel, Protocol):
    """Be both at once, as the drill's own wire is."""


def context(deployment: Wired) -> AttackContext:
    """Return an attack context with a genuine instance."""
    counter = itertools.count()
    own = OwnToken("session", {}, "thumbprint")
    token = HeldToken("genuine-token", NOW + 300, NOW + 200, None, own)
    phone = Phone("test-instance", APP, Platform.ANDROID, TestInstanceDevice("a-code"))
    facts = Facts(
        api="clinic",
        issuer="https://attest.example",
        audience=AUDIENCE,
        audiences={APP: frozenset({AUDIENCE})},
        environment=Environment.LAB,
        token_lifetime=300,
    )
    return AttackContext(
        facts=facts,
        samples=(SAMPLE,),
        wire=deployment,
        now=lambda: NOW,
        random=lambda count: hashlib.shake_256(str(next(counter)).encode()).digest(count),
        wait=lambda _: None,
        shared=lambda: Held(phone, "instance", {AUDIENCE: token}, b"", {}),
        channel=deployment,
    )


def verdicts(attack: Attack, deployment: Wired) -> dict[str, Verdict]:
    """Return how each variant ended."""
    controls = Controls({SAMPLE.name: api(200)})
    stage = context(deployment)
    return {
        each.name: judged(each, each.run(stage), controls, 1).verdict for each in attack.variants
    }
