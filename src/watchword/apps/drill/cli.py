"""Attack one's own deployment: ``watchword drill`` and each of its subcommands."""

from pathlib import Path

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in
from watchword.apps.terminal.parameters import encodable

_body = body_in("watchword.apps.drill.commands")
_FILE = click.Path(path_type=Path, dir_okay=False)
# What may not be read is told when it is read: that is no wrong usage.
_READ_LATER = click.Path(dir_okay=False, readable=False, path_type=Path)


class _Drill(LazyGroup):
    """Say what is meant by a word that is no subcommand: most often the file that ``--json`` doesn't take."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand.

        :raises click.UsageError: when there is none of that name.
        """
        if args[0] not in self.commands:
            raise click.UsageError(
                f"got {args[0]!r}, expected options, or one of: {', '.join(self.commands)}. "
                "--json takes no file: watchword drill --json > drill.json",
                ctx,
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Drill,
    invoke_without_command=True,
    short_help="Attack your own deployment, and prove what holds.",
    epilog="Example: watchword drill --fail-on open --fail-on genuine --sign ci.pem",
)
@click.option("--api", metavar="NAME", help="Which API, where the file has several.")
@click.option("--target", metavar="URL", help="Its gate, if not where the file says.")
@click.option(
    "--only",
    multiple=True,
    metavar="ID",
    help="Run this attack, or those of a technique or on a protection; may be given several times.",
)
@click.option("--without", multiple=True, metavar="ID", help="Leave these attacks out.")
@click.option(
    "--genuine",
    type=click.IntRange(0, 10_000),
    default=60,
    show_default=True,
    help="Genuine requests that are sent beside the attacks.",
)
@click.option("--key", type=_FILE, help="The drill's key, for a target that isn't this machine.")
@click.option(
    "--address",
    multiple=True,
    metavar="IP",
    help="An address that isn't on the internet, and is meant: https://10.0.0.7 needs --address 10.0.0.7.",
)
@click.option("--ca", type=_FILE, help="PEM of the authority that signed the target's certificate.")
@click.option("--rate", type=click.FloatRange(0.1, 50), help="Most requests a second.")
@click.option("--instance", type=_FILE, help="The test instance, from `watchword drill enrol`.")
@click.option("--sign", type=_FILE, help="Record what is found, signed by this observer's key.")
@click.option("--build", metavar="FILE|SHA-256", help="The build of the app that is genuine here.")
@click.option("--yes", is_flag=True, help="Don't ask before attacking another machine.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the report as one JSON document on standard output.",
)
@click.option("--junit", type=_FILE, metavar="FILE", help="Write the report as JUnit XML.")
@click.option("--sarif", type=_FILE, metavar="FILE", help="Write the report as SARIF 2.1.0.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a report that needs no network.")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["open", "absent", "unsure", "not-run", "genuine", "nothing", "weak-route"]),
    help="Exit with 1. With open: if an attack was served. With absent: if the protection that would stop one is missing. "
    "With unsure: if one is unsure. With not-run: if one didn't run. With genuine: if the genuine app wasn't always served. "
    "With nothing: if no attack ran. With weak-route: if a route lets pass what would harm an asset of the plan. "
    "May be given several times.",
)
@click.pass_context
@_body
def command() -> None:
    """Attack your own deployment with the scripts that the plan worries about.

    This machine may be attacked freely: start `watchword up` first.  Any other target must consent:
    see `watchword drill consent --help`.  Nothing destructive is sent; what will be is printed before.

    An attack is stopped when every variant of it was refused for the reason that it was made for, while the genuine
    app is served.  With --sign, what that proves is recorded, and the next plan counts it.

    Exit code 0: the run came to its end.  1: --fail-on holds.  2: wrong usage, faults in the file, or an output that
    isn't ours to write over.  3: the deployment can't be reached, or a report not be written.  130: interrupted; what had ended is reported.
    """


@command.command(
    "attacks",
    short_help="List the attacks, or show one of them.",
    epilog="Example: watchword drill attacks token-expired",
)
@click.argument("attack", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@_body
def attacks_command() -> None:
    """List the attacks of the drill, or show one: what is sent, what must happen, what it can't detect.

    ATTACK is an attack's id.  The id of a technique or of a protection lists the attacks of it, or on it.
    """


@command.command(
    "keygen",
    short_help="Make the key that runs sign with.",
    epilog="Example: watchword drill keygen -o drill.pem",
)
@click.option("-o", "--output", required=True, type=_READ_LATER, help="File for the private key.")
@click.option(
    "--public",
    type=_READ_LATER,
    help="File for the public key; beside the other, as .jwk, if left out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@_body
def keygen_command() -> None:
    """Make a key pair: a private key that the drill signs with, a public one for the owner of the target.

    Whoever has the private key can drill targets whose owners agreed to this key. No file is overwritten.
    """


@command.command(
    "consent",
    short_help="Write what a target must serve.",
    epilog="Example: watchword drill consent --key drill.jwk --origin https://api.example.com "
    "--rate 10 --expires 7d > watchword-drill",
)
@click.option("--key", required=True, type=_READ_LATER, help="Public key of the drill, as JWK.")
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
    type=click.Choice(["gate", "service", "upstream"]),
    default=("gate",),
    show_default=True,
    help="What of yours this origin is; may be given more than once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it on one line.")
@_body
def consent_command() -> None:
    """Print the consent that a target's owner serves at /.well-known/watchword-drill of that target.

    With it you agree that the holder of the private key attacks this origin, in this way, until that day.
    Remove the file to end it.
    """


@command.command(
    "enrol",
    short_help="Enrol a test instance by an operator's code.",
    epilog="Example: watchword drill enrol --app clinic-ios -o instance.json < code.txt",
)
@click.option("--api", metavar="NAME", help="Which API, where the file has several.")
@click.option("--app", required=True, metavar="NAME", help="The app that the code is for.")
@click.option("--service", metavar="URL", help="The service, if not where the file says.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("instance.json"),
    show_default=True,
    help="Where its keys are kept, mode 0600.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM of the authority that signed the service's certificate.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was enrolled as JSON.")
@click.pass_context
@_body
def enrol_command() -> None:
    """Enrol a test instance by the code of `watchword instances invite`, read from standard input.

    It is the genuine side of a drill against a real deployment.  A code enrols one instance.  It is read from
    standard input, since an argument would be in the list of processes.
    """
