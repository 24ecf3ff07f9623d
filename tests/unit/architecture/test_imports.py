"""Hold the import graph free of circles, also of those that hide in functions."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from watchword.lab import PHONES

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src"
SOURCES = (SOURCE, *sorted((ROOT / "packages").glob("*/src")))


def module_name(path: Path, source: Path) -> str:
    """Return a module's dotted name."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path, source): path for source in SOURCES for path in source.rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a file imports anywhere, late and for types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            inside = [name for name in names if name in MODULES]
            yield from inside or [node.module]


def reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Return every module that can be reached from ``start``."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def test_no_module_reaches_itself() -> None:
    """There is no circle of imports, whichever way it is hidden."""
    graph = {name: set(imported(path)) for name, path in MODULES.items()}
    assert sum(len(edges) for edges in graph.values()) > 300
    assert [name for name in graph if name in reachable(name, graph)] == []


def test_variants_are_registered_and_documented() -> None:
    """Each format has its line in the registry, its page and its test; each rule its line."""
    registry = (SOURCE / "watchword/attestation/registry.py").read_text(encoding="utf-8")
    formats = [p.stem for p in (SOURCE / "watchword/attestation/formats").glob("[a-z]*.py")]
    assert len(formats) >= 2
    for name in formats:
        assert f"formats.{name} import" in registry
        assert (ROOT / "docs" / "formats" / f"{name}.md").is_file()
        assert (ROOT / "tests" / "unit" / "attestation" / "formats" / f"test_{name}.py").is_file()
    policy = (SOURCE / "watchword/policy/registry.py").read_text(encoding="utf-8")
    rules = [p.stem for p in (SOURCE / "watchword/policy/rules").glob("[a-z]*.py")]
    assert len(rules) >= 5
    assert [rule for rule in rules if f"rules.{rule} import" not in policy] == []


def test_every_phone_of_the_lab_is_documented() -> None:
    """docs/lab.md names each kind."""
    page = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")
    assert [kind for kind in PHONES if f"`{kind}`" not in page] == []
