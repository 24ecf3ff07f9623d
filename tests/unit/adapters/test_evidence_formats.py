"""Load formats of installed packages: only those that are named, and never quietly a wrong one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchword.adapters.evidence_formats import (
    GROUP,
    EvidenceFormatError,
    installed_formats,
    load_formats,
)

ROOT = Path(__file__).parents[3]


def install(directory: Path, package: str, points: str, code: str) -> None:
    """Put a package where Python looks for packages, as pip would."""
    info = directory / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")
    (directory / f"{package}.py").write_text(code)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a directory of packages; what was imported of it is forgotten afterwards."""
    code = (ROOT / "examples" / "rasp_verdict" / "rasp_verdict.py").read_text(encoding="utf-8")
    install(tmp_path, "rasp_verdict", "rasp-verdict = rasp_verdict:FORMAT", code)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def test_named_format_is_loaded(packages: Path) -> None:
    """The example's package, installed, is found by its name."""
    assert (packages / "rasp_verdict.py").exists()
    (found,) = load_formats(["rasp-verdict"])
    assert (found.name, found.attested_key_proves) == ("rasp-verdict", False)
    assert installed_formats() == ["rasp-verdict"]


def test_nothing_is_loaded_that_is_not_named(packages: Path) -> None:
    """A package that happens to be installed isn't even imported."""
    code = "raise RuntimeError('imported')\n"
    install(packages, "curious", "curious = curious:FORMAT", code)
    assert load_formats([]) == ()
    assert [each.name for each in load_formats(["rasp-verdict"])] == ["rasp-verdict"]
    assert installed_formats() == ["curious", "rasp-verdict"]
    assert "curious" not in sys.modules


def test_unknown_name_shows_what_is_installed(packages: Path) -> None:
    """A slip of the pen is seen at once."""
    assert packages.is_dir()
    with pytest.raises(EvidenceFormatError) as caught:
        load_formats(["rasp-verdikt"])
    assert (caught.value.name, caught.value.got) == ("rasp-verdikt", "no such format")
    assert caught.value.expected.endswith("installed: rasp-verdict")


def test_without_packages_there_is_none() -> None:
    """The text says so, and not an empty list."""
    with pytest.raises(EvidenceFormatError) as caught:
        load_formats(["rasp-verdict"])
    assert "none is installed" in str(caught.value)


@pytest.mark.parametrize(
    ("names", "got"),
    [
        (["app-attest"], "a built-in format"),
        (["play-integrity"], "a built-in format"),
        (["rasp-verdict", "rasp-verdict"], "it twice"),
        (["broken"], "broken:FORMAT, which can't be imported (ZeroDivisionError)"),
        (["absent"], "absent:MISSING, which can't be imported (AttributeError)"),
        (["misnamed"], "an object of another name"),
        (["hollow"], "an object that isn't a format"),
        (["double"], "2 packages that offer it"),
    ],
)
def test_what_cannot_be_a_format(packages: Path, names: list[str], got: str) -> None:
    """Each trouble has its own text, and none starts a service."""
    install(packages, "broken", "broken = broken:FORMAT", "1 / 0\n")
    install(packages, "absent", "absent = absent:MISSING", "")
    install(packages, "misnamed", "misnamed = misnamed:F", "class F: name = 'other'\n")
    install(packages, "hollow", "hollow = hollow:F", "class F: name = 'hollow'\n")
    install(packages, "double", "double = double:F", "")
    install(packages, "double_too", "double = double_too:F", "")
    with pytest.raises(EvidenceFormatError) as caught:
        load_formats(names)
    assert caught.value.got == got
    assert caught.value.name in names
