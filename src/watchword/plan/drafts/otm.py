"""Draft assets from an Open Threat Model (OTM 0.1 and 0.2), such as Threat Dragon exports.

What OTM says of likelihood isn't taken over: this method ranks by impact alone.  An asset's impact is the worst of
its confidentiality, integrity and availability, 0 to 100, in fifths.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from watchword.plan.drafts.interface import (
    DRAFT_IMPACT,
    MAX_ASSETS,
    MAX_THREATS,
    Draft,
    DraftAsset,
    DraftThreat,
    Remarks,
    counted,
)
from watchword.plan.drafts.otm_parts import Parts, listed, text_of
from watchword.plan.drafts.threats import ThreatRule, rule_for
from watchword.plan.drafts.wording import TRAIT_WORDS, one_line, unique_slug, words_of
from watchword.plan.interface import AssetKind, Component, ModelFault, Trait

_VERSION: Final = re.compile(r"0\.[12](?:\.[0-9]+)?")
_ASPECTS: Final = ("confidentiality", "integrity", "availability")
_FIFTH: Final = 20
_MAX_TEXTS: Final = 50


@dataclass(frozen=True, slots=True)
class _Threat:
    """Hold one threat of the model as it was read."""

    name: str
    rule: ThreatRule | None


def draft_from_otm(document: Any) -> tuple[Draft, list[ModelFault]]:
    """Draft from a document that was parsed already.

    :returns: the draft and no fault, or an empty draft and at least one; never raises on what a
        document holds.
    """
    fault = _not_one(document)
    if fault is not None:
        return Draft(), [fault]
    remarks = Remarks()
    parts = Parts(document)
    drawn = _written_assets(document, parts, remarks) or _component_assets(parts, remarks)
    if not drawn:
        expected = "at least one asset, or a component that stores data or serves an API"
        return Draft(), [ModelFault(("assets",), "nothing to protect that could be read", expected)]
    threats = _threats(document)
    assets, placed = _with_threats(drawn, parts, threats)
    _remark_what_stays(document, remarks)
    shown = list(_shown(threats, placed, remarks))
    project = document.get("project")
    return (
        Draft(
            title=text_of(project, "name") if isinstance(project, dict) else "",
            read=tuple(
                counted(len(listed(document, key)), key)
                for key in ("assets", "components", "threats", "mitigations")
                if listed(document, key)
            ),
            assets=tuple(assets),
            threats=tuple(shown),
            notes=tuple(remarks.notes),
            left_out=remarks.counted(),
        ),
        [],
    )


def _not_one(document: Any) -> ModelFault | None:
    """Return what shows that a document is no threat model of a version that can be read."""
    if not isinstance(document, dict):
        return ModelFault((), "no mapping", "an Open Threat Model")
    if "otmVersion" not in document:
        got = "a document without otmVersion"
        if "detail" in document and "summary" in document:
            got += ", it looks like Threat Dragon's own format"
        return ModelFault((), got, "otmVersion: 0.1 or 0.2; Threat Dragon exports it")
    version = document["otmVersion"]
    text = str(version) if isinstance(version, str | float) else ""
    if not _VERSION.fullmatch(text):
        got = repr(one_line(text, 60)) if text else "no text"
        return ModelFault(("otmVersion",), got, "version 0.1.0 or 0.2.0")
    return None


def impact_of(risk: Any) -> int | None:
    """Return the impact of an OTM risk: the worst of its three aspects, 0 to 100, in fifths.

    0 to 20 is 1, up to 40 is 2, up to 60 is 3, up to 80 is 4, more is 5.

    :returns: None where no aspect is a number from 0 to 100.
    """
    values = [risk.get(aspect) for aspect in _ASPECTS] if isinstance(risk, dict) else []
    usable = [
        value
        for value in values
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
    ]
    return max(1, math.ceil(max(usable) / _FIFTH)) if usable else None


def _written_assets(
    document: Mapping[str, Any], parts: Parts, remarks: Remarks
) -> dict[str, DraftAsset]:
    """Return the assets that the model names, by their OTM id."""
    drawn: dict[str, DraftAsset] = {}
    taken: set[str] = set()
    for asset in listed(document, "assets"):
        name = text_of(asset, "name") or text_of(asset, "id")
        key = text_of(asset, "id") or name
        if not name or key in drawn:
            remarks.leave_out("assets without a name of their own")
            continue
        if len(drawn) >= MAX_ASSETS:
            remarks.leave_out(f"assets beyond the first {MAX_ASSETS}")
            continue
        impact, notes = impact_of(asset.get("risk")), []
        if impact is None:
            notes.append(
                "no confidentiality, integrity or availability from 0 to 100: a mere guess"
            )
        lives_in = parts.of_asset(key)
        if not lives_in:
            lives_in = {Component.CHANNEL, Component.BACKEND}
            notes.append("no component holds it: taken to be in the backend")
        words = {*words_of(name), *words_of(text_of(asset, "description"))}
        traits = {trait for trait, known in TRAIT_WORDS.items() if words & known}
        if not traits:
            notes.append("no word says what an attacker is after: a mere guess")
        drawn[key] = DraftAsset(
            id=unique_slug(name, taken),
            kind=AssetKind.DATA,
            impact=impact or DRAFT_IMPACT,
            because=f"TODO: say what its loss would do to the business (drafted from asset {name})",
            lives_in=frozenset(lives_in),
            traits=frozenset(traits) or _usual(AssetKind.DATA, lives_in),
            notes=tuple(notes),
        )
    if drawn:
        remarks.note(
            "impact is the worst of confidentiality, integrity and availability: "
            "0-20 is 1, -40 is 2, -60 is 3, -80 is 4, -100 is 5"
        )
    return drawn


def _component_assets(parts: Parts, remarks: Remarks) -> dict[str, DraftAsset]:
    """Return an asset for each component that stores data or serves, by the component's id."""
    drawn: dict[str, DraftAsset] = {}
    taken: set[str] = set()
    for key, component in parts.components.items():
        kind = parts.kind(key)
        if kind is None:
            continue
        if len(drawn) >= MAX_ASSETS:
            remarks.leave_out(f"components beyond the first {MAX_ASSETS}")
            continue
        lives_in = parts.around(key)
        drawn[key] = DraftAsset(
            id=unique_slug(component.name, taken),
            kind=kind,
            impact=DRAFT_IMPACT,
            because="TODO: say what its loss would do to the business "
            f"(drafted from component {component.name})",
            lives_in=frozenset(lives_in),
            traits=_usual(kind, lives_in),
        )
    if drawn:
        remarks.note(
            "the model names no asset: one was drafted for each component that stores or serves, "
            f"each of impact {DRAFT_IMPACT}"
        )
    return drawn


