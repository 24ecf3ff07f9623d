"""Show techniques and protections of the catalogue to a person, or to a script."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from watchword.apps.terminal.paragraphs import hanging, wrapped
from watchword.plan.interface import (
    CUT_THRESHOLD,
    Actor,
    Catalogue,
    Component,
    Effort,
    Protection,
    Technique,
)

_INDENT: Final = 16


def listed(catalogue: Catalogue) -> Iterator[str]:
    """Yield a line for each technique and each protection, by component."""
    yield "Techniques: stage, and how many protections cut it"
    for component in Component:
        yield ""
        yield f"  {component.value}"
        for technique in catalogue.techniques.values():
            if technique.component is component:
                cutting = sum(
                    strength >= CUT_THRESHOLD for _, strength in cut_by(catalogue, technique)
                )
                line = f"    {technique.id:<7} {technique.stage.value:<8} {cutting:>2}  {technique.name}"
                yield from hanging(line, further=20)
    yield ""
    yield "Protections: effort, where it acts, and how many techniques it cuts"
    for component in Component:
        yield ""
        yield f"  {component.value}"
        for each in catalogue.protections.values():
            if each.component is component:
                cutting = sum(strength >= CUT_THRESHOLD for strength in each.cuts.values())
                where = each.enforced_at.value
                line = f"    {each.id:<7} {each.effort:>3}  {where:<7} {cutting:>2}  {each.name}"
                yield from hanging(line, further=23)


def technique_in_words(catalogue: Catalogue, technique: Technique) -> Iterator[str]:
    """Yield the lines that describe a technique, with what cuts it, the strongest first."""
    yield from _opening(technique)
    yield from _member("where", f"{technique.component.value}, {technique.stage.value}")
    yield from _member("needs", ", ".join(sorted(technique.needs)) or "nothing")
    if technique.gives:
        yield from _member("gives", ", ".join(sorted(technique.gives)))
    if technique.harms:
        yield from _member("harms", ", ".join(sorted(technique.harms)))
    if technique.actors != {Actor.USER}:
        yield from _member("in place of", ", ".join(sorted(technique.actors)))
    cutting = cut_by(catalogue, technique)
    if not any(strength >= CUT_THRESHOLD for _, strength in cutting):
        yield from _member("cut by", "nothing in this catalogue; what is listed only slows it")
    elif cutting:
        yield from _member("cut by", f"from strength {CUT_THRESHOLD} on; 1 only slows it")
    for protection, strength in cutting:
        yield from _line(f"{strength}  {protection.id:<7} {protection.name}")
    if technique.accepted:
        yield from _member("accepted", technique.accepted)
    yield from _elsewhere(technique.names)


def protection_in_words(catalogue: Catalogue, protection: Protection) -> Iterator[str]:
    """Yield the lines that describe a protection, with what it cuts and what it doesn't stop."""
    yield from _opening(protection)
    where = f"{protection.component.value}, enforced at: {protection.enforced_at.value}"
    yield from _member("where", where)
    yield from _member("kind", protection.kind.value)
    size = next((f" ({each.name})" for each in Effort if each == protection.effort), "")
    yield from _member("effort", f"{protection.effort}{size}")
    if protection.depends_on:
        yield from _member("depends on", ", ".join(protection.depends_on))
    needed = [
        each.id for each in catalogue.protections.values() if protection.id in each.depends_on
    ]
    if needed:
        yield from _member("needed for", ", ".join(needed))
    yield from _member("cuts", f"from strength {CUT_THRESHOLD} on; 1 only slows it")
    for key, strength in sorted(protection.cuts.items(), key=lambda cut: (-cut[1], cut[0])):
        yield from _line(f"{strength}  {key:<7} {catalogue.techniques[key].name}")
    if protection.clamped:
        why = "stated stronger, and lowered: it runs only on a device that the attacker may own"
        yield from _member("lowered", f"{', '.join(protection.clamped)}: {why}")
    for at, text in enumerate(protection.does_not):
        name = "" if at else "doesn't stop"
        first = f"  {name:<{_INDENT - 2}}-"
        yield from wrapped(text, first=first, indent=_INDENT + 2)
    yield from _member("proven by", ", ".join(protection.evidence))
    if protection.reviewable:
        yield from _member("", "or by a person's review, since no machine sees all of it")
    yield from _elsewhere(protection.names)


def cut_by(catalogue: Catalogue, technique: Technique) -> list[tuple[Protection, int]]:
    """Return what acts on a technique and how strongly, the strongest first."""
    found = [
        (protection, protection.cuts[technique.id])
        for protection in catalogue.protections.values()
        if technique.id in protection.cuts
    ]
    return sorted(found, key=lambda cut: (-cut[1], cut[0].id))


def as_json(entry: Technique | Protection) -> dict[str, Any]:
    """Return an entry for ``--json``; what has no order is sorted."""
    kind = "technique" if isinstance(entry, Technique) else "protection"
    members = {
        key: sorted(value) if isinstance(value, frozenset) else value
        for key, value in asdict(entry).items()
    }
    return {"type": kind, **members}


def _opening(entry: Technique | Protection) -> Iterator[str]:
    yield from hanging(f"{entry.id}  {entry.name}")
    yield from wrapped(entry.about, indent=2)
    yield ""


def _member(name: str, text: str) -> Iterator[str]:
    yield from wrapped(text, first=f"  {name}", indent=_INDENT)


def _line(text: str) -> Iterator[str]:
    yield from hanging(f"{'':<{_INDENT}}{text}", further=11)


def _elsewhere(names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for at, (other, ids) in enumerate(sorted(names.items())):
        yield from _member("" if at else "elsewhere", f"{other}: {', '.join(ids)}")
