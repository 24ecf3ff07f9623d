"""Read the files that ``watchword scan`` is given beside the app; each error names its file."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from watchword.scan.baseline import Suppression
    from watchword.scan.interface import Severity
    from watchword.scan.outcome import Report

MAX_SUPPRESSIONS: Final = 4 * 1024 * 1024
"""Most bytes of a file of suppressions."""

_START: Final = 64
"""Bytes by which a report is told from an app."""

_MILLISECONDS: Final = re.compile(r"([1-9][0-9]{0,6})ms", re.ASCII)


def seconds_of(text: str) -> float:
    """Return a duration in seconds: as everywhere (``90s``, ``5m``), or in milliseconds (``500ms``).

    :raises click.UsageError: when it isn't one.
    """
    if text == "30s":
        return 30.0
    if match := _MILLISECONDS.fullmatch(text):
        return int(match[1]) / 1000
    from pydantic_core import PydanticCustomError

    from watchword.apps.settings.schema import seconds

    try:
        found = seconds(text)
    except PydanticCustomError as error:
        got = f"got {text!r}, expected {error.message()}"
        raise click.UsageError(f"--timeout: {got}") from None
    if found <= 0:
        raise click.UsageError(f"--timeout: got {text!r}, expected more than nothing")
    return float(found)


def data_of(path: Path, most: int) -> bytes:
    """Return the bytes of a file.

    :raises click.UsageError: when there is none, or it is too large.
    :raises OSError: when it can't be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise click.UsageError(f"{path}: got {error.strerror}, expected a file") from None
    if len(data) > most:
        raise click.UsageError(f"{path}: got more than {most} bytes, expected fewer")
    return data


def baseline_of(path: Path | None) -> "dict[str, Severity] | None":
    """Return a baseline, None without one.

    :raises click.UsageError: naming the file and the place.
    """
    if path is None:
        return None
    from watchword.apps.scan.stored import MAX_BYTES
    from watchword.encoding import strict_json
    from watchword.reasons import MalformedError
    from watchword.scan.baseline import BaselineError, from_baseline

    try:
        return from_baseline(strict_json.loads(data_of(path, MAX_BYTES), MAX_BYTES))
    except MalformedError as error:
        raise click.UsageError(f"{path}: {error.refusals[0].detail}") from None
    except BaselineError as error:
        raise click.UsageError(f"{path}: {error}") from None


def suppressions_of(path: Path | None, rules: Sequence[str]) -> "tuple[Suppression, ...]":
    """Return what somebody answers for, from YAML or JSON.

    :param rules: ids that are known.
    :raises click.UsageError: naming the file and the entry.
    """
    if path is None:
        return ()
    from watchword.apps.settings.document import parse_document
    from watchword.apps.settings.faults import ConfigurationError
    from watchword.scan.baseline import BaselineError, from_suppressions

    try:
        document = parse_document(path, data_of(path, MAX_SUPPRESSIONS))
        found = () if document.faults else from_suppressions(document.data, rules)
    except ConfigurationError as error:
        raise click.UsageError(error.render()) from None
    except BaselineError as error:
        raise click.UsageError(f"{path}: {error}") from None
    if document.faults:
        raise click.UsageError(ConfigurationError(path, document.faults).render())
    return found


def reports_of(path: Path) -> "tuple[Report, ...]":
    """Return the reports in a JSON document of scans.

    :raises click.UsageError: naming the file and the place.
    """
    from watchword.apps.scan.stored import MAX_BYTES, ScanDocumentError
    from watchword.apps.scan.stored import reports_of as read

    try:
        return read(data_of(path, MAX_BYTES))
    except ScanDocumentError as error:
        raise click.UsageError(f"{path}: {error}") from None


def is_json(path: Path) -> bool:
    """Tell whether a file begins as a JSON object does, which no package can."""
    if path.is_symlink() or not path.is_file():
        # Whoever opens packages says what he thinks of it.
        return False
    with path.open("rb") as file:
        return file.read(_START).lstrip().startswith(b"{")


def code_of(error: Exception) -> int:
    """Return the exit code for a package that can't be scanned: 3 where the system refuses, else 2."""
    from watchword.apps.terminal.console import EXIT_UNAVAILABLE, EXIT_USAGE, by_the_system

    return EXIT_UNAVAILABLE if by_the_system(error) else EXIT_USAGE
