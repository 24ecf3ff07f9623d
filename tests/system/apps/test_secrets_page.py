"""Show that docs/secrets.md is true: every command on it is run as written, in its order, on the example."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "secrets.md").read_text(encoding="utf-8")
PORTS = ("8080", "8440", "9000", "9443")
"""Those of the example: other tests, and whoever works on this machine, may listen there."""

# A machine may have no curl; the page's reader has.  And a reader takes his time to look at what he got: a gate looks
# twice a second at what it is told, and writes its alarms once a second.
SHELL = r"""
export no_proxy=localhost,127.0.0.1
watchword() {
  case "$*" in up) exec watchword "$@" ;; "secrets canary alarms") sleep 3 ;; esac
  command watchword "$@" || return
  case "$*" in "secrets add"*|"secrets rotate"*|"secrets canary add"*) sleep 1 ;; esac
}
command -v curl >/dev/null || curl() { python -c '
import argparse, sys, httpx
p = argparse.ArgumentParser()
for name in ("-s", "-i"): p.add_argument(name, action="store_true")
for name in ("--cacert", "-X", "-d", "-o", "-w"): p.add_argument(name)
p.add_argument("-H", action="append", default=[])
p.add_argument("url")
g = p.parse_args()
c = httpx.Client(verify=g.cacert or True, trust_env=False)
headers = dict(each.split(": ", 1) for each in g.H)
a = c.request(g.X or "GET", g.url, headers=headers, content=g.d)
if g.i: print("HTTP/1.1", a.status_code)
if g.w: print(a.status_code)
elif g.o is None: print(a.text)' "$@"; }
"""
STEPS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def test_what_the_page_shows_is_in_the_example() -> None:
    """The pieces of configuration on the page stand in the example's file as they are."""
    file = (ROOT / "examples" / "keys_out" / "watchword.yaml").read_text(encoding="utf-8")
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) == 2
    assert all(each in file for each in shown)


@dataclass(frozen=True)
class Clone:
    """Hold a folder that looks like the clone, and by each port of the example a free one."""

    folder: Path
    ports: Mapping[str, str]

    def moved(self, text: str) -> str:
        """Return a text with the free ports in it."""
        return re.sub("|".join(self.ports), lambda found: self.ports[found[0]], text)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """Return a folder that looks like the clone; what the page leaves running is ended."""
    made = Clone(tmp_path, {port: str(free_port()) for port in PORTS})
    example = tmp_path / "examples" / "keys_out"
    example.mkdir(parents=True)
    for file in (ROOT / "examples" / "keys_out").glob("*.*"):
        # A window of a day ends at midnight, also in the middle of a test.
        text = re.sub("per: (1|30)d", "per: 366d", made.moved(file.read_text(encoding="utf-8")))
        (example / file.name).write_text(text, encoding="utf-8")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    yield made
    pids = tmp_path / "afternoon" / "running.pid"
    for pid in pids.read_text().split() if pids.exists() else ():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_each_step_is_run_as_written(clone: Clone) -> None:
    """From the key in the app to the release without one; what each step must show is shown."""
    path = SHELL + f'export PATH="{Path(sys.executable).parent}:$PATH" COLUMNS=100\n'
    script = (
        "set -eu\n"
        + path
        + "\n".join(f"echo; echo '== {n}'\n{each}" for n, each in enumerate(STEPS, 1))
    )
    done = subprocess.run(
        ["bash", "-c", clone.moved(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=clone.folder,
        stdin=subprocess.DEVNULL,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    told = re.split(r"^== \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    scanned, thief, _, kept, asked, quota, rotated, canary, released, _ = told
    assert "openai-api-key" in scanned
    assert "not to be released" in scanned
    assert "all of them" in thief
    assert "Kept assistant: version 1" in kept
    assert "Drink more water" in asked
    assert "HTTP/1.1 401" in asked
    assert "unlisted path: refused" in asked
    assert quota.count("Drink more water") == 4
    assert "secret.quota" in quota
    assert "call 6: refused until tomorrow" in quota
    assert "Drink more water" in rotated
    assert "version 2" in rotated
    assert canary.startswith("401\n")
    assert "old-assistant-key" in canary
    # The page builds no executable, which the rule says; but it finds no secret.
    assert "A secret of the kind" not in released
    keys = (clone.folder / "afternoon" / "new-key.txt").read_text() + (
        clone.folder / "afternoon" / "old-key.txt"
    ).read_text()
    for key in (*keys.split(), *(clone.folder / "afternoon" / "canary.txt").read_text().split()):
        assert key not in done.stdout + done.stderr
        assert key not in (clone.folder / "afternoon" / "up.log").read_text()
