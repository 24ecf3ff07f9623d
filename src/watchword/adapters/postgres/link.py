"""Connect to the one PostgreSQL that may be written to, and tell what went wrong in an operator's words."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.adapters.postgres.address import PostgresAddress
from watchword.extras import needs
from watchword.reasons import Reason, UnavailableError

with needs("postgres"):
    import psycopg
    from psycopg.rows import tuple_row

MAX_PASSWORD_BYTES: Final = 1024

CONNECT_SECONDS: Final = 2
"""How long one host may take to let us in; libpq takes no less."""

SILENCE_MS: Final = 4000
"""After how long a peer that acknowledges nothing counts as gone, in milliseconds."""

OLDEST_SERVER: Final = 15
_MOST_WORDS: Final = 300

Link = psycopg.Connection[tuple[Any, ...]]


class Timelines:
    """Remember which host was the primary last, and the newest timeline of each server: a promotion begins one.

    Any thread may ask.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._newest: dict[int, int] = {}
        self._last: tuple[str, int] | None = None
        self._turn = threading.Lock()

    def ordered(self, address: PostgresAddress) -> PostgresAddress:
        """Return the hosts with the last primary first: one that is stopped or cut off costs each connection its time."""
        last = self._last
        others = (each for each in address.hosts if each != last)
        return replace(address, hosts=(last, *others)) if last in address.hosts else address

    def require_newest(self, address: PostgresAddress, system: int, timeline: int) -> None:
        """Remember a primary's timeline.

        :raises UnavailableError: ``store.unavailable`` for a primary that another one has replaced.
        """
        with self._turn:
            newest = max(timeline, self._newest.get(system, 0))
            self._newest[system] = newest
        if timeline < newest:
            raise OldPrimaryError(address, timeline, newest)

    def look(self, link: Link, address: PostgresAddress) -> None:
        """Do so with the primary that a connection is to; raises as :meth:`require_newest` does."""
        try:
            row = link.execute(_TIMELINE).fetchone()
        except psycopg.Error as error:
            raise unavailable(address, said(error)) from None
        assert row is not None
        self.require_newest(address, row[0], timeline_of(row[1]))
        self._last = (link.info.host, link.info.port)


class OldPrimaryError(UnavailableError):
    """Report a primary that another one has replaced."""

    def __init__(self, address: PostgresAddress, timeline: int, newest: int) -> None:
        """Say so as a store that can't answer does."""
        super().__init__(
            Reason.STORE_UNAVAILABLE,
            f"PostgreSQL at {address.where}: it is an old primary (timeline {timeline}): "
            f"another one was promoted (timeline {newest})",
        )


_TIMELINE: Final = b"""
SELECT system_identifier, CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END
FROM pg_control_system()
"""


def look_at_all(address: PostgresAddress, timelines: Timelines) -> None:
    """Look at each host, where there are several: one that was replaced may be back, and come first."""
    for host in address.hosts if len(address.hosts) > 1 else ():
        with suppress(UnavailableError):
            _connected(replace(address, hosts=(host,)), "watchword", timelines).close()


def timeline_of(file: str) -> int:
    """Return the timeline in the name of a file of the write-ahead log."""
    return int(file[:8], 16)


def connect(
    address: PostgresAddress, *, name: str = "watchword", timelines: Timelines | None = None
) -> Link:
    """Return a connection to the primary; of several the newest, where it is known which that is.

    :param name: what the server's lists call the connection.
    :param timelines: what is known of primaries; None believes the first.
    :raises UnavailableError: ``store.unavailable`` when no host is the primary and lets us in.
    """
    try:
        ordered = address if timelines is None else timelines.ordered(address)
        return _connected(ordered, name, timelines)
    except OldPrimaryError:
        # One that came back stands before the one that took its place: libpq looks no further.
        for host in address.hosts:
            with suppress(UnavailableError):
                return _connected(replace(address, hosts=(host,)), name, timelines)
        raise


def _connected(address: PostgresAddress, name: str, timelines: Timelines | None) -> Link:
    link = _reached(address, name)
    try:
        _require_fit(link, address)
        if timelines is not None:
            timelines.look(link, address)
    except BaseException:
        link.close()
        raise
    return link


def _reached(address: PostgresAddress, name: str) -> Link:
    """Return a connection to the first host that takes writes, whatever else it is.

    The server's certificate and name are checked (``verify-full``), but where it is this machine: there TLS is used if
    the server has it.  Nothing is set beyond a transaction: a pgbouncer in transaction mode may stand in between.
    """
    password = None
    if address.password is not None:
        password = _password(address)
    tls: dict[str, Any] = {"sslmode": "prefer" if address.is_near else "verify-full"}
    if address.authorities is not None:
        tls = {"sslmode": "verify-full", "sslrootcert": str(address.authorities)}
    elif not address.is_near:
        tls["sslrootcert"] = "system"
    if address.certificate is not None:
        tls |= {"sslcert": str(address.certificate[0]), "sslkey": str(address.certificate[1])}
    try:
        return psycopg.Connection.connect(
            host=",".join(host for host, _ in address.hosts),
            port=",".join(str(port) for _, port in address.hosts),
            dbname=address.database,
            user=address.user,
            password=password,
            target_session_attrs="read-write" if len(address.hosts) > 1 else "any",
            connect_timeout=CONNECT_SECONDS,
            tcp_user_timeout=SILENCE_MS,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
            application_name=name,
            client_encoding="UTF8",
            # What the environment or a file of the user's says must not weaken this.
            passfile="/dev/null/none",
            options="",
            gssencmode="disable",
            autocommit=True,
            prepare_threshold=None,
            row_factory=tuple_row,
            cursor_factory=psycopg.RawCursor,
            **tls,
        )
    except psycopg.Error as error:
        raise unavailable(address, said(error)) from None


def _password(address: PostgresAddress) -> str:
    assert address.password is not None
    try:
        data = read_private(address.password, MAX_PASSWORD_BYTES)
        if data is None:
            raise unavailable(address, f"{address.password}: isn't there")
        return data.decode("utf-8").strip()
    except (PrivateFileError, UnicodeDecodeError) as error:
        raise unavailable(address, str(error)) from None


def _require_fit(link: Link, address: PostgresAddress) -> None:
    """Refuse a server that is too old, a standby, or keeps texts in another encoding."""
    major = link.info.server_version // 10000
    if major < OLDEST_SERVER:
        raise unavailable(address, f"got PostgreSQL {major}, expected {OLDEST_SERVER} or newer")
    try:
        row = link.execute(
            "SELECT pg_is_in_recovery(), current_setting('server_encoding')"
        ).fetchone()
    except psycopg.Error as error:
        raise unavailable(address, said(error)) from None
    assert row is not None
    if row[0]:
        raise unavailable(
            address, "it is a standby, and takes no writes: name the primary, or all hosts"
        )
    if row[1] != "UTF8":
        raise unavailable(address, f"got a database in {row[1]}, expected one in UTF8")


def said(error: psycopg.Error) -> str:
    """Return what the server or libpq said, as one line: without the detail, which has values of rows."""
    text = error.diag.message_primary or str(error)
    line = " ".join(text.split())[:_MOST_WORDS]
    return line or type(error).__name__


def unavailable(address: PostgresAddress, why: str) -> UnavailableError:
    """Return the error of a store that can't answer."""
    return UnavailableError(Reason.STORE_UNAVAILABLE, f"PostgreSQL at {address.where}: {why}")
