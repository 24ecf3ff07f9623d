"""Say where a PostgreSQL is, and how it is known to be the right one; nothing is connected here."""

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

MOST_HOSTS: Final = 8
"""Most hosts of one URL: the machines of a cluster, of which one is the primary."""

MOST_CHARACTERS: Final = 1024

_SCHEMES: Final = ("postgresql", "postgres")
_PLACE: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+|%2[Ff][A-Za-z0-9%._~-]*)(?::(?P<port>[0-9]{1,5}))?"
)
_DIRECTORY: Final = re.compile(r"[A-Za-z0-9/._~-]+")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_$-]{0,62}")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Hold where the server is, and as whom to go there.

    :param hosts: names, addresses, or absolute directories of Unix sockets, with ports; the one that is primary is used.
    :param password: a private file (mode 0600), read at each connection; None where the server asks for none.
    :param authorities: PEM of who may have signed the server's certificate; None takes the system's.
    :param certificate: PEM of the client's certificate and of its key; None shows none.
    """

    hosts: tuple[tuple[str, int], ...]
    database: str
    user: str
    password: Path | None = None
    authorities: Path | None = None
    certificate: tuple[Path, Path] | None = None

    @property
    def where(self) -> str:
        """Return where that is, for messages: without a user."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{hosts}/{self.database}"

    @property
    def is_near(self) -> bool:
        """Tell whether every host is this machine, so that nobody stands in between."""
        return all(_is_near(host) for host, _ in self.hosts)

    def acting_as(self, user: str, password: Path | None) -> "PostgresAddress":
        """Return the same place for another role."""
        return replace(self, user=user, password=password)


def read_address(url: str) -> PostgresAddress:
    """Read ``postgresql://user@host[:port][,host[:port]]/database``; a socket's directory is written with ``%2F``.

    :raises ValueError: in words that go behind "expected"; no part of the URL is in them, since it may hold a password.
    """
    # ``urlsplit`` reads one host at most: they are read here.
    match = re.fullmatch(r"([a-z]+)://(?:([^@/]*)@)?([^@/]*)/([^/]*)", url)
    if len(url) > MOST_CHARACTERS or match is None or match[1] not in _SCHEMES:
        raise ValueError("postgresql://user@host/database")
    user, places, database = match[2] or "", match[3], match[4]
    if ":" in user:
        raise ValueError(
            "no password in the URL: put it in a file, and name that in postgres.password"
        )
    if urlsplit(url).query or "?" in database:
        raise ValueError(
            "no options behind the database: they have settings of their own, under postgres"
        )
    if _NAME.fullmatch(user) is None or _NAME.fullmatch(database) is None:
        raise ValueError(
            "postgresql://user@host/database, with names of letters, digits, _, $ and -"
        )
    hosts = tuple(_host(place) for place in places.split(","))
    if len(hosts) > MOST_HOSTS:
        raise ValueError(f"at most {MOST_HOSTS} hosts")
    return PostgresAddress(hosts, database, user)


def _host(place: str) -> tuple[str, int]:
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ValueError(
            "each host as a name, an address ([::1] in brackets) or a socket's directory (%2Frun%2Fpostgresql)"
        )
    host, port = unquote(match["host"]).strip("[]"), int(match["port"] or 5432)
    # A comma that was quoted would be one more host for libpq.
    if host.startswith("/") and _DIRECTORY.fullmatch(host) is None:
        raise ValueError("a socket's directory of letters, digits, /, ., _, ~ and -")
    if not 0 < port < 65536:
        raise ValueError("a port from 1 to 65535")
    return host, port


def _is_near(host: str) -> bool:
    if host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
