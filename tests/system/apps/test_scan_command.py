"""Show ``watchword scan`` as people and their CI meet it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.unit.apps.forked_commands import command
from tests.unit.apps.scanned import REAL, dead_token, document, leaky, package, scan
from tests.unit.apps.service_process import configuration, watchword
from tests.unit.scan.ios_builders import ipa, zipped

GUARD = """
import os, sys
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
def hook(event, arguments):
    leaves = event.split(".")[0] in {"socket", "subprocess"} or event in {
        "os.exec", "os.fork", "os.posix_spawn", "os.system", "os.mkdir", "os.rename", "tempfile.mkstemp"}
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if leaves or writes:
        os.write(2, f"LEFT {event} {arguments!r:.200}".encode())
        os._exit(99)
sys.addaudithook(hook)
"""


def test_a_token_is_told_and_redacted_everywhere(tmp_path: Path) -> None:
    """Every output, both streams; --reveal shows it on the terminal and in JSON only."""
    app = leaky(tmp_path / "shop.ipa")
    names = {kind: tmp_path / f"scan.{kind}" for kind in ("sarif", "junit", "html", "cyclonedx")}
    outputs = [word for kind, file in names.items() for word in (f"--{kind}", file)]
    for form in ([], ["--json"]):
        done = scan(app, *form, *outputs)
        assert done.returncode == 0, done.stderr
        assert "secret-in-app" in done.stdout
        assert dead_token() not in done.stdout + done.stderr
        revealed = scan(app, *form, *outputs, "--reveal")
        assert dead_token() in revealed.stdout
        for file in names.values():
            text = file.read_text(encoding="utf-8")
            assert "secret-in-app" in text
            assert dead_token() not in text


@pytest.mark.parametrize(
    ("condition", "code"),
    [("critical", 1), ("high", 1), ("medium", 1)],
)
def test_a_pipeline_fails_for_what_it_asked(tmp_path: Path, condition: str, code: int) -> None:
    """A token that opens a repository is critical; without a condition nothing fails."""
    app = leaky(tmp_path / "shop.ipa")
    assert scan(app).returncode == 0
    done = scan(app, "--fail-on", condition)
    assert done.returncode == code
    assert "secret-in-app" in done.stderr


def test_a_build_without_faults_passes(tmp_path: Path) -> None:
    """Only pins are missing, which is of severity medium."""
    app = package(tmp_path / "shop.ipa")
    assert scan(app, "--fail-on", "high").returncode == 0
    assert scan(app, "--fail-on", "medium").returncode == 1


def test_what_wasnt_read_is_told_and_fails_where_that_was_asked(tmp_path: Path) -> None:
    """An app without its executable: no clean bill, and no error either."""
    files = ipa()
    del files["Payload/Shop.app/Shop"]
    app = tmp_path / "shop.ipa"
    app.write_bytes(zipped(files))
    done = scan(app, "--fail-on", "not-seen", "--fail-on", "critical")
    assert done.returncode == 1
    assert "not seen" in done.stdout
    assert "Payload/Shop.app/Shop" in done.stdout


def test_a_baseline_sets_aside_what_was_there(tmp_path: Path) -> None:
    """The old build passes with it, and a new finding fails."""
    app, file, known = tmp_path / "shop.ipa", tmp_path / "scan.json", tmp_path / "known.json"
    package(app)
    file.write_text(scan(app, "--json").stdout, encoding="utf-8")
    assert scan("baseline", file, "-o", known).returncode == 0
    assert scan(app, "--baseline", known, "--fail-on", "new").returncode == 0
    leaky(app)
    done = scan(app, "--baseline", known, "--fail-on", "new")
    assert done.returncode == 1
    assert "secret-in-app" in done.stderr
    assert scan("baseline", file, "-o", app).returncode == 2
    assert scan(app, "--fail-on", "new").returncode == 2


def test_what_somebody_answers_for_counts_again_when_its_day_is_over(tmp_path: Path) -> None:
    """And the report says whose it was."""
    app, file = package(tmp_path / "shop.ipa"), tmp_path / "suppressed.yaml"
    findings = document(app)["scans"][0]["findings"]
    (pins,) = (each for each in findings if each["rule"] == "ios-pinned-domains")
    entry = {
        "rule": pins["rule"],
        "subject": pins["subject"],
        "owner": "Ada",
        "reason": "The gate pins.",
    }
    file.write_text(json.dumps([{**entry, "expires": "9999-01-01"}]), encoding="utf-8")
    assert scan(app, "--suppress", file, "--fail-on", "medium").returncode == 0
    file.write_text(json.dumps([{**entry, "expires": "2020-01-01"}]), encoding="utf-8")
    done = scan(app, "--suppress", file, "--fail-on", "medium")
    assert done.returncode == 1
    assert "Ada" in done.stdout


@pytest.mark.parametrize("text", ["- {rule: x}", "a: [", "[1]", "", '[{"rule": 1}]'])
def test_suppressions_that_cant_be_read_end_the_run(tmp_path: Path, text: str) -> None:
    """The file is named; nothing is scanned, for nobody knows what was meant."""
    app, file = package(tmp_path / "shop.ipa"), tmp_path / "suppressed.yaml"
    file.write_text(text, encoding="utf-8")
    done = scan(app, "--suppress", file)
    assert done.returncode == 2
    assert "suppressed.yaml" in done.stderr
    assert done.stdout == ""


def test_two_builds_are_compared(tmp_path: Path) -> None:
    """The one with the token is worse, the way back isn't."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(scan(package(tmp_path / "a.ipa"), "--json").stdout, encoding="utf-8")
    new.write_text(scan(leaky(tmp_path / "b.ipa"), "--json").stdout, encoding="utf-8")
    worse = scan("diff", old, new, "--json")
    assert worse.returncode == 1
    found = json.loads(worse.stdout)
    assert "secret-in-app" in {each["rule"] for each in found["new"]}
    assert "PR-C01" in {each["protection"] for each in found["lost"]}
    assert scan("diff", new, old).returncode == 0
    older = json.loads(old.read_text("utf-8"))
    older["scans"][0]["rules"] = []
    old.write_text(json.dumps(older), encoding="utf-8")
    said = " ".join(scan("diff", old, new).stdout.split())
    assert "The old scan didn't have secret-in-app" in said
    assert "2 new findings" in said or "3 new findings" in said
    same = scan("diff", old, old)
    assert (same.returncode, same.stdout) == (0, "No difference.\n")
    new.write_text("{}", encoding="utf-8")
    assert scan("diff", old, new).returncode == 2


