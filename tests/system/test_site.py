"""Show that the site is whole and true: it builds without a warning, no link is dead, and what its pages show runs."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html import unescape
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import pytest
from scripts.drawings import _plain, draw
from scripts.site_markdown import cell, prose
from scripts.site_metrics import measured
from scripts.site_pages import (
    ROOT,
    SITE,
    SiteError,
    _drawn,
    _lines,
    _placed,
    _resolved,
    _rewritten,
    _sorted_by_kind,
    diagrams,
    drawing_of,
)
from scripts.site_reference import FOLDER, PAGES
from tests.machine import patience
from tests.ports import free_port
from tests.unit.apps.scanned import dead_token
from tests.unit.scan.app_builders import apk

from watchword.apps.cli.main import cli
from watchword.apps.settings.document import parse_document
from watchword.apps.settings.load import file_schema
from watchword.apps.settings.schema import FileConfig
from watchword.apps.settings.template import TEMPLATE

TASKS = [
    ROOT / "docs" / f"{name}.md"
    for name in (
        "production",
        "troubleshooting",
        "locked-out",
        "migrate-firebase-app-check",
        "migrate-approov",
    )
]
GUIDES = [*sorted((ROOT / "docs" / "guides").glob("*.md")), *TASKS]
OWN = [
    ROOT / "docs" / f"{name}.md" for name in ("index", "concepts", "five-minutes", "upgrade")
] + GUIDES
BIN = Path(sys.executable).parent
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    """Return a page's name for the test's id."""
    return page.stem


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Return a page's blocks in these languages, in their order."""
    found = FENCED.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for language, text in found if language in languages]


# The reference is what the code says.


@pytest.mark.parametrize("page", PAGES)
def test_reference_is_made_from_the_code(page: str) -> None:
    """Run ``python -m scripts.site_reference`` after a change of a command, a setting, a metric or an endpoint."""
    assert (FOLDER / f"{page}.md").read_text(encoding="utf-8") == PAGES[page]()


def test_settings_tell_every_key_of_the_file() -> None:
    """No key of the schema is left out, but those of a policy's rules, which have a page."""
    schema = file_schema()
    objects = [schema, *(each for at, each in schema["$defs"].items() if at.startswith("Written"))]
    keys = {key for each in objects for key in each.get("properties", {})}
    page = PAGES["settings"]()
    assert len(keys) > 100
    assert {key for key in keys if f"| `{key}` |" not in page} == set()


def test_commands_tell_every_option() -> None:
    """Each command has its section, and each of its options a row in it."""
    sections = dict(
        re.findall(
            r"^#{2,4} (watchword .*?)\n(.*?)(?=^#{2,4} |\Z)",
            PAGES["commands"](),
            re.DOTALL | re.MULTILINE,
        )
    )
    missing = [
        (words, option)
        for words, command in leaves(cli, ("watchword",))
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for option in parameter.opts
        if option not in sections[" ".join(words)]
    ]
    assert missing == []
    assert len(sections) > 80


