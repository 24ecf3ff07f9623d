"""Show the watcher as it runs for days, and what a check leaves for the plan."""

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.machine import patience
from tests.ports import free_port
from tests.unit.apps.pins_cli import Shell
from tests.unit.apps.pins_servers import HOST, new_key
from tests.unit.apps.pins_yard import Yard, yard

from watchword.apps.settings.template import TEMPLATE

START = "from watchword.apps.cli.entry import run; run()"


@contextmanager
def watching(made: Yard, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the watcher until the block ends."""
    words = ["-c", str(made.config), "pins", "watch", "--interval", "1s", *arguments, *made.options]
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", START, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=patience(30))


def test_it_tells_when_something_begins_and_when_it_is_over(tmp_path: Path) -> None:
    """One line each, not one for each check; metrics follow; Ctrl-C ends it quietly."""
    port = free_port()
    with yard(tmp_path) as made:
        made.publish()
        current = made.running.context
        assert current is not None
        with watching(made, "--listen", f"127.0.0.1:{port}") as process:
            assert process.stdout is not None
            assert "good: all is as it should be" in process.stdout.readline()
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
            assert f'host="{HOST}"' in page
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
            made.show(new_key())
            line = process.stdout.readline()
            assert "bad: api.example.com: " in line
            assert "apps report it -> is it yours?" in line
            made.running.context = current
            assert f"over: {HOST}: not-pinned" in process.stdout.readline()
        assert process.returncode == 130
        assert process.stderr is not None


def test_it_goes_on_through_a_fault(tmp_path: Path) -> None:
    """A file that is being edited, or a workspace that is being restored, stops no watch for good."""
    with yard(tmp_path) as made:
        made.publish()
        good = made.config.read_text()
        with watching(made) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert "good" in process.stdout.readline()
            made.config.write_text("pins: [\n")
            assert "fault" in process.stderr.readline()
            made.config.write_text(good)
            made.show(new_key())
            assert "bad: api.example.com: " in process.stdout.readline()


def test_a_check_is_recorded_and_the_plan_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Signed by an observer that the file knows, at the API, and bound to its generation."""
    with yard(tmp_path) as made:
        shell = Shell(made.config, monkeypatch, capsys)
        pins = yaml.safe_dump(
            {
                "pins": {
                    "report_first": "1s",
                    "hosts": {HOST: {"apps": ["clinic-android"], "mode": "enforce"}},
                }
            }
        )
        observed = TEMPLATE.replace(
            "plan:\n  assets:", "plan:\n  observers: {ci: {key: ci.jwk}}\n  assets:"
        )
        made.publish()
        made.config.write_text(observed + pins)
        made.publish(after=10)
        shell.monkeypatch.chdir(tmp_path)
        subprocess.run(
            [
                sys.executable,
                "-c",
                START,
                "-c",
                str(made.config),
                "observe",
                "keygen",
                "-o",
                str(tmp_path / "ci.pem"),
            ],
            check=True,
            capture_output=True,
        )
        sign = ("check", "--sign", "ci.pem", "--api")
        assert "expected an API of" in shell(*sign, "nobody", *made.options, code=2).err
        done = shell(*sign, "clinic", *made.options)
        assert "Recorded PR-C03 as proven at api:clinic" in done.err
        assert "warning" not in done.err
        made.show(new_key())
        broken = shell(*sign, "clinic", "--json", *made.options, code=1)
        assert broken.json["recorded"] == 1
        assert "as broken" in broken.err
        listed = subprocess.run(
            [sys.executable, "-c", START, "-c", str(made.config), "observe", "list", "--json"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    said = [json.loads(line) for line in listed.splitlines()]
    assert "live:pins.expiry_days" in json.dumps(said)
