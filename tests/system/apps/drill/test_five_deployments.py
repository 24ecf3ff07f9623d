"""Drill five deployments that used to be taken for protected, and one that is: outcome, exit code and plan of each."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.apps.drill import rigs
from tests.unit.engines.envoy.rig import until

from watchword.apps.cli.main import cli
from watchword.apps.demo.stage import OBSERVER_KEY, Stage
from watchword.vocabulary import Mode

Document = dict[str, Any]

CARDS = {"path": "/v1/patients/**", "level": "hardware", "proof": "session"}
ACCOUNTS = {"path": "/v1/records/**", "level": "hardware", "proof": "session"}
PAYMENTS = {"path": "/v1/payments/**", "level": "hardware", "proof": "device"}
REST = {"path": "/**", "level": "hardware", "proof": "session"}
OPEN, CLOSED = "open", "closed"


def asset(impact: int, path: str) -> Document:
    """Return an asset that one route of the bank serves."""
    routes = [{"api": "clinic", "path": path}]
    return {"kind": "data", "impact": impact, "because": "it is money", "routes": routes}


def scenario(name: str, technique: str, *assumes: str) -> Document:
    """Return a path of one step to an asset."""
    return {
        "asset": name,
        "steps": [technique],
        "assumes": list(assumes),
        "because": "somebody did it elsewhere",
    }


class Bank(Stage):
    """Run the demo's clinic as a bank: cards are read, accounts and payments are written, each behind its own route."""

    __slots__ = ()

    def write(self, mode: Mode) -> Path:
        """Write the whole bank, without anything wrong."""
        file = Stage.write(self, mode)
        data: Document = yaml.safe_load(file.read_text("utf-8"))
        api = data["apis"]["clinic"]
        # Copies: what one test edits is no other's.
        guarded = [dict(each) for each in (CARDS, ACCOUNTS, PAYMENTS, REST)]
        api["routes"] = [{"path": "/health", "mode": "off"}, *guarded]
        del data["apis"]["billing"], data["secrets"]
        data["drill"]["clinic"]["requests"] = [
            {"path": "/v1/patients/7"},
            {"method": "POST", "path": "/v1/records/7", "body": "{}"},
            {"method": "POST", "path": "/v1/payments/7", "body": "{}"},
            {"path": "/v1/headers", "echo": True},
        ]
        data["plan"]["assets"] = {
            "cards": asset(5, "/v1/patients/**"),
            "accounts": asset(4, "/v1/records/**"),
            "payments": asset(5, "/v1/payments/**"),
        }
        data["plan"]["scenarios"]["add"] = [
            *(
                scenario(name, "MT-B03", "api_key", "protocol")
                for name in ("cards", "accounts", "payments")
            ),
            scenario("payments", "MT-B20", "session_token"),
            scenario("payments", "MT-C05", "protocol"),
            scenario("accounts", "MT-B20", "session_token"),
        ]
        self.edit(data)
        file.write_text(json.dumps(data), "utf-8")
        return file

    def edit(self, data: Document) -> None:
        """Leave it as it is."""

    def drilled(self, *conditions: str) -> "Drilled":
        """Drill it from the command line, plan, and return what both say.

        :param conditions: that ``--fail-on`` names.
        """
        key = str(self.directory / OBSERVER_KEY)
        named = [word for each in conditions for word in ("--fail-on", each)]
        run = self.run("drill", "--sign", key, "--json", *named, code=None)
        failed = [line for line in run.stderr.splitlines() if line.startswith("failed: ")]
        plan = json.loads(self.run("plan", "--json").stdout)
        weak = self.run("plan", "--fail-on", "weak-route", code=None).exit_code
        check = self.run("check")
        assert self.run("check", "--fail-on", "weak-route", code=None).exit_code == weak
        report = json.loads(run.stdout)
        return Drilled(report, run.exit_code, failed, plan, weak, " ".join(check.stdout.split()))

    def run(self, *arguments: str, code: int | None = 0) -> Result:
        """Run a command on its file."""
        file = self.directory / "watchword.yaml"
        done = CliRunner().invoke(cli, ["-c", str(file), *arguments])
        assert code is None or done.exit_code == code, done.output
        return done


@dataclass(frozen=True)
class Drilled:
    """Hold what a drill, the plan after it and the check of the file say.

    :param code: the drill's exit code; ``weak_code`` that of plan and check by ``--fail-on weak-route``.
    """

    report: Document
    code: int
    failed: list[str]
    plan: Document
    weak_code: int
    check: str

    def verdict(self, attack: str) -> str:
        """Return how an attack ended."""
        (found,) = [each for each in self.report["attacks"] if each["id"] == attack]
        return str(found["verdict"])

    def states(self, protection: str) -> dict[str, str | None]:
        """Return by path of a route what the run says of a protection there."""
        return {
            route["path"]: finding["state"]
            for finding in self.report["findings"]
            if finding["protection"] == protection
            for route in finding["routes"]
        }

    def now(self, path: str) -> str:
        """Return how a path of the plan stands: ``payments:MT-B20``."""
        (found,) = [each for each in self.plan["paths"] if each["id"] == path]
        return str(found["now"])

    def cut_by(self, path: str) -> set[str]:
        """Return what cuts a path of the plan now."""
        (found,) = [each for each in self.plan["paths"] if each["id"] == path]
        return {each["protection"] for each in found["cut_now"]}


