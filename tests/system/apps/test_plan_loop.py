"""The loop: plan, drill, plan again; and what was closed opens by itself when a route goes back to monitor."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from watchword.adapters.observations import ObservationsFile
from watchword.adapters.observer_keys import read_observer_key
from watchword.apps.cli.main import cli
from watchword.apps.demo.stage import OBSERVER_KEY, Stage
from watchword.apps.demo.steps import drilled
from watchword.apps.drill.run import observations_of
from watchword.apps.observations.document import sign
from watchword.apps.settings.plan import load_plan
from watchword.observations import Observation, State
from watchword.vocabulary import Mode

EXAMPLE = Path(__file__).parents[3] / "examples" / "clinic.yaml"
GOLDEN = Path(__file__).parent / "golden" / "plan_loop"
SHIELD = "PR-B01"
RECORDS = "patient-records"


class ExampleStage(Stage):
    """Run the shipped example in place of the demo's own file: free ports, and an observer whose key is there."""

    rate = 300

    def write(self, mode: Mode) -> Path:
        """Write the example with every route of its in this mode."""
        text = EXAMPLE.read_text(encoding="utf-8")
        for old, new in (
            ("127.0.0.1:8440", f"127.0.0.1:{self._ports['service']}"),
            ("127.0.0.1:8080", f"127.0.0.1:{self._ports['clinic']}"),
            ("127.0.0.1:9000", f"127.0.0.1:{self._ports['upstream']}"),
            ("mode: monitor", f"mode: {mode}"),
            ("  # observers:", "  observers:"),
            ("requests: 300", f"requests: {self.rate}"),
        ):
            assert old in text
            text = text.replace(old, new)
        file = self.directory / "watchword.yaml"
        file.write_text(text, encoding="utf-8")
        return file


@dataclass(slots=True)
class Loop:
    """Go round: edit, drill, plan."""

    stage: ExampleStage

    @property
    def file(self) -> Path:
        """Return the file that is planned by."""
        return self.stage.directory / "watchword.yaml"

    def run(self, *arguments: str, code: int = 0) -> str:
        """Return what a command prints."""
        done = CliRunner().invoke(cli, ["-c", str(self.file), *arguments])
        assert done.exit_code == code, done.output
        return done.stdout

    def plan(self) -> dict[str, Any]:
        """Return the plan as scripts read it."""
        found: dict[str, Any] = json.loads(self.run("plan", "--json"))
        return found

    async def enforced(self, mode: Mode) -> None:
        """Run the deployment with every route in this mode."""
        await self.stage.deploy(mode)

    async def drill(self) -> tuple[Observation, ...]:
        """Attack the deployment with all that there is, and return what that shows."""
        report = await asyncio.to_thread(drilled, self.stage)
        generation = load_plan(self.file).generations["clinic"]
        return observations_of(report, self.stage.clock.now(), build=None, generation=generation)

    def record(self, found: Iterable[Observation]) -> None:
        """Record observations, signed by the observer that the file names."""
        key = read_observer_key(self.stage.directory / OBSERVER_KEY)
        for each in found:
            ObservationsFile(load_plan(self.file).observations).append(sign(each, key))


@asynccontextmanager
async def loop_in(directory: Path) -> AsyncIterator[Loop]:
    """Set the stage, which puts an observer's key beside the file."""
    stage = ExampleStage.in_directory(directory)
    assert isinstance(stage, ExampleStage)
    await stage.set_up()
    try:
        loop = Loop(stage)
        loop.stage.write(Mode.MONITOR)
        yield loop
    finally:
        await stage.tear_down()


def played(directory: Path, story: Callable[[Loop], Coroutine[Any, Any, None]]) -> None:
    """Play a story on a stage of its own."""

    async def play() -> None:
        async with loop_in(directory) as loop:
            await story(loop)

    asyncio.run(play())


def of_the_shield(found: Iterable[Observation]) -> list[Observation]:
    """Return what is said of attestation alone: what else an attack proves grows with the attacks."""
    return [each for each in found if each.protection == SHIELD]


def first(plan: Mapping[str, Any]) -> str:
    """Return what stands at the top."""
    name: str = plan["items"][0]["protection"]
    return name


def now(plan: Mapping[str, Any], asset: str = RECORDS) -> str:
    """Return how an asset stands today."""
    found: str = next(each["now"] for each in plan["exposure"] if each["asset"] == asset)
    return found


