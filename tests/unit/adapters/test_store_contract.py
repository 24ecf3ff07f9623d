"""Hold the store in SQLite to what every engine does."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.store_contract.challenge_log import *  # noqa: F403 - the tests.
from tests.store_contract.codes import *  # noqa: F403
from tests.store_contract.cuts import *  # noqa: F403
from tests.store_contract.hostile_text import *  # noqa: F403
from tests.store_contract.instances import *  # noqa: F403
from tests.store_contract.leases import *  # noqa: F403
from tests.store_contract.retention import *  # noqa: F403

from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import EngineStore


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[], EngineStore]:
    """Return what opens the same file once more."""
    return lambda: SqliteStore(tmp_path / "watchword.db")


@pytest.fixture
def store(reopened: Callable[[], EngineStore]) -> Iterator[EngineStore]:
    """Return a store on a fresh file."""
    opened = reopened()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], EngineStore]:
    """Return what opens a store on another file each time."""
    directory, names = tmp_path_factory.mktemp("stores"), count()
    return lambda: SqliteStore(directory / f"{next(names)}.db")
