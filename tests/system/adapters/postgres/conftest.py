"""Run one server for the tests of a module: of each version that is installed."""

from collections.abc import Iterator

import pytest
from tests.system.adapters.postgres.servers import UNSYNCED, Postgres, installed, postgres

# Where none is installed one test each says so.
_VERSIONS: list[int | None] = [*sorted(installed())]


@pytest.fixture(scope="module", params=_VERSIONS or [None], ids=lambda major: f"postgresql-{major}")
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """Run one server for all tests of a module."""
    with postgres(*UNSYNCED, major=request.param) as running:
        yield running
