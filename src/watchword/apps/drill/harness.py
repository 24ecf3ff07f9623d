"""Set a drill up: which requests, which phones, whose keys, over which wire."""

import ipaddress
import itertools
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from watchword.adapters.documents import FileDocument
from watchword.adapters.drill_wire import HttpWire, Origin
from watchword.adapters.gate_bundle.file import GateBundleFile
from watchword.adapters.keyring.file import KeyRing
from watchword.adapters.lab_store import load_or_create
from watchword.adapters.store import RollbackDetector
from watchword.apps.compose.secrets import key_keeper_of, openbao_of
from watchword.apps.drill.invited_instance import NoPhones
from watchword.apps.drill.run_plan import RunPlanError
from watchword.apps.service.client import OperatorClient
from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.plan import generation_of
from watchword.apps.settings.schema import ApiSettings, DrillRequest, DrillSettings, Settings
from watchword.attestation.interface import AppleApp, AppRegistration
from watchword.broker.interface import EdgeRule, InjectedValue
from watchword.drill.enrolment import enrol_genuine, renew
from watchword.drill.interface import (
    SUCCESSES,
    AttackContext,
    DrillHoneytoken,
    Facts,
    Held,
    Injection,
    KeptSecret,
    MissingError,
    Need,
    Operator,
    Phone,
    Phones,
    Sample,
)
from watchword.drill.judgements import described
from watchword.drill.wire import Call, Headers, Part
from watchword.enrolment.statement import epoch_key
from watchword.gate.hygiene import compile_routes, find_route, read_path
from watchword.gate.interface import GatePolicy, GateState, Route
from watchword.lab import (
    PHONES,
    InstalledAndroidApp,
    InstalledApp,
    InstalledIosApp,
    LabAuthorities,
    PhoneSetup,
)
from watchword.lab.phones.interface import PhoneModel
from watchword.lab.phones.iphone import IPhoneModel
from watchword.plan.evidence import weak_routes
from watchword.plan.interface import Asset, RouteRow
from watchword.policy.interface import Policy, leaves_of
from watchword.policy.rules.hardware_security import HardwareSecurity
from watchword.ports import Clock, Entropy, Signer
from watchword.reasons import Refusal, RefusedError, UnavailableError
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Environment, Level, Mode, Platform, Proof

_MAX_FILE: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_VALUE: Final = re.compile(r"[ -~]{0,2000}")

_SAFE: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing at an API (RFC 9110 section 9.2.1)."""

_MADE_UP: Final = "1"
"""What stands for a free segment of a route: an id that may be nobody's, which the API answers with its own error."""


def samples_of(
    api: ApiSettings,
    drill: DrillSettings,
    edges: Mapping[str, EdgeRule] = MappingProxyType({}),
    assets: Collection[Asset] = (),
) -> tuple[Sample, ...]:
    """Return the sample requests of an API, in the order of the file.

    A route in mode ``off`` where an asset lives is asked for even where the file names no request to it, as far as
    that changes nothing: it is served to anybody.

    :param edges: by secret, into which calls it is injected.
    :param assets: of the plan.
    :raises RunPlanError: when the file with more headers can't be read, with its line.
    """
    table = compile_routes(api.routes)
    headers = tuple(drill.headers.items()) + _headers_of(drill.headers_file)
    found = []
    for request in drill.requests or tuple(_made_up(api.routes, edges)):
        segments = read_path(request.target.partition("?")[0].encode("latin-1"))
        route = (
            None if isinstance(segments, Refusal) else find_route(table, request.method, segments)
        )
        found.append(_sample(request, route, headers, edges, _living_on(api, route, assets)))
    for route in api.routes:
        living = _living_on(api, route, assets)
        asked = any(each.route == route.name for each in found)
        if route.mode is Mode.OFF and living and not asked:
            for request in _made_up((route,), edges):
                if request.method in _SAFE:
                    sample = _sample(request, route, headers, edges, living)
                    found.append(replace(sample, asked=False))
    return tuple(found)


