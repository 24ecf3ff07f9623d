"""Define what a plan is made of: techniques and protections, assets and paths.

No likelihood stands anywhere in here: the method ranks by impact alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, StrEnum
from typing import Final, Protocol

from watchword.vocabulary import Level, Mode, Proof

IMPACT_LEVELS: Final = (5, 4, 3, 2, 1)
"""Business impact, the worst first."""

CUT_THRESHOLD: Final = 2
"""A step counts as cut from this strength on: common tools are stopped."""

CLIENT_STRENGTH: Final = 2
"""Most that a check is worth that runs only on a device the attacker owns: he can take it out."""

MAX_EFFORT: Final = 100

UNJUDGED: Final = "TODO: say what the loss would do to the business"
"""Stands for a reason until somebody gives it."""


def is_guess(because: str) -> bool:
    """Tell by an asset's reason whether nobody has judged its impact yet."""
    return because.upper().startswith("TODO")


class Component(StrEnum):
    """Name the three parts of a mobile platform."""

    APP = "app"
    CHANNEL = "channel"
    BACKEND = "backend"


class Stage(StrEnum):
    """Say what a technique is for: to gather intelligence, or to do the damage."""

    RECON = "recon"
    EXPLOIT = "exploit"


class Intelligence(StrEnum):
    """Name what an attacker learns or gains by one step and needs for another."""

    API_KEY = "api_key"
    PROTOCOL = "protocol"
    ENDPOINTS = "endpoints"
    SESSION_TOKEN = "session_token"  # noqa: S105 - a kind of intelligence.
    CREDENTIALS = "credentials"
    DEVICE_CONTROL = "device_control"
    APP_LOGIC = "app_logic"
    SCALE = "scale"
    CLIENT_CERTIFICATE = "client_certificate"


class Actor(StrEnum):
    """Say who calls what an attacker is after, and so in whose place he comes.

    ``user``: people, with the app on a phone.  ``partner``: other organisations' servers, with a client certificate of mutual TLS.
    A partner has no app: whatever proves an app or a device says nothing of it.
    """

    USER = "user"
    PARTNER = "partner"


class Trait(StrEnum):
    """Say what it is about an asset that an attacker is after.

    ``records``: data of many users that the API serves.  ``live-data``: one user's data in the running app, on its screen,
    in its storage or on the wire.  ``account``: a user's login or session.  ``stored-value``: money, points or vouchers that
    can be taken out.  ``payment``: an order to pay is given, or a card is used for it.  ``inventory``: scarce goods or
    slots.  ``third-party-key``: a key that somebody else bills to its owner.  ``availability``: it must answer.
    ``app-logic``: what the app decides or knows by itself (a paywall, a limit, a model).
    ``internal-network``: what the backend can reach.  ``fraud-rule``: a use case that trusts the
    device's place or number (a bonus, a vote, a game).
    """

    RECORDS = "records"
    LIVE_DATA = "live-data"
    ACCOUNT = "account"
    STORED_VALUE = "stored-value"
    PAYMENT = "payment"
    INVENTORY = "inventory"
    THIRD_PARTY_KEY = "third-party-key"
    AVAILABILITY = "availability"
    APP_LOGIC = "app-logic"
    INTERNAL_NETWORK = "internal-network"
    FRAUD_RULE = "fraud-rule"


class EnforcedAt(StrEnum):
    """Say where a protection acts; ``client``: only on the device, which the attacker may own."""

    SERVER = "server"
    CLIENT = "client"
    BOTH = "both"
    BUILD = "build"


class ProtectionKind(StrEnum):
    """Say what a protection does to the attack."""

    PREVENT = "prevent"
    SLOW_RECON = "slow-recon"
    LIMIT = "limit"
    DETECT = "detect"


class Effort(IntEnum):
    """Give the usual efforts, in units of about a week of one person's work."""

    S = 1
    M = 3
    L = 6


