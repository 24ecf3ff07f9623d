"""Take the steps of the story: genuine phones, scripts with a stolen key, thieves of tokens, drills, and what a team asks of its plan."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from watchword.adapters.drill_wire import resolve
from watchword.adapters.observations import ObservationsFile
from watchword.adapters.observer_keys import read_observer_key
from watchword.adapters.system import TimeLimit
from watchword.apps.demo.stage import (
    API,
    API_KEY,
    APP_VERSION,
    BUNDLE_ID,
    MAPS_QUOTA,
    OBSERVER_KEY,
    PACKAGE,
    RECORDS,
    SIGNING_DIGEST,
    TEAM_ID,
    Stage,
)
from watchword.apps.drill.harness import Targets, open_harness
from watchword.apps.drill.run import OnResult, observations_of, run_drill
from watchword.apps.drill.run_plan import RunPlan, urls_of
from watchword.apps.observations.document import sign as sign_observation
from watchword.apps.observations.document import unsigned
from watchword.apps.plan.commands import plan_of
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.plan import load_plan
from watchword.apps.settings.schema import Settings
from watchword.client import (
    TOKEN_HEADER,
    Proofs,
    ServiceRefusedError,
    WatchwordAuth,
    WatchwordClient,
)
from watchword.client.own_token import OwnToken
from watchword.client.proofs import Covered, Freshness, content_digest, device_proof, session_proof
from watchword.client.session import HeldToken
from watchword.drill.interface import Attack
from watchword.drill.judgements import Report
from watchword.drill.registry import ATTACKS
from watchword.drill.wire import Part
from watchword.encoding import base64url, strict_json
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.observations import Observation, State
from watchword.plan.outcome import Action, Plan
from watchword.plan.service import Question
from watchword.ports import Clock, Entropy
from watchword.tokens.interface import TokenClaims
from watchword.tokens.jose import jwk_from_public_key, sign
from watchword.tokens.jose import thumbprint as thumbprint_of
from watchword.tokens.service import issue
from watchword.vocabulary import Environment, Level, Platform


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold how a request or an enrolment ended.

    :param what: ``served`` or ``refused``, then the HTTP status, for example ``refused 401``.
    :param reason: the first reason's code, as the operator's ``explain`` tells it; None if served.
    """

    what: str
    reason: str | None = None

    def __str__(self) -> str:
        """Render as one text, which is what acts compare."""
        return self.what if self.reason is None else f"{self.what}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Act:
    """Hold one finished act.

    :param chapter: the part of the story that it belongs to.
    :param act: what is done.
    :param actor: who does it.
    :param decisive: one of the eight that tell what Watchword changes, and that the README shows.
    """

    chapter: str
    act: str
    actor: str
    expected: str
    got: Outcome
    decisive: bool = False

    @property
    def ok(self) -> bool:
        """Tell whether it went as expected."""
        return self.expected == str(self.got)

    def as_dict(self) -> dict[str, Any]:
        """Return the act for ``--json``."""
        return {
            "chapter": self.chapter,
            "act": self.act,
            "actor": self.actor,
            "expected": self.expected,
            "got": str(self.got),
            "reason": self.got.reason,
            "ok": self.ok,
            "decisive": self.decisive,
        }


TIMEOUT_SECONDS = 5.0

_PROOFS = Proofs(device=["/v1/payments/**"])
"""What the app knows of the routes; every other request carries a session proof."""


