"""Tell which tests that a page names aren't there."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALL = "*"
"""Stands for every test of a file."""


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the names of a file's test functions; none where there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def missing(names: Iterable[str]) -> list[str]:
    """Return those of ``file::test`` that pytest wouldn't find; ``file::*`` is a file with any test."""
    found = []
    for name in names:
        file, _, test = name.partition("::")
        known = names_in(file)
        if test not in known and not (test == ALL and known):
            found.append(name)
    return found


def shown(names: Iterable[str]) -> str:
    """Return tests as Markdown links to their files, each file once."""
    files: dict[str, list[str]] = {}
    for name in names:
        file, _, test = name.partition("::")
        files.setdefault(file, []).append(test)
    return ", ".join(_links(files))


def _links(files: dict[str, list[str]]) -> Iterator[str]:
    for file, tests in files.items():
        short = file.removeprefix("tests/")
        if tests == [ALL]:
            yield f"[{short}](../{file})"
        else:
            yield f"[{short}](../{file}) " + ", ".join(f"`{test}`" for test in tests)
