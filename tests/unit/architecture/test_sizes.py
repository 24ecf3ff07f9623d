"""Hold functions to a size that a person can take in at once, and modules to names that say something."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = (ROOT / "src" / "watchword", ROOT / "packages")
MODULES = {each.relative_to(ROOT): each for top in SOURCES for each in sorted(top.rglob("*.py"))}
MAX_FUNCTION_LINES = 60
DRAWERS = {"utils", "util", "helpers", "helper", "common", "core", "manager", "base", "misc"}


def test_function_sizes() -> None:
    """No function has more than 60 lines; a module is one thought, however long."""
    assert MODULES
    long = [
        f"{name}:{node.lineno} {node.name}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_drawers() -> None:
    """A module is named after what it does, not after being left over."""
    assert [str(name) for name in MODULES if {*name.parts, name.stem} & DRAWERS] == []
