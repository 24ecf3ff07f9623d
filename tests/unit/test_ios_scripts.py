"""Hold what the scripts of the iOS SDK read: the tests in its sources, what a run says, a package's manifest."""

from pathlib import Path

import pytest
from scripts.sdk import SdkError, ios, ios_mutants, ios_release
from scripts.sdk.mutant_rows import Mutant

SOURCE = """\
import Testing

// @Suite struct Commented { @Test func no() {} }
@Suite struct FirstTests {
    @Test func one() {}
    @Test(arguments: [1, 2])
    func two(each: Int) async throws {}
    func helper() {}
}

private func alone() {}

@Suite(.serialized)
struct SecondTests {
    @MainActor @Test func three() {
        func inner() {}
    }
}

@Test func four() {}
"""

REPORT = """\
<testsuites><testsuite name="TestResults">
  <testcase classname="KitTests.FirstTests" name="one()" time="0.1" />
  <testcase classname="KitTests.FirstTests" name="two(each:)"><failure message="a" /><failure message="b" /></testcase>
  <testcase classname="KitTests.SecondTests" name="three()"><skipped /></testcase>
  <testcase classname="KitTests" name="four()" />
</testsuite></testsuites>
"""


def test_declared_tests_are_those_of_the_sources(tmp_path: Path) -> None:
    """Each with the suite that it stands in; what is commented out, helps, or stands within a test isn't one."""
    (tmp_path / "Some.swift").write_text(SOURCE, encoding="utf-8")
    names = ["FirstTests/one", "FirstTests/two", "SecondTests/three", "four"]
    assert ios.declared(tmp_path) == names


def test_outcomes_are_named_as_the_sources_name_them() -> None:
    """A failure has all that was said of it."""
    found = ios.outcomes(REPORT)
    assert [(each.test, each.status, each.message) for each in found] == [
        ("FirstTests/one", "passed", ""),
        ("FirstTests/two", "failed", "a\nb"),
        ("SecondTests/three", "skipped", ""),
        ("four", "passed", ""),
    ]
    assert ios.outcomes(REPORT[:100]) == []


def test_a_run_that_died_names_what_it_was_at() -> None:
    """Colours of a terminal don't hide it."""
    said = "\x1b[90mx\x1b[0m Test one() started.\nTest two(each:) started.\nTest one() passed after 1 s\n"
    assert ios.unfinished(said) == ["two"]


def test_a_manifest_loses_what_linux_alone_has() -> None:
    """And keeps what stands in its place elsewhere."""
    manifest = (
        "a\n#if os(Linux)\n    let x = 1\n#else\n    let x = 2\n    let y: [Int] = []\n#endif\nb\n"
    )
    assert ios_release.without_workshop(manifest) == "a\nlet x = 2\nlet y: [Int] = []\nb\n"


def test_a_file_of_another_kind_does_not_ship(tmp_path: Path) -> None:
    """A key that lies among the sources would else be in every release."""
    (tmp_path / "Package.swift").write_text("", encoding="utf-8")
    (tmp_path / "Sources").mkdir()
    (tmp_path / "Sources" / ".hidden").write_text("", encoding="utf-8")
    (tmp_path / "Sources" / "one.swift").write_text("", encoding="utf-8")
    found = ios_release.files(tmp_path)
    assert "Sources/one.swift" in found
    assert "Sources/.hidden" not in found
    (tmp_path / "Sources" / "key.pem").write_text("", encoding="utf-8")
    with pytest.raises(SdkError, match=r"key\.pem: expected \.md, \.swift, \.xcprivacy"):
        ios_release.files(tmp_path)


def test_a_mutant_changes_one_place() -> None:
    """Of the file that it names, below the target's sources."""
    row = Mutant(
        "ios", "core", "Core/Origin.swift", "about", "import Foundation", "import CryptoKit"
    )
    assert row.source == ios.SOURCES / "Sources" / "WatchwordKit" / "Core" / "Origin.swift"
    assert "import CryptoKit" in row.changed()
    with pytest.raises(SystemExit, match="doesn't stand there once"):
        row._replace(old="func ").changed()


def test_alive_is_no_test() -> None:
    """A Swift test can't be named as what says that none noticed."""
    assert not any(each.rpartition("/")[2] == ios_mutants.ALIVE for each in ios.declared())
