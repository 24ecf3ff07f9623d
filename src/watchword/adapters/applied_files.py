"""Keep the configuration files that were applied, in the state directory: each as it was, and which of them is in force.

An index names them; it is replaced as a whole and is what counts.  A text is written before the index names it, so that a
process that is killed in between has changed nothing.  The highest number stands in a second place too: a directory of an
earlier day that is put back is noticed.
"""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    locked_directory,
    private_directory,
    read_private,
    remove_leftovers,
    require_format,
    write_private,
)
from watchword.encoding import strict_json
from watchword.encoding.phrases import moment as utc
from watchword.reasons import MalformedError, Reason, RefusedError

MOST_KEPT: Final = 50
"""So many files are kept; the oldest go first, and the one in force stays."""

_FORMAT: Final = 1
_INDEX: Final = "applied.json"
_MOST_INDEX_BYTES: Final = 1024 * 1024
_MOST_DIGITS: Final = 15
_MOST_NUMBER: Final = 10**11
"""Also of seconds since 1970, which then have a date."""

_MOST_TEXT_BYTES: Final = 4 * 1024 * 1024
_PATIENCE_SECONDS: Final = 5.0
_MEMBERS: Final = {
    *("number", "sha256", "at", "by", "because", "widened", "parent", "restores", "recorded"),
}


class AppliedFileError(PrivateFileError):
    """Report what was applied and can't be trusted any more, and what to do about it."""


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """Hold what is known of one file that was applied.

    :param number: from 1, and never used again.
    :param sha256: of its bytes, in hexadecimal.
    :param at: seconds since 1970.
    :param by: who asked for it, by his own word.
    :param widened: whether it let more in than the one before.
    :param parent: the number to which a rollback leads; None where there is none.
    :param restores: the number whose text it has again, None for a new one.
    :param recorded: whether the audit trail knows of it.
    """

    number: int
    sha256: str
    at: int
    by: str
    because: str
    widened: bool
    parent: int | None = None
    restores: int | None = None
    recorded: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return it for people."""
        return {
            "number": self.number,
            "at": utc(datetime.fromtimestamp(self.at, UTC)),
            "by": self.by,
            "because": self.because,
            "widened": self.widened,
            "restores": self.restores,
            "sha256": self.sha256,
        }


class AppliedKeeper(Protocol):
    """Keep the files that were applied: for one machine, or for all nodes of a service; each call may wait.

    Each raises :class:`PrivateFileError` for what can't be trusted, and :class:`watchword.reasons.UnavailableError` with
    ``store.unavailable`` where a database doesn't answer.
    """

    @property
    def is_shared(self) -> bool:
        """Tell whether other nodes go by them too."""

    def newest(self) -> tuple[int, str]:
        """Return number and hash of the file that is in force as far as this process has seen, 0 and nothing before the first.

        Asks nobody where files are shared by others that run.
        """

    def all(self) -> Sequence[AppliedFile]:
        """Return what is kept, in the order in which it was applied: the last one is in force; empty before the first."""

    def text(self, file: AppliedFile) -> bytes:
        """Return the bytes of a file as it was applied."""

    def add(self, text: bytes, file: AppliedFile, base: int) -> AppliedFile:
        """Put a file in force, and return it with its number, once that is durable.

        :param file: what is to be known of it; number and hash are filled in.
        :param base: the number that has to be in force now, 0 for none.
        :raises RefusedError: ``configuration.conflict``, when another one came first.
        """

    def note_recorded(self, number: int) -> None:
        """Note that the audit trail knows of a file."""

    def place(self, number: int) -> str:
        """Return where the text of a file is, for messages."""


def require_base(base: int, now: int) -> None:
    """See to it that a change was made of what is in force.

    :raises RefusedError: ``configuration.conflict``.
    """
    if now != base:
        raise RefusedError.because(
            Reason.CONFIGURATION_CONFLICT,
            f"got a change of configuration {base}, expected one of {now}: another one came first",
        )


class AppliedFiles:
    """Implement :class:`AppliedKeeper` with files of one machine; of several processes one at a time writes."""

    is_shared = False

    def __init__(self, directory: Path, mark: Path) -> None:
        """Name the places; nothing is read or made yet.

        :param directory: of the files, made with mode 0700 by the first.
        :param mark: the file beside it in which the highest number stands.
        """
        self._directory = directory
        self._mark = mark

    def all(self) -> Sequence[AppliedFile]:
        """Return what is kept, in the order in which it was applied: the last one is in force; empty before the first.

        :raises AppliedFileError: when the index can't be trusted, or an earlier one was put back.
        """
        found = self._read()
        last, marked = found[-1].number if found else 0, self._marked()
        if marked > last:
            raise AppliedFileError(
                f"{self._directory}: got files up to number {last}, expected number {marked}: an earlier state was put "
                "back. Restore the rest of it too, or look at your file and run `watchword config apply`"
            )
        return found

    def text(self, file: AppliedFile) -> bytes:
        """Return the bytes of a file as it was applied.

        :raises AppliedFileError: when they are gone, or are others.
        """
        path = self.path(file.number)
        data = read_private(path, _MOST_TEXT_BYTES)
        if data is None or hashlib.sha256(data).hexdigest() != file.sha256:
            got = "no file" if data is None else "another text"
            raise AppliedFileError(
                f"{path}: got {got}, expected the one that was applied; restore it, or run `watchword config apply`"
            )
        return data

    def add(self, text: bytes, file: AppliedFile, base: int) -> AppliedFile:
        """Put a file in force, and return it with its number, once that is durable.

        :param file: what is to be known of it; number and hash are filled in.
        :param base: the number that has to be in force now, 0 for none.
        :raises RefusedError: ``configuration.conflict``, when another one came first.
        :raises PrivateFileError: when the disk refuses; nothing has changed then.
        """
        with locked_directory(self._directory, _PATIENCE_SECONDS):
            kept = self._trusted()
            now = kept[-1].number if kept else 0
            if kept is not None:
                require_base(base, now)
            number = max(now, self._marked()) + 1
            made = replace(file, number=number, sha256=hashlib.sha256(text).hexdigest())
            write_private(self.path(number), text)
            self._write([*(kept or ()), made][-MOST_KEPT:])
            self._note(number)
            self._sweep()
            return made

    def note_recorded(self, number: int) -> None:
        """Note that the audit trail knows of a file.

        :raises PrivateFileError: when the disk refuses.
        """
        with locked_directory(self._directory, _PATIENCE_SECONDS):
            self._write(
                [
                    replace(each, recorded=True) if each.number == number else each
                    for each in self._read()
                ]
            )

    def retire(self) -> None:
        """Keep what is here out of every start from now on: others keep it for all nodes.

        :raises PrivateFileError: when the disk refuses.
        """
        if not self._directory.exists():
            return
        aside = self._directory.with_name(f"{self._directory.name}.moved")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            self._directory.rename(aside)
            self._mark.unlink(missing_ok=True)
        except OSError as error:
            raise PrivateFileError(
                f"{self._directory}: can't be moved to {aside}: {error}"
            ) from None

    def _trusted(self) -> Sequence[AppliedFile] | None:
        """Return what is kept; None where it can't be trusted: it is given up for a file that is applied now."""
        try:
            return self.all()
        except AppliedFileError:
            return None

    def newest(self) -> tuple[int, str]:
        """See :meth:`AppliedKeeper.newest`."""
        found = self.all()
        return (found[-1].number, found[-1].sha256) if found else (0, "")

    def place(self, number: int) -> str:
        """See :meth:`AppliedKeeper.place`."""
        return str(self.path(number))

    def path(self, number: int) -> Path:
        """Return the file with the text of one that was applied."""
        return self._directory / f"{number}.yaml"

    def _read(self) -> list[AppliedFile]:
        path = self._directory / _INDEX
        data = read_private(path, _MOST_INDEX_BYTES)
        if data is None:
            return []
        try:
            return read_index(path, data)
        except (MalformedError, ValueError, TypeError, AttributeError, KeyError):
            raise AppliedFileError(
                f"{path}: got something else than the list of applied files; restore it, or run `watchword config apply`"
            ) from None

    def _write(self, files: Sequence[AppliedFile]) -> None:
        members = {"v": _FORMAT, "files": [as_members(each) for each in files]}
        write_private(self._directory / _INDEX, strict_json.dumps(members) + b"\n")

    def _marked(self) -> int:
        """Return the highest number by the mark beside the directory, 0 where there is none."""
        try:
            data = read_private(self._mark, _MOST_DIGITS + 1)
        except PrivateFileError as error:
            raise AppliedFileError(str(error)) from None
        text = b"0" if data is None else data.strip()
        if not text.isdigit():
            raise AppliedFileError(f"{self._mark}: got something else than a number; remove it")
        return int(text)

    def _note(self, number: int) -> None:
        private_directory(self._mark.parent)
        # Without it an earlier state would go unnoticed, which is no reason to refuse this one.
        with suppress(PrivateFileError):
            write_private(self._mark, f"{number}\n".encode())

    def _sweep(self) -> None:
        """Remove the texts that the index doesn't name."""
        named = {self.path(each.number) for each in self._read()}
        for path in self._directory.glob("*.yaml"):
            if path not in named:
                with suppress(OSError):
                    path.unlink()
        remove_leftovers(self._directory / _INDEX)


