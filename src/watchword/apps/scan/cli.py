"""Read built apps as an attacker would: ``watchword scan`` and each of its subcommands."""

from pathlib import Path
from typing import Any

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in
from watchword.encoding.collector import collector_at_rest

_body = body_in("watchword.apps.scan.commands")

CONDITIONS = ("critical", "high", "medium", "low", "not-seen", "new")

_FILE = click.Path(path_type=Path, dir_okay=False)


class _Scan(LazyGroup):
    """Take files as they come, unless the first word is a subcommand; options may stand before or after files."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave the files in ``ctx.args``, or hand a subcommand its arguments."""
        if args and args[0] in self.commands:
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
    help="Exit with 1. With a severity: if a finding of it or of a worse one counts. With not-seen: if not everything was "
    "seen. With new: if a finding counts that the baseline doesn't have. May be given several times.",
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

    Nothing of an app is run or unpacked to disk, and nothing is sent anywhere.  Unseen parts are always
    reported: "not seen" is no clean bill of health, and --fail-on not-seen catches it.

    No watchword.yaml is needed.  With --sign and --app, what the build proves is recorded, and the next plan counts it.

    Exit code 0: done.  1: --fail-on holds.  2: wrong usage, a file that isn't there or is no package, or an output that
    isn't ours to write over.  3: the system refuses to read or write a file, or reading took too long.
    """
    if ctx.invoked_subcommand is not None:
        return
    # From here on, since a third of a small app's scan is imports.
    with collector_at_rest():
        scan(ctx, [Path(each) for each in ctx.args], options)


@_body
def scan() -> None:
    """Scan apps as the options say, and end with the exit code."""


@command.command(
    "diff",
    short_help="Say how one build differs from another.",
    epilog="Example: watchword scan diff scan-of-1.0.json app-release.apk",
)
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="For each app that is read.",
)
@click.pass_context
@_body
def diff() -> None:
    """Say how the build NEW differs from the build OLD: each a built app, or a file that `watchword scan --json` wrote of one.

    Shows new, gone and changed findings, and protections that were lost or gained.  A finding that is gone from
    an unseen part counts as not seen.

    Exit code 0: the new build is no worse.  1: it is worse.  2: a file is neither, or isn't there.  3: the system
    refuses to read a file, or reading took too long.
    """


@command.command(
    "rules",
    short_help="List the rules, or show one of them.",
    epilog="Example: watchword scan rules pinning",
)
@click.argument("rule", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@_body
def rules() -> None:
    """List the rules of the scan, or show one: what it looks for, what it is evidence of, what it can't detect.

    RULE is a rule's id.  Those over apps come first, then those over descriptions of APIs (--api).
    """


@command.command(
    "baseline",
    short_help="Set aside what a report found.",
    epilog="Example: watchword scan baseline app-release.apk -o known.json",
)
@click.argument("report", type=_FILE, metavar="APP|REPORT")
@click.option("-o", "--output", type=_FILE, required=True, help="The file to write.")
@click.option(
    "--timeout", default="30s", show_default=True, metavar="DURATION", help="To read an app in."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.pass_context
@_body
def baseline() -> None:
    """Write what is found in an app as a baseline; or what was, by a report that `watchword scan --json` wrote.

    A baseline holds fingerprints and severities of what is to act on, and what rules couldn't decide.  A finding that gets more
    severe counts again.  Parts that couldn't be read are in no baseline.
    """


@command.command(
    "import",
    short_help="Read a report of MobSF or mobsfscan.",
    epilog="Example: watchword scan import mobsf.json --json > scan.json",
)
@click.argument("report", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print it as `watchword scan --json` does.")
@click.option("--reveal", is_flag=True, help="Show secrets whole.")
@_body
def import_command() -> None:
    """Read REPORT, JSON of MobSF or of mobsfscan, as a report that can be compared and set aside like ours.

    Findings are marked by the scanner's name.  Nothing of it was seen here: it proves nothing, and the report is partial.
    """
