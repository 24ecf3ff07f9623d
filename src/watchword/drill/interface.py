"""Define the drill: a deployment under attack, the ports that reach it, what an attack is, and what it can't do without.

An attack is a set of variants.  Each variant ends in a request to the API that the genuine app could make and the attacker
must not, so that there is one question to all of them: was it served?
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol

from watchword.broker.interface import DeliveryRule, EdgeRule, InjectedValue
from watchword.client.device import Device
from watchword.client.session import HeldToken
from watchword.drill.wire import Answer, Call, Channel, Headers, Part, Wire
from watchword.gate.interface import Limit
from watchword.observations import SeenRoute
from watchword.ports import Signer
from watchword.reasons import Reason, WatchwordError
from watchword.tokens.proofs.interface import GateSecret
from watchword.vocabulary import Environment, Level, Mode, Platform, Proof


class Need(StrEnum):
    """Name what an attack can't do without; one that lacks it isn't run, and its report says so."""

    SAMPLE = "sample"
    SERVICE = "service"
    GENUINE = "genuine"
    PHONES = "phones"
    KEYS = "keys"
    OPERATOR = "operator"
    UPSTREAM = "upstream"
    SESSION_ROUTE = "session-route"
    DEVICE_ROUTE = "device-route"
    BODY_ROUTE = "body-route"
    OFF_ROUTE = "off-route"
    ECHO = "echo"
    LOGIN = "login"
    OTHER_API = "other-api"
    RATE = "rate"
    VERSION_RULE = "version-rule"
    OWN_CHIP_RULE = "own-chip-rule"
    BINDING = "binding"
    TLS = "tls"
    WEAK_TLS = "weak-tls"
    PINS = "pins"
    INJECTED_ROUTE = "lent-route"
    DELIVERY = "delivery"
    QUOTA = "quota"
    LIMIT = "limit"
    DECOY = "decoy"
    PROOF = "proof"
    ADDRESSES = "addresses"


NEEDED: Final[Mapping[Need, str]] = {
    Need.SAMPLE: "a sample request that the API serves (`drill: requests`)",
    Need.SERVICE: "the service that enrols, beside the API",
    Need.GENUINE: "a genuine instance: a lab phone here, a test instance elsewhere",
    Need.PHONES: "the lab's phones, which a service in environment lab on this machine believes",
    Need.KEYS: "the deployment's own keys, which are borrowed in a lab on this machine alone",
    Need.OPERATOR: "the operator's socket of this machine",
    Need.UPSTREAM: "the address of the API itself, behind the gate",
    Need.SESSION_ROUTE: "a sample request on a route with proof: session",
    Need.DEVICE_ROUTE: "a sample request on a route with proof: device",
    Need.BODY_ROUTE: "a sample request with a body, on a route with a proof",
    Need.OFF_ROUTE: "a route in mode off beside an enforced one",
    Need.ECHO: "a sample request whose answer repeats the headers that the API saw (echo: true)",
    Need.LOGIN: "a sample request that signs in (login: true)",
    Need.OTHER_API: "a second API of the same service",
    Need.RATE: "a rate limit per instance on the API",
    Need.VERSION_RULE: "a lowest app version on the app or the route",
    Need.OWN_CHIP_RULE: "a policy that wants keys in a chip of their own, at each level of key attestation",
    Need.BINDING: "a header that the API binds tokens to, in its sample requests",
    Need.TLS: "an API that is reached over https",
    Need.WEAK_TLS: "a TLS library on this machine that can still be made so weak",
    Need.PINS: "a root list and a pin set that the service publishes for an app (`watchword pins publish`)",
    Need.DECOY: "a canary key that is planted where thieves look (`watchword secrets canary add`)",
    Need.PROOF: "a proof that the route asks for (`proof: session` or `proof: device`)",
    Need.INJECTED_ROUTE: "a sample request on a route that injects a key (`secret:`)",
    Need.DELIVERY: "a secret that is handed to an app of the API (`deliver:`) and has a value",
    Need.QUOTA: "a quota or a spend cap on an injected key that so few calls exceed",
    Need.LIMIT: "one of the API's `limits` that a sample falls under and so few requests exceed",
    Need.ADDRESSES: "a lab whose service trusts this machine as its proxy (`service.trusted_proxies`), and a limit of enrolments by "
    "address that so few exceed",
}
"""What each need is, for people."""


class MissingError(WatchwordError):
    """Say that an attack can't be run here, and for want of what."""

    begins = "needs"

    def __init__(self, need: Need, detail: str = "") -> None:
        self.need = need
        super().__init__(f"{self.begins} {NEEDED[need]}" + (f": {detail}" if detail else ""))


