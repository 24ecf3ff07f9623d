"""Pages have one look, escape what others chose, and fields give back what they were given."""

import hashlib
import re
import tomllib
from importlib import resources

import pytest
from tests.unit.apps.web.requests import CSRF, HOST, ask, of_ours, opened

from watchword.apps.web.frame import StaticFiles, page, page_app
from watchword.apps.web.kit import Kit

HOSTILE = "</textarea><script>alert(1)</script>\"'\u202e\x1b[31m"
FILES = ("icon.svg", "kit.css", "kit.js", "htmx.min.js")


@pytest.fixture
def kit() -> Kit:
    """Return a kit that an application was made with."""
    kit = Kit()
    page_app([], kit, opened())
    return kit


def macro(kit: Kit, call: str, **values: object) -> str:
    """Return what a macro makes."""
    template = '{% import "macros.html.j2" as kit with context %}' + call
    return kit._environment.from_string(template).render(**values)


def test_vendored_files_are_what_was_published() -> None:
    """Vendored files are what was published."""
    static = resources.files("watchword.apps.web").joinpath("static")
    listed = tomllib.loads(static.joinpath("vendored.toml").read_text("utf-8"))

    for name, each in listed.items():
        assert hashlib.sha256(static.joinpath(name).read_bytes()).hexdigest() == each["sha256"]
    ours = {"icon.svg", "kit.css", "kit.js", "vendored.toml"}
    assert {each.name for each in static.iterdir()} == ours | set(listed)


def test_a_static_file_is_named_by_its_hash_and_kept(kit: Kit) -> None:
    """A static file is named by its hash and kept."""
    app = page_app([], kit, opened())
    urls = StaticFiles.of(kit.packages).urls

    for name in FILES:
        answer = ask(app, "GET", urls[name], [("host", HOST)])
        assert answer.status == 200
        assert hashlib.sha256(answer.body).hexdigest()[:12] in urls[name]
        assert "immutable" in answer.headers["cache-control"]
    for name in ("kit.css", "vendored.toml", "000000000000/kit.css", "..%2fkit.py", "../kit.py"):
        answer = ask(app, "GET", f"/static/{name}", [("host", HOST)])
        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
    assert ask(app, "POST", urls["kit.css"], of_ours(opened())).status == 405


def test_a_page_asks_for_nothing_elsewhere_and_has_no_script_or_style_in_it(kit: Kit) -> None:
    """A page asks for nothing elsewhere and has no script or style in it."""
    app = page_app([page("/", lambda _: kit.page("opened.html.j2"))], kit, opened())
    text = ask(app, "GET", "/", of_ours(opened())).text

    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script>", text)


@pytest.mark.parametrize(
    "call",
    [
        '{{ kit.text("n", "Label", value, hint=value) }}',
        '{{ kit.text("n", value) }}',
        '{{ kit.area("n", "Label", value) }}',
        '{{ kit.choice("n", "Label", [(value, value)], value) }}',
        '{{ kit.boxes("n", value, [("k", value, value)], []) }}',
        '{{ kit.radios("n", value, [("k", value, value)], value) }}',
        '{{ kit.button(value, name="n", value=value) }}',
        '{{ kit.pill("open", value) }}',
        "{{ value | kept }}",
        "{{ value | exact }}",
    ],
)
def test_markup_stays_text(kit: Kit, call: str) -> None:
    """Markup stays text."""
    made = macro(kit, call, value=HOSTILE)

    assert "<script>" not in made
    assert "</textarea><" not in made
    assert "alert(1)" in made


@pytest.mark.parametrize(
    "call", ['{{ kit.text("n", "L", value) }}', '{{ kit.choice("n", "L", [(value, "x")]) }}']
)
def test_a_field_gives_back_what_it_was_given(kit: Kit, call: str) -> None:
    """A field gives back what it was given."""
    value = "two  spaces, " + "long " * 200 + "\u202eend\x1fof it"
    assert f'value="{value}"' in macro(kit, call, value=value)


def test_a_text_area_gives_back_its_lines(kit: Kit) -> None:
    """A text area gives back its lines."""
    # A browser leaves out the first end of a line.
    assert ">\n\n one\n  two </textarea>" in macro(
        kit, '{{ kit.area("n", "L", v) }}', v="\n one\n  two "
    )


def test_a_line_of_a_diff_keeps_its_spaces_and_shows_what_would_turn_it_around(kit: Kit) -> None:
    """A line of a diff keeps its spaces and shows what would turn it around."""
    assert macro(kit, "{{ v | kept }}", v="+   a: \u202eb") == "+   a: \\u202eb"


def test_a_form_carries_our_mark(kit: Kit) -> None:
    """A form carries our mark."""
    assert f'name="csrf" value="{CSRF}"' in macro(kit, "{{ kit.hidden(3) }}")
