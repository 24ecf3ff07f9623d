"""Tell a gate that its service is there, where nothing changes: a file beside the bundle, touched now and then.

It decides nothing.  A gate goes on with its last good bundle however long it hears nothing; somebody should know of it.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

BEAT_SECONDS: Final = 30
"""How often the file is touched, about."""

SILENT_SECONDS: Final = 600
"""After so long without a touch a gate says that it hears nothing."""

_SUFFIX: Final = ".heard"
_OF_CHAINS: Final = ".chain-heard"
_SILENT: Final = (
    f"nothing was heard of the service for {SILENT_SECONDS} s; revocations don't arrive"
)


def freshness_path(bundle: Path) -> Path:
    """Return the file beside a bundle or a chain, each with its own: a gate that reads one isn't calmed by the other."""
    return bundle.with_suffix(_OF_CHAINS if bundle.suffix == ".chain" else _SUFFIX)


def note_fresh(bundle: Path) -> None:
    """Touch the file beside a bundle; where that fails, the gate says that it hears nothing, which is so."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        descriptor = os.open(freshness_path(bundle), flags, 0o600)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)


class StalenessAlarm:
    """Notice on the gate's side that the file isn't touched any more, by no clock that could be set."""

    def __init__(self, bundle: Path, monotonic: Callable[[], float]) -> None:
        """Start to listen; what was said before isn't known to be old or new."""
        self._path = freshness_path(bundle)
        self._monotonic = monotonic
        self._touched: int | None = None
        self._since = monotonic()

    def look(self) -> str | None:
        """Return what is wrong; None where the service was heard of, or nobody touches a file here.

        A bundle that is copied by hand has no such file beside it.
        """
        try:
            touched = self._path.stat(follow_symlinks=False).st_mtime_ns
        except OSError:
            touched = self._touched or 0
            if not touched:
                return None
        if touched != self._touched:
            self._touched, self._since = touched, self._monotonic()
        return _SILENT if self._monotonic() - self._since >= SILENT_SECONDS else None
