"""Judge observations: which protection stands how, where, and for which asset that may be relied on.

Two things keep this honest.  What counts needs all of it: an observer who vouches, a key of the
protection, the right world, build and policy, and a proof that isn't too old.  What only takes trust away needs
nothing of the kind: an unsigned ``broken`` is believed, since nobody gains by it but the defender.

Measured strengths stand in place of estimated ones.  A measure can refute an estimate and never raise it: what got through
got through, and that all was stopped that a drill tries doesn't show that nothing else gets through (ADR 0020).
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from fractions import Fraction
from typing import Any, Final

from watchword.observations import (
    BY_A_PROOF,
    MAX_REVIEW,
    OF_A_ROUTE,
    Claim,
    Observation,
    Review,
    SeenRoute,
    State,
    Vouched,
)
from watchword.plan.interface import (
    Actor,
    Asset,
    Catalogue,
    Component,
    EnforcedAt,
    Protection,
    RouteRow,
    row_of,
)
from watchword.plan.outcome import Evidence, Measure, Standing
from watchword.vocabulary import Environment, Mode

NEGATIVE: Final = frozenset({State.ABSENT, State.BROKEN})
"""Bad news: it only takes trust away."""

OF_A_PACKAGE: Final = ("scan:static.", "scan:dynamic.", "scan:sbom.")
"""What a key begins with that is looked at in a built app."""

_MAX_NAMED: Final = 3

_VOUCHED_FROM: Final = 4
"""Impact from which on a phone that nobody vouches for isn't enough."""

_PLACES: Final = {Component.APP: "app:", Component.CHANNEL: "api:", Component.BACKEND: "api:"}


@dataclass(frozen=True, slots=True)
class WeakRoute:
    """Hold a row of a route table that asks for less than what lives behind it is worth.

    :param assets: that name it, the highest impact first.
    """

    row: RouteRow
    assets: tuple[Asset, ...]

    @property
    def impact(self) -> int:
        """Return the highest impact of what lives there."""
        return self.assets[0].impact

    @property
    def because(self) -> str:
        """Return what it leaves open, as a clause."""
        if not self.row.enforced:
            passes = (
                "anybody is served" if self.row.mode == Mode.OFF else "what it refuses is served"
            )
            return f"is in mode {self.row.mode or 'nobody can read'}: {passes}"
        if self.row.proved:
            return f"takes phones that no vendor vouches for (level: {self.row.level}), where keys can be copied"
        return f"takes the token alone (proof: {self.row.proof}): whoever steals one is served"

    @property
    def remedy(self) -> str:
        """Return what to write in place of it."""
        if not self.row.enforced:
            return "mode: enforce"
        if self.row.proved:
            return "level: verified, or level: hardware"
        return "proof: session, or proof: device"

    def __str__(self) -> str:
        """Return it as a sentence for people."""
        return f"{_placed(self.row, self.assets)} {self.because}. Write {self.remedy} there."


@dataclass(frozen=True, slots=True)
class ShutRoute:
    """Hold a row of a route table that refuses the partners whose asset lives behind it.

    :param assets: of partners that name it, the highest impact first.
    """

    row: RouteRow
    assets: tuple[Asset, ...]

    def __str__(self) -> str:
        """Return it as a sentence for people."""
        return (
            f"{_placed(self.row, self.assets)} asks for a token that only an app gets "
            f"(mode: {self.row.mode}, proof: {self.row.proof}): partners have none, and are refused. "
            "Give them a path or a host of their own, write mode: off there, and check mutual TLS in front of it."
        )


def _placed(row: RouteRow, assets: Sequence[Asset]) -> str:
    """Return where a row is and what lives there, as the subject of a sentence."""
    named = [f"{each.id} (impact {each.impact})" for each in assets[:_MAX_NAMED]]
    more = len(assets) - len(named)
    named += [f"{more} more"] if more else []
    lives = "lives" if len(named) == 1 else "live"
    return f"Route {row} of {row.api}, where {' and '.join(named)} {lives},"


