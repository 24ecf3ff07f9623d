"""Bring files to an nginx that asks ``/authz``, and run it where that is asked for."""

import os
from pathlib import Path

from watchword.apps.engines.files import write_files
from watchword.apps.engines.running_nginx import RunningNginx, text_in
from watchword.engines.interface import EngineFile, EngineFileKind, Files
from watchword.engines.nginx_authz import CONFIGURATION, MARKER_PREFIX, marker_of
from watchword.reasons import WatchwordError


class NginxAuthz(RunningNginx):
    """Write the files, and reload nginx when its configuration changed.

    Where verdicts are kept, the file that says of which generation goes first: from then on no worker uses what
    was kept, neither one of the new configuration nor one of the old that still serves an open connection.
    """

    def take(self, files: Files) -> None:
        """See :meth:`watchword.apps.engines.following.RunningEngine.take`."""
        (configuration,) = [file.content for file in files if file.name == CONFIGURATION]
        marker = marker_of(configuration)
        self._forget(marker)
        before = text_in(self._directory / CONFIGURATION)
        write_files(self._directory, files)
        # At first in any case: whoever wrote these files before may have been killed between that and the reload.
        changed = not self._loaded or configuration != before
        if changed:
            self._require_good(before)
        if marker is not None:
            # Behind the configuration: what is kept counts once nginx was shown to take that.
            _link_to_this_process(self._directory / marker)
        if changed:
            self._hang_up()
            self._loaded = True

    def _forget(self, marker: str | None) -> None:
        """Let nothing that is kept count any more, but for one generation."""
        for path in self._directory.glob(f"{MARKER_PREFIX}*"):
            if path.name != marker:
                path.unlink()

    def _require_good(self, before: str | None) -> None:
        """Let nginx check what was written; put back what was there where it doesn't take it."""
        try:
            self._check()
        except WatchwordError:
            if before is not None:
                file = EngineFile(CONFIGURATION, EngineFileKind.ROOT, before)
                write_files(self._directory, [file])
            raise

    def stop(self) -> None:
        """End the one that was started here; one that goes on asks about every request, since nobody follows."""
        self._forget(None)
        super().stop()


def _link_to_this_process(path: Path) -> None:
    """Put a link there that leads to a file for as long as this process lives (proc(5)), however it ends."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(f"/proc/{os.getpid()}/comm")
    new.replace(path)
