"""Show how a user's own entries are merged, and what is wrong with those that aren't."""

from typing import Any

import pytest

from watchword.plan.catalogue import (
    MAX_ENTRIES,
    MAX_ITEMS,
    MAX_TEXT,
    NO_LIKELIHOOD,
    load_catalogue,
    merge,
)
from watchword.plan.interface import Actor, Catalogue, ModelFault, Stage, Trait

BASE = load_catalogue()

TECHNIQUE: dict[str, Any] = {
    "name": "Read the watch",
    "about": "The companion keeps records.",
    "component": "app",
    "stage": "exploit",
    "harms": ["live-data"],
}
PROTECTION: dict[str, Any] = {
    "name": "Lock the watch",
    "about": "The companion opens only when worn.",
    "component": "app",
    "enforced_at": "client",
    "kind": "prevent",
    "effort": "M",
    "cuts": {"MT-X01": 3, "MT-A10": 1},
    "does_not": ["Whoever wears the unlocked watch reads it."],
    "evidence": ["scan:static.watch_lock"],
}


def technique(**changed: Any) -> dict[str, Any]:
    """Return a file with one new technique."""
    return {"techniques": {"MT-X01": {**TECHNIQUE, **changed}}}


def protection(**changed: Any) -> dict[str, Any]:
    """Return a file with one new protection, and the technique that it cuts."""
    return {**technique(), "protections": {"PR-X01": {**PROTECTION, **changed}}}


def change(**members: Any) -> dict[str, Any]:
    """Return a file that changes PR-B01."""
    return {"protections": {"PR-B01": members}}


