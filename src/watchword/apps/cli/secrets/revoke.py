"""Erase a version of a secret."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.instances.asking import reason
from watchword.apps.cli.secrets.asking import operator, path_of
from watchword.apps.cli.secrets.view import in_use


@click.command(
    "revoke", epilog="Example: watchword secrets revoke maps --version 1 --because 'it leaked'"
)
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="The version to erase.")
@click.option("--all", "every", is_flag=True, help="Erase every version.")
@click.option("--because", required=True, callback=reason, help="Why, for the audit trail.")
@click.option("--json", "as_json", is_flag=True, help="Print what there is of it as JSON.")
@click.pass_obj
def command(
    config: Path, *, name: str, version: int | None, every: bool, because: str, as_json: bool
) -> None:
    """Erase a version's value: gates add it to nothing within a second, and no instance gets it any more.

    What instances were handed before stays on their phones until its lease ends (see `who-uses`), and who
    stole the key has it still: withdraw it at the provider too. A second revocation changes nothing.
    """
    if every is (version is not None):
        raise click.UsageError("say which: --version NUMBER, or --all")
    with operator(config) as service:
        revoked = service.post(path_of(name, "revoke"), {"version": version, "because": because})
    if as_json:
        print_json(revoked)
        return
    if not revoked["recorded"]:
        click.echo("The audit trail couldn't take it: write down who did this and why.", err=True)
    numbers = ", ".join(str(each) for each in revoked["revoked"])
    click.echo(f"Revoked {name}: version {numbers}." if numbers else f"{name} was revoked before.")
    click.echo(in_use(revoked))
