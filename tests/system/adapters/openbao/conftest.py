"""One real server for all tests of this package: each leaves it running and unsealed."""

from collections.abc import Iterator

import pytest
from tests.unit.adapters.openbao.server import BaoServer


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaoServer]:
    """Set a server up as the documentation says."""
    server = BaoServer(tmp_path_factory.mktemp("bao"))
    try:
        server.start()
        server.initialise()
        yield server
    finally:
        server.kill()


@pytest.fixture
def bao(_server: BaoServer) -> Iterator[BaoServer]:
    """Lend the server; what a test left dead or sealed is brought back."""
    yield _server
    if not _server.serves():
        _server.restart()
