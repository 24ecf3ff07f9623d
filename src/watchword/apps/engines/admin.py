"""Ask Envoy's admin endpoint, on its Unix socket, what it took and what it rejected."""

import http.client
import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

_PATIENCE: Final = 2.0
_FILTER: Final = r"(lds|cds|rds\.watchword[^.]*)\.update_(rejected|failure)$|config_fail$"


class _UnixConnection(http.client.HTTPConnection):
    """Speak HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(str(self._path))


def rejections(path: Path) -> dict[str, int] | None:
    """Return how often Envoy rejected each part of its configuration since it started.

    None while it doesn't answer.
    """
    connection = _UnixConnection(path)
    try:
        connection.request("GET", f"/stats?format=json&filter={_FILTER}")
        found = json.loads(connection.getresponse().read())
        return {str(each["name"]): int(each["value"]) for each in found["stats"] if "value" in each}
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return None
    finally:
        connection.close()


def is_running(path: Path) -> bool:
    """Tell whether an Envoy holds this admin socket; one that is busy does, a file left over doesn't."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(path))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


def quit_politely(path: Path) -> None:
    """Tell the Envoy at this admin socket to end."""
    connection = _UnixConnection(path)
    with suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/quitquitquit")
        connection.getresponse().read()
    connection.close()
