"""Put a gate that injects a third party's key before the drill, without a socket; each of its checks can be left out."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from tests.unit.drill.answers import SAMPLE, api, refusal

from watchword.broker.interface import (
    Allowance,
    EdgeRule,
    InjectedValue,
    Place,
    PlaceKind,
    SecretValue,
)
from watchword.client import TestInstanceDevice
from watchword.client.own_token import read_own_token
from watchword.client.session import HeldToken
from watchword.drill.enrolment import CHALLENGE, ENROL, RENEW
from watchword.drill.interface import (
    AbsentError,
    Attack,
    AttackContext,
    DrillHoneytoken,
    Facts,
    Held,
    Injection,
    KeptSecret,
    MissingError,
    Phone,
    Sample,
)
from watchword.drill.judgements import Controls, Verdict, judged
from watchword.drill.requests import genuine_call
from watchword.drill.wire import Answer, Call, Part
from watchword.encoding import base64url, strict_json
from watchword.gate.hygiene import read_path
from watchword.gate.interface import Limit, LimitKind
from watchword.ports import Signer
from watchword.reasons import Reason, Refusal
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Environment, Level, Platform, Proof

KEY = "AIzaSyLentKeyOfTheThirdParty0123456789+/"
AUDIENCE = "https://api.example"
APP = "clinic-ios"
NOW = 1_700_000_000.0
DAY = 86_400
IN_HEADER = Place(PlaceKind.HEADER, "x-api-key")
IN_QUERY = Place(PlaceKind.QUERY, "key")
REPLACED = Place(PlaceKind.HEADER, "x-api-key", placeholder="wwk-maps")
LIMIT = Limit("bookings", LimitKind.QUOTA, 12, DAY)

_SIGNS = str.maketrans("_.~", "---")


class Flaw(Enum):
    """Name what a deployment doesn't do."""

    NO_TOKEN_ASKED = auto()
    NO_PROOF_ASKED = auto()
    ANY_PATH = auto()
    AMBIGUOUS_PATHS = auto()
    ANY_METHOD = auto()
    KEY_ECHOED = auto()
    KEY_SENT_TO_API = auto()
    CLIENTS_KEY_KEPT = auto()
    OTHER_SPELLING_KEPT = auto()
    COOKIE_PASSED_ON = auto()
    ANY_PLACEHOLDER = auto()
    HOST_BELIEVED = auto()
    ABSOLUTE_TARGET_BELIEVED = auto()
    NO_QUOTA = auto()
    QUOTA_BY_TOKEN = auto()
    NO_LIMIT = auto()
    NO_ALARM = auto()
    CANARY_SERVED = auto()
    CANARY_TOLD = auto()
    ENDED_INJECTED = auto()
    KEY_IN_SAMPLES = auto()
    BEGINNING_HELD_BACK = auto()
    BEGINNING_REFUSED = auto()
    TARGET_UNTOLD = auto()
    CUT_AT_RANDOM = auto()


