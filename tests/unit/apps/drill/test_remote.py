"""Drill a deployment that isn't this machine's by its name: with consent, a key and a test instance, or not at all."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.unit.apps.drill import rigs

from watchword.adapters.drill_wire import write_drill_key
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.demo.stage import Stage
from watchword.apps.drill.harness import open_harness
from watchword.apps.drill.invited_instance import enrolled, write_instance
from watchword.apps.drill.preparation import Prepared, RunOptions, prepared
from watchword.apps.drill.run import run_drill
from watchword.apps.drill.run_plan import RunPlan
from watchword.apps.service.client import OperatorClient
from watchword.drill.consent import ConsentError, ConsentFault
from watchword.drill.interface import Need
from watchword.drill.judgements import Report, Verdict
from watchword.drill.wire import Part
from watchword.observations import State
from watchword.vocabulary import Mode, Proof

NAME = "staging.example"
RATE = 50


def resolver(name: str, _port: int) -> Sequence[str]:
    """Find the name at this machine, which makes it no less a name that somebody else may own."""
    assert name == NAME
    return ["127.0.0.1"]


class ConsentStage(Stage):
    """Write a file whose proxy and service serve a consent, and are reached by a name."""

    __slots__ = ()

    def write(self, mode: Mode) -> Path:
        """Write ``watchword.yaml`` with consents."""
        file = Stage.write(self, mode)
        text = file.read_text("utf-8")
        more = (
            "    consent: gate.json\n    service_consent: service.json\n"
            f"    target: http://{NAME}:{self.port('clinic')}\n"
            f"    service: http://{NAME}:{self.port('service')}\n"
        )
        text = text.replace("drill:\n  clinic:\n", f"drill:\n  clinic:\n{more}", 1)
        file.write_text(text, "utf-8")
        return file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rigs.Theatre]:
    """Return an enforcing deployment, which nobody has agreed to drill yet."""
    with rigs.theatre(tmp_path_factory.mktemp("remote"), ConsentStage) as opened:
        opened.deploy(Mode.ENFORCE)
        yield opened


def consent(place: rigs.Theatre, kid: str, **changes: object) -> None:
    """Serve a consent at both origins."""
    for part, name in (("gate", "clinic"), ("service", "service")):
        members = {
            "v": 1,
            "key": kid,
            "origin": f"http://{NAME}:{place.stage.port(name)}",
            "attacks": ["*"],
            "rate": RATE,
            "expires": f"{place.stage.clock.now().replace(microsecond=0):%Y-%m-%dT}23:59:59Z",
            "parts": [part],
            **changes,
        }
        (place.stage.directory / f"{part}.json").write_text(json.dumps(members), "utf-8")


def withdrawn(place: rigs.Theatre) -> None:
    """Take the consents away."""
    for part in ("gate", "service"):
        (place.stage.directory / f"{part}.json").unlink(missing_ok=True)


def order(place: rigs.Theatre, **orders: object) -> Prepared:
    """Ask for a run."""
    settings = place.stage.settings
    asked = RunOptions(named=["127.0.0.1"], **orders)  # type: ignore[arg-type]
    return prepared(
        settings, settings.apis["clinic"], asked, SystemClock(), SystemEntropy(), resolver
    )


def fault(place: rigs.Theatre, **orders: object) -> ConsentFault:
    """Return why a run may not begin."""
    with pytest.raises(ConsentError) as caught:
        order(place, **orders)
    return caught.value.fault


def run(place: rigs.Theatre, ready: Prepared) -> Report:
    """Carry a run out."""
    settings = place.stage.settings
    clock = SystemClock()
    with open_harness(
        settings, settings.apis["clinic"], ready.targets, clock, SystemEntropy()
    ) as open_:
        return run_drill(open_, RunPlan(ready.attacks, 5), ready.url, loopback=False, now=clock.now)


def test_without_key_or_consent_nothing_begins(place: rigs.Theatre, tmp_path: Path) -> None:
    """No key; no document; one for another key; one part that doesn't agree."""
    withdrawn(place)
    assert fault(place) is ConsentFault.NO_KEY
    key = write_drill_key(tmp_path / "drill.pem")
    assert fault(place, key=tmp_path / "drill.pem") is ConsentFault.UNSERVED
    consent(place, write_drill_key(tmp_path / "other.pem").kid)
    assert fault(place, key=tmp_path / "drill.pem") is ConsentFault.KEY
    consent(place, key.kid)
    (place.stage.directory / "service.json").unlink()
    assert fault(place, key=tmp_path / "drill.pem") is ConsentFault.UNSERVED
    consent(place, key.kid, attacks=["token-expired"])
    assert fault(place, key=tmp_path / "drill.pem", only=["script-with-key"]) is ConsentFault.ATTACK


def test_with_consent_a_test_instance_is_the_genuine_side(
    place: rigs.Theatre, tmp_path: Path
) -> None:
    """What can be told from outside is proven; what needs a lab isn't run, and is told."""
    settings = place.stage.settings
    key = write_drill_key(tmp_path / "drill.pem")
    consent(place, key.kid)
    with OperatorClient(settings.service.operator_socket) as operator:
        members = {"app": "clinic-ios", "level": "hardware", "because": "a drill"}
        code = operator.post("/v1/test-codes", members)["code"]
    instance = enrolled(
        settings,
        "clinic-ios",
        code,
        f"http://{settings.service.listen}",
        place.stage.clock,
    )
    write_instance(tmp_path / "instance.json", instance)
    ready = order(
        place,
        key=tmp_path / "drill.pem",
        instance=tmp_path / "instance.json",
        without=["scraping-with-instance", "stuffing-with-instance", "MT-B04", "MT-B08"],
    )
    assert ready.targets.rate == RATE
    assert set(ready.agreement.origins) == {Part.GATE, Part.SERVICE}
    report = run(place, ready)
    ended = {each.attack.id: each.verdict for each in report.results}
    assert Verdict.OPEN not in ended.values()
    assert Verdict.UNSURE not in ended.values(), [
        variant
        for each in report.results
        for variant in each.variants
        if variant.verdict is Verdict.UNSURE
    ]
    for stopped in ("script-with-key", "token-foreign-key", "bearer-downgrade", "proof-replayed"):
        assert ended[stopped] is Verdict.STOPPED
    needs = {
        variant.need
        for each in report.results
        for variant in each.variants
        if variant.verdict is Verdict.NOT_RUN
    }
    assert {Need.KEYS, Need.PHONES} <= needs
    assert (report.genuine.sent, report.genuine.served) == (5, 5)
    assert report.requests / report.seconds < RATE * 1.2
    # The choice left attacks out, so that nothing is proven by it.
    assert {each.state for each in report.findings if each.protection == "PR-B01"} == {None}
    signed = {
        route.proof: each.state
        for each in report.findings
        if each.protection == "PR-B03"
        for route in each.routes
    }
    assert signed == {
        Proof.SESSION: State.PROVEN,
        Proof.DEVICE: State.PROVEN,
        # No plan names an asset there.
        Proof.BEARER: None,
    }