@dataclass(slots=True)
class Wire:
    """Send requests as anyone could, and ask the operator why they were refused."""

    operator: OperatorClient
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
    )

    def get(self, url: str, token: str | None = None) -> Outcome:
        """Read one URL with the stolen API key, and with a token if there is one."""
        headers = {"x-api-key": API_KEY}
        if token is not None:
            headers["watchword-token"] = token
        return self.outcome(self.http.get(url, headers=headers))

    def post(self, url: str, body: Mapping[str, Any]) -> Outcome:
        """Send JSON to the service, as a script that replays what it recorded."""
        return self.outcome(self.http.post(url, json=dict(body)))

    def send(self, request: httpx.Request) -> Outcome:
        """Send a request that was caught, as it is."""
        return self.outcome(self.http.send(request))

    def outcome(self, response: httpx.Response) -> Outcome:
        """Return how it ended; the reason comes from the operator, by the opaque reference."""
        if response.is_success:
            return Outcome(f"served {response.status_code}")
        return self.refused(response.status_code, response.json().get("ref"))

    def refused(self, status: int, ref: str | None) -> Outcome:
        """Return a refusal with its first reason."""
        if ref is None:
            return Outcome(f"refused {status}")
        explained = self.operator.post("/v1/explain", {"ref": ref})
        return Outcome(f"refused {status}", explained["reasons"][0]["reason"])


@dataclass(slots=True)
class Handset:
    """Hold a simulated phone with the reference client on it.

    :ivar sent: the bodies that the client sent to the service, for those who record and replay.
    """

    client: WatchwordClient
    wire: Wire
    sent: list[tuple[str, bytes]]

    def enrol(self) -> Outcome:
        """Enrol; a refusal is an outcome, not an error."""
        try:
            self.client.enrol()
        except ServiceRefusedError as error:
            return self.wire.refused(error.problem.status, error.problem.ref)
        return Outcome("served 201")

    def renew(self) -> Outcome:
        """Ask for new tokens."""
        try:
            self.client.renew()
        except ServiceRefusedError as error:
            return self.wire.refused(error.problem.status, error.problem.ref)
        return Outcome("served 200")

    def get(self, url: str, audience: str) -> Outcome:
        """Read one URL as the app does; enrols or renews first where that is needed."""
        try:
            token = self.client.token(audience)
        except ServiceRefusedError as error:
            return self.wire.refused(error.problem.status, error.problem.ref)
        return self.wire.get(url, token)

    def get_anyway(self, url: str, audience: str) -> Outcome:
        """Read one URL as the app does during a roll-out: without a token if there is none."""
        auth = WatchwordAuth(self.client, audience, or_without=True)
        return self.wire.outcome(self.wire.http.get(url, headers={"x-api-key": API_KEY}, auth=auth))

    def read(self, url: str, audience: str) -> Outcome:
        """Read one URL with token and proof, and without the key that is in the app's other calls."""
        auth = WatchwordAuth(self.client, audience, proof=_PROOFS)
        return self.wire.outcome(self.wire.http.get(url, auth=auth))

    def write(self, url: str, audience: str, body: bytes) -> tuple[Outcome, httpx.Request]:
        """Send a body as the app does, with token and proof.

        :returns: how it ended, and the request as it went out: what an interceptor holds afterwards.
        """
        auth = WatchwordAuth(self.client, audience, proof=_PROOFS)
        response = self.wire.http.send(self._request(url, body), auth=auth)
        return self.wire.outcome(response), response.request

    def held_up(self, url: str, audience: str, body: bytes) -> httpx.Request:
        """Return what the app would send, never sent: an interceptor holds it up."""
        request = self._request(url, body)
        next(WatchwordAuth(self.client, audience, proof=_PROOFS).sync_auth_flow(request))
        return request

    def _request(self, url: str, body: bytes) -> httpx.Request:
        headers = {"x-api-key": API_KEY, "content-type": "application/json"}
        return self.wire.http.build_request("POST", url, content=body, headers=headers)

    def recorded(self, path: str) -> dict[str, Any]:
        """Return the last body that the app sent to this path of the service."""
        body = next(body for sent_to, body in reversed(self.sent) if sent_to == path)
        document: dict[str, Any] = json.loads(body)
        return document


