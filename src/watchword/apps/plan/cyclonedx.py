"""Write a plan as a CycloneDX bill of materials with assets, attack paths and controls.

The form is that of CycloneDX 2.0, which isn't released: written after the schema files of its
development branch as of July 2026 (threat, control, blueprint).  Its risk model is left aside, since
it was still changing; impacts stand as properties of the assets.  No likelihood is stated.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from watchword import __version__
from watchword.apps.plan.words import struck, what_if
from watchword.encoding.phrases import counted
from watchword.encoding.phrases import moment as utc
from watchword.observations import State
from watchword.plan.interface import (
    AssetKind,
    Component,
    EnforcedAt,
    Protection,
    ProtectionKind,
    Stage,
)
from watchword.plan.outcome import Action, AssetState, Item, PathState, Plan

SPEC_VERSION: Final = "2.0"

_ASSET_TYPES: Final[Mapping[AssetKind, str]] = {
    AssetKind.DATA: "data",
    AssetKind.SERVICE: "service",
    AssetKind.USE_CASE: "process",
}
_PARTS: Final[Mapping[Component, str]] = {
    Component.APP: "The app on a device that the attacker may own.",
    Component.CHANNEL: "The channel between app and API.",
    Component.BACKEND: "The API and what stands behind it.",
}
_PHASES: Final[Mapping[Stage, str]] = {
    Stage.RECON: "reconnaissance",
    Stage.EXPLOIT: "actions-on-objectives",
}
_CATEGORIES: Final[Mapping[ProtectionKind, str]] = {
    ProtectionKind.PREVENT: "preventive",
    ProtectionKind.LIMIT: "preventive",
    ProtectionKind.DETECT: "detective",
    ProtectionKind.SLOW_RECON: "deterrent",
}
_STATUSES: Final[Mapping[Action, str | dict[str, str]]] = {
    Action.INTRODUCE: "recommended",
    Action.VERIFY: {
        "name": "claimed",
        "description": "It was said or seen in a way that doesn't count; nothing proves it.",
    },
    Action.RENEW: {"name": "stale", "description": "Its proof is out of date."},
    Action.REPAIR: {"name": "broken", "description": "It is there without effect."},
}


def cyclonedx(plan: Plan, serial: str, timestamp: datetime) -> dict[str, Any]:
    """Return the plan as a CycloneDX document.

    :param serial: ``urn:uuid:`` and a UUID in lower case, new for each document.
    :param timestamp: when the document is written, aware.
    """
    known = _known(plan)
    return {
        "specFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": serial,
        "version": 1,
        "metadata": {
            "timestamp": utc(timestamp),
            "tools": {
                "components": [{"type": "application", "name": "watchword", "version": __version__}]
            },
            "properties": _properties(
                {
                    "environment": plan.environment.value,
                    "unreadable-observations": plan.unreadable or None,
                    "catalogue-changed": ", ".join(plan.catalogue.changed),
                    "effort": plan.effort,
                    "budget": plan.budget,
                    "made-at": utc(plan.made_at),
                    "what-if": what_if(plan),
                    "what-if-added": ", ".join(plan.added),
                    "what-if-removed": ", ".join(plan.removed),
                    "struck-paths": len(plan.model.struck) or None,
                    "model-cut": "; ".join(plan.model.cut),
                }
            ),
        },
        "blueprints": [_blueprint(plan, _reasons(plan))],
        "threats": {
            "threats": _threats(plan, known),
            "attackPaths": [_path(each, plan, known) for each in plan.paths],
            "methodologies": [
                {
                    "name": "impact first",
                    "description": "Ranked by impact on the business alone; no likelihood.",
                }
            ],
        },
        "controls": _controls(plan),
    }


def _properties(values: Mapping[str, object]) -> list[dict[str, str]]:
    """Return properties of ours; what is None or empty is left out."""
    return [
        {"name": f"watchword:{name}", "value": str(value)}
        for name, value in values.items()
        if value is not None and value != ""
    ]


def _reasons(plan: Plan) -> dict[str, str]:
    """Return by asset why paths to it were struck: how many for each reason."""
    found: dict[str, list[str]] = {}
    for each in struck(plan):
        for asset, count in Counter(path.asset for path in each.paths).items():
            found.setdefault(asset, []).append(f"{counted(count, 'path')}: {each.because}")
    return {asset: "; ".join(said) for asset, said in found.items()}


def _blueprint(plan: Plan, reasons: Mapping[str, str]) -> dict[str, Any]:
    return {
        "bom-ref": "platform",
        "name": "Mobile platform",
        "description": "App, channel and backend, and what can be lost there.",
        "modelTypes": ["conceptual"],
        "zones": [
            {
                "bom-ref": f"zone:{part.value}",
                "name": part.value,
                "type": "trust",
                "description": about,
            }
            for part, about in _PARTS.items()
        ],
        "assets": [_asset(each, reasons.get(each.asset.id)) for each in plan.assets],
    }


def _asset(state: AssetState, struck_for: str | None) -> dict[str, Any]:
    asset, quantities = state.asset, state.asset.quantities
    found: dict[str, Any] = {
        "bom-ref": f"asset:{asset.id}",
        "type": _ASSET_TYPES[asset.kind],
        "name": asset.id,
        "description": asset.because,
    }
    if len(asset.lives_in) == 1:
        found["zone"] = f"zone:{next(iter(asset.lives_in)).value}"
    found["properties"] = _properties(
        {
            "impact": asset.impact,
            "exposure-now": state.now.value,
            "exposure-after": state.after.value,
            "struck": struck_for,
            "lives-in": ", ".join(sorted(each.value for each in asset.lives_in)),
            "traits": ", ".join(sorted(each.value for each in asset.traits)),
            "users": quantities.users,
            "records": quantities.records,
            "money": quantities.money,
            "downtime": quantities.downtime,
        }
    )
    return found


def _threats(plan: Plan, known: frozenset[str]) -> list[dict[str, Any]]:
    cutters: dict[str, dict[str, None]] = {}
    for state in plan.paths:
        found = cutters.setdefault(state.path.asset, {})
        found.update((by, None) for _, by in (*state.cut_now, *state.cut_after) if by in known)
    return [
        {
            "bom-ref": f"threat:{asset}",
            "name": f"Loss of {asset}",
            "origin": "adversarial",
            "affectedAssets": [f"asset:{asset}"],
            "mitigations": _references(sorted(cutters.get(asset, {}))),
        }
        for asset in (each.asset.id for each in plan.assets)
    ]


def _path(state: PathState, plan: Plan, known: frozenset[str]) -> dict[str, Any]:
    path = state.path
    return {
        "bom-ref": f"path:{path.id}",
        "name": path.id,
        "objective": f"Reach {path.asset}.",
        "steps": [_step(each, state, plan, known) for each in path.steps],
        "realizes": [f"threat:{path.asset}"],
        "properties": _properties(
            {
                "impact": state.impact,
                "exposure-now": state.now.value,
                "exposure-after": state.after.value,
                "origin": path.origin.value,
                "because": path.because,
            }
        ),
    }


def _step(technique: str, state: PathState, plan: Plan, known: frozenset[str]) -> dict[str, Any]:
    found = plan.catalogue.techniques.get(technique)
    cutters = (by for step, by in (*state.cut_now, *state.cut_after) if step == technique)
    step: dict[str, Any] = {
        "name": technique if found is None else found.name,
        "description": technique if found is None else (found.about or found.name),
        "technique": {"id": technique, "name": technique if found is None else found.name},
    }
    if found is not None:
        step["killChainPhase"] = _PHASES[found.stage]
        step["destination"] = f"zone:{found.component.value}"
    mitigations = _references(each for each in cutters if each in known)
    if mitigations:
        step["mitigations"] = mitigations
    return step


def _references(protections: Iterable[str]) -> list[str]:
    """Return references to controls, each once, in order."""
    return [f"control:{each}" for each in dict.fromkeys(protections)]


def _known(plan: Plan) -> frozenset[str]:
    """Return the protections that stand as controls in the document."""
    return frozenset(item.protection.id for item in plan.items) | {
        each.protection for each in plan.proven if each.protection in plan.catalogue.protections
    }


def _controls(plan: Plan) -> list[dict[str, Any]]:
    items = {item.protection.id: item for item in plan.items}
    proven = {each.protection: each.state for each in plan.proven}
    return [
        _control(plan.catalogue.protections[name], None, proven[name])
        for name in sorted(proven)
        if name in plan.catalogue.protections and name not in items
    ] + [_control(item.protection, item, None) for item in plan.items]


def _control(protection: Protection, item: Item | None, state: State | None) -> dict[str, Any]:
    values: dict[str, object] = {
        "component": protection.component.value,
        "enforced-at": protection.enforced_at.value,
        "owned-by-attacker": "yes" if protection.enforced_at is EnforcedAt.CLIENT else None,
        "does-not": " ".join(protection.does_not),
        "effort": protection.effort,
    }
    if item is not None:
        values |= {
            "place": item.place,
            "phase": item.phase.value,
            "level": item.level,
            "interim": "yes" if item.interim else None,
            "why": item.why,
        }
    if state is not None:
        values["evidence"] = state.value
    return {
        "bom-ref": f"control:{protection.id}",
        "name": protection.name,
        "description": protection.about,
        "category": _CATEGORIES[protection.kind],
        "status": "verified" if item is None else _STATUSES[item.action],
        "properties": _properties(values),
    }
