"""Show what to protect first: ``watchword plan`` and each of its subcommands."""

import re
from pathlib import Path
from typing import Any, Final

import click

from watchword.apps.terminal.lazy import LazyGroup, body_in
from watchword.apps.terminal.paragraphs import printable

MAX_BUDGET: Final = 10_000
"""Most units of effort, as ``plan: budget:`` has it."""

_MAX_SHOWN: Final = 60
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_EXAMPLES: Final = """\b
Examples:
  watchword plan init
  watchword plan init --openapi openapi.yaml --api clinic
  watchword plan init --otm threat-model.otm.json -o draft.yaml
  watchword plan init --template bank
  watchword plan init --interview
"""

_FILE = click.Path(path_type=Path, dir_okay=False)
_ANY = click.Path(path_type=Path)
_THERE = click.Path(path_type=Path, exists=True, dir_okay=False)
_body = body_in("watchword.apps.plan.commands")
_drafts_body = body_in("watchword.apps.plan.drafts")
_workshop_body = body_in("watchword.apps.plan.workshop.command")
_earlier_body = body_in("watchword.apps.plan.earlier")


def budget(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Accept a budget."""
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) > MAX_BUDGET:
        expected = f"a whole number of units of effort from 0 to {MAX_BUDGET}, such as 12"
        raise click.BadParameter(f"got {value[:_MAX_SHOWN]!r}, expected {expected}")
    return int(value)


def _name(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Accept a name as ``watchword.yaml`` takes it."""
    if value is not None and not _NAME.fullmatch(value):
        expected = "lower-case letters, digits and hyphens, such as clinic"
        raise click.BadParameter(f"got {printable(value[:60])!r}, expected {expected}")
    return value


def _once(_ctx: click.Context, parameter: click.Parameter, value: tuple[Path, ...]) -> Path | None:
    """Accept one file: of two the last alone would be drafted, and the other's assets be missed by nobody."""
    if len(value) > 1:
        expected = (
            "one file: draft each with an --api and an -o of its own, then copy them together"
        )
        raise click.BadParameter(f"got {len(value)} of {parameter.opts[0]}, expected {expected}")
    return value[0] if value else None


@_earlier_body
def read_earlier() -> None:
    """Return the plan in the file of ``--since``."""


def _earlier(_ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Any:
    return None if value is None else read_earlier(value)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    short_help="Say what to protect first, by impact and by what is proven.",
    epilog="Example: watchword -c examples/api-key-script.yaml plan --html plan.html",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
@click.option("--markdown", is_flag=True, help="Print it as Markdown, for a wiki or a review.")
@click.option("--cyclonedx", is_flag=True, help="Print it as a CycloneDX document.")
@click.option(
    "--tickets",
    type=click.Choice(["github", "jira"]),
    help="Print one ticket for each protection, with what will prove it: JSON for GitHub's API, CSV for Jira.",
)
@click.option("--html", type=_FILE, metavar="FILE", help="Write a report that needs no network.")
@click.option(
    "--management", type=_FILE, metavar="FILE", help="Write one page for management, as HTML."
)
@click.option(
    "--details", is_flag=True, help="Show for each item why, what else, and how robust that is."
)
@click.option("--item", metavar="ID", help="Show one item in full.")
@click.option("--all", "everything", is_flag=True, help="Show the long lists whole.")
@click.option(
    "--budget", callback=budget, metavar="N", help="Most effort, in units of the catalogue."
)
@click.option(
    "--what-if",
    "what_if",
    multiple=True,
    metavar="+ID/-ID",
    help="Assume that a protection is proven (+) or out of reach (-); may be given several times.",
)
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["open", "delayed", "unreadable", "worse", "weak-route"]),
    help="Exit with 1. With open: if an asset is open. With delayed: if one isn't closed, or all its paths are struck. With "
    "unreadable: if a line of the observations can't be read. With worse: if an asset or a protection is worse than in the "
    "plan of --since. With weak-route: if a route lets pass what would harm an asset behind it. May be given several times.",
)
@click.option(
    "--since",
    "earlier",
    type=_FILE,
    callback=_earlier,
    metavar="FILE",
    help="Say what changed since an earlier plan, what --json printed then, and why.",
)
@click.pass_context
@_body
def show_plan() -> None:
    """Say what to protect first, from the plan section of the file.

    The order is by impact, never by likelihood: first what prevents the attack, then what makes it hard to
    gather intelligence, last what hardens.  A protection counts only while an observation proves it.

    Exit code 0: here is the plan.  1: --fail-on holds.  2: wrong usage, faults in the file, or an output that isn't
    ours to write over.  3: the report can't be written.
    """