@dataclass(slots=True)
class PhoneShop:
    """Hand out phones of each kind, all at one service."""

    settings: Settings
    authorities: LabAuthorities
    clock: Clock
    wire: Wire
    closing: ExitStack
    sold: int = 0

    def get(self, kind: str) -> Handset:
        """Return a new phone of this kind with the clinic's app on it."""
        model = PHONES[kind]
        # A phone's keys follow from its name: two people's phones have two names.
        self.sold += 1
        name = f"{kind}-{self.settings.apis['clinic'].routes[-1].mode.value}-{self.sold}"
        setup = PhoneSetup(authorities=self.authorities, clock=self.clock, name=name)
        phone = model.build(_app_for(model.platform), setup)
        recorder = _Recorder()
        client = WatchwordClient(
            self.settings.service.issuer,
            f"clinic-{model.platform.value}",
            phone,
            [api.audience for api in self.settings.apis.values()],
            clock=self.clock.timestamp,
            # The story moves time on: its phones have no other clock.
            boot=self.clock.timestamp,
            boot_id="demo",
            jitter=lambda: 0.5,
            transport=recorder,
        )
        self.closing.callback(client.close)
        return Handset(client, self.wire, recorder.sent)


class _Recorder(httpx.HTTPTransport):
    """Send requests, and keep their bodies as somebody who intercepts the channel would."""

    def __init__(self) -> None:
        super().__init__(trust_env=False)
        self.sent: list[tuple[str, bytes]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.url.path, request.read()))
        return super().handle_request(request)


def _app_for(platform: Platform) -> InstalledApp:
    if platform is Platform.IOS:
        return InstalledIosApp(TEAM_ID, BUNDLE_ID, str(APP_VERSION))
    return InstalledAndroidApp(PACKAGE, (SIGNING_DIGEST,), APP_VERSION)


REVOCATION_SECONDS = 1.0
"""How long a revocation may take to reach the gate."""


def drain(base_url: str) -> Outcome:
    """Walk through all patient numbers with the key from the app."""
    headers = {"x-api-key": API_KEY}
    with httpx.Client(trust_env=False, headers=headers, timeout=TIMEOUT_SECONDS) as script:
        urls = (f"{base_url}/v1/patients/{number}" for number in range(RECORDS))
        got = sum(script.get(url).is_success for url in urls)
    return Outcome(f"served {got} of {RECORDS}")


@dataclass(frozen=True, slots=True)
class _OwnKey:
    """Sign with a key of the attacker's own, under any key id."""

    kid: str
    key: ec.EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        return sign(self.key, message)


def forge_token(stage: Stage, wire: Wire, audience: str, *, own_name: bool) -> str:
    """Return a token that says all the right things, signed by the attacker.

    :param own_name: name the attacker's key; else name the service's, which anyone can read.
    """
    issuer = stage.settings.service.issuer
    published = wire.http.get(f"{issuer}/.well-known/jwks.json").json()["keys"][0]["kid"]
    key = ec.generate_private_key(ec.SECP256R1())
    now = int(stage.clock.timestamp())
    claims = TokenClaims(
        issuer=issuer,
        audience=audience,
        subject=base64url.encode(stage.entropy.token_bytes(32)),
        issued_at=now,
        expires_at=now + 300,
        token_id=base64url.encode(stage.entropy.token_bytes(16)),
        environment=Environment.LAB,
        app_id="clinic-ios",
        app_version=None,
        level=Level.HARDWARE,
        key=jwk_from_public_key(key.public_key()),
        session_id=base64url.encode(stage.entropy.token_bytes(16)),
    )
    return issue(claims, _OwnKey("my-own-key" if own_name else published, key))


def replay_under_new_challenge(
    wire: Wire, service: str, phone: Handset, hold: Callable[[], None] | None = None
) -> Outcome:
    """Put recorded evidence under a statement with a fresh challenge.

    :param hold: is called between challenge and evidence, to let time pass.
    """
    recorded = phone.recorded("/v1/attestations")
    statement = strict_json.loads(base64url.decode(recorded["statement"]), limit=4096)
    asked = {"app": statement["app"], "purpose": "enrol"}
    fresh: dict[str, Any] = wire.http.post(f"{service}/v1/challenges", json=asked).json()
    if hold is not None:
        hold()
    statement["challenge"] = fresh["challenge"]
    body = {**recorded, "statement": base64url.encode(strict_json.dumps(statement))}
    return wire.post(f"{service}/v1/attestations", body)


