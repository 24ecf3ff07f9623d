"""Hold a gate to the conformance corpus: commands of a package of its own, which its entry point names."""

from importlib import metadata
from typing import Final

import click

PACKAGE: Final = "watchword-conformance"


def _command() -> click.Command:
    """Return the package's command; where it isn't installed, one that says so, whatever is asked of it."""
    try:
        entry_points = metadata.distribution(PACKAGE).entry_points
    except metadata.PackageNotFoundError:
        return click.Command(
            "conformance",
            callback=_not_installed,
            add_help_option=False,
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )
    (found,) = entry_points.select(group="watchword.commands", name="conformance")
    loaded: click.Command = found.load()
    return loaded


def _not_installed() -> None:
    """Say how the package is added.

    :raises click.UsageError: always.
    """
    raise click.UsageError(f"conformance is a package of its own: pip install {PACKAGE}")


command = _command()
