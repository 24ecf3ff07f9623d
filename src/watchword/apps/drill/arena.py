"""Set a drill up: which requests, which phones, whose keys, over which wire."""

import ipaddress
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from watchword.adapters.drill_wire import HttpWire, Origin
from watchword.adapters.gate_bundle.file import GateBundleFile
from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.lab_store import load_or_create
from watchword.adapters.store_mark import StoreMark
from watchword.apps.compose.secrets import key_keeper_of, openbao_of
from watchword.apps.drill.invited_instance import NoPhones
from watchword.apps.drill.lab_side import LabPhones, LentKeys, SocketOperator, wants_own_chip
from watchword.apps.drill.samples import off_targets, samples_of, unasked
from watchword.apps.operator_client import OperatorClient
from watchword.apps.settings import ApiSettings, ConfigurationError, Settings
from watchword.apps.settings.document import read_document
from watchword.apps.settings.generation import generation_of
from watchword.apps.settings.validated import DrillSettings
from watchword.broker.interface import EdgeRule
from watchword.drill.enrolling import enrol_genuine, renew
from watchword.drill.interface import Arena, Facts, Held, Operator, Phones
from watchword.drill.judging import described
from watchword.drill.needs import MissingError, Need
from watchword.drill.wire import Call, Headers, Part
from watchword.gate.interface import GatePolicy, Route
from watchword.plan.evidence import weak_routes
from watchword.plan.interface import Asset
from watchword.ports import Clock, Entropy
from watchword.reasons import UnavailableError
from watchword.vocabulary import Environment

LEEWAY_SECONDS: Final = 30
"""Seconds that a gate lets clocks differ."""

_BECAUSE: Final = "watchword drill"
_RENEW_BEFORE: Final = 60.0
_USES: Final = 50


def _unsigned(_call: Call) -> Headers:
    """Name no run: on this machine there is nobody to be told."""
    return ()


@dataclass(frozen=True, slots=True)
class Reach:
    """Hold how a drill reaches the deployment.

    :param origins: by part; what isn't there can't be attacked.
    :param rate: most requests a second, None on this machine.
    :param lab: whether this machine's lab believes simulated phones, and lends its keys.
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

    arena: Callable[[], Arena]
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
            arena = self.arena()
            self._used += 1
            if self._held is None and self.first is not None:
                self._held = self._renewed(arena, self.first)
            elif self._held is None or (self.uses is not None and self._used > self.uses):
                self._held, self._used = enrol_genuine(arena), 0
            elif self._ends(self._held) - arena.now() < min(
                _RENEW_BEFORE, arena.facts.token_lifetime / 2
            ):
                self._held = self._renewed(arena, self._held)
            return self._held

    def _renewed(self, arena: Arena, held: Held) -> Held:
        renewal = renew(arena, held)
        if renewal.held is None:
            detail = f"the service didn't renew it: {described(renewal.answer)}"
            raise MissingError(Need.GENUINE, detail)
        return renewal.held

    def _ends(self, held: Held) -> float:
        return min(token.expires_at for token in held.tokens.values())


@dataclass(slots=True)
class Stage:
    """Hold an open arena and what is asked of it from the outside.

    :ivar invited: the genuine side is a test instance.
    :ivar crowd: returns a genuine instance beside the one that attacks share; None where there is none.
    :ivar standing: returns what the deployment is now.
    :ivar routes: that the run goes by.
    """

    arena: Arena
    wire: HttpWire
    stop: threading.Event
    crowd: Callable[[], Held] | None
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


def standing_of(settings: Settings, api: ApiSettings, keys: LentKeys | None) -> Standing:
    """Return what the deployment is now."""
    enforced = None if keys is None else keys.policy()
    try:
        data = read_document(settings.path, missing="the file that the drill began with").data
        return Standing(generation_of(api.name, data), enforced)
    except (ConfigurationError, KeyError, TypeError):
        return Standing("", enforced)


@contextmanager
def open_stage(
    settings: Settings,
    api: ApiSettings,
    reach: Reach,
    clock: Clock,
    entropy: Entropy,
    assets: Collection[Asset] = (),
) -> Iterator[Stage]:
    """Open everything that a drill of one API works with.

    :param assets: of the plan: what has to be guarded on which route.
    """
    drill = settings.drill.get(api.name, DrillSettings())
    stop = threading.Event()
    with ExitStack() as stack:
        wire = HttpWire(reach.origins, rate=reach.rate, signed=reach.signed, stop=stop, ca=reach.ca)
        stack.callback(wire.close)
        phones, keys = _lab_side(settings, api, reach, clock, entropy)
        service = Part.SERVICE in reach.origins
        uses = None if keys is None else _uses(settings, api)
        shared = SharedInstance(lambda: arena, uses, first=reach.invited)
        crowd = SharedInstance(lambda: arena, uses)
        samples = samples_of(api, drill, _edges(settings), assets)
        weak = [each for each in weak_routes(assets) if each.row.api == api.name]
        arena = Arena(
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
            if service and reach.loopback
            else None,
            shared=shared.get if service and phones else None,
            channel=wire,
        )
        # A test instance is one; beside a lab there are as many phones as one likes.
        others = shared if keys is None else crowd
        yield Stage(
            arena,
            wire,
            stop,
            others.get if arena.shared else None,
            invited=isinstance(phones, NoPhones),
            standing=lambda: standing_of(settings, api, keys),
            routes=api.routes,
        )


def _uses(settings: Settings, api: ApiSettings) -> int:
    """Return after how many uses another phone takes over: well before any limit per instance, which is for attacks to meet."""
    bounds = [] if api.rate is None else [api.rate.requests]
    bounds += [each.requests for each in api.limits if each.enforced]
    lent = {each.secret for each in api.routes}
    for name, edge in _edges(settings).items():
        if name in lent:
            for each in edge.allowances:
                most = each.calls if each.calls is not None else each.spend
                bounds += [] if most is None else [most // (1 if each.calls else edge.cost)]
    return max(1, min([_USES, *(each // 4 for each in bounds)]))


def _edges(settings: Settings) -> Mapping[str, EdgeRule]:
    """Return by secret to what it is lent."""
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
        token_lifetime=settings.service.token_lifetime,
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
    rate = service.enrolments.address
    return (rate.requests, rate.seconds) if believed else None


def _lab_side(
    settings: Settings, api: ApiSettings, reach: Reach, clock: Clock, entropy: Entropy
) -> tuple[Phones | None, LentKeys | None]:
    if not (reach.lab and reach.loopback and settings.environment is Environment.LAB):
        return (None if reach.invited is None else NoPhones()), None
    if not settings.service.keyring.exists():
        return None, None
    authorities = load_or_create(settings.service.state_dir, entropy)
    ring = FileKeyRing(
        settings.service.keyring,
        environment=settings.environment,
        grace=settings.service.token_lifetime + LEEWAY_SECONDS,
        now=clock.timestamp(),
        entropy=entropy,
        keeper=key_keeper_of(settings, openbao_of(settings)),
    )
    bundle = settings.service.gate_bundle(api.name)
    state = GateBundleFile(bundle, settings.service.bundle_key, api=api.name)
    return LabPhones(settings, api, authorities, clock, entropy), LentKeys(
        ring, state, StoreMark(settings.service.store_mark)
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
