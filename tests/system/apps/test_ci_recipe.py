"""Show that the recipe of docs/ci.md runs as it stands: scan, drill and plan, on a good build and on bad ones."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.machine import patience
from tests.system.apps.test_drill_command import MONITORED, OBSERVED
from tests.unit.apps.scanned import dead_token
from tests.unit.apps.service_process import WATCHWORD, configuration, upstream, watchword
from tests.unit.scan.app_builders import PINS, apk

PAGE = (Path(__file__).parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")
FILES = ("scan.xml", "scan.sarif", "drill.xml", "drill.sarif")


def steps() -> list[dict[str, Any]]:
    """Return the steps of the workflow that run a command of ours or need one to have run."""
    (workflow,) = [
        block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "jobs:" in block
    ]
    (job,) = yaml.safe_load(workflow)["jobs"].values()
    return [each for each in job["steps"] if "name" in each and "run" in each]


@dataclass
class Run:
    """Hold how each step ended, by the first word of its name, and where."""

    place: Path
    codes: dict[str, int]
    told: str

    @property
    def failures(self) -> list[str]:
        """Return why something failed, as it was told."""
        return [line for line in self.told.splitlines() if line.startswith(("failed: ", "error: "))]


def run(place: Path, *, built: bytes, last: str = "Ask", **replace: str) -> Run:
    """Run the steps one after the other, as GitHub does: each in a shell of its own, in one folder.

    :param last: the first word of the step behind which nothing is run.
    """
    with upstream() as port:
        file = configuration(place, port, **OBSERVED, **replace)
        (place / "build").write_bytes(built)
        known(place)
        codes, told, failed = {}, [], False
        for step in steps():
            # The app of this test is built already, its API runs.
            script = step["run"].replace("./build-your-app", "cp build app.apk")
            script = script.replace("./start-your-api &", "")
            # The plan that `init` writes has a path which nothing closes.
            script = script.replace("plan --fail-on open", "plan --json > plan.json")
            if failed and "cancelled()" not in step.get("if", ""):
                continue
            code, said = shell(file.parent, script)
            assert "Traceback" not in said
            codes[step["name"].split()[0]] = code
            told.append(said)
            failed = failed or code != 0
            if last in codes:
                break
    return Run(place, codes, "\n".join(told))


def shell(place: Path, script: str) -> tuple[int, str]:
    """Run a step as it stands, and return how it ended and what it said; what it leaves running fails the test."""
    command = place / "bin" / "watchword"
    command.parent.mkdir(exist_ok=True)
    # A program of its own, as it is where it was installed: a step that ends it by its job ends all of it.
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{WATCHWORD[2]}' \"$@\"\n", "utf-8")
    command.chmod(0o755)
    held, passed_on = os.pipe()
    with subprocess.Popen(
        ["bash", "-e", "-c", f'PATH="{command.parent}:$PATH"\n{script}'],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(passed_on,),
        start_new_session=True,
    ) as process:
        os.close(passed_on)
        out, err, ended = "", "", []
        try:
            out, err = process.communicate(timeout=patience(120))
            # Everything that the step starts holds the other end until it ends.
            ended = select.select([held], [], [], 30)[0]
        finally:
            os.close(held)
            if not ended:
                os.killpg(process.pid, signal.SIGKILL)
    assert ended, f"left something running: {script}"
    return process.returncode, out + err


def known(place: Path) -> None:
    """Write the baseline as the page says: of the app as it was when the team began to look."""
    (place / "first.apk").write_bytes(apk(pins=PINS))
    scanned = watchword(place / "none.yaml", "scan", str(place / "first.apk"), "--json")
    assert scanned.returncode == 0, scanned.stderr
    (place / "scan.json").write_text(scanned.stdout, encoding="utf-8")
    kept = watchword(
        *(place / "none.yaml", "scan", "baseline", str(place / "scan.json")),
        *("-o", str(place / "scan-known.json")),
    )
    assert kept.returncode == 0, kept.stderr


def test_a_clean_build_behind_an_enforcing_gate_passes(tmp_path: Path) -> None:
    """Every step, every file, and the plan counts what both saw."""
    done = run(tmp_path, built=apk(pins=PINS))
    assert set(done.codes.values()) == {0}, done.failures
    assert list(done.codes) == ["Make", "Build", "See", "Attack", "Ask"]
    assert [name for name in FILES if not (tmp_path / name).exists()] == []
    proven = {each["key"] for each in observed(tmp_path) if each["stands"] == "proven"}
    assert "scan:static.pinning" in proven
    assert any(key.startswith("live:shield.") for key in proven)
    items = json.loads((tmp_path / "plan.json").read_text("utf-8"))["items"]
    assert "PR-B01" not in {each["protection"] for each in items}


def observed(place: Path) -> list[dict[str, Any]]:
    """Return the observations of a place, and what each is worth."""
    listed = watchword(place / "watchword.yaml", "observe", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


@pytest.mark.parametrize(
    ("built", "said"),
    [
        (apk(pins=PINS, strings=[dead_token()]), "secret-in-app"),
        (apk(), "pinning"),
        (apk(pins=PINS)[:1000], "Not all was seen"),
    ],
    ids=["a-secret", "pins-lost", "cut-short"],
)
def test_a_build_that_gives_something_away_fails(tmp_path: Path, built: bytes, said: str) -> None:
    """By the scan, which says what; of one that shows nothing of any protection nothing can be recorded besides."""
    done = run(tmp_path, built=built, last="See")
    code = 3 if said == "Not all was seen" else 1
    assert done.codes == {"Make": 0, "Build": 0, "See": code}, done.failures
    assert any(said in line for line in done.failures if line.startswith("failed: app.apk"))


def test_one_run_tells_of_the_build_and_of_the_gate(tmp_path: Path) -> None:
    """A secret in the one, the other only watches: both fail, the plan is asked all the same, and no file holds the secret."""
    built = apk(pins=PINS, strings=[dead_token()])
    done = run(tmp_path, built=built, **MONITORED)
    assert done.codes == {"Make": 0, "Build": 0, "See": 1, "Attack": 1, "Ask": 0}, done.failures
    assert [name for name in FILES if dead_token() in (tmp_path / name).read_text("utf-8")] == []
    assert dead_token() not in done.told
    items = json.loads((tmp_path / "plan.json").read_text("utf-8"))["items"]
    assert items[0]["protection"] == "PR-B01"
    assert "PR-B04" in {each["protection"] for each in items}


def comparison() -> list[str]:
    """Return the commands of the section on what got worse: to keep what was released, and to compare with it."""
    section = PAGE.partition("## Fail only where something got worse\n")[2]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def test_a_build_that_got_worse_fails_and_the_same_one_doesnt(tmp_path: Path) -> None:
    """By the section's commands as they stand: pins are lost and a key is gained, both are named; the same build again is good."""
    file = configuration(tmp_path, 9, **OBSERVED)
    app = tmp_path / "app.apk"
    app.write_bytes(apk(pins=PINS))
    key = next(each["run"] for each in steps() if each["name"] == "Make the observer's key")
    keep, compare = comparison()
    scan = keep.splitlines()[0].partition(" --json")[0]
    ran = [shell(file.parent, each) for each in (key, keep, scan, *compare.splitlines())]
    assert {code for code, _ in ran} == {0}, ran
    assert "Nothing got worse." in ran[-1][1]
    app.write_bytes(apk(strings=[dead_token()]))
    assert shell(file.parent, scan)[0] == 0
    for script in compare.splitlines():
        code, said = shell(file.parent, script)
        told = " ".join(said.split())
        assert code == 1, script
        assert "PR-B04" in told
        assert "A secret of the kind github-pat is in the package" in told
        assert "PR-C03" in told
        assert "No pins: any authority" in told
        assert dead_token() not in said
