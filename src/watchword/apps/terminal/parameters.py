"""Read what several commands are told alike: durations, reasons for the audit trail, text that can be sent, names that look like options."""

from collections.abc import Callable
from typing import Any, Final

import click

from watchword.encoding.phrases import seconds

MAX_BECAUSE: Final = 500
"""Most characters of a reason; the service has the same limit."""


class NamesLikeOptions(click.Command):
    """Take an id: one in 64 begins with a dash and isn't an option.

    ``-h`` alone asks for help.  It is no option here, since an ``h`` anywhere in such an id would be taken for it.
    """

    def __init__(self, name: str | None, **options: Any) -> None:
        """Let what looks like an option be an id."""
        super().__init__(name, **options)
        self.context_settings = {"ignore_unknown_options": True, "help_option_names": ["--help"]}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words behind the command's name."""
        return super().parse_args(ctx, ["--help"] if args == ["-h"] else args)


def encodable(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Accept an option's text if it can be sent; a terminal may hand over bytes of no encoding."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("got bytes that aren't UTF-8, expected text") from None
    return value


def reason(ctx: click.Context, parameter: click.Parameter, value: str) -> str | None:
    """Accept a reason for the audit trail."""
    if not 0 < len(value) <= MAX_BECAUSE:
        raise click.BadParameter(f"got {len(value)} characters, expected 1 to {MAX_BECAUSE}")
    return encodable(ctx, parameter, value)


def optional_reason(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Accept a reason for the audit trail, or none."""
    return None if value is None else reason(ctx, parameter, value)


def seconds_of(text: str, hint: str) -> int:
    """Return the seconds of a duration such as 30d.

    :raises click.BadParameter: naming the option ``hint``, when it is none.
    """
    try:
        return seconds(text)
    except ValueError as error:
        raise click.BadParameter(f"got {text!r}, expected {error}", param_hint=hint) from None


def life(most: str) -> Callable[[click.Context, click.Parameter, str], int]:
    """Return what accepts a duration from a minute to ``most``, as ``watchword.yaml`` has them; in seconds."""

    def read(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int:
        try:
            found = seconds(value)
        except ValueError:
            found = 0
        if not seconds("1m") <= found <= seconds(most):
            raise click.BadParameter(
                f"got {value!r}, expected a duration from 1m to {most}, such as 90s, 5m, 1h or 1d"
            )
        return found

    return read
