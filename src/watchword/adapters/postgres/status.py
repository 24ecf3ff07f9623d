"""Look at a PostgreSQL server: what it is, and what about it would lose data or let a node do more than it needs."""

from dataclasses import dataclass

from watchword.adapters.postgres.address import PostgresAddress
from watchword.adapters.postgres.link import connect, said, unavailable
from watchword.adapters.postgres.schema import SCHEMA_VERSION, require_readable
from watchword.extras import needs

with needs("postgres"):
    from psycopg import Error

_QUERY = """
SELECT current_setting('server_version'), current_user::text, pg_walfile_name(pg_current_wal_lsn()),
    store.version, store.oldest_reader,
    greatest((SELECT reltuples FROM pg_class WHERE oid = 'watchword.instances'::regclass), 0)::bigint,
    pg_database_size(current_database()),
    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
    current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
    (SELECT count(*) FROM pg_stat_replication)::bigint,
    current_setting('data_checksums') = 'on',
    has_table_privilege('watchword.audit', 'UPDATE') OR has_table_privilege('watchword.audit', 'DELETE')
        OR has_schema_privilege('watchword', 'CREATE')
FROM watchword.store
"""


@dataclass(frozen=True, slots=True)
class ServerState:
    """Hold what a server says of itself.

    :param instances: about how many there are, as the server's statistics have it.
    :param keeps: whether it writes to the disk what it acknowledges.
    :param standbys: how many are connected, as far as the role may see that.
    :param may_change: whether the role may change tables or audit entries.
    """

    where: str
    server: str
    role: str
    timeline: int
    tls: bool
    version: int
    oldest_reader: int
    instances: int
    bytes: int
    keeps: bool
    synchronous_commit: str
    synchronous_standbys: str
    standbys: int
    checksums: bool
    may_change: bool

    def warnings(self) -> list[str]:
        """Return what somebody should mend, the worst first."""
        found = []
        if not self.keeps:
            found.append(
                "fsync or full_page_writes is off: a loss of power takes enrolments and used challenges that were acknowledged; "
                "turn both on"
            )
        if self.standbys and not self.synchronous_standbys:
            found.append(
                "synchronous_standby_names is empty: a standby that is promoted may lack the newest commits, and enrolments are "
                "lost; name one or more"
            )
        if self.synchronous_commit in {"off", "local"}:
            found.append(
                f"synchronous_commit is {self.synchronous_commit} for this role: nodes set it to on for each transaction; set it there"
            )
        if self.may_change:
            found.append(
                f"role {self.role} may change tables or audit entries: give nodes a role of their own, and run "
                "`watchword store upgrade --as OWNER`"
            )
        if not self.checksums:
            found.append("data checksums are off: a disk that returns other bytes isn't noticed")
        if self.version > SCHEMA_VERSION:
            found.append(
                f"the tables are of version {self.version}, which is newer than this Watchword's {SCHEMA_VERSION}: upgrade the nodes"
            )
        return found


def look(address: PostgresAddress) -> ServerState:
    """Return what the server says of itself.

    :raises UnavailableError: when it can't be reached, or isn't a primary with readable tables.
    """
    with connect(address, name="watchword store status") as link:
        require_readable(link, address)
        try:
            row = link.execute(_QUERY.encode()).fetchone()
        except Error as error:
            raise unavailable(address, said(error)) from None
        assert row is not None
        (
            server,
            role,
            file,
            version,
            oldest,
            instances,
            size,
            keeps,
            commit,
            names,
            standbys,
            sums,
            change,
        ) = row
        return ServerState(
            where=address.where,
            server=server.split()[0],
            role=role,
            timeline=int(file[:8], 16),
            tls=link.pgconn.ssl_in_use,
            version=version,
            oldest_reader=oldest,
            instances=instances,
            bytes=size,
            keeps=keeps,
            synchronous_commit=commit,
            synchronous_standbys=names,
            standbys=standbys,
            checksums=sums,
            may_change=change,
        )
