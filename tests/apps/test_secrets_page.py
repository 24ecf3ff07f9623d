"""Show that docs/secrets.md is true: every command on it is run as written, in its order, on the example."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "secrets.md").read_text(encoding="utf-8")
# A machine may have no curl; the page's reader has.
CURL = r"""
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


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that looks like the clone; what the page leaves running is ended."""
    (tmp_path / "examples").mkdir()
    for name in ("examples/keys_out", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    yield tmp_path
    pids = tmp_path / "afternoon" / "running.pid"
    for pid in pids.read_text().split() if pids.exists() else ():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_each_step_is_run_as_written(clone: Path) -> None:
    """From the key in the app to the release without one; what each step must show is shown."""
    path = CURL + f'export PATH="{Path(sys.executable).parent}:$PATH" COLUMNS=100\n'
    script = (
        "set -eu\n"
        + path
        + "\n".join(f"echo; echo '== {n}'\n{each}" for n, each in enumerate(STEPS, 1))
    )
    # The example's ports are fixed, as a reader's are; nothing else in the suite listens there.
    done = subprocess.run(
        ["bash", "-c", script.replace("cp -r", "cp -rL")],
        capture_output=True,
        text=True,
        check=False,
        cwd=clone,
        stdin=subprocess.DEVNULL,
        timeout=180,
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
    assert "secret-in-app" not in released
    keys = (clone / "afternoon" / "new-key.txt").read_text() + (
        clone / "afternoon" / "old-key.txt"
    ).read_text()
    for key in (*keys.split(), *(clone / "afternoon" / "canary.txt").read_text().split()):
        assert key not in done.stdout + done.stderr
        assert key not in (clone / "afternoon" / "up.log").read_text()