def leaves(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below this one with the words that call it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield (*words, each), found
            yield from leaves(found, (*words, each))


def test_metrics_tell_every_name_in_the_code() -> None:
    """Each whole name of a metric that stands in the code is on the page, with its labels."""
    sources = (ROOT / "src" / "watchword" / "apps").rglob("*.py")
    texts = [text for path in sources if "Metric(" in (text := path.read_text(encoding="utf-8"))]
    names = {found for text in texts for found in re.findall(r'Metric\(\s*"(watchword_\w+)"', text)}
    found = {each.name: each for each in measured()}
    assert len(names) > 10
    assert names <= found.keys()
    assert found["watchword_refusals_total"].labels == ("reason", "where")
    assert found["watchword_limit_total"].labels == ("api", "limit", "outcome")
    assert found["watchword_pins_live_pinned"].labels == ("app", "host", "place")


def test_texts_of_the_code_keep_their_marks() -> None:
    """What Markdown would take for a mark is escaped, but between backticks."""
    assert prose("a *b* <c> `*d*` and ``e_f``") == r"a \*b\* \<c\> `*d*` and `e_f`"
    assert cell("a\n | b") == r"a \| b"


# What the site is put together from.


def test_links_lead_where_they_led() -> None:
    """Pages link to pages, files to their copies, folders to the page in them; code and addresses stay."""
    text = """\
[a](gate.md#modes) [b](../SECURITY.md) [c](../tests/system/test_docs.py)
[d](../examples/flask_clinic) [e](https://example.org/x.md) [f](#here)
```unheard-of
[g](nothing.md)
```
<a id="pr-a01"></a>"""
    assert (
        _rewritten(text, PurePosixPath("docs/plan.md"))
        == """\
[a](gate.md#modes) [b](repository/SECURITY.md) [c](repository:tests/system/test_docs.py)
[d](repository/examples/flask_clinic/README.md) [e](https://example.org/x.md) [f](#here)
```text
[g](nothing.md)
```
(pr-a01)="""
    )
    assert (
        _rewritten("[a](../gate.md)", PurePosixPath("docs/adr/0014-envoy.md")) == "[a](../gate.md)"
    )
    assert (
        _rewritten("[a](../engines.md)", PurePosixPath("docs/engines/envoy.md"))
        == "[a](../engines.md)"
    )
    assert _rewritten("[a](docs/gate.md)", PurePosixPath("SECURITY.md")) == "[a](../gate.md)"


@pytest.mark.parametrize("target", ["nothing.md", "../../out.md", "../tests/nothing.py#L1"])
def test_a_link_that_leads_nowhere_is_told(target: str) -> None:
    """It names the page and the link."""
    with pytest.raises(SiteError, match=re.escape(f"docs/plan.md: {target}")):
        _resolved(target, PurePosixPath("docs/plan.md"))


def test_fences_end_where_they_began() -> None:
    """A shorter fence, or one with a language, is text of the block."""
    text = "a\n````md\n```\nb\n```sh\n````\nc"
    assert [line for line, outside in _lines(text) if outside] == ["a", "c"]


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ({"index", "a", "b", "c"}, "expected a place .*'c'"),
        ({"index", "a"}, r"aren't there: \['b'\]"),
    ],
)
def test_every_page_has_its_place(pages: set[str], told: str) -> None:
    """A page that stands nowhere, and a place without a page, keep the site from being built."""
    navigation = {"groups": [{"caption": "All", "pages": ["a"]}], "under": {"a": ["b"]}}
    with pytest.raises(SiteError, match=told):
        _placed(navigation, {PurePosixPath(each): each for each in pages})


def test_lists_of_pages_have_labels_and_patterns() -> None:
    """A label stands beside the page's name, and a pattern takes what no name has taken."""
    navigation = {
        "groups": [{"caption": "All", "pages": ["Letters <a>"]}],
        "under": {"a": ["adr/*", "z"]},
    }
    places = _placed(
        navigation, {PurePosixPath(each): each for each in ["index", "a", "z", "adr/1", "adr/2"]}
    )
    assert "\nLetters </a>\n" in places["index"][0]
    assert "\n/adr/1\n/adr/2\n/z\n" in places["a"][0]


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ({"how-to": ["a"]}, r"expected a kind .*\['adr/1'\]"),
        ({"how-to": ["a", "adr/*"], "reference": ["b"]}, r"isn't there: \['b'\]"),
        ({"essay": ["a", "adr/*"]}, r"kinds \['essay'\]: expected some of"),
    ],
)
def test_every_page_has_its_kind(kinds: Mapping[str, Any], told: str) -> None:
    """A page without a kind, a kind of no page and one that nobody knows keep the site from being built."""
    with pytest.raises(SiteError, match=told):
        _sorted_by_kind({"kinds": kinds}, ["a", "adr/1"])


def test_a_pattern_gives_its_kind_to_what_no_name_has() -> None:
    """A name of its own goes before a pattern, wherever it stands."""
    kinds = {"reference": ["adr/*"], "tutorial": ["adr/2"]}
    found = _sorted_by_kind({"kinds": kinds}, ["adr/1", "adr/2"])
    assert found == {"adr/1": "reference", "adr/2": "tutorial"}


def test_a_diagram_without_its_drawing_is_told() -> None:
    """A change of the source asks for a new drawing."""
    match = re.fullmatch(r"(?P<source>.*)", "flowchart LR")
    assert match is not None
    with pytest.raises(SiteError, match=r"docs/plan.md: expected docs/site/drawings/\w{12}\.svg"):
        _drawn(PurePosixPath("docs/plan.md"), match)


