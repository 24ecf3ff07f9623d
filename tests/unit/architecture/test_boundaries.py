"""Hold the boundaries that import contracts can't see."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import click
import pytest

from watchword.apps.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "watchword"
MODULES = sorted(SOURCE.rglob("*.py"))
FLOORS = {
    # The lowest releases without a known hole that concerns us; see docs/dependencies.md.
    "cryptography": (50, 0, 2),
    "granian": (2, 8, 7),
    "pydantic": (2, 12),
    "pyyaml": (6, 0, 2),
    "httpx": (0, 28),
    "h11": (0, 16),
}


def test_one_module_reads_the_environment() -> None:
    """One module reads environment variables; all else takes arguments."""
    readers = {
        str(module.relative_to(SOURCE))
        for module in MODULES
        if re.search(r"os\.environ|getenv", module.read_text(encoding="utf-8"))
    }
    assert readers == {"apps/terminal/environment.py"}


def test_one_place_turns_refusals_into_problems() -> None:
    """The media type of problems is written in one module alone: the one that names what strangers are told."""
    makers = [
        str(module.relative_to(SOURCE))
        for module in MODULES
        if "application/problem+json" in module.read_text(encoding="utf-8")
        and "cli" not in module.relative_to(SOURCE).parts
        and module.parent.name != "client"
        and module.stem != "openapi"
    ]
    assert makers == ["public_classes.py"]


def test_no_test_patches_our_own_modules() -> None:
    """Fakes are simulators that implement the port."""
    banned = re.compile(r"unittest\.mock|mocker\.|monkeypatch\.setattr\([\"']?watchword")
    offenders = [
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__) and banned.search(path.read_text(encoding="utf-8"))
    ]
    assert offenders == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_example_and_json(name: str) -> None:
    """Each command says what it does, shows an example, and prints JSON for scripts."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help
    leaves = [command]
    if isinstance(command, click.Group):
        context = click.Context(command)
        found = [command.get_command(context, name) for name in command.list_commands(context)]
        leaves = [leaf for leaf in found if leaf is not None]
        assert len(leaves) == len(found) > 0
        leaves += [command] if command.invoke_without_command else []
    for leaf in leaves:
        assert leaf.help
        assert "xample" in (leaf.epilog or "") + (leaf.help or "") + (command.epilog or "")
        assert any("--json" in parameter.opts for parameter in leaf.params), leaf.name


def test_every_dependency_has_its_line_of_why() -> None:
    """docs/dependencies.md names each package that the project asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"]]
    for group in project["dependency-groups"].values():
        # A group may include another one, by a table.
        wanted += [each for each in group if isinstance(each, str)]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[<>=\[; ]", line)[0].lower() for line in wanted} - {"watchword"}
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    missing = sorted(name for name in names if f"`{name}`" not in text)
    assert missing == []


@pytest.mark.parametrize("package", FLOORS)
def test_installed_releases_are_above_the_advisory_floors(package: str) -> None:
    """A release with a known hole fails the suite."""
    found = tuple(int(part) for part in re.findall(r"\d+", metadata.version(package))[:3])
    assert found >= FLOORS[package]
