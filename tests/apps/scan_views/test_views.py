"""JUnit, HTML, CycloneDX and the terminal: what each says of one scan, and of strangers' text."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import click
import pytest
from hypothesis import given
from tests.apps.drill_views.strange import is_harmless, texts
from tests.apps.drill_views.test_junit import faults
from tests.apps.scan_views import seed

from watchword.apps.scan_views import cyclonedx, html, junit, terminal
from watchword.apps.scan_views.words import OPENS, Scanned, json_text
from watchword.scan.interface import Severity, Verdict

SERIAL = "urn:uuid:00000000-0000-4000-8000-000000000000"


def bill(scanned: Scanned) -> str:
    """Return the bill of materials as text."""
    return json_text(cyclonedx.cyclonedx(scanned, SERIAL, seed.AT))


def cases(scanned: Scanned) -> str:
    """Return the JUnit file."""
    return junit.junit([scanned], seed.AT)


def page(scanned: Scanned) -> str:
    """Return the page."""
    return html.page([scanned], seed.AT)


def printed(scanned: Scanned) -> str:
    """Return what a terminal shows, without colours."""
    return click.unstyle("\n".join(terminal.lines(scanned)))


ALL = pytest.mark.parametrize("view", [bill, cases, page, printed])


@ALL
def test_no_view_holds_a_secret(view: Callable[[Scanned], str]) -> None:
    """Its first characters and its length are enough to find it."""
    text = view(seed.mixed())
    assert seed.SECRET not in text
    assert f"({len(seed.SECRET)} characters)" in text


@ALL
def test_every_view_says_how_much_was_read(view: Callable[[Scanned], str]) -> None:
    """What was missed too."""
    text = " ".join(view(seed.mixed()).split())
    assert "2,410 of 2,412 classes; native libraries: 3; not seen: classes2.dex (damaged)" in text
    blind = Scanned.bare(
        replace(seed.clean().report, findings=(seed.finding(Verdict.NOT_SEEN, Severity.INFO, "x"),))
    )
    assert "not enough was seen for secret-in-app" in " ".join(view(blind).split())
    whole = " ".join(view(seed.clean()).split())
    assert "2 of 2 classes; native libraries: 3; nothing was missed" in whole


@ALL
@given(text=texts)
def test_strangers_text_does_no_harm(view: Callable[[Scanned], str], text: str) -> None:
    """No view holds what a terminal obeys, or what XML can't hold."""
    assert is_harmless(view(seed.strange(text)))


def test_a_terminal_reveals_only_when_asked() -> None:
    """With --reveal the secret stands there whole."""
    assert seed.SECRET in "\n".join(terminal.lines(seed.mixed(), reveal=True))


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours take no columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for scanned in (seed.mixed(), seed.clean(), seed.strange("wide " * 40)):
        assert max(len(line) for line in printed(scanned).split("\n")) <= columns


def test_a_terminal_has_the_worst_first_by_what_it_opens() -> None:
    """What is set aside isn't among it."""
    text = printed(seed.mixed())
    opens = [" ".join(each.split()) for each in OPENS.values()]
    places = [text.find(each) for each in opens]
    found = [place for place in places if place >= 0]
    assert found == sorted(found)
    assert len(found) == 2
    head, _, aside = text.partition("Set aside")
    assert "Ada answers for it." not in head
    assert "Ada" in aside
    assert "Bob" in aside
    assert "Cleo" in aside


def test_a_terminal_names_what_wasnt_seen_and_how_protections_stand() -> None:
    """In plain words."""
    text = printed(seed.mixed())
    assert re.search(r"PR-C03 absent", text)
    assert re.search(r"PR-A06 proven", text)
    assert re.search(r"PR-A11 says nothing", text)
    assert "webview: Unread." in text
    assert "GET /v1/users" in text
    assert "at classes.dex:3 com.example.shop.Main.run" in text


@pytest.mark.parametrize("scans", [[seed.mixed()], [seed.clean(), seed.mixed()]])
def test_junit_has_the_form_that_servers_read(scans: list[Scanned]) -> None:
    """Elements, attributes, their order and the counts are right."""
    assert list(faults(ET.fromstring(junit.junit(scans, seed.AT)))) == []


def test_a_case_ends_as_its_finding_did() -> None:
    """To act on: failure; not seen: error; set aside: skipped; the rest is fine."""
    root = ET.fromstring(cases(seed.mixed()))
    ends = {case.get("name"): [end.tag for end in case] for case in root.iter("testcase")}
    assert ends["github-pat:1"] == ["failure"]
    assert ends["known"] == ends["answered"] == ["skipped"]
    assert ends["webview"] == ["error"]
    assert ends["fine"] == ends["okhttp3"] == []
    gaps = [name for name, end in ends.items() if "classes2.dex" in str(name) and end == ["error"]]
    assert len(gaps) == 1


class _Page(HTMLParser):
    """Collect the elements of a page and where they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.leads: list[str | None] = []
        self.policy: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.add(tag)
        given = dict(attrs)
        self.leads += [value for name, value in attrs if name in {"src", "href", "action"}]
        self.leads += [name for name, _ in attrs if name.startswith("on")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given.get("content")


@given(texts)
def test_a_page_loads_and_runs_nothing(text: str) -> None:
    """Whatever an app is called: no script, nothing from elsewhere, and a policy that says so."""
    found = _Page()
    found.feed(page(seed.strange(text)))
    assert found.policy is not None
    assert found.policy.startswith("default-src 'none'")
    assert not found.tags & {"script", "link", "img", "iframe", "a", "evil", "form", "object"}
    assert found.leads == []


def test_a_page_has_its_mark_and_what_a_terminal_says() -> None:
    """So that the next one may take its place."""
    text = page(seed.mixed())
    assert html.MARK in text[:4096]
    assert "Not all was seen" in text
    assert "A token is there." in text
    assert "Not all was seen" not in page(seed.clean())


def test_a_bill_of_materials_is_of_the_app_and_its_libraries() -> None:
    """With what is exposed, rated by what it opens, and how evidence stands."""
    found = json.loads(bill(seed.mixed()))
    assert found["specVersion"] == "1.6"
    assert found["metadata"]["component"]["hashes"][0]["content"] == seed.PACKAGE.digest
    assert [each["name"] for each in found["components"]] == ["okhttp3"]
    assert found["compositions"][0]["aggregate"] == "incomplete"
    ratings = {each["ratings"][0]["severity"] for each in found["vulnerabilities"]}
    assert ratings == {"critical", "high", "medium", "low"}
    references = [each["bom-ref"] for each in found["vulnerabilities"]]
    assert len(references) == len(set(references))
    names = {each["name"] for each in found["metadata"]["component"]["properties"]}
    assert "watchword:evidence:PR-A06:scan:static.debuggable" in names
    assert "likelihood" not in json.dumps(found)
    assert cyclonedx.MARK in bill(seed.mixed())[:4096]
