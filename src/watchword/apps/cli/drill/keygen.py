"""Make the key with which a drill signs its requests."""

from pathlib import Path

import click

from watchword.apps.terminal.key_pairs import make_pair

# What may not be read is told when it is read: that is no wrong usage.
_FILE = click.Path(dir_okay=False, readable=False, path_type=Path)


@click.command(epilog="Example: watchword drill keygen -o drill.pem")
@click.option("-o", "--output", required=True, type=_FILE, help="File for the private key.")
@click.option(
    "--public", type=_FILE, help="File for the public key; beside the other, as .jwk, if left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, output: Path, public: Path | None, as_json: bool) -> None:
    """Make a key pair: a private key that the drill signs with, a public one for the owner of the target.

    Whoever has the private key can drill where this key was agreed to. No file is overwritten.
    """
    from watchword.adapters.drill_wire import write_drill_key

    made = make_pair(output, public, write_drill_key, as_json=as_json)
    if made is None:
        return
    click.echo(f"{output}: the private key, for the drill alone (mode 0600): --key {output}")
    click.echo(f"{made}: the public key, for the owner of the target, who agrees with:")
    click.echo(f"\n  watchword drill consent --key {made} --origin https://api.example.com")
