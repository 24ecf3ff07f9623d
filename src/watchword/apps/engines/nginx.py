"""Bring files to an nginx, whether it decides by itself or asks ``/authz``, and run it where that is asked for."""

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from watchword.adapters.http_server import clear_stale_socket
from watchword.adapters.system import steady_seconds
from watchword.apps.engines.follower import EngineRejectedError, write_files
from watchword.apps.engines.process import ProcessKeeper, require_free
from watchword.engines.interface import EngineFile, EngineFileKind, EngineOptions, Files
from watchword.engines.nginx import CONFIGURATION, ERROR_LOG, PID
from watchword.engines.nginx_authz import MARKER_PREFIX, marker_of
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
        notify: Callable[[str], None],
        monotonic: Callable[[], float] = steady_seconds,
    ) -> None:
        """Find nginx; nothing is written or started yet.

        :param binary: where it is, None to look for it.
        :param runs: whether it is started here.
        :param notify: is told when it dies, in one line.
        :param monotonic: seconds of a clock that never jumps.
        :raises NginxError: when there is none.
        """
        del runs  # Whoever asks to keep it running says so by that.
        self._options = options
        self._directory = Path(options.directory)
        self._binary = _find(binary)
        self._loaded = False
        """Whether an nginx that runs was told of the files here, or will read them when it starts."""

        self._keeper = ProcessKeeper("nginx", self._start, notify, monotonic, _end_workers)

    @abstractmethod
    def take(self, files: Files) -> None:
        """See :meth:`watchword.apps.engines.follower.RunningEngine.take`."""

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


_LOOK_SECONDS: Final = 0.02
_MOST_LOOKS: Final = 750
"""For how long new workers are waited for: a quarter of a minute."""

_FAULTS: Final = ("init_by_lua error", "[emerg]")
"""What nginx writes when it keeps what it had."""


_DECIDES: Final = {EngineFileKind.BULK, EngineFileKind.PRIVATE}


class Nginx(RunningNginx):
    """Write the files; nginx is told only when its configuration or its script changed.

    What decides is in the private files alone.  Each worker looks at it several times a second and takes it for the next
    request of every connection, so that a push of keys, revoked instances or routes is no reload.
    """

    def take(self, files: Files) -> None:
        """See :meth:`watchword.apps.engines.follower.RunningEngine.take`."""
        private = [file for file in files if file.kind in _DECIDES]
        others = [file for file in files if file.kind not in _DECIDES]
        before = {file.name: text_in(self._directory / file.name) for file in others}
        changed = any(before[file.name] != file.content for file in others)
        # At first in any case, as for every nginx: who wrote them may have been killed before it was told.
        if changed or not self._loaded:
            write_files(self._directory, others)
            try:
                self._check()
                self._reload()
                self._loaded = True
            except WatchwordError:
                write_files(self._directory, _kept(others, before))
                raise
        # Last: what isn't taken must not be judged by either.
        write_files(self._directory, private)

    def _reload(self) -> None:
        """Let a running nginx read its files anew, and wait until it did: its own check doesn't run the script.

        :raises EngineRejectedError: when it keeps what it had.
        :raises NginxError: when it does nothing for long; it is told again at the next look.
        """
        log = self._directory / ERROR_LOG
        known, workers = len(text_in(log) or ""), self._workers()
        if not self._hang_up():
            return
        for _ in range(_MOST_LOOKS):
            if self._workers() - workers or self._master() is None:
                return
            said = (text_in(log) or "")[known:]
            fault = next((line for line in said.splitlines() if _is_fault(line)), None)
            if fault is not None:
                raise EngineRejectedError(f"nginx doesn't take its files: {fault[:MAX_WORDS]}")
            time.sleep(_LOOK_SECONDS)
        raise NginxError(f"nginx starts no new workers; {log} may say why")


def _is_fault(line: str) -> bool:
    return any(fault in line for fault in _FAULTS)


def _kept(files: Sequence[EngineFile], before: dict[str, str | None]) -> list[EngineFile]:
    """Return the files as they were."""
    return [
        EngineFile(file.name, file.kind, content)
        for file in files
        for content in (before[file.name],)
        if content is not None
    ]


class NginxAuthz(RunningNginx):
    """Write the files, and reload nginx when its configuration changed.

    Where verdicts are kept, the file that says of which generation goes first: from then on no worker uses what
    was kept, neither one of the new configuration nor one of the old that still serves an open connection.
    """

    def take(self, files: Files) -> None:
        """See :meth:`watchword.apps.engines.follower.RunningEngine.take`."""
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