def weak_routes(assets: Iterable[Asset]) -> tuple[WeakRoute, ...]:
    """Return the rows that let pass what would harm an asset, the highest impact first.

    An asset that names no route may hang on any, which says nothing against one of them.  What partners alone call isn't the
    gate's to refuse: they have no instance that could prove itself.
    """
    found: dict[RouteRow, list[Asset]] = {}
    for asset in sorted(assets, key=lambda each: (-each.impact, each.id)):
        for row in asset.rows if asset.routes and Actor.USER in asset.actors else ():
            firm = row.vouched or asset.impact < _VOUCHED_FROM
            if not (row.enforced and row.proved and firm):
                found.setdefault(row, []).append(asset)
    weak = [WeakRoute(row, tuple(some)) for row, some in found.items()]
    return tuple(sorted(weak, key=lambda each: (-each.impact, each.row.api, str(each.row))))


def shut_routes(assets: Iterable[Asset]) -> tuple[ShutRoute, ...]:
    """Return the rows that lock partners out of what is theirs, the highest impact first.

    What users call as well may ask for their app's token on their own rows: there it is told where no row is left for partners.
    """
    found: dict[RouteRow, list[Asset]] = {}
    for asset in sorted(assets, key=lambda each: (-each.impact, each.id)):
        if not asset.routes or Actor.PARTNER not in asset.actors:
            continue
        refuse = [row for row in asset.rows if row.refuses_some]
        if Actor.USER in asset.actors and len(refuse) < len(asset.rows):
            continue
        for row in refuse:
            found.setdefault(row, []).append(asset)
    return tuple(ShutRoute(row, tuple(some)) for row, some in found.items())


def proven_by_asset(
    standings: Mapping[str, Sequence[Standing]],
    catalogue: Catalogue,
    assets: Mapping[str, Asset],
    known: frozenset[str],
    routes: Mapping[str, Sequence[RouteRow]],
) -> dict[str, frozenset[str]]:
    """Return by asset what may be relied on there.

    :param known: all places that there are, as far as the file says.
    :param routes: by API the rows of its route table.
    """
    found = [_spread(catalogue.protections[name], some, routes) for name, some in standings.items()]
    by_places: dict[tuple[object, object], frozenset[str]] = {}
    for asset in assets.values():
        lives = (asset.places, asset.rows)
        if lives not in by_places:
            covered = {each.protection.id for each in found if each.covers(asset, known)}
            ruined = frozenset(each.protection.id for each in found if each.is_bad(asset))
            leaning = catalogue.with_dependents(ruined) - ruined
            by_places[lives] = frozenset(covered - leaning)
    return {name: by_places[asset.places, asset.rows] for name, asset in assets.items()}