def test_several_apps_are_scanned_and_one_that_is_none_is_told(tmp_path: Path) -> None:
    """What can be read is reported all the same."""
    apps = [package(tmp_path / name) for name in ("a.ipa", "b.ipa")]
    bad = tmp_path / "c.ipa"
    bad.write_bytes(b"\x1b[2Jno package")
    done = scan(apps[0], bad, apps[1], "--json")
    assert done.returncode == 2
    assert "c.ipa" in done.stderr
    names = [each["package"]["file"] for each in json.loads(done.stdout)["scans"]]
    assert names == ["a.ipa", "b.ipa"]


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    """A directory, a link, a pipe, junk, nothing at all."""
    (tmp_path / "link.apk").symlink_to(package(tmp_path / "shop.ipa"))
    (tmp_path / "junk.apk").write_bytes(bytes(range(256)) * 400)
    (tmp_path / "empty.apk").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.apk")
    for name in ("link.apk", "junk.apk", "empty.apk", "pipe.apk", "missing.apk", "."):
        done = scan(tmp_path / name)
        assert done.returncode == 2, name
        assert done.stdout == ""
        assert "error: " in done.stderr


def test_wrong_usage_is_told(tmp_path: Path) -> None:
    """Before anything is read."""
    app = package(tmp_path / "shop.ipa")
    for wrong in (
        [],
        [app, "--fail-on", "hgih"],
        [app, "--sign", "ci.pem"],
        [app, "--app", "shop"],
        [app, "--timeout", "soon"],
        [app, "--timeout", "0s"],
        [app, app, "--cyclonedx", tmp_path / "x.json"],
        [app, "--api", tmp_path / "missing.yaml"],
        ["rules", "pining"],
        ["import", app],
    ):
        done = scan(*wrong)
        assert done.returncode == 2, wrong
        assert done.stdout == ""


