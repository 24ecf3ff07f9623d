"""Pin a key of a host."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.console import print_json
from watchword.apps.cli.paragraphs import printable
from watchword.apps.cli.pins.options import CA, FILE, RESOLVE, TIMEOUT

if TYPE_CHECKING:
    from watchword.apps.pins.looking import Look
    from watchword.apps.pins.sources import Source

_SOURCES = ("from_live", "cert", "key", "spki", "ca_bundle")


@click.command(
    epilog="Example: watchword pins add api.example.com --from-live --role current, "
    "then: watchword pins add api.example.com --key backup.pub --role backup"
)
@click.argument("host")
@click.option("--from-live", is_flag=True, help="The key that the server shows now, everywhere.")
@click.option("--cert", type=FILE, help="A certificate (PEM or DER); of a chain, the first.")
@click.option("--key", type=FILE, help="A public key or a signing request (PEM or DER).")
@click.option("--spki", metavar="PIN", help="A pin: sha256/..., base64, base64url or hex.")
@click.option("--ca-bundle", type=FILE, help="Each authority in a file (PEM), as role ca.")
@click.option(
    "--role",
    type=click.Choice(["current", "next", "backup", "ca"]),
    help="current: shown now; next: a planned swap brings it; backup: lies offline; ca: an authority's.",
)
@RESOLVE
@CA
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print the host's keys as JSON.")
@click.pass_obj
def command(config: Path, /, *, host: str, role: str | None, as_json: bool, **options: Any) -> None:
    """Pin a key of HOST in the workspace; apps learn of it with the next `watchword pins publish`.

    Say where the key is: --from-live, --cert, --key, --spki or --ca-bundle.  A key that is pinned already takes the new role.
    With --from-live and --role ca it is the last authority of the verified chain.
    """
    from watchword.apps.pins.editing import adding, edit
    from watchword.apps.pins.hosts import read_host
    from watchword.pins.interface import PinRole

    given = [name for name in _SOURCES if options[name]]
    if len(given) != 1:
        raise click.UsageError(
            f"got {len(given)} sources, expected one of --from-live, --cert, --key, --spki, --ca-bundle"
        )
    if options["ca_bundle"] is not None:
        role = role or "ca"
    if role is None or (options["ca_bundle"] is not None and role != "ca"):
        raise click.UsageError(
            "got no role that fits, expected --role current, next, backup or ca (of a bundle: ca)"
        )
    name = read_host(host)
    sources = _sources(name, role, options)
    bench = edit(
        config, lambda found, pinned: adding(pinned, found.host_named(name), PinRole(role), sources)
    )
    _tell(name, bench.pinned.of(name), as_json=as_json)


def _sources(host: str, role: str, options: dict[str, Any]) -> "tuple[Source, ...]":
    from watchword.apps.pins import sources

    if options["from_live"]:
        return (_live(host, role, options),)
    if options["cert"] is not None:
        return (sources.key_of_certificate(options["cert"]),)
    if options["key"] is not None:
        return (sources.key_of_key(options["key"]),)
    if options["spki"] is not None:
        return (sources.key_of_text(options["spki"]),)
    return sources.keys_of_bundle(options["ca_bundle"])


def _live(host: str, role: str, options: dict[str, Any]) -> "Source":
    from watchword.apps.cli.pins.options import vantage_of
    from watchword.apps.pins.looking import look_at

    look = look_at([host], vantage_of(options))[host]
    _require_one_answer(look)
    sight = look.sights[0]
    which = len(sight.chain) - 1 if role == "ca" else 0
    if role == "ca" and not which:
        raise click.UsageError(
            f"{host}: got a chain of one certificate, expected an authority in it"
        )
    return sight.chain[which], f"live at {sight.place}: {sight.subjects[which]}"


def _require_one_answer(look: "Look") -> None:
    """See to it that all places show one key, by a chain that holds: else what is pinned may be a stranger's.

    :raises NotNowError: when they don't.
    :raises LiveChainError: when none shows anything.
    """
    from watchword.adapters.live_chain import LiveChainError
    from watchword.apps.pins.faults import NotNowError

    if not look.sights:
        raise LiveChainError("; ".join(look.troubles))
    bad = next((each for each in look.sights if each.fault is not None), None)
    if bad is not None:
        raise NotNowError(
            f"{look.host} at {bad.place}: got a chain that doesn't hold ({bad.fault}), expected one that does; "
            "an authority of your own: --cafile"
        )
    if len(look.leaves) > 1:
        raise NotNowError(
            f"{look.host}: got {len(look.leaves)} different keys at {len(look.sights)} places, expected one; name the place that is "
            "right with --resolve, and pin the others too"
        )


def _tell(host: str, keys: Any, *, as_json: bool) -> None:
    if as_json:
        members = [{"pin": str(k.pin), "role": k.pin.role.value, "note": k.note} for k in keys]
        print_json({"host": host, "keys": members})
        return
    for each in keys:
        click.echo(printable(f"{host}  {each.pin.role.value:<8} {each.pin}  {each.note}".rstrip()))
    roles = {each.pin.role.value for each in keys}
    if not roles & {"backup", "ca"}:
        click.echo(
            f"A backup is missing: make a key, keep it offline, then: watchword pins add {host} --key backup.pub --role backup"
        )
    else:
        click.echo("Apps learn of it with the next: watchword pins publish")
