"""Make plans by hand, so that the views are tried without the planner."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from watchword.observations import State
from watchword.plan.interface import (
    Asset,
    AssetKind,
    AttackPath,
    Catalogue,
    Component,
    EnforcedAt,
    Intelligence,
    Model,
    PathOrigin,
    Protection,
    ProtectionKind,
    Quantities,
    Stage,
    Struck,
    Technique,
    Trait,
)
from watchword.plan.outcome import (
    Action,
    AssetState,
    Change,
    Cheaper,
    Cut,
    Exposure,
    Item,
    PathState,
    Phase,
    Plan,
    Shortfall,
    Skipped,
    Stability,
    Standing,
    Tally,
)

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)

RECORDS = Asset(
    id="backend-records",
    kind=AssetKind.DATA,
    impact=5,
    because="Every patient's record: a breach must be reported and ends contracts.",
    lives_in=frozenset({Component.BACKEND}),
    traits=frozenset({Trait.RECORDS}),
    places=frozenset({"api:clinic"}),
    routes=("clinic /v1/records/**",),
    quantities=Quantities(users=120000, records=2400000, money="900000 AUD"),
)
LIVE = Asset(
    id="one-user-live-data",
    kind=AssetKind.DATA,
    impact=2,
    because="One patient's data, on a phone that somebody else has in hand.",
    lives_in=frozenset({Component.APP}),
    traits=frozenset({Trait.LIVE_DATA}),
)


def technique(
    ident: str, name: str, component: Component, stage: Stage, **names: tuple[str, ...]
) -> Technique:
    """Return a technique with what the views read of it."""
    return Technique(
        id=ident,
        name=name,
        about=f"{name}, as it is usually done.",
        component=component,
        stage=stage,
        needs=frozenset({Intelligence.API_KEY}) if stage is Stage.EXPLOIT else frozenset(),
        names={key.replace("_", "-"): value for key, value in names.items()},
    )


TECHNIQUES = (
    technique(
        "MT-A02",
        "Take hard-coded keys out of the package",
        Component.APP,
        Stage.RECON,
        maswe=("data-hardcoded-app-package",),
        owasp_mobile=("M1:2024",),
    ),
    technique(
        "MT-A09", "Extract a user's live data from the running app", Component.APP, Stage.EXPLOIT
    ),
    technique("MT-A15", "Malware reads the screen", Component.APP, Stage.EXPLOIT),
    technique(
        "MT-B03",
        "Script impersonates the genuine app with the stolen key",
        Component.BACKEND,
        Stage.EXPLOIT,
        owasp_api=("API6:2023",),
        owasp_oat=("OAT-011",),
    ),
    technique("MT-C06", "Learn the API protocol from traffic", Component.CHANNEL, Stage.RECON),
    technique("MT-C07", "Read an API key or token off the wire", Component.CHANNEL, Stage.RECON),
)


def protection(
    ident: str,
    name: str,
    component: Component,
    cuts: Mapping[str, int],
    *,
    effort: int,
    kind: ProtectionKind = ProtectionKind.PREVENT,
    does_not: tuple[str, ...] = ("It doesn't stop a genuine phone in the wrong hands.",),
) -> Protection:
    """Return a protection with what the views read of it."""
    return Protection(
        id=ident,
        name=name,
        about=f"{name}, in one sentence.",
        component=component,
        enforced_at=EnforcedAt.SERVER if component is Component.BACKEND else EnforcedAt.CLIENT,
        kind=kind,
        cuts=cuts,
        effort=effort,
        does_not=does_not,
        evidence=(f"scan:static.{ident.lower()}",),
    )


PROTECTIONS = (
    protection("PR-A01", "Code obfuscation", Component.APP, {"MT-A02": 1}, effort=1),
    protection(
        "PR-A02", "String, resource and asset encryption", Component.APP, {"MT-A02": 1}, effort=1
    ),
    protection(
        "PR-A05", "Hook and instrumentation detection", Component.APP, {"MT-A09": 2}, effort=3
    ),
    protection("PR-A06", "Tamper detection", Component.APP, {"MT-A09": 1}, effort=3),
    protection("PR-A07", "Root and jailbreak detection", Component.APP, {"MT-A09": 1}, effort=1),
    protection("PR-A12", "Screen protection", Component.APP, {"MT-A09": 1, "MT-A15": 1}, effort=1),
    protection(
        "PR-B01",
        "App attestation checked on every API call",
        Component.BACKEND,
        {"MT-B03": 3},
        effort=6,
        does_not=(
            "It doesn't stop a farm of genuine phones.",
            "It doesn't check what a genuine app may ask for.",
        ),
    ),
    protection("PR-B18", "Bot detection at the API", Component.BACKEND, {"MT-B03": 2}, effort=6),
    protection("PR-C01", "TLS everywhere", Component.CHANNEL, {"MT-C06": 1}, effort=1),
    protection(
        "PR-C03",
        "Certificate pinning with managed, updatable pins",
        Component.CHANNEL,
        {"MT-C06": 1, "MT-C07": 2},
        effort=3,
        kind=ProtectionKind.SLOW_RECON,
    ),
    protection(
        "PR-C05",
        "Payload encryption above TLS",
        Component.CHANNEL,
        {"MT-C06": 2, "MT-C07": 2},
        effort=3,
        kind=ProtectionKind.SLOW_RECON,
    ),
)

CATALOGUE = Catalogue(
    techniques={each.id: each for each in TECHNIQUES},
    protections={each.id: each for each in PROTECTIONS},
)

KEY_PATH = AttackPath("backend-records", ("MT-A02", "MT-C06", "MT-B03"))
WIRE_PATH = AttackPath("backend-records", ("MT-C07", "MT-C06", "MT-B03"))
LIVE_PATH = AttackPath(
    "one-user-live-data", ("MT-A09",), PathOrigin.ADDED, because="Seen in a test of ours."
)

CLAIM = Standing(
    protection="PR-C03",
    state=State.CLAIMED,
    target="app:clinic-android",
    key="scan:static.pinning",
    at=NOW - timedelta(days=3),
    age=3 * 86400,
    source="release notes",
    why="somebody says so, nothing proves it",
)
PROVEN = Standing(
    protection="PR-C01",
    state=State.PROVEN,
    target="api:clinic",
    key="live:tls.version",
    at=NOW - timedelta(hours=2),
    age=7200,
    source="watchword gate 0.1.0",
    why="seen at work two hours ago",
)

_EXPOSURES = (
    ((5, 1, 0, 0), (2, 1, 0, 0)),
    ((5, 0, 0, 1), (2, 1, 0, 0)),
    ((5, 0, 0, 1), (2, 0, 0, 1)),
)


def tallies(rows: Iterable[tuple[int, int, int, int]]) -> tuple[Tally, ...]:
    """Return tallies from (level, open, delayed, closed)."""
    return tuple(Tally(*row) for row in rows)


def item(
    place: int,
    ident: str,
    phase: Phase,
    level: int,
    *,
    spent: int,
    cuts: tuple[Cut, ...],
    action: Action = Action.INTRODUCE,
    closes: tuple[str, ...] = (),
    slows: tuple[str, ...] = (),
    why: str,
    assets: tuple[str, ...],
    skipped: Skipped | None = None,
    ties: tuple[tuple[str, ...], ...] = (),
    stability: Stability | None = None,
    evidence: tuple[Standing, ...] = (),
    after: int = 2,
) -> Item:
    """Return an item; ``after`` is the row of exposures that holds once it is done."""
    found = CATALOGUE.protections[ident]
    return Item(
        place=place,
        protection=found,
        phase=phase,
        level=level,
        effort=found.effort,
        action=action,
        closes=closes,
        delays=(),
        slows=slows,
        cuts=cuts,
        assets=assets,
        interim=False,
        ties=ties,
        together=(),
        needed_for=(),
        skipped=skipped or Skipped((), (), 0),
        stability=stability,
        evidence=evidence,
        spent=spent,
        exposure=tallies(_EXPOSURES[after]),
        why=why,
    )


BOTH = (KEY_PATH.id, WIRE_PATH.id)


def _hardening(place: int, ident: str, spent: int, paths: tuple[str, ...], asset: str) -> Item:
    step = next(iter(CATALOGUE.protections[ident].cuts))
    return item(
        place,
        ident,
        Phase.HARDENING,
        5 if asset == RECORDS.id else 2,
        spent=spent,
        cuts=(Cut(step, 1, paths),),
        slows=paths,
        why=f"It slows {step} down and closes nothing.",
        assets=(asset,),
    )


def seed_items() -> tuple[Item, ...]:
    """Return the seed's list: attestation, hook detection, payload encryption, then hardening."""
    first = item(
        1,
        "PR-B01",
        Phase.PREVENT,
        5,
        spent=6,
        cuts=(Cut("MT-B03", 3, BOTH),),
        closes=BOTH,
        why="It closes both paths to backend-records at the last step, the script at the API.",
        assets=("backend-records",),
        skipped=Skipped((), ("PR-B18",), 0),
        ties=(("PR-B18",),),
        stability=Stability(200, 200, 200, Change("impact of backend-records from 5 to 1", 2, 4)),
        after=1,
    )
    second = item(
        2,
        "PR-A05",
        Phase.PREVENT,
        2,
        spent=9,
        cuts=(Cut("MT-A09", 2, (LIVE_PATH.id,)),),
        closes=(LIVE_PATH.id,),
        why="It closes the only path to one-user-live-data.",
        assets=("one-user-live-data",),
        skipped=Skipped((LIVE_PATH.id,), (), 0),
        stability=Stability(200, 0, 199),
    )
    third = item(
        3,
        "PR-C05",
        Phase.GATHERING,
        5,
        spent=12,
        cuts=(Cut("MT-C06", 2, BOTH), Cut("MT-C07", 2, (WIRE_PATH.id,))),
        slows=BOTH,
        why="It keeps the protocol and the key from being read off the wire.",
        assets=("backend-records",),
    )
    fourth = replace(
        _hardening(4, "PR-C03", 15, BOTH, RECORDS.id), action=Action.VERIFY, evidence=(CLAIM,)
    )
    rest = (
        _hardening(5, "PR-A01", 16, (KEY_PATH.id,), RECORDS.id),
        _hardening(6, "PR-A02", 17, (KEY_PATH.id,), RECORDS.id),
        _hardening(7, "PR-A06", 20, (LIVE_PATH.id,), LIVE.id),
        _hardening(8, "PR-A07", 21, (LIVE_PATH.id,), LIVE.id),
        _hardening(9, "PR-A12", 22, (LIVE_PATH.id,), LIVE.id),
    )
    return (first, second, third, fourth, *rest)


