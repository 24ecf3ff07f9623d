"""Make the tables in PostgreSQL and bring them up to date: forward only, one step a transaction, one process at a time.

A step is a file of SQL.  It adds what the next version needs, and takes away nothing that the version before reads
("expand"); what nobody reads any more goes in a later step ("contract").  So each step names the oldest version that can
read what it leaves: nodes of that version and later ones go on beside it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.link import Link, connect, said, unavailable
from watchword.extras import needs
from watchword.ports import Entropy
from watchword.reasons import ExitCode, WatchwordError

with needs("postgres"):
    from psycopg import Error, errors, sql

SCHEMA: Final = "watchword"
"""The schema that holds all tables."""

_STEP: Final = re.compile(r"([0-9]{4})\.sql")
_READER: Final = re.compile(r"-- oldest reader: ([0-9]+)\n")
_LOCK: Final = 0x77617463_68776F72
_GRANTS: Final = (
    "GRANT USAGE ON SCHEMA watchword TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA watchword TO {role}",
    "GRANT SELECT ON ALL SEQUENCES IN SCHEMA watchword TO {role}",
    "GRANT USAGE ON SEQUENCE unrecorded_uses TO {role}",
    "GRANT INSERT ON audit TO {role}",
    "GRANT INSERT, DELETE ON used_challenges, challenge_pages TO {role}",
    "GRANT INSERT, UPDATE ON cuts, operator_codes TO {role}",
    "GRANT INSERT, UPDATE, DELETE ON instances TO {role}",
    "GRANT INSERT, DELETE ON instance_certificates TO {role}",
    "GRANT INSERT, UPDATE, DELETE ON receipts, leases TO {role}",
    "GRANT INSERT, UPDATE ON sealed_documents TO {role}",
    "GRANT INSERT, UPDATE, DELETE ON nodes TO {role}",
    "GRANT UPDATE ON leaders, publication TO {role}",
    "GRANT INSERT, DELETE ON gate_lines TO {role}",
    "GRANT INSERT, UPDATE ON first_bundles TO {role}",
)
"""What a node may do: it changes no audit entry, and no table."""


class SchemaError(WatchwordError):
    """Report tables that can't be made or brought up to date, and what to do about it."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step.

    :param oldest_reader: the version of the oldest Watchword that can use the tables after it.
    """

    version: int
    oldest_reader: int
    text: str

    @property
    def digest(self) -> str:
        """Return what a database notes of a step that it took."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Hold how far a database is.

    :param version: of its tables, 0 where there are none.
    :param steps: the numbers and digests of the steps that it took.
    """

    version: int
    oldest_reader: int = 0
    identity: int = 0
    steps: tuple[tuple[int, str], ...] = ()


def steps() -> Sequence[Step]:
    """Return all steps, in their order."""
    found = []
    for file in files(__package__).joinpath("migrations").iterdir():
        if (name := _STEP.fullmatch(file.name)) is not None:
            text = file.read_text(encoding="utf-8")
            reader = _READER.match(text)
            assert reader is not None, file.name
            found.append(Step(int(name[1]), int(reader[1]), text))
    return sorted(found, key=lambda step: step.version)


SCHEMA_VERSION: Final = 3
"""The version of the tables that this Watchword reads and writes; a test compares it with the steps."""


def require_readable(link: Link, address: PostgresAddress) -> None:
    """Refuse tables that aren't there, are older than this Watchword needs, or newer than it can use.

    :raises UnavailableError: ``store.unavailable``, with what to do.
    """
    try:
        row = link.execute("SELECT version, oldest_reader FROM watchword.store").fetchone()
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        raise unavailable(
            address, "it has no tables of Watchword yet: run `watchword store init`"
        ) from None
    except errors.InsufficientPrivilege:
        raise unavailable(
            address,
            f"role {address.user} may not read Watchword's tables: run `watchword store init`, or `upgrade`, as their owner",
        ) from None
    except Error as error:
        raise unavailable(address, said(error)) from None
    if row is None:
        raise unavailable(address, "its table `store` is empty: restore the database from a backup")
    version, oldest = row
    if version < SCHEMA_VERSION:
        raise unavailable(
            address,
            f"got tables of version {version}, expected {SCHEMA_VERSION}: run `watchword store upgrade`",
        )
    if oldest > SCHEMA_VERSION:
        raise unavailable(
            address,
            f"got tables of version {version}, which Watchwords of tables {oldest} and later can use, and this is one of "
            f"{SCHEMA_VERSION}: start a newer Watchword",
        )


def state_of(link: Link) -> SchemaState:
    """Return how far a database is."""
    if _one(link, "SELECT to_regclass('watchword.store')") is None:
        return SchemaState(0)
    version, oldest, identity = _row(
        link, "SELECT version, oldest_reader, identity FROM watchword.store"
    )
    rows = link.execute("SELECT version, digest FROM watchword.migrations ORDER BY version")
    return SchemaState(version, oldest, identity, tuple(rows.fetchall()))


def upgrade(
    address: PostgresAddress,
    node: str,
    entropy: Entropy,
    *,
    known: Sequence[Step] | None = None,
    fresh: bool = True,
) -> tuple[SchemaState, SchemaState]:
    """Take the steps that a database lacks, and grant a node's role what it needs; return how far it was and is.

    :param address: as the owner of the tables.
    :param node: the role of the nodes.
    :param known: all steps; None takes our own.
    :param fresh: whether tables may be made where there are none.
    :raises SchemaError: when a newer Watchword made the tables, or a step was changed since it was taken.
    :raises UnavailableError: when the server can't be reached.
    """
    known = steps() if known is None else known
    with connect(address, name="watchword store") as link:
        try:
            before = state = _locked_state(link, known)
            if state.version == 0:
                if not fresh:
                    raise SchemaError(
                        f"PostgreSQL at {address.where}: has no tables of Watchword yet: run `watchword store init`"
                    )
                _begin(link)
            for step in known[state.version :]:
                _take(link, step, entropy)
            with link.transaction():
                lock_schema(link)
                _grant(link, node, address.user)
            return before, state_of(link)
        except errors.InsufficientPrivilege as error:
            raise SchemaError(
                f"PostgreSQL at {address.where}: {said(error)}. Role {address.user} must own the schema {SCHEMA}, or may "
                f"make it: GRANT CREATE ON DATABASE {address.database} TO {address.user}"
            ) from None
        except Error as error:
            raise unavailable(address, said(error)) from None


def _locked_state(link: Link, known: Sequence[Step]) -> SchemaState:
    """Return how far the database is; nobody else may be bringing it up to date."""
    state = state_of(link)
    if state.version > len(known):
        raise SchemaError(
            f"got tables of version {state.version}, expected at most {len(known)}: a newer Watchword made them; use that one"
        )
    ours = {step.version: step.digest for step in known}
    for version, digest in state.steps:
        if ours.get(version) != digest:
            raise SchemaError(
                f"step {version:04} was another one when this database took it: this Watchword wasn't built from a release"
            )
    if [version for version, _ in state.steps] != list(range(1, state.version + 1)):
        raise SchemaError(
            f"got tables of version {state.version}, but notes of steps {', '.join(str(v) for v, _ in state.steps) or 'none'}: "
            "they were changed by hand; restore the database from a backup"
        )
    return state


def _begin(link: Link) -> None:
    link.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")


def lock_schema(link: Link) -> None:
    """Wait for the others that bring the database up to date; a transaction's lock, so that a pgbouncer may stand between."""
    # Whoever is killed in the middle of a step must not hold the others up for as long as it would have taken.
    link.execute("SET LOCAL client_connection_check_interval = '1s'")
    link.execute("SELECT pg_advisory_xact_lock($1)", (_LOCK,))
    link.execute(f"SET LOCAL search_path = {SCHEMA}, pg_temp")