def drilled(tmp_path: Path, edit: Callable[[Document], None], *conditions: str) -> Drilled:
    """Drill a bank in which something is otherwise."""

    class Edited(Bank):
        __slots__ = ()

        def edit(self, data: Document) -> None:
            edit(data)

    with rigs.theatre(tmp_path, Edited) as place:
        place.deploy(Mode.ENFORCE)
        assert isinstance(place.stage, Edited)
        return place.stage.drilled(*conditions)


def at(path: str, data: Document) -> Document:
    """Return the row of the route table with this path."""
    (row,) = [each for each in data["apis"]["clinic"]["routes"] if each["path"] == path]
    found: Document = row
    return found


def test_a_bank_with_nothing_wrong_is_proven_on_each_route(tmp_path: Path) -> None:
    """No attack gets through, no route is weak, and each path closes by what was seen on its asset's route."""
    found = drilled(tmp_path, lambda _: None, "open", "unsure", "genuine", "nothing", "weak-route")
    assert (found.code, found.failed, found.weak_code) == (0, [], 0)
    routes = {each["path"] for each in (CARDS, ACCOUNTS, PAYMENTS, REST)}
    for protection in ("PR-B01", "PR-B02", "PR-B03", "PR-B12", "PR-B15", "PR-B25"):
        assert found.states(protection) == dict.fromkeys(routes, "proven"), protection
    assert {each["now"] for each in found.plan["paths"]} == {CLOSED}
    assert found.plan["weak_routes"] == []
    assert found.report["facts"]["unasked"] == []


def test_bearer_on_payments_leaves_a_stolen_session_open(tmp_path: Path) -> None:
    """Nothing is served that the file forbids; but that the route asks for no proof is told, and what is proven elsewhere closes nothing here."""
    payments = PAYMENTS["path"]
    found = drilled(
        tmp_path, lambda data: at(payments, data).update(proof="bearer"), "open", "weak-route"
    )
    assert found.report["counts"]["open"] == 0
    assert (found.code, found.weak_code) == (1, 1)
    (failed,) = found.failed
    told = "Route /v1/payments/** of clinic, where payments (impact 5) lives, takes the token alone"
    assert told in failed
    assert told in found.check
    assert "Write proof: session" in failed
    assert found.verdict("token-alone") == "absent"
    for protection in ("PR-B03", "PR-B15"):
        states = found.states(protection)
        assert states.pop(payments) == "absent"
        assert set(states.values()) == {"proven"}
        at_fault = [each for each in found.plan["failing"] if each["protection"] == protection]
        assert [route["path"] for each in at_fault for route in each["routes"]] == [payments]
    assert (found.now("payments:MT-B20"), found.now("payments:MT-C05")) == (OPEN, OPEN)
    # What needs no proof holds there, and what is proven with one holds where one is asked for.
    assert (found.now("payments:MT-B03"), found.now("accounts:MT-B20")) == (CLOSED, CLOSED)
    assert {"PR-B03", "PR-B15"} <= found.cut_by("accounts:MT-B20")
    assert [(each["path"], each["impact"]) for each in found.plan["weak_routes"]] == [(payments, 5)]


def test_a_route_off_on_card_data_is_open(tmp_path: Path) -> None:
    """The script has what it asks for; the other routes keep what is proven of them."""
    found = drilled(
        tmp_path, lambda data: at(CARDS["path"], data).update(mode="off"), "open", "genuine"
    )
    assert (found.code, found.weak_code) == (1, 1)
    assert any("script-with-key" in each for each in found.failed)
    assert found.verdict("script-with-key") == "open"
    states = found.states("PR-B01")
    assert states.pop(CARDS["path"]) in {"absent", "broken"}
    assert set(states.values()) == {"proven"}
    assert (found.now("cards:MT-B03"), found.now("accounts:MT-B03")) == (OPEN, CLOSED)
    assert "cards (impact 5) lives, is in mode off: anybody is served" in found.check


def test_a_route_off_on_card_data_is_open_though_nobody_asks_for_it(tmp_path: Path) -> None:
    """Where the file names no request to the route, one is made up: it is served to anybody."""

    def edit(data: Document) -> None:
        at(CARDS["path"], data).update(mode="off")
        del data["drill"]["clinic"]["requests"][0]

    found = drilled(tmp_path, edit, "open", "genuine")
    assert found.code == 1
    assert found.verdict("script-with-key") == "open"
    assert found.now("cards:MT-B03") == OPEN
    # That it may be nobody's record takes nothing from the others.
    assert found.report["genuine"]["served"] == found.report["genuine"]["sent"] > 0
    assert found.now("accounts:MT-B03") == CLOSED


