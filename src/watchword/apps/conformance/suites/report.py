"""Say what a run came to: three numbers for each set, the three that must be nought, and why cases lie outside."""

from collections.abc import Iterator
from typing import Any

from watchword.apps.conformance.suites.judging import Run, Tally

MAX_SHOWN = 20
"""Most cases of a set that are listed when they ended badly."""

_NUMBERS = ("rejected", "accepted", "outside")
_BAD = ("wrong accepts", "wrong rejects", "foreign exceptions")


def table(run: Run) -> str:
    """Return the numbers of each set, and of all of them."""
    width = max([len("set"), *map(len, run.tallies)])
    heads = ("cases", *_NUMBERS, *_BAD)
    lines = [f"{'set':<{width}}" + "".join(f"  {head}" for head in heads)]
    lines += [
        _line(tally.name, width, heads, (tally.cases, *tally.numbers, *tally.bad))
        for tally in run.tallies.values()
    ]
    lines.append(_line("all", width, heads, totals(run)))
    return "\n".join(lines)


def totals(run: Run) -> tuple[int, ...]:
    """Return the numbers of all sets together: cases, the three numbers, and the three that must be nought."""
    rows = [(tally.cases, *tally.numbers, *tally.bad) for tally in run.tallies.values()]
    return tuple(map(sum, zip(*rows, strict=True))) if rows else (0,) * 7


def _line(name: str, width: int, heads: tuple[str, ...], numbers: tuple[int, ...]) -> str:
    columns = zip(heads, numbers, strict=True)
    return f"{name:<{width}}" + "".join(f"  {number:>{len(head)}}" for head, number in columns)


def details(run: Run) -> str:
    """Return why cases lie outside, what ended badly, and what nobody read."""
    lines = []
    for tally in run.tallies.values():
        lines += [f"  {line}" for line in outside_lines(tally)]
    if lines:
        lines = ["", "outside of our profile:", *lines]
    for tally in run.tallies.values():
        lines += _wrong(tally)
    if run.unread:
        lines += ["", f"{len(run.unread)} files of no layout that is known were left alone"]
    return "\n".join(lines)


def outside_lines(tally: Tally) -> Iterator[str]:
    """Yield for each reason of a set how many cases have it, and how many go against its verdict."""
    for name, count in tally.outside.most_common():
        taken, missed = tally.taken[name], tally.missed[name]
        told = f", {taken} accepted against the suite's verdict" if taken else ""
        told += f", {missed} refused against it" if missed else ""
        yield f"{tally.name}, {name}: {count}{told}"


def _wrong(tally: Tally) -> Iterator[str]:
    for case, outcome, told in tally.wrong[:MAX_SHOWN]:
        yield f"\n{outcome.upper()} in {tally.name}: {case}\n  {told}"
    if len(tally.wrong) > MAX_SHOWN:
        yield f"\nand {len(tally.wrong) - MAX_SHOWN} more in {tally.name}"


def as_json(tally: Tally) -> dict[str, Any]:
    """Return one set for scripts."""
    numbers = zip((*_NUMBERS, *_BAD), (*tally.numbers, *tally.bad), strict=True)
    return {
        "set": tally.name,
        "suite": tally.suite.title,
        "cases": tally.cases,
        **{name.replace(" ", "_"): number for name, number in numbers},
        "outside_by": dict(tally.outside),
        "outside_accepted_against_verdict": dict(+tally.taken),
        "outside_refused_against_verdict": dict(+tally.missed),
        "wrong": [
            {"case": case, "outcome": outcome.value, "told": told}
            for case, outcome, told in tally.wrong
        ],
    }
