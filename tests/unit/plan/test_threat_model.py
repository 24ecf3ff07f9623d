"""Show which paths a model holds: those that are derived, struck, added and pinned, and what is refused."""

import random  # noqa: TID251 - seeded: the same catalogues each time.
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations

import pytest
from tests.unit.plan.builders import asset, catalogue, technique

from watchword.plan.interface import (
    Asset,
    AttackPath,
    Catalogue,
    Intelligence,
    Model,
    ModelFault,
    PathOrigin,
    Scenarios,
    Stage,
    Strike,
    Technique,
)
from watchword.plan.threat_model import (
    MAX_PATHS,
    MAX_PATHS_TO_ASSET,
    MAX_STEPS,
    Derivation,
    build_model,
)

KNOWN = catalogue(
    technique("MT-A01", "recon", gives=["app_logic"], component="app"),
    technique("MT-A02", "recon", gives=["api_key"], component="app"),
    technique("MT-C06", "recon", needs=["app_logic"], gives=["protocol"], component="channel"),
    technique("MT-C07", "recon", gives=["api_key"], component="channel"),
    technique("MT-B03", "exploit", needs=["api_key", "protocol"], harms=["records"]),
    technique("MT-B08", "exploit", needs=["protocol"], harms=["records"]),
    technique("MT-A09", "exploit", harms=["live-data"], component="app"),
    technique("MT-A10", "exploit", gives=["session_token"], harms=["account"], component="app"),
    technique("MT-B20", "exploit", needs=["session_token"], harms=["account"]),
)
RECORDS = asset("records", 5)
ACCOUNT = asset("account", 3, traits=["account"])
SCRIPT = ("MT-A01", "MT-A02", "MT-C06", "MT-B03")
SNIFFED = ("MT-A01", "MT-C06", "MT-C07", "MT-B03")
IDS = ("MT-A01", "MT-C06", "MT-B08")


def built(
    scenarios: Scenarios | None = None,
    assets: Sequence[Asset] = (RECORDS,),
    known: Catalogue = KNOWN,
) -> Model:
    """Return the model, which has no fault."""
    found, faults = build_model(known, {each.id: each for each in assets}, scenarios or Scenarios())
    assert faults == []
    assert found is not None
    return found


def faulty(
    scenarios: Scenarios | None = None, assets: Sequence[Asset] = (RECORDS,)
) -> list[ModelFault]:
    """Return the faults of what isn't a model."""
    found, faults = build_model(KNOWN, {each.id: each for each in assets}, scenarios or Scenarios())
    assert found is None
    return faults


def steps(found: Model, name: str = "records") -> list[tuple[str, ...]]:
    """Return the steps of all paths to an asset."""
    return [path.steps for path in found.paths if path.asset == name]


def possible(known: Catalogue, chosen: Sequence[str]) -> bool:
    """Tell whether steps have all that they need in this order."""
    given: set[Intelligence] = set()
    for name in chosen:
        if not known.techniques[name].needs <= given:
            return False
        given |= known.techniques[name].gives
    return True


def some_catalogue(seed: int) -> Catalogue:
    """Return a small random catalogue in which techniques hang on one another, at times in a circle."""
    draw = random.Random(seed)
    kinds = ["api_key", "protocol", "endpoints", "scale"][: draw.randint(2, 4)]
    return catalogue(
        *(
            technique(
                f"MT-X{n:02}",
                draw.choice(["recon", "exploit"]),
                needs=draw.sample(kinds, k=draw.randint(0, 2)),
                gives=draw.sample(kinds, k=draw.randint(0, 2)),
                harms=["records"] if draw.random() < 0.5 else [],
            )
            for n in range(draw.randint(2, 7))
        )
    )


def by_trying(known: Catalogue) -> set[frozenset[str]]:
    """Return the sets of steps to an asset of records that are possible and hold no other such set."""
    sets: list[frozenset[str]] = []
    for size in range(1, len(known.techniques) + 1):
        for names in combinations(sorted(known.techniques), size):
            chosen = frozenset(names)
            harms = any(
                each.stage is Stage.EXPLOIT and each.harms
                for each in map(known.techniques.__getitem__, names)
            )
            if not harms or any(smaller <= chosen for smaller in sets):
                continue
            if any(possible(known, order) for order in permutations(names)):
                sets.append(chosen)
    return set(sets)


