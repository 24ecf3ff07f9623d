"""Hold the code to sizes that a person can take in at once."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "watchword"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_MODULE_LINES = 400
MAX_CLI_LINES = 250
MAX_FUNCTION_LINES = 60
DRAWERS = {"utils", "util", "helpers", "helper", "common", "core", "manager", "base", "misc"}


def name(module: Path) -> str:
    """Return a module's path for the test's id."""
    return str(module.relative_to(SOURCE))


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_module_and_function_sizes(module: Path) -> None:
    """No module over 400 lines (a command: 250), no function over 60."""
    text = module.read_text(encoding="utf-8")
    limit = MAX_CLI_LINES if "cli" in module.relative_to(SOURCE).parts else MAX_MODULE_LINES
    assert len(text.splitlines()) <= limit
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_no_drawers() -> None:
    """A module is named after what it does, not after being left over."""
    found = [name(m) for m in MODULES if {*m.parts, m.stem} & DRAWERS]
    assert MODULES
    assert found == []