def test_drawings_are_those_of_the_diagrams() -> None:
    """None is left of a diagram that is gone; each says in words what it shows, and loads nothing."""
    files = set((SITE / "drawings").glob("*.svg"))
    assert files == {drawing_of(source) for source in diagrams()}
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert re.search(r"<title[^>]*>[^<]+</title>", text)
        assert re.findall(r"url\((?!#)|(?:href|src)=|@import|<style|<script", text) == []


SVG = (
    '<svg id="d" width="100%" viewBox="0 0 {width} 90" style="max-width: 80px;"><style>#d{{fill:red}}</style>'
    '<marker id="used"><path d="M0"></path></marker><marker id="unused"><path d="M1"></path></marker>'
    '<path marker-end="url(#used)" data-id="x"></path></svg>'
)


def test_a_drawing_has_no_colours_and_its_own_width() -> None:
    """The site's style gives the colours, light and dark; arrowheads that nothing points with are left out."""
    assert _plain(PurePosixPath("docs/a.md"), SVG.format(width=740.4)) == (
        '<svg id="d" width="740" viewBox="0 0 740.4 90"><marker id="used"><path d="M0"></path></marker>'
        '<path marker-end="url(#used)"></path></svg>\n'
    )


@pytest.mark.parametrize(
    ("svg", "told"),
    [
        (SVG.format(width=901), "got a drawing 901 wide, expected at most 900"),
        ("error: Parse error on line 2", "Mermaid says: Parse error on line 2"),
    ],
)
def test_a_drawing_that_nobody_could_read_is_refused(svg: str, told: str) -> None:
    """What is too wide for the column, and what is no diagram, is told with its page."""
    with pytest.raises(SiteError, match=f"docs/a.md: {told}"):
        _plain(PurePosixPath("docs/a.md"), svg)


def test_a_diagram_without_words_is_refused() -> None:
    """Who hears the page gets a title."""
    with pytest.raises(SiteError, match=r"docs/a.md: expected a line 'accTitle: \.\.\.'"):
        draw({"flowchart TB\n    a --> b\n": PurePosixPath("docs/a.md")})


def test_pictures_are_shown_and_other_files_are_led_to() -> None:
    """A picture's address is that of the file beside the pages."""
    page = PurePosixPath("docs/guides/backend.md")
    assert _rewritten("![a](../pictures/demo.svg)", page) == "![a](../pictures/demo.svg)"
    assert _rewritten("[a](../engines.json)", page) == "[a](repository:docs/engines.json)"


# The site as it is built.


class Html(HTMLParser):
    """Read what a page of the site is called at, leads to, and loads."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the attributes that name, lead or load."""
        found = {key: value for key, value in attrs if value is not None}
        self.ids |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif tag == "link" and found.get("rel") not in {"search", "next", "prev", "index"}:
            self.loaded.add(found["href"])
        elif "src" in found:
            self.loaded.add(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, built as ``make site`` builds it, without a word on the way."""
    target = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "scripts.site", str(target)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"open {target / 'index.html'}\n"
    return target


@pytest.fixture(scope="module")
def pages(site: Path) -> Mapping[Path, Html]:
    """Return every page of the site, read."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        page = Html()
        page.feed(path.read_text(encoding="utf-8"))
        found[path] = page
    assert len(found) > 90
    return found


def test_no_link_is_dead(site: Path, pages: Mapping[Path, Html]) -> None:
    """Each link within the site leads to a file that is there, and to a place in it."""
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_file() and target.is_relative_to(site)
            if not there or (parts.fragment and parts.fragment not in pages[target].ids):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: Mapping[Path, Html]) -> None:
    """Pages, styles and scripts ask no other server for anything."""
    loaded = {each for page in pages.values() for each in page.loaded}
    assert len(loaded) > 3
    assert [each for each in loaded if urlsplit(each).netloc] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert [
        text for text in styles if re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", text)
    ] == []


