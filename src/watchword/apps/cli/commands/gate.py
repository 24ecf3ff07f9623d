"""Configure, feed and run gates; each subcommand is one file under ``cli/gate`` and a line here."""

import click

from watchword.apps.terminal.lazy import LazyGroup

SUBCOMMANDS = {
    "config": ("watchword.apps.cli.gate.config", "Write an engine's configuration."),
    "envoy": ("watchword.apps.cli.gate.envoy", "Keep an Envoy of this machine up to date."),
    "follow": ("watchword.apps.cli.gate.follow", "Keep another engine of this machine up to date."),
    "pull": ("watchword.apps.cli.gate.pull", "Fetch a gate's bundle from the service."),
    "authz": ("watchword.apps.cli.gate.authz", "Answer an engine's forward-auth requests."),
}


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    epilog="Example: watchword gate config --engine envoy -o envoy/",
)
def command() -> None:
    """Configure, feed and run gates beside the service."""
