"""Say for which assets a protection may be relied on, from where it counts and where it is bad; and where none can be."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from watchword.observations import State
from watchword.plan.interface import (
    Actor,
    Asset,
    Catalogue,
    Component,
    Protection,
    RouteRow,
    row_of,
)
from watchword.plan.outcome import Standing
from watchword.vocabulary import Mode

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