def seed_paths() -> tuple[PathState, ...]:
    """Return the seed's three paths: open now, closed afterwards."""
    return (
        PathState(
            KEY_PATH,
            5,
            Exposure.OPEN,
            Exposure.CLOSED,
            ("PR-B01", "PR-B18"),
            (),
            (("MT-C06", "PR-C05"), ("MT-B03", "PR-B01")),
        ),
        PathState(
            WIRE_PATH,
            5,
            Exposure.OPEN,
            Exposure.CLOSED,
            ("PR-B01", "PR-B18"),
            (),
            (
                ("MT-C07", "PR-C03"),
                ("MT-C07", "PR-C05"),
                ("MT-C06", "PR-C05"),
                ("MT-B03", "PR-B01"),
            ),
        ),
        PathState(
            LIVE_PATH, 2, Exposure.OPEN, Exposure.CLOSED, ("PR-A05",), (), (("MT-A09", "PR-A05"),)
        ),
    )


def seed_plan() -> Plan:
    """Return the plan of the article that the project starts from."""
    paths = seed_paths()
    return Plan(
        model=Model(
            assets={each.id: each for each in (RECORDS, LIVE)},
            paths=tuple(each.path for each in paths),
        ),
        catalogue=CATALOGUE,
        items=seed_items(),
        paths=paths,
        assets=(
            AssetState(RECORDS, Exposure.OPEN, Exposure.CLOSED, 2),
            AssetState(LIVE, Exposure.OPEN, Exposure.CLOSED, 1),
        ),
        exposure=tallies(_EXPOSURES[0]),
        claims=(CLAIM,),
        proven=(PROVEN,),
        failing=(),
        unclosable=(),
        shortfalls=(),
        cheaper=None,
        budget=None,
        effort=22,
        made_at=NOW,
    )


