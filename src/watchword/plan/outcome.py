"""Define what a plan says: ordered items with their reasons, exposure now and afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from watchword.observations import SeenRoute, State
from watchword.plan.interface import (
    Asset,
    AttackPath,
    Catalogue,
    LimitRule,
    Model,
    PinRule,
    Protection,
    RouteRow,
)
from watchword.vocabulary import Environment


class Exposure(StrEnum):
    """Say how a path or an asset stands.

    ``closed``: every path is cut at an exploitation step.  ``delayed``: some path is cut only where
    intelligence is gathered.  ``open``: some path isn't cut at all.  ``unreached``: an asset without a path, since all
    of them were struck; nothing protects it, somebody said that nobody comes that way.
    """

    OPEN = "open"
    DELAYED = "delayed"
    CLOSED = "closed"
    UNREACHED = "unreached"


class Phase(StrEnum):
    """Order the work: first prevent the attack, then secure against intelligence gathering, then harden.

    ``hardening``: measures that slow down without closing, or that stand behind others.
    """

    PREVENT = "prevent"
    GATHERING = "gathering"
    HARDENING = "hardening"


class Action(StrEnum):
    """Say what is to be done about a protection, from what is known of it."""

    INTRODUCE = "introduce"
    VERIFY = "verify"
    RENEW = "renew"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold how one protection stands at one target, and on what that rests.

    :param target: ``api:NAME`` or ``app:NAME``; empty where nothing was observed.
    :param age: seconds since it was seen, None where nothing was observed.
    :param why: one line: why it counts, or why it doesn't.
    :param measured: where it counts, by technique how many ways to carry it out were stopped, of how many that
        were tried.
    :param build: SHA-256 in hex of the build that was looked at, None where there is none.
    :param findings: what speaks against it, (severity, title) by id.
    :param routes: on what of the target it stands so; empty where it does on all of it.
    """

    protection: str
    state: State
    target: str = ""
    key: str = ""
    at: datetime | None = None
    age: int | None = None
    source: str = ""
    why: str = ""
    measured: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    build: str | None = None
    findings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    routes: tuple[SeenRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold every standing, and which protections are proven for which asset.

    :param standings: by protection, sorted by target.
    :param proven: by asset; what counts there.
    :param everywhere: what counts for every asset of the model.
    :param environment: the world that it was judged for.
    :param routes: the rows of all route tables, by API and in the order of each.
    """

    standings: Mapping[str, tuple[Standing, ...]]
    proven: Mapping[str, frozenset[str]]
    everywhere: frozenset[str] = frozenset()
    environment: Environment = Environment.PROD
    routes: tuple[RouteRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """Hold how strongly one protection was seen to act on one technique, beside what was estimated.

    :param stopped: ways to carry the technique out that it stopped, of the ``tried`` that ran.
    :param estimate: the strength that the catalogue states.
    :param strength: the one that the plan takes, see :mod:`watchword.plan.evidence`.
    :param target: where that was measured; of several the one where it came out least.
    """

    protection: str
    technique: str
    stopped: int
    tried: int
    estimate: int
    strength: int
    target: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Hold where an item cuts: a technique, how strongly, and on which paths."""

    technique: str
    strength: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """Hold what follows if an item is left out, solved again without it.

    :param stays_open: paths that nothing else closes; of an item that makes gathering harder, those that nothing else
        delays and nothing in the plan closes.
    :param instead: what would do it in its place; empty where nothing does.
    :param extra_effort: of that, beyond the item's own; may be 0, which is a tie.
    :param solved: False where there was no time to solve it again; the rest says nothing then.
    :param uncut: paths that stay closed, on which nothing else cuts where intelligence is gathered.
    """

    stays_open: tuple[str, ...]
    instead: tuple[str, ...]
    extra_effort: int
    solved: bool = True
    uncut: tuple[str, ...] = ()


class Estimate(StrEnum):
    """Name the inputs that are estimates: a change of one may move an item."""

    IMPACT = "impact"
    EFFORT = "effort"
    STRENGTH = "strength"


@dataclass(frozen=True, slots=True)
class Change:
    """Hold one change of an input that moves an item from its place.

    :param what: in words: ``impact of records from 5 to 3``.
    :param place: where the item stands then, None where it isn't in the plan any more.
    :param size: in steps: one level of impact, one of strength, one class of effort.
    :param estimate: what is changed, :param subject: of which asset or protection,
        :param technique: against what, for a strength; :param before: its value, :param after: the other one.
    """

    what: str
    place: int | None
    size: int
    estimate: Estimate | None = None
    subject: str = ""
    technique: str = ""
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Stability:
    """Hold how firmly an item stands when impacts and efforts are shaken.

    :param draws: how many times it was shaken: each impact by -1, 0 or 1, each effort by half to double.
    :param first: in how many of them the item came first.
    :param kept: in how many it stayed in its phase of work, whatever the level.
    :param smallest: the smallest single change that moves it; None where none was found.
    """

    draws: int
    first: int
    kept: int
    smallest: Change | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """Count assets by exposure at one impact level."""

    level: int
    open: int
    delayed: int
    closed: int
    unreached: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """Hold one entry of the ordered list.

    :param place: counted from 1.
    :param level: the impact level that its phase serves; in the hardening phase the highest it touches.
    :param closes: paths that it newly cuts at an exploitation step, all before it being done.
    :param delays: paths that it newly cuts where intelligence is gathered; something may close them already.
    :param slows: paths on which it makes a step harder without cutting it, or cuts once more.
    :param cuts: the steps that it acts on in this model.
    :param interim: delays what nothing in this plan closes; never counts as closing.
    :param ties: other sets that would do as well at the same effort and strength, in place of it.
    :param together: other items of its phase without which an asset that it works for stays unclosed.
    :param needed_for: items that depend on it.
    :param spent: effort of the list up to and with this item.
    :param exposure: the assets by exposure once the list up to and with this item is done.
    :param why: one or two sentences for people.
    :param unclosed: of the paths that it delays, those that nothing in this plan closes, where it is interim.
    """

    place: int
    protection: Protection
    phase: Phase
    level: int
    effort: int
    action: Action
    closes: tuple[str, ...]
    delays: tuple[str, ...]
    slows: tuple[str, ...]
    cuts: tuple[Cut, ...]
    assets: tuple[str, ...]
    interim: bool
    ties: tuple[tuple[str, ...], ...]
    together: tuple[str, ...]
    needed_for: tuple[str, ...]
    skipped: Skipped
    stability: Stability | None
    evidence: tuple[Standing, ...]
    spent: int
    exposure: tuple[Tally, ...]
    why: str
    unclosed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathState:
    """Hold how one path stands now and once the plan is done.

    :param closers: protections of the catalogue that could close it; empty: nothing can.
    :param cut_now: what cuts it now: (technique, protection).
    :param cut_after: what cuts it then.
    """

    path: AttackPath
    impact: int
    now: Exposure
    after: Exposure
    closers: tuple[str, ...]
    cut_now: tuple[tuple[str, str], ...]
    cut_after: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AssetState:
    """Hold how one asset stands now and once the plan is done.

    :param paths: how many lead to it, each way of gathering intelligence counted.
    :param ways: how many ways in these are, by the steps that do the damage.
    """

    asset: Asset
    now: Exposure
    after: Exposure
    paths: int
    ways: int = 0


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Hold a phase that the budget doesn't complete.

    :param left: effort that was left for it; :param needs: effort of the cheapest set that closes it.
    """

    phase: Phase
    level: int
    left: int
    needs: int
    cheapest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cheaper:
    """Hold a set that closes all that the phases of prevention close, for less effort in all.

    The phases serve the worst level first, which may cost more in the end.
    """

    protections: tuple[str, ...]
    effort: int
    phases_effort: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Hold the whole answer.

    :param exposure: assets by exposure now, the worst level first.
    :param claims: protections that somebody claims and nothing proves: to verify.
    :param proven: protections that count somewhere, with what that rests on.
    :param failing: protections that are known to be absent or without effect somewhere.
    :param unclosable: paths that no protection of the catalogue closes.
    :param effort: of all items.
    :param added: what is taken for proven without being so (``--what-if +ID``); :param removed: what is taken to be out of
        reach (``-ID``), with all that needs it.  Where either holds anything, this is no plan but a question.
    :param cut: what was left out to stay within limits of size or time, in words.
    :param environment: the world that it holds for: what was seen in the lab counts in a plan for the lab alone.
    :param unreadable: lines of observations that couldn't be read: what they said, good or bad, isn't in it.
    :param measures: where a measured strength stands in place of an estimate, by protection and technique; the
        ``catalogue`` of the plan has the measured one.
    :param routes: the rows of all route tables, by API and in the order of each.
    :param limits: of the file, as are ``pins``: a later plan is compared by them.
    """

    model: Model
    catalogue: Catalogue
    items: tuple[Item, ...]
    paths: tuple[PathState, ...]
    assets: tuple[AssetState, ...]
    exposure: tuple[Tally, ...]
    claims: tuple[Standing, ...]
    proven: tuple[Standing, ...]
    failing: tuple[Standing, ...]
    unclosable: tuple[str, ...]
    shortfalls: tuple[Shortfall, ...]
    cheaper: Cheaper | None
    budget: int | None
    effort: int
    made_at: datetime
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    environment: Environment = Environment.PROD
    unreadable: int = 0
    measures: tuple[Measure, ...] = ()
    routes: tuple[RouteRow, ...] = ()
    limits: tuple[LimitRule, ...] = ()
    pins: tuple[PinRule, ...] = ()
