"""Keep a process of an engine running: start it again when it dies, later each time, and end it politely."""

import socket
import subprocess
from collections.abc import Callable
from typing import Final

from watchword.engines.interface import Endpoint
from watchword.reasons import WatchwordError

_GRACE_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
"""After which a death counts as the first one again."""

_HOPELESS_SECONDS: Final = 1.0
"""An engine that has never run longer than this can't run at all."""


class EngineProcessError(WatchwordError):
    """Report an engine that isn't there, can't be started, or ends as soon as it is."""


def require_free(listen: Endpoint) -> None:
    """Refuse an address that somebody listens on: an engine would share it, and half of the requests go there.

    :raises EngineProcessError: when it is taken or can't be taken.
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
            raise EngineProcessError(
                f"{listen.host}:{listen.port}: {error.strerror}; `watchword up` listens there too if it "
                "runs this API's proxy. Name another address with --listen"
            ) from None


class ProcessKeeper:
    """Keep one process that is started here.

    Whether one that was started elsewhere runs already is for the engine to know: while it does, nobody looks here.
    """

    def __init__(
        self,
        engine: str,
        start: Callable[[], subprocess.Popen[bytes]],
        notify: Callable[[str], None],
        monotonic: Callable[[], float],
        end_rest: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Prepare; nothing is started yet.

        :param engine: its name, for people.
        :param start: starts the process.
        :param notify: is told when it dies, in one line.
        :param monotonic: seconds of a clock that never jumps.
        :param end_rest: ends what a process with this id leaves behind when it has ended.
        """
        self._engine = engine
        self._spawn = start
        self._notify = notify
        self._monotonic = monotonic
        self._end_rest = end_rest
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._start_at: float | None = None
        self._pause = _FIRST_PAUSE
        self._ran_well = False

    @property
    def is_idle(self) -> bool:
        """Tell whether no process runs here, and none is to be started after a pause."""
        return self._process is None and self._start_at is None

    @property
    def ran_well(self) -> bool:
        """Tell whether any process ran for more than a second, so that another one may."""
        return self._ran_well

    def start(self) -> None:
        """Start the process now.

        :raises EngineProcessError: when the system refuses.
        """
        try:
            self._process = self._spawn()
        except OSError as error:
            # Which file it is, the words of the system don't say.
            named = f"{error.filename}: " if error.filename else ""
            raise EngineProcessError(
                f"{self._engine} can't be started: {named}{error.strerror or error}"
            ) from None
        self._started, self._start_at = self._monotonic(), None

    def look(self) -> None:
        """Look once: start the process where there is none, and again some time after it died.

        :raises EngineProcessError: when it can't be started, or has never run, so that another start is no use.
        """
        now = self._monotonic()
        if self._process is None:
            if self._start_at is None or now >= self._start_at:
                self.start()
            return
        code, lived = self._process.poll(), now - self._started
        if code is None:
            self._ran_well = self._ran_well or lived > _HOPELESS_SECONDS
            if lived > _STEADY_SECONDS:
                self._pause = _FIRST_PAUSE
            return
        died, self._process = self._process.pid, None
        self._end_rest(died)
        if not self._ran_well and lived <= _HOPELESS_SECONDS:
            raise EngineProcessError(
                f"{self._engine} ended with code {code} at once; its last words stand above"
            )
        self._plan(f"{self._engine} ended with code {code}")

    def replace_another(self) -> None:
        """Start a process after a pause, in the place of one that was started elsewhere, ran, and ended."""
        self._ran_well = True
        self._plan(f"{self._engine} ended")

    def _plan(self, what: str) -> None:
        self._notify(f"{what}; it is started again in {self._pause:g} s")
        self._start_at = self._monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def stop(self, grace: float = _GRACE_SECONDS) -> None:
        """End the process that was started here, at first politely.

        :param grace: seconds that it has to end by itself.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._end_rest(process.pid)
