"""The plan of the shipped example, before and after a scan of its app: what moves, and what the plan says made it so."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.apps.scan_views import seed
from tests.unit.apps.scanned import dead_token
from tests.unit.apps.test_observations import CI
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.test_frameworks import CSHARP

from watchword import __version__
from watchword.apps.cli.main import cli
from watchword.apps.observations.document import Observers, sign, verify
from watchword.apps.scan.context import observations_of
from watchword.observations import State
from watchword.scan.interface import Severity, Verdict
from watchword.scan.outcome import Standing
from watchword.vocabulary import Environment

EXAMPLE = Path(__file__).parents[3] / "examples" / "api-key-script.yaml"
APP = "clinic-android"
HEAD = f"""\
version: 1
environment: lab
apps:
  {APP}:
    platform: android
    package: com.example.clinic
    signing_digests: [4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718]
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
        f"at app:{APP} watchword scan {__version__} found it proven on DATE: ci found in the package"
    ) in words
    causes = {(each["id"], each["at"], each["after"]) for each in found["causes"]}
    assert ("PR-C03", f"app:{APP} scan:static.pinning", "proven") in causes
    # That no key was found proves nothing of a server that hands none out.
    assert ("PR-B04", f"app:{APP} scan:static.secret_found", "claimed") in causes
    assert found["worse"] == []


def test_code_that_wasnt_read_takes_nothing_off_the_list(file: Path) -> None:
    """The same pins in an app whose code is a C# assembly: nobody read whether it checks certificates, so that nothing counts."""
    before = order(plan(file))
    scanned(file, apk(pins=PINS, more={"assemblies/Clinic.dll": CSHARP}))
    found, _ = since(file)
    assert order(plan(file)) == before
    assert exposure(found) == {}
    done = run(file, "scan", file.with_name("app.apk"))
    words = " ".join(done.stdout.split())
    assert (
        "Not seen: code that wasn't read: .NET (Xamarin, MAUI) in assemblies/Clinic.dll." in words
    )
    for never in (
        "nothing was missed",
        "The platform's check of certificates and names is in force",
        "The app doesn't look for signs of root",
        "names no cipher that is broken",
        " proven scan:static.trust_manager",
    ):
        assert never not in words
    assert "PR-C02 says nothing" in words


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
        rf"Lost: PR-C03 Pinning that can be updated, in build \w{{8}} of {APP}\. No pins: ", words
    )
    assert re.search(r"PR-C03 Pinning that can be updated is back on the list: number \d+", words)


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
    assert "Fails: PR-B04 Keys handed out at run time, in build " in words
    assert "A secret of the kind github-pat is in the package" in words
    assert "PR-B04 Keys handed out at run time is back on the list" in words
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


LIVE = f"sk{'_'}live_Vq8ZtR2mWc5Lx9KpD3hYbN7j"
"""A key of Stripe's live form that nobody was ever given."""


def released(file: Path, package: bytes) -> tuple[Path, Path]:
    """Scan and record a build as docs/ci.md says, and keep what its scan and its plan were."""
    scanned(file, package)
    scan, kept = file.with_name("released-scan.json"), file.with_name("released-plan.json")
    scan.write_text(run(file, "scan", file.with_name("app.apk"), "--json").stdout, "utf-8")
    kept.write_text(run(file, "plan", "--json").stdout, "utf-8")
    return scan, kept


def compared(file: Path, kept: tuple[Path, Path], package: bytes) -> tuple[Result, Result]:
    """Scan and record the next build, and return what `scan diff` and `plan --since --fail-on worse` make of it."""
    scanned(file, package)
    scan, plan = kept
    return (
        run(file, "scan", "diff", scan, file.with_name("app.apk")),
        run(file, "plan", "--since", plan, "--fail-on", "worse"),
    )


def news(done: Result) -> str:
    """Return what got worse, on one line."""
    return " ".join(done.stdout.split()).partition("The order now")[0]


def test_a_build_that_loses_its_pins_and_gains_a_key_fails_both(file: Path) -> None:
    """All assets are open before as after: both commands exit with 1 and name both, and the secret stands nowhere."""
    kept = released(file, apk(pins=PINS))
    before = json.loads(kept[1].read_text("utf-8"))
    assert {each["now"] for each in before["exposure"]} == {"open"}
    worse = apk(strings=[LIVE])
    scan, plan = compared(file, kept, worse)
    after = json.loads(run(file, "plan", "--json").stdout)
    assert {each["now"] for each in after["exposure"]} == {"open"}
    assert scan.exit_code == plan.exit_code == 1
    said = " ".join(scan.stdout.split())
    assert "PR-B04 scan:static.secret_found: claimed -> absent. A secret of the kind stripe" in said
    assert "PR-C03 scan:static.pinning: proven -> absent. No pins" in said
    build = sha256(worse).hexdigest()[:8]
    where = f"in build {build} of {APP}."
    assert f"PR-B04 Keys handed out at run time, {where} A secret of the kind stripe" in news(plan)
    assert f"Lost: PR-C03 Pinning that can be updated, {where} No pins: any authority" in news(plan)
    assert "isn't there" not in plan.stdout
    assert LIVE not in scan.output + plan.output + kept[1].read_text("utf-8")