def until_refused(attempt: Callable[[], Outcome]) -> Outcome:
    """Try for as long as a revocation may take; return the first refusal, or the last outcome."""
    return until(attempt, lambda outcome: outcome.what.startswith("refused"))


def until(
    attempt: Callable[[], Outcome],
    settled: Callable[[Outcome], bool],
    patience: float = REVOCATION_SECONDS,
) -> Outcome:
    """Try for as long as what the service published may take to reach a gate; return the last outcome.

    :param patience: seconds.
    """
    deadline = time.monotonic() + patience  # noqa: TID251 - the wall, not the story's.
    while True:
        outcome = attempt()
        if settled(outcome) or time.monotonic() > deadline:  # noqa: TID251
            return outcome
        time.sleep(0.05)


_NONCE_BYTES = 16


def with_token_alone(url: str, token: str, body: bytes) -> httpx.Request:
    """Return a request with a copied token and nothing else."""
    return httpx.Request(
        "POST", url, content=body, headers={"x-api-key": API_KEY, TOKEN_HEADER: token}
    )


def sent_again(request: httpx.Request, body: bytes | None = None) -> httpx.Request:
    """Return a caught request once more, byte for byte; with another body of the same length if given.

    :raises ValueError: if the length differs: its header would give the change away.
    """
    content = request.read() if body is None else body
    if len(content) != len(request.read()):
        raise ValueError("expected a body of the same length")
    return httpx.Request(request.method, request.url, content=content, headers=request.headers)


class Forger:
    """Make proofs in the right form, fresh, for a token that was stolen."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        """Make a key of the thief's own."""
        self._clock = clock
        self._entropy = entropy
        self._key = ec.generate_private_key(ec.SECP256R1())

    def by_own_key(self, url: str, token: str, body: bytes) -> httpx.Request:
        """Return a request that is signed by the thief's own key."""
        jwk = dict(jwk_from_public_key(self._key.public_key()))
        own = OwnToken(session_id="", key=jwk, thumbprint=thumbprint_of(jwk))

        def prove(covered: Covered, fresh: Freshness) -> dict[str, str]:
            return device_proof(covered, token, own, self._sign, fresh)

        return self._proved(url, token, body, prove)

    def by_session_key(self, url: str, stolen: HeldToken, body: bytes) -> httpx.Request:
        """Return a request that is proved by the session key, stolen along with the token."""
        own, key = stolen.own, stolen.session_key
        assert own is not None
        assert key is not None

        def prove(covered: Covered, fresh: Freshness) -> dict[str, str]:
            return session_proof(covered, stolen.token, own, key, fresh)

        return self._proved(url, stolen.token, body, prove)

    def _sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(SHA256()))

    def _proved(
        self,
        url: str,
        token: str,
        body: bytes,
        prove: Callable[[Covered, Freshness], dict[str, str]],
    ) -> httpx.Request:
        request = with_token_alone(url, token, body)
        digest = content_digest(body)
        covered = Covered(
            scheme=request.url.scheme,
            method=request.method,
            authority=request.headers["host"],
            path=request.url.path,
            query="",
            content_digest=digest,
        )
        nonce = base64url.encode(self._entropy.token_bytes(_NONCE_BYTES))
        request.headers["content-digest"] = digest
        request.headers.update(prove(covered, Freshness(int(self._clock.timestamp()), nonce)))
        return request


def drilled(
    stage: Stage,
    *,
    gate: str | None = None,
    attacks: Sequence[Attack] = tuple(ATTACKS.values()),
    genuine: int = 60,
    on_result: OnResult = lambda _: None,
) -> Report:
    """Return the report of a run against the demo's clinic; call it from a thread beside the stage's loop.

    :param gate: URL of what is attacked; None for the proxy that the stage started.
    """
    settings = stage.settings
    api = settings.apis[API]
    urls = urls_of(settings, api, gate)
    targets = Targets({part: resolve(url) for part, url in urls.items()}, loopback=True)
    assets = tuple(load_plan(settings.path).assets.values())
    with open_harness(settings, api, targets, stage.clock, stage.entropy, assets) as opened:
        return run_drill(
            opened,
            RunPlan(attacks, genuine),
            urls[Part.GATE],
            loopback=True,
            now=stage.clock.now,
            on_result=on_result,
        )