@dataclass
class Deployment:
    """Be a gate, the API and the third party behind it, the service, its operator and the lender of its keys.

    :ivar asked: what the third party was sent.
    :ivar planted: how many decoys there are before the drill.
    """

    flaws: frozenset[Flaw] = frozenset()
    place: Place = IN_HEADER
    allowances: tuple[Allowance, ...] = (Allowance(DAY, calls=20),)
    cost: int = 1
    made_at: float = NOW - 10 * DAY
    clock: float = NOW
    asked: list[Call] = field(default_factory=list)
    canaries: dict[str, str] = field(default_factory=dict)
    planted: int = 1
    limits: tuple[Limit, ...] = (LIMIT,)
    raised: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)
    limited: Counter[str] = field(default_factory=Counter)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    # The wire.

    def send(self, call: Call) -> Answer:
        """Answer one request."""
        return self._service(call) if call.part is Part.SERVICE else self._gate(call)

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """Answer several."""
        return [self.send(call) for call in calls]

    def authority(self, part: Part) -> str:
        """Return a host."""
        return "api.example" if part is Part.GATE else "attest.example"

    def scheme(self, part: Part) -> str:
        """Return the scheme."""
        return "https"

    # The operator, and who injects keys.

    def decoys(self) -> int:
        """Return how many were planted before the drill."""
        return self.planted

    def plant(self) -> DrillHoneytoken:
        """Plant a canary, the same one each time."""
        self.canaries["sk_live_canary"] = "canary"
        return DrillHoneytoken("canary", "sk_live_canary", NOW)

    def alarms(self, canary: DrillHoneytoken) -> int:
        """Count its alarms."""
        return self.raised[canary.name]

    def secrets(self) -> Sequence[KeptSecret]:
        """Return the one secret."""
        return [KeptSecret("maps", self.made_at, frozenset({1}))]

    def revoke(self, instance: str) -> None:
        """Revoke nothing."""

    def counted(self) -> Mapping[str, int]:
        """Count nothing."""
        return {}

    def invite(self, app: str, level: Level) -> str:
        """Invite nobody."""
        raise NotImplementedError

    def injected(self, secret: str) -> InjectedValue | None:
        """Return the key."""
        version = 1 if Flaw.ENDED_INJECTED in self.flaws else 2
        return InjectedValue(version, SecretValue(KEY)) if secret == "maps" else None

    def token_signer(self) -> Signer:
        """Lend no such key."""
        raise NotImplementedError

    bundle_signer = token_signer

    def gate_secret(self, audience: str) -> GateSecret:
        """Lend no such key."""
        raise NotImplementedError

    def challenge_key(self) -> bytes:
        """Lend no such key."""
        raise NotImplementedError

    # Phones.

    def genuine(self, platform: Platform | None = None) -> Phone:
        """Return a phone that the service takes."""
        return Phone("genuine", APP, platform or Platform.IOS, TestInstanceDevice("a-code"))

    def of_kind(self, kind: str) -> Phone:
        """Return one whatever its kind."""
        del kind
        return self.genuine()

    # What they do.

    def _service(self, call: Call) -> Answer:
        if call.target == CHALLENGE:
            return Answer(200, (), b'{"challenge": "AAAA"}')
        if call.target not in {ENROL, RENEW}:
            return refusal(Reason.REQUEST_NOT_FOUND)
        body = strict_json.loads(call.body, len(call.body))
        statement = strict_json.loads(base64url.decode(body["statement"]), 4096)
        instance = body.get("instance") or f"instance-{next(self._numbers)}"
        jwk = statement["proof_jwk"]
        claims = {"sid": instance, "cnf": {"jwk": jwk}, "jti": next(self._numbers)}
        token = f"e30.{base64url.encode(json.dumps(claims).encode())}.AAAA"
        given = {"aud": AUDIENCE, "token": token, "expires_in": 300}
        members = {"instance": instance, "level": "hardware", "tokens": [given]}
        return Answer(200, (), json.dumps(members).encode())

    def _gate(self, call: Call) -> Answer:
        found = self._canary_in(call)
        if found and Flaw.NO_ALARM not in self.flaws:
            self.raised[found] += 1
        if not call.target.startswith("/"):
            if Flaw.ABSOLUTE_TARGET_BELIEVED in self.flaws:
                return api(404)
            return refusal(Reason.REQUEST_PATH_AMBIGUOUS)
        if (refused := self._credentials(call)) is not None:
            return refused
        if found and Flaw.CANARY_SERVED not in self.flaws:
            answer = refusal(Reason.SECRET_CANARY)
            told = (("x-alarm", "yes"),) if Flaw.CANARY_TOLD in self.flaws else ()
            return replace(answer, headers=answer.headers + told)
        segments = read_path(call.path.encode("latin-1"))
        if isinstance(segments, Refusal):
            if Flaw.AMBIGUOUS_PATHS not in self.flaws:
                return refusal(segments.reason)
            segments = tuple(call.path[1:].split("/"))
        if segments[0] != "maps":
            return self._api(call)
        return self._inject(call, segments[1:])

    def _credentials(self, call: Call) -> Answer | None:
        token = call.header("watchword-token")
        if token is None:
            return None if Flaw.NO_TOKEN_ASKED in self.flaws else refusal(Reason.TOKEN_MISSING)
        if not token.startswith("e30."):
            return refusal(Reason.TOKEN_MALFORMED)
        if call.header("signature") is None and Flaw.NO_PROOF_ASKED not in self.flaws:
            return refusal(Reason.PROOF_MISSING)
        return None

    def _canary_in(self, call: Call) -> str:
        held = [call.target, *(value for _, value in call.headers)]
        for key, name in self.canaries.items():
            basic = base64url.encode(f"{key}:".encode())
            if any(key in each or basic.rstrip("=") in each for each in held):
                return name
        return ""

    def _api(self, call: Call) -> Answer:
        who = self._who(call)
        if self.limits and Flaw.NO_LIMIT not in self.flaws and self.limited[who] >= LIMIT.requests:
            return refusal(Reason.GATE_QUOTA)
        self.limited[who] += 1
        sent = {"x-seen": KEY} if Flaw.KEY_SENT_TO_API in self.flaws else {}
        return Answer(200, (), json.dumps(sent).encode())

    def _who(self, call: Call) -> str:
        token = call.header("watchword-token") or ""
        if Flaw.QUOTA_BY_TOKEN in self.flaws or not token:
            return token
        return read_own_token(token).session_id

    def _inject(self, call: Call, path: Sequence[str]) -> Answer:
        if (path[:1] != ("geocode",) or len(path) < 2) and Flaw.ANY_PATH not in self.flaws:
            return refusal(Reason.SECRET_PATH)
        if call.method != "GET" and Flaw.ANY_METHOD not in self.flaws:
            return refusal(Reason.SECRET_PATH)
        sent = self._with_key(call)
        if sent is None:
            return refusal(Reason.SECRET_PLACEHOLDER)
        who = self._who(call)
        for each in self.allowances:
            used = (self.used[who] + 1) * (1 if each.calls is not None else self.cost)
            if used > (each.calls or each.spend or 0) and Flaw.NO_QUOTA not in self.flaws:
                by_calls = each.calls is not None
                return refusal(Reason.SECRET_QUOTA if by_calls else Reason.SECRET_SPEND)
        self.used[who] += 1
        host = call.header("host") or "api.example"
        if Flaw.HOST_BELIEVED in self.flaws and host != "api.example":
            return api(404)
        return self._third_party(sent)

    def _with_key(self, call: Call) -> Call | None:
        """Return what is sent on: the key in its place, and nothing that is between app and gate."""
        name = self.place.name
        if self.place.placeholder is not None and Flaw.ANY_PLACEHOLDER not in self.flaws:
            values = [value for each, value in call.headers if each.lower() == name]
            if values != [self.place.placeholder]:
                return None
        kept = []
        for each, value in call.headers:
            folded = each.lower().translate(_SIGNS)
            hidden = {"watchword-token", "signature", "signature-input"}
            if Flaw.COOKIE_PASSED_ON not in self.flaws:
                hidden |= {"cookie"}
            other = folded == name and each.lower() != name
            if folded in hidden or (
                folded == name and not (other and Flaw.OTHER_SPELLING_KEPT in self.flaws)
            ):
                continue
            kept.append((each, value))
        sent = replace(call, headers=tuple(kept))
        if self.place.kind is PlaceKind.QUERY:
            query = [] if Flaw.CLIENTS_KEY_KEPT not in self.flaws else [call.query]
            return replace(
                sent, target=f"{call.path}?{'&'.join(filter(None, (*query, f'key={KEY}')))}"
            )
        own = call.header(name) if Flaw.CLIENTS_KEY_KEPT in self.flaws else None
        return replace(sent, headers=((name, own or KEY), *kept))

    def _third_party(self, call: Call) -> Answer:
        self.asked.append(call)
        if self.place.kind is PlaceKind.QUERY:
            given = [each.partition("=")[2] for each in call.query.split("&")][:1]
        else:
            folded = [(name.lower().translate(_SIGNS), value) for name, value in call.headers]
            given = [value for name, value in folded if name == self.place.name][-1:]
        if given != [KEY]:
            return api(403)
        if call.header("accept") == "text/plain":
            return self._repeating(call)
        echo = {n: v for n, v in call.headers if v != KEY or Flaw.KEY_ECHOED in self.flaws}
        return Answer(200, (), json.dumps(echo).encode())

    def _repeating(self, call: Call) -> Answer:
        """Repeat the target; the gate cuts off what begins the key, or refuses it, where it is flawed."""
        path = call.target.replace(f"key={KEY}", "")
        text = f"asked for {path}" + "." * (Flaw.TARGET_UNTOLD in self.flaws)
        kept = next((n for n in range(len(KEY), 0, -1) if text.endswith(KEY[:n])), 0)
        if Flaw.BEGINNING_REFUSED in self.flaws and kept:
            return Answer(404, (), text.encode())
        if Flaw.CUT_AT_RANDOM in self.flaws:
            kept = len(self.asked) % 3
        cut = {Flaw.BEGINNING_HELD_BACK, Flaw.CUT_AT_RANDOM} & self.flaws
        pieces = (len(text) - kept, kept) if cut and kept else (len(text),)
        return Answer(200, (), text.encode(), pieces)


