"""What every view of a plan must tell alike: what was asked, what was struck, what stays and what isn't known."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from re import sub

import click
import pytest
from markupsafe import escape
from tests.unit.apps.plan_views.compared import compare
from tests.unit.apps.plan_views.seed import (
    BOTH,
    CLAIM,
    KEY_PATH,
    LIVE_PATH,
    NOW,
    PROVEN,
    WIRE_PATH,
    seed_plan,
    struck_plan,
    tallies,
    troubled_plan,
)
from tests.unit.plan.builders import NOTHING
from tests.unit.plan.test_service import HALF, HALF_MODEL, TOY, TOY_MODEL
from tests.unit.plan.test_stability import NoPatience

from watchword.apps.plan import words
from watchword.apps.plan.cyclonedx import cyclonedx
from watchword.apps.plan.differences import Subject
from watchword.apps.plan.document import PlanDocumentError, document
from watchword.apps.plan.html import report
from watchword.apps.plan.markdown import markdown
from watchword.apps.plan.terminal import SHORT, item_lines, lines
from watchword.apps.plan.words import nothing, verdict, what_if, world
from watchword.observations import State
from watchword.plan.catalogue import load_catalogue
from watchword.plan.interface import Struck
from watchword.plan.outcome import (
    Change,
    Cut,
    Exposure,
    Phase,
    Plan,
    Shortfall,
    Skipped,
    Stability,
    Tally,
)
from watchword.plan.service import Question, make_plan
from watchword.vocabulary import Environment

STRUCK_WORD = words.EXPOSURES[Exposure.UNREACHED]


def in_terminal(plan: Plan, **options: bool) -> str:
    """Return the plan in a terminal as one line of text."""
    return joined(click.unstyle(line) for line in lines(plan, **options))


def in_markdown(plan: Plan) -> str:
    """Return the plan in Markdown as one line of text, without what escapes."""
    return joined([markdown(plan).replace("\\", "").replace("`", "").replace("&#8288;", "")])


def in_html(plan: Plan) -> str:
    """Return the text of the report as one line."""
    body = report(plan).split("</style>", 1)[1]
    return joined([unescape(sub(r"<[^>]*>", " ", body))]).replace(" ,", ",").replace(" :", ":")


def joined(found: Iterator[str] | list[str]) -> str:
    """Return text on one line."""
    return " ".join(" ".join(found).split())


VIEWS = pytest.mark.parametrize("view", [in_terminal, in_markdown, in_html])
View = Callable[[Plan], str]


def asking(added: tuple[str, ...] = (), removed: tuple[str, ...] = ()) -> Plan:
    """Return the seed's plan as the answer to a what-if."""
    return replace(seed_plan(), added=added, removed=removed)


def test_what_wasnt_solved_isnt_told_as_nothing() -> None:
    """Without the time to solve it again an item says just that, also in JSON."""
    plan = make_plan(TOY_MODEL, TOY, NOTHING, NOW, None, NoPatience())
    item = plan.items[0]
    told = words.skipped(item, plan)
    assert not item.skipped.solved
    assert "no time" in told
    assert told != words.skipped(replace(item, skipped=Skipped((), (), 0)), plan)
    assert document(plan)["items"][0]["skipped"]["solved"] is False
    assert document(seed_plan())["items"][0]["skipped"]["solved"] is True


def test_what_nothing_else_closes_is_all_that_is_said() -> None:
    """Where nothing stands in its place, no other sentence is made of that."""
    plan = seed_plan()
    lone = replace(plan.items[0], skipped=Skipped(BOTH, (), 0))
    assert words.skipped(lone, plan) == f"Nothing else closes {words.reached(BOTH, plan)}."
    swapped = replace(lone, skipped=Skipped((KEY_PATH.id,), ("PR-B18",), 2))
    both = words.skipped(swapped, plan)
    assert both.index("PR-B18") < both.index(words.reached((KEY_PATH.id,), plan))


