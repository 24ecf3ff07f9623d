"""The workshop in a real browser: by clicks alone, with each template, for eyes and screen readers, and with two tabs."""

import json
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.machine import patience
from tests.unit.apps.service_process import WATCHWORD

PAGES = ("start", "parts", "assets", "scenarios", "impact", "today", "plan", "ends", "changes")
TEMPLATES = (
    "Retail bank",
    "Health service",
    "Game",
    "Shop with loyalty points",
    "Business service (SaaS)",
    "Companion app of devices at home",
)
MOST_BYTES = 150_000
"""Most bytes of a first page with all that it loads."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the system's Chromium."""
    chromium = shutil.which("chromium")
    assert chromium is not None, (
        "chromium isn't on PATH: apt-get install chromium fonts-dejavu-core"
    )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            timeout=patience(60) * 1000,
        )
        yield started
        started.close()


class Table:
    """Hold a workshop that runs, and what browsers complained of."""

    def __init__(self, file: Path) -> None:
        """Start it."""
        self.file = file
        self.complaints: list[str] = []
        self.process = subprocess.Popen(
            [*WATCHWORD, "-c", str(file), "plan", "workshop", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], patience(30))
        assert ready, "it didn't say where it is"
        self.url = str(json.loads(self.process.stdout.readline())["url"])
        self.address = self.url.partition("?")[0]

    def sit_down(self, context: BrowserContext) -> Page:
        """Open a tab, which notes whatever a strict page must not do."""
        context.set_default_timeout(patience(30) * 1000)
        page = context.new_page()
        page.on("console", lambda said: self.note(said.type in {"error", "warning"}, said.text))
        page.on("pageerror", lambda error: self.note(True, str(error)))
        page.on("request", lambda sent: self.note(not sent.url.startswith(self.address), sent.url))
        page.goto(self.url)
        return page

    def note(self, wrong: bool, said: str) -> None:
        """Keep a complaint."""
        if wrong:
            self.complaints.append(said)

    def section(self) -> Any:
        """Return the section that the file has now."""
        return yaml.safe_load(self.file.read_text())["plan"]

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(patience(30))
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """Return the workshop of a file that isn't there yet."""
    started = Table(tmp_path / "watchword.yaml")
    yield started
    started.stop()


