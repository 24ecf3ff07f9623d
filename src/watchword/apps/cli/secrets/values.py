"""Read a secret's value: from standard input, a file or a prompt, and never from the command line."""

import sys
from pathlib import Path
from typing import BinaryIO, Final

import click

from watchword.broker.interface import MAX_VALUE_BYTES
from watchword.reasons import MalformedError, Reason

_READ_BYTES: Final = MAX_VALUE_BYTES + 3
"""Most bytes that are read: a value, the end of its line, and one more, by which a longer one is known."""


TAKES_NO_VALUE: Final = {"ignore_unknown_options": True}
"""Settings of a command for :func:`not_there`: click would repeat an option that it doesn't know."""


def not_there(_ctx: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
    """Refuse what stands beside the name and is no option, without repeating it: it may be the value."""
    if value:
        raise click.UsageError(
            "got more than a name and options that there are; give the value through standard input or "
            "--from-file. Everybody on this machine sees a command line, "
            "and the shell's history keeps it: if it held the value, have the provider replace that key."
        )


def read_value(name: str, file: Path | None) -> str:
    """Return a value, without the end of its line.

    :param file: None for standard input; a person at a terminal is asked, and what they type isn't shown.
    :raises MalformedError: ``secret.value`` when it is too long or isn't text.
    :raises OSError: when the file can't be read.
    """
    if file is not None:
        with file.open("rb") as opened:
            return _text(opened)
    if sys.stdin is None:
        # A job whose standard input was closed.
        return ""
    if not sys.stdin.isatty():
        return _text(sys.stdin.buffer)
    try:
        typed: str = click.prompt(f"Value of {name} (not shown)", hide_input=True, err=True)
        typed.encode()
    except UnicodeError:
        raise _not_text() from None
    return typed


def _text(source: BinaryIO) -> str:
    data = source.read(_READ_BYTES)
    # What a shell's echo or an editor puts there; other line breaks are the service's to judge.
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(data) > MAX_VALUE_BYTES:
        raise MalformedError.because(
            Reason.SECRET_VALUE, f"got more than {MAX_VALUE_BYTES} bytes, expected one key"
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _not_text() from None


def _not_text() -> MalformedError:
    return MalformedError.because(Reason.SECRET_VALUE, "got bytes that aren't UTF-8, expected text")
