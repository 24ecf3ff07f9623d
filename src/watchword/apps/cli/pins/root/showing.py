"""Show a root list to people."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchword.apps.cli.console import print_json
from watchword.apps.cli.paragraphs import show

if TYPE_CHECKING:
    from watchword.pins.interface import RootList


def show_newest(config: Path, *, as_json: bool) -> None:
    """Show the newest list of the workspace."""
    from watchword.apps.pins.bench import open_bench

    bench = open_bench(config)
    roots = bench.roots
    previous = bench.lists[-2] if len(bench.lists) > 1 else None
    show_list(bench.workspace.read_roots(roots.version), roots, previous, as_json=as_json)


def show_list(
    data: bytes, roots: "RootList", previous: "RootList | None" = None, *, as_json: bool = False
) -> None:
    """Show one list."""
    from watchword.adapters.clock import SystemClock
    from watchword.apps.pins.root_lists import described

    said = described(data, roots, SystemClock().timestamp(), previous)
    if as_json:
        print_json(said)
    else:
        show(lines_of(said))


def lines_of(said: dict[str, Any]) -> Iterator[str]:
    """Yield the lines on a list."""
    expired = ", EXPIRED: it authorises no new set" if said["expired"] else ""
    yield f"Root list {said['version']}, expires {said['expires'][:10]}{expired}"
    yield f"  root keys  {said['threshold']} of {len(said['keys'])} sign"
    new = dict.fromkeys(said.get("new", ()), "  NEW")
    for key in said["keys"]:
        signed = "signed" if key["signed"] else "has not signed"
        yield f"    {key['kid']}  {signed}{new.get(key['kid'], '')}"
    yield "  pin keys   sign pin sets"
    for kid in said["pin_keys"]:
        yield f"    {kid}{new.get(kid, '')}"
    for kid in said.get("gone", ()):
        yield f"  gone       {kid}"
    for app, floor in said["floors"].items():
        yield f"  floor      {app}: no set below version {floor} counts"
    yield f"  signatures {said['signed']} of {said['threshold']} of its own keys" + (
        ""
        if "previous" not in said
        else f", {said['previous']['signed']} of {said['previous']['threshold']} of list {said['previous']['version']}"
    )


def tell_what_is_missing(
    data: bytes, roots: "RootList", previous: "RootList | None", file: Path
) -> None:
    """Say who has to sign yet, or where to take the list."""
    import click

    from watchword.apps.pins.root_lists import missing_signatures

    missing = missing_signatures(data, roots, previous)
    for whose, count in missing:
        click.echo(
            f"Missing: {count} more of {whose}: watchword pins root sign {file} --key KEY.pem"
        )
    if not missing:
        click.echo(f"Signed. Take it to the workspace: watchword pins root accept {file}")