def test_without_limits_an_instance_that_takes_all_is_open(tmp_path: Path) -> None:
    """A limit that nobody set is no limit that wasn't tried."""
    found = drilled(tmp_path, lambda data: data["apis"]["clinic"].pop("rate"), "open")
    assert found.code == 1
    assert found.verdict("scraping-with-instance") == "open"
    assert any("open: the API served it" in each for each in found.failed)
    assert set(found.states("PR-B11").values()) <= {"absent", "broken"}
    assert "PR-B11" in {each["protection"] for each in found.plan["failing"]}
    assert "PR-B11" not in {each["protection"] for each in found.plan["proven"]}
    assert found.now("payments:MT-B20") == CLOSED


@pytest.mark.parametrize(
    ("rate", "limit", "state"),
    [
        # It holds on the payments alone: elsewhere one instance takes all.
        (None, {"routes": [PAYMENTS["path"]]}, "broken"),
        # It holds for versions that nobody has.
        (None, {"below": {"clinic-ios": "0.0.1", "clinic-android": "0.0.1"}}, "absent"),
        # No run sends as much, so that none can say that it holds.
        ({"requests": 100_000, "per": "1m"}, None, None),
    ],
)
def test_a_limit_that_isn_t_met_is_never_proven(
    tmp_path: Path, rate: Document | None, limit: Document | None, state: str | None
) -> None:
    """That one address enrols no more than its limit says nothing of what an instance may send."""

    def edit(data: Document) -> None:
        api = data["apis"]["clinic"]
        api.update(
            rate=rate, limits=[{"name": "few", "requests": 20, "per": "1m", **(limit or {})}]
        )
        for name, given in (("rate", rate), ("limits", limit)):
            if given is None:
                del api[name]

    found = drilled(tmp_path, edit, "open")
    assert set(found.states("PR-B11").values()) == {state}
    assert found.code == (state is not None)
    assert "PR-B11" not in {each["protection"] for each in found.plan["proven"]}


def test_an_api_that_answers_404_proves_nothing(tmp_path: Path) -> None:
    """The genuine app isn't served either: unsure, with what to write, and the plan counts nothing."""

    def edit(data: Document) -> None:
        for each in data["drill"]["clinic"]["requests"]:
            each["path"] = each["path"].replace("/7", "/nobodys")
            each["method"] = "GET"
            each.pop("body", None)
        del data["drill"]["clinic"]["requests"][-1]

    found = drilled(tmp_path, edit, "unsure", "genuine")
    assert found.code == 1
    assert found.report["counts"]["stopped"] == 0
    assert any("`status: [404]`" in each for each in found.failed)
    states = {each["state"] for each in found.report["findings"] if each["routes"]}
    assert "proven" not in states
    assert found.plan["proven"] == []
    assert {each["now"] for each in found.plan["paths"]} == {OPEN}


def test_without_a_route_for_everything_the_gate_is_stricter_and_proven(tmp_path: Path) -> None:
    """What no route knows is refused, which is as good a reason as any."""

    def edit(data: Document) -> None:
        data["apis"]["clinic"]["routes"].pop()
        del data["drill"]["clinic"]["requests"][-1]

    found = drilled(tmp_path, edit, "open", "unsure", "genuine", "weak-route")
    assert (found.code, found.failed) == (0, [])
    assert found.verdict("host-confusion") == "stopped"
    routes = {each["path"] for each in (CARDS, ACCOUNTS, PAYMENTS)}
    assert found.states("PR-B01") == dict.fromkeys(routes, "proven")
    assert {each["now"] for each in found.plan["paths"]} == {CLOSED}


def test_a_file_that_changes_while_the_drill_runs_proves_nothing(tmp_path: Path) -> None:
    """What was attacked isn't what the file describes any more: unsure, with the cause."""

    class Changing(Bank):
        __slots__ = ()

        def drilled(self, *conditions: str) -> Drilled:
            edited = threading.Thread(target=self.edit_when_it_began)
            edited.start()
            found = Bank.drilled(self, *conditions)
            edited.join()
            return found

        def edit_when_it_began(self) -> None:
            until(lambda: self.clinic.served > 0, 30)
            file = self.directory / "watchword.yaml"
            data = json.loads(file.read_text("utf-8"))
            at(PAYMENTS["path"], data).update(proof="bearer")
            file.write_text(json.dumps(data), "utf-8")

    with rigs.theatre(tmp_path, Changing) as place:
        place.deploy(Mode.ENFORCE)
        assert isinstance(place.stage, Changing)
        found = place.stage.drilled("unsure")
    assert found.code == 1
    assert "changed in watchword.yaml while the drill ran" in found.report["changed"]
    assert any("while the drill ran" in each for each in found.failed)
    assert "proven" not in {each["state"] for each in found.report["findings"]}
    assert found.plan["proven"] == []
