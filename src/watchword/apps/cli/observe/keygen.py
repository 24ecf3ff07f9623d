"""Make the key with which an observer signs."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json

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
    from watchword.encoding import strict_json
    from watchword.tokens.jwk import jwk_from_public_key

    public = public or output.with_suffix(".jwk")
    if public == output:
        raise click.BadParameter("expected another file than the private key's", param_hint="-o")
    if public.exists():
        raise click.BadParameter(f"{public} is there already, expected a new file")
    key = write_observer_key(output)
    jwk = jwk_from_public_key(key.public)
    try:
        with public.open("xb") as file:
            file.write(strict_json.dumps(jwk) + b"\n")
    except OSError as error:
        # Half a pair is of no use, and would stand in the way of the next try.
        output.unlink(missing_ok=True)
        if not isinstance(error, FileExistsError):
            public.unlink(missing_ok=True)
        raise
    if as_json:
        print_json({"kid": key.kid, "private": str(output), "public": str(public), "jwk": jwk})
        return
    click.echo(f"{output}: the private key, for the observer alone (mode 0600)")
    click.echo(f"{public}: the public key; name it in watchword.yaml:\n")
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in output.stem.lower())
    click.echo("plan:\n  observers:")
    # The file names its files from where it stands itself.
    named = os.path.relpath(public, config.parent)
    click.echo(f"    {name.strip('-') or 'observer'}:\n      key: {named}")
