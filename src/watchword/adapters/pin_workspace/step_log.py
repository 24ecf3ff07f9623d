"""Keep a log of the steps that change what apps trust: one a line, each chained to the one before by its hash.

Who edits or takes out a line breaks the chain behind it; who cuts off the end leaves sets that no line tells of.  Both are found
by :meth:`StepLog.read` and by whoever compares its versions with the sets.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from watchword.adapters.keyring.private_file import PrivateFileError, read_private, sync_directory
from watchword.adapters.pin_workspace.faults import WorkspaceError
from watchword.encoding import base64url, strict_json
from watchword.reasons import MalformedError

MAX_LOG_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of the log: some ten thousand steps."""

_MAX_LINE: Final = 64 * 1024
_FIRST: Final = ""
_MEMBERS: Final = ("at", "actor", "action", "subject", "reason", "detail", "previous")


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step.

    :param at: as RFC 3339, in UTC.
    :param actor: who did it.
    :param action: such as ``publish``.
    :param subject: what it was done to: an app, a host, a root list.
    :param reason: why, where that had to be said: a forced step.
    """

    at: str
    actor: str
    action: str
    subject: str
    reason: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class StepLog:
    """Append steps to a file, and read it; whoever appends holds the workspace's lock."""

    def __init__(self, path: Path) -> None:
        """Keep the path; the file is made by the first step."""
        self.path = path

    def read(self) -> tuple[Step, ...]:
        """Return all steps, the oldest first.

        :raises WorkspaceError: when it can't be read, or a line was changed, added or taken out.
        """
        return tuple(step for step, _ in self._chain(self._whole_lines(self._data())))

    def append(self, step: Step) -> None:
        """Add a step; it is durable on return.

        What a process wrote that was killed in the middle of it is taken away: its step was never carried out.

        :raises WorkspaceError: when the log is damaged or full, or the disk refuses; it is then as it was.
        """
        data = self._data()
        lines = self._whole_lines(data)
        chain = self._chain(lines)
        members = {
            "at": step.at,
            "actor": step.actor,
            "action": step.action,
            "subject": step.subject,
            "reason": step.reason,
            "detail": dict(step.detail),
            "previous": chain[-1][1] if chain else _FIRST,
        }
        line = strict_json.dumps(members) + b"\n"
        kept = sum(len(each) + 1 for each in lines)
        if len(line) > _MAX_LINE or kept + len(line) > MAX_LOG_BYTES:
            raise WorkspaceError(
                f"{self.path}: is full ({kept} bytes); keep it elsewhere and start anew"
            )
        self._write(line, kept, new=data is None)

    def _write(self, line: bytes, kept: int, *, new: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            handle = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise WorkspaceError(f"{self.path}: can't be written: {error.strerror}") from error
        try:
            os.ftruncate(handle, kept)
            rest, place = memoryview(line), kept
            while rest:
                written = os.pwrite(handle, rest, place)
                rest, place = rest[written:], place + written
            os.fsync(handle)
            if new:
                sync_directory(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(handle, kept)
            raise WorkspaceError(f"{self.path}: can't be written: {error.strerror}") from error
        finally:
            os.close(handle)

    def _data(self) -> bytes | None:
        try:
            return read_private(self.path, MAX_LOG_BYTES)
        except PrivateFileError as error:
            raise WorkspaceError(str(error)) from error

    def _whole_lines(self, data: bytes | None) -> list[bytes]:
        """Return the lines that end; what stands behind the last end was never finished."""
        return (data or b"").split(b"\n")[:-1]

    def _chain(self, lines: list[bytes]) -> list[tuple[Step, str]]:
        """Return each step with the hash of its line.

        :raises WorkspaceError: naming the first line that isn't chained to the one before it.
        """
        found: list[tuple[Step, str]] = []
        previous = _FIRST
        for number, line in enumerate(lines, 1):
            try:
                members = strict_json.loads(line, _MAX_LINE)
                ours = members.keys() == set(_MEMBERS) and members.pop("previous") == previous
                step = Step(**members) if ours else None
            except (MalformedError, TypeError):
                step = None
            if step is None:
                raise WorkspaceError(
                    f"{self.path}:{number}: this line was changed, added, or the one before it taken out: the steps from "
                    "here on can't be relied on; compare with a copy, then keep this file elsewhere and start anew"
                )
            previous = base64url.encode(hashlib.sha256(line).digest())
            found.append((step, previous))
        return found
