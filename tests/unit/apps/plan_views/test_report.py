"""The HTML report: self-contained, bounded, and made of text alone where strangers wrote it."""

import re
from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.apps.plan_views.seed import (
    KEY_PATH,
    crowded_plan,
    renamed,
    seed_plan,
    struck_plan,
    troubled_plan,
)

from watchword.apps.plan import words
from watchword.apps.plan.html import MAX_CARDS, MAX_LANES, MAX_ROWS, lanes, report
from watchword.plan.interface import AttackPath, Struck
from watchword.plan.outcome import Exposure, PathState, Plan

VOID = {"meta", "br"}
HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "'><img src=x onerror=alert(1)>",
    "</style><b>",
    "</title>]]>",
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
    "a\u202eb\x00c",
)


class Page(HTMLParser):
    """Read a page as a browser would: its tags, its attributes, its text, and that all is closed."""

    def __init__(self) -> None:
        """Start with nothing read."""
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count a tag and keep its attributes."""
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.text.append(data)


def read(text: str) -> Page:
    """Return a page as read."""
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def poisoned(plan: Plan, name: str) -> Plan:
    """Return a plan in which a stranger wrote ``name`` wherever he can."""
    plan = renamed(plan, "backend-records", name)
    state, item, claim = plan.assets[0], plan.items[0], plan.claims[0]
    catalogue = {
        key: replace(each, name=name, about=name, names={name: (name,)})
        for key, each in plan.catalogue.techniques.items()
    }
    protection = replace(item.protection, name=name, about=name, does_not=(name,), evidence=(name,))
    return replace(
        plan,
        catalogue=replace(plan.catalogue, techniques=catalogue),
        assets=(
            replace(state, asset=replace(state.asset, because=name, routes=(name,))),
            *plan.assets[1:],
        ),
        items=(
            replace(item, protection=protection, why=name, ties=((name,),), together=(name,)),
            *plan.items[1:],
        ),
        claims=(replace(claim, protection=name, target=name, source=name, why=name, key=name),),
        proven=(replace(plan.proven[0], source=name),),
        paths=tuple(replace(each, closers=(name,)) for each in plan.paths),
        model=replace(
            plan.model, cut=(name,), struck=(Struck(replace(KEY_PATH, asset=name), name),)
        ),
        added=(name,),
        removed=(name,),
        cut=(name,),
    )


def test_it_needs_nothing_from_elsewhere() -> None:
    """No script, link, image or frame, no address in an attribute, no import; a policy says so too."""
    text = report(seed_plan())
    page = read(text)
    assert not page.tags.keys() & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    assert not page.attributes & {"src", "xlink:href", "srcset", "style", "action"}
    assert not re.search(r'href="(?!#)', text)
    assert not [each for each in page.attributes if each.startswith("on")]
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    addresses = set(re.findall(r"https?://[^\"\s<]*", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page.values


def test_a_manager_reads_the_first_measure_before_anything_else() -> None:
    """The verdict names attestation; the prevent phase stands above the pictures and the list."""
    said = " ".join(read(report(seed_plan())).text)
    assert (
        said.index("PR-B01") < said.index("What can be lost") < said.index("What it doesn't stop")
    )


def test_state_is_told_in_words_wherever_it_has_a_colour() -> None:
    """Every badge, pill and asset of the pictures holds its state as text."""
    plan, struck = troubled_plan(), struck_plan()
    text = report(replace(plan, assets=(*plan.assets, *struck.assets))) + report(struck)
    for exposure in Exposure:
        badges = re.findall(rf'class="badge-text {exposure.value}"[^>]*>([^<]*)<', text)
        assert set(badges) <= {exposure.value.upper()}
        pills = re.findall(rf'class="pill {exposure.value}">([^<]*)<', text)
        assert pills
        assert all(words.EXPOSURES[exposure] in each for each in pills)


def test_cuts_are_drawn_where_they_cut() -> None:
    """Afterwards the script at the API is cut by attestation on both paths; today nothing is cut."""
    plan = seed_plan()
    now, after = lanes(plan, after=False), lanes(plan, after=True)
    assert not any(stop.cut_by for lane in now.lanes for stop in lane.stops)
    assert [lane.stops[-1].cut_by for lane in after.lanes] == [
        ("PR-B01",),
        ("PR-B01",),
        ("PR-A05",),
    ]
    text = report(plan)
    today, then = text.split('id="now-title"')[1].split('id="after-title"')
    assert 'class="bar exploit"' not in today
    assert then.count('class="bar exploit"') == 3


def test_every_picture_has_a_title_and_is_told_in_words() -> None:
    """Who doesn't see a picture hears what it shows."""
    text = report(seed_plan())
    for name in ("now", "after", "curve-wide", "curve-narrow"):
        assert f'aria-labelledby="{name}-title {name}-desc"' in text
    told = re.findall(r'<desc id="after-desc">([^<]*)</desc>', text)
    assert "cut by PR-B01" in told[0]


