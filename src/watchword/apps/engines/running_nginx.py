"""Have an nginx check its files and read them anew, and run it where that is asked for."""

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.clock import steady_seconds
from watchword.adapters.http_server import clear_stale_socket
from watchword.apps.engines.following import EngineRejectedError
from watchword.apps.engines.keeping import ProcessKeeper, require_free
from watchword.engines.interface import EngineOptions, Files
from watchword.engines.nginx import CONFIGURATION, PID
from watchword.reasons import WatchwordError

MAX_WORDS: Final = 500
"""Most characters of what nginx says of its files that are told on."""

_CHECK_SECONDS: Final = 30.0
_PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


class NginxError(WatchwordError):
    """Report an nginx that isn't there, can't check its files, or takes them in too slowly."""


class RunningNginx(ABC):
    """Hold what every nginx has that is followed: the one that runs with the files of a directory, whoever started it."""

    def __init__(
        self,
        options: EngineOptions,
        binary: Path | None,
        runs: bool,
        tell: Callable[[str], None],
        monotonic: Callable[[], float] = steady_seconds,
    ) -> None:
        """Find nginx; nothing is written or started yet.

        :param binary: where it is, None to look for it.
        :param runs: whether it is started here.
        :param tell: is told when it dies, in one line.
        :param monotonic: seconds of a clock that never jumps.
        :raises NginxError: when there is none.
        """
        del runs  # Whoever asks to keep it running says so by that.
        self._options = options
        self._directory = Path(options.directory)
        self._binary = _find(binary)
        self._loaded = False
        """Whether an nginx that runs was told of the files here, or will read them when it starts."""

        self._keeper = ProcessKeeper("nginx", self._start, tell, monotonic, _end_workers)

    @abstractmethod
    def take(self, files: Files) -> None:
        """See :meth:`watchword.apps.engines.following.RunningEngine.take`."""

    def _check(self) -> None:
        """Let nginx check what was written.

        :raises EngineRejectedError: when it doesn't take it.
        :raises NginxError: when it can't check it.  Nobody rejected anything: another attempt is of use, or a push
            would be lost.
        """
        command = [*self._command(), "-t", "-q"]
        try:
            done = subprocess.run(  # noqa: S603 - the operator named it.
                command, capture_output=True, timeout=_CHECK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NginxError(f"nginx can't check its files: {error}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[:MAX_WORDS]
            raise EngineRejectedError(f"nginx doesn't take its files: {said}")

    def _hang_up(self) -> bool:
        """Have it read its files anew; tell whether one runs that was told so."""
        master = self._master()
        if master is None:
            return False
        try:
            os.kill(master, signal.SIGHUP)
        except ProcessLookupError:
            return False
        return True

    def _master(self) -> int | None:
        """Return the process id of the nginx that runs with these files, None if none does."""
        text = text_in(Path(self._options.path(PID)))
        if text is None or not text.strip().isdecimal():
            return None
        pid = int(text)
        # A file that was left behind may name what somebody else's process has become.
        title = text_in(Path(f"/proc/{pid}/cmdline")) or ""
        return pid if self._options.path(CONFIGURATION) in title else None

    def _workers(self) -> frozenset[str]:
        """Return the process ids of the workers of the one that runs."""
        pid = self._master()
        listed = None if pid is None else text_in(Path(f"/proc/{pid}/task/{pid}/children"))
        return frozenset((listed or "").split())

    def keep_running(self) -> None:
        """Start it, take over one that runs, start it again some time after it died.

        :raises EngineProcessError: when it has never run or its address is taken, so that another start is no use.
        """
        if self._keeper.is_idle and self._master() is not None:
            return
        self._keeper.look()

    def stop(self) -> None:
        """End the one that was started here."""
        self._keeper.stop()

    def _command(self) -> list[str]:
        return [str(self._binary), "-c", self._options.path(CONFIGURATION), "-e", "stderr"]

    def _start(self) -> subprocess.Popen[bytes]:
        listen = self._options.listen
        require_free(listen)
        if listen.socket:
            # nginx takes the file that a killed one left for somebody who listens.
            clear_stale_socket(Path(listen.socket), Path(listen.socket))
        # A session of its own, so that its workers can be ended with it.
        return subprocess.Popen(self._command(), start_new_session=True)  # noqa: S603 - the operator named it.


def text_in(path: Path) -> str | None:
    """Return what is in a file, None where there is none."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


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
