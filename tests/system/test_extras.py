"""Hold what each extra promises: the built wheel beside nothing but the packages of that extra imports what the docs name."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.machine import patience
from tests.unit.apps.test_gate_from import published

ROOT: Final = Path(__file__).parents[2]
PROMISES: Final = ROOT / "docs" / "dependencies.md"
_IMPORT_ALL: Final = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
failed = []
for name in sys.stdin.read().split():
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed.append(f"{name}: {error}")
print(*failed, sep="\\n")
"""


class Promise(NamedTuple):
    """Hold one row of the docs: the packages that an extra makes importable, and the modules in them that need more."""

    extra: str
    packages: tuple[str, ...]
    but: tuple[str, ...]


def _promises() -> Iterator[Promise]:
    """Yield the rows of the table under "What each extra imports"."""
    section = PROMISES.read_text(encoding="utf-8").partition("## What each extra imports")[2]
    for row in re.findall(r"^\| `watchword.*", section.partition("\n## ")[0], re.MULTILINE):
        install, packages, but, _ = row.strip("| ").split(" | ")
        extra = re.fullmatch(r"`watchword(?:\[(\w+)\])?`", install)
        assert extra is not None, row
        yield Promise(
            extra[1] or "", *(tuple(re.findall(r"`(.+?)`", part)) for part in (packages, but))
        )


def _distributions(place: Path, extra: str) -> set[str]:
    """Return the packages that installing an unpacked wheel with an extra brings, by their canonical names."""
    (ours,) = importlib.metadata.distributions(path=[str(place)])
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [("watchword", (extra,) if extra else ())]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        requires = ours.requires if each[0] == "watchword" else importlib.metadata.requires(each[0])
        for line in requires or ():
            wanted = Requirement(line)
            chosen = each[1] or ("",)
            if wanted.marker is None or any(
                wanted.marker.evaluate({"extra": one}) for one in chosen
            ):
                waiting.append((canonicalize_name(wanted.name), tuple(sorted(wanted.extras))))
    return {name for name, _ in seen} - {"watchword"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Watchword's wheel as it would be released, built from this tree without a network."""
    return _built(ROOT, tmp_path_factory.mktemp("wheel"))


def _built(project: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=patience(120))
    (built,) = out.glob("*.whl")
    return built


def _installed(wheel: Path, extra: str, place: Path) -> Path:
    """Lay out what pip would install: the wheel, and every package of the extra as this environment has it locked."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    for name in _distributions(place, extra):
        for file in importlib.metadata.files(name) or ():
            top = place / file.parts[0]
            if file.parts[0] not in {"..", "__pycache__"} and not top.exists():
                top.symlink_to(
                    Path(str(importlib.metadata.distribution(name).locate_file(top.name)))
                )
    return place


def _modules(place: Path, package: str) -> list[str]:
    """Return the names of a package's modules, or the module alone."""
    base = place.joinpath(*package.split("."))
    if not base.is_dir():
        return [package]
    found = [path.relative_to(place).with_suffix("").parts for path in sorted(base.rglob("*.py"))]
    return [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in found]


def _failures(place: Path, names: list[str]) -> list[str]:
    """Return which modules can't be imported by an interpreter that sees ``place`` and the standard library alone."""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _IMPORT_ALL, str(place)],
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(120),
    )
    return ran.stdout.split("\n")[:-1] if ran.stdout.strip() else []


@pytest.mark.parametrize("promise", list(_promises()), ids=lambda promise: promise.extra or "bare")
def test_what_an_extra_promises_can_be_imported(
    promise: Promise, wheel: Path, tmp_path: Path
) -> None:
    """All modules of the packages that the docs name import, and of each exception that they name something doesn't."""
    place = _installed(wheel, promise.extra, tmp_path)
    names = [name for package in promise.packages for name in _modules(place, package)]
    assert len(names) >= len(promise.packages)
    failed = _failures(place, names)
    excepted = {
        next(
            (each for each in promise.but if f"{line.partition(':')[0]}.".startswith(f"{each}.")),
            line,
        )
        for line in failed
    }
    assert excepted == set(promise.but), failed


def test_the_docs_speak_of_every_extra() -> None:
    """Each extra of the package, and the package without any, has its row."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert sorted(each.extra for each in _promises()) == sorted(["", *declared])


_ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from wsgiref.util import setup_testing_defaults
from watchword.apps.gateway import WatchwordWsgiMiddleware, gate_from

def clinic(environ, start_response):
    start_response("200 OK", [])
    return []

app = WatchwordWsgiMiddleware(clinic, gate=gate_from(sys.argv[2], api="clinic"))
for path in "/v1/patients/17", "/nowhere":
    environ = {"PATH_INFO": path, "RAW_URI": path}
    setup_testing_defaults(environ)
    b"".join(app(environ, lambda status, headers, exc=None: print(status[:3])))
"""


def test_the_middleware_runs_on_what_its_extra_brings(wheel: Path, tmp_path: Path) -> None:
    """The example of the docs decides as well: a canary that warms up lets in, and a path without a route is refused."""
    place = _installed(wheel, "config", tmp_path / "installed")
    file = published(tmp_path)
    command = [sys.executable, "-I", "-S", "-c", _ASK, str(place), str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    assert ran.stdout.split() == ["200", "403"], ran.stdout + ran.stderr


_CALL: Final = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from watchword.apps.cli.entry import run
run()
"""


def _called(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of what is laid out in ``place``, and of nothing else."""
    command = [sys.executable, "-I", "-S", "-c", _CALL, str(place), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=patience(60)
    )


def test_the_conformance_corpus_is_a_package_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """The product names it, and says how to add it; once it is there, its entry point is the command."""
    place = _installed(wheel, "server", tmp_path / "installed")
    assert not list(place.rglob("corpus.json"))
    assert "Not installed: pip install watchword-conformance" in " ".join(
        _called(place, "--help").stdout.split()
    )
    asked = _called(place, "conformance", "setup", "-o", str(tmp_path / "made"))
    assert asked.returncode == 2
    assert "pip install watchword-conformance" in asked.stderr
    with zipfile.ZipFile(_built(ROOT / "packages" / "watchword-conformance", tmp_path)) as archive:
        archive.extractall(place)
    assert "Not installed" not in _called(place, "--help").stdout
    asked = _called(place, "conformance", "setup", "-o", str(tmp_path / "made"))
    assert asked.returncode == 0, asked.stderr
    assert (tmp_path / "made" / "bundle.jws").is_file()
    assert _failures(place, _modules(place, "watchword_conformance")) == []
