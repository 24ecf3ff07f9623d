"""Show a team's work with the scan from release to release: two builds, what is set aside, what a pipeline gets."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.apps.scanned import REAL, leaky, package, scan
from tests.unit.scan.app_builders import PINS, apk


def entry(finding: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a suppression of a finding."""
    by = {"owner": "Ada", "reason": "The gate pins.", "expires": "9999-01-01"}
    return {"rule": finding["rule"], "subject": finding["subject"], **by, **more}


def test_two_built_apps_are_compared_as_they_are(tmp_path: Path) -> None:
    """Without reports between them: the build that lost its pins is worse, and says which protection it lost."""
    old, new = tmp_path / "1.0.apk", tmp_path / "1.1.apk"
    old.write_bytes(apk(pins=PINS))
    new.write_bytes(apk())
    done = scan("diff", old, new)
    assert done.returncode == 1
    first, _, rest = done.stdout.partition("\n")
    assert first.startswith("The new build is worse: 1 protection lost")
    assert "PR-C03 scan:static.pinning: proven -> absent" in rest
    assert scan("diff", new, old).returncode == 0
    assert scan("diff", old, old).stdout == "No difference.\n"
    report = tmp_path / "1.0.json"
    report.write_text(scan(old, "--json").stdout, encoding="utf-8")
    mixed = json.loads(scan("diff", report, new, "--json").stdout)
    assert [each["key"] for each in mixed["lost"]] == ["scan:static.pinning"]
    assert scan("diff", report, old).stdout == "No difference.\n"


def test_a_build_that_cant_be_read_isnt_compared(tmp_path: Path) -> None:
    """It is told which one, with the code of a scan; nothing else is printed."""
    app, junk = package(tmp_path / "shop.ipa"), tmp_path / "junk.apk"
    junk.write_bytes(bytes(range(256)))
    for old, new in ((app, junk), (junk, app), (app, tmp_path / "missing.apk")):
        done = scan("diff", old, new)
        assert (done.returncode, done.stdout) == (2, "")
        assert "error: " in done.stderr


@pytest.mark.skipif(not REAL.is_dir(), reason="the real apps aren't beside the clone")
@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ("AndroGoat.apk", "AndroGoat_without_nsc.apk", "cleartext-traffic"),
        ("InsecureBankv2.apk", "InsecureBankv2-release.apk", "debuggable"),
    ],
)
def test_two_builds_of_a_real_app_are_compared(old: str, new: str, gone: str) -> None:
    """What the newer one mended is gone or better."""
    found = json.loads(scan("diff", REAL / old, REAL / new, "--json", "--timeout", "90s").stdout)
    better = [each["new"]["rule"] for each in found["changed"] if not each["worse"]]
    assert gone in {each["rule"] for each in found["gone"]} | set(better)
    assert found["not_seen"] == []


def test_a_wildcard_sets_nothing_aside(tmp_path: Path) -> None:
    """Subjects stand for themselves, rules must be known: nobody answers for what he doesn't know yet."""
    app, file = package(tmp_path / "shop.ipa"), tmp_path / "suppressed.yaml"
    pins = {"rule": "ios-pinned-domains", "subject": "*"}
    file.write_text(json.dumps([entry(pins)]), encoding="utf-8")
    done = scan(app, "--suppress", file, "--fail-on", "medium")
    assert done.returncode == 1
    assert "suits no finding (Ada); take it out" in " ".join(done.stdout.split())
    file.write_text(json.dumps([entry({"rule": "*", "subject": "*"})]), encoding="utf-8")
    done = scan(app, "--suppress", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "[0].rule" in done.stderr


@pytest.mark.parametrize("member", ["rule", "subject", "owner", "reason", "expires"])
def test_a_suppression_without_one_of_its_members_is_refused(tmp_path: Path, member: str) -> None:
    """Above all one that nobody answers for, or that never ends."""
    app, file = package(tmp_path / "shop.ipa"), tmp_path / "suppressed.yaml"
    whole = entry({"rule": "ios-pinned-domains", "subject": "x"})
    for value in (None, "", " "):
        bad = {name: each for name, each in whole.items() if name != member}
        file.write_text(
            json.dumps([bad if value is None else {**bad, member: value}]), encoding="utf-8"
        )
        done = scan(app, "--suppress", file)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"[0].{member}" in done.stderr


def test_the_json_of_several_apps_says_which_one_failed(tmp_path: Path) -> None:
    """So that a pipeline that reads it alone doesn't take the rest for all."""
    app, junk = leaky(tmp_path / "shop.ipa"), tmp_path / "\x1b[2Jjunk.apk"
    junk.write_bytes(bytes(range(256)))
    done = scan(junk, app, "--json", "--fail-on", "critical")
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert [each["package"]["file"] for each in found["scans"]] == ["shop.ipa"]
    (error,) = found["errors"]
    assert error["file"].endswith("junk.apk")
    assert "\x1b" not in error["file"]
    assert "expected a built app" in error["error"]
    assert json.loads(scan(app, "--json").stdout)["errors"] == []


def test_a_condition_of_any_app_fails_all(tmp_path: Path) -> None:
    """And the reason names the app."""
    apps = [package(tmp_path / "a.ipa"), leaky(tmp_path / "b.ipa")]
    done = scan(*apps, "--fail-on", "critical")
    assert done.returncode == 1
    assert "failed: b.ipa: " in done.stderr
    assert "failed: a.ipa" not in done.stderr


def test_colours_are_for_terminals_alone(tmp_path: Path) -> None:
    """A pipe, a file, a log gets none."""
    assert "\x1b" not in scan(leaky(tmp_path / "shop.ipa")).stdout


def test_errors_of_mobsfscan_are_not_seen(tmp_path: Path) -> None:
    """Without semgrep it lists all protections as missing, which says nothing of the app."""
    file = tmp_path / "mobsfscan.json"
    about = {"severity": "WARNING", "description": "No pins."}
    given = {
        "results": {"android_pinning": {"metadata": about}},
        "errors": [{"message": "semgrep is not installed"}],
        "mobsfscan_version": "1.1.0",
    }
    file.write_text(json.dumps(given), encoding="utf-8")
    (found,) = json.loads(scan("import", file, "--json").stdout)["scans"]
    assert [each["verdict"] for each in found["findings"]] == ["not-seen"]
    shown = " ".join(scan("import", file).stdout.split())
    assert "semgrep is not installed" in shown
    assert "Nothing to act on in what was seen, which isn't all" in shown