def test_ids_are_there_once() -> None:
    """Two pictures on a page don't share an id."""
    ids = re.findall(r'\bid="([^"]*)"', report(seed_plan()))
    assert len(ids) == len(set(ids))


@cache
def plain_page() -> Page:
    """Return the page of a plan in which a stranger wrote one plain word."""
    return read(report(poisoned(seed_plan(), "plain")))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    """A name that looks like markup changes no tag and no attribute, in the page or in a picture."""
    plain, page = plain_page(), read(report(poisoned(seed_plan(), name)))
    assert page.tags - Counter(tspan=page.tags["tspan"]) == plain.tags - Counter(
        tspan=plain.tags["tspan"]
    )
    assert page.attributes == plain.attributes
    assert "\x00" not in "".join(page.text)
    assert "\u202e" not in "".join(page.text)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip))
def test_any_text_stays_text(name: str) -> None:
    """The same of arbitrary text: exactly the tags of a plain name, everything closed."""
    plain, page = plain_page(), read(report(poisoned(seed_plan(), name)))
    lines = {"tspan"}
    assert {key: count for key, count in page.tags.items() if key not in lines} == {
        key: count for key, count in plain.tags.items() if key not in lines
    }
    assert page.attributes == plain.attributes


def test_the_seed_is_small_and_5000_paths_are_bounded() -> None:
    """The report of the example stays far below its limit; a large one is cut and says so."""
    assert len(report(seed_plan()).encode()) < 300_000
    plan = crowded_plan(5000)
    text = report(plan)
    assert len(text.encode()) < 600_000
    assert text.count('<tr><th scope="row">asset-') == MAX_ROWS + len(plan.assets)
    assert f"{5000 - MAX_ROWS:,} more paths aren't shown" in text


def test_many_paths_are_drawn_as_few_and_the_others_are_counted() -> None:
    """No more lanes than can be taken in; drawn, meant and left out make all of them."""
    plan = crowded_plan(5000)
    drawn = lanes(plan, after=False)
    assert len(drawn.lanes) <= MAX_LANES
    assert sum(1 + lane.more for lane in drawn.lanes) + drawn.left_out == 5000
    assert drawn.lanes[0].asset.asset.impact == 5
    assert f"{drawn.left_out:,} paths aren't drawn" in report(plan)


def test_no_asset_is_crowded_out_of_the_picture_by_another() -> None:
    """One asset with twenty ways leaves room for the only way to another, however little it weighs."""
    plan = seed_plan()
    ways = [
        replace(plan.paths[0], path=replace(KEY_PATH, steps=("MT-A02", *["MT-B03"] * number)))
        for number in range(1, 21)
    ]
    many = replace(plan, paths=(*ways, plan.paths[2]))
    drawn = lanes(many, after=False)
    assert len(drawn.lanes) == MAX_LANES
    assert [lane.asset.asset.id for lane in drawn.lanes[-2:]] == [
        "backend-records",
        "one-user-live-data",
    ]
    first = [lane.asset.asset.impact for lane in lanes(crowded_plan(5000), after=False).lanes]
    assert len(first) == MAX_LANES
    assert first == sorted(first, reverse=True)


def test_assets_share_the_picture_and_what_stays_open_is_in_it() -> None:
    """Two assets with many ways have as many lanes each; of equal ways that which stays open is drawn."""
    plan = seed_plan()

    def ways(asset: str) -> list[PathState]:
        return [
            replace(plan.paths[0], path=AttackPath(asset, ("MT-A02", *["MT-B03"] * number)))
            for number in range(1, 21)
        ]

    first, last = ways("backend-records"), ways("one-user-live-data")
    last[-1] = replace(last[-1], after=Exposure.OPEN)
    drawn = lanes(replace(plan, paths=(*first, *last)), after=True)
    assert Counter(lane.asset.asset.id for lane in drawn.lanes) == {
        "backend-records": MAX_LANES // 2,
        "one-user-live-data": MAX_LANES // 2,
    }
    assert Exposure.OPEN in {lane.exposure for lane in drawn.lanes}


def test_the_colours_of_the_lines_are_explained() -> None:
    """Beside the pictures stands which line is open, delayed or closed."""
    text = report(seed_plan())
    for state in ("open", "delayed", "closed"):
        assert f'<span class="sample way-{state}"></span>{state}' in text


def test_cards_name_what_they_need_instead_of_ids() -> None:
    """What goes only together is told by name, where there is room for it."""
    plan = seed_plan()
    told = replace(plan, items=(replace(plan.items[0], together=("PR-A06",)),))
    assert "Only together with Tamper detection (PR-A06)." in report(told)