@pytest.fixture
def page(table: Table, browser: Browser) -> Iterator[Page]:
    """Return a tab at the table; at the end no browser may have complained."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield table.sit_down(context)
    context.close()
    assert table.complaints == []


def go(page: Page, step: str) -> None:
    """Follow the link to a step, and wait for its page."""
    page.get_by_role("navigation", name="The questions").get_by_role("link", name=step).click()
    expect(page.locator(".steps a[aria-current]")).to_contain_text(step)


def answer(page: Page, button: str) -> None:
    """Press a button, and wait for the page of the next revision."""
    revision = page.locator("main").get_attribute("data-revision")
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("main")).not_to_have_attribute("data-revision", revision or "")


def add_asset(page: Page, name: str, asset: dict[str, Any]) -> None:
    """Add an asset, and say all of it by clicks."""
    go(page, "What you have")
    page.get_by_label("Name").fill(name.replace("-", " "))
    page.locator(f"#kind-{asset['kind']}").check()
    for part in ("app", "channel", "backend"):
        page.locator(f"#lives_in-{part}").set_checked(part in asset["lives_in"])
    answer(page, "Add")
    for trait in asset["traits"]:
        page.locator(f"#traits-{trait}").check()
    if quantities := asset.get("quantities"):
        page.get_by_text("Numbers and routes").click()
        for each, value in quantities.items():
            page.locator(f"#{each}").fill(str(value))
    answer(page, "Keep")
    go(page, "Impact")
    page.locator(f"#impact-{name}-{asset['impact']}").check()
    page.locator(f"#because-{name}").fill(asset["because"])
    answer(page, f"Keep the judgement of {name}")


def add_way(page: Page, way: dict[str, Any]) -> None:
    """Write a way in by clicks."""
    page.locator("#add-asset").select_option(way["asset"])
    for number, step in enumerate(way["steps"]):
        page.locator(f"#step-{number}").select_option(step)
    if way.get("assumes"):
        page.get_by_text("What the attacker has already").click()
        for each in way["assumes"]:
            page.locator(f"#assumes-{each}").check()
    page.locator("#add-because").fill(way["because"])
    answer(page, "Add this way")


@pytest.mark.parametrize("example", ["api-key-script", "coat-and-car"])
def test_the_examples_are_made_by_clicks_alone(table: Table, page: Page, example: str) -> None:
    """From an empty file, each answer by clicks: what is saved says what the example says."""
    wanted = yaml.safe_load(Path(f"examples/{example}.yaml").read_text())["plan"]
    for name, asset in wanted["assets"].items():
        add_asset(page, name, asset)
    go(page, "Scenarios")
    answer(page, "Count only ways that we write")
    for way in wanted["scenarios"]["add"]:
        add_way(page, way)
    go(page, "Plan")
    first = page.locator("aside .short li").first
    expect(first).to_contain_text("Attestation checked at the API")
    page.get_by_role("link", name="Save…").click()
    page.get_by_role("button", name="Save into watchword.yaml").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    assert table.section() == wanted


def violations(page: Page) -> list[tuple[str, str]]:
    """Return what axe-core finds serious on a page."""
    found = Axe().run(page).response["violations"]
    return [
        (each["id"], each["nodes"][0]["html"])
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("number", range(len(TEMPLATES)))
def test_the_whole_workshop_goes_with_each_template(
    table: Table, browser: Browser, number: int
) -> None:
    """Template to saved file, every page looked at by axe-core: wide and light, or narrow and dark."""
    wide = number % 2 == 0
    context = browser.new_context(
        viewport={"width": 1280 if wide else 390, "height": 900},
        color_scheme="light" if wide else "dark",
    )
    page = table.sit_down(context)
    answer(page, f"Begin from: {TEMPLATES[number]}")
    asset = next(iter(table_assets(page)))
    for step in (*PAGES, f"assets/{asset}", f"paths/{asset}", "plan/PR-C03", "compare"):
        page.goto(f"{table.address}{step}")
        assert violations(page) == [], step
        beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert beyond <= 0, f"{step} is wider than the window"
    page.goto(f"{table.address}scenarios")
    page.get_by_text("What happens, and why it may not").first.click()
    page.locator("#because-0").fill("we live with it until the new login")
    page.locator("#owner-0").fill("Ann Lee")
    page.locator("#until-0").fill("2099-12-31")
    page.get_by_role("button", name="Strike", exact=True).first.click()
    expect(page.get_by_text("accepted by Ann Lee until 2099-12-31").first).to_be_visible()
    page.goto(f"{table.address}changes")
    page.get_by_role("button", name="Save into watchword.yaml").click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    assert table.section()["scenarios"]["strike"][0]["owner"] == "Ann Lee"
    context.close()
    assert table.complaints == []


def table_assets(page: Page) -> list[str]:
    """Return the names of the assets that the page of assets shows."""
    expect(page.locator("main h2 a").first).to_be_visible()
    return page.locator("main h2 a").all_inner_texts()


def test_of_two_tabs_the_second_is_told_what_the_first_answered(
    table: Table, page: Page, browser: Browser
) -> None:
    """Two people judge one asset: the second answer isn't taken in silence, and undo is for both."""
    answer(page, "Begin from: Game")
    context = browser.new_context()
    other = table.sit_down(context)
    for each in (page, other):
        go(each, "Impact")
    for each, impact in ((page, 1), (other, 2)):
        each.locator(f"#impact-fair-matches-{impact}").check()
    answer(page, "Keep the judgement of fair-matches")
    other.get_by_role("button", name="Keep the judgement of fair-matches").click()
    expect(other.get_by_role("alert").first).to_contain_text("meanwhile")
    table.complaints[:] = [each for each in table.complaints if "409" not in each]
    other.goto(f"{table.address}impact")
    expect(other.locator("#impact-fair-matches-1")).to_be_checked()
    answer(other, "Undo")
    page.reload()
    expect(page.locator("#impact-fair-matches-4")).to_be_checked()
    context.close()