def unasked(
    api: ApiSettings, samples: Iterable[Sample], assets: Collection[Asset]
) -> tuple[str, ...]:
    """Return the routes, by each method that they name, that no sample falls under: nothing is shown of them.

    Those that are open to all are left out where no asset lives there.
    """
    tried = {(each.route, each.method) for each in samples if not each.login}
    routes = {name for name, _ in tried}
    found = []
    for route in api.routes:
        living = _living_on(api, route, assets)
        missing = [each for each in sorted(route.methods) if (route.name, each) not in tried]
        if (route.mode is Mode.OFF and not living) or not (missing or route.name not in routes):
            continue
        lives = f" ({', '.join(living)})" if living else ""
        found.append(" ".join(filter(None, (",".join(missing), route.pattern))) + lives)
    return tuple(found)


def _living_on(api: ApiSettings, route: Route | None, assets: Collection[Asset]) -> tuple[str, ...]:
    """Return the assets that name what a route decides, the highest impact first."""
    if route is None:
        return ()
    row = RouteRow(
        api.name, route.pattern, tuple(sorted(route.methods)), route.mode, route.proof, route.level
    )
    named = sorted(
        (each for each in assets if each.routes and row in each.rows),
        key=lambda each: (-each.impact, each.id),
    )
    return tuple(f"{each.id} (impact {each.impact})" for each in named)


def off_targets(api: ApiSettings) -> tuple[str, ...]:
    """Return a target under each route in mode ``off``."""
    return tuple(_target(route.pattern) for route in api.routes if route.mode is Mode.OFF)


def _headers_of(file: Path | None) -> Headers:
    """Read a file of headers, a line each; empty lines and such as begin with ``#`` say nothing."""
    if file is None:
        return ()
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise RunPlanError(f"{file}: {error.strerror}, expected a file of headers") from None
    if len(data) > _MAX_FILE:
        raise RunPlanError(f"{file}: got more than {_MAX_FILE} bytes of headers")
    found = []
    for number, raw in enumerate(data.decode("latin-1").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        # The line isn't quoted: it may hold a key.
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value.strip()):
            raise RunPlanError(f"{file}: line {number} is no header, expected name: value")
        found.append((name, value.strip()))
    return tuple(found)


def _made_up(routes: tuple[Route, ...], edges: Mapping[str, EdgeRule]) -> Iterator[DrillRequest]:
    """Yield a request for each route that is armed, or for each if none is."""
    armed = [route for route in routes if route.mode is not Mode.OFF] or list(routes)
    for route in armed:
        injection = _injection(route, edges)
        methods, target = route.methods, _target(route.pattern)
        if injection is not None:
            methods = frozenset(methods & injection.rule.methods) or injection.rule.methods
            target = injection.mount + _target(injection.rule.patterns[0])
        method = "GET" if not methods or "GET" in methods else min(methods)
        body = b"{}" if method in {"POST", "PUT", "PATCH"} else b""
        yield DrillRequest(method, target, SUCCESSES, body)


def _injection(route: Route | None, edges: Mapping[str, EdgeRule]) -> Injection | None:
    """Return what is injected on a route, None where the API itself answers."""
    rule = None if route is None or route.secret is None else edges.get(route.secret)
    if route is None or rule is None:
        return None
    return Injection(rule, route.pattern.removesuffix("/**"))


def _target(pattern: str) -> str:
    """Return a path that a pattern matches."""
    segments = [_MADE_UP if part in {"*", "**"} else part for part in pattern.split("/")[1:]]
    return "/" + "/".join(segments)


