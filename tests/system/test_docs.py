"""Show that the documentation is true: links resolve, examples run, printed output is real."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import Once
from tests.machine import patience
from tests.ports import free_port
from tests.system.apps.played_demo import acts_of, told_as_json
from tests.unit.apps.scanned import dead_token
from tests.unit.scan.app_builders import apk

from watchword.apps.cli.main import COMMANDS
from watchword.apps.demo.scenario import line_of

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
README = (ROOT / "README.md").read_text(encoding="utf-8")

# A machine may have no curl; the README's reader has.
PREAMBLE = """\
set -uE
trap 'echo "FAILED: $BASH_COMMAND"' ERR
export PATH="{bin}:$PATH"
command -v curl >/dev/null || curl() {{ python -c '
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[-1])
except urllib.error.HTTPError as error:
    answer = error
except urllib.error.URLError:
    sys.exit(7)
print("HTTP/1.1", answer.status)
print(answer.headers, answer.read().decode())' "$@"; }}
"""


def name(page: Path) -> str:
    """Return a page's path for the test's id."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there."""
    targets = [
        target
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if not re.match(r"[a-z]+:", target)
    ]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def five_minutes() -> str:
    """Return the shell commands of the README's five minutes, in order."""
    section = README.split("## Protect your own API in five minutes")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) >= 5
    # The marks tell the outputs of the steps apart.
    return "\n".join(f"echo '=== {number}'\n{block}" for number, block in enumerate(blocks))


def test_five_minutes_go_as_the_readme_says(tmp_path: Path) -> None:
    """Its commands, run one after the other, refuse the script and serve the phone."""
    script = five_minutes().replace("mktemp -d", f"mktemp -d -p {tmp_path}")
    moved = dict(zip(("8440", "8080", "9000"), [free_port() for _ in range(3)], strict=True))
    for old, new in moved.items():
        script = script.replace(old, str(new))
    edit = " ".join(f"-e s/{old}/{new}/g" for old, new in moved.items())
    script = script.replace("watchword init\n", f"watchword init\nsed -i {edit} watchword.yaml\n")
    # The clone's own .venv is where this test runs from.
    script = re.sub(r"export PATH=.*\n", "", script)
    bin_ = Path(sys.executable).parent
    ending = "\nwait\n"
    done = subprocess.run(
        ["bash", "-mc", PREAMBLE.format(bin=bin_) + script + ending],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
        cwd=tmp_path,
    )
    out = done.stdout
    assert "watchword.yaml is good." in out
    steps = out.split("=== ")
    refused = next(step for step in steps if '"reasons":["token.missing"]' in step)
    assert "401" in refused
    assert "token-required" in refused
    served = next(step for step in steps if '{"patients": 40}' in step)
    assert served.index("200 OK") < served.index('{"patients": 40}')
    assert "policy.bootloader_unlocked" in out + done.stderr
    assert "clinic-ios" in out
    assert "Traceback" not in out + done.stderr
    failed = [line for line in out.splitlines() if line.startswith("FAILED: ")]
    url = f"http://127.0.0.1:{moved['8080']}/patients.json"
    assert failed == [
        f"FAILED: watchword lab request unlocked-android {url}",
        f"FAILED: watchword lab request genuine-iphone {url} --proof bearer",
    ]
    (proved,) = [step for step in steps if "--proof bearer" in step]
    assert proved.index("200 OK") < proved.index('"reasons":["proof.missing"]')


