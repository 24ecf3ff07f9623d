"""The report in a real browser: no page is wider than its window, and nothing is loaded.

Chromium is needed, and a machine without it fails here: a report that nobody looked at isn't done.
The page runs no script by its own policy, so that a page around it measures.
"""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps.plan_views.seed import (
    crowded_plan,
    renamed,
    seed_plan,
    struck_plan,
    troubled_plan,
)

from watchword.apps.plan.html import report
from watchword.plan.outcome import Plan

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
)
WIDTHS = (1280, 820, 390, 320)
WIDE, NARROW = 1280, 390

MEASURE = """
const found = {};
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, view = frame.contentWindow;
  const shown = (name) => [...page.querySelectorAll(name)].some((one) => one.getClientRects().length);
  const beyond = [...page.querySelectorAll("body *")].filter((one) =>
    !one.closest(".scroll, .wide, svg, details:not([open])") &&
    one.getBoundingClientRect().right > view.innerWidth + 0.5);
  found[frame.width] = {
    client: page.documentElement.clientWidth, scroll: page.documentElement.scrollWidth,
    beyond: beyond.map((one) => one.tagName + "." + one.className),
    wide: shown(".wide"), ways: shown(".ways"), heading: page.querySelector("h1").textContent,
    loaded: view.performance.getEntriesByType("resource").map((one) => one.name),
    scripts: page.scripts.length, body: view.getComputedStyle(page.body).marginTop,
  };
}
const result = document.createElement("pre");
result.id = "result";
result.textContent = JSON.stringify(found);
document.body.append(result);
"""


def browser() -> str:
    """Return the browser; it is installed by scripts/setup."""
    found = shutil.which("chromium")
    assert found is not None, "chromium isn't on PATH: apt-get install chromium fonts-dejavu-core"
    return found


def measured(page: str, folder: Path) -> Mapping[str, Any]:
    """Return what the browser finds of a page at each width."""
    frames = "".join(
        f'<iframe width="{width}" height="800" srcdoc="{html.escape(page)}"></iframe>'
        for width in WIDTHS
    )
    outer = folder / "outer.html"
    style = "<style>iframe { border: 0; display: block }</style>"
    script = f"<script>addEventListener('load', () => {{ {MEASURE} }})</script>"
    outer.write_text(f"<!doctype html>{style}{frames}{script}", encoding="utf-8")
    done = subprocess.run(
        [browser(), *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", outer.as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
    )
    result = re.search(r'<pre id="result">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    assert result is not None
    found: Mapping[str, Any] = json.loads(html.unescape(result[1]))
    return found


def long_winded() -> Plan:
    """Return a plan whose names are as long as they may be, without a place to break."""
    plan = renamed(seed_plan(), "backend-records", "records-" + "x" * 120)
    long = replace(plan.items[0].protection, name="Y" * 160, does_not=("Z" * 300,))
    return replace(plan, items=(replace(plan.items[0], protection=long), *plan.items[1:]))


@pytest.mark.parametrize(
    "plan",
    [
        seed_plan(),
        troubled_plan(),
        crowded_plan(600),
        long_winded(),
        replace(struck_plan(), added=("PR-B01",), removed=tuple(f"PR-X{n:02}" for n in range(40))),
    ],
    ids=["seed", "troubled", "crowded", "long", "struck"],
)
def test_no_page_is_wider_than_its_window(plan: Plan, tmp_path: Path) -> None:
    """At four widths, with every item opened, nothing sticks out; and the style is really applied."""
    page_of_it = report(plan).replace("<details ", "<details open ")
    found = measured(page_of_it, tmp_path)
    assert [int(width) for width in found] == sorted(WIDTHS)
    for width, page in found.items():
        assert page["beyond"] == [], width
        assert page["scroll"] <= page["client"], width
        assert page["heading"], width
        assert page["body"] == "0px", width


def test_each_width_has_its_picture(tmp_path: Path) -> None:
    """Where there is room the parts stand side by side; on a phone each path is a list."""
    found = measured(report(seed_plan()), tmp_path)
    assert (found[str(WIDE)]["wide"], found[str(WIDE)]["ways"]) == (True, False)
    assert (found[str(NARROW)]["wide"], found[str(NARROW)]["ways"]) == (False, True)


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    """The browser fetches no resource for it and finds no script in it."""
    found = measured(report(seed_plan()), tmp_path)
    for page in found.values():
        assert page["loaded"] == []
        assert page["scripts"] == 0
