"""The plan in Markdown: what is in it, and that no text of strangers becomes markup."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.plan_views.seed import crowded_plan, renamed, seed_plan, troubled_plan

from watchword.apps.plan import words
from watchword.apps.plan.markdown import MAX_PATHS, markdown
from watchword.apps.reports.text import markdown as escaped
from watchword.apps.reports.text import markdown_code as code
from watchword.plan.outcome import Phase

ALIVE = r"\`*_[]<>&|~#$"
"""What would become markup if no backslash stood before it."""

texts = st.text(st.characters(codec="utf-8"), max_size=60)


def bare(text: str) -> str:
    """Return text without what is escaped and without the joiners of ours."""
    return re.sub(r"\\.", "", text.replace("&#8288;", ""))


def test_it_has_verdict_list_exposure_and_paths() -> None:
    """A pull request gets all that a reader wants, the measures in order."""
    text = markdown(seed_plan())
    assert text.index("PR-B01") < text.index("PR-A05") < text.index("PR-C05")
    assert f"## {words.HEADINGS[Phase.PREVENT]}" in text
    assert "| 5 | 1 open | 1 closed |" in text
    assert "`MT-A02` → `MT-C06` → `MT-B03` | open | closed |" in text


def test_it_names_what_is_wrong() -> None:
    """Claims, unclosable paths, the budget and what was left out are there."""
    text = markdown(troubled_plan())
    for said in ("`PR-C03`", "`MT-A15`", "4 is left", "1,200 paths"):
        assert said in text


def test_a_large_plan_is_cut_and_says_so() -> None:
    """A page that no forge would take is none: beyond a limit rows are counted."""
    text = markdown(crowded_plan(MAX_PATHS + 50))
    assert "50 more paths aren't shown" in text
    assert len(text) < 200_000


@given(texts)
def test_escaped_text_holds_no_markup(text: str) -> None:
    """No character that could begin markup is left bare, and there is one line."""
    found = escaped(text)
    assert not set(bare(found)) & set(ALIVE)
    assert found.isprintable()
    assert not re.match(r"\d*[-+=.)]", found)
    assert not re.search(r"@\w|(?<!&)#\d|://|www\.", found)


@given(texts)
def test_a_code_span_ends_where_it_should(text: str) -> None:
    """The fence is longer than any run of backticks within, and no cell of a table ends in it."""
    found = code(text)
    fence = re.match("`+", found)
    assert fence is not None
    inside = found[len(fence[0]) : -len(fence[0])]
    assert found.endswith(fence[0])
    assert fence[0] not in re.findall("`+", inside)
    assert not re.search(r"(?<!\\)\|", found)


@given(texts.filter(str.strip))
def test_every_row_of_a_table_has_as_many_cells_as_its_head(name: str) -> None:
    """Whatever an asset is called, and for whatever reason, no row breaks."""
    plan = renamed(seed_plan(), "backend-records", name)
    state = plan.assets[0]
    plan = replace(plan, assets=(replace(state, asset=replace(state.asset, because=name)),))
    cells = 0
    for line in markdown(plan).splitlines():
        if not line.startswith("|"):
            cells = 0
            continue
        found = len(re.findall(r"(?<!\\)\|", line))
        assert found == (cells or found)
        cells = found


def test_a_mention_or_a_link_stays_text() -> None:
    """A name with an at sign calls nobody, a number links no issue, an address is no link."""
    found = escaped("@team #12 https://evil.example www.evil.example <b>x</b>")
    assert "@team" not in found
    assert "#12" not in found
    assert "://" not in found
    assert r"\<b\>" in found
