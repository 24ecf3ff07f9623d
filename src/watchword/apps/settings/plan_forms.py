"""Turn the assets and scenarios of a plan as written into what the planner takes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.enforcement import Table
from watchword.apps.settings.faults import shown
from watchword.apps.settings.written_plan import (
    WrittenAsset,
    WrittenPath,
    WrittenQuantities,
    WrittenScenarios,
)
from watchword.plan.interface import (
    Actor,
    Asset,
    AssetKind,
    AttackPath,
    Component,
    Intelligence,
    PathOrigin,
    Quantities,
    RouteRow,
    Scenarios,
    Strike,
    Trait,
)

_NOTHING_BEHIND: Final = Quantities()


def asset_of(name: str, written: WrittenAsset, apis: Any, rows: tuple[RouteRow, ...]) -> Asset:
    """Return an asset.

    :param apis: what stands under ``apis``, which may be anything: faults in it aren't the plan's.
    :param rows: of the route tables, those that decide on requests for it.
    """
    lives_in = {Component(part) for part in written.lives_in}
    if written.routes:
        lives_in.add(Component.BACKEND)
    traits = written.traits
    return Asset(
        id=name,
        kind=AssetKind(written.kind),
        impact=written.impact,
        because=written.because,
        lives_in=frozenset(lives_in),
        traits=frozenset(map(Trait, traits)) if traits else _usual(written.kind, lives_in),
        places=_places(written, apis),
        routes=tuple(f"{route.api} {route.path}" for route in written.routes),
        quantities=_quantities(written.quantities),
        actors=frozenset(map(Actor, written.actors)),
        rows=rows,
    )


def asset_faults(
    name: str, written: WrittenAsset, apis: Any, tables: Mapping[str, Table]
) -> Iterator[Inconsistency]:
    """Yield what is wrong with an asset that is well formed by itself.

    :param tables: the route table of each API under ``apis``.
    """
    path = ("plan", "assets", name)
    if not written.lives_in and not written.routes:
        expected = "app, channel or backend, or routes: nothing can be taken from nowhere"
        yield (*path, "lives_in"), "nothing", expected
    if written.kind == "use-case" and not written.traits:
        expected = "what an attacker is after; a use case has no usual trait"
        yield (*path, "traits"), "nothing", expected
    if "user" not in written.actors and {"app", "channel"} & set(written.lives_in):
        expected = "backend alone: partners have no app, and no user's phone is on the way to them"
        yield (*path, "lives_in"), ", ".join(written.lives_in), expected
    if not isinstance(apis, dict):
        return
    for index, route in enumerate(written.routes):
        if route.api not in apis:
            known = ", ".join(list(apis)[:20]) or "none there"
            place = (*path, "routes", index, "api")
            yield place, shown(route.api), f"an API under apis: {known}"
        elif tables[route.api].rows and not any(tables[route.api].reached(route.path)):
            # An empty table is a fault of its own.  Of any other the gate refuses what no route matches, and no proof could ever hang on it.
            place = (*path, "routes", index, "path")
            expected = f"a path that some route of {route.api} decides on"
            near = tables[route.api].nearest(route.path)
            yield place, shown(route.path), f"{expected}, such as {near}" if near else expected


def scenarios_of(written: WrittenScenarios) -> Scenarios:
    """Return the scenarios."""
    return Scenarios(
        derive=written.derive,
        strike=tuple(
            Strike(
                because=each.because,
                asset=each.asset,
                technique=each.technique,
                steps=None if each.steps is None else tuple(each.steps),
            )
            for each in written.strike
        ),
        add=tuple(_path(each, PathOrigin.ADDED) for each in written.add),
        pin=tuple(_path(each, PathOrigin.PINNED) for each in written.pin),
    )


def _path(written: WrittenPath, origin: PathOrigin) -> AttackPath:
    return AttackPath(
        asset=written.asset,
        steps=tuple(written.steps),
        origin=origin,
        assumes=frozenset(map(Intelligence, written.assumes)),
        because=written.because,
    )


def _usual(kind: str, lives_in: set[Component]) -> frozenset[Trait]:
    """Return the traits of an asset that names none: by its kind and where it lives."""
    if kind == "service":
        return frozenset({Trait.AVAILABILITY})
    if kind == "use-case":
        return frozenset()
    traits = {Trait.RECORDS} if Component.BACKEND in lives_in else set()
    if lives_in & {Component.APP, Component.CHANNEL}:
        traits.add(Trait.LIVE_DATA)
    return frozenset(traits)


def _places(written: WrittenAsset, apis: Any) -> frozenset[str]:
    """Return where proofs for the asset may come from: its APIs, and the apps that call them."""
    places: set[str] = set()
    for route in written.routes:
        places.add(f"api:{route.api}")
        api = apis.get(route.api) if isinstance(apis, Mapping) else None
        # Partners have no app, so that no app's scan says anything of what they alone call.
        apps = api.get("apps") if isinstance(api, Mapping) and "user" in written.actors else None
        for app in apps if isinstance(apps, list) else ():
            if isinstance(app, str):
                places.add(f"app:{app}")
    return frozenset(places)


def _quantities(written: WrittenQuantities) -> Quantities:
    found = Quantities(written.users, written.records, written.money, written.downtime)
    return _NOTHING_BEHIND if found == _NOTHING_BEHIND else found