def test_paths_are_what_needs_and_gives_make() -> None:
    """All ways to the records, the one that holds another left out, with reconnaissance first."""
    assert steps(built()) == [SCRIPT, IDS, SNIFFED]
    # Who takes the token has the account already; to use it elsewhere besides is a longer way to the same.
    assert steps(built(assets=[ACCOUNT]), "account") == [("MT-A10",)]


@pytest.mark.parametrize("seed", range(300))
def test_paths_are_those_that_trying_every_set_finds(seed: int) -> None:
    """No step can be left out, none is missing, no dominated way stays, and each step has what it needs."""
    known = some_catalogue(seed)
    found, whole = Derivation(known).paths(RECORDS)
    assert whole
    assert {frozenset(each) for each in found} == by_trying(known)
    assert len(found) == len(by_trying(known))
    assert found == sorted(found)
    for each in found:
        assert possible(known, each)
        last = known.techniques[each[-1]]
        stages = [known.techniques[step].stage for step in each]
        if Stage.RECON in stages and stages.index(Stage.EXPLOIT) < len(stages) - 1:
            # Reconnaissance stands behind exploitation only where it needs what that gives.
            early = [s for s in each if known.techniques[s].stage is Stage.RECON]
            late = [s for s in early if each.index(s) > stages.index(Stage.EXPLOIT)]
            assert all(known.techniques[step].needs for step in late)
        assert last.gives or last.harms


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_the_order_of_a_catalogue_changes_no_path(seed: int) -> None:
    """Techniques may stand in any order."""
    known = some_catalogue(seed)
    turned = Catalogue(dict(reversed(list(known.techniques.items()))), known.protections)
    assert Derivation(known).paths(RECORDS) == Derivation(turned).paths(RECORDS)


def dense(count: int, most: int) -> Catalogue:
    """Return a catalogue in which nearly everything gives something that nearly everything needs."""
    draw = random.Random(1)
    kinds = [each.value for each in Intelligence]

    def some(number: int) -> Technique:
        return technique(
            f"MT-X{number:03}",
            draw.choice(["recon", "exploit"]),
            needs=draw.sample(kinds, k=draw.randint(0, most)),
            gives=draw.sample(kinds, k=draw.randint(0, most)),
            harms=["records"] if draw.random() < 0.5 else [],
        )

    return catalogue(*map(some, range(count)))


@pytest.mark.parametrize("most", [2, 4])
def test_a_dense_catalogue_stays_bounded_and_says_so(most: int) -> None:
    """Five hundred techniques have more ways than anybody counts: the shortest are kept, and a note stands there."""
    known = dense(500, most)
    found = built(known=known)
    assert len(found.paths) == MAX_PATHS_TO_ASSET
    (note,) = found.cut
    assert Intelligence.API_KEY in note
    assert all(possible(known, path.steps) for path in found.paths)
    turned = Catalogue(dict(reversed(list(known.techniques.items()))), known.protections)
    assert built(known=turned) == found


def test_only_where_an_asset_lives_it_is_reached() -> None:
    """Techniques at other components, or against other traits, are no way to it."""
    at_home = asset("account", 3, traits=["account"], lives_in=["app"])
    assert steps(built(assets=[at_home]), "account") == [("MT-A10",)]
    served = asset("account", 3, traits=["account"], lives_in=["backend"])
    assert steps(built(assets=[served]), "account") == [("MT-A10", "MT-B20")]


TWO_ACTORS = catalogue(
    technique("MT-B01", "recon", gives=["api_key"]),
    technique("MT-B02", "exploit", needs=["api_key"], harms=["records"]),
    technique("MT-B03", "recon", gives=["client_certificate"], actors=["partner"]),
    technique(
        "MT-B04", "exploit", needs=["client_certificate"], harms=["records"], actors=["partner"]
    ),
    technique("MT-B05", "exploit", needs=["api_key"], harms=["records"], actors=["partner"]),
    technique("MT-B06", "exploit", harms=["availability"], actors=["user", "partner"]),
)