def golden(name: str, text: str) -> None:
    """Compare with what is kept: without dates, ages, our version and numbers of variants."""
    for pattern, word in (
        (r"\d{4}-\d{2}-\d{2}(?:\s+\d{2}:\d{2}\s+UTC)?", "DATE"),
        (r"just\s+now|\d+\s+(?:minute|hour)s?\s+ago", "AGE"),
        (r"drill\s+\d[\w.+]*", "drill VERSION"),
        (r"measured\s+[\d,]+\s+of\s+[\d,]+\s+variants?", "measured N of M variants"),
        (r"(?:blocks\s+it|stops\s+common\s+tools),\s+strength\s+[23]", "STRENGTH"),
    ):
        text = re.sub(pattern, word, text)
    expected = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    # Where lines break hangs on what was taken out.
    assert text.split() == expected.split()


@pytest.fixture(autouse=True)
def _a_fixed_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody's terminal decide where lines break."""
    monkeypatch.setenv("COLUMNS", "100")


def test_the_example_is_good_as_it_is_shipped() -> None:
    """Nothing has to be made before it can be read; its state is beside it."""
    done = CliRunner().invoke(cli, ["-c", str(EXAMPLE), "check"])
    assert done.exit_code == 0, done.output


def test_a_drill_closes_and_a_route_in_monitor_opens_again(tmp_path: Path) -> None:
    """Before: attestation first, all open.  Drilled: proven, closed.  Back in monitor, without a drill: first again."""

    async def story(loop: Loop) -> None:
        loop.stage.write(Mode.MONITOR)
        golden("before", loop.run("plan"))
        before = loop.plan()
        assert first(before) == SHIELD
        assert now(before) == "open"
        (tmp_path / "before.json").write_text(json.dumps(before), encoding="utf-8")

        await loop.enforced(Mode.ENFORCE)
        loop.record(of_the_shield(await loop.drill()))
        golden("closed", loop.run("plan") + loop.run("plan", "--since", f"{tmp_path}/before.json"))
        closed = loop.plan()
        assert SHIELD not in {each["protection"] for each in closed["items"]}
        assert [each["state"] for each in closed["proven"]] == ["proven"]
        assert len(closed["proven"][0]["routes"]) == 3
        assert now(closed) == "closed"
        assert {each["technique"] for each in closed["measured"]} >= {"MT-B03"}
        (tmp_path / "closed.json").write_text(json.dumps(closed), encoding="utf-8")

        # Nothing is drilled: the edit alone takes the proof's worth.
        await loop.enforced(Mode.MONITOR)
        since = ("plan", "--since", f"{tmp_path}/closed.json")
        golden("monitor", loop.run("plan") + loop.run(*since, "--fail-on", "worse", code=1))
        again = loop.plan()
        assert first(again) == SHIELD
        assert now(again) == "open"
        assert [each["state"] for each in again["items"][0]["evidence"]] == ["broken"] * 3
        assert again["items"][0]["action"] == "repair"
        differences = json.loads(loop.run(*since, "--json"))
        assert differences["worse"] == [RECORDS]
        causes = [each for each in differences["causes"] if each["subject"] == "evidence"]
        assert [(each["id"], each["before"], each["after"]) for each in causes] == [
            (SHIELD, "proven", "broken")
        ] * 3
        assert all("monitor" in each["why"] for each in causes)

    played(tmp_path, story)


def test_what_a_drill_finds_in_monitor_and_what_brings_a_proof_back(tmp_path: Path) -> None:
    """Another policy asks for a new drill; one in monitor finds nothing that holds; the old policy has its old proof."""

    async def story(loop: Loop) -> None:
        await loop.enforced(Mode.ENFORCE)
        enforced = await loop.drill()
        # On each route that a request falls under: reading by the token alone, and both that ask for a proof.
        assert [each.state for each in of_the_shield(enforced)] == [State.PROVEN] * 3
        assert len({each.route for each in of_the_shield(enforced)}) == 3
        loop.record(enforced)
        proven = loop.plan()
        assert now(proven) == "closed"
        assert first(proven) != SHIELD

        # Another policy, though no weaker: nobody has seen it work.
        loop.stage.rate = 299
        await loop.enforced(Mode.ENFORCE)
        edited = loop.plan()
        assert first(edited) == SHIELD
        assert [each["state"] for each in edited["items"][0]["evidence"]] == ["stale"]
        assert now(edited) == "open"
        loop.stage.rate = 300

        await loop.enforced(Mode.MONITOR)
        found = await loop.drill()
        bad = of_the_shield(found)
        assert {each.state for each in bad} <= {State.BROKEN, State.ABSENT}
        assert len(bad) == 3
        loop.record(found)
        assert first(loop.plan()) == SHIELD

        # The same policy as when it was proven, to the letter: what was seen of another one since says nothing of it.
        await loop.enforced(Mode.ENFORCE)
        assert now(loop.plan()) == "closed"

    played(tmp_path, story)
