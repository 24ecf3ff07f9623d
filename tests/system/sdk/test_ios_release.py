"""Read the iOS SDK's release as SwiftPM and the compiler would, and build it twice."""

import json
import os
import plistlib
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from scripts.sdk import ios, ios_release
from scripts.sdk.package import semantic_version
from tests.machine import patience

PODS = ("WatchwordKit.podspec", "WatchwordTestInstance.podspec")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked release."""
    place = tmp_path_factory.mktemp("release")
    (file,) = ios_release.package(place)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(place / "release")
    return place / "release"


def assert_runs(*command: str | Path, folder: Path | None = None) -> str:
    """Show that a command ends well, and return what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=patience(300),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _manifest(package: Path, scratch: Path) -> dict[str, Any]:
    told = assert_runs(
        "swift", "package", "--package-path", package, "--scratch-path", scratch, "dump-package"
    )
    return dict(json.loads(told))


def test_swiftpm_reads_the_root(release: Path, tmp_path: Path) -> None:
    """Products and platforms are the repository's, and of its targets those that products need; nothing else has to be fetched."""
    theirs = _manifest(release, tmp_path / "release")
    ours = _manifest(ios.SOURCES, tmp_path / "ours")
    for same in ("name", "platforms", "products", "toolsVersion"):
        assert theirs[same] == ours[same], same
    assert theirs["dependencies"] == []
    names = {target["name"]: target for target in theirs["targets"]}
    assert {name for product in theirs["products"] for name in product["targets"]} <= names.keys()
    for name, target in names.items():
        assert target["type"] == "regular", name
        assert (release / "Sources" / name).is_dir(), name
        needed = [next(iter(each.values()))[0] for each in target["dependencies"]]
        assert set(needed) <= names.keys(), name
    assert [each["path"] for each in names["WatchwordKit"]["resources"]] == [
        "PrivacyInfo.xcprivacy"
    ]


def test_no_stand_in_ships(release: Path) -> None:
    """Nor a test, a program, what hides, or a placeholder that nobody filled."""
    names = [file.relative_to(release).as_posix() for file in release.rglob("*") if file.is_file()]
    assert {name.partition("/")[0] for name in names} == {
        "LICENSE",
        "Package.swift",
        "README.md",
        "Sources",
        "WatchwordKit.podspec",
        "WatchwordTestInstance.podspec",
    }
    assert [name for name in names if re.search(r"Tests?/|Shims|/\.", name)] == []
    for name in ("Package.swift", "README.md", *PODS):
        text = (release / name).read_text(encoding="utf-8")
        assert "@VERSION@" not in text
        assert "OpenSSL" not in text
    for name in PODS:
        assert f"'{semantic_version()}'" in (release / name).read_text(encoding="utf-8")


def test_pods_have_each_source_once(release: Path) -> None:
    """Patterns that match nothing, or a file in two pods, would show only where CocoaPods is; it isn't here."""
    taken: list[Path] = []
    for name in PODS:
        text = (release / name).read_text(encoding="utf-8")
        (patterns,) = re.findall(r"^  spec\.source_files = (.+)$", text, re.MULTILINE)
        for pattern in re.findall(r"'([^']+)'", patterns):
            found = list(release.glob(pattern))
            assert found, pattern
            taken += found
    assert sorted(taken) == sorted((release / "Sources").rglob("*.swift"))


def test_every_source_of_a_module_ships(release: Path, swift_modules: Path, tmp_path: Path) -> None:
    """The compiler finds all that the modules name; for Apple's frameworks it is shown the stand-ins."""
    names = [each["name"] for each in _manifest(release, tmp_path / "manifest")["targets"]]
    for name in names:
        files = sorted((release / "Sources" / name).rglob("*.swift"))
        modules = ("-I", swift_modules / "Modules", "-I", ios.SOURCES / "Shims" / "COpenSSL")
        # What is for debug builds alone compiles in no other.
        assert_runs("swiftc", "-typecheck", "-D", "DEBUG", "-module-name", name, *modules, *files)


def test_privacy_manifest_says_what_the_sources_do(release: Path) -> None:
    """Each call for which Apple wants a reason has one, no reason stands without its call, and nothing tracks.

    The calls are of https://developer.apple.com/documentation/bundleresources/describing-use-of-required-reason-api, read 2026-11-30 as
    far as a search showed it.
    """
    said = plistlib.loads((release / "Sources/WatchwordKit/PrivacyInfo.xcprivacy").read_bytes())
    assert said.keys() == {
        "NSPrivacyTracking",
        "NSPrivacyTrackingDomains",
        "NSPrivacyCollectedDataTypes",
        "NSPrivacyAccessedAPITypes",
    }
    assert said["NSPrivacyTracking"] is False
    assert said["NSPrivacyTrackingDomains"] == []
    assert [
        each["NSPrivacyCollectedDataTypeTracking"] for each in said["NSPrivacyCollectedDataTypes"]
    ] == [False]
    calls = {
        "NSPrivacyAccessedAPICategorySystemBootTime": r"systemUptime|mach_absolute_time",
        "NSPrivacyAccessedAPICategoryUserDefaults": r"\bUserDefaults\b",
        "NSPrivacyAccessedAPICategoryFileTimestamp": r"creationDate|modificationDate|contentModificationDateKey|\bl?stat\(",
        "NSPrivacyAccessedAPICategoryDiskSpace": r"systemFreeSize|systemSize|volumeAvailableCapacity|\bstatv?fs\(",
        "NSPrivacyAccessedAPICategoryActiveKeyboards": r"activeInputModes",
    }
    text = "\n".join(
        file.read_text(encoding="utf-8")
        for file in (release / "Sources" / "WatchwordKit").rglob("*.swift")
    )
    code = re.sub(r"//.*", "", text)
    used = {kind for kind, call in calls.items() if re.search(call, code)}
    reasons = {
        each["NSPrivacyAccessedAPIType"]: each["NSPrivacyAccessedAPITypeReasons"]
        for each in said["NSPrivacyAccessedAPITypes"]
    }
    assert reasons.keys() == used
    assert all(reasons.values())


def test_documentation_names_what_there_is(swift_modules: Path, tmp_path: Path) -> None:
    """DocC takes catalogue and comments of the public API without a warning."""
    graphs = tmp_path / "graphs"
    graphs.mkdir()
    target = assert_runs("swiftc", "-print-target-info")
    triple = str(json.loads(target)["target"]["triple"])
    assert_runs(
        ios.tool("swift-symbolgraph-extract"),
        "-module-name",
        "WatchwordKit",
        "-target",
        triple,
        "-I",
        swift_modules / "Modules",
        "-I",
        ios.SOURCES / "Shims" / "COpenSSL",
        "-minimum-access-level",
        "public",
        "-output-dir",
        graphs,
    )
    catalogue = ios.SOURCES / "Sources" / "WatchwordKit" / "Documentation.docc"
    assert_runs(
        ios.tool("docc"),
        "convert",
        catalogue,
        "--additional-symbol-graph-dir",
        graphs,
        "--output-path",
        tmp_path / "archive",
        "--fallback-display-name",
        "WatchwordKit",
        "--fallback-bundle-identifier",
        "dev.watchword.kit",
        "--warnings-as-errors",
    )


def test_built_twice_the_bytes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another directory, time zone, language and mask of rights change nothing."""
    (first,) = ios_release.package(tmp_path / "first")
    for name, value in {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANG": "C"}.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        (again,) = ios_release.package(tmp_path / "again")
    finally:
        os.umask(before)
    assert first.name == again.name
    assert first.read_bytes() == again.read_bytes()
