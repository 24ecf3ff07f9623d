"""Run one server for the tests of a module."""

from collections.abc import Iterator

import pytest
from tests.system.adapters.postgres.servers import UNSYNCED, Postgres, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Run one server for all tests of a module."""
    with postgres(*UNSYNCED) as running:
        yield running