class AbsentError(MissingError):
    """Say that the deployment lacks the very thing that has to stop an attack: a finding, where nothing was tried."""

    begins = "not there:"


MAX_ROUTES: Final = 64
"""Most routes, each by each method, that a variant is carried out on."""


@dataclass(frozen=True, slots=True)
class Phone:
    """Hold something that enrols: a simulated phone, or a test instance.

    :param kind: for people, such as ``genuine-iphone``.
    :param app: its app's name under ``apps``.
    """

    kind: str
    app: str
    platform: Platform
    device: Device


class Phones(Protocol):
    """Hand out phones that nobody has seen before."""

    def genuine(self, platform: Platform | None = None) -> Phone:
        """Return a genuine phone, or a test instance where the service believes no lab.

        :raises MissingError: when there is none, or none of this platform.
        """

    def of_kind(self, kind: str) -> Phone:
        """Return a phone of a kind of the lab.

        :raises MissingError: where the service believes no lab, or no app is for its platform.
        """


class Keys(Protocol):
    """Borrow the deployment's own keys: for what only a key that leaked, or a colleague, could send."""

    def token_signer(self) -> Signer:
        """Return the key that signs tokens at this moment."""

    def bundle_signer(self) -> Signer:
        """Return the key that signs gate bundles, and must be good for nothing else."""

    def gate_secret(self, audience: str) -> GateSecret:
        """Return the audience's secret at this moment."""

    def challenge_key(self) -> bytes:
        """Return the key of challenges."""

    def injected(self, secret: str) -> InjectedValue | None:
        """Return what the API's gate adds for a secret now, None where it has none."""


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """Hold what the operator sees of a secret: never its value.

    :param made_at: seconds since 1970, of the version that is handed out now; None where none is.
    :param ended: numbers of the versions that were revoked, or that ended after a rotation.
    """

    name: str
    made_at: float | None
    ended: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class DrillHoneytoken:
    """Hold a canary key that was planted for the drill, and is taken out after it.

    :param planted_at: when, as ``AttackContext.now`` tells it.
    """

    name: str
    key: str = field(repr=False)
    planted_at: float


class Operator(Protocol):
    """Do and see what the operator of the deployment can."""

    def revoke(self, instance: str) -> None:
        """Revoke an instance."""

    def counted(self) -> Mapping[str, int]:
        """Return how often each reason was counted since the start, by its code."""

    def invite(self, app: str, level: Level) -> str:
        """Return a one-time code for a test instance of a few minutes.

        :raises MissingError: when the service grants none of this level.
        """

    def decoys(self) -> int:
        """Return how many canary keys are planted, those of drills left out.

        :raises MissingError: when the service knows no canaries.
        """

    def plant(self) -> DrillHoneytoken:
        """Make a canary key that looks like a third party's; the same one for the whole run, taken out after it.

        :raises MissingError: when the service knows no canaries.
        """

    def alarms(self, canary: DrillHoneytoken) -> int:
        """Return how many alarms a canary raised."""

    def secrets(self) -> Sequence[KeptSecret]:
        """Return the secrets that the service keeps.

        :raises MissingError: when it keeps none.
        """


@dataclass(frozen=True, slots=True)
class Injection:
    """Say into which calls the gate injects a key, for a sample that the third party answers and not the API.

    :param mount: segments that the gate drops from the path's beginning: what comes behind is the path there.
    """

    rule: EdgeRule
    mount: str


