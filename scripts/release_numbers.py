"""Collect the numbers of a release into docs/release-numbers.md: what was run, what was found, on what machine.

    python -m scripts.release_numbers --run    # runs what has no other place: about three minutes
    python -m scripts.release_numbers          # writes the page from the results that are there

From elsewhere come the hostile suites (``scripts.pages hostile-suites``), the corpus at each enforcement point (``scripts.pages engines --run``) and
overload (``benchmarks.bench_overload``).  What wasn't run is said to be missing; nothing is made up for it.  Exit code 1 where a number
that must be 0 isn't.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import write_result
from scripts.rotation_under_load import measure

from watchword.adapters.sqlite import SqliteStore

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "docs" / "release-numbers.md"
RESULTS: Final = ROOT / "benchmarks" / "results"
RUNS: Final = RESULTS / "release.json"
KILLS: Final = 50
ROTATION_SECONDS, ROTATION_INTERVAL = 60.0, 2.0

HEAD: Final = """\
# Numbers of a release

`python -m scripts.release_numbers` makes this page from measured results; nothing is written by hand. In the first table, *found* must be 0
throughout.

"""


@dataclass(frozen=True)
class Number:
    """Hold one number.

    :param of: out of how many.
    :param source: what measured it.
    """

    what: str
    found: float
    of: str
    source: str


@dataclass(frozen=True)
class Recovery:
    """Hold how long it took after something was over, in seconds; None where it never came back."""

    what: str
    seconds: float
    bound: float


def kill_rounds(directory: Path, rounds: int = KILLS) -> Number:
    """Kill an enrolling process again and again; return how many acknowledged enrolments aren't there."""
    # Imported here: nothing but a run needs the tests.
    from tests.system.endurance.test_kill import acknowledged_until_killed, start  # noqa: PLC0415

    path = directory / "watchword.db"
    SqliteStore(path).close()
    acknowledged: set[str] = set()
    for number in range(rounds):
        process = start(path, "forever")
        lines = acknowledged_until_killed(process, 1 + number * 7 % 24)
        acknowledged |= {instance for instance, *_ in lines}
    store = SqliteStore(path)
    found = {each.id for each in asyncio.run(store.list_instances(1_000_000))}
    store.close()
    return Number(
        "lost acknowledged writes",
        len(acknowledged - found),
        f"{len(acknowledged)} enrolments in {rounds} kills",
        "`kill -9` of an enrolling process",
    )


def rotation(directory: Path, seconds: float = ROTATION_SECONDS) -> Number:
    """Rotate keys and secrets under load; return how many good requests were refused or failed."""
    tally = measure(directory, seconds, ROTATION_INTERVAL)
    rotations = sum(tally.rotations.values())
    return Number(
        "false denials in rotation",
        len(tally.refusals) + len(tally.errors),
        f"{sum(tally.answers.values())} requests in {rotations} rotations",
        "`scripts.rotation_under_load`",
    )


def half_open(directory: Path) -> Iterator[Recovery]:
    """Hold 400 half-open connections at each enforcement point; yield when others were served again."""
    from tests.long.test_half_open import (  # noqa: PLC0415
        ENGINES,
        LISTENERS,
        SERVED_AGAIN_SECONDS,
        measured,
    )

    for name in (*LISTENERS, *ENGINES):
        seconds, _ = measured(directory / name, name)
        yield Recovery(f"400 half-open connections: {name}", seconds, SERVED_AGAIN_SECONDS)


def run() -> None:
    """Run what has no other place, and keep the results."""
    numbers: list[Number] = []
    works: tuple[Callable[[Path], Number], ...] = (kill_rounds, rotation)
    for work in works:
        with tempfile.TemporaryDirectory() as directory:
            numbers.append(work(Path(directory)))
            print(numbers[-1])
    with tempfile.TemporaryDirectory() as directory:
        recoveries = list(half_open(Path(directory)))
    document = {
        "numbers": [asdict(each) for each in numbers],
        "recoveries": [asdict(each) for each in recoveries],
    }
    write_result(RUNS.stem, document)


