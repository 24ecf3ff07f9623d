"""Leave the service and the device alone for a while after what won't change at once.

Whatever happened, no more than an hour: a policy that was mended lets a healthy phone in again.  Only a refusal that
the service signed outlasts the process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from watchword.client.errors import (
    ClientError,
    DeviceError,
    DeviceErrorKind,
    Problem,
    ServiceRefusedError,
    ServiceUnavailableError,
    refusal,
)
from watchword.client.exchange import MAX_PAUSE

COOL_DOWN: Final = 3600.0
"""Most seconds for which nothing is tried."""

FIRST_DEVICE_PAUSE: Final = 5.0
"""Upper bound of the pause after a device was busy for all attempts of a call, in seconds; it doubles each time."""

_FOR_LONG: Final = frozenset(
    {DeviceErrorKind.UNSUPPORTED, DeviceErrorKind.KEY_LOST, DeviceErrorKind.FAULT}
)
_MAX_DOUBLINGS: Final = 10


@dataclass(frozen=True, slots=True)
class _Hold:
    """Hold what is raised instead of asking, and until when on the boot clock."""

    error: ServiceRefusedError | ServiceUnavailableError | DeviceError
    until: float

    def raised(self, now: float) -> ClientError:
        """Return what is raised in place of asking."""
        if isinstance(self.error, ServiceUnavailableError):
            return self.error.again(self.until - now)
        return self.error.again()


class Cooldown:
    """Remember the last final refusal, long pause of the service or failure of the device, and until when it counts."""

    def __init__(self, uptime: Callable[[], float], jitter: Callable[[], float]) -> None:
        """Count on the boot clock.

        :param jitter: returns a number from 0 to below 1.
        """
        self._uptime = uptime
        self._jitter = jitter
        self._hold: _Hold | None = None
        self._busy = 0

    def check(self) -> None:
        """Raise what is remembered, while it counts.

        :raises ClientError: the same as before; nothing was asked.
        """
        now = self._uptime()
        hold = self._active(now)
        if hold is not None:
            raise hold.raised(now)
        self._hold = None

    @property
    def holds(self) -> bool:
        """Tell whether something is remembered that counts still."""
        return self._active(self._uptime()) is not None

    def _active(self, now: float) -> _Hold | None:
        hold = self._hold
        return hold if hold is not None and now < hold.until else None

    def clear(self) -> None:
        """Forget what is remembered: somebody asks on purpose."""
        self._hold = None

    def succeed(self) -> None:
        """Forget everything: there are tokens again."""
        self._hold, self._busy = None, 0

    def refused(self, error: ServiceRefusedError) -> None:
        """Remember a final refusal."""
        self._hold = _Hold(error, self._uptime() + COOL_DOWN)

    def unavailable(self, error: ServiceUnavailableError) -> None:
        """Remember a pause that the service asked for, if it is longer than what a call waits itself."""
        pause = error.retry_after or 0.0
        if pause > MAX_PAUSE:
            self._hold = _Hold(error, self._uptime() + min(pause, COOL_DOWN))

    def failed(self, error: DeviceError) -> None:
        """Remember a failure of the device; a device that waits for its user isn't one."""
        if error.kind in _FOR_LONG:
            pause = COOL_DOWN
        elif error.kind is DeviceErrorKind.TRANSIENT:
            own = self._jitter() * min(COOL_DOWN, FIRST_DEVICE_PAUSE * 2**self._busy)
            pause = min(COOL_DOWN, (error.retry_after or 0.0) + own)
            self._busy = min(self._busy + 1, _MAX_DOUBLINGS)
        else:
            return
        self._hold = _Hold(error, self._uptime() + pause)

    def export(self) -> dict[str, Any] | None:
        """Return a refusal that outlasts the process, JSON-ready; None if there is none."""
        hold = self._hold
        if hold is None or not isinstance(hold.error, ServiceRefusedError) or not hold.error.signed:
            return None
        problem = hold.error.problem
        return {
            "status": problem.status,
            "type": problem.slug,
            "title": problem.title,
            "ref": problem.ref,
            "until": hold.until,
        }

    def restore(self, document: Mapping[str, Any] | None) -> None:
        """Take back what was exported in the same boot; None: nothing.

        :raises ValueError: if it is none.
        """
        self._hold = None
        if document is not None:
            try:
                self._restore(document)
            except (TypeError, KeyError, OverflowError):
                raise ValueError("got a stored refusal that isn't one") from None

    def _restore(self, document: Mapping[str, Any]) -> None:
        status, slug, ref = document["status"], document["type"], document["ref"]
        until = document["until"]
        if not isinstance(status, int) or not isinstance(slug, str):
            raise TypeError
        if not (ref is None or isinstance(ref, str)) or not isinstance(until, int | float):
            raise TypeError
        error = refusal(Problem(status, slug, str(document["title"]), ref))
        error.signed = True
        # However it was written: nothing locks a phone out for longer.
        self._hold = _Hold(error, min(float(until), self._uptime() + COOL_DOWN))
