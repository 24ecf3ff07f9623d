"""Stop asking a backend that failed again and again, so that its death costs each caller little."""

import threading
from collections.abc import Callable
from typing import Final

FAILURES: Final = 3
"""After so many failures in a row nobody waits for the backend any more."""

REST_SECONDS: Final = 1.0
"""After how long one question tries it again, while all others are still refused at once."""


class Breaker:
    """Count failures in a row; safe among threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Start with a backend that is thought well of.

        :param monotonic: seconds that never go back.
        """
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._rest_until = 0.0
        self._why = ""

    def resting(self) -> str | None:
        """Return why nobody may ask now, None if the caller may.

        Whoever may ask after a rest is the probe: everybody else rests until it is known how that went.
        """
        with self._lock:
            if self._failures < FAILURES:
                return None
            moment = self._monotonic()
            if moment < self._rest_until:
                return self._why
            self._rest_until = moment + REST_SECONDS
            return None

    def failed(self, why: str) -> None:
        """Note a failure.

        :param why: an operator's text, which those who rest are told.
        """
        with self._lock:
            self._failures += 1
            self._rest_until = self._monotonic() + REST_SECONDS
            self._why = why

    def worked(self) -> None:
        """Note an answer, also one that refused: the backend is there."""
        with self._lock:
            self._failures = 0