def _usual(kind: AssetKind, lives_in: set[Component]) -> frozenset[Trait]:
    """Return the trait of which a path may always be built, where no word says more."""
    if kind is AssetKind.SERVICE:
        return frozenset({Trait.AVAILABILITY})
    return frozenset({Trait.RECORDS if Component.BACKEND in lives_in else Trait.LIVE_DATA})


def _threats(document: Mapping[str, Any]) -> dict[str, _Threat]:
    """Return the threats by id, each with the technique that it clearly is."""
    found: dict[str, _Threat] = {}
    for threat in listed(document, "threats"):
        name = text_of(threat, "name")
        key = text_of(threat, "id") or name
        if not key:
            continue
        texts = [key, text_of(threat, "description")]
        for member in ("cwes", "capecs", "categories", "tags"):
            values = threat.get(member)
            texts += [str(each) for each in values[:_MAX_TEXTS]] if isinstance(values, list) else []
        found[key] = _Threat(name or key, rule_for(name, texts))
    return found


def _with_threats(
    drawn: dict[str, DraftAsset], parts: Parts, threats: Mapping[str, _Threat]
) -> tuple[list[DraftAsset], dict[str, list[str]]]:
    """Give each asset the traits of the threats that are drawn at it.

    :returns: the assets, and the ids of the assets by threat.
    """
    placed: dict[str, list[str]] = {}
    assets: list[DraftAsset] = []
    for key, asset in drawn.items():
        traits, lives_in = set(asset.traits), set(asset.lives_in)
        for threat in parts.threats_at(key):
            known = threats.get(threat)
            if known is None:
                continue
            placed.setdefault(threat, []).append(asset.id)
            if known.rule is not None and known.rule.trait is not None:
                traits.add(known.rule.trait)
                lives_in.add(known.rule.component)
        changed = replace(asset, traits=frozenset(traits), lives_in=frozenset(lives_in))
        assets.append(changed)
    return assets, placed


def _shown(
    threats: Mapping[str, _Threat],
    placed: Mapping[str, list[str]],
    remarks: Remarks,
) -> Iterator[DraftThreat]:
    """Yield the threats, those of the same name as one, the mapped ones first."""
    by_name: dict[tuple[str, str | None], DraftThreat] = {}
    for key, threat in threats.items():
        technique = threat.rule.technique if threat.rule is not None else None
        assets = placed.get(key, ())
        same = by_name.get((threat.name, technique), DraftThreat(threat.name, technique, count=0))
        by_name[(threat.name, technique)] = replace(
            same,
            count=same.count + 1,
            assets=tuple(dict.fromkeys((*same.assets, *assets))),
        )
    ordered = sorted(by_name.values(), key=lambda threat: threat.technique is None)
    if len(ordered) > MAX_THREATS:
        remarks.leave_out(f"threats beyond the first {MAX_THREATS}", len(ordered) - MAX_THREATS)
    yield from ordered[:MAX_THREATS]


def _remark_what_stays(document: Mapping[str, Any], remarks: Remarks) -> None:
    """Say what of the model isn't taken over, and why."""
    likely = sum(
        "likelihood" in risk
        for threat in listed(document, "threats")
        if isinstance(risk := threat.get("risk"), dict)
    )
    if likely:
        remarks.leave_out("values of likelihood: this method ranks by impact alone", likely)
    mitigations = len(listed(document, "mitigations"))
    if mitigations:
        remarks.leave_out(
            "mitigations: only what an observation proves counts (`watchword observe`)", mitigations
        )
