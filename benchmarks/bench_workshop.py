"""Measure the workshop as a person has it: how long after an answer the page with the new plan is there, and what it weighs.

The command runs in a process of its own; each answer changes an impact, and its page is followed as a browser does.  The peer
is the same page loaded again, for which nothing is planned anew.

Run: ``python -m benchmarks.bench_workshop``
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import yaml
from benchmarks.report import Row, write_report

from watchword.apps.plan.workshop.starts import begin_from, templates
from watchword.apps.settings.plan import load_plan

COMMAND: Final = str(Path(sys.executable).parent / "watchword")
ROUNDS: Final = 20
PAUSE_SECONDS: Final = 1.0
"""Long enough that how firm each place is gets worked out when the next answer comes."""

SMALL: Final = 30
LARGE: Final = 300
LARGE_PATHS: Final = 5_000
FIRST_PAGE_BYTES: Final = 150_000

_Asset = dict[str, Any]


def assets(count: int, paths: int | None = None) -> dict[str, _Asset]:
    """Return the assets of all templates, again and again under other names.

    :param paths: about so many; each asset keeps its first trait alone once there are enough.
    """
    pool: list[_Asset] = [
        {name: value for name, value in asset.items() if name != "routes"}
        for each in templates()
        for asset in begin_from(each.name)["assets"].values()
    ]
    found: dict[str, _Asset] = {}
    each_has = [_paths_of(asset) for asset in pool]
    left = paths
    for number in range(count):
        asset = {**pool[number % len(pool)], "impact": number % 5 + 1}
        if left is not None:
            # The rest needs at least as much as the asset with the fewest paths has.
            if left - each_has[number % len(pool)] < (count - number - 1) * min(each_has):
                asset = {**pool[each_has.index(min(each_has))], "impact": number % 5 + 1}
                left -= min(each_has)
            else:
                left -= each_has[number % len(pool)]
        found[f"asset-{number:05}"] = asset
    return found


def _paths_of(asset: _Asset) -> int:
    with tempfile.TemporaryDirectory() as directory:
        return _written(Path(directory), {"one": asset})[1]


def _written(directory: Path, found: Mapping[str, _Asset]) -> tuple[Path, int]:
    """Return a file with these assets, and how many paths lead to them."""
    file = directory / "watchword.yaml"
    plan = json.loads(json.dumps({"version": 1, "plan": {"assets": found}}))
    file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return file, len(load_plan(file).model.paths)


class Visitor:
    """Be a browser without a screen: one connection, one cookie."""

    def __init__(self, invitation: str) -> None:
        """Come in."""
        self._address = urlsplit(invitation)
        self._connection = http.client.HTTPConnection(self._address.netloc, timeout=600)
        self._headers: dict[str, str] = {}
        status, headers, _ = self.asked("GET", f"/?{self._address.query}")
        assert status == 303, status
        self._headers = {
            "cookie": headers["set-cookie"].partition(";")[0],
            "origin": f"http://{self._address.netloc}",
        }

    def asked(
        self, method: str, path: str, form: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], str]:
        """Send one request."""
        headers, body = dict(self._headers), None
        if form is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
            body = urlencode(form)
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, text

    def page(self, path: str) -> str:
        """Return a page."""
        status, _, text = self.asked("GET", path)
        assert status == 200, (status, path)
        return text

    def answer(self, page: str, asset: str, number: int) -> str:
        """Answer a question of a page otherwise than before, and return the page that comes then."""
        form = {name: _field(page, name) for name in ("csrf", "revision")}
        form |= {"impact": str(1 + number * 2 % 5), "because": f"it is measured {number}"}
        status, headers, text = self.asked("POST", f"/impact/{asset}", form)
        assert status == 303, text
        return self.page(headers["location"].partition("#")[0])


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


@contextmanager
def workshop(file: Path) -> Iterator[Visitor]:
    """Run the workshop of a file, and come in."""
    command = [COMMAND, "-c", str(file), "plan", "workshop", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Visitor(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
            process.wait()


def answers(visitor: Visitor, names: list[str], rounds: range, pause: float) -> Iterator[float]:
    """Answer one question after another; yield how many seconds each took until its page was there.

    :param rounds: numbers that no other answer had: the same answer again changes nothing.
    """
    page = visitor.page("/impact")
    for number in rounds:
        time.sleep(pause)
        name = names[number % len(names)]
        started = time.perf_counter()
        page = visitor.answer(page, name, number)
        yield time.perf_counter() - started


def rows_of(count: int, paths: int | None, rounds: int, goal: float | None) -> list[Row]:
    """Measure a workshop of one size.

    :param goal: most milliseconds; None for no goal.
    """
    with tempfile.TemporaryDirectory() as directory:
        found = assets(count, paths)
        file, led = _written(Path(directory), found)
        what = f"{count:,} assets, {led:,} paths"
        names = list(found)
        with workshop(file) as visitor:
            visitor.page("/impact")
            quick = sorted(answers(visitor, names, range(rounds), 0))
            started = time.perf_counter()
            visitor.page("/impact")
            again = time.perf_counter() - started
            slow = sorted(answers(visitor, names, range(rounds, 2 * rounds), PAUSE_SECONDS))
    return [
        Row(
            f"{what}: an answer until its page is there, ms (floor: the page again)",
            statistics.median(quick) * 1000, again * 1000, goal,
        ),
        Row(f"{what}: of that, nine of ten within, ms", _nine_of_ten(quick), None, goal),
        Row(
            f"{what}: the same while firmness is worked out, nine of ten within, ms",
            _nine_of_ten(slow), None, goal,
        ),
    ]  # fmt: skip


def _nine_of_ten(seconds: list[float]) -> float:
    return seconds[len(seconds) * 9 // 10 - 1] * 1000


def weight_rows() -> list[Row]:
    """Weigh the first page, with all that it loads."""
    with tempfile.TemporaryDirectory() as directory:
        with workshop(Path(directory, "watchword.yaml")) as visitor:
            empty = _weight(visitor, "/start")
        file, _ = _written(Path(directory), assets(SMALL))
        with workshop(file) as visitor:
            filled = _weight(visitor, "/assets")
    return [
        Row.at_most("first page of an empty file with all it loads, bytes", empty, None, FIRST_PAGE_BYTES),
        Row.at_most(f"first page of {SMALL} assets with all it loads, bytes", filled, None, FIRST_PAGE_BYTES),
    ]  # fmt: skip


def _weight(visitor: Visitor, path: str) -> float:
    page = visitor.page(path)
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    assert loaded
    return sum(len(each.encode()) for each in (page, *map(visitor.page, sorted(loaded))))


def main() -> bool:
    """Measure, print and write ``results/workshop.json``; tell whether all goals hold."""
    rows = [
        *weight_rows(),
        *rows_of(SMALL, None, ROUNDS, 300),
        *rows_of(LARGE, LARGE_PATHS, ROUNDS, 2000),
    ]
    print(f"load average of the last minute: {os.getloadavg()[0]:.2f}")
    return write_report("workshop", rows)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
