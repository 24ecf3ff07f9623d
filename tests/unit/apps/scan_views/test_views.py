"""JUnit, HTML, CycloneDX and the terminal: what each says of one scan, and of strangers' text."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest
from hypothesis import given
from junitparser import Error, Failure, JUnitXml
from tests.unit.apps import bom_schema
from tests.unit.apps.drill_views.strange import is_harmless, texts
from tests.unit.apps.drill_views.test_junit import faults
from tests.unit.apps.scan_views import seed

from watchword.apps.reports.text import json_text
from watchword.apps.scan import cyclonedx, report
from watchword.apps.scan.ci import junit, sarif
from watchword.apps.scan.report import HTML_MARK, OPENS, Scanned, lines
from watchword.apps.terminal.paragraphs import hanging, wrapped
from watchword.observations import State
from watchword.plan.catalogue import load_catalogue
from watchword.plan.interface import EnforcedAt
from watchword.scan.baseline import sort
from watchword.scan.interface import Confidence, Location, Severity, Verdict
from watchword.scan.outcome import AT_THE_SERVER, Standing, fingerprint, ordered

SERIAL = "urn:uuid:00000000-0000-4000-8000-000000000000"


def bill(scanned: Scanned) -> str:
    """Return the bill of materials as text."""
    return json_text(cyclonedx.cyclonedx(scanned, SERIAL, seed.AT))


def cases(scanned: Scanned) -> str:
    """Return the JUnit file."""
    return junit([scanned], seed.AT)


def page(scanned: Scanned) -> str:
    """Return the page."""
    return report.page([scanned], seed.AT)


def printed(scanned: Scanned) -> str:
    """Return what a terminal shows, without colours."""
    return click.unstyle("\n".join(lines(scanned)))


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
    assert seed.SECRET in "\n".join(lines(seed.mixed(), reveal=True))


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours take no columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    for scanned in (seed.mixed(), seed.clean(), seed.strange("wide " * 40)):
        assert max(len(line) for line in printed(scanned).split("\n")) <= columns


def test_a_name_longer_than_a_line_is_broken_behind_a_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a word nobody finds it again; what has no place to break is cut as it has to be."""
    monkeypatch.setenv("COLUMNS", "60")
    name = "com.example.incremental.deployment.IncrementalClassLoaderOfTheApp.load"
    for rows in (list(wrapped(f"at {name}", indent=8)), list(hanging(f"    at {name}"))):
        assert "".join(each.strip() for each in rows).replace(" ", "") == f"at{name}"
        assert all(each.endswith((".", "load")) for each in rows if each.strip() != "at")
        assert max(map(len, rows)) <= 60
    assert max(map(len, wrapped("x" * 300, indent=8))) <= 60


def test_how_sure_a_rule_is_and_what_to_do_is_said_once() -> None:
    """Behind the rule where all its findings are as sure; and not again where the rule has findings of another severity."""
    some = [
        replace(
            seed.finding(Verdict.EXPOSED, severity, f"{number}", title=f"No {number}."),
            confidence=Confidence.LIKELY,
        )
        for number, severity in enumerate((Severity.HIGH, Severity.HIGH, Severity.LOW))
    ]
    report = replace(seed.mixed().report, findings=ordered(some), api=())
    text = "\n".join(lines(Scanned.bare(report)))
    assert text.count("(likely)") == 2
    assert text.count("    do: ") == 1


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


def test_no_view_takes_a_build_for_the_server() -> None:
    """What a server enforces is claimed by its app; a bad word about it stands, and what the app enforces is proven."""
    said = {"PR-B04": State.PROVEN, "PR-B03": State.ABSENT, "PR-A06": State.PROVEN}
    standings = tuple(
        Standing(name, f"scan:static.x{name[-1]}", state, "So it looks.", ())
        for name, state in said.items()
    )
    scanned = Scanned.bare(replace(seed.mixed().report, standings=standings))
    shown = {"PR-B04": "claimed", "PR-B03": "absent", "PR-A06": "proven"}
    text = printed(scanned)
    for name, state in shown.items():
        assert re.search(rf"{name} {state} ", text)
    assert text.count("Ask the server.") == 1
    assert page(scanned).count("Ask the server.") == 1
    (run,) = sarif([scanned])["runs"]
    found = {key.split()[0]: each for key, each in run["properties"]["protections"].items()}
    assert found == shown
    for name, state in shown.items():
        assert re.search(rf'"watchword:evidence:{name}:[^"]*",\s*"value": "{state}"', bill(scanned))


def test_protections_at_the_server_are_those_of_the_catalogue() -> None:
    """Those of which a package shows one end and a running server the other, as the plan takes them."""
    found = {
        each.id
        for each in load_catalogue().protections.values()
        if each.enforced_at is EnforcedAt.SERVER
        and any(key.startswith("scan:static.") for key in each.evidence)
        and any(key.startswith("live:") for key in each.evidence)
    }
    assert found == AT_THE_SERVER


@pytest.mark.parametrize("scans", [[seed.mixed()], [seed.clean(), seed.mixed()]])
def test_junit_has_the_form_that_servers_read(scans: list[Scanned]) -> None:
    """Elements, attributes, their order and the counts are right."""
    assert list(faults(ET.fromstring(junit(scans, seed.AT)))) == []