@pytest.mark.parametrize(
    ("actors", "expected"),
    [
        (["user"], [("MT-B01", "MT-B02"), ("MT-B06",)]),
        (["partner"], [("MT-B03", "MT-B04"), ("MT-B06",)]),
        (["user", "partner"], [("MT-B01", "MT-B02"), ("MT-B03", "MT-B04"), ("MT-B06",)]),
    ],
)
def test_an_asset_is_reached_in_the_place_of_who_calls_it(
    actors: list[str], expected: list[tuple[str, ...]]
) -> None:
    """What a phone gives away opens no partner's door, and what both can do is one path."""
    one = asset("records", 5, traits=["records", "availability"], actors=actors)
    found, faults = build_model(TWO_ACTORS, {"records": one}, Scenarios())
    assert faults == []
    assert found is not None
    assert steps(found) == expected


def test_strikes_take_out_what_fits_all_that_they_name() -> None:
    """By asset, technique, steps or several of them; with the first reason, and only there."""
    both = [RECORDS, replace(RECORDS, id="more")]
    found = built(Scenarios(strike=(Strike("no ids", asset="more", technique="MT-B08"),)), both)
    assert steps(found) == [SCRIPT, IDS, SNIFFED]
    assert steps(found, "more") == [SCRIPT, SNIFFED]
    assert [(each.path.id, each.because) for each in found.struck] == [
        (f"more:{'>'.join(IDS)}", "no ids")
    ]
    assert found.cut == ()
    twice = (Strike("first", steps=IDS), Strike("second", technique="MT-A01"))
    everything = built(Scenarios(strike=twice))
    assert [each.because for each in everything.struck] == ["second", "first", "second"]
    # An asset to which every path is struck would look closed: that is said.
    assert everything.paths == ()
    (note,) = everything.cut
    assert "records" in note


def test_what_is_added_and_pinned_stands_beside_what_is_derived() -> None:
    """With its origin and its words; what is derived too isn't there twice, and a pin outlives a strike."""
    own = AttackPath("records", ("MT-A02", "MT-B03"), PathOrigin.ADDED, _protocol(), "seen")
    pinned = AttackPath("records", IDS, PathOrigin.PINNED, because="told")
    found = built(Scenarios(add=(own,), pin=(pinned,)))
    assert {own, pinned} < set(found.paths)
    assert steps(found) == [SCRIPT, IDS, SNIFFED, own.steps]
    struck = Scenarios(pin=(pinned,), strike=(Strike("never", technique="MT-B08"),))
    # All that the strike fits is pinned: it takes out nothing, and that is said.
    assert [each.where for each in faulty(struck)] == [("scenarios", "strike", 0)]
    more = [RECORDS, replace(RECORDS, id="more")]
    survived = built(struck, more)
    assert pinned in survived.paths
    assert [each.path.asset for each in survived.struck] == ["more"]
    alone = built(Scenarios(derive=False, add=(own,)))
    assert alone.paths == (own,)


def _protocol() -> frozenset[Intelligence]:
    return frozenset({Intelligence.PROTOCOL})


def added(*names: str, to: str = "records") -> Scenarios:
    """Return scenarios with one added path."""
    return Scenarios(add=(AttackPath(to, names, PathOrigin.ADDED),))


def struck_by(**what: object) -> Scenarios:
    """Return scenarios with one strike."""
    return Scenarios(strike=(Strike("so", **what),))  # type: ignore[arg-type]


ADD = ("scenarios", "add", 0)
STRIKE = ("scenarios", "strike", 0)