def test_a_lost_connection_is_said_and_what_was_typed_stays(table: Table, page: Page) -> None:
    """The command ends while somebody types: the page says so, and keeps the words."""
    go(page, "What you have")
    page.get_by_label("Name").fill("patient records")
    table.stop()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#lost")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("patient records")
    table.complaints[:] = [
        each for each in table.complaints if "ERR_" not in each and "htmx:" not in each
    ]


def test_names_with_markup_are_shown_as_they_are(table: Table, page: Page) -> None:
    """Markup in a reason is text, on every page."""
    go(page, "What you have")
    page.get_by_label("Name").fill("records")
    answer(page, "Add")
    go(page, "Impact")
    page.locator("#because-records").fill("<script>alert(1)</script><b>bold</b>")
    answer(page, "Keep the judgement of records")
    for step in PAGES:
        page.goto(f"{table.address}{step}")
        assert page.locator("main b, main script").count() == 0
    expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()


def test_the_keyboard_alone_reaches_an_answer(table: Table, page: Page) -> None:
    """The first Tab skips to the content; a form is filled and sent without a mouse."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    go(page, "What you have")
    page.get_by_label("Name").focus()
    revision = page.locator("main").get_attribute("data-revision") or ""
    page.keyboard.type("patient records")
    page.keyboard.press("Enter")
    expect(page.locator("main")).not_to_have_attribute("data-revision", revision)
    expect(page.get_by_label("Name")).to_have_value("patient-records")
    assert table.process.poll() is None


def test_a_narrow_window_shows_every_step_and_leads_to_the_plan(
    table: Table, browser: Browser
) -> None:
    """At 390 px no step is hidden beyond the edge, and the plan below is one link away."""
    context = browser.new_context(viewport={"width": 390, "height": 900})
    page = table.sit_down(context)
    answer(page, "Begin from: Game")
    for link in page.get_by_role("navigation", name="The questions").get_by_role("link").all():
        box = link.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    page.get_by_role("link", name="The plan so far").click()
    expect(page.locator("#so-far")).to_be_focused()
    expect(page.locator("#so-far h2")).to_be_in_viewport()
    context.close()
    assert table.complaints == []


def test_a_picture_of_ways_fits_a_wide_window(table: Table, page: Page) -> None:
    """At 1280 px no part of the picture lies behind a scroll bar."""
    answer(page, "Begin from: Game")
    page.goto(f"{table.address}paths/virtual-currency")
    figure = page.locator(".figure").first
    assert figure.evaluate("each => each.scrollWidth - each.clientWidth") <= 0


def test_a_first_page_is_small_and_everything_on_it_is_ours(table: Table, browser: Browser) -> None:
    """With styles, script and icon it stays below 150 kB."""
    context = browser.new_context()
    page, sizes = context.new_page(), []
    page.on("response", lambda got: sizes.append(len(got.body()) if got.status == 200 else 0))
    page.goto(table.url)
    page.wait_for_load_state("networkidle")
    assert 0 < sum(sizes) < MOST_BYTES
    assert re.search("Workshop", page.content())
    context.close()


def test_it_goes_without_script(table: Table, browser: Browser) -> None:
    """Plain forms and links do all of it."""
    context = browser.new_context(java_script_enabled=False)
    page = table.sit_down(context)
    page.get_by_role("button", name="Begin from: Game").click()
    assert "virtual-currency" in table_assets(page)
    context.close()
    assert table.complaints == []
