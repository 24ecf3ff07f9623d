"""Build once, for all that try it, what a release of this tree would be."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Once
from tests.machine import patience

ROOT = Path(__file__).parents[2]


def git(repository: Path, *words: str) -> str:
    """Run git in a repository, as somebody who set up nothing, and return what it printed."""
    done = subprocess.run(
        ["git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", *words],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(120),
    )
    return done.stdout.strip()


def committed(place: Path, *pathspecs: str) -> Path:
    """Commit this tree as it stands into a repository of its own: what is tried is what is being worked on.

    :param pathspecs: of what is taken, as git has them.
    """
    listed = git(
        ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *pathspecs
    )
    for name in filter(None, listed.split("\0")):
        file = ROOT / name
        # What was deleted and not committed yet is still listed.
        if file.is_file():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            target.chmod(file.stat().st_mode)
    git(place, "init", "--quiet")
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", "A tree")
    return place


def dist(repository: Path) -> subprocess.CompletedProcess[str]:
    """Run what ``make dist`` runs in a repository."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.dist"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )


@pytest.fixture(scope="session")
def repository(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository in which ``make dist`` was run; nobody may change it."""

    def made() -> str:
        # The fuzzer's corpora are thousands of files that no package has.
        place = committed(tmp_path_factory.mktemp("repository"), ":!fuzz/corpus")
        done = dist(place)
        assert done.returncode == 0, done.stderr
        (place / "dist" / "told").write_text(done.stdout, encoding="utf-8")
        return str(place)

    return Path(once("released", made))


@pytest.fixture(scope="session")
def wheel(repository: Path) -> Path:
    """Return the product's wheel as it would be released."""
    (found,) = (repository / "dist").glob("watchword-*.whl")
    return found
