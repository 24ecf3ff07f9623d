"""Make the key with which an observer signs."""

from pathlib import Path

import click

from watchword.apps.terminal.key_pairs import make_pair

# What may not be read is told when it is read: that is no wrong usage.
_FILE = click.Path(dir_okay=False, readable=False, path_type=Path)


@click.command(epilog="Example: watchword observe keygen -o ci.pem")
@click.option("-o", "--output", required=True, type=_FILE, help="File for the private key.")
@click.option(
    "--public", type=_FILE, help="File for the public key; beside the other, as .jwk, if left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(config: Path, /, output: Path, public: Path | None, *, as_json: bool) -> None:
    """Make a key pair: a private key to sign with, a public one to name under `plan: observers:`.

    The private key is for the observer alone, such as a secret of your CI. No file is overwritten.
    """
    import os.path

    from watchword.adapters.observations import write_observer_key

    made = make_pair(output, public, write_observer_key, as_json=as_json)
    if made is None:
        return
    click.echo(f"{output}: the private key, for the observer alone (mode 0600)")
    click.echo(f"{made}: the public key; name it in watchword.yaml:\n")
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in output.stem.lower())
    click.echo("plan:\n  observers:")
    # The file names its files from where it stands itself.
    named = os.path.relpath(made, config.parent)
    click.echo(f"    {name.strip('-') or 'observer'}:\n      key: {named}")