def troubled_plan() -> Plan:
    """Return a plan with everything that may go wrong: no budget, an unclosable path, a cut."""
    plan = seed_plan()
    screen = AttackPath("one-user-live-data", ("MT-A15",))
    lasting = PathState(screen, 2, Exposure.OPEN, Exposure.OPEN, (), (), ())
    held = replace(
        plan.paths[0],
        after=Exposure.DELAYED,
        now=Exposure.DELAYED,
        cut_now=(("MT-C06", "PR-C05"),),
        cut_after=(("MT-C06", "PR-C05"),),
    )
    wire = replace(
        plan.paths[1],
        after=Exposure.DELAYED,
        cut_after=(("MT-C06", "PR-C05"), ("MT-C07", "PR-C05")),
    )
    interim = replace(
        plan.items[2],
        place=1,
        interim=True,
        slows=(),
        delays=BOTH,
        unclosed=BOTH,
        spent=3,
        exposure=tallies(((5, 0, 1, 0), (2, 1, 0, 0))),
    )
    return replace(
        plan,
        model=replace(plan.model, cut=("1,200 paths of more than 8 steps were left out",)),
        items=(interim,),
        paths=(held, wire, lasting),
        assets=(
            AssetState(RECORDS, Exposure.OPEN, Exposure.DELAYED, 2),
            AssetState(LIVE, Exposure.OPEN, Exposure.OPEN, 1),
        ),
        unclosable=(screen.id,),
        shortfalls=(Shortfall(Phase.PREVENT, 5, 4, 6, ("PR-B01",)),),
        cheaper=Cheaper(("PR-B01",), 6, 9),
        budget=4,
        effort=3,
        cut=("stability was tried 40 times instead of 200",),
    )


