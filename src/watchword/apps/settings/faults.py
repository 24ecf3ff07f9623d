"""Collect the faults of a configuration file, so that all are shown at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchword.reasons import ExitCode, WatchwordError

MAX_SHOWN = 60
"""Most characters of a value that is shown in a fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Hold one fault: where (path and line), what was got, what was expected.

    :param path: dotted, for example ``apis.clinic.routes[0].mode``; empty for the whole file.
    :param line: counted from 1; None where there is none (a file that can't be read).
    """

    path: str
    line: int | None
    got: str
    expected: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fault for ``--json``."""
        return {"path": self.path, "line": self.line, "got": self.got, "expected": self.expected}


class ConfigurationError(WatchwordError):
    """Report everything that is wrong with a configuration file; nothing was started."""

    exit_code = ExitCode.USAGE
    is_report = True

    def __init__(self, file: Path, faults: list[Fault]) -> None:
        """Keep the file and its faults, in the order of their lines."""
        self.file = file
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line or 0, fault.path)))
        super().__init__(self.render())

    def render(self) -> str:
        """Return the text for people: one block for each fault."""
        count = len(self.faults)
        lines = [f"{self.file}: {count} fault{'' if count == 1 else 's'}"]
        for fault in self.faults:
            where = f"{self.file}:{fault.line}" if fault.line else str(self.file)
            lines.append(f"  {where}  {fault.path or '(the whole file)'}")
            lines.append(f"      got       {fault.got}")
            lines.append(f"      expected  {fault.expected}")
        return "\n".join(lines)


def shown(value: Any) -> str:
    """Return a value as a fault shows it: short, and what YAML would call it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def join(path: tuple[str | int, ...]) -> str:
    """Return a path in its dotted form."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