command = show_plan


@show_plan.command(
    "init", epilog=_EXAMPLES, short_help="Draft assets from an API description or a model."
)
@click.option(
    "--openapi",
    type=_ANY,
    multiple=True,
    callback=_once,
    metavar="FILE",
    help="OpenAPI 3 or Swagger 2, JSON or YAML: drafts assets and routes.",
)
@click.option(
    "--otm",
    type=_ANY,
    multiple=True,
    callback=_once,
    metavar="FILE",
    help="Open Threat Model, or a model of Threat Dragon 2: imports assets and threats.",
)
@click.option(
    "--scan",
    type=_ANY,
    multiple=True,
    callback=_once,
    metavar="FILE",
    help="What `watchword scan --json` printed: suggests assets for what lies open.",
)
@click.option(
    "--template",
    type=click.Choice(["bank", "health", "game", "retail", "saas", "iot"]),
    help="Write an argued template instead.",
)
@click.option(
    "--interview", is_flag=True, help="Ask the method's questions here, one after the other."
)
@click.option(
    "--api",
    metavar="NAME",
    callback=_name,
    help="Name of the API under apis:; left out, made from the description's title.",
)
@click.option(
    "-o",
    "--output",
    type=_ANY,
    default=Path("watchword-plan.yaml"),
    show_default=True,
    metavar="FILE",
    help="Where to write it; - for the standard output. Nothing is overwritten.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was drafted as JSON too.")
@click.pass_context
@_drafts_body
def init_command() -> None:
    """Draft a plan: assets, where they live, and what an attacker may be after.

    Without a file, --template or --interview it writes a commented plan to start from. From several
    files, assets of the same name become one. It is only a draft: each impact in it is a guess that you have to set.
    watchword.yaml is never changed.

    Exit code 0: written.  2: a file has faults, or the one to write is there already.  3: it
    can't be written.
    """


@show_plan.command(
    "workshop",
    epilog="Example: watchword plan workshop",
    short_help="Decide together: answer the method's questions in the browser.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Where to listen on this machine; left out, a free port.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as one JSON object.")
@click.pass_context
@_workshop_body
def workshop_command() -> None:
    """Decide together: a page on this machine asks the method's questions, and plans anew with each answer.

    It writes the plan section of the file, and only when you save; comments and everything else stay. A file that
    isn't there yet is made. Answers that aren't saved are there again at the next start.

    Exit code 0: ended by Ctrl-C.  2: the file can't be used, or a workshop of it is open already.  3: the port can't be had.
    """


@show_plan.command(
    "catalogue",
    short_help="Show techniques and protections.",
    epilog="Example: watchword plan catalogue PR-B01",
)
@click.argument("entry", metavar="[ID]", required=False)
@click.option(
    "--own",
    type=_ANY,
    metavar="FILE",
    help="Add the techniques: and protections: of this YAML file; left out: those of the file under plan: catalogue:.",
)
@click.option("--check", is_flag=True, help="Compare the ids with the named files.")
@click.option(
    "--stix",
    type=_THERE,
    multiple=True,
    metavar="FILE",
    help="An ATT&CK bundle, mobile or enterprise, as STIX 2 in JSON; may be given again.",
)
@click.option(
    "--maswe",
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="The directory of MASWE's pages, or a JSON list of its aliases.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an entry.")
@click.pass_context
@_body
def catalogue_command() -> None:
    """Show what attackers do and what protects against it: all of it, or ID in words.

    With --check: show which of its ATT&CK and MASWE ids are unknown or retired in the named files; without a
    file, which aliases MASWE 1.0.0 lacks.

    Exit code 0: shown, or every id checked is known.  1: some aren't.  2: wrong usage, or a file has
    faults.
    """


@show_plan.command(
    "diff",
    epilog="Example: watchword plan diff plan-of-march.json plan-of-today.json",
    short_help="Say what changed between two plans.",
)
@click.argument("old", type=_THERE)
@click.argument("new", type=_THERE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
@_earlier_body
def diff_command() -> None:
    """Say how the plan NEW differs from the plan OLD: files that `watchword plan --json` wrote.

    Shows new, gone and moved items, the state of assets and paths, and what changed beneath them: evidence,
    impacts, efforts, the budget.  The time of a plan makes no difference.

    Exit code 0: they are the same.  1: they differ.  2: a file can't be read, or is no plan.
    """