def _sample(
    request: DrillRequest,
    route: Route | None,
    headers: Headers,
    edges: Mapping[str, EdgeRule],
    assets: tuple[str, ...],
) -> Sample:
    more: Headers = (("Content-Type", request.content_type),) if request.body else ()
    return Sample(
        method=request.method,
        target=request.target,
        route=None if route is None else route.name,
        proof=Proof.BEARER if route is None else route.proof,
        level=Level.HARDWARE if route is None else route.level,
        mode=Mode.ENFORCE if route is None else route.mode,
        headers=headers + more,
        body=request.body,
        echo=request.echo,
        login=request.login,
        good=request.good,
        minimum_versions={} if route is None else dict(route.minimum_versions),
        injection=_injection(route, edges),
        pattern="" if route is None else route.pattern,
        assets=assets,
    )


_INVITED_SECONDS = 120
_OF_A_DRILL = "drill-"
"""What the names of canaries that drills plant begin with."""

_ENDED = frozenset({"ended", "revoked", "withheld"})
_GENUINE = {Platform.ANDROID: "genuine-android", Platform.IOS: "genuine-iphone"}
_IN_OWN_CHIP = {**_GENUINE, Platform.ANDROID: "strongbox-android"}


def wants_own_chip(policy: Policy) -> bool:
    """Tell whether a policy takes keys in a chip of their own alone, at every level that key attestation gets."""
    judging = [
        rule
        for level in policy.levels.values()
        for rule in leaves_of(level)
        if isinstance(rule, HardwareSecurity)
    ]
    return bool(judging) and all(rule.strongbox for rule in judging)


