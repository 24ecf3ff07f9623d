"""Operate on secrets; each subcommand is one file under ``cli/secrets`` and a line here."""

import click

from watchword.apps.cli.lazy import LazyGroup

SUBCOMMANDS = {
    "list": ("watchword.apps.cli.secrets.listing", "List secrets: state, version, use; no value."),
    "add": ("watchword.apps.cli.secrets.add", "Keep the first value of a secret."),
    "rotate": ("watchword.apps.cli.secrets.rotate", "Let a new value take over."),
    "revoke": ("watchword.apps.cli.secrets.revoke", "Erase a version within a second."),
    "show-meta": ("watchword.apps.cli.secrets.show", "Show one secret's versions and rules."),
    "who-uses": ("watchword.apps.cli.secrets.users", "Say who still uses which version."),
    "rewrap": ("watchword.apps.cli.secrets.rewrap", "Put the file under another master key."),
    "canary": ("watchword.apps.cli.secrets.canary", "Plant decoy keys; see who uses one."),
}


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    epilog="Example: watchword secrets add maps --from-file maps.key",
)
def command() -> None:
    """Keep third parties' keys out of the app: lent at the edge, or sealed to an instance.

    What there may be, and who may use it, stands under `secrets` in watchword.yaml. A value goes in
    through standard input, a file or a prompt, and no command shows one again.
    """
