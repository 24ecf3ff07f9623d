"""Make root keys and the first root list."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.pins.options import FILE

if TYPE_CHECKING:
    from watchword.tokens.signing_key import SigningKey


@click.command(
    epilog="Example: watchword pins root init -d /media/stick/clinic-roots --keys 3 --threshold 2 --pin-key pin-key.jwk"
)
@click.option(
    "-d",
    "--directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the keys are written, mode 0600; a machine or a stick that is offline.",
)
@click.option(
    "--keys", type=click.IntRange(0, 16), default=3, show_default=True, help="Keys to make here."
)
@click.option(
    "--public",
    multiple=True,
    type=FILE,
    help="Public key (.jwk) of a holder who made it elsewhere: `watchword pins root key`.",
)
@click.option("--threshold", type=click.IntRange(1, 16), help="How many sign; more than half.")
@click.option(
    "--pin-key",
    "pin_keys",
    multiple=True,
    required=True,
    type=FILE,
    help="Public key (.jwk) that may sign pin sets, from `watchword pins init`.",
)
@click.option("--expires", default="365d", show_default=True, metavar="DURATION")
@click.option("--passphrase", is_flag=True, help="Ask for one that encrypts the keys.")
@click.option("--passphrase-file", type=FILE, help="Take it from this file (mode 0600).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(config: Path, /, *, directory: Path, as_json: bool, **options: Any) -> None:
    """Make root keys and the first root list, signed by each key that is made here.

    Do it offline.  Give the keys to as many people as there are; with one of them lost or stolen the others make the next list.
    No file is overwritten, and a directory of the running deployment is refused.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.keyring.private_file import private_directory
    from watchword.adapters.pin_workspace import (
        new_key,
        read_public_key,
        write_key,
        write_public_key,
    )
    from watchword.apps.cli.pins.asking import new_passphrase
    from watchword.apps.cli.pins.options import duration
    from watchword.apps.cli.pins.root.showing import show_list, tell_what_is_missing
    from watchword.apps.output_files import write_new_file
    from watchword.apps.pins.online import online_directories
    from watchword.apps.pins.root_lists import first_list, read_list, require_offline
    from watchword.pins.roots import sign_roots

    require_offline(directory, online_directories(config))
    expires = int(SystemClock().timestamp()) + duration(options["expires"], "--expires")
    phrase = new_passphrase(options["passphrase_file"], ask=options["passphrase"])
    made: list[SigningKey] = [new_key() for _ in range(options["keys"])]
    keys = [*(each.verification_key() for each in made), *map(read_public_key, options["public"])]
    pin_keys = list(map(read_public_key, options["pin_keys"]))
    data = sign_roots(first_list(keys, pin_keys, options["threshold"], expires), made)
    private_directory(directory)
    file = directory / "roots-1.json"
    places = [directory / f"root-{number}.pem" for number in range(1, len(made) + 1)]
    there = next((each for each in (file, *places) if each.exists()), None)
    if there is not None:
        raise click.UsageError(f"{there} is there already; root keys are never overwritten")
    for place, key in zip(places, made, strict=True):
        write_key(place, key, phrase)
        write_public_key(place.with_suffix(".jwk"), key)
    write_new_file(file, data.decode("ascii") + "\n")
    _, roots = read_list(file)
    if as_json:
        print_json(
            {"file": file, "keys": [str(each) for each in places], "kids": [k.kid for k in keys]}
        )
        return
    for place in places:
        locked = "encrypted" if phrase else "not encrypted: keep it where nobody else gets"
        click.echo(f"{place}: a root key (mode 0600, {locked})")
    show_list(data, roots)
    tell_what_is_missing(data, roots, None, file)
