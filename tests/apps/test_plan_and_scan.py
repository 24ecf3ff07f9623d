"""The plan of the shipped example, before and after a scan of its app: what moves, and what the plan says made it so."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.apps.test_scan_command import dead_token
from tests.scan.app_building import PINS, apk

from watchword.apps.cli.main import cli

EXAMPLE = Path(__file__).parents[2] / "examples" / "api-key-script.yaml"
APP = "clinic-android"
HEAD = f"""\
version: 1
environment: lab
apps:
  {APP}: {{platform: android, package: com.example.clinic}}
"""
KEYS_ELSEWHERE = ("PR-B04", "--key", "live:secrets.delivered", "--target", "api:clinic")
API = 'apis:\n  clinic: {upstream: "http://127.0.0.1:9000", audience: clinic, routes: []}\n'
WIRE = "backend-records:MT-C07>MT-C06>MT-B03"
PACKAGE = "backend-records:MT-A02>MT-C06>MT-B03"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Set up the example with an observer and the app's name, and nothing else changed."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.count("\nversion: 1\n") == text.count("\nplan:\n") == 1
    text = text.replace("\nversion: 1\n", f"\n{HEAD}")
    file = tmp_path / "watchword.yaml"
    file.write_text(text.replace("\nplan:\n", "\nplan:\n  observers: {ci: {key: ci.jwk}}\n"))
    assert run(file, "observe", "keygen", "-o", tmp_path / "ci.pem").exit_code == 0
    return file


def run(file: Path, *arguments: str | Path) -> Result:
    """Run a command on a file."""
    done = CliRunner().invoke(cli, ["-c", str(file), *map(str, arguments)])
    assert "Traceback" not in done.output
    return done


def scanned(file: Path, package: bytes) -> None:
    """Scan a build and record what it says, as the observer."""
    built = file.with_name("app.apk")
    built.write_bytes(package)
    done = run(file, "scan", built, "--sign", file.with_name("ci.pem"), "--app", APP)
    assert done.exit_code == 0, done.output


def plan(file: Path) -> dict[str, Any]:
    """Return the plan of now, and keep it for the next comparison."""
    done = run(file, "plan", "--json")
    assert done.exit_code == 0, done.output
    file.with_name("before.json").write_text(done.stdout, encoding="utf-8")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def order(found: dict[str, Any]) -> list[str]:
    """Return the protections in the order of a plan."""
    return [each["protection"] for each in found["items"]]


def since(file: Path) -> tuple[dict[str, Any], str]:
    """Return what changed since the plan that was kept: for scripts, and for people on one line."""
    before = file.with_name("before.json")
    told = run(file, "plan", "--since", before, "--all")
    assert told.exit_code == 0, told.output
    # A line may end within a date.
    words = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE", " ".join(told.stdout.split()))
    return json.loads(run(file, "plan", "--since", before, "--json").stdout), words


def exposure(found: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return which paths stand otherwise, before and after."""
    return {
        each["id"]: (each["before"], each["after"])
        for each in found["exposure"]
        if each["subject"] == "path"
    }


def test_pins_in_the_build_take_pinning_off_the_list(file: Path) -> None:
    """For the right reason: what the scan saw, where and by whom; what hides the key on the wire stands nearer then."""
    before = order(plan(file))
    assert before[0] == "PR-B01"
    assert "PR-C03" in before
    scanned(file, apk(pins=PINS))
    found, words = since(file)
    after = order(plan(file))
    # The script still works: nothing that a build has in it comes in the way of what stands first.
    assert after[0] == "PR-B01"
    assert set(before) - set(after) == {"PR-C01", "PR-C03"}
    assert exposure(found) == {WIRE: ("open", "delayed")}
    assert (
        "PR-C03 Pinning that can be updated is off the list, since it counts as proven: "
        f"at app:{APP} watchword scan 0.1.0 found it proven on DATE: ci saw it work"
    ) in words
    causes = {(each["id"], each["at"], each["after"]) for each in found["causes"]}
    assert ("PR-C03", f"app:{APP} scan:static.pinning", "proven") in causes
    # That no key was found proves nothing of a server that hands none out.
    assert ("PR-B04", f"app:{APP} scan:static.secret_found", "claimed") in causes
    assert found["worse"] == []


def test_a_build_without_pins_puts_pinning_back(file: Path) -> None:
    """The next build lost them: one cause, one item back, the path on the wire open again."""
    scanned(file, apk(pins=PINS))
    before = order(plan(file))
    scanned(file, apk())
    found, words = since(file)
    assert set(order(plan(file))) - set(before) == {"PR-C03"}
    assert [(each["id"], each["before"], each["after"]) for each in found["causes"]] == [
        ("PR-C03", "proven", "absent")
    ]
    assert exposure(found) == {WIRE: ("delayed", "open")}
    assert re.search(
        rf"PR-C03 Pinning that can be updated is lost, and back: number \d+: at app:{APP} watchword scan 0.1.0 found it absent",
        words,
    )


def test_a_secret_in_the_build_outweighs_that_keys_are_handed_out(file: Path) -> None:
    """Keys come from the backend, and one is in the package all the same: the path by it is open again."""
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("\nplan:\n", f"\n{API}\nplan:\n"), encoding="utf-8")
    done = run(
        file,
        *("observe", "record", *KEYS_ELSEWHERE, "--source", "night run"),
        *("--sign", file.with_name("ci.pem")),
    )
    assert done.exit_code == 0, done.output
    scanned(file, apk())
    before = order(plan(file))
    assert "PR-B04" not in before
    scanned(file, apk(strings=[dead_token()]))
    found, words = since(file)
    assert set(order(plan(file))) - set(before) == {"PR-B04"}
    assert [(each["id"], each["at"], each["after"]) for each in found["causes"]] == [
        ("PR-B04", f"app:{APP} scan:static.secret_found", "absent")
    ]
    assert exposure(found) == {PACKAGE: ("delayed", "open")}
    assert "PR-B04 Keys handed out at run time is lost, and back" in words
    assert dead_token() not in words


def test_a_scan_of_another_build_proves_nothing(file: Path) -> None:
    """The file names the build that is out: pins in another one take nothing off the list."""
    out, other = apk(), apk(pins=PINS)
    text = file.read_text(encoding="utf-8")
    builds = f"\nplan:\n  builds: {{{APP}: {sha256(out).hexdigest()}}}\n"
    file.write_text(text.replace("\nplan:\n", builds), encoding="utf-8")
    scanned(file, other)
    assert "PR-C03" in order(plan(file))
    file.write_text(
        file.read_text(encoding="utf-8").replace(
            sha256(out).hexdigest(), sha256(other).hexdigest()
        ),
        encoding="utf-8",
    )
    assert "PR-C03" not in order(plan(file))


def test_what_wasnt_seen_changes_nothing(file: Path) -> None:
    """A package of which the code is damaged: no protection is proven by what nobody read."""
    before = order(plan(file))
    whole = apk(pins=PINS)
    at = whole.index(b"classes.dex") + len(b"classes.dex") + 20
    scanned(file, whole[:at] + bytes(40) + whole[at + 40 :])
    found, _ = since(file)
    assert order(plan(file)) == before
    # The manifest was read, and says what it says; that is all. Its backups are off, but not for a move to a new phone.
    proven = {each["at"] for each in found["causes"] if each["after"] == "proven"}
    assert proven == {f"app:{APP} scan:static.exported"}
