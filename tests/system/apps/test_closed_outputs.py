"""Show that a command does its work and ends with its code whoever reads the output: a pipe that nobody reads, a full disk."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.system.apps.test_drill_command import MONITORED, deployed
from tests.unit.apps.scanned import leaky, package
from tests.unit.apps.service_process import WATCHWORD

EXAMPLES = Path(__file__).parents[3] / "examples"
SEED = str(EXAMPLES / "api-key-script.yaml")


def unread(*words: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Run a command whose reader is gone before it starts; return its exit code and what it said on stderr."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*WATCHWORD, *map(str, words)],
            stdout=write,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            cwd=cwd,
            timeout=patience(120),
        )
    finally:
        os.close(write)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_scan_fails_and_writes_its_files(tmp_path: Path, form: tuple[str, ...]) -> None:
    """A critical finding stops a release, though ``grep -q`` has read enough."""
    app = leaky(tmp_path / "shop.ipa")
    files = {kind: tmp_path / f"scan.{kind}" for kind in ("sarif", "junit", "html", "cyclonedx")}
    asked = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    code, told = unread("scan", app, *form, "--fail-on", "critical", *asked)
    assert code == 1
    assert told.startswith("failed: ")
    assert [kind for kind, file in files.items() if not file.exists()] == []


def test_full_disk_beneath_the_output_costs_no_file(tmp_path: Path) -> None:
    """Only the standard output is lost: the files are there, and the code says so."""
    app, kept = leaky(tmp_path / "shop.ipa"), tmp_path / "scan.sarif"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*WATCHWORD, "scan", app, "--sarif", kept],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=patience(120),
        )
    assert (done.returncode, done.stderr) == (3, "error: No space left on device\n")
    assert kept.exists()


def test_a_worse_build_is_worse(tmp_path: Path) -> None:
    """``scan diff OLD NEW | head`` is 1 where ``scan diff OLD NEW`` is."""
    old, new = package(tmp_path / "old.ipa"), leaky(tmp_path / "new.ipa")
    assert unread("scan", "diff", old, new) == (1, "")
    assert unread("scan", "diff", new, new) == (0, "")


@pytest.mark.parametrize("form", [(), ("--details",), ("--json",), ("--markdown",)])
def test_plan_fails_and_writes_its_report(tmp_path: Path, form: tuple[str, ...]) -> None:
    """What is open stays open."""
    page = tmp_path / "plan.html"
    code, _ = unread("-c", SEED, "plan", *form, "--fail-on", "open", "--html", page)
    assert code == 1
    assert page.exists()
    assert unread("-c", SEED, "plan", *form)[0] == 0


def test_plan_that_got_worse_fails(tmp_path: Path) -> None:
    """Compared with a plan in which something was proven that isn't now."""
    made = subprocess.run(
        [*WATCHWORD, "-c", SEED, "plan", "--json"], capture_output=True, text=True, check=True
    )
    plan = json.loads(made.stdout)
    for asset in plan["exposure"]:
        asset["now"] = "closed"
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(plan), encoding="utf-8")
    assert unread("-c", SEED, "plan", "--since", earlier, "--fail-on", "worse")[0] == 1
    assert unread("plan", "diff", earlier, earlier)[0] == 0


def test_check_tells_faults(tmp_path: Path) -> None:
    """A file with faults is refused, one without isn't."""
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text("version: 1\napis: 7\n", encoding="utf-8")
    assert unread("-c", faulty, "check")[0] == 2
    assert unread("-c", faulty, "check", "--json")[0] == 2
    assert unread("-c", SEED, "check")[0] == 0


def test_drill_fails_writes_and_records(tmp_path: Path) -> None:
    """A run isn't cut short where nobody reads on, and what it found is recorded."""
    kept = tmp_path / "drill.xml"
    with deployed(tmp_path, **MONITORED) as file:
        asked = ("--only", "script-with-key", "--genuine", "2", "--sign", tmp_path / "ci.pem")
        code, told = unread(
            *("-c", file, "drill", "--fail-on", "open", "--junit", kept, *asked), cwd=tmp_path
        )
    assert code == 1
    assert "failed: " in told
    assert "Recorded " in told
    assert kept.exists()


def test_conformance_tells_what_differs(tmp_path: Path) -> None:
    """An API without a gate differs, read or not."""
    made = tmp_path / "conformance"
    assert unread("conformance", "setup", "-o", made)[0] == 0
    port = str(free_port())
    served = [*WATCHWORD, "conformance", "upstream", "--port", port]
    with subprocess.Popen(served, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("listens at ")
            place = f"http://127.0.0.1:{port}"
            asked = ("--target", place, "--upstream", place, "--deployment", made)
            for form in ((), ("--json",)):
                code, told = unread("conformance", "gate", *asked, "--case", "token/missing", *form)
                assert (code, told) == (1, "")
        finally:
            process.kill()


def test_errors_that_nobody_reads_keep_their_code(tmp_path: Path) -> None:
    """``2>&1 | head`` closes the stream of errors as well."""
    app = leaky(tmp_path / "shop.ipa")
    read, write = os.pipe()
    os.close(read)
    try:
        for words, code in (
            (["scan", app, "--fail-on", "critical"], 1),
            (["scan", tmp_path / "none.apk"], 2),
            (["scann"], 2),
        ):
            done = subprocess.run(
                [*WATCHWORD, *map(str, words)],
                stdout=write,
                stderr=write,
                check=False,
                timeout=patience(120),
            )
            assert done.returncode == code
    finally:
        os.close(write)
