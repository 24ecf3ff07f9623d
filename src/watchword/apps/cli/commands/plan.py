"""Show what to protect first; each subcommand is one file under ``cli/plan`` and a line here."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.apps.plan import asking
from watchword.apps.plan.since_command import Since, since
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.lazy import LazyGroup

if TYPE_CHECKING:
    from watchword.apps.settings.plan import PlanSettings
    from watchword.plan.outcome import Plan
    from watchword.plan.service import Question

SUBCOMMANDS = {
    "init": ("watchword.apps.plan.init", "Draft assets from an API description or a model."),
    "catalogue": ("watchword.apps.plan.catalogue", "Show techniques and protections."),
    "diff": ("watchword.apps.plan.diff", "Say what changed between two plans."),
}

PATIENCE_SECONDS: Final = 8.0
"""How long the order is shaken at most; the order itself is always whole."""

_MAX_NAMED: Final = 12

_MAX_TROUBLES: Final = 5
"""Most lines of the observations that are told one by one; a file may hold thousands."""

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(
    cls=LazyGroup,
    registry=SUBCOMMANDS,
    invoke_without_command=True,
    short_help="Say what to protect first, by impact and by what is proven.",
    epilog="Example: watchword -c examples/api-key-script.yaml plan --html plan.html",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON document.")
@click.option("--markdown", is_flag=True, help="Print it as Markdown, for a wiki or a review.")
@click.option("--cyclonedx", is_flag=True, help="Print it as a CycloneDX document.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a report that needs no network.")
@click.option("--details", is_flag=True, help="Say of each item why, what else, and how firmly.")
@click.option("--item", metavar="ID", help="Show one item in full.")
@click.option("--all", "everything", is_flag=True, help="Show the long lists whole.")
@click.option(
    "--budget", callback=asking.budget, metavar="N", help="Most effort, in units of the catalogue."
)
@click.option(
    "--what-if",
    "what_if",
    multiple=True,
    metavar="+ID/-ID",
    help="Take a protection for proven (+) or for out of reach (-); may be given several times.",
)
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(["open", "delayed", "unreadable", "worse", "weak-route"]),
    help="Exit with 1 while an asset is open; with delayed, while one isn't closed, be it that all its paths are struck; "
    "with unreadable, while a line of the observations can't be read; with worse, where an asset or a protection "
    "stands worse than in the plan of --since; with weak-route, where a route lets pass what would harm an asset that "
    "lives there. May be given several times.",
)
@click.option(
    "--since",
    "earlier",
    type=_FILE,
    callback=since,
    metavar="FILE",
    help="Say what changed since an earlier plan, what --json printed then, and why.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    as_json: bool,
    markdown: bool,
    cyclonedx: bool,
    html: Path | None,
    details: bool,
    item: str | None,
    everything: bool,
    budget: int | None,
    what_if: tuple[str, ...],
    fail_on: tuple[str, ...],
    earlier: Since | None,
) -> None:
    """Say what to protect first, from the plan section of the file.

    The order is by impact, never by likelihood: first what prevents the attack, then what makes it hard to
    gather intelligence, last what hardens.  A protection counts only while an observation proves it.

    Exit code 0: here is the plan.  1: --fail-on holds.  2: wrong usage, or faults in the file.  3: the
    report can't be written.
    """
    if ctx.invoked_subcommand is not None:
        return
    forms = {"--json": as_json, "--markdown": markdown, "--cyclonedx": cyclonedx, "--item": item}
    _refuse_together(forms, earlier, fail_on, details=details)
    from watchword.apps.settings.plan import load_plan

    settings = load_plan(ctx.obj)
    plan = _made(settings, asking.question(settings, budget, what_if))
    if item is not None:
        listed = [each.protection.id for each in plan.items]
        item = asking.item_of(item, listed, plan.catalogue)
    if html is not None:
        _write_report(html, plan)
    if earlier is not None:
        earlier.show(plan, as_json=as_json, everything=everything)
    elif as_json:
        from watchword.apps.plan.document import document

        print_json(document(plan))
    elif markdown:
        from watchword.apps.plan.markdown import markdown as as_markdown

        click.echo(as_markdown(plan))
    elif cyclonedx:
        print_json(_bill(plan))
    elif html is None or details or item is not None:
        _show(plan, details=details, everything=everything, item=item)
    # Of an asset that wasn't planned for nobody knows how it stands.
    unplanned = len(settings.assets) > len(plan.assets)
    if any(_holds(plan, each, earlier, unplanned=unplanned) for each in fail_on):
        ctx.exit(EXIT_REFUSED)


def _made(settings: "PlanSettings", question: "Question") -> "Plan":
    """Make the plan; whoever waits at a terminal sees that something goes on."""
    from rich.console import Console

    from watchword.adapters.clock import SystemClock, TimeLimit
    from watchword.apps.cli.observe.judged import troubles
    from watchword.apps.plan.planning import plan_of

    with Console(stderr=True).status(f"Planning for {len(settings.model.paths)} paths"):
        now = SystemClock().now()
        plan, reading = plan_of(settings, question, now, TimeLimit(PATIENCE_SECONDS))
    _tell_troubles(list(troubles(reading, settings.observations.name)))
    _tell_guesses(settings)
    # Between reading and planning nobody needs the number; every view has to say it.
    return replace(plan, unreadable=len(reading.faults))


def _tell_troubles(lines: list[str]) -> None:
    """Say on stderr which lines of the observations can't be read."""
    from watchword.apps.terminal.paragraphs import printable

    for line in lines[:_MAX_TROUBLES]:
        click.echo(f"note: {printable(line)}", err=True)
    if len(lines) > _MAX_TROUBLES:
        more = f"{len(lines) - _MAX_TROUBLES:,} more lines like these"
        click.echo(f"note: and {more}; `watchword observe list` names each", err=True)