def suites(page: str) -> list[Number]:
    """Return the numbers of the hostile suites, from the row ``all`` of their page; none where it has none."""
    row = re.search(r"^\| \*\*all\*\* \| (.+) \|$", page, re.MULTILINE)
    if row is None:
        return []
    cases, _, _, _, *bad = (int(cell) for cell in row[1].split("|"))
    names = ("wrong accepts", "wrong rejects inside the profile", "foreign exceptions")
    return [
        Number(name, count, f"{cases} cases", "[hostile suites](hostile-suites.md)")
        for name, count in zip(names, bad, strict=True)
    ]


def points(found: Mapping[str, Any]) -> list[Number]:
    """Return how many decisions differed without having been declared, over all enforcement points."""
    if not found:
        return []
    agreed, declared, differed = (
        sum(each[name] for each in found.values()) for name in ("agreed", "declared", "differed")
    )
    source = "[the corpus at each enforcement point](engines.md)"
    of = f"{agreed + declared + differed} at {len(found)} enforcement points, {declared} declared"
    return [Number("decisions that differ undeclared", differed, of, source)]


def page(
    suites_page: str,
    engines: Mapping[str, Any],
    runs: Mapping[str, Any],
    overload: list[Mapping[str, Any]],
) -> tuple[str, bool]:
    """Return the page, and whether all is as it must be in what was run."""
    numbers = [*suites(suites_page), *points(engines)]
    numbers += [Number(**each) for each in runs.get("numbers", ())]
    recoveries = [Recovery(**each) for each in runs.get("recoveries", ())]
    lines = [HEAD + "| must be 0 | found | of | measured by |", "| --- | ---: | --- | --- |"]
    lines += [f"| {n.what} | {n.found:g} | {n.of} | {n.source} |" for n in numbers]
    lines += ["", "## Recovery", ""]
    lines += ["| after | served again within, s | at most, s |", "| --- | ---: | ---: |"]
    lines += [f"| {each.what} | {each.seconds:.1f} | {each.bound:g} |" for each in recoveries]
    lines += ["", *_half_open_note(), "## Overload", "", *_overload(overload), ""]
    lines += ["## When and where", "", *_where(runs), ""]
    good = (
        all(number.found == 0 for number in numbers)
        and all(each.seconds <= each.bound for each in recoveries)
        and all(row["holds"] is not False for row in overload)
    )
    return "\n".join(lines), good


def _half_open_note() -> Iterator[str]:
    yield "Each listener may open 300 descriptors there, fewer than there are connections."
    yield "Uvicorn drops no half-open connection and isn't in the table: put a proxy in front of it, or serve on granian."
    yield ""


def _overload(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "Not measured: `python -m benchmarks.bench_overload`."
        return
    yield "An open loop for 30 s, with the server on one core and the generator on the other (`python -m benchmarks.bench_overload`)."
    yield ""
    yield "| measure | found | beside | goal | holds |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for row in rows:
        beside, goal = (
            "" if row[name] is None else f"{row[name]:g}" if name == "goal" else f"{row[name]:.1f}"
            for name in ("peer", "goal")
        )
        holds = {None: "", True: "yes", False: "**no**"}[row["holds"]]
        yield f"| {row['measure'].strip()} | {row['ours']:.1f} | {beside} | {goal} | {holds} |"


def _where(runs: Mapping[str, Any]) -> Iterator[str]:
    if not runs:
        yield "Kills, rotation and half-open connections were not run: `python -m scripts.release_numbers --run`."
    else:
        yield f"Kills, rotation and half-open connections: {runs['made']['date']}, {runs['made']['machine']}."
    yield "The other numbers come from the runs that make their own pages and files."


def _read(file: Path, otherwise: Any) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else otherwise


def from_results() -> tuple[str, bool]:
    """Return the page of the results that are there, and whether all is as it must be."""
    return page(
        (ROOT / "docs" / "hostile-suites.md").read_text(encoding="utf-8"),
        _read(ROOT / "docs" / "engines.json", {}),
        _read(RUNS, {}),
        _read(RESULTS / "overload.json", {"rows": []})["rows"],
    )


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="run what has no other place, first")
    if parser.parse_args().run:
        run()
    text, good = from_results()
    TARGET.write_text(text, encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
