"""Take a status list from a file as from a server, so that it is read again when it changed.

This is how the lab's simulated Google is asked: a test revokes a certificate and sees it act.
"""

import asyncio
import os
from pathlib import Path

from watchword.adapters.revocation.status_list import MAX_FILE_BYTES
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
        return await asyncio.to_thread(self._read, request.headers.get("if-none-match"))

    def _read(self, known: str | None) -> FetchResponse:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                etag = f'"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"'
                if etag == known:
                    return FetchResponse(304, {"etag": etag}, b"")
                return FetchResponse(200, {"etag": etag}, file.read(MAX_FILE_BYTES + 1))
        except OSError as error:
            why = error.strerror or "can't be read"
            raise UnavailableError(Reason.VENDOR_UNAVAILABLE, f"{self._path.name}: {why}") from None
