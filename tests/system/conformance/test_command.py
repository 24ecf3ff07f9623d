"""Run ``watchword conformance`` as an outsider does, by the commands of docs/conformance.md."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS
from tests.unit.conformance.processes import ROOT

from watchword_conformance.corpus import load_corpus

WATCHWORD = str(Path(sys.executable).with_name("watchword"))
COMMANDS = re.findall(
    r"^ *watchword (conformance .*)$",
    (ROOT / "docs" / "conformance.md").read_text("utf-8"),
    re.MULTILINE,
)
"""What the page tells an outsider to run: setup, upstream, gate."""


def words(command: str, **places: object) -> list[str]:
    """Return the words of a command of the page, with this test's places in it."""
    stated = {"target": "127.0.0.1:8080", "upstream": "127.0.0.1:9900", "directory": "conformance/"}
    head, _, options = command.partition(" -")
    for name, place in places.items():
        options = options.replace(stated[name], str(place))
    return shlex.split(f"{head} -{options}")


def run(command: str, *more: str, **places: object) -> CompletedProcess[str]:
    """Run a command of the page to its end."""
    asked = [WATCHWORD, *words(command, **places), *more]
    return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=patience(60))


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """Start the page's API; give its address."""
    port = free_port()
    asked = [WATCHWORD, *shlex.split(COMMANDS[1].replace("9900", str(port)))]
    process = subprocess.Popen(asked, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"listens at http://127.0.0.1:{port}\n".encode()
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page's deployment."""
    made: Path = tmp_path_factory.mktemp("outsider")
    done = run(COMMANDS[0], directory=made)
    assert done.returncode == 0, done.stderr
    assert f"bundle for the gate: {made}/bundle.jws" in done.stdout
    return made


def test_page_has_three_commands() -> None:
    """Setup, upstream and gate, in the order in which they are run."""
    assert [command.split()[1] for command in COMMANDS] == ["setup", "upstream", "gate"]


def test_a_gate_that_holds_is_told_so(directory: Path, upstream: str) -> None:
    """The whole corpus against the built-in proxy: exit code 0, and a row for each case."""
    with ENFORCEMENT_POINTS["proxy"](directory, f"http://{upstream}", None) as point:
        places = {"target": f"127.0.0.1:{point.port}", "upstream": upstream, "directory": directory}
        done = run(COMMANDS[2], "--engine", "proxy", "--json", **places)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["case"] for row in rows] == [case.id for case in load_corpus().cases]
        assert {row["outcome"] for row in rows} == {"agreed", "declared"}
        assert all(row["why"] for row in rows if row["outcome"] == "declared")
        # What the server hides from the gate is a difference to whoever doesn't name the engine.
        done = run(COMMANDS[2], "--case", "target", "--case", "path/hash", **places)
        assert done.returncode == 1
        assert "path/hash: " in done.stdout
        assert "got" not in done.stderr


def test_what_guards_nothing_is_told_so(directory: Path, upstream: str) -> None:
    """No gate at all: exit code 1, with the case, what must become of it and what did."""
    places = {"target": upstream, "upstream": upstream, "directory": directory}
    done = run(COMMANDS[2], "--case", "token/missing", **places)
    assert done.returncode == 1
    assert "token/missing: " in done.stdout
    assert "the API saw it 1 times, expected 0" in done.stdout


def test_nobody_there_is_no_verdict(directory: Path, upstream: str) -> None:
    """Exit code 3 where gate or API are missing; 2 for a case or deployment that isn't there."""
    nobody = f"127.0.0.1:{free_port()}"
    for places in (
        {"target": nobody, "upstream": upstream, "directory": directory},
        {"target": upstream, "upstream": nobody, "directory": directory},
    ):
        done = run(COMMANDS[2], "--case", "token/good", **places)
        assert (done.returncode, "Traceback" in done.stderr) == (3, False)
        assert nobody in done.stderr
    places = {"target": upstream, "upstream": upstream, "directory": directory}
    done = run(COMMANDS[2], "--case", "token/none-such", **places)
    assert done.returncode == 2
    assert "token/none-such" in done.stderr
    done = run(COMMANDS[2], **{**places, "directory": directory / "nothing"})
    assert done.returncode == 2
    assert "conformance setup" in done.stderr
