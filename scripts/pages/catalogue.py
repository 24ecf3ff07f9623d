"""Write docs/catalogue.md from the techniques and protections that the package ships.

An entry is changed in src/watchword/plan/catalogue/, where ``watchword plan catalogue`` finds it too.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from watchword.plan.catalogue import (
    MAX_ENTRIES,
    MAX_ITEMS,
    MAX_NAME,
    MAX_STRENGTH,
    MAX_TEXT,
    PROTECTION_NAMES,
    TECHNIQUE_NAMES,
    load_catalogue,
    maswe_numbers,
)
from watchword.plan.interface import (
    CLIENT_STRENGTH,
    CUT_THRESHOLD,
    MAX_EFFORT,
    Actor,
    Catalogue,
    Component,
    Effort,
    EnforcedAt,
    Intelligence,
    Protection,
    ProtectionKind,
    Stage,
    Technique,
    Trait,
)

TARGET = Path(__file__).parents[2] / "docs" / "catalogue.md"
TITLES = {
    Component.APP: "in the app",
    Component.CHANNEL: "on the wire",
    Component.BACKEND: "at the backend",
}
INTRODUCTION = """\
# Catalogue of techniques and protections

{techniques} techniques say what attackers do to a mobile app, its channel and its backend; {protections} protections say what stops
them. `watchword plan` builds its paths and its order from them, and `watchword plan catalogue ID` prints an entry. Strengths,
efforts and stages are our estimates. This page is made by `python -m scripts.pages catalogue` from the files under
`src/watchword/plan/catalogue/`.

- **Stage**: `recon` gathers intelligence, `exploit` does the damage. A technique *needs* intelligence that others *give*.
- **Harms**: which assets an exploiting technique can harm as the last step, if it acts in a part where the asset lives.
- **Strength** of a cut: 1 slows, 2 stops common tools, 3 blocks. A step counts as cut from {threshold} on. What runs
  only on a device that the attacker may own counts as {client} at most ([ADR 0016](adr/0016-client-side-strength.md)), and is
  marked with `*`.
- **Effort**: S = {S}, M = {M}, L = {L}; a unit is about a week of one person's work.
- **Proven by**: keys of the observations that can show that it works. *Review* means that a person's review counts too.
- Nothing here says how often anything happens.

## An entry of your own

A file of your own, named under `plan: catalogue:` in `watchword.yaml`, adds entries and changes single members of ours.
`watchword plan catalogue` shows them too; `--own FILE` takes another file.

```yaml
techniques:
  MT-X01:
    name: Read the smartwatch
    about: The companion on the watch keeps the last records without a lock.
    component: app
    stage: exploit
    needs: [device_control]
    gives: [session_token]
    harms: [live-data]
    actors: [user]
    accepted: We have no watch to try it on; taken on by the owner of the watch app.
    names: {{owasp-mobile: ["M9:2024"]}}
protections:
  PR-B07: {{effort: M}}          # Our framework does most of it.
  PR-X01:
    name: Lock the watch
    about: The companion opens only while the watch is worn and unlocked.
    component: app
    enforced_at: client
    kind: prevent
    effort: S
    depends_on: [PR-A08]
    cuts: {{MT-X01: 2}}
    does_not: [Whoever wears the unlocked watch reads it.]
    evidence: [scan:static.watch_lock]
    reviewable: true
    names: {{masvs: [MASVS-AUTH-2]}}
```

The file has two keys, `techniques` and `protections`, each with entries by id: `MT-` or `PR-`, a capital letter and two or three
digits, such as `MT-X01`.

- Under a new id, all members marked with • are needed.
- Under one of ours, only what you write changes. A list replaces ours. `cuts` changes the techniques that it names, and strength 0
  removes a cut.
- There are at most {entries} techniques and {entries} protections, ours included.
- A `likelihood` is a fault: the plan ranks by impact alone.

| member of a technique | | what it takes |
| --- | --- | --- |
| `name` | • | text of at most {name} characters |
| `about` | • | text of at most {text} characters: how it is done |
| `component` | • | {component} |
| `stage` | • | {stage} |
| `needs` | | list of intelligence, all of which the attacker must have: {intelligence} |
| `gives` | | list of intelligence, of the same words |
| `harms` | | list of traits, at least one if the stage is `exploit`, none if it is `recon`: {trait} |
| `actors` | | list, in whose place it is done: {actor}; left out, `user`. It reaches only assets that one of them calls |
| `accepted` | | text: why nothing cuts it, so that the risk has to be accepted by name |
| `names` | | ids elsewhere, a list by catalogue: {technique_names} |

| member of a protection | | what it takes |
| --- | --- | --- |
| `name` | • | text of at most {name} characters |
| `about` | • | text of at most {text} characters: what it is |
| `component` | • | {component} |
| `enforced_at` | • | where it acts: {enforced_at}; what acts at the `client` alone counts as {client} at most |
| `kind` | • | {kind} |
| `effort` | • | {efforts}, or a whole number from 1 to {max_effort} |
| `depends_on` | | list of ids of protections that must be there first, in no circle |
| `cuts` | • | strength, 0 to {strength}, by id of a technique |
| `does_not` | • | list of texts, at least one: what it doesn't stop |
| `evidence` | • | list of keys, at least one, of the observations that can prove it, such as `scan:static.watch_lock` |
| `reviewable` | | `true` if a person's review counts too; left out, `false` |
| `names` | | ids elsewhere, a list by catalogue: {protection_names} |

