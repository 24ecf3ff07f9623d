"""Ask for what stands in no argument: passphrases."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from watchword.tokens.signing_key import SigningKey

_LEAST: Final = 12
"""Fewest characters of a passphrase: who finds the file tries all shorter ones."""


def new_passphrase(file: Path | None, *, ask: bool) -> str | None:
    """Return the passphrase for a new key, None where none was asked for.

    :raises click.UsageError: when it is too short, or nobody is there to be asked.
    """
    if file is not None:
        phrase = _of_file(file)
    elif not ask:
        return None
    elif sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; name a file with --passphrase-file")
    else:
        phrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    if len(phrase) < _LEAST:
        raise click.UsageError(
            f"got a passphrase of {len(phrase)} characters, expected {_LEAST} or more"
        )
    return phrase


def signing_key(key: Path, passphrase_file: Path | None) -> "SigningKey":
    """Return the private key in a file; where it is encrypted, ask for its passphrase.

    :raises click.UsageError: when nobody is there to be asked.
    """
    from watchword.adapters.pin_workspace import read_key

    found = read_key(key)
    if found is None and passphrase_file is not None:
        found = read_key(key, _of_file(passphrase_file))
    elif found is None:
        if sys.stdin is None or not sys.stdin.isatty():
            raise click.UsageError(
                f"{key} is encrypted and nobody is there to be asked; name a file with --passphrase-file"
            )
        found = read_key(key, click.prompt(f"Passphrase of {key}", hide_input=True, err=True))
    if found is None:
        raise click.UsageError(f"{key} is encrypted, expected a passphrase")
    return found


def _of_file(file: Path) -> str:
    from watchword.adapters.keyring.private_file import read_private

    data = read_private(file, 1024)
    if data is None:
        raise click.UsageError(f"{file}: no such file, expected a passphrase in it")
    try:
        return data.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file}: got bytes that aren't UTF-8, expected text") from None
