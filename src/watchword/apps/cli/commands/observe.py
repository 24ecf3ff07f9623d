"""Record what proves protections; each subcommand is one file under ``cli/observe`` and a line here."""

import click

from watchword.apps.terminal.lazy import LazyGroup

SUBCOMMANDS = {
    "keygen": ("watchword.apps.cli.observe.keygen", "Make an observer's key."),
    "record": ("watchword.apps.cli.observe.record", "Record one observation."),
    "list": ("watchword.apps.cli.observe.listing", "List observations and what they are worth."),
    "export": ("watchword.apps.cli.observe.export", "Write all observations as JSON."),
}


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    epilog="Example: watchword observe record PR-B01 --target api:clinic "
    "--key live:shield.enforced_ratio --source 'drill 1.0' --sign observer.pem",
)
def command() -> None:
    """Record, list and export what was observed of the protections in the plan.

    A protection counts in the plan only while an observation proves it that a configured observer signed.
    """