A list has at most {items} entries.

## Ids of other catalogues

Entries name the ids of other catalogues for the same thing; the wording here is ours. MASWE is named by alias, with its number
beside it, which is stable since [version 1.0.0](https://github.com/OWASP/maswe/releases/tag/v1.0.0).
`watchword plan catalogue --check` compares the aliases with that version. With `--stix FILE --maswe DIR` it compares all ids with
files on your disk.

ATT&CK ids: © 2025 The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE
Corporation. The MITRE Corporation (MITRE) hereby grants you a non-exclusive, royalty-free license to use ATT&CK® for
research, development, and commercial purposes. Any copy you make for such purposes is authorized provided that you
reproduce MITRE's copyright designation and this license in any such copy.
"""


def page() -> str:
    """Return the whole page."""
    catalogue = load_catalogue()
    introduction = INTRODUCTION.format(
        techniques=len(catalogue.techniques),
        protections=len(catalogue.protections),
        threshold=CUT_THRESHOLD,
        client=CLIENT_STRENGTH,
        entries=MAX_ENTRIES,
        name=MAX_NAME,
        text=MAX_TEXT,
        items=MAX_ITEMS,
        strength=MAX_STRENGTH,
        max_effort=MAX_EFFORT,
        efforts=", ".join(f"`{each.name}`" for each in Effort),
        component=_words(Component),
        stage=_words(Stage),
        intelligence=_words(Intelligence),
        trait=_words(Trait),
        actor=_words(Actor),
        enforced_at=_words(EnforcedAt),
        kind=_words(ProtectionKind),
        technique_names=_codes(sorted(TECHNIQUE_NAMES)),
        protection_names=_codes(sorted(PROTECTION_NAMES)),
        **{each.name: each.value for each in Effort},
    )
    lines = [introduction]
    for component, title in TITLES.items():
        lines.append(f"## Techniques {title}\n")
        for technique in catalogue.techniques.values():
            if technique.component is component:
                lines += _technique(catalogue, technique)
    for component, title in TITLES.items():
        lines.append(f"## Protections {title}\n")
        for protection in catalogue.protections.values():
            if protection.component is component:
                lines += _protection(catalogue, protection)
    return "\n".join(lines)


def _technique(catalogue: Catalogue, technique: Technique) -> Iterator[str]:
    yield from _opening(technique)
    yield f"- **Stage**: {technique.stage.value}"
    for title, words in (
        ("Needs", technique.needs),
        ("Gives", technique.gives),
        ("Harms", technique.harms),
    ):
        if words:
            yield f"- **{title}**: {_codes(sorted(words))}"
    if technique.actors != {Actor.USER}:
        yield f"- **In the place of**: {_codes(sorted(technique.actors))}"
    cuts = [
        (protection.cuts[technique.id], _link(protection), technique.id in protection.clamped)
        for protection in catalogue.protections.values()
        if technique.id in protection.cuts
    ]
    yield from _strengths("Cut by", cuts)
    if all(strength < CUT_THRESHOLD for strength, _, _ in cuts):
        yield f"- **Nothing in this catalogue cuts it**: {technique.accepted}"
    yield from _elsewhere(technique.names)


def _protection(catalogue: Catalogue, protection: Protection) -> Iterator[str]:
    yield from _opening(protection)
    size = next((each.name for each in Effort if each == protection.effort), protection.effort)
    yield (
        f"- **Enforced at**: {protection.enforced_at.value}; **kind**: {protection.kind.value};"
        f" **effort**: {size}"
    )
    if protection.depends_on:
        needs = (_link(catalogue.protections[key]) for key in protection.depends_on)
        yield f"- **Depends on**: {', '.join(needs)}"
    cuts = [
        (strength, _link(catalogue.techniques[key]), key in protection.clamped)
        for key, strength in protection.cuts.items()
    ]
    yield from _strengths("Cuts", cuts)
    yield "- **Doesn't stop**:"
    for text in protection.does_not:
        yield f"  - {text}"
    review = ", *review*" if protection.reviewable else ""
    yield f"- **Proven by**: {_codes(protection.evidence)}{review}"
    yield from _elsewhere(protection.names)


def _opening(entry: Technique | Protection) -> Iterator[str]:
    yield f'<a id="{entry.id.lower()}"></a>\n'
    yield f"### {entry.id} {entry.name}\n"
    yield f"{entry.about}\n"


def _link(entry: Technique | Protection) -> str:
    return f"[{entry.id}](#{entry.id.lower()}) {entry.name}"


def _strengths(title: str, cuts: list[tuple[int, str, bool]]) -> Iterator[str]:
    """Yield cuts, a line each, the strongest first."""
    yield f"- **{title}**:" if cuts else f"- **{title}**: nothing"
    for strength, link, lowered in sorted(cuts, key=lambda cut: (-cut[0], cut[1])):
        yield f"  - {strength}{'*' * lowered} {link}"


def _words(words: type[StrEnum]) -> str:
    """Return every word that a member takes."""
    return _codes([word.value for word in words])


def _codes(words: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _elsewhere(names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if names:
        numbers = maswe_numbers()
        others = (
            # No alias of MASWE is an id of another catalogue: all of those have a capital letter.
            f"{other} {', '.join(f'{each} ({numbers[each]})' if each in numbers else each for each in ids)}"
            for other, ids in sorted(names.items())
        )
        yield f"- **Elsewhere**: {'; '.join(others)}"
    yield ""