class LabPhones:
    """Implement :class:`watchword.drill.interface.Phones` by the lab's."""

    def __init__(
        self,
        settings: Settings,
        api: ApiSettings,
        authorities: LabAuthorities,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Prepare; a phone is made when it's asked for."""
        self._apps = {name: settings.apps[name] for name in api.apps}
        self._routes = api.routes
        self._genuine = _IN_OWN_CHIP if wants_own_chip(settings.policy) else _GENUINE
        self._authorities = authorities
        self._clock = clock
        self._entropy = entropy
        self._numbers = itertools.count()

    def genuine(self, platform: Platform | None = None) -> Phone:
        """See :meth:`watchword.drill.interface.Phones.genuine`."""
        wanted = list(self._genuine) if platform is None else [platform]
        for each in wanted:
            if self._app(each) is not None:
                return self.of_kind(self._genuine[each])
        raise MissingError(Need.GENUINE, f"no app of the API is for {wanted[0].value}")

    def of_kind(self, kind: str) -> Phone:
        """See :meth:`watchword.drill.interface.Phones.of_kind`."""
        model = PHONES[kind]
        app = self._app(model.platform)
        if app is None:
            raise MissingError(Need.PHONES, f"no app of the API is for {model.platform.value}")
        if isinstance(app.identity, AppleApp) and _is_listed(model, app.identity):
            raise MissingError(Need.PHONES, f"{app.id} lists what a {kind} is")
        # A phone's keys follow from its name: each is one that nobody has seen.
        name = f"drill-{kind}-{next(self._numbers)}-{self._entropy.token_bytes(8).hex()}"
        setup = PhoneSetup(authorities=self._authorities, clock=self._clock, name=name)
        return Phone(kind, app.id, model.platform, model.build(self._installed(app), setup))

    def _app(self, platform: Platform) -> AppRegistration | None:
        return next((app for app in self._apps.values() if app.platform is platform), None)

    def _installed(self, app: AppRegistration) -> InstalledApp:
        """Return an app as it stands on a phone, in the lowest version that every route lets in."""
        asked = [route.minimum_versions.get(app.id, "1") for route in self._routes]
        version = max([app.minimum_version or "1", *asked], key=_numbers)
        if isinstance(app.identity, AppleApp):
            return InstalledIosApp(
                app.identity.team_id, app.identity.bundle_id, version, app.identity.environment
            )
        digests = tuple(sorted(app.identity.signing_digests))
        return InstalledAndroidApp(app.identity.package, digests, _numbers(version)[0])


def _is_listed(model: PhoneModel, app: AppleApp) -> bool:
    """Tell whether a kind of phone that most apps refuse is one that this app takes."""
    listed = model.listed_as if isinstance(model, IPhoneModel) else None
    return listed in {*app.platforms, *app.distributed_by}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class BorrowedKeys:
    """Implement :class:`watchword.drill.interface.Keys` by the key ring of this machine's service."""

    def __init__(self, ring: KeyRing, gate: GateState, mark: RollbackDetector) -> None:
        """Lend the keys of an open ring, and what the API's gate on this machine knows.

        :param mark: of the service's store, which says whose challenges count.
        """
        self._ring = ring
        self._mark = mark
        self._gate = gate

    def policy(self) -> GatePolicy | None:
        """Return what the API's gate goes by now, None where it knows nothing yet."""
        with suppress(UnavailableError):
            _ = self._gate.generation  # Looks whether there is something newer.
            return self._gate.policy
        return None

    def token_signer(self) -> Signer:
        """See :meth:`watchword.drill.interface.Keys.token_signer`."""
        return self._ring.signer()

    def bundle_signer(self) -> Signer:
        """See :meth:`watchword.drill.interface.Keys.bundle_signer`."""
        return self._ring.bundle_signer()

    def gate_secret(self, audience: str) -> GateSecret:
        """See :meth:`watchword.drill.interface.Keys.gate_secret`."""
        return self._ring.gate_secret(audience)

    def challenge_key(self) -> bytes:
        """See :meth:`watchword.drill.interface.Keys.challenge_key`."""
        return epoch_key(self._ring.ring.challenge_key, self._mark.number)

    def injected(self, secret: str) -> InjectedValue | None:
        """See :meth:`watchword.drill.interface.Keys.injected`."""
        try:
            _ = self._gate.generation  # Looks whether there is something newer.
            return self._gate.injected(secret)
        except UnavailableError:
            return None


class SocketOperator:
    """Implement :class:`watchword.drill.interface.Operator` over the operator's socket."""

    def __init__(
        self, client: OperatorClient, because: str, clock: Clock, entropy: Entropy
    ) -> None:
        """Act in the operator's name.

        :param because: stands in the audit trail beside what is done.
        :param clock: tells when something was planted.
        """
        self._clock = clock
        self._client = client
        self._because = because
        self._entropy = entropy
        self._planted: DrillHoneytoken | None = None

    def close(self) -> None:
        """Take out what was planted; what it raised stays on record."""
        planted, self._planted = self._planted, None
        if planted is not None:
            # A service that is gone by now is no reason to lose the report; the canary opens nothing.
            with suppress(RefusedError, UnavailableError):
                self._client.post(f"/v1/canaries/{planted.name}/remove")

    def revoke(self, instance: str) -> None:
        """See :meth:`watchword.drill.interface.Operator.revoke`."""
        self._client.post(f"/v1/instances/{instance}/revoke", {"because": self._because})

    def counted(self) -> Mapping[str, int]:
        """See :meth:`watchword.drill.interface.Operator.counted`."""
        found: dict[str, int] = {}
        for row in self._client.get("/v1/refusals")["counts"]:
            found[row["reason"]] = found.get(row["reason"], 0) + row["count"]
        return found

    def invite(self, app: str, level: Level) -> str:
        """See :meth:`watchword.drill.interface.Operator.invite`."""
        wanted = {"app": app, "level": level.value, "because": self._because}
        lives = {"expires_in": _INVITED_SECONDS, "instance_for": _INVITED_SECONDS}
        try:
            return str(self._client.post("/v1/test-codes", {**wanted, **lives})["code"])
        except RefusedError:
            raise MissingError(Need.GENUINE, f"a test instance of level {level.value}") from None

    def decoys(self) -> int:
        """See :meth:`watchword.drill.interface.Operator.decoys`."""
        try:
            rows = self._client.get("/v1/canaries")["canaries"]
        except (RefusedError, UnavailableError):
            raise MissingError(Need.OPERATOR, "who can plant canary keys") from None
        return sum(not each["name"].startswith(_OF_A_DRILL) for each in rows)

    def plant(self) -> DrillHoneytoken:
        """See :meth:`watchword.drill.interface.Operator.plant`."""
        if self._planted is not None:
            return self._planted
        # A name of its own in each run: what an earlier one raised stays on record.
        name = f"{_OF_A_DRILL}{self._entropy.token_bytes(8).hex()}"
        wanted = {"name": name, "like": "generic", "note": self._because}
        try:
            made = self._client.post("/v1/canaries", wanted)
        except (RefusedError, UnavailableError):
            raise MissingError(Need.OPERATOR, "who can plant canary keys") from None
        self._planted = DrillHoneytoken(name, str(made["key"]), self._clock.timestamp())
        return self._planted

    def alarms(self, canary: DrillHoneytoken) -> int:
        """See :meth:`watchword.drill.interface.Operator.alarms`."""
        told = self._client.get("/v1/canaries/alarms", canary=canary.name)
        return int(told["totals"].get(canary.name, 0))

    def secrets(self) -> Sequence[KeptSecret]:
        """See :meth:`watchword.drill.interface.Operator.secrets`."""
        try:
            rows = self._client.get("/v1/secrets")["secrets"]
        except RefusedError:
            raise MissingError(Need.DELIVERY, "or one that is injected") from None
        return [_kept(row) for row in rows]


def _kept(row: Mapping[str, Any]) -> KeptSecret:
    current = [each["made_at"] for each in row["versions"] if each["state"] == "current"]
    made_at = datetime.fromisoformat(current[0]).timestamp() if current else None
    ended = frozenset(each["version"] for each in row["versions"] if each["state"] in _ENDED)
    return KeptSecret(row["name"], made_at, ended)


LEEWAY_SECONDS: Final = 30
"""Seconds that a gate lets clocks differ."""

_BECAUSE: Final = "watchword drill"
_RENEW_BEFORE: Final = 60.0
_USES: Final = 50


def _unsigned(_call: Call) -> Headers:
    """Name no run: on this machine there is nobody to be told."""
    return ()


@dataclass(frozen=True, slots=True)
class Targets:
    """Hold how a drill reaches the deployment.

    :param origins: by part; what isn't there can't be attacked.
    :param rate: most requests a second, None on this machine.
    :param lab: whether this machine's lab believes simulated phones, and injects its keys.
    :param signed: returns the headers that name the run, for each request.
    :param ca: file of the certificates that are believed instead of the public authorities'.
    :param invited: the test instance, where there is no lab.
    """

    origins: Mapping[Part, Origin]
    loopback: bool
    rate: float | None = None
    lab: bool = True
    signed: Callable[[Call], Headers] = _unsigned
    ca: Path | None = None
    invited: Held | None = field(default=None, repr=False)


@dataclass(slots=True)
class SharedInstance:
    """Enrol a genuine instance once, and renew it before its tokens end.

    :ivar uses: after so many uses another phone takes over, so that no limit per instance is met by what isn't made to
        meet it; None where there is only one.
    """

    context: Callable[[], AttackContext]
    uses: int | None = None
    first: Held | None = None
    _used: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: Held | None = None

    def get(self) -> Held:
        """Return it; the first call enrols it.

        :raises MissingError: when there is none, or the service refuses it.
        """
        with self._lock:
            context = self.context()
            self._used += 1
            if self._held is None and self.first is not None:
                self._held = self._renewed(context, self.first)
            elif self._held is None or (self.uses is not None and self._used > self.uses):
                self._held, self._used = enrol_genuine(context), 0
            elif self._ends(self._held) - context.now() < min(
                _RENEW_BEFORE, context.facts.token_lifetime / 2
            ):
                self._held = self._renewed(context, self._held)
            return self._held

    def _renewed(self, context: AttackContext, held: Held) -> Held:
        renewal = renew(context, held)
        if renewal.held is None:
            detail = f"the service didn't renew it: {described(renewal.answer)}"
            raise MissingError(Need.GENUINE, detail)
        return renewal.held

    def _ends(self, held: Held) -> float:
        return min(token.expires_at for token in held.tokens.values())


@dataclass(slots=True)
class Harness:
    """Hold an open attack context and what is asked of it from the outside.

    :ivar invited: the genuine side is a test instance.
    :ivar population: returns a genuine instance beside the one that attacks share; None where there is none.
    :ivar standing: returns what the deployment is now.
    :ivar routes: that the run goes by.
    """

    context: AttackContext
    wire: HttpWire
    stop: threading.Event
    population: Callable[[], Held] | None
    invited: bool = False
    routes: tuple[Route, ...] = ()
    standing: Callable[[], "Standing"] = lambda: Standing("")


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold what the deployment is at a moment, so that another one can be told from it.

    :param generation: of the API's policy as the file has it; empty where that can't be told.
    :param enforced: what the gate of this machine goes by; None where nobody can see.
    """

    generation: str
    enforced: GatePolicy | None = None


def standing_of(settings: Settings, api: ApiSettings, keys: BorrowedKeys | None) -> Standing:
    """Return what the deployment is now."""
    enforced = None if keys is None else keys.policy()
    try:
        data = read_document(settings.path, missing="the file that the drill began with").data
        return Standing(generation_of(api.name, data), enforced)
    except (ConfigurationError, KeyError, TypeError):
        return Standing("", enforced)


@contextmanager
def open_harness(
    settings: Settings,
    api: ApiSettings,
    targets: Targets,
    clock: Clock,
    entropy: Entropy,
    assets: Collection[Asset] = (),
) -> Iterator[Harness]:
    """Open everything that a drill of one API works with.

    :param assets: of the plan: what has to be guarded on which route.
    """
    drill = settings.drill.get(api.name, DrillSettings())
    stop = threading.Event()
    with ExitStack() as stack:
        wire = HttpWire(
            targets.origins, rate=targets.rate, signed=targets.signed, stop=stop, ca=targets.ca
        )
        stack.callback(wire.close)
        phones, keys = _lab_side(settings, api, targets, clock, entropy)
        service = Part.SERVICE in targets.origins
        uses = None if keys is None else _uses(settings, api)
        shared = SharedInstance(lambda: context, uses, first=targets.invited)
        population = SharedInstance(lambda: context, uses)
        samples = samples_of(api, drill, _edges(settings), assets)
        weak = [each for each in weak_routes(assets) if each.row.api == api.name]
        context = AttackContext(
            facts=replace(
                facts_of(settings, api),
                unasked=unasked(api, samples, assets),
                weak=tuple(map(str, weak)),
            ),
            samples=samples,
            wire=wire,
            now=clock.timestamp,
            random=entropy.token_bytes,
            wait=lambda seconds: _wait(stop, seconds),
            phones=phones if service else None,
            keys=keys if service else None,
            operator=_operator(stack, settings, clock, entropy)
            if service and targets.loopback
            else None,
            shared=shared.get if service and phones else None,
            channel=wire,
        )
        # A test instance is one; beside a lab there are as many phones as one likes.
        others = shared if keys is None else population
        yield Harness(
            context,
            wire,
            stop,
            others.get if context.shared else None,
            invited=isinstance(phones, NoPhones),
            standing=lambda: standing_of(settings, api, keys),
            routes=api.routes,
        )


def _uses(settings: Settings, api: ApiSettings) -> int:
    """Return after how many uses another phone takes over: well before any limit per instance, which is for attacks to meet."""
    bounds = [] if api.rate is None else [api.rate.requests]
    bounds += [each.requests for each in api.limits if each.enforced]
    injected = {each.secret for each in api.routes}
    for name, edge in _edges(settings).items():
        if name in injected:
            for each in edge.allowances:
                most = each.calls if each.calls is not None else each.spend
                bounds += [] if most is None else [most // (1 if each.calls else edge.cost)]
    return max(1, min([_USES, *(each // 4 for each in bounds)]))


def _edges(settings: Settings) -> Mapping[str, EdgeRule]:
    """Return by secret into which calls it is injected."""
    kept = settings.secrets
    return {} if kept is None else {name: each.rule for name, each in kept.edges.items()}


def facts_of(settings: Settings, api: ApiSettings) -> Facts:
    """Return what attacks must know of an API."""
    rate, kept = api.rate, settings.secrets
    deliveries = {} if kept is None else kept.deliveries
    return Facts(
        api=api.name,
        issuer=settings.service.issuer,
        audience=api.audience,
        audiences={
            app: frozenset(each.audience for each in settings.apis.values() if app in each.apps)
            for app in api.apps
        },
        environment=settings.environment,
        token_lifetime=settings.token_lifetime(api),
        leeway=LEEWAY_SECONDS,
        off=off_targets(api),
        rate=None if rate is None else (rate.requests, rate.seconds),
        binding_header=api.binding_header,
        lowest_versions={
            app: lowest
            for app in api.apps
            if (lowest := settings.apps[app].minimum_version) is not None
        },
        own_chip=wants_own_chip(settings.policy),
        limits=api.limits,
        # What no app of the API gets is another API's to attack.
        deliveries={
            name: rule for name, rule in deliveries.items() if rule.apps.intersection(api.apps)
        },
        enrolments=_enrolments(settings),
    )


def _enrolments(settings: Settings) -> tuple[int, int] | None:
    """Return how many may enrol from an address, where this machine is a proxy that says from which."""
    service = settings.service
    host = "127.0.0.1" if service.listen.host == "localhost" else service.listen.host
    own = ipaddress.ip_address(host)
    if settings.environment is not Environment.LAB or not own.is_loopback:
        return None
    believed = any(own in network for network in service.trusted_proxies)
    rate = service.enrolments.build().address
    return (rate.requests, rate.seconds) if believed else None


def _lab_side(
    settings: Settings, api: ApiSettings, targets: Targets, clock: Clock, entropy: Entropy
) -> tuple[Phones | None, BorrowedKeys | None]:
    if not (targets.lab and targets.loopback and settings.environment is Environment.LAB):
        return (None if targets.invited is None else NoPhones()), None
    if not settings.service.keyring.exists():
        return None, None
    authorities = load_or_create(settings.service.state_dir, entropy)
    ring = KeyRing(
        FileDocument(settings.service.keyring),
        environment=settings.environment,
        grace=settings.longest_lifetime + LEEWAY_SECONDS,
        now=clock.timestamp(),
        entropy=entropy,
        keeper=key_keeper_of(settings, openbao_of(settings)),
    )
    bundle = settings.service.gate_bundle(api.name)
    state = GateBundleFile(bundle, settings.service.bundle_key, api=api.name)
    return LabPhones(settings, api, authorities, clock, entropy), BorrowedKeys(
        ring, state, RollbackDetector(settings.service.rollback_detector)
    )


def _operator(
    stack: ExitStack, settings: Settings, clock: Clock, entropy: Entropy
) -> Operator | None:
    try:
        client = stack.enter_context(OperatorClient(settings.service.operator_socket))
        client.get("/v1/refusals")
    except UnavailableError:
        return None
    operator = SocketOperator(client, _BECAUSE, clock, entropy)
    stack.callback(operator.close)
    return operator


def _wait(stop: threading.Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise KeyboardInterrupt
