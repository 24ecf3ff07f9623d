"""Read built apps as an attacker would; each subcommand is one file under ``cli/scan`` and a line here."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.collector import collector_at_rest
from watchword.apps.terminal.lazy import LazyGroup

SUBCOMMANDS = {
    "diff": ("watchword.apps.cli.scan.diff", "Say how one build differs from another."),
    "rules": ("watchword.apps.cli.scan.rules", "List the rules, or show one of them."),
    "baseline": ("watchword.apps.cli.scan.baseline", "Set aside what a report found."),
    "import": ("watchword.apps.cli.scan.importing", "Read a report of MobSF or mobsfscan."),
}

CONDITIONS = ("critical", "high", "medium", "low", "not-seen", "new")

_FILE = click.Path(path_type=Path, dir_okay=False)


class _Scan(LazyGroup):
    """Take files as they come, unless the first word is a subcommand; options may stand before or after files."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave the files in ``ctx.args``, or hand a subcommand its arguments."""
        if args and args[0] in SUBCOMMANDS:
            return super().parse_args(ctx, args)
        if not args:
            raise click.UsageError(
                "got no file, expected a built app: an APK, AAB, XAPK or IPA", ctx
            )
        ctx.allow_interspersed_args = True
        # The group itself would take the first file for a subcommand.
        return click.Command.parse_args(self, ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return what ``--help`` shows behind the command's name."""
        return [*click.Command.collect_usage_pieces(self, ctx), "APP... | COMMAND [ARGS]..."]


@click.group(
    cls=_Scan,
    registry=SUBCOMMANDS,
    invoke_without_command=True,
    short_help="See what an attacker sees in a built app.",
    epilog="Example: watchword scan app-release.apk --fail-on high --fail-on not-seen --sarif scan.sarif",
)
@click.option(
    "--api", type=_FILE, metavar="FILE", help="The API's description: OpenAPI 3, Swagger 2."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@click.option("--sarif", type=_FILE, metavar="FILE", help="Write the report as SARIF 2.1.0.")
@click.option("--junit", type=_FILE, metavar="FILE", help="Write the report as JUnit XML.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a report that needs no network.")
@click.option("--cyclonedx", type=_FILE, metavar="FILE", help="Write it as CycloneDX 1.6; one app.")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(CONDITIONS),
    help="Exit with 1 where a finding counts of this severity or a worse one; where not all was seen; where a finding "
    "counts that the baseline doesn't know. May be given several times.",
)
@click.option(
    "--baseline",
    type=_FILE,
    metavar="FILE",
    help="Set aside what is known, from `watchword scan baseline`.",
)
@click.option(
    "--suppress",
    type=_FILE,
    metavar="FILE",
    help="A list of rule, subject, owner, reason and expires: what somebody answers for until then.",
)
@click.option(
    "--reveal", is_flag=True, help="Show secrets whole, on the terminal and in JSON only."
)
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="For each app; what isn't read by then is told as not seen.",
)
@click.option("--sign", type=_FILE, help="Record what is found, signed by this observer's key.")
@click.option("--app", metavar="NAME", help="Which app of watchword.yaml it is, with --sign.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Read built apps (APK, AAB, split sets, IPA) as an attacker would, and say what he sees.

    Nothing of an app is run or unpacked to disk, and nothing is sent anywhere.  What wasn't seen is told, always: a report that says
    "not seen" is no clean bill, and --fail-on not-seen catches it.

    No watchword.yaml is needed.  With --sign and --app, what the build proves is recorded, and the next plan counts it.

    Exit code 0: done.  1: --fail-on holds.  2: wrong usage, or no package.  3: a file can't be read or written.
    """
    if ctx.invoked_subcommand is not None:
        return
    # From here on, since a third of a small app's scan is imports.
    with collector_at_rest():
        from watchword.apps.cli.scan.running import run

        ctx.exit(run(ctx.obj, [Path(each) for each in ctx.args], options))
