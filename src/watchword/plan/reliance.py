"""Say for which assets a protection may be relied on, from where it counts and where it is bad."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.observations import State
from watchword.plan.interface import Asset, Catalogue, Component, Protection
from watchword.plan.outcome import Standing

NEGATIVE: Final = frozenset({State.ABSENT, State.BROKEN})
"""Bad news: it only takes trust away."""

OF_A_PACKAGE: Final = ("scan:static.", "scan:dynamic.", "scan:sbom.")
"""What a key begins with that is looked at in a built app."""

_PLACES: Final = {Component.APP: "app:", Component.CHANNEL: "api:", Component.BACKEND: "api:"}


def proven_by_asset(
    standings: Mapping[str, Sequence[Standing]],
    catalogue: Catalogue,
    assets: Mapping[str, Asset],
    known: frozenset[str],
) -> dict[str, frozenset[str]]:
    """Return by asset what may be relied on there.

    :param known: all places that there are, as far as the file says.
    """
    found = [
        _Spread(
            protection=catalogue.protections[protection],
            counts=frozenset(each.target for each in some if each.state.counts),
            bad=frozenset(each.target for each in some if each.state in NEGATIVE),
        )
        for protection, some in standings.items()
    ]
    by_places: dict[frozenset[str], frozenset[str]] = {}
    for asset in assets.values():
        if asset.places not in by_places:
            covered = {each.protection.id for each in found if each.covers(asset.places, known)}
            ruined = frozenset(
                each.protection.id
                for each in found
                if each.bad & asset.places or (each.bad and not asset.places)
            )
            leaning = catalogue.with_dependents(ruined) - ruined
            by_places[asset.places] = frozenset(covered - leaning)
    return {name: by_places[asset.places] for name, asset in assets.items()}


@dataclass(frozen=True, slots=True)
class _Spread:
    """Hold at which targets a protection counts, and at which it is bad."""

    protection: Protection
    counts: frozenset[str]
    bad: frozenset[str]

    def covers(self, places: frozenset[str], known: frozenset[str]) -> bool:
        """Tell whether it may be relied on for what lives at these places.

        It must count at all that its component acts at, and be bad at none of them all.  What a scan of the package
        shows of the channel or the backend (pinning, a key that is gone) is seen at the apps:
        counting at all of those does as well.

        Where none of its kind is named, the asset may live at any that is known: it must count at all of these, and be
        bad nowhere.  Where none is known either, any target does.
        """
        own = _PLACES[self.protection.component]
        named = _beginning(own, places)
        if self.bad if not named else self.bad & places:
            return False
        concerned = named or _beginning(own, known)
        if not concerned:
            return bool(self.counts)
        apps = _beginning("app:", places or known)
        in_package = any(key.startswith(OF_A_PACKAGE) for key in self.protection.evidence)
        return concerned <= self.counts or (in_package and bool(apps) and apps <= self.counts)


def _beginning(prefix: str, places: frozenset[str]) -> frozenset[str]:
    return frozenset(place for place in places if place.startswith(prefix))