SUCCESSES: Final = frozenset(range(200, 300))
"""Status codes that say of themselves that a request was served."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold a request that the API serves to the genuine app.

    :param good: status codes by which the API serves it; any other answer shows nobody that the genuine app is served.

    :param headers: what every copy of the app sends, the key in it among them.
    :param route: name of the route that it falls under, None where no gate stands before the API.
    :param minimum_versions: by app, the lowest version that the route lets in.
    :param injection: None where the API itself answers.
    :param pattern: of its route, as the file has it; empty where no gate stands before the API.
    :param assets: of the plan that live on its route, for people, such as ``payments (impact 5)``.
    :param asked: whether the genuine app has to be served it; what was made up for an open route may be nobody's.
    """

    method: str
    target: str
    route: str | None
    proof: Proof
    level: Level
    mode: Mode
    headers: Headers = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    echo: bool = False
    login: bool = False
    good: frozenset[int] = SUCCESSES
    minimum_versions: Mapping[str, str] = field(default_factory=dict)
    injection: Injection | None = None
    pattern: str = ""
    assets: tuple[str, ...] = ()
    asked: bool = True

    @property
    def name(self) -> str:
        """Return it as people write it."""
        return f"{self.method} {self.target.partition('?')[0]}"

    @property
    def seen(self) -> SeenRoute | None:
        """Return what evidence names that is found with it; None where no gate stands before the API."""
        return SeenRoute(self.pattern, self.method, self.proof) if self.pattern else None

    def call(self, part: Part = Part.GATE) -> Call:
        """Return the request as a script sends it: with what is in the app, and without a token."""
        return Call(part, self.method, self.target, self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold what the file says of the API under attack.

    :param api: its name, None for an API that no ``watchword.yaml`` knows.
    :param audiences: by app, all that this app may ask tokens for; ``audience`` is this API's.
    :param token_lifetime: seconds.
    :param leeway: seconds that clocks may differ.
    :param off: targets of routes in mode ``off``.
    :param unasked: rows of the route table that no sample falls under, for people: nothing can be shown of them.
    :param weak: rows that let pass what would harm an asset of the plan, a sentence each.
    :param rate: requests of one instance in so many seconds, None for no limit.
    :param lowest_versions: by app, the lowest version that enrols; an app that takes any isn't in it.
    :param own_chip: the policy wants keys in a chip of their own, a StrongBox or a Secure Enclave.
    :param limits: on what an instance may send, beside the rate.
    :param deliveries: by name, to whom a secret is handed.
    :param enrolments: so many of one address prefix in so many seconds, where the drill may say which that is; None
        elsewhere.
    """

    api: str | None
    issuer: str
    audience: str
    audiences: Mapping[str, frozenset[str]]
    environment: Environment
    token_lifetime: int
    leeway: int = 30
    off: tuple[str, ...] = ()
    rate: tuple[int, int] | None = None
    binding_header: str | None = None
    lowest_versions: Mapping[str, str] = field(default_factory=dict)
    own_chip: bool = False
    limits: tuple[Limit, ...] = ()
    deliveries: Mapping[str, DeliveryRule] = field(default_factory=dict)
    enrolments: tuple[int, int] | None = None
    unasked: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """Hold an enrolled instance, and what was said to enrol it.

    :param statement: the statement of the enrolment, as sent.
    :param body: the request's members, as sent: what an interceptor holds.
    """

    phone: Phone
    instance: str
    tokens: Mapping[str, HeldToken] = field(repr=False)
    statement: bytes = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Hold how one attempt ended.

    :param sample: what was asked for; the genuine app is served it.
    :param answer: the API's, or the gate's in front of it: was it served?
    :param stops: refusals that were met on the way there, at the service.
    :param served: of how many requests how many were served, where it is a matter of volume.
    :param leaked: what the API was told that only the gate may tell it, empty where nothing was.
    :param unsure: why it proves nothing, empty where it does.
    """

    sample: Sample
    answer: Answer
    stops: tuple[Answer, ...] = ()
    served: tuple[int, int] | None = None
    leaked: str = ""
    unsure: str = ""


Attempts = Sequence[Attempt]
"""What a variant came to."""

Run = Callable[["AttackContext"], Attempts]
"""Carry out a variant; raises :class:`MissingError` where it can't be."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Hold one way to carry out an attack.

    :param name: unique in its attack, in lower case with hyphens.
    :param expected: for which of these reasons it must be refused, at the gate or on the way there; a refusal for
        another reason proves nothing of this check.  Empty where any refusal will do.
    :param each_route: whether it is carried out on each route that it fits, since each is told by its own row whether
        to refuse it.  What is the same for all routes is tried on one of them.
    """

    name: str
    run: Run
    expected: frozenset[Reason] = frozenset()
    each_route: bool = False


@dataclass(frozen=True, slots=True)
class Attack:
    """Hold one attack; its file, id, page and tests have one name.

    :param id: lower case with hyphens.
    :param title: a line in the imperative, as techniques have.
    :param techniques: of the catalogue, that it is an execution of.
    :param protections: by id of the protection that must stop it, the key of evidence that this is.
    :param sends: what is sent, in words.
    :param must: what must happen.
    :param blind: what it can't tell.
    :param exploits: whether it takes or changes something by itself; otherwise it learns or prepares.
    :param alone: whether nothing else may run beside it: it looks at rates or counters.
    """

    id: str
    title: str
    techniques: tuple[str, ...]
    protections: Mapping[str, str]
    needs: tuple[Need, ...]
    sends: str
    must: str
    blind: str
    variants: tuple[Variant, ...]
    exploits: bool = True
    alone: bool = False


@dataclass(frozen=True, slots=True)
class AttackContext:
    """Hold all that attacks work with; each run has one, and attacks run side by side in it.

    :param samples: requests that the API serves, in the order of the file.
    :param now: returns seconds since 1970.
    :param random: returns so many bytes that nobody can guess.
    :param wait: waits so many seconds, or ends the run if it was stopped.
    :param shared: returns the genuine instance that attacks may use and must not spoil; enrols it once.
    :param channel: sends over weakened connections.
    """

    facts: Facts
    samples: tuple[Sample, ...]
    wire: Wire
    now: Callable[[], float]
    random: Callable[[int], bytes]
    wait: Callable[[float], None]
    phones: Phones | None = None
    keys: Keys | None = None
    operator: Operator | None = None
    shared: Callable[[], Held] | None = None
    channel: Channel | None = None

    @property
    def guarded(self) -> tuple[Sample, ...]:
        """Return the samples that a gate stands before: none that signs in, and none that is open to all.

        What the file opens to all says nothing of a check, so that such are returned only where there is nothing else, or
        where an asset lives there: that it is open is what has to be told.  Those that a third party answers come
        last: each call of theirs may cost something.
        """
        found = tuple(each for each in self.samples if not each.login)
        found = tuple(
            sorted(found, key=lambda each: (each.injection is not None, each.mode is Mode.OFF))
        )
        return tuple(each for each in found if each.mode is not Mode.OFF or each.assets) or found

    @property
    def on_each_route(self) -> tuple["AttackContext", ...]:
        """Return an attack context for each route and method that a sample falls under, with that one alone; at most so many.

        What tries all of them goes on in each; where no sample names its route, this one stands for all.
        """
        found: dict[SeenRoute, Sample] = {}
        for sample in self.guarded:
            if sample.seen is not None:
                found.setdefault(sample.seen, sample)
        some = list(found.values())[:MAX_ROUTES]
        return tuple(replace(self, samples=(each,)) for each in some) or (self,)

    def sample(self, *proofs: Proof, body: bool | None = None) -> Sample:
        """Return a sample that asks for the first of these proofs for which there is one; any, if none is named.

        Only those of :attr:`guarded` are taken, first such as the file says are refused to others: on a route that only
        watches nothing can be stopped.

        :param body: whether it must have a body, or must not; None for either.
        :raises MissingError: when there is none.
        """
        fitting = [each for each in self.guarded if body is None or body == bool(each.body)]
        enforced = [each for each in fitting if each.mode is Mode.ENFORCE]
        for some in (enforced, fitting):
            for proof in proofs or (None,):
                for each in some:
                    if proof is None or each.proof is proof:
                        return each
        if body:
            raise MissingError(Need.BODY_ROUTE)
        if proofs and proofs[0] is Proof.DEVICE:
            raise MissingError(Need.DEVICE_ROUTE)
        if proofs and proofs[0] is Proof.SESSION:
            raise MissingError(Need.SESSION_ROUTE)
        kind = ["one without a body"] if body is False else []
        if proofs and fitting:
            # There are samples, and the API serves them: what is missing is a route that asks for so little.
            kind.append("one on a route with proof: " + " or ".join(proofs))
        raise MissingError(Need.SAMPLE, ", ".join(kind))

    def genuine(self) -> Held:
        """Return the genuine instance of this run.

        :raises MissingError: when there is none.
        """
        if self.shared is None:
            raise MissingError(Need.GENUINE)
        return self.shared()

    def new_genuine(self, platform: Platform | None = None) -> Phone:
        """Return a genuine phone of an attack's own; raises as :meth:`genuine` does."""
        if self.phones is None:
            raise MissingError(Need.GENUINE)
        return self.phones.genuine(platform)

    def phone(self, kind: str) -> Phone:
        """Return a phone of a kind of the lab; raises as :meth:`genuine` does."""
        if self.phones is None:
            raise MissingError(Need.PHONES)
        return self.phones.of_kind(kind)

    def borrowed(self) -> Keys:
        """Return the deployment's keys; raises as :meth:`genuine` does."""
        if self.keys is None:
            raise MissingError(Need.KEYS)
        return self.keys

    def operating(self) -> Operator:
        """Return the operator's hand; raises as :meth:`genuine` does."""
        if self.operator is None:
            raise MissingError(Need.OPERATOR)
        return self.operator
