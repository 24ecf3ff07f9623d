"""Build what is released, from the commit that is checked out, into dist/: ``python -m scripts.dist``.

The sdist and the wheel of each package, built twice in two directories whose bytes must agree; a bill of materials of the wheel
(CycloneDX 1.6) and a provenance file.  docs/releasing.md says what they hold and how a release is made and checked.
"""

import argparse
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from scripts.cited_tests import ROOT
from scripts.pages.inventory import LOCK, Locked, document, library, locked

OUT: Final = ROOT / "dist"
DEV_LOCK: Final = ROOT / "requirements" / "dev.txt"
PROJECTS: Final = (".", "packages/watchword-conformance")
BUILD_TYPE: Final = "urn:watchword:build:make-dist:v1"
BUILDER: Final = "urn:watchword:builder:checkout"
_BACKEND: Final = "hatchling"
_PRODUCT: Final = "watchword"
# What must not reach the files: each build differs from the other in it, as two machines do.
_SURROUNDINGS: Final = (
    {"TZ": "UTC", "PYTHONHASHSEED": "1", "LC_ALL": "C"},
    {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"},
)
_UMASKS: Final = (0o022, 0o077)


class NotBuiltError(Exception):
    """Say in one sentence why nothing is released, and what to do."""


class Source(NamedTuple):
    """Hold what is built from.

    :param commit: its hash, in hex.
    :param epoch: when it was committed, in seconds since 1970.
    :param tags: names of the tags at it.
    """

    commit: str
    epoch: int
    tags: tuple[str, ...]


def brought(requires: Sequence[str], extra: str) -> dict[str, set[str]]:
    """Return what installing Watchword with an extra brings on this machine: each package, Watchword among them, and what it needs.

    :param requires: the requirements that the package states; those of others are read from this environment.
    :param extra: its name; empty for none.
    """
    needs: dict[str, set[str]] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [(_PRODUCT, (extra,) if extra else ())]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        name, extras = each
        edges = needs.setdefault(name, set())
        for line in (requires if name == _PRODUCT else importlib.metadata.requires(name)) or ():
            wanted = Requirement(line)
            if wanted.marker is None or any(
                wanted.marker.evaluate({"extra": one}) for one in extras or ("",)
            ):
                found = canonicalize_name(wanted.name)
                waiting.append((found, tuple(sorted(wanted.extras))))
                edges |= {found} - {name}
    return needs


def metadata_of(wheel: Path) -> importlib.metadata.Distribution:
    """Return what a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return importlib.metadata.PathDistribution(zipfile.Path(wheel, f"{found.partition('/')[0]}/"))


def bill(wheel: Path) -> dict[str, Any]:
    """Return the bill of materials: the wheel, the locked packages of all its extras, and which extra brings each."""
    stated = metadata_of(wheel)
    requires = stated.requires or []
    extras = ["", *stated.metadata.get_all("Provides-Extra", [])]
    graphs = {extra: brought(requires, extra) for extra in extras}
    every: dict[str, set[str]] = {}
    for graph in graphs.values():
        for name, needed in graph.items():
            every.setdefault(name, set()).update(needed)
    group = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"][
        "build"
    ]
    tools = brought(group, "")
    run = [each for each in _locks(LOCK) if each.name in every or each.name not in tools]
    more = [each for each in _locks(DEV_LOCK) if each.name in every]
    packages = {each.name: each for each in (*run, *more)}
    component = {
        "bom-ref": _PRODUCT,
        "type": "application",
        "name": _PRODUCT,
        "version": stated.version,
        "purl": f"pkg:pypi/{_PRODUCT}@{stated.version}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": _digest(wheel)}],
    }
    by_extra = {
        name: [extra for extra, graph in graphs.items() if name in graph] for name in packages
    }
    made = document(
        component, [_brought_by(each, by_extra[each.name]) for each in packages.values()]
    )
    refs = {_PRODUCT: _PRODUCT, **{each.name: each.purl for each in packages.values()}}
    made["dependencies"] = [
        {"ref": refs[name], "dependsOn": sorted(refs[one] for one in every[name])}
        for name in sorted(every)
    ]
    return made


def _brought_by(each: Locked, extras: Sequence[str]) -> dict[str, Any]:
    component = library(each)
    said = [
        {"name": "watchword:brought-by", "value": f"{_PRODUCT}[{extra}]" if extra else _PRODUCT}
        for extra in extras
    ]
    found = [*component.get("properties", []), *said]
    return {**component, "properties": found} if found else component


def provenance(source: Source, files: Sequence[Path], builder: str) -> dict[str, Any]:
    """Return how the files came about: an in-toto Statement v1 with the predicate of SLSA provenance v1.

    Written by https://slsa.dev/provenance/v1 (SLSA 1.2 of 2025-11-24) and in-toto's Statement 1.1
    (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md), both read 2026-11-29.  It names no machine, no path
    and no time, so that whoever builds the commit again gets it too.
    """
    tools = [
        {
            "name": each.name,
            "uri": each.purl,
            # Pip takes any of these files, and says afterwards for no package which one it was.
            "annotations": {"sha256": list(each.digests)},
        }
        for each in _tools()
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file.name, "digest": {"sha256": _digest(file)}} for file in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"commit": source.commit},
                "internalParameters": {"SOURCE_DATE_EPOCH": str(source.epoch)},
                "resolvedDependencies": [
                    {"name": "source", "digest": {"gitCommit": source.commit}},
                    *(
                        {"name": f"requirements/{lock.name}", "digest": {"sha256": _digest(lock)}}
                        for lock in (LOCK, DEV_LOCK)
                    ),
                    *tools,
                ],
            },
            "runDetails": {
                "builder": {
                    "id": builder,
                    "version": {
                        "python": ".".join(map(str, sys.version_info[:3])),
                        "zlib": zlib.ZLIB_RUNTIME_VERSION,
                    },
                }
            },
        },
    }


def _locks(lock: Path) -> Iterator[Locked]:
    return locked(lock.read_text(encoding="utf-8"))


def _tools() -> list[Locked]:
    """Return what builds, as it is locked.

    :raises NotBuiltError: where another release of it is installed.
    """
    names = set(brought([_BACKEND], "")) - {_PRODUCT}
    found = [each for each in _locks(LOCK) if each.name in names]
    for each in found:
        installed = importlib.metadata.version(each.name)
        if installed != each.version:
            raise NotBuiltError(
                f"{each.name} {installed} is installed where {each.version} is locked: run scripts/setup dev"
            )
    return found


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


def source() -> Source:
    """Return what is checked out.

    :raises NotBuiltError: where that is no commit, or not one alone.
    """
    clone = "a release is built from a commit: run it in a clone of the repository, made by git"
    if shutil.which("git") is None:
        raise NotBuiltError(f"git isn't installed, and {clone}")
    try:
        top, commit = Path(_git("rev-parse", "--show-toplevel")), _git("rev-parse", "HEAD")
    except subprocess.CalledProcessError:
        raise NotBuiltError(f"this isn't a git checkout, and {clone}") from None
    if top.resolve() != ROOT.resolve():
        raise NotBuiltError(f"this isn't a git checkout of its own, and {clone}")
    changed = [line.split(maxsplit=1)[1] for line in _git("status", "--porcelain").splitlines()]
    if changed:
        more = f" and {len(changed) - 1} more" if changed[1:] else ""
        raise NotBuiltError(
            f"{changed[0]}{more}: not as in the commit, so commit, stash or remove it before a release is built"
        )
    epoch = int(_git("show", "--no-patch", "--format=%ct", "HEAD"))
    return Source(commit, epoch, tuple(_git("tag", "--points-at", "HEAD").split()))


def _built(found: Source, place: Path, number: int) -> dict[str, bytes]:
    """Build every package from the commit's files, laid out in a directory of their own, and return the files."""
    tree, out = place / f"tree-{number}", place / f"out-{number}"
    archive = subprocess.run(
        ["git", "archive", "--format=tar", found.commit], cwd=ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tree, filter="data")
    surroundings = _SURROUNDINGS[number] | {"SOURCE_DATE_EPOCH": str(found.epoch)}
    for project in PROJECTS:
        done = subprocess.run(
            [sys.executable, "-m", _BACKEND, "build", "-d", str(out)],
            cwd=tree / project,
            env=dict(os.environ) | surroundings,
            umask=_UMASKS[number],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise NotBuiltError(f"{project} can't be built:\n{done.stderr}")
    return {file.name: file.read_bytes() for file in sorted(out.iterdir())}


def _checked(files: Sequence[Path]) -> None:
    """Let twine read what an index would.

    :raises NotBuiltError: where it has anything to say.
    """
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *map(str, files)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise NotBuiltError(f"twine check --strict refuses the files:\n{done.stdout}")


def build(builder: str) -> tuple[Source, list[Path]]:
    """Build everything and return what it was made from, and the files.

    :raises NotBuiltError: where something stands in the way; dist/ is then as it was.
    """
    found = source()
    _tools()
    with tempfile.TemporaryDirectory() as directory:
        first, second = (_built(found, Path(directory), number) for number in range(2))
        differing = [name for name in first | second if first.get(name) != second.get(name)]
        if differing:
            raise NotBuiltError(f"two builds of one commit differ: {', '.join(differing)}")
        _checked([Path(directory) / "out-0" / name for name in first])
    OUT.mkdir(exist_ok=True)
    for stale in OUT.glob(f"{_PRODUCT}*"):
        stale.unlink()
    packages = []
    for name, data in first.items():
        packages.append(OUT / name)
        packages[-1].write_bytes(data)
    (wheel,) = OUT.glob(f"{_PRODUCT}-*.whl")
    version = metadata_of(wheel).version
    materials = _written(OUT / f"{_PRODUCT}-{version}.cdx.json", bill(wheel))
    subjects = [*packages, materials]
    made = provenance(found, subjects, builder)
    return found, [*subjects, _written(OUT / f"{_PRODUCT}-{version}.intoto.json", made)]


def _written(file: Path, value: Mapping[str, Any]) -> Path:
    file.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, or say in one sentence why not and return 1."""
    parser = argparse.ArgumentParser(prog="make dist", description=__doc__)
    parser.add_argument(
        "--builder",
        default=BUILDER,
        metavar="URI",
        help="who builds, in the provenance file (left out: somebody's checkout)",
    )
    chosen = parser.parse_args(arguments)
    try:
        found, files = build(chosen.builder)
    except NotBuiltError as error:
        print(f"make dist: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{_digest(file)}  {file.relative_to(ROOT)}  {file.stat().st_size:,} bytes")
    print(f"Built twice from commit {found.commit} with the same bytes; twine has nothing to say.")
    (wheel,) = (file for file in files if file.match(f"{_PRODUCT}-*.whl"))
    tag = f"v{metadata_of(wheel).version}"
    if tag not in found.tags:
        print(f"It isn't a release: no tag {tag} stands at this commit.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
