"""The scan's report in a real browser: no page is wider than its window, and nothing is loaded or run."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.system.apps.test_plan_report_in_chromium import WIDTHS, measured
from tests.unit.apps.scan_views import seed

from watchword.apps.scan import report
from watchword.apps.scan.report import Scanned
from watchword.scan.interface import Location, Severity, Verdict
from watchword.scan.outcome import ordered

HOSTILE = "</style></title><script>document.title='x'</script><img src=//evil.example/x onerror=x>"


def long_winded() -> Scanned:
    """Return a scan whose names are as long as they may be, without a place to break."""
    return seed.strange("com.example." + "x" * 480)


def crowded() -> Scanned:
    """Return a scan with more findings and places than a page shows."""
    report = seed.mixed().report
    places = tuple(Location("classes.dex", f"com.example.C{number}") for number in range(400))
    many = (
        replace(
            seed.finding(verdict, severity, f"{verdict}-{severity}-{number}"), locations=places[:9]
        )
        for severity in Severity
        for verdict in (Verdict.EXPOSED, Verdict.INFO, Verdict.PROTECTED)
        for number in range(120)
    )
    first = replace(report.findings[0], locations=places)
    return Scanned.bare(replace(report, findings=ordered([first, *many])))


SCANS = pytest.mark.parametrize(
    "scans",
    [
        [seed.mixed()],
        [seed.clean()],
        [long_winded()],
        [crowded()],
        [seed.strange(HOSTILE)],
        [seed.mixed(), seed.clean()],
    ],
    ids=["mixed", "clean", "long", "crowded", "hostile", "two"],
)


@SCANS
def test_no_page_is_wider_than_its_window(scans: list[Scanned], tmp_path: Path) -> None:
    """At four widths, with all that can be opened open, nothing sticks out; and the style is really applied."""
    page = report.page(scans, seed.AT).replace("<details>", "<details open>")
    found = measured(page, tmp_path)
    assert [int(width) for width in found] == sorted(WIDTHS)
    for width, page_of_it in found.items():
        assert page_of_it["beyond"] == [], width
        assert page_of_it["scroll"] <= page_of_it["client"], width
        assert page_of_it["heading"], width
        assert page_of_it["body"] == "0px", width


@SCANS
def test_the_page_loads_and_runs_nothing(scans: list[Scanned], tmp_path: Path) -> None:
    """Whatever an app is called: the browser fetches no resource for it and finds no script in it."""
    for page in measured(report.page(scans, seed.AT), tmp_path).values():
        assert page["loaded"] == []
        assert page["scripts"] == 0
