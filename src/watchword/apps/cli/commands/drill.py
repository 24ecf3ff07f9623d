"""Attack one's own deployment; each subcommand is one file under ``cli/drill`` and a line here."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.terminal.lazy import LazyGroup

SUBCOMMANDS = {
    "attacks": ("watchword.apps.cli.drill.attacks", "List the attacks, or show one of them."),
    "keygen": ("watchword.apps.cli.drill.keygen", "Make the key that runs sign with."),
    "consent": ("watchword.apps.cli.drill.consent", "Write what a target must serve."),
    "enrol": ("watchword.apps.cli.drill.enrol", "Enrol a test instance by an operator's code."),
}

_FILE = click.Path(path_type=Path, dir_okay=False)


class _Drill(LazyGroup):
    """Say what is meant by a word that is no subcommand: most often the file that ``--json`` doesn't take."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand.

        :raises click.UsageError: when there is none of that name.
        """
        if args[0] not in SUBCOMMANDS:
            raise click.UsageError(
                f"got {args[0]!r}, expected options, or one of: {', '.join(SUBCOMMANDS)}. "
                "--json takes no file: watchword drill --json > drill.json",
                ctx,
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Drill,
    registry=SUBCOMMANDS,
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
    help="Exit with 1 where an attack was served; where what would have to stop one isn't there; where one is unsure; "
    "where one didn't run; where the genuine app wasn't always served; where no attack ran; where a route lets pass what "
    "would harm an asset of the plan. May be given several times.",
)
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Attack your own deployment with the scripts that the plan worries about.

    This machine may be attacked freely: start `watchword up` first.  Any other target must consent:
    see `watchword drill consent --help`.  Nothing destructive is sent; what will be is printed before.

    An attack is stopped when every variant of it was refused for the reason that it was made for, while the genuine
    app is served.  With --sign, what that proves is recorded, and the next plan counts it.

    Exit code 0: the run came to its end.  1: --fail-on holds.  2: wrong usage, or faults in the file.  3: the
    deployment can't be reached.  130: interrupted; what had ended is reported.
    """
    if ctx.invoked_subcommand is not None:
        return
    from watchword.apps.cli.drill.running import run

    ctx.exit(run(ctx.obj, options))
