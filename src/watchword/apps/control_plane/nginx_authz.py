"""Bring files to an nginx that asks ``/authz``, and run it where that is asked for."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.http_server import clear_stale_socket
from watchword.apps.control_plane.files import write_files
from watchword.apps.control_plane.following import EngineRejectedError
from watchword.apps.control_plane.process import require_free
from watchword.engines.interface import EngineFile, EngineFileKind, Files
from watchword.engines.nginx_authz.generation import CONFIGURATION
from watchword.engines.nginx_authz.kept import MARKER_PREFIX, marker_of
from watchword.engines.places import EngineOptions
from watchword.reasons import WatchwordError

_GRACE_SECONDS: Final = 5.0
_CHECK_SECONDS: Final = 30.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""After which a death counts as the first one again."""

_HOPELESS_SECONDS: Final = 1.0
"""An nginx that has never run longer than this can't run at all."""

_MAX_WORDS: Final = 500
_PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
_MONOTONIC: Final = time.monotonic  # noqa: TID251 - how long a process has run.


class NginxError(WatchwordError):
    """Report an nginx that isn't there, can't be started, or ends as soon as it is."""


class NginxAuthz:
    """Write the files, and reload nginx when its configuration changed.

    Where verdicts are kept, the file that says of which generation goes first: from then on no worker uses what
    was kept, neither one of the new configuration nor one of the old that still serves an open connection.
    """

    def __init__(
        self,
        options: EngineOptions,
        binary: Path | None,
        runs: bool,
        tell: Callable[[str], None],
        monotonic: Callable[[], float] = _MONOTONIC,
    ) -> None:
        """Find nginx; nothing is written or started yet.

        :param binary: where it is, None to look for it.
        :param runs: whether it is started here.
        :param tell: is told when it dies, in one line.
        :param monotonic: seconds of a clock that never jumps.
        :raises NginxError: when there is none.
        """
        self._options = options
        self._binary = _find(binary)
        del runs  # Whoever asks to keep it running says so by that.
        self._tell = tell
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_at: float | None = None
        self._pause = _FIRST_PAUSE
        self._ran_well = False
        self._loaded = False

    def take(self, files: Files) -> None:
        """See :meth:`watchword.apps.control_plane.following.RunningEngine.take`."""
        directory = Path(self._options.directory)
        (configuration,) = [file.content for file in files if file.name == CONFIGURATION]
        marker = marker_of(configuration)
        self._forget(marker)
        before = text_in(directory / CONFIGURATION)
        write_files(directory, files)
        # At first in any case: whoever wrote these files before may have been killed between that and the reload.
        changed = not self._loaded or configuration != before
        if changed:
            self._require_good(before)
        if marker is not None:
            # Behind the configuration: what is kept counts once nginx was shown to take that.
            _link_to_this_process(directory / marker)
        if changed:
            self._reload()
            self._loaded = True

    def _forget(self, marker: str | None) -> None:
        """Let nothing that is kept count any more, but for one generation."""
        for path in Path(self._options.directory).glob(f"{MARKER_PREFIX}*"):
            if path.name != marker:
                path.unlink()

    def _require_good(self, before: str | None) -> None:
        """Let nginx check what was written; put back what was there where it doesn't take it."""
        command = [*self._command(), "-t", "-q"]
        try:
            done = subprocess.run(  # noqa: S603 - the operator named it.
                command, capture_output=True, timeout=_CHECK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._put_back(before)
            # Nobody rejected them: they are brought again at the next look, or a push would be lost.
            raise NginxError(f"nginx can't check its files: {error}") from None
        if done.returncode:
            self._put_back(before)
            said = done.stderr.decode("utf-8", "replace").strip()[:_MAX_WORDS]
            raise EngineRejectedError(f"nginx doesn't take its files: {said}")

    def _put_back(self, before: str | None) -> None:
        if before is not None:
            file = EngineFile(CONFIGURATION, EngineFileKind.ROOT, before)
            write_files(Path(self._options.directory), [file])

    def _command(self) -> list[str]:
        return [str(self._binary), "-c", self._options.path(CONFIGURATION), "-e", "stderr"]

    def _reload(self) -> None:
        running = self._running()
        if running is not None:
            with suppress(ProcessLookupError):
                os.kill(running, signal.SIGHUP)

    def _running(self) -> int | None:
        """Return the process id of the nginx that runs with these files, None if none does."""
        text = text_in(Path(self._options.path("nginx.pid")))
        if text is None or not text.strip().isdecimal():
            return None
        pid = int(text)
        # A file that was left behind may name what somebody else's process has become.
        title = text_in(Path(f"/proc/{pid}/cmdline")) or ""
        return pid if self._options.path(CONFIGURATION) in title else None

    def keep_running(self) -> None:
        """Start it, take over one that runs, start it again some time after it died.

        :raises NginxError: when it has never run, so that another start is no use.
        """
        now = self._monotonic()
        if self._process is None:
            if self._start_at is not None:
                if now >= self._start_at:
                    self._start(now)
            elif self._running() is None:
                self._start(now)
            return
        process = self._process
        code, lived = process.poll(), now - self._started_at
        if code is None:
            self._ran_well = self._ran_well or lived > _HOPELESS_SECONDS
            self._pause = _FIRST_PAUSE if lived > _STEADY_SECONDS else self._pause
            return
        self._process = None
        _end_workers(process.pid)
        if not self._ran_well and lived <= _HOPELESS_SECONDS:
            raise NginxError(f"nginx ended with code {code} at once; its last words stand above")
        self._tell(f"nginx ended with code {code}; it is started again in {self._pause:g} s")
        self._start_at = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _start(self, now: float) -> None:
        listen = self._options.listen
        require_free(listen)
        if listen.socket:
            # nginx takes the file that a killed one left for somebody who listens.
            clear_stale_socket(Path(listen.socket), Path(listen.socket))
        try:
            # A session of its own, so that its workers can be ended with it.
            self._process = subprocess.Popen(self._command(), start_new_session=True)  # noqa: S603 - as above.
        except OSError as error:
            raise NginxError(f"{self._binary}: can't be started: {error.strerror}") from None
        self._started_at, self._start_at = now, None

    def stop(self) -> None:
        """End the one that was started here; one that goes on asks about every request, since nobody follows."""
        self._forget(None)
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        _end_workers(process.pid)
        process.wait()


def _find(named: Path | None) -> Path:
    found = (
        str(named)
        if named is not None
        else shutil.which("nginx") or shutil.which("nginx", path=_PATH)
    )
    if found is None or not Path(found).is_file():
        raise NginxError(
            f"{named or 'nginx'}: isn't there; name it with --binary, or install nginx"
        )
    return Path(found)


def _end_workers(master: int) -> None:
    """End what is left of a master's session: its workers outlive one that was killed, and keep its address."""
    with suppress(ProcessLookupError):
        os.killpg(master, signal.SIGKILL)


def _link_to_this_process(path: Path) -> None:
    """Put a link there that leads to a file for as long as this process lives (proc(5)), however it ends."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(f"/proc/{os.getpid()}/comm")
    new.replace(path)


def text_in(path: Path) -> str | None:
    """Return what is in a file, None where there is none."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None