def without(part: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an entry without a member."""
    return {key: value for key, value in part.items() if key != name}


def good(written: dict[str, Any]) -> Catalogue:
    """Return what a file without faults makes of the catalogue."""
    catalogue, faults = merge(BASE, written)
    assert faults == []
    return catalogue


def test_a_new_entry_joins_the_shipped_ones_in_order() -> None:
    """Both stand among the others by id; the shipped ones are as before."""
    merged = good(protection())
    assert merged.techniques["MT-X01"].harms == {Trait.LIVE_DATA}
    assert merged.protections["PR-X01"].effort == 3
    assert list(merged.protections) == sorted(merged.protections)
    assert all(merged.protections[key] is BASE.protections[key] for key in BASE.protections)


def test_a_client_check_of_the_user_is_lowered_too() -> None:
    """Who writes 3 for a check in the app gets 2, and is told which."""
    own = good(protection()).protections["PR-X01"]
    assert (own.cuts, own.clamped) == ({"MT-A10": 1, "MT-X01": 2}, ("MT-X01",))


def test_a_technique_says_in_whose_place_it_is_done() -> None:
    """A user's, if it says nothing; nobody's is a fault, since it would reach nothing and look answered."""
    assert good(technique()).techniques["MT-X01"].actors == {Actor.USER}
    theirs = technique(actors=["partner"], accepted="It is their house.")
    found = good(theirs).techniques["MT-X01"]
    assert found.actors == {Actor.PARTNER}
    assert found.accepted == "It is their house."
    for wrong in ([], ["staff"], "partner"):
        _, (fault,) = merge(BASE, technique(actors=wrong))
        assert fault.where[:3] == ("techniques", "MT-X01", "actors")


def test_single_members_of_a_shipped_entry_change() -> None:
    """Effort changes and everything else stays."""
    merged = good(change(effort=4)).protections["PR-B01"]
    assert merged.effort == 4
    assert merged.cuts == BASE.protections["PR-B01"].cuts
    assert merged.does_not == BASE.protections["PR-B01"].does_not


def test_cuts_change_by_technique_and_zero_takes_one_away() -> None:
    """One strength is replaced, one added, one gone; the others stay."""
    before = BASE.protections["PR-B01"].cuts
    merged = good(change(cuts={"MT-B03": 2, "MT-B20": 1, "MT-C05": 0})).protections["PR-B01"]
    expected = {**before, "MT-B03": 2, "MT-B20": 1}
    del expected["MT-C05"]
    assert merged.cuts == expected


def test_a_check_that_moves_to_the_server_gets_its_stated_strength_back() -> None:
    """The lowering goes by where it is enforced now, and from what was stated."""
    moved = good({"protections": {"PR-C03": {"enforced_at": "both"}}}).protections["PR-C03"]
    assert (moved.cuts["MT-C03"], moved.clamped) == (3, ())
    lowered = good(change(enforced_at="client")).protections["PR-B01"]
    assert (lowered.cuts["MT-B03"], lowered.clamped) == (2, ("MT-A11", "MT-B03"))


def test_what_a_file_changes_of_what_is_shipped_is_known() -> None:
    """By entry and member, strengths that follow too; what is new, or written as it is shipped, is no change."""
    shipped = load_catalogue()
    first, other = shipped.protections["PR-B01"], shipped.protections["PR-A05"]
    attack = shipped.techniques["MT-B03"]
    found = good(
        {
            "techniques": {"MT-B03": {"name": "Script it"}, **technique()["techniques"]},
            "protections": {
                "PR-B01": {"enforced_at": "client", "effort": first.effort},
                "PR-A05": {"effort": other.effort, "name": other.name},
                **protection()["protections"],
            },
        }
    )
    assert attack.name != "Script it"
    assert dict(found.changed) == {"MT-B03": ("name",), "PR-B01": ("enforced_at", "cuts")}
    assert shipped.changed == {}
    again, faults = merge(found, {"protections": {"PR-B01": {"effort": 99}}})
    assert not faults
    assert set(again.changed["PR-B01"]) == {"enforced_at", "cuts", "effort"}


def test_folded_text_becomes_one_paragraph() -> None:
    """A block of YAML is read as a paragraph."""
    merged = good(technique(about="First line\n  and second.\n"))
    assert merged.techniques["MT-X01"].about == "First line and second."


def test_a_technique_can_become_reconnaissance() -> None:
    """The stage and what it harms change together."""
    written = {"techniques": {"MT-A10": {"stage": "recon", "harms": []}}}
    assert good(written).techniques["MT-A10"].stage is Stage.RECON


FAULTS: dict[str, tuple[dict[str, Any], tuple[str | int, ...]]] = {
    "unknown part": ({"technique": {}}, ("technique",)),
    "part is no mapping": ({"techniques": []}, ("techniques",)),
    "entry is no mapping": ({"protections": {"PR-B01": 3}}, ("protections", "PR-B01")),
    "entry is empty": ({"protections": {"PR-B01": None}}, ("protections", "PR-B01")),
    "id of no form": ({"techniques": {"X1": TECHNIQUE}}, ("techniques", "X1")),
    "id with a line end": ({"techniques": {"MT-X01\n": TECHNIQUE}}, ("techniques", "MT-X01\n")),
    "id of the other part": ({"techniques": {"PR-X01": TECHNIQUE}}, ("techniques", "PR-X01")),
    "key that isn't text": ({"techniques": {3: TECHNIQUE}}, ("techniques", "3")),
    "unknown member": (change(efort=3), ("protections", "PR-B01", "efort")),
    "wrong component": (technique(component="server"), ("techniques", "MT-X01", "component")),
    "wrong stage": (technique(stage=["recon"]), ("techniques", "MT-X01", "stage")),
    "wrong need": (technique(needs=["api-key"]), ("techniques", "MT-X01", "needs", 0)),
    "needs no list": (technique(needs="api_key"), ("techniques", "MT-X01", "needs")),
    "exploit without harm": (technique(harms=[]), ("techniques", "MT-X01", "harms")),
    "recon with harm": (technique(stage="recon"), ("techniques", "MT-X01", "harms")),
    "harm taken away": (
        {"techniques": {"MT-B03": {"harms": []}}},
        ("techniques", "MT-B03", "harms"),
    ),
    "empty name": (technique(name=" "), ("techniques", "MT-X01", "name")),
    "long text": (technique(about="x" * (MAX_TEXT + 1)), ("techniques", "MT-X01", "about")),
    "unprintable": (technique(about="\x1b[2J"), ("techniques", "MT-X01", "about")),
    "half a character": (technique(about="\ud800"), ("techniques", "MT-X01", "about")),
    "long list": (
        change(evidence=["live:x"] * (MAX_ITEMS + 1)),
        ("protections", "PR-B01", "evidence"),
    ),
    "strength 4": (change(cuts={"MT-B03": 4}), ("protections", "PR-B01", "cuts", "MT-B03")),
    "strength -1": (change(cuts={"MT-B03": -1}), ("protections", "PR-B01", "cuts", "MT-B03")),
    "strength true": (change(cuts={"MT-B03": True}), ("protections", "PR-B01", "cuts", "MT-B03")),
    "strength 1.0": (change(cuts={"MT-B03": 1.0}), ("protections", "PR-B01", "cuts", "MT-B03")),
    "cuts nothing known": (change(cuts={"MT-B99": 2}), ("protections", "PR-B01", "cuts", "MT-B99")),
    "effort 0": (change(effort=0), ("protections", "PR-B01", "effort")),
    "effort 101": (change(effort=101), ("protections", "PR-B01", "effort")),
    "effort of 5000 digits": (change(effort=10**5000), ("protections", "PR-B01", "effort")),
    "effort XL": (change(effort="XL"), ("protections", "PR-B01", "effort")),
    "unknown dependency": (
        change(depends_on=["PR-B02", "PR-Z99"]),
        ("protections", "PR-B01", "depends_on", 1),
    ),
    "depends on itself": (change(depends_on=["PR-B01"]), ("protections", "PR-B01", "depends_on")),
    "stops everything": (change(does_not=[]), ("protections", "PR-B01", "does_not")),
    "proven by nothing": (change(evidence=[]), ("protections", "PR-B01", "evidence")),
    "evidence of no form": (change(evidence=["seen"]), ("protections", "PR-B01", "evidence", 0)),
    "reviewable perhaps": (change(reviewable="yes"), ("protections", "PR-B01", "reviewable")),
    "unknown other catalogue": (
        change(names={"cwe": ["CWE-1"]}),
        ("protections", "PR-B01", "names", "cwe"),
    ),
    "maswe by number": (
        change(names={"maswe": ["MASWE-0054"]}),
        ("protections", "PR-B01", "names", "maswe", 0),
    ),
    **{
        f"new technique without {name}": (
            {"techniques": {"MT-X01": without(TECHNIQUE, name)}},
            ("techniques", "MT-X01"),
        )
        for name in ("name", "about", "component", "stage")
    },
    **{
        f"new protection without {name}": (
            {**technique(), "protections": {"PR-X01": without(PROTECTION, name)}},
            ("protections", "PR-X01"),
        )
        for name in PROTECTION
    },
    **{
        f"{word} in an entry": (change(**{word: 3}), ("protections", "PR-B01", word))
        for word in ("likelihood", "probability", "frequency", "odds", "Likelihood")
    },
    "likelihood beside the entries": ({"likelihood": 3}, ("likelihood",)),
    "likelihood of a cut": (
        change(cuts={"likelihood": 3}),
        ("protections", "PR-B01", "cuts", "likelihood"),
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_told_at_its_place(case: str) -> None:
    """Exactly one fault, where it stands; the catalogue stays as it was."""
    written, where = FAULTS[case]
    catalogue, faults = merge(BASE, written)
    assert [fault.where for fault in faults] == [where]
    assert catalogue is BASE


@pytest.mark.parametrize(
    "case", [case for case in FAULTS if "odds" in case or "likelihood" in case]
)
def test_a_likelihood_is_refused_with_the_reason(case: str) -> None:
    """Whoever looks for the member learns why there is none."""
    _, faults = merge(BASE, FAULTS[case][0])
    assert [fault.expected for fault in faults] == [NO_LIKELIHOOD]


def test_the_nearest_known_word_is_named() -> None:
    """A slip of the pen finds its word."""
    written = {
        "protections": {"PR-B01": {"efort": 3, "kind": "preventt", "cuts": {"MT-B030": 2}}},
        "techniques": {"MT-B03": {"harms": ["record"]}},
    }
    hints = [fault.expected.split("?")[0] for fault in merge(BASE, written)[1]]
    assert sorted(hints) == ["'MT-B03'", "'effort'", "'prevent'", "'records'"]


def test_all_faults_come_at_once() -> None:
    """One reading tells everything, however far apart it stands."""
    written = {
        "techniques": {
            "MT-X01": without(TECHNIQUE, "about"),
            "MT-X02": {**TECHNIQUE, "stage": "x"},
        },
        "protections": {
            "PR-X01": {**PROTECTION, "effort": 0, "odds": 1},
            "PR-A08": {"depends_on": ["PR-B15"]},
        },
        "more": 1,
    }
    places = {fault.where[:2] for fault in merge(BASE, written)[1]}
    assert places == {
        ("techniques", "MT-X01"),
        ("techniques", "MT-X02"),
        ("protections", "PR-X01"),
        ("protections", "PR-A08"),
        ("more",),
    }


def test_an_entry_with_faults_is_known_to_others_all_the_same() -> None:
    """One fault doesn't make others of what refers to it."""
    written = protection()
    written["techniques"]["MT-X01"]["stage"] = "no stage"
    assert [fault.where for fault in merge(BASE, written)[1]] == [("techniques", "MT-X01", "stage")]


def test_each_circle_of_dependencies_is_named() -> None:
    """Two circles are two faults, each with its members, at an entry of the user's."""
    written = {
        "protections": {
            "PR-A08": {"depends_on": ["PR-B15"]},
            "PR-B07": {"depends_on": ["PR-B08"]},
            "PR-B08": {"depends_on": ["PR-B09"]},
            "PR-B09": {"depends_on": ["PR-B07"]},
        }
    }
    faults = merge(BASE, written)[1]
    assert all(fault.where[0] == "protections" for fault in faults)
    assert {fault.where[1] for fault in faults} <= written["protections"].keys()
    circles = [set(fault.got.split(": ")[1].split(" > ")) for fault in faults]
    assert {"PR-A08", "PR-B15"} in circles
    assert {"PR-B07", "PR-B08", "PR-B09"} in circles
    assert len(circles) == 2


def test_sizes_are_bounded() -> None:
    """As many entries as the limit pass, one more is one fault."""
    room = MAX_ENTRIES - len(BASE.techniques)
    entries = {f"MT-{letter}{number}": TECHNIQUE for letter in "XY" for number in range(100, 400)}
    full = dict(list(entries.items())[:room])
    assert len(good({"techniques": full}).techniques) == MAX_ENTRIES
    over = dict(list(entries.items())[: room + 1])
    faults: list[ModelFault] = merge(BASE, {"techniques": over})[1]
    assert [fault.where for fault in faults] == [("techniques",)]