def _tell_guesses(settings: "PlanSettings") -> None:
    """Say on stderr which impacts nobody has thought about yet: the order rests on them."""
    from watchword.apps.terminal.paragraphs import wrapped

    names = [
        name for name, asset in settings.assets.items() if asset.because.upper().startswith("TODO")
    ]
    if not names:
        return
    listed = ", ".join(names[:_MAX_NAMED])
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    what = (
        "1 impact is still a guess"
        if len(names) == 1
        else f"{len(names)} impacts are still guesses"
    )
    for line in wrapped(f"note: {what} (because begins with TODO): {listed}{more}"):
        click.echo(line, err=True)


def _show(plan: "Plan", *, details: bool, everything: bool, item: str | None) -> None:
    from watchword.apps.plan.terminal import item_lines, lines
    from watchword.apps.terminal.paragraphs import show

    found: Iterator[str] = (
        lines(plan, details=details, everything=everything)
        if item is None
        else item_lines(plan, item)
    )
    show(found)


def _bill(plan: "Plan") -> object:
    import uuid

    from watchword.adapters.entropy import SystemEntropy
    from watchword.apps.plan.cyclonedx import cyclonedx

    serial = uuid.UUID(bytes=SystemEntropy().token_bytes(16), version=4)
    return cyclonedx(plan, f"urn:uuid:{serial}", plan.made_at)


def _write_report(file: Path, plan: "Plan") -> None:
    from watchword.apps.output_files import OutputFileError, replace_file
    from watchword.apps.plan.html import MARK, report
    from watchword.apps.terminal.paragraphs import printable

    try:
        replace_file(file, report(plan), MARK)
    except OutputFileError as error:
        raise click.BadParameter(printable(str(error)), param_hint="--html") from None
    click.echo(printable(f"Wrote {file}"), err=True)


def _refuse_together(
    forms: Mapping[str, object], earlier: Since | None, fail_on: tuple[str, ...], *, details: bool
) -> None:
    """Refuse what doesn't go together; an earlier plan is compared in words or as JSON."""
    given = [name for name, asked in forms.items() if asked]
    if len(given) > 1:
        raise click.UsageError(f"got several forms, expected one of {', '.join(forms)}")
    if earlier is None:
        if "worse" in fail_on:
            raise click.UsageError("got --fail-on worse, expected --since FILE with it")
        return
    others = [each for each in given if each != "--json"] + ["--details"] * details
    if others:
        raise click.UsageError(f"got --since with {others[0]}, expected it alone or with --json")


def _holds(plan: "Plan", condition: str, earlier: Since | None, *, unplanned: bool) -> bool:
    """Tell whether a condition of ``--fail-on`` holds.

    :param unplanned: some asset of the file isn't in the plan.
    """
    from watchword.plan.outcome import Exposure
    from watchword.plan.reliance import weak_routes

    if condition == "unreadable":
        return plan.unreadable > 0
    if condition == "weak-route":
        return bool(weak_routes(plan.model.assets.values()))
    if unplanned:
        return True
    if condition == "worse":
        return earlier is not None and earlier.is_worse(plan)
    if condition == "open":
        return any(asset.now is Exposure.OPEN for asset in plan.assets)
    # An asset that nobody reaches counts too: nothing protects it, somebody only struck its paths.
    return any(asset.now is not Exposure.CLOSED for asset in plan.assets)