def test_cited_files_lie_beside_the_pages(site: Path, pages: Mapping[Path, Html]) -> None:
    """A test that a promise names is in the site, to the byte."""
    copy = "repository/tests/unit/gate/test_hygiene.py.txt"
    assert copy in pages[site / "promises.html"].links
    assert (site / copy).read_bytes() == (ROOT / "tests/unit/gate/test_hygiene.py").read_bytes()


LOOK = """
const found = {};
(async () => {
  for (const page of PAGES) for (const frame of document.querySelectorAll("iframe")) {
    await new Promise((done) => { frame.onload = done; frame.src = page; });
    const view = frame.contentWindow, root = frame.contentDocument.documentElement;
    const beyond = [...frame.contentDocument.querySelectorAll("article *")].filter((one) =>
      one.getBoundingClientRect().right > view.innerWidth + 1 && !one.closest(".table-wrapper, .highlight, .drawing"));
    const loaded = view.performance.getEntriesByType("resource").map((one) => one.name);
    found[page + " at " + frame.width] = {
      beyond: beyond.map((one) => one.tagName), wider: root.scrollWidth - root.clientWidth, column: root.querySelector("article").clientWidth,
      elsewhere: loaded.filter((name) => !name.startsWith("file:")),
      colour: view.getComputedStyle(frame.contentDocument.body).getPropertyValue("--color-brand-primary"),
    };
  }
  document.getElementById("found").textContent = JSON.stringify(found);
})();
"""
"""Open each page at each width; say what sticks out of the window, and what was loaded from elsewhere."""


def in_browser(address: str, profile: Path, *, patient: bool = False) -> str:
    """Return a page of the disk as a browser without a network has it once its scripts have run."""
    browser = shutil.which("chromium")
    assert browser is not None, "chromium isn't on PATH: apt-get install chromium fonts-dejavu-core"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
    files = ("--disable-dev-shm-usage", "--allow-file-access-from-files")
    # Any name leads nowhere: what isn't on the disk isn't found.
    offline = ("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking")
    budget = f"--virtual-time-budget={600_000 if patient else 20_000}"
    ending = (f"--user-data-dir={profile}", budget, "--dump-dom", address)
    done = subprocess.run(
        [browser, *flags, *files, *offline, *ending],
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=True,
    )
    return done.stdout


def test_search_finds_without_a_network(site: Path, tmp_path: Path) -> None:
    """Opened from the disk in a browser, the search finds a reason on its page."""
    asked = f"{(site / 'search.html').as_uri()}?q=bootloader_unlocked"
    results = in_browser(asked, tmp_path).split('id="search-results"')[1]
    assert "reasons.html" in results


def test_no_page_is_wider_than_its_window(
    site: Path, pages: Mapping[Path, Html], tmp_path: Path
) -> None:
    """On a phone and on a desk nothing sticks out but what scrolls by itself, and no page loads anything from elsewhere."""
    shown = [path.as_uri() for path in pages if path.name not in {"genindex.html", "search.html"}]
    frames = "".join(f'<iframe width="{width}" height="900"></iframe>' for width in (390, 1280))
    script = LOOK.replace("PAGES", json.dumps(shown))
    outer = tmp_path / "outer.html"
    outer.write_text(f'<!doctype html><pre id="found"></pre>{frames}<script>{script}</script>')
    told = in_browser(outer.as_uri(), tmp_path / "profile", patient=True)
    text = re.search(r'<pre id="found">(.*?)</pre>', told, re.DOTALL)
    assert text is not None
    found = json.loads(unescape(text[1]))
    assert len(found) == 2 * len(shown) > 180
    assert {at: each for at, each in found.items() if each["beyond"] or each["wider"] > 0} == {}
    assert {at: each for at, each in found.items() if each["elsewhere"]} == {}
    # The theme's styles were there, or nothing was measured.
    assert {each["colour"] for each in found.values()} <= {"#0b5d4b", "#6fd3b5"}
    assert {each["column"] > 390 for at, each in found.items() if at.endswith(" 1280")} == {True}


# What builds it.


