"""Keep how far the lines of those who enrol are, over restarts: numbers alone, nothing of any phone.

What a process that is killed loses are some seconds.  Numbers that were given out in them are known again as soon as one of
them comes back, and those called in them are called once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from watchword.adapters.keyring.private_file import (
    read_private,
    require_known_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.enrolment.pace import LineState, Pace, PaceState
from watchword.reasons import MalformedError

FORMAT: Final = 1
"""What ``v`` says of a file that this version wrote."""

MAX_BYTES: Final = 256 * 1024
"""Most bytes of the file; an app takes 150."""

_MOST: Final = 2**53
_QUEUE_CHARACTERS: Final = 16
_LINES: Final = 2
_MILLION: Final = 1_000_000
_log = structlog.get_logger()


class PaceFile:
    """Read and write the file."""

    def __init__(self, path: Path) -> None:
        """Keep the path; nothing is read yet."""
        self._path = path
        self._written: Mapping[str, PaceState] = {}

    def read(self) -> Mapping[str, PaceState]:
        """Return what was kept, by app.

        A file that is damaged is told in the log and counts as none: places of before count from the turn on that they name.

        :raises PrivateFileError: when it isn't ours alone, or a newer Watchword wrote it.
        """
        data = read_private(self._path, MAX_BYTES)
        if data is None:
            return {}
        require_known_format(self._path, FORMAT, MAX_BYTES)
        try:
            return read_states(data)
        except ValueError as error:
            _log.warning(
                "how far the lines are isn't known", file=str(self._path), fault=str(error)
            )
            return {}

    def write(self, states: Mapping[str, PaceState]) -> None:
        """Write what changed since the last time; whole, or not at all.

        :raises PrivateFileError: when it can't be written.
        """
        if states != self._written:
            write_private(self._path, write_states(states))
            self._written = dict(states)


@dataclass(frozen=True, slots=True)
class KeptPace:
    """Hold a pace, and the file that keeps it over restarts."""

    pace: Pace
    file: PaceFile


def write_states(states: Mapping[str, PaceState]) -> bytes:
    """Return the document; rates in millionths of an instance a second."""
    apps = {
        app: {
            "queue": state.queue.hex(),
            "rate": round(state.rate * _MILLION),
            "lines": [[line.issued, int(line.called)] for line in state.lines],
        }
        for app, state in states.items()
    }
    return strict_json.dumps({"v": FORMAT, "apps": apps}) + b"\n"


def read_states(data: bytes) -> dict[str, PaceState]:
    """Return what a document says.

    :raises ValueError: when it is none; its text quotes nothing of it.
    """
    try:
        members = strict_json.loads(data, MAX_BYTES)
        if members["v"] != FORMAT:
            raise ValueError("got another version")
        return {app: _state(entry) for app, entry in members["apps"].items()}
    except (MalformedError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"got another document ({type(error).__name__})") from None


def _state(entry: Mapping[str, Any]) -> PaceState:
    queue, rate, lines = entry["queue"], entry["rate"], entry["lines"]
    if len(queue) != _QUEUE_CHARACTERS or len(lines) != _LINES:
        raise ValueError("got a queue or lines of another length")
    first, second = (_line(*line) for line in lines)
    name = bytes.fromhex(queue)
    if len(name) * 2 != _QUEUE_CHARACTERS:
        raise ValueError("got a queue of another length")
    return PaceState(name, _whole(rate) / _MILLION, (first, second))


def _line(issued: Any, called: Any) -> LineState:
    if _whole(called) > _whole(issued):
        raise ValueError("got more that were called than places")
    return LineState(issued, float(called))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not 0 <= value <= _MOST:
        raise ValueError("got a number that is out of bounds")
    return value