def test_a_budget_isnt_taken_for_harmless() -> None:
    """Under a budget, nothing in an item's place doesn't mean that nothing opens."""
    plan = seed_plan()
    bare = replace(plan.items[0], skipped=Skipped((), (), 0))
    assert words.skipped(bare, plan) != words.skipped(bare, replace(plan, budget=6))


def test_what_moves_to_hardening_isnt_told_as_gone() -> None:
    """A change after which an item closes and delays nothing says that, and gives no place."""
    moved = words.change(Change("effort of PR-B01 from 6 to 3", None, 1), 1)
    assert "isn't in the plan" not in moved
    assert "close or delay" in moved
    assert "number 2" in words.change(Change("effort of PR-B01 from 6 to 3", 2, 1), 1)


def test_what_wasnt_shaken_says_why() -> None:
    """In hardening, for want of time, or because of the budget: three reasons, three texts."""
    item = seed_plan().items[0]
    told = {
        words.stability(replace(item, stability=None)),
        words.stability(replace(item, stability=None, phase=Phase.HARDENING)),
        words.stability(replace(item, stability=Stability(0, 0, 0))),
    }
    assert len(told) == 3
    assert all(":" in each for each in told)


@VIEWS
def test_a_struck_asset_is_never_told_as_closed(view: View) -> None:
    """Its own word and count stand in every view; what is closed doesn't hold it."""
    plan = struck_plan()
    text = view(plan)
    assert f"1 with {STRUCK_WORD}" in text
    assert "Nothing reaches backend-records any more" in text
    alone = replace(
        plan, assets=plan.assets[:1], items=(), paths=(), exposure=(Tally(5, 0, 0, 0, 1),)
    )
    told = view(alone)
    assert "closed:" not in verdict(alone)[0]
    assert "struck" in verdict(alone)[0]
    assert "closes every path" not in told


def test_nothing_to_do_is_said_only_if_every_asset_is_closed() -> None:
    """One struck asset among closed ones, or one open one, is another text each."""
    plan = replace(seed_plan(), items=())

    def standing(*states: Exposure) -> str:
        pairs = zip(plan.assets, states, strict=True)
        return nothing(replace(plan, assets=tuple(replace(each, now=now) for each, now in pairs)))

    closed = standing(Exposure.CLOSED, Exposure.CLOSED)
    struck = standing(Exposure.UNREACHED, Exposure.CLOSED)
    opened = standing(Exposure.OPEN, Exposure.CLOSED)
    assert len({closed, struck, opened}) == 3


def test_done_doesnt_count_struck_assets_as_closed() -> None:
    """What the plan reaches is the assets that a path leads to, not all."""
    assert "both assets are closed" not in " ".join(verdict(struck_plan()))
    assert "both assets are closed" in " ".join(verdict(seed_plan()))


def test_documents_count_struck_assets_apart() -> None:
    """JSON has a tally of its own, CycloneDX the state and the reasons, a comparison the word."""
    plan = struck_plan()
    found = document(plan)
    assert [each["unreached"] for each in found["tallies"]["now"]] == [1, 0]
    assert [each["closed"] for each in found["tallies"]["now"]] == [0, 0]
    bill = cyclonedx(plan, "urn:uuid:0", NOW)
    values = {
        each["name"]: each["value"] for each in bill["blueprints"][0]["assets"][0]["properties"]
    }
    assert values["watchword:exposure-now"] == Exposure.UNREACHED.value
    assert "no key is in the package" in values["watchword:struck"]
    changes = compare(document(seed_plan()), found)
    assert any(
        each.subject is Subject.ASSET and each.after == Exposure.UNREACHED.value
        for each in changes.exposure
    )
    assert any(f"open -> {STRUCK_WORD}" in line for line in changes.lines())


