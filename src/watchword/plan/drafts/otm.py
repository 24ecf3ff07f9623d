"""Draft assets from an Open Threat Model (OTM 0.1 and 0.2), such as Threat Dragon exports.

What OTM says of likelihood isn't taken over: this method ranks by impact alone.  An asset's impact is the worst of
its confidentiality, integrity and availability, 0 to 100, in fifths.

Which technique an imported threat clearly is, is said by the numbers of CWE and CAPEC first, then by words that stand together.
What isn't clear stays unmapped: a wrong technique is worse than none.  The numbers are those of MITRE's lists; the words are ours.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from watchword.encoding.tables import read_table
from watchword.plan.drafts import (
    DRAFT_IMPACT,
    MAX_ASSETS,
    MAX_THREATS,
    TRAIT_WORDS,
    Draft,
    DraftAsset,
    DraftThreat,
    Remarks,
    counted,
    one_line,
    unique_slug,
    words_of,
)
from watchword.plan.interface import AssetKind, Component, ModelFault, Trait

MAX_ENTRIES: Final = 5_000
"""Most entries of one list of the model that are read."""

_MAX_PARENTS: Final = 20

_TABLE: Final = read_table("watchword.plan.drafts", "threats.toml")

# The first set that a component's type and name have a word of decides.
_LOCAL: Final = frozenset(_TABLE["components"]["local"])
_STORES: Final = frozenset(_TABLE["components"]["stores"])
_SERVES: Final = frozenset(_TABLE["components"]["serves"])
_DEVICE: Final = frozenset(_TABLE["components"]["device"])
_CLOUD: Final = frozenset(_TABLE["components"]["cloud"])


@dataclass(frozen=True, slots=True)
class _Component:
    """Hold one component as it was read."""

    name: str
    words: frozenset[str]
    parent: Any
    held: frozenset[str]
    threats: tuple[str, ...]


class Parts:
    """Know the components, trust zones and data flows of one model."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read them."""
        self._known: dict[str, Component] = {}
        self._zones = {text_of(zone, "id"): _words(zone) for zone in listed(document, "trustZones")}
        self.components = dict(_components(document))
        self._flows = [
            (
                text_of(flow, "source"),
                text_of(flow, "destination"),
                frozenset(_texts(flow.get("assets"))),
                _threat_ids(flow),
            )
            for flow in listed(document, "dataflows")
        ]

    def part(self, key: str) -> Component:
        """Return where a component runs: by its own words, else by those of what it stands in."""
        if key not in self._known:
            self._known[key] = self._part(key)
        return self._known[key]

    def _part(self, key: str) -> Component:
        component = self.components.get(key)
        words = component.words if component is not None else frozenset()
        if words & _LOCAL:
            return Component.APP
        if words & (_STORES | _SERVES):
            return Component.BACKEND
        if words & _DEVICE:
            return Component.APP
        for around in self._surroundings(key):
            if around & _CLOUD:
                return Component.BACKEND
            if around & _DEVICE:
                return Component.APP
        return Component.BACKEND

    def kind(self, key: str) -> AssetKind | None:
        """Return what is lost with a component: its data, or what it serves; None for neither."""
        words = self.components[key].words
        if words & (_LOCAL | _STORES):
            return AssetKind.DATA
        if words & _SERVES and self.part(key) is Component.BACKEND:
            return AssetKind.SERVICE
        return None

    def around(self, key: str) -> set[Component]:
        """Return where a component's data can be taken: there, and on its way to an app."""
        found = {self.part(key)}
        for source, destination, _, _ in self._flows:
            if key in {source, destination}:
                other = self.part(destination if key == source else source)
                if other is not self.part(key):
                    found |= {other, Component.CHANNEL}
        return found

    def of_asset(self, asset: str) -> set[Component]:
        """Return where an asset can be taken: where it is held, and on the way."""
        found = {
            self.part(key) for key, component in self.components.items() if asset in component.held
        }
        for source, destination, assets, _ in self._flows:
            if asset in assets:
                found |= {self.part(source), self.part(destination), Component.CHANNEL}
        return found

    def threats_at(self, key: str) -> dict[str, None]:
        """Return the ids of the threats drawn at an asset, or at the component of that id, in order."""
        found: dict[str, None] = {}
        for name, component in self.components.items():
            if name == key or key in component.held:
                found.update(dict.fromkeys(component.threats))
        for source, destination, assets, threats in self._flows:
            if key in {source, destination} or key in assets:
                found.update(dict.fromkeys(threats))
        return found

    def _surroundings(self, key: str) -> Iterator[frozenset[str]]:
        """Yield the words of what a component stands in, from the inside; circles end."""
        component = self.components.get(key)
        for _ in range(_MAX_PARENTS):
            parent = component.parent if component is not None else None
            if not isinstance(parent, dict):
                return
            zone = self._zones.get(text_of(parent, "trustZone"))
            if zone is not None:
                yield zone
                return
            component = self.components.get(text_of(parent, "component"))
            if component is not None:
                yield component.words