def test_the_same_build_again_is_no_worse(file: Path) -> None:
    """Exit 0 from both, and both say so; also where the build was bad before."""
    for package in (apk(pins=PINS), apk(strings=[LIVE])):
        scan, plan = compared(file, released(file, package), package)
        assert scan.exit_code == plan.exit_code == 0
        assert "No difference." in scan.stdout
        assert "Nothing got worse." in news(plan)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([LIVE], [LIVE, dead_token()], "A secret of the kind github-pat"),
        ([LIVE], [LIVE[:-4] + "9Qx7"], "A secret of the kind stripe"),
    ],
    ids=["one-more", "rotated"],
)
def test_a_key_more_is_worse_where_one_leaked_before(
    file: Path, old: list[str], new: list[str], said: str
) -> None:
    """The protection failed before and fails now: what is new against it is told; a new value is a new secret to revoke."""
    scan, plan = compared(file, released(file, apk(strings=old)), apk(strings=new))
    assert scan.exit_code == plan.exit_code == 1
    assert "New against: PR-B04 Keys handed out at run time, in build" in news(plan)
    assert said in news(plan)
    assert "PR-C03" not in news(plan)
    assert "The plans are the same" not in plan.stdout
    scan, plan = compared(file, released(file, apk(strings=new)), apk(strings=new[:1]))
    assert plan.exit_code == scan.exit_code == 0


def test_what_isnt_seen_any_more_is_lost(file: Path) -> None:
    """The code of the new build is damaged: that its pins couldn't be seen doesn't leave those of the old one proven."""
    whole = apk(pins=PINS)
    kept = released(file, whole)
    at = whole.index(b"classes.dex") + len(b"classes.dex") + 20
    scan, plan = compared(file, kept, whole[:at] + bytes(40) + whole[at + 40 :])
    assert scan.exit_code == plan.exit_code == 1
    assert "PR-C03 scan:static.pinning: proven -> says nothing" in " ".join(scan.stdout.split())
    assert "Lost: PR-C03 Pinning that can be updated" in news(plan)
    assert "a newer build was scanned, and it wasn't seen there" in news(plan)
    listed = run(file, "observe", "list", "--json")
    rigs = [json.loads(each) for each in listed.stdout.splitlines()]
    assert {each["stands"] for each in rigs if each["key"] == "scan:static.pinning"} == {"stale"}


def test_a_newer_version_of_the_scan_may_be_all_that_is_new(file: Path) -> None:
    """The earlier plan rests on another version: a new rule's finding is told, and that it may be no news of the build."""
    kept = released(file, apk(strings=[LIVE]))
    old = json.loads(kept[1].read_text("utf-8"))
    rows = [*old["failing"], *(each for item in old["items"] for each in item["evidence"])]
    for each in rows:
        each["source"] = "watchword scan 0.0.9"
        each["findings"] = []
    kept[1].write_text(json.dumps(old), "utf-8")
    _, plan = compared(file, kept, apk(strings=[LIVE]))
    assert plan.exit_code == 1
    assert "New against: PR-B04" in news(plan)
    assert "; before it was watchword scan 0.0.9, which may look for less)" in news(plan)


def test_a_finding_that_is_more_severe_is_worse(file: Path) -> None:
    """What was low is critical now: told with what it is now."""
    kept = released(file, apk(strings=[LIVE]))
    old = json.loads(kept[1].read_text("utf-8"))
    rows = [*old["failing"], *(each for item in old["items"] for each in item["evidence"])]
    for each in (one for row in rows for one in row["findings"]):
        each["severity"] = "info"
    kept[1].write_text(json.dumps(old), "utf-8")
    _, plan = compared(file, kept, apk(strings=[LIVE]))
    assert plan.exit_code == 1
    assert re.search(
        r"New against: PR-B04 .*? now (critical|high): A secret of the kind", news(plan)
    )


def test_a_build_of_which_nothing_is_seen_isnt_recorded_in_silence(file: Path) -> None:
    """What the build before showed would go on counting: the scan fails, and says so."""
    scanned(file, apk(pins=PINS))
    built = file.with_name("app.apk")
    built.write_bytes(apk(pins=PINS)[:400])
    done = run(file, "scan", built, "--sign", file.with_name("ci.pem"), "--app", APP)
    assert done.exit_code != 0
    assert "nothing was recorded" in " ".join(done.output.split())


@pytest.mark.parametrize("letter", ["a", "é", "\N{GRINNING FACE}"])
def test_what_is_recorded_can_be_read_again_whatever_an_app_calls_things(letter: str) -> None:
    """A line that is too long would be one that nobody reads, and its bad news with it."""
    many = tuple(
        replace(
            seed.finding(Verdict.EXPOSED, Severity.HIGH, str(number), name="pinning"),
            title=letter * 5_000,
        )
        for number in range(100)
    )
    standing = Standing("PR-C03", "scan:static.pinning", State.ABSENT, letter * 5_000, ("pinning",))
    report = replace(seed.mixed().report, findings=many, standings=(standing,))
    (found,) = observations_of(report, datetime(2026, 11, 25, tzinfo=UTC), APP, Environment.LAB)
    assert len(found.findings) > 3
    claim = verify(sign(found, CI), Observers.of({}))
    assert claim.observation == found
