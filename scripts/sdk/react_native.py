"""Check, test and package the React Native module: what of it is TypeScript, by the tools that its lock file names."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from scripts.sdk import ROOT, SdkError
from scripts.sdk.package import semantic_version
from scripts.sdk.tools import alone

SOURCES: Final = ROOT / "sdk" / "react-native"
OUT: Final = ROOT / "build" / "sdk" / "react-native"
MODULES: Final = SOURCES / "node_modules"
REACT_NATIVE: Final = MODULES / "react-native"


def manifest() -> dict[str, Any]:
    """Return the package's own manifest."""
    found: dict[str, Any] = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    return found


def install() -> bool:
    """Install what the lock file names, each by its hash and without running any of it; say whether anything was to be done.

    :raises SdkError: where npm is missing or can't.
    """
    lock = (SOURCES / "package-lock.json").read_bytes()
    stamp = MODULES / ".watchword-lock"
    with alone(OUT / "install.lock"):
        if stamp.is_file() and stamp.read_bytes() == lock:
            return False
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        stamp.write_bytes(lock)
    return True


def run(command: Sequence[str], place: Path = SOURCES, seconds: float | None = None) -> str:
    """Return what a tool prints; ``npx`` runs only what is installed.

    :raises SdkError: where it fails or is missing, with its own words.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=place, timeout=seconds
        )
    except FileNotFoundError:
        raise SdkError(
            f"{command[0]}: missing: install Node and npm (Debian: apt install npm)"
        ) from None
    if done.returncode:
        said = (done.stdout + done.stderr).replace(f"{ROOT}/", "").strip()
        raise SdkError(f"{' '.join(command)}: it failed:\n{said}")
    return done.stdout


def npx(*command: str, seconds: float | None = None) -> str:
    """Return what an installed tool prints, installing first what isn't there.

    :raises SdkError: see `run` and `install`.
    """
    install()
    return run(["npx", "--no-install", *command], seconds=seconds)


def generated(place: Path) -> Path:
    """Write what React Native's codegen makes of the specification into a directory, and return it."""
    install()
    run(["node", "tests/codegen.cjs", str(place)])
    return place


def package(place: Path = OUT) -> list[Path]:
    """Write the package's tarball into a directory, and return it: its bytes depend on its files alone.

    :raises SdkError: where the TypeScript doesn't compile, or the version isn't the project's.
    """
    said = manifest()
    if said["version"] != semantic_version():
        raise SdkError(
            f"sdk/react-native/package.json: version: got {said['version']}, expected {semantic_version()}"
        )
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as staging:
        root = Path(staging)
        for pattern in said["files"]:
            if pattern not in {"LICENSE", "lib"}:
                _copied(pattern, root)
        shutil.copy(ROOT / "LICENSE", root / "LICENSE")
        # What npm runs and what develops the package stay behind.
        shipped = {
            name: value
            for name, value in said.items()
            if name not in {"scripts", "devDependencies"}
        }
        (root / "package.json").write_text(json.dumps(shipped, indent=2) + "\n", encoding="utf-8")
        npx("tsc", "-p", "tsconfig.build.json", "--outDir", str(root / "lib"))
        for file in root.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        told = run(
            ["npm", "pack", "--json", "--ignore-scripts", "--pack-destination", str(place)], root
        )
    (name,) = re.findall(r'"filename": "([^"/]+)"', told)
    return [place / name]


def _copied(pattern: str, target: Path) -> None:
    """Copy what a line of ``files`` names.

    :raises SdkError: where it names nothing.
    """
    found = sorted(SOURCES.glob(pattern))
    if not found:
        raise SdkError(f"sdk/react-native/{pattern}: package.json names it, and there is none")
    for each in found:
        place = target / each.relative_to(SOURCES)
        place.parent.mkdir(parents=True, exist_ok=True)
        if each.is_dir():
            shutil.copytree(each, place)
        else:
            shutil.copy(each, place)
