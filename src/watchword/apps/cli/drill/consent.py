"""Write the consent that the owner of a target serves."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.terminal.console import encodable, print_json

if TYPE_CHECKING:
    from watchword.drill.consent import Consent

# What may not be read is told when it is read: that is no wrong usage.
_FILE = click.Path(dir_okay=False, readable=False, path_type=Path)
_PARTS = ("gate", "service", "upstream")
_KEYS = {"gate": "consent", "service": "service_consent"}


@click.command(
    epilog="Example: watchword drill consent --key drill.jwk --origin https://api.example.com "
    "--rate 10 --expires 7d > watchword-drill"
)
@click.option("--key", required=True, type=_FILE, help="Public key of the drill, as JWK.")
@click.option(
    "--origin",
    required=True,
    callback=encodable,
    help="Where it is served and what may be attacked: https://host[:port].",
)
@click.option(
    "--attacks",
    default="*",
    show_default=True,
    callback=encodable,
    help="Ids of the attacks that you agree to, with commas; * for all.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 50),
    default=10,
    show_default=True,
    help="Most requests a second.",
)
@click.option(
    "--expires",
    metavar="DURATION",
    default="7d",
    show_default=True,
    callback=encodable,
    help="How long you agree; at most 31d.",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(_PARTS),
    default=("gate",),
    show_default=True,
    help="What of yours this origin is; may be given more than once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it on one line.")
def command(*, key: Path, as_json: bool, **options: Any) -> None:
    """Print the consent that a target's owner serves at /.well-known/watchword-drill of that target.

    With it you agree that whoever holds the private key attacks this origin, in this way, until then. Take the file away
    and it ends.
    """
    import json

    from watchword.adapters.drill_wire import read_drill_jwk
    from watchword.drill.consent import PATH, written_consent

    jwk = read_drill_jwk(key)
    consent = _composed(jwk, options)
    document = written_consent(consent)
    if as_json:
        print_json(json.loads(document))
        return
    click.echo(document.decode(), nl=False)
    # On stderr, since the document is sent into a file.
    click.echo(f"Serve it at {consent.origin}{PATH} as application/json.", err=True)
    keys = [key for part, key in _KEYS.items() if part in consent.parts]
    if keys:
        click.echo(
            f"Or put it into a file that watchword.yaml names, under drill: API: {' and '.join(keys)}.",
            err=True,
        )


def _composed(jwk: dict[str, str], options: dict[str, Any]) -> "Consent":
    """Return what was asked for; wrong usage where nobody could agree to that."""
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.drill_wire import AddressError, parse_target
    from watchword.drill.consent import ALL, MAX_AHEAD, Consent, ConsentError, written_consent
    from watchword.drill.registry import ATTACKS
    from watchword.drill.wire import Part
    from watchword.tokens.jwk import thumbprint

    try:
        origin = parse_target(options["origin"]).text
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--origin") from None
    attacks = None
    if options["attacks"].strip() != ALL:
        attacks = frozenset(filter(None, map(str.strip, options["attacks"].split(","))))
        unknown = sorted(attacks - ATTACKS.keys())
        if unknown or not attacks:
            got = ", ".join(unknown) or "no id"
            raise click.BadParameter(
                f"got {got}, expected ids of `watchword drill attacks`, or {ALL}",
                param_hint="--attacks",
            )
    ahead = _duration(options["expires"])
    if ahead > MAX_AHEAD:
        raise click.BadParameter(
            f"got {options['expires']}, expected at most {MAX_AHEAD.days}d", param_hint="--expires"
        )
    consent = Consent(
        key=thumbprint(jwk),
        origin=origin,
        attacks=attacks,
        rate=options["rate"],
        expires=SystemClock().now() + ahead,
        parts=frozenset(map(Part, options["parts"])),
    )
    try:
        written_consent(consent)
    except ConsentError as error:
        raise click.UsageError(str(error)) from None
    return consent


def _duration(text: str) -> timedelta:
    from pydantic_core import PydanticCustomError

    from watchword.apps.settings.schema import seconds

    try:
        return timedelta(seconds=seconds(text))
    except PydanticCustomError as error:
        raise click.BadParameter(
            f"got {text!r}, expected {error.message()}", param_hint="--expires"
        ) from None