_SECONDS = 2.0


class Decisions:
    """Ask for the plan of one file, again and again."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Plan by ``file``, at the time of ``clock``."""
        self._file = file
        self._clock = clock

    def first(self) -> Outcome:
        """Return what the plan puts first."""
        return Outcome("first", self._plan().items[0].protection.id)

    def after_it(self, wanted: Sequence[str]) -> Outcome:
        """Return which of some protections are in the plan, behind the first."""
        names = [item.protection.id for item in self._plan().items[1:]]
        return Outcome("after it", ", ".join(each for each in wanted if each in names))

    def claim(self, protection: str, key: str) -> Outcome:
        """Record that a protection is there, without a signature; return what becomes of its place."""
        settings = load_plan(self._file)
        seen = Observation(
            protection=protection,
            key=key,
            state=State.PROVEN,
            at=self._clock.now(),
            target=f"api:{API}",
            source="somebody",
            environment=settings.environment,
            generation=settings.generations[API],
        )
        ObservationsFile(settings.observations).append(unsigned(seen))
        return self.to_verify(protection)

    def to_verify(self, protection: str) -> Outcome:
        """Return whether the plan still puts a protection first, to be verified: claimed, and not proven."""
        item = self._plan().items[0]
        if item.protection.id != protection:
            return Outcome("not first any more", item.protection.id)
        return Outcome("to verify" if item.action is Action.VERIFY else "ignored", protection)

    def record(self, report: Report) -> None:
        """Record what a drill found, signed by the observer that the file names."""
        settings = load_plan(self._file)
        key = read_observer_key(self._file.with_name(OBSERVER_KEY))
        found = observations_of(
            report, self._clock.now(), build=None, generation=settings.generations[API]
        )
        for each in found:
            ObservationsFile(settings.observations).append(sign_observation(each, key))

    def state_of(self, asset: str) -> Outcome:
        """Return how an asset stands now."""
        plan = self._plan()
        (found,) = [each for each in plan.assets if each.asset.id == asset]
        return Outcome("is", found.now.value)

    def with_likelihood(self) -> Outcome:
        """Write how likely an attack is into the file; return what the plan says, and take it out again."""
        text = self._file.read_text(encoding="utf-8")
        changed = text.replace("      impact: 2\n", "      impact: 2\n      likelihood: 5\n")
        try:
            self._file.write_text(changed, encoding="utf-8")
            load_plan(self._file)
        except ConfigurationError as error:
            return Outcome("refused", error.faults[0].path.rsplit(".", 1)[-1])
        finally:
            self._file.write_text(text, encoding="utf-8")
        return Outcome("taken")

    def _plan(self) -> Plan:
        settings = load_plan(self._file)
        return plan_of(settings, Question(), self._clock.now(), TimeLimit(_SECONDS))[0]


KEYS: Final = "The map key is in no copy of the app: the gate adds it for genuine phones"

_SERVED: Final = "served 200"
_PLACE: Final = "/maps/geocode/homburg"
_ROTATED_UNDER: Final = 60
"""How many calls a phone makes while the key is rotated; a third of them in the short story."""

_OVERLAP: Final = 60
"""Seconds for which the older key counts beside the newer one."""

_FORBIDDEN: Final = frozenset(
    {"watchword-token", "watchword-instance", "signature", "cookie", "x-api-key", "x-forwarded-for"}
)
"""What of app, phone and gate is nothing to a third party."""


class Notify(Protocol):
    """Take actor, act, what was expected and what happened, and whether the act is decisive."""

    def __call__(
        self, actor: str, act: str, expected: str, got: Outcome, *, decisive: bool = False
    ) -> None:
        """Take one act."""