def listed(holder: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the mappings in a list of the model, as many as are read."""
    value = holder.get(key)
    entries = value[:MAX_ENTRIES] if isinstance(value, list) else []
    return [each for each in entries if isinstance(each, dict)]


def text_of(holder: Any, key: str) -> str:
    """Return a text of the model on one line, empty where there is none."""
    value = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return one_line(str(value), 200) if isinstance(value, str) or abs(value) < 10**18 else ""


def _components(document: Mapping[str, Any]) -> Iterator[tuple[str, _Component]]:
    for each in listed(document, "components"):
        key = text_of(each, "id") or text_of(each, "name")
        assets = each.get("assets")
        held = assets if isinstance(assets, dict) else {}
        yield (
            key,
            _Component(
                name=text_of(each, "name") or key,
                words=_words(each),
                parent=each.get("parent"),
                held=frozenset((*_texts(held.get("processed")), *_texts(held.get("stored")))),
                threats=_threat_ids(each),
            ),
        )


def _words(entry: dict[str, Any]) -> frozenset[str]:
    text = f"{text_of(entry, 'type')} {text_of(entry, 'name')}"
    # PostgreSQL is one word, MobileClient is two; both readings count.
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return frozenset(re.findall(r"[a-z0-9]+", f"{text} {apart}".lower()))


def _threat_ids(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(text_of(each, "threat") for each in listed(entry, "threats"))


def _texts(value: Any) -> tuple[str, ...]:
    """Return the ids in a list: texts, or numbers as text."""
    entries = value[:MAX_ENTRIES] if isinstance(value, list) else []
    return tuple(text_of({"id": each}, "id") for each in entries)


_NUMBER: Final = re.compile(r"\b(CWE|CAPEC)[-_ ]?([0-9]{1,5})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ThreatRule:
    """Hold how a technique is recognised, and what it makes of an asset.

    :param trait: what an asset gets that such a threat was drawn at; None for what only gathers
        intelligence.
    :param numbers: such as ``CWE-918``.
    :param words: sets of word beginnings; each of a set has to stand in the threat's name.
    """

    technique: str
    component: Component
    trait: Trait | None
    numbers: frozenset[str] = frozenset()
    words: tuple[frozenset[str], ...] = ()


def _rule(written: Mapping[str, Any]) -> ThreatRule:
    return ThreatRule(
        written["technique"],
        Component(written["component"]),
        Trait(written["trait"]) if "trait" in written else None,
        frozenset(written.get("numbers", "").split()),
        tuple(frozenset(each.split()) for each in written.get("words", ())),
    )


RULES: Final = tuple(map(_rule, _TABLE["threats"]))
"""In the order in which words are tried: an exploit before what only gathers for it."""


def rule_for(name: str, texts: Iterable[str]) -> ThreatRule | None:
    """Return the rule that a threat clearly falls under, None if none is clear.

    :param name: its name: words count here alone.
    :param texts: where numbers of CWE and CAPEC may stand.
    """
    numbers = {
        f"{kind.upper()}-{int(number)}"
        for text in (name, *texts)
        for kind, number in _NUMBER.findall(text)
    }
    for rule in RULES:
        if numbers & rule.numbers:
            return rule
    words = re.findall(r"[a-z0-9]+", name.lower())
    for rule in RULES:
        for wanted in rule.words:
            if all(any(word.startswith(start) for word in words) for start in wanted):
                return rule
    return None


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