def _spread(
    protection: Protection, standings: Sequence[Standing], tables: Mapping[str, Sequence[RouteRow]]
) -> "_Spread":
    whole = [each for each in standings if not each.routes]
    on: dict[RouteRow, set[str]] = {}
    bad_on: set[RouteRow] = set()
    for each in standings:
        table = tables.get(each.target.removeprefix("api:"), ())
        for route in each.routes:
            row = row_of(table, route.path, route.method)
            # What was seen with another proof than the row asks for doesn't count by then.
            if each.state.counts and row is not None:
                on.setdefault(row, set()).add(route.method)
            if each.state in NEGATIVE:
                # Whatever was asked for there, and whichever of several rows it was.
                bad_on |= {r for r in table if r.path == route.path and r.decides(route.method)}
    return _Spread(
        protection=protection,
        counts=frozenset(each.target for each in whole if each.state.counts),
        bad=frozenset(each.target for each in whole if each.state in NEGATIVE),
        on=on,
        bad_on=frozenset(bad_on),
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    """Hold at which targets a protection counts and at which it is bad, as a whole or on rows of their route tables.

    :param on: rows on which it counts, each with the methods by which that was seen.
    """

    protection: Protection
    counts: frozenset[str]
    bad: frozenset[str]
    on: Mapping[RouteRow, AbstractSet[str]]
    bad_on: frozenset[RouteRow]

    def is_bad(self, asset: Asset) -> bool:
        """Tell whether it is bad at one of the asset's places or on one of its rows; anywhere, where it names no place."""
        if not asset.places:
            return self._is_bad_somewhere(asset)
        return any(self._is_bad_at(each, asset.rows) for each in asset.places)

    def covers(self, asset: Asset, known: frozenset[str]) -> bool:
        """Tell whether it may be relied on for an asset.

        It must count at all places of the asset that its component acts at, and be bad at none of them all.  What a scan of the
        package shows of the channel or the backend (pinning, a key that is gone) is seen at the apps:
        counting at all of those does as well.

        At an API it counts as a whole, or on each row that decides on requests for the asset.

        Where none of its kind is named, the asset may live at any that is known: it must count at all of these, and be
        bad nowhere.  Where none is known either, any target does.
        """
        own = _PLACES[self.protection.component]
        named = _beginning(own, asset.places)
        if self.is_bad(asset) or (not named and self._is_bad_somewhere(asset)):
            return False
        concerned = named or _beginning(own, known)
        if not concerned:
            return bool(self.counts)
        apps = _beginning("app:", asset.places or known)
        in_package = any(key.startswith(OF_A_PACKAGE) for key in self.protection.evidence)
        there = all(self._counts_at(place, asset.rows) for place in concerned)
        return there or (in_package and bool(apps) and apps <= self.counts)

    def _counts_at(self, place: str, rows: Sequence[RouteRow]) -> bool:
        """Tell whether it counts at a place: as a whole, or on each of the rows there, of which there must be one."""
        return place in self.counts or self._counts_on_all(place, rows)

    def _counts_on_all(self, place: str, rows: Sequence[RouteRow]) -> bool:
        own = [row for row in rows if f"api:{row.api}" == place]
        return bool(own) and all(map(self._counts_on, own))

    def _counts_on(self, row: RouteRow) -> bool:
        """Tell whether it counts by each method that a row names; by any, where it decides on all alike."""
        seen = self.on.get(row, frozenset())
        return bool(seen) and seen >= frozenset(row.methods)

    def _is_bad_at(self, place: str, rows: Sequence[RouteRow]) -> bool:
        """Tell whether it is bad at a place, and nothing newer shows of each of the rows there that it isn't."""
        if any(row in self.bad_on for row in rows if f"api:{row.api}" == place):
            return True
        return place in self.bad and not self._counts_on_all(place, rows)

    def _is_bad_somewhere(self, asset: Asset) -> bool:
        return bool(self.bad_on) or any(self._is_bad_at(each, asset.rows) for each in self.bad)


def _beginning(prefix: str, places: frozenset[str]) -> frozenset[str]:
    return frozenset(place for place in places if place.startswith(prefix))


_ALL: Final = 3
_HALF: Final = 2
_SOME: Final = 1


def strength_of(stopped: int, tried: int) -> int:
    """Return the strength that a share comes to: all 3, at least half 2, some 1, none 0.

    :param tried: at least 1.
    """
    if stopped >= tried:
        return _ALL
    if 2 * stopped >= tried:
        return _HALF
    return _SOME if stopped > 0 else 0


def least(found: Iterable[Mapping[str, tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """Return by technique the least share of several measures; of equal ones that with fewer tried.

    What names a technique without having tried it measured nothing.
    """
    shares: dict[str, tuple[int, int]] = {}
    for measures in found:
        for technique, pair in measures.items():
            if pair[1] > 0:
                shares[technique] = min(shares.get(technique, pair), pair, key=_order)
    return dict(sorted(shares.items()))


def measured(
    catalogue: Catalogue, standings: Mapping[str, Sequence[Standing]]
) -> tuple[Catalogue, tuple[Measure, ...]]:
    """Return a catalogue whose cuts are the measured ones where there are some, and what was measured.

    Only a standing that counts measures anything.  Over several targets the least strength stands, for all assets: a
    strength isn't told apart by asset.

    A technique on which a protection has no cut gets none, however much was stopped: what it has to do with
    it is for the catalogue to say.
    """
    measures = tuple(
        measure
        for name, protection in sorted(catalogue.protections.items())
        for measure in _measures(protection, standings.get(name, ()))
    )
    cuts: dict[str, dict[str, int]] = {}
    for each in measures:
        cuts.setdefault(each.protection, {})[each.technique] = each.strength
    protections = {
        name: replace(each, cuts={**each.cuts, **cuts[name]}) if name in cuts else each
        for name, each in catalogue.protections.items()
    }
    return (replace(catalogue, protections=protections) if cuts else catalogue), measures


def _measures(protection: Protection, standings: Sequence[Standing]) -> Iterator[Measure]:
    counting = [each for each in standings if each.state.counts]
    for technique, estimate in sorted(protection.cuts.items()):
        found = [
            _measure(protection.id, technique, estimate, each)
            for each in counting
            if estimate > 0 and technique in each.measured
        ]
        if not found:
            continue
        yield min(
            found,
            key=lambda each: (each.strength, *_order((each.stopped, each.tried)), each.target),
        )


def _measure(protection: str, technique: str, estimate: int, seen: Standing) -> Measure:
    """Return what one target measured, as much as it is worth."""
    stopped, tried = seen.measured[technique]
    strength = min(strength_of(stopped, tried), estimate)
    return Measure(protection, technique, stopped, tried, estimate, strength, seen.target)


def _order(pair: tuple[int, int]) -> tuple[Fraction, int]:
    """Order measures: the least share first, of equal ones that with fewer tried."""
    return Fraction(*pair), pair[1]


def good_news(seen: Observation, observer: str) -> str:
    """Say why a statement counts."""
    if seen.review is not None and seen.state is State.REVIEWED:
        until = f"{seen.review.expires:%Y-%m-%d}"
        return f"{seen.review.reviewer} reviewed it, {observer} vouches for that until {until}."
    if seen.key.startswith("scan:static."):
        if seen.detail:
            return f"{observer} found in the package: {seen.detail.rstrip('.')}."
        return f"{observer} saw it in the package."
    return f"{observer} saw it work."


def bad_news(seen: Observation, observer: str | None) -> str:
    """Say what a statement says against a protection; ``observer`` is None where nobody vouches for it."""
    who = observer or "Somebody"
    if seen.detail:
        return f"{who} found: {seen.detail.rstrip('.')}."
    if seen.state is State.ABSENT:
        return f"{who} looked for this protection and it isn't there."
    return f"{who} saw that this protection has no effect."


def days(span: timedelta) -> str:
    """Return a span in days; below two of them in hours."""
    hours = max(0, int(span.total_seconds())) // 3600
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"


CLOCK_LEEWAY: Final = timedelta(minutes=5)
"""How far an observer's clock may run ahead of ours."""

_SCANNED: Final = "scan:static."
"""What a key begins with that a scan looks at in each build anew."""

_LIVE: Final = "live:"
_UNSEEN: Final = frozenset({"Cc", "Cf"})
"""Categories of characters that don't show: somebody could review himself under a name that looks the same."""

_WORTHLESS: Final = frozenset({State.STALE, State.CLAIMED})
"""States that neither count nor take trust away."""

_RANK: Final = {
    State.BROKEN: 5,
    State.ABSENT: 4,
    State.PROVEN: 3,
    State.REVIEWED: 2,
    State.STALE: 1,
    State.CLAIMED: 0,
}
"""Which key of a target decides: bad news first, then what counts, then the rest."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Hold what observations are judged against.

    :param now: aware, in UTC.
    :param max_age: longest that a proof counts; a review counts until it expires.
    :param environment: that the plan is made for.
    :param builds: SHA-256 in hex of the current build, by name of the app; an app that isn't there isn't bound to one.
    :param generations: SHA-256 in hex of the policy in force, by name of the API: all APIs that are known.
    :param apps: names of the apps that are known; those of ``builds`` are too.
    :param scanned: by name of the app, SHA-256 in hex of the build that was scanned last, see :func:`newest_builds`.
    :param routes: by API the rows of its route table; what is seen on a route that isn't there counts for nothing.
    """

    now: datetime
    max_age: timedelta
    environment: Environment
    builds: Mapping[str, str]
    generations: Mapping[str, str]
    apps: frozenset[str] = frozenset()
    scanned: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, Sequence[RouteRow]] = field(default_factory=dict)

    @property
    def places(self) -> frozenset[str]:
        """Return all places that are known, as targets name them."""
        apps = {f"app:{name}" for name in (*self.apps, *self.builds)}
        return frozenset(apps | {f"api:{name}" for name in self.generations})


class _Bearing(IntEnum):
    """Order statements by what they bear on; the lower one is asked first.

    ``present``: what runs now.  ``past``: another build or policy.  ``none``: nothing that a plan may rely on.
    """

    PRESENT = 0
    PAST = 1
    NONE = 2


@dataclass(frozen=True, slots=True)
class _Judged:
    """Hold one statement with the state that it has earned, and why."""

    observation: Observation
    state: State
    bearing: _Bearing
    why: str

    @property
    def at(self) -> datetime:
        return self.observation.at

    @property
    def order(self) -> tuple[Any, ...]:
        """Return what the newest is chosen by: of one instant the worse, then any fixed order."""
        seen = self.observation
        rest = (
            seen.build or "",
            seen.generation or "",
            repr(sorted(seen.measured.items())),
            repr(sorted(seen.findings.items())),
        )
        return (seen.at, _RANK[self.state], seen.key, seen.source, self.why, *rest)


def judge(
    vouched: Sequence[Vouched],
    claims: Sequence[Claim],
    catalogue: Catalogue,
    assets: Mapping[str, Asset],
    circumstances: Circumstances,
) -> Evidence:
    """Return every protection's standing at each target, and what is proven for which asset.

    Per key of a target the newest statement on what runs now stands; of one instant the worse.
    What can't count (a claim, a run of the lab in a plan for production) never takes the place of what can.
    Over the keys of a target: ``broken``, ``absent``, what counts, ``stale``, ``claimed``, in this order.
    The order of the input changes nothing.

    What names a route stands for the requests of that one alone, beside what is on the target as a whole.

    Statements on protections that the catalogue hasn't got are left out.
    """
    by_key: dict[tuple[str, str, _Spot, str], list[_Judged]] = defaultdict(list)
    for judged in (
        *(
            _judge(each.observation, each.observer, "", catalogue, circumstances)
            for each in vouched
        ),
        *(_judge(each.observation, None, each.why, catalogue, circumstances) for each in claims),
    ):
        if judged is not None:
            seen = judged.observation
            spot = _spot(judged, circumstances)
            by_key[seen.protection, seen.target, spot, seen.key].append(judged)
    by_target: dict[tuple[str, str], dict[_Spot, dict[str, list[_Judged]]]] = defaultdict(dict)
    for (protection, target, spot, key), statements in by_key.items():
        by_target[protection, target].setdefault(spot, {})[key] = statements
    frozen: dict[str, tuple[Standing, ...]] = {}
    for (protection, _), spots in sorted(by_target.items(), key=lambda one: one[0]):
        found = _standings(spots, circumstances)
        frozen[protection] = (*frozen.get(protection, ()), *found)
    proven = proven_by_asset(frozen, catalogue, assets, circumstances.places, circumstances.routes)
    everywhere = frozenset.intersection(*proven.values()) if proven else frozenset()
    routes = tuple(row for _, rows in sorted(circumstances.routes.items()) for row in rows)
    return Evidence(frozen, proven, everywhere, circumstances.environment, routes)


_Spot = SeenRoute | None
"""What of a target a statement is on; None for all of it."""


def _spot(judged: _Judged, circumstances: Circumstances) -> _Spot:
    """Return what of its target a statement stands for.

    What is bad on a route that nobody knows, and of the policy in force, may be bad on any.
    """
    seen = judged.observation
    lost = judged.state in NEGATIVE and _row(seen, circumstances) is None
    return None if lost and judged.bearing is _Bearing.PRESENT else seen.route


def _standings(
    spots: Mapping[_Spot, Mapping[str, Sequence[_Judged]]], circumstances: Circumstances
) -> Iterator[Standing]:
    """Yield how a protection stands at a target: once for all of it, and for its routes, those alike together.

    What is said of all of a target is one more statement on each of its routes.
    """
    whole = spots.get(None, {})
    alike: list[tuple[Standing, list[SeenRoute]]] = []
    for spot in sorted(each for each in spots if each is not None):
        own = spots[spot]
        found = _decided(
            [(*whole.get(key, ()), *own.get(key, ())) for key in {**whole, **own}], circumstances
        )
        others = next((routes for other, routes in alike if other == found), None)
        if others is None:
            alike.append((found, [spot]))
        else:
            others.append(spot)
    if whole:
        found = _decided(list(whole.values()), circumstances)
        # A statement of an older form says nothing beside those that name their routes.
        if found.state not in _WORTHLESS or not alike:
            yield found
    for found, routes in alike:
        yield replace(found, routes=tuple(routes))


def _decided(keys: Iterable[Sequence[_Judged]], circumstances: Circumstances) -> Standing:
    """Return how a protection stands by what was said of each key."""
    candidates = [_standing_one(statements) for statements in keys]
    decides = max(candidates, key=lambda each: (_RANK[each.state], *each.order))
    return _standing(decides, candidates, circumstances.now)


def newest_builds(
    vouched: Iterable[Vouched], now: datetime, environment: Environment
) -> dict[str, str]:
    """Return by name of the app the build that was scanned last: what an earlier one showed and this one doesn't is stale.

    A scan records nothing of what it didn't see, so that the proof of the build before would stand otherwise.
    """
    scans = [
        each.observation
        for each in vouched
        if each.observation.key.startswith(_SCANNED)
        and each.observation.at <= now + CLOCK_LEEWAY
        and environment in {each.observation.environment, Environment.LAB}
    ]
    return {
        each.target.removeprefix("app:"): each.build
        for each in sorted(scans, key=lambda each: (each.at, each.build or ""))
        if each.build is not None and each.target.startswith("app:")
    }


def claims_of(evidence: Evidence, catalogue: Catalogue) -> tuple[Standing, ...]:
    """Return what is claimed and nobody proves, in the order of the catalogue: to be verified."""
    return tuple(
        standing
        for protection in catalogue.protections
        for standing in evidence.standings.get(protection, ())
        if standing.state is State.CLAIMED
    )


def _judge(
    seen: Observation,
    observer: str | None,
    unvouched: str,
    catalogue: Catalogue,
    circumstances: Circumstances,
) -> _Judged | None:
    """Say what one statement is worth, None where it speaks of an unknown protection.

    :param observer: who vouches for it, None where nobody does; then ``unvouched`` says why.
    """
    protection = catalogue.protections.get(seen.protection)
    if protection is None:
        return None
    beside = _beside_the_point(seen, protection, circumstances)
    if beside:
        return _Judged(seen, State.CLAIMED, _Bearing.NONE, beside)
    elsewhen = _of_another_time(seen, circumstances)
    if seen.state in NEGATIVE:
        past = bool(elsewhen) and _names_what_it_saw(seen)
        if past and seen.route is not None and _row(seen, circumstances) is None:
            # It was bad on a route that is gone, under a policy that is gone.
            gone = _off_the_table(seen, circumstances)
            return _Judged(seen, State.STALE, _Bearing.PAST, gone)
        bearing = _Bearing.PAST if past else _Bearing.PRESENT
        return _Judged(seen, seen.state, bearing, bad_news(seen, observer))
    return _judge_good_news(seen, observer, unvouched, protection, elsewhen, circumstances)


def _judge_good_news(
    seen: Observation,
    observer: str | None,
    unvouched: str,
    protection: Protection,
    elsewhen: str,
    circumstances: Circumstances,
) -> _Judged:
    """Say what a statement is worth that would close something; all must be right for it to count."""
    if observer is None:
        why = f"Nobody vouches for it: {unvouched or 'it is unsigned'}."
        return _Judged(seen, State.CLAIMED, _Bearing.NONE, why)
    if not seen.state.counts:
        why = f"{observer} says so without having seen it work."
        return _Judged(seen, State.CLAIMED, _Bearing.NONE, why)
    fault = _fault_of_review(seen, protection) if seen.state is State.REVIEWED else ""
    if not fault and _shows_one_end(seen, protection):
        fault = "It shows what the app does, not that the server refuses who doesn't."
    if fault:
        return _Judged(seen, State.CLAIMED, _Bearing.NONE, fault)
    if lax := _lax(seen, circumstances):
        # Whatever was seen and when: what runs now lets everything pass.
        return _Judged(seen, State.BROKEN, _Bearing.PRESENT, lax)
    elsewhen = elsewhen or _off_the_table(seen, circumstances)
    if elsewhen:
        return _Judged(seen, State.STALE, _Bearing.PAST, elsewhen)
    over = _over(seen, circumstances)
    if over:
        return _Judged(seen, State.STALE, _Bearing.PRESENT, over)
    return _Judged(seen, seen.state, _Bearing.PRESENT, good_news(seen, observer))


def _beside_the_point(
    seen: Observation, protection: Protection, circumstances: Circumstances
) -> str:
    """Say why a statement, good or bad, says nothing about what is planned for; empty where it does."""
    if seen.key not in protection.evidence:
        return f"{seen.key} says nothing about {protection.id}."
    elsewhere = protection.component is not Component.APP and seen.target.startswith("app:")
    if elsewhere and seen.key.startswith(_LIVE):
        # There neither the API's mode nor its policy would be asked for.
        return f"{seen.key} is seen at an API, not at an app."
    if seen.at > circumstances.now + CLOCK_LEEWAY and seen.state not in NEGATIVE:
        # Bad news of a clock that runs ahead is bad news all the same.
        return "It is dated in the future."
    if circumstances.environment is Environment.PROD:
        if seen.environment is not Environment.PROD:
            return f"It was seen as {seen.state} in the lab, which says nothing of production."
        if seen.loopback:
            return (
                f"It was seen as {seen.state} over loopback, which says nothing of what "
                "clients of production meet."
            )
    return ""


def _of_another_time(seen: Observation, circumstances: Circumstances) -> str:
    """Say of which other build or policy a statement is; empty where it is of the current one."""
    kind, _, name = seen.target.partition(":")
    if kind == "app":
        current = circumstances.builds.get(name)
        if current is None and seen.build is not None and seen.key.startswith(_SCANNED):
            return _differs(seen, seen.build, circumstances.scanned.get(name), "build", _RESCANNED)
        return _differs(seen, seen.build, current, "build", _REBUILT)
    if kind == "api":
        current = circumstances.generations.get(name)
        differs = _differs(seen, seen.generation, current, "policy", _REWRITTEN)
        return differs or _of_another_build(seen, circumstances)
    return ""


def _of_another_build(seen: Observation, circumstances: Circumstances) -> str:
    """Say of which other build a scan of a package is that was recorded at an API; empty where nothing speaks against it.

    Which app was scanned it doesn't say there, so that the build of any app will do.
    """
    builds = set(circumstances.builds.values())
    if not builds or seen.build in builds or not seen.key.startswith(OF_A_PACKAGE):
        return ""
    return _differs(seen, seen.build, "", "build", _REBUILT)


_REBUILT: Final = "the file names another build since"
_RESCANNED: Final = "a newer build was scanned, and it wasn't seen there"
_REWRITTEN: Final = "the API's section or the policy changed since"


def _differs(seen: Observation, got: str | None, current: str | None, what: str, since: str) -> str:
    if current is None or got == current:
        return ""
    if got is None:
        # A review is of the artifact whose digest it holds, and until it expires.
        if seen.state is State.REVIEWED:
            return ""
        return f"It doesn't say of which {what} it is: look again and record."
    return (
        f"It is of {what} {got[:8]}, which isn't the current one: {since}; look again and record."
    )


def _row(seen: Observation, circumstances: Circumstances) -> RouteRow | None:
    """Return the row of the file that decides what a statement is on; None where there is none, or it is on no route."""
    name = seen.target.partition(":")[2]
    if seen.route is None:
        return None
    return row_of(circumstances.routes.get(name, ()), seen.route.path, seen.route.method)


def _off_the_table(seen: Observation, circumstances: Circumstances) -> str:
    """Say why what a row decides wasn't seen on one that the file has now; empty where it was."""
    route = seen.route
    if route is None:
        if not seen.key.startswith(OF_A_ROUTE):
            return ""
        return "It doesn't say of which route it is: look again and record."
    row = _row(seen, circumstances)
    if row is None:
        return f"The file has no route {route.method} {route.path} any more: look again and record."
    if row.proof != route.proof:
        return (
            f"{route.method} {route.path} was seen with proof {route.proof}, and the file asks "
            f"for {row.proof}: look again and record."
        )
    return ""


def _lax(seen: Observation, circumstances: Circumstances) -> str:
    """Say why a route enforces nothing whatever somebody saw; empty where nothing speaks against it."""
    row = _row(seen, circumstances)
    if row is None or not seen.key.startswith(OF_A_ROUTE):
        return ""
    if not row.enforced:
        return f"It has no effect: by watchword.yaml route {row} is in mode {row.mode}."
    if seen.key in BY_A_PROOF and not row.proved:
        return f"It has no effect: by watchword.yaml route {row} takes the token alone (proof: {row.proof})."
    return ""


def _names_what_it_saw(seen: Observation) -> bool:
    """Tell whether bad news names a build or policy: what names none may be of the current one."""
    if seen.target.startswith("app:"):
        return seen.build is not None
    # At an API a scan of a package is of a policy and of a build.
    return seen.generation is not None or (
        seen.build is not None and seen.key.startswith(OF_A_PACKAGE)
    )


def _fault_of_review(seen: Observation, protection: Protection) -> str:
    """Say why a review can't count, whenever it is asked; empty where it can."""
    review = seen.review
    if not protection.reviewable:
        return "It is something that a machine can see, so a review doesn't count."
    if review is None:
        return "It says reviewed, but not by whom."
    if same_person(review.reviewer, review.author):
        return f"{review.reviewer} reviewed their own work."
    if review.expires - seen.at > MAX_REVIEW:
        return f"Its review is to count for more than {MAX_REVIEW.days} days."
    return ""


def _shows_one_end(seen: Observation, protection: Protection) -> bool:
    """Tell whether an app was looked at for what the server has to enforce.

    An app that signs its requests proves nothing while the server takes unsigned ones.  Where the running server can be seen
    (a ``live:`` key), only that counts; what nothing but the package shows is seen there.
    """
    return (
        protection.enforced_at is EnforcedAt.SERVER
        and seen.state is State.PROVEN
        and seen.key.startswith(OF_A_PACKAGE)
        and any(key.startswith(_LIVE) for key in protection.evidence)
    )


def same_person(one: str, other: str) -> bool:
    """Tell whether two names are one, whatever their case, their spaces and how their letters are encoded.

    Letters that only look alike (full-width, ligatures, composed or not) are one by NFKC; what can't be seen (joiners,
    marks of direction) is left out.  A letter of another alphabet stays another one.
    """
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    """Return a name for comparison; folding may undo the normal form, so that it is made again."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(
        char for char in folded if not char.isspace() and unicodedata.category(char) not in _UNSEEN
    )


def _over(seen: Observation, circumstances: Circumstances) -> str:
    """Say why what counted once doesn't any more; empty where it still does."""
    if seen.state is State.REVIEWED:
        review: Review | None = seen.review
        assert review is not None  # _fault_of_review saw to it.
        over = circumstances.now >= review.expires
        return f"The review expired on {review.expires:%Y-%m-%d}." if over else ""
    age = circumstances.now - seen.at
    if age > circumstances.max_age:
        return f"It was seen {days(age)} ago; a proof counts for {days(circumstances.max_age)}."
    return ""


def _standing_one(statements: Iterable[_Judged]) -> _Judged:
    """Choose the statement that stands for one key of a target."""
    bearing = min(each.bearing for each in statements)
    candidates = [each for each in statements if each.bearing is bearing]
    bad = max(
        (each for each in candidates if each.state in NEGATIVE),
        key=lambda each: each.order,
        default=None,
    )
    later = [
        each
        for each in candidates
        if each.state not in NEGATIVE and (bad is None or each.at > bad.at)
    ]
    if not later:
        assert bad is not None  # What isn't later than bad news is beside some.
        return bad
    # A review that expired takes nothing from an older proof that still holds.
    return max(later, key=lambda each: (each.state.counts, *each.order))


def _standing(judged: _Judged, candidates: Iterable[_Judged], now: datetime) -> Standing:
    """Return how a protection stands at a target; what was measured counts by every key that counts."""
    seen = judged.observation
    counting = candidates if judged.state.counts else ()
    return Standing(
        protection=seen.protection,
        state=judged.state,
        target=seen.target,
        key=seen.key,
        at=seen.at,
        age=max(0, int((now - seen.at).total_seconds())),
        source=seen.source,
        why=judged.why,
        measured=least(each.observation.measured for each in counting if each.state.counts),
        build=seen.build,
        findings=seen.findings,
    )
