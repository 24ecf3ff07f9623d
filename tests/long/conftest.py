"""Take a part of the long tests: ``--shard 3/8`` runs every eighth, from the third on."""

import re

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what ``make test-long`` hands on."""
    parser.addoption("--shard", default="1/1", help="which part of how many: 3/8")
    parser.addoption("--fuzz-seconds", type=int, default=10, help="how long each parser is fuzzed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the shard, by their order of names, so that all shards together are all tests."""
    given = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", config.getoption("--shard"))
    if given is None or int(given[1]) > int(given[2]):
        message = f"--shard: got {config.getoption('--shard')}, expected K/N with K from 1 to N"
        raise pytest.UsageError(message)
    part, parts = int(given[1]), int(given[2])
    names = sorted(item.nodeid for item in items)
    chosen = set(names[part - 1 :: parts])
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
    items[:] = [item for item in items if item.nodeid in chosen]