def test_a_path_that_turns_back_is_drawn_too() -> None:
    """From backend back to app goes one row down, so that no line runs through a step."""
    plan = seed_plan()
    path = replace(plan.paths[0].path, steps=("MT-B03", "MT-A02", "MT-A09", "MT-C06", "MT-B03"))
    turned = replace(plan, paths=(replace(plan.paths[0], path=path),))
    heights = [
        int(each) for each in re.findall(r'viewBox="0 0 1240 (\d+)"', report(turned) + report(plan))
    ]
    assert heights[0] > 300
    assert read(report(turned)).open == []


def test_the_top_holds_five_measures_and_counts_the_others() -> None:
    """Who reads for two minutes isn't given eleven cards; the list below has them all."""
    plan = seed_plan()
    many = tuple(replace(plan.items[0], place=place) for place in range(1, 9))
    text = report(replace(plan, items=many))
    assert text.count('class="card"') == MAX_CARDS
    assert "3 more measures" in text
    assert text.count('<details class="item"') == 8


def test_a_reason_that_says_what_it_does_isnt_said_twice() -> None:
    """What an item does is left out where its reason begins with it."""
    plan = seed_plan()
    does = words.sentence(words.does(plan.items[0], plan))
    told = replace(plan, items=(replace(plan.items[0], why=f"{does} And more."),))
    (card,) = re.findall(r'<li class="card">.*?</li>', report(told), re.DOTALL)
    assert card.count(does) == 1
    assert "And more." in card


def test_a_card_says_once_what_is_closed() -> None:
    """Its reason adds where; what it closes stands above it already."""
    plan = seed_plan()
    why = "Closes 1 way into that and 8 assets, where the damage is done: MT-B03 Script."
    (card,) = re.findall(
        r'<li class="card">.*?</li>',
        report(replace(plan, items=(replace(plan.items[0], why=why),))),
        re.DOTALL,
    )
    assert "<p>Where the damage is done: MT-B03 Script.</p>" in card
    assert "8 assets" not in card


def test_the_paths_of_the_worst_impact_come_first() -> None:
    """Their names decide nothing: of many paths the first alone are shown."""
    plan = seed_plan()
    low, high = (replace(plan.paths[0], impact=impact) for impact in (1, 5))
    mixed = replace(plan, paths=(low, high, low, high))
    shown = report(mixed).partition('<h2 id="paths">')[2]
    assert re.findall(r"impact (\d), derived", shown) == ["5", "5", "1", "1"]


def test_what_goes_together_in_bulk_stands_in_the_report() -> None:
    """A sentence above the list, and all names with the item."""
    plan = seed_plan()
    many = ("PR-A06", "PR-A08", "PR-B02", "PR-B03")
    text = report(replace(plan, items=(replace(plan.items[0], together=many),)))
    assert "These 5 of impact 5 are needed together" in text
    assert "<dt>Goes together with</dt><dd>PR-A06, PR-A08, PR-B02 and PR-B03</dd>" in text


def test_a_budget_that_closes_nothing_asks_for_nothing_together() -> None:
    """What is said to close an asset only whole isn't said where none is closed; where one is, it is."""
    plan = seed_plan()
    many = ("PR-A06", "PR-A08", "PR-B02", "PR-B03")
    bulk = replace(plan, items=(replace(plan.items[0], together=many),), budget=40)
    assert len(words.bundles(bulk.items, bulk)) == 1
    still = tuple(replace(each, after=each.now) for each in plan.assets)
    assert words.bundles(bulk.items, replace(bulk, assets=still)) == []


def test_what_could_close_a_path_is_told_as_alternatives() -> None:
    """One of them is enough: they aren't listed as if all were needed."""
    plan = seed_plan()
    path = replace(plan.paths[0], closers=("PR-C01", "PR-C02", "PR-C03"))
    assert "<td>PR-C01, PR-C02 or PR-C03</td>" in report(replace(plan, paths=(path,)))


def test_a_report_says_what_changed() -> None:
    """Its heading, and each line escaped; without an earlier plan there is no such section."""
    text = report(seed_plan(), ("Since 2026-11-29", "PR-B01 <is> new"))
    assert '<h2 id="since">Since 2026-11-29</h2>' in text
    assert "PR-B01 &lt;is&gt; new" in text
    assert 'id="since"' not in report(seed_plan())


def test_empty_plans_are_reports_too() -> None:
    """No assets, no paths, no items: a page that says so."""
    plan = seed_plan()
    empty = replace(
        plan, assets=(), paths=(), items=(), exposure=(), claims=(), proven=(), unclosable=()
    )
    said = " ".join(read(report(empty)).text)
    assert "There is no asset to protect" in said
    assert "There is no path to any asset" in said
