"""Pages have one look, escape what others chose, and fields give back what they were given."""

import hashlib
import re
import tomllib
from importlib import resources

import pytest
from jinja2 import Environment
from starlette.routing import Route
from tests.unit.apps.web.requests import HOST, ask, of_ours, opened

from watchword.apps.web.frame import page_app
from watchword.apps.web.kit import Kit

HOSTILE = "</textarea><script>alert(1)</script>\"'\u202e\x1b[31m"


@pytest.fixture
def kit() -> Kit:
    """Return a kit without pages of its own."""
    return Kit(opened())


def macro(kit: Kit, call: str, **values: object) -> str:
    """Return what a macro makes."""
    environment: Environment = kit._environment
    return environment.from_string(
        '{% from "macros.html.j2" import form, hidden, field, textarea, select, radios, checkbox, checks, slider, button, '
        "confirm, pill, notice, steps, tabs, table %}" + call
    ).render(**values)


def test_vendored_files_are_what_was_published() -> None:
    static = resources.files("watchword.apps.web").joinpath("static")
    listed = tomllib.loads(static.joinpath("vendored.toml").read_text("utf-8"))["file"]

    for each in listed:
        assert (
            hashlib.sha256(static.joinpath(each["name"]).read_bytes()).hexdigest() == each["sha256"]
        )
    ours = {"kit.css", "kit.js", "vendored.toml"}
    assert {each.name for each in static.iterdir()} == ours | {each["name"] for each in listed}


def test_a_static_file_is_named_by_its_hash_and_kept(kit: Kit) -> None:
    app = page_app([], access=opened(), kit=kit)

    for name in ("kit.css", "kit.js", "htmx.min.js"):
        answer = ask(app, "GET", kit.static(name), [("host", HOST)])
        assert answer.status == 200
        assert hashlib.sha256(answer.body).hexdigest()[:12] in kit.static(name)
        assert "immutable" in answer.headers["cache-control"]
    for name in ("kit.css", "vendored.toml", "kit.000000000000.css", "..%2fkit.py"):
        answer = ask(app, "GET", f"/static/{name}", [("host", HOST)])
        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
    assert ask(app, "POST", kit.static("kit.css"), of_ours(opened())).status == 405


def test_a_page_asks_for_nothing_elsewhere_and_has_no_script_or_style_in_it(kit: Kit) -> None:
    app = page_app([Route("/", lambda _: kit.refusal(200, "A", "b"))], access=opened(), kit=kit)
    text = ask(app, "GET", "/", of_ours(opened())).text

    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script>", text)
    assert "5e5e5e" not in text


def test_the_first_page_is_light(kit: Kit) -> None:
    page = kit.refusal(200, "A", "b").body
    files = [kit._files[kit._names[name]][0] for name in ("kit.css", "kit.js", "htmx.min.js")]
    assert len(page) + sum(map(len, files)) < 100_000


@pytest.mark.parametrize(
    "call",
    [
        '{{ field("i", "n", "Label", value) }}',
        '{{ textarea("i", "n", "Label", value) }}',
        '{{ select("i", "n", "Label", [(value, value)], value) }}',
        '{{ radios("i", "n", "Label", [(value, value, value)], value) }}',
        '{{ checkbox("i", "n", value, true, value) }}',
        '{{ checks("i", "n", value, [(value, value, true)]) }}',
        '{{ hidden("n", value) }}',
        '{{ button(value, name="n", value=value, unseen=value) }}',
        '{{ confirm(value, "/a", [("n", value)], value) }}',
        '{{ field("i", "n", value, "", help=value, errors=[value]) }}',
        '{{ pill("open", value) }}',
        "{{ table(value, [value], [[value, value]]) }}",
        '{{ tabs([("/", value)], "/", value) }}',
        '{{ steps([("/", value, "done")], "/", value) }}',
        '{% call notice("bad", value) %}{{ value }}{% endcall %}',
    ],
)
def test_markup_stays_text(kit: Kit, call: str) -> None:
    made = macro(kit, call, value=HOSTILE)

    assert "<script>" not in made
    assert "</textarea><" not in made
    assert "alert(1)" in made


@pytest.mark.parametrize("call", ['{{ field("i", "n", "L", value) }}', '{{ hidden("n", value) }}'])
def test_a_field_gives_back_what_it_was_given(kit: Kit, call: str) -> None:
    value = "two  spaces, " + "long " * 200 + "\u202eend"
    assert f'value="{value}"' in macro(kit, call, value=value)


def test_a_form_carries_our_mark(kit: Kit) -> None:
    made = macro(kit, '{% call form("/do", live=true) %}x{% endcall %}')

    assert f'name="csrf" value="{opened().csrf}"' in made
    assert 'method="post"' in made


def test_a_fault_stands_at_its_field(kit: Kit) -> None:
    made = macro(kit, '{{ field("i", "n", "L", "", errors=["got nothing"]) }}')

    assert 'aria-invalid="true"' in made
    assert 'aria-describedby=" i-error"' in made
    assert 'id="i-error">got nothing' in made
