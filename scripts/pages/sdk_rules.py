"""Make docs/sdk-rules.md: each rule of the protocol, and which vectors and scenarios hold it.

Rules come from docs/protocol.md, vectors name theirs, and scenarios name the rules of docs/client.md: :data:`SCENARIOS` says
which of those belong to which rule of the protocol.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

DOCS: Final = Path(__file__).parents[2] / "docs"
TARGET: Final = DOCS / "sdk-rules.md"
_RULE: Final = re.compile(r"^- \*\*([A-Z]+[0-9]+)\*\* ", re.MULTILINE)
_HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_NUMBER: Final = re.compile(r"([A-Z]+)([0-9]+)")
_NAMED: Final = 3
"""Vectors that are named one by one; more are counted."""

SCENARIOS: Final[Mapping[str, str]] = {
    "F2": "B6",
    "F5": "V3",
    "VN2": "V1 S5",
    "VN3": "V2 V3",
    "VN4": "V2 C22",
    "VN5": "T5",
    "ST1": "C20",
    "ST8": "C21",
    "ST9": "K1 K2",
    "ST10": "C23",
    "CH1": "C4",
    "CH4": "N1",
    "CH6": "N1 N2 N3 N4",
    "CH8": "W1 W2 W6",
    "CH9": "W3 W4 W5",
    "EN2": "C20",
    "EN3": "C7",
    "EN7": "L6 L7",
    "EN8": "C2 C25",
    "EN11": "B2 B3 B4 B5 B6 C9",
    "EN12": "C19 C20 B9",
    "TK7": "T7",
    "PR1": "S6 C18",
    "PR2": "C15 A2",
    "PR3": "K1 K3",
    "PR5": "D9 K2",
    "PR6": "A1",
    "PR7": "A1 C14",
    "PR11": "A1",
    "PR13": "A2",
    "PR15": "C12",
    "PR17": "L1 C13 B1",
    "RF1": "C8",
    "RF4": "R3",
    "RF5": "C5 C6 R1 R2 R4 R5 R6",
    "RF6": "C1 C2 C3 C4 C5 C6 C7 C8 C10 C11 C12 C15 C16",
    "RF7": "C17",
    "RF8": "L1 L2 L3 L4 L5 C13 B1",
    "RF9": "C14",
    "SE1": "C23",
    "SE3": "C23",
    "TM1": "T1 T3",
    "TM2": "T5 R5",
    "TM3": "T7",
    "TM4": "T1",
    "TM5": "T3 T4",
    "TM6": "T1 T2 B7 B8",
    "TM7": "T6 C11",
    "DV1": "D1 D2 D3 D4 D5 D6 D7 B13",
    "DV2": "D4 C3",
    "DV3": "D8 D5",
    "DV4": "D9 K2",
    "DV5": "B13 D1",
    "KS2": "C22 B10",
    "KS3": "B11 B12",
    "KS4": "L7 B10 C24",
    "SW1": "S5 S6 S7",
    "SW2": "S1 S2 S3 S4",
}
"""By rule of the protocol the rules of docs/client.md that say the same of the client, whose scenarios hold it."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "tests of the service": "VN1 CH3 CH5 CH7 CH10 CH11 EN4 EN5 EN6 EN10 EN13 LV1 TK1 TK2 TK4 TK5",
    "tests of the gates": "TK3 PR14 PR16 GS1 GS2 GS3 SW3 SW4",
    "tests of each SDK": "EN14 RF3 RF10 TM8 DV6 DV7 DV8 DV9 KS1 KS5 P42 P45",
}
"""Rules that neither a vector nor a scenario can hold."""


class Held(NamedTuple):
    """Hold one rule.

    :param section: of the protocol, as its heading stands there.
    :param scenarios: ids of scenarios; ``elsewhere`` says who holds a rule that has neither these nor vectors.
    """

    rule: str
    section: str
    vectors: Sequence[str]
    scenarios: Sequence[str]
    elsewhere: str


def rules_of(protocol: str) -> Iterator[tuple[str, str]]:
    """Return each rule of the page with the heading that it stands under."""
    headings = [(each.start(), each[1]) for each in _HEADING.finditer(protocol)]
    for found in _RULE.finditer(protocol):
        yield found[1], [title for start, title in headings if start < found.start()][-1]


def vectors_by_rule(found: Any) -> dict[str, list[str]]:
    """Return ids of vectors by the rules that they hold."""
    by_rule: dict[str, list[str]] = defaultdict(list)
    waiting = [found]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, dict):
            if "id" in each:
                for rule in each["rules"]:
                    by_rule[rule].append(each["id"])
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return by_rule


def held() -> list[Held]:
    """Return every rule in the order of the protocol, and what holds it."""
    vectors = vectors_by_rule(json.loads((DOCS / "protocol-vectors.json").read_text("utf-8")))
    by_client_rule: dict[str, list[str]] = defaultdict(list)
    for scenario in json.loads((DOCS / "sdk-scenarios.json").read_text("utf-8"))["scenarios"]:
        for rule in scenario["rules"]:
            by_client_rule[rule].append(scenario["id"])
    others = {rule: who for who, rules in ELSEWHERE.items() for rule in rules.split()}
    return [
        Held(
            rule,
            section,
            vectors.get(rule, []),
            list(
                dict.fromkeys(
                    name
                    for each in SCENARIOS.get(rule, "").split()
                    for name in by_client_rule[each]
                )
            ),
            others.get(rule, ""),
        )
        for rule, section in rules_of((DOCS / "protocol.md").read_text("utf-8"))
    ]


def page() -> str:
    """Return the page."""
    lines = [
        "# Which rule is held by what",
        "",
        "<!-- Made by `python -m scripts.pages sdk-rules`; don't edit. -->",
        "",
        "Each rule of the [protocol](protocol.md), the [vectors](protocol-vectors.json) that name it, and the rules of the",
        "[client](client.md) whose [scenarios](sdk-scenarios.json) hold it. The clients in Python, Kotlin and Swift pass all of both.",
        "A rule without either is held by tests of one side alone. The [guide](sdk-guide.md) says how to use them.",
    ]
    section = ""
    for each in held():
        if each.section != section:
            section = each.section
            lines += [
                "",
                f"## {section}",
                "",
                "| rule | vectors, or other tests | scenarios |",
                "| --- | --- | --- |",
            ]
        vectors = ", ".join(f"`{name}`" for name in each.vectors)
        if len(each.vectors) > _NAMED:
            vectors = f"{len(each.vectors)}, such as `{each.vectors[0]}`"
        client = SCENARIOS.get(each.rule, "")
        scenarios = f"{len(each.scenarios)}, of {', '.join(client.split())}" if client else ""
        lines.append(f"| {each.rule} | {vectors or each.elsewhere} | {scenarios} |")
    return "\n".join(lines) + "\n"
