"""Make the key with which a drill signs its requests."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json

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
    from watchword.encoding import strict_json
    from watchword.tokens.jwk import jwk_from_public_key

    public = public or output.with_suffix(".jwk")
    if public == output:
        raise click.BadParameter("expected another file than the private key's", param_hint="-o")
    if public.exists():
        raise click.BadParameter(f"{public} is there already, expected a new file")
    key = write_drill_key(output)
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
    click.echo(f"{output}: the private key, for the drill alone (mode 0600): --key {output}")
    click.echo(f"{public}: the public key, for the owner of the target, who agrees with:")
    click.echo(f"\n  watchword drill consent --key {public} --origin https://api.example.com")
