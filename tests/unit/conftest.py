"""Refuse what doesn't belong into this tier: a test that starts a process stands in ``tests/system``."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
"""What the interpreter audits where a process begins."""

HERE = Path(__file__).parent

_running: list[str] = []


class ProcessInUnitTestError(Exception):
    """A test of this tier starts a process."""


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse to start a process while a test of this tier runs; an audit hook can't be taken out again."""
    if _running and event in STARTS:
        message = (
            f"{_running[-1]} starts a process ({event} {arguments[:1]}): move it to tests/system"
        )
        raise ProcessInUnitTestError(message)


sys.addaudithook(_refuse)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let no process start while a test of this tier is set up, run and taken down; pytest calls this for every tier's tests."""
    if HERE not in item.path.parents:
        return (yield)
    _running.append(item.nodeid)
    try:
        return (yield)
    finally:
        _running.pop()