@VIEWS
def test_strikes_are_listed_with_their_reasons(view: View) -> None:
    """Under a heading of its own stands each reason with the paths and the asset it took away."""
    text = view(struck_plan())
    assert words.STRUCK in text
    assert "no key is in the package" in text
    assert "the key is never sent" in text
    assert text.count("1 way into backend-records (impact 5)") >= 2
    assert "1 more" not in text.split(words.STRUCK)[1].split("Assets")[0]


def test_a_plan_without_strikes_has_no_such_heading() -> None:
    """Neither terminal nor Markdown says anything; the report says that there are none."""
    assert words.STRUCK not in in_terminal(seed_plan())
    assert words.STRUCK not in in_markdown(seed_plan())
    assert f"{words.STRUCK} No path was struck" in in_html(seed_plan())


def test_strikes_are_grouped_by_reason_and_short() -> None:
    """Many paths for one reason are one line; of many reasons a few are shown unless all are asked for."""
    plan = struck_plan()
    same = tuple(Struck(path, "same") for path in (KEY_PATH, WIRE_PATH, LIVE_PATH))
    other = tuple(Struck(KEY_PATH, f"reason {number}") for number in range(SHORT + 2))
    many = replace(plan, model=replace(plan.model, struck=(*other, *same)))
    first, *rest = words.struck(many)
    assert (first.because, len(first.paths), len(rest)) == ("same", 3, SHORT + 2)
    assert in_terminal(many).count("reason ") == SHORT - 1
    assert in_terminal(many, everything=True).count("reason ") == SHORT + 2


@pytest.mark.parametrize(
    ("added", "removed"), [(("PR-B01",), ()), ((), ("PR-B01",)), (("PR-A05",), ("PR-B01",))]
)
def test_every_view_begins_with_what_was_asked(
    added: tuple[str, ...], removed: tuple[str, ...]
) -> None:
    """The first line is the question, so that no answer is taken for the plan."""
    plan = asking(added, removed)
    mark = what_if(plan)
    assert all(name in mark for name in (*added, *removed))
    assert click.unstyle(next(iter(lines(plan)))) == mark
    assert click.unstyle(next(item_lines(plan, "PR-B01"))) == mark
    assert markdown(plan).splitlines()[0] == f"**{mark}**"
    page = report(plan).split("<body>")[1].lstrip()
    assert page.startswith(f'<p class="what-if" role="note"><strong>{escape(mark)}')
    assert verdict(plan)[0] != verdict(seed_plan())[0]
    assert "would be" in verdict(plan)[0]
    assert document(plan)["what_if"] == {"added": list(added), "removed": list(removed)}
    told = json.dumps(cyclonedx(plan, "urn:uuid:0", NOW)["metadata"])
    assert all(name in told for name in (*added, *removed))


def test_a_plan_bears_no_such_mark() -> None:
    """Where nothing was asked there is no banner, and the lists in JSON are empty."""
    plan = seed_plan()
    assert what_if(plan) == ""
    assert 'class="what-if"' not in report(plan)
    assert document(plan)["what_if"] == {"added": [], "removed": []}


def test_what_is_proven_somewhere_isnt_told_as_unproven() -> None:
    """The mark says of PR-B01 that it isn't proven, and of what is proven in places that it is."""
    assert what_if(asking(("PR-B01",))) != what_if(asking(("PR-C01",))).replace("C01", "B01")


def test_a_what_if_is_a_cause_of_differences() -> None:
    """Compared with the plan, the question stands first among the causes, also of the item's move."""
    asked = asking(("PR-B01",), ("PR-A05",))
    asked = replace(asked, items=asked.items[2:])
    found = compare(document(seed_plan()), document(asked))
    causes = [each for each in found.causes if each.subject is Subject.WHAT_IF]
    assert [(each.id, each.field, each.after) for each in causes] == [
        ("PR-B01", "added", True),
        ("PR-A05", "removed", True),
    ]
    assert {each.protection: bool(each.because) for each in found.gone} == {
        "PR-B01": True,
        "PR-A05": True,
    }
    assert not compare(document(asked), document(asked)).any