@dataclass(slots=True)
class Keys:
    """Play the chapter on a stage whose routes enforce.

    :param full: with every act, not those of the short story alone.
    """

    stage: Stage
    wire: Wire
    notify: Notify
    full: bool = False

    def play(self, iphone: Handset, android: Handset) -> None:
        """Play it; the iPhone is enrolled."""
        maps, operator = self.stage.maps, self.wire.operator
        key = maps.give_out(self.stage.entropy)
        kept = operator.post("/v1/secrets", {"name": "maps", "value": key})
        got = Outcome("kept", "shown to nobody" if key not in str(kept) else "shown")
        self.notify("team", "hands over the map key", "kept: shown to nobody", got)
        # The gate injects it within a second, as it learns all that the service publishes.
        until(lambda: self._ask(android), lambda outcome: outcome.what == _SERVED, patience=5.0)
        got = self._ask(iphone)
        self.notify("genuine iPhone", "uses maps without a key", _SERVED, got, decisive=True)
        if self.full:
            clean = "authorization" in maps.headers and not _FORBIDDEN & maps.headers
            got = Outcome("told", "its key and no more" if clean else "too much")
            self.notify("map service", "reads what reached it", "told: its key and no more", got)
        got = self.wire.get(self._url(_PLACE))
        self.notify("script", "asks maps, has no token", "refused 401: token.missing", got)
        if self.full:
            got = self._ask(iphone, "/maps/account")
            self.notify("genuine iPhone", "asks another path", "refused 403: secret.path", got)
        self._rotate(android)
        if self.full:
            maps.keys.discard(key)
            self.notify("genuine Android", "calls, old key ended", _SERVED, self._ask(android))
            self._spend(iphone)
        self._canary()

    def _ask(self, phone: Handset, path: str = _PLACE) -> Outcome:
        return phone.read(self._url(path), self.stage.settings.apis["clinic"].audience)

    def _rotate(self, phone: Handset) -> None:
        """Rotate while calls go on, until the gate adds the new key."""
        maps, served = self.stage.maps, 0
        new = maps.give_out(self.stage.entropy)
        calls = _ROTATED_UNDER if self.full else _ROTATED_UNDER // 3
        for number in range(calls):
            if number == calls // 3:
                rotation = {"value": new, "overlap": _OVERLAP}
                self.wire.operator.post("/v1/secrets/maps/rotate", rotation)
            served += self._ask(phone).what == _SERVED
        until(lambda: self._ask(phone), lambda _: maps.shown == new, patience=5.0)
        if maps.shown != new:
            served = 0
        got, expected = Outcome(f"served {served} of {calls}"), f"served {calls} of {calls}"
        self.notify("genuine Android", "calls while key rotates", expected, got)

    def _spend(self, phone: Handset) -> None:
        """Use the quota up; one call was made above."""
        for _ in range(MAPS_QUOTA - 2):
            self._ask(phone)
        got = self._ask(phone)
        self.notify("genuine iPhone", f"makes call {MAPS_QUOTA} today", _SERVED, got)
        got = self._ask(phone)
        what, expected = f"makes call {MAPS_QUOTA + 1} today", "refused 429: secret.quota"
        self.notify("genuine iPhone", what, expected, got)

    def _canary(self) -> None:
        """Plant a key that opens nothing, and have the script find it and use it."""
        operator = self.wire.operator
        planted = operator.post("/v1/canaries", {"name": "old-key", "like": "google"})
        url = self._url("/v1/patients/7")
        headers = {"x-goog-api-key": planted["key"]}

        got = self.wire.outcome(self.wire.http.get(url, headers=headers))
        what = "uses a decoy key"
        self.notify("script", what, "refused 401: token.missing", got)

        def alarms() -> Outcome:
            self.wire.http.get(url, headers=headers)
            found = operator.get("/v1/canaries/alarms", canary="old-key")["alarms"]
            return Outcome("alarmed", found[0]["canary"]) if found else Outcome("quiet")

        got = until(alarms, lambda outcome: outcome.what == "alarmed", patience=5.0)
        self.notify("operator", "looks at the alarms", "alarmed: old-key", got)

    def _url(self, path: str) -> str:
        return f"http://{self.stage.settings.apis['clinic'].listen}{path}"
