"""Hold the table of compatible versions to the packages: one version and one protocol for all SDKs."""

import json
import re
import tomllib

import pytest
from scripts.sdk import ROOT, android, apk, ios, ios_release
from scripts.sdk.package import GROUP, semantic_version, version

PAGE = (ROOT / "docs" / "sdk-compatibility.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells
    for cells in re.findall(
        r"^\| (\S[^|]*) \| (`[^|]+) \| ([\d.a-z-]+) \| ([\d.]+) \| ([^|]+) \|$", PAGE, re.MULTILINE
    )
}
NPM = ROOT / "sdk" / "react-native" / "package.json"


def test_every_sdk_has_its_row() -> None:
    """And none that isn't there."""
    assert list(ROWS) == ["Python", "Android", "iOS", "React Native"]


@pytest.mark.parametrize(
    ("sdk", "expected"),
    [
        ("Python", version()),
        ("Android", version()),
        ("iOS", semantic_version()),
        ("React Native", semantic_version()),
    ],
)
def test_versions_are_in_step(sdk: str, expected: str) -> None:
    """Each row has the project's version, in the form of its packages, and the protocol's."""
    assert ROWS[sdk][2] == expected
    assert ROWS[sdk][3] == ios_release.protocol_version()


def test_packages_are_named_as_they_are() -> None:
    """By the modules that ship, the products of the Swift package, and npm's own file."""
    shipped = [
        f"{GROUP}:watchword-{each.name}" for each in android.modules().values() if each.artifact
    ]
    assert ROWS["Android"][1].split("`")[1] in shipped
    manifest = (ios.SOURCES / "Package.swift").read_text(encoding="utf-8")
    assert f'.library(name: "{ROWS["iOS"][1].strip("`")}"' in manifest
    if NPM.is_file():
        package = json.loads(NPM.read_text(encoding="utf-8"))
        assert (package["name"], package["version"]) == (
            ROWS["React Native"][1].strip("`"),
            semantic_version(),
        )


def test_oldest_systems_are_the_builds() -> None:
    """What the page promises is what is compiled for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={ROWS['Python'][4].removeprefix('Python ')}"
    assert ROWS["Android"][4].startswith(f"API {apk.OLDEST} ")
    manifest = (ios.SOURCES / "Package.swift").read_text(encoding="utf-8")
    platforms = re.findall(r"\.(iOS|macOS)\(\.v(\d+)\)", manifest)
    assert ROWS["iOS"][4] == ", ".join(" ".join(each) for each in platforms)
    pods = (ios_release.RELEASE / "WatchwordKit.podspec").read_text(encoding="utf-8")
    assert re.findall(r"(ios|osx)\.deployment_target = '(\d+)\.0'", pods) == [
        (name.lower().replace("macos", "osx"), number) for name, number in platforms
    ]


def test_versions_before_a_release_are_ordered_before_it() -> None:
    """``.dev`` is Python's; by Semantic Versioning a hyphen makes what comes before a release."""
    assert re.fullmatch(r"\d+\.\d+\.\d+(-dev\.\d+)?", semantic_version())
    assert semantic_version().replace("-", ".", 1).replace("dev.", "dev") == version()