def test_a_report_never_takes_the_place_of_something_else(tmp_path: Path) -> None:
    """A slip in a name must not cost the app; the terminal has the report all the same."""
    app = package(tmp_path / "shop.ipa")
    before = app.read_bytes()
    done = scan(app, "--sarif", app)
    assert done.returncode == 2
    assert app.read_bytes() == before
    assert "com.example.shop" in done.stdout


def test_options_may_stand_behind_the_app_and_apps_may_have_any_name(tmp_path: Path) -> None:
    """A file that is called as a subcommand is named by its path."""
    package(tmp_path / "diff")
    done = scan("./diff", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scans"][0]["package"]["file"] == "diff"


def test_the_time_ends_and_what_wasnt_read_is_told(tmp_path: Path) -> None:
    """A millisecond is enough for nothing much: never a clean bill, never a proof."""
    app, empty = package(tmp_path / "shop.ipa"), 0
    for timeout in ("1ms", "2ms", "3ms"):
        done = scan(app, "--timeout", timeout, "--fail-on", "not-seen", "--json")
        if done.returncode == 2:
            # Not even the digest of the build was there in time.
            assert "time" in done.stderr
            empty += 1
            continue
        assert done.returncode == 1, done.stderr
        (found,) = json.loads(done.stdout)["scans"]
        assert found["partial"]
        assert not [each for each in found["protections"] if each["state"] == "proven"]
    assert empty < 3


def test_the_api_is_checked_beside_the_app(tmp_path: Path) -> None:
    """By its description; what is no description is refused."""
    app, file = package(tmp_path / "shop.ipa"), tmp_path / "api.yaml"
    file.write_text(
        "openapi: 3.0.0\ninfo: {title: T, version: '1'}\nservers: [{url: 'http://api.example.net'}]\n"
        "paths: {'/v1/users/{id}': {get: {responses: {'200': {description: ok}}}}}\n",
        encoding="utf-8",
    )
    found = document(app, "--api", file)["scans"][0]
    assert "api-plain-http" in {each["rule"] for each in found["api"]}
    assert "GET /v1/users/{id}" in scan(app, "--api", file).stdout
    file.write_text("[1]", encoding="utf-8")
    assert scan(app, "--api", file).returncode == 2
    # Reading a description is bounded by the time too: this one takes seconds on any machine.
    many = "".join(f"  /a{number}: {{get: {{}}}}\n" for number in range(350_000))
    file.write_text(f"openapi: 3.0.0\npaths:\n{many}", encoding="utf-8")
    late = scan(app, "--api", file, "--timeout", "1ms")
    assert late.returncode == 3
    assert "got no end in time" in late.stderr


def test_what_a_build_proves_is_recorded_and_counts(tmp_path: Path) -> None:
    """Signed, bound to the build's digest; an app that the file doesn't name is refused."""
    observed = {"plan:\n  assets:": "plan:\n  observers: {ci: {key: ci.jwk}}\n  assets:"}
    config = configuration(tmp_path, free_port(), **observed)
    key = tmp_path / "ci.pem"
    assert watchword(config, "observe", "keygen", "-o", str(key)).returncode == 0
    app = package(tmp_path / "clinic.ipa", CFBundleIdentifier="com.example.clinic")

    def signed(name: str) -> subprocess.CompletedProcess[str]:
        words = ("scan", str(app), "--sign", str(key), "--app", name)
        return command(tmp_path, "-c", str(config), *words)

    assert signed("nobody").returncode == 2
    other = signed("clinic-android")
    assert other.returncode == 2
    assert "got an app for ios, expected one for android" in other.stderr
    package(tmp_path / "shop.ipa").replace(app)
    assert signed("clinic-ios").returncode == 2
    package(app, CFBundleIdentifier="com.example.clinic")
    assert watchword(config, "observe", "list", "--json").stdout == ""
    done = signed("clinic-ios")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    lines = watchword(config, "observe", "list", "--json").stdout.splitlines()
    listed = {each["key"]: each for each in map(json.loads, lines)}
    seen = listed["scan:static.cleartext"]
    assert (seen["state"], seen["stands"], seen["observer"]) == ("proven", "proven", "ci")
    assert seen["target"] == "app:clinic-ios"
    (scanned,) = document(app)["scans"]
    assert seen["build"] == scanned["package"]["sha256"]
    states = {one["key"]: one["state"] for one in scanned["protections"]}
    assert {key: each["state"] for key, each in listed.items()} == {
        key: state for key, state in states.items() if state is not None
    }


def test_rules_are_listed_and_shown() -> None:
    """With what each can't tell."""
    every = json.loads(scan("rules", "--json").stdout)
    assert {"pinning", "secret-in-app", "api-key-only"} <= {each["id"] for each in every}
    assert "can't tell" in scan("rules", "api-key-only").stdout
    shown = scan("rules", "pinning")
    assert "scan:static.pinning" in shown.stdout
    assert "can't tell" in shown.stdout


def test_a_report_of_another_scanner_is_shown_as_imported(tmp_path: Path) -> None:
    """It is partial, and can be set aside like ours."""
    file = tmp_path / "mobsfscan.json"
    metadata = {"description": "Weak.", "severity": "WARNING"}
    files = [{"file_path": "A.java", "match_lines": [3, 3]}]
    results = {"weak_hash": {"files": files, "metadata": metadata}}
    given = {"results": results, "errors": [], "mobsfscan_version": "1.1.0"}
    file.write_text(json.dumps(given), encoding="utf-8")
    done = scan("import", file, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["scans"][0]
    assert found["partial"]
    assert [each["rule"] for each in found["findings"]] == ["mobsfscan:weak_hash"]
    assert "imported" in scan("import", file).stdout


def guarded(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Scan under a guard that ends the process when it opens a socket, starts a process or writes a file."""
    return scan(*arguments, guard=GUARD)


def test_a_scan_opens_no_socket_starts_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """Nothing leaves the machine, and nothing is unpacked to disk."""
    app = leaky(tmp_path / "shop.ipa")
    for form in ([], ["--json"]):
        done = guarded(app, *form)
        assert done.returncode == 0, done.stderr


def test_the_guard_sees_a_socket_and_a_file(tmp_path: Path) -> None:
    """It isn't blind."""
    for code in ("import socket; socket.socket()", f"open({str(tmp_path / 'x')!r}, 'w')"):
        done = subprocess.run(
            [sys.executable, "-B", "-c", GUARD + code], capture_output=True, check=False
        )
        assert done.returncode == 99


@pytest.mark.skipif(not REAL.is_dir(), reason="the real apps aren't beside the clone")
@pytest.mark.parametrize("name", ["dvba.apk", "MoviePic.aab", "UnCrackable-Level1.ipa"])
def test_a_scan_of_a_real_app_opens_no_socket(name: str) -> None:
    """Nor does it fail in a rule."""
    done = guarded(REAL / name, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["scans"]
    subjects = {each["subject"] for each in found["findings"]}
    assert "scan:fault" not in subjects


def test_a_file_that_describes_no_api_is_refused(tmp_path: Path) -> None:
    """As one that isn't there: ``--fail-on`` would pass, with the reason at the end of a long report."""
    app, file = package(tmp_path / "shop.ipa"), tmp_path / "health.yaml"
    for text, said in (("a: 1", "neither openapi nor swagger"), ('openapi: "4.0"', "3.0 to 3.2")):
        file.write_text(text, encoding="utf-8")
        done = scan(app, "--api", file, "--fail-on", "high")
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{file}: " in done.stderr
        assert said in done.stderr