def test_the_site_needs_nothing_of_the_tests() -> None:
    """All that its build imports is in its own lock, in the releases that are tested here."""
    files = [ROOT / "scripts" / "site.py", ROOT / "scripts" / "site_pages.py", SITE / "conf.py"]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    names = {
        name.partition(".")[0]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
        )
    }
    assert names - set(sys.stdlib_module_names) == {
        "docutils",
        "pygments",
        "scripts",
        "sphinx",
        "watchword",
    }
    docs, dev = (
        (ROOT / "requirements" / f"{name}.txt").read_text("utf-8") for name in ("docs", "dev")
    )
    pinned = re.findall(r"^([\w.-]+==[^\s;]+)", docs, re.MULTILINE)
    assert [each for each in pinned if each not in dev] == []
    assert {"furo", "myst-parser", "sphinx"} <= {each.partition("==")[0] for each in pinned}


# What its pages show runs.


@pytest.mark.parametrize("page", OWN, ids=name)
def test_blocks_are_of_kinds_that_are_tested(page: Path) -> None:
    """Shell and Python run, settings and lines of a console are checked; ``text`` is what something prints."""
    kinds = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(kinds) <= {"", "sh", "python", "yaml", "console", "text", "mermaid"}
    assert kinds.count("") * 2 == len(kinds)


