"""Make the key of one more holder."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.pins.options import FILE


@click.command(epilog="Example: watchword pins root key -o bob.pem --passphrase")
@click.option("-o", "--output", required=True, type=FILE, help="File for the private key.")
@click.option("--passphrase", is_flag=True, help="Ask for one that encrypts the key.")
@click.option("--passphrase-file", type=FILE, help="Take it from this file (mode 0600).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(
    config: Path,
    /,
    *,
    output: Path,
    passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make one key pair, on its holder's own machine: the private key stays there, the .jwk beside it goes into the next list."""
    from watchword.adapters.pin_workspace import new_key, write_key, write_public_key
    from watchword.apps.cli.pins.asking import new_passphrase
    from watchword.apps.pins.online import online_directories
    from watchword.apps.pins.root_lists import require_offline

    require_offline(output.parent, online_directories(config))
    public = output.with_suffix(".jwk")
    if public == output or public.exists():
        raise click.UsageError(f"{public}: expected a name that is free, for the public key")
    key = new_key()
    write_key(output, key, new_passphrase(passphrase_file, ask=passphrase))
    write_public_key(public, key)
    if as_json:
        print_json({"kid": key.kid, "private": output, "public": public})
        return
    click.echo(f"{output}: the private key, for its holder alone (mode 0600)")
    click.echo(f"{public}: the public key {key.kid}; whoever makes the next list names it:")
    click.echo(f"\n  watchword pins root rotate roots-1.json --add-key {public}")
