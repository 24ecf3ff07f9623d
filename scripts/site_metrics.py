"""Write a page of all metrics from the calls in the code that make them.

Many are there only where what they measure is configured, so that no single scrape shows them all: the calls do.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.site_markdown import cell, prose

APPS: Final = Path(__file__).parents[1] / "src" / "watchword" / "apps"
INTRODUCTION: Final = """\
# Metrics

What Prometheus scrapes at `/metrics` on the operator's socket, and `watchword metrics --prometheus` shows; the metrics of `watchword pins watch --textfile`
stand in a file for its node exporter. Many are there only where what they measure is configured. [Operating](../operating.md) says which to alert on.
No label holds a user, an instance, a token or a key.

"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold one metric as the code makes it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def page() -> str:
    """Return the page, made by ``python -m scripts.site_reference``."""
    lines = []
    for title, pins_watch in (("Of the service", False), ("Of watchword pins watch", True)):
        lines += [
            f"## {title}",
            "",
            "| metric | kind | labels | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for each in measured():
            if each.name.startswith("watchword_pins_") == pins_watch:
                labels = ", ".join(f"`{label}`" for label in each.labels)
                meaning = cell(prose(each.text))
                lines.append(f"| `{each.name}` | {each.kind} | {labels or '-'} | {meaning} |")
        lines.append("")
    return INTRODUCTION + "\n".join(lines).rstrip("\n") + "\n"


def measured() -> list[Measured]:
    """Return every metric, by name.

    :raises ValueError: for a call that can't be read: write its name, kind and text as literals.
    """
    found = {
        each.name: each
        for path in sorted(APPS.rglob("*.py"))
        if "Metric(" in (source := path.read_text(encoding="utf-8"))
        for each in _of_module(ast.parse(source), path)
    }
    return sorted(found.values(), key=lambda each: each.name)


def _of_module(module: ast.Module, path: Path) -> Iterator[Measured]:
    for function in (
        each
        for each in ast.walk(module)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ):
        for call in (each for each in ast.walk(function) if _calls(each, "Metric")):
            assert isinstance(call, ast.Call)
            name, kind, text, values = call.args
            if isinstance(name, ast.Constant):
                yield _measured(function, (name, kind, text, values), "", path)
            else:
                yield from _prefixed(module, _prefix(name, path), kind, path)


def _prefixed(module: ast.Module, prefix: str, kind: ast.expr, path: Path) -> Iterator[Measured]:
    """Yield the metrics whose names get their beginning elsewhere: calls of a ``_gauge``, or rows of a list."""
    for function in (each for each in ast.walk(module) if isinstance(each, ast.FunctionDef)):
        for each in ast.walk(function):
            if _calls(each, "_gauge"):
                assert isinstance(each, ast.Call)
                name, text, values = each.args
            elif isinstance(each, ast.Tuple) and _is_row(each):
                name, text, values = each.elts
            else:
                continue
            yield _measured(function, (name, kind, text, values), prefix, path)


def _measured(
    function: ast.AST,
    parts: tuple[ast.expr, ast.expr, ast.expr, ast.expr],
    prefix: str,
    path: Path,
) -> Measured:
    words = []
    for part in parts[:3]:
        if not isinstance(part, ast.Constant):
            raise ValueError(  # noqa: TRY004 - of what the module says, not of what we were handed.
                f"{path.name}:{part.lineno}: expected a literal, got {ast.unparse(part)}"
            )
        words.append(str(part.value))
    name, kind, text = words
    return Measured(
        prefix + name, kind, tuple(dict.fromkeys(_labels(parts[3], function, set()))), text
    )


def _labels(values: ast.AST, function: ast.AST, seen: set[str]) -> Iterator[str]:
    """Yield the labels: the first of each pair in the mapping's keys, or the keys themselves; also where a name stands for it."""
    for key in _keys(values):
        if _is_text(key):
            assert isinstance(key, ast.Constant)
            yield str(key.value)
        for each in ast.walk(key):
            if isinstance(each, ast.Tuple) and len(each.elts) == 2 and _is_text(each.elts[0]):
                assert isinstance(each.elts[0], ast.Constant)
                yield str(each.elts[0].value)
    names = {
        each.id for each in (values, getattr(values, "slice", None)) if isinstance(each, ast.Name)
    }
    for name in names - seen:
        for statement in ast.walk(function):
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                targets = (
                    statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                )
                for target in targets:
                    if getattr(getattr(target, "value", target), "id", None) == name:
                        yield from _labels(statement.value, function, seen | {name})
                        yield from _labels(target, function, seen | {name})


def _keys(values: ast.AST) -> Iterator[ast.AST]:
    """Yield the keys of a mapping; a tuple is such a key by itself."""
    if isinstance(values, ast.Tuple):
        yield values
    for each in ast.walk(values):
        if isinstance(each, ast.DictComp):
            yield each.key
        elif isinstance(each, ast.Dict):
            yield from (key for key in each.keys if key is not None)


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _is_row(node: ast.Tuple) -> bool:
    return len(node.elts) == 3 and _is_text(node.elts[0]) and _is_text(node.elts[1])


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _prefix(name: ast.expr, path: Path) -> str:
    """Return the literal beginning of a formatted name."""
    if isinstance(name, ast.JoinedStr) and _is_text(name.values[0]):
        assert isinstance(name.values[0], ast.Constant)
        return str(name.values[0].value)
    raise ValueError(f"{path.name}:{name.lineno}: expected a name with a literal beginning")