@VIEWS
def test_what_only_a_removal_leaves_open_isnt_laid_to_the_catalogue(view: View) -> None:
    """With something taken away the heading speaks of what is left of the catalogue."""
    plan = troubled_plan()
    without = replace(plan, removed=("PR-A12",))
    assert words.unclosable_heading(plan) in view(plan)
    assert words.unclosable_heading(plan) not in view(without)
    assert words.unclosable_heading(without) in view(without)


def test_hardening_tells_what_slows_from_what_stands_behind() -> None:
    """A second strong cut is one behind another, a weak one slows; the phase's heading says both."""
    plan = seed_plan()
    pinning = plan.items[3]
    weak = words.does(pinning, plan)
    strong = replace(pinning, cuts=(Cut("MT-C07", 2, (WIRE_PATH.id,)), *pinning.cuts))
    behind = words.does(strong, plan)
    assert weak == f"slows {words.reached(BOTH, plan)}"
    assert behind == f"stands behind what cuts {words.reached((WIRE_PATH.id,), plan)}"


@pytest.mark.parametrize("view", [in_terminal, in_markdown, in_html])
def test_what_counts_as_proven_is_listed_once_a_target(view: View) -> None:
    """Two keys of one target are one line with the newest; what a what-if takes away is none."""
    other = replace(PROVEN, key="live:tls.cipher", age=3 * 86400, why="the older one")
    plan = replace(seed_plan(), proven=(other, PROVEN))
    assert words.PROVEN in view(plan)
    assert f"PR-C01{')' if view is in_html else ''} at api:clinic, 2 hours ago" in view(plan)
    assert "the older one" not in view(plan)
    assert words.proven(replace(plan, removed=("PR-C01",))) == []


def test_proofs_are_short_by_default() -> None:
    """Beyond a few they are counted, unless all are asked for."""
    many = tuple(replace(PROVEN, target=f"api:n{number}") for number in range(SHORT + 3))
    plan = replace(seed_plan(), proven=many)
    assert in_terminal(plan).count("at api:n") == SHORT
    assert in_terminal(plan, everything=True).count("at api:n") == SHORT + 3


def test_a_budget_that_buys_nothing_is_told_as_that() -> None:
    """It isn't the catalogue that doesn't help; without a budget, or with nothing for it, it is."""
    plan = replace(seed_plan(), items=(), claims=())
    broke = nothing(replace(plan, budget=0))
    assert broke != nothing(plan)
    assert "budget of 0" in broke
    assert broke in in_terminal(replace(plan, budget=0))
    bare = replace(plan, budget=0, catalogue=replace(plan.catalogue, protections={}))
    assert nothing(bare) == nothing(plan)


def test_a_phase_that_the_budget_ends_is_one_line() -> None:
    """The same text for each level is said once with all levels; another phase is another line."""
    short = [Shortfall(Phase.PREVENT, level, 0, 6, ("PR-B01",)) for level in (5, 4, 2)]
    later = Shortfall(Phase.GATHERING, 5, 0, 3, ("PR-C05",))
    plan = replace(seed_plan(), budget=0, shortfalls=(*short, later))
    first, second = words.shortfalls(plan)
    assert "impact 5, 4 and 2" in first
    assert first.count("PR-B01") == 1
    assert "PR-C05" in second
    uneven = replace(short[2], left=1)
    told, other = words.shortfalls(replace(plan, shortfalls=(*short[:2], uneven)))
    assert told.startswith("Prevention at impact 5 and 4 needs effort 6, and 0 is left: ")
    assert other.startswith("Prevention at impact 2 needs effort 6, and 1 is left: ")


