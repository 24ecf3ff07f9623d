"""Write docs/engines.md: what each enforcement point of the gate checks, and what the corpus found.

``python -m scripts.pages engines`` writes the page from docs/engines.json; with ``--run`` it starts every
enforcement point first, runs the whole corpus against each, and writes that file anew.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.system.conformance.results import FILE, result
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS, corpus_rows, deployed

from watchword_conformance.corpus import Capabilities, load_capabilities, load_corpus

TARGET = FILE.with_suffix(".md")
INTRODUCTION = """\
# Engines

All enforcement points make the same decision, apart from the differences that this page lists. Each was started for real, and all {cases} cases of the
[conformance corpus](conformance.md) were sent to it: requests that must pass, must be refused, or must at least hide nothing.
`python -m scripts.pages engines` writes the page; a test compares the numbers with a new run of every enforcement point.

- **agreed**: decided, answered and cleaned as the corpus says.
- **declared**: differed in a way that the engine declares, listed below.
- **differed**: anything else. It is 0, or the test fails.
"""
KINDS = """\
## What is declared

| kind | what it means |
| --- | --- |
| stricter | refuses what others let pass |
| cleaned | removes what is ambiguous and passes the request, which others refuse |
| harmless | accepts what only the service itself could have made |
| answer | the same decision, with another status or reason |
| looser | lets pass what others refuse for another cause than token, level or proof, such as a used-up quota |
"""


def page(results: Mapping[str, Any]) -> str:
    """Return the whole page."""
    known = load_capabilities()
    lines = [INTRODUCTION.format(cases=len(load_corpus().cases))]
    lines += [
        "| enforcement point | version | agreed | declared | differed |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name in ENFORCEMENT_POINTS:
        found = results[name]
        lines.append(
            f"| {known[name].title} | {found['version']} | {found['agreed']} | {found['declared']} "
            f"| {found['differed']} |"
        )
    lines += ["", "## What checks what", ""]
    lines += [
        "| enforcement point | by itself | over /authz | refused | replay |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in ENFORCEMENT_POINTS:
        each = known[name]
        cells = (each.native, each.authz, each.refused, each.replay)
        lines.append(
            f"| {each.title} | " + " | ".join(", ".join(cell) or "-" for cell in cells) + " |"
        )
    lines += ["", KINDS]
    for name in ENFORCEMENT_POINTS:
        lines += _declared(known[name], results[name]["differences"])
    return "\n".join(lines).rstrip("\n") + "\n"


def _declared(engine: Capabilities, counts: Mapping[str, int]) -> Iterator[str]:
    if not engine.differs:
        return
    yield f"### {engine.title}\n"
    yield "| kind | cases | what and why |"
    yield "| --- | ---: | --- |"
    # One may be declared of cases and of what others need, and is one difference.
    for each in {each.name: each for each in engine.differs}.values():
        yield f"| {each.kind.value} | {counts.get(each.name, 0)} | {each.why} |"
    yield ""


def run() -> dict[str, Any]:
    """Start every enforcement point, run the corpus against each, and return what was found."""
    found = {}
    for name in ENFORCEMENT_POINTS:
        with tempfile.TemporaryDirectory(prefix="ww") as directory:
            found[name] = result(name, corpus_rows(name, deployed(Path(directory))))
        print(name, found[name]["agreed"], found[name]["declared"], found[name]["differed"])
    return found
