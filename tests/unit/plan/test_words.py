"""Show that the sentences of a plan name what is so: how many, which steps, and whether it slows or cuts once more."""

import re

from tests.unit.plan.builders import NOTHING, NOW, asset, catalogue, model, protection, technique

from watchword.apps.plan.document import document
from watchword.plan.outcome import Phase, Plan
from watchword.plan.service import make_plan


class NoPatience:
    """Have no time at all."""

    def is_over(self, share: float) -> bool:
        """Say that the time is gone."""
        return share >= 0


KNOWN = catalogue(
    technique("MT-R01", "recon"),
    *(technique(f"MT-X{n:02}", "exploit") for n in range(6)),
    protection("PR-A01", {"MT-R01": 2}, effort=3),
    protection("PR-A02", {"MT-R01": 1}, effort=1),
    protection("PR-A03", {"MT-R01": 2}, effort=6),
    protection("PR-B01", {f"MT-X{n:02}": 2 + n % 2 for n in range(6)} | {"MT-R01": 1}),
)


def planned() -> Plan:
    """Return a plan over six assets, one of them with two paths."""
    assets = [asset(f"a{n}", 5) for n in range(6)]
    paths = [(f"a{n}", ["MT-R01", f"MT-X{n:02}"]) for n in range(6)]
    return make_plan(
        model(assets, [*paths, ("a0", ["MT-X01"])]), KNOWN, NOTHING, NOW, None, NoPatience()
    )


def test_what_is_named_is_what_it_does() -> None:
    """Some assets and steps by name, the rest counted, so that the numbers add up to what it closes."""
    first = planned().items[0]
    assert first.protection.id == "PR-B01"
    counted = re.findall(r"\d+ ways?\b", first.why)
    assert counted == ["2 ways", "1 way", "1 way"]
    named = set(re.findall(r"MT-\w+", first.why))
    assert len(named) == 3
    # It slows a step of reconnaissance too, but that isn't where it closes.
    assert named < {each.technique for each in first.cuts} - {"MT-R01"}
    assert len(re.findall(r"\b3\b", first.why)) == 2


def test_paths_that_gather_otherwise_are_one_way_in() -> None:
    """Nine paths by three kinds of gathering and two exploits, one of them in two steps: two ways in, and one more asset's."""
    known = catalogue(
        *(technique(f"MT-R{n:02}", "recon") for n in range(3)),
        technique("MT-X01", "exploit"),
        technique("MT-X02", "exploit"),
        protection("PR-B01", {"MT-X01": 2}),
    )
    chains = [["MT-X01"], ["MT-X01", "MT-X02"]]
    paths = [("one", [f"MT-R{n:02}", *chain]) for n in range(3) for chain in chains]
    paths += [("two", [f"MT-R{n:02}", "MT-X01"]) for n in range(3)]
    plan = make_plan(
        model([asset("one", 5), asset("two", 4)], paths), known, NOTHING, NOW, None, NoPatience()
    )
    assert {each.asset.id: (each.paths, each.ways) for each in plan.assets} == {
        "one": (6, 2),
        "two": (3, 1),
    }
    (first,) = plan.items
    assert len(first.closes) == 9
    assert "2 ways into one (impact 5) and 1 way into two (impact 4)" in first.why
    told = document(plan)
    assert told["items"][0]["ways"] == {"closes": 3, "delays": 0, "slows": 0}
    assert {each["way"] for each in told["paths"]} == {"MT-X01", "MT-X01>MT-X02"}


def test_what_hinders_gathering_says_that_it_stops_no_script() -> None:
    """In its phase and in hardening; what acts where the damage is done says nothing of the kind."""
    plan = make_plan(
        model([asset("one", 5)], [("one", ["MT-R01", "MT-X01"])]),
        KNOWN,
        NOTHING,
        NOW,
        None,
        NoPatience(),
    )
    said = {each.protection.id: each.why for each in plan.items}
    assert "walks past it" in said["PR-A01"]
    assert "stops no script at the API" in said["PR-A02"]
    assert "script" not in said["PR-B01"]


def test_slowing_and_standing_behind_are_told_apart() -> None:
    """What never cuts slows; what would cut by itself stands behind something that does."""
    hard = {
        each.protection.id: each.why for each in planned().items if each.phase is Phase.HARDENING
    }
    assert hard.keys() == {"PR-A02", "PR-A03"}
    assert hard["PR-A02"].split()[0] != hard["PR-A03"].split()[0]
    assert hard["PR-A02"].startswith("Slows")


def test_what_only_others_need_says_for_whom() -> None:
    """A measure that cuts nothing by itself names what can't be had without it."""
    known = catalogue(
        technique("MT-X01", "exploit"),
        protection("PR-A08", {}),
        protection("PR-B03", {"MT-X01": 3}, depends_on=["PR-A08"]),
    )
    plan = make_plan(
        model([asset("one", 1)], [("one", ["MT-X01"])]), known, NOTHING, NOW, None, NoPatience()
    )
    assert [each.protection.id for each in plan.items] == ["PR-A08", "PR-B03"]
    assert "PR-B03" in plan.items[0].why
    assert plan.items[0].needed_for == ("PR-B03",)