@VIEWS
def test_what_isnt_planned_for_is_said_before_the_list(view: View) -> None:
    """A model that was cut is told under the verdict, above the first measure, and only there."""
    plan = seed_plan()
    cut = "9208 of 10000 assets aren't planned for"
    plan = replace(plan, model=replace(plan.model, cut=(cut,)), cut=(cut, "the time was over"))
    text = view(plan)
    assert text.count(cut) == 1
    heading = "Do these first" if view is in_html else words.HEADINGS[Phase.PREVENT]
    assert text.index(cut) < text.index(heading)
    assert text.index("the time was over") > text.index(heading)


@VIEWS
def test_each_claim_is_told_by_its_reason(view: View) -> None:
    """A lab's sighting of a broken one isn't told as if somebody claimed that it is there."""
    why = "It was seen as broken in the lab, which says nothing of production."
    plan = replace(seed_plan(), claims=(replace(CLAIM, state=State.CLAIMED, why=why),))
    text = view(plan).split("To verify")[1]
    assert f"at app:clinic-android, 3 days ago: {why}" in text
    assert "claimed at" not in text


def test_a_verdict_names_what_nothing_can_close() -> None:
    """Where all that stays open is beyond the catalogue, that is the sentence, with its techniques."""
    plan, troubled = seed_plan(), troubled_plan()
    lasting = troubled.paths[-1]
    assets = (plan.assets[0], replace(plan.assets[1], after=Exposure.OPEN))
    only = replace(plan, assets=assets, paths=(*plan.paths, lasting), unclosable=(lasting.path.id,))
    assert "MT-A15" in verdict(only)[-1]
    assert "1 way in stays open: nothing in the catalogue closes it" in verdict(only)[-1]
    assert "MT-A15" not in " ".join(verdict(troubled))
    taken = replace(only, removed=("PR-A12",))
    assert "is left in the catalogue" in verdict(taken)[-1]


def test_a_what_if_names_what_was_asked_and_what_goes_with_it() -> None:
    """Whoever takes one protection away sees which others need it; whoever adds one, what it needs besides."""
    whole = replace(seed_plan(), catalogue=load_catalogue())
    plan = replace(whole, removed=("PR-B01", "PR-B04"))
    assert words.what_if(plan) == "What if PR-B01 couldn't be had, nor PR-B04, which needs it:"
    assert words.what_if(replace(plan, removed=("PR-B04",))) == "What if PR-B04 couldn't be had:"
    added = replace(whole, added=("PR-B04",))
    assert "PR-B04 were proven (it isn't, and it needs PR-B01 besides)" in words.what_if(added)
    both = replace(whole, added=("PR-B01", "PR-B04"))
    assert "needs" not in words.what_if(both)


def test_the_curve_has_struck_assets_apart() -> None:
    """In words and as bars of their own."""
    plan = replace(struck_plan(), exposure=(Tally(5, 0, 0, 0, 1), *tallies([(2, 1, 0, 0)])))
    text = report(plan)
    assert 'class="bar-unreached"' in text
    assert f"1 with {STRUCK_WORD}" in text.split('id="curve-wide-desc"')[1]
    assert 'class="bar-unreached"' not in report(seed_plan())


def in_lab(plan: Plan) -> Plan:
    """Return the same plan, made for the lab."""
    return replace(plan, environment=Environment.LAB)


@VIEWS
def test_a_plan_for_the_lab_is_marked(view: View) -> None:
    """Above everything else, and one for production isn't."""
    said = world(in_lab(seed_plan()))
    assert "lab" in said
    assert "production" in said
    found = view(in_lab(seed_plan()))
    assert found.count(said) == 1
    assert found.index(said) < found.index(verdict(seed_plan())[0])
    assert world(seed_plan()) == ""
    assert said not in view(seed_plan())


