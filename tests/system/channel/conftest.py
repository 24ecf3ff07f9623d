"""Set up one channel for all tests of a process."""

from collections.abc import Iterator

import pytest
from tests.system.channel.laboratory import Channel


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Channel]:
    """Have servers and an interceptor."""
    made = Channel(tmp_path_factory.mktemp("channel"))
    yield made
    made.close()