def test_junit_is_read_by_a_parser_of_others() -> None:
    """By its classes a suite of each app has a case for each rule that looked, and the counts are right."""
    read = JUnitXml.fromstring(junit([seed.mixed(), seed.clean()], seed.AT))
    mixed, clean = list(read)
    assert (mixed.name, len(list(clean))) == ("com.example.shop", 1)
    rules = {each.rule for each in seed.mixed().report.all_findings}
    assert {case.name for case in mixed} == rules | {"coverage"}
    ended = [type(end) for case in mixed for end in case.result]
    assert (mixed.failures, mixed.errors) == (ended.count(Failure), ended.count(Error)) == (3, 2)
    assert (mixed.skipped, clean.failures, clean.errors) == (0, 0, 0)


def test_a_rule_ends_as_its_findings_did() -> None:
    """To act on: failure, worst first; not seen: error; the rest is fine."""
    root = ET.fromstring(cases(seed.mixed()))
    ends = {case.get("name"): [end.tag for end in case] for case in root.iter("testcase")}
    assert ends["secret-in-app"] == ends["pinning"] == ends["api-plain-http"] == ["failure"]
    assert ends["webview"] == ends["coverage"] == ["error"]
    assert ends["debuggable"] == ends["third-party-sdks"] == []
    told = next(root.iter("failure"))
    assert told.get("type") == "high"
    secrets = next(each for each in root.iter("failure") if each.get("type") == "critical")
    assert secrets.get("message") == "1 finding (1 critical): A token is there."
    assert secrets.text is not None
    assert "at classes.dex:3 com.example.shop.Main.run" in secrets.text
    assert "Do: Do it." in secrets.text
    assert "suppressed, medium EXPOSED: Ada answers for it." in secrets.text


def test_a_rule_of_which_all_was_set_aside_is_skipped() -> None:
    """Nothing of it counts, and a server shows that it isn't fine either."""
    whole = seed.mixed().report
    aside = [each for each in whole.findings if each.subject in {"known", "okhttp3"}]
    report = replace(whole, findings=tuple(aside), api=())
    known = {fingerprint(each): each.severity for each in aside}
    found = sort(report, known, (), seed.AT.date())
    root = ET.fromstring(cases(Scanned(report, found)))
    (end,) = (case for case in root.iter("testcase") if case.get("name") == "secret-in-app")
    assert [each.tag for each in end] == ["skipped"]


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
    assert HTML_MARK in text[:4096]
    assert "Not all was seen" in text
    assert "A token is there." in text
    assert "Not all was seen" not in page(seed.clean())


@pytest.mark.parametrize("scanned", [seed.mixed(), seed.clean()])
def test_a_bill_of_materials_passes_the_schema_of_its_makers(scanned: Scanned) -> None:
    """Strictly, and its references lead somewhere."""
    assert bom_schema.faults(json.loads(bill(scanned))) == []


@given(texts)
def test_a_bill_of_materials_passes_the_schema_whatever_an_app_is_called(text: str) -> None:
    """A strange name is no reason for others to refuse it."""
    assert bom_schema.faults(json.loads(bill(seed.strange(text)))) == []


@pytest.mark.parametrize(
    "mutate",
    [
        lambda found: found["components"][0].pop("type"),
        lambda found: found["components"][0].update(unknown=1),
        lambda found: found["vulnerabilities"][0]["ratings"][0].update(severity="severe"),
        lambda found: found["vulnerabilities"][0]["affects"][0].update(ref="nowhere"),
        lambda found: found["metadata"]["component"]["hashes"][0].update(content="00"),
        lambda found: found["components"].append(found["components"][0]),
        lambda found: found.update(serialNumber="1"),
    ],
)
def test_the_check_of_a_bill_sees_faults(mutate: Callable[[dict[str, Any]], object]) -> None:
    """It isn't blind."""
    found = json.loads(bill(seed.mixed()))
    mutate(found)
    assert bom_schema.faults(found)


def test_a_bill_of_materials_has_native_libraries_and_hosts() -> None:
    """The former by the files that they stand in, the latter as services."""
    at = tuple(Location(f"lib/{name}/libfoo.so") for name in ("arm64-v8a", "x86"))
    native = replace(
        seed.finding(Verdict.INFO, Severity.INFO, "libfoo.so", name="native-hardening"),
        locations=at,
    )
    host = seed.finding(Verdict.INFO, Severity.INFO, "api.example.net", name="hosts-and-urls")
    report = replace(seed.clean().report, findings=ordered([native, host]))
    document = json.loads(bill(Scanned.bare(report)))
    assert bom_schema.faults(document) == []
    (library,) = document["components"]
    assert library["name"] == "libfoo.so"
    assert [each["location"] for each in library["evidence"]["occurrences"]] == [
        each.file for each in at
    ]
    assert [each["name"] for each in document["services"]] == ["api.example.net"]


def test_a_page_begins_with_what_to_do() -> None:
    """A row for each rule, the worst first, before any finding in full; what is set aside asks for nothing."""
    text = page(seed.mixed())
    first, _, rest = text.partition("What to do, the worst first")
    table, _, _ = rest.partition("</table>")
    assert "A token is there." not in first
    assert table.index("A token is there.") < table.index("Anybody reads it.")
    assert table.index("Anybody reads it.") < table.index("No pins.")
    assert "Ada answers for it." not in table
    assert "What to do" not in page(seed.clean())


def test_a_first_screen_says_how_it_ended_and_what_to_do() -> None:
    """Within 24 lines: the counts, what wasn't seen, the worst first."""
    first = " ".join(" ".join(printed(seed.mixed()).split("\n")[:24]).split())
    assert "3 findings to act on: 1 critical, 1 high, 1 low." in first
    assert "not seen: classes2.dex (damaged)" in first
    assert "1. critical secret-in-app: A token is there. Do: Do it." in first


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
