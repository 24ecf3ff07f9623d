"""Print for people and for scripts: errors, JSON lines, and the exit codes that go with them."""

import errno
import json
import os
import sys
from typing import Any, Final, NoReturn

import click

from watchword.apps.terminal.environment import debugging
from watchword.apps.terminal.paragraphs import printable, printable_lines
from watchword.extras import explained, is_of_others
from watchword.reasons import ExitCode, RefusedError, UnavailableError, WatchwordError

EXIT_REFUSED: Final = ExitCode.REFUSED
EXIT_USAGE: Final = ExitCode.USAGE
EXIT_UNAVAILABLE: Final = ExitCode.UNAVAILABLE

_OF_THE_SYSTEM: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOLCK,
        errno.ESTALE,
        errno.ETXTBSY,
    }
)
"""What no other option or file of the user's makes good: the file system, or who may use it."""


def print_json(value: Any) -> None:
    """Print one JSON value on one line, in ASCII: strangers' text may hold what a terminal obeys."""
    click.echo(json.dumps(value, default=_as_text))


def _as_text(value: object) -> str:
    """Return what JSON has no type for as text: bytes as hex, a path or a time as it is written."""
    return value.hex() if isinstance(value, bytes) else str(value)


def leave(code: int) -> NoReturn:
    """End the process after servers ran in it, everything being stopped by then.

    Their runtime threads may still wind down and would panic, harmlessly but loudly, while the
    interpreter is taken apart.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


def fail(error: Exception) -> int:
    """Explain an error on stderr and return the exit code."""
    if debugging():
        sys.excepthook(type(error), error, error.__traceback__)
    text, code = _explained(error)
    # Names of files stand in it, and whoever made a file chose its name.
    click.echo(printable_lines(text), err=True)
    return code


def _explained(error: Exception) -> tuple[str, int]:
    """Return what to say of an error, and the exit code."""
    if isinstance(error, WatchwordError):
        return _worded(error), code_of(error)
    if isinstance(error, ModuleNotFoundError) and is_of_others(error):
        return f"error: {printable(explained(error))}", EXIT_USAGE
    if isinstance(error, OSError):
        where = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        return f"error: {printable(where)}", EXIT_UNAVAILABLE
    fault = (
        f"internal error: {type(error).__name__}. This is a fault in Watchword; "
        "run again with WATCHWORD_DEBUG=1 for the trace, and please report it."
    )
    return fault, EXIT_REFUSED


def _worded(error: WatchwordError) -> str:
    if error.is_report:
        return str(error)
    if isinstance(error, RefusedError):
        return "\n".join(f"refused: {refusal}" for refusal in error.refusals)
    if isinstance(error, UnavailableError):
        return f"not available: {error.detail} ({error.reason.code})"
    if error.exit_code is ExitCode.UNAVAILABLE:
        return f"not available: {error}"
    if error.exit_code is ExitCode.USAGE:
        # One line; a newline in it is one of a file's name, and would forge a line of ours.
        return f"error: {printable(str(error))}"
    return f"error: {error}"


def code_of(error: WatchwordError) -> ExitCode:
    """Return the exit code of an error of ours: its own, or ``unavailable`` where it puts into words what the system refused."""
    judged = isinstance(error, RefusedError)
    return ExitCode.UNAVAILABLE if not judged and by_the_system(error) else error.exit_code


def refused_by_the_system(error: OSError) -> bool:
    """Tell whether the file system or its permissions refused, whatever the user named."""
    return error.errno in _OF_THE_SYSTEM


def by_the_system(error: BaseException) -> bool:
    """Tell whether an error puts into words what the file system refused, or is what it said itself."""
    # `from None` hides the error that was caught from people; it still hangs on ours.
    cause: BaseException | None = error
    while isinstance(cause, WatchwordError):
        cause = cause.__context__
    return isinstance(cause, OSError) and refused_by_the_system(cause)
