"""Hold the version to the discipline of docs/releasing.md: it stands once, and the changelog speaks of it."""

import re
import runpy
import sys

import pytest
from packaging.version import Version
from scripts.cited_tests import ROOT

from watchword import __version__

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_newest_heading_of_the_changelog_is_this_version() -> None:
    """Of a release its number and day; before it the number of the next one, whose version ends in ``.dev0``."""
    headings = re.findall(r"(?m)^## (.*)$", CHANGELOG)
    expected = (
        f"{Version(__version__).base_version} (not released)"
        if __version__.endswith(".dev0")
        else rf"{__version__} - \d{{4}}-\d\d-\d\d"
    )
    assert re.fullmatch(expected.replace("(", r"\(").replace(")", r"\)"), headings[0])
    releases = [re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", each) for each in headings[1:]]
    assert all(releases), headings
    versions = [Version(each[1]) for each in releases if each]
    assert versions == sorted(versions, reverse=True)
    assert Version(__version__) > versions[0]


def test_version_is_one_that_an_index_takes() -> None:
    """Three numbers, and ``.dev0`` between two releases; both packages read it from one place."""
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev0)?", __version__)
    assert str(Version(__version__)) == __version__
    for project in (".", "packages/watchword-conformance"):
        text = (ROOT / project / "pyproject.toml").read_text(encoding="utf-8")
        assert 'dynamic = ["version"]' in text
        assert "\nversion =" not in text
        assert "src/watchword/__init__.py" in text


def test_python_m_is_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``python -m watchword`` works where the script isn't on the path."""
    monkeypatch.setattr(sys, "argv", ["watchword", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("watchword", run_name="__main__")
    assert ended.value.code in {None, 0}
    assert __version__ in capsys.readouterr().out
