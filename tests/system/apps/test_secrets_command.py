"""Operate on the secrets of a running deployment from the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.machine import patience
from tests.system.apps.test_cli_operate import CONFIG, configure
from tests.unit.apps.forked_commands import command
from tests.unit.enrolment.simulators import CLINIC

from watchword.adapters.gate_bundle import GateBundleFile
from watchword.apps.cli.main import cli
from watchword.apps.service.client import OperatorClient

KEYS = """
secrets:
  keys:
    maps:
      edge:
        origin: https://maps.example.net
        paths: [/geocode/**]
        add: {header: Authorization, prefix: "Bearer "}
        quota: {calls: 100, per: 1d}
    push:
      deliver: {apps: [clinic-ios], lease: 2h}
"""
ROUTES = """
    listen: 127.0.0.1:{port}
    upstream: http://127.0.0.1:9
    routes:
      - {{path: /maps/**, secret: maps}}
      - {{path: /**}}
"""
FIRST, SECOND = "sk_live_FIRSTmarked0001", "sk_live_SECONDmarked002"
RUN = [sys.executable, "-c", "from watchword.apps.cli.main import run; run()"]


@dataclass
class Running:
    """Hold a deployment with secrets in a file, and its process."""

    directory: Path
    process: subprocess.Popen[str]

    def call(self, *arguments: str, value: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``watchword secrets``, a value going in through standard input."""
        return command(self.directory, "secrets", *arguments, given=value or "", COLUMNS="80")

    def json(self, *arguments: str, value: str | None = None) -> dict[str, object]:
        """Run it and return the one JSON object that it printed."""
        done = self.call(*arguments, "--json", value=value)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def injected(self) -> tuple[int, str] | None:
        """Return what the gate adds for the maps: version and value."""
        gates = self.directory / "state" / "gates"
        found = GateBundleFile(gates / "clinic.jws", gates / "signer.jwk").injected("maps")
        return None if found is None else (found.version, found.value.text)


def start(directory: Path) -> Running:
    """Run the service as ``watchword up`` does."""
    with (directory / "log").open("a") as log:
        process = subprocess.Popen(
            [*RUN, "up", "--json"], cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    if not process.stdout.readline():
        process.communicate(timeout=patience(20))
        pytest.fail((directory / "log").read_text())
    return Running(directory, process)


def stop(running: Running) -> None:
    """Stop it as an operator does, if it runs."""
    if running.process.returncode is None:
        running.process.terminate()
        running.process.communicate(timeout=patience(20))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Run a deployment whose file names a key to inject and one to deliver."""
    other, port = configure(tmp_path), configure(tmp_path)
    text = CONFIG.format(port=port, audience=CLINIC)
    text = text.replace("\n    routes: [{path: /**}]\n", ROUTES.format(port=other)) + KEYS
    (tmp_path / "watchword.yaml").write_text(text, encoding="utf-8")
    made = start(tmp_path)
    yield made
    stop(made)


def test_key_goes_in_is_rotated_and_revoked(running: Running) -> None:
    """Each step is at the gate when the command ends, and no output ever holds a value."""
    outputs = []

    def call(*arguments: str, value: str | None = None) -> str:
        done = running.call(*arguments, value=value)
        outputs.append(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "empty" in call("list")
    assert call("add", "maps", value=FIRST + "\n") == (
        "Kept maps: version 1. Gates add version 1.\n"
    )
    assert running.injected() == (1, FIRST)
    (running.directory / "new.key").write_text(SECOND + "\n")
    rotated = call("rotate", "maps", "--overlap", "1d", "--from-file", "new.key")
    assert rotated == "Rotated maps: version 2. Gates add version 2.\n"
    assert running.injected() == (2, SECOND)
    shown = call("show-meta", "maps")
    assert re.search(r"version 1  overlap   made \d+[sm] ago, ends in (23h|1d)", shown)
    assert "sent to https://maps.example.net for GET /geocode/**" in shown
    assert "added by clinic on /maps/**" in shown
    users = call("who-uses", "maps")
    assert "gate of clinic adds it" in users
    assert "nobody that we know of" in users
    assert "version 2." in call("revoke", "maps", "--version", "2", "--because", "it leaked")
    assert running.injected() == (1, FIRST)
    revoked = call("revoke", "maps", "--all", "--because", "it leaked")
    assert revoked == "Revoked maps: version 1.\nNo version counts now.\n"
    assert running.injected() is None
    listed = call("list")
    assert "ended" in listed
    for line in "".join(outputs).splitlines():
        assert len(line) <= 80
        assert "marked" not in line
    assert "marked" not in (running.directory / "log").read_text()
    with OperatorClient(running.directory / "state" / "operator.sock") as service:
        trail = str(service.get("/v1/audit"))
    assert "secret.rotated" in trail
    assert "marked" not in trail


def test_disk_holds_no_value_but_where_gates_read(running: Running) -> None:
    """The file of the secrets is encrypted; it and the gate's bundle are for this user alone; no other file has any."""
    assert running.call("add", "maps", value=FIRST).returncode == 0
    assert running.call("add", "push", value="-----BEGIN-----\nmarked\n").returncode == 0
    state = running.directory / "state"
    holding = [
        each.name for each in state.rglob("*") if each.is_file() and b"marked" in each.read_bytes()
    ]
    assert holding == []
    secrets = [each for each in state.rglob("*") if each.name in {"secrets.json", "clinic.jws"}]
    assert len(secrets) == 2
    assert {each.stat().st_mode & 0o777 for each in secrets} == {0o600}


def test_json_is_for_scripts(running: Running) -> None:
    """Versions, states and times; the same names as the human view."""
    added = running.json("add", "push", value="first\nsecond")
    assert (added["version"], added["state"]) == (1, "good")
    assert added["deliver"] == {"apps": ["clinic-ios"], "level": "hardware", "lease": 7200}
    users = running.json("who-uses", "push")
    assert (users["gates"], users["leases"]) == ([], [])
    lines = [json.loads(line) for line in running.call("list", "--json").stdout.splitlines()]
    assert [(each["name"], each["state"]) for each in lines] == [
        ("maps", "empty"),
        ("push", "good"),
    ]


def test_exit_codes(running: Running) -> None:
    """1 refused, 2 wrong usage, 3 no service; and what is wrong, without the value."""
    assert running.call("add", "maps", value=FIRST).returncode == 0
    for arguments, value, code, reason in (
        (("add", "maps"), SECOND, 1, "secret.exists"),
        (("add", "nobody"), SECOND, 1, "secret.unknown"),
        (("add", "../keys"), SECOND, 1, "secret.unknown"),
        (("rotate", "maps"), f"{SECOND}\n\n", 1, "secret.value"),
        (("rotate", "maps"), "", 1, "secret.value"),
        (("rotate", "maps", "--expect", "7"), SECOND, 1, "secret.conflict"),
        (("rotate", "maps", "--overlap", "91d"), SECOND, 2, "up to 90d"),
        (("rotate", "maps", "--overlap", "soon"), SECOND, 2, "expected 0 or a duration"),
        (("revoke", "maps", "--because", "x"), "", 2, "--version"),
        (("revoke", "maps", "--all", "--version", "1", "--because", "x"), "", 2, "--version"),
        (("revoke", "maps", "--version", "9", "--because", "x"), "", 1, "secret.unknown"),
    ):
        done = running.call(*arguments, value=value)
        assert (done.returncode, reason in done.stderr) == (code, True), (arguments, done.stderr)
        assert "marked" not in done.stdout + done.stderr
    assert running.injected() == (1, FIRST)
    stop(running)
    assert running.call("list").returncode == 3


def test_value_is_in_no_process_list(running: Running) -> None:
    """While a value waits to be read, no command line or environment of ours shows it."""
    process = subprocess.Popen(
        [*RUN, "secrets", "add", "maps"], cwd=running.directory, stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(FIRST)
    process.stdin.flush()
    time.sleep(0.5)
    for each in (process.pid, running.process.pid):
        for what in ("cmdline", "environ"):
            assert b"marked" not in Path(f"/proc/{each}/{what}").read_bytes()
    process.stdin.close()
    assert process.wait(timeout=patience(30)) == 0
    assert running.injected() == (1, FIRST)


def test_killed_service_has_what_it_acknowledged(running: Running) -> None:
    """After kill -9 and a start the gate injects what was acknowledged last, and the trail names it."""
    assert running.call("add", "maps", value=FIRST).returncode == 0
    assert running.call("rotate", "maps", value=SECOND).returncode == 0
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.communicate(timeout=patience(20))
    again = start(running.directory)
    try:
        assert again.injected() == (2, SECOND)
        assert again.json("show-meta", "maps")["state"] == "good"
        with OperatorClient(running.directory / "state" / "operator.sock") as service:
            trail = service.get("/v1/audit")["entries"]
        assert [each["detail"] for each in trail if each["action"] == "secret.rotated"] == [
            {"version": 2}
        ]
    finally:
        stop(again)


def test_master_key_is_rotated(running: Running) -> None:
    """The file goes under a new key that is made for it; with the old one alone nobody reads it any more."""
    assert running.call("add", "maps", value=FIRST).returncode == 0
    stop(running)
    directory = running.directory
    config = directory / "watchword.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace("secrets:\n", "secrets:\n  master_key: {file: new-master.key}\n"),
        encoding="utf-8",
    )
    old = "state/master.key"
    wrong = running.call("rewrap")
    assert (wrong.returncode, "secret.store_unavailable" in wrong.stderr) == (3, True)
    done = running.call("rewrap", "--old", old)
    assert (done.returncode, done.stdout.split(" data")[0]) == (0, "Rewrapped 1"), done.stderr
    assert "a revocation is forgotten by the restart" in " ".join(done.stderr.split())
    assert (directory / "new-master.key").stat().st_mode & 0o777 == 0o600
    (directory / old).unlink()
    again = start(directory)
    try:
        assert again.json("show-meta", "maps")["state"] == "good"
        assert again.call("rotate", "maps", value=SECOND).returncode == 0
        assert again.injected() == (2, SECOND)
    finally:
        stop(again)


def test_canary_is_told_once(running: Running) -> None:
    """The key alone goes to standard output; the list and a second command don't have it."""
    done = running.call("canary", "add", "old-api-key", "--like", "stripe", "--note", "BuildConfig")
    assert done.returncode == 0, done.stderr
    key = done.stdout.strip()
    assert key.startswith("sk_live_51")
    assert "STRIPE_SECRET_KEY" in done.stderr
    listed = running.call("canary", "list")
    assert running.json("canary")["uses"] == 0
    assert "old-api-key  stripe" in listed.stdout
    assert "BuildConfig" in listed.stdout
    assert key not in listed.stdout + (running.directory / "log").read_text()
    assert running.call("canary", "alarms").stdout == "No alarms.\n"
    assert running.call("canary", "add", "old-api-key", "--like", "aws").returncode == 1
    assert running.call("canary", "remove", "old-api-key").stdout == "Removed old-api-key.\n"
    assert running.call("canary", "list").stdout == "No canaries.\n"


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("list",),
        ("add",),
        ("rotate",),
        ("revoke",),
        ("show-meta",),
        ("who-uses",),
        ("rewrap",),
        ("canary",),
        ("canary", "add"),
        ("canary", "list"),
        ("canary", "remove"),
        ("canary", "alarms"),
    ],
)
def test_help_has_an_example(command: tuple[str, ...]) -> None:
    """Each command says how it is called."""
    done = CliRunner().invoke(cli, ["secrets", *command, "--help"])
    assert done.exit_code == 0
    assert "Example: watchword secrets" in done.output
