"""Pin a key no more."""

from pathlib import Path

import click

from watchword.apps.cli.console import print_json


@click.command(epilog="Example: watchword pins remove api.example.com next")
@click.argument("host")
@click.argument("key")
@click.option("--json", "as_json", is_flag=True, help="Print what is left as JSON.")
@click.pass_obj
def command(config: Path, /, *, host: str, key: str, as_json: bool) -> None:
    """Pin KEY of HOST no more: a pin, the beginning of one, or a role that one key has.

    Apps go on with the published set until the next `watchword pins publish`.
    """
    from watchword.apps.pins.editing import edit, found_key
    from watchword.apps.pins.hosts import read_host
    from watchword.encoding.wording import counted

    name = read_host(host)
    bench = edit(
        config,
        lambda _, pinned: pinned.with_keys(
            name, tuple(k for k in pinned.of(name) if k != found_key(pinned, name, key))
        ),
    )
    left = bench.pinned.of(name)
    if as_json:
        print_json(
            {"host": name, "keys": [{"pin": str(k.pin), "role": k.pin.role.value} for k in left]}
        )
        return
    click.echo(
        f"{name}: {counted(len(left), 'key')} left. Apps learn of it with the next: watchword pins publish"
    )
