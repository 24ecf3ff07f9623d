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

from watchword import __version__
from watchword.apps.cli.main import COMMANDS
from watchword.apps.demo.scenario import line_of
from watchword.drill.registry import ATTACKS

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
    """Return the shell commands of the five minutes, in order."""
    page = (ROOT / "docs" / "five-minutes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 5
    # The marks tell the outputs of the steps apart.
    return "\n".join(f"echo '=== {number}'\n{block}" for number, block in enumerate(blocks))


def test_five_minutes_go_as_the_page_says(tmp_path: Path) -> None:
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


def test_plan_on_its_page_is_real() -> None:
    """Each line of the plan that its page shows is one that its command prints, in this order."""
    page = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8")
    block = re.search(r"```text\n(Today .*?)```", page, re.DOTALL)
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


def test_every_command_is_in_one_table() -> None:
    """A command that no table names is one that nobody finds; the README leads to the table."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    table = page.split("| command | does |")[1].split("\n## ")[0]
    assert [command for command in COMMANDS if f"| [`{command}`](#" not in table] == []
    assert "(docs/reference/commands.md)" in README


def test_the_readme_stays_short() -> None:
    """What doesn't fit belongs on a page of the documentation; the numbers and the picture of the parts are those of elsewhere."""
    assert len(README) <= 9_000
    assert f"{len(ATTACKS)} attacks on your own deployment" in README
    (cases,) = re.findall(r"held to one corpus of (\d+) requests", README)
    assert f"all {cases} cases" in (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
    install = f'pip install "dist/watchword-{__version__}-py3-none-any.whl[server]"'
    assert f"```sh\n{install}\n```" in README
    assert f"`{install}`" in (ROOT / "docs" / "five-minutes.md").read_text(encoding="utf-8")
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"```mermaid\n.*?```", README, re.DOTALL)
    assert drawn in index


def test_the_readme_says_its_status_before_its_first_section() -> None:
    """Nobody has to scroll to learn that no live device was tried, nor an SDK on one."""
    opening = README.split("\n## ")[0]
    assert "No live device has met it yet" in opening
    assert "The SDKs for Android and iOS are new: no real phone has run them" in opening


def test_the_readme_protects_an_application(tmp_path: Path) -> None:
    """Its steps, word for word: a script, a tampered phone and a stolen token are refused, the phone is served, and no attack gets through."""
    section = README.split("## Protect your API in five minutes")[1].split("\n## ")[0]
    (application,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "app.py").write_text(application, encoding="utf-8")
    script = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    moved = dict(zip(("8440", "9000"), [free_port() for _ in range(2)], strict=True))
    for old, new in moved.items():
        script = script.replace(old, str(new))
    edit = " ".join(f"-e s/{old}/{new}/g" for old, new in moved.items())
    script = script.replace("watchword init\n", f"watchword init\nsed -i {edit} watchword.yaml\n")
    done = subprocess.run(
        ["bash", "-mc", PREAMBLE.format(bin=Path(sys.executable).parent) + script + "\nwait\n"],
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
        cwd=tmp_path,
    )
    out = done.stdout
    assert "watchword.yaml is good." in out
    assert "api          clinic: guarded by a middleware" in out
    assert out.index("401 Unauthorized") < out.index("200 OK") < out.index('{"patients":40}')
    assert "policy.bootloader_unlocked" in done.stderr
    assert '"reasons":["proof.missing"]' in out
    assert re.search(r"\n +0 OPEN .* [1-9]\d* STOPPED", out)
    assert "Genuine app: served 60 of 60." in out
    assert "Traceback" not in out + done.stderr
    url = f"http://127.0.0.1:{moved['9000']}/patients.json"
    assert [line.split("  #")[0].rstrip() for line in out.splitlines() if "FAILED: " in line] == [
        f"FAILED: watchword lab request unlocked-android {url}",
        f"FAILED: watchword lab request genuine-iphone {url} --proof bearer",
    ]


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