def as_members(file: AppliedFile) -> dict[str, Any]:
    """Return what is known of a file as JSON."""
    return {name: getattr(file, name) for name in AppliedFile.__dataclass_fields__}


def read_index(path: Path, data: bytes) -> list[AppliedFile]:
    """Return what an index names, in its order.

    :raises OtherFormatError: when a newer version wrote it.
    :raises MalformedError: when it isn't JSON.
    :raises ValueError: when it says anything else; so do TypeError, AttributeError and KeyError.
    """
    members = strict_json.loads(data, _MOST_INDEX_BYTES)
    if members.keys() != {"v", "files"}:
        raise ValueError("other members")
    require_format(path, members["v"], _FORMAT)
    return read_files(members["files"])


def read_files(members: Any) -> list[AppliedFile]:
    """Return what :func:`as_members` was given of each file, in its order; there is at least one.

    :raises ValueError: when it says anything else; so do TypeError, AttributeError and KeyError.
    """
    found = [_file(each) for each in members]
    numbers = [each.number for each in found]
    if not numbers or numbers != sorted(set(numbers)):
        raise ValueError("numbers that don't rise")
    return found


def _file(value: Any) -> AppliedFile:
    if not isinstance(value, dict) or value.keys() != _MEMBERS:
        raise ValueError("other members")
    file = AppliedFile(**value)
    numbers = (file.number, file.at, *(n for n in (file.parent, file.restores) if n is not None))
    if any(type(each) is not int or not 0 <= each <= _MOST_NUMBER for each in numbers):
        raise ValueError("no number")
    if any(type(each) is not bool for each in (file.widened, file.recorded)):
        raise ValueError("neither true nor false")
    if any(not isinstance(each, str) for each in (file.sha256, file.by, file.because)):
        raise ValueError("no text")
    return file
