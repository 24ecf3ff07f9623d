"""Say where keys, secrets and canaries are kept: in files of this machine, or in sealed rows that all nodes share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watchword.adapters import honeytoken_file, secret_store
from watchword.adapters.documents import FileDocument, KeptDocument
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    require_known_format,
)
from watchword.adapters.sealed_rows import CANARIES, KEY_RING, SECRETS, RowName, SealedRows
from watchword.adapters.secret_store import (
    EitherKey,
    MasterKey,
    master_key_from_file,
    master_key_from_text,
)
from watchword.adapters.store import EngineStore
from watchword.apps.settings.schema import MasterKeyConfig, ServiceConfig, Settings
from watchword.apps.terminal.environment import taken
from watchword.ports import Entropy

if TYPE_CHECKING:
    from watchword.adapters.openbao.connection import OpenBao

LOCK_SECONDS: Final = 5.0
"""How long a change of secrets or canaries waits for another process that holds the state directory's lock."""


@dataclass(frozen=True, slots=True)
class KeptDocuments:
    """Hold where each document of a service is.

    :param rows: where they are in sealed rows, None where each is a file.
    """

    key_ring: KeptDocument
    secrets: KeptDocument
    canaries: KeptDocument
    rows: SealedRows | None = None


def file_documents(service: ServiceConfig) -> KeptDocuments:
    """Return the files of the state directory; nothing is read yet."""
    return KeptDocuments(
        key_ring=FileDocument(service.keyring),
        secrets=FileDocument(service.secrets, secret_store.MAX_DOCUMENT_BYTES, LOCK_SECONDS),
        canaries=FileDocument(service.canaries, honeytoken_file.MAX_BYTES, LOCK_SECONDS),
    )


def documents_of(
    settings: Settings, store: EngineStore | None, entropy: Entropy, bao: "OpenBao | None"
) -> KeptDocuments:
    """Return where the documents of a service are, fit to be started on.

    :param store: in PostgreSQL, whose connections the rows share; None where the store is a file.
    :raises WatchwordError: when the rows can't be read, or what is there doesn't belong together.
    """
    service = settings.service
    if store is None or service.sealing is None:
        require_known_format(service.secrets, secret_store.FORMAT, secret_store.MAX_DOCUMENT_BYTES)
        require_known_format(service.canaries, honeytoken_file.FORMAT)
        return file_documents(service)
    rows = sealed_rows(settings, store, entropy, bao)
    documents = row_documents(rows)
    _require_moved(service, rows)
    if documents.key_ring.stamp() is None and store.had_entries and not rows.trouble():
        raise PrivateFileError(
            f"{rows.where}: there is no key ring while the store has entries: new keys would make strangers of all "
            "instances. Run `watchword store put-back` on a node that has run before, or `watchword store seal` where "
            "keyring.json is"
        )
    return documents


def row_documents(rows: SealedRows) -> KeptDocuments:
    """Return the documents in sealed rows."""
    return KeptDocuments(
        key_ring=rows.document(KEY_RING),
        secrets=rows.document(SECRETS),
        canaries=rows.document(CANARIES),
        rows=rows,
    )


def sealed_rows(
    settings: Settings,
    store: EngineStore,
    entropy: Entropy,
    bao: "OpenBao | None",
    old: MasterKey | None = None,
) -> SealedRows:
    """Return the rows of a deployment, read once; what is wrong with one of them is told when it is asked for.

    :param store: in PostgreSQL.
    :param old: a key that opens rows beside those that the settings name.
    :raises WatchwordError: when the master key or the rows can't be read.
    """
    # Where the store is a file nobody waits for the driver, which need not be installed.
    from watchword.adapters.postgres.database import PostgresDatabase  # noqa: PLC0415
    from watchword.adapters.postgres.sealed import PostgresRowTable  # noqa: PLC0415

    service = settings.service
    private_directory(service.state_dir)
    assert isinstance(store.database, PostgresDatabase)
    return SealedRows(
        PostgresRowTable(store.database),
        sealing_key(service, entropy, bao, old),
        service.sealed,
        deployment=f"{service.issuer} ({settings.environment.value})",
        entropy=entropy,
    )


def sealing_key(
    service: ServiceConfig, entropy: Entropy, bao: "OpenBao | None", old: MasterKey | None = None
) -> MasterKey:
    """Return the key that seals rows, with those that open them too where one replaces another.

    Its file is never made here: of two nodes each would make one.

    :raises WatchwordError: when it can't be read.
    """
    ways = service.postgres
    assert ways is not None
    assert ways.master_key is not None
    present = master_key(ways.master_key, entropy, bao, make=False)
    if ways.other_master_key is not None:
        other = master_key(ways.other_master_key, entropy, bao, make=False)
        present = EitherKey(present, other)
    return present if old is None else EitherKey(present, old)


def master_key(
    master: MasterKeyConfig, entropy: Entropy, bao: "OpenBao | None", *, make: bool
) -> MasterKey:
    """Return a master key, wherever it is.

    :param make: whether to make its file where there is none.
    :raises WatchwordError: when it can't be read.
    """
    if master.transit is not None:
        from watchword.adapters.openbao.transit import TransitWrapper  # noqa: PLC0415

        assert bao is not None  # The reader asks for the section beside it.
        return TransitWrapper(bao, master.transit)
    if master.env is not None:
        return master_key_from_text(taken(master.env), master.env, entropy)
    assert master.file is not None  # One of the three is set.
    return master_key_from_file(master.file, entropy, make=make)


def movable(service: ServiceConfig) -> list[tuple[RowName, KeptDocument]]:
    """Return which rows the files of this state directory would become."""
    files = file_documents(service)
    found = [(KEY_RING, files.key_ring), (SECRETS, files.secrets), (CANARIES, files.canaries)]
    return [(at, each) for at, each in found if each.stamp() is not None]


def _require_moved(service: ServiceConfig, rows: SealedRows) -> None:
    """Refuse a state directory with keys of its own: which of both signs must be somebody's decision."""
    for at, document in movable(service):
        there = rows.last(at) is not None
        raise PrivateFileError(
            f"{document.where}: is there while service.postgres.master_key asks for sealed rows; "
            + (
                f"the row {at} is there too: move the file away if no instance needs it"
                if there
                else "run `watchword store seal`, which moves it into one"
            )
        )
