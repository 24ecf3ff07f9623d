"""Take a status list from a file as from a server, so that it is read again when it changed.

This is how the lab's simulated Google is asked: a test revokes a certificate and sees it act.
"""

import asyncio
from pathlib import Path

from watchword.adapters.revocation.status_list import StatusListError, read_file
from watchword.ports import FetchRequest, FetchResponse
from watchword.reasons import Reason, UnavailableError


class WatchedFile:
    """Implement :class:`watchword.ports.Fetcher` with one file, whatever the URL."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file is looked for at each request."""
        self._path = path

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """Return the file, or 304 where it is the one that ``If-None-Match`` names.

        :raises UnavailableError: ``vendor.unavailable`` when it can't be read.
        """
        return await asyncio.to_thread(self.read, request.headers.get("if-none-match"))

    def read(self, known: str | None = None) -> FetchResponse:
        """Return the file, or 304 where it is the one that was known; see :meth:`fetch`."""
        try:
            data, found = read_file(self._path)
        except StatusListError as error:
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, str(error)) from None
        except OSError as error:
            why = error.strerror or "can't be read"
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, f"{self._path.name}: {why}") from None
        # The time of the change too: that of the content can be set.
        parts = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        etag = f'"{"-".join(map(str, parts))}"'
        if etag == known:
            return FetchResponse(304, {"etag": etag}, b"")
        return FetchResponse(200, {"etag": etag}, data)
