"""Open the store that the settings name."""

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.sqlite import SqliteStore
from watchword.adapters.store import EngineStore
from watchword.apps.settings.schema import ServiceConfig


def open_store(service: ServiceConfig) -> EngineStore:
    """Return the store; a file is made where there is none, tables in PostgreSQL aren't.

    :raises WatchwordError: when it can't be read, written or trusted.
    """
    address = service.postgres_address
    if address is None:
        return SqliteStore(service.database)
    # Where the store is a file nobody waits for the driver, which need not be installed.
    from watchword.adapters.postgres.database import PostgresStore  # noqa: PLC0415

    ways = service.postgres
    return (
        PostgresStore(address)
        if ways is None
        else PostgresStore(address, connections=ways.connections)
    )


def require_store(service: ServiceConfig) -> None:
    """Refuse a store that is there while its keys are gone.

    New keys would make strangers of all instances, without a word.

    :raises PrivateFileError: in that case.
    :raises WatchwordError: when it can't be looked at.
    """
    if service.keyring.exists() or service.sealing is not None:
        return
    if service.postgres_address is None:
        if service.database.exists():
            raise PrivateFileError(
                f"{service.keyring}: is gone while {service.database.name} is there; restore both from a "
                f"backup, or remove {service.database.name} too for a new start"
            )
        return
    store = open_store(service)
    try:
        if store.had_entries:
            raise PrivateFileError(
                f"{service.keyring}: is gone while the store in PostgreSQL has entries; restore the keys from a backup, "
                "or copy them from another node, or name an empty database"
            )
    finally:
        store.close()
