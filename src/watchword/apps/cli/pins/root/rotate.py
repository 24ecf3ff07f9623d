"""Write the next root list."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.cli.pins.options import FILE


@click.command(
    epilog="Example: watchword pins root rotate roots-1.json --add-pin-key new.jwk --remove-pin-key 1xYk --key root-1.pem "
    "--key root-2.pem"
)
@click.argument("file", type=FILE)
@click.option("--add-key", multiple=True, type=FILE, help="Public root key of a new holder.")
@click.option(
    "--remove-key",
    multiple=True,
    metavar="KID|FILE",
    help="Root key that counts no more: the beginning of its id, or its .jwk.",
)
@click.option("--add-pin-key", multiple=True, type=FILE, help="Public key that may sign pin sets.")
@click.option("--remove-pin-key", multiple=True, metavar="KID|FILE", help="One that may no more.")
@click.option(
    "--only-pin-key",
    type=FILE,
    help="The one key that may sign pin sets from now on: all others are lost or stolen.",
)
@click.option(
    "--floor",
    multiple=True,
    metavar="APP=VERSION",
    help="Lowest version of an app's sets that still counts. Where a pin key is taken out: the newest that the workspace published.",
)
@click.option("--threshold", type=click.IntRange(1, 16), help="As before, if left out.")
@click.option("--expires", default="365d", show_default=True, metavar="DURATION")
@click.option("--key", "keys", multiple=True, type=FILE, help="Root key that signs at once.")
@click.option("--passphrase-file", type=FILE, help="Of the keys; asked for if it's left out.")
@click.option("-o", "--output", type=FILE, help="roots-N.json beside FILE, if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print what the list says as JSON.")
@click.pass_obj
def command(
    config: Path, /, *, file: Path, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Write the list after FILE: the same, renewed, with the changes that you name.  Do it offline.

    It counts once enough keys of FILE and enough of its own have signed it; a key that goes may sign its own removal.  Where no
    workspace is at hand, taking out a pin key needs --floor for each app: older sets by the other keys would count again.
    """
    from dataclasses import replace

    from watchword.adapters.clock import SystemClock
    from watchword.adapters.pin_workspace import read_public_key
    from watchword.apps.cli.pins.asking import signing_key
    from watchword.apps.cli.pins.options import duration
    from watchword.apps.cli.pins.root.showing import show_list, tell_what_is_missing
    from watchword.apps.output_files import write_new_file
    from watchword.apps.pins.online import published_by
    from watchword.apps.pins.root_lists import Changes, next_list, read_list
    from watchword.pins.roots import read_unverified, sign_roots

    _, last = read_list(file)
    changes = Changes(
        add_keys=tuple(map(read_public_key, options["add_key"])),
        remove_keys=tuple(map(_kid, options["remove_key"])),
        add_pin_keys=tuple(map(read_public_key, options["add_pin_key"])),
        remove_pin_keys=tuple(map(_kid, options["remove_pin_key"])),
        floors=dict(map(_floor, options["floor"])),
        threshold=options["threshold"],
    )
    if options["only_pin_key"] is not None:
        if changes.add_pin_keys or changes.remove_pin_keys:
            raise click.UsageError(
                "--only-pin-key says all: leave out --add-pin-key, --remove-pin-key"
            )
        changes = replace(
            changes,
            add_pin_keys=(read_public_key(options["only_pin_key"]),),
            remove_pin_keys=tuple(last.pin_keys),
        )
    expires = int(SystemClock().timestamp()) + duration(options["expires"], "--expires")
    unsigned = next_list(last, changes, expires, published_by(config))
    signers = [signing_key(each, options["passphrase_file"]) for each in options["keys"]]
    roots = read_unverified(unsigned)
    strangers = [each.kid for each in signers if each.kid not in {*roots.keys, *last.keys}]
    if strangers:
        raise click.UsageError(
            f"--key: got {', '.join(strangers)}, expected keys of {file} or of the next list"
        )
    data = sign_roots(unsigned, signers)
    output = output or file.with_name(f"roots-{roots.version}.json")
    write_new_file(output, data.decode("ascii") + "\n")
    show_list(data, roots, last, as_json=as_json)
    if not as_json:
        tell_what_is_missing(data, roots, last, output)


def _kid(text: str) -> str:
    """Return a key's id, of its file where it is one."""
    from watchword.adapters.pin_workspace import read_public_key

    return read_public_key(Path(text)).kid if text.endswith(".jwk") else text


def _floor(text: str) -> tuple[str, int]:
    app, _, version = text.rpartition("=")
    if not app or not version.isascii() or not version.isdigit() or len(version) > 15:
        raise click.BadParameter(
            f"got {text[:80]!r}, expected APP=VERSION such as clinic-android=20261127031500",
            param_hint="--floor",
        )
    return app, int(version)