def crowded_plan(count: int, tail: Sequence[str] = ("MT-C06", "MT-B03")) -> Plan:
    """Return a plan with ``count`` paths to 40 assets, in every state of exposure."""
    plan = seed_plan()
    assets = {
        f"asset-{number:03}": replace(RECORDS, id=f"asset-{number:03}", impact=5 - number % 5)
        for number in range(40)
    }
    names, states = list(assets), list(Exposure)
    ways = tuple(
        technique(f"MT-X{number:04}", f"Way {number}", Component.APP, Stage.RECON)
        for number in range(count // len(names) + 1)
    )
    paths = []
    for number in range(count):
        name, state = names[number % len(names)], states[number % 3]
        path = AttackPath(name, (ways[number // len(names)].id, *tail))
        after = (("MT-B03", "PR-B01"),)
        cuts = {Exposure.DELAYED: (("MT-C06", "PR-C05"),), Exposure.CLOSED: after}.get(state, ())
        impact = assets[name].impact
        paths.append(PathState(path, impact, state, Exposure.CLOSED, ("PR-B01",), cuts, after))
    every = tuple(each.path.id for each in paths)
    done = tallies((level, 0, 0, 8) for level in range(5, 0, -1))
    techniques = {each.id: each for each in (*TECHNIQUES, *ways)}
    return replace(
        plan,
        catalogue=replace(CATALOGUE, techniques=techniques),
        model=replace(plan.model, assets=assets, paths=tuple(each.path for each in paths)),
        paths=tuple(paths),
        assets=tuple(
            AssetState(asset, Exposure.OPEN, Exposure.CLOSED, count // 40)
            for asset in assets.values()
        ),
        items=tuple(replace(each, closes=every, exposure=done) for each in plan.items),
        exposure=tallies((level, 8, 0, 0) for level in range(5, 0, -1)),
    )


def struck_plan() -> Plan:
    """Return the seed's plan with both ways to the records struck: nothing is left that leads there."""
    plan = seed_plan()
    reasons = {KEY_PATH: "no key is in the package", WIRE_PATH: "the key is never sent"}
    kept = tuple(each for each in plan.paths if each.path == LIVE_PATH)
    exposures = (((5, 0, 0, 0, 1), (2, 1, 0, 0)), ((5, 0, 0, 0, 1), (2, 0, 0, 1)))
    hook = replace(
        plan.items[1], place=1, spent=3, exposure=tuple(Tally(*row) for row in exposures[1])
    )
    return replace(
        plan,
        model=replace(
            plan.model,
            paths=(LIVE_PATH,),
            struck=tuple(Struck(path, why) for path, why in reasons.items()),
            cut=("nothing reaches backend-records any more: all its paths are struck",),
        ),
        items=(hook,),
        paths=kept,
        assets=(
            AssetState(RECORDS, Exposure.UNREACHED, Exposure.UNREACHED, 0),
            AssetState(LIVE, Exposure.OPEN, Exposure.CLOSED, 1),
        ),
        exposure=tuple(Tally(*row) for row in exposures[0]),
        effort=3,
    )


def renamed(plan: Plan, old: str, new: str) -> Plan:
    """Return a plan whose asset ``old`` is called ``new`` everywhere."""

    def named(path: str) -> str:
        return path.replace(f"{old}:", f"{new}:", 1) if path.startswith(f"{old}:") else path

    def moved(state: PathState) -> PathState:
        if state.path.asset != old:
            return state
        return replace(state, path=replace(state.path, asset=new))

    def touched(found: Item) -> Item:
        return replace(
            found,
            closes=tuple(map(named, found.closes)),
            delays=tuple(map(named, found.delays)),
            slows=tuple(map(named, found.slows)),
            cuts=tuple(replace(cut, paths=tuple(map(named, cut.paths))) for cut in found.cuts),
            assets=tuple(new if each == old else each for each in found.assets),
            why=found.why.replace(old, new),
        )

    paths = tuple(moved(state) for state in plan.paths)
    assets = tuple(
        replace(state, asset=replace(state.asset, id=new)) if state.asset.id == old else state
        for state in plan.assets
    )
    return replace(
        plan,
        model=replace(
            plan.model,
            assets={state.asset.id: state.asset for state in assets},
            paths=tuple(state.path for state in paths),
        ),
        items=tuple(touched(found) for found in plan.items),
        paths=paths,
        assets=assets,
        unclosable=tuple(map(named, plan.unclosable)),
    )