@dataclass(frozen=True, slots=True)
class Technique:
    """Hold one thing an attacker does at one component.

    :param id: such as ``MT-B03``; never reused.
    :param about: one or two sentences: how it is done.
    :param needs: what he must have for it, all of it.
    :param harms: which assets it reaches; empty for reconnaissance.
    :param actors: in whose place it is done; only assets that one of them calls are reached.
    :param accepted: why nothing cuts it, in words: a risk that has to be accepted by name.  Empty where some protection does.
    :param names: its ids in other catalogues, by catalogue: ``maswe``, ``attack-mobile``,
        ``attack-enterprise``, ``owasp-api``, ``owasp-mobile``, ``owasp-oat``.
    """

    id: str
    name: str
    about: str
    component: Component
    stage: Stage
    needs: frozenset[Intelligence] = frozenset()
    gives: frozenset[Intelligence] = frozenset()
    harms: frozenset[Trait] = frozenset()
    actors: frozenset[Actor] = frozenset({Actor.USER})
    accepted: str = ""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Protection:
    """Hold one measure.

    :param id: such as ``PR-B01``; never reused.
    :param about: one or two sentences: what it is.
    :param cuts: strength by technique: 1 slows, 2 stops common tools, 3 blocks.
    :param effort: 1 to :data:`MAX_EFFORT`, see :class:`Effort`.
    :param depends_on: what must be there first.
    :param does_not: what it does not stop, in words: each at least one.
    :param evidence: keys of the observations that can prove it.
    :param reviewable: no machine can see it, so that a person's review counts.
    :param clamped: techniques whose strength was stated above :data:`CLIENT_STRENGTH` and was
        lowered when loaded, since it is a check on the attacker's own device alone.
    """

    id: str
    name: str
    about: str
    component: Component
    enforced_at: EnforcedAt
    kind: ProtectionKind
    cuts: Mapping[str, int]
    effort: int
    does_not: tuple[str, ...]
    evidence: tuple[str, ...]
    depends_on: tuple[str, ...] = ()
    reviewable: bool = False
    clamped: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Hold all techniques and protections by id, in the order of their ids.

    :param changed: by id of each entry that was there and that a user's own file made another: the members that differ.
    """

    techniques: Mapping[str, Technique]
    protections: Mapping[str, Protection]
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def way_in(self, path: str) -> tuple[str, tuple[str, ...]]:
        """Return the way in that a path is a variant of: its asset, and the steps that do the damage.

        Paths that differ only in how intelligence is gathered are one way in: what closes one of them closes them all.

        :param path: its id; a step that the catalogue lacks counts as one that does damage.
        """
        asset, _, steps = path.rpartition(":")
        found = [(step, self.techniques.get(step)) for step in steps.split(">")]
        return asset, tuple(
            step
            for step, technique in found
            if technique is None or technique.stage is Stage.EXPLOIT
        )

    def ways_in(self, paths: Iterable[str]) -> Mapping[str, int]:
        """Return by asset how many ways in some paths are."""
        return Counter(asset for asset, _ in {self.way_in(path) for path in paths})

    def with_dependents(self, names: frozenset[str]) -> frozenset[str]:
        """Return protections with all that can't hold without them, directly or through others."""
        found = names
        while more := frozenset(
            each.id
            for each in self.protections.values()
            if each.id not in found and not found.isdisjoint(each.depends_on)
        ):
            found |= more
        return found


class AssetKind(StrEnum):
    """Name what can be lost."""

    DATA = "data"
    SERVICE = "service"
    USE_CASE = "use-case"


@dataclass(frozen=True, slots=True)
class Quantities:
    """Hold what stands behind an impact, for people alone: nothing is computed from it.

    :param money: amount and currency as written, such as ``900000 AUD``.
    :param downtime: as written, such as ``4h``.
    """

    users: int | None = None
    records: int | None = None
    money: str | None = None
    downtime: str | None = None


@dataclass(frozen=True, slots=True)
class RouteRow:
    """Hold one row of an API's route table, as far as evidence hangs on it.

    :param path: its pattern; empty for a row that can't be read, of which nothing is ever proven.
    :param methods: in order; empty for a row that decides on every method.
    :param mode: as it is written, as the next two are: what is no mode enforces nothing.
    """

    api: str
    path: str
    methods: tuple[str, ...]
    mode: str
    proof: str
    level: str

    @property
    def enforced(self) -> bool:
        """Tell whether it refuses anything, for everybody."""
        return self.mode == Mode.ENFORCE

    @property
    def proved(self) -> bool:
        """Tell whether it asks for a proof by the instance's own key."""
        return self.proof in {Proof.SESSION, Proof.DEVICE}

    @property
    def refuses_some(self) -> bool:
        """Tell whether it refuses somebody who has no app."""
        return self.mode in {Mode.ENFORCE, Mode.CANARY}

    @property
    def vouched(self) -> bool:
        """Tell whether it wants a phone that a vendor vouches for."""
        return self.level in {Level.HARDWARE, Level.VERIFIED}

    def decides(self, method: str) -> bool:
        """Tell whether it is one for requests with this method; HEAD runs the code of GET (RFC 9110 section 9.3.2)."""
        own = self.methods
        return not own or method in own or (method == "HEAD" and "GET" in own)

    def __str__(self) -> str:
        """Return it as people read it."""
        return " ".join(filter(None, (",".join(self.methods), self.path)))


def row_of(rows: Sequence[RouteRow], path: str, method: str) -> RouteRow | None:
    """Return the row with this pattern that decides on this method; None where there is none any more."""
    return next((each for each in rows if each.path == path and each.decides(method)), None)


