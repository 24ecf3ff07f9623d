"""Write a plan as a JSON document: everything that it says, in plain types and in a fixed order."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from watchword.plan.interface import AttackPath, Catalogue, RouteRow
from watchword.plan.outcome import (
    AssetState,
    Item,
    Measure,
    PathState,
    Plan,
    Skipped,
    Stability,
    Standing,
    Tally,
)
from watchword.plan.reliance import ShutRoute, WeakRoute, shut_routes, weak_routes

SCHEMA: Final = "watchword-plan/1"
"""Form of the document; another number is another form."""


def document(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON; ``docs/plan.schema.json`` tells its form."""
    return {
        "schema": SCHEMA,
        "made_at": _time(plan.made_at),
        "environment": plan.environment.value,
        "unreadable": plan.unreadable,
        "changed": [
            {"id": name, "members": list(members)}
            for name, members in plan.catalogue.changed.items()
        ],
        "what_if": {"added": list(plan.added), "removed": list(plan.removed)},
        "budget": plan.budget,
        "effort": plan.effort,
        "items": [_item(each, plan) for each in plan.items],
        "paths": [_path(each, plan.catalogue) for each in plan.paths],
        "exposure": [_asset(each) for each in plan.assets],
        "tallies": {
            "now": _tallies(plan.exposure),
            "items": [
                {
                    "place": each.place,
                    "protection": each.protection.id,
                    "spent": each.spent,
                    "levels": _tallies(each.exposure),
                }
                for each in plan.items
            ],
        },
        "claims": [_standing(each) for each in plan.claims],
        "proven": [_standing(each) for each in plan.proven],
        "failing": [_standing(each) for each in plan.failing],
        "measured": [asdict(each) for each in plan.measures],
        "routes": [_route(each, plan) for each in plan.routes],
        "limits": [{**asdict(each), "routes": list(each.routes)} for each in plan.limits],
        "pins": [asdict(each) for each in plan.pins],
        "weak_routes": [_weak(each) for each in weak_routes(plan.model.assets.values())],
        "shut_routes": [_shut(each) for each in shut_routes(plan.model.assets.values())],
        "unclosable": list(plan.unclosable),
        "shortfalls": [
            {
                "phase": each.phase.value,
                "level": each.level,
                "left": each.left,
                "needs": each.needs,
                "cheapest": list(each.cheapest),
            }
            for each in plan.shortfalls
        ],
        "cheaper": None
        if plan.cheaper is None
        else {
            "protections": list(plan.cheaper.protections),
            "effort": plan.cheaper.effort,
            "phases_effort": plan.cheaper.phases_effort,
        },
        "struck": [{**_steps(each.path), "because": each.because} for each in plan.model.struck],
        "cut": [*plan.model.cut, *(each for each in plan.cut if each not in plan.model.cut)],
    }


def _item(item: Item, plan: Plan) -> dict[str, Any]:
    measures = {
        each.technique: each for each in plan.measures if each.protection == item.protection.id
    }
    return {
        "place": item.place,
        "protection": item.protection.id,
        "name": item.protection.name,
        "about": item.protection.about,
        "component": item.protection.component.value,
        "phase": item.phase.value,
        "level": item.level,
        "effort": item.effort,
        "spent": item.spent,
        "action": item.action.value,
        "interim": item.interim,
        "unclosed": list(item.unclosed),
        "why": item.why,
        "closes": list(item.closes),
        "delays": list(item.delays),
        "slows": list(item.slows),
        "ways": {
            name: sum(plan.catalogue.ways_in(paths).values())
            for name, paths in (
                ("closes", item.closes),
                ("delays", item.delays),
                ("slows", item.slows),
            )
        },
        "cuts": [
            {
                "technique": each.technique,
                "strength": each.strength,
                "measured": _share(measures.get(each.technique)),
                "paths": list(each.paths),
            }
            for each in item.cuts
        ],
        "assets": list(item.assets),
        "ties": [list(each) for each in item.ties],
        "together": list(item.together),
        "needed_for": list(item.needed_for),
        "skipped": _skipped(item.skipped),
        "does_not": list(item.protection.does_not),
        "stability": _stability(item.stability),
        "evidence": [_standing(each) for each in item.evidence],
    }