def samples(deployment: Deployment) -> tuple[Sample, ...]:
    """Return what the genuine app asks of the third party, and of the API."""
    place = deployment.place
    rule = EdgeRule(
        secret="maps",
        host="maps.example.net",
        port=443,
        patterns=("/geocode/**",),
        methods=frozenset({"GET"}),
        place=place,
        allowances=deployment.allowances,
        cost=deployment.cost,
    )
    headers = () if place.placeholder is None else ((place.name, place.placeholder),)
    if Flaw.KEY_IN_SAMPLES in deployment.flaws:
        headers = (("x-key", base64url.encode(f"a{KEY}".encode())),)
    own = replace(SAMPLE, proof=Proof.DEVICE, echo=True)
    injected = replace(
        own,
        target="/maps/geocode/x?q=1",
        route="clinic[1]",
        headers=headers,
        injection=Injection(rule, "/maps"),
    )
    return injected, own


def context(deployment: Deployment) -> AttackContext:
    """Return an attack context with a genuine instance."""
    counter = itertools.count()
    phone = deployment.genuine()
    claims = {"sid": "shared", "cnf": {"jwk": phone.device.proof_jwk}}
    token = f"e30.{base64url.encode(json.dumps(claims).encode())}.AAAA"
    held = Held(phone, "shared", {AUDIENCE: HeldToken(token, NOW + 300, NOW + 200)}, b"", {})

    def wait(seconds: float) -> None:
        deployment.clock += seconds

    return AttackContext(
        facts=Facts(
            api="clinic",
            issuer="https://attest.example",
            audience=AUDIENCE,
            audiences={APP: frozenset({AUDIENCE})},
            environment=Environment.LAB,
            token_lifetime=300,
            limits=deployment.limits,
        ),
        samples=samples(deployment),
        wire=deployment,
        now=lambda: deployment.clock,
        random=lambda count: hashlib.shake_256(str(next(counter)).encode()).digest(count),
        wait=wait,
        phones=deployment,
        keys=deployment,
        operator=deployment,
        shared=lambda: held,
    )


def verdicts(attack: Attack, deployment: Deployment) -> dict[str, Verdict]:
    """Return how each variant ended; the genuine app is asked first, as in a run."""
    stage = context(deployment)
    answers = {
        each.name: deployment.send(genuine_call(stage, each, stage.genuine()))
        for each in stage.samples
    }
    controls, found = Controls(answers), {}
    for each in attack.variants:
        deployment.used.clear()
        deployment.limited.clear()
        try:
            found[each.name] = judged(each, each.run(stage), controls, 1).verdict
        except AbsentError:
            found[each.name] = Verdict.ABSENT
        except MissingError:
            found[each.name] = Verdict.NOT_RUN
    return found