def test_a_plan_for_the_lab_is_marked_for_machines_too() -> None:
    """In the document, in CycloneDX, with one item alone, in the title of the page."""
    plan = in_lab(seed_plan())
    assert document(plan)["environment"] == "lab"
    assert document(seed_plan())["environment"] == "prod"
    properties = cyclonedx(plan, "urn:uuid:x", NOW)["metadata"]["properties"]
    assert {"name": "watchword:environment", "value": "lab"} in properties
    assert world(plan) in joined(click.unstyle(line) for line in item_lines(plan, "PR-B01"))
    title = report(plan).partition("<title>")[2].partition("</title>")[0]
    assert "lab" in title
    assert "lab" not in report(seed_plan()).partition("<title>")[2].partition("</title>")[0]


def test_another_world_is_a_difference_and_has_to_be_said() -> None:
    """A plan for the lab isn't the same as one for production, even where all else is."""
    prod, lab = document(seed_plan()), document(in_lab(seed_plan()))
    found = compare(prod, lab)
    assert [(each.subject, each.before, each.after) for each in found.causes] == [
        (Subject.ENVIRONMENT, "prod", "lab")
    ]
    assert any("prod -> lab" in line for line in found.lines())
    for member in ("environment", "changed", "unreadable"):
        with pytest.raises(PlanDocumentError, match=f"^{member}: got nothing, expected "):
            compare({**prod, member: None}, lab)


def with_own_catalogue(plan: Plan) -> Plan:
    """Return the same plan, with a catalogue of the user's own that changes two shipped entries."""
    changed = {"MT-B03": ("about",), "PR-B01": ("enforced_at", "cuts")}
    return replace(plan, catalogue=replace(plan.catalogue, changed=changed))


@VIEWS
def test_what_an_own_catalogue_changes_is_told(view: View) -> None:
    """Each entry with its members: where something is enforced decides what it is worth."""
    found = view(with_own_catalogue(seed_plan()))
    where = found.index(words.CHANGED)
    assert "enforced_at and cuts" in found[where:]
    assert "PR-B01" in found[where:]
    assert "MT-B03" in found[where:]
    assert words.CHANGED not in view(seed_plan())


def test_what_an_own_catalogue_changes_is_told_to_machines() -> None:
    """By entry and member; and it is a cause where two plans differ in it."""
    plan = with_own_catalogue(seed_plan())
    assert {"id": "PR-B01", "members": ["enforced_at", "cuts"]} in document(plan)["changed"]
    properties = cyclonedx(plan, "urn:uuid:x", NOW)["metadata"]["properties"]
    assert {"name": "watchword:catalogue-changed", "value": "MT-B03, PR-B01"} in properties
    causes = compare(document(seed_plan()), document(plan)).causes
    assert {(each.subject, each.id, each.field) for each in causes} == {
        (Subject.CATALOGUE, "MT-B03", "about"),
        (Subject.CATALOGUE, "PR-B01", "enforced_at"),
        (Subject.CATALOGUE, "PR-B01", "cuts"),
    }


@VIEWS
def test_lines_that_cannot_be_read_are_told_under_the_verdict(view: View) -> None:
    """What they said may be bad news."""
    found = view(replace(seed_plan(), unreadable=1234))
    where = found.index("1,234 lines of the observations")
    assert where < found.index("PR-C05")
    assert "of the observations can" not in view(seed_plan())
    assert "1 line of the observations" in view(replace(seed_plan(), unreadable=1))
    assert document(replace(seed_plan(), unreadable=3))["unreadable"] == 3


def test_what_is_closed_is_not_said_to_be_delayed() -> None:
    """A budget closes one of two paths: what gathers on both delays the other alone."""
    plan = make_plan(HALF_MODEL, HALF, NOTHING, NOW, Question(budget=2))
    held = plan.items[1]
    done = words.does(held, plan)
    assert "delays 1 way into dear" in done
    assert "gathering on 1 way into cheap" in done
    without = words.skipped(held, plan)
    assert without.count("dear") == without.count("cheap") == 1
    assert document(plan)["items"][1]["unclosed"] == ["dear:MT-R01>MT-X02"]
    assert document(plan)["items"][1]["skipped"]["uncut"] == ["cheap:MT-R01>MT-X01"]
