"""Add a holder's signature to a root list."""

from pathlib import Path

import click

from watchword.apps.cli.pins.options import FILE


@click.command(
    epilog="Example: watchword pins root sign roots-2.json --key alice.pem --previous roots-1.json"
)
@click.argument("file", type=FILE)
@click.option("--key", required=True, type=FILE, help="Your root key.")
@click.option("--previous", type=FILE, help="The list before it, to see whether its keys signed.")
@click.option("--passphrase-file", type=FILE, help="Of the key; asked for if it's left out.")
@click.option("--json", "as_json", is_flag=True, help="Print what the list says as JSON.")
def command(
    *, file: Path, key: Path, previous: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Show what a root list says and add your signature to it, in place.

    Read what is shown: with your signature you say that these keys may sign pins, and that those which are gone may not.
    """
    from watchword.apps.cli.pins.asking import signing_key
    from watchword.apps.cli.pins.root.showing import show_list, tell_what_is_missing
    from watchword.apps.output_files import replace_file
    from watchword.apps.pins.root_lists import MARK, read_list
    from watchword.pins.roots import add_signature

    data, roots = read_list(file)
    before = None if previous is None else read_list(previous)[1]
    if before is not None and before.version + 1 != roots.version:
        raise click.UsageError(
            f"--previous: got list {before.version}, expected list {roots.version - 1}, the one before {file}"
        )
    signer = signing_key(key, passphrase_file)
    known = set(roots.keys) | set(before.keys if before is not None else ())
    if signer.kid not in known and (before is not None or roots.version == 1):
        raise click.UsageError(
            f"{key}: got the key {signer.kid}, expected one of the list"
            f"{'' if before is None else ' or of the one before it'}: {', '.join(sorted(known))}"
        )
    signed = add_signature(data, signer)
    replace_file(file, signed.decode("ascii") + "\n", MARK)
    show_list(signed, roots, before, as_json=as_json)
    if not as_json:
        tell_what_is_missing(signed, roots, before, file)
