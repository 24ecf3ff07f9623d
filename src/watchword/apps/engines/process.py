"""Run Envoy beside its control plane, and start it again when it dies."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from watchword.apps.engines.admin import is_running, quit_politely
from watchword.apps.engines.keeping import EngineProcessError, ProcessKeeper, require_free
from watchword.engines.envoy.options import START_OPTIONS
from watchword.engines.interface import Endpoint


def find_envoy(named: Path | None) -> Path:
    """Return the binary: the named one, the one installed beside Python, or the one on the path.

    :raises EngineProcessError: when there is none.
    """
    beside = Path(sys.executable).with_name("envoy")
    on_path = shutil.which("envoy")
    for found in (named, beside, Path(on_path) if on_path else None):
        if found is not None and found.is_file():
            return found
        if found is not None and found == named:
            break
    raise EngineProcessError(
        f"{named or 'envoy'}: isn't there; name it with --envoy, or: pip install 'watchword[envoy]'"
    )


class EnvoyProcess:
    """Keep one Envoy running.

    One that an earlier control plane left behind is taken over, since it goes on serving.
    """

    def __init__(
        self,
        command: tuple[Path, Path, int],
        listen: Endpoint,
        admin: Path,
        tell: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        """Start it, or take over the one that runs.

        :param command: the binary, the file that it is started with, and how many workers (0: one a core).
        :param admin: its admin socket, by which one that runs is known.
        :param tell: is told when it dies, in one line.
        :param monotonic: seconds of a clock that never jumps.
        :raises EngineProcessError: when the system refuses, or its address is taken.
        """
        binary, bootstrap, workers = command
        self._arguments = [
            str(binary),
            *("-c", str(bootstrap)),
            *START_OPTIONS,
            *("--log-level", "warning"),
            *(["--concurrency", str(workers)] if workers else []),
        ]
        self._admin = admin
        self._keeper = ProcessKeeper("Envoy", self._start, tell, monotonic)
        self.adopted = is_running(admin)
        if not self.adopted:
            require_free(listen)
            self._keeper.start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._arguments)  # noqa: S603 - the operator named it.

    def keep_running(self) -> None:
        """Look once: start it again some time after it died, later each time.

        :raises EngineProcessError: when it has never run, so that another start is no use.
        """
        if not self.adopted:
            self._keeper.look()
        elif not is_running(self._admin):
            self.adopted = False
            self._keeper.replace_another()

    def stop(self) -> None:
        """End it, at first politely."""
        if self.adopted:
            quit_politely(self._admin)
        self._keeper.stop()
