"""Attack the demo's clinic: open, watched, and guarded by each enforcement point of the gate."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
from tests.unit.apps.drill import rigs
from tests.unit.apps.drill.keys_stage import ABOUT_KEYS

from watchword.apps.demo.steps import drilled
from watchword.drill.judgements import AttackResult, Report, Verdict
from watchword.observations import State
from watchword.vocabulary import Mode

GENUINE = 1000

EnforcementPoint = Callable[[rigs.Theatre], AbstractContextManager[str | None]]
"""Opens a gate before the clinic and returns its URL, None for the stage's own proxy."""

GOES_AROUND = "upstream-direct"
"""Needs the address of the API itself to be named: on one machine everything can reach it."""

OF_TLS = {"cleartext-served", "tls-old-version", "tls-weak-suite"}
"""Need TLS: the demo's parts talk in cleartext on one machine."""

OF_PINS = {"pins-intercepted", "pins-frozen", "pins-forged", "pin-roots-forged"}
"""Find no pins: nobody publishes any for the demo's apps."""

TAKES_A_TOKEN_ALONE = {"token-alone"}
"""Finds the route by which patients are read: by the token alone, which the demo's file says and the drill tells."""

OF_STRONGBOX = {"phone-strongbox-claimed"}
"""Needs a policy that asks for a StrongBox: tests/unit/apps/drill/test_keys_drill.py has one."""

OF_KEYS = {*ABOUT_KEYS} - {"canary-used"}
"""Need a key that is kept, or a limit: tests/unit/apps/drill/test_keys_drill.py has a deployment of both. Canaries need neither."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rigs.Theatre]:
    """Return the demo's stage."""
    with rigs.theatre(tmp_path_factory.mktemp("drill"), rigs.AuthzStage) as opened:
        yield opened


def by_verdict(report: Report, verdict: Verdict) -> dict[str, list[str]]:
    """Return the attacks that ended so, each with the variants that did."""
    return {
        each.attack.id: [
            f"{variant.name}: {variant.got}"
            for variant in each.variants
            if variant.verdict is verdict
        ]
        for each in report.results
        if each.verdict is verdict
    }


def exploiting(report: Report) -> list[AttackResult]:
    """Return the attacks that take something and can be run here: nothing goes around, and no key is kept yet."""
    found = [each for each in report.results if each.attack.exploits]
    assert len(found) > 50
    return [each for each in found if each.attack.id not in {GOES_AROUND, *OF_KEYS, *OF_STRONGBOX}]


def test_an_open_api_loses_everything(place: rigs.Theatre) -> None:
    """Around the gate every exploitation succeeds, whatever the service says to bad phones."""
    place.deploy(Mode.ENFORCE)
    report = drilled(place.stage, gate=place.stage.open_url)
    exploits = exploiting(report)
    assert {each.attack.id for each in exploits if each.verdict is not Verdict.OPEN} == set(), (
        by_verdict(report, Verdict.STOPPED) | by_verdict(report, Verdict.UNSURE)
    )
    others = {"PR-C01", "PR-C03", "PR-B04", "PR-B05", "PR-B06"}  # Of the channel, and of keys.
    states = {each.state for each in report.findings if each.protection not in others}
    assert states <= {State.ABSENT, State.BROKEN}
    assert State.ABSENT in states


def test_monitor_stops_nothing_and_counts_all(place: rigs.Theatre) -> None:
    """Each exploitation succeeds, and the gate or the service counted what it would have refused."""
    place.deploy(Mode.MONITOR)
    report = drilled(place.stage)
    exploits = exploiting(report)
    assert {each.attack.id for each in exploits if each.verdict is not Verdict.OPEN} == set(), (
        by_verdict(report, Verdict.STOPPED) | by_verdict(report, Verdict.UNSURE)
    )
    assert [each.attack.id for each in exploits if not each.counted] == []
    assert report.genuine.served == report.genuine.sent > 0


def proxy(_place: rigs.Theatre) -> AbstractContextManager[str | None]:
    """Attack the proxy that the stage runs."""
    return nullcontext()


@pytest.mark.parametrize(
    "point", [proxy, rigs.middleware, rigs.envoy], ids=["proxy", "middleware", "envoy"]
)
def test_enforced_nothing_is_served_but_the_genuine_app(
    place: rigs.Theatre, point: EnforcementPoint
) -> None:
    """All is refused for its reason, while 1,000 requests of genuine phones are served, each of them."""
    place.deploy(Mode.ENFORCE)
    with point(place) as gate:
        report = drilled(place.stage, gate=gate, genuine=GENUINE)
    # Envoy knows canary keys on the routes alone on which it asks Python; docs/engines/envoy.md says so.
    unnoticed = {"canary-used"} if point is rigs.envoy else set()
    assert set(by_verdict(report, Verdict.OPEN)) == unnoticed
    assert by_verdict(report, Verdict.UNSURE) == {}
    assert set(by_verdict(report, Verdict.NOT_RUN)) == {
        GOES_AROUND,
        *OF_TLS,
        *OF_KEYS,
        *OF_STRONGBOX,
    }
    assert set(by_verdict(report, Verdict.ABSENT)) == OF_PINS | TAKES_A_TOKEN_ALONE
    assert (report.genuine.served, report.genuine.sent) == (GENUINE, GENUINE), report.genuine.faults
    proven = {
        (each.protection, route.path)
        for each in report.findings
        if each.state is State.PROVEN
        for route in each.routes
    }
    signed = {"/v1/records/**", "/v1/payments/**"}
    assert {path for name, path in proven if name == "PR-B01"} == {*signed, "/**"}
    assert {path for name, path in proven if name == "PR-B03"} == signed