@pytest.mark.parametrize(
    ("scenarios", "where", "names"),
    [
        (added("MT-A09", to="recods"), (*ADD, "asset"), "records"),
        (added("MT-B003"), (*ADD, "steps", 0), "MT-B03"),
        (added(), (*ADD, "steps"), str(MAX_STEPS)),
        (added(*["MT-A01"] * (MAX_STEPS + 1)), (*ADD, "steps"), str(MAX_STEPS)),
        (added("MT-A01", "MT-A01", "MT-A09"), (*ADD, "steps"), ""),
        (added("MT-A01"), (*ADD, "steps"), ""),
        (added("MT-A10", "MT-A01", "MT-B20"), (*ADD, "steps"), ""),
        (added("MT-A02", "MT-B03"), (*ADD, "steps", 1), ""),
        (added("MT-B20", "MT-A10"), (*ADD, "steps", 0), ""),
        (
            Scenarios(pin=(AttackPath("records", ("MT-C06", "MT-B08")),)),
            ("scenarios", "pin", 0, "steps", 0),
            "",
        ),
        (struck_by(asset="recods"), (*STRIKE, "asset"), "records"),
        (struck_by(technique="MT-B008"), (*STRIKE, "technique"), "MT-B08"),
        (struck_by(steps=("MT-A01", "MT-B008")), (*STRIKE, "steps"), "MT-B08"),
        (struck_by(technique="MT-A09"), STRIKE, ""),
        (struck_by(steps=("MT-C06", "MT-A01", "MT-B08")), STRIKE, ""),
        (replace(added(*IDS), strike=(Strike("so", technique="MT-B08"),)), ADD, ""),
    ],
)
def test_each_fault_has_its_place(
    scenarios: Scenarios, where: tuple[str | int, ...], names: str
) -> None:
    """One fault alone, where it is, with what was got, and with the nearest name where one is unknown."""
    (fault,) = faulty(scenarios)
    assert fault.where == where
    assert fault.got
    assert fault.expected.startswith(names) or names == str(MAX_STEPS)
    assert names in fault.expected


def test_all_faults_come_at_once() -> None:
    """Whoever mends a file wants to do it in one go."""
    scenarios = Scenarios(
        add=(AttackPath("nobody", ("MT-Z99",)),), strike=(Strike("so", asset="none"),)
    )
    assert [each.where for each in faulty(scenarios, [])] == [
        (*ADD, "asset"),
        (*ADD, "steps", 0),
        (*STRIKE, "asset"),
        ("assets",),
    ]


def test_an_asset_that_nobody_reaches_is_a_fault() -> None:
    """Most likely its traits are wrong: it would look safe."""
    lost = asset("lost", 5, traits=["inventory"])
    (fault,) = faulty(assets=[RECORDS, lost])
    assert fault.where == ("assets", "lost")
    without = faulty(Scenarios(derive=False), [RECORDS])
    assert [each.where for each in without] == [("assets", "records")]


def test_ten_thousand_assets_are_cut_at_the_least_impact() -> None:
    """As many as the limit holds are planned for, the worst first, and the note counts the rest."""
    many = [
        asset(f"a{n:05}", 5 if n % 10 == 0 else 2, traits=["records", "account", "live-data"])
        for n in range(10_000)
    ]
    found = built(assets=many)
    each = len(steps(found, "a00000"))
    assert each == 5
    planned = MAX_PATHS // each
    assert len(found.assets) == planned
    assert len(found.paths) == planned * each
    assert sum(a.impact == 5 for a in found.assets.values()) == 1_000
    (note,) = found.cut
    assert str(10_000 - planned) in note
    # The same list in any order cuts the same ones.
    assert built(assets=many[::-1]) == found


def test_reconnaissance_stands_first_and_the_damage_last() -> None:
    """As people tell a scenario, whatever the ids say."""
    known = catalogue(
        technique("MT-A01", "exploit", needs=["session_token", "endpoints"], harms=["records"]),
        technique("MT-A02", "exploit", gives=["session_token"]),
        technique("MT-C01", "recon", gives=["endpoints"]),
    )
    assert steps(built(known=known)) == [("MT-C01", "MT-A02", "MT-A01")]


def test_a_path_that_is_added_and_pinned_is_pinned() -> None:
    """Pinned is the stronger word, and the path is there once."""
    one, other = (
        AttackPath("records", IDS, each) for each in (PathOrigin.ADDED, PathOrigin.PINNED)
    )
    found = built(Scenarios(derive=False, add=(one,), pin=(other,)))
    assert found.paths == (other,)
