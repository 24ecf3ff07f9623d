"""Operate on instances; each subcommand is one file under ``cli/instances`` and a line here."""

import click

from watchword.apps.terminal.lazy import LazyGroup

SUBCOMMANDS = {
    "list": ("watchword.apps.cli.instances.listing", "List the newest instances."),
    "revoke": ("watchword.apps.cli.instances.revoke", "Revoke an instance within a second."),
    "invite": ("watchword.apps.cli.instances.invite", "Make a code for one test instance."),
    "invitations": ("watchword.apps.cli.instances.invitations", "List the codes that were made."),
    "cancel": ("watchword.apps.cli.instances.cancel", "Cancel a code that wasn't used."),
}


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    epilog="Example: watchword instances list --app clinic-ios",
)
def command() -> None:
    """List enrolled instances, revoke one, and invite test instances."""