@dataclass(frozen=True, slots=True)
class Asset:
    """Hold one thing whose loss would hurt.

    :param impact: 1 to 5, on the business, whatever the odds.
    :param because: why that much, in words.
    :param lives_in: the components where it can be taken.
    :param places: ``api:NAME`` and ``app:NAME`` where it lives, for matching proofs; may be empty.
    :param routes: where in the APIs, for people: ``clinic /v1/records/**``.
    :param actors: who calls it; an asset of partners alone is reached by what is done in a partner's place.
    :param rows: what of the route tables decides on requests for it; of an asset that names no route each row but
        those in mode ``off`` of one fixed path, since it may hang on any.
    """

    id: str
    kind: AssetKind
    impact: int
    because: str
    lives_in: frozenset[Component]
    traits: frozenset[Trait]
    places: frozenset[str] = frozenset()
    routes: tuple[str, ...] = ()
    quantities: Quantities = Quantities()
    actors: frozenset[Actor] = frozenset({Actor.USER})
    rows: tuple[RouteRow, ...] = ()


class PathOrigin(StrEnum):
    """Say where a path comes from: derived from needs and gives, added by the user, or pinned."""

    DERIVED = "derived"
    ADDED = "added"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class AttackPath:
    """Hold one scenario: steps that end at an asset, the last one doing the damage.

    :param steps: technique ids in order.
    :param assumes: what the attacker is taken to have already.
    """

    asset: str
    steps: tuple[str, ...]
    origin: PathOrigin = PathOrigin.DERIVED
    assumes: frozenset[Intelligence] = frozenset()
    because: str = ""

    @property
    def id(self) -> str:
        """Return a name that stays the same from plan to plan: ``asset:MT-A02>MT-B03``."""
        return f"{self.asset}:{'>'.join(self.steps)}"


@dataclass(frozen=True, slots=True)
class Struck:
    """Hold a derived path that the user took out, and why."""

    path: AttackPath
    because: str


@dataclass(frozen=True, slots=True)
class Model:
    """Hold what is planned for: the assets, and every path to them.

    :param assets: by id.
    :param paths: sorted by id, without duplicates.
    :param cut: what was left out to stay within limits, in words; empty where nothing was.
    """

    assets: Mapping[str, Asset]
    paths: tuple[AttackPath, ...]
    struck: tuple[Struck, ...] = ()
    cut: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strike:
    """Hold what the user takes out of the derived paths; what is None doesn't narrow.

    :param steps: exactly these, in this order.
    :param owner: who accepted the risk; empty where such a path can't be taken at all.
    :param until: the last day on which the acceptance counts, in UTC; None where it never ends.
    """

    because: str
    asset: str | None = None
    technique: str | None = None
    steps: tuple[str, ...] | None = None
    owner: str = ""
    until: date | None = None

    @property
    def reason(self) -> str:
        """Return why, with who accepted it and until when."""
        if not self.owner or self.until is None:
            return self.because
        return f"{self.because} (accepted by {self.owner} until {self.until.isoformat()})"

    def has_ended(self, today: date) -> bool:
        """Tell whether the acceptance counts no more."""
        return self.until is not None and today > self.until


@dataclass(frozen=True, slots=True)
class Scenarios:
    """Hold what the user says of the paths.

    :param derive: build paths from needs and gives; else only ``add`` and ``pin`` stand.
    :param pin: paths that stay as written, whatever is derived or struck.
    """

    derive: bool = True
    strike: tuple[Strike, ...] = ()
    add: tuple[AttackPath, ...] = ()
    pin: tuple[AttackPath, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFault:
    """Hold what is wrong with a model, where in the ``plan`` section, and what was expected.

    :param where: keys and indexes from ``plan`` on, such as ``("scenarios", "add", 0, "steps")``.
    """

    where: tuple[str | int, ...]
    got: str
    expected: str


@dataclass(frozen=True, slots=True)
class LimitRule:
    """Hold how many requests one instance may send to an API.

    :param routes: sorted paths that it holds on; empty for all.
    :param narrowed: it holds for some versions of an app alone.
    """

    api: str
    name: str
    requests: int
    seconds: int
    routes: tuple[str, ...]
    enforced: bool
    narrowed: bool


@dataclass(frozen=True, slots=True)
class PinRule:
    """Hold that an app pins a host, and whether a mismatch is refused."""

    host: str
    app: str
    enforced: bool


class Deadline(Protocol):
    """Know how much of a time is gone."""

    def is_over(self, share: float) -> bool:
        """Tell whether more than a share (0 to 1) of the time is gone."""


class NoDeadline:
    """Be as patient as it takes."""

    def is_over(self, share: float) -> bool:
        """Never tire."""
        return share < 0