def test_the_example_runs_as_its_page_says(tmp_path: Path) -> None:
    """The script gets 401 and the phone 200, from the application itself."""
    folder = ROOT / "examples" / "fastapi_clinic"
    moved = dict(zip(("8440", "9000"), [free_port() for _ in range(2)], strict=True))
    for name_ in ("app.py", "watchword.yaml"):
        text = (folder / name_).read_text(encoding="utf-8")
        (tmp_path / name_).write_text(text.replace("8440", str(moved["8440"])))
    page = (folder / "README.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for old, new in moved.items():
        script = script.replace(old, str(new))
    script = re.sub(r"(export PATH=|cd ).*\n", "", script)
    done = subprocess.run(
        ["bash", "-mc", PREAMBLE.format(bin=Path(sys.executable).parent) + script + "\nwait\n"],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
        cwd=tmp_path,
    )
    assert "401" in done.stdout
    assert '"patient":17' in done.stdout.replace(" ", "")
    assert re.findall(r"FAILED: .*(--.*)", done.stdout) == ["--proof bearer"]
    assert done.stdout.count("FAILED") == 1
    assert '"reasons":["proof.missing"]' in done.stdout


def test_demo_output_in_the_readme_is_real(once: Once) -> None:
    """The README shows the decisive lines of the demo, all of them in their order, and counts acts as a run does."""
    blocks = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    (block,) = [each for each in blocks if "acts as expected" in each]
    *shown, count = [line for line in block.splitlines() if line.strip() not in {"", "..."}]
    acts = acts_of(told_as_json(once)[0])
    assert shown == [line_of(act, 80).plain for act in acts if act.decisive]
    assert re.sub(r"in [0-9.]+ s", "in N s", count) == (
        f"{len(acts)} of {len(acts)} acts as expected, in N s."
    )


def test_plan_in_the_readme_is_real() -> None:
    """Each line of the plan that the README shows is one that its command prints, in this order."""
    block = re.search(r"```text\n(Today .*?)```", README, re.DOTALL)
    assert block is not None
    shown = [line for line in block[1].splitlines() if line not in {"", "..."}]
    done = subprocess.run(
        [Path(sys.executable).with_name("watchword"), "-c", "examples/api-key-script.yaml", "plan"],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "110"},  # noqa: TID251 - a wide terminal.
    )
    printed = iter(done.stdout.splitlines())
    assert [line for line in shown if line not in printed] == []
    assert len(shown) > 12


def test_scan_in_the_readme_is_real(tmp_path: Path) -> None:
    """Each line of the scan that the README shows is one that its command prints, in this order."""
    block = re.search(r"```text\n(app-release\.apk\n.*?)```", README, re.DOTALL)
    assert block is not None
    (tmp_path / "app-release.apk").write_bytes(apk(strings=[dead_token()]))
    (command,) = re.findall(r"^    \.venv/bin/watchword (scan .*)$", README, re.MULTILINE)
    done = subprocess.run(
        [Path(sys.executable).with_name("watchword"), *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience(60),
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "110"},  # noqa: TID251 - a wide terminal.
    )
    assert done.returncode == 1

    def timeless(text: str) -> list[str]:
        return re.sub(r"\d+\.\d s\.", "N s.", text).splitlines()

    shown = [line for line in timeless(block[1]) if line not in {"", "..."}]
    printed = iter(timeless(done.stdout))
    assert [line for line in shown if line not in printed] == []
    assert len(shown) > 12


def test_readme_names_every_command() -> None:
    """A command that the README doesn't name is one that nobody finds."""
    table = README.split("## Commands")[1].split("\n## ")[0]
    assert [
        command for command in COMMANDS if f"`{command}" not in table.replace("watchword ", "")
    ] == []


def test_python_in_the_readme_protects_an_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines, run beside a ``watchword.yaml``, make an application that refuses a script."""
    block = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert block is not None
    example = ROOT / "examples" / "fastapi_clinic" / "watchword.yaml"
    (tmp_path / "watchword.yaml").write_text(example.read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block[1], "README.md", "exec"), names)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(names["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://clinic") as client:
            return await client.get("/v1/patients/1")

    answer = asyncio.run(get())
    # No service has published its keys in this directory: closed, and not even known to be a lab.
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:watchword:problem:unavailable"
    assert "reasons" not in answer.json()
