"""Show ``watchword drill`` as people and their CI meet it."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.machine import patience
from tests.unit.apps.forked_commands import command
from tests.unit.apps.service_process import WATCHWORD, configuration, running, upstream, watchword

ROOT = Path(__file__).parents[3]
OBSERVED = {"plan:\n  assets:": "plan:\n  observers: {ci: {key: ci.jwk}}\n  assets:"}
MONITORED = {"mode: enforce\n": "mode: monitor\n"}


@contextmanager
def deployed(tmp_path: Path, **replace: str) -> Iterator[Path]:
    """Run an API behind Watchword, by the file that `watchword init` writes."""
    with upstream() as port:
        file = configuration(tmp_path, port, **OBSERVED, **replace)
        key = watchword(file, "observe", "keygen", "-o", str(tmp_path / "ci.pem"))
        assert key.returncode == 0, key.stderr
        with running(file):
            yield file


def drill(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the drill, and hold it to what holds always: no trace, whatever happens."""
    done = command(file.parent, "-c", str(file), "drill", *arguments, timeout=120)
    assert "Traceback" not in done.stdout + done.stderr
    assert "internal error" not in done.stderr
    return done


def first_of_the_plan(file: Path) -> str:
    """Return what the plan puts first."""
    document = json.loads(watchword(file, "plan", "--json").stdout)
    return str(document["items"][0]["protection"])


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the counts of a JSON report."""
    counts: dict[str, Any] = json.loads(done.stdout)["counts"]
    return counts


def test_what_is_enforced_is_proven_and_the_plan_counts_it(tmp_path: Path) -> None:
    """Reports in every form, observations that are vouched for, and another plan than before."""
    with deployed(tmp_path) as file:
        before = first_of_the_plan(file)
        names = {kind: tmp_path / f"drill.{kind}" for kind in ("xml", "sarif", "html")}
        done = drill(
            file,
            *("--json", "--sign", str(tmp_path / "ci.pem")),
            *("--junit", str(names["xml"]), "--sarif", str(names["sarif"])),
            *("--html", str(names["html"])),
            *("--fail-on", "open", "--fail-on", "unsure", "--fail-on", "genuine"),
            *("--fail-on", "nothing"),
        )
        assert done.returncode == 0, done.stderr
        counts = verdicts(done)
        assert (counts["open"], counts["unsure"]) == (0, 0)
        assert counts["stopped"] > 30
        report = json.loads(done.stdout)
        # One for each route where a route decides it.
        stated = [each for each in report["findings"] if each["state"]]
        assert report["recorded"] == sum(len(each["routes"] or [None]) for each in stated)
        cases = ET.fromstring(names["xml"].read_text("utf-8")).iter("testcase")
        assert len(list(cases)) > 300
        (log,) = json.loads(names["sarif"].read_text("utf-8"))["runs"]
        told = {each["ruleId"]: each["properties"]["verdict"] for each in log["results"]}
        assert set(told.values()) == {"absent"}
        pins = {name for name in told if name.startswith("pin")}
        assert set(told) == {"canary-used", "token-alone", *pins}
        absent = [each for each in report["findings"] if each["state"] == "absent"]
        assert {each["protection"] for each in absent} == {"PR-B23", "PR-C03", "PR-B03", "PR-B15"}
        assert "script-with-key" in names["html"].read_text("utf-8")
        listed = json.loads(watchword(file, "observe", "list", "--json").stdout.splitlines()[0])
        assert listed
        assert (before, first_of_the_plan(file)) != ("PR-B01", "PR-B01")


def test_in_monitor_a_gate_of_ci_fails(tmp_path: Path) -> None:
    """Exit code 1, the open attacks named, and bad news recorded."""
    with deployed(tmp_path, **MONITORED) as file:
        done = drill(file, "--json", "--fail-on", "open", "--sign", str(tmp_path / "ci.pem"))
        assert done.returncode == 1
        assert verdicts(done)["open"] > 30
        assert "failed:" in done.stderr
        plan = json.loads(watchword(file, "plan", "--json").stdout)
        assert plan["items"][0]["protection"] == "PR-B01"


def test_the_terminal_tells_what_will_be_done_before_and_what_came_of_it(tmp_path: Path) -> None:
    """At 80 columns, in plain lines where nobody looks on."""
    with deployed(tmp_path) as file:
        done = drill(file, "--only", "script-with-key", "--only", "PR-B25", "--genuine", "5")
    assert done.returncode == 0, done.stderr
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    announced, _, rest = done.stdout.partition("stop it")
    assert "on this machine" in announced
    assert "script-with-key" in announced
    assert re.search(r"STOPPED\s+script-with-key", rest)
    assert "5 of 5" in rest
    assert "--sign" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--only", "token-expird"], 2, "token-expired"),
        (["--only", "script-with-key", "--without", "script-with-key"], 2, "no attack"),
        (["--api", "shop"], 2, "clinic"),
        (["--target", "https://user@example.com"], 2, "user"),
        (["--target", "http://10.1.2.3:80"], 2, "10.1.2.3"),
        (["--sign", "nothing.pem"], 2, "nothing.pem"),
        (["--key", "nothing.pem"], 2, "nothing.pem"),
        (["--instance", "nothing.json"], 2, "nothing.json"),
        (["--build", "nothing.apk"], 2, "nothing.apk"),
        (["--rate", "51"], 2, "50"),
        ([], 3, "127.0.0.1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_run_is_told_with_what_to_do(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    """Before anything is sent; nothing runs here at all."""
    done = drill(configuration(tmp_path, 9), *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_what_was_interrupted_is_reported_and_proves_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends it within a moment, with 130."""
    with deployed(tmp_path) as file:
        process = subprocess.Popen(
            [
                *WATCHWORD,
                "-c",
                str(file),
                "drill",
                "--json",
                "--genuine",
                "10000",
                "--only",
                "script-with-key",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        # Its row is printed while genuine requests still run.
        for line in process.stderr:
            if "STOPPED" in line:
                break
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=patience(20))
    assert process.returncode == 130
    assert "Traceback" not in errors
    report = json.loads(out)
    assert report["interrupted"]
    assert {each["state"] for each in report["findings"]} == {None}


def test_a_gate_that_nobody_can_reach_is_told(tmp_path: Path) -> None:
    """The service answers, the gate doesn't: exit code 3, and where it was looked for."""
    with deployed(tmp_path) as file, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{closed.getsockname()[1]}"
        done = drill(file, "--target", f"http://{where}")
    assert done.returncode == 3
    assert where in done.stderr


def test_the_attacks_are_listed_and_shown() -> None:
    """For people, and as JSON."""
    file = Path("unused.yaml")
    listed = json.loads(watchword(file, "drill", "attacks", "--json").stdout)
    assert len(listed) > 60
    shown = watchword(file, "drill", "attacks", "token-expired").stdout
    assert "token.expired" in shown
    assert watchword(file, "drill", "attacks", "no-such").returncode == 2


def test_a_test_instance_is_enrolled_once_by_its_code(tmp_path: Path) -> None:
    """From `instances invite` to a file of mode 0600; the code is good for one."""
    with deployed(tmp_path) as file:
        invited = watchword(
            file, "instances", "invite", "--app", "clinic-ios", "--because", "drill"
        )
        code, out = invited.stdout.strip(), tmp_path / "instance.json"

        def enrol(name: Path) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [
                    *WATCHWORD,
                    "-c",
                    str(file),
                    "drill",
                    "enrol",
                    "--app",
                    "clinic-ios",
                    "-o",
                    str(name),
                ],
                input=code,
                capture_output=True,
                text=True,
                timeout=patience(30),
                check=False,
            )

        done = enrol(out)
        assert done.returncode == 0, done.stderr
        assert out.stat().st_mode & 0o777 == 0o600
        assert code not in done.stdout + done.stderr + out.read_text("utf-8")
        again = enrol(tmp_path / "second.json")
        assert again.returncode == 1
        assert not (tmp_path / "second.json").exists()
