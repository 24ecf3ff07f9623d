"""Change the lab's status list, which plays Google's: a revocation arrives at a running service."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.terminal.console import print_json

if TYPE_CHECKING:
    from watchword.lab.status_list import LabStatusList, Status

_json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(
    "revoke",
    short_help="Withdraw an attestation certificate for good.",
    epilog="Example: watchword lab revoke genuine-android",
)
@click.argument("target", metavar="KIND|SERIAL")
@_json_option
@click.pass_obj
def revoke(config: Path, target: str, as_json: bool) -> None:
    """Withdraw an attestation certificate for good, as Google does when a key leaks.

    KIND takes the certificate by which phones of that kind attest: phones from a factory share
    theirs with the whole batch, remotely provisioned ones have their own. SERIAL is in hex.
    """
    from watchword.lab.status_list import Status

    _change(config, target, Status.REVOKED, as_json=as_json)


@click.command(
    "suspend",
    short_help="Withdraw a certificate for the time being.",
    epilog="Example: watchword lab suspend 1049512760346175",
)
@click.argument("target", metavar="KIND|SERIAL")
@_json_option
@click.pass_obj
def suspend(config: Path, target: str, as_json: bool) -> None:
    """Withdraw an attestation certificate for the time being."""
    from watchword.lab.status_list import Status

    _change(config, target, Status.SUSPENDED, as_json=as_json)


@click.command(
    "restore",
    short_help="Take a certificate off the list again.",
    epilog="Example: watchword lab restore genuine-android",
)
@click.argument("target", metavar="KIND|SERIAL")
@_json_option
@click.pass_obj
def restore(config: Path, target: str, as_json: bool) -> None:
    """Take an attestation certificate off the list again."""
    _change(config, target, None, as_json=as_json)


@click.command(
    "status-list",
    short_help="Show the lab's status list.",
    epilog="Example: watchword lab status-list --json > status.json",
)
@_json_option
@click.pass_obj
def status_list(config: Path, as_json: bool) -> None:
    """Show the lab's status list; with --json in the form of Google's."""
    from watchword.adapters.lab_store import load_status_list
    from watchword.apps.cli.lab_phone import authorities_of, lab_settings

    settings = lab_settings(config)
    found = load_status_list(settings.service.state_dir, authorities_of(settings))
    if as_json:
        print_json(found.document())
        return
    for serial, status in found.entries.items():
        click.echo(f"{status.value:<11}{serial}")


COMMANDS: Final = (revoke, suspend, restore, status_list)
"""What `watchword lab` takes from here."""


def _change(config: Path, target: str, status: "Status | None", *, as_json: bool) -> None:
    from watchword.adapters.lab_store import change_status
    from watchword.apps.cli.lab_phone import attestation_serials, authorities_of, lab_settings

    settings = lab_settings(config)
    authorities = authorities_of(settings)
    serials = attestation_serials(settings, authorities, target)
    changed: LabStatusList | None = None
    for serial in serials:
        try:
            changed = change_status(settings.service.state_dir, authorities, serial, status)
        except ValueError as error:
            raise click.UsageError(f"{error}, or a kind of phone") from None
    assert changed is not None
    said = "restored" if status is None else status.value
    if as_json:
        print_json({"status": said, "serials": serials, "entries": len(changed.entries)})
        return
    for serial in serials:
        click.echo(f"{said:<11}{serial}")
