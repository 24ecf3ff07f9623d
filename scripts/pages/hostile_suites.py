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

Published collections of malformed input are run through the parsers and verifiers of Watchword. Each set has three numbers: cases *rejected*
and *accepted* as they must be, and cases *outside* of our profile. Three more must be 0: wrong accepts, wrong rejects, and exceptions that
aren't refusals. This page is made by `python -m scripts.pages hostile-suites`; the test suite checks its numbers.

Run the suites yourself, as they are published, at any depth of a directory and in tar archives too:

```sh
watchword conformance suites DIRECTORY
```

The exit code is 0 if the last three numbers are 0, else 1. `--json` prints a row for each set.

## Numbers

| set | cases | rejected | accepted | outside | wrong accepts | wrong rejects | foreign exceptions |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
READING = """\
- **Outside** earns no credit. Such a case must still be refused: an accepted one is a wrong accept, unless the reason below is marked *not
  judged*. Beside each reason stands how many cases go against the suite's verdict, in both directions. Without the reason, these cases would
  be wrong accepts and wrong rejects.
- **Read as said**: if a suite says what a document means (JSON, CBOR, sealed text), reading it as anything else is a wrong accept.
- **Attacks are carried over**: our verifiers refuse most foreign tokens and headers for their type alone, which tests nothing behind that. So
  attacks on JWT, changes to RFC 9421 examples and structured fields are also put into our own tokens and requests, correctly signed.
- **A case that the tables don't name** (of a newer x509-limbo, say) is a wrong accept if it is accepted against the suite's verdict, until
  somebody has looked at it.
- **Reasons that were found by running**: those of x509-limbo and BetterTLS, and `server` of raw HTTP, weren't written down beforehand. A first
  run showed where our decisions differ from the suite; each group was looked at, and named. So 0 in these three sets says that nothing *else*
  differs. It doesn't show that these differences are harmless; only their reasons argue that. Every format requires the leaf's key to be on
  P-256. That check was added to these chains after the first run too, and turned 5 accepted cases of x509-limbo into rejected ones.
- **Readers that accept nothing**: no structured field of that suite has our form, and a reader that refused everything would have the same
  numbers. Other tests show that our readers accept their own form.
- **Certificates**: attestation chains differ from those of the web. They are short, ordered, name no host, and end at a handful of known keys.
  Our verifier judges only links, CA flags, lengths, dates and keys of these suites; nearly everything else is listed as not judged.
- **Raw HTTP/1.1** is read by h11 and the gate. [The corpus](conformance.md) tests gates with their servers on more of it, see
  [engines.md](engines.md).
"""
ADDING = """\
## How to add a suite

1. Add a `Suite` to the module of its kind in `packages/watchword-conformance/src/watchword_conformance/suites/`, and one line to `SUITES` of
   `results.py`. A layout is recognised by a file's content.
2. Write the reasons to be outside before the first run, by what the case is. A reason that is added later is named above, with what it hid.
3. Add a suite made for the tests in `tests/unit/conformance/`, and make this page anew.
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
        yield f"- Recognised by: {suite.layout}"
        yield f"- Tests: {suite.held}"
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