def _share(found: Measure | None) -> dict[str, int] | None:
    if found is None:
        return None
    return {"stopped": found.stopped, "tried": found.tried, "estimate": found.estimate}


def _skipped(found: Skipped) -> dict[str, Any]:
    return {
        "stays_open": list(found.stays_open),
        "instead": list(found.instead),
        "extra_effort": found.extra_effort,
        "solved": found.solved,
        "uncut": list(found.uncut),
    }


def _stability(found: Stability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    smallest = found.smallest
    return {
        "draws": found.draws,
        "first": found.first,
        "kept": found.kept,
        "smallest": None
        if smallest is None
        else {"what": smallest.what, "place": smallest.place, "size": smallest.size},
    }


def _path(state: PathState, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "id": state.path.id,
        "asset": state.path.asset,
        "impact": state.impact,
        "steps": [_step(each, catalogue) for each in state.path.steps],
        "origin": state.path.origin.value,
        "because": state.path.because,
        "assumes": sorted(each.value for each in state.path.assumes),
        "now": state.now.value,
        "after": state.after.value,
        "closers": list(state.closers),
        "cut_now": _cuts(state.cut_now),
        "cut_after": _cuts(state.cut_after),
        "way": ">".join(catalogue.way_in(state.path.id)[1]),
    }


def _step(technique: str, catalogue: Catalogue) -> dict[str, Any]:
    found = catalogue.techniques.get(technique)
    return {
        "technique": technique,
        "name": technique if found is None else found.name,
        "component": None if found is None else found.component.value,
        "stage": None if found is None else found.stage.value,
    }


def _cuts(cuts: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"technique": technique, "protection": protection} for technique, protection in cuts]


def _steps(path: AttackPath) -> dict[str, Any]:
    return {"path": path.id, "asset": path.asset, "steps": list(path.steps)}


def _asset(state: AssetState) -> dict[str, Any]:
    asset = state.asset
    quantities = asset.quantities
    return {
        "asset": asset.id,
        "kind": asset.kind.value,
        "impact": asset.impact,
        "because": asset.because,
        "now": state.now.value,
        "after": state.after.value,
        "paths": state.paths,
        "ways": state.ways,
        "actors": sorted(each.value for each in asset.actors),
        "lives_in": sorted(each.value for each in asset.lives_in),
        "traits": sorted(each.value for each in asset.traits),
        "places": sorted(asset.places),
        "routes": list(asset.routes),
        "quantities": {
            "users": quantities.users,
            "records": quantities.records,
            "money": quantities.money,
            "downtime": quantities.downtime,
        },
    }


def _row(row: RouteRow) -> dict[str, Any]:
    return {"api": row.api, "path": row.path, "methods": list(row.methods)}


def _weak(found: WeakRoute) -> dict[str, Any]:
    return {
        **_row(found.row),
        "assets": [asset.id for asset in found.assets],
        "impact": found.impact,
        "why": str(found),
    }


def _shut(found: ShutRoute) -> dict[str, Any]:
    return {
        **_row(found.row),
        "assets": [asset.id for asset in found.assets],
        "why": str(found),
    }


def _route(row: RouteRow, plan: Plan) -> dict[str, Any]:
    """Return a row of a route table, with the assets that name it."""
    named = [each.id for each in plan.model.assets.values() if each.routes and row in each.rows]
    return {
        **_row(row),
        "mode": row.mode,
        "proof": row.proof,
        "level": row.level,
        "assets": sorted(named),
    }


def _tallies(tallies: Iterable[Tally]) -> list[dict[str, int]]:
    return [
        {
            "level": each.level,
            "open": each.open,
            "delayed": each.delayed,
            "closed": each.closed,
            "unreached": each.unreached,
        }
        for each in tallies
    ]


def _standing(found: Standing) -> dict[str, Any]:
    return {
        "protection": found.protection,
        "state": found.state.value,
        "target": found.target,
        "key": found.key,
        "at": None if found.at is None else _time(found.at),
        "age": found.age,
        "source": found.source,
        "why": found.why,
        "build": found.build,
        "findings": [
            {"id": name, "severity": severity, "title": title}
            for name, (severity, title) in found.findings.items()
        ],
        "routes": [
            {"path": each.path, "method": each.method, "proof": each.proof.value}
            for each in found.routes
        ],
    }


def _time(at: datetime) -> str:
    return at.isoformat()