def _take(link: Link, step: Step, entropy: Entropy) -> None:
    """Take one step as a whole, unless another process was quicker."""
    with link.transaction():
        lock_schema(link)
        if state_of(link).version >= step.version:
            return
        # Our own text.
        link.execute(sql.SQL(step.text))
        if step.version == 1:
            link.execute(
                "INSERT INTO store (version, oldest_reader, identity) VALUES (1, 1, $1)",
                (int.from_bytes(entropy.token_bytes(7)),),
            )
        link.execute(
            "UPDATE store SET version = $1, oldest_reader = $2", (step.version, step.oldest_reader)
        )
        link.execute(
            "INSERT INTO migrations (version, digest) VALUES ($1, $2)", (step.version, step.digest)
        )


def _grant(link: Link, node: str, owner: str) -> None:
    if node == owner:
        return
    if _one(link, "SELECT 1 FROM pg_roles WHERE rolname = $1", (node,)) is None:
        raise SchemaError(
            f"there is no role {node}, which service.store names for the nodes: CREATE ROLE {node} LOGIN PASSWORD '...'"
        )
    for grant in _GRANTS:
        link.execute(sql.SQL(grant).format(role=sql.Identifier(node)))


def _one(link: Link, query: str, values: Sequence[Any] | None = None) -> Any:
    row = link.execute(query, values).fetchone()
    return None if row is None else row[0]


def _row(link: Link, query: str) -> tuple[Any, ...]:
    row = link.execute(query).fetchone()
    assert row is not None
    return row
