"""Hold the store in PostgreSQL to what every engine does."""

from collections.abc import Callable, Iterator

import pytest
from tests.store_contract.challenge_log import *  # noqa: F403 - the tests.
from tests.store_contract.codes import *  # noqa: F403
from tests.store_contract.cuts import *  # noqa: F403
from tests.store_contract.hostile_text import *  # noqa: F403
from tests.store_contract.instances import *  # noqa: F403
from tests.store_contract.leases import *  # noqa: F403
from tests.store_contract.retention import *  # noqa: F403
from tests.system.adapters.postgres.servers import Postgres

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.database import PostgresStore
from watchword.adapters.store import EngineStore


@pytest.fixture(scope="module")
def database(server: Postgres) -> PostgresAddress:
    """Return a database for all tests."""
    return server.ready()


@pytest.fixture
def reopened(server: Postgres, database: PostgresAddress) -> Callable[[], EngineStore]:
    """Return what opens the same database once more, which is empty first."""
    address = server.emptied(database)
    return lambda: PostgresStore(address)


@pytest.fixture
def store(reopened: Callable[[], EngineStore]) -> Iterator[EngineStore]:
    """Return a store on an empty database."""
    opened = reopened()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fresh(server: Postgres) -> Callable[[], EngineStore]:
    """Return what opens a store on an empty database each time."""
    address = server.ready()
    return lambda: PostgresStore(server.emptied(address))
