"""Write docs/hostile-suites.md from a run of the published suites, which lie beside the project where they are at all.

Nothing of the suites is copied; what is written is how many of their cases ended how, and why some lie outside.
"""

from collections.abc import Iterator
from pathlib import Path

from watchword_conformance.suites.interface import find
from watchword_conformance.suites.results import SUITES, Run, run, totals

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "hostile-suites.md"
SOURCE = ROOT.parent / "shared" / "vectors" / "adversarial"
INTRODUCTION = """\
# Hostile suites

Published collections of crooked input, put through the parsers and verifiers of Watchword. Three numbers each: *rejected* and *accepted* as
it must be, and *outside* of our profile. Three more that must be 0: wrong accepts, wrong rejects, and exceptions that aren't refusals.
This page is made by `python -m scripts.pages hostile-suites`; the test suite holds its numbers.

Run them yourself, on the suites as they are published, at any depth of a directory and in tar archives too:

```sh
watchword conformance suites DIRECTORY
```

Exit code 0: the last three numbers are 0. 1: one of them isn't. `--json` prints a row for each set.

## Numbers

| set | cases | rejected | accepted | outside | wrong accepts | wrong rejects | foreign exceptions |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
READING = """\
- **Outside** counts as no merit. Such a case is refused all the same, and one that is accepted is a wrong accept, unless the reason below is
  marked *not judged*. What goes against a suite's verdict is counted beside each reason, in both directions: with no reason at all, these cases would
  be wrong accepts and wrong rejects.
- **Read as said**: where a suite says what a document means (JSON, CBOR, sealed text), reading it as anything else is a wrong accept.
- **Attacks are carried over**: ours refuse most foreign tokens and headers for their type alone, which proves nothing of what is behind that. So
  attacks on JWT, changes to RFC 9421 examples and structured fields are put into tokens and requests of ours too, rightly signed.
- **A case that the tables don't name** (of a newer x509-limbo, say) and that is accepted against the suite's verdict is a wrong accept, until somebody
  has looked at it.
- **Reasons that were found by running**: those of x509-limbo and BetterTLS, and `server` of raw HTTP, were not written down beforehand. A first
  run showed what ours decide otherwise than the suite; each group was looked at, and named. So 0 in these three sets says that nothing *else* differs; it
  is no evidence that these differences are harmless, which only their reasons argue. That the leaf's key must be on P-256 is asked by every
  format; it was put into the check of these chains after that run too, and turned 5 accepted cases of x509-limbo into rejected ones.
- **Readers that accept nothing**: no structured field of that suite is of our form, and one that refused everything would have the same numbers. That ours
  accept their own form is tested beside.
- **Certificates**: attestation chains are not those of the web. They are short, stand in line, name no host, and end at a handful of known keys. Only links,
  CA flags, lengths, dates and keys of these suites can be judged by ours; nearly all that they ask besides is listed as not judged.
- **Raw HTTP/1.1** is read by h11 and the gate. Gates with their servers are held to more of it by [the corpus](conformance.md), see [engines.md](engines.md).
"""
ADDING = """\
## How to add a suite

A `Suite` in the module of its kind in `packages/watchword-conformance/src/watchword_conformance/suites/`, one line in `SUITES` of `results.py`, a suite of its own making in
`tests/unit/conformance/`, and this page made anew. A layout is told by what is in a file; write its reasons to be outside before the first run, by what the case is. A reason that is added after one is named
above, with what it hid.
"""


def run_suites() -> Run:
    """Run the suites that lie beside the project."""
    return run(find(SOURCE), SUITES)


def page(found: Run) -> str:
    """Return the page of a run."""
    return "\n".join([INTRODUCTION + "\n".join(_numbers(found)), "", *_reading(found), ADDING])


def _numbers(found: Run) -> Iterator[str]:
    for tally in found.tallies.values():
        yield _row(tally.name, (tally.cases, *tally.numbers, *tally.bad))
    yield _row("**all**", totals(found))


def _row(name: str, numbers: tuple[int, ...]) -> str:
    return f"| {name} | {' | '.join(map(str, numbers))} |"


def _reading(found: Run) -> Iterator[str]:
    yield "How to read them:\n"
    yield READING
    yield "## What is run, and what lies outside\n"
    for suite in SUITES.values():
        yield f"### {suite.title}\n"
        yield f"- Published: {suite.source}"
        yield f"- Told by: {suite.layout}"
        yield f"- Held to it: {suite.held}"
        yield ""
        if not suite.outside:
            yield "Nothing of it lies outside.\n"
            continue
        tallies = [each for each in found.tallies.values() if each.suite is suite]
        yield "| outside | cases | accepted against the suite | refused against it | why |"
        yield "| --- | ---: | ---: | ---: | --- |"
        for each in suite.outside:
            count = sum(tally.outside[each.name] for tally in tallies)
            taken = sum(tally.taken[each.name] for tally in tallies)
            missed = sum(tally.missed[each.name] for tally in tallies)
            judged = " *Not judged.*" if each.unjudged else ""
            yield f"| {each.name} | {count} | {taken} | {missed} | {each.why}{judged} |"
        yield ""