def whole(part: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole file with a part of one put into it, as a reader would."""
    file = {**written, **{key: each for key, each in part.items() if key != "routes"}}
    file["service"] = {**written["service"], **part.get("service", {})}
    file["plan"] = {**written["plan"], **part.get("plan", {})}
    if "routes" in part:
        file["apis"] = {"clinic": {**written["apis"]["clinic"], "routes": part["routes"]}}
    return file


@pytest.mark.parametrize("page", [page for page in OWN if blocks(page, "yaml")], ids=name)
def test_settings_on_the_pages_are_settings(page: Path) -> None:
    """Each block, put into the file that ``watchword init`` writes, makes a file of the right form."""
    file = Path("watchword.yaml")
    written = parse_document(file, TEMPLATE.encode()).data
    for _, text in blocks(page, "yaml"):
        part = parse_document(file, text.encode()).data
        assert FileConfig.model_validate(whole(part, written)).version == 1


@pytest.mark.parametrize("page", [page for page in OWN if blocks(page, "console")], ids=name)
def test_commands_on_the_pages_are_commands(page: Path) -> None:
    """Each line that needs what only a reader has (an id, a build) is one that the command line understands."""
    lines = [
        line[2:]
        for _, text in blocks(page, "console")
        for line in text.splitlines()
        if line.startswith("$ ")
    ]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "watchword"
        command: click.Command = cli
        while True:
            context = command.make_context("watchword", [*arguments], resilient_parsing=True)
            unknown = [each for each in context.args if each.startswith("-")]
            if not isinstance(command, click.Group) or not arguments:
                break
            found = command.get_command(
                context, next(each for each in arguments if not each.startswith("-"))
            )
            if found is None:
                break
            arguments = arguments[1:]
            command = found
        assert not isinstance(command, click.Group) or command.invoke_without_command, line
        assert unknown == [], line


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a directory, with the command line on the path; each line that fails is told."""
    preamble = f'set -uE\ntrap \'echo "FAILED: $BASH_COMMAND"\' ERR\nexport PATH="{BIN}:$PATH"\n'
    return subprocess.run(
        ["bash", "-c", preamble + script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Yield the directory that five minutes end with, its API and Watchword running, and its ports by those written."""
    folder = tmp_path_factory.mktemp("deployment")
    ports = {old: str(free_port()) for old in ("8440", "8080", "9000")}
    run("watchword init && mkdir site && echo '{\"patients\": 40}' > site/patients.json", folder)
    file = folder / "watchword.yaml"
    text = file.read_text(encoding="utf-8").replace("proof: bearer", "proof: session")
    file.write_text(moved(text, ports), encoding="utf-8")
    (folder / "app-release.apk").write_bytes(apk(strings=[dead_token()]))
    served = [
        sys.executable,
        "-m",
        "http.server",
        ports["9000"],
        "--bind",
        "127.0.0.1",
        "--directory",
        "site",
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(served, stdout=log, stderr=log, cwd=folder) as api,
        subprocess.Popen([BIN / "watchword", "up"], stdout=log, stderr=log, cwd=folder) as up,
    ):
        try:
            waited = "until watchword keys list >&2 && watchword lab request genuine-iphone /patients.json >&2; do sleep 0.2; done"
            run(waited.replace("until", f"until ! kill -0 {up.pid} ||"), folder)
            assert up.poll() is None
            yield folder, ports
        finally:
            up.terminate()
            api.terminate()


def moved(text: str, ports: Mapping[str, str]) -> str:
    """Return a text with other ports."""
    return re.sub("|".join(ports), lambda found: ports[found[0]], text)


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_guides_run_as_they_are_written(
    page: Path, deployment: tuple[Path, Mapping[str, str]]
) -> None:
    """Shell and Python of a guide, one after the other, do what the page says; only what it says is refused."""
    folder, ports = deployment
    script = "\n".join(
        text if language == "sh" else f"python - <<'END'\n{text}END\n"
        for language, text in blocks(page, "sh", "python")
    )
    done = run(moved(script, ports), folder)
    assert "FAILED" not in done.stdout, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for _, said in re.findall(r'(\|\| echo "(.*?)")', script):
        assert f"{said}\n" in done.stdout
    for wanted in SEEN[page.stem]:
        assert wanted in done.stdout + done.stderr


def test_an_upgrade_is_taken_back_as_its_page_says(tmp_path: Path) -> None:
    """Stopped, copied, started and put back by the page's commands, the service serves the same phone; what was revoked since stays so."""
    page = ROOT / "docs" / "upgrade.md"
    ports = {old: str(free_port()) for old in ("8440", "8080", "9000")}
    folder = tmp_path / "deployment"
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "patients.json").write_text('{"patients": 40}', encoding="utf-8")
    (folder / "watchword.yaml").write_text(moved(TEMPLATE, ports), encoding="utf-8")
    steps = [text for _, text in blocks(page, "sh")]
    assert "mv .watchword watchword-after" in steps[-1]
    revoke = """\
watchword instances list --json > before
victim=$(python -c 'import json; print(next(each["instance"] for each in map(json.loads, open("before")) if each["app"] == "clinic-android"))')
watchword instances revoke "$victim" --because "after the update"
"""
    script = moved(
        "\n".join(
            (
                "python -m http.server 9000 --bind 127.0.0.1 --directory site 2>/dev/null & api=$!",
                "watchword up & up=$!",
                "until curl -s -o /dev/null http://127.0.0.1:8080/health; do sleep 0.2; done",
                "watchword lab request genuine-iphone /patients.json",
                "watchword lab request genuine-android /patients.json",
                *steps[:-1],
                revoke,
                steps[-1],
                "watchword instances list --json",
                "kill $up $api; wait",
            )
        ),
        ports,
    )
    done = run(script, folder)
    assert re.findall(r"^FAILED: (?!wait)(.*)", done.stdout, re.MULTILINE) == [], (
        done.stdout + done.stderr
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.count('{"patients": 40}') == 4
    assert "drwx------" in done.stdout
    listed = [
        json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"instance"')
    ]
    revoked = {each["app"]: each["revoked_because"] for each in listed}
    assert revoked == {"clinic-ios": None, "clinic-android": "after the update"}


SEEN = {
    "backend": ("watchword.yaml is good.", '{"patients": 40}', "upstream-direct", "proof.missing"),
    "mobile": ("{'patients': 40}", "genuine-iphone", "proof.algorithm", "not checked"),
    "security": ("PR-B01", "secret-in-app", "Policy strict", "2 STOPPED", "ci.jwk"),
    "operator": (
        "clinic-ios",
        "prepared",
        "watchword_service_answers_total",
        "policy.bootloader_unlocked",
        "retired",
    ),
    "production": (
        "watchword.yaml is good.",
        "drwx------",
        "watchword_revocation_list_known 1.0",
        "Policy balanced",
        "STOPPED",
        "prepared",
    ),
    "locked-out": (
        "refused, as it must be",
        "policy.bootloader_unlocked",
        "The bootloader is unlocked",
    ),
    "troubleshooting": (
        "proof.missing",
        '{"status":"ok"}',
        'route="POST /v1/attestations",status="201"',
        "a token alone: refused",
        "watchword_clock_jump_seconds",
    ),
    "migrate-firebase-app-check": ("watchword.yaml is good.", '{"patients": 40}'),
    "migrate-approov": ("watchword.yaml is good.", '{"patients": 40}'),
}
"""What a reader sees who runs a guide."""
