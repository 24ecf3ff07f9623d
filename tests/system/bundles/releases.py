"""Bring back the code of an earlier release from this repository's history, to run it beside today's."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from tests.machine import patience

ROOT: Final = Path(__file__).parents[3]
_RUN: Final = "from watchword.apps.cli.main import run; run()"


class NoHistoryError(Exception):
    """Report that there is no such release here: a shallow clone, or no repository at all."""


@dataclass(frozen=True)
class Release:
    """Hold the code of one version.

    :ivar source: the directory that stands before this environment's own packages, None for today's code.
    :ivar environment: what its processes find in their environment beside ours.
    """

    version: str
    source: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(
        self, file: Path, *words: str, output: IO[bytes] | int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command of this version on a configuration; both outputs go to ``output``."""
        return self.run_python("-c", _RUN, "-c", str(file), *words, output=output)

    def run_python(
        self, *words: str, output: IO[bytes] | int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start Python with this version's packages."""
        environment = {**os.environ, **self.environment}  # noqa: TID251 - what it starts finds the same code.
        if self.source is not None:
            environment["PYTHONPATH"] = str(self.source)
        return subprocess.Popen(
            [sys.executable, *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


TODAY: Final = Release("today", None)


def release(version: str, directory: Path) -> Release:
    """Unpack a version's code into an empty directory.

    :raises NoHistoryError: when this tree's history isn't here.
    """
    archive = directory / "source.tar"
    with archive.open("wb") as file:
        done = subprocess.run(
            [*_git(), "archive", _commit_of(version), "src"],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.PIPE,
            check=False,
            timeout=patience(60),
        )
    if done.returncode != 0:
        raise NoHistoryError(done.stderr.decode("utf-8", "replace"))
    shutil.unpack_archive(archive, directory, filter="data")
    archive.unlink()
    return Release(version, directory / "src")


def _commit_of(version: str) -> str:
    """Return the release's tag, or the commit that named the version where tags weren't fetched."""
    if _asked("rev-parse", "--verify", "--quiet", f"v{version}^{{commit}}"):
        return f"v{version}"
    found = _asked("log", "-1", "--format=%H", f"--grep=^Version {version}, ")
    if not found:
        raise NoHistoryError(f"the history of this tree doesn't reach back to version {version}")
    return found


def _asked(*words: str) -> str:
    done = subprocess.run(
        [*_git(), *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _git() -> Sequence[str]:
    found = shutil.which("git")
    if found is None:
        raise NoHistoryError("git isn't installed")
    return (found,)
