"""Write docs/figures.md: every row of benchmarks/results with its goal, whether it holds, of what commit, when and where."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.report import RESULTS
from scripts.cited_tests import ROOT

TARGET: Final = ROOT / "docs" / "figures.md"

SOURCES: Final[Mapping[str, tuple[str, str]]] = {
    "start": ("Start of the commands", "make bench-start"),
    "up": ("Start of the service, and the demo", "make bench-up"),
    "gate": ("The gate", "make bench-gate"),
    "gate_instructions": ("The gate and the verifier, in instructions", "make bench-instructions"),
    "pushes": ("Until a change counts", "make bench-pushes"),
    "pushes_revoked": (
        "Until a change counts, with a million revoked",
        "make bench-pushes REVOKED=1000000",
    ),
    "overload": ("Overload", "make bench-overload"),
    "storm": ("A whole fleet that is cut off", "make bench-storm"),
    "launch": ("A launch day, simulated", "python -m benchmarks.fleet_launch"),
    "attestation": ("Verification of evidence", "make bench-attestation"),
    "channel": ("Pins", "make bench-channel"),
    "keys": ("Keys, limits and canary keys", "make bench-keys"),
    "plan": ("The planner", "make bench-plan"),
    "workshop": ("The workshop", "make bench-workshop"),
    "drill": ("The drill", "make bench-drill"),
    "scan": ("The scan", "make bench-scan"),
    "sdk": ("The Android SDK", "make bench-sdk"),
    "sdk_ios": ("The iOS SDK", "make bench-sdk"),
}
"""By file of results, in the order of the page: its title, and what renews it."""

ELSEWHERE: Final = frozenset({"release", "house-mutants"})
"""Files of results that pages of their own, or tests, show."""

_HEAD: Final = """\
# Figures

Every measured figure, with its goal and its age. `python -m scripts.pages figures` makes this page from `benchmarks/results`;
nothing here is written by hand. [What the goals mean, and why some are missed](performance.md).

- *Ours* is Watchword's value. *Peer* is what it is compared with: the floor, or another product. The measure names it.
- A goal bounds the value itself, or the ratio, or how many times faster ours is. The goal's column says which.
- *Age* counts days back from the newest result of this page.

"""


class Result(NamedTuple):
    """Hold a file of results.

    :param made: commit, date and machine.
    """

    made: Mapping[str, str]
    rows: list[dict[str, Any]]


def results() -> dict[str, Result]:
    """Return the results by name, in the order of the page."""
    found = {}
    for name in SOURCES:
        document = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        found[name] = Result(document["made"], document["rows"])
    return found


def page() -> str:
    """Return the page."""
    found = results()
    return _HEAD + "\n".join([*_summary(found), *_sections(found)]) + "\n"


def _summary(found: Mapping[str, Result]) -> Iterator[str]:
    newest = max(_day(each.made) for each in found.values())
    yield "| what | goals met | age, days | date | commit | renew by |"
    yield "| --- | --: | --: | --- | --- | --- |"
    for name, each in found.items():
        title, command = SOURCES[name]
        goals = [row["holds"] for row in each.rows if row.get("holds") is not None]
        met = f"{sum(goals)} of {len(goals)}" if goals else "no goals"
        age, made = newest - _day(each.made), each.made
        link = f"[{title}](#{anchor(title)})"
        yield f"| {link} | {met} | {age} | {made['date']} | {made['commit']} | `{command}` |"
    yield ""


def _sections(found: Mapping[str, Result]) -> Iterator[str]:
    for name, each in found.items():
        title, _ = SOURCES[name]
        yield f"## {title}"
        yield ""
        made = each.made
        yield f"Measured at {made['commit']}, {made['date']}. Machine: {made['machine']}."
        yield ""
        yield from _instructions(each) if name == "gate_instructions" else _table(each)
        yield ""


def _table(result: Result) -> Iterator[str]:
    yield "| measure | ours | peer | ratio | goal | holds |"
    yield "| --- | --: | --: | --: | --- | --- |"
    for row in result.rows:
        cells = [number(row[key]) for key in ("ours", "peer", "ratio")]
        holds = {None: "", True: "yes", False: "**no**"}[row["holds"]]
        measure = row["measure"].strip().replace("|", "\\|")
        yield f"| {measure} | {' | '.join(cells)} | {goal_of(row)} | {holds} |"


def _instructions(result: Result) -> Iterator[str]:
    yield "| thousands of instructions | all | Python | libcrypto | SHA-2 |"
    yield "| --- | --: | --: | --: | --: |"
    for row in result.rows:
        cells = [f"{row[key] / 1000:,.1f}" for key in ("ours", "python", "libcrypto", "sha2")]
        yield f"| {row['measure'].removesuffix(', instructions')} | {' | '.join(cells)} |"


def goal_of(row: Mapping[str, Any]) -> str:
    """Return the goal of a row, with what it bounds; empty where there is none."""
    if row["goal"] is None:
        return ""
    words = {"ours": "at most {}", "least": "at least {}", "ratio": "ratio at most {}"}
    return words.get(row["goal_on"], "{} times faster").format(number(row["goal"]))


def number(value: float | None) -> str:
    """Return a value with three digits that count, whole from a hundred on."""
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def anchor(title: str) -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def _day(made: Mapping[str, str]) -> int:
    year, month, day = map(int, made["date"].split("-"))
    return date(year, month, day).toordinal()


QUOTED: Final = re.compile(
    r'\[(?P<text>[^\]\[]+)\]\((?P<page>[\w./-]*figures\.md)(?:#[\w-]+)? "(?P<name>[\w-]+): (?P<measure>[^"]+?)(?: \((?P<key>ours|peer|ratio|goal)\))?"\)'
)
"""A quoted figure: a link to the page, whose title names the file of results, the measure and, in brackets, which value."""


def wrong_quotes(text: str, found: Mapping[str, Result]) -> list[str]:
    """Return what is wrong with the figures that a page quotes: each must be the result, to the digits that are written."""
    wrong = []
    for quote in QUOTED.finditer(text):
        name, measure, key = quote["name"], quote["measure"], quote["key"] or "ours"
        rows = found[name].rows if name in found else []
        values = [row[key] for row in rows if row["measure"].strip() == measure]
        if not values or values[0] is None:
            wrong.append(f"{name}: {measure} ({key}): no such figure")
            continue
        said = re.search(r"[0-9][0-9,]*(?:\.[0-9]+)?", quote["text"])
        digits = len(said[0].partition(".")[2]) if said else 0
        if said is None or f"{values[0]:,.{digits}f}" != said[0]:
            wrong.append(
                f"{name}: {measure} ({key}): got {quote['text']}, expected {values[0]:,.{digits}f}"
            )
    return wrong


def pages_that_quote() -> list[Path]:
    """Return the pages of the documentation, all of which may quote figures."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
