"""Define how a line of an engine's access log is read."""

from collections.abc import Mapping
from typing import Any, Protocol

from watchword.adapters.engine_refusals import EngineRefusal
from watchword.reasons import WatchwordError


class LogLineError(WatchwordError):
    """Report a line that isn't what the engine writes: what was got, what was expected, nothing quoted."""


class EngineLog(Protocol):
    """Read what one engine writes."""

    def __call__(self, members: Mapping[str, Any]) -> EngineRefusal | None:
        """Return the refusal of a line, None for an answer that the engine didn't refuse.

        :param members: the line's JSON object.
        :raises LogLineError: when the line isn't one of this engine's.
        """
