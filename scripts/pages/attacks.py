"""Write docs/attacks.md from the attacks and the catalogue: what each sends, and which technique has one.

An attack is changed in its file under src/watchword/drill/attacks/, where ``watchword drill attacks`` finds it too.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from watchword.drill.interface import NEEDED, Attack
from watchword.drill.registry import ATTACKS
from watchword.plan.catalogue import load_catalogue

NEEDS: dict[str, str] = tomllib.loads(
    Path(__file__).with_name("needs.toml").read_text(encoding="utf-8")
)
"""What a technique needs that a drill from here hasn't got; where an attack executes one, its line isn't used."""

TARGET = Path(__file__).parents[2] / "docs" / "attacks.md"
INTRODUCTION = """\
# Attacks of the drill

`watchword drill` sends {attacks} attacks in {variants} variants. `watchword drill attacks ID` prints one. This page is made by
`python -m scripts.pages attacks` from the files under `src/watchword/drill/attacks/`.

Every variant ends in a request to the API that the genuine app could make and the attacker must not. A variant is

- **stopped** if that request was refused for the expected reason, while the genuine app is served the same one;
- **open** if it was served;
- **unsure** if it was refused for another reason, which proves nothing of this check.
"""
COVERAGE = """\
## Which technique has an attack

The [catalogue](catalogue.md) has {techniques} techniques. The drill executes {executed} of them, in whole or by what they send to the API. For the others,
the table says what they would need.

| technique | | attacks, or what it needs |
| --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    variants = sum(len(each.variants) for each in ATTACKS.values())
    parts = [INTRODUCTION.format(attacks=len(ATTACKS), variants=variants)]
    parts += ["\n".join(_coverage())]
    parts += ["\n".join(_attack(each)) for each in ATTACKS.values()]
    return "\n".join(parts) + "\n"


def _coverage() -> Iterator[str]:
    techniques = load_catalogue().techniques
    executed = {name for attack in ATTACKS.values() for name in attack.techniques}
    yield COVERAGE.format(techniques=len(techniques), executed=len(executed)).rstrip()
    for name, technique in techniques.items():
        attacks = [each.id for each in ATTACKS.values() if name in each.techniques]
        told = ", ".join(f"[{each}](#{each})" for each in attacks)
        yield f"| {name} | {technique.name} | {told or _lacking(name)} |"
    yield ""


def _lacking(technique: str) -> str:
    return f"Not run by the drill. It would need {NEEDS[technique]}."


def _attack(attack: Attack) -> Iterator[str]:
    yield f"## {attack.id}"
    yield ""
    yield f"{attack.title}."
    yield ""
    yield f"- Technique: {', '.join(attack.techniques)}"
    tested = ", ".join(f"{name} (`{key}`)" for name, key in attack.protections.items())
    yield f"- Tests: {tested or 'none by itself'}"
    needs = "; ".join(NEEDED[need] for need in attack.needs)
    yield f"- Needs: {needs or 'nothing but the API'}"
    yield f"- Sent: {attack.sends}"
    yield f"- Must happen: {attack.must}"
    yield f"- Can't tell: {attack.blind}"
    yield ""
    yield "| variant | must be refused for |"
    yield "| --- | --- |"
    for variant in attack.variants:
        reasons = ", ".join(f"`{code}`" for code in sorted(each.code for each in variant.expected))
        yield f"| {variant.name} | {reasons or 'any reason'} |"
    yield ""
