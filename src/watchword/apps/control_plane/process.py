"""Run Envoy beside its control plane, and start it again when it dies."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from watchword.apps.control_plane.admin import is_running, quit_politely
from watchword.engines.envoy.options import START_OPTIONS
from watchword.engines.places import Endpoint
from watchword.reasons import WatchwordError

_GRACE_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""After which a death counts as the first one again."""

_HOPELESS_SECONDS: Final = 1.0
"""An Envoy that has never run longer than this can't run at all."""


class EnvoyError(WatchwordError):
    """Report an Envoy that can't be started, or ends as soon as it is."""


def find_envoy(named: Path | None) -> Path:
    """Return the binary: the named one, the one installed beside Python, or the one on the path.

    :raises EnvoyError: when there is none.
    """
    beside = Path(sys.executable).with_name("envoy")
    on_path = shutil.which("envoy")
    for found in (named, beside, Path(on_path) if on_path else None):
        if found is not None and found.is_file():
            return found
        if found is not None and found == named:
            break
    raise EnvoyError(
        f"{named or 'envoy'}: isn't there; name it with --envoy, or: pip install 'watchword[envoy]'"
    )


def require_free(listen: Endpoint) -> None:
    """Refuse an address that somebody listens on: an engine would share it, and half of the requests go there.

    :raises EnvoyError: when it is taken or can't be taken.
    """
    if listen.socket:
        return
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
            probe.listen()
        except OSError as error:
            raise EnvoyError(
                f"{listen.host}:{listen.port}: {error.strerror}; `watchword up` listens there too if it "
                "runs this API's proxy. Name another address with --listen"
            ) from None


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
        :raises EnvoyError: when the system refuses, or its address is taken.
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
        self._tell = tell
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at: float | None = None
        self._pause = _FIRST_PAUSE
        self._ran_well = False
        self.adopted = is_running(admin)
        if self.adopted:
            self._ran_well = True
        else:
            require_free(listen)
            self._start()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(self._arguments)  # noqa: S603 - the operator named it.
        except OSError as error:
            raise EnvoyError(f"{self._arguments[0]}: can't be started: {error.strerror}") from None
        self._started = self._monotonic()
        self._start_at = None
        self.adopted = False

    def keep_running(self) -> None:
        """Look once: start it again some time after it died, later each time.

        :raises EnvoyError: when it has never run, so that another start is no use.
        """
        now = self._monotonic()
        if self._start_at is not None:
            if now >= self._start_at:
                self._start()
            return
        if self._process is None:
            if not is_running(self._admin):
                self._plan("Envoy ended", now)
            return
        code = self._process.poll()
        lived = now - self._started
        if code is None:
            self._ran_well = self._ran_well or lived > _HOPELESS_SECONDS
            if lived > _STEADY_SECONDS:
                self._pause = _FIRST_PAUSE
        elif not self._ran_well and lived <= _HOPELESS_SECONDS:
            raise EnvoyError(f"Envoy ended with code {code} at once; its last words stand above")
        else:
            self._plan(f"Envoy ended with code {code}", now)

    def _plan(self, what: str, now: float) -> None:
        self._tell(f"{what}; it is started again in {self._pause:g} s")
        self._start_at = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def stop(self) -> None:
        """End it, at first politely."""
        if self.adopted:
            quit_politely(self._admin)
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
